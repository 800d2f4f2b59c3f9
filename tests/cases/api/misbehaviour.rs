//! Whatever a bank does, the payment's end is right, and the bank credits at most once.

use std::time::Duration;

use harness::{
    BenchError,
    client::is_too_late,
    system::{BANKS, BankSetup},
    wait,
};
use proto::payments::{Payment, PaymentState};

use crate::bench::{
    Bench, IN_THE_END, TRICKS, TRICKS_OF_STREAMS, TRICKS_OF_THE_WIRE, Trick, euros, run, unique,
};

/// Longer than the channel waits for an answer, shorter than until the first enquiry.
const CALL: Duration = Duration::from_millis(1_400);

/// One in so many calls may hear too late that nothing is known, on a machine that stalls.
const LATE: usize = 4;

/// What came of a trick.
struct Played {
    /// The payment in its end; none if it has none.
    payment: Option<Payment>,
    /// Whether the call heard too late.
    is_late: bool,
}

/// Pays the trick's account and follows the payment to its end.
async fn play(bench: &Bench, bank: &BankSetup, trick: &Trick, amount: i64) -> Result<Played, BenchError> {
    let shop = bench.client(0);
    let payer = bench.funded(&shop, "EUR", 10_000).await?;
    let request = euros(&unique("trick"), &payer, &bank.account(trick.account), amount);
    let answer = match shop.pay(request.clone(), Some(CALL)).await {
        // Then one asks again, as one is told to.
        Err(status) if trick.in_call == PaymentState::Unknown && is_too_late(&status) => {
            shop.pay(request, None).await.map(|answer| (answer.payment, true))
        }
        answer => answer.map(|answer| (answer.payment, false)),
    };
    let (payment, is_late) = answer.map_err(|status| format!("{}: {status}", trick.name))?;
    let fits = match trick.in_call {
        _ if is_late => true,
        PaymentState::Unknown => matches!(payment.state(), PaymentState::Submitted | PaymentState::Unknown),
        state => payment.state() == state,
    };
    if !fits {
        return Err(format!("{}: {:?} in the call", trick.name, payment.state()).into());
    }
    let (state, reason) = trick.in_the_end;
    if state == PaymentState::Unknown {
        let asked = || async {
            let read = shop.payment(&payment.id).await.ok()?;
            (read.state() == PaymentState::Unknown).then_some(())
        };
        wait::until(trick.name, IN_THE_END, asked).await?;
        return Ok(Played { payment: None, is_late });
    }
    let payment = wait::final_payment(&shop, &payment.id, IN_THE_END).await?;
    let found = payment.reason.clone().unwrap_or_default().code;
    if (payment.state(), found.as_str()) != (state, reason) {
        return Err(format!("{}: {:?} {found:?} in the end", trick.name, payment.state()).into());
    }
    let balance = shop.account(&payer).await?.balance.unwrap_or_default();
    let left = if state == PaymentState::Succeeded { 10_000 - amount } else { 10_000 };
    if (balance.posted_minor_units, balance.held_minor_units) != (left, 0) {
        return Err(format!("{}: {balance:?}", trick.name).into());
    }
    Ok(Played { payment: Some(payment), is_late })
}

/// Ordinary custom, so that the bank does not count as offline for what it does in between. What becomes of it is not looked at: now and
/// then a trick takes its connection away.
async fn pay_on_and_on(bench: &Bench, bank: &BankSetup) -> Result<(), BenchError> {
    let shop = bench.client(0);
    let payer = bench.funded(&shop, "EUR", 1_000_000).await?;
    loop {
        let _ = shop.pay(euros(&unique("custom"), &payer, &bank.account(900), 1), Some(CALL)).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Plays tricks at a bank, and requires that all end well.
fn play_all(bank: &'static BankSetup, tricks: impl Iterator<Item = &'static Trick>) {
    run(async |bench| {
        let custom = tokio::spawn(pay_on_and_on(bench, bank));
        let tricks: Vec<_> = tricks
            .zip(1_000_i64..)
            .map(|(trick, amount)| {
                tokio::spawn(async move {
                    // One after the other, so that they do not all come to an end in the same moment.
                    tokio::time::sleep(Duration::from_millis(150) * (trick.account - 100)).await;
                    play(bench, bank, trick, amount).await
                })
            })
            .collect();
        let count = tricks.len();
        let (mut payments, mut problems, mut late) = (Vec::new(), Vec::new(), 0);
        for trick in tricks {
            match trick.await? {
                Ok(played) => {
                    payments.extend(played.payment);
                    late += usize::from(played.is_late);
                }
                Err(problem) => problems.push(problem.to_string()),
            }
        }
        custom.abort();
        assert!(problems.is_empty(), "{}", problems.join("\n"));
        assert!(late * LATE <= count, "{late} of {count} calls heard too late");
        bench.check(&payments).await
    });
}

#[test]
fn every_misbehaviour_ends_well() {
    play_all(&BANKS[0], TRICKS.iter().chain(TRICKS_OF_THE_WIRE));
}

#[test]
fn every_misbehaviour_over_http2_ends_well() {
    play_all(&BANKS[1], TRICKS.iter().chain(TRICKS_OF_THE_WIRE).chain(TRICKS_OF_STREAMS));
}
