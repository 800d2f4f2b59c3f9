//! Payments as they stand: one, or a list.

use proto::payments::{
    GetPaymentRequest, ListPaymentsRequest, ListPaymentsResponse, Payment, PaymentKind, PaymentState,
    get_payment_request::Key,
};

use crate::{
    amount,
    failure::Failure,
    follow::state,
    gateway_link::{ANSWER_TIMEOUT, Gateway, within},
    paging::LimitArgs,
    payee,
    screen::{Rows, Screen, time, word},
};

/// Which payment.
#[derive(clap::Args, Debug)]
#[group(required = true, multiple = false)]
pub struct KeyArgs {
    /// The payment: pay_…
    payment: Option<String>,
    /// The payment that this request made.
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,
}

impl KeyArgs {
    /// The key, made of an id or a request id.
    pub fn pick<K>(&self, id: impl FnOnce(String) -> K, request_id: impl FnOnce(String) -> K) -> Option<K> {
        match (&self.payment, &self.request_id) {
            (Some(text), _) => Some(id(text.clone())),
            (None, Some(text)) => Some(request_id(text.clone())),
            (None, None) => None,
        }
    }
}

/// Show one payment.
#[derive(clap::Args, Debug)]
pub struct Get {
    #[command(flatten)]
    key: KeyArgs,
}

impl Get {
    pub(crate) async fn run(&self, gateway: &Gateway, screen: &Screen) -> Result<(), Failure> {
        let request = GetPaymentRequest { key: self.key.pick(Key::Id, Key::RequestId) };
        let answer = gateway.payments.clone().get_payment(within(ANSWER_TIMEOUT, request)).await;
        screen.show(&answer.map_err(Failure::read)?.into_inner(), |answer| maybe(answer.payment.as_ref()))
    }
}

/// List payments.
#[derive(clap::Args, Debug)]
pub struct List {
    /// Only what this account pays: acc_…
    #[arg(long, default_value = "", hide_default_value = true)]
    account: String,
    /// Only those in this state: succeeded, failed, unknown, …
    #[arg(long, value_parser = parse_state)]
    state: Option<PaymentState>,
    /// Only the captures and refunds of this payment: pay_…
    #[arg(long, value_name = "PAYMENT", default_value = "", hide_default_value = true)]
    of: String,
    #[command(flatten)]
    limit: LimitArgs,
}

impl List {
    pub(crate) async fn run(&self, gateway: &Gateway, screen: &Screen) -> Result<(), Failure> {
        let (payments, next_page_token) = self
            .limit
            .read(async |page_size, page_token| {
                let request = ListPaymentsRequest {
                    page_size,
                    page_token,
                    payer_account: self.account.clone(),
                    state: self.state.map_or(0, i32::from),
                    original_payment: self.of.clone(),
                    ..ListPaymentsRequest::default()
                };
                let page = gateway
                    .payments
                    .clone()
                    .list_payments(within(ANSWER_TIMEOUT, request))
                    .await?
                    .into_inner();
                Ok((page.payments, page.next_page_token))
            })
            .await?;
        let all = ListPaymentsResponse { payments, next_page_token };
        screen.show(&all, |all| rows(&all.payments))
    }
}

/// Reads a state in one word, small or large.
pub fn parse_state(text: &str) -> Result<PaymentState, String> {
    let name = format!("PAYMENT_STATE_{}", text.to_ascii_uppercase());
    PaymentState::from_str_name(&name).filter(|state| *state != PaymentState::Unspecified).ok_or_else(|| {
        "must be one of submitted, unknown, succeeded, failed, authorized, held, cancelled, expired, investigate".to_owned()
    })
}

fn rows(payments: &[Payment]) -> Rows {
    let heading = ["PAYMENT", "STATE", "AMOUNT", "PAYEE", "TO", "CREATED", "REASON"];
    Rows::below(
        heading,
        payments.iter().map(|payment| {
            [
                payment.id.clone(),
                state(payment).to_owned(),
                amount::shown(payment.amount.as_ref()),
                payment.payee.as_ref().map_or_else(String::new, |payee| payee.name.clone()),
                payment.payee.as_ref().map_or_else(String::new, payee::shown),
                time(payment.create_time.as_ref()),
                payment.reason.as_ref().map_or_else(String::new, |reason| reason.code.clone()),
            ]
        }),
    )
}

/// A payment, if there is one, line by line.
pub fn maybe(payment: Option<&Payment>) -> Rows {
    payment.map_or_else(|| Rows::of([]), one)
}

/// A payment line by line.
pub fn one(payment: &Payment) -> Rows {
    let reason = payment.reason.as_ref().map_or_else(String::new, |reason| {
        let iso =
            if reason.iso_code.is_empty() { String::new() } else { format!(" (ISO {})", reason.iso_code) };
        format!("{}{iso} {}", reason.code, reason.message)
    });
    let kind = match payment.kind() {
        PaymentKind::Payment | PaymentKind::Unspecified => String::new(),
        kind => word(kind.as_str_name(), "PAYMENT_KIND_").to_owned(),
    };
    let payee = payment.payee.as_ref();
    let lines = [
        ("payment", payment.id.clone()),
        ("kind", kind),
        ("state", if payment.state == 0 { String::new() } else { state(payment).to_owned() }),
        ("reason", reason),
        ("amount", amount::shown(payment.amount.as_ref())),
        ("payee", payee.map_or_else(String::new, |payee| payee.name.clone())),
        ("to", payee.map_or_else(String::new, payee::shown)),
        ("bank", payment.bank_id.clone()),
        ("from", payment.payer_account.clone()),
        ("reference", payment.remittance_information.clone()),
        ("end-to-end id", payment.end_to_end_id.clone()),
        ("captured", amount::shown(payment.captured_amount.as_ref())),
        ("capturable", amount::shown(payment.capturable_amount.as_ref())),
        ("expires", time(payment.expire_time.as_ref())),
        ("original payment", payment.original_payment.clone()),
        ("request id", payment.request_id.clone()),
        ("UETR", payment.uetr.clone()),
        ("ISO status", payment.iso_status.clone()),
        ("created", time(payment.create_time.as_ref())),
        ("updated", time(payment.update_time.as_ref())),
    ];
    let labels = payment.metadata.iter().map(|(key, value)| ("label", format!("{key}={value}")));
    Rows::of(lines.into_iter().chain(labels))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_one_word() {
        assert_eq!(parse_state("unknown"), Ok(PaymentState::Unknown));
        assert_eq!(parse_state("FAILED"), Ok(PaymentState::Failed));
        for bad in ["", "unspecified", "paid"] {
            assert!(parse_state(bad).is_err(), "{bad}");
        }
    }
}
