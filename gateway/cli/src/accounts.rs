//! Accounts: their balances and entries.

use clap::Subcommand;
use common::fault::Violation;
use proto::accounts::{
    Account, AccountState, CreateAccountRequest, Direction, Entry, GetAccountRequest, ListAccountsRequest,
    ListAccountsResponse, ListEntriesRequest, ListEntriesResponse,
};

use crate::{
    amount::{decimal, shown},
    failure::Failure,
    gateway_link::{ANSWER_TIMEOUT, Gateway, within},
    paging::LimitArgs,
    pay::RequestIdArgs,
    screen::{Rows, Screen, time, word},
};

/// What can be asked of accounts.
#[derive(Subcommand, Debug)]
pub enum AccountsJob {
    /// List the accounts, newest first.
    List {
        /// How many.
        #[command(flatten)]
        limit: LimitArgs,
    },
    /// Show one account.
    Get {
        /// The account: acc_…
        account: String,
    },
    /// Open an account, with balance zero.
    Open {
        /// The account holder's name, shown to payees.
        #[arg(long)]
        name: String,
        /// The account's one currency (ISO 4217): EUR.
        currency: String,
        /// The account's IBAN, if it has one: who pays to it pays on this ledger.
        #[arg(long, default_value = "", hide_default_value = true)]
        iban: String,
        /// The request's id.
        #[command(flatten)]
        request_id: RequestIdArgs,
    },
    /// List an account's entries, newest first.
    Entries {
        /// The account: acc_…
        account: String,
        /// How many.
        #[command(flatten)]
        limit: LimitArgs,
    },
}

impl AccountsJob {
    pub(crate) async fn run(&self, gateway: &Gateway, screen: &Screen) -> Result<(), Failure> {
        match self {
            Self::List { limit } => list(gateway, screen, limit).await,
            Self::Get { account } => {
                let request = GetAccountRequest { id: account.clone() };
                let answer = gateway.accounts.clone().get_account(within(ANSWER_TIMEOUT, request)).await;
                screen
                    .show(&answer.map_err(Failure::read)?.into_inner(), |answer| one(answer.account.as_ref()))
            }
            Self::Open { name, currency, iban, request_id } => {
                let mut violations: Vec<Violation> = Vec::new();
                let id = request_id.settle(&mut violations);
                proto::convert::currency("CURRENCY", currency, &mut violations);
                if !violations.is_empty() {
                    return Err(Failure::fields(&violations));
                }
                request_id.tell(&id);
                let request = CreateAccountRequest {
                    request_id: id.clone(),
                    display_name: name.clone(),
                    currency: currency.clone(),
                    iban: iban.clone(),
                };
                let answer = gateway.accounts.clone().create_account(within(ANSWER_TIMEOUT, request)).await;
                let answer = answer.map_err(Failure::change(&id))?.into_inner();
                screen.show(&answer, |answer| one(answer.account.as_ref()))
            }
            Self::Entries { account, limit } => entries(gateway, screen, account, limit).await,
        }
    }
}

async fn list(gateway: &Gateway, screen: &Screen, limit: &LimitArgs) -> Result<(), Failure> {
    let (accounts, next_page_token) = limit
        .read(async |page_size, page_token| {
            let request = ListAccountsRequest { page_size, page_token };
            let page =
                gateway.accounts.clone().list_accounts(within(ANSWER_TIMEOUT, request)).await?.into_inner();
            Ok((page.accounts, page.next_page_token))
        })
        .await?;
    let all = ListAccountsResponse { accounts, next_page_token };
    screen.show(&all, |all| {
        let heading = ["ACCOUNT", "HOLDER", "AVAILABLE", "HELD", "IBAN", "STATE"];
        Rows::below(
            heading,
            all.accounts.iter().map(|account| {
                let balance = account.balance.unwrap_or_default();
                [
                    account.id.clone(),
                    account.display_name.clone(),
                    decimal(balance.available_minor_units, &account.currency),
                    decimal(balance.held_minor_units, &account.currency),
                    account.iban.clone(),
                    state(account.state()).to_owned(),
                ]
            }),
        )
    })
}

async fn entries(
    gateway: &Gateway,
    screen: &Screen,
    account: &str,
    limit: &LimitArgs,
) -> Result<(), Failure> {
    let (entries, next_page_token) = limit
        .read(async |page_size, page_token| {
            let request = ListEntriesRequest { account: account.to_owned(), page_size, page_token };
            let page =
                gateway.accounts.clone().list_entries(within(ANSWER_TIMEOUT, request)).await?.into_inner();
            Ok((page.entries, page.next_page_token))
        })
        .await?;
    let all = ListEntriesResponse { entries, next_page_token };
    screen.show(&all, |all| {
        let heading = ["BOOKED", "SIDE", "AMOUNT", "FOR", "ENTRY"];
        Rows::below(heading, all.entries.iter().map(entry))
    })
}

fn entry(entry: &Entry) -> [String; 5] {
    let side = match entry.direction() {
        Direction::Debit => "debit",
        Direction::Credit => "credit",
        Direction::Unspecified => "",
    };
    let belongs_to = if entry.payment.is_empty() { &entry.deposit } else { &entry.payment };
    [
        time(entry.create_time.as_ref()),
        side.to_owned(),
        shown(entry.amount.as_ref()),
        belongs_to.clone(),
        entry.id.clone(),
    ]
}

fn one(account: Option<&Account>) -> Rows {
    let Some(account) = account else { return Rows::of([]) };
    let balance = account.balance.unwrap_or_default();
    let amount = |minor_units| decimal(minor_units, &account.currency);
    Rows::of([
        ("account", account.id.clone()),
        ("holder", account.display_name.clone()),
        ("IBAN", account.iban.clone()),
        ("state", state(account.state()).to_owned()),
        ("available", amount(balance.available_minor_units)),
        ("posted", amount(balance.posted_minor_units)),
        ("held", amount(balance.held_minor_units)),
        ("request id", account.request_id.clone()),
        ("opened", time(account.create_time.as_ref())),
    ])
}

fn state(state: AccountState) -> &'static str {
    word(state.as_str_name(), "ACCOUNT_STATE_")
}
