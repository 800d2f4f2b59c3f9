//! Whose is what: every call of the public services, tried with everybody's ids and with nobody's credential.

use std::collections::BTreeSet;

use harness::{
    BenchError,
    client::{Client, money, payee_on_ledger},
    system::BANKS,
};
use prost::Message;
use proto::{
    accounts::{
        ApproveDepositRequest, CreateAccountRequest, DepositRequest, GetAccountRequest, GetDepositRequest,
        ListAccountsRequest, ListDepositsRequest, ListEntriesRequest, RejectDepositRequest,
    },
    operations::{
        GetPaymentStoryRequest, GetSettingsRequest, GetTrialBalanceRequest, ListAlarmsRequest,
        ListBanksRequest, Resolution, ResolvePaymentRequest,
    },
    payments::{
        CancelPaymentRequest, CaptureMode, CapturePaymentRequest, CreatePaymentRequest, GetPaymentRequest,
        ListPaymentsRequest, RefundPaymentRequest, WaitPaymentRequest, WatchPaymentsRequest,
        get_payment_request::Key, wait_payment_request,
    },
};
use tonic::{Code, Request, Status, metadata::MetadataMap};

use crate::bench::{Bench, Refused, euros, run, unique};

/// Every call of the public services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    CreatePayment,
    GetPayment,
    GetPaymentByRequest,
    ListPayments,
    WaitPayment,
    WatchPayments,
    CreateAccount,
    GetAccount,
    ListAccounts,
    ListEntries,
    Deposit,
    GetDeposit,
    ListDeposits,
    ApproveDeposit,
    RejectDeposit,
    CapturePayment,
    CancelPayment,
    RefundPayment,
    ResolvePayment,
    ListAlarms,
    GetSettings,
    ListBanks,
    GetTrialBalance,
    GetPaymentStory,
}

use Call::{
    ApproveDeposit, CancelPayment, CapturePayment, CreateAccount, CreatePayment, Deposit, GetAccount,
    GetDeposit, GetPayment, GetPaymentByRequest, GetPaymentStory, GetSettings, GetTrialBalance, ListAccounts,
    ListAlarms, ListBanks, ListDeposits, ListEntries, ListPayments, RefundPayment, RejectDeposit,
    ResolvePayment, WaitPayment, WatchPayments,
};

const ALL: [Call; 24] = [
    CreatePayment,
    GetPayment,
    GetPaymentByRequest,
    ListPayments,
    WaitPayment,
    WatchPayments,
    CreateAccount,
    GetAccount,
    ListAccounts,
    ListEntries,
    Deposit,
    GetDeposit,
    ListDeposits,
    ApproveDeposit,
    RejectDeposit,
    CapturePayment,
    CancelPayment,
    RefundPayment,
    ResolvePayment,
    ListAlarms,
    GetSettings,
    ListBanks,
    GetTrialBalance,
    GetPaymentStory,
];

/// What a participant has, to be asked for by others.
#[derive(Debug)]
pub struct Things {
    /// An account with money.
    pub account: String,
    /// A payment that has succeeded.
    pub payment: String,
    /// The request that made it.
    pub request_id: String,
    /// An authorization that nobody captured yet.
    pub authorization: String,
    /// Another one, to be cancelled.
    pub cancelled: String,
    /// A deposit of 1 that waits for approval.
    pub deposit: String,
}

impl Things {
    /// Makes one of each.
    pub async fn of(bench: &Bench, client: &Client) -> Result<Self, BenchError> {
        let account = bench.funded(client, "EUR", 1_000).await?;
        let payment = bench.pay(client, &account, &BANKS[0].account(1), 10).await?.payment;
        let authorize = async || {
            let mut request = euros(&unique("tenancy"), &account, &BANKS[0].account(1), 20);
            request.set_capture(CaptureMode::Manual);
            client.pay(request, None).await.map(|made| made.payment.id)
        };
        let (authorization, cancelled) = (authorize().await?, authorize().await?);
        let message = deposit_of_1(&account);
        let proposed = client.accounts.clone().deposit(client.request(message, None)).await?.into_inner();
        let deposit = proposed.deposit.unwrap_or_default().id;
        let (payment, request_id) = (payment.id, payment.request_id);
        Ok(Self { account, payment, request_id, authorization, cancelled, deposit })
    }
}

fn deposit_of_1(account: &str) -> DepositRequest {
    DepositRequest {
        request_id: unique("tenancy"),
        account: account.to_owned(),
        amount: Some(money(1, "EUR")),
        bank_id: "aurora".to_owned(),
        reference: String::new(),
    }
}

