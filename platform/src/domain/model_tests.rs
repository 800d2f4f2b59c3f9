//! The rules against a model so small that it can be seen to be right: random commands in random batches, each reply
//! foretold by the model, the books checked after every batch.

mod model;
mod play;
mod rules;
mod steps;
mod tally;
mod twin;
mod world;

use std::cell::RefCell;

use proptest::test_runner::{Config, TestCaseError, TestRunner};

use crate::domain::limits::Window;
use model::{Model, reply::Reply};
use play::Play;
use steps::{Act, Step, steps};
use tally::Tally;
use twin::{Twin, accounts};

/// Cases of one run; `PROPTEST_CASES` asks for more.
const CASES: u32 = 600;
/// Commands that one run carries out at least.
const ENOUGH: usize = 20_000;

/// Two twins: one takes batches, the other every command by itself.
struct Ledgers {
    batched: Twin,
    one_by_one: Twin,
}

impl Ledgers {
    fn act(&mut self, act: Act, tally: &mut Tally) -> Result<(), TestCaseError> {
        match act {
            Act::Commit(commands, foretold) => {
                let before = self.batched.payments.clone();
                let (outcomes, _) = self.batched.commit(&commands);
                for ((command, outcome), foretold) in commands.iter().zip(&outcomes).zip(&foretold) {
                    let reply = Reply::of(outcome);
                    tally.count(command, &reply);
                    same(&reply, foretold, &format!("the reply to {command:?}"))?;
                }
                let alone: Vec<_> =
                    commands.into_iter().map(|command| self.one_by_one.commit_one(command)).collect();
                same(&outcomes, &alone, "a batch decides as its commands one by one")?;
                for payment in before.values().filter(|payment| payment.state.is_final()) {
                    same(&self.batched.payments[&payment.id], payment, "a final state never changes")?;
                }
            }
            Act::TakeOver(payment) => self.both(|twin| twin.take_over(payment)),
            Act::Wait(seconds) => self.both(|twin| twin.now_s += seconds),
            Act::Limit(subject, rules) => self.both(|twin| twin.limit(&subject, rules)),
            Act::Close(account, closed) => self.both(|twin| {
                twin.accounts.get_mut(&account).expect("the account").closed = closed;
            }),
        }
        Ok(())
    }

    fn both(&mut self, change: impl Fn(&mut Twin)) {
        change(&mut self.batched);
        change(&mut self.one_by_one);
    }

    /// Each account has what the model counts, and people were told of what they should look at.
    fn compare(&self, model: &Model) -> Result<(), TestCaseError> {
        same(&self.batched, &self.one_by_one, "both ledgers")?;
        for (id, account) in &self.batched.accounts {
            same(&account.balances, &model.balances(*id), &format!("the sums of {id}"))?;
        }
        for (subject, used) in model.all_used() {
            let (limits, now) = (self.batched.limits[subject], self.batched.now());
            let found = [limits.hour.at(Window::Hour, now), limits.day.at(Window::Day, now)];
            let found = found.map(|used| (used.minor_units, used.payments));
            same(&found, &used, &format!("what is used of the limits of {subject:?}"))?;
        }
        let alarms = self.batched.alarms.keys().copied().collect();
        same(&alarms, &model.alarms, "alarms")
    }
}

fn same<T: PartialEq + std::fmt::Debug>(found: &T, wanted: &T, what: &str) -> Result<(), TestCaseError> {
    if found == wanted {
        return Ok(());
    }
    Err(TestCaseError::fail(format!("{what}\n   is {found:?}\n  not {wanted:?}")))
}

fn run(steps: &[Step], tally: &mut Tally) -> Result<(), TestCaseError> {
    let mut ledgers = Ledgers { batched: accounts(), one_by_one: accounts() };
    let (mut play, first) = Play::begin(false);
    ledgers.act(first, tally)?;
    for step in steps.iter().chain([&Step::Commit { answer_lost: true }]) {
        let acts = play.step(step);
        let is_commit = !acts.is_empty();
        for act in acts {
            ledgers.act(act, tally)?;
        }
        if is_commit {
            ledgers.compare(&play.model)?;
        }
    }
    Ok(())
}

#[test]
fn every_reply_is_the_models_and_the_books_balance() {
    let config = Config { failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new(Config { cases: config.cases.max(CASES), ..config });
    let tally = RefCell::new(Tally::default());
    let result = runner.run(&steps(), |steps| run(&steps, &mut tally.borrow_mut()));
    if let Err(failed) = result {
        panic!("{failed}");
    }
    tally.into_inner().check(ENOUGH);
}
