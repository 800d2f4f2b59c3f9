//! Scripted behaviour: rules that say when a bank does something else than its plain duty.
//!
//! Rules are tried in order for every message, repeats included; the first that matches decides, and without one the
//! bank accepts. A rule never undoes what is in the books: a repeat of a credited payment stays credited whatever a
//! rule says, and only the way of answering changes.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::Deserialize;
use tokio::time::{Duration, Instant};

use crate::line::Link;

mod behaviour;
mod notice;

pub use behaviour::{Behaviour, Saying};
pub use notice::{Notice, Wrong};

/// Which messages a rule looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum On {
    /// A pacs.008.
    #[default]
    Payment,
    /// A pacs.028 about a payment. Account and amount are those of the payment; an unknown payment has neither.
    Enquiry,
    /// A camt.056. The account is that of the payment, the amount what is asked back.
    ReturnRequest,
    /// A pacs.028 about a camt.056. Account and amount are as for that.
    ReturnEnquiry,
    /// All of them.
    Any,
}

impl On {
    /// Every single kind.
    const KINDS: [Self; 4] = [Self::Payment, Self::Enquiry, Self::ReturnRequest, Self::ReturnEnquiry];
}

/// What a rule's conditions are held against.
#[derive(Debug, Clone, Default)]
pub struct Subject {
    /// The creditor's account, where it is known.
    pub account: Option<Box<str>>,
    /// The amount in minor units, where it is known.
    pub minor_units: Option<u64>,
}

/// One rule. All that it names must match; naming nothing matches every message of the kind.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The kind of message.
    #[serde(default)]
    pub on: On,
    /// The creditor's account, exactly as the message writes it.
    #[serde(default)]
    pub account: Option<Box<str>>,
    /// The last two digits of the amount in minor units, 0 to 99.
    #[serde(default)]
    pub minor_units_ending: Option<u8>,
    /// Begins to apply so many milliseconds after the script was given.
    #[serde(default)]
    pub from_ms: u64,
    /// Applies no longer so many milliseconds after the script was given.
    #[serde(default)]
    pub until_ms: Option<u64>,
    /// How many matching messages it lets pass first.
    #[serde(default)]
    pub skip: u32,
    /// In how many of a hundred cases it then applies, 1 to 100.
    #[serde(default)]
    pub share: Option<u8>,
    /// What the share is drawn from: the same seed draws the same of the first, the second, … matching message.
    #[serde(default)]
    pub seed: u64,
    /// How often the rule applies before it is spent; without it, always.
    #[serde(default)]
    pub times: Option<u32>,
    /// What the bank then does.
    #[serde(default)]
    pub behaviour: Behaviour,
    /// What it says unasked besides, about the payment of the message.
    #[serde(default)]
    pub notices: Vec<Notice>,
}

impl Rule {
    fn matches(&self, on: On, subject: &Subject) -> bool {
        (self.on == on || self.on == On::Any)
            && !self.behaviour.is_of_link()
            && self.account.as_deref().is_none_or(|own| subject.account.as_deref() == Some(own))
            && self
                .minor_units_ending
                .is_none_or(|own| subject.minor_units.is_some_and(|amount| amount % 100 == u64::from(own)))
    }

    fn is_open(&self, age: Duration) -> bool {
        age >= Duration::from_millis(self.from_ms)
            && self.until_ms.is_none_or(|until| age < Duration::from_millis(until))
    }

    fn problem(&self) -> Option<&'static str> {
        if self.minor_units_ending.is_some_and(|ending| ending > 99) {
            return Some("minor_units_ending must be 0 to 99");
        }
        if self.times == Some(0) {
            return Some("times must be at least 1");
        }
        if self.share.is_some_and(|share| !(1..=100).contains(&share)) {
            return Some("share must be 1 to 100");
        }
        if self.until_ms.is_some_and(|until| until <= self.from_ms) {
            return Some("until_ms must be after from_ms");
        }
        let has_conditions = self.account.is_some()
            || self.minor_units_ending.is_some()
            || self.share.is_some()
            || self.times.is_some()
            || self.skip > 0
            || !self.notices.is_empty();
        if self.behaviour.is_of_link() && has_conditions {
            return Some("hang and down know no conditions but from_ms and until_ms");
        }
        if !self.notices.is_empty() && matches!(self.on, On::ReturnEnquiry | On::Any) {
            return Some("notices need on = \"payment\", \"enquiry\" or \"return_request\"");
        }
        self.notices.iter().find_map(Notice::problem).or_else(|| self.behaviour.problem(self.on))
    }
}

