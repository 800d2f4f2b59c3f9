//! Settle: carries a payment that the book has written to its bank, and has the book take note of what became of it.

use std::{mem, sync::Arc, time::Duration};

use common::{
    crash_point,
    id::{BankMessageId, PaymentId, new_uetr},
    planted,
    trace::{Span, SpanKind, TraceParent},
};
use proto::channel::{self, StatusEnquiry, instruction::Message, outcome::Verdict};
use tokio::{sync::mpsc, time::Instant};
use tracing::Instrument;
use uuid::Uuid;

use super::{
    Flow,
    book::{NotWritten, ToSend},
    fence::{AfterNotFound, after_not_found},
    message::{instruction, order, return_request},
};
use crate::{
    directory::SEND_WINDOW,
    domain::{
        ledger::{BankMessage, Command, Compensation, Conclude, Declined, Outcome, Witness},
        payment::{Evidence, Kind, Lease, Payment, Submission},
    },
};

/// How long a payment waits for its bank before it is looked at again.
const NEXT_ATTEMPT_AFTER: Duration = Duration::from_secs(1);
/// Reasons of the channel that no repetition changes.
const NEVER_SENDABLE: [&str; 3] = ["INVALID_INSTRUCTION", "BANK_NOT_IN_DIRECTORY", "RETURN_NOT_SUPPORTED"];
/// Reasons of the channel by which the bank speaks of something else than what was sent.
const CONTRADICTIONS: [&str; 1] = ["ANSWER_CONTRADICTS_AMOUNT"];

/// How long to go on recording what is known while the database is not there; then it is left to recovery.
const RECORD_WINDOW: Duration = Duration::from_secs(3);
const RECORD_PAUSE: Duration = Duration::from_millis(20);

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
    NotSent { reason: String, detail: String },
    NotFound,
}

/// What is known of an attempt, and what its bank said, if people may want to read it.
pub(super) struct Learnt {
    evidence: Evidence,
    bank_message: Vec<u8>,
}

impl Learnt {
    pub(super) fn new(evidence: Evidence, bank_message: Vec<u8>) -> Self {
        Self { evidence, bank_message }
    }
}

/// Settles what the book has written, each payment in a task of its own.
pub(super) async fn run(flow: Arc<Flow>, mut submissions: mpsc::UnboundedReceiver<ToSend>) {
    while let Some((submission, context)) = submissions.recv().await {
        let settling = Arc::clone(&flow);
        let span = described(context.trace.span("settle", SpanKind::Internal), &submission.payment);
        let trace = span.context();
        let logged = log_span(&submission.payment, trace);
        flow.settling.spawn(
            async move {
                let learnt = settling.send(&submission, Sent::Never, trace).await;
                crash_point::here("settle.after_send");
                settling.conclude(&submission.payment, Some(submission.lease), learnt, trace).await;
                drop((context.place, span));
            }
            .instrument(logged),
        );
    }
}

/// The span with what it works on.
pub(super) fn described(mut span: Span, payment: &Payment) -> Span {
    if span.is_recording() {
        span.set("rialto.payment.id", payment.id.to_string());
        span.set("rialto.bank.id", payment.bank_id.clone().unwrap_or_default());
    }
    span
}

/// What the log's lines about the work on a payment carry.
pub(super) fn log_span(payment: &Payment, trace: TraceParent) -> tracing::Span {
    let bank = payment.bank_id.as_deref().unwrap_or_default();
    tracing::info_span!("settle", trace_id = %trace.trace_id(), payment = %payment.id, bank)
}

