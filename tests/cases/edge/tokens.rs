//! Tokens of an identity provider: what a gateway takes for one, and where it has the provider's keys from. The gateway is alone:
//! whoever has a valid token hears that nothing is known yet of who is disabled, and everybody else hears who they are not.

use std::{path::Path, time::Duration};

use harness::{
    BenchError,
    certificates::Authority,
    client::Client,
    provider::{AUDIENCE, ISSUER, SigningKey, claims, jwks, message, seconds},
    wait,
};
use serde_json::{Value, json};
use tonic_types::StatusExt;

use crate::{
    bench::{Alone, finish, program, run},
    key_server::KeyServer,
};

const VALID: &str = "IDENTITY_UNAVAILABLE";
const REFUSED: &str = "UNAUTHENTICATED";

/// A gateway that takes tokens, with keys from `source`.
fn gateway(source: &str) -> Result<Alone, BenchError> {
    gateway_trusting(source, None)
}

/// The same, on a machine that trusts this CA and no other.
fn gateway_trusting(source: &str, ca: Option<&Path>) -> Result<Alone, BenchError> {
    let flags = [
        format!("--jwt-issuer={ISSUER}"),
        format!("--jwt-audience={AUDIENCE}"),
        format!("--jwt-jwks={source}"),
        "--log=info,gateway=debug".to_owned(),
    ];
    Alone::gateway_trusting(&flags.each_ref().map(String::as_str), ca)
}

/// What the gateway says to a token: its reason and its text.
async fn said(gateway: &Alone, token: &str) -> (String, String) {
    let client = Client::new(&gateway.route(), token).unwrap();
    let status = client.payment("pay_0").await.unwrap_err();
    let details = status.get_error_details();
    let reason = details.error_info().map(|info| info.reason.clone()).unwrap_or_default();
    (reason, status.message().to_owned())
}

fn with(mut claims: Value, name: &str, value: Value) -> Value {
    claims[name] = value;
    claims
}

fn without(mut claims: Value, name: &str) -> Value {
    claims.as_object_mut().unwrap().remove(name);
    claims
}

fn ours() -> Value {
    claims("ada", "demo-shop", &["payer-app"])
}

