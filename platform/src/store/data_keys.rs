//! Data keys: made, read, wrapped anew, and looked up when a row is met that a younger one encrypts.

use std::{
    collections::BTreeSet,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use common::tls::Live;
use sqlx::{PgExecutor, PgPool};

use super::{Store, StoreError};
use crate::encryption::{
    FIRST_NUMBER, Key, Keyring, LOOKUP_NUMBER, LookupKey, NotDecrypted, number_of,
    wrapping::{Wrapped, WrappingKeys, new_key},
};

/// How often platforms look for new data keys, and whether the file of key-encryption keys has changed.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Why data keys can't be had.
#[derive(Debug, thiserror::Error)]
pub enum DataKeyError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No key of the file wrapped it.
    #[error(
        "data key {number} is wrapped by the key-encryption key {by}, and the file has {has}: add that key's line to the file"
    )]
    NotUnwrapped {
        /// Which data key.
        number: i16,
        /// By what it is wrapped.
        by: String,
        /// The ids of the file's keys.
        has: String,
    },
    /// There is a ledger and no data key.
    #[error(
        "the ledger has accounts and no data keys: restore the table data_keys, without which nobody can read them"
    )]
    Lost,
    /// Another one made a data key at the same time, or there are as many as can be.
    #[error("no data key was made: another one was made at the same time, or there are too many")]
    NotMade,
    /// The system gives no randomness.
    #[error("the system gives no randomness")]
    NoRandomness,
}

impl From<sqlx::Error> for DataKeyError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// The data keys that are known here. Without [`Store::unlock`] there are none.
#[derive(Debug, Default)]
pub struct DataKeys {
    wrapping: RwLock<Option<Arc<Live<WrappingKeys>>>>,
    known: RwLock<Arc<Keyring>>,
}

type Row = (i16, Vec<u8>, String);

const SELECT: &str = "SELECT number, wrapped, wrapped_by FROM data_keys ORDER BY number";

impl DataKeys {
    /// Those that are known now.
    pub fn current(&self) -> Arc<Keyring> {
        Arc::clone(&self.known.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What look-ups are made with.
    ///
    /// # Errors
    /// When there are no keys.
    pub fn lookup(&self) -> Result<LookupKey, StoreError> {
        self.current().lookup().cloned().ok_or(StoreError::NoDataKey)
    }

    /// The keys that are known, if these values are encrypted under them; else [`Self::learned`] are needed: another platform has heard of a new
    /// data key first.
    pub(super) fn that_decrypt<'r>(
        &self,
        mut encrypted: impl Iterator<Item = &'r [u8]>,
    ) -> Option<Arc<Keyring>> {
        let known = self.current();
        let are_known =
            encrypted.all(|encrypted| number_of(encrypted).is_none_or(|number| known.has(number)));
        are_known.then_some(known)
    }

    /// All keys that the database has.
    pub(super) async fn learned(&self, database: impl PgExecutor<'_>) -> Result<Arc<Keyring>, StoreError> {
        match self.learn(database).await {
            Ok(_) => Ok(self.current()),
            Err(DataKeyError::Store(error)) => Err(error),
            Err(error) => {
                tracing::error!(%error, "ALARM: what another platform has encrypted can't be read");
                Err(StoreError::NoDataKey)
            }
        }
    }

    /// Takes note of all keys of the database. Returns them as they are wrapped.
    async fn learn(&self, database: impl PgExecutor<'_>) -> Result<Vec<(i16, Wrapped)>, DataKeyError> {
        let rows: Vec<Row> = sqlx::query_as(SELECT).fetch_all(database).await?;
        let rows: Vec<_> =
            rows.into_iter().map(|(number, bytes, by)| (number, Wrapped { bytes, by })).collect();
        let mut keyring = Keyring::clone(&self.current());
        for (number, wrapped) in &rows {
            if !keyring.has(*number) && !keyring.add(*number, &self.unwrap(*number, wrapped)?) {
                return Err(StoreError::Corrupt("data_keys.wrapped").into());
            }
        }
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keyring);
        Ok(rows)
    }

    fn unwrap(&self, number: i16, wrapped: &Wrapped) -> Result<Key, DataKeyError> {
        let wrapping = self.wrapping()?.fresh();
        wrapping.unwrap(number, wrapped).ok_or_else(|| DataKeyError::NotUnwrapped {
            number,
            by: wrapped.by.clone(),
            has: wrapping.ids().collect::<Vec<_>>().join(", "),
        })
    }

    fn wrap(&self, number: i16, key: &Key) -> Result<Wrapped, DataKeyError> {
        self.wrapping()?.fresh().wrap(number, key).ok_or(DataKeyError::Store(StoreError::NoDataKey))
    }

