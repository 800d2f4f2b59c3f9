//! What the gateway may ask for, carried out: the one piece of code behind the stream and the unary call.

use std::sync::Arc;

use common::{
    fault::{Fault, Violation},
    id::{AccountId, PaymentId},
    order::PaymentOrder,
};
use prost::Message;
use proto::{
    accounts::{
        CreateAccountRequest, CreateAccountResponse, DepositRequest, DepositResponse, GetAccountRequest,
        GetAccountResponse, ListAccountsRequest, ListAccountsResponse, ListEntriesRequest,
        ListEntriesResponse,
    },
    convert,
    payments::{
        CreatePaymentRequest, CreatePaymentResponse, GetPaymentRequest, GetPaymentResponse,
        ListPaymentsRequest, ListPaymentsResponse, get_payment_request,
    },
    platform::{command::Operation, reply},
};
use uuid::Uuid;

use crate::{
    domain::payment::Fingerprint,
    flow::{
        Flow,
        intake::{Caller, Paid},
    },
    page_token::PageTokens,
    store::{StoreError, payments::PaymentFilter},
    wire,
};

/// Carries out commands.
#[derive(Clone, Debug)]
pub struct Commands {
    flow: Arc<Flow>,
    page_tokens: PageTokens,
}

/// What came of a command, and whether an earlier one with the same request id did it.
type Done = Result<(reply::Result, bool), Fault>;

impl Commands {
    /// Commands over a flow.
    pub fn new(flow: Arc<Flow>, page_tokens: PageTokens) -> Self {
        Self { flow, page_tokens }
    }

    /// Carries out one command.
    ///
    /// # Errors
    /// When what was asked did not come to be, or it is not known yet whether it did.
    pub async fn execute(&self, caller: &Caller, operation: Operation) -> Done {
        common::text::participant(&caller.participant)
            .map_err(|complaint| invalid("participant", &complaint))?;
        match operation {
            Operation::CreatePayment(request) => self.create_payment(caller, request).await,
            Operation::GetPayment(request) => self.get_payment(caller, request).await,
            Operation::ListPayments(request) => self.list_payments(caller, request).await,
            Operation::CreateAccount(request) => self.create_account(caller, request).await,
            Operation::GetAccount(request) => self.get_account(caller, request).await,
            Operation::ListAccounts(request) => self.list_accounts(caller, request).await,
            Operation::ListEntries(request) => self.list_entries(caller, request).await,
            Operation::Deposit(request) => self.deposit(caller, request).await,
        }
    }

    async fn create_payment(&self, caller: &Caller, request: CreatePaymentRequest) -> Done {
        let order = convert::payment_order(&request).map_err(Fault::invalid)?;
        let fingerprint = fingerprint(&convert::payment_order_to_wire(&order));
        let would_be = request.validate_only.then(|| order.clone());
        let (payment, replayed) =
            match self.flow.pay(caller, order, fingerprint, request.validate_only).await? {
                Paid::Payment(payment, replayed) => (wire::payment(&payment), replayed),
                Paid::Validated(found) => {
                    let reason = found.err().map(|refusal| wire::reason(&refusal.reason()));
                    (validated(would_be.ok_or_else(Fault::internal)?, reason), false)
                }
            };
        let response = CreatePaymentResponse { payment: Some(payment) };
        Ok((reply::Result::CreatePayment(response), replayed))
    }

    async fn get_payment(&self, caller: &Caller, request: GetPaymentRequest) -> Done {
        let store = self.flow.store();
        let payment = match request.key {
            Some(get_payment_request::Key::Id(id)) => {
                let id = parse_id("id", &id, "pay_", PaymentId::parse)?;
                store.payment(&caller.participant, id).await
            }
            Some(get_payment_request::Key::RequestId(request_id)) => {
                common::text::request_id(&request_id)
                    .map_err(|complaint| invalid("request_id", &complaint))?;
                store.payment_by_request(&caller.participant, &request_id).await
            }
            None => return Err(invalid("key", "give id or request_id")),
        };
        let payment = payment.map_err(unavailable)?.ok_or_else(|| Fault::not_found("payment"))?;
        Ok((reply::Result::GetPayment(GetPaymentResponse { payment: Some(wire::payment(&payment)) }), false))
    }