impl Flow {
    /// Sends the attempt. While nothing of it has left, a bank that can't be reached is tried again for a short while; then
    /// the payment has certainly never been sent.
    async fn send(&self, submission: &Submission, sent: Sent, trace: TraceParent) -> Learnt {
        let give_up = Instant::now() + SEND_WINDOW;
        let mut pause = FIRST_SEND_PAUSE;
        crash_point::here("settle.before_send");
        if submission.payment.kind.is_taken_back() {
            crash_point::here("settle.before_return_request");
        }
        loop {
            let late = self.clock.now() >= submission.attempt.valid_until;
            let (heard, message) = match late {
                true => nothing(Heard::not_sent("TOO_LATE", "the bank no longer takes the payment")),
                false => self.ask_channel(submission, order(submission), trace).await,
            };
            let evidence = match heard {
                Heard::Evidence(evidence) if binds(&evidence, sent) => evidence,
                Heard::Evidence(_) => {
                    let detail = "the bank refused a copy, and is asked what became of the first";
                    self.inconclusive(submission, "RESEND_REFUSED", detail)
                }
                Heard::NotFound => {
                    self.inconclusive(submission, "ANSWER_UNREADABLE", "not an enquiry's answer")
                }
                Heard::NotSent { reason, detail } if sent == Sent::Perhaps => {
                    self.inconclusive(submission, &reason, &detail)
                }
                Heard::NotSent { reason, detail } => {
                    // Another channel may reach a bank that this one does not.
                    let is_hopeless = late || reason == "BANK_OFFLINE" && !self.is_online(submission);
                    let is_final = NEVER_SENDABLE.contains(&reason.as_str());
                    if is_hopeless || is_final || Instant::now() + pause >= give_up {
                        let next_attempt_after = self.next_attempt(submission).filter(|_| !is_final);
                        Evidence::NeverSent { detail, next_attempt_after }
                    } else {
                        tokio::time::sleep(pause).await;
                        pause *= 2;
                        continue;
                    }
                }
            };
            return Learnt::new(evidence, message);
        }
    }

    /// Whether any channel reaches the payment's bank, as far as is known.
    fn is_online(&self, submission: &Submission) -> bool {
        let bank = submission.payment.bank_id.as_deref().and_then(|id| self.directory.bank_by_id(id));
        bank.is_some_and(|bank| bank.online)
    }

    /// When another attempt is made after a binding negative, if the payment waits for its bank at all. What the house
    /// takes back waits at every bank.
    fn next_attempt(&self, submission: &Submission) -> Option<Duration> {
        let bank = submission.payment.bank_id.as_deref().and_then(|id| self.directory.bank_by_id(id));
        let waits = submission.payment.kind == Kind::Return || bank.is_some_and(|bank| bank.waits);
        (waits && submission.attempt.may_be_followed()).then_some(NEXT_ATTEMPT_AFTER)
    }

    /// Goes on with a payment of which it is not known how far it came: asks the bank, and sends only what it never received
    /// and still takes.
    pub(super) async fn enquire(&self, submission: &Submission, trace: TraceParent) -> Learnt {
        let enquiry = Message::StatusEnquiry(StatusEnquiry {
            enquiry_id: format!("e{}", Uuid::new_v4().simple()),
            return_request: return_request(submission),
        });
        crash_point::here("recover.before_enquiry");
        let (heard, message) = self.ask_channel(submission, enquiry, trace).await;
        let evidence = match heard {
            Heard::Evidence(evidence) => evidence,
            Heard::NotSent { reason, detail } => self.inconclusive(submission, &reason, &detail),
            Heard::NotFound => {
                match after_not_found(&submission.attempt, self.clock.now(), self.limits.max_clock_skew) {
                    AfterNotFound::SendAgain => return self.send(submission, Sent::Perhaps, trace).await,
                    AfterNotFound::WaitForFence(resume_after) => Evidence::Inconclusive {
                        reason: "NOT_RECEIVED_YET".to_owned(),
                        detail: "the bank has not received the payment, which may still be on its way"
                            .to_owned(),
                        resume_after,
                    },
                    AfterNotFound::NeverReceived => {
                        Evidence::NeverReceived { next_attempt_after: self.next_attempt(submission) }
                    }
                }
            }
        };
        Learnt::new(evidence, message)
    }

