//! Accounts as this process last saw them, so that most batches are decided without a look at the database.
//!
//! What stands here may be out of date. Nothing rests on it alone: what it lets pass the database refuses if it is not so any
//! more (see [`super::save`]), and what it does not let pass is decided again on what the database says.

use std::collections::{BTreeMap, HashMap};

use common::id::AccountId;

use crate::domain::{
    account::Account,
    ledger::{Delta, Writes},
};

/// Accounts in each half, of some 300 bytes each.
const HALF: usize = 8_192;

/// What is known of accounts. Two halves, of which the older is forgotten when the younger is full: what is used moves to the
/// younger.
#[derive(Debug, Default)]
pub struct KnownAccounts {
    young: Half,
    old: Half,
}

#[derive(Debug, Default)]
struct Half {
    accounts: HashMap<AccountId, Account>,
    by_iban: HashMap<String, AccountId>,
}

impl Half {
    fn remove(&mut self, id: AccountId) -> Option<Account> {
        let account = self.accounts.remove(&id)?;
        if let Some(iban) = &account.iban {
            self.by_iban.remove(iban);
        }
        Some(account)
    }
}

impl KnownAccounts {
    /// The account with this number, if it is known.
    pub fn get(&mut self, id: AccountId) -> Option<&Account> {
        if !self.young.accounts.contains_key(&id) {
            let account = self.old.remove(id)?;
            self.learn(account);
        }
        self.young.accounts.get(&id)
    }

    /// The number of the account with this IBAN, if one is known.
    pub fn with_iban(&self, iban: &str) -> Option<AccountId> {
        self.young.by_iban.get(iban).or_else(|| self.old.by_iban.get(iban)).copied()
    }

    /// Takes note of an account as the database has it.
    pub fn learn(&mut self, account: Account) {
        self.forget(account.id);
        if self.young.accounts.len() >= HALF {
            self.old = std::mem::take(&mut self.young);
        }
        if let Some(iban) = &account.iban {
            self.young.by_iban.insert(iban.clone(), account.id);
        }
        self.young.accounts.insert(account.id, account);
    }

    /// Takes note of what was saved.
    pub fn follow(&mut self, saved: &Writes) {
        for (id, delta) in &saved.deltas {
            for half in [&mut self.young, &mut self.old] {
                if let Some(account) = half.accounts.get_mut(id) {
                    add(account, delta);
                }
            }
        }
    }

    /// Forgets accounts of which it is not certain what became.
    pub fn forget_all<V>(&mut self, accounts: &BTreeMap<AccountId, V>) {
        accounts.keys().for_each(|id| self.forget(*id));
    }

    fn forget(&mut self, id: AccountId) {
        self.young.remove(id);
        self.old.remove(id);
    }
}

/// What is known may be out of date, so that sums need not fit.
fn add(account: &mut Account, delta: &Delta) {
    let sums = &mut account.balances;
    sums.debits_pending = sums.debits_pending.saturating_add(delta.debits_pending);
    sums.debits_posted = sums.debits_posted.saturating_add(delta.debits_posted);
    sums.credits_pending = sums.credits_pending.saturating_add(delta.credits_pending);
    sums.credits_posted = sums.credits_posted.saturating_add(delta.credits_posted);
}

#[cfg(test)]
mod tests {
    use common::money::Currency;
    use uuid::Uuid;

    use super::*;
    use crate::domain::account::Balances;

    fn account(number: usize) -> Account {
        Account {
            id: AccountId::from_uuid(Uuid::from_u128(number.try_into().unwrap())),
            participant: "alice".to_owned(),
            display_name: "Alice".to_owned(),
            iban: Some(number.to_string()),
            currency: Currency::parse("EUR").unwrap(),
            may_overdraw: false,
            closed: false,
            is_limited: false,
            revision: 1,
            balances: Balances::default(),
        }
    }

    #[test]
    fn what_is_used_stays_and_what_is_not_is_forgotten() {
        let mut known = KnownAccounts::default();
        let used = account(0);
        (0..4 * HALF).for_each(|number| {
            known.learn(account(number));
            assert_eq!(known.get(used.id), Some(&used), "after {number}");
        });
        assert_eq!(known.with_iban("0"), Some(used.id));
        assert_eq!(known.get(account(1).id), None);
        assert_eq!(known.with_iban("1"), None);
        let halves = [&known.young, &known.old];
        assert!(
            halves
                .iter()
                .all(|half| half.accounts.len() <= HALF && half.by_iban.len() == half.accounts.len())
        );
    }

    #[test]
    fn what_is_saved_counts_wherever_it_stands() {
        let mut known = KnownAccounts::default();
        (0..=HALF).for_each(|number| known.learn(account(number)));
        let delta = Delta { credits_posted: 5, ..Delta::default() };
        let ids = [account(0).id, account(HALF).id];
        known.follow(&Writes { deltas: ids.map(|id| (id, delta)).into(), ..Writes::default() });
        for id in ids {
            assert_eq!(known.get(id).unwrap().balances.credits_posted, 5);
        }
        assert_eq!(known.get(account(1).id).unwrap().balances.credits_posted, 0);
    }
}
