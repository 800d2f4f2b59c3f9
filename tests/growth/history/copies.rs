//! Copies of what was really done: numbers and times of their own, and what is encrypted for each number.

use std::ops::Range;

use harness::BenchError;
use platform::encryption::{
    Keyring,
    contents::{OfAccount, OfPayment},
};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::size::Size;

/// Rows that are to be stored, column by column.
#[derive(Default)]
struct Rows {
    numbers: Vec<i64>,
    times: Vec<OffsetDateTime>,
    ids: Vec<Uuid>,
    personal: Vec<Vec<u8>>,
}

impl Rows {
    /// Rows of these numbers and times, each with what `encrypt` makes for its id.
    async fn drawn(
        database: &mut PgConnection,
        moments: &'static str,
        [first, last, all]: [i64; 3],
        encrypt: impl Fn(i64, Uuid) -> Option<Vec<u8>>,
    ) -> Result<Self, BenchError> {
        let drawn: Vec<(i64, OffsetDateTime, Uuid)> =
            sqlx::query_as(moments).bind(first).bind(last).bind(all).fetch_all(database).await?;
        let mut rows = Self::default();
        for (number, at, id) in drawn {
            rows.numbers.push(number);
            rows.times.push(at);
            rows.ids.push(id);
            rows.personal.push(encrypt(number, id).ok_or("there is no data key")?);
        }
        Ok(rows)
    }
}

/// Stores up to this many accounts, copied from the one that a caller decrypted.
pub(super) async fn accounts(
    database: &mut PgConnection,
    keys: &Keyring,
    count: u32,
) -> Result<(), BenchError> {
    const MOMENTS: &str = "SELECT n, at, pg_temp.uuid_v7(at) FROM (SELECT n, now() - interval '1 year' \
        + n * interval '10 milliseconds' AS at FROM generate_series($1, LEAST($2, $3)) n) moments";
    let (id, encrypted): (Uuid, Vec<u8>) =
        sqlx::query_as("SELECT id, personal FROM accounts WHERE bank_id IS NULL")
            .fetch_one(&mut *database)
            .await?;
    // All without an IBAN, which only one may have.
    let holder = OfAccount { iban: None, ..keys.decrypt_account(id, &encrypted)? };
    let count = i64::from(count);
    let rows =
        Rows::drawn(database, MOMENTS, [2, count, count], |_, id| keys.encrypt_account(id, &holder)).await?;
    let query = sqlx::query(include_str!("accounts.sql"));
    let query = query.bind(rows.numbers).bind(rows.times).bind(rows.ids).bind(rows.personal);
    query.execute(database).await?;
    Ok(())
}

/// What the payments say that are copied, bank by bank.
pub(super) async fn paid(database: &mut PgConnection, keys: &Keyring) -> Result<Vec<OfPayment>, BenchError> {
    let paid: Vec<(Uuid, Vec<u8>)> =
        sqlx::query_as("SELECT id, personal FROM pg_temp.paid ORDER BY bank").fetch_all(database).await?;
    paid.into_iter().map(|(id, encrypted)| Ok(keys.decrypt_payment(id, &encrypted)?)).collect()
}

/// Stores the payments of these numbers, of so many that were made one after the other until an hour ago: ten million of them within the day
/// in which nothing is sealed.
pub(super) async fn payments(
    database: &mut PgConnection,
    keys: &Keyring,
    paid: &[OfPayment],
    numbers: Range<u32>,
    of: u32,
    size: Size,
) -> Result<(), BenchError> {
    const MOMENTS: &str = "SELECT n, at, pg_temp.uuid_v7(at) FROM (SELECT n, now() - interval '1 hour' \
        - ($3 - n) * interval '8 milliseconds' AS at FROM generate_series($1, $2) n) moments";
    let bounds = [i64::from(numbers.start), i64::from(numbers.end) - 1, i64::from(of)];
    let banks = i64::from(size.banks);
    let encrypt = |number: i64, id| {
        let copied = paid.get(usize::try_from(number % banks).ok()?)?;
        keys.encrypt_payment(id, copied)
    };
    let rows = Rows::drawn(database, MOMENTS, bounds, encrypt).await?;
    let query = sqlx::query(include_str!("payments.sql"));
    let query = query.bind(rows.numbers).bind(rows.times).bind(rows.ids).bind(rows.personal);
    query.bind(i64::from(size.accounts)).bind(banks).execute(database).await?;
    Ok(())
}
