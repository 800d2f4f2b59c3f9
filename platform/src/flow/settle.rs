//! Settle: carries a payment that the book has written to its bank, and has the book take note of what became of it.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use common::{id::TransferId, order::PayeeAccount, trace::TraceParent};
use proto::{
    channel::{
        self, CreditTransfer, Instruction, Party, StatusEnquiry, instruction::Message, outcome::Verdict,
        party,
    },
    convert,
};
use tokio::{sync::mpsc, time::Instant};
use tracing::Instrument;

use super::{Flow, book::NotWritten};
use crate::{
    directory::SEND_WINDOW,
    domain::{
        ledger::{Command, Conclude, Declined, Outcome},
        payment::{Attempt, Evidence, Submission},
    },
};

const FIRST_SEND_PAUSE: Duration = Duration::from_millis(100);

/// When to ask the bank again after the first, second … enquiry; the last one goes on for ever.
const ENQUIRY_PAUSES: [Duration; 8] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(15),
    Duration::from_secs(45),
    Duration::from_secs(120),
    Duration::from_secs(600),
    Duration::from_secs(3600),
];

/// Whether a byte of the attempt may have left before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    /// Never: the attempt was written by this very commit.
    Never,
    /// Perhaps.
    Perhaps,
}

/// What the channel said of an instruction; what it does not say is as uncertain as it can be.
enum Heard {
    Evidence(Evidence),
    NotSent(String),
    NotFound,
}

/// Settles what the book has written, each payment in a task of its own.
pub(super) async fn run(
    flow: Arc<Flow>,
    mut submissions: mpsc::UnboundedReceiver<(Submission, TraceParent)>,
) {
    while let Some((submission, trace)) = submissions.recv().await {
        let settling = Arc::clone(&flow);
        let span = span(&submission, trace);
        let trace = trace.adopt(&span);
        flow.settling.spawn(
            async move {
                let evidence = settling.send(&submission, Sent::Never, trace).await;
                settling.conclude(&submission, evidence, trace).await;
            }
            .instrument(span),
        );
    }
}

/// The span of the work on a payment: the log's lines in it carry trace and payment.
pub(super) fn span(submission: &Submission, trace: TraceParent) -> tracing::Span {
    let bank = submission.payment.bank_id.as_deref().unwrap_or_default();
    tracing::info_span!("settle", trace_id = %trace.trace_id(), payment = %submission.payment.id, bank)
}

impl Flow {
    /// Sends the attempt. While nothing of it has left, a bank that can't be reached is tried again for a short while; then
    /// the payment has certainly never been sent.
    async fn send(&self, submission: &Submission, sent: Sent, trace: TraceParent) -> Evidence {
        let give_up = Instant::now() + SEND_WINDOW;
        let mut pause = FIRST_SEND_PAUSE;
        loop {
            let late = self.clock.now() >= submission.attempt.valid_until;
            let heard = match late {
                true => Heard::NotSent("the bank no longer takes the payment".to_owned()),
                false => self.ask_channel(submission, credit_transfer(submission), trace).await,
            };
            match heard {
                Heard::Evidence(evidence) if binds(&evidence, sent) => return evidence,
                Heard::Evidence(_) => {
                    let detail = "the bank refused a copy, and is asked what became of the first";
                    return self.inconclusive(submission, "RESEND_REFUSED", detail);
                }
                Heard::NotFound => {
                    return self.inconclusive(submission, "ANSWER_UNREADABLE", "not an enquiry's answer");
                }
                Heard::NotSent(detail) if sent == Sent::Perhaps => {
                    return self.inconclusive(submission, "BANK_UNREACHABLE", &detail);
                }
                Heard::NotSent(detail) if late || Instant::now() + pause >= give_up => {
                    return Evidence::NeverSent { detail };
                }
                Heard::NotSent(_) => tokio::time::sleep(pause).await,
            }
            pause *= 2;
        }
    }

