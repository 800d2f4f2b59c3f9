//! The nonces of signed calls. Each is claimed by one statement, which commits before the call is carried out.

use common::verification_key::VerificationKey;

use super::{Store, StoreError};

impl Store {
    /// Claims a nonce of a key's signatures; whether it was not claimed before.
    ///
    /// # Errors
    /// When the database fails: the nonce may be claimed then.
    pub async fn claim_nonce(&self, key: &VerificationKey, nonce: &str) -> Result<bool, StoreError> {
        let sql =
            "INSERT INTO request_nonces (verification_key, nonce) VALUES ($1, $2) ON CONFLICT DO NOTHING";
        let claim = sqlx::query(sql).bind(&key.as_bytes()[..]).bind(nonce);
        Ok(claim.execute(self.pool()).await?.rows_affected() > 0)
    }

    /// Forgets claims that are half an hour old, by the database's clock, which also made them. Returns how many.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn forget_nonces(&self, limit: u32) -> Result<u32, StoreError> {
        let sql = "DELETE FROM request_nonces WHERE (verification_key, nonce) IN (SELECT verification_key, nonce \
             FROM request_nonces WHERE claimed_at < now() - interval '30 minutes' ORDER BY claimed_at LIMIT $1)";
        let forgotten = sqlx::query(sql).bind(i64::from(limit)).execute(self.pool()).await?.rows_affected();
        Ok(u32::try_from(forgotten).unwrap_or(limit))
    }
}
