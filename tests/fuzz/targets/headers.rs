//! What callers say beside a request: `traceparent` is read as W3C has it, and no `grpc-timeout` has anybody wait for long.

use std::time::Duration;

use common::{
    deadline::{Deadline, MAX_BUDGET},
    trace::TraceParent,
};
use harness::BenchError;
use tonic::{Request, metadata::AsciiMetadataValue};

use super::{chosen, demand, words};
use crate::{
    engine::{Checked, Target},
    mutation::Form,
};

/// Prepares the target.
pub(super) fn target() -> Result<Target, BenchError> {
    let parents = [
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00F067AA0BA902B7-FF",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
    ];
    let timeouts = ["1S", "250m", "99999999H", "0n", "1u", "60M", "-1S", "abc", "123456789S"];
    let parents = parents.map(|text| chosen(0, text));
    Ok(Target {
        seeds: parents.into_iter().chain(timeouts.map(|text| chosen(1, text))).collect(),
        words: words(&["H", "M", "S", "m", "u", "n", "-", "00", "ff", "+1", "1.5", " "]),
        form: Form::Text,
        check: Box::new(check),
    })
}

fn check(input: &[u8]) -> Checked {
    let Some((choice, rest)) = input.split_first() else { return Ok("nothing".to_owned()) };
    if choice % 2 == 0 {
        let Ok(text) = std::str::from_utf8(rest) else { return Ok("no text".to_owned()) };
        let Some(parent) = TraceParent::parse(text) else {
            return Ok(format!("no parent {}", text.len().min(60)));
        };
        // Of the flags the last is passed on, and no other.
        let is_sampled =
            text.chars().last().and_then(|digit| digit.to_digit(16)).is_some_and(|flags| flags % 2 == 1);
        let passed_on = format!("{}0{}", &text[..text.len() - 2], u8::from(is_sampled));
        demand(parent.to_string() == passed_on.to_ascii_lowercase(), "written it is another one")?;
        return Ok(format!("parent {}", &text[text.len() - 2..]));
    }
    let Ok(value) = AsciiMetadataValue::try_from(rest) else { return Ok("no header".to_owned()) };
    let mut request = Request::new(());
    request.metadata_mut().insert("grpc-timeout", value);
    let remaining = Deadline::of_request(&request).remaining();
    demand(remaining <= MAX_BUDGET, "somebody waits for long")?;
    let steps = [Duration::ZERO, Duration::from_millis(100), Duration::from_secs(1), Duration::from_secs(9)];
    Ok(format!("timeout {}", steps.iter().filter(|step| remaining > **step).count()))
}
