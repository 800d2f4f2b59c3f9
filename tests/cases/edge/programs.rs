//! Command lines: help, unknown flags, and output that nobody reads.

use std::process::{Command, Stdio};

use crate::bench::{finish, program, run, run_on_system};

/// The programs, each with what its help must name.
const PROGRAMS: [(&str, &[&str]); 6] = [
    (
        "gateway",
        &["RIALTO_PLATFORM", "RIALTO_API_KEYS", "RIALTO_API_KEY_SECRET", "RIALTO_MAX_WAITING", "new-key"],
    ),
    (
        "platform",
        &[
            "RIALTO_DATABASE_URL",
            "RIALTO_DATABASE_URL_FILE",
            "RIALTO_CHANNEL",
            "RIALTO_MIGRATE",
            "RIALTO_MAX_BATCH",
            "RIALTO_MAX_UNDER_WAY",
            "RIALTO_LEDGER_WRITERS",
            "RIALTO_DATABASE_CONNECTIONS",
            "RIALTO_MAX_CLOCK_SKEW",
            "RIALTO_ARCHIVE_AFTER",
            "migrate",
            "trial-balance",
            "archive",
        ],
    ),
    ("channel", &["RIALTO_DIRECTORY", "RIALTO_SENDER_BIC", "RIALTO_MAX_IN_FLIGHT"]),
    ("bank", &["--banks", "--books", "--script", "silent_executed"]),
    ("demo", &["--once"]),
    (
        "rialto",
        &[
            "RIALTO_PROFILE",
            "RIALTO_GATEWAY",
            "RIALTO_CA",
            "RIALTO_API_KEY",
            "Exit codes",
            "platform trial-balance",
        ],
    ),
];

/// What the help of each of the three services names.
const OF_SERVICES: [&str; 13] = [
    "RIALTO_LISTEN",
    "RIALTO_ADDRESS_FILE",
    "RIALTO_NO_REFLECTION",
    "RIALTO_DRAIN_TIMEOUT",
    "RIALTO_MAX_CONNECTIONS",
    "RIALTO_MAX_CONNECTIONS_PER_ADDRESS",
    "RIALTO_MAX_STREAMS",
    "RIALTO_LOG",
    "RIALTO_LOG_FORMAT",
    "RIALTO_OTLP_ENDPOINT",
    "RIALTO_TRACES_PER_MILLE",
    "RIALTO_ADMIN_LISTEN",
    "RIALTO_ADMIN_ADDRESS_FILE",
];

#[test]
fn help_names_every_setting_and_no_secret() {
    run(async || {
        for (name, parts) in PROGRAMS {
            let mut command = program(name);
            command.arg("--help").env("RIALTO_DATABASE_URL", "postgres://u:canary@h/d");
            let ended = finish(command)?;
            assert_eq!(ended.code, Some(0), "{name}: {}", ended.err);
            let of_services =
                if ["bank", "demo", "rialto"].contains(&name) { &[] } else { OF_SERVICES.as_slice() };
            for part in parts.iter().chain(of_services) {
                assert!(ended.out.contains(part), "{name} --help lacks {part}");
            }
            assert!(!ended.out.contains("canary"), "{name} --help shows a secret");
        }
        Ok(())
    });
}

#[test]
fn an_unknown_flag_or_command_is_a_usage_error() {
    run(async || {
        for (name, _) in PROGRAMS {
            for arguments in [&["--no-such-flag"][..], &["no-such-command"], &["--listen"]] {
                let mut command = program(name);
                command.args(arguments);
                let ended = finish(command)?;
                assert_eq!(ended.code, Some(2), "{name} {arguments:?}: {}", ended.err);
                assert!(ended.out.is_empty(), "{name} {arguments:?}: {}", ended.out);
            }
        }
        Ok(())
    });
}

#[test]
fn a_reader_who_goes_away_is_no_panic() {
    run(async || {
        for (name, arguments) in [
            ("gateway", &["--help"][..]),
            ("platform", &["--help"]),
            ("channel", &["--help"]),
            ("bank", &["--help"]),
            ("demo", &["--help"]),
            ("rialto", &["--help"]),
            ("rialto", &["completions", "bash"]),
            ("gateway", &["--version"]),
            ("gateway", &["new-key", "--participant", "some-shop", "--role", "payer-app"]),
        ] {
            let mut command = program(name);
            command.args(arguments).env("RIALTO_API_KEY_SECRET", harness::system::API_KEY_SECRET);
            unread(command)?;
        }
        Ok(())
    });
}

/// Runs a program with a standard output that nobody reads; it may fail, but not panic.
pub fn unread(mut command: Command) -> Result<(), harness::BenchError> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    drop(child.stdout.take());
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains("panicked"), "{command:?}: {said}");
    assert_ne!(output.status.code(), Some(101), "{command:?}");
    Ok(())
}

#[test]
fn a_trial_balance_that_nobody_reads_is_no_panic() {
    run_on_system(async |system| {
        for arguments in [&["trial-balance"][..], &["trial-balance", "--json"], &["migrate"]] {
            let mut command = program("platform");
            command.args(arguments).env("RIALTO_DATABASE_URL", system.database_url());
            unread(command)?;
        }
        Ok(())
    });
}

#[test]
fn a_secret_is_no_flag() {
    run(async || {
        let mut command = program("platform");
        command.args(["--database-url", "postgres://u:canary@127.0.0.1:1/d", "trial-balance"]);
        let ended = finish(command)?;
        assert_eq!(ended.code, Some(2), "{}", ended.err);
        Ok(())
    });
}
