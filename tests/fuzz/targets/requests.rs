//! Callers' requests: what is decoded and found good is what was meant, and what is refused is refused with a field that there is.

mod seeds;
mod sound;

use std::fmt::Debug;

use common::{
    fault::Violation,
    id::{AccountId, DepositId},
    money::{Currency, Money},
    order::{
        AccountOrder, ApiKeyOrder, CaptureOrder, DepositOrder, LimitRules, RefundOrder, RotationOrder,
        WebhookOrder,
    },
};
use harness::BenchError;
use prost::Message;
use prost_reflect::{DescriptorPool, Kind, MessageDescriptor};
use proto::{
    convert::{self, Destinations},
    participants::CreateParticipantRequest,
};

use super::{demand, words};
use crate::{
    engine::{Checked, Target},
    mutation::Form,
};

pub use seeds::payments;

const ACCOUNT: &str = "acc_0193f2a05c7e7d3c9b1a2f3e4d5c6b7a";
const PAYMENT: &str = "pay_0193f2a05c7e7d3c9b1a2f3e4d5c6b7a";

/// Prepares the target.
pub(super) fn target() -> Result<Target, BenchError> {
    let pool = DescriptorPool::decode(proto::DESCRIPTORS)?;
    Ok(Target {
        seeds: seeds::all(),
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

fn check(pool: &DescriptorPool, input: &[u8]) -> Checked {
    let Some((choice, message)) = input.split_first() else { return Ok("nothing".to_owned()) };
    let read = Reading { pool, message };
    match choice % 13 {
        0 => read.judge("rialto.payments.v1.CreatePaymentRequest", convert::payment_order, sound::payment),
        1 => read.judge(
            "rialto.payments.v1.CapturePaymentRequest",
            convert::capture_order,
            |order: &CaptureOrder| {
                sound::id(&order.request_id)?;
                order.amount.map_or(Ok(()), sound::amount)
            },
        ),
        2 => read.judge(
            "rialto.payments.v1.RefundPaymentRequest",
            convert::refund_order,
            |order: &RefundOrder| {
                sound::id(&order.request_id)?;
                sound::text(&order.remittance_information, 105)?;
                order.amount.map_or(Ok(()), sound::amount)
            },
        ),
        3 => read.judge(
            "rialto.accounts.v1.CreateAccountRequest",
            convert::account_order,
            |order: &AccountOrder| {
                sound::id(&order.request_id)?;
                sound::text(&order.display_name, 140)?;
                order.iban.as_ref().map_or(Ok(()), |iban| sound::iban(iban.as_str()))
            },
        ),
        4 => {
            read.judge("rialto.accounts.v1.DepositRequest", convert::deposit_order, |order: &DepositOrder| {
                sound::id(&order.request_id)?;
                sound::text(&order.reference, 140)?;
                sound::amount(order.amount)
            })
        }
        5 => read.judge(
            "rialto.participants.v1.CreateApiKeyRequest",
            convert::api_key_order,
            |order: &ApiKeyOrder| {
                sound::id(&order.request_id)?;
                sound::text(&order.label, 140)?;
                demand((1..=4).contains(&order.roles.len()), "roles")
            },
        ),
        6 => read.judge(
            "rialto.participants.v1.RotateApiKeyRequest",
            convert::rotation_order,
            |order: &RotationOrder| {
                sound::id(&order.request_id)?;
                demand(order.overlap.as_secs() <= 30 * 86_400, "a long overlap")
            },
        ),
        8 => read.judge(
            "rialto.limits.v1.SetAccountLimitsRequest",
            convert::account_limits,
            |(_, rules): &(AccountId, LimitRules)| sound::limits(rules),
        ),
        9 => read.judge(
            "rialto.limits.v1.SetParticipantLimitsRequest",
            convert::participant_limits,
            |(_, rules): &(Currency, LimitRules)| sound::limits(rules),
        ),
        10 => read.judge(
            "rialto.accounts.v1.ApproveDepositRequest",
            convert::approval,
            |(_, amount): &(DepositId, Money)| sound::amount(*amount),
        ),
        11 => read.judge(
            "rialto.accounts.v1.RejectDepositRequest",
            convert::rejection,
            |(_, reason): &(DepositId, String)| sound::text(reason, 140),
        ),
        12 => read.judge(
            "rialto.webhooks.v1.CreateWebhookEndpointRequest",
            |request: &_| convert::webhook_order(request, Destinations::Public),
            |order: &WebhookOrder| {
                sound::id(&order.request_id)?;
                demand(order.url.starts_with("https://"), "a URL without TLS")?;
                let again = convert::webhook_url(&order.url, Destinations::Public);
                demand(
                    again.is_ok_and(|again| again.as_str() == order.url),
                    "a URL that is not in its normal form",
                )
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
    let (name, is_item) = first.split_once('[').map_or((first, false), |(name, _)| (name, true));
    match (message.get_field_by_name(name).filter(|field| field.is_list() || !is_item), rest) {
        (Some(_), None) => true,
        (None, None) => is_oneof,
        (Some(field), Some(rest)) => match field.kind() {
            Kind::Message(inner) => has_field(&inner, rest),
            _ => false,
        },
        (None, Some(_)) => false,
    }
}
