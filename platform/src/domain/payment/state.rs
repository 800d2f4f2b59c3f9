//! Where a payment is in its life, and what may be done there: two tables, and nothing else decides.

/// Where a payment is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// The money is held and nothing was sent: the bank cannot be reached, and is instructed when it is back.
    Held,
    /// The money is held until it is captured, cancelled, or its time is over.
    Authorized,
    /// The money is held and the instruction is on record; the bank has not answered yet.
    Submitted,
    /// The bank may have the instruction and nothing is certain; the hold stays.
    Unknown,
    /// What the bank says does not fit together; the hold stays until people have looked.
    Investigate,
    /// The payee is credited. Final.
    Succeeded,
    /// Nothing was paid and nothing is held. Final.
    Failed,
    /// Released as asked, never sent. Final.
    Cancelled,
    /// Released when its time was over, never sent. Final.
    Expired,
}

use State::{Authorized, Cancelled, Expired, Failed, Held, Investigate, Submitted, Succeeded, Unknown};

/// Every change of state that there is. The database has the same table (migration 2, `payments_only_legal_changes`).
pub const TRANSITIONS: [(State, State); 18] = [
    (Held, Submitted),
    (Held, Cancelled),
    // The bank says that it paid what it was thought never to have received.
    (Held, Investigate),
    // Part of it was captured, or given back by a capture that failed.
    (Authorized, Authorized),
    (Authorized, Succeeded),
    (Authorized, Cancelled),
    (Authorized, Expired),
    // A binding negative, and the bank's entry says that its payments wait for it: a new attempt will be made.
    (Submitted, Held),
    (Unknown, Held),
    (Submitted, Unknown),
    (Submitted, Investigate),
    (Submitted, Succeeded),
    (Submitted, Failed),
    (Unknown, Investigate),
    (Unknown, Succeeded),
    (Unknown, Failed),
    (Investigate, Succeeded),
    (Investigate, Failed),
];

/// What can be asked to be done with a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// Pay (part of) it.
    Capture,
    /// Release what was never sent.
    Cancel,
    /// Release what nobody captured in time.
    Expire,
    /// Give (part of) it back.
    Refund,
    /// Send it to the bank.
    Submit,
    /// Take note of what the bank says.
    Conclude,
    /// End it by what people found out.
    Resolve,
}

/// Whether an operation may be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Permit {
    /// It may.
    Yes,
    /// It was done before: the payment stands as the operation would leave it.
    Done,
    /// It may not.
    No,
}

use Permit::{Done, No, Yes};

/// What may be done in which state: a row for each state, a column for each operation in the order of
/// [`Operation::ALL`].
const OPERATIONS: [(State, [Permit; 7]); 9] = [
    //            Capture Cancel Expire Refund Submit Conclude Resolve
    (Held, [No, Yes, No, No, Yes, No, No]),
    (Authorized, [Yes, Yes, Yes, No, No, No, No]),
    (Submitted, [No, No, No, No, Done, Yes, No]),
    (Unknown, [No, No, No, No, Done, Yes, Yes]),
    (Investigate, [No, No, No, No, Done, No, Yes]),
    (Succeeded, [No, No, Done, Yes, Done, Done, No]),
    (Failed, [No, No, Done, No, Done, Done, No]),
    (Cancelled, [No, Done, Done, No, Done, Done, No]),
    (Expired, [No, No, Done, No, Done, Done, No]),
];

impl Operation {
    /// Every operation.
    pub const ALL: [Self; 7] = [
        Self::Capture,
        Self::Cancel,
        Self::Expire,
        Self::Refund,
        Self::Submit,
        Self::Conclude,
        Self::Resolve,
    ];
}

impl State {
    /// Every state.
    pub const ALL: [Self; 9] =
        [Held, Authorized, Submitted, Unknown, Investigate, Succeeded, Failed, Cancelled, Expired];

    /// The state's name, as it is recorded.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Held => "HELD",
            Self::Authorized => "AUTHORIZED",
            Self::Submitted => "SUBMITTED",
            Self::Unknown => "UNKNOWN",
            Self::Investigate => "INVESTIGATE",
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
            Self::Cancelled => "CANCELLED",
            Self::Expired => "EXPIRED",
        }
    }

    /// The state that has this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// Whether a payment in this state never changes again.
    pub fn is_final(self) -> bool {
        TRANSITIONS.iter().all(|(from, _)| *from != self)
    }

    /// Whether whoever waits for a payment's end hears of this state at once: it is final, or nobody knows how long it lasts.
    pub fn ends_waiting(self) -> bool {
        self.is_final() || matches!(self, Held | Authorized | Investigate)
    }

    /// Whether a payment may go from this state to `to`.
    pub fn may_become(self, to: Self) -> bool {
        TRANSITIONS.contains(&(self, to))
    }

    /// Whether an operation may be done with a payment in this state.
    pub fn permits(self, operation: Operation) -> Permit {
        let column = Operation::ALL.iter().position(|one| *one == operation);
        let row = OPERATIONS.iter().find(|(state, _)| *state == self);
        row.zip(column).map_or(No, |((_, permits), column)| permits[column])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn final_states_have_no_way_out() {
        let final_states: Vec<_> = State::ALL.into_iter().filter(|state| state.is_final()).collect();
        assert_eq!(final_states, [Succeeded, Failed, Cancelled, Expired]);
    }

    #[test]
    fn the_tables_speak_of_every_state_and_agree() {
        for state in State::ALL {
            assert_eq!(OPERATIONS.iter().filter(|(one, _)| *one == state).count(), 1, "{state:?}");
            assert_eq!(State::from_name(state.name()), Some(state));
            let changes = |operation| state.permits(operation) == Yes;
            let ends = |to| state.may_become(to);
            assert_eq!(changes(Operation::Capture), ends(Authorized), "{state:?}");
            assert_eq!(changes(Operation::Cancel), ends(Cancelled), "{state:?}");
            assert_eq!(changes(Operation::Expire), ends(Expired), "{state:?}");
            assert_eq!(changes(Operation::Submit), ends(Submitted), "{state:?}");
            assert_eq!(changes(Operation::Conclude), matches!(state, Submitted | Unknown), "{state:?}");
            assert!(!changes(Operation::Resolve) || (ends(Succeeded) && ends(Failed)), "{state:?}");
        }
    }
}
