//! A real Prometheus, and its promtool.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    BenchError, fetched,
    process::{KILLED_WITH_PARENT, Process},
};

const ADVICE: &str =
    "install prometheus (Debian: apt-get install prometheus), or have apt-get fetch it (apt-get update)";
/// How long is waited for a server that starts.
const PATIENCE: Duration = Duration::from_secs(30);

/// One of its programs, `prometheus` or `promtool`: an installed one, or that of Debian's package, which is not installed for it.
///
/// # Errors
/// When it can't be had; says what to do.
pub fn program(name: &str) -> Result<PathBuf, String> {
    if fetched::is_installed(name) {
        return Ok(name.into());
    }
    let programs = |folder: &Path| folder.join("usr/bin");
    let is_whole = |folder: &Path| programs(folder).join("promtool").is_file();
    let folder = fetched::folder("prometheus-package", ADVICE, is_whole, |fresh| {
        fs::create_dir_all(fresh).map_err(|error| error.to_string())?;
        fetched::run("apt-get", ["download", "--quiet", "prometheus"], fresh)?;
        let mut files = fs::read_dir(fresh).map_err(|error| error.to_string())?.flatten();
        let package = files.next().ok_or("apt-get downloaded nothing")?.path();
        fetched::run("dpkg", ["-x".as_ref(), package.as_os_str(), ".".as_ref()], fresh)
    })?;
    Ok(programs(&folder).join(name))
}

/// The server; dropping it ends it.
#[derive(Debug)]
pub struct Prometheus {
    _process: Process,
    address: String,
}

impl Prometheus {
    /// Starts one in a folder of its own with this configuration (YAML).
    ///
    /// # Errors
    /// When it can't be had or does not come up.
    pub async fn start(folder: &Path, configuration: &str) -> Result<Self, BenchError> {
        let (file, log) = (folder.join("prometheus.yaml"), folder.join("prometheus.log"));
        fs::write(&file, configuration)?;
        let mut command = Command::new(program("prometheus")?);
        command.arg(format!("--config.file={}", file.display()));
        command.arg(format!("--storage.tsdb.path={}", folder.join("prometheus-data").display()));
        command.arg("--web.listen-address=127.0.0.1:0");
        let process = Process::start("prometheus", command, KILLED_WITH_PARENT, &log)?;
        let until = Instant::now() + PATIENCE;
        loop {
            let text = fs::read_to_string(&log).unwrap_or_default();
            let listens = text.lines().find(|line| line.contains("Listening on"));
            let address = listens.and_then(|line| line.split("address=").nth(1)?.split_whitespace().next());
            if let Some(address) = address {
                return Ok(Self { _process: process, address: address.to_owned() });
            }
            if Instant::now() > until {
                return Err(format!("prometheus does not come up:\n{text}").into());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The `data` of an answer of its API (`/api/v1/…`).
    ///
    /// # Errors
    /// When it answers with an error; says which.
    pub async fn ask(&self, path: &str, parameters: &[(&str, &str)]) -> Result<Value, BenchError> {
        let url =
            reqwest::Url::parse_with_params(&format!("http://{}/api/v1/{path}", self.address), parameters)?;
        let mut answer: Value = reqwest::get(url).await?.json().await?;
        match answer["status"].as_str() {
            Some("success") => Ok(answer["data"].take()),
            _ => Err(format!("{parameters:?}: {}", answer["error"]).into()),
        }
    }

    /// What an expression is now.
    ///
    /// # Errors
    /// When it is no expression.
    pub async fn query(&self, expression: &str) -> Result<Vec<Value>, BenchError> {
        let data = self.ask("query", &[("query", expression)]).await?;
        Ok(data["result"].as_array().cloned().unwrap_or_default())
    }
}
