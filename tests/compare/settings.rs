//! The machine and the settings that decide the figures.

use std::{collections::BTreeMap, fs, thread};

use harness::BenchError;
use serde::Serialize;
use sqlx::PgPool;

use crate::{rounds::Pace, tpcb};

/// What PostgreSQL is asked for: what makes a commit durable, and what decides how fast it is.
const DATABASE_SETTINGS: [&str; 8] = [
    "fsync",
    "synchronous_commit",
    "full_page_writes",
    "wal_sync_method",
    "shared_buffers",
    "max_wal_size",
    "checkpoint_timeout",
    "autovacuum",
];

/// Where and how it was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Settings {
    /// Cores that this process may use; everyone shares them.
    pub cores: usize,
    /// The processor, by its own name.
    pub cpu: String,
    /// The machine's memory, in GiB.
    pub memory_gib: f64,
    /// The kernel's release.
    pub kernel: String,
    /// PostgreSQL's version.
    pub postgresql: String,
    /// Its settings, by their names.
    pub database: BTreeMap<&'static str, String>,
    /// Whether calls are encrypted.
    pub tls: bool,
    /// What is logged and traced.
    pub telemetry: &'static str,
    /// Rounds; fewer for the numbers in flight beside that of record.
    pub rounds: usize,
    /// How long each phase is measured, in seconds.
    pub seconds: u64,
    /// Calls in flight, the number of record first.
    pub in_flight: Vec<usize>,
    /// What stands for TPC-B; empty if there was no pgbench.
    pub tpcb: String,
    /// Whether it was built with optimisation.
    pub is_release_build: bool,
}

impl Settings {
    /// Asks the machine and PostgreSQL; `scale` is TPC-B's, none if it is not measured.
    ///
    /// # Errors
    /// When PostgreSQL does not answer.
    pub async fn read(pace: &Pace, scale: Option<u32>, database: &PgPool) -> Result<Self, BenchError> {
        let mut settings = BTreeMap::new();
        for name in DATABASE_SETTINGS {
            let value =
                sqlx::query_scalar("SELECT current_setting($1)").bind(name).fetch_one(database).await?;
            settings.insert(name, value);
        }
        let version =
            sqlx::query_scalar("SELECT current_setting('server_version')").fetch_one(database).await?;
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let tpcb =
            |scale| format!("pgbench TPC-B, scale {scale}, {} clients, prepared statements", tpcb::CLIENTS);
        Ok(Self {
            cores: thread::available_parallelism().map_or(1, usize::from),
            cpu: field(&read("/proc/cpuinfo"), "model name").unwrap_or_else(|| "unknown".to_owned()),
            memory_gib: memory_gib(&read("/proc/meminfo")),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            postgresql: version,
            database: settings,
            tls: false,
            telemetry: "default: one line a payment and service, no traces exported",
            rounds: pace.rounds,
            seconds: pace.lasts.as_secs(),
            in_flight: pace.in_flight.clone(),
            tpcb: scale.map(tpcb).unwrap_or_default(),
            is_release_build: !cfg!(debug_assertions),
        })
    }

    /// One line for each, for people.
    pub fn lines(&self) -> Vec<String> {
        let database: Vec<String> =
            self.database.iter().map(|(name, value)| format!("{name} {value}")).collect();
        let in_flight: Vec<String> = self.in_flight.iter().map(usize::to_string).collect();
        let mut lines = vec![
            format!(
                "{} cores of {}, {:.0} GiB, Linux {}",
                self.cores, self.cpu, self.memory_gib, self.kernel
            ),
            format!("PostgreSQL {}: {}", self.postgresql, database.join(", ")),
            format!("TLS {}; telemetry {}", if self.tls { "on" } else { "off" }, self.telemetry),
            format!(
                "{} rounds of {} s each, {} in flight; everyone shares the cores, the load included",
                self.rounds,
                self.seconds,
                in_flight.join(", ")
            ),
        ];
        if self.tpcb.is_empty() {
            lines.push("TPC-B left out: no pgbench (Debian has it in its package postgresql)".to_owned());
        } else {
            lines.push(self.tpcb.clone());
        }
        if !self.is_release_build {
            lines.push("a debug build: the figures mean nothing".to_owned());
        }
        lines
    }
}

fn memory_gib(meminfo: &str) -> f64 {
    let kib = field(meminfo, "MemTotal").and_then(|value| value.trim_end_matches(" kB").parse::<f64>().ok());
    kib.unwrap_or_default() / 1_048_576.0
}

/// The value of the first line with this name before a colon.
fn field(text: &str, name: &str) -> Option<String> {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix(':'));
    value.map(|value| value.trim().to_owned())
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;

    use super::{Settings, field, memory_gib};

    /// Those of some machine.
    pub(crate) fn some() -> Settings {
        Settings {
            cores: 2,
            cpu: "AMD EPYC".to_owned(),
            memory_gib: 24.0,
            kernel: "6.1".to_owned(),
            postgresql: "15.18".to_owned(),
            database: BTreeMap::from([("fsync", "on".to_owned())]),
            tls: false,
            telemetry: "default",
            rounds: 2,
            seconds: 1,
            in_flight: vec![256, 1_024],
            tpcb: String::new(),
            is_release_build: true,
        }
    }

    #[test]
    fn the_machine_says_what_it_is() {
        let cpuinfo = "processor\t: 0\nmodel\t\t: 1\nmodel name\t: AMD EPYC 7B13\nmodel name\t: other\n";
        assert_eq!(field(cpuinfo, "model name").as_deref(), Some("AMD EPYC 7B13"));
        assert_eq!(field(cpuinfo, "flags"), None);
        let lines = some().lines().join("\n");
        assert!(
            lines.contains("fsync on") && lines.contains("no pgbench") && !lines.contains("debug"),
            "{lines}"
        );
        assert_eq!(memory_gib("MemTotal:       25165824 kB\nMemFree: 1 kB\n"), 24.0);
    }
}
