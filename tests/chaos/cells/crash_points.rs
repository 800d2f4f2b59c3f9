//! The crash points in the code, and what brings work to each of them.

use harness::system::Service;
use serde_json::{Value, json};

use crate::load::SCRIPTED_ENDING;

/// A place in the code at which a service can be made to die or stand still; see [`common::crash_point`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CrashPoint {
    /// In which service.
    pub service: Service,
    /// What it is called there.
    pub name: &'static str,
    /// What passes it.
    passed_by: PassedBy,
}

/// What passes a crash point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PassedBy {
    /// Every payment.
    Payments,
    /// Payments of which the bank has said nothing certain.
    Doubts,
    /// What banks say unasked.
    Notices,
    /// Authorizations that nobody captured.
    Expiries,
    /// Refunds at a bank.
    Refunds,
}

/// In the order of a payment's way, and then of what enters it from the side.
pub const CRASH_POINTS: &[CrashPoint] = &[
    of_payments(Service::Gateway, "gateway.before_platform"),
    of_payments(Service::Platform, "book.before_transaction"),
    of_payments(Service::Platform, "book.before_commit"),
    of_payments(Service::Platform, "book.after_commit"),
    of_payments(Service::Platform, "settle.before_send"),
    of_payments(Service::Channel, "channel.before_bank"),
    of_payments(Service::Channel, "channel.after_bank"),
    of_payments(Service::Platform, "settle.after_send"),
    of_payments(Service::Gateway, "gateway.after_platform"),
    CrashPoint {
        service: Service::Platform,
        name: "settle.before_return_request",
        passed_by: PassedBy::Refunds,
    },
    of_doubts("recover.after_claim"),
    of_doubts("recover.before_enquiry"),
    of_doubts("recover.after_enquiry"),
    CrashPoint { service: Service::Platform, name: "recover.before_expiry", passed_by: PassedBy::Expiries },
    CrashPoint { service: Service::Platform, name: "recover.after_expiry", passed_by: PassedBy::Expiries },
    of_notices(Service::Channel, "channel.before_notice"),
    of_notices(Service::Platform, "notice.before_commit"),
    of_notices(Service::Platform, "notice.after_commit"),
    of_notices(Service::Channel, "channel.after_notice"),
];

const fn of_payments(service: Service, name: &'static str) -> CrashPoint {
    CrashPoint { service, name, passed_by: PassedBy::Payments }
}

const fn of_doubts(name: &'static str) -> CrashPoint {
    CrashPoint { service: Service::Platform, name, passed_by: PassedBy::Doubts }
}

const fn of_notices(service: Service, name: &'static str) -> CrashPoint {
    CrashPoint { service, name, passed_by: PassedBy::Notices }
}

impl CrashPoint {
    /// Whether every payment passes it; others take a while to come by.
    pub fn is_busy(&self) -> bool {
        self.passed_by == PassedBy::Payments
    }

    /// What the banks are to do, so that somebody passes it.
    pub fn script(&self) -> Option<Value> {
        let scripted = |behaviour: Value, notices: Value| json!([{"minor_units_ending": SCRIPTED_ENDING, "behaviour": behaviour, "notices": notices}]);
        match self.passed_by {
            PassedBy::Payments | PassedBy::Expiries | PassedBy::Refunds => None,
            PassedBy::Doubts => Some(scripted(json!("pending"), json!([]))),
            PassedBy::Notices => Some(scripted(json!("pending"), json!([{"after_ms": 30}]))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::CRASH_POINTS;
    use crate::code;

    #[test]
    fn the_table_names_the_crash_points_that_there_are() {
        let table = CRASH_POINTS.iter().map(|point| (point.service.name(), point.name.to_owned()));
        assert_eq!(code::names("crash_point::here"), table.collect());
    }
}
