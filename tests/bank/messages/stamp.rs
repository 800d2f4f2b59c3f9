//! Times as messages and books hold them.

use std::fmt;

use time::{OffsetDateTime, PrimitiveDateTime};

use super::TIME_FORMAT;

/// A time as the profile writes it: UTC, milliseconds, `Z`. What is finer is cut off when it is made, so that it equals
/// itself read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Stamp(OffsetDateTime);

impl Stamp {
    /// `time`, to the millisecond.
    pub fn new(time: OffsetDateTime) -> Self {
        Self(time.replace_millisecond(time.millisecond()).unwrap_or(time).to_offset(time::UtcOffset::UTC))
    }

    /// The present.
    pub fn now() -> Self {
        Self::new(OffsetDateTime::now_utc())
    }

    /// The time itself.
    pub fn time(self) -> OffsetDateTime {
        self.0
    }
}

impl fmt::Display for Stamp {
    /// Digit by digit: every message and every line of the books has a stamp, and formatting its seven numbers is slow.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (date, time) = (self.0.date(), self.0.time());
        let mut text = *b"0000-00-00T00:00:00.000Z";
        let mut put = |field: std::ops::Range<usize>, mut number: u16| {
            for digit in text.get_mut(field).into_iter().flatten().rev() {
                *digit += u8::try_from(number % 10).unwrap_or_default();
                number /= 10;
            }
        };
        put(0..4, u16::try_from(date.year()).unwrap_or_default());
        put(5..7, u8::from(date.month()).into());
        put(8..10, date.day().into());
        put(11..13, time.hour().into());
        put(14..16, time.minute().into());
        put(17..19, time.second().into());
        put(20..23, time.millisecond());
        f.write_str(str::from_utf8(&text).unwrap_or_default())
    }
}

impl From<Stamp> for String {
    fn from(stamp: Stamp) -> Self {
        stamp.to_string()
    }
}

impl TryFrom<String> for Stamp {
    type Error = time::error::Parse;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        PrimitiveDateTime::parse(&text, TIME_FORMAT).map(|time| Self(time.assume_utc()))
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::Stamp;

    #[test]
    fn a_stamp_is_as_wide_as_the_profile_says_and_reads_back() {
        for (time, text) in [
            (datetime!(2026-11-25 23:59:58.987654321 UTC), "2026-11-25T23:59:58.987Z"),
            (datetime!(0001-02-03 04:05:06.007 +0:05), "0001-02-03T04:00:06.007Z"),
        ] {
            let stamp = Stamp::new(time);
            assert_eq!(stamp.to_string(), text);
            assert_eq!(Stamp::try_from(text.to_owned()), Ok(stamp));
        }
    }
}
