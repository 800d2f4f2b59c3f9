//! Encryption, seen from outside: nothing that tells of people is in the database's files, and keys are replaced while payments go on.

use std::{fs, path::Path, time::Duration};

use common::audit::hex;
use harness::{
    BenchError,
    client::{Client, order, payee_by_iban, payee_by_number, payee_on_ledger},
    system::{BANKS, Service, System},
    wait,
};
use platform::encryption::wrapping::WrappingKeys;
use proto::payments::{CreatePaymentRequest, PaymentState, RefundPaymentRequest, payee};
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::{
    bench::{Ended, finish, program, run, setup, shop},
    notices::put,
};

/// What is in nothing that the database keeps.
const CANARIES: [&str; 7] = [
    "Kanariana",
    "Gelbvogel",
    "canary-remittance",
    "canary-label",
    "canary-e2e",
    "canary-reason",
    "CANARY99",
];

async fn number(system: &System, sql: &str) -> Result<i64, BenchError> {
    let mut connection = PgConnection::connect_with(&system.database()).await?;
    Ok(sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(&mut connection).await?)
}

/// Where one of these texts stands in the rows of all tables, as text or as bytes.
async fn in_rows(system: &System, texts: &[String]) -> Result<Vec<String>, BenchError> {
    let mut connection = PgConnection::connect_with(&system.database()).await?;
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace",
    )
    .fetch_all(&mut connection)
    .await?;
    let mut found = Vec::new();
    for table in &tables {
        let rows = AssertSqlSafe(format!("SELECT t::text FROM {table} t"));
        let rows: Vec<String> = sqlx::query_scalar(rows).fetch_all(&mut connection).await?;
        for text in texts {
            let bytes = hex(text.as_bytes());
            if rows.iter().any(|row| row.contains(text.as_str()) || row.contains(&bytes)) {
                found.push(format!("{text} in {table}"));
            }
        }
    }
    Ok(found)
}

/// Where one of these texts stands in the files of a folder.
fn in_files(folder: &Path, texts: &[String], found: &mut Vec<String>) -> Result<u64, BenchError> {
    let mut read = 0;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            read += in_files(&path, texts, found)?;
        } else if let Ok(bytes) = fs::read(&path) {
            read += u64::try_from(bytes.len())?;
            for text in texts {
                if bytes.windows(text.len()).any(|part| part == text.as_bytes()) {
                    found.push(format!("{text} in {}", path.display()));
                }
            }
        }
    }
    Ok(read)
}