#[test]
fn a_valid_token_is_let_in_and_every_other_hears_the_same() {
    run(async || {
        let keys = [SigningKey::es256("e")?, SigningKey::eddsa("o")?, SigningKey::rs256("r")?];
        let stranger = SigningKey::es256("e")?;
        let folder = harness::postgres::own_folder("jwks")?;
        let file = folder.join("keys.json");
        std::fs::write(&file, jwks(&keys.each_ref().map(SigningKey::jwk)))?;
        let gateway = gateway(file.to_str().unwrap())?;

        let mut good = Vec::new();
        for key in &keys {
            good.push((format!("{} as it is made", key.algorithm()), key.token(&ours())?));
        }
        let now = seconds();
        for (name, claims) in [
            ("several audiences", with(ours(), "aud", json!(["other", AUDIENCE]))),
            ("expired within the leeway", with(ours(), "exp", json!(now - 30))),
            ("valid within the leeway", with(ours(), "nbf", json!(now + 30))),
            ("claims for others", with(ours(), "tenant", json!("other-shop"))),
            ("the only cell", with(ours(), "rialto_cell", json!(1))),
        ] {
            good.push((name.to_owned(), keys[0].token(&claims)?));
        }
        for (name, token) in &good {
            assert_eq!(said(&gateway, token).await.0, VALID, "{name}");
        }

        let [es256, eddsa, rs256] = &keys;
        let mut bad: Vec<(String, String)> = Vec::new();
        for (name, claims) in [
            ("expired", with(ours(), "exp", json!(now - 90))),
            ("no end", without(ours(), "exp")),
            ("an end that is no number", with(ours(), "exp", json!("soon"))),
            ("not valid yet", with(ours(), "nbf", json!(now + 90))),
            ("a beginning that is no number", with(ours(), "nbf", json!("soon"))),
            ("another issuer", with(ours(), "iss", json!("https://id.evil.example"))),
            ("several issuers", with(ours(), "iss", json!([ISSUER, "https://id.evil.example"]))),
            ("no issuer", without(ours(), "iss")),
            ("another audience", with(ours(), "aud", json!("other"))),
            ("no audience", without(ours(), "aud")),
            ("no subject", without(ours(), "sub")),
            ("an empty subject", with(ours(), "sub", json!(""))),
            ("no participant", without(ours(), "rialto_participant")),
            ("the house's accounts", with(ours(), "rialto_participant", json!("rialto-house"))),
            ("a bad participant", with(ours(), "rialto_participant", json!("Shop"))),
            ("a cell that there is not", with(ours(), "rialto_cell", json!(2))),
            ("cell 0", with(ours(), "rialto_cell", json!(0))),
            ("a cell below 0", with(ours(), "rialto_cell", json!(-1))),
            ("a part of a cell", with(ours(), "rialto_cell", json!(1.5))),
            ("a cell that is no number", with(ours(), "rialto_cell", json!("1"))),
            ("a cell that is null", with(ours(), "rialto_cell", Value::Null)),
            ("several cells", with(ours(), "rialto_cell", json!([1, 2]))),
            ("no roles", without(ours(), "rialto_roles")),
            ("no role", with(ours(), "rialto_roles", json!([]))),
            ("an unknown role", with(ours(), "rialto_roles", json!(["payer-app", "king"]))),
            ("roles that are no list", with(ours(), "rialto_roles", json!("operator"))),
            ("4 KiB", with(ours(), "padding", json!("x".repeat(4_096)))),
        ] {
            bad.push((name.to_owned(), es256.token(&claims)?));
        }
        let header = |alg: &str, kid: &str| json!({ "alg": alg, "kid": kid, "typ": "JWT" });
        for (name, token) in [
            ("a key that nobody knows", stranger.token(&ours())?),
            ("another kid", es256.token_with(&header("ES256", "x"), &ours())?),
            ("a kid that is a path", es256.token_with(&header("ES256", "../../etc/passwd"), &ours())?),
            ("a kid that is SQL", es256.token_with(&header("ES256", "e' OR '1'='1"), &ours())?),
            ("an empty kid", es256.token_with(&header("ES256", ""), &ours())?),
            ("no kid", es256.token_with(&json!({ "alg": "ES256" }), &ours())?),
            ("another's kid", es256.token_with(&header("ES256", "o"), &ours())?),
            ("no algorithm", es256.token_with(&json!({ "kid": "e" }), &ours())?),
            ("another algorithm of the curve", es256.token_with(&header("ES384", "e"), &ours())?),
            ("EdDSA by the curve P-256", es256.token_with(&header("EdDSA", "e"), &ours())?),
            ("ES256 by an RSA key", rs256.token_with(&header("ES256", "r"), &ours())?),
            ("RS512", rs256.token_with(&header("RS512", "r"), &ours())?),
            ("PS256", rs256.token_with(&header("PS256", "r"), &ours())?),
            ("an extension that must be known", {
                let header = json!({ "alg": "ES256", "kid": "e", "crit": ["b64"], "b64": false });
                es256.token_with(&header, &ours())?
            }),
            ("a key of its own", {
                let header = json!({ "alg": "ES256", "jwk": stranger.jwk(), "jku": "http://127.0.0.1:9" });
                stranger.token_with(&header, &ours())?
            }),
            ("alg none", format!("{}.", message(&header("none", "e"), &ours()))),
            ("alg None", format!("{}.", message(&header("None", "e"), &ours()))),
            ("no signature", format!("{}.", message(&header("ES256", "e"), &ours()))),
            ("two parts", message(&header("ES256", "e"), &ours())),
            ("five parts", format!("{}.x.x", es256.token(&ours())?)),
            ("one part", "eyJhbGciOiJub25lIn0".to_owned()),
            ("dots", "..".to_owned()),
            ("other claims than were signed", {
                let token = es256.token(&ours())?;
                let forged =
                    message(&header("ES256", "e"), &with(ours(), "rialto_roles", json!(["operator"])));
                format!("{forged}.{}", token.rsplit('.').next().unwrap_or_default())
            }),
        ] {
            bad.push((name.to_owned(), token));
        }
        for key in [es256, eddsa, rs256] {
            let confused = key.confused(&ours()).into_iter();
            bad.extend(
                confused.map(|token| (format!("HS256 with the public key of {}", key.algorithm()), token)),
            );
        }
        let mut texts = std::collections::BTreeSet::new();
        for (name, token) in &bad {
            let (reason, text) = said(&gateway, token).await;
            assert_eq!(reason, REFUSED, "{name}");
            texts.insert(text);
        }
        for nothing in ["", "rk"] {
            texts.insert(said(&gateway, nothing).await.1);
        }
        assert_eq!(texts.len(), 1, "{texts:?}");
        let log = gateway.log();
        assert!(
            log.contains("the token has expired") && log.contains("the token's algorithm is not its key's")
        );
        for (name, token) in good.iter().chain(&bad).filter(|(_, token)| token.len() > 40) {
            assert!(!log.contains(&token[20..]), "{name} is in the log");
        }
        Ok(())
    });
}

