//! Money that arrived: one operator proposes to book it, another approves.

use clap::Subcommand;
use proto::accounts::{
    ApproveDepositRequest, Deposit, DepositRequest, DepositState, ListDepositsRequest, ListDepositsResponse,
    RejectDepositRequest,
};

use crate::{
    amount::{AmountArgs, shown},
    failure::Failure,
    gateway_link::{ANSWER_TIMEOUT, Gateway, within},
    paging::LimitArgs,
    pay::RequestIdArgs,
    screen::{Rows, Screen, note, time, word},
};

/// What can be done with deposits.
#[derive(Subcommand, Debug)]
pub enum DepositJob {
    /// Propose to book money that arrived. Nothing is booked until another operator approves it.
    Propose {
        /// The account to credit: acc_…
        #[arg(long)]
        account: String,
        /// The bank, by its id, at whose settlement account the money arrived.
        #[arg(long)]
        bank: String,
        /// How much.
        #[command(flatten)]
        amount: AmountArgs,
        /// The arrival's reference, e.g. of the statement's line.
        #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
        reference: String,
        /// The request's id.
        #[command(flatten)]
        request_id: RequestIdArgs,
    },
    /// Approve what another operator proposed, and book it; says the amount again.
    Approve {
        /// The deposit: dep_…
        deposit: String,
        /// How much.
        #[command(flatten)]
        amount: AmountArgs,
    },
    /// Reject what was proposed.
    Reject {
        /// The deposit: dep_…
        deposit: String,
        /// Why, for people.
        #[arg(long)]
        reason: String,
    },
    /// List deposits, newest first.
    List {
        /// Only those in this state: pending_approval, booked, rejected, lapsed.
        #[arg(long, value_parser = parse_state)]
        state: Option<DepositState>,
        /// How many.
        #[command(flatten)]
        limit: LimitArgs,
    },
}

impl DepositJob {
    pub(crate) async fn run(&self, gateway: &Gateway, screen: &Screen) -> Result<(), Failure> {
        let mut violations = Vec::new();
        let mut accounts = gateway.accounts.clone();
        match self {
            Self::Propose { account, bank, amount, reference, request_id } => {
                let id = request_id.settle(&mut violations);
                let amount = amount.read(&mut violations);
                if !violations.is_empty() {
                    return Err(Failure::fields(&violations));
                }
                request_id.tell(&id);
                let request = DepositRequest {
                    request_id: id.clone(),
                    account: account.clone(),
                    amount,
                    bank_id: bank.clone(),
                    reference: reference.clone(),
                };
                let answer = accounts.deposit(within(ANSWER_TIMEOUT, request)).await;
                let answer = answer.map_err(Failure::change(&id))?.into_inner();
                screen.show(&answer, |answer| one(answer.deposit.as_ref()))?;
                if answer.deposit.is_some_and(|deposit| deposit.state() == DepositState::PendingApproval) {
                    note(
                        "→ nothing is booked yet: another operator says `rialto deposit approve` with the same amount",
                    );
                }
                Ok(())
            }
            Self::Approve { deposit, amount } => {
                let amount = amount.read(&mut violations);
                if !violations.is_empty() {
                    return Err(Failure::fields(&violations));
                }
                let request = ApproveDepositRequest { deposit: deposit.clone(), amount };
                let answer = accounts.approve_deposit(within(ANSWER_TIMEOUT, request)).await;
                let answer = answer.map_err(Failure::change_as_it_is)?.into_inner();
                screen.show(&answer, |answer| one(answer.deposit.as_ref()))
            }
            Self::Reject { deposit, reason } => {
                let request = RejectDepositRequest { deposit: deposit.clone(), reason: reason.clone() };
                let answer = accounts.reject_deposit(within(ANSWER_TIMEOUT, request)).await;
                let answer = answer.map_err(Failure::change_as_it_is)?.into_inner();
                screen.show(&answer, |answer| one(answer.deposit.as_ref()))
            }
            Self::List { state, limit } => list(gateway, screen, *state, limit).await,
        }
    }
}

async fn list(
    gateway: &Gateway,
    screen: &Screen,
    only: Option<DepositState>,
    limit: &LimitArgs,
) -> Result<(), Failure> {
    let (deposits, next_page_token) = limit
        .read(async |page_size, page_token| {
            let request = ListDepositsRequest { page_size, page_token, state: only.map_or(0, i32::from) };
            let page =
                gateway.accounts.clone().list_deposits(within(ANSWER_TIMEOUT, request)).await?.into_inner();
            Ok((page.deposits, page.next_page_token))
        })
        .await?;
    let all = ListDepositsResponse { deposits, next_page_token };
    screen.show(&all, |all| {
        let heading =
            ["DEPOSIT", "STATE", "AMOUNT", "ACCOUNT", "BANK", "REFERENCE", "PROPOSED BY", "EXPIRES"];
        Rows::below(
            heading,
            all.deposits.iter().map(|deposit| {
                [
                    deposit.id.clone(),
                    state(deposit.state()).to_owned(),
                    shown(deposit.amount.as_ref()),
                    deposit.account.clone(),
                    deposit.bank_id.clone(),
                    deposit.reference.clone(),
                    deposit.proposed_by.clone(),
                    time(deposit.expire_time.as_ref()),
                ]
            }),
        )
    })
}

fn one(deposit: Option<&Deposit>) -> Rows {
    let Some(deposit) = deposit else { return Rows::of([]) };
    Rows::of([
        ("deposit", deposit.id.clone()),
        ("state", state(deposit.state()).to_owned()),
        ("amount", shown(deposit.amount.as_ref())),
        ("account", deposit.account.clone()),
        ("bank", deposit.bank_id.clone()),
        ("reference", deposit.reference.clone()),
        ("proposed by", deposit.proposed_by.clone()),
        ("proposed", time(deposit.create_time.as_ref())),
        ("expires", time(deposit.expire_time.as_ref())),
        ("decided by", deposit.decided_by.clone()),
        ("decided", time(deposit.decide_time.as_ref())),
        ("rejected because", deposit.reject_reason.clone()),
        ("request id", deposit.request_id.clone()),
    ])
}

fn parse_state(text: &str) -> Result<DepositState, String> {
    let name = format!("DEPOSIT_STATE_{}", text.to_ascii_uppercase());
    DepositState::from_str_name(&name)
        .filter(|state| *state != DepositState::Unspecified)
        .ok_or_else(|| "must be one of pending_approval, booked, rejected, lapsed".to_owned())
}

fn state(state: DepositState) -> &'static str {
    word(state.as_str_name(), "DEPOSIT_STATE_")
}
