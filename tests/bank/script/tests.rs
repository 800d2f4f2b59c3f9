use super::{Behaviour, On, Rule, Script, Subject, read_file};
use crate::messages::reason::Reason;
use tokio::time::{Duration, Instant};

use crate::line::Link;

fn of(account: &str, minor_units: u64) -> Subject {
    Subject { account: Some(account.into()), minor_units: Some(minor_units) }
}

fn choose(script: &mut Script, on: On, subject: &Subject) -> Behaviour {
    script.choose(on, subject, Instant::now()).behaviour
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

#[test]
fn a_rule_applies_within_its_window_of_time_and_count() {
    let mut script = script(
        r#"[{"from_ms": 100, "until_ms": 200, "behaviour": "silent"},
            {"skip": 1, "times": 2, "behaviour": "garbage"}]"#,
    );
    let given = script.given;
    let mut at = |ms| script.choose(On::Payment, &of("A", 1), given + Duration::from_millis(ms)).behaviour;
    assert_eq!([at(0), at(99), at(100), at(199)].map(|b| b == Behaviour::Silent), [false, false, true, true]);
    // Of the two messages outside the window, the first was skipped and the second met the other rule.
    assert_eq!([at(200), at(201)], [Behaviour::Garbage, Behaviour::Accept]);
}

#[test]
fn a_share_is_drawn_from_its_seed() {
    let draw = |seed: u64| -> Vec<bool> {
        let mut script =
            script(&format!(r#"[{{"share": 30, "seed": {seed}, "on": "any", "behaviour": "silent"}}]"#));
        (0..1_000)
            .map(|_| choose(&mut script, On::Enquiry, &Subject::default()) == Behaviour::Silent)
            .collect()
    };
    let first = draw(7);
    let applied = first.iter().filter(|applied| **applied).count();
    assert!((250..350).contains(&applied), "{applied} of 1,000");
    assert_eq!(draw(7), first);
    assert_ne!(draw(8), first);
}

#[test]
fn a_rule_counts_how_often_it_applied() {
    let mut script = script(r#"[{"account": "A", "behaviour": "accept"}]"#);
    let mut before = |account| script.choose(On::Payment, &of(account, 1), Instant::now()).before;
    assert_eq!([before("A"), before("B"), before("A"), before("A")], [0, 0, 1, 2]);
}

#[test]
fn the_link_follows_the_times_of_its_rules_and_messages_do_not_meet_them() {
    let mut script = script(
        r#"[{"on": "any", "from_ms": 100, "until_ms": 200, "behaviour": "down"},
            {"on": "any", "from_ms": 150, "behaviour": "hang"}]"#,
    );
    let at = |ms| script.given + Duration::from_millis(ms);
    assert_eq!(script.link(at(0)), (Link::Up, Some(at(100))));
    assert_eq!(script.link(at(100)), (Link::Down, Some(at(150))));
    assert_eq!(script.link(at(150)), (Link::Down, Some(at(200))));
    assert_eq!(script.link(at(200)), (Link::Hung, None));
    let now = at(120);
    assert_eq!(script.choose(On::Payment, &of("A", 1), now).behaviour, Behaviour::Accept);
}

#[test]
fn what_a_rule_cannot_mean_is_a_problem() {
    for (rule, part) in [
        (r#"{"share": 0}"#, "share"),
        (r#"{"share": 101}"#, "share"),
        (r#"{"from_ms": 5, "until_ms": 5}"#, "until_ms"),
        (r#"{"behaviour": "down"}"#, "not for messages of that kind"),
        (r#"{"on": "any", "times": 1, "behaviour": "down"}"#, "no conditions"),
        (r#"{"on": "any", "behaviour": "twice"}"#, "not for messages of that kind"),
        (r#"{"on": "enquiry", "behaviour": {"hold": {"ms": 1}}}"#, "not for messages of that kind"),
        (r#"{"behaviour": {"say": {"answers": []}}}"#, "say needs answers"),
        (r#"{"behaviour": {"say": {"answers": [{"status": "RJCTX"}]}}}"#, "say needs answers"),
        (r#"{"behaviour": {"reject": {"code": "TOOLONG"}}}"#, "a reason has"),
        (r#"{"on": "any", "notices": [{}]}"#, "notices need"),
        (r#"{"notices": [{"copies": 0}]}"#, "copies"),
    ] {
        let problems = Script::new(vec![serde_json::from_str(rule).unwrap()]).unwrap_err();
        assert!(problems.join("\n").contains(part), "{rule}: {problems:?}");
    }
}

#[test]
fn the_examples_of_the_help_are_scripts() {
    let help = include_str!("../help.txt");
    let between = |from: &str, to: &str| help.split_once(from).unwrap().1.split_once(to).unwrap().0;
    for example in [between("is optional:\n", "Behaviours, for"), between("is two rules:\n", "Notices,")] {
        assert_eq!(read_file(example).unwrap().len(), 1, "{example}");
    }
    let notice = format!("[[aurora]]\n[[aurora.notices]]\n{}", between("400 to 499:\n", "Addresses:"));
    assert_eq!(read_file(&notice).unwrap().len(), 1, "{notice}");
}
