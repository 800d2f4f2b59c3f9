//! A base backup and archived WAL become a database again; the commands that judge it find what a restore lost.

use std::{
    path::Path,
    process::{Command, Output},
    time::Duration,
};

use harness::{
    BenchError, binaries,
    books::compare,
    postgres::{Postgres, own_folder},
    system::{BANKS, Service, Setup, System},
    wait,
};
use proto::audit::GetCheckpointRequest;
use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};
use uuid::Uuid;

use crate::load::{Load, client, count, run, start_with};

/// How PostgreSQL keeps its WAL elsewhere, and takes it from there.
fn archiving(folder: &Path) -> [String; 2] {
    let wal = folder.display();
    [
        format!("archive_command=mkdir -p '{wal}' && test ! -f '{wal}/%f' && cp %p '{wal}/%f'"),
        format!("restore_command=cp '{wal}/%f' %p"),
    ]
}

/// The newest checkpoint of the audit log.
async fn checkpoint(system: &System) -> Result<String, BenchError> {
    let auditor = client(system);
    let request = auditor.request(GetCheckpointRequest {}, None);
    Ok(auditor.audit.clone().get_checkpoint(request).await?.into_inner().checkpoint)
}

async fn number(database: &PgConnectOptions, sql: &'static str) -> Result<i64, BenchError> {
    let mut connection = PgConnection::connect_with(database).await?;
    Ok(sqlx::query_scalar(sql).fetch_one(&mut connection).await?)
}

/// Runs a job of the platform on a restored database.
fn job(system: &System, database: &Postgres, arguments: &[&str]) -> Result<Output, BenchError> {
    let mut command = Command::new(binaries::program("platform")?);
    command.args(arguments).arg("--insecure-database").arg("--data-key-file").arg(system.data_key());
    Ok(command.env("RIALTO_DATABASE_URL", database.url("rialto")).output()?)
}

/// What was printed, for people.
fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// What the restored ledger and the banks' own books disagree on.
async fn differences(system: &System, database: &Postgres) -> Result<Vec<String>, BenchError> {
    let banks = BANKS.iter().map(|bank| bank.id);
    compare(&database.options("rialto"), system.address(Service::Bank), banks, Uuid::nil()).await
}

#[test]
fn a_backup_is_restored_and_what_a_restore_lost_is_found() {
    run(async || {
        let folder = own_folder("restore")?;
        // Where the server's own user may write.
        let [archive, restore] = archiving(&folder.join("postgres/wal"));
        let mut setup = Setup::new(folder.clone());
        setup.database_settings.extend(["archive_mode=on".to_owned(), archive]);
        setup.flags.push((Service::Platform, "--seal-after=1s".to_owned()));
        let (mut system, payers) = start_with(setup).await?;
        let load = Load::begin(&system, &payers);
        load.goes_on(100).await?;
        for copy in ["whole", "short"] {
            system.postgres().copy(&folder.join(copy), &[])?;
        }
        load.goes_on(100).await?;
        system.postgres().tell("SELECT pg_create_restore_point('before_the_loss')").await?;
        load.goes_on(100).await?;
        let told = load.end().await?;
        count(&system, &told).await?;
        // The checkpoint that an auditor kept: of all that was paid.
        tokio::time::sleep(Duration::from_secs(5)).await;
        let kept = folder.join("checkpoint");
        std::fs::write(&kept, checkpoint(&system).await?)?;
        let kept = kept.to_str().ok_or("no path")?;
        system.postgres().tell("SELECT pg_switch_wal()").await?;
        let archived = "SELECT count(*) FROM pg_stat_archiver WHERE last_archived_wal >= \
                        pg_walfile_name(pg_current_wal_lsn() - 16777216)";
        let database = system.database();
        let is_archived = || async { (number(&database, archived).await.ok()? > 0).then_some(()) };
        wait::until("the WAL is archived", Duration::from_secs(30), is_archived).await?;

        let whole = Postgres::restore(&folder.join("whole"), &[&restore]).await?;
        let balance = job(&system, &whole, &["trial-balance"])?;
        assert!(balance.status.success(), "{}", said(&balance));
        let audit = job(&system, &whole, &["verify-audit", "--checkpoint", kept])?;
        assert!(audit.status.success(), "{}", said(&audit));
        assert_eq!(differences(&system, &whole).await?, Vec::<String>::new());
        drop(whole);

        let target = "recovery_target_name=before_the_loss";
        let short = Postgres::restore(&folder.join("short"), &[&restore, target]).await?;
        let balance = job(&system, &short, &["trial-balance"])?;
        assert!(balance.status.success(), "a shorter ledger adds up too: {}", said(&balance));
        let audit = job(&system, &short, &["verify-audit", "--checkpoint", kept])?;
        assert!(!audit.status.success() && said(&audit).contains("leaves once"), "{}", said(&audit));
        let missing = differences(&system, &short).await?;
        assert!(missing.iter().any(|one| one.contains("not succeeded here")), "{missing:?}");
        Ok(())
    });
}
