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
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (date, time) = (self.0.date(), self.0.time());
        write!(f, "{:04}-{:02}-{:02}T", date.year(), u8::from(date.month()), date.day())?;
        write!(f, "{:02}:{:02}:{:02}.{:03}Z", time.hour(), time.minute(), time.second(), time.millisecond())
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
