//! The console as raw HTTP: what it says to browsers, and what it refuses when nobody polite asks.

use reqwest::{
    Method, Response, StatusCode,
    header::{COOKIE, HeaderMap, HeaderName, LOCATION, ORIGIN, SET_COOKIE},
    redirect::Policy,
};

use crate::bench::{Bench, run};

const PAGES: [&str; 5] =
    ["/console", "/console/payments", "/console/balance", "/console/webhooks", "/console/sign-in"];

fn client() -> reqwest::Client {
    reqwest::Client::builder().redirect(Policy::none()).build().unwrap()
}

/// Sends a request as a browser would from the console's own page, with these headers besides.
async fn send(
    bench: &Bench,
    method: Method,
    path: &str,
    form: &[(&str, &str)],
    headers: &[(HeaderName, &str)],
) -> Result<Response, reqwest::Error> {
    let mut all = HeaderMap::new();
    if method == Method::POST {
        all.insert(ORIGIN, bench.url().parse().unwrap());
    }
    for (name, value) in headers {
        all.insert(name, value.parse().unwrap());
    }
    let request = client().request(method.clone(), format!("{}{path}", bench.url())).headers(all);
    if method == Method::POST { request.form(form) } else { request }.send().await
}

async fn get(bench: &Bench, path: &str, cookie: &str) -> Result<Response, reqwest::Error> {
    send(bench, Method::GET, path, &[], &[(COOKIE, cookie)]).await
}

/// Signs in; the cookie as it was set.
async fn sign_in(bench: &Bench, key: &str) -> Result<String, reqwest::Error> {
    let answer = send(bench, Method::POST, "/console/sign-in", &[("key", key)], &[]).await?;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    Ok(answer.headers()[SET_COOKIE].to_str().unwrap().to_owned())
}

fn pair(cookie: &str) -> &str {
    cookie.split(';').next().unwrap()
}

/// The token of a page's forms.
fn form_token(page: &str) -> &str {
    let (_, rest) = page.split_once("name=\"token\" value=\"").unwrap();
    rest.split('"').next().unwrap()
}

#[test]
fn every_answer_says_what_the_browser_must_hold_to() {
    run(async |bench| {
        let cookie = sign_in(bench, bench.system.credential(0)).await?;
        assert!(cookie.ends_with("; Path=/console; HttpOnly; SameSite=Strict"), "{cookie}");
        assert!(pair(&cookie).len() > 15 + 42, "256 bits: {cookie}");
        let others =
            ["/console/assets/console.css", "/console/assets/overview.js", "/console/payments/pay_x"];
        for path in PAGES.iter().chain(&others) {
            let answer = get(bench, path, pair(&cookie)).await?;
            let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
            assert_eq!(
                header("content-security-policy"),
                "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                 form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
                "{path}"
            );
            let rest =
                ["x-content-type-options", "referrer-policy", "cache-control", "x-frame-options"].map(header);
            assert_eq!(rest, ["nosniff", "same-origin", "no-store", "DENY"], "{path}");
            assert!(header("permissions-policy").contains("camera=()"), "{path}");
        }
        Ok(())
    });
}

#[test]
fn nothing_is_seen_or_done_without_a_session() {
    run(async |bench| {
        let endpoint = "/console/webhooks/we_00000000000000000000000000000001";
        for path in
            [&PAGES[..4], &["/console/payments/pay_x", "/console/payments/pay_x/receipt", endpoint]].concat()
        {
            for cookie in ["", "rialto_console=", "rialto_console=x", "a=b"] {
                let answer = get(bench, path, cookie).await?;
                assert_eq!(answer.status(), StatusCode::SEE_OTHER, "{path} {cookie}");
                assert_eq!(answer.headers()[LOCATION], "/console/sign-in");
                assert_eq!(answer.text().await?, "");
            }
        }
        for path in ["/console/sign-out", &format!("{endpoint}/replay")] {
            let form = [("token", ""), ("from", ""), ("until", "")];
            let answer = send(bench, Method::POST, path, &form, &[]).await?;
            assert_eq!(answer.headers()[LOCATION], "/console/sign-in", "{path}");
        }
        Ok(())
    });
}

#[test]
fn only_keys_of_operators_and_auditors_begin_a_session() {
    run(async |bench| {
        for (key, status) in [
            ("", StatusCode::UNAUTHORIZED),
            ("rk_nobody", StatusCode::UNAUTHORIZED),
            ("rk_\u{7}", StatusCode::UNAUTHORIZED),
            (&bench.merchant_key, StatusCode::FORBIDDEN),
        ] {
            let answer = send(bench, Method::POST, "/console/sign-in", &[("key", key)], &[]).await?;
            assert_eq!((answer.status(), answer.headers().get(SET_COOKIE)), (status, None), "{key:?}");
            let text = answer.text().await?;
            assert!(key.is_empty() || !text.contains(key), "the key is not sent back");
        }
        sign_in(bench, bench.system.credential(0)).await?;
        let log = std::fs::read_to_string(bench.system.folder().join("gateway.log"))?;
        for key in ["rk_nobody", &bench.merchant_key, bench.system.credential(0)] {
            assert!(!log.contains(key), "a key in the log");
        }
        let large = "x".repeat(10_000);
        for form in [
            &[("key", large.as_str())][..],
            &[],
            &[("key", "x"), ("more", "y")],
            &[("key", "x"), ("key", "y")],
        ] {
            let answer = send(bench, Method::POST, "/console/sign-in", form, &[]).await?;
            assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{}", form.len());
        }
        Ok(())
    });
}

