//! Leaves: their texts, from the view `audit_rows`, with what is encrypted of them in plain words.
//!
//! A leaf commits to what its payment says of people in plain words, not to the bytes that encrypt it: a receipt shows them to its holder, and
//! no key has to be kept to check it. So that whoever has the tree's hashes can't try out names, such a leaf has a salt.

use common::audit::{
    hex,
    merkle::{Hash, leaf_hash},
};
use sqlx::{PgConnection, Row, postgres::PgRow};
use uuid::Uuid;

use super::Step;
use crate::{
    encryption::{Keyring, NotDecrypted, contents::OfPayment},
    store::{StoreError, data_keys::DataKeys, payments},
};

/// A leaf of the log.
#[derive(Clone, Debug)]
pub struct Leaf {
    /// What it is of.
    pub step: Step,
    /// Its text, whose bytes are hashed.
    pub text: String,
    /// Whether it says all that there is to say: what was encrypted otherwise can't be read, and the text lacks it.
    pub is_decrypted: bool,
    pub(super) is_over: bool,
}

impl Leaf {
    /// Its hash.
    pub fn hash(&self) -> Hash {
        leaf_hash(self.text.as_bytes())
    }
}

/// The leaves of numbers behind `after`, up to `up_to`.
pub(super) async fn between(
    keys: &DataKeys,
    connection: &mut PgConnection,
    after: Uuid,
    up_to: Uuid,
) -> Result<Vec<Leaf>, StoreError> {
    let rows = sqlx::query(
        "SELECT id, sequence, leaf, is_over, personal FROM audit_rows WHERE id > $1 AND id <= $2 ORDER BY id, sequence",
    );
    let rows = rows.bind(after).bind(up_to).fetch_all(&mut *connection).await?;
    all(keys, connection, &rows).await
}

/// The leaves of these steps.
pub(super) async fn late(
    keys: &DataKeys,
    connection: &mut PgConnection,
    late: &[Step],
) -> Result<Vec<Leaf>, StoreError> {
    if late.is_empty() {
        return Ok(Vec::new());
    }
    let (ids, sequences) = super::columns(late);
    // OFFSET keeps the planner from joining the steps that are wanted with all that there are.
    let rows = sqlx::query(
        "SELECT r.id, r.sequence, r.leaf, r.is_over, r.personal FROM unnest($1::uuid[], $2::integer[]) \
           WITH ORDINALITY AS u (id, sequence, number) \
         CROSS JOIN LATERAL (SELECT * FROM audit_rows a WHERE a.id = u.id AND a.sequence = u.sequence OFFSET 0) AS r ORDER BY u.number",
    );
    let rows = rows.bind(ids).bind(sequences).fetch_all(&mut *connection).await?;
    all(keys, connection, &rows).await
}

async fn all(
    keys: &DataKeys,
    connection: &mut PgConnection,
    rows: &[PgRow],
) -> Result<Vec<Leaf>, StoreError> {
    let keys = payments::keys_of(keys, connection, rows, &["personal"]).await?;
    rows.iter().map(|row| leaf(row, &keys)).collect()
}

fn leaf(row: &PgRow, keys: &Keyring) -> Result<Leaf, StoreError> {
    let step = Step { id: row.try_get("id")?, sequence: row.try_get("sequence")? };
    let (mut text, is_over) = (row.try_get("leaf")?, row.try_get("is_over")?);
    let mut is_decrypted = true;
    if let Some(encrypted) = row.try_get::<Option<&[u8]>, _>("personal")? {
        match keys.decrypt_payment(step.id, encrypted) {
            Ok(contents) => add(&mut text, &contents, step.id, keys)?,
            // Without the key nothing can be said; with it, that this is not what was written.
            Err(NotDecrypted::NoKey) if keys.lookup().is_none() => return Err(StoreError::NoDataKey),
            Err(_) => is_decrypted = false,
        }
    }
    Ok(Leaf { step, text, is_decrypted, is_over })
}

/// Adds what a payment says of people, and the salt, to the object that its text is.
fn add(text: &mut String, contents: &OfPayment, payment: Uuid, keys: &Keyring) -> Result<(), StoreError> {
    let salt = keys.lookup().ok_or(StoreError::NoDataKey)?.salt(payment);
    let complain = |_| StoreError::Corrupt(payments::PERSONAL);
    let contents = serde_json::to_string(contents).map_err(complain)?;
    let members = contents.strip_prefix('{').and_then(|members| members.strip_suffix('}'));
    let members = members.ok_or(StoreError::Corrupt(payments::PERSONAL))?;
    if text.pop() != Some('}') {
        return Err(StoreError::Corrupt("audit_rows.leaf"));
    }
    text.push_str(&format!(",{members},\"salt\":\"{}\"}}", hex(&salt)));
    Ok(())
}
