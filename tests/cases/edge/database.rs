//! The platform refuses a database that would lose money, and says what is wrong with it.

use harness::system::System;
use sqlx::{AssertSqlSafe, ConnectOptions, PgConnection};

use crate::bench::{Done, Ended, finish, program, run_on_system};

async fn administrator(system: &System) -> Result<PgConnection, harness::BenchError> {
    Ok(system.database().database("postgres").connect().await?)
}

async fn tell(connection: &mut PgConnection, sql: String) -> Done {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await?;
    Ok(())
}

fn start(system: &System, database: &str, flags: &[&str]) -> Result<Ended, harness::BenchError> {
    let url = system.database_url();
    let url = url.strip_suffix("rialto").map(|server| format!("{server}{database}")).ok_or("no such URL")?;
    let mut command = program("platform");
    command.args(["--channel=http://127.0.0.1:9"]).args(flags).env("RIALTO_DATABASE_URL", &url);
    command.arg("--data-key-file").arg(system.data_key());
    let ended = finish(command)?;
    assert_eq!(ended.code, Some(1), "{}", ended.err);
    let password = url.split([':', '@']).nth(2).ok_or("no password")?;
    assert!(!ended.err.contains(password) && !ended.out.contains(password), "a secret: {}", ended.err);
    Ok(ended)
}

#[test]
fn settings_that_lose_what_was_acknowledged_are_refused() {
    run_on_system(async |system| {
        let mut connection = administrator(system).await?;
        for (database, setting) in
            [("lazy", "synchronous_commit = off"), ("lazier", "synchronous_commit = 'off'")]
        {
            tell(&mut connection, format!("CREATE DATABASE {database}")).await?;
            tell(&mut connection, format!("ALTER DATABASE {database} SET {setting}")).await?;
            let ended = start(system, database, &["--migrate"])?;
            assert!(ended.err.contains("synchronous_commit is off"), "{}", ended.err);
        }
        for setting in ["fsync", "full_page_writes"] {
            tell(&mut connection, format!("ALTER SYSTEM SET {setting} = off")).await?;
        }
        tell(&mut connection, "SELECT pg_reload_conf()".to_owned()).await?;
        let off = || async {
            let mut fresh = administrator(system).await.ok()?;
            let setting: String = sqlx::query_scalar("SHOW fsync").fetch_one(&mut fresh).await.ok()?;
            (setting == "off").then_some(())
        };
        harness::wait::until("fsync is off", std::time::Duration::from_secs(5), off).await?;
        let ended = start(system, "lazy", &[]);
        for setting in ["fsync", "full_page_writes"] {
            tell(&mut connection, format!("ALTER SYSTEM RESET {setting}")).await?;
        }
        tell(&mut connection, "SELECT pg_reload_conf()".to_owned()).await?;
        let ended = ended?;
        for setting in ["fsync", "full_page_writes", "synchronous_commit"] {
            assert!(ended.err.contains(&format!("{setting} is off")), "{}", ended.err);
        }
        Ok(())
    });
}

#[test]
fn a_schema_that_is_behind_is_refused_with_what_to_do() {
    run_on_system(async |system| {
        tell(&mut administrator(system).await?, "CREATE DATABASE empty".to_owned()).await?;
        let ended = start(system, "empty", &[])?;
        assert!(ended.err.contains("platform migrate") && ended.err.contains("--migrate"), "{}", ended.err);
        let ended = start(system, "no_such_database", &["--migrate"])?;
        assert!(ended.err.contains("no_such_database"), "{}", ended.err);
        Ok(())
    });
}

#[test]
fn the_trial_balance_is_a_command_for_people_and_programs() {
    run_on_system(async |system| {
        let take = |arguments: &[&str]| {
            let mut command = program("platform");
            command.arg("trial-balance").args(arguments).env("RIALTO_DATABASE_URL", system.database_url());
            finish(command)
        };
        let people = take(&[])?;
        assert_eq!(people.code, Some(0), "{}{}", people.out, people.err);
        assert!(people.out.contains("trial balance: OK"), "{}", people.out);
        let programs: serde_json::Value = serde_json::from_str(&take(&["--json"])?.out)?;
        assert_eq!(programs["differences"], serde_json::json!([]));
        Ok(())
    });
}
