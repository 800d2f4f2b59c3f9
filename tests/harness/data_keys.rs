//! The file of key-encryption keys, with which the bench's platforms read personal data.

use std::{
    fs,
    path::{Path, PathBuf},
};

use platform::{config, encryption::wrapping::WrappingKeys, store::Store};
use sqlx::postgres::PgConnectOptions;

use crate::BenchError;

/// The file in this folder, made if there is none.
///
/// # Errors
/// When it can't be written.
pub fn file(folder: &Path) -> Result<PathBuf, BenchError> {
    let file = folder.join("data.key");
    if !file.is_file() {
        fs::write(&file, WrappingKeys::new_file().ok_or("the system gives no randomness")?)?;
    }
    Ok(file)
}

/// The ledger in a database, as a platform with this file has it.
///
/// # Errors
/// When the file's keys don't unwrap those of the database.
pub async fn unlocked(
    database: PgConnectOptions,
    max_connections: u32,
    file: &Path,
) -> Result<Store, BenchError> {
    let store = Store::new(database, max_connections);
    store.unlock(config::wrapping_keys(file.to_owned())?).await?;
    Ok(store)
}
