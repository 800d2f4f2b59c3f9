//! Turns steps into commands, and says with the model what must come of them.

use super::{
    model::{Known, Model},
    steps::*,
    world::*,
};
use crate::domain::{
    ledger::{BankRoute, Cancel, Capture, Command, NoRoute, Refund, Resolve, Ruling, Witness},
    payment::{Kind, State},
};
use common::{id::PaymentId, money::Money, order};
use std::time::Duration;

/// A case as it goes on.
#[derive(Debug)]
pub struct Play {
    pub model: Model,
    /// Whether a batch is written as the book does it: ends of payments first.
    ends_first: bool,
    batch: Vec<Command>,
    /// What callers asked for, to be asked again.
    asked: Vec<Command>,
    count: u128,
}

impl Play {
    /// Begins with money on Alice's and Bob's accounts, which the act puts there.
    pub fn begin(ends_first: bool) -> (Self, Act) {
        let (model, batch) = (Model::new(), first_deposits(2_000));
        let mut play = Self { model, ends_first, batch, asked: Vec::new(), count: 0 };
        let act = play.commit();
        (play, act)
    }

    /// What is to be done for a step.
    pub fn step(&mut self, step: &Step) -> Vec<Act> {
        self.count += 1;
        match step {
            Step::Commit { answer_lost } => {
                let again = if *answer_lost { self.batch.clone() } else { Vec::new() };
                let first = self.commit();
                self.batch = again;
                return vec![first, self.commit()];
            }
            Step::TakeOver { nth } => {
                let committed = self.commit();
                let id = self.pick(*nth, true, |model, known| model.state(known) != State::Succeeded);
                self.model.take_over(id);
                return vec![committed, Act::TakeOver(id)];
            }
            Step::Wait { seconds } => {
                self.model.now_s += seconds;
                return vec![Act::Wait(*seconds)];
            }
            Step::Close { number, closed } => {
                let id = account(*number);
                match closed {
                    true => self.model.closed.insert(id),
                    false => self.model.closed.remove(&id),
                };
                return vec![Act::Close(id, *closed)];
            }
            Step::Limit { all, rules } => {
                let subject = match all {
                    true => order::LimitSubject::Participant("alice".to_owned(), money(1, EUR).currency()),
                    false => order::LimitSubject::Account(account(ALICE)),
                };
                self.model.limits.insert(subject.clone(), *rules);
                return vec![Act::Limit(subject, *rules)];
            }
            Step::Repeat { nth, changed } => {
                if !self.asked.is_empty() {
                    let earlier = self.asked[nth % self.asked.len()].clone();
                    self.batch.push(again(earlier, self.count, *changed));
                }
            }
            Step::Pay { .. } | Step::Capture { .. } | Step::Refund { .. } | Step::Deposit { .. } => {
                let command = self.order(step);
                self.asked.push(command.clone());
                self.batch.push(command);
            }
            _ => {
                let command = self.work(step);
                self.batch.push(command);
            }
        }
        Vec::new()
    }

    /// Commits what has gathered.
    pub fn commit(&mut self) -> Act {
        let mut commands = std::mem::take(&mut self.batch);
        if self.ends_first {
            commands.sort_by_key(|command| !command.is_end());
        }
        let foretold = commands.iter().map(|command| self.model.tell(command)).collect();
        Act::Commit(commands, foretold)
    }

    /// What a caller asks for.
    fn order(&self, step: &Step) -> Command {
        let (count, request) = (self.count, format!("r{}", self.count));
        match *step {
            Step::Pay { payer, to, minor_units, mode, bank, validate_only, is_signed } => {
                let mut pay = pay(count, "alice", &request, payer, to, money(minor_units, EUR));
                pay.order.capture = match mode {
                    Mode::Automatic => order::Capture::Automatic,
                    Mode::Manual(after_s) => order::Capture::Manual(
                        after_s.map(|after_s| self.model.now() + Duration::from_secs(after_s)),
                    ),
                };
                if !to.starts_with('#') {
                    pay.bank = route(bank);
                }
                Command::Pay(Box::new(crate::domain::ledger::Pay { validate_only, is_signed, ..pay }))
            }
            Step::Capture { nth, aimed, part, bank, by } => {
                let id = self.pick(nth, aimed, |model, known| {
                    known.kind == Kind::Authorization && model.state(known) == State::Authorized
                });
                let mut capture =
                    Capture { bank: route(bank), ..capture(count, &request, id, part.amount()) };
                capture.request.participant = by.to_owned();
                Command::Capture(Box::new(capture))
            }
            Step::Refund { nth, aimed, part, bank, by } => {
                let id = self.pick(nth, aimed, |model, known| {
                    known.kind != Kind::Authorization && model.state(known) == State::Succeeded
                });
                let refund = refund(count, by, &request, id, part.amount());
                Command::Refund(Box::new(Refund { bank: route(bank), ..refund }))
            }
            Step::Deposit { to, minor_units, currency } => {
                deposit(count, "alice", &request, to, money(minor_units, currency))
            }
            _ => unreachable!("not an order: {step:?}"),
        }
    }

