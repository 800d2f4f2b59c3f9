//! What banks pay to accounts here. To whoever sends it this ledger is a bank: it executes a UETR at most once, says the same of it for ever,
//! and takes nothing any more once it has said that nothing came.
//!
//! A credit transfer is a payment of the house, from the bank's settlement account, whose request id follows from the UETR: the key that makes
//! repeated requests one payment makes repeated transfers one. Where nothing came in time, the enquiry puts on record under the same key that it
//! has failed, so that what is still on its way finds the place taken.

use std::{collections::BTreeMap, time::SystemTime};

use common::{
    iban::Iban,
    id::{AccountId, PaymentId},
    money::Money,
    order::{BankKey, Capture, Payee, PayeeAccount, PaymentOrder, Uetr},
    text::HOUSE,
    trace::TraceParent,
};
use proto::{
    channel::{
        Accepted, CreditTransfer, Instruction, NotFound, Party, Rejected, Unknown, instruction::Message,
        notice_receipt::Verdict, party::Account,
    },
    convert,
};
use uuid::Uuid;

use super::{Flow, book::NotWritten};
use crate::{
    directory::Bank,
    domain::{
        debtor::Debtor,
        ledger::{Command, Declined, Incoming, NoRoute, Outcome, Pay, Request},
        payment::{Fingerprint, Payment, State},
    },
    store::StoreError,
};

/// The label under which an incoming payment keeps which message it came by.
const MESSAGE_ID: &str = "message_id";
/// The content of what never came: no transfer's hash is all zeros.
const NEVER_CAME: Fingerprint = [0; 16];
/// Who is paid by what never came: an enquiry does not say.
const NOBODY: &str = "not received";

