//! The clients' journal as evidence: what was asked under each request id, and what was heard.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs::File,
    io::{BufRead, BufReader, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use harness::BenchError;

use super::books::{Credit, Return};
use crate::journal::{self, Heard, Intent, Line, Method, Seen, What};

/// A call and what was heard.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// Its number.
    pub number: u64,
    /// What was asked.
    pub intent: Intent,
    /// When it was on disk that it would be asked, in microseconds of the run.
    pub from_us: u64,
    /// What was heard, and when; nothing if the bench was ended before.
    pub heard: Option<(u64, Heard)>,
}

/// All that is known of one request id.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request {
    /// The request id.
    pub id: String,
    /// The calls that were not judged yet.
    pub calls: Vec<Call>,
    /// What was asked under the id, by content.
    pub asked: BTreeMap<String, Intent>,
    /// What judged calls have shown: the newest sight of the payment.
    pub known: Option<Seen>,
    /// Whether somebody was told that it is cancelled.
    pub is_cancelled: bool,
    /// Whether somebody was told that it is booked, if it is a deposit.
    pub is_booked: bool,
}

/// A payment and whatever belongs to it: its captures, and the refunds and returns of both.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Family {
    /// The request ids of them all.
    pub members: BTreeSet<String>,
    /// What banks executed of it.
    pub credits: Vec<Credit>,
    /// What banks gave back of it.
    pub returns: Vec<Return>,
}

impl Request {
    /// Whether it asked for a payment, capture or refund.
    pub fn is_payment(&self) -> bool {
        self.asked.values().any(|intent| intent.method != Method::Deposit)
    }

    /// What was asked first, by content: contents of one id differ in their amounts only.
    pub fn first_asked(&self) -> Option<&Intent> {
        self.asked.values().next()
    }

    /// The request id of the payment that it goes back to.
    pub fn family(&self) -> &str {
        self.first_asked().map_or(&self.id, |intent| &intent.family)
    }

    /// Every sight of the payment, judged calls' newest first.
    pub fn sights(&self) -> impl Iterator<Item = &Seen> {
        let heard = self.calls.iter().filter_map(|call| call.heard.as_ref()?.1.payment.as_ref());
        self.known.iter().chain(heard)
    }

    /// Keeps of the judged calls what later ones are judged by.
    pub fn fold(&mut self) {
        let was_told = |method| {
            let told = |call: &Call| call.heard.as_ref().is_some_and(|(_, heard)| heard.code == "Ok");
            self.calls.iter().any(|call| call.intent.method == method && told(call))
        };
        self.is_cancelled |= was_told(Method::Cancel);
        self.is_booked |= was_told(Method::Deposit);
        self.known = self.sights().max_by_key(|seen| seen.sequence).cloned();
        self.calls.clear();
    }
}

/// The journal's file, as far as it was read.
#[derive(Debug)]
pub struct Journal {
    file: PathBuf,
    read_bytes: u64,
    /// Which request a call is about, until its answer is read.
    open_calls: HashMap<u64, String>,
}

impl Journal {
    /// The journal of the run in this folder.
    pub fn of(folder: &Path) -> Self {
        Self { file: folder.join(journal::FILE), read_bytes: 0, open_calls: HashMap::new() }
    }

    /// Reads what is new into `requests`, and returns the ids of those that it is about.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn read_on(
        &mut self,
        requests: &mut BTreeMap<String, Request>,
    ) -> Result<BTreeSet<String>, BenchError> {
        let mut touched = BTreeSet::new();
        for line in whole_lines(&self.file, &mut self.read_bytes)? {
            let line: Line = serde_json::from_str(&line)?;
            let Some(id) = self.take(line, requests) else { continue };
            touched.insert(id);
        }
        Ok(touched)
    }

    fn take(&mut self, line: Line, requests: &mut BTreeMap<String, Request>) -> Option<String> {
        match line.what {
            What::Intent(intent) => {
                let id = intent.request_id.clone();
                self.open_calls.insert(line.call, id.clone());
                let request = requests.entry(id.clone()).or_default();
                request.id.clone_from(&id);
                if intent.method.makes() {
                    request.asked.insert(intent.content.clone(), intent.clone());
                }
                request.calls.push(Call { number: line.call, intent, from_us: line.at_us, heard: None });
                Some(id)
            }
            What::Heard(heard) => {
                let id = self.open_calls.remove(&line.call)?;
                let calls = &mut requests.get_mut(&id)?.calls;
                let call = calls.iter_mut().find(|call| call.number == line.call)?;
                call.heard = Some((line.at_us, heard));
                Some(id)
            }
        }
    }
}

/// The lines that were written whole since `read_bytes`, which is moved on.
pub(super) fn whole_lines(file: &Path, read_bytes: &mut u64) -> Result<Vec<String>, BenchError> {
    let mut file = File::open(file).map_err(|error| format!("{}: {error}", file.display()))?;
    file.seek(SeekFrom::Start(*read_bytes))?;
    let mut reader = BufReader::new(file);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        let length = reader.read_line(&mut line)?;
        if !line.ends_with('\n') {
            return Ok(lines);
        }
        *read_bytes += u64::try_from(length)?;
        lines.push(line);
    }
}

/// The journal's lines about a request.
///
/// # Errors
/// When the file can't be read.
pub fn lines_about(folder: &Path, request_id: &str) -> Result<Vec<String>, BenchError> {
    let mut requests = BTreeMap::new();
    Journal::of(folder).read_on(&mut requests)?;
    let family = requests.get(request_id).map(|request| request.family().to_owned());
    let relatives = requests.into_values().filter(|request| Some(request.family()) == family.as_deref());
    let mut lines: Vec<(u64, String)> = Vec::new();
    for (id, call) in relatives.flat_map(|request| {
        let id = request.id;
        request.calls.into_iter().map(move |call| (id.clone(), call))
    }) {
        let Intent { method, original, original_seen, amount, currency, manner, .. } = &call.intent;
        let number = call.number;
        let what =
            format!("call {number}: {id} {method:?} {original} {original_seen} {amount} {currency} {manner}");
        lines.push((call.from_us, what));
        if let Some((at, heard)) = call.heard {
            let Heard { code, reason, payment, .. } = heard;
            let payment = payment.unwrap_or_default();
            let Seen { id, state, sequence, bytes, .. } = payment;
            lines.push((at, format!("call {number}: heard {code} {reason} {id} {state} {sequence} {bytes}")));
        }
    }
    lines.sort();
    Ok(lines.into_iter().map(|(at_us, line)| format!("journal {:>12} µs  {line}", at_us)).collect())
}
