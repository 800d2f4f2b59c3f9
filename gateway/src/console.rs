//! The console: pages for operators, served by the admin server. Each page is made of the calls that its reader could make as well, with
//! the reader's own credential, and shows nothing else.
//!
//! Everything a page needs is embedded here. Pages are whole without JavaScript; scripts draw charts, renew, and verify receipts.

mod assets;
mod door;
mod language;
mod pages;
mod session;
mod show;
mod sign_in;
mod visitor;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::{HeaderMap, header::COOKIE},
    middleware,
    routing::{get, post},
};
use common::clock::Clock;

use crate::front::Front;
use session::Sessions;

/// The largest form that is read: an API key, or a token of an identity provider.
const MAX_FORM_BYTES: usize = 8 << 10;

/// Who may use the console. The admin server is plain HTTP, so that keys and pages are safe only where nobody else listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Whoever is on this machine, or comes through it (`kubectl port-forward`, `ssh -L`).
    Loopback,
    /// Whoever reaches the address: behind something that ends TLS.
    Anybody,
}

/// What the pages share.
#[derive(Clone, Debug)]
struct Console {
    front: Front,
    sessions: Sessions,
    reach: Reach,
    clock: Clock,
}

/// The console, for callers of `front`.
pub fn router(front: Front, reach: Reach, clock: Clock) -> Router {
    let console = Console { front, sessions: Sessions::default(), reach, clock };
    Router::new()
        .route("/console", get(pages::overview::show))
        .route("/console/sign-in", get(sign_in::show).post(sign_in::begin))
        .route("/console/sign-out", post(sign_in::end))
        .route("/console/payments", get(pages::payments::list))
        .route("/console/payments/{payment}", get(pages::payment::show))
        .route("/console/payments/{payment}/receipt", get(pages::payment::receipt))
        .route("/console/balance", get(pages::balance::show))
        .route("/console/webhooks", get(pages::webhooks::list))
        .route("/console/webhooks/{endpoint}", get(pages::webhooks::show))
        .route("/console/webhooks/{endpoint}/replay", post(pages::webhooks::replay))
        .route("/console/assets/{*name}", get(assets::serve))
        .layer(DefaultBodyLimit::max(MAX_FORM_BYTES))
        .layer(middleware::from_fn_with_state(console.clone(), door::guard))
        .with_state(console)
}

/// A cookie's value, if it was sent once.
fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let sent = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = sent.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let mut values = pairs.filter(|(own, _)| *own == name).map(|(_, value)| value);
    values.next().filter(|_| values.next().is_none())
}
