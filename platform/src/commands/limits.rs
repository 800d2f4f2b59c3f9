//! Limits of money: set by operators, read by all who may read.

use common::{fault::Fault, id::AccountId, order::LimitSubject};
use proto::{
    convert,
    limits::{
        GetAccountLimitsRequest, GetParticipantLimitsRequest, SetAccountLimitsRequest,
        SetParticipantLimitsRequest,
    },
    platform::reply,
};

use super::{Commands, Done, parse_id, participants::whose};
use crate::{flow::intake::Caller, wire};

impl Commands {
    pub(super) async fn set_account_limits(&self, caller: &Caller, request: SetAccountLimitsRequest) -> Done {
        let by = self.operator(caller)?;
        let (id, rules) = convert::account_limits(&request).map_err(Fault::invalid)?;
        let store = self.flow.store();
        let account = store.account(&caller.participant, id).await?;
        let currency = account.ok_or_else(|| Fault::not_found("account"))?.account.currency;
        let limits = store.limit_account(id, &rules, &by).await?;
        let limits = limits.ok_or_else(|| Fault::not_found("account"))?;
        Ok((reply::Result::Limits(wire::limits(currency, Some(&limits), by.at)), false))
    }

    pub(super) async fn get_account_limits(&self, caller: &Caller, request: GetAccountLimitsRequest) -> Done {
        let id = parse_id("account", &request.account, "acc_", AccountId::parse)?;
        let store = self.flow.store();
        let account = store.account(&caller.participant, id).await?;
        let currency = account.ok_or_else(|| Fault::not_found("account"))?.account.currency;
        let limits = store.limits(&LimitSubject::Account(id)).await?;
        let status = wire::limits(currency, limits.as_ref(), self.flow.clock().now());
        Ok((reply::Result::Limits(status), false))
    }

    pub(super) async fn set_participant_limits(
        &self,
        caller: &Caller,
        request: SetParticipantLimitsRequest,
    ) -> Done {
        let by = self.house_operator(caller)?;
        let (currency, rules) = convert::participant_limits(&request).map_err(Fault::invalid)?;
        let store = self.flow.store();
        let limits = store.limit_participant(&request.participant, currency, &rules, &by).await?;
        let limits = limits.ok_or_else(|| Fault::not_found("participant"))?;
        Ok((reply::Result::Limits(wire::limits(currency, Some(&limits), by.at)), false))
    }

    pub(super) async fn get_participant_limits(
        &self,
        caller: &Caller,
        request: GetParticipantLimitsRequest,
    ) -> Done {
        let mut violations = Vec::new();
        let asked = Some(request.participant.as_str()).filter(|name| !name.is_empty());
        if let Some(Err(wrong)) = asked.map(convert::participant) {
            violations.extend(wrong);
        }
        let currency = convert::currency("currency", &request.currency, &mut violations);
        let Some(currency) = currency.filter(|_| violations.is_empty()) else {
            return Err(Fault::invalid(violations));
        };
        let participant = whose(caller, asked)?;
        let store = self.flow.store();
        if participant != caller.participant && !store.has_participant(&participant).await? {
            return Err(Fault::not_found("participant"));
        }
        let limits = store.limits(&LimitSubject::Participant(participant, currency)).await?;
        let status = wire::limits(currency, limits.as_ref(), self.flow.clock().now());
        Ok((reply::Result::Limits(status), false))
    }
}
