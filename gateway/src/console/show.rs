//! How amounts, times and states are written.

use std::time::{Duration, SystemTime};

use common::money::Currency;
use proto::{
    convert,
    money::Money,
    payments::{Payee, PaymentKind, PaymentState, payee},
};
use time::{OffsetDateTime, format_description::BorrowedFormatItem, macros::format_description};

use super::language::Texts;

const SECONDS: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");
const MILLISECONDS: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day] [hour]:[minute]:[second].[subsecond digits:3]");
const CLOCK: &[BorrowedFormatItem<'_>] = format_description!("[hour]:[minute]:[second]");

/// A time in UTC to the second; empty if there is none.
pub(super) fn time(wire: Option<&prost_types::Timestamp>) -> String {
    formatted(wire, SECONDS)
}

/// A time in UTC to the millisecond; empty if there is none.
pub(super) fn exact_time(wire: Option<&prost_types::Timestamp>) -> String {
    formatted(wire, MILLISECONDS)
}

/// A time of day in UTC; empty if there is none.
pub(super) fn clock(wire: Option<&prost_types::Timestamp>) -> String {
    formatted(wire, CLOCK)
}

fn formatted(wire: Option<&prost_types::Timestamp>, format: &[BorrowedFormatItem<'_>]) -> String {
    let time = wire.and_then(convert::time).map(OffsetDateTime::from);
    time.and_then(|time| time.format(format).ok()).unwrap_or_default()
}

/// How long ago something was, in the two largest units.
pub(super) fn age(wire: Option<&prost_types::Timestamp>, now: SystemTime) -> String {
    let since = wire.and_then(convert::time).and_then(|then| now.duration_since(then).ok());
    let seconds = since.unwrap_or_default().as_secs();
    match (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0, seconds) => format!("{seconds} s"),
        (0, 0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (0, hours, minutes, _) => format!("{hours} h {minutes} min"),
        (days, hours, ..) => format!("{days} d {hours} h"),
    }
}

/// A duration in milliseconds, with a tenth where that is something; a dash if there is none.
pub(super) fn milliseconds(wire: Option<&prost_types::Duration>) -> String {
    match wire.and_then(convert::duration) {
        Some(time) if time < Duration::from_millis(100) => {
            format!("{}.{}", time.as_millis(), time.subsec_micros() / 100 % 10)
        }
        Some(time) => grouped(&time.as_millis().to_string()),
        None => "–".to_owned(),
    }
}

/// Parts per million as percent with two digits; a dash if there was nothing to divide by.
pub(super) fn percent(ppm: i64, of: i64) -> String {
    if of == 0 { "–".to_owned() } else { format!("{}.{:02} %", ppm / 10_000, ppm / 100 % 100) }
}

/// So many in so many seconds, for each of them, with two digits.
pub(super) fn per_second(count: i64, seconds: i64) -> String {
    let hundredths = count.saturating_mul(100) / seconds.max(1);
    format!("{}.{:02}", grouped(&(hundredths / 100).to_string()), hundredths % 100)
}

/// A count.
pub(super) fn count(count: i64) -> String {
    grouped(&count.to_string())
}

/// An amount with its currency.
pub(super) fn money(wire: Option<&Money>) -> String {
    let Some(Money { minor_units, currency }) = wire else { return String::new() };
    format!("{} {currency}", minor_units_of(&minor_units.to_string(), currency))
}

/// Minor units, which may exceed 64 bits, as a decimal number of their currency.
pub(super) fn minor_units_of(digits: &str, currency: &str) -> String {
    let exponent = Currency::parse(currency).map_or(0, Currency::exponent);
    let exponent = usize::try_from(exponent).unwrap_or_default();
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |digits| ("-", digits));
    let padded = format!("{digits:0>width$}", width = exponent + 1);
    let (whole, fraction) = padded.split_at(padded.len() - exponent);
    let point = if exponent == 0 { "" } else { "." };
    format!("{sign}{}{point}{fraction}", grouped(whole))
}

/// Digits in groups of three.
fn grouped(digits: &str) -> String {
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |digits| ("-", digits));
    let mut shown = sign.to_owned();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// Where a payee is paid.
pub(super) fn payee_account(payee: &Payee) -> String {
    match &payee.account {
        Some(payee::Account::Iban(iban)) => iban.clone(),
        Some(payee::Account::AccountNumber(number)) => number.clone(),
        Some(payee::Account::LedgerAccount(account)) => account.clone(),
        None => String::new(),
    }
}

/// A state: its name for people, its name for programs, and how it is marked.
pub(super) fn state(wire: i32, texts: &Texts) -> State {
    use PaymentState::{
        Authorized, Cancelled, Expired, Failed, Held, Investigate, Submitted, Succeeded, Unknown, Unspecified,
    };
    let state = PaymentState::try_from(wire).unwrap_or_default();
    let (name, mark) = match state {
        Submitted => (texts.state_submitted, "open"),
        Unknown => (texts.state_unknown, "warn"),
        Succeeded => (texts.state_succeeded, "good"),
        Failed => (texts.state_failed, "bad"),
        Authorized => (texts.state_authorized, "open"),
        Held => (texts.state_held, "open"),
        Cancelled => (texts.state_cancelled, "done"),
        Expired => (texts.state_expired, "done"),
        Investigate => (texts.state_investigate, "warn"),
        Unspecified => ("", "open"),
    };
    let code = state.as_str_name().strip_prefix("PAYMENT_STATE_").unwrap_or_default();
    State { name, code, mark }
}

/// A state as pages show it.
#[derive(Clone, Copy, Debug)]
pub(super) struct State {
    pub(super) name: &'static str,
    pub(super) code: &'static str,
    pub(super) mark: &'static str,
}

/// What a payment is.
pub(super) fn kind(kind: PaymentKind, texts: &Texts) -> &'static str {
    match kind {
        PaymentKind::Payment | PaymentKind::Unspecified => texts.kind_payment,
        PaymentKind::Authorization => texts.kind_authorization,
        PaymentKind::Capture => texts.kind_capture,
        PaymentKind::Refund => texts.kind_refund,
    }
}

