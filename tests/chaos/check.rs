//! The checker: trusts neither the ledger's derived columns nor its code. It reads the clients' journal, the banks' own books
//! and the raw rows, and judges the invariants.

mod answers;
mod banks;
mod books;
mod evidence;
mod expected;
mod leaks;
mod ledger;
mod life;
mod payments;
mod refusals;
mod rows;
pub mod snapshots;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    path::PathBuf,
};

use common::audit::merkle::Hash;
use harness::{BenchError, data_keys, system::Service};
use platform::audit_check::AuditCheck;
use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};

pub use answers::is_at_rest;
use answers::is_final;
use books::Books;
pub use books::is_done;
use evidence::{Family, Journal, Request};
use expected::Expected;
use leaks::{Logs, Resources};
use life::Scene;
use rows::PaymentRow;

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
    data_key: PathBuf,
    journal: Journal,
    books: Books,
    logs: Logs,
    resources: Resources,
    requests: BTreeMap<String, Request>,
    families: BTreeMap<String, Family>,
    /// The families that have not come to their end.
    open: BTreeSet<String>,
    expected: Expected,
    /// The audit log's size and root as of the last time.
    sealed: Option<(u64, Hash)>,
    census: Vec<(String, i64)>,
}

impl Checker {
    /// A checker of the run in this folder.
    pub fn new(folder: PathBuf, database: PgConnectOptions, data_key: PathBuf) -> Self {
        Self {
            journal: Journal::of(&folder),
            books: Books::of(&folder),
            logs: Logs::of(&folder),
            folder,
            database,
            data_key,
            resources: Resources::default(),
            requests: BTreeMap::new(),
            families: BTreeMap::new(),
            open: BTreeSet::new(),
            expected: Expected::default(),
            sealed: None,
            census: Vec::new(),
        }
    }

    /// Judges everything that has come to be since the last time, at quiescence: every open end has been read, and every
    /// line of the journal is on disk.
    ///
    /// # Errors
    /// When the evidence can't be read.
    pub async fn judge(&mut self, processes: &[(Service, u32)]) -> Result<Vec<Violation>, BenchError> {
        let touched = self.journal.read_on(&mut self.requests)?;
        let news = self.books.read_on()?;
        let mut found = payments::unasked(&news, &self.requests);
        let families = self.touch(&touched, news);
        let mut database = PgConnection::connect_with(&self.database).await?;
        let mut snapshot =
            database.begin_with("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
        let rows = rows::payments(&mut snapshot, &families).await?;
        let events = rows::events(&mut snapshot, &rows).await?;
        let now_us = rows::now_us(&mut snapshot).await?;
        let accounts = rows::accounts(&mut snapshot).await?;
        let sums = rows::sums(&mut snapshot).await?;
        let open = rows::open(&mut snapshot).await?;
        self.census = rows::census(&mut snapshot).await?;
        snapshot.rollback().await?;
        found.extend(leaks::idle_transactions(&mut database).await?);
        found.extend(self.logs.read_on()?);
        found.extend(self.resources.judge(processes).await);
        database.close().await?;

        let mut by_family: HashMap<String, Vec<PaymentRow>> = HashMap::new();
        for row in rows {
            by_family.entry(row.family.clone()).or_default().push(row);
        }
        for id in families {
            let rows = by_family.remove(&id).unwrap_or_default();
            found.extend(self.judge_family(&id, &Scene { rows: &rows, events: &events, now_us }));
        }
        found.extend(ledger::judge(&accounts, &sums, open));
        found.extend(self.expected.judge(&accounts, &sums));
        found.extend(self.judge_audit_log().await?);
        Ok(found)
    }

    /// The audit log is what the ledger makes, and grew out of what it was.
    async fn judge_audit_log(&mut self) -> Result<Vec<Violation>, BenchError> {
        // It reads ahead over as many connections.
        let store = data_keys::unlocked(self.database.clone(), 4, &self.data_key).await?;
        let check = AuditCheck::take(&store, self.sealed, |_| {}).await?;
        self.sealed = store.last_seal().await?.map(|seal| (seal.log.size(), seal.log.root()));
        store.pool().close().await;
        let violation = |difference| Violation::new("I11", Harm::WrongTotals, "", difference);
        Ok(check.differences.into_iter().map(violation).collect())
    }

    /// Puts what is new to where it belongs, and returns the families that are to be judged.
    fn touch(&mut self, touched: &BTreeSet<String>, news: books::News) -> BTreeSet<String> {
        let mut families = std::mem::take(&mut self.open);
        for id in touched {
            let Some(family) = self.requests.get(id).map(|request| request.family().to_owned()) else {
                continue;
            };
            self.families.entry(family.clone()).or_default().members.insert(id.clone());
            families.insert(family);
        }
        for credit in news.credits {
            let Some(family) = self.families.get_mut(&credit.end_to_end_id) else { continue };
            families.insert(credit.end_to_end_id.clone());
            family.credits.push(credit);
        }
        for back in news.returns {
            let Some(family) = self.families.get_mut(&back.end_to_end_id) else { continue };
            families.insert(back.end_to_end_id.clone());
            family.returns.push(back);
        }
        families
    }

    fn judge_family(&mut self, id: &str, scene: &Scene<'_>) -> Vec<Violation> {
        let Some(family) = self.families.get(id) else { return Vec::new() };
        let mut found = Vec::new();
        for member in &family.members {
            let Some(request) = self.requests.get_mut(member) else { continue };
            found.extend(answers::judge(request, scene));
            request.fold();
            found.extend(payments::judge(request, scene.rows));
        }
        for row in scene.rows {
            let events = scene.events.get(&row.id).map_or(&[][..], Vec::as_slice);
            found.extend(payments::at_rest(row));
            found.extend(payments::history(row, events));
            found.extend(banks::alarms(row, events, scene.rows, self.books.words(row.uetr)));
            if row.kind != "RETURN" && !family.members.contains(&row.request_id) {
                let what = format!("nobody asked for this {}", row.kind);
                found.push(Violation::new("I5", Harm::Doubled, &row.request_id, what));
            }
        }
        found.extend(banks::judge(family, scene.rows));
        found.extend(scene.judge());
        self.expected.settle(id, family, &self.requests, scene.rows);
        if scene.rows.iter().any(|row| !is_final(&row.state)) {
            self.open.insert(id.to_owned());
        }
        found
    }

    /// How many payments of each kind came to which state, and how many alarms there were.
    pub fn census(&self) -> &[(String, i64)] {
        &self.census
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
