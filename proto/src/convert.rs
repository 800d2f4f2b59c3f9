//! The one place between wire and domain: requests are parsed once, with all violations reported together.

mod api_key;
mod deposit;
mod limits;
mod order;
mod statistics;
mod webhook;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::{
    fault::Violation,
    money::{Currency, MAX_AMOUNT_MINOR_UNITS, Money},
};

use crate::operations::{self, TransportSecurity};

pub use api_key::{api_key_order, participant, rotation_order};
pub use deposit::{approval, deposit_order, rejection};
pub use limits::{account_limits, participant_limits};
pub use order::{account_order, capture_order, payment_order, payment_order_to_wire, refund_order};
pub use statistics::{EVERYBODY, StatisticsOrder, statistics_order};
pub use webhook::{
    Destinations, webhook_change, webhook_order, webhook_replay, webhook_rotation, webhook_url,
};

/// The largest page that a list returns.
pub const MAX_PAGE_SIZE: i32 = 500;
/// The page that a list returns when none is asked for.
pub const DEFAULT_PAGE_SIZE: i32 = 50;

/// Puts an amount on the wire.
pub fn money_to_wire(money: Money) -> crate::money::Money {
    crate::money::Money { minor_units: money.minor_units(), currency: money.currency().code().to_owned() }
}

/// Reads the amount of a payment or deposit in `field`: required, from 1 to [`MAX_AMOUNT_MINOR_UNITS`].
pub fn amount(
    field: &str,
    wire: Option<&crate::money::Money>,
    violations: &mut Vec<Violation>,
) -> Option<Money> {
    let Some(wire) = wire else {
        violations.push(Violation::new(field, "required"));
        return None;
    };
    let in_range = (1..=MAX_AMOUNT_MINOR_UNITS).contains(&wire.minor_units);
    if !in_range {
        let must = format!("must be from 1 to {MAX_AMOUNT_MINOR_UNITS}");
        violations.push(Violation::new(format!("{field}.minor_units"), must));
    }
    let currency = currency(&format!("{field}.currency"), &wire.currency, violations)?;
    in_range.then(|| Money::new(wire.minor_units, currency))
}

/// Reads a currency in `field`.
pub fn currency(field: &str, wire: &str, violations: &mut Vec<Violation>) -> Option<Currency> {
    let currency = Currency::parse(wire);
    if currency.is_none() {
        violations.push(Violation::new(
            field,
            "must be the three capital letters of an ISO 4217 currency, e.g. EUR",
        ));
    }
    currency
}

/// Reads an id in `field` by `parse`.
pub fn id<T>(
    field: &str,
    wire: &str,
    prefix: &str,
    parse: impl Fn(&str) -> Option<T>,
    violations: &mut Vec<Violation>,
) -> Option<T> {
    let id = parse(wire);
    if id.is_none() {
        let must = format!("must be {prefix} followed by 32 small hexadecimal digits");
        violations.push(Violation::new(field, must));
    }
    id
}

/// Reads a page size: zero is the default, too much is cut, negative is refused.
pub fn page_size(wire: i32, violations: &mut Vec<Violation>) -> Option<i64> {
    if wire < 0 {
        violations.push(Violation::new("page_size", "must not be negative"));
        return None;
    }
    Some(i64::from(if wire == 0 { DEFAULT_PAGE_SIZE } else { wire.min(MAX_PAGE_SIZE) }))
}

/// Puts a time on the wire.
pub fn time_to_wire(time: SystemTime) -> prost_types::Timestamp {
    prost_types::Timestamp::from(time)
}

/// Reads a time; none if it is out of range.
pub fn time(wire: &prost_types::Timestamp) -> Option<SystemTime> {
    let seconds = u64::try_from(wire.seconds).ok().filter(|seconds| *seconds < 253_402_300_800)?;
    let nanos = u32::try_from(wire.nanos).ok().filter(|nanos| *nanos < 1_000_000_000)?;
    UNIX_EPOCH.checked_add(Duration::new(seconds, nanos))
}

/// Reads a duration; none if it is negative or not in its normal form. prost's own reader panics on the smallest.
pub fn duration(wire: &prost_types::Duration) -> Option<Duration> {
    let seconds = u64::try_from(wire.seconds).ok()?;
    let nanos = u32::try_from(wire.nanos).ok().filter(|nanos| *nanos < 1_000_000_000)?;
    Some(Duration::new(seconds, nanos))
}

/// The way from one part to the one that it calls.
pub fn hop(from: &str, to: &str, is_encrypted: bool) -> operations::Hop {
    let security = if is_encrypted { TransportSecurity::Tls } else { TransportSecurity::Plaintext };
    operations::Hop { from: from.to_owned(), to: to.to_owned(), security: security.into() }
}

/// Puts a gRPC status into a stream's reply.
impl From<tonic::Status> for crate::platform::Fault {
    fn from(status: tonic::Status) -> Self {
        Self {
            code: i32::from(status.code()),
            message: status.message().to_owned(),
            details: status.details().to_vec(),
        }
    }
}

/// Takes a gRPC status out of a stream's reply.
impl From<crate::platform::Fault> for tonic::Status {
    fn from(fault: crate::platform::Fault) -> Self {
        tonic::Status::with_details(fault.code.into(), fault.message, fault.details.into())
    }
}
