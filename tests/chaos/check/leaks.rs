//! What must not be left behind: open transactions (I15) and defects in the logs (I18).

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use harness::{BenchError, system::Service};
use sqlx::PgConnection;

use super::{
    Harm::{Lost, Stuck},
    Violation,
    evidence::whole_lines,
};

/// What was found of sessions that stand in a transaction although nobody works in it.
pub async fn idle_transactions(connection: &mut PgConnection) -> Result<Vec<Violation>, BenchError> {
    let sql = "SELECT format('%s: in a transaction since %s, last did: %s', application_name, xact_start, left(query, 80)) \
               FROM pg_stat_activity WHERE state LIKE 'idle in transaction%' AND state_change < clock_timestamp() - interval '5 s'";
    let idle: Vec<String> = sqlx::query_scalar(sql).fetch_all(connection).await?;
    Ok(idle.into_iter().map(|session| Violation::new("I15", Stuck, "", session)).collect())
}

/// The services' logs, as far as they were read.
#[derive(Debug)]
pub struct Logs(Vec<(Service, PathBuf, u64)>);

impl Logs {
    /// The logs of the run in this folder.
    pub fn of(folder: &Path) -> Self {
        let file = |service: Service| folder.join(format!("{}.log", service.name()));
        Self(Service::ALL.into_iter().map(|service| (service, file(service), 0)).collect())
    }

    /// The defects that were logged since the last time.
    pub fn read_on(&mut self) -> Result<Vec<Violation>, BenchError> {
        let mut found = Vec::new();
        for (service, file, read_bytes) in &mut self.0 {
            let lines = whole_lines(file, read_bytes)?;
            let defects = lines.iter().filter(|line| is_defect(line)).take(3);
            found.extend(defects.map(|line| {
                Violation::new("I18", Lost, "", format!("{}: {}", service.name(), line.trim_end()))
            }));
        }
        Ok(found)
    }
}

/// Alarms that banks give rise to. The checker judges them by their rows.
const BANKS_ALARMS: [&str; 5] =
    ["CONTRADICTION", "LATE_SUCCESS", "NOTICE_MISMATCH", "PAYMENT_PARKED", "RETURN_REFUSED"];

/// Whether the line tells of a defect of ours; that the database is gone, as sqlx says it, is none.
fn is_defect(line: &str) -> bool {
    let is_ours = !line.contains("\"target\":\"sqlx");
    let is_banks = line.contains("ALARM") && BANKS_ALARMS.iter().any(|kind| line.contains(kind));
    let is_bad = line.contains("ALARM") || (line.contains("\"ERROR\"") && is_ours);
    line.contains("panicked") || (is_bad && !is_banks)
}

/// What a process may hold more than at its first quiescence: open files, and KiB of memory.
const MORE_FILES: u64 = 48;
const MORE_KIB: u64 = 192 << 10;

/// What each process held at its first quiescence.
#[derive(Debug, Default)]
pub struct Resources(HashMap<u32, Holds>);

/// What a process holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holds {
    /// Open files, sockets among them.
    pub files: u64,
    /// Resident memory, in KiB.
    pub resident_kib: u64,
}

impl Holds {
    /// What the process holds now; none if it has just ended.
    fn now(pid: u32) -> Option<Self> {
        let process = Path::new("/proc").join(pid.to_string());
        let files = fs::read_dir(process.join("fd")).ok()?.count();
        let status = fs::read_to_string(process.join("status")).ok()?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let resident_kib = resident.split_whitespace().next()?.parse().ok()?;
        Some(Self { files: u64::try_from(files).ok()?, resident_kib })
    }
}

/// After this time connections that nobody uses are closed: the channel keeps them for 4 s.
const UNUSED_ARE_CLOSED_AFTER: Duration = Duration::from_secs(6);

impl Resources {
    /// Judges what these processes hold, at quiescence, and once more when what is only kept for a while must be gone.
    pub async fn judge(&mut self, processes: &[(Service, u32)]) -> Vec<Violation> {
        if !self.look(processes).is_empty() {
            tokio::time::sleep(UNUSED_ARE_CLOSED_AFTER).await;
        }
        self.look(processes)
    }

    fn look(&mut self, processes: &[(Service, u32)]) -> Vec<Violation> {
        let held = processes.iter().filter_map(|(service, pid)| Some((*service, *pid, Holds::now(*pid)?)));
        held.filter_map(|(service, pid, now)| self.grown(service, pid, now)).collect()
    }

    fn grown(&mut self, service: Service, pid: u32, now: Holds) -> Option<Violation> {
        let first = *self.0.entry(pid).or_insert(now);
        let is_grown =
            now.files > first.files + MORE_FILES || now.resident_kib > first.resident_kib + MORE_KIB;
        let what = || format!("{} held {first:?} at its first quiescence, and now {now:?}", service.name());
        is_grown.then(|| Violation::new("I15", Stuck, "", what()))
    }
}

#[cfg(test)]
mod tests {
    use harness::system::Service;

    use super::{Holds, Resources, is_defect};

    #[test]
    fn what_grows_is_found() {
        let mut resources = Resources::default();
        let mut judge =
            |files, resident_kib| resources.grown(Service::Platform, 1, Holds { files, resident_kib });
        assert_eq!(judge(20, 50_000), None);
        assert_eq!(judge(60, 90_000), None);
        assert!(judge(90, 50_000).is_some(), "files");
        assert!(judge(20, 500_000).is_some(), "memory");
        assert!(Holds::now(std::process::id()).is_some_and(|own| own.files > 2 && own.resident_kib > 100));
    }

    #[test]
    fn defects_are_told_from_a_database_that_is_gone() {
        assert!(is_defect("thread 'main' panicked at src/main.rs"));
        assert!(is_defect(r#"{"level":"ERROR","target":"platform::flow"}"#));
        assert!(!is_defect(r#"{"level":"ERROR","target":"sqlx_postgres::connection"}"#));
        assert!(!is_defect(r#"{"level":"WARN","target":"platform::flow"}"#));
        assert!(is_defect(r#"{"level":"ERROR","message":"ALARM","kind":"PAYMENT_OVERDUE"}"#));
        assert!(!is_defect(r#"{"level":"ERROR","message":"ALARM","kind":"LATE_SUCCESS"}"#));
    }
}