impl Call {
    /// Makes the call with these things' ids; says how many items the answer shows.
    async fn make(self, client: &Client, metadata: MetadataMap, things: &Things) -> Result<usize, Status> {
        let (payments, accounts) = (client.payments.clone(), client.accounts.clone());
        let (mut payments, mut accounts) = (payments, accounts);
        fn with<T>(metadata: MetadataMap, message: T) -> Request<T> {
            let mut request = Request::new(message);
            *request.metadata_mut() = metadata;
            request
        }
        let account = things.account.clone();
        match self {
            CreatePayment => {
                let message = euros(&unique("tenancy"), &account, &BANKS[0].account(1), 1);
                payments.create_payment(with(metadata, message)).await.map(|_| 1)
            }
            GetPayment | GetPaymentByRequest => {
                let key = match self {
                    GetPayment => Key::Id(things.payment.clone()),
                    _ => Key::RequestId(things.request_id.clone()),
                };
                payments.get_payment(with(metadata, GetPaymentRequest { key: Some(key) })).await.map(|_| 1)
            }
            ListPayments => {
                let message =
                    ListPaymentsRequest { payer_account: account, ..ListPaymentsRequest::default() };
                payments
                    .list_payments(with(metadata, message))
                    .await
                    .map(|page| page.into_inner().payments.len())
            }
            WaitPayment => {
                let key = Some(wait_payment_request::Key::Id(things.payment.clone()));
                let message = WaitPaymentRequest { key, after_sequence: 0 };
                payments.wait_payment(with(metadata, message)).await.map(|_| 1)
            }
            WatchPayments => {
                let message = WatchPaymentsRequest { account, ..WatchPaymentsRequest::default() };
                payments.watch_payments(with(metadata, message)).await.map(|_| 1)
            }
            CreateAccount => {
                let message = CreateAccountRequest {
                    request_id: unique("tenancy"),
                    display_name: "Ada".to_owned(),
                    currency: "EUR".to_owned(),
                    iban: String::new(),
                };
                accounts.create_account(with(metadata, message)).await.map(|_| 1)
            }
            GetAccount => {
                accounts.get_account(with(metadata, GetAccountRequest { id: account })).await.map(|_| 1)
            }
            ListAccounts => {
                let message = ListAccountsRequest { page_size: 500, page_token: String::new() };
                let page = accounts.list_accounts(with(metadata, message)).await?.into_inner();
                Ok(page.accounts.iter().filter(|own| own.id == account).count())
            }
            ListEntries => {
                let message = ListEntriesRequest { account, ..ListEntriesRequest::default() };
                accounts
                    .list_entries(with(metadata, message))
                    .await
                    .map(|page| page.into_inner().entries.len())
            }
            Deposit => accounts.deposit(with(metadata, deposit_of_1(&account))).await.map(|_| 1),
            GetDeposit => {
                let message = GetDepositRequest { id: things.deposit.clone() };
                accounts.get_deposit(with(metadata, message)).await.map(|_| 1)
            }
            ListDeposits => {
                let message = ListDepositsRequest { page_size: 500, ..ListDepositsRequest::default() };
                let page = accounts.list_deposits(with(metadata, message)).await?.into_inner();
                Ok(page.deposits.iter().filter(|own| own.id == things.deposit).count())
            }
            ApproveDeposit => {
                let (deposit, amount) = (things.deposit.clone(), Some(money(1, "EUR")));
                let message = ApproveDepositRequest { deposit, amount };
                accounts.approve_deposit(with(metadata, message)).await.map(|_| 1)
            }
            RejectDeposit => {
                let (deposit, reason) = (things.deposit.clone(), "no such line".to_owned());
                accounts
                    .reject_deposit(with(metadata, RejectDepositRequest { deposit, reason }))
                    .await
                    .map(|_| 1)
            }
            CapturePayment => {
                let (request_id, amount) = (unique("tenancy"), Some(money(1, "EUR")));
                let message =
                    CapturePaymentRequest { request_id, payment: things.authorization.clone(), amount };
                payments.capture_payment(with(metadata, message)).await.map(|_| 1)
            }
            CancelPayment => {
                let message = CancelPaymentRequest { payment: things.cancelled.clone() };
                payments.cancel_payment(with(metadata, message)).await.map(|_| 1)
            }
            RefundPayment => {
                let message = RefundPaymentRequest {
                    request_id: unique("tenancy"),
                    payment: things.payment.clone(),
                    amount: Some(money(1, "EUR")),
                    remittance_information: String::new(),
                };
                payments.refund_payment(with(metadata, message)).await.map(|_| 1)
            }
            ResolvePayment => {
                let message = ResolvePaymentRequest {
                    payment: things.payment.clone(),
                    resolution: Resolution::Succeeded.into(),
                    evidence_reference: "statement 7, line 3".to_owned(),
                };
                client.operations.clone().resolve_payment(with(metadata, message)).await.map(|_| 1)
            }
            ListAlarms => {
                let message = ListAlarmsRequest::default();
                let page = client.operations.clone().list_alarms(with(metadata, message)).await?.into_inner();
                Ok(page.alarms.len())
            }
            GetSettings => {
                let message = GetSettingsRequest {};
                client.operations.clone().get_settings(with(metadata, message)).await.map(|_| 1)
            }
            ListBanks => {
                let asked = with(metadata, ListBanksRequest {});
                Ok(client.operations.clone().list_banks(asked).await?.into_inner().banks.len())
            }
            GetTrialBalance => {
                let asked = with(metadata, GetTrialBalanceRequest::default());
                client.operations.clone().get_trial_balance(asked).await.map(|_| 1)
            }
            GetPaymentStory => {
                let message = GetPaymentStoryRequest { payment: things.payment.clone() };
                client.operations.clone().get_payment_story(with(metadata, message)).await.map(|_| 1)
            }
        }
    }