/// A document with an element a line, as deep as it stands: what is none is shown somehow, and nothing of it is left out.
pub(super) fn xml(document: &str) -> String {
    const DEEPEST: usize = 24;
    let (mut lines, mut depth) = (String::with_capacity(2 * document.len()), 0_usize);
    for (number, piece) in document.split("><").enumerate() {
        if number > 0 {
            lines.push_str(">\n");
        }
        depth = depth.saturating_sub(usize::from(piece.starts_with('/')));
        if number > 0 {
            lines.push_str(&"  ".repeat(depth.min(DEEPEST)));
            lines.push('<');
        }
        lines.push_str(piece);
        let tag = piece.trim_start_matches('<');
        let opens = !tag.starts_with(['/', '?', '!'])
            && !tag.trim_end_matches('>').ends_with('/')
            && !tag.contains("</");
        depth += usize::from(opens);
    }
    lines
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn amounts_have_the_digits_of_their_currency() {
        for (digits, currency, shown) in [
            ("123456", "EUR", "1,234.56"),
            ("5", "EUR", "0.05"),
            ("-100005", "EUR", "-1,000.05"),
            ("1500", "JPY", "1,500"),
            ("1", "KWD", "0.001"),
            (
                "170141183460469231731687303715884105727",
                "JPY",
                "170,141,183,460,469,231,731,687,303,715,884,105,727",
            ),
            ("0", "EUR", "0.00"),
        ] {
            assert_eq!(minor_units_of(digits, currency), shown);
        }
    }

    #[test]
    fn documents_have_an_element_a_line_and_whatever_else_they_have() {
        let shown = "<?xml version=\"1.0\"?>\n<a>\n  <b>\n    <c x=\"1\">t</c>\n    <d/>\n  </b>\n</a>";
        assert_eq!(xml(r#"<?xml version="1.0"?><a><b><c x="1">t</c><d/></b></a>"#), shown);
        for odd in ["", "no document", "><><", "</a></a></a>", &"<a>".repeat(1_000), "<a>\u{fffd}</a>"] {
            let of = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
            assert_eq!(of(&xml(odd)), of(odd));
            assert!(xml(odd).lines().all(|line| line.len() < 100));
        }
    }

    #[test]
    fn times_and_shares_are_read_at_a_glance() {
        let at = |seconds, nanos| Some(prost_types::Timestamp { seconds, nanos });
        assert_eq!(time(at(1_796_019_200, 0).as_ref()), "2026-11-30 06:13:20");
        assert_eq!(exact_time(at(0, 7_000_000).as_ref()), "1970-01-01 00:00:00.007");
        assert_eq!(time(None) + &time(at(-1, 0).as_ref()), "");
        let ago = |seconds| age(at(0, 0).as_ref(), UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!([ago(5), ago(65), ago(3_700), ago(90_000)], ["5 s", "1 min 5 s", "1 h 1 min", "1 d 1 h"]);
        let took =
            |ms: u64| milliseconds(prost_types::Duration::try_from(Duration::from_micros(ms)).ok().as_ref());
        assert_eq!([took(12_340), took(950), took(1_234_567)], ["12.3", "0.9", "1,234"]);
        assert_eq!(milliseconds(None), "–");
        assert_eq!(
            [percent(998_765, 10), percent(1_000_000, 1), percent(0, 0)],
            ["99.87 %", "100.00 %", "–"]
        );
        assert_eq!([per_second(1, 3), per_second(3_000_000, 300)], ["0.33", "10,000.00"]);
    }
}
