//! Signed calls, over TLS and with real services: what its holder signed is carried out once, and nothing else is.

use std::time::Duration;

use common::rpc_client::Route;
use harness::{
    BenchError,
    client::{Client, money, order, payee_by_iban},
    process::{KILLED_WITH_PARENT, Process},
    raw,
    signing::{Signing, SigningKey, framed},
    system::{API_KEY_SECRET, BANKS, Service, System},
    wait,
};
use prost::Message;
use proto::{
    limits::{Limits, SetAccountLimitsRequest},
    participants::{CreateApiKeyRequest, RevokeApiKeyRequest, RotateApiKeyRequest},
    payments::{
        CreatePaymentRequest, CreatePaymentResponse, GetPaymentRequest, PaymentState,
        get_payment_request::Key,
    },
};
use tonic::{
    Code, Status,
    metadata::{MetadataKey, MetadataMap},
};
use tonic_types::StatusExt;
use uuid::Uuid;

use crate::bench::{Alone, INSECURE, finish, funded, program, run, run_on_system, shop};

const PAY: &str = "/rialto.payments.v1.PaymentService/CreatePayment";
const CANCEL: &str = "/rialto.payments.v1.PaymentService/CancelPayment";
const READ: &str = "/rialto.payments.v1.PaymentService/GetPayment";
const ACCOUNT: &str = "/rialto.accounts.v1.AccountService/GetAccount";
/// Within this a key is known, or no more.
const EVERYWHERE: Duration = Duration::from_secs(5);

/// An API key whose calls must be signed, and with what.
struct Holder {
    id: String,
    key: String,
    signing: SigningKey,
}

impl Holder {
    async fn new(system: &System, roles: &[&str]) -> Result<Self, BenchError> {
        let (operator, signing) = (shop(system), SigningKey::new()?);
        let message = CreateApiKeyRequest {
            request_id: Uuid::new_v4().to_string(),
            roles: roles.iter().map(|&role| role.to_owned()).collect(),
            label: "signed".to_owned(),
            verification_key: signing.public(),
            ..CreateApiKeyRequest::default()
        };
        let request = operator.request(message, None);
        let made = operator.participants.clone().create_api_key(request).await?.into_inner();
        let record = made.api_key.unwrap_or_default();
        assert_eq!(record.verification_key, signing.public());
        let holder = Self { id: record.id, key: made.key, signing };
        holder.until_let_in(&system.gateway()?, true).await?;
        Ok(holder)
    }

    async fn until_let_in(&self, gateway: &Route, let_in: bool) -> Result<(), BenchError> {
        let client = Client::new(gateway, &self.key)?;
        let look = || async {
            let code =
                client.account(&format!("acc_{}", "1".repeat(32))).await.err().map(|status| status.code());
            ((code == Some(Code::NotFound)) == let_in).then_some(())
        };
        wait::until("the key is let in, or no more", EVERYWHERE, look).await
    }

    fn credential(&self) -> String {
        format!("Bearer {}", self.key)
    }
}

fn payment(payer: &str) -> CreatePaymentRequest {
    let payee = payee_by_iban("Grace", &BANKS[0].account(80));
    order(&Uuid::new_v4().to_string(), payer, payee, 100, "EUR")
}

fn unframed(content: &[u8]) -> Vec<u8> {
    content.get(5..).unwrap_or_default().to_vec()
}

/// Calls as the metadata says, with this content.
async fn call(
    gateway: &Route,
    path: &str,
    credential: &str,
    mut metadata: MetadataMap,
    content: &[u8],
) -> Result<Vec<u8>, Status> {
    metadata.insert("authorization", credential.parse().map_err(|_| Status::internal("no ASCII"))?);
    raw::call(gateway.clone().connect(), path, metadata, vec![unframed(content)]).await
}

