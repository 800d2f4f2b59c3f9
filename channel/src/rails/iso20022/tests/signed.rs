//! Banks whose answers must be signed, and to which messages go signed.

use hyper::header::{HeaderMap, HeaderValue};
use rcgen::{PKCS_ECDSA_P256_SHA256, PKCS_ED25519};

use super::{tls::Folder, *};
use crate::rails::iso20022::jws::{HEADER, Verifier, tests::pair};

#[tokio::test]
async fn an_answer_that_is_not_signed_as_it_must_be_is_unknown() {
    let folder = Folder::new("signed");
    let (bank_key, stranger, own) = (
        pair(&folder, "bank", &PKCS_ED25519),
        pair(&folder, "x", &PKCS_ED25519),
        pair(&folder, "own", &PKCS_ECDSA_P256_SHA256),
    );
    let verify_keys = folder.file("bank.pem", &bank_key.public);
    let signed = |body: &str| bank_key.signer.sign(body.as_bytes()).expect("signed");
    let line = |value: &HeaderValue| format!("\r\nX-JWS-Signature: {}", value.to_str().expect("text"));
    let good = line(&signed(REPORT));
    let own_public = Arc::new(Verifier::new(folder.file("own.pem", &own.public)).expect("a key"));
    for (what, lines, verdict, contact) in [
        ("good", good.clone(), "accepted", Contact::Answered),
        ("none", String::new(), "unknown: ANSWER_NOT_SIGNED", Contact::Unclear),
        ("over another body", line(&signed("<x/>")), "unknown: ANSWER_NOT_SIGNED", Contact::Unclear),
        ("twice", format!("{good}{good}"), "unknown: ANSWER_NOT_SIGNED", Contact::Unclear),
        (
            "another's",
            line(&stranger.signer.sign(REPORT.as_bytes()).expect("signed")),
            "unknown: ANSWER_NOT_SIGNED",
            Contact::Unclear,
        ),
    ] {
        let (sender, mut received) = tokio::sync::mpsc::unbounded_channel();
        let address = bank(move |mut stream| {
            let (sender, lines) = (sender.clone(), lines.clone());
            async move {
                let Some(request) = request(&mut stream).await else { return };
                sender.send(request).expect("the test listens");
                let head = format!("200 OK\r\ncontent-type: application/xml{lines}");
                drop(stream.write_all(answer(&head, REPORT).as_bytes()).await);
            }
        })
        .await;
        let trust = Trust {
            sign_key: Some(own.private.clone()),
            verify_keys: Some(verify_keys.clone()),
            ..Trust::default()
        };
        let way = tls::way_by(Access { address, http: HttpVersion::Http1, trust });
        let carried = way.carry(&instruction()).await;
        assert_eq!((short(carried.verdict).as_str(), carried.contact), (verdict, contact), "{what}");

        let request = received.try_recv().expect("a request");
        let (head, body) = request.split_once("\r\n\r\n").expect("a body");
        let signature = head.lines().find_map(|line| line.strip_prefix("x-jws-signature: ")).expect("signed");
        let signature = HeaderMap::from_iter([(HEADER, HeaderValue::from_str(signature).expect("text"))]);
        assert_eq!(own_public.check(&signature, body.as_bytes()), Ok(()), "what went to the bank");
    }
}
