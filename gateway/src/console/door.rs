//! What every request to the console passes: who is connected, for which host, from which page; and what every answer says to the browser.

use std::{net::SocketAddr, time::Duration};

use axum::{
    extract::{ConnectInfo, Request, State},
    http::{
        HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
        header::{
            CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, ORIGIN, REFERRER_POLICY, SET_COOKIE,
            X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
        },
        uri::Authority,
    },
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{Console, Reach, language::Language};

/// How long an answer may take, with the reading of what was sent.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);

/// Nothing but what this origin serves is loaded, run, asked or sent to, and no page shows this one.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

const HEADERS: [(HeaderName, &str); 8] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    // Forms would come from nowhere ("null") if not even this origin heard where they come from.
    (REFERRER_POLICY, "same-origin"),
    (CACHE_CONTROL, "no-store"),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    ),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// Why a request is not let in, in words for whoever looks at it.
type Refusal = (StatusCode, &'static str);

/// Lets a request in or not, and has the answer say what the browser must hold to.
pub(super) async fn guard(State(console): State<Console>, request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(address)| *address);
    let checked = reaches(console.reach, peer, request.headers())
        .and_then(|()| comes_from_here(request.method(), request.headers()));
    let language = Language::asked(request.uri().query());
    let mut response = match checked {
        Err(refusal) => refusal.into_response(),
        Ok(()) => match tokio::time::timeout(ANSWER_WITHIN, next.run(request)).await {
            Ok(response) => response,
            Err(_) => (StatusCode::GATEWAY_TIMEOUT, "no answer in time: try again").into_response(),
        },
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    if let Some(cookie) = language.and_then(|language| HeaderValue::from_str(&language.cookie()).ok()) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

/// Whether whoever is connected may use a console that reaches so far. A page elsewhere whose name leads to this machine (DNS
/// rebinding) asks for that name, and not for this machine's.
fn reaches(reach: Reach, peer: Option<SocketAddr>, headers: &HeaderMap) -> Result<(), Refusal> {
    if reach == Reach::Anybody {
        return Ok(());
    }
    if !peer.is_some_and(|peer| peer.ip().to_canonical().is_loopback()) {
        let why = "the console answers this machine alone: use kubectl port-forward or ssh -L, or see --insecure-console";
        return Err((StatusCode::FORBIDDEN, why));
    }
    match host(headers).as_ref().map(Authority::host) {
        Some("localhost" | "127.0.0.1" | "[::1]") => Ok(()),
        _ => Err((StatusCode::MISDIRECTED_REQUEST, "ask for localhost, 127.0.0.1 or [::1]")),
    }
}

/// The one host that was asked for.
fn host(headers: &HeaderMap) -> Option<Authority> {
    let mut values = headers.get_all(HOST).iter();
    let (Some(host), None) = (values.next(), values.next()) else { return None };
    let host: Authority = host.to_str().ok()?.parse().ok()?;
    (!host.as_str().contains('@')).then_some(host)
}

/// Whether what changes something was sent by a page of this console: as the browser says (Fetch Metadata), or else by its origin.
fn comes_from_here(method: &Method, headers: &HeaderMap) -> Result<(), Refusal> {
    if matches!(*method, Method::GET | Method::HEAD) {
        return Ok(());
    }
    let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    let origin = headers.get(ORIGIN).map(|origin| origin.to_str().unwrap_or_default());
    let own = |origin: &str| {
        let authority = origin.split_once("://").map(|(_, authority)| authority);
        authority.is_some() && authority == host(headers).as_ref().map(Authority::as_str)
    };
    let from_here = match (site, origin) {
        (Some(b"same-origin"), None) => true,
        (Some(b"same-origin") | None, Some(origin)) => own(origin),
        _ => false,
    };
    if from_here {
        Ok(())
    } else {
        Err((StatusCode::FORBIDDEN, "only the console's own pages may send this"))
    }
}

/// Whether the browser came here over TLS, which somebody before this server ended.
pub(super) fn is_over_tls(headers: &HeaderMap) -> bool {
    headers.get(ORIGIN).is_some_and(|origin| origin.as_bytes().starts_with(b"https://"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().expect("a value"));
        }
        headers
    }

    #[test]
    fn only_this_machine_asking_for_this_machine_is_let_in() {
        let status = |reach, peer: &str, hosts: &[&str]| {
            let hosts: Vec<_> = hosts.iter().map(|host| ("host", *host)).collect();
            let peer = Some(peer.parse().expect("an address"));
            reaches(reach, peer, &headers(&hosts)).map_err(|(status, _)| status.as_u16())
        };
        for peer in ["127.0.0.1:5", "127.8.8.8:5", "[::1]:5", "[::ffff:127.0.0.1]:5"] {
            for host in ["localhost", "localhost:9000", "127.0.0.1:1", "[::1]:1"] {
                assert_eq!(status(Reach::Loopback, peer, &[host]), Ok(()), "{peer} {host}");
            }
            for host in
                ["attacker.example", "localhost.attacker.example", "x@localhost", "127.0.0.2", "", "[::2]:1"]
            {
                assert_eq!(status(Reach::Loopback, peer, &[host]), Err(421), "{peer} {host}");
            }
            assert_eq!(status(Reach::Loopback, peer, &[]), Err(421));
            assert_eq!(status(Reach::Loopback, peer, &["localhost", "localhost"]), Err(421));
        }
        for peer in ["10.0.0.1:5", "[2001:db8::1]:5", "[::ffff:10.0.0.1]:5", "0.0.0.0:5"] {
            assert_eq!(status(Reach::Loopback, peer, &["localhost"]), Err(403), "{peer}");
            assert_eq!(status(Reach::Anybody, peer, &["console.example"]), Ok(()), "{peer}");
        }
        assert!(reaches(Reach::Loopback, None, &headers(&[("host", "localhost")])).is_err());
    }

    #[test]
    fn what_changes_something_comes_from_the_consoles_own_pages() {
        let comes = |pairs: &[(&'static str, &str)]| {
            let pairs = [&[("host", "localhost:9000")], pairs].concat();
            comes_from_here(&Method::POST, &headers(&pairs)).is_ok()
        };
        let (own, site) = (("origin", "http://localhost:9000"), "sec-fetch-site");
        assert!(comes(&[own, (site, "same-origin")]));
        assert!(comes(&[own]));
        assert!(comes(&[(site, "same-origin")]));
        for bad in ["cross-site", "same-site", "none", ""] {
            assert!(!comes(&[own, (site, bad)]), "{bad}");
        }
        for bad in [
            "null",
            "http://localhost:9001",
            "http://localhost:9000.attacker.example",
            "http://attacker.example",
        ] {
            assert!(!comes(&[("origin", bad)]), "{bad}");
            assert!(!comes(&[("origin", bad), (site, "same-origin")]), "{bad}");
        }
        assert!(!comes(&[]), "nobody says where it comes from");
        assert!(comes_from_here(&Method::GET, &headers(&[(site, "cross-site")])).is_ok());
    }
}
