//! The gateway's API keys: a file that must be good, read again on SIGHUP.

use std::time::Duration;

use common::rpc_client::Route;
use harness::{
    client::Client,
    postgres::own_folder,
    process::{KILLED_WITH_PARENT, Process},
    system::{API_KEY_SECRET, Service, System, new_key},
    wait,
};
use proto::{accounts::GetAccountRequest, participants::RevokeApiKeyRequest};
use tonic::Code;
use tonic_types::StatusExt;

use crate::bench::{Alone, finish, program, run};

const HASH: &str = "blake3-keyed:0000000000000000000000000000000000000000000000000000000000000000";

#[test]
fn a_file_that_is_not_good_is_refused_with_all_that_is_wrong() {
    run(async || {
        let folder = own_folder("keys")?;
        let entry = |participant: &str, roles: &str, hash: &str| {
            format!("[[key]]\nparticipant = \"{participant}\"\nroles = [{roles}]\nhash = \"{hash}\"\n")
        };
        let good = entry("some-shop", "\"payer-app\"", HASH);
        type Row<'a> = (&'a str, Option<Vec<u8>>, &'a [&'a str]);
        let rows: Vec<Row<'_>> = vec![
            ("missing", None, &["cannot read"]),
            ("empty", Some(Vec::new()), &["no key"]),
            ("only a remark", Some(b"# later\n".to_vec()), &["no key"]),
            ("not TOML", Some(b"[[key]\n".to_vec()), &["line 1"]),
            ("not UTF-8", Some(vec![0xff, 0xfe]), &["cannot read"]),
            ("an unknown field", Some(format!("{good}name = 1\n").into_bytes()), &["name"]),
            ("a field twice", Some(format!("{good}hash = \"\"\n").into_bytes()), &["hash"]),
            (
                "a field missing",
                Some(b"[[key]]\nparticipant = \"some-shop\"\nroles = []\n".to_vec()),
                &["hash"],
            ),
            ("an unknown role", Some(entry("some-shop", "\"king\"", HASH).into_bytes()), &["king"]),
            ("the same key twice", Some(format!("{good}{good}").into_bytes()), &["twice"]),
            (
                "a cell that there is not",
                Some(format!("{good}cell = 2\n").into_bytes()),
                &["key 1: cell must"],
            ),
            ("no cell's number", Some(format!("{good}cell = 0\n").into_bytes()), &["line 5", "from 1"]),
            ("the house", Some(entry("rialto-house", "\"operator\"", HASH).into_bytes()), &["participant"]),
            (
                "three mistakes in two keys",
                Some((entry("X", "", HASH) + &entry("some-shop", "\"auditor\"", "md5:1")).into_bytes()),
                &["key 1: participant", "key 1: roles", "key 2: hash"],
            ),
        ];
        for (name, content, parts) in rows {
            let file = folder.join("keys");
            let _ = std::fs::remove_file(&file);
            if let Some(content) = content {
                std::fs::write(&file, content)?;
            }
            let mut command = program("gateway");
            command.args(["--platform=http://127.0.0.1:9", "--listen=nonsense", "--api-keys"]).arg(&file);
            let ended = finish(command)?;
            assert_eq!(ended.code, Some(1), "{name}: {}", ended.err);
            for part in parts.iter().chain(&["--api-keys (or RIALTO_API_KEYS)", "--listen"]) {
                assert!(ended.err.contains(part), "{name}: {part} is not in:\n{}", ended.err);
            }
        }
        Ok(())
    });
}

