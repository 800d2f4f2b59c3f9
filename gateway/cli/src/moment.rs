//! Moments as people say them.

use std::time::{Duration, SystemTime};

use crate::failure::Failure;

/// A moment as people say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// So long ago.
    Ago(Duration),
    /// Then.
    At(SystemTime),
}

/// Reads one, for clap.
pub(crate) fn parse(text: &str) -> Result<Moment, String> {
    let ago = humantime::parse_duration(text).ok().map(Moment::Ago);
    ago.or_else(|| humantime::parse_rfc3339(text).ok().map(Moment::At)).ok_or_else(|| {
        "must be how long ago, with its unit (1h), or a time in UTC (2026-11-29T06:00:00Z)".to_owned()
    })
}

impl Moment {
    pub(crate) fn when(self, now: SystemTime) -> Result<prost_types::Timestamp, Failure> {
        let when = match self {
            Self::Ago(ago) => {
                now.checked_sub(ago).ok_or_else(|| Failure::usage("--since, --until: too long ago"))?
            }
            Self::At(when) => when,
        };
        Ok(proto::convert::time_to_wire(when))
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn moments_are_ago_or_in_utc() {
        assert_eq!(parse("1h"), Ok(Moment::Ago(Duration::from_secs(3600))));
        assert_eq!(parse("1970-01-01T00:00:01Z"), Ok(Moment::At(UNIX_EPOCH + Duration::from_secs(1))));
        for bad in ["", "1", "yesterday", "2026-11-29"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert!(Moment::Ago(Duration::MAX).when(UNIX_EPOCH).is_err());
    }
}
