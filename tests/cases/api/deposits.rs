//! Deposits take two operators: who may approve what, what each hears, and what becomes of what nobody approves.

use std::time::Duration;

use harness::{
    BenchError,
    client::{Client, money},
    postgres::own_folder,
    system::{Service, Setup, System},
    wait,
};
use platform::trial_balance::TrialBalance;
use proto::accounts::{
    ApproveDepositRequest, Deposit, DepositRequest, DepositState, GetDepositRequest, ListDepositsRequest,
    RejectDepositRequest,
};
use tokio::runtime::Runtime;
use tonic::{Code, Status};

use crate::bench::{Bench, Done, Refused, refused, run, unique};

use DepositState::{Booked, Lapsed, PendingApproval, Rejected};

async fn propose(client: &Client, account: &str, minor_units: i64) -> Result<Deposit, Status> {
    let message = DepositRequest {
        request_id: unique("proposed"),
        account: account.to_owned(),
        amount: Some(money(minor_units, "EUR")),
        bank_id: "aurora".to_owned(),
        reference: "line 1".to_owned(),
    };
    let answer = client.accounts.clone().deposit(client.request(message, None)).await?;
    Ok(answer.into_inner().deposit.unwrap_or_default())
}

async fn approve(
    client: &Client,
    deposit: &str,
    minor_units: i64,
    currency: &str,
) -> Result<Deposit, Status> {
    let amount = Some(money(minor_units, currency));
    let message = ApproveDepositRequest { deposit: deposit.to_owned(), amount };
    let answer = client.accounts.clone().approve_deposit(client.request(message, None)).await?;
    Ok(answer.into_inner().deposit.unwrap_or_default())
}

async fn reject(client: &Client, deposit: &str, reason: &str) -> Result<Deposit, Status> {
    let message = RejectDepositRequest { deposit: deposit.to_owned(), reason: reason.to_owned() };
    let answer = client.accounts.clone().reject_deposit(client.request(message, None)).await?;
    Ok(answer.into_inner().deposit.unwrap_or_default())
}

async fn get(client: &Client, deposit: &str) -> Result<Deposit, Status> {
    let message = GetDepositRequest { id: deposit.to_owned() };
    let answer = client.accounts.clone().get_deposit(client.request(message, None)).await?;
    Ok(answer.into_inner().deposit.unwrap_or_default())
}

/// Every page from the first to the last, `page_size` at a time.
async fn list(client: &Client, state: DepositState, page_size: i32) -> Result<Vec<Deposit>, Status> {
    let (mut found, mut page_token) = (Vec::new(), String::new());
    loop {
        let message = ListDepositsRequest { page_size, page_token, state: state.into() };
        let page = client.accounts.clone().list_deposits(client.request(message, None)).await?.into_inner();
        found.extend(page.deposits);
        if page.next_page_token.is_empty() {
            return Ok(found);
        }
        page_token = page.next_page_token;
    }
}

fn precondition(reason: &str) -> Refused {
    Refused::new(Code::FailedPrecondition, reason)
}

async fn posted(client: &Client, account: &str) -> Result<i64, Status> {
    Ok(client.account(account).await?.balance.unwrap_or_default().posted_minor_units)
}

/// Operators of a new participant: ada and bea, whose keys the house has made.
async fn two_operators(bench: &Bench) -> Result<[Client; 2], BenchError> {
    let (house, shop) = (bench.house(), unique("deposit-shop"));
    crate::administration::create(&house, &shop).await?;
    let mut keys = Vec::new();
    for _ in 0..2 {
        keys.push(house.create_api_key(&unique("key"), &shop, &["operator"]).await?.key);
    }
    for key in &keys {
        bench.until(key, true).await?;
    }
    Ok([bench.keyed(&keys[0]), bench.keyed(&keys[1])])
}