/// The code, the reason and the text of a refusal.
fn refusal(found: Result<Vec<u8>, Status>) -> (Code, String, String) {
    let Err(status) = found else { return (Code::Ok, String::new(), String::new()) };
    let reason = status.get_error_details().error_info().map(|info| info.reason.clone()).unwrap_or_default();
    (status.code(), reason, status.message().to_owned())
}

fn is_refused(name: &str, found: Result<Vec<u8>, Status>, reason: &str) {
    let found = refusal(found);
    assert_eq!((found.0, found.1.as_str()), (Code::Unauthenticated, reason), "{name}: {found:?}");
}

/// Changes something of a call that was signed well.
type Change = fn(&mut Signing, &mut MetadataMap) -> Result<(), BenchError>;

fn replace(metadata: &mut MetadataMap, name: &'static str, from: &str, to: &str) -> Result<(), BenchError> {
    let value = metadata.get(name).ok_or("no such header")?.to_str()?;
    assert!(value.contains(from), "{from} is not in {value}");
    let changed = value.replacen(from, to, 1).parse()?;
    metadata.insert(name, changed);
    Ok(())
}

/// What may happen to a signed call on its way, and each must be found.
#[rustfmt::skip]
const CHANGES: &[(&str, Change)] = &[
    ("another message", |call, _| { let last = call.content.len() - 1; call.content[last] ^= 1; Ok(()) }),
    ("one byte more", |call, _| { call.content = framed(&[unframed(&call.content), vec![0x7a, 0]].concat()); Ok(()) }),
    ("no message", |call, _| { call.content = framed(b""); Ok(()) }),
    ("another call", |call, _| { call.path = CANCEL.to_owned(); Ok(()) }),
    ("another time", |call, headers| replace(headers, "signature-input", &format!("created={}", call.created), &format!("created={}", call.created + 1))),
    ("another nonce", |call, headers| replace(headers, "signature-input", &call.nonce, &Uuid::new_v4().to_string())),
    ("another keyid", |_, headers| replace(headers, "signature-input", "keyid=\"", "keyid=\"x")),
    ("no keyid", |_, headers| replace(headers, "signature-input", ";keyid", ";kid")),
    ("no nonce", |_, headers| replace(headers, "signature-input", ";nonce", ";once")),
    ("no time", |_, headers| replace(headers, "signature-input", ";created", ";made")),
    ("less covered", |_, headers| replace(headers, "signature-input", " \"content-digest\"", "")),
    ("another algorithm", |_, headers| replace(headers, "signature-input", ";created", ";alg=\"hmac-sha256\";created")),
    ("another label", |_, headers| replace(headers, "signature", "call=", "other=")),
    ("a signature that is cut", |_, headers| replace(headers, "signature", "call=:", "call=:AAAA:, x=:")),
    ("no structured field", |_, headers| replace(headers, "signature-input", "call=(", "call=((")),
    ("a digest that is none", |_, headers| { headers.insert("content-digest", "sha-256=1".parse()?); Ok(()) }),
    ("another digest", |_, headers| { headers.insert("content-digest", "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:".parse()?); Ok(()) }),
    ("no digest", |_, headers| { headers.remove("content-digest"); Ok(()) }),
    ("no signature", |_, headers| { headers.remove("signature"); Ok(()) }),
    ("no input", |_, headers| { headers.remove("signature-input"); Ok(()) }),
    ("the signature twice", |_, headers| { let same = headers.get("signature").ok_or("none")?.clone(); headers.append("signature", same); Ok(()) }),
    ("two signatures", |_, headers| {
        for (name, value) in [("signature-input", "b=();created=1"), ("signature", "b=:AAAA:")] {
            let both = format!("{}, {value}", headers.get(name).ok_or("none")?.to_str()?);
            headers.insert(name, both.parse()?);
        }
        Ok(())
    }),
];

/// What is signed well, and is not what must be signed.
type Mistake = fn(&mut Signing);

