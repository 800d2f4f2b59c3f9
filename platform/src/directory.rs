//! The banks that can be instructed, as the channel last said, each with the house's accounts and its gate.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, SystemTime},
};

use common::{
    clock::Clock,
    id::AccountId,
    money::Currency,
    order::{BankKey, Payee, PayeeAccount},
};
use proto::channel;

use crate::{
    domain::ledger::{BankRoute, NoRoute},
    gate::{Admission, Gate, Limits, Place, waits},
    store::{Store, StoreError},
};

/// How long a first sender may go on trying to reach a bank that cannot be reached.
pub const SEND_WINDOW: Duration = Duration::from_secs(2);
/// What a lease has beyond the bank's time, for the answer to be recorded.
pub const LEASE_MARGIN: Duration = Duration::from_secs(2);

/// The banks that can be instructed. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Directory(Arc<RwLock<Option<Arc<Banks>>>>);

/// One version of the directory.
#[derive(Debug, Default)]
struct Banks {
    by_id: BTreeMap<String, Arc<Bank>>,
    id_by_bic: HashMap<String, String>,
    id_by_bank_code: HashMap<String, String>,
    channel_version: String,
}

/// A bank, as far as the platform needs to know it.
#[derive(Debug)]
pub struct Bank {
    /// Its id.
    pub id: String,
    /// How long after its acceptance it may first be asked what became of a payment.
    pub enquire_after: Duration,
    /// How long after its acceptance it takes a payment.
    pub valid_for: Duration,
    /// How long after a payment came to be its end is overdue.
    pub overdue_after: Duration,
    /// Whether it can be reached, as far as the channel knows.
    pub online: bool,
    /// Since when this platform knows it to be so.
    pub online_changed_at: SystemTime,
    /// Whether payments wait for it while it cannot be reached.
    pub waits: bool,
    /// Whether it takes return requests.
    pub takes_returns: bool,
    /// Whether messages to it travel over TLS.
    pub is_encrypted: bool,
    /// What it may get.
    pub gate: Arc<Gate>,
    settlement_accounts: BTreeMap<Currency, AccountId>,
    suspense_accounts: BTreeMap<Currency, AccountId>,
    answer_timeout: Duration,
}

/// Where a payment would go, and the place at its bank if it may go at once.
pub type Admitted = (Result<BankRoute, NoRoute>, Option<Place>);