#[test]
fn nothing_that_tells_of_people_is_in_the_databases_files() {
    run(async || {
        let mut setup = setup("encryption")?;
        let flags = ["--archive-after=1s", "--seal-after=1s"];
        setup.flags.extend(flags.map(|flag| (Service::Platform, flag.to_owned())));
        // Small, since all of it is searched.
        setup.database_settings.extend(["max_wal_size=64MB", "min_wal_size=32MB"].map(str::to_owned));
        let system = System::start(setup).await?;
        let reject = json!({ "reject": { "code": "AC04", "text": "canary-reason" } });
        put(&system, "script", json!([{ "account": BANKS[0].account(9), "behaviour": reject }]).to_string())
            .await?;
        let client = shop(&system);
        let (own, friends) =
            (harness::names::iban("NL", "RIAL0000031415"), harness::names::iban("NL", "RIAL0000027182"));
        let payer = client.open_account("canary-account", "Kanariana Gelbvogel", "EUR", &own).await?.id;
        let friend = client.open_account("canary-friend", "Gelbvogel", "EUR", &friends).await?.id;
        client.deposit("canary-deposit", &payer, 100_000, "EUR", "aurora").await?;
        let ask = |request: &str, payee| CreatePaymentRequest {
            remittance_information: "canary-remittance".to_owned(),
            end_to_end_id: "canary-e2e".to_owned(),
            metadata: [("canary-label".to_owned(), "canary-label".to_owned())].into(),
            ..order(request, &payer, payee, 1_000, "EUR")
        };
        let by_iban = |iban: &str| payee_by_iban("Kanariana Gelbvogel", iban);
        let bank = payee::Bank::BankId("aurora".to_owned());
        let (paid_to, refused_to) = (BANKS[0].account(1), BANKS[0].account(9));
        let mut made = Vec::new();
        for (request, payee) in [
            ("bank", by_iban(&paid_to)),
            ("refused", by_iban(&refused_to)),
            ("on us", by_iban(&friends)),
            ("by id", payee_on_ledger("Gelbvogel", &friend)),
            ("number", payee_by_number("Gelbvogel", "CANARY99", bank)),
        ] {
            made.push(client.pay(ask(&request.replace(' ', "-"), payee), None).await?.payment);
        }
        let reason = made[1].reason.clone().unwrap_or_default();
        assert_eq!((made[1].state(), reason.message.as_str()), (PaymentState::Failed, "canary-reason"));
        let refund = RefundPaymentRequest {
            request_id: "refund".to_owned(),
            payment: made[0].id.clone(),
            remittance_information: "canary-remittance".to_owned(),
            ..RefundPaymentRequest::default()
        };
        let refund = client.request(refund, Some(Duration::from_secs(10)));
        client.payments.clone().refund_payment(refund).await?;
        let done = "SELECT count(*) FROM archived_payments WHERE state = 'SUCCEEDED'";
        wait::until("all is archived", Duration::from_secs(30), || async {
            number(&system, done).await.ok().filter(|count| *count >= 3)
        })
        .await?;
        wait::until("all is sealed", Duration::from_secs(30), || async {
            number(&system, "SELECT COALESCE(max(size), 0) FROM audit_seals")
                .await
                .ok()
                .filter(|size| *size >= 10)
        })
        .await?;

        for payment in &made {
            assert_eq!(
                client.payment(&payment.id).await?,
                *payment,
                "whoever may read it reads it as it was"
            );
        }
        assert_eq!(client.account(&payer).await?.display_name, "Kanariana Gelbvogel");
        let mut texts: Vec<String> = CANARIES.map(str::to_owned).to_vec();
        texts.extend([own, friends, paid_to, refused_to]);
        assert_eq!(in_rows(&system, &texts).await?, Vec::<String>::new());
        let mut connection = PgConnection::connect_with(&system.database()).await?;
        sqlx::raw_sql("CHECKPOINT").execute(&mut connection).await?;
        let mut found = Vec::new();
        let read = in_files(&system.folder().join("postgres"), &texts, &mut found)?;
        assert!(read > 10_000_000, "{read} bytes are no database");
        assert_eq!(found, Vec::<String>::new());
        // What is looked for is found where it is.
        assert!(in_files(&system.folder().join("books"), &texts, &mut found)? > 0 && !found.is_empty());
        Ok(())
    });
}

fn platform(system: &System, arguments: &[&str]) -> Result<Ended, BenchError> {
    let mut command = program("platform");
    command.args(arguments).env("RIALTO_DATABASE_URL", system.database_url());
    command.arg("--data-key-file").arg(system.data_key());
    finish(command)
}

async fn pay(client: &Client, payer: &str, request: &str) -> Result<PaymentState, BenchError> {
    let payee = payee_by_iban("Blaise Seller", &BANKS[0].account(1));
    Ok(client.pay(order(request, payer, payee, 1, "EUR"), None).await?.payment.state())
}

