//! What the demo prints for people, and writes for programs.

use std::{
    fs,
    path::{Path, PathBuf},
};

use comfy_table::{Table, presets::UTF8_BORDERS_ONLY};
use common::private_file;
use harness::{
    BenchError,
    system::{BANKS, PARTICIPANTS, Service, System},
};
use platform::trial_balance::TrialBalance;
use serde_json::json;

use crate::{orders::Paid, scenes::Played};

/// All that came of a run.
#[derive(Debug)]
pub struct Report {
    gateway: String,
    ca_file: PathBuf,
    credential: String,
    played: Vec<Played>,
    /// What came of the file of orders.
    pub orders: Paid,
    /// What the trial balance found.
    pub trial_balance: Option<TrialBalance>,
    /// What the ledger and the banks' books disagree on.
    pub bank_differences: Vec<String>,
}

impl Report {
    /// A report of the scenes, before anything was checked.
    pub fn new(system: &System, played: Vec<Played>) -> Self {
        Self {
            gateway: system.address(Service::Gateway).to_owned(),
            ca_file: system.certificates().ca(),
            credential: system.credential(0).to_owned(),
            played,
            orders: Paid::default(),
            trial_balance: None,
            bank_differences: Vec::new(),
        }
    }

    /// Whether everything came as told.
    pub fn is_good(&self) -> bool {
        self.played.iter().all(|played| played.as_told)
            && self.trial_balance.as_ref().is_some_and(TrialBalance::is_ok)
            && self.bank_differences.is_empty()
            && self.orders.open.is_empty()
    }

    /// The first payment that was made; empty if none was.
    pub fn first_payment(&self) -> &str {
        self.played.iter().map(|played| played.id.as_str()).find(|id| !id.is_empty()).unwrap_or_default()
    }

    /// For programs.
    ///
    /// # Errors
    /// Never, in fact: everything in it can be written as JSON.
    pub fn json(&self) -> Result<String, BenchError> {
        let trial_balance = match &self.trial_balance {
            Some(balance) if balance.is_ok() => json!("OK"),
            Some(balance) => json!(balance.differences),
            None => json!("NOT TAKEN"),
        };
        let all = json!({
            "gateway": { "address": self.gateway, "ca_file": self.ca_file, "credential": self.credential },
            "payments": self.played,
            "trial_balance": trial_balance,
            "banks_equal": self.bank_differences.is_empty(),
            "orders": self.orders,
        });
        Ok(serde_json::to_string_pretty(&all)?)
    }

    /// The trial balance and the comparison with the banks' books, for people.
    pub fn books(&self) -> String {
        let balance = self.trial_balance.as_ref().map(ToString::to_string).unwrap_or_default();
        let banks = match self.bank_differences.as_slice() {
            [] => format!("the books of the {} banks: equal to the ledger, payment by payment", BANKS.len()),
            differences => format!("the banks' books DIFFER:\n  {}", differences.join("\n  ")),
        };
        format!("{balance}\n{banks}\n")
    }
}

/// The scenes as a table.
pub fn scenes(played: &[Played]) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY);
    table.set_header(["", "Scene", "State", "Reason", "ms", "To see"]);
    for one in played {
        let mark = if one.as_told { "ok" } else { "NOT AS TOLD" };
        let ms = one.ms.to_string();
        table.add_row([
            mark,
            one.scene,
            one.state.as_str(),
            one.reason.as_str(),
            ms.as_str(),
            one.remark.as_str(),
        ]);
    }
    table.to_string()
}

/// What came of a file of orders.
pub fn orders(paid: &Paid, report: &Path) -> String {
    const SHOWN: usize = 20;
    let mut lines = vec![format!(
        "orders: {} paid, {} failed, {} bad lines, {} per second",
        paid.paid, paid.failed, paid.bad_lines, paid.per_second
    )];
    for bad in paid.problems.iter().take(SHOWN) {
        lines.push(format!("  line {}: {}: {}", bad.line, bad.field, bad.problem));
    }
    if paid.problems.len() > SHOWN {
        lines.push(format!("  … and {} more", paid.problems.len() - SHOWN));
    }
    lines.extend(paid.open.iter().map(|open| format!("  STILL OPEN: {open}")));
    lines.push(format!("  every line's result: {}\n", report.display()));
    lines.join("\n")
}