    /// Goes on with a payment of which it is not known how far it came: asks the bank, and sends only what it never received
    /// and still takes.
    pub(super) async fn enquire(&self, submission: &Submission, trace: TraceParent) -> Evidence {
        let enquiry = Message::StatusEnquiry(StatusEnquiry {
            enquiry_id: format!("e{}", uuid::Uuid::new_v4().simple()),
            return_request: None,
        });
        match self.ask_channel(submission, enquiry, trace).await {
            Heard::Evidence(evidence) => evidence,
            Heard::NotSent(detail) => self.inconclusive(submission, "BANK_UNREACHABLE", &detail),
            Heard::NotFound => {
                match after_not_found(&submission.attempt, self.clock.now(), self.limits.max_clock_skew) {
                    AfterNotFound::SendAgain => self.send(submission, Sent::Perhaps, trace).await,
                    AfterNotFound::WaitForFence(resume_after) => Evidence::Inconclusive {
                        reason: "NOT_RECEIVED_YET".to_owned(),
                        detail: "the bank has not received the payment, which may still be on its way"
                            .to_owned(),
                        resume_after,
                    },
                    AfterNotFound::NeverReceived => Evidence::NeverReceived,
                }
            }
        }
    }

    async fn ask_channel(&self, submission: &Submission, message: Message, trace: TraceParent) -> Heard {
        let instruction = instruction(submission, message, trace);
        let answer = match self.channel.ask(instruction) {
            Ok(answer) => answer,
            Err(not_asked) => return Heard::NotSent(format!("the channel is not there: {not_asked:?}")),
        };
        match answer.await {
            Ok(outcome) => self.heard(submission, outcome),
            Err(_lost) => {
                let detail = "the connection to the channel broke; the bank is being asked";
                Heard::Evidence(self.inconclusive(submission, "CHANNEL_LOST", detail))
            }
        }
    }

    fn heard(&self, submission: &Submission, outcome: channel::Outcome) -> Heard {
        match outcome.verdict {
            Some(Verdict::Accepted(accepted)) => {
                Heard::Evidence(Evidence::Accepted { bank_message_id: accepted.bank_message_id })
            }
            Some(Verdict::Rejected(rejected)) => Heard::Evidence(Evidence::Rejected {
                iso_code: rejected.iso_code,
                text: rejected.text,
                bank_message_id: rejected.bank_message_id,
            }),
            Some(Verdict::NotSent(not_sent)) => {
                Heard::NotSent(format!("{}: {}", not_sent.reason, not_sent.detail))
            }
            Some(Verdict::NotFound(_)) => Heard::NotFound,
            Some(Verdict::Unknown(unknown)) => {
                Heard::Evidence(self.inconclusive(submission, &unknown.reason, &unknown.detail))
            }
            // A verdict of a newer channel: never taken for a success or a failure.
            None => {
                Heard::Evidence(self.inconclusive(submission, "ANSWER_UNREADABLE", "a verdict unknown here"))
            }
        }
    }

    /// Nothing is certain: the hold stays, and the bank is asked once its clock has run, then ever more rarely.
    fn inconclusive(&self, submission: &Submission, reason: &str, detail: &str) -> Evidence {
        let bank = submission.payment.bank_id.as_deref().unwrap_or_default();
        let first_enquiry = submission.attempt.accept_time + self.directory.enquire_after(bank);
        let to_first = first_enquiry.duration_since(self.clock.now()).unwrap_or_default();
        let tries = usize::try_from(submission.lease.tries.saturating_sub(1)).unwrap_or(0);
        let pause = ENQUIRY_PAUSES[tries.min(ENQUIRY_PAUSES.len() - 1)];
        let pause = if to_first.is_zero() { pause * rand::random_range(80..=120) / 100 } else { to_first };
        Evidence::Inconclusive { reason: reason.to_owned(), detail: detail.to_owned(), resume_after: pause }
    }

    /// Has the book take note of the evidence, and tells who waits. What can't be written now is learnt again by recovery.
    pub(super) async fn conclude(&self, submission: &Submission, evidence: Evidence, trace: TraceParent) {
        let accepted = matches!(evidence, Evidence::Accepted { .. });
        let conclude = Conclude {
            payment: submission.payment.id,
            token: submission.lease.token,
            evidence,
            transfer: TransferId::new(&self.clock),
        };
        let outcome = loop {
            match self.book.write(Command::Conclude(Box::new(conclude.clone())), trace).await {
                Err(NotWritten::Overloaded) => tokio::time::sleep(Duration::from_millis(20)).await,
                other => break other,
            }
        };
        match outcome {
            Ok(Outcome::Payment(payment)) => {
                let state = payment.state.name();
                let reason = payment.reason.as_ref().map(|reason| reason.code.as_str()).unwrap_or_default();
                if accepted && payment.state != crate::domain::payment::State::Succeeded {
                    tracing::error!(state, reason, "ALARM: the bank accepted a payment that is final here");
                }
                tracing::info!(state, reason, "concluded");
                self.waiters.tell(&payment);
            }
            Ok(Outcome::Declined(Declined::LeaseLost)) => {
                tracing::warn!(
                    "another worker has taken the payment over; what was learnt here is left to it"
                );
            }
            other => tracing::warn!(?other, "not recorded; recovery will ask the bank"),
        }
    }
}

