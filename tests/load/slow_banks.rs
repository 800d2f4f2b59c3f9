//! Simulated banks that answer some payments late.

use harness::{BenchError, system::BANKS};
use serde_json::{Value, json};

use crate::{args::Args, target::Target};

/// The banks' scripts while the load lasts.
#[derive(Debug)]
pub struct SlowBanks {
    /// Where the banks take scripts; none when they were left alone.
    control: Option<String>,
}

impl SlowBanks {
    /// Makes every bank as slow as the arguments say.
    ///
    /// # Errors
    /// When it is not known where the banks are, or one does not take its script.
    pub async fn make(args: &Args, target: &Target) -> Result<Self, BenchError> {
        if args.slow == 0 {
            return Ok(Self { control: None });
        }
        let control = target.bank_control.clone().ok_or(
            "--slow needs simulated banks: say where they take their scripts with --bank-control, e.g. http://127.0.0.1:8090",
        )?;
        let ms = u64::try_from(args.slow_by.as_millis())?;
        let slow = json!([{"on": "payment", "share": args.slow, "behaviour": {"delay": {"ms": ms}}}]);
        give(&control, &slow).await?;
        Ok(Self { control: Some(control) })
    }

    /// Lets the banks do their plain duty again.
    ///
    /// # Errors
    /// When one does not hear of it.
    pub async fn mend(self) -> Result<(), BenchError> {
        match &self.control {
            Some(control) => give(control, &json!([])).await,
            None => Ok(()),
        }
    }
}

async fn give(control: &str, script: &Value) -> Result<(), BenchError> {
    let client = reqwest::Client::new();
    for bank in BANKS {
        let url = format!("{}/{}/script", control.trim_end_matches('/'), bank.id);
        let given = client.put(&url).json(script).send().await.and_then(reqwest::Response::error_for_status);
        given.map_err(|error| format!("bank {} does not take a script at {url}: {error}", bank.id))?;
    }
    Ok(())
}
