//! Limits of money: how much and how often an account, or a participant in one currency, may pay.
//!
//! What payments use follows from their states ([`Payment::uses`]), like what they hold: it is reserved with the step that makes a
//! payment, and given back with the step that ends it unpaid. Windows are those of the clock (UTC), each counted from nothing.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::{
    id::AccountId,
    money::{Currency, Money},
    order::{LimitRule, LimitRules, LimitSubject},
};

use super::payment::Payment;

/// A subject's limits, and what of them is used. Whoever is limited once is counted from then on, rules or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// What may not be exceeded.
    pub rules: LimitRules,
    /// What is used in the present hour.
    pub hour: Used,
    /// What is used in the present day.
    pub day: Used,
    /// Counts the changes: what was decided on an older one is void.
    pub version: i64,
}

/// What is used in a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Used {
    /// When the window began. Never goes back, so that a platform whose clock is late counts where the others do.
    pub since: SystemTime,
    /// The sum of the payments made in it, without those that ended unpaid, in minor units.
    pub minor_units: i64,
    /// Their number.
    pub payments: i64,
}

/// What a payment uses of the limits that it is counted in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Use {
    /// Minor units.
    pub minor_units: i64,
    /// One or none.
    pub payments: i64,
}

/// In which of its payer's limits a payment is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// In the account's.
    pub account: bool,
    /// In the participant's.
    pub participant: bool,
}

/// The limit that a payment would exceed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exceeded {
    /// What one payment may come to.
    Payment,
    /// What the payments of a window may come to.
    Sum(Window),
    /// How many payments there may be in a window.
    Number(Window),
}

/// A stretch of time that payments are counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// From one full hour to the next.
    Hour,
    /// From one midnight to the next, UTC.
    Day,
}

impl Window {
    /// When the window began that a time is in.
    pub fn start(self, time: SystemTime) -> SystemTime {
        let length_s = match self {
            Self::Hour => 60 * 60,
            Self::Day => 24 * 60 * 60,
        };
        let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let start_s = since_epoch.as_secs() / length_s * length_s;
        UNIX_EPOCH + Duration::from_secs(start_s)
    }
}

impl Used {
    /// Nothing, in the window that `now` is in.
    pub fn nothing(window: Window, now: SystemTime) -> Self {
        Self { since: window.start(now), minor_units: 0, payments: 0 }
    }

    /// As it counts at a time.
    #[must_use]
    pub fn at(self, window: Window, now: SystemTime) -> Self {
        if window.start(now) > self.since { Self::nothing(window, now) } else { self }
    }

    fn check(self, rule: LimitRule, amount: i64, window: Window) -> Result<(), Exceeded> {
        let exceeds = |used: i64, more: i64, most: Option<i64>| {
            most.is_some_and(|most| used.checked_add(more).is_none_or(|sum| sum > most))
        };
        if exceeds(self.minor_units, amount, rule.minor_units) {
            return Err(Exceeded::Sum(window));
        }
        if exceeds(self.payments, 1, rule.payments) { Err(Exceeded::Number(window)) } else { Ok(()) }
    }

    /// Counts what a payment uses more, or less, than before. What was made in a window that is over is no longer counted.
    fn count(self, window: Window, change: Use, made_at: SystemTime, now: SystemTime) -> Self {
        let used = self.at(window, now);
        if change.minor_units < 0 && window.start(made_at) < used.since {
            return used;
        }
        Self {
            minor_units: used.minor_units.saturating_add(change.minor_units).max(0),
            payments: used.payments.saturating_add(change.payments).max(0),
            ..used
        }
    }
}

impl Limits {
    /// Limits that nothing is used of.
    pub fn new(rules: LimitRules, now: SystemTime) -> Self {
        let (hour, day) = (Used::nothing(Window::Hour, now), Used::nothing(Window::Day, now));
        Self { rules, hour, day, version: 1 }
    }

    /// Checks that a payment of `amount` may be made now.
    ///
    /// # Errors
    /// The limit that it would exceed.
    pub fn check(&self, amount: Money, now: SystemTime) -> Result<(), Exceeded> {
        let amount = amount.minor_units();
        if self.rules.payment_minor_units.is_some_and(|most| amount > most) {
            return Err(Exceeded::Payment);
        }
        self.hour.at(Window::Hour, now).check(self.rules.hour, amount, Window::Hour)?;
        self.day.at(Window::Day, now).check(self.rules.day, amount, Window::Day)
    }

    /// Whether a payment of `amount` may be made only by a call that is signed.
    pub fn needs_signature(&self, amount: Money) -> bool {
        self.rules.unsigned_payment_minor_units.is_some_and(|most| amount.minor_units() > most)
    }

    /// Counts what a payment that was made at a time uses more, or less, than before.
    pub fn count(&mut self, change: Use, made_at: SystemTime, now: SystemTime) {
        self.hour = self.hour.count(Window::Hour, change, made_at, now);
        self.day = self.day.count(Window::Day, change, made_at, now);
    }
}

impl Use {
    /// What it is more than another.
    #[must_use]
    pub fn beyond(self, other: Self) -> Self {
        Self { minor_units: self.minor_units - other.minor_units, payments: self.payments - other.payments }
    }
}

/// Whose limits hold for a payment by an account, if they have any.
pub fn payer_limits(participant: &str, payer: AccountId, currency: Currency) -> [LimitSubject; 2] {
    [LimitSubject::Account(payer), LimitSubject::Participant(participant.to_owned(), currency)]
}