    async fn list_payments(&self, caller: &Caller, request: ListPaymentsRequest) -> Done {
        let list = format!("{}/payments/{}/{}", caller.participant, request.payer_account, request.state);
        let mut violations = Vec::new();
        let payer_account = match request.payer_account.as_str() {
            "" => None,
            id => convert::id("payer_account", id, "acc_", AccountId::parse, &mut violations),
        };
        let state = match wire::state_filter(request.state) {
            Some(wire::StateFilter::Only(state)) => Some(state),
            Some(wire::StateFilter::Any) => None,
            None => {
                violations.push(Violation::new("state", "must be a state, or absent"));
                None
            }
        };
        let page = self.page(&list, request.page_size, &request.page_token, violations)?;
        let filter = PaymentFilter { payer_account, state };
        let mut payments = self
            .flow
            .store()
            .payments(&caller.participant, &filter, page.before, page.size + 1)
            .await
            .map_err(unavailable)?;
        let next_page_token = self.next(&list, &page, &mut payments, |payment| payment.id.uuid());
        let payments = payments.iter().map(wire::payment).collect();
        Ok((reply::Result::ListPayments(ListPaymentsResponse { payments, next_page_token }), false))
    }

    async fn create_account(&self, caller: &Caller, request: CreateAccountRequest) -> Done {
        if caller.deadline.is_too_short() {
            return Err(Fault::deadline_too_short());
        }
        let order = convert::account_order(&request).map_err(Fault::invalid)?;
        let iban = order.iban.as_ref().map(|iban| iban.as_str().to_owned()).unwrap_or_default();
        let fingerprint = fingerprint(&CreateAccountRequest { iban, ..request });
        let store = self.flow.store();
        let id = AccountId::new(self.flow.clock());
        let now = self.flow.clock().now();
        let opened = match store.open_account(&caller.participant, id, &order, &fingerprint, now).await {
            Ok(account) => account,
            // The IBAN may be in use by the account that an earlier request with this very id opened.
            Err(error) if error.constraint() == Some("accounts_iban_is_unique") => store
                .account_by_request(&caller.participant, &order.request_id)
                .await
                .map_err(unavailable)?
                .ok_or_else(|| Fault::already_exists("IBAN_IN_USE", "another account has this IBAN"))?,
            Err(error) => return Err(unavailable(error)),
        };
        if opened.fingerprint != Some(fingerprint) {
            return Err(crate::domain::ledger::Declined::RequestIdReused.into());
        }
        let replayed = opened.account.id != id;
        let response = CreateAccountResponse { account: Some(wire::account(&opened)) };
        Ok((reply::Result::CreateAccount(response), replayed))
    }

    async fn get_account(&self, caller: &Caller, request: GetAccountRequest) -> Done {
        let id = parse_id("id", &request.id, "acc_", AccountId::parse)?;
        let account = self.flow.store().account(&caller.participant, id).await.map_err(unavailable)?;
        let account = account.ok_or_else(|| Fault::not_found("account"))?;
        Ok((reply::Result::GetAccount(GetAccountResponse { account: Some(wire::account(&account)) }), false))
    }

    async fn list_accounts(&self, caller: &Caller, request: ListAccountsRequest) -> Done {
        let list = format!("{}/accounts", caller.participant);
        let page = self.page(&list, request.page_size, &request.page_token, Vec::new())?;
        let store = self.flow.store();
        let mut accounts =
            store.accounts(&caller.participant, page.before, page.size + 1).await.map_err(unavailable)?;
        let next_page_token = self.next(&list, &page, &mut accounts, |own| own.account.id.uuid());
        let accounts = accounts.iter().map(wire::account).collect();
        Ok((reply::Result::ListAccounts(ListAccountsResponse { accounts, next_page_token }), false))
    }