    fn wrapping(&self) -> Result<Arc<Live<WrappingKeys>>, StoreError> {
        let wrapping = self.wrapping.read().unwrap_or_else(PoisonError::into_inner);
        wrapping.clone().ok_or(StoreError::NoDataKey)
    }

    /// Takes note of all keys, and has those that an older key-encryption key wraps wrapped by the first.
    async fn refresh(&self, pool: &PgPool) -> Result<(), DataKeyError> {
        let rows = self.learn(pool).await?;
        let wrapping = self.wrapping()?.fresh();
        for (number, old) in rows.iter().filter(|(_, wrapped)| wrapping.is_outdated(wrapped)) {
            let new = self.wrap(*number, &self.unwrap(*number, old)?)?;
            // Another platform may have done it meanwhile.
            sqlx::query(
                "UPDATE data_keys SET wrapped = $3, wrapped_by = $4 WHERE number = $1 AND wrapped = $2",
            )
            .bind(number)
            .bind(&old.bytes)
            .bind(&new.bytes)
            .bind(&new.by)
            .execute(pool)
            .await?;
            tracing::info!(
                number,
                was = old.by,
                by = new.by,
                "data key wrapped by another key-encryption key"
            );
        }
        Ok(())
    }

    /// Adds new keys of these numbers, unless they are there: all or none, whoever is first.
    async fn make(&self, pool: &PgPool, numbers: &[i16], only_if: &str) -> Result<u64, DataKeyError> {
        let (mut wrapped, mut by) = (Vec::new(), Vec::new());
        for number in numbers {
            let new = self.wrap(*number, &new_key().ok_or(DataKeyError::NoRandomness)?)?;
            wrapped.push(new.bytes);
            by.push(new.by);
        }
        let sql = format!(
            "INSERT INTO data_keys (number, wrapped, wrapped_by) SELECT * FROM unnest($1::smallint[], $2::bytea[], $3::text[]) \
             {only_if} ON CONFLICT DO NOTHING"
        );
        let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(numbers).bind(wrapped).bind(by);
        Ok(query.execute(pool).await?.rows_affected())
    }
}

impl Store {
    /// The data keys that are known here.
    pub fn keys(&self) -> &DataKeys {
        &self.keys
    }

    /// Reads the data keys, makes the first if there is none, and has those that an older key-encryption key wraps wrapped by the first.
    ///
    /// # Errors
    /// When the database fails, or the file's keys do not unwrap them.
    pub async fn unlock(&self, wrapping: Live<WrappingKeys>) -> Result<(), DataKeyError> {
        *self.keys.wrapping.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(wrapping));
        let numbers: BTreeSet<i16> =
            self.keys.learn(self.pool()).await?.into_iter().map(|(number, _)| number).collect();
        if numbers.is_empty() {
            // Where there are accounts there were keys, and others would open nothing.
            let on_an_empty_ledger = "WHERE NOT EXISTS (SELECT FROM accounts)";
            self.keys.make(self.pool(), &[LOOKUP_NUMBER, FIRST_NUMBER], on_an_empty_ledger).await?;
        }
        self.keys.refresh(self.pool()).await?;
        let known = self.keys.current();
        if known.has(LOOKUP_NUMBER) && known.has(FIRST_NUMBER) { Ok(()) } else { Err(DataKeyError::Lost) }
    }

    /// Makes a data key, which encrypts what is written from now on, here at once and by other platforms within seconds. What is encrypted already
    /// stays under its key. Returns its number.
    ///
    /// # Errors
    /// When the database fails or another one is made at the same time.
    pub async fn rotate_data_key(&self) -> Result<i16, DataKeyError> {
        let rows = self.keys.learn(self.pool()).await?;
        let newest = rows.last().map(|(number, _)| *number).ok_or(DataKeyError::Lost)?;
        let number = newest.checked_add(1).ok_or(DataKeyError::NotMade)?;
        if self.keys.make(self.pool(), &[number], "").await? == 0 {
            return Err(DataKeyError::NotMade);
        }
        self.keys.learn(self.pool()).await?;
        Ok(number)
    }

    /// Learns of new data keys and of changes of the file of key-encryption keys, for ever.
    pub async fn follow_data_keys(self) {
        let mut was_told = false;
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            match self.keys.refresh(self.pool()).await {
                Ok(()) => was_told = false,
                Err(DataKeyError::Store(error)) => tracing::debug!(%error, "cannot look at the data keys"),
                Err(error) if !was_told => {
                    was_told = true;
                    tracing::error!(%error, "ALARM: a data key can't be read, and nobody can after a restart");
                }
                Err(_) => {}
            }
        }
    }
}

/// What a encrypted column says, or that it can't.
pub(super) fn decrypted<T>(
    decrypted: Result<T, NotDecrypted>,
    column: &'static str,
) -> Result<T, StoreError> {
    decrypted.map_err(|_| StoreError::Corrupt(column))
}
