//! The audit log's tables: what there is to seal, what is sealed, and what proofs are made of (migration 0002).
//!
//! Numbers are made by platforms before their commits, so that a smaller one can come to be after a greater one. Whoever seals first says
//! up to where nothing new may come (`audit_horizon`; the database refuses it from then on), then waits until nothing is under way that
//! began before, and only then reads: what it finds is all that there will ever be.

mod leaf;

use std::{collections::HashMap, time::Duration};

use common::audit::merkle::{Frontier, Hash, Subtree};
use sqlx::{PgConnection, Row, postgres::PgRow};
use uuid::Uuid;

pub use leaf::Leaf;

use super::{Store, StoreError, data_keys::DataKeys, payments, to_micros};

/// Numbers of one kind that one seal takes: few, so that a proof need not look at many.
const NUMBERS_IN_A_SEAL: i32 = 512;
/// Late steps that one seal takes.
const LATE_IN_A_SEAL: i32 = 512;

/// What is decided is sealed up to a number once nothing that was begun before is under way.
#[derive(Clone, Copy, Debug)]
pub struct Horizon {
    /// The number.
    pub up_to: Uuid,
    /// Transactions before this one may not have seen it.
    fence: i64,
}

/// A stretch of the log.
#[derive(Clone, Debug)]
pub struct Seal {
    /// How many leaves the log had before.
    pub first_leaf: u64,
    /// The last number of the seal before.
    pub after: Uuid,
    /// The last number that it seals.
    pub up_to: Uuid,
    /// Later steps of payments that were sealed unfinished.
    pub late: Vec<Step>,
    /// The last sealed steps of payments that were not over.
    pub unfinished: Vec<Step>,
    /// The log with it.
    pub log: Frontier,
}

/// Something that was decided, by its number, and the how-manieth step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Step {
    /// The number of the payment, deposit, decision, account, alarm or act.
    pub id: Uuid,
    /// The step; 1 where there is only one.
    pub sequence: i32,
}

const SEALS: &str = "SELECT first_leaf, size, up_to, late_payments, late_sequences, unfinished_payments, unfinished_sequences, peaks, \
    COALESCE((SELECT b.up_to FROM audit_seals b WHERE b.size = s.first_leaf), '00000000-0000-0000-0000-000000000000') AS after \
    FROM audit_seals s";

