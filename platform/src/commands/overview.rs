//! What operators look at: banks, the trial balance, and one payment's whole story.

use common::{
    fault::{Fault, Violation},
    id::PaymentId,
    text,
};
use proto::{
    convert::{self, EVERYBODY},
    operations::{
        Bank, GetPaymentStoryRequest, GetPaymentStoryResponse, GetTrialBalanceRequest, ListBanksResponse,
    },
    platform::reply,
};

use super::{Commands, Done, participants::whose};
use crate::{flow::intake::Caller, wire};

impl Commands {
    pub(super) fn list_banks(&self, caller: &Caller) -> (reply::Result, bool) {
        let banks = self.flow.directory().all();
        let banks = banks.iter().map(|bank| Bank {
            id: bank.id.clone(),
            online: bank.online,
            change_time: Some(convert::time_to_wire(bank.online_changed_at)),
            holds_payments: bank.waits,
            in_flight: caller.is_house.then(|| u32::try_from(bank.gate.in_flight()).unwrap_or(u32::MAX)),
            max_in_flight: bank.gate.limits().max_in_flight,
        });
        (reply::Result::ListBanks(ListBanksResponse { banks: banks.collect() }), false)
    }

    pub(super) async fn get_trial_balance(&self, caller: &Caller, request: GetTrialBalanceRequest) -> Done {
        let asked = Some(request.participant.as_str()).filter(|asked| !asked.is_empty());
        if let Some(Err(complaint)) = asked.filter(|name| *name != EVERYBODY).map(text::participant) {
            return Err(Fault::invalid(vec![Violation::new("participant", complaint)]));
        }
        let participant = whose(caller, asked)?;
        let participant = Some(participant.as_str()).filter(|name| *name != EVERYBODY);
        let store = self.flow.store();
        if let Some(name) = participant.filter(|name| *name != caller.participant)
            && !store.has_participant(name).await?
        {
            return Err(Fault::not_found("participant"));
        }
        let turn = tokio::time::timeout(caller.deadline.remaining(), self.balancing.acquire()).await;
        let Ok(Ok(_turn)) = turn else {
            let message = "another trial balance is being taken: ask again in a while";
            return Err(Fault::exhausted("TRIAL_BALANCE_UNDER_WAY", message));
        };
        let found = wire::trial_balance(store.balances(participant).await?, self.flow.clock().now());
        Ok((reply::Result::GetTrialBalance(found), false))
    }

    pub(super) async fn get_payment_story(&self, caller: &Caller, request: GetPaymentStoryRequest) -> Done {
        let id = super::parse_id("payment", &request.payment, "pay_", PaymentId::parse)?;
        let store = self.flow.store();
        let payment = store.payment(&caller.participant, id).await?;
        let payment = payment.ok_or_else(|| Fault::not_found("payment"))?;
        let story = store.story(&payment).await?;
        let said = self.flow.said(&payment, &story.steps).await?;
        let story = Some(wire::story(&payment, &story, &said));
        Ok((reply::Result::GetPaymentStory(GetPaymentStoryResponse { story }), false))
    }
}
