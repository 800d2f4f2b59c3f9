//! Good requests of every kind, to begin with.

use prost::Message;
use proto::{
    accounts::{ApproveDepositRequest, CreateAccountRequest, DepositRequest, RejectDepositRequest},
    limits::{Limits, SetAccountLimitsRequest, SetParticipantLimitsRequest},
    participants::{CreateApiKeyRequest, CreateParticipantRequest, RotateApiKeyRequest},
    payments::{
        CaptureMode, CapturePaymentRequest, CreatePaymentRequest, Payee, RefundPaymentRequest,
        payee::{Account, Bank},
    },
    webhooks::CreateWebhookEndpointRequest,
};

use super::{ACCOUNT, PAYMENT};
use crate::targets::chosen;

/// A good payment to an IBAN.
fn payment() -> CreatePaymentRequest {
    CreatePaymentRequest {
        request_id: "r-1".to_owned(),
        payer_account: ACCOUNT.to_owned(),
        payee: Some(Payee {
            name: "Zoë & Söhne".to_owned(),
            account: Some(Account::Iban("DE89370400440532013000".to_owned())),
            bank: Some(Bank::Bic("AURODEFF".to_owned())),
        }),
        amount: Some(money(1234)),
        remittance_information: "order 1".to_owned(),
        end_to_end_id: "ORDER-1".to_owned(),
        metadata: [("k", "v"), ("l", "w")].map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        ..CreatePaymentRequest::default()
    }
}

fn money(minor_units: i64) -> proto::money::Money {
    proto::money::Money { minor_units, currency: "EUR".to_owned() }
}

/// Good payments of every shape.
pub fn payments() -> Vec<CreatePaymentRequest> {
    let to = |account, bank| CreatePaymentRequest {
        payee: Some(Payee { name: "日本".to_owned(), account: Some(account), bank }),
        ..payment()
    };
    let held = CreatePaymentRequest {
        capture: CaptureMode::Manual.into(),
        expire_time: Some(prost_types::Timestamp { seconds: 1_795_428_000, nanos: 1 }),
        ..payment()
    };
    let labels = |count: usize, length: usize| CreatePaymentRequest {
        metadata: (0..count).map(|number| (format!("k{number:02}"), "v".repeat(length))).collect(),
        ..payment()
    };
    vec![
        payment(),
        // As many and as large as may be, and one more.
        labels(20, 201),
        labels(20, 202),
        labels(21, 1),
        to(Account::AccountNumber("4711".to_owned()), Some(Bank::BankId("aurora".to_owned()))),
        to(Account::LedgerAccount(ACCOUNT.replace('1', "2")), None),
        to(Account::Iban("nl91 ABNA 0417 1643 00".to_owned()), None),
        held,
        CreatePaymentRequest { validate_only: true, metadata: Default::default(), ..payment() },
    ]
}

pub(super) fn all() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> =
        payments().iter().map(|payment| chosen(0, payment.encode_to_vec())).collect();
    let request_id = || "r-1".to_owned();
    let time = Some(prost_types::Timestamp { seconds: 1_795_428_000, nanos: 0 });
    let capture = CapturePaymentRequest {
        request_id: request_id(),
        payment: PAYMENT.to_owned(),
        amount: Some(money(1)),
    };
    let refund = RefundPaymentRequest {
        request_id: request_id(),
        payment: PAYMENT.to_owned(),
        amount: Some(money(1)),
        remittance_information: "wrong size".to_owned(),
    };
    let account = CreateAccountRequest {
        request_id: request_id(),
        display_name: "Ada".to_owned(),
        currency: "EUR".to_owned(),
        iban: "NL91ABNA0417164300".to_owned(),
    };
    let deposit = DepositRequest {
        request_id: request_id(),
        account: ACCOUNT.to_owned(),
        amount: Some(money(5)),
        bank_id: "aurora".to_owned(),
        reference: "line 1".to_owned(),
    };
    let key = CreateApiKeyRequest {
        request_id: request_id(),
        participant: "shop".to_owned(),
        roles: vec!["payer-app".to_owned(), "operator".to_owned()],
        label: "web shop".to_owned(),
        expire_time: time,
        verification_key: vec![7; 32],
    };
    let rotation = RotateApiKeyRequest {
        request_id: request_id(),
        api_key: PAYMENT.replace("pay", "key"),
        overlap: Some(prost_types::Duration { seconds: 3_600, nanos: 0 }),
        expire_time: time,
        verification_key: vec![7; 32],
    };
    let participant = CreateParticipantRequest { participant: "shop".to_owned() };
    let limits = Some(Limits {
        payment_minor_units: Some(1_000),
        hour_payments: Some(0),
        day_minor_units: Some(i64::MAX),
        ..Limits::default()
    });
    let account_limits = SetAccountLimitsRequest { account: ACCOUNT.to_owned(), limits };
    let participant_limits = SetParticipantLimitsRequest {
        participant: "shop".to_owned(),
        currency: "EUR".to_owned(),
        limits: Some(Limits::default()),
    };
    let deposit_id = || PAYMENT.replace("pay", "dep");
    let approval = ApproveDepositRequest { deposit: deposit_id(), amount: Some(money(5)) };
    let rejection = RejectDepositRequest { deposit: deposit_id(), reason: "no such line".to_owned() };
    let webhook = CreateWebhookEndpointRequest {
        request_id: request_id(),
        url: "https://shop.example:8443/hooks?a=b".to_owned(),
        states: vec![3],
    };
    seeds.extend([
        chosen(1, capture.encode_to_vec()),
        chosen(2, refund.encode_to_vec()),
        chosen(3, account.encode_to_vec()),
        chosen(4, deposit.encode_to_vec()),
        chosen(5, key.encode_to_vec()),
        chosen(6, rotation.encode_to_vec()),
        chosen(7, participant.encode_to_vec()),
        chosen(8, account_limits.encode_to_vec()),
        chosen(9, participant_limits.encode_to_vec()),
        chosen(10, approval.encode_to_vec()),
        chosen(11, rejection.encode_to_vec()),
        chosen(12, webhook.encode_to_vec()),
    ]);
    seeds
}
