//! A standby of the private PostgreSQL: a second cluster, which follows the first and can take its place.

use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::{Postgres, guard, guarded, programs};
use crate::{BenchError, wait};

impl Postgres {
    /// Makes a standby of this server in `folder`, which calls itself `name`, and starts it. Commits do not wait for it.
    ///
    /// # Errors
    /// When it can't be made or does not start.
    pub async fn standby(&self, folder: &Path, name: &str) -> Result<Self, BenchError> {
        let whence = format!(
            "host=127.0.0.1 port={} user=postgres password={} application_name={name}",
            self.port, self.password
        );
        self.copy(folder, &["-R", "-d", &whence])?;
        let settings: Vec<&str> = self.extra_settings.iter().map(String::as_str).collect();
        Self::start(folder, &settings).await
    }

    /// Copies this server's cluster to `folder`, without starting anything on it: a base backup.
    ///
    /// # Errors
    /// When it fails.
    pub fn copy(&self, folder: &Path, arguments: &[&str]) -> Result<(), BenchError> {
        let guard = guard(folder)?;
        fs::write(folder.join("password"), &self.password)?;
        if let Some((user, group)) = guard.user {
            for path in [folder, &folder.join("password")] {
                std::os::unix::fs::chown(path, Some(user), Some(group))?;
            }
        }
        let mut command = Command::new(programs()?.join("pg_basebackup"));
        command.args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", "postgres", "-D"]);
        command
            .arg(folder.join("data"))
            .args(["-X", "stream", "--checkpoint=fast", "--no-sync"])
            .args(arguments);
        command.env("PGPASSWORD", &self.password);
        let output = guarded(&command, guard).output()?;
        if output.status.success() {
            return Ok(());
        }
        Err(format!("pg_basebackup failed: {}", String::from_utf8_lossy(&output.stderr)).into())
    }

    /// Starts a server on a copy that was made by [`Self::copy`], after it has taken up archived WAL: all of it, or as much as `settings` say.
    ///
    /// # Errors
    /// When it does not start, or does not come to the end of its recovery.
    pub async fn restore(folder: &Path, settings: &[&str]) -> Result<Self, BenchError> {
        let signal = folder.join("data/recovery.signal");
        fs::write(&signal, "")?;
        if let Some((user, group)) = guard(folder)?.user {
            std::os::unix::fs::chown(&signal, Some(user), Some(group))?;
        }
        let settings = [settings, &["recovery_target_action=promote"]].concat();
        let server = Self::start(folder, &settings).await?;
        let is_over = || async {
            let mut connection = PgConnection::connect_with(&server.options("postgres")).await.ok()?;
            let recovers: bool =
                sqlx::query_scalar("SELECT pg_is_in_recovery()").fetch_one(&mut connection).await.ok()?;
            (!recovers).then_some(())
        };
        wait::until("the recovery is over", Duration::from_secs(60), is_over).await?;
        Ok(server)
    }

    /// Has commits wait for this standby; returns once it has caught up.
    ///
    /// # Errors
    /// When it does not.
    pub async fn wait_for_standby(&self, name: &str) -> Result<(), BenchError> {
        self.tell(&format!("ALTER SYSTEM SET synchronous_standby_names = '{name}'")).await?;
        self.tell("SELECT pg_reload_conf()").await?;
        let is_synchronous = || async {
            let mut connection = PgConnection::connect_with(&self.options("postgres")).await.ok()?;
            let found: Option<String> = sqlx::query_scalar(
                "SELECT application_name FROM pg_stat_replication WHERE sync_state = 'sync'",
            )
            .fetch_optional(&mut connection)
            .await
            .ok()?;
            found.filter(|found| found == name).map(drop)
        };
        wait::until("the standby is synchronous", Duration::from_secs(20), is_synchronous).await
    }

    /// Makes the standby the primary.
    ///
    /// # Errors
    /// When it does not become it.
    pub async fn promote(&self) -> Result<(), BenchError> {
        self.tell("SELECT pg_promote(true, 30)").await
    }

    /// Has the server do something, as its superuser.
    ///
    /// # Errors
    /// When it fails.
    pub async fn tell(&self, sql: &str) -> Result<(), BenchError> {
        let mut connection = PgConnection::connect_with(&self.options("postgres")).await?;
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await?;
        connection.close().await?;
        Ok(())
    }

    /// Kills the server as a crash of it would.
    ///
    /// # Errors
    /// When it does not end.
    pub fn kill(&mut self) -> Result<(), BenchError> {
        self.process.signal("KILL")?;
        self.process.wait(Duration::from_secs(5)).map(drop)
    }

    /// Starts the server again after it was killed, on the same data and port.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn come_back(&mut self) -> Result<(), BenchError> {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            // The lock file stays: by it the new server sees that processes of the old one have not ended yet.
            self.begin_restart()?;
            match self.wait_until_ready(&self.folder.join("data")).await {
                Err(error) if Instant::now() > deadline => return Err(error),
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
                Ok(()) => return Ok(()),
            }
        }
    }
    /// Has all of the server's processes stand still, as a machine that hangs would: its connections stay.
    ///
    /// # Errors
    /// When it is not running.
    pub fn freeze(&self) -> Result<(), BenchError> {
        // The first process stops first, so that no new one is made meanwhile.
        self.process.signal("STOP")?;
        self.signal_children("STOP")
    }

    /// Has them go on.
    ///
    /// # Errors
    /// When it is not running.
    pub fn thaw(&self) -> Result<(), BenchError> {
        self.signal_children("CONT")?;
        self.process.signal("CONT")
    }

    fn signal_children(&self, signal: &str) -> Result<(), BenchError> {
        let pid = self.process.pid();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
        let sent =
            Command::new("kill").arg(format!("-{signal}")).args(children.split_whitespace()).output()?;
        // One may have ended meanwhile.
        drop(sent);
        Ok(())
    }
}
