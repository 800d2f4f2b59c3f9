//! What safeguards cost a payment: the whole system as it is, and beside it systems that lack one of them, or do it otherwise.

use std::{path::PathBuf, time::Duration};

use comfy_table::{CellAlignment, Table, TableStyle, presets};
use gateway::participant::KeyHasher;
use harness::{
    BenchError,
    collector::Collector,
    figure::{Figure, number},
    load::{Load, Plan, Spread},
    machine::Machine,
    postgres::own_folder,
    provider::{AUDIENCE, ISSUER, SigningKey, claims, jwks},
    sample::Sample,
    system::{PARTICIPANTS, Service, Setup, System},
    usage::Account,
};
use indicatif::{ProgressBar, ProgressStyle};
use platform::trial_balance::TrialBalance;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::{
    WARM_UP, say,
    stage::{DATABASE_SETTINGS, ENDS_WITHIN, TIMES},
    write,
};

/// How long after a payment it is sealed here: so soon that a measurement has the sealing of its own payments in it.
const SEAL_AFTER: Duration = Duration::from_secs(2);
/// Keys that are hashed to see how long one takes.
const KEYS: u32 = 200_000;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// How often every system is measured.
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=100))]
    rounds: u16,
    /// How long each measurement takes, before what was paid is sealed.
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=600))]
    seconds: u16,
    /// Calls in flight.
    #[arg(long, default_value_t = 256, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    in_flight: u16,
    /// Accounts that pay, at each bank.
    #[arg(long, default_value_t = 1_000, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    payers: u16,
    /// Write the figures for programs.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the table as Markdown.
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
}

/// A system that differs from the one as it is in one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variant {
    AsItIs,
    Plaintext,
    Unsealed,
    Tokens,
    Unmeasured,
    Traced,
}

impl Variant {
    const ALL: [Self; 6] =
        [Self::AsItIs, Self::Plaintext, Self::Unsealed, Self::Tokens, Self::Unmeasured, Self::Traced];

    fn key(self) -> &'static str {
        match self {
            Self::AsItIs => "as_it_is",
            Self::Plaintext => "plaintext",
            Self::Unsealed => "unsealed",
            Self::Tokens => "tokens",
            Self::Unmeasured => "unmeasured",
            Self::Traced => "traced",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::AsItIs => "as it is",
            Self::Plaintext => "without TLS",
            Self::Unsealed => "without sealing",
            Self::Tokens => "tokens (ES256) for API keys",
            Self::Unmeasured => "without metrics",
            Self::Traced => "with a collector of 1 % of traces",
        }
    }
}

/// A system and those who pay over it.
struct Side {
    variant: Variant,
    system: System,
    ledger: PgPool,
    load: Load,
    samples: Vec<Sample>,
}

impl Side {
    async fn set(variant: Variant, payers: u16) -> Result<Self, BenchError> {
        let folder = own_folder("compare-costs")?.join(variant.key());
        let provider = SigningKey::es256("costs")?;
        std::fs::create_dir_all(&folder)?;
        let keys = folder.join("jwks.json");
        std::fs::write(&keys, jwks(&[provider.jwk()]))?;
        let seal_after = match variant {
            Variant::Unsealed => "1day".to_owned(),
            _ => format!("{}s", SEAL_AFTER.as_secs()),
        };
        let mut flags = vec![(Service::Platform, format!("--seal-after={seal_after}"))];
        for (flag, value) in
            [("issuer", ISSUER), ("audience", AUDIENCE), ("jwks", &keys.display().to_string())]
        {
            flags.push((Service::Gateway, format!("--jwt-{flag}={value}")));
        }
        if variant == Variant::Traced {
            let url = Collector::start().await?.url();
            for service in [Service::Gateway, Service::Platform, Service::Channel] {
                flags.push((service, format!("--otlp-endpoint={url}")));
            }
        }
        let system = System::start(Setup {
            is_measured: variant != Variant::Unmeasured,
            times: TIMES,
            database_settings: DATABASE_SETTINGS.map(str::to_owned).to_vec(),
            flags,
            is_plaintext: variant == Variant::Plaintext,
            ..Setup::new(folder).over_http2()
        })
        .await?;
        let roles = ["payer-app", "merchant", "operator"];
        let credential = match variant {
            Variant::Tokens => provider.token(&claims("costs", PARTICIPANTS[0], &roles))?,
            _ => system.credential(0).to_owned(),
        };
        let plan = Plan {
            spread: Spread::Uniform,
            payers: payers.into(),
            prefix: "costs".to_owned(),
            ..Plan::default()
        };
        let load = Load::open(&system.gateway()?, [&credential, system.second_operator()], plan).await?;
        let ledger = PgPool::connect_with(system.database()).await?;
        sqlx::raw_sql("CHECKPOINT").execute(&ledger).await?;
        Ok(Self { variant, system, ledger, load, samples: Vec::new() })
    }

