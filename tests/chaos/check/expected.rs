//! What each account must hold by the word of callers and banks alone (I1), suspense accounts among them (I10).

use std::collections::BTreeMap;

use uuid::Uuid;

use super::{
    Harm::WrongTotals,
    Violation,
    evidence::{Family, Request},
    ledger::recomputed,
    rows::{AccountRow, PaymentRow, Sum},
};
use crate::journal::{Intent, Method};

/// Whose account it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Holder {
    /// A caller's, or a suspense account.
    Account(Uuid),
    /// The house's with a bank, in a currency.
    Bank(String, String),
}

/// By how much accounts change.
type Effect = BTreeMap<Holder, i128>;

/// What each account must hold.
#[derive(Debug, Default)]
pub struct Expected {
    /// By the request id of each family.
    effects: BTreeMap<String, Effect>,
    sums: Effect,
}

fn holder_of(account: &str) -> Holder {
    Holder::Account(account.strip_prefix("acc_").and_then(|id| id.parse().ok()).unwrap_or_default())
}

fn with_bank(bank: &str, currency: &str) -> Holder {
    Holder::Bank(bank.to_owned(), currency.to_owned())
}

impl Expected {
    /// Judges a family anew: what it is known to have come to replaces what it was thought to.
    pub fn settle(
        &mut self,
        family_id: &str,
        family: &Family,
        requests: &BTreeMap<String, Request>,
        rows: &[PaymentRow],
    ) {
        let effect = effect(family_id, family, requests, rows);
        for (account, amount) in &effect {
            *self.sums.entry(account.clone()).or_default() += amount;
        }
        let earlier = self.effects.insert(family_id.to_owned(), effect);
        for (account, amount) in earlier.into_iter().flatten() {
            *self.sums.entry(account).or_default() -= amount;
        }
    }

    /// Judges every account of a caller, and the house's accounts with banks.
    pub fn judge(&self, accounts: &[AccountRow], sums: &[Sum]) -> Vec<Violation> {
        let recomputed = recomputed(sums);
        let mut found = Vec::new();
        for AccountRow { id, currency, bank_id, is_suspense, .. } in accounts {
            let holder = match bank_id {
                Some(bank) if !is_suspense => with_bank(bank, currency),
                _ => Holder::Account(*id),
            };
            let expected = self.sums.get(&holder).copied().unwrap_or_default();
            let holds = recomputed.get(id).map_or(0, |(debits, credits)| credits - debits);
            if holds != expected {
                let what = format!("{holder:?} holds {holds}, by callers' and banks' word it is {expected}");
                let invariant = if *is_suspense { "I10" } else { "I1" };
                found.push(Violation::new(invariant, WrongTotals, "", what));
            }
        }
        found
    }
}

fn effect(
    family_id: &str,
    family: &Family,
    requests: &BTreeMap<String, Request>,
    rows: &[PaymentRow],
) -> Effect {
    let mut effect = Effect::new();
    let mut add = |holder: Holder, amount: i128| *effect.entry(holder).or_default() += amount;
    let Some(root) = requests.get(family_id) else { return effect };
    let Some(asked) = root.first_asked() else { return effect };
    let Intent { method, account, payee_account, amount, bank, currency, .. } = asked;
    let payer = holder_of(account);
    if *method == Method::Deposit {
        if root.is_booked {
            add(payer, i128::from(*amount));
            add(with_bank(bank, currency), -i128::from(*amount));
        }
        return effect;
    }
    if !payee_account.is_empty() {
        // On the ledger there are no witnesses but the callers.
        for (kind, amount) in family.members.iter().filter_map(|id| succeeded(requests.get(id)?)) {
            let amount = if kind == "REFUND" { -amount } else { amount };
            add(payer.clone(), -amount);
            add(holder_of(payee_account), amount);
        }
        return effect;
    }
    let is_back_of =
        |back: &&PaymentRow, row: &PaymentRow| back.kind == "RETURN" && back.original_id == Some(row.id);
    for credit in &family.credits {
        let row = rows.iter().find(|row| row.uetr == credit.uetr);
        // What operators resolved with another amount in the bank's books is the amount that was asked for.
        let resolved = row.filter(|row| row.resolution.is_some());
        let amount = i128::from(resolved.map_or(credit.minor_units, |row| row.amount));
        add(with_bank(&credit.bank, &credit.currency), amount);
        let back = row.and_then(|row| rows.iter().find(|back| is_back_of(back, row)));
        add(back.map_or(payer.clone(), |back| Holder::Account(back.credit_account)), -amount);
    }
    for back in rows.iter().filter(|row| row.kind == "RETURN") {
        let original = rows.iter().find(|original| Some(original.id) == back.original_id);
        let is_credited =
            family.credits.iter().any(|credit| original.is_some_and(|row| row.uetr == credit.uetr));
        // A bank that says so and has not paid is taken by its word, until it refuses to give it back.
        if !is_credited {
            let bank = back.bank_id.as_deref().unwrap_or_default();
            add(with_bank(bank, &back.currency), i128::from(back.amount));
            add(Holder::Account(back.credit_account), -i128::from(back.amount));
        }
    }
    for back in &family.returns {
        let amount = i128::from(back.minor_units);
        let row = rows.iter().find(|row| Some(row.id) == back.refund());
        let suspense = row.filter(|row| row.kind == "RETURN").map(|row| Holder::Account(row.credit_account));
        add(suspense.unwrap_or_else(|| payer.clone()), amount);
        add(with_bank(&back.bank, &back.currency), -amount);
    }
    effect
}

/// What a payment, capture or refund that succeeded moved, as its callers saw it.
fn succeeded(request: &Request) -> Option<(String, i128)> {
    let seen =
        request.known.as_ref().filter(|seen| seen.state == "SUCCEEDED" && seen.kind != "AUTHORIZATION")?;
    Some((seen.kind.clone(), i128::from(seen.amount)))
}
