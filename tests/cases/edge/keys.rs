//! The gateway's API keys: a file that must be good, read again on SIGHUP.

use std::time::Duration;

use harness::{
    client::Client,
    postgres::own_folder,
    system::{API_KEY_SECRET, new_key},
    wait,
};
use tonic::Code;

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
        // Without a platform, a known caller hears UNAVAILABLE.
        let code = async |key: &str| {
            let client = Client::new(&gateway.address, key).unwrap();
            client.payment("pay_0").await.map_err(|status| status.code()).map(drop)
        };
        let becomes = async |key: &str, wanted: Code| {
            let look = || async { (code(key).await == Err(wanted)).then_some(()) };
            wait::until(&format!("{wanted:?}"), Duration::from_secs(5), look).await
        };
        assert_eq!(code(&gateway.key).await, Err(Code::Unavailable));
        std::fs::write(&file, "[[key]")?;
        gateway.process.signal("HUP")?;
        wait::until("the bad file is reported", Duration::from_secs(5), || async {
            gateway.log().contains("the old ones stay").then_some(())
        })
        .await?;
        assert_eq!(code(&gateway.key).await, Err(Code::Unavailable));
        let (second, entry) = new_key("new-shop", &["auditor"])?;
        assert_eq!(code(&second).await, Err(Code::Unauthenticated));
        std::fs::write(&file, entry)?;
        gateway.process.signal("HUP")?;
        becomes(&second, Code::Unavailable).await?;
        becomes(&gateway.key, Code::Unauthenticated).await?;
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