#[rustfmt::skip]
const MISTAKES: &[(&str, Mistake, &str)] = &[
    ("too old", |signing| signing.created -= 310, "SIGNATURE_EXPIRED"),
    ("too new", |signing| signing.created += 310, "SIGNATURE_EXPIRED"),
    ("without the path", |signing| signing.covered.retain(|name| name != "@path"), "SIGNATURE_INVALID"),
    ("without the method", |signing| signing.covered.retain(|name| name != "@method"), "SIGNATURE_INVALID"),
    ("without the content", |signing| signing.covered.retain(|name| name != "content-digest"), "SIGNATURE_INVALID"),
    ("the path twice", |signing| signing.covered.push("@path".to_owned()), "SIGNATURE_INVALID"),
    ("a header that there is not", |signing| signing.covered.push("x-other".to_owned()), "SIGNATURE_INVALID"),
    ("the status", |signing| signing.covered.push("@status".to_owned()), "SIGNATURE_INVALID"),
    ("of another method", |signing| signing.method = "GET", "SIGNATURE_INVALID"),
    ("of another path", |signing| signing.path = READ.to_owned(), "SIGNATURE_INVALID"),
    ("a short nonce", |signing| signing.nonce.truncate(15), "SIGNATURE_INVALID"),
    ("a long nonce", |signing| signing.nonce = "n".repeat(129), "SIGNATURE_INVALID"),
    ("another's keyid", |signing| signing.key_id = "JrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=".to_owned(), "SIGNATURE_INVALID"),
];

#[test]
fn only_what_its_holder_signed_is_carried_out() {
    run_on_system(async |system| {
        let (gateway, payer) = (system.gateway()?, funded(&shop(system), "signing").await?);
        let holder = Holder::new(system, &["payer-app"]).await?;
        let client = Client::new(&gateway, &holder.key)?;
        let message = payment(&payer);
        let paid =
            client.payments.clone().create_payment(client.signed(message, PAY, &holder.signing)?).await?;
        assert_eq!(paid.into_inner().payment.unwrap_or_default().state(), PaymentState::Succeeded);

        let mut never = Vec::new();
        for (name, change) in CHANGES {
            let message = payment(&payer);
            let mut signing = Signing::of(PAY, &message);
            let mut metadata = holder.signing.sign(&signing)?;
            change(&mut signing, &mut metadata)?;
            let found = call(&gateway, &signing.path, &holder.credential(), metadata, &signing.content).await;
            is_refused(name, found, "SIGNATURE_INVALID");
            never.push(message.request_id);
        }
        for (name, mistake, reason) in MISTAKES {
            let message = payment(&payer);
            let mut signing = Signing::of(PAY, &message);
            mistake(&mut signing);
            let metadata = holder.signing.sign(&signing)?;
            let found = call(&gateway, PAY, &holder.credential(), metadata, &signing.content).await;
            if *reason == "SIGNATURE_EXPIRED" {
                let text = found.as_ref().err().map(Status::message).unwrap_or_default();
                assert!(text.contains("within 300 s of this gateway's clock, which says 1"), "{text}");
            }
            is_refused(name, found, reason);
            never.push(message.request_id);
        }
        // Another's signature, and none.
        let (other, message) = (Holder::new(system, &["payer-app"]).await?, payment(&payer));
        let signing = Signing::of(PAY, &message);
        let by_other = other.signing.sign(&signing)?;
        is_refused(
            "another's",
            call(&gateway, PAY, &holder.credential(), by_other, &signing.content).await,
            "SIGNATURE_INVALID",
        );
        let unsigned = call(&gateway, PAY, &holder.credential(), MetadataMap::new(), &signing.content).await;
        is_refused("not signed", unsigned, "SIGNATURE_REQUIRED");
        let dry = CreatePaymentRequest { validate_only: true, ..message.clone() };
        let dry = framed(&dry.encode_to_vec());
        let unsigned = call(&gateway, PAY, &holder.credential(), MetadataMap::new(), &dry).await;
        is_refused("validated, not signed", unsigned, "SIGNATURE_REQUIRED");
        never.push(message.request_id);

        // A credential that nothing could be verified with, and one that nobody knows: it hears what everybody hears.
        let message = payment(&payer);
        let signing = Signing::of(PAY, &message);
        let keyless = format!("Bearer {}", system.credential(0));
        let metadata = holder.signing.sign(&signing)?;
        let found = call(&gateway, PAY, &keyless, metadata.clone(), &signing.content).await;
        is_refused("no verification key", found, "SIGNATURE_KEY_UNKNOWN");
        let unknown = format!("Bearer rk_{}", "A".repeat(43));
        let found = call(&gateway, PAY, &unknown, metadata, &signing.content).await;
        is_refused("unknown", found, "UNAUTHENTICATED");
        never.push(message.request_id);

        for request_id in never {
            // Reading needs no signature.
            let message = GetPaymentRequest { key: Some(Key::RequestId(request_id.clone())) };
            let found = client.payments.clone().get_payment(client.request(message, None)).await;
            assert_eq!(found.err().map(|status| status.code()), Some(Code::NotFound), "{request_id}");
        }
        Ok(())
    });
}

