//! What changes payments: pay, capture, cancel, refund; and wait.

use std::collections::BTreeMap;

use common::{
    fault::Violation,
    text::{self, printable},
};
use proto::payments::{
    CancelPaymentRequest, CaptureMode, CapturePaymentRequest, CapturePaymentResponse, CreatePaymentRequest,
    CreatePaymentResponse, GetPaymentRequest, GetPaymentResponse, RefundPaymentRequest,
    RefundPaymentResponse, get_payment_request::Key,
};
use uuid::Uuid;

use crate::{
    amount::{AmountArgs, PartArgs},
    failure::Failure,
    follow::{Outcome, WaitArgs, conclude, left, to_the_end},
    gateway_link::{ANSWER_TIMEOUT, Gateway, within},
    payee, payments,
    payments::KeyArgs,
    screen::{Screen, note},
};

/// The request's id.
#[derive(clap::Args, Debug)]
pub struct RequestIdArgs {
    /// The request's id: the same one never does a thing twice. Made, and printed before anything is sent, if absent.
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,
}

impl RequestIdArgs {
    /// The id; one that is made here is told before it is used, so that who loses the answer can send the same request again.
    pub fn settle(&self, violations: &mut Vec<Violation>) -> String {
        match &self.request_id {
            Some(id) => {
                if let Err(complaint) = text::request_id(id) {
                    violations.push(Violation::new("--request-id", complaint));
                }
                id.clone()
            }
            None => format!("cli-{}", Uuid::new_v4().simple()),
        }
    }

    /// Tells of an id that was made here.
    pub fn tell(&self, id: &str) {
        if self.request_id.is_none() {
            note(&format!(
                "request id: {} (if the answer is lost: the same command with --request-id)",
                printable(id)
            ));
        }
    }
}

fn checked(violations: Vec<Violation>) -> Result<(), Failure> {
    if violations.is_empty() { Ok(()) } else { Err(Failure::fields(&violations)) }
}

/// Pay somebody.
#[derive(clap::Args, Debug)]
pub struct Pay {
    /// The account that pays: acc_…
    #[arg(long, value_name = "ACCOUNT")]
    from: String,
    /// Where to pay: an IBAN (IBAN@BANK to say which bank), an account of this ledger (acc_…), or NUMBER@BANK; BANK is the bank's id or
    /// BIC.
    #[arg(long, value_name = "IBAN|ACCOUNT|NUMBER@BANK")]
    to: String,
    /// The payee's name, as their bank knows it.
    #[arg(long)]
    name: String,
    #[command(flatten)]
    amount: AmountArgs,
    /// What the payee reads beside the amount.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    reference: String,
    /// Your reference, carried to the payee (EndToEndId).
    #[arg(long, value_name = "REFERENCE", default_value = "", hide_default_value = true)]
    end_to_end_id: String,
    /// A label of your own, not sent to the bank. May stand several times.
    #[arg(long = "label", value_name = "KEY=VALUE")]
    labels: Vec<String>,
    #[command(flatten)]
    request_id: RequestIdArgs,
    /// Only hold the money, until `rialto capture` or `rialto cancel`.
    #[arg(long)]
    hold: bool,
    /// Check everything, the balance included, and pay nothing.
    #[arg(long)]
    validate: bool,
    #[command(flatten)]
    wait: WaitArgs,
}

impl Pay {
    /// The request; its id is told only when it is sent.
    fn request(&self) -> Result<CreatePaymentRequest, Failure> {
        let mut violations = Vec::new();
        let request_id = self.request_id.settle(&mut violations);
        let payee = payee::parse(&self.to, &self.name, &mut violations);
        let amount = self.amount.read(&mut violations);
        let metadata = labels(&self.labels, &mut violations);
        checked(violations)?;
        let capture = if self.hold { CaptureMode::Manual } else { CaptureMode::Unspecified };
        Ok(CreatePaymentRequest {
            request_id,
            payer_account: self.from.clone(),
            payee,
            amount,
            remittance_information: self.reference.clone(),
            end_to_end_id: self.end_to_end_id.clone(),
            metadata,
            validate_only: self.validate,
            capture: capture.into(),
            expire_time: None,
        })
    }

