//! Who looks at a page, and how its calls are made: with their own credential, which each request has judged anew.

use std::{net::SocketAddr, sync::Arc, time::Duration, time::Instant};

use askama::Template;
use axum::{
    extract::{ConnectInfo, FromRequestParts},
    http::{HeaderMap, StatusCode, request::Parts},
    response::{Html, IntoResponse, Redirect, Response},
};
use proto::{
    convert::EVERYBODY,
    platform::{command::Operation, reply},
};
use tonic::{Code, Extensions, Request, Status};

use super::{
    Console, cookie,
    language::{Language, Texts},
    session::Session,
    sign_in,
};
use crate::{
    caller::{Action, Caller, Role},
    front::{Front, Origin},
};

/// How long a page waits for what it shows.
const CALL_TIMEOUT: Duration = Duration::from_secs(8);

/// Somebody who is signed in.
#[derive(Debug)]
pub(super) struct Visitor {
    session: Session,
    front: Front,
    caller: Arc<Caller>,
    is_house: bool,
    language: Language,
}

/// What is around a page.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) t: &'static Texts,
    pub(super) language: Language,
    /// Which page it is, as its address ends.
    pub(super) page: &'static str,
    /// Who is signed in; none on pages for everybody.
    pub(super) who: Option<Who>,
}

/// Who is signed in, as pages show it.
#[derive(Debug)]
pub(super) struct Who {
    pub(super) participant: String,
    pub(super) roles: String,
    pub(super) form_token: String,
}

impl Frame {
    /// The frame of a page for whoever is not signed in.
    pub(super) fn of_anybody(language: Language) -> Self {
        Self { t: language.texts(), language, page: "", who: None }
    }

    /// Whether this page is the one of that address.
    pub(super) fn is(&self, page: &str) -> bool {
        self.page == page
    }

    /// The language that this page is not in.
    pub(super) fn other_language(&self) -> &'static str {
        match self.language {
            Language::English => Language::Chinese.tag(),
            Language::Chinese => Language::English.tag(),
        }
    }
}

#[derive(Template)]
#[template(path = "problem.html")]
struct ProblemPage<'a> {
    frame: Frame,
    message: &'a str,
    code: &'a str,
}

impl FromRequestParts<Console> for Visitor {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, console: &Console) -> Result<Self, Response> {
        let language = Language::asked(parts.uri.query()).unwrap_or_else(|| Language::of(&parts.headers));
        let token = cookie(&parts.headers, sign_in::COOKIE).unwrap_or_default();
        let session = console.sessions.find(token, Instant::now(), is_use(&parts.headers));
        let session = session.ok_or_else(|| Redirect::to("/console/sign-in").into_response())?;
        let address = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip());
        match console.front.admit(&session.metadata(), Origin::at(address), Action::ReadOperations).await {
            Ok(caller) => {
                let (front, is_house) = (console.front.clone(), console.front.is_house(&caller));
                Ok(Self { session, front, caller, is_house, language })
            }
            Err(fault) if matches!(fault.code(), Code::Unauthenticated | Code::PermissionDenied) => {
                console.sessions.end(token);
                Err(Redirect::to("/console/sign-in?why=over").into_response())
            }
            Err(fault) => Err(problem_page(Frame::of_anybody(language), &fault.into())),
        }
    }
}

/// Whether a person asked, rather than a page by itself.
fn is_use(headers: &HeaderMap) -> bool {
    headers.get("sec-fetch-dest").is_none_or(|destination| destination == "document")
}

impl Visitor {
    /// What the console says to them.
    pub(super) fn texts(&self) -> &'static Texts {
        self.language.texts()
    }

    /// Whether they are the house's.
    pub(super) fn is_house(&self) -> bool {
        self.is_house
    }

    /// Whose figures they look at, as requests say it.
    pub(super) fn whose(&self) -> String {
        if self.is_house { EVERYBODY.to_owned() } else { String::new() }
    }

    /// Why they may not replay webhooks here, if they may not.
    pub(super) fn no_replay(&self) -> Option<&'static str> {
        match (self.caller.may(Action::ManageWebhooks, self.is_house), &self.caller.verification_key) {
            (false, _) => Some(self.texts().replay_operator),
            (true, Some(_)) => Some(self.texts().replay_signed),
            (true, None) => None,
        }
    }

    /// Whether a form was made for this session.
    pub(super) fn made_form(&self, token: &str) -> bool {
        // Hashes are compared in constant time.
        blake3::hash(token.as_bytes()) == blake3::hash(self.session.form_token().as_bytes())
    }

    /// The frame of a page.
    pub(super) fn frame(&self, page: &'static str) -> Frame {
        let roles: Vec<_> = self.caller.roles.iter().map(|role| Role::name(*role)).collect();
        let who = Who {
            participant: self.caller.participant.name.clone(),
            roles: roles.join(", "),
            form_token: self.session.form_token().to_owned(),
        };
        Frame { t: self.texts(), language: self.language, page, who: Some(who) }
    }

    /// Makes a call, as over gRPC.
    pub(super) async fn call<Q, A>(
        &self,
        message: Q,
        action: Action,
        operation: impl FnOnce(Q) -> Operation,
        response: impl FnOnce(reply::Result) -> Option<A>,
    ) -> Result<A, Status> {
        let mut request = Request::from_parts(self.session.metadata(), Extensions::new(), message);
        request.set_timeout(CALL_TIMEOUT);
        let answered = self.front.carry(request, action, |_| Ok(()), operation, response).await;
        answered.map(tonic::Response::into_inner)
    }

    /// What they see of a call that failed.
    pub(super) fn problem(&self, status: &Status) -> Response {
        problem_page(self.frame(""), status)
    }

    /// What they see of a form or an address that cannot be read.
    pub(super) fn bad_request(&self) -> Response {
        self.problem(&Status::invalid_argument(self.texts().bad_form))
    }
}

/// Makes a call of a visitor: `call!(visitor, action, Operation, message)`.
macro_rules! call {
    ($visitor:expr, $action:ident, $operation:ident, $message:expr) => {
        $visitor.call(
            $message,
            $crate::caller::Action::$action,
            proto::platform::command::Operation::$operation,
            |result| match result {
                proto::platform::reply::Result::$operation(response) => Some(response),
                _ => None,
            },
        )
    };
}
pub(super) use call;

fn problem_page(frame: Frame, status: &Status) -> Response {
    let code = match status.code() {
        Code::InvalidArgument | Code::OutOfRange => StatusCode::BAD_REQUEST,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::FailedPrecondition | Code::Aborted | Code::AlreadyExists => StatusCode::CONFLICT,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let name = format!("{:?}", status.code());
    (code, page(&ProblemPage { frame, message: status.message(), code: &name })).into_response()
}

/// A page as it is sent.
pub(super) fn page(template: &impl Template) -> Response {
    match template.render() {
        Ok(text) => Html(text).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page cannot be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
