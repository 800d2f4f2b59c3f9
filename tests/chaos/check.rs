//! The checker: trusts neither the ledger's derived columns nor its code. It reads the clients' journal, the banks' own books
//! and the raw rows, and judges the invariants.

mod answers;
mod books;
mod evidence;
mod leaks;
mod ledger;
mod payments;
mod rows;
pub mod snapshots;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, fmt, path::PathBuf};

use harness::{BenchError, system::Service};
use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};

pub use answers::is_final;
use books::Books;
use evidence::{Journal, Request};
use leaks::{Logs, Resources};
use ledger::Expected;

/// What kind of harm a violation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    /// What a caller was told, or should have been, is not so.
    Lost,
    /// Something was done twice.
    Doubled,
    /// Something does not come to its end.
    Stuck,
    /// Money does not add up.
    WrongTotals,
}

/// A broken invariant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which, by its number in the list of invariants.
    pub invariant: &'static str,
    /// What kind of harm it is.
    pub harm: Harm,
    /// The request that it is about; empty if it is about none.
    pub request_id: String,
    /// What was found.
    pub found: String,
}

impl Violation {
    fn new(invariant: &'static str, harm: Harm, request_id: &str, found: impl Into<String>) -> Self {
        Self { invariant, harm, request_id: request_id.to_owned(), found: found.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { invariant, harm, request_id, found } = self;
        let about = if request_id.is_empty() { "" } else { ", request " };
        write!(f, "{invariant} ({harm:?}{about}{request_id}): {found}")
    }
}

/// What the checker has read so far.
#[derive(Debug)]
pub struct Checker {
    folder: PathBuf,
    database: PgConnectOptions,
    journal: Journal,
    books: Books,
    logs: Logs,
    resources: Resources,
    requests: BTreeMap<String, Request>,
    expected: Expected,
}

impl Checker {
    /// A checker of the run in this folder.
    pub fn new(folder: PathBuf, database: PgConnectOptions) -> Self {
        Self {
            journal: Journal::of(&folder),
            books: Books::of(&folder),
            logs: Logs::of(&folder),
            folder,
            database,
            resources: Resources::default(),
            requests: BTreeMap::new(),
            expected: Expected::default(),
        }
    }

    /// Judges everything that has come to be since the last time, at quiescence: every open end has been read, and every
    /// line of the journal is on disk.
    ///
    /// # Errors
    /// When the evidence can't be read.
    pub async fn judge(&mut self, processes: &[(Service, u32)]) -> Result<Vec<Violation>, BenchError> {
        let touched = self.journal.read_on(&mut self.requests)?;
        let credits = self.books.read_on()?;
        let mut database = PgConnection::connect_with(&self.database).await?;
        let mut snapshot =
            database.begin_with("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
        let rows = rows::payments(&mut snapshot, &touched).await?;
        let events = rows::events(&mut snapshot, &rows).await?;
        let accounts = rows::accounts(&mut snapshot).await?;
        let sums = rows::sums(&mut snapshot).await?;
        let open = rows::open(&mut snapshot).await?;
        snapshot.rollback().await?;
        let mut found = leaks::idle_transactions(&mut database).await?;
        found.extend(self.logs.read_on()?);
        found.extend(self.resources.judge(processes));
        database.close().await?;

        found.extend(payments::unasked(&credits, &self.requests));
        for credit in credits {
            self.expected.credited(&credit, &self.requests);
            if let Some(request) = self.requests.get_mut(&credit.end_to_end_id) {
                request.credits.push(credit);
            }
        }
        let mut by_request = rows::by_request(rows);
        for id in &touched {
            let Some(request) = self.requests.get_mut(id) else { continue };
            let rows = by_request.remove(id).unwrap_or_default();
            found.extend(answers::judge(request, rows.first()));
            found.extend(payments::judge(request, &rows));
            for row in &rows {
                found.extend(payments::history(request, row, events.get(&row.id).map_or(&[], Vec::as_slice)));
            }
            self.expected.settled(request);
            request.fold();
        }
        found.extend(ledger::judge(&accounts, &sums, open));
        found.extend(self.expected.judge(&sums));
        Ok(found)
    }

    /// How many payments were asked for.
    pub fn payments(&self) -> usize {
        self.requests.values().filter(|request| request.is_payment()).count()
    }

    /// All that the evidence says of a request: the journal's lines, the banks' lines and the ledger's rows.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn all_about(&self, request_id: &str) -> Result<Vec<String>, BenchError> {
        let mut lines = evidence::lines_about(&self.folder, request_id)?;
        lines.extend(books::lines_about(&self.folder, request_id)?);
        let mut database = PgConnection::connect_with(&self.database).await?;
        lines.extend(rows::lines_about(&mut database, request_id).await?);
        database.close().await?;
        Ok(lines)
    }
}
