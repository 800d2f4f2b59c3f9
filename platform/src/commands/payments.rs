//! Payments: made, captured, cancelled, refunded, read.

use std::time::{Duration, SystemTime};

use common::{
    fault::{Fault, Violation},
    id::{AccountId, PaymentId},
    order::PaymentOrder,
};
use proto::{
    convert,
    payments::{
        CancelPaymentRequest, CancelPaymentResponse, CapturePaymentRequest, CapturePaymentResponse,
        CreatePaymentRequest, CreatePaymentResponse, GetPaymentRequest, GetPaymentResponse,
        ListPaymentsRequest, ListPaymentsResponse, RefundPaymentRequest, RefundPaymentResponse,
        WaitPaymentRequest, WaitPaymentResponse, get_payment_request, wait_payment_request,
    },
    platform::reply,
};

use super::{Commands, Done, invalid, parse_id};
use crate::{
    domain::payment::Payment,
    flow::intake::{Caller, Paid},
    store::payments::PaymentFilter,
    wire,
};

impl Commands {
    pub(super) async fn create_payment(&self, caller: &Caller, request: CreatePaymentRequest) -> Done {
        let order = convert::payment_order(&request).map_err(Fault::invalid)?;
        let fingerprint = self.fingerprints.of(&convert::payment_order_to_wire(&order));
        let would_be = request.validate_only.then(|| order.clone());
        let (payment, replayed) =
            match self.flow.pay(caller, order, fingerprint, request.validate_only).await? {
                Paid::Payment(payment, replayed) => (wire::payment(&payment), replayed),
                Paid::Validated(found) => {
                    let reason = found.err().map(|refusal| wire::reason(&refusal.reason()));
                    (validated(would_be.ok_or_else(Fault::internal)?, reason), false)
                }
            };
        let response = CreatePaymentResponse { payment: Some(payment) };
        Ok((reply::Result::CreatePayment(response), replayed))
    }

    pub(super) async fn get_payment(&self, caller: &Caller, request: GetPaymentRequest) -> Done {
        let payment = match request.key {
            Some(get_payment_request::Key::Id(id)) => self.payment_by_id(caller, &id).await,
            Some(get_payment_request::Key::RequestId(id)) => self.payment_by_request(caller, &id).await,
            None => return Err(invalid("key", "give id or request_id")),
        };
        let payment = Some(wire::payment(&payment?));
        Ok((reply::Result::GetPayment(GetPaymentResponse { payment }), false))
    }

    pub(super) async fn wait_payment(&self, caller: &Caller, request: WaitPaymentRequest) -> Done {
        if request.after_sequence < 0 {
            return Err(invalid("after_sequence", "must not be negative"));
        }
        let payment = match request.key {
            Some(wait_payment_request::Key::Id(id)) => self.payment_by_id(caller, &id).await,
            Some(wait_payment_request::Key::RequestId(id)) => self.payment_by_request(caller, &id).await,
            None => return Err(invalid("key", "give id or request_id")),
        };
        let is_news = |payment: &Payment| match request.after_sequence {
            0 => payment.state.is_final(),
            known => i64::from(payment.sequence) > known || payment.state.is_final(),
        };
        let payment = self.flow.wait(payment?, caller, is_news).await;
        let payment = Some(wire::payment(&payment));
        Ok((reply::Result::WaitPayment(WaitPaymentResponse { payment }), false))
    }

    async fn payment_by_id(&self, caller: &Caller, id: &str) -> Result<Payment, Fault> {
        let id = parse_id("id", id, "pay_", PaymentId::parse)?;
        let payment = self.flow.store().payment(&caller.participant, id).await?;
        payment.ok_or_else(|| Fault::not_found("payment"))
    }

    async fn payment_by_request(&self, caller: &Caller, request_id: &str) -> Result<Payment, Fault> {
        common::text::request_id(request_id).map_err(|complaint| invalid("request_id", &complaint))?;
        let payment = self.flow.store().payment_by_request(&caller.participant, request_id).await?;
        payment.ok_or_else(|| Fault::not_found("payment"))
    }

