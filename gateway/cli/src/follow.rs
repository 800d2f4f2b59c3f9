//! What becomes of a payment: waits for it, shows it, and says what to do next.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use common::text::printable;
use prost::{Message, Name};
use proto::payments::{Payment, PaymentState, WaitPaymentRequest, wait_payment_request::Key};

use crate::{
    failure::{Failure, NOT_KNOWN, REFUSED, is_refusal},
    gateway_link::{Gateway, within},
    payments,
    screen::{Screen, note},
};

/// What came of what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was done.
    Done,
    /// It was refused, or failed.
    Refused,
    /// That is not known yet.
    NotKnown,
}

impl Outcome {
    /// How the program ends.
    pub fn exit_code(self) -> ExitCode {
        ExitCode::from(match self {
            Self::Done => 0,
            Self::Refused => REFUSED,
            Self::NotKnown => NOT_KNOWN,
        })
    }

    /// What a payment in this state means to who wants it paid (or, with `--hold`, held).
    pub fn of(state: PaymentState) -> Self {
        match state {
            PaymentState::Succeeded | PaymentState::Authorized => Self::Done,
            PaymentState::Failed | PaymentState::Cancelled | PaymentState::Expired => Self::Refused,
            PaymentState::Submitted
            | PaymentState::Unknown
            | PaymentState::Held
            | PaymentState::Investigate
            | PaymentState::Unspecified => Self::NotKnown,
        }
    }
}

/// How long one call waits at most; the gateway's bound is a minute.
pub const LONGEST_CALL: Duration = Duration::from_secs(50);
/// With less than this left a call is refused.
const SHORTEST_CALL: Duration = Duration::from_millis(200);
const PAUSE: Duration = Duration::from_millis(500);

/// How long to wait for the end.
#[derive(clap::Args, Debug)]
pub struct WaitArgs {
    /// How long to wait for the end, e.g. 500ms, 30s, 5m.
    #[arg(long, default_value = "30s", value_name = "DURATION", value_parser = wait)]
    wait: Duration,
}

impl WaitArgs {
    /// When to wait no longer.
    pub fn deadline(&self) -> Instant {
        Instant::now() + self.wait
    }
}

fn wait(text: &str) -> Result<Duration, String> {
    let bounds = Duration::from_millis(500)..=Duration::from_secs(24 * 3600);
    let read = humantime::parse_duration(text).ok().filter(|wait| bounds.contains(wait));
    read.ok_or_else(|| "must be from 500ms to 1day, with its unit: 30s".to_owned())
}

/// What is left until a deadline, for one call.
pub fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now()).clamp(SHORTEST_CALL, LONGEST_CALL)
}

/// Waits until the deadline while somebody still works on the payment.
pub(crate) async fn to_the_end(gateway: &Gateway, mut payment: Payment, deadline: Instant) -> Payment {
    let mut is_told = false;
    while is_under_way(payment.state()) && Instant::now() + SHORTEST_CALL < deadline {
        if !is_told {
            note(&format!("{} is {}: waiting for its end …", printable(&payment.id), state(&payment)));
            is_told = true;
        }
        let request = WaitPaymentRequest { key: Some(Key::Id(payment.id.clone())), after_sequence: 0 };
        match gateway.payments.clone().wait_payment(within(left(deadline), request)).await {
            Ok(answer) => payment = answer.into_inner().payment.unwrap_or(payment),
            Err(status) if is_refusal(&status) => {
                note(&Failure::read(status).to_string());
                break;
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
    payment
}

/// Whether somebody works on it, so that waiting makes sense.
fn is_under_way(state: PaymentState) -> bool {
    matches!(state, PaymentState::Submitted | PaymentState::Unknown | PaymentState::Held)
}

/// Shows a payment in the answer that it belongs to, says what to do next, and what it comes to. What is known counts, even if nobody
/// reads it.
pub fn conclude<M: Message + Name>(screen: &Screen, answer: &M, payment: &Payment) -> Outcome {
    if let Err(failure) = screen.show(answer, |_| payments::one(payment)) {
        note(&format!("rialto: {failure}"));
    }
    if let Some(next) = next_step(payment) {
        note(&format!("→ {next}"));
    }
    Outcome::of(payment.state())
}

fn next_step(payment: &Payment) -> Option<String> {
    let id = printable(&payment.id);
    Some(match payment.state() {
        PaymentState::Submitted | PaymentState::Unknown => {
            format!("not known yet, do not pay again: rialto wait {id}")
        }
        PaymentState::Held => {
            format!(
                "the bank is down and is paid when it is back, do not pay again: rialto wait {id}, or rialto cancel {id}"
            )
        }
        PaymentState::Investigate => {
            format!("people have to look at it, do not pay again: tell your operator of {id}")
        }
        PaymentState::Authorized => format!("the money is held: rialto capture {id}, or rialto cancel {id}"),
        PaymentState::Failed => {
            "nothing was paid and nothing is held; a new try is a new request id".to_owned()
        }
        _ => return None,
    })
}

/// A payment's state in one word.
pub fn state(payment: &Payment) -> &'static str {
    crate::screen::word(payment.state().as_str_name(), "PAYMENT_STATE_")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_state(state: PaymentState) -> Payment {
        Payment { id: "pay_1".to_owned(), state: state.into(), ..Payment::default() }
    }

    #[test]
    fn who_does_not_know_is_told_not_to_pay_again() {
        for state in
            [PaymentState::Submitted, PaymentState::Unknown, PaymentState::Held, PaymentState::Investigate]
        {
            assert_eq!(Outcome::of(state), Outcome::NotKnown);
            assert!(next_step(&in_state(state)).unwrap().contains("do not pay again"), "{state:?}");
        }
        for state in [PaymentState::Failed, PaymentState::Cancelled, PaymentState::Expired] {
            assert_eq!(Outcome::of(state), Outcome::Refused);
        }
        assert_eq!(Outcome::of(PaymentState::Succeeded), Outcome::Done);
        // A state that this program does not know yet.
        let later = Payment { state: 99, ..Payment::default() };
        assert_eq!(Outcome::of(later.state()), Outcome::NotKnown);
    }

    #[test]
    fn waits_have_bounds_and_units() {
        assert_eq!(wait("30s"), Ok(Duration::from_secs(30)));
        for bad in ["30", "", "0s", "2days", "-1s"] {
            assert!(wait(bad).is_err(), "{bad}");
        }
    }
}
