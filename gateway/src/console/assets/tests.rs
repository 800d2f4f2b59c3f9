//! What the stylesheet promises to eyes: WCAG 2.2, 1.4.3 and 1.4.11.
#![expect(clippy::float_arithmetic, reason = "WCAG defines contrast so")]

use std::collections::HashMap;

const CSS: &str = include_str!("../../../console/assets/console.css");

/// Text, and what it stands on; a ratio of 4.5 at least.
const TEXT: &[(&str, &str)] = &[
    ("ink", "paper"),
    ("ink", "surface"),
    ("quiet", "paper"),
    ("quiet", "surface"),
    ("accent", "paper"),
    ("accent", "surface"),
    ("on-accent", "accent"),
    ("good", "paper"),
    ("good", "surface"),
    ("bad", "paper"),
    ("bad", "surface"),
    ("warn", "paper"),
    ("warn", "surface"),
];
/// Lines of charts and borders of fields; 3 at least.
const SHAPES: &[(&str, &str)] =
    &[("chart-good", "surface"), ("chart-bad", "surface"), ("chart-open", "surface"), ("quiet", "surface")];

/// The colours of a scheme: the first `:root` is the light one, the second changes it.
fn colours(schemes: usize) -> HashMap<&'static str, [u8; 3]> {
    let roots =
        CSS.split(":root {").skip(1).take(schemes).map(|rest| rest.split('}').next().expect("a block"));
    let lines = roots.flat_map(|block| block.split(';')).filter_map(|line| line.trim().strip_prefix("--"));
    let colour = |line: &'static str| {
        let (name, value) = line.split_once(": #")?;
        let part = |at: usize| u8::from_str_radix(&value[at..at + 2], 16).expect("six digits");
        Some((name, [part(0), part(2), part(4)]))
    };
    lines.filter_map(colour).collect()
}

fn luminance(colour: [u8; 3]) -> f64 {
    let [red, green, blue] = colour.map(|part| {
        let part = f64::from(part) / 255.0;
        if part <= 0.040_45 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
    });
    0.2126 * red + 0.7152 * green + 0.0722 * blue
}

fn contrast(one: [u8; 3], other: [u8; 3]) -> f64 {
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

#[test]
fn every_text_can_be_read_in_light_and_dark() {
    assert!((contrast([0; 3], [255; 3]) - 21.0).abs() < 1e-9);
    let mut offences = Vec::new();
    for (scheme, number) in [("light", 1), ("dark", 2)] {
        let colours = colours(number);
        for (pairs, least) in [(TEXT, 4.5), (SHAPES, 3.0)] {
            for (text, ground) in pairs {
                let found = contrast(colours[text], colours[ground]);
                if found < least {
                    offences.push(format!("{scheme}: {text} on {ground}: {found:.2}"));
                }
            }
        }
    }
    assert!(offences.is_empty(), "{}", offences.join("\n"));
}

#[test]
fn every_colour_of_text_is_judged_and_has_both_schemes() {
    let (light, dark) = (colours(1), colours(2));
    assert!(light.len() > 10);
    assert_ne!(light["ink"], dark["ink"]);
    let rules = CSS.split("*, *::before").nth(1).expect("rules");
    for of in rules.split("color: var(--").skip(1).map(|rest| rest.split(')').next().expect("a name")) {
        let is_line = ["line", "surface", "paper"].contains(&of);
        assert!(is_line || TEXT.iter().any(|(text, _)| *text == of), "{of} is the colour of some text");
    }
    assert!(
        !rules.contains('#') || rules.matches('#').count() == rules.matches("#fff").count(),
        "a colour without a name"
    );
}