/// Why nothing can be said of an instruction.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotDone {
    /// It is none that a bank of the directory can have sent.
    #[error("{0}")]
    Refused(&'static str),
    /// It may be another time.
    #[error("not written: {0:?}")]
    NotWritten(NotWritten),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What every instruction says.
struct Named {
    uetr: Uetr,
    amount: Option<Money>,
    accept_time: SystemTime,
}

impl Flow {
    /// Carries out what a bank instructs, and says what became of its credit transfer.
    ///
    /// # Errors
    /// When nothing can be said of it; the bank asks again.
    pub(super) async fn carry_out(
        &self,
        instruction: Instruction,
        trace: TraceParent,
    ) -> Result<Verdict, NotDone> {
        let bank = self.directory.bank_by_id(&instruction.bank_id);
        let bank = bank.ok_or(NotDone::Refused("the directory has no such bank"))?;
        let named =
            Named::read(&instruction).ok_or(NotDone::Refused("a reference, amount or time is bad"))?;
        match &instruction.message {
            // A bank that is refused hears nothing of its transfer, and asks.
            Some(Message::CreditTransfer(_)) if !self.book.has_room() => {
                Err(NotDone::NotWritten(NotWritten::Overloaded))
            }
            Some(Message::CreditTransfer(transfer)) => {
                // What is the same however often it is sent.
                let content =
                    Instruction { correlation_id: 0, traceparent: String::new(), ..instruction.clone() };
                let fingerprint = self.fingerprints.of_operation("incoming", &content);
                let pay = self.incoming(&bank, &instruction, &named, transfer, fingerprint)?;
                self.receive(pay, trace).await
            }
            Some(Message::StatusEnquiry(_)) => self.found(&bank, &instruction, &named, trace).await,
            Some(Message::ReturnRequest(_)) | None => Err(NotDone::Refused("no instruction that is taken")),
        }
    }

    /// What became of a credit transfer. One that never came, and that the bank may send no more, never will have come.
    async fn found(
        &self,
        bank: &Bank,
        instruction: &Instruction,
        named: &Named,
        trace: TraceParent,
    ) -> Result<Verdict, NotDone> {
        if let Some(payment) = self.store.payment_by_request(HOUSE, &request_id(bank, named.uetr)).await? {
            return Ok(verdict(&payment));
        }
        if !self.is_too_late(bank, named) {
            return Ok(Verdict::NotFound(NotFound { bank_message_id: String::new() }));
        }
        let nothing = CreditTransfer {
            debtor: None,
            creditor: Some(Party { name: NOBODY.to_owned(), account: None }),
            remittance_information: String::new(),
        };
        let pay = self.incoming(bank, instruction, named, &nothing, NEVER_CAME)?;
        self.receive(pay, trace).await
    }

    /// Has a credit transfer booked, or refused, whoever else is at it.
    async fn receive(&self, pay: Pay, trace: TraceParent) -> Result<Verdict, NotDone> {
        let Request { participant, request_id, fingerprint } = pay.request.clone();
        match self.book.write(Command::Pay(Box::new(pay)), trace).await.map_err(NotDone::NotWritten)? {
            Outcome::Payment(payment) | Outcome::Replayed(payment) => Ok(verdict(&payment)),
            Outcome::Declined(Declined::RequestIdReused) => {
                let found = self.store.payment_by_request(&participant, &request_id).await?;
                let found = found.ok_or(NotDone::NotWritten(NotWritten::Unavailable))?;
                Ok(verdict_of_other(&found, fingerprint))
            }
            Outcome::Declined(declined) => {
                tracing::warn!(?declined, "a credit transfer that can't be booked");
                Err(NotDone::Refused("it can't be booked"))
            }
            // No command to pay comes to anything else, and what does may name people.
            _ => Err(NotDone::NotWritten(NotWritten::Defect)),
        }
    }

    /// The payment that a credit transfer is, or would have been.
    fn incoming(
        &self,
        bank: &Bank,
        instruction: &Instruction,
        named: &Named,
        transfer: &CreditTransfer,
        fingerprint: Fingerprint,
    ) -> Result<Pay, NotDone> {
        let amount = named.amount.ok_or(NotDone::Refused("no IntrBkSttlmAmt"))?;
        let house = |is_suspense| bank.house_account(amount.currency(), is_suspense);
        let accounts = house(false).zip(house(true));
        let (payer_account, suspense_account) =
            accounts.ok_or(NotDone::Refused("no currency that the two banks have agreed on"))?;
        let creditor = transfer.creditor.clone().unwrap_or_default();
        let request_id = request_id(bank, named.uetr);
        let end_to_end_id = Some(instruction.end_to_end_id.clone()).filter(|id| !id.is_empty());
        Ok(Pay {
            id: PaymentId::new(&self.clock),
            uetr: named.uetr,
            request: Request { participant: HOUSE.to_owned(), request_id: request_id.clone(), fingerprint },
            order: PaymentOrder {
                request_id,
                payer_account,
                payee: Payee { account: payee(bank, creditor.account), name: creditor.name },
                amount,
                remittance_information: transfer.remittance_information.clone(),
                end_to_end_id,
                metadata: labels(instruction, transfer.debtor.as_ref()),
                capture: Capture::Automatic,
            },
            bank: Err(NoRoute::NotInDirectory("payee")),
            validate_only: false,
            is_signed: false,
            incoming: Some(Incoming { suspense_account, is_too_late: self.is_too_late(bank, named) }),
        })
    }

    fn is_too_late(&self, bank: &Bank, named: &Named) -> bool {
        named.accept_time.checked_add(bank.valid_for).is_none_or(|until| self.clock.now() > until)
    }
}

impl Named {
    fn read(instruction: &Instruction) -> Option<Self> {
        let uetr = Uuid::try_parse(&instruction.uetr).ok()?;
        let mut violations = Vec::new();
        let amount = instruction.amount.as_ref();
        let amount = amount.and_then(|amount| convert::amount("amount", Some(amount), &mut violations));
        let accept_time = convert::time(instruction.accept_time.as_ref()?)?;
        violations.is_empty().then_some(Self { uetr, amount, accept_time })
    }
}

/// Under what a bank's credit transfer is on record: a UETR is that bank's, so that no other can take its place.
fn request_id(bank: &Bank, uetr: Uetr) -> String {
    format!("in-{}-{uetr}", bank.id)
}

/// The account that is to be paid. One that can't be here is kept as the bank wrote it.
fn payee(bank: &Bank, account: Option<Account>) -> PayeeAccount {
    let text = match account {
        Some(Account::Iban(text)) => match Iban::parse(&text) {
            Some(iban) => return PayeeAccount::Iban(iban, None),
            None => text,
        },
        // As accounts here without an IBAN are named where they pay.
        Some(Account::AccountNumber(text)) => match Uuid::try_parse(&text) {
            Ok(id) => return PayeeAccount::Ledger(AccountId::from_uuid(id)),
            Err(_) => text,
        },
        None => NOBODY.to_owned(),
    };
    PayeeAccount::Number(text, BankKey::Id(bank.id.clone()))
}

fn labels(instruction: &Instruction, debtor: Option<&Party>) -> BTreeMap<String, String> {
    let debtor = debtor.cloned().map(|Party { name, account }| {
        let account = account.map(|(Account::Iban(text) | Account::AccountNumber(text))| text);
        Debtor { name, account }
    });
    let mut labels = debtor.map(Debtor::labels).unwrap_or_default();
    labels.insert(MESSAGE_ID.to_owned(), instruction.message_id.clone());
    labels
}

/// What a bank is told of its credit transfer; under the payment's number, so that it is the same whenever it is said.
fn verdict(payment: &Payment) -> Verdict {
    let bank_message_id = payment.id.uuid().simple().to_string();
    match (payment.state, &payment.reason) {
        (State::Succeeded, _) => Verdict::Accepted(Accepted { bank_message_id }),
        (State::Failed, Some(reason)) => rejected(&reason.iso_code, &reason.message, &bank_message_id),
        _ => Verdict::Unknown(Unknown {
            reason: "PENDING".to_owned(),
            detail: format!("it is {}", payment.state.name()),
        }),
    }
}

/// What is said where something else is on record under a UETR: what became of that, to whoever asks, and to whoever comes after it was said
/// that nothing came; and that the UETR is used, to whoever would use it twice. That is no end of the transfer that has it, and so never an
/// answer to an enquiry.
fn verdict_of_other(found: &Payment, asked: Fingerprint) -> Verdict {
    match [found.fingerprint, asked].contains(&NEVER_CAME) {
        true => verdict(found),
        false => rejected("DUPL", "this UETR was used for another credit transfer", ""),
    }
}

fn rejected(iso_code: &str, text: &str, bank_message_id: &str) -> Verdict {
    Verdict::Rejected(Rejected {
        iso_code: iso_code.to_owned(),
        text: text.to_owned(),
        bank_message_id: bank_message_id.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use common::money::Currency;

    use super::*;
    use crate::domain::{
        limits::Counted,
        payment::{Kind, Terms},
        refusal::Refusal,
    };

    fn payment(fingerprint: Fingerprint, state: State) -> Payment {
        let account = AccountId::from_uuid(Uuid::nil());
        let terms = Terms {
            id: PaymentId::from_uuid(Uuid::nil()),
            participant: HOUSE.to_owned(),
            request_id: "in-aurora-1".to_owned(),
            fingerprint,
            payer_account: account,
            credit_account: account,
            kind: Kind::Payment,
            original: None,
            payee: Payee { name: "Zoë".to_owned(), account: PayeeAccount::Ledger(account) },
            amount: Money::new(1, Currency::parse("EUR").expect("a currency")),
            remittance_information: String::new(),
            end_to_end_id: "ORDER-1".to_owned(),
            metadata: BTreeMap::new(),
            bank_id: None,
            uetr: Uuid::nil(),
            created_at: UNIX_EPOCH,
            counted: Counted::default(),
        };
        let reason = (state == State::Failed).then(|| Refusal::TooLate.reason());
        Payment::new(terms, state, reason)
    }

    #[test]
    fn whoever_asks_hears_what_became_of_it_and_never_that_the_uetr_is_used() {
        let (paid, gone) = (payment([1; 16], State::Succeeded), payment(NEVER_CAME, State::Failed));
        // An enquiry that found nothing, while the transfer came.
        assert!(matches!(verdict_of_other(&paid, NEVER_CAME), Verdict::Accepted(_)));
        let code = |verdict| match verdict {
            Verdict::Rejected(rejected) => rejected.iso_code,
            other => panic!("{other:?}"),
        };
        assert_eq!(code(verdict_of_other(&gone, [1; 16])), "TM01", "a transfer that comes after all");
        assert_eq!(code(verdict_of_other(&paid, [2; 16])), "DUPL", "another transfer");
    }
}
