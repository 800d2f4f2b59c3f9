//! Whether money adds up (I1, I2, I3, I9), and to what callers and banks say it must.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::{
    Harm::{Stuck, WrongTotals},
    Violation,
    books::Credit,
    evidence::Request,
    rows::{AccountRow, Open, Sum},
};
use crate::journal::{Intent, Method};

/// An account's sums, recomputed: debits held, debits, credits expected, credits.
type Sums = [i128; 4];

fn recomputed(sums: &[Sum]) -> BTreeMap<Uuid, Sums> {
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

/// What each account must hold by the word of callers and banks alone.
#[derive(Debug, Default)]
pub struct Expected(BTreeMap<Uuid, i128>);

impl Expected {
    fn add(&mut self, account: &str, amount: i128) {
        let id = account.strip_prefix("acc_").and_then(|id| id.parse().ok()).unwrap_or_default();
        *self.0.entry(id).or_default() += amount;
    }

    /// A bank has executed a payment.
    pub fn credited(&mut self, credit: &Credit, requests: &BTreeMap<String, Request>) {
        let payer = requests.get(&credit.end_to_end_id).and_then(|request| request.asked.values().next());
        if let Some(Intent { account, .. }) = payer {
            self.add(account, -i128::from(credit.minor_units));
        }
    }

    /// All calls of a request were heard: deposits and payments on the ledger have no other witness than their callers.
    pub fn settled(&mut self, request: &mut Request) {
        if request.is_counted {
            return;
        }
        let deposited = request.calls.iter().find(|call| {
            call.intent.method == Method::Deposit
                && call.heard.as_ref().is_some_and(|(_, heard)| heard.code == "Ok")
        });
        let deposited = deposited.map(|call| (call.intent.account.clone(), call.intent.amount));
        if let Some((account, amount)) = deposited {
            self.add(&account, i128::from(amount));
            request.is_counted = true;
        }
        let paid = request.sights().find(|seen| seen.state == "SUCCEEDED").map(|seen| seen.amount);
        let payee = request.asked.values().find(|intent| !intent.payee_account.is_empty()).cloned();
        if let (Some(amount), Some(Intent { account, payee_account, .. })) = (paid, payee) {
            self.add(&account, -i128::from(amount));
            self.add(&payee_account, i128::from(amount));
            request.is_counted = true;
        }
    }

    /// Judges every account of a caller.
    pub fn judge(&self, sums: &[Sum]) -> Vec<Violation> {
        let recomputed = recomputed(sums);
        let holds = |id: &Uuid| recomputed.get(id).map_or(0, |[_, debits, _, credits]| credits - debits);
        let differing = self.0.iter().filter(|(id, expected)| holds(id) != **expected);
        let what = |(id, expected): (&Uuid, &i128)| {
            let what =
                format!("account {id} holds {}, by callers' and banks' word it is {expected}", holds(id));
            Violation::new("I1", WrongTotals, "", what)
        };
        differing.map(what).collect()
    }
}
