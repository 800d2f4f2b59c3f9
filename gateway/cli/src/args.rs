//! The command line: what can be asked for.

use clap::{Parser, Subcommand};
use clap_complete::Shell;

use crate::{
    accounts::AccountsJob,
    balance::TrialBalance,
    deposits::DepositJob,
    pay::{Cancel, Capture, Pay, Refund, Wait},
    payments::{Get, List},
    receipts::{Receipt, VerifyReceipt},
    settings::ConnectionArgs,
    stats::Stats,
    watch::Watch,
    webhooks::WebhookJob,
};

/// Pays, and shows what was paid, through Rialto's gateway.
///
/// Where the gateway is and who calls it stand in a profile, in ~/.config/rialto/config.toml ($XDG_CONFIG_HOME/rialto/config.toml):
///
///   [profiles.default]
///   gateway = "pay.example.org:443"
///   ca = "ca.pem"          # what the gateway's certificate comes from
///   key_file = "api.key"   # mode 0600; or set RIALTO_API_KEY
///
/// Paths are relative to the file. A flag or its variable goes before the profile.
#[derive(Parser, Debug)]
#[command(name = "rialto", version, propagate_version = true, verbatim_doc_comment, after_help = AFTER_HELP)]
pub struct Args {
    /// Answer as JSON, for programs: the messages of the contracts in protobuf's canonical mapping (`watch`: one a line).
    #[arg(long, global = true)]
    pub json: bool,
    /// Where the gateway is, and who calls.
    #[command(flatten)]
    pub connection: ConnectionArgs,
    /// What to do.
    #[command(subcommand)]
    pub job: Job,
}

const AFTER_HELP: &str = "\
Exit codes:
  0  done; of a payment: it succeeded (or is authorized, with --hold)
  1  refused or failed: this call paid nothing
  2  the command line or the settings are wrong; nothing was sent
  3  not known yet: do not pay again under a new request id; `rialto wait`, or the same command with the same --request-id

What recomputes the ledger from its transfers needs the database: `platform trial-balance`, `platform verify-audit`.";

/// What can be asked for.
#[derive(Subcommand, Debug)]
pub enum Job {
    /// Pay somebody, and wait for what becomes of it.
    Pay(Pay),
    /// Pay an authorized payment (`pay --hold`), whole or in part.
    Capture(Capture),
    /// Release what is held and was never sent.
    Cancel(Cancel),
    /// Give a payment back, whole or in part.
    Refund(Refund),
    /// Show one payment.
    Get(Get),
    /// Wait until a payment is over.
    Wait(Wait),
    /// List payments, newest first.
    List(List),
    /// Tell of every step of payments as it happens.
    Watch(Watch),
    /// Accounts: their balances and entries.
    #[command(subcommand)]
    Accounts(AccountsJob),
    /// Money that arrived: it takes two operators to book it.
    #[command(subcommand)]
    Deposit(DepositJob),
    /// How payments went: how many, how well, how fast.
    Stats(Stats),
    /// Add up accounts, and check what always holds. Ends with 1 if something does not.
    TrialBalance(TrialBalance),
    /// Webhooks: URLs that are told what happens, and what is on its way to them.
    #[command(subcommand)]
    Webhooks(WebhookJob),
    /// Print a payment's receipt (JSON), for `verify-receipt`.
    Receipt(Receipt),
    /// Check a receipt with the log's public key alone: no gateway is asked.
    VerifyReceipt(VerifyReceipt),
    /// Show the profiles, without their keys.
    Profiles,
    /// Print the shell's completions: `rialto completions bash > ~/.local/share/bash-completion/completions/rialto`.
    Completions {
        /// Which shell.
        shell: Shell,
    },
}
