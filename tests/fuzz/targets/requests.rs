//! Callers' requests: what is decoded and found good is what was meant, and what is refused is refused with a field that there is.

use std::fmt::Debug;

use common::{
    fault::Violation,
    money::{MAX_AMOUNT_MINOR_UNITS, Money},
    order::{
        AccountOrder, ApiKeyOrder, Capture, CaptureOrder, DepositOrder, PayeeAccount, PaymentOrder,
        RefundOrder, RotationOrder,
    },
};
use harness::BenchError;
use prost::Message;
use prost_reflect::{DescriptorPool, Kind, MessageDescriptor};
use proto::{
    accounts::{CreateAccountRequest, DepositRequest},
    convert,
    participants::{CreateApiKeyRequest, CreateParticipantRequest, RotateApiKeyRequest},
    payments::{
        CaptureMode, CapturePaymentRequest, CreatePaymentRequest, Payee, RefundPaymentRequest,
        payee::{Account, Bank},
    },
};

use super::{chosen, demand, words};
use crate::{
    engine::{Checked, Target},
    mutation::Form,
};

const ACCOUNT: &str = "acc_0193f2a05c7e7d3c9b1a2f3e4d5c6b7a";
const PAYMENT: &str = "pay_0193f2a05c7e7d3c9b1a2f3e4d5c6b7a";
/// Marks that turn or hide what a person reads.
const MISLEADING: [char; 6] = ['\u{202E}', '\u{200B}', '\u{2066}', '\u{FEFF}', '\u{AD}', '\u{3164}'];

/// Prepares the target.
pub(super) fn target() -> Result<Target, BenchError> {
    let pool = DescriptorPool::decode(proto::DESCRIPTORS)?;
    Ok(Target {
        seeds: seeds(),
        words: words(&[
            ACCOUNT,
            PAYMENT,
            "EUR",
            "JPY",
            "KWD",
            "XXX",
            "DE89370400440532013000",
            "NL91ABNA0417164300",
            "AURODEFF",
            "aurora",
            "payer-app",
            "operator",
            "4111111111111111",
            "acc_",
            "pay_",
            "key_",
            "ORDER-1",
        ]),
        form: Form::Message,
        check: Box::new(move |input| check(&pool, input)),
    })
}

/// A good payment to an IBAN.
pub(super) fn payment() -> CreatePaymentRequest {
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
pub(super) fn payments() -> Vec<CreatePaymentRequest> {
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

fn seeds() -> Vec<Vec<u8>> {
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
    seeds.extend([
        chosen(1, capture.encode_to_vec()),
        chosen(2, refund.encode_to_vec()),
        chosen(3, account.encode_to_vec()),
        chosen(4, deposit.encode_to_vec()),
        chosen(5, key.encode_to_vec()),
        chosen(6, rotation.encode_to_vec()),
        chosen(7, participant.encode_to_vec()),
    ]);
    seeds
}

fn check(pool: &DescriptorPool, input: &[u8]) -> Checked {
    let Some((choice, message)) = input.split_first() else { return Ok("nothing".to_owned()) };
    let read = Reading { pool, message };
    match choice % 8 {
        0 => read.judge("rialto.payments.v1.CreatePaymentRequest", convert::payment_order, sound_payment),
        1 => read.judge(
            "rialto.payments.v1.CapturePaymentRequest",
            convert::capture_order,
            |order: &CaptureOrder| {
                sound_id(&order.request_id)?;
                order.amount.map_or(Ok(()), sound_amount)
            },
        ),
        2 => read.judge(
            "rialto.payments.v1.RefundPaymentRequest",
            convert::refund_order,
            |order: &RefundOrder| {
                sound_id(&order.request_id)?;
                sound_text(&order.remittance_information, 105)?;
                order.amount.map_or(Ok(()), sound_amount)
            },
        ),
        3 => read.judge(
            "rialto.accounts.v1.CreateAccountRequest",
            convert::account_order,
            |order: &AccountOrder| {
                sound_id(&order.request_id)?;
                sound_text(&order.display_name, 140)?;
                order.iban.as_ref().map_or(Ok(()), |iban| sound_iban(iban.as_str()))
            },
        ),
        4 => {
            read.judge("rialto.accounts.v1.DepositRequest", convert::deposit_order, |order: &DepositOrder| {
                sound_id(&order.request_id)?;
                sound_text(&order.reference, 140)?;
                sound_amount(order.amount)
            })
        }
        5 => read.judge(
            "rialto.participants.v1.CreateApiKeyRequest",
            convert::api_key_order,
            |order: &ApiKeyOrder| {
                sound_id(&order.request_id)?;
                sound_text(&order.label, 140)?;
                demand((1..=4).contains(&order.roles.len()), "roles")
            },
        ),
        6 => read.judge(
            "rialto.participants.v1.RotateApiKeyRequest",
            convert::rotation_order,
            |order: &RotationOrder| {
                sound_id(&order.request_id)?;
                demand(order.overlap.as_secs() <= 30 * 86_400, "a long overlap")
            },
        ),
        _ => {
            let name = |request: &CreateParticipantRequest| {
                convert::participant(&request.participant).map(|()| request.participant.clone())
            };
            read.judge("rialto.participants.v1.CreateParticipantRequest", name, |name: &String| {
                demand(name.bytes().all(|byte| byte.is_ascii_graphic()), "a name that is not ASCII")
            })
        }
    }
}

/// A message while it is read.
struct Reading<'a> {
    pool: &'a DescriptorPool,
    message: &'a [u8],
}

impl Reading<'_> {
    fn judge<M: Message + Default, O: PartialEq + Debug>(
        &self,
        name: &str,
        order: impl Fn(&M) -> Result<O, Vec<Violation>>,
        is_sound: impl Fn(&O) -> Result<(), String>,
    ) -> Checked {
        let short = name.rsplit('.').next().unwrap_or_default();
        let Ok(request) = M::decode(self.message) else { return Ok(format!("{short}: no message")) };
        let read = order(&request);
        let again = M::decode(request.encode_to_vec().as_slice()).map_err(|error| error.to_string())?;
        demand(order(&again) == read, "written and read again it is another order")?;
        match read {
            Ok(read) => is_sound(&read).map(|()| format!("{short}: good")),
            Err(violations) => {
                demand(!violations.is_empty(), "refused without a reason")?;
                let descriptor = self.pool.get_message_by_name(name).ok_or("no such message")?;
                for violation in &violations {
                    demand(
                        has_field(&descriptor, &violation.field),
                        &format!("no field {}", violation.field),
                    )?;
                    let text = &violation.description;
                    demand(
                        text.len() <= 200 && text.bytes().all(|byte| (b' '..=b'~').contains(&byte)),
                        "echoes the input",
                    )?;
                }
                let fields: Vec<String> = violations
                    .iter()
                    .map(|violation| format!("{} {}", violation.field, violation.description))
                    .collect();
                Ok(format!("{short}: {}", fields.join(", ").replace(|c: char| c.is_ascii_digit(), "")))
            }
        }
    }
}

