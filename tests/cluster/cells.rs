//! Two cells behind one gateway: what a second one costs the first, and payments from one to the other.

mod books;

use std::{fmt, fs, time::Duration};

use comfy_table::{Table, presets::UTF8_BORDERS_ONLY};
use harness::{
    BenchError,
    certificates::{Certificates, name_of},
    client::Client,
    figure::Figure,
    load::{Load, Measured, Plan},
    postgres::own_folder,
    system::{BANKS, BankSetup, BankTimes, Service, Setup, System, free_addresses},
    usage::Account,
};
use serde::Serialize;
use tokio::time::sleep;

use crate::{say, stage::KINDS};

/// The cells, as each is a bank of the other's directory: what their accounts' IBANs begin with is their own.
const CELLS: [BankSetup; 2] = [
    BankSetup {
        id: "north",
        name: "Cell North",
        bic: "NORDDEF0XXX",
        iban_code: Some(("DE", "10010010")),
        currencies: &["EUR"],
    },
    BankSetup {
        id: "south",
        name: "Cell South",
        bic: "SUEDDEF0XXX",
        iban_code: Some(("DE", "20010020")),
        currencies: &["EUR"],
    },
];
/// Banks are asked soon what became of a payment whose channel or platform died.
const TIMES: BankTimes =
    BankTimes { answer_timeout_ms: 2_000, enquire_after_ms: 2_200, valid_for_ms: 10_000 };
/// Accounts of the one cell that the other one pays.
const SELLERS: u32 = 200;
/// How long a caller waits for an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long payments that are under way may take to come to their end.
const ENDS_WITHIN: Duration = Duration::from_secs(60);
/// How long what died stays dead.
const DEAD: Duration = Duration::from_secs(1);

/// How to try two cells.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Payments a second that each cell is asked to make.
    #[arg(long, default_value_t = 200.0, value_name = "N")]
    rate: f64,
    /// How long each measurement lasts: at least 4 s.
    #[arg(long, default_value_t = 10, value_name = "S", value_parser = clap::value_parser!(u64).range(4..))]
    seconds: u64,
    /// How often all is measured.
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    rounds: u64,
    /// How much more CPU a payment may cost a cell while there is another one.
    #[arg(long, default_value_t = 1.1, value_name = "RATIO")]
    max_cost_ratio: f64,
    /// Do not judge what a payment costs, which says little on a machine that does other things too.
    #[arg(long)]
    any_cost: bool,
}

/// What was measured of one way to pay, over all rounds.
#[derive(Clone, Debug, Serialize)]
struct Way {
    what: &'static str,
    payments: u64,
    /// Calls that came to nothing.
    failed: u64,
    p50_ms: Option<Figure>,
    p99_ms: Option<Figure>,
    /// CPU of the platforms, channels and databases of the cells that had work, in microseconds.
    cell_us_per_payment: Option<Figure>,
    /// CPU of the gateway, which all share.
    gateway_us_per_payment: Option<Figure>,
    #[serde(skip)]
    rounds: Vec<Round>,
}

#[derive(Clone, Copy, Debug)]
struct Round {
    p50_ms: f64,
    p99_ms: f64,
    cell_us: f64,
    gateway_us: f64,
}

/// All that came of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    ways: [Way; 3],
    /// What a payment costs a cell beside another one ÷ alone: medians of the rounds.
    cost_ratio: f64,
    /// None if it is not judged.
    max_cost_ratio: Option<f64>,
    /// What was due from one cell to the other while services of the other were killed, and did not succeed at once.
    across_while_killed: Killed,
    /// What is wrong with the books.
    wrong: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
struct Killed {
    due: u64,
    others: String,
    /// What succeeded in the one cell and is on record in the other.
    paid_across: u64,
}

impl Report {
    /// Whether every book adds up, and the second cell costs no more than it may.
    pub fn is_good(&self) -> bool {
        self.wrong.is_empty()
            && self.max_cost_ratio.is_none_or(|most| self.cost_ratio <= most)
            && self.ways.iter().all(|way| way.failed == 0)
    }
}

/// Both cells, and those who pay.
struct Stage {
    north: System,
    south: System,
    of_north: Load,
    of_south: Load,
    /// From accounts of north to accounts of south.
    across: Load,
    rate: f64,
    lasts: Duration,
}

