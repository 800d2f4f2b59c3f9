//! Scripted behaviour: rules that say when a bank does something else than its plain duty.
//!
//! Rules are tried in order for every message, repeats included; the first that matches decides, and without one the
//! bank accepts. A rule never undoes what is in the books: a repeat of a credited payment stays credited whatever a
//! rule says, and only the way of answering changes.

use std::collections::BTreeMap;

use serde::Deserialize;

mod behaviour;
mod notice;

pub use behaviour::Behaviour;
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
}

/// What a rule's conditions are held against.
#[derive(Debug, Clone, Default)]
pub struct Subject {
    /// The creditor's account, where it is known.
    pub account: Option<Box<str>>,
    /// The amount in minor units, where it is known.
    pub minor_units: Option<u64>,
}

/// One rule. All that it names must match; naming nothing matches every message.
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
        self.on == on
            && self.times != Some(0)
            && self.account.as_deref().is_none_or(|own| subject.account.as_deref() == Some(own))
            && self
                .minor_units_ending
                .is_none_or(|own| subject.minor_units.is_some_and(|amount| amount % 100 == u64::from(own)))
    }

    fn problem(&self) -> Option<&'static str> {
        if self.minor_units_ending.is_some_and(|ending| ending > 99) {
            return Some("minor_units_ending must be 0 to 99");
        }
        if self.times == Some(0) {
            return Some("times must be at least 1");
        }
        if !self.notices.is_empty() && self.on == On::ReturnEnquiry {
            return Some("a return enquiry names no payment that notices could be about");
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
}

/// The rules of one bank, with what is left of their times.
#[derive(Debug, Default)]
pub struct Script {
    rules: Vec<Rule>,
}

impl Script {
    /// Checks `rules` and takes them, or says all that is wrong with them.
    pub fn new(rules: Vec<Rule>) -> Result<Self, Vec<String>> {
        let problems: Vec<String> = rules
            .iter()
            .enumerate()
            .filter_map(|(index, rule)| Some(format!("rule {}: {}", index + 1, rule.problem()?)))
            .collect();
        if problems.is_empty() { Ok(Self { rules }) } else { Err(problems) }
    }

    /// What to do with a message.
    pub fn choose(&mut self, on: On, subject: &Subject) -> Chosen {
        let Some(rule) = self.rules.iter_mut().find(|rule| rule.matches(on, subject)) else {
            return Chosen::default();
        };
        if let Some(times) = &mut rule.times {
            *times = times.saturating_sub(1);
        }
        Chosen { behaviour: rule.behaviour.clone(), notices: rule.notices.clone() }
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
mod tests {
    use super::{Behaviour, On, Rule, Script, Subject, read_file};
    use crate::messages::reason::Reason;

    fn of(account: &str, minor_units: u64) -> Subject {
        Subject { account: Some(account.into()), minor_units: Some(minor_units) }
    }

    fn choose(script: &mut Script, on: On, subject: &Subject) -> Behaviour {
        script.choose(on, subject).behaviour
    }

    fn script(json: &str) -> Script {
        Script::new(serde_json::from_str::<Vec<Rule>>(json).unwrap()).unwrap()
    }

    #[test]
    fn the_first_matching_rule_wins_and_without_one_the_bank_accepts() {
        let mut script = script(
            r#"[{"account": "A", "behaviour": "silent"},
                {"minor_units_ending": 13, "behaviour": {"reject": {"code": "AC04"}}},
                {"account": "A", "behaviour": "pending"}]"#,
        );
        let reject = Behaviour::Reject(Reason { code: Some("AC04".into()), text: None });
        assert_eq!(choose(&mut script, On::Payment, &of("A", 113)), Behaviour::Silent);
        assert_eq!(choose(&mut script, On::Payment, &of("B", 113)), reject);
        assert_eq!(choose(&mut script, On::Payment, &of("B", 130)), Behaviour::Accept);
        assert_eq!(choose(&mut script, On::Enquiry, &of("A", 113)), Behaviour::Accept);
    }

    #[test]
    fn a_rule_is_spent_after_its_times() {
        let mut script = script(r#"[{"times": 2, "behaviour": "drop_before"}]"#);
        let chosen: Vec<_> = (0..3).map(|_| choose(&mut script, On::Payment, &of("A", 1))).collect();
        assert_eq!(chosen, [Behaviour::DropBefore, Behaviour::DropBefore, Behaviour::Accept]);
    }

    #[test]
    fn an_enquiry_for_an_unknown_payment_meets_only_rules_without_conditions() {
        let mut script = script(
            r#"[{"on": "enquiry", "account": "A", "behaviour": "silent"},
                {"on": "enquiry", "behaviour": "not_found"}]"#,
        );
        assert_eq!(choose(&mut script, On::Enquiry, &Subject::default()), Behaviour::NotFound);
        assert_eq!(choose(&mut script, On::Enquiry, &of("A", 1)), Behaviour::Silent);
    }

    #[test]
    fn a_file_names_the_banks_and_every_problem_is_reported() {
        let good = "[[aurora]]\naccount = \"A\"\nbehaviour = { delay = { ms = 20 } }\n[[boreal]]\nbehaviour = \"garbage\"\n";
        assert_eq!(read_file(good).unwrap().len(), 2);
        let bad = "[[aurora]]\nbehavior = \"silent\"\n[[aurora]]\non = \"enquiry\"\nbehaviour = \"drop_after\"\n\
                   [[boreal]]\nminor_units_ending = 100\nbehaviour = { http_error = { status = 503, really = true } }\n";
        let problems = read_file(bad).unwrap_err();
        assert_eq!(problems.len(), 3, "{problems:?}");
    }
}
