//! An instruction: what the platform asked to be carried, checked once and trusted from then on.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use common::{
    fault::Violation,
    iban::Iban,
    money::{Currency, MAX_AMOUNT_MINOR_UNITS, Money},
    text,
    trace::TraceParent,
};
use proto::channel as wire;
use uuid::Uuid;

/// The longest message id or reference (`Max35Text`).
const MAX_REFERENCE_CHARS: usize = 35;
/// The longest name or remittance text (`Max140Text`).
const MAX_TEXT_CHARS: usize = 140;
/// The longest account number that is no IBAN (`Max34Text`).
const MAX_ACCOUNT_NUMBER_CHARS: usize = 34;
/// The year 10000: later times have no ISO 8601 form of four digits.
const END_OF_TIME_SECONDS: u64 = 253_402_300_800;

/// Something to carry to a bank, well-formed for every rail.
pub struct Instruction {
    trace: TraceParent,
    bank_id: String,
    uetr: String,
    message_id: String,
    end_to_end_id: String,
    amount: Money,
    accept_time: SystemTime,
    message: Message,
}

/// What to carry.
pub enum Message {
    /// Pays a creditor.
    CreditTransfer(CreditTransfer),
    /// Asks what became of the credit transfer whose references the instruction carries.
    StatusEnquiry {
        /// The enquiry's own message id.
        enquiry_id: String,
    },
}

/// Who pays whom, and why.
pub struct CreditTransfer {
    debtor: Party,
    creditor: Party,
    remittance_information: Option<String>,
}

/// An account and its holder.
pub struct Party {
    name: String,
    account: Account,
}

/// An account at a bank.
pub enum Account {
    /// By its IBAN.
    Iban(Iban),
    /// By a number of the bank's own.
    Number(String),
}

impl Instruction {
    /// Checks what the platform sent.
    ///
    /// # Errors
    /// Every field that can't be carried, with what is wrong with it.
    pub fn parse(instruction: wire::Instruction) -> Result<Self, Vec<Violation>> {
        let mut fields = Fields(Vec::new());
        let trace = TraceParent::parse_or_new(&instruction.traceparent);
        let bank_id = fields.reference("bank_id", instruction.bank_id);
        let uetr = fields.uetr(instruction.uetr);
        let message_id = fields.reference("message_id", instruction.message_id);
        let end_to_end_id = fields.reference("end_to_end_id", instruction.end_to_end_id);
        let amount = fields.amount(instruction.amount.as_ref());
        let accept_time = fields.time("accept_time", instruction.accept_time);
        let message = fields.message(instruction.message);
        let parsed = || {
            Some(Self {
                trace,
                bank_id: bank_id?,
                uetr: uetr?,
                message_id: message_id?,
                end_to_end_id: end_to_end_id?,
                amount: amount?,
                accept_time: accept_time?,
                message: message?,
            })
        };
        parsed().ok_or(fields.0)
    }

    /// The payment's trace.
    pub fn trace(&self) -> TraceParent {
        self.trace
    }

    /// The bank's id in the directory.
    pub fn bank_id(&self) -> &str {
        &self.bank_id
    }

    /// The payment's unique reference: a UUIDv4 in small letters.
    pub fn uetr(&self) -> &str {
        &self.uetr
    }

    /// The message id of the attempt to pay.
    pub fn message_id(&self) -> &str {
        &self.message_id
    }

    /// The buyer's reference.
    pub fn end_to_end_id(&self) -> &str {
        &self.end_to_end_id
    }

    /// How much; more than nothing.
    pub fn amount(&self) -> Money {
        self.amount
    }

    /// When the payer's order was accepted.
    pub fn accept_time(&self) -> SystemTime {
        self.accept_time
    }

    /// What to carry.
    pub fn message(&self) -> &Message {
        &self.message
    }
}

impl fmt::Debug for Instruction {
    /// Without names and accounts: they are personal data and stay out of logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Instruction({} to {})", self.uetr, self.bank_id)
    }
}

impl CreditTransfer {
    /// Who pays.
    pub fn debtor(&self) -> &Party {
        &self.debtor
    }

    /// Who is paid.
    pub fn creditor(&self) -> &Party {
        &self.creditor
    }

    /// What the creditor reads beside the amount.
    pub fn remittance_information(&self) -> Option<&str> {
        self.remittance_information.as_deref()
    }
}

impl Party {
    /// The holder's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The account.
    pub fn account(&self) -> &Account {
        &self.account
    }
}