/// Tries two cells.
///
/// # Errors
/// When something can't be tried.
pub async fn run(args: &Args) -> Result<Report, BenchError> {
    let mut stage = Stage::set(args).await?;
    let mut ways = ["one cell alone", "two cells, each as much", "from one cell to the other"].map(Way::new);
    for round in 1..=args.rounds {
        say(&format!("round {round} of {} …", args.rounds));
        let [alone, both, across] = &mut ways;
        stage.measure(alone, &[Paying::North]).await?;
        stage.measure(both, &[Paying::North, Paying::South]).await?;
        stage.measure(across, &[Paying::Across]).await?;
    }
    ways.iter_mut().for_each(Way::sum_up);
    let median = |way: &Way| way.cell_us_per_payment.map_or(f64::NAN, |figure| figure.median);
    let cost_ratio = median(&ways[1]) / median(&ways[0]);
    say("services of the second cell are killed …");
    let killed = stage.kill().await?;
    let (paid_across, wrong) = books::compare(&stage.north, &stage.south).await?;
    let across_while_killed = Killed { due: killed.due, others: killed.others(), paid_across };
    let max_cost_ratio = (!args.any_cost).then_some(args.max_cost_ratio);
    Ok(Report { ways, cost_ratio, max_cost_ratio, across_while_killed, wrong })
}

/// Who pays whom.
#[derive(Clone, Copy, Debug)]
enum Paying {
    /// North its bank's customers.
    North,
    /// South its bank's customers.
    South,
    /// North's customers those of south.
    Across,
}

impl Stage {
    async fn set(args: &Args) -> Result<Self, BenchError> {
        let folder = own_folder("cells")?;
        let identities = BANKS.iter().chain(&CELLS).map(|bank| bank.id);
        let certificates = Certificates::make(&folder.join("certificates"), identities)?;
        let addresses = free_addresses(CELLS.len())?;
        let mut systems = Vec::new();
        for (cell, (own, address)) in CELLS.iter().zip(&addresses).enumerate() {
            let other = 1 - cell;
            let mut setup = Setup::new(folder.join(own.id)).over_http2();
            setup.times = TIMES;
            setup.notice_listen = Some(address.clone());
            setup.more_banks = vec![entry(&certificates, own, &CELLS[other], &addresses[other])];
            setup.flags.push((Service::Channel, format!("--sender-bic={}", own.bic)));
            setup.shared_certificates = Some(certificates.clone());
            fs::create_dir_all(&setup.folder)?;
            systems.push(System::start(setup).await?);
        }
        let Ok([mut north, mut south]) = <[System; 2]>::try_from(systems) else {
            return Err("two cells were to be started".into());
        };
        north.serve_too(&mut south).await?;
        let plan = Plan { payers: 64, payees: 200, banks: vec![0], deadline: PATIENCE, ..Plan::default() };
        let gateway = north.gateway()?;
        let across = Plan { ibans: sellers(&south).await?, prefix: "across".to_owned(), ..plan.clone() };
        Ok(Self {
            of_north: Load::open(&gateway, north.operators(0), plan.clone()).await?,
            of_south: Load::open(&gateway, south.operators(0), plan).await?,
            across: Load::open(&gateway, north.operators(0), across).await?,
            rate: args.rate,
            lasts: Duration::from_secs(args.seconds),
            north,
            south,
        })
    }

    async fn measure(&mut self, way: &mut Way, paying: &[Paying]) -> Result<(), BenchError> {
        let gateway = account("gateway", self.north.process(Service::Gateway).pid(), false);
        let mut at_work = Vec::new();
        let cells = match paying {
            [Paying::North] => vec![&mut self.north],
            _ => vec![&mut self.north, &mut self.south],
        };
        for cell in cells {
            for service in [Service::Platform, Service::Channel] {
                at_work.push(account(service.name(), cell.process(service).pid(), false));
            }
            at_work.push(account("postgres", cell.postgres().process().pid(), true));
        }
        // Connections are made, and memories filled.
        self.pay(paying, Duration::from_secs(1)).await;
        let used = || -> Result<(u64, u64), BenchError> {
            let cells = at_work.iter().map(Account::cpu_us).sum::<Result<u64, _>>()?;
            Ok((cells, gateway.cpu_us()?))
        };
        let before = used()?;
        let measured = self.pay(paying, self.lasts).await;
        let after = used()?;
        let payments = measured.due.max(1);
        let each = |after: u64, before: u64| after.saturating_sub(before) as f64 / payments as f64;
        way.payments += measured.due;
        way.failed += measured.errors.values().sum::<u64>();
        way.rounds.push(Round {
            p50_ms: measured.latency_ms(50.0),
            p99_ms: measured.latency_ms(99.0),
            cell_us: each(after.0, before.0),
            gateway_us: each(after.1, before.1),
        });
        Ok(())
    }

    async fn pay(&self, paying: &[Paying], lasts: Duration) -> Measured {
        let mut all = tokio::task::JoinSet::new();
        for one in paying {
            let load = match one {
                Paying::North => self.of_north.clone(),
                Paying::South => self.of_south.clone(),
                Paying::Across => self.across.clone(),
            };
            let rate = self.rate;
            all.spawn(async move { load.open_loop(rate, lasts).await });
        }
        harness::load::together(&all.join_all().await)
    }

