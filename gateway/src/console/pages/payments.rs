//! Payments: found by their ids, or listed.

use askama::Template;
use axum::{
    extract::{Query, rejection::QueryRejection},
    response::{IntoResponse, Redirect, Response},
};
use common::{id::PaymentId, text};
use proto::payments::{
    GetPaymentRequest, ListPaymentsRequest, Payment, PaymentState, get_payment_request::Key,
};
use serde::Deserialize;
use tonic::Code;

use super::time_of_form;
use crate::console::{
    show,
    visitor::{Frame, Visitor, call, page},
};

const PAGE_SIZE: i32 = 50;

/// What is looked for.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(in crate::console) struct Asked {
    /// A payment's id, or that of the request that made it.
    find: String,
    account: String,
    /// A state's name, for programs.
    state: String,
    from: String,
    until: String,
    page_token: String,
    /// Read by the frame.
    #[serde(rename = "lang")]
    _lang: String,
}

#[derive(Template)]
#[template(path = "payments.html")]
struct PaymentsPage {
    frame: Frame,
    is_house: bool,
    asked: Asked,
    states: Vec<show::State>,
    payments: Vec<Payment>,
    next: String,
    problem: String,
}

/// Shows those that are looked for.
pub(in crate::console) async fn list(
    visitor: Visitor,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Response {
    let Ok(Query(asked)) = asked else { return visitor.bad_request() };
    if !asked.find.is_empty() {
        return find(&visitor, asked).await;
    }
    let Some(request) = request(&asked) else { return visitor.bad_request() };
    match call!(visitor, Read, ListPayments, request).await {
        Ok(found) => shown(&visitor, asked, found.payments, found.next_page_token, String::new()),
        Err(status) if status.code() == Code::InvalidArgument => {
            shown(&visitor, asked, Vec::new(), String::new(), status.message().to_owned())
        }
        Err(status) => visitor.problem(&status),
    }
}

/// Leads to the one that was named.
async fn find(visitor: &Visitor, asked: Asked) -> Response {
    let named = asked.find.trim().to_owned();
    let key = match PaymentId::parse(&named) {
        Some(id) => Key::Id(id.to_string()),
        None if text::request_id(&named).is_ok() => Key::RequestId(named),
        None => return not_found(visitor, asked),
    };
    match call!(visitor, Read, GetPayment, GetPaymentRequest { key: Some(key) }).await {
        Ok(found) => {
            let id = found.payment.unwrap_or_default().id;
            Redirect::to(&format!("/console/payments/{id}")).into_response()
        }
        Err(status) if status.code() == Code::NotFound => not_found(visitor, asked),
        Err(status) => visitor.problem(&status),
    }
}

fn not_found(visitor: &Visitor, asked: Asked) -> Response {
    shown(visitor, asked, Vec::new(), String::new(), visitor.texts().not_found.to_owned())
}

/// The request for a list; none if anything in it cannot be read.
fn request(asked: &Asked) -> Option<ListPaymentsRequest> {
    let state = match asked.state.as_str() {
        "" => PaymentState::Unspecified,
        name => PaymentState::from_str_name(&format!("PAYMENT_STATE_{name}"))?,
    };
    Some(ListPaymentsRequest {
        page_size: PAGE_SIZE,
        page_token: asked.page_token.clone(),
        payer_account: asked.account.trim().to_owned(),
        state: state.into(),
        start_time: time_of_form(&asked.from).ok()?,
        end_time: time_of_form(&asked.until).ok()?,
        ..ListPaymentsRequest::default()
    })
}

fn shown(
    visitor: &Visitor,
    asked: Asked,
    payments: Vec<Payment>,
    next_page_token: String,
    problem: String,
) -> Response {
    let next = match next_page_token.is_empty() {
        true => String::new(),
        false => older(&asked, &next_page_token),
    };
    let states = (1..=9).map(|number| show::state(number, visitor.texts())).collect();
    let (frame, is_house) = (visitor.frame("payments"), visitor.is_house());
    page(&PaymentsPage { frame, is_house, asked, states, payments, next, problem })
}

/// The address of the next page.
fn older(asked: &Asked, page_token: &str) -> String {
    let Asked { account, state, from, until, .. } = asked;
    let parts = [("account", account), ("state", state), ("from", from), ("until", until)];
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in parts.into_iter().filter(|(_, value)| !value.is_empty()) {
        query.append_pair(name, value);
    }
    query.append_pair("page_token", page_token);
    format!("/console/payments?{}", query.finish())
}
