//! What people should look at.

/// What kind of thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AlarmKind {
    /// A payment's end is overdue.
    PaymentOverdue,
    /// The bank paid what is recorded as not paid.
    LateSuccess,
    /// The bank says something else than what is final here.
    Contradiction,
    /// A payment waits for operators.
    PaymentParked,
    /// A bank refused to return what it paid late.
    ReturnRefused,
    /// Work on a payment never came to an end, and is tried once in a long while only.
    WorkQuarantined,
    /// A bank's notice about a payment contradicts what was sent.
    NoticeMismatch,
}

impl AlarmKind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::PaymentOverdue,
        Self::LateSuccess,
        Self::Contradiction,
        Self::PaymentParked,
        Self::ReturnRefused,
        Self::WorkQuarantined,
        Self::NoticeMismatch,
    ];

    /// The kind's name, as it is recorded.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PaymentOverdue => "PAYMENT_OVERDUE",
            Self::LateSuccess => "LATE_SUCCESS",
            Self::Contradiction => "CONTRADICTION",
            Self::PaymentParked => "PAYMENT_PARKED",
            Self::ReturnRefused => "RETURN_REFUSED",
            Self::WorkQuarantined => "WORK_QUARANTINED",
            Self::NoticeMismatch => "NOTICE_MISMATCH",
        }
    }

    /// The kind that has this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}
