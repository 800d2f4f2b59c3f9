//! Page tokens: only one that was made for a list is read for it, and a change of any bit makes it another.

use harness::BenchError;
use platform::page_token::PageTokens;

use super::{demand, words};
use crate::{
    engine::{Checked, Target},
    mutation::Form,
};

const LISTS: [&str; 3] = ["shop/payments///", "shop/payments/acc_1//", "other/payments///"];
const NAMES: &str = "participants";

/// Prepares the target.
pub(super) fn target() -> Result<Target, BenchError> {
    let tokens = PageTokens::new([7; 32]);
    let made: Vec<(&str, String)> = LISTS
        .iter()
        .flat_map(|list| (1..4).map(|last| (*list, tokens.make(list, uuid::Uuid::from_u128(last << 64)))))
        .chain(
            ["shop", "a-name-of-forty-characters-is-the-longest"]
                .map(|name| (NAMES, tokens.make_name(NAMES, name))),
        )
        .collect();
    let strangers = PageTokens::new([8; 32]);
    let mut seeds: Vec<Vec<u8>> = made.iter().map(|(_, token)| token.clone().into_bytes()).collect();
    seeds.push(strangers.make(LISTS[0], uuid::Uuid::from_u128(1)).into_bytes());
    seeds.push(Vec::new());
    Ok(Target {
        seeds,
        words: words(&["A", "AAAA", "=", "==", "+", "/", "-", "_", "%3D"]),
        form: Form::Text,
        check: Box::new(move |input| check(&tokens, &made, input)),
    })
}

fn check(tokens: &PageTokens, made: &[(&str, String)], input: &[u8]) -> Checked {
    let Ok(token) = std::str::from_utf8(input) else { return Ok("no text".to_owned()) };
    let mut read = 0;
    for list in LISTS {
        let is_read = tokens.read(list, token).is_some();
        let is_made = made.iter().any(|(of, text)| *of == list && text == token);
        demand(is_read == is_made, &format!("read for {list}: {is_read}, made for it: {is_made}"))?;
        read += u32::from(is_read);
    }
    let name = tokens.read_name(NAMES, token);
    demand(
        name.is_some() == made.iter().any(|(of, text)| *of == NAMES && text == token),
        "another token of names is read",
    )?;
    Ok(format!("{read} {} {}", name.is_some(), token.len().min(90)))
}
