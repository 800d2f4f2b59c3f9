use tonic::codegen::http::{HeaderValue, Uri};

use super::*;

const PATH: &str = "/rialto.payments.v1.PaymentService/CreatePayment";
const BODY: &[u8] = b"\0\0\0\0\x04body";
const NONCE: &str = "0b9ef0a2-6dbb-4c4b";
const NOW: i64 = 1_800_000_000;

/// A change of a call's headers.
type Change = Box<dyn Fn(&mut HeaderMap)>;

fn signer() -> Signer {
    Signer::new(Signer::new_key().expect("randomness").as_bytes()).expect("good")
}

fn at(seconds: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds.unsigned_abs())
}

fn content(path: &'static str, body: &[u8]) -> Content {
    Content::new(&Uri::from_static(path), body)
}

fn signed(signer: &Signer, created: i64) -> HeaderMap {
    HeaderMap::from_iter(signer.sign(PATH, BODY, created, NONCE).expect("can be signed"))
}

/// The headers of a call that are signed with this input, whatever it says.
fn signed_with(signer: &Signer, input: &str) -> HeaderMap {
    let mut headers = signed(signer, NOW);
    headers.insert(INPUT, HeaderValue::from_str(input).expect("visible"));
    headers.insert("x-once", HeaderValue::from_static("one"));
    headers.append("x-twice", HeaderValue::from_static("one"));
    headers.append("x-twice", HeaderValue::from_static("two"));
    if let Ok((label, covered)) = covered(&headers)
        && let Ok(base) = base::of(&covered, &headers, &content(PATH, BODY))
    {
        let value = format!("{}=:{}:", label.as_str(), signer.raw(base.as_bytes()));
        headers.insert(SIGNATURE, HeaderValue::from_str(&value).expect("visible"));
    }
    headers
}

fn found(signer: &Signer, headers: &HeaderMap) -> Result<String, Refused> {
    verify(headers, &content(PATH, BODY), signer.verification_key(), at(NOW))
}

#[test]
fn what_was_signed_is_believed_and_nothing_else() {
    let signer = signer();
    let headers = signed(&signer, NOW);
    assert_eq!(found(&signer, &headers).as_deref(), Ok(NONCE));
    for other in [
        content("/rialto.payments.v1.PaymentService/CancelPayment", BODY),
        content(PATH, b"\0\0\0\0\x04Body"),
        content(PATH, b""),
    ] {
        let found = verify(&headers, &other, signer.verification_key(), at(NOW));
        assert!(matches!(found, Err(Refused::Invalid(_))), "{other:?}");
    }
    let other = verify(&headers, &content(PATH, BODY), self::signer().verification_key(), at(NOW));
    assert!(matches!(other, Err(Refused::Invalid(_))));
}

#[test]
fn a_signature_holds_for_five_minutes_and_not_longer_than_it_says() {
    let signer = signer();
    for (created, is_good) in
        [(NOW - 301, false), (NOW - 300, true), (NOW + 300, true), (NOW + 301, false), (0, false)]
    {
        let found = found(&signer, &signed(&signer, created));
        let expected = if is_good { Ok(NONCE.to_owned()) } else { Err(Refused::OutOfWindow(at(NOW))) };
        assert_eq!(found, expected, "{created}");
    }
    for (expires, is_good) in [(NOW + 1, true), (NOW, false), (NOW - 1, false)] {
        let key = signer.verification_key();
        let input = format!(
            "sig=(\"@method\" \"@path\" \"content-digest\");created={NOW};keyid=\"{key}\";nonce=\"{NONCE}\";expires={expires}"
        );
        let found = found(&signer, &signed_with(&signer, &input));
        let expected = if is_good { Ok(NONCE.to_owned()) } else { Err(Refused::Expired(at(NOW))) };
        assert_eq!(found, expected, "{expires}");
    }
    let message = Refused::OutOfWindow(at(NOW)).to_string();
    assert!(message.contains("300 s") && message.contains("1800000000 (2027-01-15T08:00:00Z)"), "{message}");
}