    /// Payments from north to south, of which every service is killed once and started again.
    async fn kill(&mut self) -> Result<Measured, BenchError> {
        let load = self.across.until_stopped();
        let (rate, paying) = (self.rate / 2.0, load.clone());
        let paying = tokio::spawn(async move { paying.open_loop(rate, Duration::from_secs(600)).await });
        for service in KINDS.into_iter().filter(|service| *service != Service::Gateway) {
            sleep(DEAD).await;
            self.south.process(service).signal("KILL")?;
            sleep(DEAD).await;
            self.south.launch(service)?;
        }
        sleep(DEAD).await;
        load.stop();
        let measured = paying.await?;
        for cell in [&self.north, &self.south] {
            harness::work::none_left(&cell.database(), ENDS_WITHIN).await?;
        }
        Ok(measured)
    }
}

/// How a channel reaches another cell, and by what each knows the other: as it does with any bank.
fn entry(certificates: &Certificates, own: &BankSetup, other: &BankSetup, address: &str) -> String {
    let BankTimes { answer_timeout_ms, enquire_after_ms, valid_for_ms } = TIMES;
    let (country, code) = other.iban_code.unwrap_or_default();
    format!(
        "[[bank]]\nid = {:?}\nname = {:?}\nbic = {:?}\niban_bank_codes = [\"{country}{code}\"]\ncurrencies = [\"EUR\"]\n\
         rail = \"iso20022\"\naddress = \"https://{address}/banks/{}\"\nca_file = {:?}\n{}\
         notice_ca_file = {:?}\nnotice_name = \"{}\"\noffline_policy = \"queue\"\ntakes_return_requests = false\n\
         answer_timeout_ms = {answer_timeout_ms}\nenquire_after_ms = {enquire_after_ms}\nvalid_for_ms = {valid_for_ms}\n\
         max_in_flight = 1024\n",
        other.id,
        other.name,
        other.bic,
        own.id,
        certificates.ca(),
        certificates.settings("client_", &format!("of-{}", own.id)),
        certificates.file("bank-ca"),
        name_of(other.id),
    )
}

/// Opens accounts that the other cell can pay. Returns their IBANs.
async fn sellers(cell: &System) -> Result<Vec<String>, BenchError> {
    let [key, _] = cell.operators(0);
    let client = Client::new(&cell.gateway()?, key)?;
    let mut ibans = Vec::new();
    for number in 0..SELLERS {
        let iban = CELLS[1].account(number);
        client.open_account(&format!("seller-{number}"), "Blaise Seller", "EUR", &iban).await?;
        ibans.push(iban);
    }
    Ok(ibans)
}

fn account(name: &'static str, pid: u32, with_children: bool) -> Account {
    Account { name, pid, with_children }
}

impl Way {
    fn new(what: &'static str) -> Self {
        let (payments, failed, rounds) = (0, 0, Vec::new());
        let [p50_ms, p99_ms, cell_us_per_payment, gateway_us_per_payment] = [None; 4];
        Self { what, payments, failed, p50_ms, p99_ms, cell_us_per_payment, gateway_us_per_payment, rounds }
    }

    fn sum_up(&mut self) {
        let of = |value: fn(&Round) -> f64| Figure::of(self.rounds.iter().map(value));
        self.p50_ms = of(|round| round.p50_ms);
        self.p99_ms = of(|round| round.p99_ms);
        self.cell_us_per_payment = of(|round| round.cell_us);
        self.gateway_us_per_payment = of(|round| round.gateway_us);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new();
        table.load_style(UTF8_BORDERS_ONLY).set_header([
            "",
            "Payments",
            "Failed",
            "p50, ms",
            "p99, ms",
            "CPU of the cells, µs a payment",
            "of the gateway",
        ]);
        let figure = |figure: Option<Figure>| {
            figure.map_or(String::new(), |Figure { median, min, max, .. }| {
                format!("{median:.1} ({min:.1}–{max:.1})")
            })
        };
        for way in &self.ways {
            table.add_row([
                way.what.to_owned(),
                way.payments.to_string(),
                way.failed.to_string(),
                figure(way.p50_ms),
                figure(way.p99_ms),
                figure(way.cell_us_per_payment),
                figure(way.gateway_us_per_payment),
            ]);
        }
        writeln!(f, "{table}")?;
        let judged = match self.max_cost_ratio {
            Some(most) if self.cost_ratio > most => format!("TOO MUCH, at most {most:.2}"),
            Some(most) => format!("at most {most:.2}"),
            None => "not judged".to_owned(),
        };
        writeln!(
            f,
            "what a payment costs a cell beside another one ÷ alone: {:.2} ({judged})",
            self.cost_ratio
        )?;
        let Killed { due, others, paid_across } = &self.across_while_killed;
        let others = if others.is_empty() { "all succeeded at once" } else { others };
        writeln!(f, "{due} payments from one to the other while its services were killed: {others}")?;
        match self.wrong.as_slice() {
            [] => {
                write!(f, "{paid_across} payments from one to the other: every one once, every book adds up")
            }
            wrong => write!(f, "WRONG:\n  {}", wrong.join("\n  ")),
        }
    }
}