#[test]
fn another_pages_form_changes_nothing() {
    run(async |bench| {
        let cookie = sign_in(bench, bench.system.credential(0)).await?;
        let cookie = pair(&cookie);
        let page = get(bench, "/console", cookie).await?.text().await?;
        let token = form_token(&page);
        let site = HeaderName::from_static("sec-fetch-site");
        for headers in [
            &[(COOKIE, cookie), (ORIGIN, "http://attacker.example")][..],
            &[(COOKIE, cookie), (ORIGIN, "null")],
            &[(COOKIE, cookie), (site.clone(), "cross-site")],
            &[(COOKIE, cookie), (site.clone(), "same-site")],
        ] {
            for path in ["/console/sign-out", "/console/sign-in"] {
                let form = [("token", token)];
                let answer = send(bench, Method::POST, path, &form, headers).await?;
                assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{path} {headers:?}");
            }
        }
        // From the console's own page, and with another session's token or none.
        let other = sign_in(bench, bench.system.credential(0)).await?;
        let others = get(bench, "/console", pair(&other)).await?.text().await?;
        for bad in ["", "x", form_token(&others)] {
            let answer =
                send(bench, Method::POST, "/console/sign-out", &[("token", bad)], &[(COOKIE, cookie)])
                    .await?;
            assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{bad}");
        }
        assert_eq!(get(bench, "/console", cookie).await?.status(), StatusCode::OK, "still signed in");
        let answer =
            send(bench, Method::POST, "/console/sign-out", &[("token", token)], &[(COOKIE, cookie)]).await?;
        assert_eq!(answer.headers()[LOCATION], "/console/sign-in?why=out");
        assert_eq!(get(bench, "/console", cookie).await?.status(), StatusCode::SEE_OTHER, "signed out");
        Ok(())
    });
}

#[test]
fn a_name_that_was_bent_to_this_machine_leads_nowhere() {
    run(async |bench| {
        use reqwest::header::HOST;
        let cookie = sign_in(bench, bench.system.credential(0)).await?;
        for host in ["attacker.example", "localhost.attacker.example", "10.0.0.1"] {
            for path in ["/console", "/console/sign-in", "/console/assets/overview.js"] {
                let answer =
                    send(bench, Method::GET, path, &[], &[(COOKIE, pair(&cookie)), (HOST, host)]).await?;
                assert_eq!(answer.status(), StatusCode::MISDIRECTED_REQUEST, "{host} {path}");
            }
        }
        // What scrapers and probes read has no secrets, and asks for no name.
        assert_eq!(bench.system.admin(harness::system::Service::Gateway, "/healthz").await?.0, 200);
        Ok(())
    });
}

#[test]
fn bad_addresses_are_refused_and_say_nothing_of_others() {
    run(async |bench| {
        let cookie = sign_in(bench, bench.system.credential(0)).await?;
        for (path, status) in [
            ("/console/payments?state=nonsense", StatusCode::BAD_REQUEST),
            ("/console/payments?from=yesterday", StatusCode::BAD_REQUEST),
            ("/console/payments?no_such=1", StatusCode::BAD_REQUEST),
            ("/console/payments?state=&state=", StatusCode::BAD_REQUEST),
            ("/console/payments?page_token=x", StatusCode::OK),
            ("/console/payments?account=x", StatusCode::OK),
            ("/console/payments/pay_x", StatusCode::BAD_REQUEST),
            ("/console/payments/pay_00000000000000000000000000000001", StatusCode::NOT_FOUND),
            ("/console/payments/pay_00000000000000000000000000000001/receipt", StatusCode::CONFLICT),
            ("/console/webhooks/we_00000000000000000000000000000001", StatusCode::NOT_FOUND),
            ("/console/webhooks/we_x?page_token=x", StatusCode::BAD_REQUEST),
            ("/console/assets/../console.rs", StatusCode::NOT_FOUND),
            ("/console/assets/%2e%2e/console.rs", StatusCode::NOT_FOUND),
        ] {
            let answer = get(bench, path, pair(&cookie)).await?;
            assert_eq!(answer.status(), status, "{path}");
        }
        // The house sees nobody's payments here either.
        let house = sign_in(bench, bench.system.house_operator()).await?;
        let path = format!("/console/payments/{}", bench.paid.id);
        assert_eq!(get(bench, &path, pair(&house)).await?.status(), StatusCode::NOT_FOUND);
        let list = get(bench, "/console/payments", pair(&house)).await?.text().await?;
        assert!(!list.contains(&bench.paid.id));
        Ok(())
    });
}
