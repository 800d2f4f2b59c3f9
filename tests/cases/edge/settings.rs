//! Wrong settings: all named at once, quickly, and without secrets.

use std::{process::Command, time::Duration};

use harness::postgres::own_folder;

use crate::bench::{Done, finish, program, run};

/// Settings of every service, each wrong.
const WRONG: [(&str, &str); 10] = [
    ("--listen", "localhost"),
    ("--drain-timeout", "5"),
    ("--max-connections", "0"),
    ("--max-connections-per-address", "1O"),
    ("--max-streams", "4294967296"),
    ("--log", "info,=="),
    ("--log-format", "xml"),
    ("--otlp-endpoint", "127.0.0.1:4317"),
    ("--traces-per-mille", "1001"),
    ("--admin-listen", "here"),
];

fn refused(command: Command, flags: &[&str]) -> Done {
    let ended = finish(command)?;
    assert_eq!(ended.code, Some(1), "{}", ended.err);
    for flag in flags {
        let line = ended.err.lines().find(|line| {
            // A secret has no flag.
            line.contains(&format!("{flag} (or RIALTO_")) || line.contains(&format!("- {flag}: "))
        });
        assert!(line.is_some(), "{flag} is not named:\n{}", ended.err);
    }
    let most = Duration::from_secs(if cfg!(debug_assertions) { 2 } else { 1 });
    assert!(ended.took < most, "{:?}", ended.took);
    assert!(!ended.err.contains("canary") && !ended.out.contains("canary"), "a secret:\n{}", ended.err);
    Ok(())
}

fn wrong(name: &str, more: &[(&str, &str)]) -> Done {
    let mut command = program(name);
    let all: Vec<_> = WRONG.iter().chain(more).collect();
    for (flag, value) in &all {
        command.arg(format!("{flag}={value}"));
    }
    command.env("RIALTO_DATABASE_URL", "postgres://u:canary@h:port/d");
    let mut flags: Vec<&str> = all.iter().map(|(flag, _)| *flag).collect();
    if name == "platform" {
        flags.push("database-url");
    }
    // The channel's directory is described by its file's name.
    flags.retain(|flag| *flag != "--directory");
    refused(command, &flags)
}

#[test]
fn the_console_is_served_only_where_there_is_a_server_for_it() {
    run(async || {
        for flag in ["--console", "--insecure-console"] {
            let mut command = program("gateway");
            command.arg(flag);
            refused(command, &[flag])?;
        }
        Ok(())
    });
}

#[test]
fn every_wrong_setting_is_named_at_once() {
    run(async || {
        wrong(
            "gateway",
            &[
                ("--platform", "nowhere"),
                ("--api-keys", "/no/such/file"),
                ("--max-waiting", "-1"),
                ("--max-new-connections-per-s", "0"),
            ],
        )?;
        wrong(
            "platform",
            &[
                ("--channel", "ftp://127.0.0.1"),
                ("--max-under-way", "0"),
                ("--max-batch", "many"),
                ("--ledger-writers", "33"),
                ("--database-connections", ""),
                ("--max-clock-skew", "1"),
                ("--archive-after", "1ms"),
                ("--broker", "nats://u:canary@127.0.0.1:1"),
                ("--broker-stream", "a.b"),
                ("--broker-subject-prefix", "a..b"),
                ("--broker-ca", "/no/such/file"),
                ("--broker-credentials-file", "/no/such/file"),
            ],
        )?;
        wrong(
            "channel",
            &[("--directory", "/no/such/file"), ("--sender-bic", "x"), ("--max-in-flight", "1e3")],
        )
    });
}

#[test]
fn every_wrong_variable_is_named_at_once() {
    run(async || {
        for name in ["gateway", "platform"] {
            let mut command = program(name);
            for (flag, value) in WRONG {
                command.env(format!("RIALTO_{}", flag[2..].to_uppercase().replace('-', "_")), value);
            }
            refused(command, &WRONG.map(|(flag, _)| flag))?;
        }
        Ok(())
    });
}

