//! A bank: the way to it, how much may be under way there, and whether it can be reached.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Instant,
};

use common::{money::Currency, tls::Holder};
use proto::channel::{self as wire, outcome::Verdict};
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::sleep,
};

use crate::{
    breaker::{Breaker, MAX_JITTER_PERCENT},
    bulkhead::Bulkhead,
    directory::entry::BankEntry,
    instruction::{Instruction, Message},
    metrics,
    rails::{Carried, Rail, Said, iso20022::jws::Verifier, not_sent},
};

/// What a bank may have under way of what it says unasked; more is told to come back.
pub const MAX_UNASKED: usize = 256;

/// A bank that can be instructed.
#[derive(Debug)]
pub struct Bank {
    entry: BankEntry,
    /// Its id, as metrics show it.
    label: Arc<str>,
    rail: Rail,
    /// Who it is where it speaks unasked, over TLS.
    speaker: Option<Holder>,
    /// By which what it says unasked must be signed.
    verifier: Option<Verifier>,
    /// Its own places for that, so that a bank which says a lot takes none of the others'.
    unasked: Arc<Semaphore>,
    bulkhead: Bulkhead,
    breaker: Mutex<Breaker>,
    /// Told when the bank goes offline or comes back.
    changes: Arc<Notify>,
}

impl Bank {
    /// A bank that is thought to be reachable until its messages show otherwise; `changes` is told when that changes.
    pub fn new(
        entry: BankEntry,
        rail: Rail,
        speaker: Option<Holder>,
        verifier: Option<Verifier>,
        changes: Arc<Notify>,
    ) -> Self {
        let bulkhead = Bulkhead::new(usize::try_from(entry.limits.max_in_flight).unwrap_or(usize::MAX));
        Self {
            label: Arc::from(entry.id.as_str()),
            entry,
            rail,
            speaker,
            verifier,
            unasked: Arc::new(Semaphore::new(MAX_UNASKED)),
            bulkhead,
            breaker: Mutex::new(Breaker::new(Instant::now())),
            changes,
        }
    }

    /// As the directory describes it.
    pub fn entry(&self) -> &BankEntry {
        &self.entry
    }

    /// Its id, as metrics show it.
    pub fn label(&self) -> &Arc<str> {
        &self.label
    }

    /// What is under way to it.
    pub fn bulkhead(&self) -> &Bulkhead {
        &self.bulkhead
    }

    /// Whether it can be reached, as far as its messages show.
    pub fn is_online(&self) -> bool {
        self.breaker().is_closed()
    }

    /// Who it is where it speaks unasked, over TLS; none if it may not.
    pub fn speaker(&self) -> Option<&Holder> {
        self.speaker.as_ref()
    }

    /// By which what it says unasked must be signed; none if it need not be.
    pub fn verifier(&self) -> Option<&Verifier> {
        self.verifier.as_ref()
    }

    /// A place for something that it says unasked; none while all of them are taken.
    pub fn listen(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.unasked).try_acquire_owned().ok()
    }

    /// The way to it.
    pub fn rail(&self) -> &Rail {
        &self.rail
    }

    /// Carries an instruction and says what is known of the result.
    pub async fn carry(self: &Arc<Self>, instruction: &Instruction) -> Said {
        let said = self.admit_and_carry(instruction).await.unwrap_or_else(Said::from);
        metrics::carried(&self.label, instruction.message().name(), &said.verdict);
        said
    }

    /// Writes the message that carries an instruction, and sends nothing.
    pub fn compose(&self, instruction: &Instruction) -> String {
        self.rail.compose(instruction)
    }

    /// Carries an instruction, or says why it was not even begun.
    async fn admit_and_carry(self: &Arc<Self>, instruction: &Instruction) -> Result<Said, Verdict> {
        if matches!(instruction.message(), Message::ReturnRequest(_)) && !self.entry.takes_return_requests {
            return Err(not_sent("RETURN_NOT_SUPPORTED", "the bank takes no return requests"));
        }
        let Some(epoch) = self.breaker().enter() else {
            return Err(not_sent("BANK_OFFLINE", "the bank did not answer lately and is being probed"));
        };
        let Some(_place) = self.bulkhead.enter(instruction) else {
            return Err(not_sent("BANK_BUSY", "as much is under way to it as its directory entry allows"));
        };
        let began = Instant::now();
        let Carried { verdict, contact, bank_message } = self.rail.carry(instruction).await;
        metrics::asked(&self.label, instruction.message().name(), began.elapsed());
        if self.breaker().learn(epoch, contact, Instant::now()) {
            tracing::warn!(bank = self.entry.id, "offline: too many failures; probing until it answers");
            self.changes.notify_one();
            tokio::spawn(probe(Arc::downgrade(self)));
        }
        Ok(Said { verdict, bank_message })
    }

    /// What the platform needs to know.
    pub fn to_wire(&self) -> wire::Bank {
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
            online: self.is_online(),
            offline_policy: self.entry.offline_policy.into(),
            takes_return_requests: self.entry.takes_return_requests,
            overdue_after_ms: times.overdue_after_ms,
            is_encrypted: self.entry.rail.is_encrypted(),
        }
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Probes a bank that is offline until it is back, or gone from the directory.
async fn probe(bank: Weak<Bank>) {
    loop {
        let Some(pause) = bank.upgrade().map(|bank| {
            let jitter_percent = rand::random_range(0..=MAX_JITTER_PERCENT);
            bank.breaker().probe_pause(jitter_percent)
        }) else {
            return;
        };
        sleep(pause).await;
        let Some(bank) = bank.upgrade() else { return };
        let contact = bank.rail.probe().await;
        tracing::debug!(bank = bank.entry.id, ?contact, "probed");
        if bank.breaker().learn_from_probe(contact) {
            tracing::info!(bank = bank.entry.id, "online again");
            bank.changes.notify_one();
            return;
        }
    }
}

#[cfg(test)]
mod tests;
