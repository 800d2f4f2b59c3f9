//! What the gateway may ask for, carried out: the one piece of code behind the stream and the unary call.

mod accounts;
mod audit;
mod deposits;
mod limits;
mod operations;
mod overview;
mod participants;
mod payments;
mod statistics;
mod webhooks;

use std::sync::Arc;

use common::{
    audit::note::Signer,
    fault::{Fault, Violation},
};
use proto::{
    convert,
    operations::Settings,
    platform::{command::Operation, reply},
};
use tokio::sync::Semaphore;
use uuid::Uuid;

pub use operations::own_settings;

use crate::{
    callers::Callers,
    fingerprint::Fingerprints,
    flow::{Flow, intake::Caller},
    page_token::PageTokens,
};

/// Carries out commands.
#[derive(Clone, Debug)]
pub struct Commands {
    flow: Arc<Flow>,
    callers: Callers,
    page_tokens: PageTokens,
    fingerprints: Fingerprints,
    own_settings: Settings,
    signer: Option<Arc<Signer>>,
    /// Held by whoever takes a trial balance.
    balancing: Arc<Semaphore>,
}

/// What came of a command, and whether an earlier one with the same request id did it.
type Done = Result<(reply::Result, bool), Fault>;

impl Commands {
    /// Commands over a flow, in a platform with these settings of its own, whose checkpoints `signer` signs.
    pub fn new(
        flow: Arc<Flow>,
        callers: Callers,
        page_tokens: PageTokens,
        fingerprints: Fingerprints,
        own_settings: Settings,
        signer: Option<Arc<Signer>>,
    ) -> Self {
        let balancing = Arc::new(Semaphore::new(1));
        Self { flow, callers, page_tokens, fingerprints, own_settings, signer, balancing }
    }

    /// The flow that they are carried out in.
    pub fn flow(&self) -> Arc<Flow> {
        Arc::clone(&self.flow)
    }

    /// Carries out one command.
    ///
    /// # Errors
    /// When what was asked did not come to be, or it is not known yet whether it did.
    pub async fn execute(&self, caller: &Caller, operation: Operation) -> Done {
        common::text::participant(&caller.participant)
            .map_err(|complaint| invalid("participant", &complaint))?;
        if let Some(signature) = &caller.signature {
            Box::pin(self.flow.claim(signature, caller.deadline)).await?;
        }
        match operation {
            Operation::CreatePayment(request) => self.create_payment(caller, request).await,
            // In a place of its own: what is rare is larger, and would be carried along with every payment.
            operation => Box::pin(self.execute_other(caller, operation)).await,
        }
    }