#[test]
fn nothing_is_booked_until_another_operator_approves() {
    run(async |bench| {
        let [ada, bea] = two_operators(bench).await?;
        let account = ada.open_account(&unique("account"), "Ada", "EUR", "").await?.id;
        let proposed = propose(&ada, &account, 700).await?;
        assert_eq!((proposed.state(), proposed.decided_by.as_str()), (PendingApproval, ""));
        assert!(!proposed.proposed_by.is_empty() && proposed.decide_time.is_none());
        let day = proposed.expire_time.unwrap_or_default().seconds
            - proposed.create_time.unwrap_or_default().seconds;
        assert_eq!(day, 24 * 3_600);
        assert_eq!(posted(&ada, &account).await?, 0);

        // It takes another operator, not another key.
        let own = ada.create_api_key(&unique("ada-2"), "", &["operator"]).await?.key;
        bench.until(&own, true).await?;
        for client in [&ada, &bench.keyed(&own)] {
            let found = refused(approve(client, &proposed.id, 700, "EUR").await)?;
            assert_eq!(found, precondition("SECOND_OPERATOR_REQUIRED"));
        }
        for (minor_units, currency) in [(699, "EUR"), (701, "EUR"), (700, "USD")] {
            let found = refused(approve(&bea, &proposed.id, minor_units, currency).await)?;
            assert_eq!(found, precondition("AMOUNT_DIFFERS"));
        }
        let stranger = refused(approve(&bench.client(0), &proposed.id, 700, "EUR").await)?;
        assert_eq!(stranger, Refused::new(Code::NotFound, "NOT_FOUND"));
        assert_eq!(posted(&ada, &account).await?, 0);
        assert_eq!(list(&bea, PendingApproval, 50).await?, std::slice::from_ref(&proposed));

        let booked = approve(&bea, &proposed.id, 700, "EUR").await?;
        assert_eq!((booked.state(), &booked.proposed_by), (Booked, &proposed.proposed_by));
        assert!(!booked.decided_by.is_empty() && booked.decided_by != booked.proposed_by);
        assert_eq!(approve(&bea, &proposed.id, 700, "EUR").await?, booked, "a repeat");
        for (what, found) in [
            ("rejected", refused(reject(&bea, &proposed.id, "too late").await)?),
            ("withdrawn", refused(reject(&ada, &proposed.id, "too late").await)?),
            ("approved by the proposer", refused(approve(&ada, &proposed.id, 700, "EUR").await)?),
        ] {
            assert_eq!(found, precondition("DEPOSIT_NOT_PENDING"), "{what}");
        }
        assert_eq!(get(&ada, &proposed.id).await?, booked);
        assert_eq!(posted(&ada, &account).await?, 700);
        bench.check(&[]).await
    });
}

#[test]
fn either_operator_rejects_and_says_why() {
    run(async |bench| {
        let [ada, bea] = two_operators(bench).await?;
        let account = ada.open_account(&unique("account"), "Ada", "EUR", "").await?.id;
        for by in [&ada, &bea] {
            let proposed = propose(&ada, &account, 5).await?;
            let rejected = reject(by, &proposed.id, "no such line").await?;
            assert_eq!((rejected.state(), rejected.reject_reason.as_str()), (Rejected, "no such line"));
            assert_eq!(reject(by, &proposed.id, "no such line").await?, rejected, "a repeat");
            let other = refused(reject(by, &proposed.id, "another reason").await)?;
            assert_eq!(other, precondition("DEPOSIT_NOT_PENDING"));
            let late = refused(approve(&bea, &proposed.id, 5, "EUR").await)?;
            assert_eq!(late, precondition("DEPOSIT_NOT_PENDING"));
        }
        assert_eq!(posted(&ada, &account).await?, 0);
        bench.check(&[]).await
    });
}

#[test]
fn what_is_so_when_it_is_approved_counts() {
    run(async |bench| {
        let [ada, bea] = two_operators(bench).await?;
        let account = ada.open_account(&unique("account"), "Ada", "EUR", "").await?.id;
        let proposed = propose(&ada, &account, 5).await?;
        let mut database = bench.database().await?;
        let id = account.trim_start_matches("acc_");
        let set = |closed: &str| {
            sqlx::AssertSqlSafe(format!("UPDATE accounts SET closed_at = {closed} WHERE id = '{id}'"))
        };
        sqlx::raw_sql(set("now()")).execute(&mut database).await?;
        let found = refused(approve(&bea, &proposed.id, 5, "EUR").await)?;
        assert_eq!(found, precondition("ACCOUNT_CLOSED"));
        assert_eq!(get(&ada, &proposed.id).await?, proposed, "it may be approved yet");
        sqlx::raw_sql(set("NULL")).execute(&mut database).await?;
        assert_eq!(approve(&bea, &proposed.id, 5, "EUR").await?.state(), Booked);
        bench.check(&[]).await
    });
}

