//! Receipts: what is sealed of a payment, and the check of it, which asks nobody.

use std::{fs, path::PathBuf};

use common::audit::{note::PublicKey, receipt};
use proto::audit::GetPaymentReceiptRequest;

use crate::{
    failure::Failure,
    gateway_link::{ANSWER_TIMEOUT, Gateway, within},
    screen::Screen,
};

/// Print a payment's receipt (JSON), for `verify-receipt`.
#[derive(clap::Args, Debug)]
pub struct Receipt {
    /// The payment: pay_…
    payment: String,
}

impl Receipt {
    pub(crate) async fn run(&self, gateway: &Gateway, screen: &Screen) -> Result<(), Failure> {
        let request = GetPaymentReceiptRequest { payment: self.payment.clone() };
        let answer = gateway.audit.clone().get_payment_receipt(within(ANSWER_TIMEOUT, request)).await;
        screen.document(&answer.map_err(Failure::read)?.into_inner())
    }
}

/// Check a receipt with the log's public key alone: no gateway is asked.
#[derive(clap::Args, Debug)]
pub struct VerifyReceipt {
    /// The receipt: what `rialto receipt` printed.
    receipt: PathBuf,
    /// The log's public key, as `platform new-audit-key` printed it.
    #[arg(long, env = "RIALTO_AUDIT_PUBLIC_KEY")]
    key: String,
}

impl VerifyReceipt {
    pub(crate) fn run(&self, screen: &Screen) -> Result<(), Failure> {
        let key = PublicKey::parse(&self.key);
        let json = fs::read_to_string(&self.receipt);
        let problems = [
            key.as_ref().err().map(|problem| format!("--key: {problem}")),
            json.as_ref().err().map(|error| format!("{}: {error}", self.receipt.display())),
        ];
        let (Ok(key), Ok(json)) = (key, json) else {
            return Err(Failure::Usage(problems.into_iter().flatten().collect()));
        };
        let shown = receipt::verify(&json, &key).map_err(Failure::NotVerified)?;
        screen.value(&shown, ToString::to_string)
    }
}
