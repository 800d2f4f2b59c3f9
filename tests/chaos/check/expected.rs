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

/// By how much accounts change.
type Effect = BTreeMap<Uuid, i128>;

/// What each account must hold.
#[derive(Debug, Default)]
pub struct Expected {
    /// By the request id of each family.
    effects: BTreeMap<String, Effect>,
    sums: Effect,
}

fn id_of(account: &str) -> Uuid {
    account.strip_prefix("acc_").and_then(|id| id.parse().ok()).unwrap_or_default()
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
            *self.sums.entry(*account).or_default() += amount;
        }
        let earlier = self.effects.insert(family_id.to_owned(), effect);
        for (account, amount) in earlier.into_iter().flatten() {
            *self.sums.entry(account).or_default() -= amount;
        }
    }

    /// Judges every account of a caller, and every suspense account.
    pub fn judge(&self, accounts: &[AccountRow], sums: &[Sum]) -> Vec<Violation> {
        let recomputed = recomputed(sums);
        let judged = |account: &&AccountRow| account.is_suspense || self.sums.contains_key(&account.id);
        let mut found = Vec::new();
        for AccountRow { id, is_suspense, .. } in accounts.iter().filter(judged) {
            let expected = self.sums.get(id).copied().unwrap_or_default();
            let holds = recomputed.get(id).map_or(0, |[_, debits, _, credits]| credits - debits);
            if holds != expected {
                let what =
                    format!("account {id} holds {holds}, by callers' and banks' word it is {expected}");
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
    let mut add = |account: Uuid, amount: i128| *effect.entry(account).or_default() += amount;
    let Some(root) = requests.get(family_id) else { return effect };
    let Some(Intent { method, account, payee_account, amount, .. }) = root.first_asked() else {
        return effect;
    };
    let payer = id_of(account);
    if *method == Method::Deposit {
        if root.is_booked {
            add(payer, i128::from(*amount));
        }
        return effect;
    }
    if !payee_account.is_empty() {
        // On the ledger there are no witnesses but the callers.
        for (kind, amount) in family.members.iter().filter_map(|id| succeeded(requests.get(id)?)) {
            let amount = if kind == "REFUND" { -amount } else { amount };
            add(payer, -amount);
            add(id_of(payee_account), amount);
        }
        return effect;
    }
    let taken_back =
        |row: &PaymentRow| rows.iter().find(|back| back.kind == "RETURN" && back.original_id == Some(row.id));
    for credit in &family.credits {
        let row = rows.iter().find(|row| row.uetr == credit.uetr);
        // What operators resolved with another amount in the bank's books is the amount that was asked for.
        let is_resolved = row.is_some_and(|row| row.resolution.is_some());
        let amount = row.filter(|_| is_resolved).map_or(credit.minor_units, |row| row.amount);
        if row.and_then(taken_back).is_none() {
            add(payer, -i128::from(amount));
        }
    }
    for back in rows.iter().filter(|row| row.kind == "RETURN") {
        add(back.credit_account, -i128::from(back.amount));
    }
    for back in &family.returns {
        let row = rows.iter().find(|row| Some(row.id) == back.refund());
        let suspense = row.filter(|row| row.kind == "RETURN").map(|row| row.credit_account);
        add(suspense.unwrap_or(payer), i128::from(back.minor_units));
    }
    effect
}

/// What a payment, capture or refund that succeeded moved, as its callers saw it.
fn succeeded(request: &Request) -> Option<(String, i128)> {
    let seen =
        request.known.as_ref().filter(|seen| seen.state == "SUCCEEDED" && seen.kind != "AUTHORIZATION")?;
    Some((seen.kind.clone(), i128::from(seen.amount)))
}
