//! Requests for statistics.

use std::time::{Duration, SystemTime};

use common::{fault::Violation, text};

use super::order::{BANK_ID_FORM, check, is_bank_id};
use crate::stats::{GetStatisticsRequest, GroupBy};

/// The longest window.
const LONGEST: Duration = Duration::from_secs(31 * 86_400);

/// The shortest interval, and how many there may be.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);
const MAX_INTERVALS: u128 = 500;

/// Everybody, as a request says it.
pub const EVERYBODY: &str = "*";

/// Which figures are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatisticsOrder {
    /// From when on.
    pub start: SystemTime,
    /// Before when.
    pub end: SystemTime,
    /// Whose; none for the caller's own.
    pub participant: Option<String>,
    /// To which bank; none for any.
    pub bank_id: Option<String>,
    /// What to tell apart.
    pub group_by: GroupBy,
    /// The length of the intervals to tell apart; none for none.
    pub interval: Option<Duration>,
}

/// Reads which figures are asked for, at a time.
///
/// # Errors
/// Everything that is wrong with it.
pub fn statistics_order(
    wire: &GetStatisticsRequest,
    now: SystemTime,
) -> Result<StatisticsOrder, Vec<Violation>> {
    let mut violations = Vec::new();
    let start = wire.start_time.as_ref().and_then(super::time);
    if start.is_none() {
        violations.push(Violation::new("start_time", "required: when the window begins"));
    }
    let end = match &wire.end_time {
        None => Some(now),
        Some(end) => super::time(end),
    };
    match (start, end) {
        (_, None) => violations.push(Violation::new("end_time", "must be a time, or absent for now")),
        (Some(start), Some(end)) => match end.duration_since(start) {
            Err(_) => violations.push(Violation::new("end_time", "must not be before start_time")),
            Ok(window) if window > LONGEST => {
                violations.push(Violation::new("end_time", "must be at most 31 days behind start_time"));
            }
            Ok(_) => {}
        },
        _ => {}
    }
    let named = |name: &str| (!name.is_empty()).then(|| name.to_owned());
    if !wire.participant.is_empty() && wire.participant != EVERYBODY {
        check("participant", text::participant(&wire.participant), &mut violations);
    }
    if !wire.bank_id.is_empty() && !is_bank_id(&wire.bank_id) {
        violations.push(Violation::new("bank_id", BANK_ID_FORM));
    }
    let group_by = GroupBy::try_from(wire.group_by).ok();
    if group_by.is_none() {
        violations.push(Violation::new("group_by", "must be one of GroupBy"));
    }
    let interval = wire.interval.as_ref().map(|interval| super::duration(interval).unwrap_or_default());
    if let Some(interval) = interval {
        let window =
            start.zip(end).and_then(|(start, end)| end.duration_since(start).ok()).unwrap_or_default();
        let count = window.as_nanos().div_ceil(interval.as_nanos().max(1));
        if interval < SHORTEST_INTERVAL || count > MAX_INTERVALS {
            let must = "must be from 1 s, and so long that at most 500 make up the window; or absent";
            violations.push(Violation::new("interval", must));
        }
    }
    match (start, end, group_by) {
        (Some(start), Some(end), Some(group_by)) if violations.is_empty() => Ok(StatisticsOrder {
            start,
            end,
            participant: named(&wire.participant),
            bank_id: named(&wire.bank_id),
            group_by,
            interval,
        }),
        _ => Err(violations),
    }
}