    /// What a participant sees who asks for another's things.
    fn seen_by_others(self) -> Result<usize, Code> {
        match self {
            CreateAccount | GetSettings | GetTrialBalance => Ok(1),
            ListBanks => Ok(BANKS.len()),
            ListPayments | ListAccounts | ListAlarms | ListDeposits => Ok(0),
            CreatePayment | GetPayment | GetPaymentByRequest | WaitPayment | WatchPayments | GetAccount
            | ListEntries | Deposit | GetDeposit | ApproveDeposit | RejectDeposit | CapturePayment
            | CancelPayment | RefundPayment | ResolvePayment | GetPaymentStory => Err(Code::NotFound),
        }
    }

    /// Whether a participant sees what it should of its own things: a payment that has succeeded is not to be resolved, who
    /// proposed a deposit may not approve it, and none of them raised an alarm.
    fn is_seen_by_owner(self, found: &Result<usize, Status>) -> bool {
        match self {
            ResolvePayment | ApproveDeposit => {
                found.as_ref().is_err_and(|status| status.code() == Code::FailedPrecondition)
            }
            ListAlarms => matches!(found, Ok(0)),
            _ => matches!(found, Ok(1..)),
        }
    }

    /// Whether a key that may only read may make the call.
    fn is_reading(self) -> bool {
        matches!(
            self,
            GetPayment
                | GetPaymentByRequest
                | ListPayments
                | WaitPayment
                | WatchPayments
                | GetAccount
                | ListAccounts
                | ListEntries
                | GetDeposit
                | ListDeposits
                | ListAlarms
                | ListBanks
                | GetTrialBalance
                | GetPaymentStory
        )
    }
}

/// The metadata that says whose key it is.
pub fn bearer(key: &str) -> MetadataMap {
    let mut metadata = MetadataMap::new();
    metadata.insert("authorization", format!("Bearer {key}").parse().unwrap());
    metadata
}

#[test]
fn the_list_of_calls_is_complete() {
    let set = prost_types::FileDescriptorSet::decode(proto::DESCRIPTORS).unwrap();
    let public = ["rialto.payments.v1", "rialto.accounts.v1", "rialto.operations.v1"];
    let files = set.file.iter().filter(|file| public.contains(&file.package()));
    let methods: BTreeSet<String> = files
        .flat_map(|file| &file.service)
        .flat_map(|service| &service.method)
        .map(|method| method.name().to_owned())
        .collect();
    let known: BTreeSet<String> =
        ALL.iter().filter(|call| **call != GetPaymentByRequest).map(|call| format!("{call:?}")).collect();
    assert_eq!(methods, known);
}

#[test]
fn nobody_sees_anothers_things() {
    run(async |bench| {
        let (shop, other) = (bench.client(0), bench.client(1));
        let (own, foreign) = (Things::of(bench, &shop).await?, Things::of(bench, &other).await?);
        for call in ALL {
            for (client, key, things, others) in [(&shop, 0, &own, &foreign), (&other, 1, &foreign, &own)] {
                let metadata = bearer(bench.system.credential(key));
                let found = call.make(client, metadata.clone(), things).await;
                assert!(call.is_seen_by_owner(&found), "{call:?} of one's own: {found:?}");
                let found = call.make(client, metadata.clone(), others).await;
                let seen = found.map_err(|status| status.code());
                assert_eq!(seen, call.seen_by_others(), "{call:?} of another's");
                // Whoever claims to be somebody else is still who the key says.
                let mut claims = metadata;
                for name in ["participant", "x-participant", "x-tenant-id", "x-forwarded-user"] {
                    claims.insert(name, if key == 0 { "other-shop" } else { "demo-shop" }.parse()?);
                }
                let seen = call.make(client, claims, others).await.map_err(|status| status.code());
                assert_eq!(seen, call.seen_by_others(), "{call:?} under another's name");
            }
        }
        let balance = other.account(&foreign.account).await?.balance.unwrap_or_default();
        // Its own call of each kind that moves money: a payment of 10, then one of 1, a capture of 1, a refund of 1. A deposit
        // takes two.
        assert_eq!(balance.posted_minor_units, 1_000 - 10 - 1 - 1 + 1);
        Ok(())
    });
}