impl Directory {
    /// Takes what the channel said, after opening the house's accounts that are new.
    ///
    /// # Errors
    /// When the database fails; the directory stays as it was.
    pub async fn update(
        &self,
        wire: channel::Directory,
        store: &Store,
        clock: &Clock,
    ) -> Result<(), StoreError> {
        let mut banks = Banks { channel_version: wire.channel_version, ..Banks::default() };
        for wire in wire.banks {
            let bank = Arc::new(self.bank(&wire, store, clock).await?);
            banks.id_by_bic.insert(wire.bic, wire.id.clone());
            banks
                .id_by_bank_code
                .extend(wire.iban_bank_codes.into_iter().map(|code| (code, wire.id.clone())));
            banks.by_id.insert(wire.id, bank);
        }
        let offline = banks.by_id.values().filter(|bank| !bank.online).count();
        tracing::info!(banks = banks.by_id.len(), offline, "directory taken over");
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(banks));
        Ok(())
    }

    async fn bank(&self, wire: &channel::Bank, store: &Store, clock: &Clock) -> Result<Bank, StoreError> {
        let known = self.bank_by_id(&wire.id);
        let mut accounts = [BTreeMap::new(), BTreeMap::new()];
        for currency in wire.currencies.iter().filter_map(|code| Currency::parse(code)) {
            for (accounts, is_suspense) in accounts.iter_mut().zip([false, true]) {
                let earlier = known.as_ref().and_then(|bank| bank.house_account(currency, is_suspense));
                let account = match earlier {
                    Some(account) => account,
                    None => {
                        let (id, named) = (AccountId::new(clock), (wire.id.as_str(), wire.name.as_str()));
                        store.house_account(id, named, currency, is_suspense, clock.now()).await?
                    }
                };
                accounts.insert(currency, account);
            }
        }
        let [settlement_accounts, suspense_accounts] = accounts;
        let limits = Limits::of(wire);
        let gate = known.as_ref().map(|bank| Arc::clone(&bank.gate)).filter(|gate| gate.limits() == limits);
        let unchanged = known.as_ref().filter(|bank| bank.online == wire.online);
        let online_changed_at = unchanged.map_or_else(|| clock.now(), |bank| bank.online_changed_at);
        let millis = |millis: u32| Duration::from_millis(millis.into());
        Ok(Bank {
            id: wire.id.clone(),
            enquire_after: millis(wire.enquire_after_ms),
            valid_for: millis(wire.valid_for_ms),
            overdue_after: millis(wire.overdue_after_ms),
            online: wire.online,
            online_changed_at,
            waits: waits(wire),
            takes_returns: wire.takes_return_requests,
            is_encrypted: wire.is_encrypted,
            gate: gate.unwrap_or_else(|| Arc::new(Gate::new(limits))),
            settlement_accounts,
            suspense_accounts,
            answer_timeout: millis(wire.answer_timeout_ms),
        })
    }

    fn banks(&self) -> Option<Arc<Banks>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Every bank.
    pub fn all(&self) -> Vec<Arc<Bank>> {
        self.banks().map(|banks| banks.by_id.values().cloned().collect()).unwrap_or_default()
    }

    /// The version of the channel that said so; empty until one did.
    pub fn channel_version(&self) -> String {
        self.banks().map(|banks| banks.channel_version.clone()).unwrap_or_default()
    }

    /// A bank, by its id.
    pub fn bank_by_id(&self, id: &str) -> Option<Arc<Bank>> {
        self.banks()?.by_id.get(id).cloned()
    }

    /// Which bank to instruct for a payee, in a currency, and whether it takes a payment now.
    pub fn admit(&self, payee: &Payee, currency: Currency, channel_is_open: bool) -> Admitted {
        match self.bank_of(payee) {
            Ok(bank) => bank.admit(currency, channel_is_open),
            Err(none) => (Err(none), None),
        }
    }

    /// Whether a bank, by its id, takes an instruction in a currency now.
    pub fn admit_at(&self, bank_id: &str, currency: Currency, channel_is_open: bool) -> Admitted {
        match self.bank_by_id(bank_id) {
            Some(bank) => bank.admit(currency, channel_is_open),
            None if self.banks().is_none() => (Err(NoRoute::NoChannel), None),
            None => (Err(NoRoute::Offline(bank_id.to_owned())), None),
        }
    }

    fn bank_of(&self, payee: &Payee) -> Result<Arc<Bank>, NoRoute> {
        let banks = self.banks().ok_or(NoRoute::NoChannel)?;
        let id = match &payee.account {
            PayeeAccount::Iban(_, Some(key)) | PayeeAccount::Number(_, key) => banks.id_of(key),
            PayeeAccount::Iban(iban, None) => {
                let id = iban.bank_code().and_then(|code| banks.id_by_bank_code.get(code)).cloned();
                id.ok_or(NoRoute::NotInDirectory("payee.iban"))
            }
            PayeeAccount::Ledger(_) => Err(NoRoute::NotInDirectory("payee.ledger_account")),
        }?;
        banks.by_id.get(&id).cloned().ok_or(NoRoute::NotInDirectory("payee.bank_id"))
    }

    /// The settlement account of a bank in a currency.
    ///
    /// # Errors
    /// When there is none.
    pub fn settlement_account(&self, bank_id: &str, currency: Currency) -> Result<AccountId, NoRoute> {
        let banks = self.banks().ok_or(NoRoute::NoChannel)?;
        let bank = banks.by_id.get(bank_id).ok_or(NoRoute::NotInDirectory("bank_id"))?;
        let account = bank.house_account(currency, false);
        account.ok_or_else(|| NoRoute::CurrencyNotSupported(bank_id.to_owned()))
    }

    /// A lease that is long enough for an enquiry and a re-send at any bank.
    pub fn recovery_lease(&self) -> Duration {
        let longest = self.all().iter().map(|bank| bank.lease()).max();
        longest.unwrap_or(SEND_WINDOW + LEASE_MARGIN) * 2
    }
}

impl Bank {
    /// How long a sender has before others may take over.
    pub fn lease(&self) -> Duration {
        self.answer_timeout + SEND_WINDOW + LEASE_MARGIN
    }

    /// The settlement account in a currency, or the one that holds in suspense what the bank paid and nobody here has.
    pub fn house_account(&self, currency: Currency, is_suspense: bool) -> Option<AccountId> {
        let accounts = if is_suspense { &self.suspense_accounts } else { &self.settlement_accounts };
        accounts.get(&currency).copied()
    }

    fn admit(&self, currency: Currency, channel_is_open: bool) -> Admitted {
        let Some(settlement_account) = self.house_account(currency, false) else {
            return (Err(NoRoute::CurrencyNotSupported(self.id.clone())), None);
        };
        let route = |waits| BankRoute {
            bank_id: self.id.clone(),
            settlement_account,
            valid_for: self.valid_for,
            lease: self.lease(),
            waits,
        };
        match self.gate.admit(self.online && channel_is_open, self.waits) {
            Admission::Send(place) => (Ok(route(false)), Some(place)),
            Admission::Wait => (Ok(route(true)), None),
            Admission::Busy => (Err(NoRoute::Busy(self.id.clone())), None),
            Admission::Offline if !channel_is_open => (Err(NoRoute::NoChannel), None),
            Admission::Offline => (Err(NoRoute::Offline(self.id.clone())), None),
        }
    }
}

impl Banks {
    fn id_of(&self, key: &BankKey) -> Result<String, NoRoute> {
        match key {
            BankKey::Id(id) => Ok(id.clone()),
            BankKey::Bic(bic) => {
                self.id_by_bic.get(bic.as_str()).cloned().ok_or(NoRoute::NotInDirectory("payee.bic"))
            }
        }
    }
}
