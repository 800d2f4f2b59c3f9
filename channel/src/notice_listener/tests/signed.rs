//! Banks that must sign what they say unasked.

use rcgen::PKCS_ED25519;

use super::*;
use crate::{
    instruction_service::tests::start_with,
    rails::iso20022::{
        jws::{HEADER, tests::pair},
        tests::tls::Folder,
    },
};

#[tokio::test]
async fn a_notice_that_is_not_signed_reaches_no_platform() {
    let folder = Folder::new("notice-signed");
    let (own, stranger) = (pair(&folder, "own", &PKCS_ED25519), pair(&folder, "x", &PKCS_ED25519));
    let entry = format!("verify_key_file = {:?}\n", folder.file("own.pem", &own.public));
    let arguments = ["--notice-listen=127.0.0.1:0", "--insecure-notice-listen"];
    let running = start_with("notice-signed", &arguments, 10, ["", &entry]).await;
    let mut platform = Exchange::open(&running).await;
    let sign = |body: &str| own.signer.sign(body.as_bytes()).expect("signed");
    let good = sign(&credited());
    let post = |signatures: Vec<hyper::header::HeaderValue>, body: String| {
        let url = format!("http://{}/banks/slow/pacs.002", running.notices);
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let request = client.post(url).header("content-type", XML).body(body);
        let request = signatures.into_iter().fold(request, |request, value| request.header(HEADER, value));
        tokio::spawn(async move { request.send().await.expect("an answer").status().as_u16() })
    };
    for (what, signatures, body) in [
        ("none", vec![], credited()),
        ("over another body", vec![good.clone()], credited().replace("ACSC", "RJCT")),
        ("twice", vec![good.clone(), good.clone()], credited()),
        ("another's", vec![stranger.signer.sign(credited().as_bytes()).expect("signed")], credited()),
        // Nothing is read before it is known whose it is.
        ("over nothing readable", vec![], "<html/>".to_owned()),
    ] {
        assert_eq!(post(signatures, body).await.expect("heard"), 401, "{what}");
    }
    let heard = post(vec![good], credited());
    let notice = platform.notice().await;
    assert_eq!(notice.message_id, "MSG-1", "the first that got through");
    platform.receive(receipt(&notice, NoticeResult::Taken)).await;
    assert_eq!(heard.await.expect("heard"), 200);
}