    async fn list_entries(&self, caller: &Caller, request: ListEntriesRequest) -> Done {
        let list = format!("{}/entries/{}", caller.participant, request.account);
        let mut violations = Vec::new();
        let id = convert::id("account", &request.account, "acc_", AccountId::parse, &mut violations);
        let page = self.page(&list, request.page_size, &request.page_token, violations)?;
        let id = id.ok_or_else(Fault::internal)?;
        let store = self.flow.store();
        let account = store.account(&caller.participant, id).await.map_err(unavailable)?;
        let currency = account.ok_or_else(|| Fault::not_found("account"))?.account.currency;
        let mut entries = store.entries(id, page.before, page.size + 1).await.map_err(unavailable)?;
        let next_page_token = self.next(&list, &page, &mut entries, |entry| entry.transfer.uuid());
        let entries = entries.iter().map(|entry| wire::entry(entry, currency)).collect();
        Ok((reply::Result::ListEntries(ListEntriesResponse { entries, next_page_token }), false))
    }

    async fn deposit(&self, caller: &Caller, request: DepositRequest) -> Done {
        let order = convert::deposit_order(&request).map_err(Fault::invalid)?;
        let (deposit, replayed) = self.flow.deposit(caller, order, fingerprint(&request)).await?;
        let response = DepositResponse { deposit: Some(wire::deposit(&deposit)) };
        Ok((reply::Result::Deposit(response), replayed))
    }

    fn page(
        &self,
        list: &str,
        size: i32,
        token: &str,
        mut violations: Vec<Violation>,
    ) -> Result<Page, Fault> {
        let size = convert::page_size(size, &mut violations);
        let before = if token.is_empty() { None } else { self.page_tokens.read(list, token) };
        if before.is_none() && !token.is_empty() {
            let must = "must be the next_page_token of an answer to the same request";
            violations.push(Violation::new("page_token", must));
        }
        match size {
            Some(size) if violations.is_empty() => Ok(Page { size, before }),
            _ => Err(Fault::invalid(violations)),
        }
    }

    /// Cuts the one item too many that shows that there is a next page, and makes its token.
    fn next<T>(&self, list: &str, page: &Page, items: &mut Vec<T>, id: impl Fn(&T) -> Uuid) -> String {
        let size = usize::try_from(page.size).unwrap_or(usize::MAX);
        if items.len() <= size {
            return String::new();
        }
        items.truncate(size);
        items.last().map(|last| self.page_tokens.make(list, id(last))).unwrap_or_default()
    }
}

struct Page {
    size: i64,
    before: Option<Uuid>,
}

/// Tells a repeat of a request from a reuse of its id.
fn fingerprint(request: &impl Message) -> Fingerprint {
    *blake3::hash(&request.encode_to_vec()).as_bytes()
}

fn validated(order: PaymentOrder, reason: Option<proto::payments::Reason>) -> proto::payments::Payment {
    let state = match reason {
        Some(_) => proto::payments::PaymentState::Failed,
        None => proto::payments::PaymentState::Unspecified,
    };
    proto::payments::Payment {
        request_id: order.request_id,
        payer_account: order.payer_account.to_string(),
        payee: Some((&order.payee).into()),
        amount: Some(convert::money_to_wire(order.amount)),
        remittance_information: order.remittance_information,
        end_to_end_id: order.end_to_end_id.unwrap_or_default(),
        metadata: order.metadata,
        state: state.into(),
        reason,
        ..proto::payments::Payment::default()
    }
}

fn parse_id<T>(field: &str, text: &str, prefix: &str, parse: impl Fn(&str) -> Option<T>) -> Result<T, Fault> {
    let mut violations = Vec::new();
    convert::id(field, text, prefix, parse, &mut violations).ok_or_else(|| Fault::invalid(violations))
}

fn invalid(field: &str, what: &str) -> Fault {
    Fault::invalid(vec![Violation::new(field, what)])
}

fn unavailable(error: StoreError) -> Fault {
    if error.is_passing() {
        tracing::warn!(%error, "the database is not there");
        Fault::unavailable("LEDGER_UNAVAILABLE", "the ledger is not there: send the same request again")
    } else {
        tracing::error!(%error, "the database refuses a statement");
        Fault::internal()
    }
}