/// What the calls that can be pasted need, for a shell to read.
pub fn environment(system: &System, profiles: &Path, account: &str, payment: &str) -> String {
    format!(
        "GATEWAY={}\nCA={}\nKEY={}\nSECOND_KEY={}\nOTHER_KEY={}\nHOUSE_KEY={}\nACCOUNT={account}\nPAYMENT={payment}\nIBAN={}\nBANKS=http://{}\nexport RIALTO_CONFIG={}\n\
         export RIALTO_DATABASE_URL={}\nexport RIALTO_INSECURE_DATABASE=true\nexport RIALTO_DATA_KEY_FILE={}\nAUDIT_KEY={}\n",
        system.address(Service::Gateway),
        system.certificates().ca().display(),
        system.credential(0),
        system.second_operator(),
        system.credential(1),
        system.house_operator(),
        BANKS[0].account(1),
        system.address(Service::Bank),
        profiles.display(),
        system.database_url(),
        system.data_key().display(),
        system.audit_public_key()
    )
}

/// Writes the profiles of the demo's callers for `rialto`, with their keys beside them, and returns the file.
pub fn write_profiles(system: &System) -> Result<PathBuf, BenchError> {
    let callers = [
        ("default", system.credential(0)),
        ("second", system.second_operator()),
        ("other", system.credential(1)),
        ("house", system.house_operator()),
    ];
    let (gateway, ca) = (system.address(Service::Gateway), system.certificates().ca());
    let mut profiles = String::new();
    for (name, key) in callers {
        let file = system.folder().join(format!("{name}.api-key"));
        if !file.exists() {
            private_file::create(&file, key.as_bytes())?;
        }
        let (ca, file) = (ca.display(), file.display());
        profiles +=
            &format!("[profiles.{name}]\ngateway = \"{gateway}\"\nca = \"{ca}\"\nkey_file = \"{file}\"\n\n");
    }
    let file = system.folder().join("rialto.toml");
    fs::write(&file, profiles)?;
    Ok(file)
}

/// Calls that can be pasted.
pub fn lines_to_paste(system: &System, environment: &Path, console: &str) -> String {
    let call_with = |key: &str, data: &str, method: &str| {
        let quoted = data.replace('"', "\\\"");
        format!("grpcurl -cacert $CA -H \"authorization: Bearer ${key}\" -d \"{quoted}\" $GATEWAY {method}\n")
    };
    let call = |data: &str, method: &str| call_with("KEY", data, method);
    let pay = r#"{"request_id": "order-1", "payer_account": "$ACCOUNT", "payee": {"name": "Blaise Seller", "iban": "$IBAN"}, "amount": {"minor_units": 1234, "currency": "EUR"}}"#;
    let deposit = r#"{"request_id": "deposit-1", "account": "$ACCOUNT", "amount": {"minor_units": 5000, "currency": "EUR"}, "bank_id": "aurora"}"#;
    let pending = r#"{"state": "DEPOSIT_STATE_PENDING_APPROVAL"}"#;
    [
        format!("The system is up; the gateway is at {}. ", system.address(Service::Gateway)),
        "Ctrl-C stops everything. To try it, paste into another shell:\n\n".to_owned(),
        format!(". {}\n", environment.display()),
        "grpcurl -cacert $CA $GATEWAY list\n".to_owned(),
        "grpcurl -cacert $CA $GATEWAY describe rialto.payments.v1.Payment\n".to_owned(),
        call(pay, "rialto.payments.v1.PaymentService/CreatePayment"),
        call(r#"{"request_id": "order-1"}"#, "rialto.payments.v1.PaymentService/GetPayment"),
        call(r#"{"id": "$ACCOUNT"}"#, "rialto.accounts.v1.AccountService/GetAccount"),
        call(r#"{"account": "$ACCOUNT"}"#, "rialto.accounts.v1.AccountService/ListEntries"),
        call("{}", "rialto.payments.v1.PaymentService/CreatePayment"),
        call(deposit, "rialto.accounts.v1.AccountService/Deposit"),
        call_with("SECOND_KEY", pending, "rialto.accounts.v1.AccountService/ListDeposits"),
        "target/release/rialto pay --from $ACCOUNT --to $IBAN --name \"Blaise Seller\" 7.50 EUR\n".to_owned(),
        "target/release/rialto list --limit 5\n".to_owned(),
        "target/release/platform trial-balance\n".to_owned(),
        "target/release/platform verify-audit\n".to_owned(),
        format!("\nThe console is at http://{console}/console: sign in with $KEY, {}\n", system.credential(0)),
        format!("(what it shows of the whole system, with $HOUSE_KEY); the log's public key, to verify receipts there, is {}\n", system.audit_public_key()),
        format!("\n$OTHER_KEY is another participant's ({}), who sees none of this; ", PARTICIPANTS[1]),
        "$HOUSE_KEY lets people in and out; $SECOND_KEY approves (ApproveDeposit) what $KEY proposed.\n"
            .to_owned(),
    ]
    .concat()
}
