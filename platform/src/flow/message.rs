//! What the channel is to carry to a bank about a payment.

use common::{order::PayeeAccount, trace::TraceParent};
use proto::{
    channel::{CreditTransfer, Instruction, Party, ReturnRequest, instruction::Message, party},
    convert,
};

use crate::domain::payment::{Kind, Submission};

/// What the channel is to carry about an attempt.
pub(super) fn instruction(submission: &Submission, message: Message, trace: TraceParent) -> Instruction {
    let payment = &submission.payment;
    Instruction {
        correlation_id: 0,
        traceparent: trace.to_string(),
        bank_id: payment.bank_id.clone().unwrap_or_default(),
        uetr: payment.uetr.to_string(),
        message_id: submission.attempt.message_id(payment.id),
        end_to_end_id: payment.end_to_end_id.clone(),
        amount: Some(convert::money_to_wire(payment.amount)),
        accept_time: Some(convert::time_to_wire(submission.attempt.accept_time)),
        message: Some(message),
    }
}

/// The order to the bank: to pay, or to give back.
pub(super) fn order(submission: &Submission) -> Message {
    match return_request(submission) {
        Some(request) => Message::ReturnRequest(request),
        None => credit_transfer(submission),
    }
}

/// What an attempt to have something given back says; none for a credit transfer.
pub(super) fn return_request(submission: &Submission) -> Option<ReturnRequest> {
    let original = submission.original.as_ref()?;
    let kind = submission.payment.kind;
    Some(ReturnRequest {
        original_message_id: original.message_id.clone(),
        original_uetr: original.uetr.to_string(),
        original_end_to_end_id: original.end_to_end_id.clone(),
        original_amount: Some(convert::money_to_wire(original.amount)),
        original_accept_time: Some(convert::time_to_wire(original.accept_time)),
        // ExternalCancellationReason1Code: asked by the customer, or a technical problem of ours.
        reason_code: if kind == Kind::Return { "TECH" } else { "CUST" }.to_owned(),
        text: submission.payment.remittance_information.clone(),
    })
}

fn credit_transfer(submission: &Submission) -> Message {
    let payment = &submission.payment;
    let debtor = match &submission.debtor_iban {
        Some(iban) => party::Account::Iban(iban.clone()),
        None => party::Account::AccountNumber(payment.payer_account.uuid().simple().to_string()),
    };
    let creditor = match &payment.payee.account {
        PayeeAccount::Iban(iban, _) => party::Account::Iban(iban.as_str().to_owned()),
        PayeeAccount::Number(number, _) => party::Account::AccountNumber(number.clone()),
        PayeeAccount::Ledger(account) => party::Account::AccountNumber(account.uuid().simple().to_string()),
    };
    Message::CreditTransfer(CreditTransfer {
        debtor: Some(Party { name: submission.debtor_name.clone(), account: Some(debtor) }),
        creditor: Some(Party { name: payment.payee.name.clone(), account: Some(creditor) }),
        remittance_information: payment.remittance_information.clone(),
    })
}
