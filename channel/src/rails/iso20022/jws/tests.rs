//! Signatures that are good, and the many that are not.

use aws_lc_rs::hmac;
use rcgen::{PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, SignatureAlgorithm};

use super::*;
use crate::rails::iso20022::tests::tls::Folder;

pub(crate) const BODY: &[u8] = b"<Document>1</Document>";

/// A key in files: who signs with it, and who checks by it.
pub(crate) struct Pair {
    pub(crate) signer: Signer,
    pub(crate) private: PathBuf,
    pub(crate) public: String,
}

pub(crate) fn pair(folder: &Folder, name: &str, algorithm: &'static SignatureAlgorithm) -> Pair {
    let key = rcgen::KeyPair::generate_for(algorithm).expect("a key");
    let private = folder.file(&format!("{name}.key"), &key.serialize_pem());
    Pair { signer: Signer::new(private.clone()).expect("a signer"), private, public: key.public_key_pem() }
}

fn heads(values: &[&str]) -> HeaderMap {
    values.iter().map(|value| (HEADER, HeaderValue::from_str(value).expect("text"))).collect()
}

/// A signature whose head says something else, signed all the same.
fn saying(pair: &Pair, change: impl Fn(String) -> String) -> String {
    let text = pair.signer.sign(BODY).expect("signed");
    let (head, _) = text.to_str().expect("text").split_once("..").expect("detached");
    let head = String::from_utf8(BASE64.decode(head).expect("base64")).expect("text");
    let head = BASE64.encode(change(head));
    let signature = pair.signer.0.current().sign(&signed(&head, BODY)).expect("signed");
    format!("{head}..{}", BASE64.encode(signature))
}

