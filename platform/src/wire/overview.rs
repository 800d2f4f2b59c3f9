//! What operators look at: the trial balance, and one payment's whole story.

use std::{collections::HashMap, time::SystemTime};

use proto::{
    convert::{money_to_wire, time_to_wire},
    operations::{
        BalanceCheck, CurrencyBalance, GetTrialBalanceResponse, PaymentStep, PaymentStory, PendingWork,
        Resolution, ResolutionAct, Transfer,
    },
};

use super::{alarm, payment, state};
use crate::{
    domain::payment::Payment,
    store::{
        balances::Balances,
        stories::{Act, Moved, Pending, Step, Story},
    },
};

/// A trial balance that was taken at this time.
pub fn trial_balance(found: Balances, at: SystemTime) -> GetTrialBalanceResponse {
    let check = |name: &str, violations| BalanceCheck { name: name.to_owned(), violations };
    let equal = found.unequal.map(|unequal| check("DEBITS_EQUAL_CREDITS", unequal));
    let others = [
        check("HOLDS_EQUAL_PAYMENTS_UNDER_WAY", found.unheld),
        check("NO_ACCOUNT_OVERDRAWN", found.overdrawn),
    ];
    let currencies = found.currencies.into_iter().map(|sums| CurrencyBalance {
        currency: sums.currency,
        debits_posted: sums.debits_posted,
        credits_posted: sums.credits_posted,
        debits_pending: sums.debits_pending,
        credits_pending: sums.credits_pending,
    });
    GetTrialBalanceResponse {
        currencies: currencies.collect(),
        checks: equal.into_iter().chain(others).collect(),
        accounts: found.accounts,
        create_time: Some(time_to_wire(at)),
    }
}

/// All that is on record of a payment, and what was `said` to its bank by step.
pub fn story(of: &Payment, story: &Story, said: &HashMap<i32, String>) -> PaymentStory {
    PaymentStory {
        payment: Some(payment(of)),
        steps: story.steps.iter().map(|one| step(of, one, story, said)).collect(),
        transfers: story.transfer.iter().map(transfer).collect(),
        work: story.work.as_ref().map(work),
        alarms: story.alarms.iter().map(alarm).collect(),
        resolution_acts: story.acts.iter().map(act).collect(),
        late_bank_message: heard(story, None),
        trace_id: story.trace.map(|trace| trace.simple().to_string()).unwrap_or_default(),
    }
}

/// What the bank said that a step follows from, or none does. Whoever reads it is shown what is no UTF-8 as such.
fn heard(story: &Story, sequence: Option<i32>) -> String {
    let message = story.heard.iter().find(|message| message.sequence == sequence);
    message.map(|message| String::from_utf8_lossy(&message.body).into_owned()).unwrap_or_default()
}

fn step(of: &Payment, step: &Step, story: &Story, said: &HashMap<i32, String>) -> PaymentStep {
    PaymentStep {
        sequence: step.sequence.into(),
        state: state(step.state).into(),
        create_time: Some(time_to_wire(step.at)),
        reason_code: step.reason_code.clone(),
        reason_iso_code: step.reason_iso_code.clone(),
        bank_message_id: step.bank_message_id.clone(),
        message_id: step.attempt.map(|attempt| attempt.message_id(of.id)).unwrap_or_default(),
        valid_until_time: step.attempt.map(|attempt| time_to_wire(attempt.valid_until)),
        message: said.get(&step.sequence).cloned().unwrap_or_default(),
        bank_message: heard(story, Some(step.sequence)),
    }
}

fn transfer(moved: &Moved) -> Transfer {
    Transfer {
        id: moved.id.to_string(),
        debit_account: moved.debit.map(|id| id.to_string()).unwrap_or_default(),
        credit_account: moved.credit.map(|id| id.to_string()).unwrap_or_default(),
        amount: Some(money_to_wire(moved.amount)),
        create_time: Some(time_to_wire(moved.at)),
    }
}

fn work(pending: &Pending) -> PendingWork {
    let Pending { work, due_at, tries } = pending;
    PendingWork { work: work.clone(), due_time: Some(time_to_wire(*due_at)), tries: *tries }
}

fn act(act: &Act) -> ResolutionAct {
    let resolution = if act.succeeded { Resolution::Succeeded } else { Resolution::Failed };
    ResolutionAct {
        is_approval: act.is_approval,
        resolution: resolution.into(),
        evidence_reference: act.evidence_reference.clone(),
        by: act.by.clone(),
        create_time: Some(time_to_wire(act.at)),
    }
}
