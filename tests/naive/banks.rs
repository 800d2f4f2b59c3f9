//! The banks that the channel knows, and the settlement account with each.

use std::collections::HashMap;

use common::{
    fault::{Fault, Violation},
    id::AccountId,
    money::Currency,
    order::{BankKey, Payee, PayeeAccount},
};
use proto::channel::{GetDirectoryRequest, instruction_service_client::InstructionServiceClient};
use tonic::transport::Channel;

use crate::{Failure, store::Store};

/// Every bank, read once.
#[derive(Debug)]
pub struct Banks {
    by_code: HashMap<String, String>,
    by_bic: HashMap<String, String>,
    settlement: HashMap<(String, Currency), AccountId>,
}

/// Where a payment goes.
#[derive(Debug)]
pub struct Route {
    /// The bank's id.
    pub bank_id: String,
    /// The settlement account that is credited here.
    pub settlement: AccountId,
}

impl Banks {
    /// Asks the channel which banks there are, and opens the settlement accounts that are new.
    ///
    /// # Errors
    /// When either does not answer.
    pub async fn learn(
        channel: &mut InstructionServiceClient<Channel>,
        store: &Store,
    ) -> Result<Self, Failure> {
        let directory = channel.get_directory(GetDirectoryRequest {}).await?.into_inner().directory;
        let mut banks = Self { by_code: HashMap::new(), by_bic: HashMap::new(), settlement: HashMap::new() };
        for bank in directory.unwrap_or_default().banks {
            for currency in bank.currencies.iter().filter_map(|code| Currency::parse(code)) {
                let account = store.settlement_account(&bank.id, currency).await?;
                banks.settlement.insert((bank.id.clone(), currency), account);
            }
            banks.by_code.extend(bank.iban_bank_codes.into_iter().map(|code| (code, bank.id.clone())));
            banks.by_bic.insert(bank.bic, bank.id);
        }
        Ok(banks)
    }

    /// Where a payment in this currency to that payee goes.
    ///
    /// # Errors
    /// When no bank of the directory takes it.
    pub fn route(&self, payee: &Payee, currency: Currency) -> Result<Route, Fault> {
        let bank_id = match &payee.account {
            PayeeAccount::Iban(iban, None) => iban.bank_code().and_then(|code| self.by_code.get(code)),
            PayeeAccount::Iban(_, Some(key)) | PayeeAccount::Number(_, key) => match key {
                BankKey::Id(id) => Some(id),
                BankKey::Bic(bic) => self.by_bic.get(bic.as_str()),
            },
            PayeeAccount::Ledger(_) => None,
        };
        let bank_id = bank_id.ok_or_else(|| unknown("payee", "must be at a bank of the directory"))?.clone();
        let settlement = self.settlement(&bank_id, currency)?;
        Ok(Route { bank_id, settlement })
    }

    /// The settlement account with a bank.
    ///
    /// # Errors
    /// When the bank does not take the currency.
    pub fn settlement(&self, bank_id: &str, currency: Currency) -> Result<AccountId, Fault> {
        let account = self.settlement.get(&(bank_id.to_owned(), currency)).copied();
        account.ok_or_else(|| unknown("amount.currency", "must be one that the bank takes"))
    }
}

fn unknown(field: &str, must: &str) -> Fault {
    Fault::invalid(vec![Violation::new(field, must)])
}
