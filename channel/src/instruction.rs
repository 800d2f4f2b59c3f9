//! An instruction: what the platform asked to be carried, checked once and trusted from then on.

mod fields;

use std::{fmt, time::SystemTime};

use common::{fault::Violation, iban::Iban, money::Money, trace::TraceParent};
use proto::channel as wire;

use fields::Fields;

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
    /// Asks for the return of what an earlier credit transfer brought.
    ReturnRequest(ReturnRequest),
    /// Asks what became of the instruction with the same references.
    StatusEnquiry {
        /// The enquiry's own message id.
        enquiry_id: String,
        /// Set when the instruction was a return request: the credit transfer that it is about.
        returned: Option<Original>,
    },
}

impl Message {
    /// What it is called, in logs and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::CreditTransfer(_) => "credit_transfer",
            Self::ReturnRequest(_) => "return_request",
            Self::StatusEnquiry { .. } => "status_enquiry",
        }
    }
}

/// Asks a bank to give back (part of) what it credited. The instruction's references and amount are the request's own.
pub struct ReturnRequest {
    original: Original,
    reason_code: String,
    text: Option<String>,
}

/// The credit transfer that a return request is about.
pub struct Original {
    message_id: String,
    uetr: String,
    end_to_end_id: String,
    amount: Money,
    accept_time: SystemTime,
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
        let mut fields = Fields::default();
        let trace = TraceParent::parse_or_unsampled(&instruction.traceparent);
        let bank_id = fields.reference("bank_id", instruction.bank_id);
        let uetr = fields.uetr("uetr", instruction.uetr);
        let message_id = fields.reference("message_id", instruction.message_id);
        let end_to_end_id = fields.reference("end_to_end_id", instruction.end_to_end_id);
        let amount = fields.amount("amount", instruction.amount.as_ref());
        let accept_time = fields.time("accept_time", instruction.accept_time);
        let message = fields.message(instruction.message, amount);
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
        parsed().ok_or_else(|| fields.into_violations())
    }

    /// The payment's trace.
    pub fn trace(&self) -> TraceParent {
        self.trace
    }

    /// The same instruction, further down in its trace.
    #[must_use]
    pub fn traced(self, trace: TraceParent) -> Self {
        Self { trace, ..self }
    }

    /// The bank's id in the directory.
    pub fn bank_id(&self) -> &str {
        &self.bank_id
    }

    /// The instruction's unique reference: a UUIDv4 in small letters.
    pub fn uetr(&self) -> &str {
        &self.uetr
    }

    /// The instruction's message id; of an enquiry, that of the instruction that it asks about.
    pub fn message_id(&self) -> &str {
        &self.message_id
    }

    /// The buyer's reference.
    pub fn end_to_end_id(&self) -> &str {
        &self.end_to_end_id
    }

    /// How much; more than nothing. Of a return request, how much is asked back.
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

    /// The credit transfer whose return is asked for, if the instruction is a return request or asks about one.
    pub fn returned(&self) -> Option<&Original> {
        match &self.message {
            Message::CreditTransfer(_) => None,
            Message::ReturnRequest(request) => Some(&request.original),
            Message::StatusEnquiry { returned, .. } => returned.as_ref(),
        }
    }

    /// Whether the instruction only asks, and changes nothing at the bank.
    pub fn is_enquiry(&self) -> bool {
        matches!(self.message, Message::StatusEnquiry { .. })
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

impl ReturnRequest {
    /// The credit transfer that it is about.
    pub fn original(&self) -> &Original {
        &self.original
    }

    /// Why (ExternalCancellationReason1Code).
    pub fn reason_code(&self) -> &str {
        &self.reason_code
    }

    /// Why, for people.
    pub fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }
}

impl Original {
    /// Its message id.
    pub fn message_id(&self) -> &str {
        &self.message_id
    }

    /// Its unique reference.
    pub fn uetr(&self) -> &str {
        &self.uetr
    }

    /// Its buyer's reference.
    pub fn end_to_end_id(&self) -> &str {
        &self.end_to_end_id
    }

    /// Its whole amount.
    pub fn amount(&self) -> Money {
        self.amount
    }

    /// When its payer's order was accepted.
    pub fn accept_time(&self) -> SystemTime {
        self.accept_time
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

/// What is wrong with an instruction, in one line.
pub fn described(violations: &[Violation]) -> String {
    let fields: Vec<String> = violations.iter().map(|v| format!("{}: {}", v.field, v.description)).collect();
    fields.join("; ")
}

#[cfg(test)]
pub(crate) mod tests;