#[test]
fn keys_from_a_url_are_kept_and_looked_up_again_but_not_for_everybody() {
    run(async || {
        let (old, new) = (SigningKey::es256("old")?, SigningKey::eddsa("new")?);
        let server = KeyServer::start(jwks(&[old.jwk()])).await?;
        let gateway = gateway(&server.url)?;
        let valid = async |key: &SigningKey| {
            let token = key.token(&ours()).ok()?;
            (said(&gateway, &token).await.0 == VALID).then_some(())
        };
        let becomes = async |what: &str, key: &SigningKey| {
            wait::until(what, Duration::from_secs(5), || async { valid(key).await }).await
        };
        becomes("the old key is known", &old).await?;
        assert_eq!(server.asked(), 1, "once, at the start");
        // Tokens with keys that there are not have the provider asked once in 30 s at most, however many there are.
        for number in 0..20 {
            let stranger = SigningKey::es256(&format!("x-{number}"))?;
            assert_eq!(said(&gateway, &stranger.token(&ours())?).await.0, REFUSED);
        }
        assert_eq!(server.asked(), 1, "it was asked only just");
        // The provider changes its keys; the old one is gone with the next look, which SIGHUP hastens.
        server.show(jwks(&[new.jwk()]));
        assert_eq!(said(&gateway, &new.token(&ours())?).await.0, REFUSED);
        gateway.process.signal("HUP")?;
        becomes("the new key is known", &new).await?;
        assert_eq!(said(&gateway, &old.token(&ours())?).await.0, REFUSED);
        // What is no JWKS changes nothing.
        server.show("<html>".to_owned());
        gateway.process.signal("HUP")?;
        wait::until("the bad document is reported", Duration::from_secs(5), || async {
            gateway.log().contains("those from before stay").then_some(())
        })
        .await?;
        assert_eq!(said(&gateway, &new.token(&ours())?).await.0, VALID);
        Ok(())
    });
}

/// The machine's CAs are those that the provider's certificate must be from.
#[test]
fn keys_are_taken_over_tls_from_whom_the_machine_trusts_and_from_nobody_else() {
    run(async || {
        let (trusted, other) = (Authority::new("trusted")?, Authority::new("other")?);
        let ca = harness::postgres::own_folder("jwks-tls")?.join("ca.pem");
        std::fs::write(&ca, trusted.pem())?;
        let (old, new) = (SigningKey::es256("old")?, SigningKey::eddsa("new")?);
        let server = KeyServer::start_with_tls(jwks(&[old.jwk()]), &trusted).await?;
        let gateway = gateway_trusting(&server.url, Some(&ca))?;
        let logs = async |what: &str| {
            wait::until(what, Duration::from_secs(5), || async { gateway.log().contains(what).then_some(()) })
                .await
        };
        logs("the identity provider's keys are read").await?;
        assert_eq!(said(&gateway, &old.token(&ours())?).await.0, VALID);
        // Somebody stands in between, and has keys of their own.
        server.show(jwks(&[new.jwk()]));
        server.show_certificate_of(&other)?;
        gateway.process.signal("HUP")?;
        logs("those from before stay").await?;
        assert_eq!(server.asked(), 1, "whoever is not trusted is asked nothing");
        assert_eq!(said(&gateway, &new.token(&ours())?).await.0, REFUSED);
        assert_eq!(said(&gateway, &old.token(&ours())?).await.0, VALID);
        server.show_certificate_of(&trusted)?;
        gateway.process.signal("HUP")?;
        wait::until("the new key is known", Duration::from_secs(5), || async {
            let token = new.token(&ours()).ok()?;
            (said(&gateway, &token).await.0 == VALID).then_some(())
        })
        .await?;
        assert_eq!(said(&gateway, &old.token(&ours())?).await.0, REFUSED);
        Ok(())
    });
}