/// High value: whoever has stolen a key that needs no signature pays no more than this with it.
#[test]
fn payments_above_the_accounts_rule_are_signed() {
    run_on_system(async |system| {
        let (gateway, operator) = (system.gateway()?, shop(system));
        let payer = funded(&operator, "high-value").await?;
        let limits = Limits { unsigned_payment_minor_units: Some(99), ..Limits::default() };
        let set = SetAccountLimitsRequest { account: payer.clone(), limits: Some(limits) };
        let set = operator.limits.clone().set_account_limits(operator.request(set, None)).await?.into_inner();
        assert_eq!(set.status.unwrap_or_default().limits, Some(limits));
        let message = payment(&payer);
        for validate_only in [true, false] {
            let message = CreatePaymentRequest { validate_only, ..message.clone() };
            let status = operator.pay(message, None).await.err().ok_or("paid without a signature")?;
            let reason = status.get_error_details().error_info().map(|info| info.reason.clone());
            assert_eq!(
                (status.code(), reason.as_deref()),
                (Code::FailedPrecondition, Some("SIGNATURE_REQUIRED"))
            );
        }
        let small = CreatePaymentRequest { amount: Some(money(99, "EUR")), ..payment(&payer) };
        assert_eq!(operator.pay(small, None).await?.payment.state(), PaymentState::Succeeded);
        // The same request, signed with another key of the same participant.
        let holder = Holder::new(system, &["payer-app"]).await?;
        let client = Client::new(&gateway, &holder.key)?;
        let signed = client.signed(message, PAY, &holder.signing)?;
        let paid = client.payments.clone().create_payment(signed).await?.into_inner();
        assert_eq!(paid.payment.unwrap_or_default().state(), PaymentState::Succeeded);
        Ok(())
    });
}

#[test]
fn a_read_may_be_signed_and_then_well() {
    run_on_system(async |system| {
        let gateway = system.gateway()?;
        let holder = Holder::new(system, &["payer-app"]).await?;
        let message = GetPaymentRequest { key: Some(Key::RequestId("nobody's".to_owned())) };
        let signing = Signing::of(READ, &message);
        let metadata = holder.signing.sign(&signing)?;
        for _ in 0..2 {
            // Reading twice does nothing twice.
            let found = call(&gateway, READ, &holder.credential(), metadata.clone(), &signing.content).await;
            assert_eq!(refusal(found).0, Code::NotFound);
        }
        // The gateway reads no more of a signed call than of any other.
        let long = Signing { content: framed(&[b'x'; (64 << 10) + 1]), ..Signing::of(READ, &message) };
        let found =
            call(&gateway, READ, &holder.credential(), holder.signing.sign(&long)?, &long.content).await;
        assert_eq!(refusal(found).0, Code::OutOfRange);
        let found = call(&gateway, ACCOUNT, &holder.credential(), metadata, &signing.content).await;
        is_refused("another read", found, "SIGNATURE_INVALID");
        Ok(())
    });
}

