//! Accounts: opened and read.

use common::{fault::Fault, id::AccountId};
use proto::{
    accounts::{
        CreateAccountRequest, CreateAccountResponse, GetAccountRequest, GetAccountResponse,
        ListAccountsRequest, ListAccountsResponse, ListEntriesRequest, ListEntriesResponse,
    },
    convert,
    platform::reply,
};

use super::{Commands, Done, parse_id};
use crate::{flow::intake::Caller, wire};

impl Commands {
    pub(super) async fn create_account(&self, caller: &Caller, request: CreateAccountRequest) -> Done {
        if caller.deadline.is_too_short() {
            return Err(Fault::deadline_too_short());
        }
        let order = convert::account_order(&request).map_err(Fault::invalid)?;
        let iban = order.iban.as_ref().map(|iban| iban.as_str().to_owned()).unwrap_or_default();
        let fingerprint = self.fingerprints.of(&CreateAccountRequest { iban, ..request });
        let store = self.flow.store();
        let id = AccountId::new(self.flow.clock());
        let now = self.flow.clock().now();
        let opened = match store.open_account(&caller.participant, id, &order, &fingerprint, now).await {
            Ok(account) => account,
            // The IBAN may be in use by the account that an earlier request with this very id opened.
            Err(error) if error.constraint() == Some("accounts_iban_is_unique") => store
                .account_by_request(&caller.participant, &order.request_id)
                .await?
                .ok_or_else(|| Fault::already_exists("IBAN_IN_USE", "another account has this IBAN"))?,
            Err(error) => return Err(error.into()),
        };
        if opened.fingerprint != Some(fingerprint) {
            return Err(crate::domain::ledger::Declined::RequestIdReused.into());
        }
        let replayed = opened.account.id != id;
        let response = CreateAccountResponse { account: Some(wire::account(&opened)) };
        Ok((reply::Result::CreateAccount(response), replayed))
    }

    pub(super) async fn get_account(&self, caller: &Caller, request: GetAccountRequest) -> Done {
        let id = parse_id("id", &request.id, "acc_", AccountId::parse)?;
        let account = self.flow.store().account(&caller.participant, id).await?;
        let account = account.ok_or_else(|| Fault::not_found("account"))?;
        Ok((reply::Result::GetAccount(GetAccountResponse { account: Some(wire::account(&account)) }), false))
    }

    pub(super) async fn list_accounts(&self, caller: &Caller, request: ListAccountsRequest) -> Done {
        let list = format!("{}/accounts", caller.participant);
        let page = self.page(&list, request.page_size, &request.page_token, Vec::new())?;
        let store = self.flow.store();
        let mut accounts = store.accounts(&caller.participant, page.before, page.size + 1).await?;
        let next_page_token = self.next(&list, &page, &mut accounts, |own| own.account.id.uuid());
        let accounts = accounts.iter().map(wire::account).collect();
        Ok((reply::Result::ListAccounts(ListAccountsResponse { accounts, next_page_token }), false))
    }

    pub(super) async fn list_entries(&self, caller: &Caller, request: ListEntriesRequest) -> Done {
        let list = format!("{}/entries/{}", caller.participant, request.account);
        let mut violations = Vec::new();
        let id = convert::id("account", &request.account, "acc_", AccountId::parse, &mut violations);
        let page = self.page(&list, request.page_size, &request.page_token, violations)?;
        let id = id.ok_or_else(Fault::internal)?;
        let store = self.flow.store();
        let account = store.account(&caller.participant, id).await?;
        let currency = account.ok_or_else(|| Fault::not_found("account"))?.account.currency;
        let mut entries = store.entries(id, page.before, page.size + 1).await?;
        let next_page_token = self.next(&list, &page, &mut entries, |entry| entry.cause.transfer().uuid());
        let entries = entries.iter().map(|entry| wire::entry(entry, currency)).collect();
        Ok((reply::Result::ListEntries(ListEntriesResponse { entries, next_page_token }), false))
    }
}
