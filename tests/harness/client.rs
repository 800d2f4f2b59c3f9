//! A caller of the gateway, as any gRPC client is.

use std::time::{Duration, Instant};

use common::rpc_client::Route;
use prost::Message;
use proto::{
    accounts::{
        Account, ApproveDepositRequest, CreateAccountRequest, Deposit, DepositRequest, DepositState,
        GetAccountRequest, account_service_client::AccountServiceClient,
    },
    audit::audit_service_client::AuditServiceClient,
    limits::limit_service_client::LimitServiceClient,
    money::Money,
    operations::operations_service_client::OperationsServiceClient,
    participants::{
        CreateApiKeyRequest, CreateApiKeyResponse, participant_service_client::ParticipantServiceClient,
    },
    payments::{
        CreatePaymentRequest, GetPaymentRequest, Payee, Payment, get_payment_request::Key, payee,
        payment_service_client::PaymentServiceClient,
    },
    stats::stats_service_client::StatsServiceClient,
    webhooks::webhook_service_client::WebhookServiceClient,
};
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataMap, MetadataValue},
    transport::Channel,
};

use crate::{
    BenchError,
    signing::{Signing, SigningKey},
};

/// Calls the gateway with one API key. Clones share the connection.
#[derive(Clone, Debug)]
pub struct Client {
    /// The payments' service, for calls that have no shortcut here.
    pub payments: PaymentServiceClient<Channel>,
    /// The accounts' service, for calls that have no shortcut here.
    pub accounts: AccountServiceClient<Channel>,
    /// The operators' service, for calls that have no shortcut here.
    pub operations: OperationsServiceClient<Channel>,
    /// The administration's service, for calls that have no shortcut here.
    pub participants: ParticipantServiceClient<Channel>,
    /// The limits' service.
    pub limits: LimitServiceClient<Channel>,
    /// The webhooks' service.
    pub webhooks: WebhookServiceClient<Channel>,
    /// The audit log's service.
    pub audit: AuditServiceClient<Channel>,
    /// The statistics' service.
    pub stats: StatsServiceClient<Channel>,
    authorization: Option<MetadataValue<Ascii>>,
    /// Of another operator, who approves the deposits that this one proposes.
    approver: Option<MetadataValue<Ascii>>,
}

/// A payment as an answer said, and whether the answer was marked as a repeat.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The payment.
    pub payment: Payment,
    /// Whether the metadata said `idempotent-replayed: true`.
    pub replayed: bool,
}

impl Client {
    /// A caller of a gateway; an empty key sends none.
    ///
    /// # Errors
    /// When the key can't be sent.
    pub fn new(gateway: &Route, key: &str) -> Result<Self, BenchError> {
        let channel = gateway.clone().connect();
        let authorization = bearer(key)?;
        Ok(Self {
            payments: PaymentServiceClient::new(channel.clone()),
            accounts: AccountServiceClient::new(channel.clone()),
            operations: OperationsServiceClient::new(channel.clone()),
            participants: ParticipantServiceClient::new(channel.clone()),
            limits: LimitServiceClient::new(channel.clone()),
            webhooks: WebhookServiceClient::new(channel.clone()),
            audit: AuditServiceClient::new(channel.clone()),
            stats: StatsServiceClient::new(channel),
            authorization,
            approver: None,
        })
    }

    /// The same caller, whose deposits another operator with this key approves.
    ///
    /// # Errors
    /// When the key can't be sent.
    pub fn approved_by(self, key: &str) -> Result<Self, BenchError> {
        Ok(Self { approver: bearer(key)?, ..self })
    }