    /// What the channel knows, and what the bank said.
    async fn ask_channel(
        &self,
        submission: &Submission,
        message: Message,
        trace: TraceParent,
    ) -> (Heard, Vec<u8>) {
        let instruction = instruction(submission, message, trace);
        let answer = match self.channel.ask(Box::new(instruction)) {
            Ok(answer) => answer,
            Err(not_asked) => {
                let detail = format!("the channel is not there: {not_asked:?}");
                return nothing(Heard::not_sent("CHANNEL_UNAVAILABLE", &detail));
            }
        };
        match answer.await {
            Ok(mut outcome) => {
                let message = mem::take(&mut outcome.bank_message);
                (self.heard(submission, outcome), message)
            }
            Err(_lost) if planted::is("X5") => nothing(Heard::Evidence(Evidence::NeverSent {
                detail: "the connection to the channel broke".to_owned(),
                next_attempt_after: None,
            })),
            Err(_lost) => {
                let detail = "the connection to the channel broke; the bank is being asked";
                nothing(Heard::Evidence(self.inconclusive(submission, "CHANNEL_LOST", detail)))
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
                Heard::NotSent { reason: not_sent.reason, detail: not_sent.detail }
            }
            Some(Verdict::NotFound(_)) => Heard::NotFound,
            Some(Verdict::Unknown(unknown)) if CONTRADICTIONS.contains(&unknown.reason.as_str()) => {
                Heard::Evidence(Evidence::Contradictory { reason: unknown.reason, detail: unknown.detail })
            }
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
        if planted::is("M4") {
            return Evidence::NeverSent { detail: detail.to_owned(), next_attempt_after: None };
        }
        let bank = submission.payment.bank_id.as_deref().and_then(|id| self.directory.bank_by_id(id));
        let enquire_after = bank.map_or(Duration::ZERO, |bank| bank.enquire_after);
        let first_enquiry = submission.attempt.accept_time + enquire_after;
        let to_first = first_enquiry.duration_since(self.clock.now()).unwrap_or_default();
        let tries = usize::try_from(submission.lease.tries.saturating_sub(1)).unwrap_or(0);
        let pause = ENQUIRY_PAUSES[tries.min(ENQUIRY_PAUSES.len() - 1)];
        let pause = if to_first.is_zero() { pause * rand::random_range(80..=120) / 100 } else { to_first };
        Evidence::Inconclusive { reason: reason.to_owned(), detail: detail.to_owned(), resume_after: pause }
    }

    /// Has the book take note of the evidence, which the holder of the lease brings, or without one the bank itself, and tells
    /// who waits. Returns whether it is on record; what is not is learnt again by recovery, or told again by the bank.
    pub(super) async fn conclude(
        &self,
        payment: &Payment,
        lease: Option<Lease>,
        learnt: Learnt,
        trace: TraceParent,
    ) -> bool {
        let Learnt { evidence, bank_message } = learnt;

        let conclude = Conclude {
            payment: payment.id,
            original: payment.original,
            known: lease.map(|lease| Box::new((payment.clone(), lease))),
            witness: lease.map_or(Witness::Bank, |lease| Witness::Lease(lease.token)),
            evidence,
            compensation: self.compensation(payment),
            bank_message: (!bank_message.is_empty())
                .then(|| BankMessage { id: BankMessageId::new(&self.clock), body: bank_message }),
        };
        let give_up = Instant::now() + RECORD_WINDOW;
        let outcome = loop {
            match self.book.write(Command::Conclude(Box::new(conclude.clone())), trace).await {
                Err(NotWritten::Overloaded) => tokio::time::sleep(RECORD_PAUSE).await,
                Err(NotWritten::Unavailable) if Instant::now() < give_up => {
                    tokio::time::sleep(RECORD_PAUSE).await;
                }
                other => break other,
            }
        };
        match outcome {
            Ok(Outcome::Payment(payment)) => {
                let state = payment.state.name();
                let reason = payment.reason.as_ref().map(|reason| reason.code.as_str()).unwrap_or_default();
                tracing::info!(state, reason, "concluded");
                self.waiters.tell(&payment);
                true
            }
            Ok(Outcome::Declined(Declined::LeaseLost)) => {
                tracing::warn!(
                    "another worker has taken the payment over; what was learnt here is left to it"
                );
                false
            }
            other => {
                tracing::warn!(?other, "not recorded; recovery will ask the bank");
                false
            }
        }
    }

    /// What a success would be taken back with, should it turn out to come late.
    fn compensation(&self, payment: &Payment) -> Option<Compensation> {
        let bank = self.directory.bank_by_id(payment.bank_id.as_deref()?)?;
        Some(Compensation {
            suspense_account: bank.house_account(payment.amount.currency(), true)?,
            payment: PaymentId::new(&self.clock),
            uetr: new_uetr(),
            bank_id: bank.id.clone(),
        })
    }
}

impl Heard {
    fn not_sent(reason: &str, detail: &str) -> Self {
        Self::NotSent { reason: reason.to_owned(), detail: detail.to_owned() }
    }
}

/// What no bank said anything about.
fn nothing(heard: Heard) -> (Heard, Vec<u8>) {
    (heard, Vec::new())
}

/// Whether the answer to a send says what became of the payment. A refusal of a re-send may be of the copy alone, while
/// the first was executed.
fn binds(evidence: &Evidence, sent: Sent) -> bool {
    sent == Sent::Never || !matches!(evidence, Evidence::Rejected { .. })
}

#[cfg(test)]
mod tests {
    use super::*;

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
