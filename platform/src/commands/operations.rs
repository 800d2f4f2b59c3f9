//! What people do when machines cannot know.

use common::{
    fault::{Fault, Violation},
    id::PaymentId,
    text,
};
use proto::{
    convert,
    operations::{
        ListAlarmsRequest, ListAlarmsResponse, Resolution, ResolvePaymentRequest, ResolvePaymentResponse,
    },
    platform::reply,
};

use super::{Commands, Done};
use crate::{domain::ledger::Finding, flow::intake::Caller, wire};

impl Commands {
    pub(super) async fn resolve_payment(&self, caller: &Caller, request: ResolvePaymentRequest) -> Done {
        if caller.deadline.is_too_short() {
            return Err(Fault::deadline_too_short());
        }
        let mut violations = Vec::new();
        let id = convert::id("payment", &request.payment, "pay_", PaymentId::parse, &mut violations);
        let succeeded = match request.resolution() {
            Resolution::Succeeded => true,
            Resolution::Failed => false,
            Resolution::Unspecified => {
                violations.push(Violation::new("resolution", "must be a resolution"));
                false
            }
        };
        if let Err(complaint) = text::readable(&request.evidence_reference, 140) {
            violations.push(Violation::new("evidence_reference", complaint));
        }
        if caller.actor.is_empty() {
            violations.push(Violation::new("actor", "the command must say whose credential it was"));
        }
        let id = id.filter(|_| violations.is_empty()).ok_or_else(|| Fault::invalid(violations))?;
        let finding = Finding { succeeded, evidence_reference: request.evidence_reference };
        let (payment, awaits_approval) = self.flow.resolve(caller, id, finding).await?;
        let payment = Some(wire::payment(&payment));
        Ok((reply::Result::ResolvePayment(ResolvePaymentResponse { payment, awaits_approval }), false))
    }

    pub(super) async fn list_alarms(&self, caller: &Caller, request: ListAlarmsRequest) -> Done {
        let list = format!("{}/alarms", caller.participant);
        let page = self.page(&list, request.page_size, &request.page_token, Vec::new())?;
        let mut alarms = self.flow.store().alarms(&caller.participant, page.before, page.size + 1).await?;
        let next_page_token = self.next(&list, &page, &mut alarms, |alarm| alarm.id.uuid());
        let alarms = alarms.iter().map(wire::alarm).collect();
        Ok((reply::Result::ListAlarms(ListAlarmsResponse { alarms, next_page_token }), false))
    }
}