impl Store {
    /// Says that nothing new may come to be whose number was made more than `lag` ago.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn advance_audit_horizon(&self, lag: Duration) -> Result<Horizon, StoreError> {
        sqlx::query(
            "UPDATE audit_horizon SET sealed_up_to = first_id(now() - $1 * interval '1 microsecond') \
             WHERE sealed_up_to < first_id(now() - $1 * interval '1 microsecond')",
        )
        .bind(to_micros(lag))
        .execute(self.pool())
        .await?;
        let (up_to, fence) = sqlx::query_as(
            "SELECT sealed_up_to, pg_snapshot_xmax(pg_current_snapshot())::text::bigint FROM audit_horizon",
        )
        .fetch_one(self.pool())
        .await?;
        Ok(Horizon { up_to, fence })
    }

    /// Whether everybody has seen the horizon, so that what is up to it is complete.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn is_audit_horizon_seen(&self, horizon: Horizon) -> Result<bool, StoreError> {
        let seen = sqlx::query_scalar("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint >= $1");
        Ok(seen.bind(horizon.fence).fetch_one(self.pool()).await?)
    }

    /// Seals the next stretch up to a horizon that everybody has seen. None when there is nothing more to seal, or somebody else seals.
    ///
    /// # Errors
    /// When the database fails; nothing was sealed then.
    pub async fn seal(&self, horizon: Horizon) -> Result<Option<Seal>, StoreError> {
        let mut transaction = self.pool().begin().await?;
        let mine: bool =
            sqlx::query_scalar("SELECT pg_try_advisory_xact_lock(hashtextextended('audit_seals', 0))")
                .fetch_one(&mut *transaction)
                .await?;
        if !mine {
            return Ok(None);
        }
        let seal = next_seal(self.keys(), &mut transaction, horizon.up_to).await?;
        transaction.commit().await?;
        Ok(seal)
    }

    /// The last seal; none before the first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn last_seal(&self) -> Result<Option<Seal>, StoreError> {
        let mut connection = self.pool().acquire().await?;
        last_seal(&mut connection).await
    }

    /// The first seal behind a number of leaves that has more; none if there is none.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn seal_with_leaf(&self, leaf: u64) -> Result<Option<Seal>, StoreError> {
        let row = sqlx::query(const_format::concatcp!(SEALS, " WHERE size > $1 ORDER BY size LIMIT 1"));
        let row = row.bind(to_sql(leaf)).fetch_optional(self.pool()).await?;
        row.as_ref().map(seal_of).transpose()
    }

    /// The seals in which a payment's steps are.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn seals_of_payment(&self, payment: Uuid) -> Result<Vec<Seal>, StoreError> {
        let first = sqlx::query(const_format::concatcp!(SEALS, " WHERE up_to >= $1 ORDER BY up_to LIMIT 1"));
        let first = first.bind(payment).fetch_optional(self.pool()).await?;
        let late =
            sqlx::query(const_format::concatcp!(SEALS, " WHERE late_payments @> ARRAY[$1] ORDER BY size"));
        let late = late.bind(payment).fetch_all(self.pool()).await?;
        first.iter().chain(&late).map(seal_of).collect()
    }

    /// The leaves of a seal, in their order, as the ledger has them now.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn leaves_of(&self, seal: &Seal) -> Result<Vec<Leaf>, StoreError> {
        let mut connection = self.pool().acquire().await?;
        let mut leaves = leaf::late(self.keys(), &mut connection, &seal.late).await?;
        let cut: HashMap<Uuid, i32> = seal.unfinished.iter().map(|step| (step.id, step.sequence)).collect();
        let range = leaf::between(self.keys(), &mut connection, seal.after, seal.up_to).await?;
        let is_sealed = |leaf: &Leaf| cut.get(&leaf.step.id).is_none_or(|last| leaf.step.sequence <= *last);
        leaves.extend(range.into_iter().filter(is_sealed));
        Ok(leaves)
    }

    /// The kept nodes among these subtrees.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn audit_nodes(&self, subtrees: &[Subtree]) -> Result<HashMap<Subtree, Hash>, StoreError> {
        let (levels, indexes): (Vec<i16>, Vec<i64>) = subtrees
            .iter()
            .map(|subtree| (i16::try_from(subtree.level).unwrap_or(i16::MAX), to_sql(subtree.index)))
            .unzip();
        let rows: Vec<(i16, i64, Vec<u8>)> = sqlx::query_as(
            "SELECT n.level, n.index, n.hash FROM unnest($1::smallint[], $2::bigint[]) AS u (level, index) \
             JOIN audit_nodes n ON n.level = u.level AND n.index = u.index",
        )
        .bind(levels)
        .bind(indexes)
        .fetch_all(self.pool())
        .await?;
        let node = |(level, index, hash): (i16, i64, Vec<u8>)| {
            let subtree = Subtree { level: u32::try_from(level).ok()?, index: u64::try_from(index).ok()? };
            Some((subtree, Hash::try_from(hash).ok()?))
        };
        rows.into_iter().map(node).collect::<Option<_>>().ok_or(StoreError::Corrupt("audit_nodes.hash"))
    }

    /// Whether payments of a seal may have been taken out of the archive, so that their leaves are no longer here.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn is_taken_out(&self, seal: &Seal) -> Result<bool, StoreError> {
        let taken = sqlx::query_scalar(
            "SELECT EXISTS (SELECT FROM months_taken_out m WHERE \
               (first_id(m.month::timestamp AT TIME ZONE 'UTC') <= $2 \
                 AND first_id((m.month + interval '1 month') AT TIME ZONE 'UTC') > $1) \
               OR m.month IN (SELECT month_of(id) FROM unnest($3::uuid[]) AS id))",
        );
        let late = columns(&seal.late).0;
        Ok(taken.bind(seal.after).bind(seal.up_to).bind(late).fetch_one(self.pool()).await?)
    }
}

