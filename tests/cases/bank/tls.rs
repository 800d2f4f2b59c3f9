//! The bank over TLS: whom it lets in, and that its misbehaviour is the same there.

use std::fs;
use std::path::Path;

use harness::certificates::{Certificates, client_at};
use reqwest::{Client, ClientBuilder, StatusCode};
use serde_json::json;

use crate::program::{BANKS, Program, new_directory, order, verdict};

/// A bank over TLS, and its certificates: aurora takes messages from the channel alone.
fn start() -> (Program, Certificates) {
    let directory = new_directory();
    let certificates = Certificates::make(&directory, ["aurora", "boreal"].into_iter()).unwrap();
    let served = certificates.settings("", "banks");
    let named = format!("id = \"aurora\"\nclient_name = \"{}\"", client_at("aurora"));
    let banks = BANKS.replace("id = \"aurora\"", &named);
    let banks = format!("{served}client_ca_file = \"bank-ca.pem\"\n{banks}");
    fs::write(directory.join("banks.toml"), banks).unwrap();
    (Program::start_in(directory), certificates)
}

fn client(ca: &Path, shown: Option<(&Path, &Path)>) -> Client {
    let roots = reqwest::Certificate::from_pem_bundle(&fs::read(ca).unwrap()).unwrap();
    let mut builder = ClientBuilder::new().tls_certs_only(roots).no_proxy();
    if let Some((certificate, key)) = shown {
        let pem = [fs::read(certificate).unwrap(), fs::read(key).unwrap()].concat();
        builder = builder.identity(reqwest::Identity::from_pem(&pem).unwrap());
    }
    builder.build().unwrap()
}

#[tokio::test]
async fn a_bank_takes_messages_from_the_one_alone_that_its_certificate_names() {
    let (bank, files) = start();
    let url = |scheme: &str, path: &str| format!("{scheme}://{}/{path}", bank.address);
    let ca = files.file("bank-ca");
    let showing = |name: &str| client(&ca, Some((&files.file(name), &files.key(name))));
    let post = async |client: &Client, scheme: &str, path: &str| {
        let request = client.post(url(scheme, path)).header("content-type", "application/xml");
        let answer = request.body(order(1).payment_xml()).send().await.ok()?;
        Some((answer.status(), answer.text().await.unwrap_or_default()))
    };
    let (status, report) = post(&showing("at-aurora"), "https", "aurora").await.unwrap();
    assert_eq!((status, verdict(&report).as_str()), (StatusCode::OK, "ACSC"));
    for (what, client, scheme, path, expected) in [
        ("another's certificate", showing("at-boreal"), "https", "aurora", Some(StatusCode::FORBIDDEN)),
        ("plaintext", bank.client.clone(), "http", "aurora", Some(StatusCode::FORBIDDEN)),
        ("a bank that lets in anybody", showing("at-aurora"), "https", "boreal", Some(StatusCode::OK)),
        ("no certificate", client(&ca, None), "https", "boreal", None),
        ("a certificate of another CA", showing("gateway"), "https", "boreal", None),
        ("a client that trusts another CA", client(&files.ca(), None), "https", "boreal", None),
    ] {
        let status = post(&client, scheme, path).await.map(|(status, _)| status);
        assert_eq!(status, expected, "{what}");
    }
    let counters = bank.get("aurora/counters").await;
    assert_eq!(counters["pacs008_received"], 1, "whoever tests it needs no TLS: {counters}");
}

#[tokio::test]
async fn a_bank_takes_signed_messages_alone_where_it_is_told_to() {
    let directory = new_directory();
    let certificates = Certificates::make(&directory, ["aurora"].into_iter()).unwrap();
    let signs = certificates.signatures("aurora-signs", "rialto-signs");
    let banks = BANKS.replace("id = \"aurora\"", &format!("id = \"aurora\"\n{signs}"));
    fs::write(directory.join("banks.toml"), banks).unwrap();
    let bank = Program::start_in(directory);
    for signature in ["", "nonsense", "e30..AAAA"] {
        let request = bank.request("aurora", order(1).payment_xml()).header("x-jws-signature", signature);
        assert_eq!(request.send().await.unwrap().status(), StatusCode::UNAUTHORIZED, "{signature:?}");
    }
    let unsigned = bank.request("aurora", order(1).payment_xml()).send().await.unwrap();
    assert_eq!(unsigned.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(bank.get("aurora/counters").await["pacs008_received"], 0);
}

#[tokio::test]
async fn what_is_written_past_http_goes_over_tls() {
    let (bank, files) = start();
    let client = client(&files.file("bank-ca"), Some((&files.file("at-aurora"), &files.key("at-aurora"))));
    let mut number = 0;
    for (behaviour, length) in [
        (json!({ "huge_body": { "mib": 2 } }), Some(2 << 20)),
        (json!({ "huge_body": { "mib": 2, "length_told": true } }), Some(2 << 20)),
        (json!({ "drip": { "ms_per_byte": 0 } }), Some(0)),
        (json!("half_answer"), None),
        (json!("cut"), None),
    ] {
        number += 1;
        bank.script(json!([{ "behaviour": behaviour }])).await;
        let request = client.post(format!("https://{}/aurora", bank.address));
        let request = request.header("content-type", "application/xml").body(order(number).payment_xml());
        let read = async { request.send().await?.text().await };
        let read = read.await.ok().map(|text| {
            assert_eq!(verdict(&text), "ACSC", "{behaviour}");
            text.len()
        });
        assert!(read.is_some() == length.is_some() && read >= length, "{behaviour}: {read:?}");
    }
}
