//! The command line.

use std::{path::PathBuf, time::Duration};

use clap::{Parser, ValueEnum, builder::RangedU64ValueParser};
use harness::load::{Plan, Spread};

/// What `--help` ends with.
const EXAMPLES: &str = "\
Examples, with `cargo demo` up in another shell:
  cargo load                                     64 payments in flight for ten seconds
  cargo load -- --in-flight 256 --spread one     one hot merchant
  cargo load -- --rate 1000 --plot load.svg      1,000 payments a second, and a picture
  cargo load -- --on-us 30 --refused 5 --slow 2  a mixture as in life
  cargo load -- --json | jq .latency_ms.p99

Latency is that of payments that succeeded. With --rate it counts from when a call was due, not from when it could be
made, so that a system that stalls cannot hide it. Ctrl-C ends the load early and tells what was measured.";

/// Payments in flight when nothing else is asked for.
const IN_FLIGHT: usize = 64;
/// Connections to the gateway, and how many calls at once make another one worthwhile: half of what a gateway takes on one.
const CONNECTIONS: usize = 8;
const CALLS_ON_CONNECTION: usize = 128;

/// Puts a running gateway under load, and tells payments a second, latencies, outcomes, and the settings of the server that
/// decide them.
///
/// The payments are real: accounts are opened on its ledger (and found again by the next load), money is booked, and banks
/// are instructed. Do not point it at a ledger that is in use.
#[derive(Parser, Debug)]
#[command(name = "cargo load --", bin_name = "cargo load --", after_help = EXAMPLES)]
pub struct Args {
    /// The gateway's address, e.g. 127.0.0.1:8080; without it that of the demo that is up.
    #[arg(long, env = "GATEWAY", value_name = "ADDR")]
    pub gateway: Option<String>,
    /// The CA that the gateway's certificate is of (PEM); without it, and without the demo, the load goes there in plaintext.
    #[arg(long, env = "CA", value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// An API key with the roles payer-app, merchant and operator; without it that of the demo that is up. Better given as
    /// KEY in the environment: flags are visible to every user of the machine.
    #[arg(long, env = "KEY", hide_env_values = true)]
    pub key: Option<String>,
    /// An API key of another operator, who approves the money that is put on accounts; without it that of the demo that is up.
    #[arg(long, env = "SECOND_KEY", hide_env_values = true)]
    pub second_key: Option<String>,
    /// Closed loop: keep so many payments in flight (64 unless --rate is given).
    #[arg(long, value_name = "N", conflicts_with = "rate", value_parser = count(100_000))]
    in_flight: Option<usize>,
    /// Open loop: make so many payments a second, whatever comes of them.
    #[arg(long, value_name = "PER_S", value_parser = rate)]
    rate: Option<f64>,
    /// How long to measure, e.g. 30s or 5m.
    #[arg(long, default_value = "10s", value_parser = humantime::parse_duration)]
    pub duration: Duration,
    /// How long to load before that without measuring.
    #[arg(long, default_value = "2s", value_parser = humantime::parse_duration)]
    pub warm_up: Duration,
    /// Which merchants are paid.
    #[arg(long, value_enum, default_value_t = SpreadName::Uniform)]
    pub spread: SpreadName,
    /// Accounts that pay, for each bank.
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = count(1_000_000))]
    pub payers: usize,
    /// Merchants at each bank.
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub payees: u32,
    /// Payments to accounts on the ledger, without a bank, of a hundred.
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = percent())]
    pub on_us: u8,
    /// Payments that are refused for too little money, of a hundred.
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = percent())]
    pub refused: u8,
    /// Payments that the simulated banks answer late, of a hundred. Replaces the banks' scripts; afterwards they have none.
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = percent())]
    pub slow: u8,
    /// How late; later than the gateway's banks are waited for (1.5s in the demo), the call says UNKNOWN.
    #[arg(long, default_value = "500ms", value_parser = humantime::parse_duration)]
    pub slow_by: Duration,
    /// Where the simulated banks take their scripts, for --slow; without it where the demo's are.
    #[arg(long, env = "BANKS", value_name = "URL")]
    pub bank_control: Option<String>,
    /// Connections to the gateway (8, or more if so many in flight need them).
    #[arg(long, value_name = "N", value_parser = count(200))]
    connections: Option<usize>,
    /// Print JSON for programs instead of tables.
    #[arg(long)]
    pub json: bool,
    /// Draw latency by percentile and throughput over time.
    #[arg(long, value_name = "FILE.svg")]
    pub plot: Option<PathBuf>,
}