/// The limits that a payment is counted in.
pub fn counting(payment: &Payment) -> impl Iterator<Item = LimitSubject> + use<> {
    let Counted { account, participant } = payment.counted;
    let all = (account || participant)
        .then(|| payer_limits(&payment.participant, payment.payer_account, payment.amount.currency()));
    let counts = [account, participant];
    all.into_iter().flatten().zip(counts).filter_map(|(subject, counts)| counts.then_some(subject))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIDNIGHT_S: u64 = 1_800_057_600;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(MIDNIGHT_S + seconds)
    }

    fn euros(minor_units: i64) -> Money {
        Money::new(minor_units, Currency::parse("EUR").unwrap())
    }

    fn pay(limits: &mut Limits, minor_units: i64, now: SystemTime) -> Result<(), Exceeded> {
        limits.check(euros(minor_units), now)?;
        limits.count(Use { minor_units, payments: 1 }, now, now);
        Ok(())
    }

    fn limits(
        payment: Option<i64>,
        hour: (Option<i64>, Option<i64>),
        day: (Option<i64>, Option<i64>),
    ) -> Limits {
        let rule = |(minor_units, payments)| LimitRule { minor_units, payments };
        let (hour, day) = (rule(hour), rule(day));
        Limits::new(LimitRules { payment_minor_units: payment, hour, day, ..LimitRules::default() }, at(0))
    }

    #[test]
    fn each_rule_lets_its_limit_pass_and_not_one_more() {
        let none = (None, None);
        let mut limited = limits(Some(10), none, none);
        assert_eq!(pay(&mut limited, 10, at(1)), Ok(()));
        assert_eq!(pay(&mut limited, 11, at(1)), Err(Exceeded::Payment));
        for (window, hour, day) in
            [(Window::Hour, (Some(10), None), none), (Window::Day, none, (Some(10), None))]
        {
            let mut limited = limits(None, hour, day);
            assert_eq!(pay(&mut limited, 9, at(1)), Ok(()));
            assert_eq!(pay(&mut limited, 2, at(1)), Err(Exceeded::Sum(window)));
            assert_eq!(pay(&mut limited, i64::MAX, at(1)), Err(Exceeded::Sum(window)));
            assert_eq!(pay(&mut limited, 1, at(1)), Ok(()));
        }
        for (window, hour, day) in
            [(Window::Hour, (None, Some(2)), none), (Window::Day, none, (None, Some(2)))]
        {
            let mut limited = limits(None, hour, day);
            assert_eq!((pay(&mut limited, 1, at(1)), pay(&mut limited, 1, at(2))), (Ok(()), Ok(())));
            assert_eq!(pay(&mut limited, 1, at(3)), Err(Exceeded::Number(window)));
        }
        assert_eq!(pay(&mut limits(None, none, (Some(0), None)), 1, at(1)), Err(Exceeded::Sum(Window::Day)));
    }

    #[test]
    fn a_payment_may_be_as_large_as_the_rule_says_without_a_signature_and_not_larger() {
        for (most, amount, needs) in
            [(None, i64::MAX, false), (Some(0), 1, true), (Some(10), 10, false), (Some(10), 11, true)]
        {
            let rules = LimitRules { unsigned_payment_minor_units: most, ..LimitRules::default() };
            assert_eq!(Limits::new(rules, at(0)).needs_signature(euros(amount)), needs, "{most:?} {amount}");
        }
    }

    #[test]
    fn a_window_is_over_at_the_full_hour_and_at_midnight() {
        let mut limited = limits(None, (Some(10), None), (Some(15), None));
        assert_eq!(pay(&mut limited, 10, at(3_599)), Ok(()));
        assert_eq!(pay(&mut limited, 1, at(3_599)), Err(Exceeded::Sum(Window::Hour)));
        assert_eq!(pay(&mut limited, 5, at(3_600)), Ok(()));
        assert_eq!(pay(&mut limited, 1, at(86_399)), Err(Exceeded::Sum(Window::Day)));
        assert_eq!(pay(&mut limited, 10, at(86_400)), Ok(()));
    }

    #[test]
    fn what_ends_unpaid_is_given_back_in_its_own_window_only() {
        let mut limited = limits(None, (Some(10), None), (Some(10), Some(2)));
        let given_back = Use { minor_units: -10, payments: -1 };
        assert_eq!(pay(&mut limited, 10, at(1)), Ok(()));
        limited.count(given_back, at(1), at(2));
        assert_eq!(pay(&mut limited, 10, at(3)), Ok(()));
        // The day's is given back, what the hour before used is not of this hour.
        limited.count(given_back, at(3), at(3_600));
        assert_eq!((limited.hour.minor_units, limited.day.minor_units, limited.day.payments), (0, 0, 0));
        assert_eq!(pay(&mut limited, 4, at(86_399)), Ok(()));
        assert_eq!(pay(&mut limited, 10, at(86_400)), Ok(()));
        limited.count(Use { minor_units: -4, payments: -1 }, at(86_399), at(86_401));
        assert_eq!((limited.hour.minor_units, limited.day.minor_units, limited.day.payments), (10, 10, 1));
    }

    #[test]
    fn a_clock_that_is_late_counts_where_the_others_do() {
        let mut limited = limits(None, (Some(10), None), (None, None));
        assert_eq!(pay(&mut limited, 6, at(3_600)), Ok(()));
        assert_eq!(pay(&mut limited, 5, at(3_599)), Err(Exceeded::Sum(Window::Hour)));
        assert_eq!(pay(&mut limited, 4, at(3_599)), Ok(()));
        assert_eq!(limited.hour, Used { since: at(3_600), minor_units: 10, payments: 2 });
    }
}