#[test]
fn what_is_missing_is_named_at_once() {
    run(async || {
        refused(program("gateway"), &["--platform", "--api-keys", "api-key-secret"])?;
        refused(program("platform"), &["--channel", "database-url", "--data-key-file"])?;
        for job in ["verify-audit", "rotate-data-key"] {
            let mut command = program("platform");
            command.arg(job);
            refused(command, &["database-url", "--data-key-file"])?;
        }
        Ok(())
    });
}

#[test]
fn what_the_channel_misses_is_named_with_everything_else() {
    run(async || {
        let mut command = program("channel");
        command.args(["--listen=localhost", "--max-streams=0"]);
        refused(command, &["--directory", "--listen", "--max-streams"])
    });
}

#[test]
fn limits_that_contradict_each_other_are_refused() {
    run(async || {
        let mut command = program("gateway");
        command.args(["--max-connections=10", "--max-connections-per-address=11"]);
        refused(command, &["--max-connections-per-address"])
    });
}

#[test]
fn the_database_url_stands_in_one_place_and_is_never_shown() {
    run(async || {
        let folder = own_folder("settings")?;
        let file = folder.join("url");
        let missing = folder.join("missing");
        let channel = "--channel=http://127.0.0.1:9";
        for (name, in_environment, in_file) in [
            ("both", Some("postgres://u:canary@127.0.0.1:1/d"), Some("postgres://u:canary@127.0.0.1:1/d")),
            ("empty", Some(""), None),
            ("an empty file", None, Some("")),
            ("only a line feed", None, Some("\n")),
            ("another scheme", Some("mysql://u:canary@h/d"), None),
            ("a bad port", Some("postgres://u:canary@h:99999/d"), None),
            ("only the password", Some("canary"), None),
            ("in a file", None, Some("canary\n")),
        ] {
            let mut command = program("platform");
            command.arg(channel);
            in_environment.map(|url| command.env("RIALTO_DATABASE_URL", url));
            if let Some(text) = in_file {
                std::fs::write(&file, text)?;
                command.arg("--database-url-file").arg(&file);
            }
            refused(command, &["database-url"]).map_err(|error| format!("{name}: {error}"))?;
        }
        let mut command = program("platform");
        command.arg(channel).arg("--database-url-file").arg(&missing);
        refused(command, &["database-url"])
    });
}

#[test]
fn a_database_that_is_not_there_ends_the_platform_and_shows_no_secret() {
    run(async || {
        let key = harness::data_keys::file(&own_folder("settings")?)?;
        for job in [
            &["serve"][..],
            &["migrate"],
            &["trial-balance"],
            &["trial-balance", "--json"],
            &["verify-audit"],
        ] {
            let mut command = program("platform");
            command
                .args(job)
                .arg("--data-key-file")
                .arg(&key)
                .env("RIALTO_LOG", "trace")
                .env("RIALTO_CHANNEL", "http://127.0.0.1:9");
            command.env("RIALTO_DATABASE_URL", "postgres://u:canary@127.0.0.1:9/d");
            let ended = finish(command)?;
            assert_eq!(ended.code, Some(1), "{job:?}: {}", ended.err);
            assert!(!ended.err.contains("canary") && !ended.out.contains("canary"), "{}", ended.err);
            assert!(
                ended.err.contains("database") || ended.err.contains("refused"),
                "{job:?}: {}",
                ended.err
            );
        }
        Ok(())
    });
}

#[test]
fn an_address_that_is_taken_or_a_file_that_cannot_be_written_is_said() {
    run(async || {
        let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
        let gateway = crate::bench::Alone::gateway(&[])?;
        let start = |arguments: [String; 2]| {
            let mut command = program("gateway");
            command.args(["--platform=http://127.0.0.1:9", "--api-keys"]).arg(gateway.folder.join("keys"));
            command.args(arguments).env("RIALTO_API_KEY_SECRET", harness::system::API_KEY_SECRET);
            finish(command)
        };
        let address = taken.local_addr()?;
        let ended = start(["--listen".to_owned(), address.to_string()])?;
        assert_eq!(ended.code, Some(1));
        assert!(ended.err.contains(&address.to_string()), "{}", ended.err);
        let ended = start(["--address-file".to_owned(), "/no/such/folder/address".to_owned()])?;
        assert_eq!(ended.code, Some(1));
        assert!(ended.err.contains("/no/such/folder/address"), "{}", ended.err);
        Ok(())
    });
}