    /// A request with this caller's key; without a timeout the call has no deadline.
    pub fn request<T>(&self, message: T, timeout: Option<Duration>) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(authorization) = &self.authorization {
            request.metadata_mut().insert("authorization", authorization.clone());
        }
        if let Some(timeout) = timeout {
            request.set_timeout(timeout);
        }
        request
    }

    /// A request with this caller's key that calls `path` and is signed.
    ///
    /// # Errors
    /// When something of it can't be sent.
    pub fn signed<T: Message>(
        &self,
        message: T,
        path: &str,
        key: &SigningKey,
    ) -> Result<Request<T>, BenchError> {
        let signature = key.sign(&Signing::of(path, &message))?;
        let mut request = self.request(message, None);
        let headers = std::mem::take(request.metadata_mut()).into_headers();
        let all = headers.into_iter().chain(signature.into_headers());
        *request.metadata_mut() =
            MetadataMap::from_headers(all.filter_map(|(name, value)| Some((name?, value))).collect());
        Ok(request)
    }

    /// Makes a payment.
    ///
    /// # Errors
    /// When no payment came to be.
    pub async fn pay(
        &self,
        message: CreatePaymentRequest,
        timeout: Option<Duration>,
    ) -> Result<Answer, Status> {
        let response = self.payments.clone().create_payment(self.request(message, timeout)).await?;
        let replayed = response.metadata().get("idempotent-replayed").is_some_and(|value| value == "true");
        let payment =
            response.into_inner().payment.ok_or_else(|| Status::internal("an answer without a payment"))?;
        Ok(Answer { payment, replayed })
    }

    /// Reads a payment.
    ///
    /// # Errors
    /// When there is none.
    pub async fn payment(&self, id: &str) -> Result<Payment, Status> {
        let message = GetPaymentRequest { key: Some(Key::Id(id.to_owned())) };
        let response = self.payments.clone().get_payment(self.request(message, None)).await?;
        response.into_inner().payment.ok_or_else(|| Status::internal("an answer without a payment"))
    }

    /// Opens an account.
    ///
    /// # Errors
    /// When none was opened.
    pub async fn open_account(
        &self,
        request_id: &str,
        name: &str,
        currency: &str,
        iban: &str,
    ) -> Result<Account, Status> {
        let message = CreateAccountRequest {
            request_id: request_id.to_owned(),
            display_name: name.to_owned(),
            currency: currency.to_owned(),
            iban: iban.to_owned(),
        };
        let response = self.accounts.clone().create_account(self.request(message, None)).await?;
        response.into_inner().account.ok_or_else(|| Status::internal("an answer without an account"))
    }

    /// Reads an account.
    ///
    /// # Errors
    /// When there is none.
    pub async fn account(&self, id: &str) -> Result<Account, Status> {
        let message = GetAccountRequest { id: id.to_owned() };
        let response = self.accounts.clone().get_account(self.request(message, None)).await?;
        response.into_inner().account.ok_or_else(|| Status::internal("an answer without an account"))
    }

    /// Makes an API key for a participant, or the caller's own if none is named.
    ///
    /// # Errors
    /// When none was made.
    pub async fn create_api_key(
        &self,
        request_id: &str,
        participant: &str,
        roles: &[&str],
    ) -> Result<CreateApiKeyResponse, Status> {
        let message = CreateApiKeyRequest {
            request_id: request_id.to_owned(),
            participant: participant.to_owned(),
            roles: roles.iter().map(|&role| role.to_owned()).collect(),
            label: format!("made by {request_id}"),
            ..CreateApiKeyRequest::default()
        };
        let response = self.participants.clone().create_api_key(self.request(message, None)).await?;
        Ok(response.into_inner())
    }

    /// Has money booked that arrived.
    ///
    /// # Errors
    /// When none was booked.
    pub async fn deposit(
        &self,
        request_id: &str,
        account: &str,
        minor_units: i64,
        currency: &str,
        bank_id: &str,
    ) -> Result<Deposit, Status> {
        let message = DepositRequest {
            request_id: request_id.to_owned(),
            account: account.to_owned(),
            amount: Some(money(minor_units, currency)),
            bank_id: bank_id.to_owned(),
            reference: format!("statement line {request_id}"),
        };
        self.book(message, None).await
    }

    /// Has money booked that arrived: proposes it, and has the other operator approve it, if that takes two.
    ///
    /// # Errors
    /// When it was not proposed, or not approved.
    pub async fn book(&self, message: DepositRequest, timeout: Option<Duration>) -> Result<Deposit, Status> {
        let response = self.accounts.clone().deposit(self.request(message, timeout)).await?;
        let proposed = response.into_inner().deposit.ok_or_else(no_deposit)?;
        match proposed.state() {
            DepositState::PendingApproval => self.approve(&proposed, timeout).await,
            _ => Ok(proposed),
        }
    }

    /// Has the other operator approve a deposit.
    ///
    /// # Errors
    /// When it was not approved.
    pub async fn approve(&self, deposit: &Deposit, timeout: Option<Duration>) -> Result<Deposit, Status> {
        let approver = Self { authorization: self.approver.clone(), ..self.clone() };
        let message = ApproveDepositRequest { deposit: deposit.id.clone(), amount: deposit.amount.clone() };
        let response = approver.accounts.clone().approve_deposit(approver.request(message, timeout)).await?;
        response.into_inner().deposit.ok_or_else(no_deposit)
    }
}

