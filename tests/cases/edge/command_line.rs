//! The command line `rialto` against a whole system: what it says, and how it ends.

#[path = "command_line/receipts.rs"]
mod receipts;
#[path = "command_line/webhooks.rs"]
mod webhooks;

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};

use harness::{
    BenchError,
    client::{order, payee_on_ledger},
    postgres::own_folder,
    system::{BANKS, Service, System},
};
use serde_json::Value;

use crate::{
    bench::{Done, Ended, HANGS_UP, finish, funded, program, run, run_on_system, setup, shop},
    programs::unread,
};

/// The program with what it needs to call a system, as whoever has this key.
fn rialto(system: &System, key: &str, line: &[&str]) -> Command {
    let mut command = program("rialto");
    command
        .env("XDG_CONFIG_HOME", system.folder())
        .env("RIALTO_GATEWAY", system.address(Service::Gateway))
        .env("RIALTO_CA", system.certificates().ca())
        .env("RIALTO_API_KEY", key)
        .args(line);
    command
}

/// Runs it as the first participant, and demands how it ends.
fn ended(system: &System, line: &[&str], code: i32) -> Result<Ended, BenchError> {
    ended_as(system, system.credential(0), line, code)
}

fn ended_as(system: &System, key: &str, line: &[&str], code: i32) -> Result<Ended, BenchError> {
    let ended = finish(rialto(system, key, line))?;
    if ended.code == Some(code) {
        return Ok(ended);
    }
    Err(format!("{line:?} ended with {:?}, not {code}:\n{}{}", ended.code, ended.out, ended.err).into())
}

/// The same for programs.
fn json(system: &System, line: &[&str], code: i32) -> Result<Value, BenchError> {
    Ok(serde_json::from_str(&ended(system, &[line, &["--json"]].concat(), code)?.out)?)
}

/// A payment of this amount to the account of this number at the first bank.
fn pay<'a>(from: &'a str, to: &'a str, amount: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["pay", "--from", from, "--to", to, "--name", "Blaise Seller", amount, "EUR"], more].concat()
}

/// The first word in a text that begins so.
fn word<'a>(text: &'a str, start: &str) -> Result<&'a str, BenchError> {
    let found = text.split_whitespace().find(|word| word.starts_with(start));
    found.ok_or_else(|| format!("no {start}… in {text}").into())
}

#[test]
fn a_payment_is_made_once_and_shown_in_tables_and_json() {
    run_on_system(async |system| {
        let account = funded(&shop(system), "line-pay").await?;
        let iban = BANKS[0].account(1);
        let line = pay(&account, &iban, "12.34", &["--reference", "order 7", "--label", "order=7"]);
        let first = ended(system, &line, 0)?;
        for part in ["state", "SUCCEEDED", "12.34 EUR", "Blaise Seller", &iban, "order=7", "order 7"] {
            assert!(first.out.contains(part), "{part} in {}", first.out);
        }
        let id = word(&first.out, "pay_")?;
        let request = word(&first.err, "cli-")?;

        // Who lost the answer sends the same command with the id that was told beforehand.
        let again = ended(system, &[&line[..], &["--request-id", request]].concat(), 0)?;
        assert_eq!(word(&again.out, "pay_")?, id);
        assert!(again.err.contains("sent before"), "{}", again.err);

        let got = json(system, &["get", "--request-id", request], 0)?;
        assert_eq!(got["payment"]["id"], id);
        assert_eq!(got["payment"]["amount"]["minorUnits"], "1234");
        assert!(ended(system, &["get", id], 0)?.out.contains(request));
        let list = ended(system, &["list", "--account", &account, "--state", "succeeded"], 0)?.out;
        assert!(list.starts_with("PAYMENT") && list.lines().count() == 2, "{list}");
        let balance = ended(system, &["accounts", "get", &account], 0)?.out;
        assert!(balance.contains("987.66 EUR"), "{balance}");
        let entries = ended(system, &["accounts", "entries", &account], 0)?.out;
        assert!(
            entries.contains("debit   12.34 EUR") && entries.contains("credit  1000.00 EUR"),
            "{entries}"
        );
        assert!(ended(system, &["accounts", "list"], 0)?.out.contains(&account));

        let poor = ended(system, &pay(&account, &iban, "5000", &[]), 1)?;
        assert!(
            poor.out.contains("INSUFFICIENT_FUNDS") && poor.err.contains("nothing was paid"),
            "{}",
            poor.err
        );
        let checked = ended(system, &pay(&account, &iban, "5", &["--validate"]), 0)?;
        assert!(
            checked.err.contains("would be accepted") && !checked.out.contains("pay_"),
            "{}",
            checked.out
        );
        ended(system, &pay(&account, &iban, "5000", &["--validate"]), 1)?;
        Ok(())
    });
}