#[test]
fn whatever_a_signature_leaves_open_is_refused() {
    let signer = signer();
    let key = signer.verification_key().to_string();
    let needed = r#""@method" "@path" "content-digest""#;
    let terms = format!("created={NOW};keyid=\"{key}\";nonce=\"{NONCE}\"");
    let good = [
        format!("sig=({needed});{terms}"),
        format!("x9=({needed});{terms};alg=\"ed25519\""),
        format!(r#"sig=("x-once" {needed});{terms}"#),
        format!(r#"sig=("content-digest" "@path" "@method");nonce="{NONCE}";keyid="{key}";created={NOW}"#),
    ];
    for input in good {
        assert_eq!(found(&signer, &signed_with(&signer, &input)).as_deref(), Ok(NONCE), "{input}");
    }
    let long = "x".repeat(129);
    for input in [
        String::new(),
        "sig".to_owned(),
        "sig=1".to_owned(),
        "(".to_owned(),
        format!("sig=();{terms}"),
        format!(r#"sig=("@path" "content-digest");{terms}"#),
        format!(r#"sig=("@method" "content-digest");{terms}"#),
        format!(r#"sig=("@method" "@path");{terms}"#),
        format!(r#"sig=({needed} "@path");{terms}"#),
        format!(r#"sig=({needed} "x-once" "x-once");{terms}"#),
        format!(r#"sig=({needed} "x-twice");{terms}"#),
        format!(r#"sig=({needed} "x-never");{terms}"#),
        format!(r#"sig=({needed} "X-Once");{terms}"#),
        format!(r#"sig=({needed} "x-once";sf);{terms}"#),
        format!(r#"sig=({needed} "@authority");{terms}"#),
        format!(r#"sig=({needed} "@query");{terms}"#),
        format!(r#"sig=({needed} "@status");{terms}"#),
        format!(r#"sig=({needed} "@signature-params");{terms}"#),
        format!(r#"sig=({needed} "");{terms}"#),
        format!("sig=({needed} x-once);{terms}"),
        format!(r#"sig=("@method";req "@path" "content-digest");{terms}"#),
        format!("sig=({needed});keyid=\"{key}\";nonce=\"{NONCE}\""),
        format!("sig=({needed});created={NOW};nonce=\"{NONCE}\""),
        format!("sig=({needed});created={NOW};keyid=\"{key}\""),
        format!("sig=({needed});created={NOW};keyid=\"other\";nonce=\"{NONCE}\""),
        format!("sig=({needed});created={NOW};keyid=\"{key}\";nonce=\"short\""),
        format!("sig=({needed});created={NOW};keyid=\"{key}\";nonce=\"{long}\""),
        format!("sig=({needed});created=\"{NOW}\";keyid=\"{key}\";nonce=\"{NONCE}\""),
        format!("sig=({needed});created={NOW}.0;keyid=\"{key}\";nonce=\"{NONCE}\""),
        format!("sig=({needed});created=@{NOW};keyid=\"{key}\";nonce=\"{NONCE}\""),
        format!("sig=({needed});created=-1;created={NOW};keyid=\"{key}\";nonce=\"{NONCE}\""),
        format!("sig=({needed});{terms};alg=\"rsa-v1_5-sha256\""),
        format!("sig=({needed});{terms};alg=ed25519"),
        format!("sig=({needed});{terms};tag=\"other\""),
        format!("sig=({needed});{terms};expires=soon"),
        format!("sig=({needed});{terms}, other=({needed});{terms}"),
        format!("sig=({needed});{terms}, sig=({needed});{terms}"),
        format!("sig=( {needed} );{terms}"),
        format!("sig=({needed}); {terms}"),
        format!("sig=({needed});{terms},"),
    ] {
        let found = found(&signer, &signed_with(&signer, &input));
        assert!(matches!(found, Err(Refused::Invalid(_))), "{input}: {found:?}");
    }
}

#[test]
fn each_header_stands_once_and_is_written_in_one_way() {
    let signer = signer();
    let text = |headers: &HeaderMap, name: &HeaderName| headers[name].to_str().expect("visible").to_owned();
    let put = |name: HeaderName, change: fn(&str) -> String| -> Change {
        Box::new(move |headers| {
            let value = change(&text(headers, &name));
            headers.insert(name.clone(), HeaderValue::from_str(&value).expect("visible"));
        })
    };
    let twice = |name: HeaderName| -> Change {
        Box::new(move |headers| {
            let value = headers[&name].clone();
            headers.append(name.clone(), value);
        })
    };
    let without = |name: HeaderName| -> Change { Box::new(move |headers| drop(headers.remove(&name))) };
    for (name, change) in [
        ("no input", without(INPUT)),
        ("no signature", without(SIGNATURE)),
        ("no digest", without(CONTENT_DIGEST)),
        ("the input twice", twice(INPUT)),
        ("the signature twice", twice(SIGNATURE)),
        ("the digest twice", twice(CONTENT_DIGEST)),
        ("another label", put(SIGNATURE, |value| value.replacen("sig", "gis", 1))),
        (
            "two signatures",
            put(SIGNATURE, |value| format!("{value}, other{}", value.trim_start_matches("sig"))),
        ),
        ("a parameter", put(SIGNATURE, |value| format!("{value};a=1"))),
        ("a signature that is cut", put(SIGNATURE, |_| "sig=:AAAA:".to_owned())),
        ("an empty signature", put(SIGNATURE, |_| "sig=::".to_owned())),
        ("a signature that is text", put(SIGNATURE, |value| value.replace(':', "\""))),
        ("another digest's name", put(CONTENT_DIGEST, |value| value.replace("256", "512"))),
        ("a second digest", put(CONTENT_DIGEST, |value| format!("{value}, sha-512=:AAAA:"))),
        (
            "a digest of nothing",
            put(CONTENT_DIGEST, |_| "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:".to_owned()),
        ),
        ("a later time", put(INPUT, |value| value.replace("created=18", "created=19"))),
        ("another nonce", put(INPUT, |value| value.replace("0b9e", "0b9f"))),
        (
            "another order",
            put(INPUT, |value| value.replace("\"@method\" \"@path\"", "\"@path\" \"@method\"")),
        ),
        ("less of alg", put(INPUT, |value| value.replace(";alg=\"ed25519\"", ""))),
    ] {
        let mut headers = signed(&signer, NOW);
        change(&mut headers);
        let found = found(&signer, &headers);
        assert!(matches!(found, Err(Refused::Invalid(_))), "{name}: {found:?}");
    }
}

#[test]
fn whom_a_call_is_for_can_be_covered() {
    let of = |uri: &'static str| Content::new(&Uri::from_static(uri), b"").authority;
    assert_eq!(of("https://Pay.Example:443/a").as_deref(), Some("pay.example"));
    assert_eq!(of("http://pay.example:80/a").as_deref(), Some("pay.example"));
    assert_eq!(of("https://pay.example:8443/a").as_deref(), Some("pay.example:8443"));
    assert_eq!(of("/a"), None);
}

/// What docs/signing.md has for whoever writes an implementation, and what this one makes of it.
#[test]
fn the_signature_that_the_documents_show_is_good() {
    const PEM: &[u8] = b"-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF\n-----END PRIVATE KEY-----\n";
    let path = "/rialto.payments.v1.PaymentService/CancelPayment";
    let content = b"\0\0\0\0\x26\x0a\x24pay_01a20817ad4c77beaa80ae72e3803a2c";
    let signer = Signer::new(PEM).expect("good");
    let headers =
        signer.sign(path, content, NOW, "2f1b6e0c-9d3a-4f57-8c61-0e7d5b9a4c12").expect("can be signed");
    let shown = include_str!("../../../docs/signing.md");
    for (name, value) in &headers {
        let line = format!("\n{name}: {}\n", value.to_str().expect("visible"));
        assert!(shown.contains(&line), "docs/signing.md has no {line}");
    }
    let headers = HeaderMap::from_iter(headers);
    assert!(verify(&headers, &self::content(path, content), signer.verification_key(), at(NOW)).is_ok());
}

/// RFC 9421, appendix B.2.6, with the public key of B.1.4.
#[test]
fn the_signature_of_the_rfc_is_good() {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("date", "Tue, 20 Apr 2021 02:07:55 GMT"),
        ("content-type", "application/json"),
        ("content-length", "18"),
        (
            "signature-input",
            r#"sig-b26=("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519""#,
        ),
        (
            "signature",
            "sig-b26=:wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==:",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let content = Content::new(&Uri::from_static("https://example.com/foo?param=Value&Pet=dog"), b"");
    let (label, input) = covered(&headers).expect("one");
    let base = base::of(&input, &headers, &content).expect("a base");
    let lines = [
        "\"date\": Tue, 20 Apr 2021 02:07:55 GMT",
        "\"@method\": POST",
        "\"@path\": /foo",
        "\"@authority\": example.com",
        "\"content-type\": application/json",
        "\"content-length\": 18",
        "\"@signature-params\": (\"date\" \"@method\" \"@path\" \"@authority\" \"content-type\" \"content-length\");created=1618884473;keyid=\"test-key-ed25519\"",
    ];
    assert_eq!(base, lines.join("\n"));
    let key = VerificationKey::parse("JrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=").expect("a key");
    let signature = signature(&headers, &label).expect("a signature");
    let key = UnparsedPublicKey::new(&ED25519, key.as_bytes());
    assert!(key.verify(base.as_bytes(), &signature).is_ok());
    assert!(key.verify((base + " ").as_bytes(), &signature).is_err());
}
