//! Limits of money: read for a batch, set by operators. What payments use of them is saved with them (see [`super::save`]).

use std::collections::{BTreeMap, BTreeSet};

use common::{
    id::AccountId,
    money::Currency,
    order::{LimitRule, LimitRules, LimitSubject},
};
use sqlx::{PgConnection, Row, postgres::PgRow};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Store, StoreError, acts::By, load::View, payments::request_key, to_sql};
use crate::domain::limits::{Limits, Used, Window};

/// Accounts of a participant that are limited in one transaction: few, so that their payments hardly wait.
const ACCOUNTS_AT_ONCE: i64 = 1_000;

const COLUMNS: &str = "l.subject, l.account_id, l.participant_id, l.currency, l.max_payment, l.max_unsigned_payment, \
     l.max_hour_amount, l.max_hour_count, l.max_day_amount, l.max_day_count, l.hour_since, l.hour_amount, l.hour_count, l.day_since, l.day_amount, l.day_count, l.version";

/// By what a subject's limits are found: an account's number, or a hash that nobody can make collide.
pub(super) fn subject_key(subject: &LimitSubject) -> Uuid {
    match subject {
        LimitSubject::Account(account) => account.uuid(),
        LimitSubject::Participant(participant, currency) => request_key(participant, currency.code()),
    }
}

/// The limits of those of the subjects that have some.
pub(super) async fn of(
    connection: &mut PgConnection,
    subjects: BTreeSet<LimitSubject>,
    view: View,
) -> Result<BTreeMap<LimitSubject, Limits>, StoreError> {
    const UNLOCKED: &str = const_format::concatcp!(
        "SELECT ",
        COLUMNS,
        " FROM limits l WHERE l.subject = ANY($1) ORDER BY l.subject"
    );
    const LOCKED: &str = const_format::concatcp!(UNLOCKED, " FOR NO KEY UPDATE");
    let sql = if view == View::Locked { LOCKED } else { UNLOCKED };
    let keys: Vec<Uuid> = subjects.iter().map(subject_key).collect();
    let rows = sqlx::query(sql).bind(keys).fetch_all(connection).await?;
    rows.iter().map(|row| Ok((subject(row)?, limits(row)?))).collect()
}

fn subject(row: &PgRow) -> Result<LimitSubject, StoreError> {
    if let Some(account) = row.try_get::<Option<Uuid>, _>("account_id")? {
        return Ok(LimitSubject::Account(AccountId::from_uuid(account)));
    }
    let currency = Currency::parse(row.try_get("currency")?).ok_or(StoreError::Corrupt("limits.currency"))?;
    Ok(LimitSubject::Participant(row.try_get("participant_id")?, currency))
}

fn limits(row: &PgRow) -> Result<Limits, StoreError> {
    let rule = |amount, count| -> Result<LimitRule, StoreError> {
        Ok(LimitRule { minor_units: row.try_get(amount)?, payments: row.try_get(count)? })
    };
    let used = |since, amount, count| -> Result<Used, StoreError> {
        let since: OffsetDateTime = row.try_get(since)?;
        Ok(Used { since: since.into(), minor_units: row.try_get(amount)?, payments: row.try_get(count)? })
    };
    Ok(Limits {
        rules: LimitRules {
            payment_minor_units: row.try_get("max_payment")?,
            unsigned_payment_minor_units: row.try_get("max_unsigned_payment")?,
            hour: rule("max_hour_amount", "max_hour_count")?,
            day: rule("max_day_amount", "max_day_count")?,
        },
        hour: used("hour_since", "hour_amount", "hour_count")?,
        day: used("day_since", "day_amount", "day_count")?,
        version: row.try_get("version")?,
    })
}

