//! The banks that can be instructed: read from a file at start and again on SIGHUP.

pub mod entry;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use common::{bic::Bic, clock::Clock, money::Currency};
use proto::channel::{self as wire, outcome::Verdict};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

use crate::{
    bulkhead::Bulkhead,
    instruction::{Instruction, Message},
    rails::{
        Rail,
        iso20022::{Iso20022, message::Correspondents},
        not_sent,
    },
};
use entry::{BankEntry, RailEntry};

/// All banks that can be instructed, by id.
#[derive(Debug, Default)]
pub struct Directory(BTreeMap<String, Arc<Bank>>);

/// A bank, and the way to it.
#[derive(Debug)]
pub struct Bank {
    entry: BankEntry,
    rail: Rail,
    bulkhead: Bulkhead,
}

impl Directory {
    /// Carries an instruction to its bank and says what is known of the result.
    pub async fn carry(&self, instruction: &Instruction) -> Verdict {
        let Some(bank) = self.0.get(instruction.bank_id()) else {
            return not_sent("BANK_NOT_IN_DIRECTORY", "the directory has no bank with this id");
        };
        if matches!(instruction.message(), Message::ReturnRequest(_)) && !bank.entry.takes_return_requests {
            return not_sent("RETURN_NOT_SUPPORTED", "the bank takes no return requests");
        }
        let Some(_place) = bank.bulkhead.enter() else {
            return not_sent(
                "BANK_BUSY",
                format!("{} instructions are under way to it", bank.entry.limits.max_in_flight),
            );
        };
        bank.rail.carry(instruction).await
    }

    /// What the platform needs to know.
    pub fn to_wire(&self) -> wire::Directory {
        wire::Directory { banks: self.0.values().map(|bank| bank.to_wire()).collect() }
    }
}

impl Bank {
    fn to_wire(&self) -> wire::Bank {
        let (times, limits) = (self.entry.times, self.entry.limits);
        wire::Bank {
            id: self.entry.id.clone(),
            name: self.entry.name.clone(),
            bic: self.entry.bic.to_string(),
            iban_bank_codes: self.entry.iban_bank_codes.clone(),
            currencies: self.entry.currencies.iter().map(Currency::to_string).collect(),
            answer_timeout_ms: times.answer_timeout_ms,
            enquire_after_ms: times.enquire_after_ms,
            valid_for_ms: times.valid_for_ms,
            max_in_flight: limits.max_in_flight,
            max_instructions_per_s: limits.max_instructions_per_s,
            max_enquiries_per_s: limits.max_enquiries_per_s,
            online: true,
            offline_policy: self.entry.offline_policy.into(),
            takes_return_requests: self.entry.takes_return_requests,
            overdue_after_ms: times.overdue_after_ms,
        }
    }
}

/// Where the directory comes from, and what a way to a bank is made with.
#[derive(Debug, Clone)]
pub struct DirectorySource {
    /// The banks file.
    pub file: PathBuf,
    /// The BIC that messages are sent under.
    pub sender: Bic,
    /// Tells when a message was made.
    pub clock: Clock,
}

impl DirectorySource {
    /// Reads the file. A bank whose entry is as it was in `previous` keeps its connections and what is under way to it.
    ///
    /// # Errors
    /// All that is wrong with the file.
    pub fn load(&self, previous: &Directory) -> Result<Directory, Vec<String>> {
        let mut problems = Vec::new();
        let mut banks = BTreeMap::new();
        for entry in entry::read(&self.file)? {
            let unchanged = previous.0.get(&entry.id).filter(|bank| bank.entry == entry).map(Arc::clone);
            match unchanged.map_or_else(|| self.bank(entry).map(Arc::new), Ok) {
                Ok(bank) => drop(banks.insert(bank.entry.id.clone(), bank)),
                Err(problem) => problems.push(problem),
            }
        }
        if problems.is_empty() { Ok(Directory(banks)) } else { Err(problems) }
    }

    fn bank(&self, entry: BankEntry) -> Result<Bank, String> {
        let RailEntry::Iso20022 { address, ca } = &entry.rail;
        let correspondents = Correspondents { sender: self.sender.clone(), bank: entry.bic.clone() };
        let rail = Iso20022::new(
            correspondents,
            address,
            ca.as_deref(),
            entry.times.answer_timeout(),
            self.clock.clone(),
        )
        .map_err(|problem| format!("{}: bank {:?}: ca_file: {problem}", self.file.display(), entry.id))?;
        let bulkhead = Bulkhead::new(usize::try_from(entry.limits.max_in_flight).unwrap_or(usize::MAX));
        Ok(Bank { entry, rail: Rail::Iso20022(Box::new(rail)), bulkhead })
    }

    /// Reads the file again and publishes it; a bad file changes nothing.
    pub fn reload(&self, published: &watch::Sender<Arc<Directory>>) {
        let previous = Arc::clone(&published.borrow());
        match self.load(&previous) {
            Ok(directory) => {
                tracing::info!(banks = directory.0.len(), "directory read again");
                published.send_replace(Arc::new(directory));
            }
            Err(problems) => {
                tracing::error!(problems = problems.join("\n"), "directory not changed: the file is bad");
            }
        }
    }

    /// Reads the file again on every SIGHUP, for as long as this is polled.
    ///
    /// # Errors
    /// When the process can't listen to signals.
    pub async fn reload_on_hangup(&self, published: &watch::Sender<Arc<Directory>>) -> std::io::Result<()> {
        let mut hangups = signal(SignalKind::hangup())?;
        while hangups.recv().await.is_some() {
            self.reload(published);
        }
        std::future::pending().await
    }
}

#[cfg(test)]
pub(crate) mod tests;
