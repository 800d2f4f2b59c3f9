//! `rialto receipt` and `rialto verify-receipt`: what is shown to whoever has the log's key.

use std::{fs, time::Duration};

use harness::{
    system::{BANKS, Service, System},
    wait,
};

use super::{ended, pay, rialto, word};
use crate::bench::{finish, funded, program, run, setup, shop};

#[test]
fn receipts_are_printed_and_checked_without_anybody() {
    run(async || {
        let mut setup = setup("line-receipts")?;
        setup.flags.push((Service::Platform, "--seal-after=1s".to_owned()));
        let system = System::start(setup).await?;
        let account = funded(&shop(&system), "line-receipts").await?;
        let paid = ended(&system, &pay(&account, &BANKS[0].account(1), "12.34", &[]), 0)?;
        let id = word(&paid.out, "pay_")?;
        let sealed = async || {
            finish(rialto(&system, system.credential(0), &["receipt", id]))
                .ok()
                .filter(|it| it.code == Some(0))
        };
        let receipt = wait::until("the receipt", Duration::from_secs(30), sealed).await?.out;
        let file = system.folder().join("receipt.json");
        let key = system.audit_public_key();
        // Neither gateway nor key of the API is needed.
        let verify = |name: &str, text: &str, key: &str| {
            fs::write(&file, text)?;
            let mut command = program(name);
            command.arg("verify-receipt").arg(&file).args(["--key", key]);
            finish(command)
        };
        let good = verify("rialto", &receipt, key)?;
        assert_eq!(good.code, Some(0), "{}", good.err);
        assert!(
            good.out.contains(&format!("receipt: OK, {id}")) && good.out.contains("SUCCEEDED"),
            "{}",
            good.out
        );
        assert_eq!(verify("platform", &receipt, key)?.out.trim(), good.out.trim());
        let changed = receipt.replacen("1234", "1235", 1);
        assert_ne!(changed, receipt);
        for name in ["rialto", "platform"] {
            let bad = verify(name, &changed, key)?;
            assert_eq!(bad.code, Some(1), "{}", bad.out);
            assert!(bad.err.contains("NOT OK") && bad.out.is_empty(), "{}", bad.err);
        }
        assert_eq!(verify("rialto", "\u{1b}[2J", key)?.code, Some(1));
        let mut command = program("rialto");
        command.args(["verify-receipt", "/no/such/file", "--key", "rialto+none"]);
        let wrong = finish(command)?;
        assert_eq!(wrong.code, Some(2));
        assert!(wrong.err.contains("--key") && wrong.err.contains("/no/such/file"), "{}", wrong.err);
        Ok(())
    });
}