async fn last_seal(connection: &mut PgConnection) -> Result<Option<Seal>, StoreError> {
    let row = sqlx::query(const_format::concatcp!(SEALS, " ORDER BY size DESC LIMIT 1"));
    row.fetch_optional(connection).await?.as_ref().map(seal_of).transpose()
}

async fn next_seal(
    keys: &DataKeys,
    connection: &mut PgConnection,
    horizon: Uuid,
) -> Result<Option<Seal>, StoreError> {
    let last = last_seal(connection).await?;
    let (after, mut log) = last.map_or((Uuid::nil(), Frontier::default()), |seal| (seal.up_to, seal.log));
    let first_leaf = log.size();
    let late: Vec<(Uuid, i32)> = sqlx::query_as(
        "SELECT u.payment_id, e.sequence FROM audit_unfinished u CROSS JOIN LATERAL (SELECT a.sequence FROM all_payment_events a \
           WHERE a.payment_id = u.payment_id AND a.sequence > u.sealed OFFSET 0) AS e ORDER BY u.payment_id, e.sequence LIMIT $1",
    )
    .bind(LATE_IN_A_SEAL)
    .fetch_all(&mut *connection)
    .await?;
    let late: Vec<Step> = late.into_iter().map(|(id, sequence)| Step { id, sequence }).collect();
    let up_to = end_of_stretch(connection, after, horizon).await?;
    let late_leaves = leaf::late(keys, connection, &late).await?;
    let leaves = leaf::between(keys, connection, after, up_to).await?;
    if leaves.is_empty() && late.is_empty() {
        return Ok(None);
    }
    // What can't be read must not be sealed as it is: it was changed before the log has seen it.
    if late_leaves.iter().chain(&leaves).any(|leaf| !leaf.is_decrypted) {
        return Err(StoreError::Corrupt(payments::PERSONAL));
    }
    let last_steps = |leaves: &[Leaf], is_over: bool| -> Vec<Step> {
        let last = leaves.chunk_by(|a, b| a.step.id == b.step.id).filter_map(<[Leaf]>::last);
        last.filter(|leaf| leaf.is_over == is_over).map(|leaf| leaf.step).collect()
    };
    let (unfinished, went_on) = (last_steps(&leaves, false), last_steps(&late_leaves, false));
    let ended = last_steps(&late_leaves, true);
    let mut nodes = Vec::new();
    for leaf in late_leaves.iter().chain(&leaves) {
        log.push(leaf.hash(), |subtree, hash| nodes.push((subtree, hash)));
    }
    let seal = Seal { first_leaf, after, up_to, late, unfinished, log };
    save(connection, &seal, &nodes).await?;
    remember(connection, &seal.unfinished, &went_on, &ended).await?;
    Ok(Some(seal))
}

/// The number with which the next stretch ends.
async fn end_of_stretch(
    connection: &mut PgConnection,
    after: Uuid,
    horizon: Uuid,
) -> Result<Uuid, StoreError> {
    const SKIP: &str = "id > $1 AND id <= $2 ORDER BY id OFFSET $3 LIMIT 1";
    let end = sqlx::query_scalar(const_format::concatcp!(
        "SELECT LEAST($2, (SELECT id FROM payments WHERE ",
        SKIP,
        "), (SELECT id FROM archived_payments WHERE ",
        SKIP,
        "), (SELECT id FROM accounts WHERE ",
        SKIP,
        "), (SELECT id FROM deposits WHERE ",
        SKIP,
        "), (SELECT id FROM limit_changes WHERE ",
        SKIP,
        "), (SELECT decision_id FROM deposits WHERE decision_id > $1 AND decision_id <= $2 ORDER BY decision_id OFFSET $3 LIMIT 1",
        "), (SELECT id FROM alarms WHERE ",
        SKIP,
        "), (SELECT id FROM identity_acts WHERE ",
        SKIP,
        "), (SELECT id FROM resolution_acts WHERE ",
        SKIP,
        "), (SELECT id FROM webhook_acts WHERE ",
        SKIP,
        "))"
    ));
    Ok(end.bind(after).bind(horizon).bind(NUMBERS_IN_A_SEAL).fetch_one(connection).await?)
}

