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

/// Every account's sums, recomputed from its transfers.
pub(super) fn recomputed(sums: &[Sum]) -> BTreeMap<Uuid, Sums> {
    let mut accounts: BTreeMap<Uuid, Sums> = BTreeMap::new();
    for sum in sums {
        let (pending, posted) = match sum.kind.as_str() {
            "POSTING" => (0, sum.amount),
            "HOLD" => (sum.amount, 0),
            "HOLD_POSTED" => (-sum.amount, sum.amount),
            _ => (-sum.amount, 0),
        };
        let debit = accounts.entry(sum.debit_account).or_default();
        debit[0] += pending;
        debit[1] += posted;
        let credit = accounts.entry(sum.credit_account).or_default();
        credit[2] += pending;
        credit[3] += posted;
    }
    accounts
}

/// Judges all accounts against all transfers, in one snapshot.
pub fn judge(accounts: &[AccountRow], sums: &[Sum], open: Open) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut wrong = |invariant, what: String| found.push(Violation::new(invariant, WrongTotals, "", what));
    let mut recomputed = recomputed(sums);
    let mut by_currency: BTreeMap<&str, Sums> = BTreeMap::new();
    let mut open_by_payer = open.by_payer;
    for account in accounts {
        let AccountRow {
            id, currency, debits_pending, debits_posted, credits_pending, credits_posted, ..
        } = account;
        let stored = [*debits_pending, *debits_posted, *credits_pending, *credits_posted].map(i128::from);
        let true_sums = recomputed.remove(id).unwrap_or_default();
        if stored != true_sums {
            wrong("I2", format!("account {id}: stored {stored:?}, its transfers say {true_sums:?}"));
        }
        let total = by_currency.entry(currency).or_default();
        for (total, one) in total.iter_mut().zip(true_sums) {
            *total += one;
        }
        let [held, debits, _, credits] = true_sums;
        if !account.may_overdraw && credits - debits - held < 0 {
            wrong("I3", format!("account {id} has {credits} - {debits} - {held}"));
        }
        let under_way = open_by_payer.remove(id).unwrap_or_default();
        if held != under_way {
            wrong("I9", format!("account {id}: {held} held, payments under way {under_way}"));
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
    if open.queued > 0 {
        let what = format!("{} payments are in the queue of work", open.queued);
        found.push(Violation::new("I15", Stuck, "", what));
    }
    found
}
