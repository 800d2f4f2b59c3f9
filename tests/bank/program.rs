//! The bank as a running program, for black-box tests.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use reqwest::{Client, StatusCode};
use serde_json::Value;
use time::OffsetDateTime;
use time::macros::format_description;

use crate::sample::Order;

/// The banks of every test: aurora, which the sample orders go to, and another with an address of its own.
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
listen = "127.0.0.1:0"
"#;

/// One running bank program with its own directory; dropping it ends both.
pub struct Program {
    child: Child,
    directory: PathBuf,
    /// Where it listens, as host:port.
    pub address: String,
    /// Gives up after five seconds.
    pub client: Client,
    messages: Vec<String>,
}

impl Program {
    /// Starts on empty books.
    pub fn start() -> Self {
        Self::start_in(new_directory())
    }

    /// Starts with the files of a directory, which goes away with it.
    pub fn start_in(directory: PathBuf) -> Self {
        Self::start_as(command(&directory), directory)
    }

    /// Starts on empty books that no file of more than so many KiB can be written to.
    pub fn start_with_file_limit(kib: u32) -> Self {
        let directory = new_directory();
        let bank = command(&directory);
        let mut shell = Command::new("bash");
        // Ignored, the signal leaves the write to fail, as on a full disk.
        shell.args(["-c", &format!("trap '' XFSZ; ulimit -f {kib}; exec \"$0\" \"$@\"")]);
        shell.arg(bank.get_program()).args(bank.get_args()).stdin(Stdio::null());
        Self::start_as(shell, directory)
    }

    fn start_as(mut command: Command, directory: PathBuf) -> Self {
        let address_file = directory.join("address");
        drop(fs::remove_file(&address_file));
        let child = command.arg("--address-file").arg(&address_file).spawn().unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        let address = loop {
            match fs::read_to_string(&address_file) {
                Ok(address) => break address,
                Err(_) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(5)),
                Err(error) => panic!("the bank did not start: {error}"),
            }
        };
        let client = Client::builder().timeout(Duration::from_secs(5)).build().unwrap();
        Self { child, directory, address, client, messages: Vec::new() }
    }

    /// Ends the program without warning, as a crash would, and starts it again on the same books.
    pub fn crash_and_restart(mut self) -> Self {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let directory = std::mem::take(&mut self.directory);
        Self::start_as(command(&directory), directory)
    }

    /// The address of `path` at the program.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    /// The address that a bank has for itself, as host:port.
    pub fn own_address(&self, bank: &str) -> String {
        fs::read_to_string(self.directory.join(format!("books/{bank}.address"))).unwrap()
    }

    /// A message to the bank `path`, not sent yet.
    pub fn request(&self, path: &str, body: String) -> reqwest::RequestBuilder {
        self.request_to(&self.url(path), body)
    }

    /// A message to that address, not sent yet.
    pub fn request_to(&self, url: &str, body: String) -> reqwest::RequestBuilder {
        let request = self.client.post(url);
        request.header("content-type", "application/xml; charset=utf-8").body(body)
    }

    /// Posts to aurora and returns its answer, which must be one.
    pub async fn post(&mut self, body: String) -> String {
        let response = self.request("aurora", body).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "application/xml; charset=utf-8");
        let message = response.text().await.unwrap();
        self.messages.push(message.clone());
        message
    }

    /// Posts the payment and returns its verdict.
    pub async fn pay(&mut self, order: &Order) -> String {
        verdict(&self.post(order.payment_xml()).await)
    }

    /// Posts the enquiry and returns its verdict.
    pub async fn ask(&mut self, order: &Order) -> String {
        verdict(&self.post(order.enquiry_xml()).await)
    }

    /// Asks for `amount` (decimal text) of the order back, now, and returns the verdict.
    pub async fn ask_back(&mut self, order: &Order, request_id: &str, amount: &str) -> String {
        let now = stamp(OffsetDateTime::now_utc());
        verdict(&self.post(order.return_xml(request_id, amount, &now)).await)
    }

    /// Asks what became of the return request, and returns the verdict.
    pub async fn ask_about_return(&mut self, order: &Order, request_id: &str) -> String {
        verdict(&self.post(order.return_enquiry_xml(request_id)).await)
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

    /// Every line of aurora's file.
    pub fn lines(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.directory.join("books/aurora.books")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The sum of the minor units of aurora's lines of that kind, as a stranger to the bank would find it.
    pub fn sum_of(&self, kind: &str) -> u64 {
        let of_kind = self.lines().into_iter().filter(|line| line["kind"] == kind);
        of_kind.map(|line| line["minor_units"].as_u64().unwrap()).sum()
    }

    /// Validates every message that the bank sent, each against its schema.
    pub fn validate_messages(&self) {
        assert!(!self.messages.is_empty(), "the bank said nothing");
        for schema in ["pacs.002.001.10", "pacs.004.001.09", "camt.029.001.09"] {
            let is_of = |message: &&String| message.contains(&format!("xsd:{schema}\""));
            let messages: Vec<String> = self.messages.iter().filter(is_of).cloned().collect();
            if !messages.is_empty() {
                harness::xsd::validate(schema, &messages).unwrap_or_else(|problems| panic!("{problems}"));
            }
        }
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

/// A directory of its own, with the banks file.
pub fn new_directory() -> PathBuf {
    let directory = std::env::temp_dir().join(format!("bank-case-{:032x}", rand::random::<u128>()));
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("banks.toml"), BANKS).unwrap();
    directory
}

/// The program with the files of `directory`, not started yet.
pub fn command(directory: &std::path::Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bank"));
    command.arg("--banks").arg(directory.join("banks.toml")).arg("--books").arg(directory.join("books"));
    command.stdin(Stdio::null());
    command
}

/// What the message says: `TxSts`, `Conf`, or RTRD for a return, and after a space the reason's code where there is one.
pub fn verdict(message: &str) -> String {
    if message.contains("<PmtRtr>") {
        return "RTRD".to_owned();
    }
    let status = element(message, "TxSts").or_else(|| element(message, "Conf")).expect("a status");
    match element(message, "Cd") {
        Some(code) => format!("{status} {code}"),
        None => status.to_owned(),
    }
}

/// An order that was accepted now, and differs from any of another number.
pub fn order(number: u64) -> Order {
    Order { accepted_at: stamp(OffsetDateTime::now_utc()), ..Order::new(number) }
}

/// A time as messages have it.
pub fn stamp(time: OffsetDateTime) -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    time.format(&format).unwrap()
}

/// The text of the first element of that name, as it is written.
pub fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    Some(rest.split_once(&format!("</{name}>"))?.0)
}
