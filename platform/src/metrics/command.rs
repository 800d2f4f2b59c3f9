//! What is measured of commands: the calls of callers, as they come on the stream.

use std::{sync::LazyLock, time::Duration};

use common::{
    metrics::{self, Histogram, label},
    rpc_server::code_name,
};
use proto::platform::command::Operation;
use tonic::Code;

static DURATION: LazyLock<Histogram<f64>> = LazyLock::new(|| {
    metrics::duration(
        "rialto.command.duration",
        "Commands of the gateway, from when they came to their reply.",
    )
});

/// A command is answered.
pub fn command_done(name: &'static str, code: Code, took: Duration) {
    let labels = [label("rialto.command.name", name), label("rpc.response.status_code", code_name(code))];
    DURATION.record(took.as_secs_f64(), &labels);
}

/// What a command is called, as its call is.
pub fn name_of(operation: &Operation) -> &'static str {
    match operation {
        Operation::CreatePayment(_) => "CreatePayment",
        Operation::GetPayment(_) => "GetPayment",
        Operation::ListPayments(_) => "ListPayments",
        Operation::WaitPayment(_) => "WaitPayment",
        Operation::GetStatistics(_) => "GetStatistics",
        Operation::CreateWebhookEndpoint(_) => "CreateWebhookEndpoint",
        Operation::ListWebhookEndpoints(_) => "ListWebhookEndpoints",
        Operation::UpdateWebhookEndpoint(_) => "UpdateWebhookEndpoint",
        Operation::RotateWebhookSecret(_) => "RotateWebhookSecret",
        Operation::ListWebhookDeliveries(_) => "ListWebhookDeliveries",
        Operation::ReplayWebhookEvents(_) => "ReplayWebhookEvents",
        Operation::DeleteWebhookEndpoint(_) => "DeleteWebhookEndpoint",
        Operation::CapturePayment(_) => "CapturePayment",
        Operation::CancelPayment(_) => "CancelPayment",
        Operation::RefundPayment(_) => "RefundPayment",
        Operation::CreateAccount(_) => "CreateAccount",
        Operation::GetAccount(_) => "GetAccount",
        Operation::ListAccounts(_) => "ListAccounts",
        Operation::ListEntries(_) => "ListEntries",
        Operation::Deposit(_) => "Deposit",
        Operation::ApproveDeposit(_) => "ApproveDeposit",
        Operation::RejectDeposit(_) => "RejectDeposit",
        Operation::GetDeposit(_) => "GetDeposit",
        Operation::ListDeposits(_) => "ListDeposits",
        Operation::ResolvePayment(_) => "ResolvePayment",
        Operation::ListAlarms(_) => "ListAlarms",
        Operation::GetSettings(_) => "GetSettings",
        Operation::ListBanks(_) => "ListBanks",
        Operation::GetTrialBalance(_) => "GetTrialBalance",
        Operation::GetPaymentStory(_) => "GetPaymentStory",
        Operation::CreateParticipant(_) => "CreateParticipant",
        Operation::ListParticipants(_) => "ListParticipants",
        Operation::DisableParticipant(_) => "DisableParticipant",
        Operation::EnableParticipant(_) => "EnableParticipant",
        Operation::MakeApiKey(_) => "MakeApiKey",
        Operation::ListApiKeys(_) => "ListApiKeys",
        Operation::RevokeApiKey(_) => "RevokeApiKey",
        Operation::GetCheckpoint(_) => "GetCheckpoint",
        Operation::GetInclusionProof(_) => "GetInclusionProof",
        Operation::GetConsistencyProof(_) => "GetConsistencyProof",
        Operation::GetPaymentReceipt(_) => "GetPaymentReceipt",
        Operation::SetAccountLimits(_) => "SetAccountLimits",
        Operation::GetAccountLimits(_) => "GetAccountLimits",
        Operation::SetParticipantLimits(_) => "SetParticipantLimits",
        Operation::GetParticipantLimits(_) => "GetParticipantLimits",
    }
}
