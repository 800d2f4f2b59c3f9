//! Scripted behaviour: rules that say when a bank does something else than its plain duty.
//!
//! Rules are tried in order for every message, repeats included; the first that matches decides, and without one the
//! bank accepts. A rule never undoes what is in the books: a repeat of a credited payment stays credited whatever a
//! rule says, and only the way of answering changes.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::messages::pacs002::MAX_ADDITIONAL_INFORMATION;

/// Which messages a rule looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum On {
    /// A pacs.008.
    #[default]
    Payment,
    /// A pacs.028. Account and amount are those of the payment it asks for; one for an unknown payment has neither.
    Enquiry,
}

/// What a bank does with a matching message.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Behaviour {
    /// Its plain duty.
    Accept,
    /// Rejects and records the rejection. Payments only.
    Reject {
        /// A status reason code; without one the answer carries none, which the profile calls unknown.
        #[serde(default)]
        code: Option<Box<str>>,
        /// Additional information.
        #[serde(default)]
        text: Option<Box<str>>,
    },
    /// Executes at once and answers later. Until then an enquiry hears PDNG.
    Delay {
        /// Milliseconds from the arrival.
        ms: u64,
    },
    /// Executes and never answers: the connection stays open until the sender gives up. Payments only.
    SilentExecuted,
    /// Neither executes nor answers.
    Silent,
    /// Closes the connection without executing or answering.
    DropBefore,
    /// Executes, then closes the connection without answering. Payments only.
    DropAfter,
    /// Executes and answers `200` with HTML.
    Garbage,
    /// Executes and answers PDNG. A later enquiry hears the result.
    Pending,
    /// Answers with another status than 200.
    HttpError {
        /// The status, 400 to 599.
        status: u16,
        /// Whether the payment is executed before.
        #[serde(default)]
        executed: bool,
    },
    /// Says AG09 even of a payment that it knows. Enquiries only.
    NotFound,
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
    pub behaviour: Behaviour,
}

impl Rule {
    fn matches(&self, on: On, payment: Option<(&str, u64)>) -> bool {
        self.on == on
            && self.times != Some(0)
            && self.account.as_deref().is_none_or(|own| payment.is_some_and(|(account, _)| account == own))
            && self
                .minor_units_ending
                .is_none_or(|own| payment.is_some_and(|(_, minor_units)| minor_units % 100 == u64::from(own)))
    }

    fn problem(&self) -> Option<&'static str> {
        use Behaviour::{DropAfter, HttpError, NotFound, Reject, SilentExecuted};
        let only_on_payment = matches!(self.behaviour, Reject { .. } | SilentExecuted | DropAfter);
        if self.minor_units_ending.is_some_and(|ending| ending > 99) {
            return Some("minor_units_ending must be 0 to 99");
        }
        if self.times == Some(0) {
            return Some("times must be at least 1");
        }
        if self.on == On::Enquiry && only_on_payment {
            return Some("this behaviour is for payments, and the rule is on enquiries");
        }
        match &self.behaviour {
            NotFound if self.on == On::Payment => Some("not_found needs on = \"enquiry\""),
            Reject { code: Some(code), .. } if !(1..=4).contains(&code.chars().count()) => {
                Some("a reason code has 1 to 4 characters")
            }
            Reject { text: Some(text), .. }
                if !(1..=MAX_ADDITIONAL_INFORMATION).contains(&text.chars().count()) =>
            {
                Some("a reason's text has 1 to 105 characters")
            }
            HttpError { status, .. } if !(400..=599).contains(status) => {
                Some("the status of http_error must be 400 to 599")
            }
            _ => None,
        }
    }
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

    /// What to do with a message, given the creditor's account and the minor units of its payment where known.
    pub fn choose(&mut self, on: On, payment: Option<(&str, u64)>) -> Behaviour {
        let Some(rule) = self.rules.iter_mut().find(|rule| rule.matches(on, payment)) else {
            return Behaviour::Accept;
        };
        if let Some(times) = &mut rule.times {
            *times = times.saturating_sub(1);
        }
        rule.behaviour.clone()
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
    use super::{Behaviour, On, Rule, Script, read_file};

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
        let reject = Behaviour::Reject { code: Some("AC04".into()), text: None };
        assert_eq!(script.choose(On::Payment, Some(("A", 113))), Behaviour::Silent);
        assert_eq!(script.choose(On::Payment, Some(("B", 113))), reject);
        assert_eq!(script.choose(On::Payment, Some(("B", 130))), Behaviour::Accept);
        assert_eq!(script.choose(On::Enquiry, Some(("A", 113))), Behaviour::Accept);
    }

    #[test]
    fn a_rule_is_spent_after_its_times() {
        let mut script = script(r#"[{"times": 2, "behaviour": "drop_before"}]"#);
        let chosen: Vec<_> = (0..3).map(|_| script.choose(On::Payment, Some(("A", 1)))).collect();
        assert_eq!(chosen, [Behaviour::DropBefore, Behaviour::DropBefore, Behaviour::Accept]);
    }

    #[test]
    fn an_enquiry_for_an_unknown_payment_meets_only_rules_without_conditions() {
        let mut script = script(
            r#"[{"on": "enquiry", "account": "A", "behaviour": "silent"},
                {"on": "enquiry", "behaviour": "not_found"}]"#,
        );
        assert_eq!(script.choose(On::Enquiry, None), Behaviour::NotFound);
        assert_eq!(script.choose(On::Enquiry, Some(("A", 1))), Behaviour::Silent);
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