impl Store {
    /// A subject's limits; none if it never had any.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn limits(&self, subject: &LimitSubject) -> Result<Option<Limits>, StoreError> {
        let mut connection = self.pool().acquire().await?;
        let found = of(&mut connection, [subject.clone()].into(), View::Read).await?;
        Ok(found.get(subject).copied())
    }

    /// Sets an account's limits, in place of those that it had. None if there is no such account.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn limit_account(
        &self,
        account: AccountId,
        rules: &LimitRules,
        by: &By<'_>,
    ) -> Result<Option<Limits>, StoreError> {
        let mut transaction = self.pool().begin().await?;
        // The account comes first, as it does for those who pay from it.
        let own =
            sqlx::query_as("SELECT participant_id, currency FROM accounts WHERE id = $1 FOR NO KEY UPDATE");
        let own: Option<(String, String)> =
            own.bind(account.uuid()).fetch_optional(&mut *transaction).await?;
        let Some((participant, currency)) = own else { return Ok(None) };
        sqlx::query("UPDATE accounts SET is_limited = true WHERE id = $1 AND NOT is_limited")
            .bind(account.uuid())
            .execute(&mut *transaction)
            .await?;
        let subject = LimitSubject::Account(account);
        let limits = set(&mut transaction, &subject, (&participant, &currency), rules, by).await?;
        transaction.commit().await?;
        Ok(Some(limits))
    }

    /// Sets a participant's limits in a currency, in place of those that it had. None if there is no such participant.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn limit_participant(
        &self,
        participant: &str,
        currency: Currency,
        rules: &LimitRules,
        by: &By<'_>,
    ) -> Result<Option<Limits>, StoreError> {
        // Most accounts a few at a time: that they are counted does no harm while there is nothing to count them in.
        let mut last = Some(Uuid::nil());
        while let Some(after) = last {
            let mut transaction = self.pool().begin().await?;
            last = limit_accounts(&mut transaction, participant, currency, after).await?;
            transaction.commit().await?;
        }
        let mut transaction = self.pool().begin().await?;
        // From here on no account of the participant is opened (limit_new_account), until the commit says that it is limited.
        let own = sqlx::query("SELECT FROM participants WHERE id = $1 FOR UPDATE").bind(participant);
        if own.fetch_optional(&mut *transaction).await?.is_none() {
            return Ok(None);
        }
        let mut last = Some(Uuid::nil());
        while let Some(after) = last {
            last = limit_accounts(&mut transaction, participant, currency, after).await?;
        }
        let subject = LimitSubject::Participant(participant.to_owned(), currency);
        let limits = set(&mut transaction, &subject, (participant, currency.code()), rules, by).await?;
        transaction.commit().await?;
        Ok(Some(limits))
    }
}

/// Has the next accounts of a participant counted, behind a number, and says how far it came; none at the end.
async fn limit_accounts(
    connection: &mut PgConnection,
    participant: &str,
    currency: Currency,
    after: Uuid,
) -> Result<Option<Uuid>, StoreError> {
    // Locked in the order of their numbers, as by those who pay from them.
    let sql = "WITH next AS (SELECT id FROM accounts WHERE participant_id COLLATE \"C\" = $1 AND id > $2 AND currency = $3 \
                 AND NOT is_limited ORDER BY id LIMIT $4 FOR NO KEY UPDATE), \
               limited AS (UPDATE accounts a SET is_limited = true FROM next WHERE a.id = next.id RETURNING a.id) \
               SELECT id FROM limited ORDER BY id DESC LIMIT 1";
    let query = sqlx::query_scalar(sql).bind(participant).bind(after).bind(currency.code());
    Ok(query.bind(ACCOUNTS_AT_ONCE).fetch_optional(connection).await?)
}

async fn set(
    connection: &mut PgConnection,
    subject: &LimitSubject,
    (participant, currency): (&str, &str),
    rules: &LimitRules,
    by: &By<'_>,
) -> Result<Limits, StoreError> {
    let account = match subject {
        LimitSubject::Account(account) => Some(account.uuid()),
        LimitSubject::Participant(..) => None,
    };
    let key = subject_key(subject);
    let sql = const_format::concatcp!(
        "INSERT INTO limits AS l (subject, account_id, participant_id, currency, max_payment, max_unsigned_payment, max_hour_amount, \
           max_hour_count, max_day_amount, max_day_count, hour_since, day_since) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) \
         ON CONFLICT (subject) DO UPDATE SET max_payment = EXCLUDED.max_payment, \
           max_unsigned_payment = EXCLUDED.max_unsigned_payment, max_hour_amount = EXCLUDED.max_hour_amount, \
           max_hour_count = EXCLUDED.max_hour_count, max_day_amount = EXCLUDED.max_day_amount, \
           max_day_count = EXCLUDED.max_day_count, version = l.version + 1 RETURNING ",
        COLUMNS
    );
    let start = |window: Window| to_sql(window.start(by.at));
    let row = sqlx::query(sql)
        .bind(key)
        .bind(account)
        .bind(participant)
        .bind(currency)
        .bind(rules.payment_minor_units)
        .bind(rules.unsigned_payment_minor_units)
        .bind(rules.hour.minor_units)
        .bind(rules.hour.payments)
        .bind(rules.day.minor_units)
        .bind(rules.day.payments)
        .bind(start(Window::Hour))
        .bind(start(Window::Day))
        .fetch_one(&mut *connection)
        .await?;
    sqlx::query(
        "INSERT INTO limit_changes (id, subject, max_payment, max_unsigned_payment, max_hour_amount, max_hour_count, \
         max_day_amount, max_day_count, by_participant, by_credential, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(by.act.uuid())
    .bind(key)
    .bind(rules.payment_minor_units)
    .bind(rules.unsigned_payment_minor_units)
    .bind(rules.hour.minor_units)
    .bind(rules.hour.payments)
    .bind(rules.day.minor_units)
    .bind(rules.day.payments)
    .bind(by.participant)
    .bind(by.credential)
    .bind(to_sql(by.at))
    .execute(connection)
    .await?;
    limits(&row)
}
