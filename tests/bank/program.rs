//! The bank as a running program, for black-box tests.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use reqwest::{Client, StatusCode};
use serde_json::Value;

use crate::sample::Order;

/// The banks of every test: aurora, which the sample orders go to, and another.
pub const BANKS: &str = r#"
[[bank]]
id = "aurora"
bic = "AURODEFFXXX"
name = "Aurora Bank"
currencies = ["EUR", "USD"]
valid_for_ms = 60000
iban_bank_codes = ["DE37040044"]

[[bank]]
id = "boreal"
bic = "BOREFRPPXXX"
name = "Boreal Bank"
currencies = ["EUR"]
valid_for_ms = 60000
"#;

/// One running bank program with its own directory; dropping it ends both.
pub struct Program {
    child: Child,
    directory: PathBuf,
    /// Where it listens, as host:port.
    pub address: String,
    /// Gives up after five seconds.
    pub client: Client,
    reports: Vec<String>,
}

impl Program {
    /// Starts on empty books.
    pub fn start() -> Self {
        let directory = std::env::temp_dir().join(format!("bank-case-{:032x}", rand::random::<u128>()));
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("banks.toml"), BANKS).unwrap();
        Self::start_in(directory)
    }

    fn start_in(directory: PathBuf) -> Self {
        let address_file = directory.join("address");
        drop(fs::remove_file(&address_file));
        let child = command(&directory).arg("--address-file").arg(&address_file).spawn().unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        let address = loop {
            match fs::read_to_string(&address_file) {
                Ok(address) => break address,
                Err(_) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(5)),
                Err(error) => panic!("the bank did not start: {error}"),
            }
        };
        let client = Client::builder().timeout(Duration::from_secs(5)).build().unwrap();
        Self { child, directory, address, client, reports: Vec::new() }
    }

    /// Ends the program without warning, as a crash would, and starts it again on the same books.
    pub fn crash_and_restart(mut self) -> Self {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let directory = std::mem::take(&mut self.directory);
        Self::start_in(directory)
    }

    /// The address of `path` at the program.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    /// A message to the bank `path`, not sent yet.
    pub fn request(&self, path: &str, body: String) -> reqwest::RequestBuilder {
        let request = self.client.post(self.url(path));
        request.header("content-type", "application/xml; charset=utf-8").body(body)
    }

    /// Posts to aurora and returns the report, which must be one.
    pub async fn post(&mut self, body: String) -> String {
        let response = self.request("aurora", body).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "application/xml; charset=utf-8");
        let report = response.text().await.unwrap();
        self.reports.push(report.clone());
        report
    }

    /// Posts the payment and returns its verdict.
    pub async fn pay(&mut self, order: &Order) -> String {
        verdict(&self.post(order.payment_xml()).await)
    }

    /// Posts the enquiry and returns its verdict.
    pub async fn ask(&mut self, order: &Order) -> String {
        verdict(&self.post(order.enquiry_xml()).await)
    }

    /// Replaces aurora's rules.
    pub async fn script(&self, rules: Value) {
        let response = self.client.put(self.url("aurora/script")).json(&rules).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::NO_CONTENT, "{rules}");
    }

    /// What `path` says, as JSON.
    pub async fn get(&self, path: &str) -> Value {
        self.client.get(self.url(path)).send().await.unwrap().json().await.unwrap()
    }

    /// How often the order stands in aurora's books.
    pub async fn times_credited(&self, order: &Order) -> usize {
        let books = self.get("aurora/books").await;
        books.as_array().unwrap().iter().filter(|entry| entry["uetr"] == order.uetr).count()
    }

    /// Asks the program to end and returns its exit status.
    pub fn terminate(&mut self) -> Option<i32> {
        let kill = Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status().unwrap();
        assert!(kill.success());
        self.child.wait().unwrap().code()
    }

    /// Validates every report that the bank made, against the schema.
    pub fn validate_reports(&self) {
        harness::xsd::validate("pacs.002.001.10", &self.reports)
            .unwrap_or_else(|problems| panic!("{problems}"));
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        if !self.directory.as_os_str().is_empty() {
            drop(fs::remove_dir_all(&self.directory));
        }
    }
}

/// The program with the files of `directory`, not started yet.
pub fn command(directory: &std::path::Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bank"));
    command.arg("--banks").arg(directory.join("banks.toml")).arg("--books").arg(directory.join("books"));
    command.stdin(Stdio::null());
    command
}

/// `TxSts`, and after a space the reason's code where there is one.
pub fn verdict(report: &str) -> String {
    let status = element(report, "TxSts").expect("a status");
    match element(report, "Cd") {
        Some(code) => format!("{status} {code}"),
        None => status.to_owned(),
    }
}

/// The text of the first element of that name, as it is written.
pub fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    Some(rest.split_once(&format!("</{name}>"))?.0)
}
