//! Whether what an answer repeats is what was sent.

use common::money::Money;
use proto::channel::outcome::Verdict;

use super::super::{
    answer::{Amount, AmountKind, Reference},
    camt056, pacs008,
};
use crate::{
    instruction::{Instruction, Original},
    rails::unknown,
};

/// What an answer may repeat.
pub(super) struct Sent<'a> {
    message_id: &'a str,
    message_name: &'static str,
    end_to_end_id: &'a str,
    uetr: &'a str,
    /// The id of the return request, if it is about one.
    request_id: Option<&'a str>,
    original: Money,
    asked_back: Money,
}

impl<'a> Sent<'a> {
    /// What an answer about a credit transfer may repeat.
    pub(super) fn credit_transfer(instruction: &'a Instruction) -> Self {
        Self {
            message_id: instruction.message_id(),
            message_name: pacs008::NAME,
            end_to_end_id: instruction.end_to_end_id(),
            uetr: instruction.uetr(),
            request_id: None,
            original: instruction.amount(),
            asked_back: instruction.amount(),
        }
    }

    /// What a status report about a return request may repeat: the request's own id as that of the message.
    pub(super) fn return_request(instruction: &'a Instruction, original: &'a Original) -> Self {
        Self {
            message_id: instruction.message_id(),
            message_name: camt056::NAME,
            ..Self::returned(instruction, original)
        }
    }

    /// What a return, or a refusal of one, may repeat: the references of the credit transfer, and the request's id.
    pub(super) fn returned(instruction: &'a Instruction, original: &'a Original) -> Self {
        Self {
            message_id: original.message_id(),
            message_name: pacs008::NAME,
            end_to_end_id: original.end_to_end_id(),
            uetr: original.uetr(),
            request_id: Some(instruction.message_id()),
            original: original.amount(),
            asked_back: instruction.amount(),
        }
    }

    /// Demands that every reference is what was sent, and that one of them can be no other instruction's.
    pub(super) fn names(&self, references: &[Reference]) -> Result<(), Verdict> {
        let contradicts = |reference: &&Reference| self.reference(reference.name) != Some(&*reference.value);
        if let Some(other) = references.iter().find(contradicts) {
            let detail = format!("{} is not what was sent", other.name);
            return Err(unknown("ANSWER_CONTRADICTS_REFERENCES", detail));
        }
        if !references.iter().any(|reference| matches!(reference.name, "OrgnlUETR" | "OrgnlMsgId")) {
            return Err(unknown("ANSWER_WITHOUT_REFERENCES", "neither OrgnlUETR nor OrgnlMsgId"));
        }
        Ok(())
    }

    fn reference(&self, name: &str) -> Option<&'a str> {
        match name {
            "OrgnlMsgId" | "OrgnlInstrId" | "OrgnlTxId" => Some(self.message_id),
            "OrgnlMsgNmId" => Some(self.message_name),
            "OrgnlEndToEndId" => Some(self.end_to_end_id),
            "OrgnlUETR" => Some(self.uetr),
            "RtrId" | "CxlStsId" => self.request_id,
            _ => None,
        }
    }

    /// Demands that every amount is what was sent, as a number of the same currency.
    pub(super) fn amounts(&self, amounts: &[Amount]) -> Result<(), Verdict> {
        for amount in amounts {
            let sent = match amount.kind {
                AmountKind::Original => self.original,
                AmountKind::AskedBack => self.asked_back,
            };
            let name = amount.name;
            if amount.currency != sent.currency().code() {
                return Err(contradicts_amount(name));
            }
            match Money::from_decimal(&amount.number, sent.currency()) {
                Some(read) if read == sent => {}
                Some(_) => return Err(contradicts_amount(name)),
                None => {
                    let detail = format!("{name} is no plain decimal number of the currency");
                    return Err(unknown("ANSWER_UNREADABLE", detail));
                }
            }
        }
        Ok(())
    }
}

fn contradicts_amount(name: &str) -> Verdict {
    unknown("ANSWER_CONTRADICTS_AMOUNT", format!("{name} is not what was sent"))
}

/// Demands a reference without which the answer could be about another instruction.
pub(super) fn demand(references: &[Reference], name: &'static str) -> Result<(), Verdict> {
    if references.iter().any(|reference| reference.name == name) {
        return Ok(());
    }
    Err(unknown("ANSWER_WITHOUT_REFERENCES", format!("no {name}")))
}
