//! The banks that can be instructed, as the channel last said, each with its settlement accounts.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
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
    store::{Store, StoreError},
};

/// How long a first sender may go on trying to reach a bank that cannot be reached.
pub const SEND_WINDOW: Duration = Duration::from_secs(2);
/// What a lease has beyond the bank's time, for the answer to be recorded.
const LEASE_MARGIN: Duration = Duration::from_secs(2);

/// The banks that can be instructed. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Directory(Arc<RwLock<Option<Arc<Banks>>>>);

/// One version of the directory.
#[derive(Debug, Default)]
struct Banks {
    by_id: BTreeMap<String, Bank>,
    id_by_bic: HashMap<String, String>,
    id_by_bank_code: HashMap<String, String>,
}

/// A bank, as far as the platform needs to know it.
#[derive(Clone, Debug)]
struct Bank {
    settlement_accounts: BTreeMap<Currency, AccountId>,
    answer_timeout: Duration,
    enquire_after: Duration,
    valid_for: Duration,
}

impl Directory {
    /// Takes what the channel said, after opening the settlement accounts that are new.
    ///
    /// # Errors
    /// When the database fails; the directory stays as it was.
    pub async fn update(
        &self,
        wire: channel::Directory,
        store: &Store,
        clock: &Clock,
    ) -> Result<(), StoreError> {
        let mut banks = Banks::default();
        for bank in wire.banks {
            let mut settlement_accounts = BTreeMap::new();
            for currency in bank.currencies.iter().filter_map(|code| Currency::parse(code)) {
                let id = AccountId::new(clock);
                let account =
                    store.settlement_account(id, &bank.id, &bank.name, currency, clock.now()).await?;
                settlement_accounts.insert(currency, account);
            }
            banks.id_by_bic.insert(bank.bic, bank.id.clone());
            banks
                .id_by_bank_code
                .extend(bank.iban_bank_codes.into_iter().map(|code| (code, bank.id.clone())));
            let millis = |millis: u32| Duration::from_millis(millis.into());
            let entry = Bank {
                settlement_accounts,
                answer_timeout: millis(bank.answer_timeout_ms),
                enquire_after: millis(bank.enquire_after_ms),
                valid_for: millis(bank.valid_for_ms),
            };
            banks.by_id.insert(bank.id, entry);
        }
        tracing::info!(banks = banks.by_id.len(), "directory taken over");
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(banks));
        Ok(())
    }

    fn banks(&self) -> Option<Arc<Banks>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Which bank to instruct for a payee, in a currency.
    ///
    /// # Errors
    /// When there is none.
    pub fn route(&self, payee: &Payee, currency: Currency) -> Result<BankRoute, NoRoute> {
        let banks = self.banks().ok_or(NoRoute::NoChannel)?;
        let id = match &payee.account {
            PayeeAccount::Iban(_, Some(key)) | PayeeAccount::Number(_, key) => banks.id_of(key),
            PayeeAccount::Iban(iban, None) => {
                let id = iban.bank_code().and_then(|code| banks.id_by_bank_code.get(code)).cloned();
                id.ok_or(NoRoute::NotInDirectory("payee.iban"))
            }
            PayeeAccount::Ledger(_) => Err(NoRoute::NotInDirectory("payee.ledger_account")),
        }?;
        let (bank_id, bank) =
            banks.by_id.get_key_value(&id).ok_or(NoRoute::NotInDirectory("payee.bank_id"))?;
        let settlement_account = *bank
            .settlement_accounts
            .get(&currency)
            .ok_or_else(|| NoRoute::CurrencyNotSupported(bank_id.clone()))?;
        let lease = bank.lease();
        Ok(BankRoute { bank_id: bank_id.clone(), settlement_account, valid_for: bank.valid_for, lease })
    }

    /// The settlement account of a bank in a currency.
    ///
    /// # Errors
    /// When there is none.
    pub fn settlement_account(&self, bank_id: &str, currency: Currency) -> Result<AccountId, NoRoute> {
        let banks = self.banks().ok_or(NoRoute::NoChannel)?;
        let bank = banks.by_id.get(bank_id).ok_or(NoRoute::NotInDirectory("bank_id"))?;
        let account = bank.settlement_accounts.get(&currency).copied();
        account.ok_or_else(|| NoRoute::CurrencyNotSupported(bank_id.to_owned()))
    }

    /// How long after its acceptance a bank may first be asked what became of a payment. A bank that has left the
    /// directory is asked at once: the channel says that it can't.
    pub fn enquire_after(&self, bank_id: &str) -> Duration {
        let banks = self.banks();
        banks
            .as_ref()
            .and_then(|banks| banks.by_id.get(bank_id))
            .map_or(Duration::ZERO, |bank| bank.enquire_after)
    }

    /// A lease that is long enough for an enquiry and a re-send at any bank.
    pub fn recovery_lease(&self) -> Duration {
        let banks = self.banks();
        let longest = banks.iter().flat_map(|banks| banks.by_id.values()).map(Bank::lease).max();
        longest.unwrap_or(SEND_WINDOW + LEASE_MARGIN) * 2
    }
}

impl Bank {
    fn lease(&self) -> Duration {
        self.answer_timeout + SEND_WINDOW + LEASE_MARGIN
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
