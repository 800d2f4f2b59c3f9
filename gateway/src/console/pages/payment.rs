//! One payment's whole story, and its receipt.

use askama::Template;
use axum::{
    Json,
    extract::Path,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use proto::{
    audit::{GetPaymentReceiptRequest, Receipt},
    operations::{GetPaymentStoryRequest, PaymentStory, Resolution},
    payments::{ListPaymentsRequest, Payment},
};
use serde_json::{Value, json};

use crate::console::{
    show,
    visitor::{Frame, Visitor, call, page},
};

/// How many captures and refunds are shown.
const SHOWN: i32 = 50;

#[derive(Template)]
#[template(path = "payment.html")]
struct PaymentPage {
    frame: Frame,
    payment: Payment,
    story: PaymentStory,
    related: Vec<Payment>,
    /// Whether its state is final.
    is_over: bool,
}

/// Shows it.
pub(in crate::console) async fn show(visitor: Visitor, Path(payment): Path<String>) -> Response {
    let story = GetPaymentStoryRequest { payment: payment.clone() };
    let related =
        ListPaymentsRequest { original_payment: payment, page_size: SHOWN, ..ListPaymentsRequest::default() };
    let (story, related) = tokio::join!(
        call!(visitor, ReadOperations, GetPaymentStory, story),
        call!(visitor, Read, ListPayments, related),
    );
    let (story, related) = match (story, related) {
        (Ok(story), Ok(related)) => (story.story.unwrap_or_default(), related.payments),
        (Err(status), _) | (_, Err(status)) => return visitor.problem(&status),
    };
    let payment = story.payment.clone().unwrap_or_default();
    let is_over = matches!(payment.iso_status.as_str(), "ACSC" | "RJCT" | "CANC");
    page(&PaymentPage { frame: visitor.frame("payments"), payment, story, related, is_over })
}

/// Its receipt, as `platform verify-receipt` and the page's script read it.
pub(in crate::console) async fn receipt(visitor: Visitor, Path(payment): Path<String>) -> Response {
    match call!(visitor, Read, GetPaymentReceipt, GetPaymentReceiptRequest { payment }).await {
        Ok(found) => Json(printed(&found.receipt.unwrap_or_default())).into_response(),
        Err(status) => (StatusCode::CONFLICT, Json(json!({ "problem": status.message() }))).into_response(),
    }
}

/// The receipt in protobuf's JSON: bytes in base64, 64-bit numbers as strings.
fn printed(receipt: &Receipt) -> Value {
    let steps: Vec<Value> = receipt
        .steps
        .iter()
        .map(|step| {
            let proof: Vec<String> = step.proof.iter().map(|hash| STANDARD.encode(hash)).collect();
            json!({ "text": step.text, "leaf": step.leaf.to_string(), "proof": proof })
        })
        .collect();
    json!({ "receipt": { "payment": receipt.payment, "steps": steps, "checkpoint": receipt.checkpoint } })
}
