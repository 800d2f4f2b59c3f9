//! Whether money adds up (I1, I2, I3, I9).

use std::collections::BTreeMap;

use uuid::Uuid;

use super::{
    Harm::{Stuck, WrongTotals},
    Violation,
    rows::{AccountRow, Open, Sum},
};

/// An account's sums, recomputed: debits held, debits, credits expected, credits.
type Sums = [i128; 4];

/// What was debited and credited to every account, recomputed from its transfers.
pub(super) fn recomputed(sums: &[Sum]) -> BTreeMap<Uuid, (i128, i128)> {
    let mut accounts: BTreeMap<Uuid, (i128, i128)> = BTreeMap::new();
    for sum in sums {
        accounts.entry(sum.debit_account).or_default().0 += sum.amount;
        accounts.entry(sum.credit_account).or_default().1 += sum.amount;
    }
    accounts
}

/// Judges all accounts against all transfers and all that payments hold, in one snapshot.
pub fn judge(accounts: &[AccountRow], sums: &[Sum], mut open: Open) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut wrong = |invariant, what: String| found.push(Violation::new(invariant, WrongTotals, "", what));
    let mut recomputed = recomputed(sums);
    let mut by_currency: BTreeMap<&str, Sums> = BTreeMap::new();
    for account in accounts {
        let AccountRow {
            id, currency, debits_pending, debits_posted, credits_pending, credits_posted, ..
        } = account;
        let stored = (i128::from(*debits_posted), i128::from(*credits_posted));
        let (debits, credits) = recomputed.remove(id).unwrap_or_default();
        if stored != (debits, credits) {
            wrong("I2", format!("account {id}: stored {stored:?}, its transfers say {debits} and {credits}"));
        }
        let stored = (i128::from(*debits_pending), i128::from(*credits_pending));
        let held = open.by_payer.remove(id).unwrap_or_default();
        let expected = open.by_payee.remove(id).unwrap_or_default();
        if stored != (held, expected) {
            wrong("I9", format!("account {id}: stored {stored:?}, payments hold {held} and {expected}"));
        }
        let true_sums = [held, debits, expected, credits];
        let total = by_currency.entry(currency).or_default();
        for (total, one) in total.iter_mut().zip(true_sums) {
            *total += one;
        }
        if !account.may_overdraw && credits - debits - held < 0 {
            wrong("I3", format!("account {id} has {credits} - {debits} - {held}"));
        }
    }
    for (currency, [held, debits, expected, credits]) in by_currency {
        if debits != credits || held != expected {
            wrong(
                "I1",
                format!("{currency}: debits {debits}, credits {credits}, held {held}, expected {expected}"),
            );
        }
    }
    for (id, sums) in recomputed {
        wrong("I1", format!("transfers of an account that there is not, {id}: {sums:?}"));
    }
    if open.work_left > 0 {
        let what = format!("{} payments have not come to an end", open.work_left);
        found.push(Violation::new("I15", Stuck, "", what));
    }
    found
}