fn bearer(key: &str) -> Result<Option<MetadataValue<Ascii>>, BenchError> {
    if key.is_empty() { Ok(None) } else { Ok(Some(format!("Bearer {key}").parse()?)) }
}

fn no_deposit() -> Status {
    Status::internal("an answer without a deposit")
}

/// Whether the call may be made again as it was: the server said so, or this client's library says in its own way that
/// the connection ended in good order before the server took the call.
pub fn may_try_again(status: &Status) -> bool {
    let source = std::error::Error::source(status).map(|source| format!("{source:?}"));
    match status.code() {
        tonic::Code::Unavailable => true,
        tonic::Code::Cancelled => source.is_some(),
        // A call that crossed the server's GOAWAY on the wire.
        tonic::Code::Internal => source.is_some_and(|source| source.contains("GoAway(b\"\", NO_ERROR")),
        _ => false,
    }
}

/// Whether the answer came too late. A machine that stalls misses what is answered at the last moment, as what is unknown is.
pub fn is_too_late(status: &Status) -> bool {
    matches!(status.code(), tonic::Code::DeadlineExceeded | tonic::Code::Cancelled)
}

/// Makes a call as a good client does: again, as it was, while the server says so, for at most 20 s.
///
/// # Errors
/// The last answer, if it is not to be asked again.
pub async fn insist<T, F: Future<Output = Result<T, Status>>>(call: impl Fn() -> F) -> Result<T, Status> {
    let give_up = Instant::now() + Duration::from_secs(20);
    loop {
        match call().await {
            Err(status) if may_try_again(&status) && Instant::now() < give_up => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            answer => return answer,
        }
    }
}

/// An amount.
pub fn money(minor_units: i64, currency: &str) -> Money {
    Money { minor_units, currency: currency.to_owned() }
}

/// A payment to whoever `payee` is.
pub fn order(
    request_id: &str,
    payer_account: &str,
    payee: Payee,
    minor_units: i64,
    currency: &str,
) -> CreatePaymentRequest {
    CreatePaymentRequest {
        request_id: request_id.to_owned(),
        payer_account: payer_account.to_owned(),
        payee: Some(payee),
        amount: Some(money(minor_units, currency)),
        remittance_information: format!("Order {request_id}"),
        ..CreatePaymentRequest::default()
    }
}

/// A payee with an IBAN, whose bank its bank code says.
pub fn payee_by_iban(name: &str, iban: &str) -> Payee {
    Payee { name: name.to_owned(), account: Some(payee::Account::Iban(iban.to_owned())), bank: None }
}

/// A payee with an account number at a bank.
pub fn payee_by_number(name: &str, number: &str, bank: payee::Bank) -> Payee {
    Payee {
        name: name.to_owned(),
        account: Some(payee::Account::AccountNumber(number.to_owned())),
        bank: Some(bank),
    }
}

/// A payee with an account on the ledger.
pub fn payee_on_ledger(name: &str, account: &str) -> Payee {
    Payee {
        name: name.to_owned(),
        account: Some(payee::Account::LedgerAccount(account.to_owned())),
        bank: None,
    }
}
