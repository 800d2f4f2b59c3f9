//! What encrypted values say: the bytes that are encrypted are these messages in protobuf's encoding, whose tags never change their meaning.

use std::{collections::BTreeMap, fmt};

use common::{
    iban::Iban,
    id::AccountId,
    order::{BankKey, Payee, PayeeAccount},
};
use serde::Serialize;

use super::packed;
use crate::domain::payment::{Payment, own_end_to_end_id};

/// What a payment says of people, in the names of its leaf in the audit log.
#[derive(Clone, PartialEq, prost::Message, Serialize)]
#[prost(skip_debug)]
pub struct OfPayment {
    /// The payee, as the request said.
    #[prost(string, tag = "1")]
    pub payee_name: String,
    /// The payee's account, if the request named it so, packed.
    #[prost(bytes = "vec", optional, tag = "2")]
    #[serde(serialize_with = "packed::serialize")]
    pub payee_iban: Option<Vec<u8>>,
    /// The payee's account, if the request named it so, packed.
    #[prost(bytes = "vec", optional, tag = "3")]
    #[serde(serialize_with = "packed::serialize")]
    pub payee_account_number: Option<Vec<u8>>,
    /// What the payee reads; empty if nothing.
    #[prost(string, tag = "4")]
    pub remittance_information: String,
    /// The caller's labels.
    #[prost(btree_map = "string, string", tag = "5")]
    pub metadata: BTreeMap<String, String>,
    /// The reference that travels to the payee; none for the payment's own number.
    #[prost(string, optional, tag = "6")]
    pub end_to_end_id: Option<String>,
}

/// Why a payment is as it is, in words of a bank's, which may name people.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct OfReason {
    /// The words.
    #[prost(string, tag = "1")]
    pub message: String,
}

/// What a bank said about a payment, which names people.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct OfBankMessage {
    /// Its bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub body: Vec<u8>,
}

/// What an account says of people.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct OfAccount {
    /// The holder's name, as payees read it.
    #[prost(string, tag = "1")]
    pub display_name: String,
    /// Its IBAN, electronic form, if it has one.
    #[prost(string, optional, tag = "2")]
    pub iban: Option<String>,
}

/// What of an endpoint is its participant's alone.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct OfWebhook {
    /// Where is posted to.
    #[prost(string, tag = "1")]
    pub url: String,
    /// What is signed with; none once it is deleted.
    #[prost(message, optional, tag = "2")]
    pub keys: Option<WebhookKeys>,
    /// What was signed with before that.
    #[prost(message, optional, tag = "3")]
    pub previous_keys: Option<WebhookKeys>,
}

/// What webhooks are signed with.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct WebhookKeys {
    /// The secret that the receiver has as well: 32 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub secret: Vec<u8>,
    /// The seed of an Ed25519 key: 32 bytes.
    #[prost(bytes = "vec", tag = "2")]
    pub seed: Vec<u8>,
}

impl fmt::Debug for OfWebhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OfWebhook(***)")
    }
}

impl fmt::Debug for WebhookKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookKeys(***)")
    }
}

impl fmt::Debug for OfPayment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OfPayment(***)")
    }
}

impl fmt::Debug for OfReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OfReason(***)")
    }
}

impl fmt::Debug for OfBankMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OfBankMessage(***)")
    }
}

impl fmt::Debug for OfAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OfAccount(***)")
    }
}

impl From<&Payment> for OfPayment {
    fn from(payment: &Payment) -> Self {
        let (iban, number) = match &payment.payee.account {
            PayeeAccount::Iban(iban, _) => (Some(packed::pack(iban.as_str())), None),
            PayeeAccount::Number(number, _) => (None, Some(packed::pack(number))),
            PayeeAccount::Ledger(_) => (None, None),
        };
        let own_reference = payment.end_to_end_id == own_end_to_end_id(payment.id);
        Self {
            payee_name: payment.payee.name.clone(),
            payee_iban: iban,
            payee_account_number: number,
            remittance_information: payment.remittance_information.clone(),
            metadata: payment.metadata.clone(),
            end_to_end_id: (!own_reference).then(|| payment.end_to_end_id.clone()),
        }
    }
}

impl OfPayment {
    /// The payee that it speaks of, with what the row says of its account (`ledger`) and its bank. None if the two do not go together.
    pub fn payee(&self, ledger: Option<AccountId>, bank: Option<BankKey>) -> Option<Payee> {
        let account = match (&self.payee_iban, &self.payee_account_number, ledger, bank) {
            (Some(iban), None, None, bank) => PayeeAccount::Iban(Iban::parse(&packed::unpack(iban)?)?, bank),
            (None, Some(number), None, Some(bank)) => PayeeAccount::Number(packed::unpack(number)?, bank),
            (None, None, Some(account), _) => PayeeAccount::Ledger(account),
            _ => return None,
        };
        Some(Payee { name: self.payee_name.clone(), account })
    }
}
