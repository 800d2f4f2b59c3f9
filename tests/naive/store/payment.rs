//! A payment's row and its events.

use std::time::SystemTime;

use common::{id::PaymentId, order::PaymentOrder};
use prost::Message;
use proto::{convert, payments};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::banks::Route;

/// A payment to be made.
#[derive(Debug)]
pub struct NewPayment {
    /// Its id.
    pub id: PaymentId,
    /// Whose it is.
    pub participant: String,
    /// What was asked for.
    pub order: PaymentOrder,
    /// The same in its normal form.
    pub request: Vec<u8>,
    /// Where it goes.
    pub route: Route,
    /// Its reference at the bank.
    pub uetr: Uuid,
    /// When it was accepted.
    pub at: SystemTime,
}

/// A payment as it stands.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Payment {
    id: Uuid,
    /// What was asked for, in its normal form.
    pub request: Vec<u8>,
    /// The reference that travels to the payee.
    pub end_to_end_id: String,
    /// Its bank.
    pub bank_id: String,
    uetr: Uuid,
    /// Its state.
    pub state: String,
    /// Why it is in that state; empty if that needs no reason.
    pub reason_code: String,
    sequence: i32,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
}

impl Payment {
    /// Goes on to its next state, for a reason if that needs one.
    pub(super) fn go_to(&mut self, state: &str, reason_code: &str, at: SystemTime) {
        state.clone_into(&mut self.state);
        reason_code.clone_into(&mut self.reason_code);
        self.sequence += 1;
        self.updated_at = at.into();
    }

    /// As callers see it.
    ///
    /// # Errors
    /// When the recorded request cannot be read.
    pub fn to_wire(&self) -> Result<payments::Payment, prost::DecodeError> {
        let request = payments::CreatePaymentRequest::decode(self.request.as_slice())?;
        let state = payments::PaymentState::from_str_name(&format!("PAYMENT_STATE_{}", self.state));
        let reason = payments::Reason { code: self.reason_code.clone(), ..payments::Reason::default() };
        Ok(payments::Payment {
            id: PaymentId::from_uuid(self.id).to_string(),
            request_id: request.request_id,
            payer_account: request.payer_account,
            payee: request.payee,
            amount: request.amount,
            remittance_information: request.remittance_information,
            end_to_end_id: self.end_to_end_id.clone(),
            metadata: request.metadata,
            bank_id: self.bank_id.clone(),
            uetr: self.uetr.to_string(),
            state: state.unwrap_or_default().into(),
            reason: (!self.reason_code.is_empty()).then_some(reason),
            sequence: self.sequence.into(),
            create_time: Some(convert::time_to_wire(self.created_at.into())),
            update_time: Some(convert::time_to_wire(self.updated_at.into())),
            kind: payments::PaymentKind::Payment.into(),
            ..payments::Payment::default()
        })
    }
}

/// Writes the payment and its first event; none if its request id is taken.
pub(super) async fn insert(
    connection: &mut PgConnection,
    new: &NewPayment,
) -> Result<Option<Payment>, sqlx::Error> {
    let order = &new.order;
    let own_reference = || new.id.uuid().simple().to_string();
    let at = OffsetDateTime::from(new.at);
    let payment = Payment {
        id: new.id.uuid(),
        request: new.request.clone(),
        end_to_end_id: order.end_to_end_id.clone().unwrap_or_else(own_reference),
        bank_id: new.route.bank_id.clone(),
        uetr: new.uetr,
        state: "SUBMITTED".to_owned(),
        reason_code: String::new(),
        sequence: 1,
        created_at: at,
        updated_at: at,
    };
    let inserted = sqlx::query(
        "INSERT INTO payments (id, participant_id, request_id, request, payer_account, credit_account, amount, currency, \
         end_to_end_id, bank_id, uetr, state, reason_code, sequence, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $15) \
         ON CONFLICT (participant_id, request_id) DO NOTHING",
    )
    .bind(payment.id)
    .bind(&new.participant)
    .bind(&order.request_id)
    .bind(&payment.request)
    .bind(order.payer_account.uuid())
    .bind(new.route.settlement.uuid())
    .bind(order.amount.minor_units())
    .bind(order.amount.currency().code())
    .bind(&payment.end_to_end_id)
    .bind(&payment.bank_id)
    .bind(payment.uetr)
    .bind(&payment.state)
    .bind(&payment.reason_code)
    .bind(payment.sequence)
    .bind(at)
    .execute(&mut *connection)
    .await?;
    if inserted.rows_affected() == 0 {
        return Ok(None);
    }
    event(connection, &payment).await?;
    Ok(Some(payment))
}

/// Writes the payment's new state, and the event of it.
pub(super) async fn update(connection: &mut PgConnection, payment: &Payment) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE payments SET state = $2, reason_code = $3, sequence = $4, updated_at = $5 WHERE id = $1",
    )
    .bind(payment.id)
    .bind(&payment.state)
    .bind(&payment.reason_code)
    .bind(payment.sequence)
    .bind(payment.updated_at)
    .execute(&mut *connection)
    .await?;
    event(connection, payment).await
}

async fn event(connection: &mut PgConnection, payment: &Payment) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO payment_events (payment_id, sequence, state, reason_code, created_at) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(payment.id)
    .bind(payment.sequence)
    .bind(&payment.state)
    .bind(&payment.reason_code)
    .bind(payment.updated_at)
    .execute(connection)
    .await
    .map(drop)
}
