//! A payment order: what a caller asked for, checked once and trusted from then on.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use uuid::Uuid;

use crate::{
    bic::Bic,
    iban::Iban,
    id::{AccountId, ApiKeyId, PaymentId, WebhookEndpointId},
    money::{Currency, Money},
    role::Role,
    verification_key::VerificationKey,
};

/// What a caller asked to be paid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PaymentOrder {
    /// The caller's id of the request.
    pub request_id: String,
    /// The account that pays.
    pub payer_account: AccountId,
    /// Who is paid, and where.
    pub payee: Payee,
    /// How much; from 1 to [`crate::money::MAX_AMOUNT_MINOR_UNITS`].
    pub amount: Money,
    /// What the payee reads; empty if nothing.
    pub remittance_information: String,
    /// The buyer's reference; made from the payment's id when absent.
    pub end_to_end_id: Option<String>,
    /// The caller's labels.
    pub metadata: BTreeMap<String, String>,
    /// When to pay.
    pub capture: Capture,
}

/// When to pay what is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capture {
    /// At once.
    Automatic,
    /// When the caller says so; what is still held at this time is released. A default time if absent.
    Manual(Option<SystemTime>),
}

/// What a caller asked to be captured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaptureOrder {
    /// The caller's id of the request.
    pub request_id: String,
    /// The authorized payment.
    pub payment: PaymentId,
    /// How much; all that is held if absent.
    pub amount: Option<Money>,
}

/// What a caller asked to be given back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefundOrder {
    /// The caller's id of the request.
    pub request_id: String,
    /// The payment or capture.
    pub payment: PaymentId,
    /// How much; all that is not refunded yet if absent.
    pub amount: Option<Money>,
    /// Why, for the bank; empty if nothing.
    pub remittance_information: String,
}

/// Who is paid, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payee {
    /// The account holder's name.
    pub name: String,
    /// The account.
    pub account: PayeeAccount,
}

/// The payee's account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PayeeAccount {
    /// An IBAN, and the bank where the caller gave one.
    Iban(Iban, Option<BankKey>),
    /// An account number in the form of that bank.
    Number(String, BankKey),
    /// An account of this ledger.
    Ledger(AccountId),
}

/// How a caller names a bank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BankKey {
    /// By its id in the directory.
    Id(String),
    /// By its BIC.
    Bic(Bic),
}

/// What a caller asked to be booked as arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DepositOrder {
    /// The caller's id of the request.
    pub request_id: String,
    /// The account to credit.
    pub account: AccountId,
    /// How much.
    pub amount: Money,
    /// The bank, by its id, at whose settlement account the money arrived.
    pub bank_id: String,
    /// The arrival's reference; empty if none.
    pub reference: String,
}

/// What a caller asked to be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountOrder {
    /// The caller's id of the request.
    pub request_id: String,
    /// The account holder's name.
    pub display_name: String,
    /// The account's one currency.
    pub currency: crate::money::Currency,
    /// Its IBAN, if it has one.
    pub iban: Option<Iban>,
}

/// What a caller asked to be made: an API key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKeyOrder {
    /// The caller's id of the request.
    pub request_id: String,
    /// Whose it is to be; the caller's own if it does not say.
    pub participant: Option<String>,
    /// What it is for.
    pub roles: Vec<Role>,
    /// What people know it by.
    pub label: String,
    /// When it ends, if ever.
    pub expires_at: Option<SystemTime>,
    /// What its calls are verified with that are signed, if they are.
    pub verification_key: Option<VerificationKey>,
}

/// What a caller asked to be made: an API key in another's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RotationOrder {
    /// The caller's id of the request.
    pub request_id: String,
    /// The key to be replaced.
    pub api_key: ApiKeyId,
    /// How long that one still works.
    pub overlap: Duration,
    /// When the new one ends, if ever.
    pub expires_at: Option<SystemTime>,
    /// What the new one's calls are verified with that are signed; as before if it does not say.
    pub verification_key: Option<VerificationKey>,
}

/// The payment's unique reference for tracing it with banks (UUIDv4, ISO 20022 UETR).
pub type Uetr = Uuid;

/// Who is limited.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LimitSubject {
    /// An account.
    Account(AccountId),
    /// All of a participant's accounts in a currency together.
    Participant(String, Currency),
}

/// What may not be exceeded; what is absent is not limited, and zero lets nothing pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LimitRules {
    /// Minor units of one payment.
    pub payment_minor_units: Option<i64>,
    /// Minor units of one payment whose call is not signed.
    pub unsigned_payment_minor_units: Option<i64>,
    /// Of payments made in one hour.
    pub hour: LimitRule,
    /// Of payments made in one day.
    pub day: LimitRule,
}

/// What the payments of a window may come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LimitRule {
    /// Their sum, in minor units.
    pub minor_units: Option<i64>,
    /// Their number.
    pub payments: Option<i64>,
}

/// What a caller asked to be made: a URL that is told what happens. States stay as they are on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookOrder {
    /// The caller's id of the request.
    pub request_id: String,
    /// Where to post, in its normal form.
    pub url: String,
}

/// What a caller asked to be changed of such a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookChange {
    /// Which one.
    pub endpoint: WebhookEndpointId,
    /// Where to post from now on, in its normal form; as before if it does not say.
    pub url: Option<String>,
    /// Whether nothing is posted any more; as before if it does not say.
    pub disabled: Option<bool>,
}

/// What a caller asked to be signed with other secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookRotation {
    /// The caller's id of the request.
    pub request_id: String,
    /// Of which URL.
    pub endpoint: WebhookEndpointId,
    /// How long the old ones sign as well.
    pub overlap: Duration,
}

/// What a caller asked to be told again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookReplay {
    /// To which URL.
    pub endpoint: WebhookEndpointId,
    /// From when on; all that is kept if it does not say.
    pub start: Option<SystemTime>,
    /// Up to when; until now if it does not say.
    pub end: Option<SystemTime>,
}
