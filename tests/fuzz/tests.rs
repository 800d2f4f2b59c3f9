//! A short run of each target, the same each time.

use crate::{
    engine::{self, Checked, Search, Target},
    mutation::Form,
    targets,
};

/// Where randomness begins.
const SEED: u64 = 20_261_128;

/// Each target with so many inputs as take a second or two.
macro_rules! short_runs {
    ($($name:ident: $inputs:literal,)*) => {
        $(
            #[test]
            fn $name() {
                short_run(stringify!($name), $inputs);
            }
        )*

        #[test]
        fn every_target_has_a_short_run() {
            let names: Vec<&str> = targets::ALL.iter().map(|target| target.name).collect();
            assert_eq!(names, [$(stringify!($name)),*]);
        }
    };
}

short_runs! {
    requests: 25_000,
    fingerprints: 1_500,
    money: 40_000,
    answers: 6_000,
    instructions: 6_000,
    notices: 6_000,
    signatures: 6_000,
    request_signatures: 6_000,
    page_tokens: 20_000,
    settings: 4_000,
    credentials: 5_000,
    headers: 20_000,
    audit: 4_000,
    encrypted: 20_000,
}

fn short_run(name: &str, inputs: u64) {
    let target = targets::named(name).unwrap();
    let found = engine::found_before(name).unwrap();
    let mut search = Search::new((target.make)().unwrap(), found, SEED);
    let found = search.run(|tried, _| tried < inputs);
    if let Some(broken) = found.broken {
        let file = engine::save(name, &broken).unwrap();
        panic!(
            "{name}, seed {SEED}, input {}: {}\n  {:?}\n  again: cargo fuzz -- --target {name} --input {}",
            found.inputs,
            broken.complaint,
            String::from_utf8_lossy(&broken.input),
            file.display()
        );
    }
    // A target whose inputs are all refused at the door would be green for nothing.
    assert!(found.outcomes >= 5, "{name}: {} inputs came to {} things", found.inputs, found.outcomes);
}

/// A target that judges by this alone.
fn judged(judge: impl FnMut(&[u8]) -> Checked + 'static) -> Target {
    Target {
        seeds: vec![b"1234 <a>56</a> 89".to_vec()],
        words: Vec::new(),
        form: Form::Text,
        check: Box::new(judge),
    }
}

#[test]
fn what_breaks_a_rule_is_found_and_made_small() {
    for panics in [false, true] {
        let target = judged(move |input| {
            let is_bad = input.contains(&b'7');
            assert!(!is_bad || !panics, "seven");
            if is_bad { Err("seven".to_owned()) } else { Ok(String::new()) }
        });
        let broken = Search::new(target, Vec::new(), SEED).run(|tried, _| tried < 5_000).broken.unwrap();
        assert_eq!(broken.complaint, if panics { "panicked: seven" } else { "seven" });
        assert_eq!(broken.input, b"7");
    }
}

#[test]
fn slowness_and_greed_break_a_rule() {
    let mut slow = judged(|_| {
        let began = engine::processor_time();
        while engine::processor_time().saturating_sub(began) < engine::MAX_TIME {}
        Ok(String::new())
    });
    assert!(engine::checked(&mut slow, b"").unwrap_err().contains("took"));
    let mut greedy = judged(|_| Ok(String::with_capacity(8 << 20)));
    assert!(engine::checked(&mut greedy, b"").unwrap_err().contains("memory"));
}