async fn save(
    connection: &mut PgConnection,
    seal: &Seal,
    nodes: &[(Subtree, Hash)],
) -> Result<(), StoreError> {
    let ((late, late_steps), (unfinished, unfinished_steps)) =
        (columns(&seal.late), columns(&seal.unfinished));
    sqlx::query(
        "INSERT INTO audit_seals (first_leaf, size, up_to, late_payments, late_sequences, unfinished_payments, \
           unfinished_sequences, peaks) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(to_sql(seal.first_leaf))
    .bind(to_sql(seal.log.size()))
    .bind(seal.up_to)
    .bind(late)
    .bind(late_steps)
    .bind(unfinished)
    .bind(unfinished_steps)
    .bind(seal.log.peaks().concat())
    .execute(&mut *connection)
    .await?;
    for (subtree, hash) in nodes {
        sqlx::query("INSERT INTO audit_nodes (level, index, hash) VALUES ($1, $2, $3)")
            .bind(i16::try_from(subtree.level).unwrap_or(i16::MAX))
            .bind(to_sql(subtree.index))
            .bind(hash.as_slice())
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// Keeps the list of unfinished payments: those that are new on it, that went on, and that came to their end.
async fn remember(
    connection: &mut PgConnection,
    unfinished: &[Step],
    went_on: &[Step],
    ended: &[Step],
) -> Result<(), StoreError> {
    for (statement, steps) in [
        (
            "INSERT INTO audit_unfinished (payment_id, sealed) SELECT * FROM unnest($1::uuid[], $2::integer[])",
            unfinished,
        ),
        (
            "UPDATE audit_unfinished u SET sealed = g.sealed FROM unnest($1::uuid[], $2::integer[]) AS g (id, sealed) \
             WHERE u.payment_id = g.id",
            went_on,
        ),
        (
            "DELETE FROM audit_unfinished u USING unnest($1::uuid[], $2::integer[]) AS g (id, sealed) WHERE u.payment_id = g.id",
            ended,
        ),
    ] {
        if !steps.is_empty() {
            let (ids, sequences) = columns(steps);
            sqlx::query(statement).bind(ids).bind(sequences).execute(&mut *connection).await?;
        }
    }
    Ok(())
}

fn columns(steps: &[Step]) -> (Vec<Uuid>, Vec<i32>) {
    steps.iter().map(|step| (step.id, step.sequence)).unzip()
}

fn to_sql(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn seal_of(row: &PgRow) -> Result<Seal, StoreError> {
    let steps = |ids: &str, sequences: &str| -> Result<Vec<Step>, StoreError> {
        let (ids, sequences): (Vec<Uuid>, Vec<i32>) = (row.try_get(ids)?, row.try_get(sequences)?);
        Ok(ids.into_iter().zip(sequences).map(|(id, sequence)| Step { id, sequence }).collect())
    };
    let count = |column: &str| -> Result<u64, StoreError> {
        u64::try_from(row.try_get::<i64, _>(column)?).map_err(|_| StoreError::Corrupt("audit_seals.size"))
    };
    let peaks: Vec<u8> = row.try_get("peaks")?;
    let peaks = peaks.chunks(32).map(|hash| Hash::try_from(hash).ok()).collect::<Option<Vec<Hash>>>();
    let log = peaks.and_then(|peaks| Frontier::new(count("size").ok()?, peaks));
    Ok(Seal {
        first_leaf: count("first_leaf")?,
        after: row.try_get("after")?,
        up_to: row.try_get("up_to")?,
        late: steps("late_payments", "late_sequences")?,
        unfinished: steps("unfinished_payments", "unfinished_sequences")?,
        log: log.ok_or(StoreError::Corrupt("audit_seals.peaks"))?,
    })
}
