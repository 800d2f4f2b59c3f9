//! Who may do what, of every call that there is: made of the contracts themselves. Each call of each public service is made by
//! each role, of a shop and of the house, with its own ids and with another's, one alternative of the request after the other. A
//! call, or a field of a request, that nobody has said anything about here fails the test.

use harness::{BenchError, client::Client, raw};
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor, Value,
    prost::Message,
};
use tonic::{Code, Status, metadata::MetadataMap, transport::Channel};

use crate::{
    bench::{Bench, Refused, run, unique},
    tenancy::{Things, bearer},
};

const ROLES: [&str; 4] = ["payer-app", "merchant", "operator", "auditor"];
/// Services that no caller reaches.
const INTERNAL: [&str; 2] = ["rialto.platform.v1.PlatformService", "rialto.channel.v1.InstructionService"];

/// Who may make a call, and what comes of it with another participant's ids.
struct Rule {
    call: &'static str,
    roles: &'static [&'static str],
    foreign: Foreign,
}

/// What comes of another's ids.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Foreign {
    /// NOT_FOUND, the house's operators included.
    NotFound,
    /// NOT_FOUND, but for the house's operators.
    HouseOnly,
    /// PERMISSION_DENIED, whoever's ids, but for the house's operators.
    Denied,
    /// An answer, in which nothing of the other's is.
    Hidden,
}

use Foreign::{Denied, Hidden, HouseOnly, NotFound};

const PAYER: &[&str] = &["payer-app"];
const REFUNDER: &[&str] = &["payer-app", "merchant"];
const OPENER: &[&str] = &["payer-app", "merchant", "operator"];
const OPERATOR: &[&str] = &["operator"];
const OVERSEER: &[&str] = &["operator", "auditor"];

#[rustfmt::skip]
const RULES: &[Rule] = &[
    rule("rialto.payments.v1.PaymentService.CreatePayment", PAYER, NotFound),
    rule("rialto.payments.v1.PaymentService.GetPayment", &ROLES, NotFound),
    rule("rialto.payments.v1.PaymentService.ListPayments", &ROLES, Hidden),
    rule("rialto.payments.v1.PaymentService.WaitPayment", &ROLES, NotFound),
    rule("rialto.payments.v1.PaymentService.WatchPayments", &ROLES, NotFound),
    rule("rialto.payments.v1.PaymentService.CapturePayment", PAYER, NotFound),
    rule("rialto.payments.v1.PaymentService.CancelPayment", PAYER, NotFound),
    rule("rialto.payments.v1.PaymentService.RefundPayment", REFUNDER, NotFound),
    rule("rialto.accounts.v1.AccountService.CreateAccount", OPENER, Hidden),
    rule("rialto.accounts.v1.AccountService.GetAccount", &ROLES, NotFound),
    rule("rialto.accounts.v1.AccountService.ListAccounts", &ROLES, Hidden),
    rule("rialto.accounts.v1.AccountService.ListEntries", &ROLES, NotFound),
    rule("rialto.accounts.v1.AccountService.Deposit", OPERATOR, NotFound),
    rule("rialto.accounts.v1.AccountService.ApproveDeposit", OPERATOR, NotFound),
    rule("rialto.accounts.v1.AccountService.RejectDeposit", OPERATOR, NotFound),
    rule("rialto.accounts.v1.AccountService.GetDeposit", OVERSEER, NotFound),
    rule("rialto.accounts.v1.AccountService.ListDeposits", OVERSEER, Hidden),
    rule("rialto.operations.v1.OperationsService.ResolvePayment", OPERATOR, NotFound),
    rule("rialto.operations.v1.OperationsService.ListAlarms", OVERSEER, Hidden),
    rule("rialto.operations.v1.OperationsService.GetSettings", OPERATOR, Hidden),
    rule("rialto.operations.v1.OperationsService.ListBanks", OVERSEER, Hidden),
    rule("rialto.operations.v1.OperationsService.GetTrialBalance", OVERSEER, HouseOnly),
    rule("rialto.operations.v1.OperationsService.GetPaymentStory", OVERSEER, NotFound),
    rule("rialto.limits.v1.LimitService.SetAccountLimits", OPERATOR, NotFound),
    rule("rialto.limits.v1.LimitService.GetAccountLimits", &ROLES, NotFound),
    rule("rialto.limits.v1.LimitService.SetParticipantLimits", OPERATOR, Denied),
    rule("rialto.limits.v1.LimitService.GetParticipantLimits", &ROLES, HouseOnly),
    rule("rialto.stats.v1.StatsService.GetStatistics", &ROLES, HouseOnly),
    rule("rialto.audit.v1.AuditService.GetCheckpoint", &ROLES, Hidden),
    rule("rialto.audit.v1.AuditService.GetInclusionProof", &ROLES, Hidden),
    rule("rialto.audit.v1.AuditService.GetConsistencyProof", &ROLES, Hidden),
    rule("rialto.audit.v1.AuditService.GetPaymentReceipt", &ROLES, NotFound),
    rule("rialto.webhooks.v1.WebhookService.CreateWebhookEndpoint", OPERATOR, Hidden),
    rule("rialto.webhooks.v1.WebhookService.ListWebhookEndpoints", OVERSEER, Hidden),
    rule("rialto.webhooks.v1.WebhookService.UpdateWebhookEndpoint", OPERATOR, NotFound),
    rule("rialto.webhooks.v1.WebhookService.RotateWebhookSecret", OPERATOR, NotFound),
    rule("rialto.webhooks.v1.WebhookService.ListWebhookDeliveries", OVERSEER, NotFound),
    rule("rialto.webhooks.v1.WebhookService.ReplayWebhookEvents", OPERATOR, NotFound),
    rule("rialto.webhooks.v1.WebhookService.DeleteWebhookEndpoint", OPERATOR, NotFound),
    rule("rialto.participants.v1.ParticipantService.CreateParticipant", OPERATOR, Denied),
    rule("rialto.participants.v1.ParticipantService.ListParticipants", OPERATOR, Denied),
    rule("rialto.participants.v1.ParticipantService.DisableParticipant", OPERATOR, Denied),
    rule("rialto.participants.v1.ParticipantService.EnableParticipant", OPERATOR, Denied),
    rule("rialto.participants.v1.ParticipantService.CreateApiKey", OPERATOR, HouseOnly),
    rule("rialto.participants.v1.ParticipantService.ListApiKeys", OVERSEER, HouseOnly),
    rule("rialto.participants.v1.ParticipantService.RotateApiKey", OPERATOR, HouseOnly),
    rule("rialto.participants.v1.ParticipantService.RevokeApiKey", OPERATOR, HouseOnly),
];