    async fn execute_other(&self, caller: &Caller, operation: Operation) -> Done {
        match operation {
            Operation::CreatePayment(request) => self.create_payment(caller, request).await,
            Operation::GetPayment(request) => self.get_payment(caller, request).await,
            Operation::ListPayments(request) => self.list_payments(caller, request).await,
            Operation::WaitPayment(request) => self.wait_payment(caller, request).await,
            Operation::CapturePayment(request) => self.capture_payment(caller, request).await,
            Operation::CancelPayment(request) => self.cancel_payment(caller, request).await,
            Operation::RefundPayment(request) => self.refund_payment(caller, request).await,
            Operation::CreateAccount(request) => self.create_account(caller, request).await,
            Operation::GetAccount(request) => self.get_account(caller, request).await,
            Operation::ListAccounts(request) => self.list_accounts(caller, request).await,
            Operation::ListEntries(request) => self.list_entries(caller, request).await,
            Operation::Deposit(request) => self.deposit(caller, request).await,
            Operation::ApproveDeposit(request) => self.approve_deposit(caller, request).await,
            Operation::RejectDeposit(request) => self.reject_deposit(caller, request).await,
            Operation::GetDeposit(request) => self.get_deposit(caller, request).await,
            Operation::ListDeposits(request) => self.list_deposits(caller, request).await,
            Operation::ResolvePayment(request) => self.resolve_payment(caller, request).await,
            Operation::ListAlarms(request) => self.list_alarms(caller, request).await,
            Operation::GetSettings(_) => self.get_settings().await,
            Operation::ListBanks(_) => Ok(self.list_banks(caller)),
            Operation::GetTrialBalance(request) => self.get_trial_balance(caller, request).await,
            Operation::GetPaymentStory(request) => self.get_payment_story(caller, request).await,
            Operation::CreateParticipant(request) => self.create_participant(caller, request).await,
            Operation::ListParticipants(request) => self.list_participants(caller, request).await,
            Operation::DisableParticipant(request) => self.disable_participant(caller, request).await,
            Operation::EnableParticipant(request) => self.enable_participant(caller, request).await,
            Operation::MakeApiKey(command) => self.make_api_key(caller, command).await,
            Operation::ListApiKeys(request) => self.list_api_keys(caller, request).await,
            Operation::RevokeApiKey(request) => self.revoke_api_key(caller, request).await,
            Operation::SetAccountLimits(request) => self.set_account_limits(caller, request).await,
            Operation::GetAccountLimits(request) => self.get_account_limits(caller, request).await,
            Operation::SetParticipantLimits(request) => self.set_participant_limits(caller, request).await,
            Operation::GetParticipantLimits(request) => self.get_participant_limits(caller, request).await,
            Operation::GetStatistics(request) => self.get_statistics(caller, request).await,
            Operation::GetCheckpoint(_) => self.get_checkpoint().await,
            Operation::GetInclusionProof(request) => self.get_inclusion_proof(request).await,
            Operation::GetConsistencyProof(request) => self.get_consistency_proof(request).await,
            Operation::GetPaymentReceipt(request) => self.get_payment_receipt(caller, request).await,
            Operation::CreateWebhookEndpoint(request) => self.create_webhook_endpoint(caller, request).await,
            Operation::ListWebhookEndpoints(request) => self.list_webhook_endpoints(caller, request).await,
            Operation::UpdateWebhookEndpoint(request) => self.update_webhook_endpoint(caller, request).await,
            Operation::RotateWebhookSecret(request) => self.rotate_webhook_secret(caller, request).await,
            Operation::ListWebhookDeliveries(request) => self.list_webhook_deliveries(caller, request).await,
            Operation::ReplayWebhookEvents(request) => self.replay_webhook_events(caller, request).await,
            Operation::DeleteWebhookEndpoint(request) => self.delete_webhook_endpoint(caller, request).await,
        }
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
            violations.push(bad_page_token());
        }
        match size {
            Some(size) if violations.is_empty() => Ok(Page { size, before }),
            _ => Err(Fault::invalid(violations)),
        }
    }

    /// Cuts the one item too many that shows that there is a next page, and makes its token.
    fn next<T>(&self, list: &str, page: &Page, items: &mut Vec<T>, id: impl Fn(&T) -> Uuid) -> String {
        let has_more = cut(items, page.size);
        let last = items.last().filter(|_| has_more);
        last.map(|last| self.page_tokens.make(list, id(last))).unwrap_or_default()
    }
}

/// Cuts what is too much for a page; whether there was any.
fn cut<T>(items: &mut Vec<T>, size: i64) -> bool {
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let has_more = items.len() > size;
    items.truncate(size);
    has_more
}

fn bad_page_token() -> Violation {
    Violation::new("page_token", "must be the next_page_token of an answer to the same request")
}

struct Page {
    size: i64,
    before: Option<Uuid>,
}

fn parse_id<T>(field: &str, text: &str, prefix: &str, parse: impl Fn(&str) -> Option<T>) -> Result<T, Fault> {
    let mut violations = Vec::new();
    convert::id(field, text, prefix, parse, &mut violations).ok_or_else(|| Fault::invalid(violations))
}

fn invalid(field: &str, what: &str) -> Fault {
    Fault::invalid(vec![Violation::new(field, what)])
}
