//! pgbench's TPC-B on the same PostgreSQL, in a database of its own: what a well-known transaction costs on this machine.

use std::{env, path::PathBuf, process::Command, time::Duration};

use harness::{
    BenchError,
    postgres::{Postgres, programs},
    process::{KILLED_WITH_PARENT, guarded},
};

/// Its database.
const DATABASE: &str = "tpcb";
/// How many clients it has; it takes no in-flight of ours.
pub const CLIENTS: u32 = 8;
const THREADS: u32 = 2;

/// A database that is ready for it.
#[derive(Clone, Debug)]
pub struct TpcB {
    program: PathBuf,
    url: String,
}

/// What one run came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Run {
    /// Transactions a second.
    pub tps: f64,
    /// Transactions in all.
    pub transactions: u64,
}

impl TpcB {
    /// Makes the database, of 100,000 accounts for each unit of `scale`; none where there is no pgbench.
    ///
    /// # Errors
    /// When pgbench fails.
    pub async fn prepare(postgres: &Postgres, scale: u32) -> Result<Option<Self>, BenchError> {
        let Some(program) = program()? else { return Ok(None) };
        postgres.create_database(DATABASE, None).await?;
        let tpcb = Self { program, url: postgres.url(DATABASE) };
        tpcb.output(&["--initialize", "--quiet", "--scale", &scale.to_string()]).await?;
        Ok(Some(tpcb))
    }

    /// Runs it, in whole seconds, at least one.
    ///
    /// # Errors
    /// When pgbench fails.
    pub async fn run(&self, lasts: Duration) -> Result<Run, BenchError> {
        let (clients, threads) = (CLIENTS.to_string(), THREADS.to_string());
        let seconds = lasts.as_secs().max(1).to_string();
        let said =
            self.output(&["-n", "-M", "prepared", "-c", &clients, "-j", &threads, "-T", &seconds]).await?;
        parse(&said).ok_or_else(|| format!("pgbench says something else than it did: {said}").into())
    }

    async fn output(&self, args: &[&str]) -> Result<String, BenchError> {
        let mut command = Command::new(&self.program);
        // The URL has the password in it, which arguments would show to everyone.
        command.args(args).env("PGDATABASE", &self.url);
        let mut command = guarded(&command, KILLED_WITH_PARENT);
        let output = tokio::task::spawn_blocking(move || command.output()).await??;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            Err(format!("pgbench failed: {}", String::from_utf8_lossy(&output.stderr)).into())
        }
    }
}

/// Beside the server's programs, or on the path.
fn program() -> Result<Option<PathBuf>, BenchError> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(programs()?).chain(env::split_paths(&path));
    Ok(folders.map(|folder| folder.join("pgbench")).find(|program| program.is_file()))
}

fn parse(said: &str) -> Option<Run> {
    let after = |start: &str| said.lines().find_map(|line| line.strip_prefix(start));
    let tps = after("tps = ")?.split(' ').next()?.parse().ok()?;
    let transactions = after("number of transactions actually processed: ")?.split('/').next()?;
    Some(Run { tps, transactions: transactions.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::{Run, parse};

    #[test]
    fn what_pgbench_says_is_read() {
        let said = "pgbench (15.18)\ntransaction type: <builtin: TPC-B (sort of)>\nscaling factor: 50\n\
                    query mode: prepared\nnumber of clients: 8\nnumber of threads: 2\n\
                    maximum number of tries: 1\nduration: 3 s\n\
                    number of transactions actually processed: 12044\nnumber of failed transactions: 0 (0.000%)\n\
                    latency average = 1.990 ms\ninitial connection time = 8.1 ms\n\
                    tps = 4019.104893 (without initial connection time)\n";
        assert_eq!(parse(said), Some(Run { tps: 4_019.104_893, transactions: 12_044 }));
        assert_eq!(parse("pgbench: error"), None);
    }
}