#[test]
fn lists_are_whole_by_state_and_ones_own() {
    run(async |bench| {
        let [ada, bea] = two_operators(bench).await?;
        let account = ada.open_account(&unique("account"), "Ada", "EUR", "").await?.id;
        let mut made = Vec::new();
        for amount in 1..=12 {
            let proposed = propose(&ada, &account, amount).await?;
            made.push(match amount % 3 {
                0 => approve(&bea, &proposed.id, amount, "EUR").await?,
                1 => reject(&bea, &proposed.id, "no such line").await?,
                _ => proposed,
            });
        }
        // Numbers of one millisecond are in no order.
        made.sort_by(|one, other| other.id.cmp(&one.id));
        for page_size in [1, 3, 4, 500] {
            for state in [DepositState::Unspecified, PendingApproval, Booked, Rejected, Lapsed] {
                let is_in = |one: &&Deposit| state == DepositState::Unspecified || one.state() == state;
                let wanted: Vec<Deposit> = made.iter().filter(is_in).cloned().collect();
                assert_eq!(list(&bea, state, page_size).await?, wanted, "{state:?}, {page_size} a page");
            }
        }
        let others = list(&bench.client(1), DepositState::Unspecified, 500).await?;
        assert!(others.iter().all(|other| made.iter().all(|own| own.id != other.id)));
        // A token is for the list that it is of.
        let page = |state: DepositState, page_token: String| {
            let message = ListDepositsRequest { page_size: 2, page_token, state: state.into() };
            let (mut accounts, request) = (ada.accounts.clone(), ada.request(message, None));
            async move { accounts.list_deposits(request).await.map(|page| page.into_inner().next_page_token) }
        };
        let token = page(Booked, String::new()).await?;
        assert_eq!(refused(page(Rejected, token).await)?, Refused::invalid(&["page_token"]));
        Ok(())
    });
}

#[test]
fn what_nobody_decides_on_lapses_by_itself() {
    let done: Done = Runtime::new().unwrap().block_on(async {
        let mut setup = Setup::new(own_folder("lapse")?);
        setup.flags.push((Service::Platform, "--deposits-lapse-after=2s".to_owned()));
        let system = System::start(setup).await?;
        let [ada, bea] = system.operators(0).map(|key| Client::new(&system.gateway().unwrap(), key).unwrap());
        let account = ada.open_account("account", "Ada", "EUR", "").await?.id;
        let [proposed, in_time] = [propose(&ada, &account, 5).await?, propose(&ada, &account, 7).await?];
        approve(&bea, &in_time.id, 7, "EUR").await?;
        let look = || async { get(&bea, &proposed.id).await.ok().filter(|now| now.state() == Lapsed) };
        let lapsed = wait::until("it lapses", Duration::from_secs(15), look).await?;
        assert_eq!(lapsed.decided_by, "");
        let times = |deposit: &Deposit| (deposit.decide_time, deposit.expire_time);
        let (decided, expired) = times(&lapsed);
        assert!(decided.map(|at| (at.seconds, at.nanos)) >= expired.map(|at| (at.seconds, at.nanos)));
        for found in [
            refused(approve(&bea, &proposed.id, 5, "EUR").await)?,
            refused(reject(&ada, &proposed.id, "no").await)?,
        ] {
            assert_eq!(found, precondition("DEPOSIT_NOT_PENDING"));
        }
        assert_eq!(posted(&ada, &account).await?, 7);
        let found = TrialBalance::take(&system.database()).await?;
        if found.is_ok() { Ok(()) } else { Err(found.to_string().into()) }
    });
    done.unwrap();
}