#[test]
fn what_is_not_known_is_waited_for_and_not_paid_again() {
    run_on_system(async |system| {
        let account = funded(&shop(system), "line-unknown").await?;
        let iban = BANKS[0].account(HANGS_UP);
        let open = ended(system, &pay(&account, &iban, "1.00", &["--wait", "2s"]), 3)?;
        let id = word(&open.out, "pay_")?;
        assert!(open.out.contains("UNKNOWN"), "{}", open.out);
        assert!(open.err.contains(&format!("do not pay again: rialto wait {id}")), "{}", open.err);
        let waited = ended(system, &["wait", id, "--wait", "8s"], 0)?;
        assert!(waited.out.contains("SUCCEEDED"), "{}", waited.out);
        assert!(waited.err.contains(&format!("{id} is UNKNOWN: waiting for its end")), "{}", waited.err);
        // Who waits long enough hears the end from the command itself.
        ended(system, &pay(&account, &iban, "1.00", &["--wait", "9s"]), 0)?;
        Ok(())
    });
}

#[test]
fn money_is_held_captured_released_and_given_back() {
    run_on_system(async |system| {
        let account = funded(&shop(system), "line-hold").await?;
        let iban = BANKS[0].account(1);
        let held = ended(system, &pay(&account, &iban, "10", &["--hold"]), 0)?;
        let id = word(&held.out, "pay_")?;
        assert!(
            held.out.contains("AUTHORIZED") && held.err.contains(&format!("rialto capture {id}")),
            "{}",
            held.err
        );
        let captured = ended(system, &["capture", id, "4.00", "EUR"], 0)?.out;
        let capture = word(&captured, "pay_")?;
        assert_ne!(capture, id);
        assert!(ended(system, &["capture", id, "7", "EUR"], 1)?.err.contains("CAPTURE_EXCEEDS_AUTHORIZED"));
        assert!(ended(system, &["cancel", id], 0)?.out.contains("SUCCEEDED"));
        let refunded = ended(system, &["refund", capture, "1", "EUR"], 0)?.out;
        assert!(refunded.contains("REFUND") && refunded.contains("1.00 EUR"), "{refunded}");
        let balance = ended(system, &["accounts", "get", &account], 0)?.out;
        assert!(balance.contains("997.00 EUR"), "{balance}");
        Ok(())
    });
}

#[test]
fn lists_are_as_long_as_they_are_asked_to_be() {
    run_on_system(async |system| {
        let client = shop(system);
        let account = funded(&client, "line-list").await?;
        let payee = client.open_account("line-list-payee", "Blaise Seller", "EUR", "").await?.id;
        for number in 0..205 {
            let id = format!("line-list-{number}");
            client
                .pay(order(&id, &account, payee_on_ledger("Blaise Seller", &payee), 1, "EUR"), None)
                .await?;
        }
        for (limit, expected, is_all) in [("3", 3, false), ("203", 203, false), ("1000", 205, true)] {
            let list = json(system, &["list", "--account", &account, "--limit", limit], 0)?;
            let ids =
                list["payments"].as_array().ok_or("no list")?.iter().map(|payment| payment["id"].to_string());
            let ids: std::collections::BTreeSet<String> = ids.collect();
            assert_eq!((ids.len(), list["nextPageToken"].is_null()), (expected, is_all), "{limit}");
        }
        // Who has read enough closes the pipe.
        for line in [
            &["list", "--account", &account, "--limit", "1000"][..],
            &["list", "--account", &account, "--json"],
            &["watch", "--from", "earliest"],
            // Nothing is ever told here.
            &["watch", "--state", "investigate"],
        ] {
            unread(rialto(system, system.credential(0), line))?;
        }
        Ok(())
    });
}

/// A watch, which ends with the test.
struct Watch(Child);

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_watch_goes_on_where_it_was_cut_off() {
    run(async || {
        let mut system = System::start(setup("line-watch")?).await?;
        let account = funded(&shop(&system), "line-watch").await?;
        let iban = BANKS[0].account(1);
        let command = rialto(&system, system.credential(0), &["watch", "--from", "earliest", "--json"]);
        let (mut watch, mut lines) = watch(command)?;
        ended(&system, &pay(&account, &iban, "1", &["--request-id", "before"]), 0)?;
        assert_eq!(states(&mut lines)?, ["PAYMENT_STATE_SUBMITTED", "PAYMENT_STATE_SUCCEEDED"]);
        system.restart(Service::Gateway)?;
        let paid = || ended(&system, &pay(&account, &iban, "2", &["--request-id", "after"]), 0).ok();
        harness::wait::until("a payment", Duration::from_secs(10), async || paid()).await?;
        let first = states(&mut lines)?;
        assert_eq!(first, ["PAYMENT_STATE_SUBMITTED", "PAYMENT_STATE_SUCCEEDED"]);
        assert!(watch.0.try_wait()?.is_none());
        // For people, and with where to go on.
        let again =
            rialto(&system, system.credential(0), &["watch", "--from", "earliest", "--state", "succeeded"]);
        let (mut watch, mut lines) = self::watch(again)?;
        let mut line = String::new();
        lines.read_line(&mut line)?;
        assert!(line.contains("SUCCEEDED") && line.contains("1.00 EUR  Blaise Seller"), "{line}");
        Command::new("kill").arg("-INT").arg(watch.0.id().to_string()).status()?;
        assert_eq!(watch.0.wait()?.code(), Some(0));
        let said = std::io::read_to_string(watch.0.stderr.take().ok_or("no stderr")?)?;
        assert!(said.contains("rialto watch --from "), "{said}");
        Ok(())
    });
}

