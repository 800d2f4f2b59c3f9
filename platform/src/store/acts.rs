//! Who let whom in or out: the record, and what follows from it for gateways.

use std::time::SystemTime;

use common::id::{ActId, ApiKeyId};
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::{Store, StoreError, to_sql};

/// Who acts, and when.
#[derive(Clone, Debug)]
pub struct By<'a> {
    /// The number of what is done.
    pub act: ActId,
    /// The participant whose operator it is.
    pub participant: &'a str,
    /// The operator's credential.
    pub credential: &'a str,
    /// When.
    pub at: SystemTime,
}

/// What was done.
#[derive(Clone, Copy, Debug)]
pub(super) enum Act {
    CreateParticipant,
    DisableParticipant,
    EnableParticipant,
    CreateApiKey(ApiKeyId),
    RotateApiKey(ApiKeyId),
    RevokeApiKey(ApiKeyId),
}

impl Act {
    fn row(self) -> (&'static str, Option<ApiKeyId>) {
        match self {
            Self::CreateParticipant => ("CREATE_PARTICIPANT", None),
            Self::DisableParticipant => ("DISABLE_PARTICIPANT", None),
            Self::EnableParticipant => ("ENABLE_PARTICIPANT", None),
            Self::CreateApiKey(id) => ("CREATE_API_KEY", Some(id)),
            Self::RotateApiKey(id) => ("ROTATE_API_KEY", Some(id)),
            Self::RevokeApiKey(id) => ("REVOKE_API_KEY", Some(id)),
        }
    }
}

/// Puts an act on record, in the transaction that does it and as the last thing there: other acts wait from here on.
pub(super) async fn save(
    connection: &mut PgConnection,
    act: Act,
    participant: &str,
    by: &By<'_>,
) -> Result<(), StoreError> {
    let (act, api_key) = act.row();
    sqlx::query(
        "INSERT INTO identity_acts (id, act, participant_id, api_key_id, by_participant, by_credential, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(by.act.uuid())
    .bind(act)
    .bind(participant)
    .bind(api_key.map(ApiKeyId::uuid))
    .bind(by.participant)
    .bind(by.credential)
    .bind(to_sql(by.at))
    .execute(connection)
    .await?;
    Ok(())
}

/// An API key that works, as far as a gateway needs to know it.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct WorkingKey {
    /// Its keyed hash.
    pub hash: Vec<u8>,
    /// Whose it is.
    pub participant_id: String,
    /// What it is for, by the roles' names.
    pub roles: Vec<String>,
    /// Whose it is in four-eyes rules.
    pub credential: String,
    /// When it ends, if ever.
    pub expires_at: Option<OffsetDateTime>,
    /// What its calls are verified with, if they are signed.
    pub verification_key: Option<Vec<u8>>,
}

/// Who may call, as the database has it.
#[derive(Clone, Debug, Default)]
pub struct Callers {
    /// How many acts there are: whoever has seen as many knows who may call.
    pub acts: i64,
    /// Every API key that works.
    pub keys: Vec<WorkingKey>,
    /// Every disabled participant.
    pub disabled: Vec<String>,
}

/// Looks who may call, over a connection of its own: however much is being read, credentials must not go stale.
#[derive(Debug)]
pub struct Lookout {
    store: Store,
    connection: Option<PgConnection>,
}

impl Lookout {
    /// Looks into the store's database.
    pub fn new(store: Store) -> Self {
        Self { store, connection: None }
    }

    /// Who may call at a time; nothing if there are as many acts as were `seen`.
    ///
    /// # Errors
    /// When the database fails; the next look is over a new connection.
    pub async fn look(&mut self, seen: Option<i64>, now: SystemTime) -> Result<Option<Callers>, StoreError> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.store.connect().await?,
        };
        let callers = callers(&mut connection, seen, now).await?;
        self.connection = Some(connection);
        Ok(callers)
    }
}

/// Reads the count first: whatever is committed meanwhile is read now or at the next look, never missed.
async fn callers(
    connection: &mut PgConnection,
    seen: Option<i64>,
    now: SystemTime,
) -> Result<Option<Callers>, StoreError> {
    let acts: i64 = sqlx::query_scalar("SELECT acts FROM installation").fetch_one(&mut *connection).await?;
    if seen == Some(acts) {
        return Ok(None);
    }
    let keys = sqlx::query_as(
        "SELECT hash, participant_id, roles, credential, expires_at, verification_key FROM api_keys \
         WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $1)",
    );
    let keys = keys.bind(to_sql(now)).fetch_all(&mut *connection).await?;
    let disabled = sqlx::query_scalar("SELECT id FROM participants WHERE disabled_at IS NOT NULL");
    let disabled = disabled.fetch_all(&mut *connection).await?;
    Ok(Some(Callers { acts, keys, disabled }))
}
