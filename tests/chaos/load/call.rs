//! A call, ready to be made, and what the journal says of it beforehand.

use harness::client::Client;
use proto::{
    accounts::DepositRequest,
    operations::ResolvePaymentRequest,
    payments::{
        CancelPaymentRequest, CapturePaymentRequest, CreatePaymentRequest, GetPaymentRequest, Payment,
        RefundPaymentRequest, get_payment_request::Key, payee,
    },
};
use std::time::Duration;
use tonic::Status;

use crate::journal::{Intent, Method, hash};

/// A message to the gateway.
#[derive(Clone, Debug)]
pub enum Message {
    /// CreatePayment.
    Pay(CreatePaymentRequest),
    /// CapturePayment.
    Capture(CapturePaymentRequest),
    /// CancelPayment.
    Cancel(CancelPaymentRequest),
    /// RefundPayment.
    Refund(RefundPaymentRequest),
    /// ResolvePayment.
    Resolve(ResolvePaymentRequest),
    /// GetPayment.
    Read(GetPaymentRequest),
    /// Deposit, and ApproveDeposit by the other operator.
    Deposit(DepositRequest),
}

/// One call, ready to be made.
#[derive(Clone, Debug)]
pub struct Call {
    /// What is asked.
    pub message: Message,
    /// The request id of what it is about.
    pub request_id: String,
    /// The request id of the payment that it goes back to.
    pub family: String,
    /// The kind and the state of the original that the caller knows of; empty if there is none.
    pub original_seen: String,
}

impl Call {
    /// A call that makes what belongs to nothing else.
    pub fn new(message: Message) -> Self {
        let request_id = match &message {
            Message::Pay(request) => request.request_id.clone(),
            Message::Deposit(request) => request.request_id.clone(),
            _ => String::new(),
        };
        Self { family: request_id.clone(), request_id, message, original_seen: String::new() }
    }

    /// A read of what this call makes.
    pub fn read(&self) -> Self {
        let key = Some(Key::RequestId(self.request_id.clone()));
        Self { message: Message::Read(GetPaymentRequest { key }), ..self.clone() }
    }

    /// What the journal says of it beforehand.
    pub fn intent(&self, manner: String) -> Intent {
        let intent = Intent {
            request_id: self.request_id.clone(),
            family: self.family.clone(),
            original_seen: self.original_seen.clone(),
            manner,
            ..Intent::default()
        };
        match &self.message {
            Message::Pay(request) => pay(intent, request),
            Message::Capture(request) => {
                let amount = request.amount.clone().unwrap_or_default();
                let (original, currency) = (request.payment.clone(), amount.currency);
                let (method, amount, content) = (Method::Capture, amount.minor_units, hash(request));
                Intent { method, original, amount, currency, content, ..intent }
            }
            Message::Refund(request) => {
                let amount = request.amount.clone().unwrap_or_default();
                let (original, currency) = (request.payment.clone(), amount.currency);
                let (method, amount, content) = (Method::Refund, amount.minor_units, hash(request));
                Intent { method, original, amount, currency, content, ..intent }
            }
            Message::Cancel(request) => {
                Intent { method: Method::Cancel, original: request.payment.clone(), ..intent }
            }
            Message::Resolve(request) => {
                let content = request.resolution().as_str_name().to_owned();
                Intent { method: Method::Resolve, original: request.payment.clone(), content, ..intent }
            }
            Message::Read(_) => intent,
            Message::Deposit(request) => {
                let amount = request.amount.clone().unwrap_or_default();
                Intent {
                    method: Method::Deposit,
                    bank: request.bank_id.clone(),
                    account: request.account.clone(),
                    amount: amount.minor_units,
                    currency: amount.currency,
                    content: hash(request),
                    ..intent
                }
            }
        }
    }

    /// Makes the call, and returns the payment that it was answered with.
    ///
    /// # Errors
    /// What the server answered, or that nothing was heard of it.
    pub async fn send(&self, client: &Client, deadline: Option<Duration>) -> Result<Option<Payment>, Status> {
        let mut payments = client.payments.clone();
        match &self.message {
            Message::Pay(request) => {
                let request = client.request(request.clone(), deadline);
                Ok(payments.create_payment(request).await?.into_inner().payment)
            }
            Message::Capture(request) => {
                let request = client.request(request.clone(), deadline);
                Ok(payments.capture_payment(request).await?.into_inner().capture)
            }
            Message::Cancel(request) => {
                let request = client.request(request.clone(), deadline);
                Ok(payments.cancel_payment(request).await?.into_inner().payment)
            }
            Message::Refund(request) => {
                let request = client.request(request.clone(), deadline);
                Ok(payments.refund_payment(request).await?.into_inner().refund)
            }
            Message::Resolve(request) => {
                let request = client.request(request.clone(), deadline);
                Ok(client.operations.clone().resolve_payment(request).await?.into_inner().payment)
            }
            Message::Read(request) => {
                let request = client.request(request.clone(), deadline);
                Ok(payments.get_payment(request).await?.into_inner().payment)
            }
            Message::Deposit(request) => client.book(request.clone(), deadline).await.map(|_| None),
        }
    }
}

fn pay(intent: Intent, request: &CreatePaymentRequest) -> Intent {
    let amount = request.amount.clone().unwrap_or_default();
    let payee = request.payee.as_ref().and_then(|payee| payee.account.clone());
    let expire_time_ms =
        |time: &prost_types::Timestamp| time.seconds * 1_000 + i64::from(time.nanos) / 1_000_000;
    Intent {
        method: Method::Pay,
        account: request.payer_account.clone(),
        payee_account: match payee {
            Some(payee::Account::LedgerAccount(account)) => account,
            _ => String::new(),
        },
        amount: amount.minor_units,
        currency: amount.currency,
        expire_time_ms: request.expire_time.as_ref().map(expire_time_ms).unwrap_or_default(),
        content: hash(request),
        ..intent
    }
}
