//! What a person sees meanwhile.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use harness::load::Load;
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use tokio::time::{MissedTickBehavior, interval};

/// How often the bar moves.
const TICK: Duration = Duration::from_millis(200);

/// Shows that accounts are being opened.
pub async fn opening<T>(opened: impl Future<Output = T>) -> T {
    let spinner = ProgressBar::new_spinner().with_message("opening accounts");
    let opened = beside(opened, || spinner.tick()).await;
    spinner.finish_and_clear();
    opened
}

/// Shows how long the load still lasts, and how many payments succeed a second.
pub async fn shown<T>(
    loaded: impl Future<Output = T>,
    load: &Load,
    lasts: Duration,
    what: &'static str,
) -> T {
    let length = u64::try_from(lasts.as_millis()).unwrap_or_default();
    let bar = ProgressBar::new(length).with_prefix(what);
    if let Ok(style) = ProgressStyle::with_template("  {prefix:9} {bar:40} {msg}") {
        bar.set_style(style);
    }
    let began = Instant::now();
    let (mut looked, mut before) = (began, load.succeeded());
    let loaded = beside(loaded, || {
        let (now, succeeded) = (Instant::now(), load.succeeded());
        bar.set_position(u64::try_from(began.elapsed().as_millis()).unwrap_or_default().min(length));
        if now - looked >= Duration::from_secs(1) {
            let per_s = (succeeded - before) as f64 / (now - looked).as_secs_f64();
            bar.set_message(format!(
                "{:>9.0} payments/s  {:>9} in all",
                per_s,
                HumanCount(succeeded).to_string()
            ));
            (looked, before) = (now, succeeded);
        }
    })
    .await;
    bar.finish_and_clear();
    loaded
}

/// Waits for a result, and does something each [`TICK`] meanwhile.
async fn beside<T>(result: impl Future<Output = T>, mut meanwhile: impl FnMut()) -> T {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    tokio::pin!(result);
    loop {
        tokio::select! {
            result = &mut result => return result,
            _ = ticks.tick() => meanwhile(),
        }
    }
}