/// Whether the answer to a send says what became of the payment. A refusal of a re-send may be of the copy alone, while
/// the first was executed.
fn binds(evidence: &Evidence, sent: Sent) -> bool {
    sent == Sent::Never || !matches!(evidence, Evidence::Rejected { .. })
}

/// What to do about a payment that its bank does not know.
#[derive(Debug, PartialEq, Eq)]
enum AfterNotFound {
    SendAgain,
    WaitForFence(Duration),
    NeverReceived,
}

/// "Not found" binds only behind the fence: once the bank refuses the payment whatever its clock says. Before, it may
/// still be on its way, and is sent again under the same ids while the bank takes it.
fn after_not_found(attempt: &Attempt, now: SystemTime, max_clock_skew: Duration) -> AfterNotFound {
    let fence = attempt.valid_until + max_clock_skew;
    if now < attempt.valid_until {
        AfterNotFound::SendAgain
    } else if let Ok(left) = fence.duration_since(now) {
        AfterNotFound::WaitForFence(left + Duration::from_millis(1))
    } else {
        AfterNotFound::NeverReceived
    }
}

fn instruction(submission: &Submission, message: Message, trace: TraceParent) -> Instruction {
    let payment = &submission.payment;
    Instruction {
        correlation_id: 0,
        traceparent: trace.to_string(),
        bank_id: payment.bank_id.clone().unwrap_or_default(),
        uetr: payment.uetr.to_string(),
        message_id: submission.attempt.message_id(payment.id),
        end_to_end_id: payment.end_to_end_id.clone(),
        amount: Some(convert::money_to_wire(payment.amount)),
        accept_time: Some(convert::time_to_wire(submission.attempt.accept_time)),
        message: Some(message),
    }
}

fn credit_transfer(submission: &Submission) -> Message {
    let payment = &submission.payment;
    let debtor = match &submission.debtor_iban {
        Some(iban) => party::Account::Iban(iban.clone()),
        None => party::Account::AccountNumber(payment.payer_account.uuid().simple().to_string()),
    };
    let creditor = match &payment.payee.account {
        PayeeAccount::Iban(iban, _) => party::Account::Iban(iban.as_str().to_owned()),
        PayeeAccount::Number(number, _) => party::Account::AccountNumber(number.clone()),
        PayeeAccount::Ledger(account) => party::Account::AccountNumber(account.uuid().simple().to_string()),
    };
    Message::CreditTransfer(CreditTransfer {
        debtor: Some(Party { name: submission.debtor_name.clone(), account: Some(debtor) }),
        creditor: Some(Party { name: payment.payee.name.clone(), account: Some(creditor) }),
        remittance_information: payment.remittance_information.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn not_found_binds_only_behind_the_fence() {
        const SKEW: Duration = Duration::from_secs(10);
        let start = SystemTime::UNIX_EPOCH;
        let after = |seconds| start + Duration::from_secs(seconds);
        let attempt = Attempt { number: 1, accept_time: start, valid_until: after(20) };
        let wait = |seconds: u64| AfterNotFound::WaitForFence(Duration::from_millis(seconds * 1_000 + 1));
        for (seconds, then) in [
            (0, AfterNotFound::SendAgain),
            (19, AfterNotFound::SendAgain),
            (20, wait(10)),
            (30, wait(0)),
            (31, AfterNotFound::NeverReceived),
        ] {
            assert_eq!(after_not_found(&attempt, after(seconds), SKEW), then, "after {seconds} s");
        }
    }

    #[test]
    fn a_refused_copy_is_no_refused_payment() {
        let bank_message_id = String::new;
        let rejected = Evidence::Rejected {
            iso_code: "AC04".to_owned(),
            text: String::new(),
            bank_message_id: bank_message_id(),
        };
        let accepted = Evidence::Accepted { bank_message_id: bank_message_id() };
        assert!(binds(&rejected, Sent::Never));
        assert!(!binds(&rejected, Sent::Perhaps));
        assert!(binds(&accepted, Sent::Never) && binds(&accepted, Sent::Perhaps));
    }
}