#[test]
fn a_signature_is_good_over_its_body_by_its_key_alone() {
    let folder = Folder::new("jws");
    for algorithm in [&PKCS_ED25519, &PKCS_ECDSA_P256_SHA256] {
        let other_kind = if algorithm == &PKCS_ED25519 { &PKCS_ECDSA_P256_SHA256 } else { &PKCS_ED25519 };
        let (own, next, stranger) = (
            pair(&folder, "own", algorithm),
            pair(&folder, "next", other_kind),
            pair(&folder, "x", algorithm),
        );
        let file = folder.file("public.pem", &format!("{}{}", own.public, next.public));
        let verifier = Verifier::new(file).expect("keys");
        let sign = |pair: &Pair| pair.signer.sign(BODY).expect("signed").to_str().expect("text").to_owned();
        let good = sign(&own);
        let (head, signature) = good.split_once("..").expect("detached");
        let own_id = own.signer.0.current().public().id.clone();
        let hmac_head = |alg: &str| {
            BASE64.encode(format!(r#"{{"alg":"{alg}","kid":"{own_id}","b64":false,"crit":["b64"]}}"#))
        };
        let with_hmac = {
            let (head, key) = (hmac_head("HS256"), hmac::Key::new(hmac::HMAC_SHA256, own.public.as_bytes()));
            let tag = hmac::sign(&key, &signed(&head, BODY));
            format!("{head}..{}", BASE64.encode(tag))
        };
        let replaced = |from: &'static str, to: &'static str| {
            saying(&own, move |head| {
                assert!(head.contains(from), "{head}");
                head.replacen(from, to, 1)
            })
        };
        let alg = if algorithm == &PKCS_ED25519 { "EdDSA" } else { "ES256" };
        let others = if algorithm == &PKCS_ED25519 { "ES256" } else { "EdDSA" };
        use BadSignature::*;
        let rows: Vec<(&str, Vec<String>, Result<(), BadSignature>)> = vec![
            ("its own key", vec![good.clone()], Ok(())),
            ("the next key", vec![sign(&next)], Ok(())),
            ("a further member", vec![replaced("{", r#"{"typ":"JOSE","#)], Ok(())),
            ("none", vec![], Err(Missing)),
            ("two", vec![good.clone(), good.clone()], Err(Several)),
            ("two in one", vec![format!("{good}, {good}")], Err(Malformed)),
            ("a stranger's key", vec![sign(&stranger)], Err(UnknownKey)),
            (
                "a stranger's key by its name",
                vec![saying(&stranger, |head| {
                    head.replace(&stranger.signer.0.current().public().id, &own_id)
                })],
                Err(Wrong),
            ),
            ("alg none", vec![format!("{}..", hmac_head("none"))], Err(OtherAlgorithm)),
            ("alg none, signed", vec![saying(&own, |head| head.replace(alg, "none"))], Err(OtherAlgorithm)),
            ("alg HS256 by the public key", vec![with_hmac], Err(OtherAlgorithm)),
            ("another kind's alg", vec![saying(&own, |head| head.replace(alg, others))], Err(OtherAlgorithm)),
            (
                "alg in small letters",
                vec![saying(&own, |head| head.replace(alg, &alg.to_lowercase()))],
                Err(OtherAlgorithm),
            ),
            ("alg twice", vec![replaced("{", r#"{"alg":"none","#)], Err(Malformed)),
            ("b64 true", vec![replaced("false", "true")], Err(Malformed)),
            ("no b64", vec![replaced(r#""b64":false,"#, "")], Err(Malformed)),
            ("no crit", vec![replaced(r#","crit":["b64"]"#, "")], Err(Malformed)),
            ("more in crit", vec![replaced(r#"["b64"]"#, r#"["b64","exp"]"#)], Err(Malformed)),
            ("no kid", vec![saying(&own, |head| head.replace("kid", "x5t"))], Err(Malformed)),
            ("not detached", vec![format!("{head}.{}.{signature}", BASE64.encode(BODY))], Err(Malformed)),
            ("no signature", vec![format!("{head}..")], Err(Wrong)),
            ("half a signature", vec![format!("{head}..{}", &signature[..40])], Err(Wrong)),
            ("padded", vec![format!("{good}==")], Err(Malformed)),
            ("nonsense", vec!["x".to_owned()], Err(Malformed)),
            ("empty", vec![String::new()], Err(Malformed)),
        ];
        for (what, values, expected) in rows {
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            assert_eq!(verifier.check(&heads(&values), BODY), expected, "{alg}: {what}");
        }
        for body in [&b"<Document>2</Document>"[..], b"", b"<Document>1</Document> "] {
            assert_eq!(verifier.check(&heads(&[&good]), body), Err(Wrong), "{alg}: another body");
        }
    }
}

#[test]
fn a_key_is_called_by_its_thumbprint() {
    // RFC 8037, appendix A.2 and A.3.
    let bytes = BASE64.decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").expect("base64");
    let key = PublicKey::ed25519(&bytes).expect("a key");
    assert_eq!(key.id, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
}

#[test]
fn keys_are_replaced_while_nothing_stops_and_bad_files_are_refused() {
    let folder = Folder::new("jws-files");
    let (old, new) = (pair(&folder, "old", &PKCS_ED25519), pair(&folder, "new", &PKCS_ECDSA_P256_SHA256));
    let verifier = Verifier::new(folder.file("public.pem", &old.public)).expect("keys");
    let signed = |pair: &Pair| HeaderMap::from_iter([(HEADER, pair.signer.sign(BODY).expect("signed"))]);
    let (by_old, by_new) = (signed(&old), signed(&new));
    assert_eq!(verifier.check(&by_old, BODY), Ok(()));
    assert_eq!(verifier.check(&by_new, BODY), Err(BadSignature::UnknownKey));
    folder.file("public.pem", &new.public);
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    assert_eq!(verifier.check(&by_old, BODY), Err(BadSignature::UnknownKey));
    assert_eq!(verifier.check(&by_new, BODY), Ok(()));

    let large = pair_of(&PKCS_ECDSA_P384_SHA384);
    for (name, text, problem) in [
        ("nothing", String::new(), "holds no public key in PEM"),
        ("private", large.0.clone(), "holds no public key in PEM"),
        ("p384", large.1, "holds a key that is not of Ed25519 or P-256"),
    ] {
        let file = folder.file(name, &text);
        let refused = Verifier::new(file.clone()).expect_err("bad");
        assert_eq!(refused, format!("{}: {problem}", file.display()));
    }
    for (name, text, problem) in [
        ("nothing", String::new(), "holds no private key in PEM (PKCS #8)"),
        ("public", new.public.clone(), "holds no private key in PEM (PKCS #8)"),
        ("p384", large.0, "is no key of Ed25519 or P-256"),
    ] {
        let file = folder.file(name, &text);
        let refused = Signer::new(file.clone()).expect_err("bad");
        assert_eq!(refused, format!("{}: {problem}", file.display()));
    }
}

fn pair_of(algorithm: &'static SignatureAlgorithm) -> (String, String) {
    let key = rcgen::KeyPair::generate_for(algorithm).expect("a key");
    (key.serialize_pem(), key.public_key_pem())
}