/// One more gateway of the system.
fn second_gateway(system: &System) -> Result<(Process, Route), BenchError> {
    let folder = harness::postgres::own_folder("second-gateway")?;
    let (certificates, mut command) = (system.certificates(), program("gateway"));
    for variable in INSECURE {
        command.env_remove(variable);
    }
    command.arg("--platform").arg(format!("https://{}", system.address(Service::Platform)));
    command.arg("--api-keys").arg(system.folder().join("api-keys.toml"));
    command.env("RIALTO_API_KEY_SECRET", API_KEY_SECRET);
    command.arg("--public-certificate").arg(certificates.file("public"));
    command.arg("--public-key").arg(certificates.key("public"));
    command.args(certificates.identity_args("gateway"));
    command.arg("--address-file").arg(folder.join("address"));
    let mut process = Process::start("gateway", command, KILLED_WITH_PARENT, &folder.join("log"))?;
    let address = process.wait_for_file(&folder.join("address"))?;
    Ok((process, certificates.to_gateway(&address)?))
}

#[test]
fn a_signature_counts_once_at_all_gateways_and_its_request_is_signed_anew() {
    run_on_system(async |system| {
        let (gateway, payer) = (system.gateway()?, funded(&shop(system), "replay").await?);
        let (_second, second) = second_gateway(system)?;
        let holder = Holder::new(system, &["payer-app", "operator"]).await?;
        holder.until_let_in(&second, true).await?;
        let message = payment(&payer);
        let signing = Signing::of(PAY, &message);
        let metadata = holder.signing.sign(&signing)?;
        let paid = |bytes: Vec<u8>| CreatePaymentResponse::decode(bytes.as_slice()).map(|paid| paid.payment);
        let first =
            paid(call(&gateway, PAY, &holder.credential(), metadata.clone(), &signing.content).await?)?;
        assert!(first.is_some());
        for (name, gateway) in [("the same gateway", &gateway), ("another gateway", &second)] {
            let found = call(gateway, PAY, &holder.credential(), metadata.clone(), &signing.content).await;
            is_refused(name, found, "SIGNATURE_REPLAYED");
        }
        // The key that replaces it has the same verification key, so that the same signatures would be good.
        let client = Client::new(&gateway, &holder.key)?;
        let rotation = RotateApiKeyRequest {
            request_id: Uuid::new_v4().to_string(),
            api_key: holder.id.clone(),
            overlap: Some(prost_types::Duration { seconds: 3_600, nanos: 0 }),
            ..RotateApiKeyRequest::default()
        };
        const ROTATE: &str = "/rialto.participants.v1.ParticipantService/RotateApiKey";
        let unsigned =
            client.participants.clone().rotate_api_key(client.request(rotation.clone(), None)).await;
        let reason =
            unsigned.err().and_then(|status| Some(status.get_error_details().error_info()?.reason.clone()));
        assert_eq!(reason.as_deref(), Some("SIGNATURE_REQUIRED"));
        let signed = client.signed(rotation, ROTATE, &holder.signing)?;
        let rotated = client.participants.clone().rotate_api_key(signed).await?.into_inner();
        assert_eq!(rotated.api_key.unwrap_or_default().verification_key, holder.signing.public());
        let next = Holder { key: rotated.key, ..holder };
        next.until_let_in(&second, true).await?;
        let found = call(&second, PAY, &next.credential(), metadata, &signing.content).await;
        is_refused("the next key", found, "SIGNATURE_REPLAYED");

        // Whoever has lost the answer signs the same request anew.
        let again = Signing::of(PAY, &message);
        let metadata = next.signing.sign(&again)?;
        let found = paid(call(&second, PAY, &next.credential(), metadata, &again.content).await?)?;
        assert_eq!(found, first);

        Ok(())
    });
}

