//! The audit log as its users see it: checkpoints, proofs and receipts, which need nobody's word.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use common::audit::{merkle, note::PublicKey};
use harness::{
    BenchError,
    client::{Client, order, payee_by_iban},
    system::{BANKS, Service, System},
    wait,
};

use proto::audit::{
    GetCheckpointRequest, GetConsistencyProofRequest, GetInclusionProofRequest, GetPaymentReceiptRequest,
    Receipt,
};
use serde_json::{Value, json};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::bench::{Done, finish, funded, program, run, setup, shop};

async fn receipt(client: &Client, payment: &str) -> Result<Receipt, Status> {
    let request = client.request(GetPaymentReceiptRequest { payment: payment.to_owned() }, None);
    let answer = client.audit.clone().get_payment_receipt(request).await?.into_inner();
    answer.receipt.ok_or_else(|| Status::internal("no receipt"))
}

fn reason(status: &Status) -> (Code, String) {
    let info = status.get_error_details().error_info().map(|info| info.reason.clone());
    (status.code(), info.unwrap_or_default())
}

/// As programs print it.
fn printed(receipt: &Receipt) -> Value {
    let steps: Vec<Value> = receipt
        .steps
        .iter()
        .map(|step| {
            let proof: Vec<String> = step.proof.iter().map(|hash| STANDARD.encode(hash)).collect();
            json!({ "text": step.text, "leaf": step.leaf.to_string(), "proof": proof })
        })
        .collect();
    json!({ "receipt": { "payment": receipt.payment, "steps": steps, "checkpoint": receipt.checkpoint } })
}

fn verify(system: &System, key: &str, receipt: &Value) -> Result<(Option<i32>, String), BenchError> {
    let file = system.folder().join("receipt.json");
    std::fs::write(&file, receipt.to_string())?;
    let mut command = program("platform");
    command.args(["verify-receipt", "--key", key]).arg(&file);
    let ended = finish(command)?;
    Ok((ended.code, ended.out + &ended.err))
}

#[test]
fn a_receipt_shows_a_payment_to_whoever_has_the_key_and_nothing_else_does() {
    run(async || {
        let mut setup = setup("audit")?;
        setup.flags.push((Service::Platform, "--seal-after=2s".to_owned()));
        let system = System::start(setup).await?;
        let client = shop(&system);
        let account = funded(&client, "audit").await?;
        let payee = || payee_by_iban("Blaise Seller", &BANKS[0].account(1));
        let pay = order("paid", &account, payee(), 1_234, "EUR");
        let payment = client.pay(pay, None).await?.payment;
        let early = receipt(&client, &payment.id).await.unwrap_err();
        assert!(["NOT_SEALED_YET", "NOTHING_SEALED"].contains(&reason(&early).1.as_str()), "{early}");
        let soon = Duration::from_secs(15);
        let found =
            wait::until("the receipt", soon, || async { receipt(&client, &payment.id).await.ok() }).await?;

        let key = system.audit_public_key();
        let good = printed(&found);
        let (code, said) = verify(&system, key, &good)?;
        assert_eq!(code, Some(0), "{said}");
        for part in
            [payment.id.as_str(), "1234", "EUR", "Blaise Seller", "SUBMITTED", "SUCCEEDED", "demo-shop"]
        {
            assert!(said.contains(part), "{part} is not in:\n{said}");
        }
        let changed = |path: &str, change: &dyn Fn(&Value) -> Value| {
            let mut changed = good.clone();
            let place = changed.pointer_mut(path).expect("a place");
            *place = change(place);
            changed
        };
        let replaced = |from: &'static str, to: &'static str| {
            move |text: &Value| json!(text.as_str().unwrap_or_default().replace(from, to))
        };
        let other = Client::new(&system.gateway()?, system.credential(1))?;
        for (name, bad, says) in [
            (
                "another amount",
                changed("/receipt/steps/0/text", &replaced("1234", "1235")),
                "step 1: it is not in the log",
            ),
            (
                "another end",
                changed("/receipt/steps/1/text", &replaced("SUCCEEDED", "FAILED")),
                "step 2: it is not in the log",
            ),
            ("another leaf", changed("/receipt/steps/0/leaf", &|_| json!("0")), "step 1"),
            ("no proof", changed("/receipt/steps/1/proof", &|_| json!([])), "step 2"),
            (
                "a step left out",
                changed("/receipt/steps", &|steps| json!([steps[1]])),
                "a step before it is missing",
            ),
            ("no step", changed("/receipt/steps", &|_| json!([])), "what was asked for"),
            (
                "another payment",
                changed("/receipt/payment", &|_| json!(format!("pay_{}", "1".repeat(32)))),
                "another payment",
            ),
            (
                "another root",
                changed("/receipt/checkpoint", &replaced("rialto\n", "rialto\n1")),
                "checkpoint is not believed",
            ),
            ("no JSON", json!("receipt"), "no receipt"),
        ] {
            let (code, said) = verify(&system, key, &bad)?;
            assert_eq!(code, Some(1), "{name}: {said}");
            assert!(said.contains(says), "{name}: {says} is not in:\n{said}");
        }
        let stranger = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        assert!(verify(&system, stranger, &good)?.1.contains("not signed with this key"));
        assert_eq!(
            reason(&receipt(&other, &payment.id).await.unwrap_err()),
            (Code::NotFound, "NOT_FOUND".to_owned())
        );
        assert_eq!(receipt(&client, "pay_1").await.unwrap_err().code(), Code::InvalidArgument);
        proofs(&client, key).await?;
        checked(&system, &client).await
    });
}