fn watch(mut command: Command) -> Result<(Watch, BufReader<ChildStdout>), BenchError> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let out = BufReader::new(child.stdout.take().ok_or("no output")?);
    Ok((Watch(child), out))
}

/// The states that the next two lines tell of.
fn states(lines: &mut BufReader<ChildStdout>) -> Result<Vec<String>, BenchError> {
    let mut states = Vec::new();
    for _ in 0..2 {
        let mut line = String::new();
        lines.read_line(&mut line)?;
        let response: Value = serde_json::from_str(&line)?;
        assert!(response["position"].is_string(), "{line}");
        states.push(response["event"]["payment"]["state"].as_str().unwrap_or_default().to_owned());
    }
    Ok(states)
}

#[test]
fn a_deposit_takes_two_operators() {
    run_on_system(async |system| {
        let open = ["accounts", "open", "--name", "Ada Buyer", "EUR", "--request-id", "line-deposit"];
        let opened = ended(system, &open, 0)?.out;
        let account = word(&opened, "acc_")?;
        let propose = ["deposit", "propose", "--account", account, "--bank", "aurora", "50.00", "EUR"];
        let proposed = ended(system, &propose, 0)?;
        let deposit = word(&proposed.out, "dep_")?;
        assert!(proposed.err.contains("another operator"), "{}", proposed.err);
        let pending = ended(system, &["deposit", "list", "--state", "pending_approval"], 0)?.out;
        assert!(pending.contains(deposit), "{pending}");
        let approve = ["deposit", "approve", deposit, "50.00", "EUR"];
        let alone = ended(system, &approve, 1)?.err;
        assert!(
            alone.contains("SECOND_OPERATOR_REQUIRED") && alone.contains("another operator's key"),
            "{alone}"
        );
        assert!(ended_as(system, system.second_operator(), &approve, 0)?.out.contains("BOOKED"));
        let rejected = ended(system, &propose, 0)?.out;
        let reject = ["deposit", "reject", word(&rejected, "dep_")?, "--reason", "booked before"];
        assert!(ended(system, &reject, 0)?.out.contains("REJECTED"));
        assert!(ended(system, &["accounts", "get", account], 0)?.out.contains("50.00 EUR"));
        Ok(())
    });
}

#[test]
fn figures_are_told_of_all_and_of_each() {
    run_on_system(async |system| {
        let account = funded(&shop(system), "line-stats").await?;
        ended(system, &pay(&account, &BANKS[0].account(1), "1", &[]), 0)?;
        let table = ended(system, &["stats", "--since", "10m", "--by", "bank"], 0)?.out;
        assert!(
            table.contains("PAYMENTS") && table.contains("\nall ") && table.contains("\naurora "),
            "{table}"
        );
        let others = ended(system, &["stats", "--participant", "other-shop"], 1)?.err;
        assert!(others.contains("NOT_FOUND") && others.contains("another participant"), "{others}");
        let balance = ended(system, &["trial-balance"], 0)?.out;
        assert!(balance.contains("CREDITS") && balance.contains("\nEUR "), "{balance}");
        assert_eq!(
            json(system, &["trial-balance"], 0)?["checks"][0]["name"],
            "HOLDS_EQUAL_PAYMENTS_UNDER_WAY"
        );
        assert!(ended(system, &["trial-balance", "--participant", "*"], 1)?.err.contains("NOT_FOUND"));
        let long_ago = ["stats", "--since", "2020-01-01T00:00:00Z", "--until", "2021-01-01T00:00:00Z"];
        assert!(ended(system, &long_ago, 1)?.err.contains("end_time"));
        Ok(())
    });
}