#[test]
fn a_good_signature_lets_no_revoked_key_in() {
    run_on_system(async |system| {
        let (gateway, holder) = (system.gateway()?, Holder::new(system, &["payer-app"]).await?);
        let operator = shop(system);
        let request = operator.request(RevokeApiKeyRequest { api_key: holder.id.clone() }, None);
        operator.participants.clone().revoke_api_key(request).await?;
        holder.until_let_in(&gateway, false).await?;
        let signing = Signing::of(PAY, &payment("acc_0"));
        let metadata = holder.signing.sign(&signing)?;
        let found = call(&gateway, PAY, &holder.credential(), metadata, &signing.content).await;
        is_refused("revoked", found, "UNAUTHENTICATED");
        Ok(())
    });
}

/// The program's own commands, as docs/signing.md has them, with a key of the gateway's file.
#[test]
fn a_call_can_be_signed_at_the_command_line() {
    run(async || {
        let gateway = Alone::gateway(&[])?;
        let file = |name: &str| gateway.folder.join(name);
        let new_signing_key = || {
            let mut command = program("gateway");
            command.arg("new-signing-key").arg("--out").arg(file("shop.key"));
            finish(command)
        };
        let public = new_signing_key()?.out.trim().to_owned();
        let again = new_signing_key()?;
        assert!(again.code == Some(1) && again.err.contains("cannot write"), "{}", again.err);
        let new_key = |public: &str| {
            let mut command = program("gateway");
            command.args([
                "new-key",
                "--participant=signed-shop",
                "--role=payer-app",
                "--verification-key",
                public,
            ]);
            command.env("RIALTO_API_KEY_SECRET", API_KEY_SECRET);
            finish(command)
        };
        for bad in ["AAAA", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "x"] {
            let ended = new_key(bad)?;
            assert!(ended.code == Some(1) && ended.err.contains("--verification-key must"), "{}", ended.err);
        }
        let entry = new_key(&public)?.out;
        let key =
            entry.lines().next().and_then(|line| line.rsplit(' ').next()).unwrap_or_default().to_owned();
        let was = std::fs::read_to_string(file("keys"))?;
        std::fs::write(file("keys"), was.clone() + &entry.replace(&public, "AAAA"))?;
        gateway.process.signal("HUP")?;
        wait::until("the bad key is reported", EVERYWHERE, || async {
            gateway.log().contains("verification_key must").then_some(())
        })
        .await?;
        std::fs::write(file("keys"), was + &entry)?;
        gateway.process.signal("HUP")?;

        let message = payment(&format!("acc_{}", "1".repeat(32))).encode_to_vec();
        std::fs::write(file("payment.bin"), &message)?;
        let sign = |key: &str| {
            let mut command = program("gateway");
            command
                .args(["sign", "--path", PAY, "--key"])
                .arg(file(key))
                .arg("--message")
                .arg(file("payment.bin"));
            command.arg("--content-out").arg(file("content.bin"));
            finish(command)
        };
        assert!(sign("keys")?.err.contains("holds no private key"));
        let signed = sign("shop.key")?;
        assert_eq!(signed.code, Some(0), "{}", signed.err);
        let content = std::fs::read(file("content.bin"))?;
        assert_eq!(content, framed(&message));
        let mut metadata = MetadataMap::new();
        for line in signed.out.lines() {
            let (name, value) = line.split_once(": ").ok_or("no header")?;
            metadata.insert(MetadataKey::from_bytes(name.as_bytes())?, value.parse()?);
        }
        let credential = format!("Bearer {key}");
        let reason = async |metadata: MetadataMap| {
            refusal(call(&gateway.route(), PAY, &credential, metadata, &content).await).1
        };
        wait::until("the key is known", EVERYWHERE, || async {
            (reason(MetadataMap::new()).await == "SIGNATURE_REQUIRED").then_some(())
        })
        .await?;
        // There is no platform, and the call got as far as that.
        assert_eq!(reason(metadata).await, "PLATFORM_UNAVAILABLE");
        Ok(())
    });
}
