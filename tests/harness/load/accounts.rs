//! The accounts of a load, and the orders between them.

use proto::{
    accounts::DepositRequest,
    payments::{CreatePaymentRequest, Payee, payee},
};
use rand::{RngExt, rngs::SmallRng};
use tokio::task::{JoinError, JoinSet};
use tonic::Status;

use super::plan::{Draw, Plan, Spread};
use crate::{
    BenchError,
    client::{Client, insist, money, order, payee_by_iban, payee_by_number, payee_on_ledger},
    system::{BANKS, BankSetup},
};

/// What a payer begins with.
const FUNDS: i64 = 1_000_000_000_000;
/// What each payment is about, in minor units.
const AMOUNT: i64 = 1_000;
/// The number of the first merchant's account at its bank: scripts of the demo and of tests know the small ones.
const FIRST_PAYEE: u32 = 1_000_000;
/// Accounts without money, for each bank.
const PENNILESS: usize = 16;
/// Accounts that are opened at once.
const AT_ONCE: usize = 64;

/// Who pays, and who is paid.
#[derive(Debug)]
pub(super) struct Accounts {
    /// In the order of the plan's banks.
    banks: Vec<Bank>,
    draw: Draw,
    on_us_percent: u8,
    refused_percent: u8,
}

#[derive(Debug)]
struct Bank {
    currency: &'static str,
    payers: Vec<String>,
    penniless: Vec<String>,
    payees: Vec<Payee>,
    on_us: Vec<Payee>,
}

impl Accounts {
    /// Opens what the plan needs and is not there yet.
    ///
    /// # Errors
    /// When that fails.
    pub(super) async fn open(client: &Client, plan: &Plan) -> Result<Self, BenchError> {
        let (banks, payees) = match plan.spread {
            Spread::One => (&plan.banks[..1], 1),
            Spread::Uniform | Spread::Zipf if plan.ibans.is_empty() => (plan.banks.as_slice(), plan.payees),
            Spread::Uniform | Spread::Zipf => (plan.banks.as_slice(), u32::try_from(plan.ibans.len())?),
        };
        let opener = Opener { client, prefix: &plan.prefix };
        let mut opened = Vec::new();
        for bank in banks {
            opened.push(opener.bank(&BANKS[*bank], payees, plan).await?);
        }
        Ok(Self {
            banks: opened,
            draw: Draw::new(plan.spread, payees)?,
            on_us_percent: plan.on_us_percent,
            refused_percent: plan.refused_percent,
        })
    }

    /// How many banks are paid.
    pub(super) fn banks(&self) -> usize {
        self.banks.len()
    }

    /// The order of this number: the place of its bank in the plan, and what to ask.
    pub(super) fn order(&self, number: u64, run: &str, rng: &mut SmallRng) -> (usize, CreatePaymentRequest) {
        let place = usize::try_from(number).unwrap_or_default() % self.banks.len();
        let bank = &self.banks[place];
        let mut is_one_of = |percent: u8| percent > 0 && rng.random_range(0..100) < percent;
        let payers = if is_one_of(self.refused_percent) { &bank.penniless } else { &bank.payers };
        let payees = if is_one_of(self.on_us_percent) { &bank.on_us } else { &bank.payees };
        let payer = &payers[rng.random_range(0..payers.len())];
        let payee = payees[self.draw.next(rng)].clone();
        (place, order(&format!("{run}-{number}"), payer, payee, AMOUNT, bank.currency))
    }
}

struct Opener<'a> {
    client: &'a Client,
    prefix: &'a str,
}

impl Opener<'_> {
    async fn bank(&self, bank: &BankSetup, payees: u32, plan: &Plan) -> Result<Bank, BenchError> {
        let count = |percent: u8, accounts: usize| if percent > 0 { accounts } else { 0 };
        let on_us = count(plan.on_us_percent, usize::try_from(payees)?);
        let penniless = count(plan.refused_percent, PENNILESS);
        Ok(Bank {
            currency: currency(bank),
            payers: self.accounts(bank, "payer", "Ada Buyer", plan.payers, FUNDS).await?,
            penniless: self.accounts(bank, "penniless", "Ada Buyer", penniless, 0).await?,
            payees: match plan.ibans.as_slice() {
                [] => (0..payees).map(|number| payee_at(bank, number)).collect(),
                ibans => ibans.iter().map(|iban| payee_by_iban("Blaise Seller", iban)).collect(),
            },
            on_us: (self.accounts(bank, "merchant", "Blaise Seller", on_us, 0).await?.iter())
                .map(|account| payee_on_ledger("Blaise Seller", account))
                .collect(),
        })
    }

    /// Opens accounts, and puts money on them. Those of an earlier load with the same prefix are found again.
    async fn accounts(
        &self,
        bank: &BankSetup,
        role: &str,
        name: &'static str,
        count: usize,
        funds: i64,
    ) -> Result<Vec<String>, BenchError> {
        let mut accounts = vec![String::new(); count];
        let mut opening = JoinSet::new();
        for number in 0..count {
            let (client, id) = (self.client.clone(), format!("{}-{}-{role}-{number}", self.prefix, bank.id));
            let bank = *bank;
            opening.spawn(async move { (number, account(&client, id, name, &bank, funds).await) });
            if opening.len() >= AT_ONCE {
                keep(&mut accounts, opening.join_next().await)?;
            }
        }
        while !opening.is_empty() {
            keep(&mut accounts, opening.join_next().await)?;
        }
        Ok(accounts)
    }
}

/// Opens one account with money on it.
async fn account(
    client: &Client,
    request_id: String,
    name: &str,
    bank: &BankSetup,
    funds: i64,
) -> Result<String, Status> {
    let account = insist(|| client.open_account(&request_id, name, currency(bank), "")).await?.id;
    if funds > 0 {
        let deposit = DepositRequest {
            request_id,
            account: account.clone(),
            amount: Some(money(funds, currency(bank))),
            bank_id: bank.id.to_owned(),
            reference: String::new(),
        };
        insist(|| client.book(deposit.clone(), None)).await?;
    }
    Ok(account)
}

type Opened = (usize, Result<String, Status>);

fn keep(accounts: &mut [String], opened: Option<Result<Opened, JoinError>>) -> Result<(), BenchError> {
    if let Some(opened) = opened {
        let (number, account) = opened?;
        accounts[number] = account
            .map_err(|status| format!("an account of the load cannot be opened: {}", status.message()))?;
    }
    Ok(())
}

fn currency(bank: &BankSetup) -> &'static str {
    bank.currencies.first().copied().unwrap_or("EUR")
}

fn payee_at(bank: &BankSetup, number: u32) -> Payee {
    let account = bank.account(FIRST_PAYEE + number);
    match bank.iban_code {
        Some(_) => payee_by_iban("Blaise Seller", &account),
        None => payee_by_number("Hideki Seller", &account, payee::Bank::BankId(bank.id.to_owned())),
    }
}
