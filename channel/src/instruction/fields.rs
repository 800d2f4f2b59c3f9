//! The fields of an instruction, read one by one, every problem noted.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::{
    fault::Violation,
    iban::Iban,
    money::{Currency, MAX_AMOUNT_MINOR_UNITS, Money},
    text,
};
use proto::channel as wire;
use uuid::Uuid;

use super::{Account, CreditTransfer, Message, Original, Party, ReturnRequest};

/// The longest message id or reference (`Max35Text`).
const MAX_REFERENCE_CHARS: usize = 35;
/// The longest name or remittance text (`Max140Text`).
const MAX_TEXT_CHARS: usize = 140;
/// The longest account number that is no IBAN (`Max34Text`).
const MAX_ACCOUNT_NUMBER_CHARS: usize = 34;
/// The year 10000: later times have no ISO 8601 form of four digits.
const END_OF_TIME_SECONDS: u64 = 253_402_300_800;

/// Reads fields and notes what is wrong with them; a reader returns none only after noting why.
#[derive(Default)]
pub(super) struct Fields(Vec<Violation>);

impl Fields {
    /// What is wrong: all of it.
    pub(super) fn into_violations(self) -> Vec<Violation> {
        self.0
    }

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

    pub(super) fn reference(&mut self, field: &str, value: String) -> Option<String> {
        self.readable(field, value, MAX_REFERENCE_CHARS)
    }

    pub(super) fn uetr(&mut self, field: &str, value: String) -> Option<String> {
        let is_canonical_v4 = Uuid::try_parse(&value).is_ok_and(|uuid| {
            uuid.get_version_num() == 4
                && uuid.get_variant() == uuid::Variant::RFC4122
                && uuid.hyphenated().to_string() == value
        });
        if is_canonical_v4 { Some(value) } else { self.refuse(field, "must be a UUIDv4 in small letters") }
    }

    pub(super) fn amount(&mut self, field: &str, amount: Option<&proto::money::Money>) -> Option<Money> {
        let Some(amount) = amount else {
            return self.refuse(field, "is missing");
        };
        let Some(currency) = Currency::parse(&amount.currency) else {
            return self
                .refuse(format!("{field}.currency"), "must be a currency of ISO 4217 with a minor unit");
        };
        if !(1..=MAX_AMOUNT_MINOR_UNITS).contains(&amount.minor_units) {
            return self.refuse(
                format!("{field}.minor_units"),
                format!("must be from 1 to {MAX_AMOUNT_MINOR_UNITS}"),
            );
        }
        Some(Money::new(amount.minor_units, currency))
    }

    pub(super) fn time(&mut self, field: &str, time: Option<prost_types::Timestamp>) -> Option<SystemTime> {
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

    /// Reads what to carry, given the instruction's amount.
    pub(super) fn message(
        &mut self,
        message: Option<wire::instruction::Message>,
        amount: Option<Money>,
    ) -> Option<Message> {
        match message {
            None => self.refuse("message", "must be a credit_transfer, a return_request or a status_enquiry"),
            Some(wire::instruction::Message::CreditTransfer(transfer)) => {
                self.credit_transfer(transfer).map(Message::CreditTransfer)
            }
            Some(wire::instruction::Message::ReturnRequest(request)) => {
                self.return_request(request, amount).map(Message::ReturnRequest)
            }
            Some(wire::instruction::Message::StatusEnquiry(enquiry)) => {
                let enquiry_id = self.reference("status_enquiry.enquiry_id", enquiry.enquiry_id);
                let returned = match &enquiry.return_request {
                    None => None,
                    Some(request) => Some(self.original("status_enquiry.return_request", request, amount)?),
                };
                Some(Message::StatusEnquiry { enquiry_id: enquiry_id?, returned })
            }
        }
    }

    fn credit_transfer(&mut self, transfer: wire::CreditTransfer) -> Option<CreditTransfer> {
        let debtor = self.party("credit_transfer.debtor", transfer.debtor);
        let creditor = self.party("credit_transfer.creditor", transfer.creditor);
        let text = transfer.remittance_information;
        let remittance_information = self.optional("credit_transfer.remittance_information", text);
        Some(CreditTransfer {
            debtor: debtor?,
            creditor: creditor?,
            remittance_information: remittance_information?,
        })
    }

    fn return_request(
        &mut self,
        request: wire::ReturnRequest,
        amount: Option<Money>,
    ) -> Option<ReturnRequest> {
        let original = self.original("return_request", &request, amount);
        let is_code = |code: &str| {
            (1..=4).contains(&code.len())
                && code.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
        };
        let reason_code = if is_code(&request.reason_code) {
            Some(request.reason_code)
        } else {
            self.refuse("return_request.reason_code", "must be 1 to 4 capital letters or digits")
        };
        let text = self.optional("return_request.text", request.text);
        Some(ReturnRequest { original: original?, reason_code: reason_code?, text: text? })
    }

    /// Reads the credit transfer that a return request is about; no more than its amount can be asked back.
    fn original(
        &mut self,
        field: &str,
        request: &wire::ReturnRequest,
        asked_back: Option<Money>,
    ) -> Option<Original> {
        let message_id =
            self.reference(&format!("{field}.original_message_id"), request.original_message_id.clone());
        let uetr = self.uetr(&format!("{field}.original_uetr"), request.original_uetr.clone());
        let end_to_end_id = self
            .reference(&format!("{field}.original_end_to_end_id"), request.original_end_to_end_id.clone());
        let amount = self.amount(&format!("{field}.original_amount"), request.original_amount.as_ref());
        let accept_time = self.time(&format!("{field}.original_accept_time"), request.original_accept_time);
        let is_too_much = |amount: &Money| {
            asked_back.is_some_and(|back| {
                back.currency() != amount.currency() || back.minor_units() > amount.minor_units()
            })
        };
        let amount = match amount {
            Some(amount) if is_too_much(&amount) => {
                self.refuse("amount", format!("must be at most {field}.original_amount, in its currency"))
            }
            amount => amount,
        };
        Some(Original {
            message_id: message_id?,
            uetr: uetr?,
            end_to_end_id: end_to_end_id?,
            amount: amount?,
            accept_time: accept_time?,
        })
    }

    /// Reads a text that may be empty; none only if it can't be read.
    #[expect(clippy::option_option, reason = "empty and unreadable are two things")]
    fn optional(&mut self, field: &str, value: String) -> Option<Option<String>> {
        if value.is_empty() { Some(None) } else { self.readable(field, value, MAX_TEXT_CHARS).map(Some) }
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