/// When calls are made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// Whenever fewer than this are under way.
    InFlight(usize),
    /// So many a second, whatever comes of them.
    PerSecond(f64),
}

/// Which merchants are paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SpreadName {
    /// Each as often as any other.
    Uniform,
    /// The first most often, the n-th an n-th of that.
    Zipf,
    /// One hot merchant, at one bank; what stays on the ledger goes to one account there.
    One,
}

impl SpreadName {
    /// As the command line writes it.
    pub fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

impl Args {
    /// When calls are made.
    pub fn pace(&self) -> Pace {
        self.rate.map_or(Pace::InFlight(self.in_flight.unwrap_or(IN_FLIGHT)), Pace::PerSecond)
    }

    /// Connections to the gateway.
    pub fn connections(&self) -> usize {
        self.connections.unwrap_or_else(|| match self.pace() {
            Pace::InFlight(in_flight) => in_flight.div_ceil(CALLS_ON_CONNECTION).clamp(CONNECTIONS, 200),
            Pace::PerSecond(_) => CONNECTIONS,
        })
    }

    /// What is paid, from whom to whom.
    pub fn plan(&self) -> Plan {
        Plan {
            payers: self.payers,
            payees: self.payees,
            spread: match self.spread {
                SpreadName::Uniform => Spread::Uniform,
                SpreadName::Zipf => Spread::Zipf,
                SpreadName::One => Spread::One,
            },
            on_us_percent: self.on_us,
            refused_percent: self.refused,
            connections: self.connections(),
            ..Plan::default()
        }
    }
}

fn count(most: u64) -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..=most)
}

fn percent() -> RangedU64ValueParser<u8> {
    RangedU64ValueParser::new().range(0..=100)
}

fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "expected payments a second, e.g. 1000".to_owned())?;
    if (0.1..=1_000_000.0).contains(&rate) { Ok(rate) } else { Err("expected 0.1 to 1000000".to_owned()) }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::{Args, Pace};

    fn args(arguments: &[&str]) -> Result<Args, String> {
        Args::try_parse_from(["load"].iter().chain(arguments)).map_err(|error| error.to_string())
    }

    #[test]
    fn the_pace_is_one_of_two() {
        assert_eq!(args(&[]).unwrap().pace(), Pace::InFlight(64));
        assert_eq!(args(&["--in-flight", "4096"]).unwrap().connections(), 32);
        assert_eq!(args(&["--rate", "1000"]).unwrap().pace(), Pace::PerSecond(1_000.0));
        let both = args(&["--rate", "1000", "--in-flight", "2"]).unwrap_err();
        assert!(both.contains("cannot be used with"), "{both}");
    }

    #[test]
    fn bad_values_are_refused_with_what_is_good() {
        for (flag, value, says) in [
            ("--rate", "fast", "payments a second"),
            ("--rate", "0", "0.1 to 1000000"),
            ("--in-flight", "0", "1..=100000"),
            ("--on-us", "101", "0..=100"),
            ("--payees", "0", "1..=1000000"),
            ("--duration", "10", "time unit"),
            ("--spread", "even", "[possible values: uniform, zipf, one]"),
        ] {
            let refused = args(&[flag, value]).unwrap_err();
            assert!(refused.contains(says), "{flag} {value}: {refused}");
        }
    }
}
