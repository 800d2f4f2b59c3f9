//! What a bank and the house said to each other about a payment, for people who look into it. What was sent is not stored, but follows from
//! the attempt; of what the bank said, whatever is not just the acceptance of what was sent. A round trip for each kind of thing.

use std::time::Duration;

use common::id::PaymentId;
use sqlx::{PgConnection, Row};
use uuid::Uuid;

use super::{
    Store, StoreError, accounts, data_keys::decrypted, payments::keys_of, save::Statement, stories::Step,
    to_micros,
};
use crate::{
    domain::{
        ledger::KeptMessage,
        payment::{Kind, Lease, Original, Payment, Submission},
    },
    encryption::{Keyring, contents::OfBankMessage},
};

/// Under which step stands what came when the books were closed.
const AT_THE_END: i32 = 0;

/// A message of a bank's.
#[derive(Clone, Debug)]
pub struct Heard {
    /// Which step follows from it; none for what came when the books were closed.
    pub sequence: Option<i32>,
    /// Its bytes.
    pub body: Vec<u8>,
}

fn encrypted(kept: &KeptMessage, keys: &Keyring) -> Result<Vec<u8>, StoreError> {
    let contents = OfBankMessage { body: kept.message.body.clone() };
    keys.encrypt_bank_message(kept.message.id.uuid(), &contents).ok_or(StoreError::NoDataKey)
}

/// Adds the messages that steps follow from to the statement that saves the steps.
pub(super) fn save_with_steps(
    statement: &mut Statement,
    messages: &[KeptMessage],
    keys: &Keyring,
) -> Result<(), StoreError> {
    let rows = messages.iter().filter_map(|kept| kept.sequence.map(|sequence| (kept, sequence)));
    let rows: Vec<(&KeptMessage, i32, Vec<u8>)> = rows
        .map(|(kept, sequence)| Ok((kept, sequence, encrypted(kept, keys)?)))
        .collect::<Result<_, StoreError>>()?;
    statement.part(
        "new_bank_messages",
        rows.len(),
        "INSERT INTO bank_messages (id, payment_id, sequence, body) SELECT * FROM",
        |columns| {
            columns
                .add(&rows, |(kept, ..)| kept.message.id.uuid())
                .add(&rows, |(kept, ..)| kept.payment.uuid());
            columns.add(&rows, |(_, sequence, _)| *sequence).add(&rows, |(.., body)| body.as_slice());
        },
        "AS g",
    );
    Ok(())
}

/// Saves what came when the books were closed: of each payment the first such message, so that a bank that repeats itself fills nothing.
pub(super) async fn save_late(
    connection: &mut PgConnection,
    messages: &[KeptMessage],
    keys: &Keyring,
) -> Result<(), StoreError> {
    for kept in messages.iter().filter(|kept| kept.sequence.is_none()) {
        sqlx::query(
            "INSERT INTO bank_messages (id, payment_id, sequence, body) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (payment_id, sequence) DO NOTHING",
        )
        .bind(kept.message.id.uuid())
        .bind(kept.payment.uuid())
        .bind(AT_THE_END)
        .bind(encrypted(kept, keys)?)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

impl Store {
    /// What the bank said about a payment and is kept, first to last.
    ///
    /// # Errors
    /// When the database fails, or a message can't be decrypted.
    pub async fn heard(&self, payment: PaymentId) -> Result<Vec<Heard>, StoreError> {
        let rows =
            sqlx::query("SELECT id, sequence, body FROM bank_messages WHERE payment_id = $1 ORDER BY id")
                .bind(payment.uuid())
                .fetch_all(self.pool())
                .await?;
        let keys = keys_of(self.keys(), self.pool(), &rows, &["body"]).await?;
        let heard = |row| -> Result<Heard, StoreError> {
            let row: &sqlx::postgres::PgRow = row;
            let id: Uuid = row.try_get("id")?;
            let body = keys.decrypt_bank_message(id, row.try_get("body")?);
            let sequence: i32 = row.try_get("sequence")?;
            Ok(Heard {
                sequence: Some(sequence).filter(|sequence| *sequence != AT_THE_END),
                body: decrypted(body, "bank_messages.body")?.body,
            })
        };
        rows.iter().map(heard).collect()
    }

    /// All that the instructions of a payment's attempts say, beside the attempts' steps.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn said(
        &self,
        payment: &Payment,
        steps: &[Step],
    ) -> Result<Vec<(i32, Submission)>, StoreError> {
        if steps.iter().all(|step| step.attempt.is_none()) {
            return Ok(Vec::new());
        }
        let row = sqlx::query("SELECT personal FROM accounts WHERE id = $1")
            .bind(payment.payer_account.uuid())
            .fetch_one(self.pool())
            .await?;
        let keys = keys_of(self.keys(), self.pool(), std::slice::from_ref(&row), &["personal"]).await?;
        let debtor = keys.decrypt_account(payment.payer_account.uuid(), row.try_get("personal")?);
        let debtor = decrypted(debtor, accounts::PERSONAL)?;
        let original = self.given_back(payment).await?;
        let said = |step: &Step| {
            let submission = Submission {
                payment: payment.clone(),
                attempt: step.attempt?,
                lease: Lease::FIRST,
                debtor_name: debtor.display_name.clone(),
                debtor_iban: debtor.iban.clone(),
                original: original.clone(),
            };
            Some((step.sequence, submission))
        };
        Ok(steps.iter().filter_map(said).collect())
    }

    /// The credit transfer that a refund or return has the bank give back.
    async fn given_back(&self, payment: &Payment) -> Result<Option<Original>, StoreError> {
        let original = payment.original.filter(|_| matches!(payment.kind, Kind::Refund | Kind::Return));
        let Some(id) = original else { return Ok(None) };
        let Some(original) = self.any_payment(id).await? else { return Ok(None) };
        let newest = self.steps(id).await?.into_iter().filter_map(|step| step.attempt).next_back();
        Ok(newest.map(|attempt| Original {
            message_id: attempt.message_id(id),
            uetr: original.uetr,
            end_to_end_id: original.end_to_end_id.clone(),
            amount: original.amount,
            accept_time: attempt.accept_time,
        }))
    }

    /// Forgets messages that came longer ago than `keep`, the oldest `limit` at most. Returns how many.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn forget_bank_messages(&self, keep: Duration, limit: i64) -> Result<u64, StoreError> {
        let sql = "DELETE FROM bank_messages WHERE id IN ( \
               SELECT id FROM bank_messages WHERE id < first_id(statement_timestamp() - $1 * interval '1 microsecond') \
               ORDER BY id LIMIT $2)";
        let forgotten = sqlx::query(sql).bind(to_micros(keep)).bind(limit).execute(self.pool()).await?;
        Ok(forgotten.rows_affected())
    }
}