#[test]
fn a_token_with_a_new_key_is_let_in_at_once() {
    run(async || {
        let (old, new) = (SigningKey::es256("old")?, SigningKey::eddsa("new")?);
        let file = harness::postgres::own_folder("jwks-new")?.join("keys.json");
        std::fs::write(&file, jwks(&[old.jwk()]))?;
        let gateway = gateway(file.to_str().unwrap())?;
        assert_eq!(said(&gateway, &old.token(&ours())?).await.0, VALID);
        std::fs::write(&file, jwks(&[old.jwk(), new.jwk()]))?;
        // Within the pause after the look at the start, nobody looks again.
        assert_eq!(said(&gateway, &new.token(&ours())?).await.0, REFUSED);
        tokio::time::sleep(Duration::from_secs(31)).await;
        assert_eq!(said(&gateway, &new.token(&ours())?).await.0, VALID);
        Ok(())
    });
}

#[test]
fn settings_of_tokens_that_do_not_fit_are_named_at_once() {
    run(async || {
        let folder = harness::postgres::own_folder("jwks-bad")?;
        std::fs::write(folder.join("bad.json"), "{\"keys\": []}")?;
        let bad = folder.join("bad.json");
        let rows: [(&[String], &[&str]); 5] = [
            (&["--jwt-issuer=x".to_owned()], &["--jwt-audience", "--jwt-jwks"]),
            (&["--jwt-jwks=/no/such/file".to_owned()], &["--jwt-issuer", "--jwt-audience"]),
            (
                &[
                    "--jwt-issuer=".to_owned(),
                    "--jwt-audience=".to_owned(),
                    "--jwt-jwks=http://id.example/".to_owned(),
                ],
                &["--jwt-issuer", "--jwt-audience", "--jwt-jwks", "https://"],
            ),
            (
                &[
                    "--jwt-issuer=x".to_owned(),
                    "--jwt-audience=x".to_owned(),
                    "--jwt-jwks=/no/such/file".to_owned(),
                ],
                &["--jwt-jwks", "cannot read"],
            ),
            (
                &[
                    "--jwt-issuer=x".to_owned(),
                    "--jwt-audience=x".to_owned(),
                    format!("--jwt-jwks={}", bad.display()),
                ],
                &["--jwt-jwks", "holds no key"],
            ),
        ];
        for (flags, parts) in rows {
            let mut command = program("gateway");
            command.args(["--listen=nonsense"]).args(flags);
            let ended = finish(command)?;
            assert_eq!(ended.code, Some(1), "{flags:?}: {}", ended.err);
            for part in parts.iter().chain(&["--listen"]) {
                assert!(ended.err.contains(part), "{flags:?}: {part} is not in:\n{}", ended.err);
            }
        }
        Ok(())
    });
}

#[test]
fn forged_tokens_from_one_address_are_soon_not_looked_at_and_good_ones_still_work() {
    run(async || {
        let (key, stranger) = (SigningKey::es256("e")?, SigningKey::es256("e")?);
        let folder = harness::postgres::own_folder("jwks-forged")?;
        let file = folder.join("keys.json");
        std::fs::write(&file, jwks(&[key.jwk()]))?;
        let flags = [
            format!("--jwt-issuer={ISSUER}"),
            format!("--jwt-audience={AUDIENCE}"),
            format!("--jwt-jwks={}", file.display()),
            "--max-bad-credentials-per-min=5".to_owned(),
        ];
        let gateway = Alone::gateway(&flags.each_ref().map(String::as_str))?;
        let [known, new] = [key.token(&ours())?, key.token(&with(ours(), "sub", json!("bea")))?];
        assert_eq!(said(&gateway, &known).await.0, VALID);
        for number in 0..5 {
            let forged = stranger.token(&with(ours(), "sub", json!(format!("mallory {number}"))))?;
            assert_eq!(said(&gateway, &forged).await.0, REFUSED);
        }
        let forged = stranger.token(&ours())?;
        assert_eq!(said(&gateway, &forged).await.0, "TOO_MANY_BAD_CREDENTIALS");
        // Whose token was verified before is let in; one that is new has to wait, since to tell it from a forged one costs.
        assert_eq!(said(&gateway, &known).await.0, VALID);
        assert_eq!(said(&gateway, &new).await.0, "TOO_MANY_BAD_CREDENTIALS");
        Ok(())
    });
}