    pub(super) async fn list_payments(&self, caller: &Caller, request: ListPaymentsRequest) -> Done {
        let mut violations = Vec::new();
        let start = bound("start_time", request.start_time.as_ref(), &mut violations);
        let end = bound("end_time", request.end_time.as_ref(), &mut violations);
        let list = format!(
            "{}/payments/{}/{}/{}/{start:?}/{end:?}",
            caller.participant, request.payer_account, request.state, request.original_payment
        );
        let payer_account = match request.payer_account.as_str() {
            "" => None,
            id => convert::id("payer_account", id, "acc_", AccountId::parse, &mut violations),
        };
        let original = match request.original_payment.as_str() {
            "" => None,
            id => convert::id("original_payment", id, "pay_", PaymentId::parse, &mut violations),
        };
        let state = match wire::state_filter(request.state) {
            Some(wire::StateFilter::Only(state)) => Some(state),
            Some(wire::StateFilter::Any) => None,
            None => {
                violations.push(Violation::new("state", "must be a state, or absent"));
                None
            }
        };
        let page = self.page(&list, request.page_size, &request.page_token, violations)?;
        let filter = PaymentFilter { payer_account, state, original, start, end };
        let mut payments =
            self.flow.store().payments(&caller.participant, &filter, page.before, page.size + 1).await?;
        let next_page_token = self.next(&list, &page, &mut payments, |payment| payment.id.uuid());
        let payments = payments.iter().map(wire::payment).collect();
        Ok((reply::Result::ListPayments(ListPaymentsResponse { payments, next_page_token }), false))
    }

    pub(super) async fn capture_payment(&self, caller: &Caller, request: CapturePaymentRequest) -> Done {
        let order = convert::capture_order(&request).map_err(Fault::invalid)?;
        let fingerprint = self.fingerprints.of_operation("capture", &request);
        let made = self.flow.capture(caller, order, fingerprint).await?;
        let (capture, replayed) = made_payment(made)?;
        Ok((reply::Result::CapturePayment(CapturePaymentResponse { capture: Some(capture) }), replayed))
    }

    pub(super) async fn cancel_payment(&self, caller: &Caller, request: CancelPaymentRequest) -> Done {
        if caller.deadline.is_too_short() {
            return Err(Fault::deadline_too_short());
        }
        let id = parse_id("payment", &request.payment, "pay_", PaymentId::parse)?;
        let payment = Some(wire::payment(&self.flow.cancel(caller, id).await?));
        Ok((reply::Result::CancelPayment(CancelPaymentResponse { payment }), false))
    }

    pub(super) async fn refund_payment(&self, caller: &Caller, request: RefundPaymentRequest) -> Done {
        let order = convert::refund_order(&request).map_err(Fault::invalid)?;
        let fingerprint = self.fingerprints.of_operation("refund", &request);
        let made = self.flow.refund(caller, order, fingerprint).await?;
        let (refund, replayed) = made_payment(made)?;
        Ok((reply::Result::RefundPayment(RefundPaymentResponse { refund: Some(refund) }), replayed))
    }
}

/// A bound of when payments came to be, if there is one.
fn bound(
    field: &str,
    wire: Option<&prost_types::Timestamp>,
    violations: &mut Vec<Violation>,
) -> Option<SystemTime> {
    let time = wire.map(convert::time)?;
    if time.is_none() {
        violations.push(Violation::new(field, "must be a time, or absent"));
    }
    // Numbers have whole milliseconds.
    let since = time?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    Some(SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(since.as_millis()).ok()?))
}

fn made_payment(made: Paid) -> Result<(proto::payments::Payment, bool), Fault> {
    match made {
        Paid::Payment(payment, replayed) => Ok((wire::payment(&payment), replayed)),
        Paid::Validated(_) => Err(Fault::internal()),
    }
}

fn validated(order: PaymentOrder, reason: Option<proto::payments::Reason>) -> proto::payments::Payment {
    let state = match reason {
        Some(_) => proto::payments::PaymentState::Failed,
        None => proto::payments::PaymentState::Unspecified,
    };
    proto::payments::Payment {
        request_id: order.request_id,
        payer_account: order.payer_account.to_string(),
        payee: Some((&order.payee).into()),
        amount: Some(convert::money_to_wire(order.amount)),
        remittance_information: order.remittance_information,
        end_to_end_id: order.end_to_end_id.unwrap_or_default(),
        metadata: order.metadata,
        state: state.into(),
        reason,
        ..proto::payments::Payment::default()
    }
}