    pub(crate) async fn run(&self, gateway: &Gateway, screen: &Screen) -> Result<Outcome, Failure> {
        let request = self.request()?;
        let request_id = request.request_id.clone();
        if !self.validate {
            self.request_id.tell(&request_id);
        }
        let deadline = self.wait.deadline();
        let answer = gateway.payments.clone().create_payment(within(left(deadline), request)).await;
        let answer = answer.map_err(Failure::change(&request_id))?;
        if answer.metadata().get("idempotent-replayed").is_some() {
            note("this request was sent before: here is the payment that it made then");
        }
        let payment = answer.into_inner().payment.ok_or(Failure::Answer("payment"))?;
        if self.validate && payment.state == 0 {
            note("it would be accepted now; nothing was paid");
            screen.show(&CreatePaymentResponse { payment: Some(payment) }, |answer| {
                payments::maybe(answer.payment.as_ref())
            })?;
            return Ok(Outcome::Done);
        }
        let payment = to_the_end(gateway, payment, deadline).await;
        Ok(conclude(screen, &CreatePaymentResponse { payment: Some(payment.clone()) }, &payment))
    }
}

fn labels(texts: &[String], violations: &mut Vec<Violation>) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    for text in texts {
        match text.split_once('=') {
            Some((key, value)) if !key.is_empty() => {
                if labels.insert(key.to_owned(), value.to_owned()).is_some() {
                    violations.push(Violation::new("--label", format!("{key:?} stands twice")));
                }
            }
            _ => violations.push(Violation::new("--label", format!("must be KEY=VALUE, got {text:?}"))),
        }
    }
    labels
}

/// Pay an authorized payment.
#[derive(clap::Args, Debug)]
pub struct Capture {
    /// The authorized payment: pay_…
    payment: String,
    #[command(flatten)]
    amount: PartArgs,
    #[command(flatten)]
    request_id: RequestIdArgs,
    #[command(flatten)]
    wait: WaitArgs,
}

impl Capture {
    pub(crate) async fn run(&self, gateway: &Gateway, screen: &Screen) -> Result<Outcome, Failure> {
        let mut violations = Vec::new();
        let request_id = self.request_id.settle(&mut violations);
        let amount = self.amount.read(&mut violations);
        checked(violations)?;
        self.request_id.tell(&request_id);
        let deadline = self.wait.deadline();
        let request =
            CapturePaymentRequest { request_id: request_id.clone(), payment: self.payment.clone(), amount };
        let answer = gateway.payments.clone().capture_payment(within(left(deadline), request)).await;
        let answer = answer.map_err(Failure::change(&request_id))?.into_inner();
        let capture = to_the_end(gateway, answer.capture.ok_or(Failure::Answer("capture"))?, deadline).await;
        Ok(conclude(screen, &CapturePaymentResponse { capture: Some(capture.clone()) }, &capture))
    }
}

/// Give a payment back.
#[derive(clap::Args, Debug)]
pub struct Refund {
    /// The payment or capture to give back: pay_…
    payment: String,
    #[command(flatten)]
    amount: PartArgs,
    /// Why, as the payee's bank reads it.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    reference: String,
    #[command(flatten)]
    request_id: RequestIdArgs,
    #[command(flatten)]
    wait: WaitArgs,
}

impl Refund {
    pub(crate) async fn run(&self, gateway: &Gateway, screen: &Screen) -> Result<Outcome, Failure> {
        let mut violations = Vec::new();
        let request_id = self.request_id.settle(&mut violations);
        let amount = self.amount.read(&mut violations);
        checked(violations)?;
        self.request_id.tell(&request_id);
        let deadline = self.wait.deadline();
        let request = RefundPaymentRequest {
            request_id: request_id.clone(),
            payment: self.payment.clone(),
            amount,
            remittance_information: self.reference.clone(),
        };
        let answer = gateway.payments.clone().refund_payment(within(left(deadline), request)).await;
        let answer = answer.map_err(Failure::change(&request_id))?.into_inner();
        let refund = to_the_end(gateway, answer.refund.ok_or(Failure::Answer("refund"))?, deadline).await;
        Ok(conclude(screen, &RefundPaymentResponse { refund: Some(refund.clone()) }, &refund))
    }
}

