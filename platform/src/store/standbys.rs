//! Who is sent what the primary writes, and whether commits wait for it: what a failover would lose.

use sqlx::PgConnection;

use super::{StoreError, schema::SchemaError, servers::Servers};

/// A standby, or whoever else is sent what the primary writes.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Standby {
    /// What it calls itself, and where it is; empty where this user may not see it.
    pub name: String,
    /// How commits wait for it: `sync`, `quorum`, `potential` or `async`; none where this user may not see it.
    pub sync_state: Option<String>,
}

/// The primary's standbys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standbys {
    /// PostgreSQL's `synchronous_standby_names`: for whom commits wait; for nobody if it is empty.
    pub names: String,
    /// PostgreSQL's `synchronous_commit`: what they wait for.
    pub synchronous_commit: String,
    /// Who is attached.
    pub attached: Vec<Standby>,
}

impl Standbys {
    async fn look(connection: &mut PgConnection) -> Result<Self, sqlx::Error> {
        let (names, synchronous_commit) = sqlx::query_as(
            "SELECT current_setting('synchronous_standby_names'), current_setting('synchronous_commit')",
        )
        .fetch_one(&mut *connection)
        .await?;
        let attached = sqlx::query_as(
            "SELECT concat_ws(' at ', NULLIF(application_name, ''), host(client_addr)) AS name, sync_state \
             FROM pg_stat_replication WHERE state IS NULL OR state <> 'backup'",
        )
        .fetch_all(connection)
        .await?;
        Ok(Self { names, synchronous_commit, attached })
    }

    /// Whether commits wait for a standby.
    pub fn are_waited_for(&self) -> bool {
        !self.names.trim().is_empty() && !matches!(self.synchronous_commit.as_str(), "off" | "local")
    }

    /// What a failover would lose, and why; nothing where there is no standby, or commits wait for one.
    pub fn problems(&self) -> Vec<String> {
        const LOSES: &str = "a failover loses payments that were acknowledged";
        if self.are_waited_for() || (self.attached.is_empty() && self.names.trim().is_empty()) {
            return Vec::new();
        }
        if !self.names.trim().is_empty() {
            let commit = &self.synchronous_commit;
            return vec![format!(
                "synchronous_commit is {commit}, so that commits wait for no standby: {LOSES}"
            )];
        }
        let named = self.attached.iter().filter(|standby| !standby.name.is_empty());
        let mut problems: Vec<String> = named
            .map(|standby| {
                format!(
                    "standby {} is asynchronous: {LOSES}; name it in synchronous_standby_names, and have a second one",
                    standby.name
                )
            })
            .collect();
        let hidden = self.attached.len() - problems.len();
        if hidden > 0 {
            problems.push(format!(
                "{hidden} standbys are asynchronous, whose names this user may not see (GRANT pg_monitor): {LOSES}"
            ));
        }
        problems
    }
}

/// Looks at the primary's standbys, and says in the log what a failover would lose. That commits get through where they wait for a standby
/// is known from the connection.
///
/// # Errors
/// [`SchemaError::Unsafe`] when commits wait for none and must.
pub async fn check(servers: impl Into<Servers>, must_be_synchronous: bool) -> Result<(), SchemaError> {
    let found = Standbys::look(&mut servers.into().connect().await?).await?;
    for problem in found.problems() {
        tracing::warn!(%problem, "the database is not safe against a failover");
    }
    if must_be_synchronous && !found.are_waited_for() {
        let mut problems = found.problems();
        problems.push("commits wait for no standby, and --require-synchronous-standby is set: set synchronous_standby_names".to_owned());
        return Err(SchemaError::Unsafe(problems));
    }
    Ok(())
}

/// How many are attached for whom commits wait, and how many for whom they don't; names are not needed, and mostly hidden from the
/// platform's role.
pub(super) async fn count(connection: &mut PgConnection) -> Result<Vec<(&'static str, i64)>, StoreError> {
    let (is_waited_for, attached): (bool, i64) = sqlx::query_as(
        "SELECT current_setting('synchronous_standby_names') <> '' \
           AND current_setting('synchronous_commit') NOT IN ('off', 'local'), \
           (SELECT count(*) FROM pg_stat_replication WHERE state IS NULL OR state <> 'backup')",
    )
    .fetch_one(connection)
    .await?;
    let of = |wanted: bool| if is_waited_for == wanted { attached } else { 0 };
    Ok(vec![("synchronous", of(true)), ("asynchronous", of(false))])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(names: &str, synchronous_commit: &str, attached: &[(&str, Option<&str>)]) -> Standbys {
        let attached = attached.iter().map(|(name, sync_state)| Standby {
            name: (*name).to_owned(),
            sync_state: sync_state.map(str::to_owned),
        });
        Standbys {
            names: names.to_owned(),
            synchronous_commit: synchronous_commit.to_owned(),
            attached: attached.collect(),
        }
    }

    #[test]
    fn an_asynchronous_standby_is_named_and_a_synchronous_one_is_no_problem() {
        assert!(found("", "on", &[]).problems().is_empty());
        assert!(found("db2", "on", &[("db2", Some("sync")), ("far", Some("async"))]).problems().is_empty());
        let problems = found("", "on", &[("db2 at 10.0.0.2", Some("async")), ("", None)]).problems();
        assert!(problems[0].contains("standby db2 at 10.0.0.2 is asynchronous"), "{problems:?}");
        assert!(problems[1].contains("1 standbys are asynchronous") && problems[1].contains("pg_monitor"));
        assert!(found("db2", "local", &[]).problems()[0].contains("synchronous_commit is local"));
        assert!(!found("db2", "local", &[]).are_waited_for() && !found(" ", "on", &[]).are_waited_for());
    }
}
