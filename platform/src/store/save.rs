//! Saves what the rules decided: one statement, one round trip, all or nothing. What is rare (alarms, refunds, resolutions) has
//! statements of its own in the same transaction, only when there is any.
//!
//! The statement has a part for each table that there is something to write to, so that a small batch costs little. It refuses
//! what was decided on something that has changed since: a payment by its sequence number and whether its work was queued, a
//! lease by its token, a request by its unique key, too little money by the account's constraint, what was known of an account by its
//! revision, an IBAN that is nobody's here by a look. Every part's rows are
//! counted, and any other number than was sent undoes the whole. The parts are done in the order in which they stand: accounts,
//! then payments that there are, then what is new, each in the order of its keys, which is also the order under locks, so that
//! two platforms do not deadlock. Accounts come first, since who writes a request that was made before waits for whoever is
//! changing what it made.

mod parts;
mod statement;

use std::collections::HashMap;

use common::id::PaymentId;
use sqlx::{Connection, PgConnection};

use super::{StoreError, alarms, conversation, load::Guards, refunds, resolutions};
pub(super) use statement::Statement;

use crate::{domain::ledger::Writes, encryption::Keyring};

/// The traces of payments, as `traceparent`s, that whoever takes up their work goes on with.
pub type Traces = HashMap<PaymentId, String>;

/// Saves `writes` as a transaction of its own, if what they follow from is still so.
///
/// # Errors
/// When the database fails or refuses.
pub async fn at_once(
    connection: &mut PgConnection,
    writes: &Writes,
    guards: &Guards,
    keys: &Keyring,
    traces: &Traces,
) -> Result<(), StoreError> {
    if writes.refunded.is_empty() && writes.proposals.is_empty() && writes.alarms.is_empty() {
        return parts::of(writes, guards, keys, traces)?.execute(connection).await;
    }
    let mut transaction = connection.begin().await?;
    save(&mut transaction, writes, guards, keys, traces).await?;
    Ok(transaction.commit().await?)
}

/// Saves `writes` inside the open transaction, under the locks that they were decided under.
///
/// # Errors
/// When the database fails or refuses.
pub async fn writes(
    connection: &mut PgConnection,
    writes: &Writes,
    keys: &Keyring,
    traces: &Traces,
) -> Result<(), StoreError> {
    save(connection, writes, &Guards::default(), keys, traces).await
}

async fn save(
    connection: &mut PgConnection,
    writes: &Writes,
    guards: &Guards,
    keys: &Keyring,
    traces: &Traces,
) -> Result<(), StoreError> {
    parts::of(writes, guards, keys, traces)?.execute(&mut *connection).await?;
    refunds::save(connection, &writes.refunded).await?;
    resolutions::save(connection, &writes.proposals).await?;
    resolutions::save_acts(connection, &writes.resolution_acts).await?;
    conversation::save_late(connection, &writes.bank_messages, keys).await?;
    alarms::save(connection, &writes.alarms).await
}
