//! The pages, one file each.

pub(super) mod balance;
pub(super) mod overview;
pub(super) mod payment;
pub(super) mod payments;
pub(super) mod webhooks;

use std::time::SystemTime;

use time::{PrimitiveDateTime, format_description::BorrowedFormatItem, macros::format_description};

const MINUTES: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day]T[hour]:[minute]");
const SECONDS: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]");

/// Reads what a form's `datetime-local` sends, as a time in UTC: none if it was left empty.
///
/// # Errors
/// When it is no time.
fn time_of_form(text: &str) -> Result<Option<prost_types::Timestamp>, ()> {
    if text.is_empty() {
        return Ok(None);
    }
    let read = PrimitiveDateTime::parse(text, MINUTES).or_else(|_| PrimitiveDateTime::parse(text, SECONDS));
    let time = read.map_err(|_| ())?.assume_utc();
    Ok(Some(SystemTime::from(time).into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_forms_are_utc_and_nothing_else_is_read() {
        let seconds = |text: &str| time_of_form(text).map(|time| time.map(|time| time.seconds));
        assert_eq!(seconds("1970-01-02T00:01"), Ok(Some(86_460)));
        assert_eq!(seconds("1970-01-02T00:01:05"), Ok(Some(86_465)));
        assert_eq!(seconds(""), Ok(None));
        for bad in ["today", "1970-01-02", "1970-13-02T00:01", "1970-01-02T00:01Z", "99999-01-01T00:00", " "]
        {
            assert_eq!(seconds(bad), Err(()), "{bad}");
        }
    }
}
