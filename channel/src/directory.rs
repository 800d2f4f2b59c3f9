//! The banks that can be instructed: read from a file at start and again on SIGHUP.

pub mod entry;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use common::{bic::Bic, clock::Clock, tls::Holder};
use proto::channel as wire;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{Notify, watch},
};

use crate::{
    bank::Bank,
    instruction::Instruction,
    rails::{
        Rail, Said,
        iso20022::{Iso20022, jws::Verifier, message::Correspondents},
        not_sent,
    },
};
use entry::{BankEntry, RailEntry};

/// All banks that can be instructed, by id.
#[derive(Debug, Default)]
pub struct Directory(BTreeMap<String, Arc<Bank>>);

impl Directory {
    /// Carries an instruction to its bank and says what is known of the result.
    pub async fn carry(&self, instruction: &Instruction) -> Said {
        match self.0.get(instruction.bank_id()) {
            Some(bank) => bank.carry(instruction).await,
            None => not_sent("BANK_NOT_IN_DIRECTORY", "the directory has no bank with this id").into(),
        }
    }

    /// The bank with this id.
    pub fn bank(&self, bank_id: &str) -> Option<Arc<Bank>> {
        self.0.get(bank_id).map(Arc::clone)
    }

    /// Every bank.
    pub fn banks(&self) -> impl Iterator<Item = &Bank> {
        self.0.values().map(AsRef::as_ref)
    }

    /// What the platform needs to know.
    pub fn to_wire(&self) -> wire::Directory {
        wire::Directory {
            banks: self.0.values().map(|bank| bank.to_wire()).collect(),
            channel_version: env!("CARGO_PKG_VERSION").to_owned(),
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
    /// Told by the banks when one goes offline or comes back.
    pub changes: Arc<Notify>,
}

impl DirectorySource {
    /// Reads the file. A bank whose entry is as it was in `previous` keeps its connections, what is under way to it, and
    /// what is known of whether it can be reached.
    ///
    /// # Errors
    /// All that is wrong with the file.
    pub fn load(&self, previous: &Directory) -> Result<Directory, Vec<String>> {
        let mut problems = Vec::new();
        let mut banks = BTreeMap::new();
        for entry in entry::read(&self.file)? {
            let unchanged = previous.0.get(&entry.id).filter(|bank| *bank.entry() == entry).map(Arc::clone);
            match unchanged.map_or_else(|| self.bank(entry).map(Arc::new), Ok) {
                Ok(bank) => drop(banks.insert(bank.entry().id.clone(), bank)),
                Err(problem) => problems.push(problem),
            }
        }
        if problems.is_empty() { Ok(Directory(banks)) } else { Err(problems) }
    }

    fn bank(&self, entry: BankEntry) -> Result<Bank, String> {
        let RailEntry::Iso20022(access) = &entry.rail;
        let correspondents = Correspondents { sender: self.sender.clone(), bank: entry.bic.clone() };
        let complain = |problem| format!("{}: bank {:?}: {problem}", self.file.display(), entry.id);
        let rail = Iso20022::new(correspondents, access, entry.times.answer_timeout(), self.clock.clone());
        let speaker = access.trust.notices.clone().map(|(ca, name)| Holder::new(ca, name));
        let verifier = access.trust.verify_keys.clone().map(Verifier::new).transpose().map_err(complain)?;
        let (rail, speaker) = (rail.map_err(complain)?, speaker.transpose().map_err(complain)?);
        let (rail, changes) = (Rail::Iso20022(Box::new(rail)), Arc::clone(&self.changes));
        Ok(Bank::new(entry, rail, speaker, verifier, changes))
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

    /// For as long as this is polled: reads the file again on every SIGHUP, and publishes the directory again whenever a
    /// bank goes offline or comes back.
    ///
    /// # Errors
    /// When the process can't listen to signals.
    pub async fn keep_published(&self, published: &watch::Sender<Arc<Directory>>) -> std::io::Result<()> {
        let mut hangups = signal(SignalKind::hangup())?;
        loop {
            tokio::select! {
                Some(()) = hangups.recv() => self.reload(published),
                () = self.changes.notified() => published.send_modify(|_| {}),
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
