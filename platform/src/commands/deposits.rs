//! Deposits: proposed by one operator, decided on by another.

use common::{
    fault::{Fault, Violation},
    id::DepositId,
};
use proto::{
    accounts::{
        ApproveDepositRequest, ApproveDepositResponse, DepositRequest, DepositResponse, GetDepositRequest,
        GetDepositResponse, ListDepositsRequest, ListDepositsResponse, RejectDepositRequest,
        RejectDepositResponse,
    },
    convert,
    platform::reply,
};

use super::{Commands, Done, parse_id};
use crate::{domain::ledger::Ruling, flow::intake::Caller, wire};

impl Commands {
    pub(super) async fn deposit(&self, caller: &Caller, request: DepositRequest) -> Done {
        let order = known(caller, convert::deposit_order(&request))?;
        let (deposit, replayed) = self.flow.deposit(caller, order, self.fingerprints.of(&request)).await?;
        let response = DepositResponse { deposit: Some(wire::deposit(&deposit)) };
        Ok((reply::Result::Deposit(response), replayed))
    }

    pub(super) async fn approve_deposit(&self, caller: &Caller, request: ApproveDepositRequest) -> Done {
        let (id, amount) = known(caller, convert::approval(&request))?;
        let ruling = Ruling::Approve { by: caller.actor.clone(), amount };
        let (deposit, replayed) = self.flow.decide_deposit(caller, id, ruling).await?;
        let response = ApproveDepositResponse { deposit: Some(wire::deposit(&deposit)) };
        Ok((reply::Result::ApproveDeposit(response), replayed))
    }

    pub(super) async fn reject_deposit(&self, caller: &Caller, request: RejectDepositRequest) -> Done {
        let (id, reason) = known(caller, convert::rejection(&request))?;
        let ruling = Ruling::Reject { by: caller.actor.clone(), reason };
        let (deposit, replayed) = self.flow.decide_deposit(caller, id, ruling).await?;
        let response = RejectDepositResponse { deposit: Some(wire::deposit(&deposit)) };
        Ok((reply::Result::RejectDeposit(response), replayed))
    }

    pub(super) async fn get_deposit(&self, caller: &Caller, request: GetDepositRequest) -> Done {
        let id = parse_id("id", &request.id, "dep_", DepositId::parse)?;
        let deposit = self.flow.store().deposit(&caller.participant, id).await?;
        let deposit = deposit.ok_or_else(|| Fault::not_found("deposit"))?;
        Ok((reply::Result::GetDeposit(GetDepositResponse { deposit: Some(wire::deposit(&deposit)) }), false))
    }

    pub(super) async fn list_deposits(&self, caller: &Caller, request: ListDepositsRequest) -> Done {
        let list = format!("{}/deposits/{}", caller.participant, request.state);
        let mut violations = Vec::new();
        let state = match wire::deposit_filter(request.state) {
            Some(wire::StateFilter::Only(state)) => Some(state),
            Some(wire::StateFilter::Any) => None,
            None => {
                violations.push(Violation::new("state", "must be a state, or absent"));
                None
            }
        };
        let page = self.page(&list, request.page_size, &request.page_token, violations)?;
        let store = self.flow.store();
        let mut deposits = store.deposits(&caller.participant, state, page.before, page.size + 1).await?;
        let next_page_token = self.next(&list, &page, &mut deposits, |deposit| deposit.id.uuid());
        let deposits = deposits.iter().map(wire::deposit).collect();
        Ok((reply::Result::ListDeposits(ListDepositsResponse { deposits, next_page_token }), false))
    }
}

/// What is asked for, by an operator of whom there is a record.
fn known<T>(caller: &Caller, asked: Result<T, Vec<Violation>>) -> Result<T, Fault> {
    let nobody = caller.actor.is_empty();
    let nobody = nobody.then(|| Violation::new("actor", "the command must say whose credential it was"));
    match (asked, nobody) {
        (Ok(asked), None) => Ok(asked),
        (Ok(_), Some(nobody)) => Err(Fault::invalid(vec![nobody])),
        (Err(violations), nobody) => Err(Fault::invalid(violations.into_iter().chain(nobody).collect())),
    }
}