#[test]
fn keys_are_read_again_and_a_bad_file_changes_nothing() {
    run(async || {
        let gateway = Alone::gateway(&[])?;
        let file = gateway.folder.join("keys");
        // Without a platform, a known caller hears that; of any other key the gateway can't tell.
        const KNOWN: &str = "PLATFORM_UNAVAILABLE";
        const NOT_SURE: &str = "IDENTITY_UNAVAILABLE";
        let reason = async |key: &str| {
            let client = Client::new(&gateway.route(), key).unwrap();
            let status = client.payment("pay_0").await.err();
            let status = status.filter(|status| status.code() == Code::Unavailable);
            status.and_then(|status| status.get_error_details().error_info().map(|info| info.reason.clone()))
        };
        let becomes = async |key: &str, wanted: &str| {
            let look = || async { (reason(key).await.as_deref() == Some(wanted)).then_some(()) };
            wait::until(wanted, Duration::from_secs(5), look).await
        };
        assert_eq!(reason(&gateway.key).await.as_deref(), Some(KNOWN));
        std::fs::write(&file, "[[key]")?;
        gateway.process.signal("HUP")?;
        wait::until("the bad file is reported", Duration::from_secs(5), || async {
            gateway.log().contains("the old ones stay").then_some(())
        })
        .await?;
        assert_eq!(reason(&gateway.key).await.as_deref(), Some(KNOWN));
        let (second, entry) = new_key("new-shop", &["auditor"])?;
        assert_eq!(reason(&second).await.as_deref(), Some(NOT_SURE));
        std::fs::write(&file, entry)?;
        gateway.process.signal("HUP")?;
        becomes(&second, KNOWN).await?;
        becomes(&gateway.key, NOT_SURE).await?;
        Ok(())
    });
}

#[test]
fn a_new_key_is_printed_once_with_its_entry() {
    run(async || {
        let mut command = program("gateway");
        command.args(["new-key", "--participant", "some-shop", "--role", "payer-app", "--role", "auditor"]);
        command.env("RIALTO_API_KEY_SECRET", API_KEY_SECRET);
        let ended = finish(command)?;
        assert_eq!(ended.code, Some(0), "{}", ended.err);
        let key = ended.out.lines().next().and_then(|line| line.rsplit(' ').next()).unwrap_or_default();
        assert!(key.starts_with("rk_") && key.len() == 46, "{}", ended.out);
        assert!(
            ended
                .out
                .contains("[[key]]\nparticipant = \"some-shop\"\nroles = [\"payer-app\", \"auditor\"]\n")
        );
        let mut command = program("gateway");
        command.args(["new-key", "--participant", "some-shop", "--role", "auditor", "--cell", "2"]);
        command.env("RIALTO_API_KEY_SECRET", API_KEY_SECRET);
        let ended = finish(command)?;
        assert!(ended.out.contains("participant = \"some-shop\"\ncell = 2\n"), "{}{}", ended.out, ended.err);
        for cell in ["0", "-1", "two", ""] {
            let mut command = program("gateway");
            command.args(["new-key", "--participant", "some-shop", "--role", "auditor"]);
            command.arg(format!("--cell={cell}")).env("RIALTO_API_KEY_SECRET", API_KEY_SECRET);
            let ended = finish(command)?;
            assert!(ended.code == Some(2) && ended.err.contains("--cell"), "{cell}: {}", ended.err);
        }
        for participant in ["ab", "Shop", "rialto-house", "-shop", "a b", "x\"y"] {
            let mut command = program("gateway");
            command.args(["new-key", "--role", "auditor", "--participant"]).arg(format!("={participant}"));
            command.env("RIALTO_API_KEY_SECRET", API_KEY_SECRET);
            assert_ne!(finish(command)?.code, Some(0), "{participant}");
        }
        // Hashes are worth nothing without a secret that nobody guesses.
        for (secret, complaint) in [(None, "missing"), (Some(&API_KEY_SECRET[..31]), "at least 32 bytes")] {
            let mut command = program("gateway");
            command.args(["new-key", "--role", "auditor", "--participant", "some-shop"]);
            command.envs(secret.map(|secret| ("RIALTO_API_KEY_SECRET", secret)));
            let ended = finish(command)?;
            assert_ne!(ended.code, Some(0), "{complaint}");
            assert!(ended.err.contains("api-key-secret") && ended.err.contains(complaint), "{}", ended.err);
        }
        Ok(())
    });
}

