//! An account's balances, and what may be done to them.

use common::{
    id::AccountId,
    money::{Currency, Money},
};

use super::refusal::Refusal;

/// An account as the rules see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Which one.
    pub id: AccountId,
    /// Whose it is.
    pub participant: String,
    /// The holder's name, which payees read.
    pub display_name: String,
    /// Its IBAN, if it has one.
    pub iban: Option<String>,
    /// Its one currency.
    pub currency: Currency,
    /// Whether debits may exceed credits: settlement accounts may, since they hold what the house owes a bank.
    pub may_overdraw: bool,
    /// Whether it is closed: nothing new may be begun on it, what is under way is concluded.
    pub closed: bool,
    /// Whether there may be limits to what it pays (see [`super::limits`]).
    pub is_limited: bool,
    /// Counts the changes of all that is above.
    pub revision: i32,
    /// What was moved and is held.
    pub balances: Balances,
}

/// The four sums of an account, in minor units, none of them negative.
///
/// On each side pending plus posted stays within `i64`, so that posting what is pending can never overflow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balances {
    /// Debits held for payments under way.
    pub debits_pending: i64,
    /// Debits booked.
    pub debits_posted: i64,
    /// Credits that payments under way will bring.
    pub credits_pending: i64,
    /// Credits booked.
    pub credits_posted: i64,
}

impl Balances {
    /// What can be paid with: credits booked less debits booked and held.
    pub fn available(&self) -> i64 {
        self.posted().saturating_sub(self.debits_pending)
    }

    /// Credits less debits, holds not counted.
    pub fn posted(&self) -> i64 {
        self.credits_posted.saturating_sub(self.debits_posted)
    }

    fn has_room(pending: i64, posted: i64, amount: i64) -> bool {
        pending.checked_add(posted).and_then(|sum| sum.checked_add(amount)).is_some()
    }
}

/// The side of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The account that pays.
    Debit,
    /// The account that is paid.
    Credit,
}

impl Account {
    /// Checks that a new transfer of `amount` may be begun on this side.
    pub fn check(&self, side: Side, amount: Money) -> Result<(), Refusal> {
        let balances = &self.balances;
        let amount = amount.minor_units();
        let room = match side {
            Side::Debit => Balances::has_room(balances.debits_pending, balances.debits_posted, amount),
            Side::Credit => Balances::has_room(balances.credits_pending, balances.credits_posted, amount),
        };
        match side {
            Side::Debit if self.closed => Err(Refusal::PayerAccountClosed),
            Side::Credit if self.closed => Err(Refusal::PayeeAccountClosed),
            _ if !room => Err(Refusal::BalanceOverflow),
            Side::Debit if !self.may_overdraw && balances.available() < amount => {
                Err(Refusal::InsufficientFunds)
            }
            _ => Ok(()),
        }
    }
}
