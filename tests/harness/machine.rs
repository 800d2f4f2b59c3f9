//! The machine, its PostgreSQL and the build: what decides the figures that are measured.

#![expect(clippy::float_arithmetic, reason = "a measure of memory, no money")]

use std::{collections::BTreeMap, fs, thread};

use serde::Serialize;
use sqlx::PgPool;

use crate::BenchError;

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

/// Where it was measured.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Machine {
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
    /// Whether it was built with optimisation.
    pub is_release_build: bool,
}

impl Machine {
    /// Asks the machine and PostgreSQL.
    ///
    /// # Errors
    /// When PostgreSQL does not answer.
    pub async fn read(database: &PgPool) -> Result<Self, BenchError> {
        let mut settings = BTreeMap::new();
        for name in DATABASE_SETTINGS {
            let value =
                sqlx::query_scalar("SELECT current_setting($1)").bind(name).fetch_one(database).await?;
            settings.insert(name, value);
        }
        let version =
            sqlx::query_scalar("SELECT current_setting('server_version')").fetch_one(database).await?;
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        Ok(Self {
            cores: thread::available_parallelism().map_or(1, usize::from),
            cpu: field(&read("/proc/cpuinfo"), "model name").unwrap_or_else(|| "unknown".to_owned()),
            memory_gib: memory_gib(&read("/proc/meminfo")),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            postgresql: version,
            database: settings,
            is_release_build: !cfg!(debug_assertions),
        })
    }

    /// A few lines, for people.
    pub fn lines(&self) -> Vec<String> {
        let database: Vec<String> =
            self.database.iter().map(|(name, value)| format!("{name} {value}")).collect();
        let Self { cores, cpu, memory_gib, kernel, postgresql, .. } = self;
        let mut lines = vec![
            format!("{cores} cores of {cpu}, {memory_gib:.0} GiB, Linux {kernel}"),
            format!("PostgreSQL {postgresql}: {}", database.join(", ")),
        ];
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
mod tests {
    use std::collections::BTreeMap;

    use super::{Machine, field, memory_gib};

    #[test]
    fn the_machine_says_what_it_is() {
        let cpuinfo = "processor\t: 0\nmodel\t\t: 1\nmodel name\t: AMD EPYC 7B13\nmodel name\t: other\n";
        assert_eq!(field(cpuinfo, "model name").as_deref(), Some("AMD EPYC 7B13"));
        assert_eq!(field(cpuinfo, "flags"), None);
        assert_eq!(memory_gib("MemTotal:       25165824 kB\nMemFree: 1 kB\n"), 24.0);
    }

    #[test]
    fn a_debug_build_warns() {
        let database = BTreeMap::from([("fsync", "on".to_owned())]);
        let machine = Machine { cores: 2, database, is_release_build: true, ..Machine::default() };
        let lines = machine.lines().join("\n");
        assert!(
            lines.contains("2 cores") && lines.contains("fsync on") && !lines.contains("debug"),
            "{lines}"
        );
        let debug = Machine { is_release_build: false, ..machine };
        assert!(debug.lines().join("\n").contains("a debug build"));
    }
}