    async fn measure(&mut self, args: &Args) -> Result<(), BenchError> {
        let in_flight = usize::from(args.in_flight);
        self.load.closed(in_flight, WARM_UP).await;
        let mut accounts = vec![Account { name: "load", pid: std::process::id(), with_children: false }];
        for service in [Service::Gateway, Service::Platform, Service::Channel, Service::Bank] {
            let pid = self.system.process(service).pid();
            accounts.push(Account { name: service.name(), pid, with_children: false });
        }
        let pid = self.system.postgres().process().pid();
        accounts.push(Account { name: "postgres", pid, with_children: true });
        let load = async {
            let measured = self.load.closed(in_flight, Duration::from_secs(args.seconds.into())).await;
            tokio::time::sleep(SEAL_AFTER + Duration::from_secs(1)).await;
            measured
        };
        self.samples.push(Sample::of(load, &accounts, &self.ledger).await?);
        Ok(())
    }

    async fn close(self) -> Result<(), BenchError> {
        harness::work::none_left(&self.system.database(), ENDS_WITHIN).await?;
        let balance = TrialBalance::take(&self.system.database()).await?;
        let differences = self.system.compare_with_banks().await?;
        if !balance.is_ok() || !differences.is_empty() {
            return Err(format!("the books do not add up:\n{balance}\n{}", differences.join("\n")).into());
        }
        Ok(())
    }

    /// CPU time of each process, and in all, in each round, in µs per payment.
    fn cpu_us(&self) -> Vec<Vec<f64>> {
        let rounds = self.samples.iter().map(|sample| {
            let mut us: Vec<f64> = sample.cpu_us.iter().map(|(_, us)| *us).collect();
            us.push(us.iter().sum());
            us
        });
        rounds.collect()
    }
}

/// Measures, checks the books, tells and writes.
///
/// # Errors
/// When the bench itself fails, or the books do not add up.
pub async fn run(args: &Args) -> Result<(), BenchError> {
    let style = ProgressStyle::with_template("  {bar:30} {pos}/{len}  {msg}  {elapsed}")?;
    let bar = ProgressBar::new(u64::from(args.rounds) * u64::try_from(Variant::ALL.len())?).with_style(style);
    bar.enable_steady_tick(Duration::from_secs(1));
    let mut sides = Vec::new();
    for variant in Variant::ALL {
        bar.set_message(format!("starting the system {}", variant.title()));
        sides.push(Side::set(variant, args.payers).await?);
    }
    let machine = Machine::read(&sides[0].ledger).await?;
    for _ in 0..args.rounds {
        for side in &mut sides {
            bar.set_message(side.variant.title());
            side.measure(args).await?;
            bar.inc(1);
        }
        // Nobody always runs in another's wake.
        sides.rotate_left(1);
    }
    sides.sort_by_key(|side| Variant::ALL.iter().position(|variant| *variant == side.variant));
    let costs = Costs::of(&sides, key_ns()?);
    bar.set_message("checking the books");
    for side in sides {
        side.close().await?;
    }
    bar.finish_and_clear();
    let lines = machine.lines().join("\n");
    let head = format!(
        "CPU time per payment, in µs, {} in flight, rounds: {}: medians",
        args.in_flight, args.rounds
    );
    say(&format!("{head}\n{}\n{}\n{lines}\n", costs.table(presets::UTF8_BORDERS_ONLY), costs.api_key()));
    write(args.markdown.as_deref(), || {
        Ok(format!("**{head}**\n\n{}\n\n{}\n", costs.table(presets::ASCII_MARKDOWN), costs.api_key()))
    })?;
    write(args.json.as_deref(), || Ok(serde_json::to_string_pretty(&costs.document(&machine, args))?))
}