#[test]
fn a_gateway_that_hears_nothing_lets_in_no_key_that_may_have_been_revoked() {
    run(async || {
        let mut system = System::start(crate::bench::setup("keys-unheard")?).await?;
        let address = system.gateway()?;
        let house = Client::new(&address, system.house_operator())?;
        let made = house.create_api_key("key", "demo-shop", &["auditor"]).await;
        assert_eq!(made.map(drop).map_err(|status| status.code()), Err(Code::NotFound), "no record yet");
        crate::bench::shop(&system).open_account("account", "Ada", "EUR", "").await?;
        let on_record = house.create_api_key("key", "demo-shop", &["auditor"]).await?.key;
        // What a caller hears within a short deadline: what the gateway says itself, or that time ran out.
        let said = async |key: &str| {
            let client = Client::new(&address, key).unwrap();
            let message = GetAccountRequest { id: format!("acc_{}", "1".repeat(32)) };
            let request = client.request(message, Some(Duration::from_millis(300)));
            let status = client.accounts.clone().get_account(request).await.err();
            let info = status.and_then(|status| status.get_error_details().error_info().cloned());
            info.map(|info| info.reason).unwrap_or_default()
        };
        let becomes = async |key: &str, wanted: &str| {
            let look = || async { (said(key).await == wanted).then_some(()) };
            wait::until(wanted, Duration::from_secs(5), look).await
        };
        becomes(&on_record, "NOT_FOUND").await?;
        system.process(Service::Platform).signal("STOP")?;
        becomes(&on_record, "IDENTITY_UNAVAILABLE").await?;
        let of_file = said(system.credential(0)).await;
        assert!(of_file != "IDENTITY_UNAVAILABLE" && of_file != "UNAUTHENTICATED", "{of_file}");
        system.process(Service::Platform).signal("CONT")?;
        becomes(&on_record, "NOT_FOUND").await
    });
}

#[test]
fn what_one_gateway_is_told_counts_at_another_with_a_platform_of_its_own() {
    run(async || {
        let system = System::start(crate::bench::setup("keys-twice")?).await?;
        let folder = harness::postgres::own_folder("keys-second")?;
        let start = |name: &'static str, mut command: std::process::Command| {
            let address = folder.join(format!("{name}.address"));
            command.args(["--listen", "127.0.0.1:0", "--address-file"]).arg(&address);
            let log = folder.join(format!("{name}.log"));
            let mut process = Process::start(name, command, KILLED_WITH_PARENT, &log)?;
            let address = process.wait_for_file(&address)?;
            Ok::<_, harness::BenchError>((process, address.trim().to_owned()))
        };
        let mut platform = program("platform");
        // Nothing here needs a channel.
        platform.args(["--channel", "http://127.0.0.1:9"]);
        platform.env("RIALTO_DATABASE_URL", system.database_url());
        platform.arg("--data-key-file").arg(system.data_key());
        let (_platform, platform) = start("platform", platform)?;
        let mut gateway = program("gateway");
        gateway.args(["--platform", &format!("http://{platform}"), "--api-keys"]);
        gateway.arg(system.folder().join("api-keys.toml")).env("RIALTO_API_KEY_SECRET", API_KEY_SECRET);
        let (_gateway, second) = start("gateway", gateway)?;
        let (first, second) = (system.gateway()?, Route::to(&second, None)?);

        crate::bench::shop(&system).open_account("account", "Ada", "EUR", "").await?;
        let house = Client::new(&first, system.house_operator())?;
        let made = house.create_api_key("key", "demo-shop", &["auditor"]).await?;
        let becomes = async |gateway: &Route, wanted: Code| {
            let client = Client::new(gateway, &made.key).unwrap();
            let began = std::time::Instant::now();
            let look = || async {
                let status = client.account(&format!("acc_{}", "1".repeat(32))).await.err()?;
                (status.code() == wanted).then(|| began.elapsed())
            };
            wait::until(&format!("{wanted:?}"), Duration::from_secs(5), look).await
        };
        for gateway in [&first, &second] {
            becomes(gateway, Code::NotFound).await?;
        }
        let message = RevokeApiKeyRequest { api_key: made.api_key.unwrap_or_default().id };
        house.participants.clone().revoke_api_key(house.request(message, None)).await?;
        for gateway in [&second, &first] {
            let took = becomes(gateway, Code::Unauthenticated).await?;
            assert!(took < Duration::from_secs(5), "{took:?}");
        }
        Ok(())
    });
}
