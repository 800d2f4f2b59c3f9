//! A picture of the rates: a bar for the median of each contender, a whisker from the least to the most.

use std::fmt::Write;

use harness::figure::{Figure, number};

use crate::{contender::Contender, results::Results};

const WIDTH: f64 = 720.0;
/// Where bars begin: left of it are the names.
const LEFT: f64 = 206.0;
/// Right of the longest whisker there is room for its number.
const RIGHT: f64 = 90.0;
const TOP: f64 = 64.0;
const ROW: f64 = 40.0;
const BAR: f64 = 22.0;

/// Colours that are readable on light and on dark ground.
const STYLE: &str = "<style>
  text { font: 14px system-ui, sans-serif; fill: #24292f }
  .quiet { font-size: 12px; fill: #57606a }
  .bar { fill: #8c959f } .own { fill: #0969da }
  .whisker { stroke: #24292f; stroke-width: 1.5 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .quiet { fill: #9198a1 }
    .bar { fill: #656c76 } .own { fill: #4493f8 }
    .whisker { stroke: #e6edf3 }
  }
</style>
";

/// Draws it.
pub fn picture(results: &Results) -> String {
    let n = results.of_record();
    let measured = Contender::ALL.into_iter().filter_map(|who| Some((who, results.per_s(who, n)?)));
    let bars: Vec<(Contender, Figure)> = measured.collect();
    let longest = bars.iter().map(|(_, figure)| figure.max).fold(1.0, f64::max);
    let x = |per_s: f64| LEFT + per_s / longest * (WIDTH - LEFT - RIGHT);
    let height = TOP + f64::from(u32::try_from(bars.len()).unwrap_or_default()) * ROW + 12.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
         aria-label=\"Payments a second\">\n{STYLE}\
         <text x=\"12\" y=\"26\">Payments, calls or transactions a second</text>\n\
         <text class=\"quiet\" x=\"12\" y=\"46\">{n} in flight, one machine; median of {} rounds, least to most</text>\n",
        results.rounds
    );
    for (row, (contender, figure)) in (0_u32..).zip(&bars) {
        let middle = TOP + f64::from(row) * ROW + ROW / 2.0;
        let class = match contender {
            Contender::Rialto | Contender::HotMerchant => "bar own",
            Contender::EchoChain | Contender::LeanEchoChain | Contender::TpcB | Contender::Naive => "bar",
        };
        let (from, to) = (x(figure.min), x(figure.max));
        // Writing to a String cannot fail.
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\n\
             <rect class=\"{class}\" x=\"{LEFT}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{BAR}\" rx=\"2\"/>\n\
             <path class=\"whisker\" d=\"M{from:.1} {middle:.1}H{to:.1}M{from:.1} {up:.1}V{down:.1}M{to:.1} {up:.1}V{down:.1}\"/>\n\
             <text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            LEFT - 10.0,
            middle + 5.0,
            contender.title(),
            middle - BAR / 2.0,
            x(figure.median) - LEFT,
            to + 8.0,
            middle + 5.0,
            number(figure.median),
            up = middle - 5.0,
            down = middle + 5.0,
        );
    }
    svg + "</svg>\n"
}

#[cfg(test)]
mod tests {
    use super::picture;
    use crate::results::tests::two_rounds;

    #[test]
    fn every_contender_has_a_bar_that_is_as_long_as_it_is_fast() {
        let svg = picture(&two_rounds());
        let mut reader = quick_xml::Reader::from_str(&svg);
        let mut widths = Vec::new();
        loop {
            match reader.read_event().unwrap() {
                quick_xml::events::Event::Eof => break,
                quick_xml::events::Event::Empty(element) if element.name().as_ref() == "rect" => {
                    let width = element.try_get_attribute("width").unwrap().unwrap();
                    widths.push(width.value.parse::<f64>().unwrap());
                }
                _ => {}
            }
        }
        assert_eq!(widths.len(), 5, "{svg}");
        // Rialto has 10,500, the naive design 2,100.
        assert!((widths[0] / widths[4] - 5.0).abs() < 0.05, "{widths:?}");
        assert!(svg.contains(">10,500<") && svg.contains("prefers-color-scheme: dark"), "{svg}");
    }
}
