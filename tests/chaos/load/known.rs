//! Payments that callers have heard of, for all of them to capture, cancel and refund.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use proto::payments::{Payment, PaymentKind};
use rand::{RngExt, rngs::StdRng, seq::IndexedRandom};

use super::call::Call;
use crate::journal::{kind_name, state_name};

/// How many are remembered of each kind.
const REMEMBERED: usize = 120;
/// Of these few newest most are drawn, so that several callers meet at one.
const NEWEST: usize = 6;
/// How near to its expiry an authorization is, if it is drawn for that.
const ABOUT_TO_EXPIRE: Duration = Duration::from_millis(600);

/// A payment that a caller has heard of.
#[derive(Clone, Debug)]
pub struct Known {
    /// `pay_…`.
    pub id: String,
    /// The request id that made it.
    pub request_id: String,
    /// The request id of the payment that it goes back to.
    pub family: String,
    /// What it is.
    pub kind: PaymentKind,
    /// Its state, the last time that it was heard of.
    pub state: String,
    /// Minor units.
    pub amount: i64,
    /// The amount's currency.
    pub currency: String,
    expires_at: Option<SystemTime>,
}

impl Known {
    /// What the journal says that was known of it.
    pub fn seen(&self) -> String {
        format!("{} {}", kind_name(self.kind), self.state)
    }

    fn expires_about(&self, now: SystemTime) -> bool {
        let Some(expires_at) = self.expires_at else { return false };
        let after = now.duration_since(expires_at);
        after.unwrap_or_else(|before| before.duration()) < ABOUT_TO_EXPIRE
    }
}

/// Who may be drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// Authorizations, ended ones as well.
    Authorization,
    /// Those that wait for their bank, and some others that can't be cancelled.
    Payment,
    /// Payments and captures that succeeded.
    Succeeded,
    /// Whatever can't be refunded, as far as anybody has heard.
    NotRefundable,
}

impl Sort {
    fn has(self, known: &Known) -> bool {
        let is_payment = matches!(known.kind, PaymentKind::Payment | PaymentKind::Capture);
        match self {
            Self::Authorization => known.kind == PaymentKind::Authorization,
            Self::Payment => is_payment,
            Self::Succeeded => is_payment && known.state == "SUCCEEDED",
            Self::NotRefundable => !is_payment || known.state != "SUCCEEDED",
        }
    }
}

/// The payments that callers have heard of.
#[derive(Debug, Default)]
pub struct KnownPayments(Mutex<VecDeque<Known>>);

impl KnownPayments {
    /// A caller has heard of a payment.
    pub fn heard(&self, call: &Call, payment: &Payment) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let state = state_name(payment);
        if let Some(known) = all.iter_mut().rev().find(|known| known.id == payment.id) {
            known.state = state;
            return;
        }
        let amount = payment.amount.clone().unwrap_or_default();
        let kind = payment.kind();
        all.push_back(Known {
            id: payment.id.clone(),
            request_id: payment.request_id.clone(),
            family: call.family.clone(),
            kind,
            state,
            amount: amount.minor_units,
            currency: amount.currency,
            expires_at: payment.expire_time.and_then(|time| SystemTime::try_from(time).ok()),
        });
        if all.iter().filter(|known| known.kind == kind).count() > REMEMBERED
            && let Some(oldest) = all.iter().position(|known| known.kind == kind)
        {
            all.remove(oldest);
        }
    }

    /// The one with this id.
    pub fn by_id(&self, id: &str) -> Option<Known> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().rev().find(|known| known.id == id).cloned()
    }

    /// One of a sort; most often one of the newest.
    pub fn draw(&self, random: &mut StdRng, sort: Sort) -> Option<Known> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fitting: Vec<&Known> = all.iter().rev().filter(|known| sort.has(known)).collect();
        let newest = if random.random_bool(0.8) { fitting.len().min(NEWEST) } else { fitting.len() };
        fitting.get(..newest)?.choose(random).map(|known| (*known).clone())
    }

    /// An authorization whose time is just about to be over.
    pub fn draw_expiring(&self, random: &mut StdRng, now: SystemTime) -> Option<Known> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fitting: Vec<&Known> = all.iter().filter(|known| known.expires_about(now)).collect();
        fitting.choose(random).map(|known| (*known).clone())
    }
}
