//! Notices: what banks say unasked. The bank hears that its notice was taken, or what became of its instruction, only after the commit.

use std::sync::Arc;

use common::{
    crash_point,
    trace::{Span, SpanKind, TraceParent},
};
use proto::{
    channel::{Notice, NoticeReceipt, NoticeResult, notice::Verdict},
    convert,
};
use tokio::sync::mpsc;
use tracing::Instrument;

use super::{Flow, incoming::NotDone, settle::Learnt};
use crate::{
    channel_link::Noticed,
    domain::{
        alarm::AlarmKind,
        ledger::Alarm,
        payment::{Attempt, Evidence, Payment},
    },
    store::StoreError,
};

/// What became of a notice, and why it was not taken.
type Taken = (NoticeResult, &'static str);

const TAKEN: Taken = (NoticeResult::Taken, "");
const NOT_RECORDED: Taken = (NoticeResult::Unspecified, "not on record yet");

/// Looks at notices, each in a task of its own.
pub(super) async fn run(flow: Arc<Flow>, mut notices: mpsc::Receiver<Noticed>) {
    while let Some(Noticed { notice, receipts }) = notices.recv().await {
        let noting = Arc::clone(&flow);
        let mut span = Span::begin(&notice.traceparent, "notice", SpanKind::Server);
        span.set("rialto.bank.id", notice.bank_id.clone());
        let trace = span.context();
        let logged = tracing::info_span!("notice", trace_id = %trace.trace_id(), bank = notice.bank_id);
        flow.settling.spawn(
            async move {
                let notice_id = notice.notice_id;
                let receipt = noting.look_at(notice, trace).await;
                tracing::info!(result = ?receipt.result(), detail = receipt.detail, "notice looked at");
                receipts.give(NoticeReceipt { notice_id, ..receipt }).await;
                drop(span);
            }
            .instrument(logged),
        );
    }
}

fn receipt((result, detail): Taken) -> NoticeReceipt {
    NoticeReceipt { result: result.into(), detail: detail.to_owned(), ..NoticeReceipt::default() }
}

impl Flow {
    async fn look_at(&self, notice: Notice, trace: TraceParent) -> NoticeReceipt {
        if let Some(Verdict::Instruction(instruction)) = notice.verdict {
            return match self.carry_out(instruction, trace).await {
                Ok(verdict) => NoticeReceipt { verdict: Some(verdict), ..receipt(TAKEN) },
                Err(NotDone::Refused(why)) => receipt((NoticeResult::Refused, why)),
                Err(error) => {
                    tracing::warn!(%error, "a bank's instruction is not carried out; the bank will ask");
                    receipt(NOT_RECORDED)
                }
            };
        }
        receipt(self.note(notice, trace).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "a notice is not looked at; the bank will send it again");
            NOT_RECORDED
        }))
    }

    async fn note(&self, notice: Notice, trace: TraceParent) -> Result<Taken, StoreError> {
        let unknown = (NoticeResult::Refused, "names no payment with this bank");
        let Some((id, _)) = Attempt::named_by(&notice.message_id) else { return Ok(unknown) };
        let payment = self.store.any_payment(id).await?;
        let with_this_bank = |payment: &Payment| {
            payment.bank_id.as_deref() == Some(notice.bank_id.as_str()) && !payment.kind.is_taken_back()
        };
        let Some(payment) = payment.filter(with_this_bank) else { return Ok(unknown) };
        if let Some(what) = contradiction(&payment, &notice) {
            let alarm = Alarm {
                kind: AlarmKind::NoticeMismatch,
                payment: payment.id,
                detail: format!("{what} of the bank's notice is not what was sent"),
                at: self.clock.now(),
            };
            self.store.raise(alarm).await?;
            return Ok((NoticeResult::Refused, "contradicts what was sent"));
        }
        let evidence = match notice.verdict {
            Some(Verdict::Accepted(accepted)) => {
                Evidence::Accepted { bank_message_id: accepted.bank_message_id }
            }
            Some(Verdict::Rejected(rejected)) => Evidence::Rejected {
                iso_code: rejected.iso_code,
                text: rejected.text,
                bank_message_id: rejected.bank_message_id,
            },
            // Still in process: the enquiries go on, and nothing needs to be remembered.
            Some(Verdict::Unknown(_) | Verdict::Instruction(_)) | None => return Ok(TAKEN),
        };
        crash_point::here("notice.before_commit");
        let learnt = Learnt::new(evidence, notice.bank_message);
        let recorded = self.conclude(&payment, None, learnt, trace).await;
        crash_point::here("notice.after_commit");
        Ok(if recorded { TAKEN } else { NOT_RECORDED })
    }
}

/// What of a notice is not what was sent.
fn contradiction(payment: &Payment, notice: &Notice) -> Option<&'static str> {
    let differs = |given: &str, sent: &str| !given.is_empty() && given != sent;
    if differs(&notice.uetr, &payment.uetr.to_string()) {
        return Some("the UETR");
    }
    if differs(&notice.end_to_end_id, &payment.end_to_end_id) {
        return Some("the EndToEndId");
    }
    let amount = convert::money_to_wire(payment.amount);
    notice.amount.as_ref().is_some_and(|given| *given != amount).then_some("the amount")
}