/// Whether a message has a field of that path.
fn has_field(message: &MessageDescriptor, path: &str) -> bool {
    let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
    let is_oneof = message.oneofs().any(|oneof| oneof.name() == first);
    match (message.get_field_by_name(first), rest) {
        (Some(_), None) => true,
        (None, None) => is_oneof,
        (Some(field), Some(rest)) => match field.kind() {
            Kind::Message(inner) => has_field(&inner, rest),
            _ => false,
        },
        (None, Some(_)) => false,
    }
}

fn sound_payment(order: &PaymentOrder) -> Result<(), String> {
    let wire = convert::payment_order_to_wire(order);
    demand(convert::payment_order(&wire).as_ref() == Ok(order), "its normal form is another order")?;
    sound_id(&order.request_id)?;
    sound_amount(order.amount)?;
    sound_text(&order.payee.name, 140)?;
    sound_text(&order.remittance_information, 140)?;
    let size: usize = order.metadata.iter().map(|(key, value)| key.len() + value.len()).sum();
    demand(order.metadata.len() <= 20 && size <= 4_096, "too much metadata")?;
    let values = order.metadata.values().flat_map(|value| value.chars());
    demand(
        !values.chain(order.metadata.keys().flat_map(|key| key.chars())).any(char::is_control),
        "a control character",
    )?;
    if let Some(reference) = &order.end_to_end_id {
        demand(
            reference.len() <= 35 && reference.is_ascii() && !reference.contains("//"),
            "a bad reference",
        )?;
    }
    if let Capture::Manual(Some(expires_at)) = order.capture {
        demand(expires_at >= std::time::UNIX_EPOCH, "a time before 1970")?;
    }
    match &order.payee.account {
        PayeeAccount::Iban(iban, _) => sound_iban(iban.as_str()),
        PayeeAccount::Number(number, _) => demand(
            (1..=34).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_alphanumeric()),
            "a bad number",
        ),
        PayeeAccount::Ledger(account) => demand(*account != order.payer_account, "it pays itself"),
    }
}

fn sound_id(id: &str) -> Result<(), String> {
    demand(
        (1..=255).contains(&id.len()) && id.bytes().all(|byte| (b'!'..=b'~').contains(&byte)),
        "a bad request id",
    )
}

fn sound_amount(amount: Money) -> Result<(), String> {
    demand((1..=MAX_AMOUNT_MINOR_UNITS).contains(&amount.minor_units()), "an amount out of range")
}

fn sound_text(text: &str, max_chars: usize) -> Result<(), String> {
    let is_bad = |c: char| c.is_control() || MISLEADING.contains(&c);
    demand(text.chars().count() <= max_chars && !text.chars().any(is_bad), "a text that misleads")
}

/// The check digits, computed as ISO 7064 has it.
fn sound_iban(iban: &str) -> Result<(), String> {
    let turned = iban.bytes().skip(4).chain(iban.bytes().take(4));
    let rest = turned.fold(0_u32, |rest, byte| match byte {
        b'0'..=b'9' => (rest * 10 + u32::from(byte - b'0')) % 97,
        b'A'..=b'Z' => (rest * 100 + u32::from(byte - b'A') + 10) % 97,
        _ => u32::MAX / 200,
    });
    demand(rest == 1 && (15..=34).contains(&iban.len()), "an IBAN whose check digits don't fit")
}
