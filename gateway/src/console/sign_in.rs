//! Signing in with a credential, and out.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use askama::Template;
use axum::{
    Form,
    extract::{
        ConnectInfo, Query, State,
        rejection::{FormRejection, QueryRejection},
    },
    http::{HeaderMap, StatusCode, Uri, header::SET_COOKIE},
    response::{IntoResponse, Redirect, Response},
};
use serde::Deserialize;
use tonic::{Code, metadata::AsciiMetadataValue};

use super::{
    Console, cookie, door,
    language::{Language, Texts},
    session::{NoSession, metadata_of},
    visitor::{Frame, Visitor, page},
};
use crate::{
    caller::{Action, Participant},
    front::Origin,
};

/// The cookie that names a session.
pub(super) const COOKIE: &str = "rialto_console";
/// Whoever cannot sign in hears so after this long, so that nobody tries quickly on one connection.
const REFUSED_AFTER: Duration = Duration::from_millis(300);

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage {
    frame: Frame,
    notice: &'static str,
    problem: &'static str,
}

/// Why somebody comes to the page.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    why: String,
}

/// What is sent to sign in.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sent {
    key: String,
}

/// What is sent to sign out.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Token {
    token: String,
}

/// The page to sign in.
pub(super) async fn show(
    headers: HeaderMap,
    uri: Uri,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Response {
    let language = Language::asked(uri.query()).unwrap_or_else(|| Language::of(&headers));
    let why = asked.map(|Query(asked)| asked.why).unwrap_or_default();
    let notice = match why.as_str() {
        "over" => language.texts().session_over,
        "out" => language.texts().signed_out,
        _ => "",
    };
    page(&SignInPage { frame: Frame::of_anybody(language), notice, problem: "" })
}

/// Begins a session for whoever sent a credential that may use the console: judged as a call's is, with the same bounds on bad ones.
pub(super) async fn begin(
    State(console): State<Console>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    sent: Result<Form<Sent>, FormRejection>,
) -> Response {
    let language = Language::of(&headers);
    let refused = async |status, problem: fn(&'static Texts) -> &'static str| {
        tokio::time::sleep(REFUSED_AFTER).await;
        let problem = problem(language.texts());
        let frame = Frame::of_anybody(language);
        (status, page(&SignInPage { frame, notice: "", problem })).into_response()
    };
    let Ok(Form(Sent { key })) = sent else {
        return refused(StatusCode::BAD_REQUEST, |t| t.bad_form).await;
    };
    let Ok(mut credential) = AsciiMetadataValue::try_from(format!("Bearer {}", key.trim())) else {
        return refused(StatusCode::UNAUTHORIZED, |t| t.not_known).await;
    };
    credential.set_sensitive(true);
    let metadata = metadata_of(&credential);
    let caller =
        match console.front.admit(&metadata, Origin::at(Some(peer.ip())), Action::ReadOperations).await {
            Ok(caller) => caller,
            Err(fault) => {
                let (status, problem): (_, fn(&'static Texts) -> &'static str) = match fault.code() {
                    Code::Unauthenticated => (StatusCode::UNAUTHORIZED, |t| t.not_known),
                    Code::PermissionDenied => (StatusCode::FORBIDDEN, |t| t.not_allowed),
                    Code::ResourceExhausted => (StatusCode::TOO_MANY_REQUESTS, |t| t.too_many_tries),
                    _ => (StatusCode::SERVICE_UNAVAILABLE, |t| t.not_now),
                };
                return refused(status, problem).await;
            }
        };
    match console.sessions.begin(credential, &caller.participant, Instant::now()) {
        Ok(token) => {
            let Participant { cell, name } = &caller.participant;
            tracing::info!(participant = name, %cell, "somebody signed in to the console");
            // Whoever signs in anew has no further use for the session before.
            console.sessions.end(cookie(&headers, COOKIE).unwrap_or_default());
            let secure = if door::is_over_tls(&headers) { "; Secure" } else { "" };
            let cookie = format!("{COOKIE}={token}; Path=/console; HttpOnly; SameSite=Strict{secure}");
            ([(SET_COOKIE, cookie)], Redirect::to("/console")).into_response()
        }
        Err(NoSession::TooMany) => refused(StatusCode::TOO_MANY_REQUESTS, |t| t.too_many_sessions).await,
        Err(NoSession::NoRandomness) => refused(StatusCode::INTERNAL_SERVER_ERROR, |t| t.not_now).await,
    }
}

/// Ends the session.
pub(super) async fn end(
    visitor: Visitor,
    State(console): State<Console>,
    headers: HeaderMap,
    sent: Result<Form<Token>, FormRejection>,
) -> Response {
    match sent {
        Ok(Form(Token { token })) if visitor.made_form(&token) => {
            console.sessions.end(cookie(&headers, COOKIE).unwrap_or_default());
            let gone = format!("{COOKIE}=; Path=/console; HttpOnly; SameSite=Strict; Max-Age=0");
            ([(SET_COOKIE, gone)], Redirect::to("/console/sign-in?why=out")).into_response()
        }
        _ => visitor.bad_request(),
    }
}
