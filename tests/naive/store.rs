//! The naive ledger: each phase of a payment is one transaction of plain statements. Two accounts are locked in id order, and
//! without the keys that rows of other tables refer to.

mod accounts;
mod payment;

use std::time::SystemTime;

use common::{clock::Clock, id::TransferId};
use sqlx::{
    PgConnection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use uuid::Uuid;

pub use payment::{NewPayment, Payment};
use payment::{insert, update};

/// Connections at once.
const CONNECTIONS: u32 = 32;

/// The ledger's database. Clones share the connections.
#[derive(Clone, Debug)]
pub struct Store {
    pool: PgPool,
    clock: Clock,
}

/// What came of the first phase.
#[derive(Debug)]
pub enum Held {
    /// The money is held and the bank is to be asked; with the payer's name.
    Begun(Payment, String),
    /// There is nothing to do: it was made before, or there is too little money.
    Stands(Payment),
    /// The payer's account is not the participant's.
    NoSuchPayer,
    /// The payer's account has another currency.
    OtherCurrency,
    /// The request id was used for another payment.
    Reused,
}

/// How a payment ends, with the reason if it needs one.
#[derive(Clone, Copy, Debug)]
pub enum End {
    /// The bank executed it.
    Succeeded,
    /// It is certain that the bank did not.
    Failed(&'static str),
    /// Nothing is certain, and the money stays held.
    Unknown(&'static str),
}

#[derive(sqlx::FromRow)]
struct Account {
    id: Uuid,
    participant_id: String,
    display_name: String,
    currency: String,
    available: i64,
}

impl Store {
    /// Connects, and makes the schema if it is not there.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn open(options: PgConnectOptions) -> Result<Self, sqlx::Error> {
        let options = options.application_name("naive-platform");
        let pool = PgPoolOptions::new().max_connections(CONNECTIONS).connect_with(options).await?;
        let is_made: bool =
            sqlx::query_scalar("SELECT to_regclass('payments') IS NOT NULL").fetch_one(&pool).await?;
        if !is_made {
            sqlx::raw_sql(include_str!("schema.sql")).execute(&pool).await?;
        }
        Ok(Self { pool, clock: Clock::system() })
    }

    /// The first phase: the payment is on record and its money held, or refused, or found to have been made before.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn hold(&self, new: &NewPayment) -> Result<Held, sqlx::Error> {
        let (payer, settlement) = (new.order.payer_account.uuid(), new.route.settlement.uuid());
        let mut transaction = self.pool.begin().await?;
        let mut payment = match insert(&mut transaction, new).await {
            Ok(Some(payment)) => payment,
            Ok(None) => {
                transaction.rollback().await?;
                return self.earlier(new).await;
            }
            Err(error) if is_no_account(&error) => return Ok(Held::NoSuchPayer),
            Err(error) => return Err(error),
        };
        let accounts: Vec<Account> = sqlx::query_as(
            "SELECT id, participant_id, display_name, currency, credits_posted - debits_posted - debits_pending AS available \
             FROM accounts WHERE id IN ($1, $2) ORDER BY id FOR NO KEY UPDATE",
        )
        .bind(payer)
        .bind(settlement)
        .fetch_all(&mut *transaction)
        .await?;
        let own = accounts.into_iter().find(|row| row.id == payer && row.participant_id == new.participant);
        let Some(own) = own else {
            transaction.rollback().await?;
            return Ok(Held::NoSuchPayer);
        };
        if own.currency != new.order.amount.currency().code() {
            transaction.rollback().await?;
            return Ok(Held::OtherCurrency);
        }
        let amount = new.order.amount.minor_units();
        if own.available < amount {
            payment.go_to("FAILED", "INSUFFICIENT_FUNDS", new.at);
            update(&mut transaction, &payment).await?;
            transaction.commit().await?;
            return Ok(Held::Stands(payment));
        }
        sqlx::query("UPDATE accounts SET debits_pending = debits_pending + $2 WHERE id = $1")
            .bind(payer)
            .bind(amount)
            .execute(&mut *transaction)
            .await?;
        sqlx::query("UPDATE accounts SET credits_pending = credits_pending + $2 WHERE id = $1")
            .bind(settlement)
            .bind(amount)
            .execute(&mut *transaction)
            .await?;
        // A payment's hold has the payment's number.
        transfer(&mut transaction, new, new.id.uuid(), "HOLD", None).await?;
        transaction.commit().await?;
        Ok(Held::Begun(payment, own.display_name))
    }

    /// The payment that was made of the request before, if the request is the same.
    async fn earlier(&self, new: &NewPayment) -> Result<Held, sqlx::Error> {
        let payment: Payment = sqlx::query_as(
            "SELECT id, request, end_to_end_id, bank_id, uetr, state, reason_code, sequence, created_at, updated_at \
             FROM payments WHERE participant_id = $1 AND request_id = $2",
        )
        .bind(&new.participant)
        .bind(&new.order.request_id)
        .fetch_one(&self.pool)
        .await?;
        Ok(if payment.request == new.request { Held::Stands(payment) } else { Held::Reused })
    }

    /// The second phase: the hold is posted or released, or stays where nothing is certain.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn conclude(
        &self,
        new: &NewPayment,
        mut payment: Payment,
        end: End,
        at: SystemTime,
    ) -> Result<Payment, sqlx::Error> {
        let (state, reason, ends_hold) = match end {
            End::Succeeded => ("SUCCEEDED", "", Some("HOLD_POSTED")),
            End::Failed(reason) => ("FAILED", reason, Some("HOLD_RELEASED")),
            End::Unknown(reason) => ("UNKNOWN", reason, None),
        };
        payment.go_to(state, reason, at);
        let mut transaction = self.pool.begin().await?;
        update(&mut transaction, &payment).await?;
        if let Some(kind) = ends_hold {
            let id = TransferId::new(&self.clock);
            transfer(&mut transaction, new, id.uuid(), kind, Some(new.id.uuid())).await?;
            let moved = matches!(end, End::Succeeded);
            settle(&mut transaction, new, moved).await?;
        }
        transaction.commit().await?;
        Ok(payment)
    }
}

fn is_no_account(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| error.is_foreign_key_violation())
}

/// Takes the hold from both accounts, in id order, and moves the money if it is paid.
async fn settle(connection: &mut PgConnection, new: &NewPayment, is_paid: bool) -> Result<(), sqlx::Error> {
    let amount = new.order.amount.minor_units();
    let posted = if is_paid { amount } else { 0 };
    let debit = "UPDATE accounts SET debits_pending = debits_pending - $2, debits_posted = debits_posted + $3 WHERE id = $1";
    let credit = "UPDATE accounts SET credits_pending = credits_pending - $2, credits_posted = credits_posted + $3 WHERE id = $1";
    let mut sides = [(new.order.payer_account, debit), (new.route.settlement, credit)];
    sides.sort_by_key(|(account, _)| *account);
    for (account, sql) in sides {
        sqlx::query(sql).bind(account.uuid()).bind(amount).bind(posted).execute(&mut *connection).await?;
    }
    Ok(())
}

async fn transfer(
    connection: &mut PgConnection,
    new: &NewPayment,
    id: Uuid,
    kind: &'static str,
    hold: Option<Uuid>,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO transfers (id, kind, payment_id, hold_id, debit_account, credit_account, amount, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, now())",
    )
    .bind(id)
    .bind(kind)
    .bind(new.id.uuid())
    .bind(hold)
    .bind(new.order.payer_account.uuid())
    .bind(new.route.settlement.uuid())
    .bind(new.order.amount.minor_units())
    .execute(connection)
    .await
    .map(drop)
}