#[test]
fn what_is_wrong_is_said_with_the_next_step() {
    run_on_system(async |system| {
        let account = funded(&shop(system), "line-wrong").await?;
        let iban = BANKS[0].account(1);
        let line = pay(&account, &iban, "1", &[]);
        let unknown = ended_as(system, "rk_nobody", &line, 1)?.err;
        assert!(unknown.contains("UNAUTHENTICATED") && unknown.contains("check the key"), "{unknown}");
        assert!(!unknown.contains("rk_nobody"), "{unknown}");
        let wrong = ended(system, &pay(&account, "DE00", "1.005", &["--label", "x"]), 2)?.err;
        for part in ["nothing was sent", "--to: ", "AMOUNT: ", "--label: "] {
            assert!(wrong.contains(part), "{part} in {wrong}");
        }
        let refused = ended(system, &pay("acc_1", &iban, "1", &["--reference", &"x".repeat(141)]), 1)?.err;
        for part in ["payer_account: ", "remittance_information: ", "correct what is named"] {
            assert!(refused.contains(part), "{part} in {refused}");
        }
        assert!(ended(system, &["get", &account.replace("acc_", "pay_")], 1)?.err.contains("check the id"));
        ended(system, &["get"], 2)?;
        ended(system, &["list", "--state", "paid"], 2)?;

        // Nobody answers: of a payment that is not known, and how to ask again is told.
        let mut nobody = rialto(system, system.credential(0), &line);
        let away = finish({
            nobody.env("RIALTO_GATEWAY", "127.0.0.1:9");
            nobody
        })?;
        assert_eq!(away.code, Some(3), "{}", away.err);
        let request = word(&away.err, "cli-")?;
        assert!(away.err.contains(&format!("again with --request-id {request}")), "{}", away.err);
        let mut nobody = rialto(system, system.credential(0), &["list"]);
        nobody.env("RIALTO_GATEWAY", "127.0.0.1:9");
        assert_eq!(finish(nobody)?.code, Some(1));
        Ok(())
    });
}

#[test]
fn hostile_texts_do_not_reach_the_terminal() {
    run_on_system(async |system| {
        let account = funded(&shop(system), "line-hostile").await?;
        let hostile = "Eve\u{1b}[2J\u{1b}]0;x\u{7}\u{9b}31m";
        let bank = format!("1@{hostile}");
        let lines = [
            vec!["pay", "--from", &account, "--to", &account, "--name", hostile, "1", "EUR"],
            vec![
                "pay",
                "--from",
                hostile,
                "--to",
                &bank,
                "--name",
                "Eve",
                "1",
                "EUR",
                "--reference",
                hostile,
            ],
            vec!["get", hostile],
            vec!["accounts", "open", "--name", hostile, "EUR"],
            vec!["stats", "--participant", hostile],
        ];
        for line in lines {
            let said = ended(system, &line, 1)?;
            let bad = |c: char| c != '\n' && !common::text::is_readable(c);
            assert!(
                !said.out.contains(bad) && !said.err.contains(bad),
                "{line:?}: {:?}{:?}",
                said.out,
                said.err
            );
        }
        Ok(())
    });
}

#[test]
fn profiles_say_where_and_who_and_show_no_key() {
    run_on_system(async |system| {
        let folder = own_folder("line-profiles")?;
        fs::create_dir_all(folder.join("rialto"))?;
        let (address, ca) =
            (system.address(Service::Gateway), system.certificates().ca().display().to_string());
        let profile = |name: &str, key: &str| {
            format!("[profiles.{name}]\ngateway = \"{address}\"\nca = \"{ca}\"\nkey_file = \"{key}\"\n")
        };
        fs::write(
            folder.join("rialto/config.toml"),
            profile("default", "mine.key") + &profile("open", "open.key"),
        )?;
        for (name, mode) in [("mine.key", 0o600), ("open.key", 0o644)] {
            let file = folder.join("rialto").join(name);
            fs::write(&file, system.credential(0))?;
            fs::set_permissions(&file, fs::Permissions::from_mode(mode))?;
        }
        let run = |line: &[&str]| {
            let mut command = program("rialto");
            command.env("XDG_CONFIG_HOME", &folder).args(line);
            finish(command)
        };
        assert_eq!(run(&["list", "--limit", "1"])?.code, Some(0));
        let open = run(&["list", "--profile", "open"])?;
        assert_eq!(open.code, Some(2), "{}", open.err);
        assert!(open.err.contains("others may read it (mode 0644): chmod 600"), "{}", open.err);
        let profiles = run(&["profiles"])?;
        assert!(profiles.out.contains("***") && profiles.out.contains("chmod 600"), "{}", profiles.out);
        assert!(!profiles.out.contains(system.credential(0)), "{}", profiles.out);
        Ok(())
    });
}

#[test]
fn shells_are_helped_to_complete() {
    run(async || -> Done {
        for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
            let mut command = program("rialto");
            command.args(["completions", shell]);
            let ended = finish(command)?;
            assert_eq!(ended.code, Some(0), "{}", ended.err);
            assert!(ended.out.contains("capture") && ended.out.contains("end-to-end-id"), "{shell}");
        }
        Ok(())
    });
}