/// Reads fields and notes what is wrong with them; a reader returns none only after noting why.
struct Fields(Vec<Violation>);

impl Fields {
    fn refuse<T>(&mut self, field: impl Into<String>, description: impl Into<String>) -> Option<T> {
        self.0.push(Violation::new(field, description));
        None
    }

    fn readable(&mut self, field: &str, value: String, max_chars: usize) -> Option<String> {
        match text::readable(&value, max_chars) {
            Ok(()) => Some(value),
            Err(complaint) => self.refuse(field, complaint),
        }
    }

    fn reference(&mut self, field: &str, value: String) -> Option<String> {
        self.readable(field, value, MAX_REFERENCE_CHARS)
    }

    fn uetr(&mut self, value: String) -> Option<String> {
        let is_canonical_v4 = Uuid::try_parse(&value).is_ok_and(|uuid| {
            uuid.get_version_num() == 4
                && uuid.get_variant() == uuid::Variant::RFC4122
                && uuid.hyphenated().to_string() == value
        });
        if is_canonical_v4 { Some(value) } else { self.refuse("uetr", "must be a UUIDv4 in small letters") }
    }

    fn amount(&mut self, amount: Option<&proto::money::Money>) -> Option<Money> {
        let Some(amount) = amount else {
            return self.refuse("amount", "is missing");
        };
        let Some(currency) = Currency::parse(&amount.currency) else {
            return self.refuse("amount.currency", "must be a currency of ISO 4217 with a minor unit");
        };
        if !(1..=MAX_AMOUNT_MINOR_UNITS).contains(&amount.minor_units) {
            return self.refuse("amount.minor_units", format!("must be from 1 to {MAX_AMOUNT_MINOR_UNITS}"));
        }
        Some(Money::new(amount.minor_units, currency))
    }

    fn time(&mut self, field: &str, time: Option<prost_types::Timestamp>) -> Option<SystemTime> {
        let Some(time) = time else {
            return self.refuse(field, "is missing");
        };
        let parts = u64::try_from(time.seconds).ok().zip(u32::try_from(time.nanos).ok());
        match parts {
            Some((seconds, nanos)) if seconds < END_OF_TIME_SECONDS && nanos < 1_000_000_000 => {
                Some(UNIX_EPOCH + Duration::new(seconds, nanos))
            }
            _ => self.refuse(field, "must be from 1970 to 9999"),
        }
    }

    fn message(&mut self, message: Option<wire::instruction::Message>) -> Option<Message> {
        match message {
            None | Some(wire::instruction::Message::ReturnRequest(_)) => {
                self.refuse("message", "must be a credit_transfer or a status_enquiry")
            }
            Some(wire::instruction::Message::StatusEnquiry(enquiry)) => {
                let enquiry_id = self.reference("status_enquiry.enquiry_id", enquiry.enquiry_id)?;
                Some(Message::StatusEnquiry { enquiry_id })
            }
            Some(wire::instruction::Message::CreditTransfer(transfer)) => {
                let debtor = self.party("credit_transfer.debtor", transfer.debtor);
                let creditor = self.party("credit_transfer.creditor", transfer.creditor);
                let text = transfer.remittance_information;
                let remittance_information = if text.is_empty() {
                    None
                } else {
                    Some(self.readable("credit_transfer.remittance_information", text, MAX_TEXT_CHARS)?)
                };
                let transfer =
                    CreditTransfer { debtor: debtor?, creditor: creditor?, remittance_information };
                Some(Message::CreditTransfer(transfer))
            }
        }
    }

    fn party(&mut self, field: &str, party: Option<wire::Party>) -> Option<Party> {
        let Some(party) = party else {
            return self.refuse(field, "is missing");
        };
        let name = self.readable(&format!("{field}.name"), party.name, MAX_TEXT_CHARS);
        let account = match party.account {
            None => self.refuse(field, "must have an iban or an account_number"),
            Some(wire::party::Account::Iban(iban)) => match Iban::parse(&iban) {
                Some(iban) => Some(Account::Iban(iban)),
                None => self.refuse(format!("{field}.iban"), "must be a valid IBAN"),
            },
            Some(wire::party::Account::AccountNumber(number)) => self
                .readable(&format!("{field}.account_number"), number, MAX_ACCOUNT_NUMBER_CHARS)
                .map(Account::Number),
        };
        Some(Party { name: name?, account: account? })
    }
}

#[cfg(test)]
pub(crate) mod tests;