/// How long it takes to hash an API key, in ns.
fn key_ns() -> Result<f64, BenchError> {
    let hasher = KeyHasher::new(&common::settings::Secret::new("0".repeat(64)))?;
    let (key, _) = hasher.make()?;
    let began = std::time::Instant::now();
    for _ in 0..KEYS {
        std::hint::black_box(hasher.hash(std::hint::black_box(&key)));
    }
    Ok(began.elapsed().as_secs_f64() * 1e9 / f64::from(KEYS))
}

/// What the rounds come to.
struct Costs {
    processes: Vec<&'static str>,
    rows: Vec<Row>,
    key_ns: f64,
}

struct Row {
    variant: Variant,
    per_s: Figure,
    cpu_us: Vec<Figure>,
    /// What a payment costs more as it is than so, in the same round.
    saved_us: Figure,
}

impl Costs {
    fn of(sides: &[Side], key_ns: f64) -> Self {
        let names = sides.iter().flat_map(|side| side.samples.first());
        let mut processes: Vec<&'static str> =
            names.take(1).flat_map(|sample| sample.cpu_us.iter().map(|(name, _)| *name)).collect();
        processes.push("in all");
        let as_it_is: Vec<f64> = sides.iter().take(1).flat_map(|side| in_all(&side.cpu_us())).collect();
        let row = |side: &Side| {
            let rounds = side.cpu_us();
            let cpu_us = (0..processes.len())
                .filter_map(|place| Figure::of(rounds.iter().filter_map(|round| round.get(place).copied())));
            let saved = as_it_is.iter().zip(in_all(&rounds)).map(|(with, without)| with - without);
            Some(Row {
                variant: side.variant,
                per_s: Figure::of(side.samples.iter().map(|sample| sample.per_s))?,
                cpu_us: cpu_us.collect(),
                saved_us: Figure::of(saved)?,
            })
        };
        Self { rows: sides.iter().filter_map(row).collect(), processes, key_ns }
    }

    fn table(&self, style: TableStyle) -> Table {
        let mut table = Table::new();
        table.load_style(style);
        let titles = self.rows.iter().map(|row| row.variant.title().to_owned());
        table.set_header(std::iter::once(String::new()).chain(titles));
        for (place, process) in self.processes.iter().enumerate() {
            let figures = self.rows.iter().map(|row| row.cpu_us.get(place).map_or_else(String::new, median));
            table.add_row(std::iter::once((*process).to_owned()).chain(figures));
        }
        let saved = self.rows.iter().map(|row| match row.variant {
            Variant::AsItIs => "—".to_owned(),
            _ => row.saved_us.to_string(),
        });
        table.add_row(std::iter::once("as it is costs more by".to_owned()).chain(saved));
        let rates = self.rows.iter().map(|row| row.per_s.to_string());
        table.add_row(std::iter::once("payments a second".to_owned()).chain(rates));
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table
    }

    fn api_key(&self) -> String {
        format!("An API key is known by its keyed hash, which takes {:.0} ns, and a look-up.", self.key_ns)
    }

    fn document(&self, machine: &Machine, args: &Args) -> Value {
        let row = |row: &Row| {
            let cpu_us = self.processes.iter().zip(&row.cpu_us);
            let cpu_us: serde_json::Map<String, Value> =
                cpu_us.map(|(process, figure)| ((*process).replace(' ', "_"), json!(figure))).collect();
            let figures = json!({
                "payments_per_s": row.per_s, "cpu_us_per_payment": cpu_us, "saved_us_per_payment": row.saved_us,
            });
            (row.variant.key().to_owned(), figures)
        };
        json!({
            "rounds": args.rounds,
            "in_flight": args.in_flight,
            "systems": self.rows.iter().map(row).collect::<serde_json::Map<_, _>>(),
            "api_key_hash_ns": self.key_ns,
            "machine": machine,
        })
    }
}

fn in_all(rounds: &[Vec<f64>]) -> Vec<f64> {
    rounds.iter().filter_map(|round| round.last().copied()).collect()
}

fn median(figure: &Figure) -> String {
    number(figure.median)
}