async fn checkpoint(client: &Client) -> Result<String, BenchError> {
    let request = client.request(GetCheckpointRequest {}, None);
    Ok(client.audit.clone().get_checkpoint(request).await?.into_inner().checkpoint)
}

/// Proofs of what the checkpoint is of, and answers to questions that make no sense.
async fn proofs(client: &Client, key: &str) -> Done {
    let key = PublicKey::parse(key)?;
    let (size, root) = key.verify(&checkpoint(client).await?)?;
    let size = i64::try_from(size)?;
    let consistency = async |old_size: i64, size: i64| {
        let request = client.request(GetConsistencyProofRequest { old_size, size }, None);
        client.audit.clone().get_consistency_proof(request).await.map(|answer| answer.into_inner())
    };
    let inclusion = async |leaf: i64, size: i64| {
        let request = client.request(GetInclusionProofRequest { leaf, size }, None);
        client.audit.clone().get_inclusion_proof(request).await.map(|answer| answer.into_inner())
    };
    let hashes = |proof: Vec<Vec<u8>>| -> Vec<merkle::Hash> {
        proof.into_iter().map(|hash| hash.try_into().unwrap()).collect()
    };
    // The log of one leaf has that leaf's hash as its root, with which the two kinds of proof must agree.
    let grown = consistency(1, size).await?;
    let first = *hashes(inclusion(0, 2).await?.proof).first().ok_or("no proof")?;
    let proof = hashes(grown.proof);
    assert_eq!(proof.first(), Some(&first));
    assert!(!merkle::is_consistent(1, &first, grown.size.try_into()?, &root, &proof));
    assert_eq!(inclusion(0, 0).await?.size, grown.size);
    for (what, answer) in [
        ("leaf", inclusion(-1, size).await.map(drop)),
        ("leaf", inclusion(size, size).await.map(drop)),
        ("size", inclusion(0, size + 1_000_000).await.map(drop)),
        ("size", inclusion(0, -1).await.map(drop)),
        ("old_size", consistency(0, size).await.map(drop)),
        ("old_size", consistency(size + 1_000_000, size).await.map(drop)),
        ("size", consistency(1, i64::MAX).await.map(drop)),
    ] {
        let refused = answer.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{what}: {refused}");
        let fields = refused.get_error_details().bad_request().map(|bad| bad.field_violations.clone());
        assert_eq!(fields.unwrap_or_default().first().map(|bad| bad.field.clone()).as_deref(), Some(what));
    }
    Ok(())
}

/// The command that computes the whole log again.
async fn checked(system: &System, client: &Client) -> Done {
    let file = system.folder().join("checkpoint");
    std::fs::write(&file, checkpoint(client).await?)?;
    let verify = |more: &[&str]| {
        let mut command = program("platform");
        command.arg("verify-audit").args(more).env("RIALTO_DATABASE_URL", system.database_url());
        command.arg("--data-key-file").arg(system.data_key());
        finish(command)
    };
    let kept = file.to_str().ok_or("no path")?;
    let people = verify(&["--checkpoint", kept])?;
    assert_eq!(people.code, Some(0), "{}{}", people.out, people.err);
    assert!(people.out.contains("audit log: OK"), "{}", people.out);
    let programs: Value = serde_json::from_str(&verify(&["--json"])?.out)?;
    assert_eq!(programs["differences"], json!([]));
    assert!(programs["leaves"].as_u64() > Some(5), "{programs}");
    std::fs::write(&file, checkpoint(client).await?.replace("rialto\n", "rialto\n9"))?;
    let shrunk = verify(&["--checkpoint", kept])?;
    assert_eq!(shrunk.code, Some(1), "{}", shrunk.out);
    assert!(shrunk.out.contains("leaves once, and has"), "{}", shrunk.out);
    std::fs::write(&file, "nonsense")?;
    assert!(verify(&["--checkpoint", kept])?.err.contains("no size and root"));
    Ok(())
}