/// Release what is held.
#[derive(clap::Args, Debug)]
pub struct Cancel {
    /// The payment: pay_…
    payment: String,
}

impl Cancel {
    pub(crate) async fn run(&self, gateway: &Gateway, screen: &Screen) -> Result<Outcome, Failure> {
        let request = CancelPaymentRequest { payment: self.payment.clone() };
        let answer = gateway.payments.clone().cancel_payment(within(ANSWER_TIMEOUT, request)).await;
        let answer = answer.map_err(Failure::change_as_it_is)?.into_inner();
        screen.show(&answer, |answer| payments::maybe(answer.payment.as_ref()))?;
        Ok(Outcome::Done)
    }
}

/// Wait until a payment is over.
#[derive(clap::Args, Debug)]
pub struct Wait {
    #[command(flatten)]
    key: KeyArgs,
    #[command(flatten)]
    wait: WaitArgs,
}

impl Wait {
    pub(crate) async fn run(&self, gateway: &Gateway, screen: &Screen) -> Result<Outcome, Failure> {
        let deadline = self.wait.deadline();
        let request = GetPaymentRequest { key: self.key.pick(Key::Id, Key::RequestId) };
        let answer = gateway.payments.clone().get_payment(within(ANSWER_TIMEOUT, request)).await;
        let payment =
            answer.map_err(Failure::read)?.into_inner().payment.ok_or(Failure::Answer("payment"))?;
        let payment = to_the_end(gateway, payment, deadline).await;
        Ok(conclude(screen, &GetPaymentResponse { payment: Some(payment.clone()) }, &payment))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Args, Job};

    fn request(line: &[&str]) -> Result<CreatePaymentRequest, String> {
        let args =
            Args::try_parse_from([&["rialto", "pay"], line].concat()).map_err(|error| error.to_string())?;
        let Job::Pay(pay) = args.job else { panic!("not pay") };
        pay.request().map_err(|failure| failure.to_string())
    }

    const TO: [&str; 6] = ["--from", "acc_1", "--to", "DE89370400440532013000", "--name", "Blaise"];

    #[test]
    fn a_line_is_one_request() {
        let line =
            [&TO[..], &["12.34", "EUR", "--label", "order=7=a", "--request-id", "r", "--hold"]].concat();
        let request = request(&line).unwrap();
        assert_eq!((request.request_id.as_str(), request.payer_account.as_str()), ("r", "acc_1"));
        assert_eq!(request.amount.as_ref().map(|amount| amount.minor_units), Some(1234));
        assert_eq!(request.metadata.get("order").map(String::as_str), Some("7=a"));
        assert_eq!(request.capture(), CaptureMode::Manual);
    }

    #[test]
    fn each_request_without_an_id_gets_one_of_its_own() {
        let line = [&TO[..], &["1", "EUR"]].concat();
        let ids = [request(&line).unwrap().request_id, request(&line).unwrap().request_id];
        assert_ne!(ids[0], ids[1]);
        assert!(ids.iter().all(|id| text::request_id(id).is_ok()), "{ids:?}");
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once() {
        let said = request(&[
            "--from",
            "acc_1",
            "--to",
            "nowhere",
            "--name",
            "B",
            "-1.005",
            "EUR",
            "--label",
            "x",
            "--request-id",
            "a b",
        ])
        .unwrap_err();
        for part in [
            "--to: must be an IBAN",
            "AMOUNT: must be",
            "--label: must be KEY=VALUE",
            "--request-id: must be",
        ] {
            assert!(said.contains(part), "{part} in {said}");
        }
    }
}