const fn rule(call: &'static str, roles: &'static [&'static str], foreign: Foreign) -> Rule {
    Rule { call, roles, foreign }
}

/// What a field of a request is given.
#[derive(Clone, Copy)]
enum Fill {
    /// Nothing: it may be absent, and says nothing of whose anything is.
    Absent,
    Unique,
    Text(&'static str),
    Texts(&'static str),
    Number(i64),
    /// What its own message is given.
    Parts,
    Account,
    Payment,
    RequestId,
    Authorization,
    Cancelled,
    Deposit,
    ApiKey,
    WebhookEndpoint,
    /// A URL that nobody else has.
    Url,
    Participant,
    /// A participant that is there to be done away with.
    Spare,
}

/// By the field's message and name; `*` is any message.
#[rustfmt::skip]
const FILLS: &[(&str, &str, Fill)] = &[
    ("GetPaymentRequest", "request_id", Fill::RequestId),
    ("WaitPaymentRequest", "request_id", Fill::RequestId),
    ("*", "request_id", Fill::Unique),
    ("*", "page_size", Fill::Number(500)),
    ("*", "page_token", Fill::Absent),
    ("*", "payer_account", Fill::Account),
    ("*", "account", Fill::Account),
    ("GetAccountRequest", "id", Fill::Account),
    ("GetPaymentRequest", "id", Fill::Payment),
    ("WaitPaymentRequest", "id", Fill::Payment),
    ("*", "after_sequence", Fill::Absent),
    ("*", "from_position", Fill::Absent),
    ("*", "states", Fill::Absent),
    ("CapturePaymentRequest", "payment", Fill::Authorization),
    ("CancelPaymentRequest", "payment", Fill::Cancelled),
    ("*", "payment", Fill::Payment),
    ("GetDepositRequest", "id", Fill::Deposit),
    ("*", "deposit", Fill::Deposit),
    ("*", "reason", Fill::Text("no such line")),
    ("*", "original_payment", Fill::Absent),
    ("*", "api_key", Fill::ApiKey),
    ("CreateApiKeyRequest", "participant", Fill::Participant),
    ("ListApiKeysRequest", "participant", Fill::Participant),
    ("GetParticipantLimitsRequest", "participant", Fill::Participant),
    ("SetParticipantLimitsRequest", "participant", Fill::Participant),
    ("GetStatisticsRequest", "participant", Fill::Participant),
    ("GetTrialBalanceRequest", "participant", Fill::Participant),
    ("*", "interval", Fill::Absent),
    ("*", "participant", Fill::Spare),
    ("*", "start_time", Fill::Parts),
    ("*", "end_time", Fill::Parts),
    ("Timestamp", "seconds", Fill::Number(1_790_000_000)),
    ("Timestamp", "nanos", Fill::Absent),
    ("*", "group_by", Fill::Absent),
    ("GetStatisticsRequest", "bank_id", Fill::Absent),
    ("*", "roles", Fill::Texts("auditor")),
    ("*", "label", Fill::Text("of a test")),
    ("*", "overlap", Fill::Absent),
    ("*", "expire_time", Fill::Absent),
    ("*", "verification_key", Fill::Absent),
    ("*", "limits", Fill::Parts),
    ("Limits", "payment_minor_units", Fill::Absent),
    ("Limits", "hour_minor_units", Fill::Absent),
    ("Limits", "hour_payments", Fill::Absent),
    ("Limits", "day_minor_units", Fill::Absent),
    ("Limits", "day_payments", Fill::Absent),
    ("Limits", "unsigned_payment_minor_units", Fill::Absent),
    ("UpdateWebhookEndpointRequest", "url", Fill::Absent),
    ("*", "url", Fill::Url),
    ("*", "filter", Fill::Absent),
    ("*", "disabled", Fill::Absent),
    ("*", "webhook_endpoint", Fill::WebhookEndpoint),
    ("*", "start_time", Fill::Absent),
    ("*", "end_time", Fill::Absent),
    ("*", "amount", Fill::Parts),
    ("Money", "minor_units", Fill::Number(1)),
    ("*", "currency", Fill::Text("EUR")),
    ("*", "payee", Fill::Parts),
    ("Payee", "name", Fill::Text("Blaise Seller")),
    ("Payee", "iban", Fill::Text("DE41370400440000000001")),
    ("Payee", "account_number", Fill::Absent),
    ("Payee", "ledger_account", Fill::Absent),
    ("Payee", "bank_id", Fill::Absent),
    ("Payee", "bic", Fill::Absent),
    ("DepositRequest", "bank_id", Fill::Text("aurora")),
    ("*", "display_name", Fill::Text("Ada Buyer")),
    ("*", "iban", Fill::Absent),
    ("*", "reference", Fill::Absent),
    ("*", "remittance_information", Fill::Absent),
    ("*", "end_to_end_id", Fill::Absent),
    ("*", "metadata", Fill::Absent),
    ("*", "validate_only", Fill::Absent),
    ("*", "capture", Fill::Absent),
    ("*", "state", Fill::Absent),
    ("*", "resolution", Fill::Number(1)),
    ("*", "leaf", Fill::Number(0)),
    ("*", "size", Fill::Number(1)),
    ("*", "old_size", Fill::Number(1)),
    ("*", "evidence_reference", Fill::Text("statement 7, line 3")),
];

/// What a participant has, to be asked for.
struct Belongings {
    participant: String,
    spare: String,
    api_key: String,
    webhook_endpoint: String,
    things: Things,
}

impl Belongings {
    /// A new participant with a thing of each kind.
    async fn of_somebody_new(bench: &Bench) -> Result<Self, BenchError> {
        let house = bench.house();
        let participant = unique("authority");
        crate::administration::create(&house, &participant).await?;
        let key = house.create_api_key(&unique("key"), &participant, &ROLES).await?;
        let second = house.create_api_key(&unique("key"), &participant, &["operator"]).await?;
        bench.until(&key.key, true).await?;
        bench.until(&second.key, true).await?;
        Self::of(bench, participant, &bench.keyed(&key.key).approved_by(&second.key)?).await
    }

    async fn of(bench: &Bench, participant: String, client: &Client) -> Result<Self, BenchError> {
        let (spare, house) = (unique("authority-spare"), bench.house());
        crate::administration::create(&house, &spare).await?;
        let key = house.create_api_key(&unique("key"), &participant, &["auditor"]).await?;
        let api_key = key.api_key.unwrap_or_default().id;
        let webhook_endpoint = crate::webhooks::create(client, "https://shop.example/hooks", &[]).await?.0.id;
        Ok(Self { participant, spare, api_key, webhook_endpoint, things: Things::of(bench, client).await? })
    }

    fn text(&self, fill: Fill) -> Option<String> {
        let things = &self.things;
        Some(match fill {
            Fill::Unique => unique("authority"),
            Fill::Text(text) => text.to_owned(),
            Fill::Account => things.account.clone(),
            Fill::Payment => things.payment.clone(),
            Fill::RequestId => things.request_id.clone(),
            Fill::Authorization => things.authorization.clone(),
            Fill::Cancelled => things.cancelled.clone(),
            Fill::Deposit => things.deposit.clone(),
            Fill::ApiKey => self.api_key.clone(),
            Fill::WebhookEndpoint => self.webhook_endpoint.clone(),
            Fill::Url => format!("https://shop.example/{}", unique("authority")),
            Fill::Participant => self.participant.clone(),
            Fill::Spare => self.spare.clone(),
            Fill::Absent | Fill::Texts(_) | Fill::Number(_) | Fill::Parts => return None,
        })
    }

    fn value(&self, field: &FieldDescriptor, fill: Fill) -> Value {
        match (fill, field.kind()) {
            (Fill::Texts(text), _) => Value::List(vec![Value::String(text.to_owned())]),
            (Fill::Number(number), Kind::Int64) => Value::I64(number),
            (Fill::Number(number), Kind::Int32) => Value::I32(number.try_into().unwrap()),
            (Fill::Number(number), Kind::Enum(_)) => Value::EnumNumber(number.try_into().unwrap()),
            (Fill::Parts, Kind::Message(message)) => Value::Message(self.requests(&message).remove(0)),
            _ => Value::String(
                self.text(fill).unwrap_or_else(|| panic!("{}: no such fill", field.full_name())),
            ),
        }
    }

    /// The requests that ask for these belongings: one for each alternative of the message's oneofs.
    fn requests(&self, message: &MessageDescriptor) -> Vec<DynamicMessage> {
        let mut requests = vec![DynamicMessage::new(message.clone())];
        for field in message.fields().filter(|field| field.containing_oneof().is_none()) {
            if let Some(fill) = fill_of(message, &field) {
                requests.iter_mut().for_each(|request| request.set_field(&field, self.value(&field, fill)));
            }
        }
        for oneof in message.oneofs() {
            let members: Vec<_> =
                oneof.fields().filter_map(|field| Some((fill_of(message, &field)?, field))).collect();
            if members.is_empty() {
                continue;
            }
            let with = |request: &DynamicMessage, (fill, field): &(Fill, FieldDescriptor)| {
                let mut request = request.clone();
                request.set_field(field, self.value(field, *fill));
                request
            };
            requests = requests
                .iter()
                .flat_map(|request| members.iter().map(|member| with(request, member)))
                .collect();
        }
        requests
    }

    /// Whether an answer names any of these belongings.
    fn are_in(&self, answer: &DynamicMessage) -> bool {
        let (text, things) = (format!("{answer:?}"), &self.things);
        let Things { account, payment, authorization, cancelled, deposit, .. } = things;
        let ids =
            [account, payment, authorization, cancelled, deposit, &self.api_key, &self.webhook_endpoint];
        ids.iter().any(|id| text.contains(id.as_str()))
    }
}

fn fill_of(message: &MessageDescriptor, field: &FieldDescriptor) -> Option<Fill> {
    let known =
        FILLS.iter().find(|(of, name, _)| *name == field.name() && [message.name(), "*"].contains(of));
    let (.., fill) = known.unwrap_or_else(|| {
        panic!("{} is new: say in FILLS what it is given, and whether it is another's id", field.full_name())
    });
    (!matches!(fill, Fill::Absent)).then_some(*fill)
}

/// Every call of every public service.
fn calls() -> Vec<MethodDescriptor> {
    let pool = DescriptorPool::decode(proto::DESCRIPTORS).unwrap();
    let public = pool.services().filter(|service| !INTERNAL.contains(&service.full_name()));
    let calls: Vec<_> = public.flat_map(|service| service.methods().collect::<Vec<_>>()).collect();
    assert!(!calls.is_empty());
    calls
}

fn rule_of(call: &MethodDescriptor) -> &'static Rule {
    let rule = RULES.iter().find(|rule| rule.call == call.full_name());
    rule.unwrap_or_else(|| panic!("{} is new: say in RULES who may make it", call.full_name()))
}

/// Makes a call.
async fn make(
    gateway: &Channel,
    call: &MethodDescriptor,
    metadata: MetadataMap,
    request: &DynamicMessage,
) -> Result<DynamicMessage, Status> {
    let path = format!("/{}/{}", call.parent_service().full_name(), call.name());
    let (gateway, messages) = (gateway.clone(), vec![request.encode_to_vec()]);
    let bytes = match call.is_server_streaming() {
        true => raw::first(gateway, &path, metadata, messages).await?,
        false => raw::call(gateway, &path, metadata, messages).await?,
    };
    Ok(DynamicMessage::decode(call.output(), bytes.as_slice()).unwrap())
}

/// Keys of a participant, one for each role alone.
async fn single_keys(bench: &Bench, participant: &str) -> Result<Vec<(&'static str, String)>, BenchError> {
    let mut keys = Vec::new();
    for role in ROLES {
        let key = bench.house().create_api_key(&unique("key"), participant, &[role]).await?.key;
        bench.until(&key, true).await?;
        keys.push((role, key));
    }
    Ok(keys)
}

#[test]
fn every_call_has_a_rule_and_every_rule_a_call() {
    let calls = calls();
    for call in &calls {
        rule_of(call);
    }
    for rule in RULES {
        assert!(calls.iter().any(|call| call.full_name() == rule.call), "{} is no call", rule.call);
    }
}

#[test]
fn every_role_can_do_what_it_is_for_with_its_own_and_nothing_else() {
    run(async |bench| {
        let (own, foreign) =
            (Belongings::of_somebody_new(bench).await?, Belongings::of_somebody_new(bench).await?);
        let shop = single_keys(bench, &own.participant).await?.into_iter().map(|key| (false, key));
        let house = single_keys(bench, "house").await?.into_iter().map(|key| (true, key));
        let callers: Vec<_> = shop.chain(house).collect();
        let gateway = bench.system.gateway()?.connect();
        let mut problems = Vec::new();
        for call in calls() {
            let rule = rule_of(&call);
            for (is_house, (role, key)) in &callers {
                let may = rule.roles.contains(role) && (*is_house || rule.foreign != Denied);
                // The house's own belongings are nobody's here: it asks for others' alone.
                let whose =
                    if *is_house { &[(&foreign, true)][..] } else { &[(&own, false), (&foreign, true)] };
                for (belongings, is_foreign) in whose {
                    for request in belongings.requests(&call.input()) {
                        let answer = make(&gateway, &call, bearer(key), &request).await;
                        let refused = answer.as_ref().map_err(Refused::of);
                        let as_it_should = match (&refused, may, is_foreign, rule.foreign) {
                            (Err(refused), false, ..) => {
                                *refused == Refused::new(Code::PermissionDenied, "PERMISSION_DENIED")
                            }
                            (Err(refused), true, true, NotFound) => *refused == not_found(),
                            (Err(refused), true, true, HouseOnly) if !is_house => *refused == not_found(),
                            (Ok(answer), true, true, Hidden) => !foreign.are_in(answer),
                            // What is nobody's may not be there yet.
                            (Err(refused), true, true, Hidden) => refused.code == Code::FailedPrecondition,
                            // Of one's own, and the house of everybody: it is done, or does not fit the state of things.
                            (Ok(_), true, false, _) => true,
                            (Ok(_), true, true, HouseOnly | Denied) => *is_house,
                            (Err(refused), true, ..) if !is_foreign || *is_house => {
                                refused.code == Code::FailedPrecondition
                            }
                            _ => false,
                        };
                        if !as_it_should {
                            let who = if *is_house { "the house's" } else { "a shop's" };
                            let what = if *is_foreign { "another's" } else { "its own" };
                            problems
                                .push(format!("{} by {who} {role} of {what}: {refused:?}", call.full_name()));
                        }
                    }
                }
            }
            for request in foreign.requests(&call.input()) {
                let answer = make(&gateway, &call, MetadataMap::new(), &request).await;
                let unknown = Refused::new(Code::Unauthenticated, "UNAUTHENTICATED");
                if answer.as_ref().map_err(Refused::of).err() != Some(unknown) {
                    problems.push(format!("{} by nobody: {answer:?}", call.full_name()));
                }
            }
        }
        assert!(problems.is_empty(), "{}", problems.join("\n"));
        Ok(())
    });
}

fn not_found() -> Refused {
    Refused::new(Code::NotFound, "NOT_FOUND")
}
