//! Receipts: what is sealed of one payment, with all that it takes to check it offline.

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use super::{
    merkle::{self, Hash},
    note::PublicKey,
};
use crate::{id::PaymentId, text::printable};

/// A receipt as a program prints the answer to GetPaymentReceipt (protobuf's JSON), or the receipt in it.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Printed {
    Answer { receipt: Receipt },
    Receipt(Receipt),
}

#[derive(Clone, Debug, Deserialize)]
struct Receipt {
    payment: String,
    steps: Vec<Step>,
    checkpoint: String,
}

#[derive(Clone, Debug, Deserialize)]
struct Step {
    text: String,
    #[serde(default)]
    leaf: Count,
    #[serde(default)]
    proof: Vec<String>,
}

/// 64-bit numbers are strings in protobuf's JSON, and 0 is left out.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Count {
    Number(u64),
    Text(String),
}

impl Default for Count {
    fn default() -> Self {
        Self::Number(0)
    }
}

impl Count {
    fn number(&self) -> Option<u64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(text) => text.parse().ok(),
        }
    }
}

/// A receipt that was checked: what it shows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Shown {
    /// The payment.
    #[serde(serialize_with = "as_text")]
    pub payment: PaymentId,
    /// How many leaves the log had whose checkpoint it leads to.
    pub size: u64,
    /// Its steps, first to last, as they are in the log.
    pub steps: Vec<Value>,
}

fn as_text<S: Serializer>(payment: &PaymentId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(payment)
}

/// Checks a receipt with the log's public key alone.
///
/// # Errors
/// Why it shows nothing.
pub fn verify(json: &str, key: &PublicKey) -> Result<Shown, String> {
    let printed: Printed =
        serde_json::from_str(json).map_err(|error| format!("this is no receipt: {error}"))?;
    let (Printed::Answer { receipt } | Printed::Receipt(receipt)) = printed;
    let payment = PaymentId::parse(&receipt.payment).ok_or("it names no payment")?;
    let (size, root) = key
        .verify(&receipt.checkpoint)
        .map_err(|problem| format!("its checkpoint is not believed: {problem}"))?;
    let mut steps = Vec::new();
    for (number, step) in receipt.steps.iter().enumerate() {
        let complain = |what: &str| format!("step {}: {what}", number + 1);
        let proof = step.proof.iter().map(|hash| Hash::try_from(STANDARD.decode(hash).ok()?).ok());
        let proof =
            proof.collect::<Option<Vec<_>>>().ok_or_else(|| complain("its proof is no list of hashes"))?;
        let leaf = step.leaf.number().ok_or_else(|| complain("its leaf is no number"))?;
        let hash = merkle::leaf_hash(step.text.as_bytes());
        if merkle::root_of_inclusion(leaf, size, hash, &proof) != Some(root) {
            return Err(complain("it is not in the log that the checkpoint is of"));
        }
        let facts: Value = serde_json::from_str(&step.text).map_err(|_| complain("it is not JSON"))?;
        if facts["payment"].as_str() != Some(payment.uuid().to_string().as_str()) {
            return Err(complain("it is another payment's"));
        }
        if facts["step"].as_u64() != u64::try_from(number + 1).ok() {
            return Err(complain("a step before it is missing"));
        }
        steps.push(facts);
    }
    if steps.first().is_none_or(|first| first["kind"] != "PAYMENT") {
        return Err("it does not say what was asked for".to_owned());
    }
    Ok(Shown { payment, size, steps })
}

/// For people, a line each; what others wrote commands no terminal.
impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text =
            |value: &Value| printable(&value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        writeln!(f, "receipt: OK, {} is in the log of {} leaves", self.payment, self.size)?;
        for (name, value) in self.steps.first().and_then(Value::as_object).into_iter().flatten() {
            let is_of_step = ["kind", "payment", "step", "state", "at"].contains(&name.as_str());
            if !value.is_null() && !is_of_step {
                writeln!(f, "  {:<22} {}", printable(name), text(value))?;
            }
        }
        for step in &self.steps {
            writeln!(f, "  {}  {}", text(&step["at"]), text(&step["state"]))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn what_others_wrote_commands_no_terminal() {
        let step = json!({ "kind": "PAYMENT", "payee_name": "\u{1b}[2J\u{202e}", "re\u{7}": "x", "state": "\u{9b}2J", "at": "now" });
        let shown = Shown { payment: PaymentId::from_uuid(Uuid::nil()), size: 7, steps: vec![step] };
        let told = shown.to_string();
        assert!(told.contains("\\u{1b}[2J") && told.contains("7 leaves"), "{told}");
        assert!(told.lines().all(|line| line.chars().all(crate::text::is_readable)), "{told:?}");
        assert_eq!(serde_json::to_value(&shown).unwrap()["payment"], shown.payment.to_string());
    }
}