    /// What is done about a payment that there is.
    fn work(&self, step: &Step) -> Command {
        let count = self.count;
        match *step {
            Step::Cancel { nth, aimed, by } => {
                let id = self.pick(nth, aimed, |model, known| {
                    matches!(model.state(known), State::Held | State::Authorized | State::Cancelled)
                });
                let cancel = cancel(id, self.original(id));
                Command::Cancel(Box::new(Cancel { participant: by.to_owned(), ..cancel }))
            }
            Step::Expire { nth, aimed, stale } => {
                let id = self.pick(nth, aimed, |_, known| known.kind == Kind::Authorization);
                expire(id, self.token(id, stale))
            }
            Step::Submit { nth, aimed, stale } => {
                let id = self.pick(nth, aimed, |model, known| model.state(known) == State::Held);
                submit(id, self.original(id), self.token(id, stale))
            }
            Step::Conclude { nth, aimed, who, evidence: kind } => {
                // Mostly on what the bank has, at times on what is over.
                let is_late = nth.is_multiple_of(3);
                let id = self.pick(nth, aimed, |model, known| {
                    let is_at_bank = matches!(model.state(known), State::Submitted | State::Unknown);
                    known.attempts > 0 && (is_at_bank || is_late)
                });
                let witness = match who {
                    Who::Holder => Witness::Lease(self.token(id, false)),
                    Who::Zombie => Witness::Lease(self.token(id, true)),
                    Who::Bank => Witness::Bank,
                };
                let mut said = said(id, witness, evidence()[kind].clone());
                said.original = self.original(id);
                // Nobody hears of a bank that a payment does not have.
                let is_at_bank = self.model.payments.get(&id).is_some_and(|known| known.is_at_bank);
                said.compensation = (is_at_bank && !count.is_multiple_of(16)).then(|| compensation(count));
                Command::Conclude(Box::new(said))
            }
            Step::Resolve { nth, aimed, actor, succeeded, reference } => {
                let id = self.pick(nth, aimed, |model, known| {
                    matches!(model.state(known), State::Unknown | State::Investigate)
                });
                let resolve = resolve(count, actor, id, succeeded, reference);
                Command::Resolve(Box::new(Resolve { original: self.original(id), ..resolve }))
            }
            Step::DecideDeposit { nth, aimed, ref ruling, by } => self.decision(nth, aimed, ruling, by),
            _ => unreachable!("no work: {step:?}"),
        }
    }

    /// A decision on the nth deposit, mostly one that is pending; what is approved is its amount and so much more.
    fn decision(&self, nth: usize, aimed: bool, ruling: &Ruling, by: &str) -> Command {
        let all: Vec<_> = self.model.deposits.values().collect();
        let pending = all.iter().copied().filter(|arrived| aimed && arrived.is_pending()).collect::<Vec<_>>();
        let from = if pending.is_empty() || nth.is_multiple_of(3) { all } else { pending };
        let arrived = from[nth % from.len()];
        let mut ruling = ruling.clone();
        if let Ruling::Approve { amount, .. } = &mut ruling {
            let more = amount.minor_units();
            *amount = Money::new(arrived.amount.minor_units() + more, arrived.amount.currency());
        }
        let deposit = if !aimed && nth.is_multiple_of(8) { 99_999 } else { arrived.id.uuid().as_u128() };
        decide(self.count, by, deposit, arrived.account.uuid().as_u128(), ruling)
    }

    /// The nth payment that fits, else the nth of all, or one that nobody knows; only what is committed can be named.
    fn pick(&self, nth: usize, aimed: bool, fits: impl Fn(&Model, &Known) -> bool) -> PaymentId {
        let all: Vec<_> = self.model.payments.values().collect();
        let fitting: Vec<_> = all.iter().copied().filter(|known| aimed && fits(&self.model, known)).collect();
        let from = if fitting.is_empty() { all } else { fitting };
        let is_unknown = from.is_empty() || (!aimed && nth.is_multiple_of(8));
        if is_unknown { payment(99_999) } else { from[nth % from.len()].id }
    }

    fn original(&self, payment: PaymentId) -> Option<PaymentId> {
        self.model.payments.get(&payment)?.original
    }

    fn token(&self, payment: PaymentId, stale: bool) -> i64 {
        self.model.payments.get(&payment).map_or(1, |known| known.token) - i64::from(stale)
    }
}

impl Part {
    fn amount(self) -> Option<Money> {
        match self {
            Self::All => None,
            Self::Some(minor_units) => Some(money(minor_units, EUR)),
            Self::Dollars => Some(money(1, USD)),
        }
    }
}

fn route(bank: Bank) -> Result<BankRoute, NoRoute> {
    match bank {
        Bank::Offline => Err(NoRoute::Offline("aurora".to_owned())),
        bank => Ok(aurora(bank == Bank::Waits)),
    }
}

/// The same request with numbers of its own, as it was or with other content.
fn again(mut command: Command, nth: u128, changed: bool) -> Command {
    let other = |earlier| if changed { fingerprint("other") } else { earlier };
    match &mut command {
        Command::Pay(pay) => {
            pay.id = payment(nth);
            pay.request.fingerprint = other(pay.request.fingerprint);
        }
        Command::Capture(capture) => {
            capture.id = payment(nth);
            capture.request.fingerprint = other(capture.request.fingerprint);
        }
        Command::Refund(refund) => {
            refund.id = payment(nth);
            refund.request.fingerprint = other(refund.request.fingerprint);
        }
        Command::Deposit(arrival) => {
            arrival.id = deposit_id(nth);
            arrival.fingerprint = other(arrival.fingerprint);
        }
        other => unreachable!("nobody asks again: {other:?}"),
    }
    command
}