#[test]
fn anothers_account_can_be_paid_and_not_looked_into() {
    run(async |bench| {
        let (shop, other) = (bench.client(0), bench.client(1));
        let (own, foreign) = (Things::of(bench, &shop).await?, Things::of(bench, &other).await?);
        let request = CreatePaymentRequest {
            payee: Some(payee_on_ledger("Grace", &foreign.account)),
            ..euros(&unique("tenancy"), &own.account, "", 5)
        };
        let paid = shop.pay(request, None).await?.payment;
        for client in [&other, &bench.client(2)] {
            let read = client.payment(&paid.id).await.map_err(|status| Refused::of(&status));
            assert_eq!(read, Err(Refused::new(Code::NotFound, "NOT_FOUND")));
        }
        bench.check(&[paid]).await
    });
}

#[test]
fn every_call_needs_one_known_credential() {
    run(async |bench| {
        let shop = bench.client(0);
        let own = Things::of(bench, &shop).await?;
        let key = bench.system.credential(0).to_owned();
        let other = bench.system.credential(1).to_owned();
        let good = format!("Bearer {key}");
        let rows: Vec<(&str, Vec<String>)> = vec![
            ("none", vec![]),
            ("empty", vec![String::new()]),
            ("no scheme", vec![key.clone()]),
            ("only the scheme", vec!["Bearer".to_owned()]),
            ("an empty key", vec!["Bearer ".to_owned()]),
            ("an unknown key", vec![format!("Bearer rk_{}", "A".repeat(43))]),
            ("cut off", vec![good[..good.len() - 1].to_owned()]),
            ("one character more", vec![format!("{good}A")]),
            ("two spaces", vec![format!("Bearer  {key}")]),
            ("another scheme", vec![format!("Basic {key}")]),
            ("small letters", vec![format!("Bearer {}", key.to_lowercase())]),
            ("another prefix", vec![format!("Bearer sk_{}", &key[3..])]),
            ("twice the same", vec![good.clone(), good.clone()]),
            ("two", vec![good.clone(), format!("Bearer {other}")]),
            ("a good and a bad one", vec![good.clone(), "Bearer rk_x".to_owned()]),
            ("joined by a comma", vec![format!("{good}, {good}")]),
            ("7 KiB", vec![format!("Bearer rk_{}", "A".repeat(7_000))]),
        ];
        for (name, values) in rows {
            for call in ALL {
                let mut metadata = MetadataMap::new();
                for value in &values {
                    metadata.append("authorization", value.parse()?);
                }
                let status = match call.make(&shop, metadata, &own).await {
                    Err(status) => status,
                    Ok(seen) => panic!("{call:?} with {name}: {seen}"),
                };
                let refused = Refused::new(Code::Unauthenticated, "UNAUTHENTICATED");
                assert_eq!(Refused::of(&status), refused, "{call:?} with {name}");
                assert!(!status.message().contains(&key), "{call:?} with {name}");
            }
        }
        // The scheme's name is not case-sensitive (RFC 9110), and a strange request of a stranger says nothing more.
        let mut lower = MetadataMap::new();
        lower.insert("authorization", format!("bearer {key}").parse()?);
        assert!(GetAccount.make(&shop, lower, &own).await.is_ok());
        let nobody = bench.keyed("").pay(CreatePaymentRequest::default(), None).await;
        assert_eq!(nobody.map_err(|status| status.code()).map(drop), Err(Code::Unauthenticated));
        Ok(())
    });
}

#[test]
fn an_auditors_key_reads_and_writes_nothing() {
    run(async |bench| {
        let auditor = bench.client(2);
        let own = Things::of(bench, &bench.client(0)).await?;
        for call in ALL {
            let found = call.make(&auditor, bearer(bench.system.credential(2)), &own).await;
            let seen = found.map_err(|status| (status.code(), Refused::of(&status).reason));
            let expected = match call.is_reading() {
                true => call.seen_by_others().map_err(|code| (code, "NOT_FOUND".to_owned())),
                false => Err((Code::PermissionDenied, "PERMISSION_DENIED".to_owned())),
            };
            assert_eq!(seen, expected, "{call:?}");
        }
        let mut database = bench.database().await?;
        let written: i64 =
            sqlx::query_scalar("SELECT count(*) FROM accounts WHERE participant_id = 'demo-audit'")
                .fetch_one(&mut database)
                .await?;
        assert_eq!(written, 0);
        Ok(())
    });
}