/// What a rule says to do with a message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chosen {
    /// How to treat it.
    pub behaviour: Behaviour,
    /// What to say unasked.
    pub notices: Vec<Notice>,
    /// How often the rule applied before.
    pub before: usize,
}

/// A rule and how far it is.
#[derive(Debug)]
struct Armed {
    rule: Rule,
    seen: u32,
    applied: u32,
    draws: StdRng,
}

impl Armed {
    /// Whether the rule applies to a message that it matches.
    fn takes(&mut self) -> bool {
        if self.rule.times.is_some_and(|times| self.applied >= times) {
            return false;
        }
        self.seen = self.seen.saturating_add(1);
        let drawn = self.seen > self.rule.skip
            && self.rule.share.is_none_or(|share| self.draws.random_range(0..100) < share);
        self.applied = self.applied.saturating_add(u32::from(drawn));
        drawn
    }
}

/// The rules of one bank, and how far each of them is.
#[derive(Debug)]
pub struct Script {
    rules: Vec<Armed>,
    given: Instant,
}

impl Default for Script {
    fn default() -> Self {
        Self { rules: Vec::new(), given: Instant::now() }
    }
}

impl Script {
    /// Checks `rules` and takes them from now on, or says all that is wrong with them.
    pub fn new(rules: Vec<Rule>) -> Result<Self, Vec<String>> {
        let problems: Vec<String> = rules
            .iter()
            .enumerate()
            .filter_map(|(index, rule)| Some(format!("rule {}: {}", index + 1, rule.problem()?)))
            .collect();
        if !problems.is_empty() {
            return Err(problems);
        }
        let armed = |rule: Rule| Armed { draws: StdRng::seed_from_u64(rule.seed), rule, seen: 0, applied: 0 };
        Ok(Self { rules: rules.into_iter().map(armed).collect(), given: Instant::now() })
    }

    /// What to do with a message that arrived at `now`.
    pub fn choose(&mut self, on: On, subject: &Subject, now: Instant) -> Chosen {
        let age = now - self.given;
        let fitting =
            |armed: &mut Armed| armed.rule.is_open(age) && armed.rule.matches(on, subject) && armed.takes();
        let Some(armed) = self.rules.iter_mut().find_map(|armed| fitting(armed).then_some(armed)) else {
            return Chosen::default();
        };
        Chosen {
            behaviour: armed.rule.behaviour.clone(),
            notices: armed.rule.notices.clone(),
            before: usize::try_from(armed.applied - 1).unwrap_or_default(),
        }
    }

    /// Whether the bank can be reached at `now`, and when that may change.
    pub fn link(&self, now: Instant) -> (Link, Option<Instant>) {
        let age = now - self.given;
        let of_link =
            || self.rules.iter().map(|armed| &armed.rule).filter(|rule| rule.behaviour.is_of_link());
        let link = match of_link().find(|rule| rule.is_open(age)).map(|rule| &rule.behaviour) {
            Some(Behaviour::Down) => Link::Down,
            Some(_) => Link::Hung,
            None => Link::Up,
        };
        let edges = of_link().flat_map(|rule| [Some(rule.from_ms), rule.until_ms]).flatten();
        let times = edges.filter_map(|ms| self.given.checked_add(Duration::from_millis(ms)));
        (link, times.filter(|time| *time > now).min())
    }
}

/// Reads a script file: an array of rules per bank id, `[[aurora]]`. Every rule's problem is reported.
pub fn read_file(text: &str) -> Result<BTreeMap<String, Script>, Vec<String>> {
    let banks: BTreeMap<String, Vec<toml::Value>> =
        toml::from_str(text).map_err(|error| vec![error.to_string()])?;
    let mut scripts = BTreeMap::new();
    let mut problems = Vec::new();
    for (bank, values) in banks {
        let mut rules = Vec::with_capacity(values.len());
        for (index, value) in values.into_iter().enumerate() {
            match value.try_into::<Rule>() {
                Ok(rule) => rules.push(rule),
                Err(error) => {
                    problems.push(format!("{bank}: rule {}: {}", index + 1, error.to_string().trim()));
                }
            }
        }
        match Script::new(rules) {
            Ok(script) => drop(scripts.insert(bank, script)),
            Err(more) => problems.extend(more.into_iter().map(|problem| format!("{bank}: {problem}"))),
        }
    }
    if problems.is_empty() { Ok(scripts) } else { Err(problems) }
}

#[cfg(test)]
mod tests;
