//! Rialto's command line: calls the gateway, as anybody else does, and says what came of it. It knows the public contracts and
//! nothing of the services.

pub mod accounts;
pub mod amount;
pub mod args;
pub mod balance;
pub mod deposits;
pub mod failure;
pub mod follow;
mod gateway_link;
pub mod moment;
pub mod paging;
pub mod pay;
pub mod payee;
pub mod payments;
mod reader;
pub mod receipts;
pub mod screen;
pub mod settings;
pub mod stats;
pub mod watch;
pub mod webhooks;

use std::{io, process::ExitCode};

use clap::CommandFactory;

use args::{Args, Job};
use failure::Failure;
use follow::Outcome;
use gateway_link::Gateway;
use screen::Screen;
use settings::Environment;

/// Does what the arguments say, and returns how it ended: see [`Outcome`] and [`Failure::exit_code`].
pub async fn run(args: Args, environment: &Environment) -> ExitCode {
    match carry_out(args, environment).await {
        Ok(outcome) => outcome.exit_code(),
        // Who has read enough closes the pipe; there is nobody to tell.
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(failure) => {
            screen::note(&format!("rialto: {failure}"));
            failure.exit_code()
        }
    }
}

async fn carry_out(args: Args, environment: &Environment) -> Result<Outcome, Failure> {
    let screen = Screen::new(args.json)?;
    let gateway = || Gateway::connect(args.connection.read(environment)?);
    match args.job {
        Job::Pay(pay) => pay.run(&gateway()?, &screen).await,
        Job::Capture(capture) => capture.run(&gateway()?, &screen).await,
        Job::Cancel(cancel) => cancel.run(&gateway()?, &screen).await,
        Job::Refund(refund) => refund.run(&gateway()?, &screen).await,
        Job::Wait(wait) => wait.run(&gateway()?, &screen).await,
        Job::Get(get) => done(get.run(&gateway()?, &screen).await),
        Job::List(list) => done(list.run(&gateway()?, &screen).await),
        Job::Watch(watch) => done(watch.run(&gateway()?, &screen).await),
        Job::Accounts(job) => done(job.run(&gateway()?, &screen).await),
        Job::Deposit(job) => done(job.run(&gateway()?, &screen).await),
        Job::Stats(stats) => done(stats.run(&gateway()?, &screen).await),
        Job::TrialBalance(job) => done(job.run(&gateway()?, &screen).await),
        Job::Webhooks(job) => done(job.run(&gateway()?, &screen).await),
        Job::Receipt(receipt) => done(receipt.run(&gateway()?, &screen).await),
        Job::VerifyReceipt(job) => done(job.run(&screen)),
        Job::Profiles => done(args.connection.show_profiles(environment, &screen)),
        Job::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Args::command(), "rialto", &mut script);
            done(screen.text(&String::from_utf8_lossy(&script)))
        }
    }
}

fn done(result: Result<(), Failure>) -> Result<Outcome, Failure> {
    result.map(|()| Outcome::Done)
}