#[test]
fn keys_are_replaced_while_payments_go_on_and_nobody_reads_without_them() {
    run(async || {
        let mut system = System::start(setup("keys-replaced")?).await?;
        let client = shop(&system);
        let payer = crate::bench::funded(&client, "encryption").await?;
        assert_eq!(pay(&client, &payer, "first").await?, PaymentState::Succeeded);
        let rotated = platform(&system, &["rotate-data-key"])?;
        assert_eq!((rotated.code, rotated.out.contains("data key 2")), (Some(0), true), "{}", rotated.err);
        let newest = "SELECT get_byte(personal, 0)::bigint FROM payments ORDER BY id DESC LIMIT 1";
        let count = std::sync::atomic::AtomicU32::new(0);
        wait::until("the platform encrypts under it", Duration::from_secs(20), || async {
            let name = format!("second-{}", count.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
            let state = pay(&client, &payer, &name).await.ok()?;
            (state == PaymentState::Succeeded && number(&system, newest).await.ok()? == 2).then_some(())
        })
        .await?;

        let out = system.folder().join("new.key");
        let new = platform(&system, &["new-data-key", "--out", out.to_str().ok_or("no path")?])?;
        assert_eq!(new.code, Some(0), "{}", new.err);
        assert!(new.out.is_empty() && new.err.is_empty(), "a key is not printed");
        let again = platform(&system, &["new-data-key", "--out", out.to_str().ok_or("no path")?])?;
        assert_eq!(again.code, Some(1), "a key is not written over");
        let (old, new) = (fs::read_to_string(system.data_key())?, fs::read_to_string(&out)?);
        let was: String = {
            let mut connection = PgConnection::connect_with(&system.database()).await?;
            sqlx::query_scalar("SELECT min(wrapped_by) FROM data_keys").fetch_one(&mut connection).await?
        };
        fs::write(system.data_key(), format!("{new}{old}"))?;
        let left = format!("SELECT count(*) FROM data_keys WHERE wrapped_by = '{was}'");
        wait::until("all are wrapped anew", Duration::from_secs(20), || async {
            assert_eq!(pay(&client, &payer, "meanwhile").await.ok()?, PaymentState::Succeeded);
            number(&system, &left).await.ok().filter(|left| *left == 0)
        })
        .await?;
        fs::write(system.data_key(), &new)?;
        system.restart(Service::Platform)?;
        wait::until("payments are paid", Duration::from_secs(20), || async {
            pay(&client, &payer, "third").await.ok().filter(|state| *state == PaymentState::Succeeded)
        })
        .await?;
        assert_eq!(
            pay(&client, &payer, "first").await?,
            PaymentState::Succeeded,
            "and what was encrypted first is read"
        );

        fs::write(system.data_key(), &old)?;
        for job in [&["verify-audit"][..], &["rotate-data-key"], &["--channel=http://127.0.0.1:9", "serve"]] {
            let refused = platform(&system, job)?;
            assert_eq!(refused.code, Some(1), "{}", refused.out);
            assert!(
                refused.err.contains("data key 0 is wrapped by the key-encryption key"),
                "{}",
                refused.err
            );
            assert!(!refused.err.contains(old.trim()), "{}", refused.err);
        }
        fs::write(system.data_key(), new)?;
        let checked = platform(&system, &["verify-audit"])?;
        assert_eq!(checked.code, Some(0), "{}{}", checked.out, checked.err);
        Ok(())
    });
}

#[test]
fn a_file_that_holds_no_keys_is_refused_in_words() {
    run(async || {
        let file = harness::postgres::own_folder("encryption")?.join("keys");
        let good = WrappingKeys::new_file().ok_or("no randomness")?;
        let cut = &good[..40];
        for (text, says) in [
            (None, "cannot read"),
            (Some(""), "holds no key"),
            (Some("canary"), "line 1: expected 32 bytes in base64"),
            (Some(cut), "line 1"),
            (Some(&format!("{good}{good}")), "line 2: the key of a line before"),
        ] {
            if let Some(text) = text {
                fs::write(&file, text)?;
            }
            let mut command = program("platform");
            command.args(["--channel=http://127.0.0.1:9", "--data-key-file"]).arg(&file);
            command.env("RIALTO_DATABASE_URL", "postgres://u:p@127.0.0.1:9/d");
            let ended = finish(command)?;
            assert_eq!(ended.code, Some(1), "{}", ended.err);
            let line = ended.err.lines().find(|line| line.contains("--data-key-file")).unwrap_or_default();
            assert!(line.contains(says), "{says}: {}", ended.err);
            assert!(!ended.err.contains("canary") && !ended.err.contains(cut), "{}", ended.err);
        }
        Ok(())
    });
}
