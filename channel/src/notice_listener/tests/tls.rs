//! Whom the channel believes to be a bank.

use std::path::Path;

use rcgen::{CertificateParams, DnType, SanType};

use super::*;
use crate::{
    instruction_service::tests::{Running, start_with},
    rails::iso20022::tests::tls::{Authority, Folder, Issued},
};

const SLOW: &str = "spiffe://slow.test/notices";
const FAST: &str = "fast.test";

/// What a bank's entry says of it.
fn entry(ca: &Path, name: &str) -> String {
    format!("notice_ca_file = {ca:?}\nnotice_name = {name:?}\n")
}

fn with_uri(authority: &Authority, uri: &str, change: impl FnOnce(&mut CertificateParams)) -> Issued {
    authority.issue_with(&[], |params| {
        params.subject_alt_names.push(SanType::URI(uri.try_into().expect("ASCII")));
        change(params);
    })
}

async fn start_over_tls(name: &str, folder: &Folder, public: &Authority, entries: [&str; 2]) -> Running {
    let (certificate, key) = folder.pair("notices", &public.issue(&["127.0.0.1"]));
    let (certificate, key) = (certificate.display().to_string(), key.display().to_string());
    let arguments =
        ["--notice-listen=127.0.0.1:0", "--notice-certificate", &certificate, "--notice-key", &key];
    start_with(name, &arguments, 10, entries).await
}

/// What somebody hears who sends a notice with this certificate; none if no hands are shaken.
async fn heard(running: &Running, public: &Authority, shown: Option<&Issued>, bank: &str) -> Option<u16> {
    let trusted = reqwest::Certificate::from_pem(public.pem().as_bytes()).expect("a CA");
    let mut client = reqwest::Client::builder().no_proxy().tls_certs_only([trusted]);
    if let Some((certificate, key)) = shown {
        let pem = format!("{certificate}{key}");
        client = client.identity(reqwest::Identity::from_pem(pem.as_bytes()).expect("an identity"));
    }
    let url = format!("https://{}/banks/{bank}/pacs.002", running.notices);
    let request = client.build().expect("a client").post(url).header("content-type", XML).body(credited());
    request.send().await.ok().map(|answer| answer.status().as_u16())
}

#[tokio::test]
async fn a_bank_speaks_with_its_own_certificate_for_itself_alone() {
    let folder = Folder::new("notice-tls");
    let (public, slow_ca, fast_ca, strange_ca) =
        (Authority::new(), Authority::new(), Authority::new(), Authority::new());
    let of_fast = entry(&folder.file("fast.pem", &fast_ca.pem()), FAST);
    let of_slow = entry(&folder.file("slow.pem", &slow_ca.pem()), SLOW);
    let running = start_over_tls("notice-tls", &folder, &public, [&of_fast, &of_slow]).await;
    let (slow, fast) = (with_uri(&slow_ca, SLOW, |_| {}), fast_ca.issue(&[FAST]));
    let ended = |params: &mut CertificateParams| params.not_after = rcgen::date_time_ymd(2026, 1, 2);
    let common_name =
        |params: &mut CertificateParams| params.distinguished_name.push(DnType::CommonName, SLOW);
    // No platform is connected: whoever gets as far as one is told to come back.
    for (what, shown, bank, expected) in [
        ("itself", Some(slow.clone()), "slow", Some(503)),
        ("itself, by a host", Some(fast.clone()), "fast", Some(503)),
        ("another bank", Some(slow.clone()), "fast", Some(403)),
        ("another bank", Some(fast.clone()), "slow", Some(403)),
        ("its name of another bank's CA", Some(with_uri(&fast_ca, SLOW, |_| {})), "slow", Some(403)),
        (
            "another name of its CA",
            Some(with_uri(&slow_ca, "spiffe://slow.test/x", |_| {})),
            "slow",
            Some(403),
        ),
        ("its name as a common name", Some(slow_ca.issue_with(&[], common_name)), "slow", Some(403)),
        ("a pattern", Some(fast_ca.issue(&["*.test"])), "fast", Some(403)),
        ("a bank that there is not", Some(slow.clone()), "nowhere", Some(404)),
        ("its name of a stranger's CA", Some(with_uri(&strange_ca, SLOW, |_| {})), "slow", None),
        ("an ended certificate", Some(with_uri(&slow_ca, SLOW, ended)), "slow", None),
        ("no certificate", None, "slow", None),
    ] {
        assert_eq!(heard(&running, &public, shown.as_ref(), bank).await, expected, "{what} at {bank}");
    }
    let plain = raw(running.notices, b"POST /banks/slow/pacs.002 HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(!plain.contains("HTTP/1.1"), "{plain}");

    // The CA is read again: its holders are let in no longer, on new connections and on those that there are.
    folder.file("slow.pem", &strange_ca.pem());
    assert_eq!(heard(&running, &public, Some(&slow), "slow").await, None);
    let renewed = with_uri(&strange_ca, SLOW, |_| {});
    assert_eq!(heard(&running, &public, Some(&renewed), "slow").await, Some(503));

    let mut platform = Exchange::open(&running).await;
    let taken = async {
        let notice = platform.notice().await;
        assert_eq!(notice.bank_id, "slow");
        platform.receive(receipt(&notice, NoticeResult::Taken)).await;
    };
    let (status, ()) = tokio::join!(heard(&running, &public, Some(&renewed), "slow"), taken);
    assert_eq!(status, Some(200));
}

#[tokio::test]
async fn a_bank_whose_entry_says_nothing_of_it_may_not_speak() {
    let folder = Folder::new("notice-tls-not");
    let (public, slow_ca) = (Authority::new(), Authority::new());
    let of_slow = entry(&folder.file("slow.pem", &slow_ca.pem()), SLOW);
    let running = start_over_tls("notice-tls-not", &folder, &public, ["", &of_slow]).await;
    let slow = with_uri(&slow_ca, SLOW, |_| {});
    assert_eq!(heard(&running, &public, Some(&slow), "fast").await, Some(403));
    assert_eq!(heard(&running, &public, Some(&slow), "slow").await, Some(503));
}

#[tokio::test]
async fn who_begins_to_shake_hands_and_stops_is_closed() {
    let folder = Folder::new("notice-tls-slow");
    let public = Authority::new();
    let running = start_over_tls("notice-tls-slow", &folder, &public, ["", ""]).await;
    let start = Instant::now();
    // The beginning of a handshake's record, which never goes on.
    let (silent, half) = tokio::join!(raw(running.notices, b""), raw(running.notices, &[22, 3, 1, 2, 0, 1]));
    assert!((4_500..8_000).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
    assert_eq!((silent.as_str(), half.as_str()), ("", ""));
}
