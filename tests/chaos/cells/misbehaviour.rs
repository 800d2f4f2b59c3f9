//! How banks misbehave: a table of scripts for the simulated banks.

use serde_json::{Value, json};

use crate::load::SCRIPTED_ENDING;

/// One way to misbehave.
pub struct Misbehaviour {
    /// What it is called.
    pub name: &'static str,
    /// What the bank does with payments, and requests to give them back, of the scripted amounts.
    pub on_payment: fn() -> Value,
    /// What it does with enquiries; null for its plain duty.
    pub on_enquiry: fn() -> Value,
    /// What it says unasked about payments; null for nothing. Then it does its plain duty with requests to give back.
    pub notices: fn() -> Value,
}

/// Every way to misbehave. Those on enquiries come with payments that make enquiries necessary.
pub const MISBEHAVIOURS: &[Misbehaviour] = &[
    on_payment("rejects", || json!({"reject": {"code": "AC04"}})),
    on_payment("answers late", || json!({"delay": {"ms": 700}})),
    on_payment("answers pending", || json!("pending")),
    on_payment("executes silently", || json!("silent_executed")),
    on_payment("is silent", || json!("silent")),
    on_payment("hangs up after executing", || json!("drop_after")),
    on_payment("hangs up before executing", || json!("drop_before")),
    on_payment("answers garbage", || json!("garbage")),
    on_payment("executes and answers 500", || json!({"http_error": {"status": 500, "executed": true}})),
    on_payment("answers 503", || json!({"http_error": {"status": 503}})),
    on_payment("answers 429", || json!({"http_error": {"status": 429, "retry_after_s": 1}})),
    on_payment("lets payments lie", || json!({"hold": {"ms": 1_000}})),
    // Until long after everybody has given the payment up.
    on_payment("lets payments lie for long", || json!({"hold": {"ms": 6_000}})),
    on_payment("answers for another payment", || json!("other_payment")),
    on_payment("answers byte by byte", || json!({"drip": {"ms_per_byte": 20, "head": true}})),
    on_payment("answers with endless headers", || json!("endless_headers")),
    on_payment("answers with a huge body", || json!({"huge_body": {"mib": 2}})),
    on_enquiry("is silent to enquiries", || json!("silent")),
    on_enquiry("hangs up on enquiries", || json!("drop_before")),
    on_enquiry("answers enquiries late", || json!({"delay": {"ms": 600}})),
    on_enquiry("denies payments that it executed", || json!("not_found")),
    unasked(
        "pushes its answer late and twice",
        || json!("silent_executed"),
        || json!([{"after_ms": 200, "copies": 2}]),
    ),
    unasked("pushes before it answers", || json!("accept"), || json!([{"before_answer": true}])),
    unasked(
        "pushes nonsense",
        || json!("accept"),
        || json!([{"wrong": "payment"}, {"wrong": "uetr"}, {"wrong": "amount"}, {"wrong": "currency"}]),
    ),
    // What is true is on record before what is not is said: nobody could tell them apart otherwise.
    unasked(
        "takes its acceptance back",
        || json!("accept"),
        || json!([{"before_answer": true}, {"status": "RJCT", "code": "AC04"}]),
    ),
    unasked(
        "takes its rejection back",
        || json!({"reject": {"code": "AC04"}}),
        || json!([{"before_answer": true}, {"status": "ACSC"}]),
    ),
    unasked("executes what it rejected", executes_what_it_rejected, || json!([{"after_ms": 300}])),
    // Later than the fence, which no bank may.
    unasked("executes what it no longer takes", executes_late, || json!([{"after_ms": 4_250}])),
    on_payment("is down", || json!("down")),
    unasked(
        "executes less and says so",
        || json!({"deduct": {"minor_units": 1, "told": true}}),
        || json!([]),
    ),
];

fn executes_what_it_rejected() -> Value {
    json!({"say": {"answers": [{"status": "RJCT", "code": "AC04"}]}})
}

fn executes_late() -> Value {
    json!({"hold": {"ms": 4_200, "ignores_validity": true}})
}

const fn unasked(name: &'static str, behaviour: fn() -> Value, notices: fn() -> Value) -> Misbehaviour {
    Misbehaviour { name, on_payment: behaviour, on_enquiry: || Value::Null, notices }
}

const fn on_payment(name: &'static str, behaviour: fn() -> Value) -> Misbehaviour {
    Misbehaviour { name, on_payment: behaviour, on_enquiry: || Value::Null, notices: || Value::Null }
}

const fn on_enquiry(name: &'static str, behaviour: fn() -> Value) -> Misbehaviour {
    Misbehaviour {
        name,
        on_payment: || json!("silent_executed"),
        on_enquiry: behaviour,
        notices: || Value::Null,
    }
}

impl Misbehaviour {
    /// Whether the bank cannot be reached at all.
    fn is_down(&self) -> bool {
        (self.on_payment)() == "down"
    }

    /// The script for a bank.
    pub fn script(&self) -> Value {
        if self.is_down() {
            return json!([{"on": "any", "behaviour": "down"}]);
        }
        let scripted =
            |on| json!({"on": on, "minor_units_ending": SCRIPTED_ENDING, "behaviour": (self.on_payment)()});
        if let notices @ Value::Array(_) = (self.notices)() {
            let mut payment = scripted("payment");
            payment["notices"] = notices;
            return json!([payment]);
        }
        let mut rules = vec![scripted("payment"), scripted("return_request")];
        if let behaviour @ (Value::String(_) | Value::Object(_)) = (self.on_enquiry)() {
            rules.extend(["enquiry", "return_enquiry"].map(|on| json!({"on": on, "behaviour": behaviour})));
        }
        Value::Array(rules)
    }

    /// The bank's counter that shows that there were messages to misbehave on, and by how much it must have grown: of
    /// payments one in three is scripted.
    pub fn shown_by(&self) -> (&'static str, u64) {
        match (self.on_enquiry)() {
            _ if self.is_down() => ("unanswered", 1),
            Value::Null => ("pacs008_received", 12),
            _ => ("pacs028_received", 1),
        }
    }
}
