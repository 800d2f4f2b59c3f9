//! Figures agree with what was done, on the whole system.

use std::time::{Duration, SystemTime};

use common::clock::Clock;
use harness::{
    BenchError,
    client::{Client, order, payee_on_ledger},
    system::BANKS,
};
use proto::{
    convert,
    payments::{CaptureMode, PaymentState, WaitPaymentRequest, wait_payment_request::Key},
    stats::{GetStatisticsRequest, GetStatisticsResponse, GroupBy},
};

use crate::bench::{Bench, account_of, euros, run, unique};

async fn figures(
    client: &Client,
    start: SystemTime,
    participant: &str,
    group_by: GroupBy,
) -> Result<GetStatisticsResponse, BenchError> {
    let request = GetStatisticsRequest {
        start_time: Some(convert::time_to_wire(start)),
        participant: participant.to_owned(),
        group_by: group_by.into(),
        ..GetStatisticsRequest::default()
    };
    Ok(client.stats.clone().get_statistics(client.request(request, None)).await?.into_inner())
}

fn by_key(response: &GetStatisticsResponse) -> Vec<(&str, i64)> {
    let group = |group: &'_ proto::stats::Group| group.statistics.as_ref().map_or(0, |own| own.payments);
    let mut groups: Vec<_> = response.groups.iter().map(|own| (own.key.as_str(), group(own))).collect();
    groups.sort_unstable();
    groups
}

fn time(duration: Option<prost_types::Duration>) -> Duration {
    duration.as_ref().and_then(convert::duration).unwrap_or_default()
}

impl Bench {
    /// A participant of its own with an account.
    pub async fn payer(&self) -> Result<(String, Client, String), BenchError> {
        let (house, name) = (self.house(), unique("figures"));
        crate::administration::create(&house, &name).await?;
        let key = house.create_api_key(&unique("key"), &name, &["payer-app", "operator"]).await?.key;
        let second = house.create_api_key(&unique("key"), &name, &["operator"]).await?.key;
        self.until(&key, true).await?;
        self.until(&second, true).await?;
        let client = self.keyed(&key).approved_by(&second)?;
        let account = self.funded(&client, "EUR", 1_000).await?;
        Ok((name, client, account))
    }
}

#[test]
fn the_figures_agree_with_what_was_paid() {
    run(async |bench| {
        let start = Clock::system().now() - Duration::from_secs(1);
        let (name, client, account) = bench.payer().await?;
        for _ in 0..4 {
            bench.pay(&client, &account, &BANKS[0].account(1), 10).await?;
        }
        let own = payee_on_ledger("Own", &bench.funded(&client, "EUR", 0).await?);
        client.pay(order(&unique("figures"), &account, own, 5, "EUR"), None).await?;
        bench.pay(&client, &account, &BANKS[0].account(1), 1_000_000).await?;
        bench.pay(&client, &account, &account_of("rejects"), 10).await?;
        let doubtful = bench.pay(&client, &account, &account_of("silent once, for figures"), 10).await;
        let doubtful = match doubtful {
            Ok(answer) => answer.payment,
            Err(status) => return Err(status.into()),
        };
        // What is only held is no payment.
        let mut held = euros(&unique("figures"), &account, &BANKS[0].account(1), 10);
        held.set_capture(CaptureMode::Manual);
        client.pay(held, None).await?;
        let wait = WaitPaymentRequest { key: Some(Key::Id(doubtful.id)), after_sequence: 0 };
        let wait = client.request(wait, Some(Duration::from_secs(30)));
        let ended =
            client.payments.clone().wait_payment(wait).await?.into_inner().payment.unwrap_or_default();
        assert_eq!(ended.state(), PaymentState::Succeeded);

        let by_bank = figures(&client, start, "", GroupBy::Bank).await?;
        let all = by_bank.all.unwrap_or_default();
        assert_eq!((all.payments, all.succeeded, all.failed, all.open), (8, 6, 2, 0));
        assert_eq!((all.success_rate_ppm, all.unknown, all.unknown_share_ppm), (750_000, 1, 125_000));
        assert_eq!(by_key(&by_bank), [("", 1), ("aurora", 7)]);
        let certainty = all.time_to_certainty.unwrap_or_default();
        let took = |time: &Option<prost_types::Timestamp>| time.as_ref().and_then(convert::time);
        let whole = took(&ended.update_time).zip(took(&ended.create_time));
        let whole = whole.and_then(|(end, begin)| end.duration_since(begin).ok()).unwrap_or_default();
        assert!(
            Duration::ZERO < time(certainty.max) && time(certainty.max) < whole,
            "{certainty:?} of {whole:?}"
        );
        let times = all.time.unwrap_or_default();
        assert_eq!(time(times.max), whole, "it took longest by far");
        assert!(time(times.p50) <= time(times.p90) && time(times.p90) <= time(times.max), "{times:?}");
        // One after the other: t for each.
        let t = time(all.mean_time);
        assert_eq!((time(all.serial_time), time(all.serial_delay)), (t * 8, t * 7));
        assert!(time(all.wall_time) >= whole);
        assert_eq!(
            i128::from(all.speedup_permille),
            i128::try_from((t * 8).as_nanos() * 1_000 / time(all.wall_time).as_nanos())?
        );

        let by_reason = figures(&client, start, "", GroupBy::Reason).await?;
        assert_eq!(by_key(&by_reason), [("", 6), ("INSUFFICIENT_FUNDS", 1), ("REJECTED_BY_BANK", 1)]);
        let by_rail = figures(&client, start, "", GroupBy::Rail).await?;
        assert_eq!(by_key(&by_rail), [("iso20022", 7), ("ledger", 1)]);
        // The house sees each, and all of them.
        let seen = figures(&bench.house(), start, &name, GroupBy::Unspecified).await?;
        assert_eq!((seen.all, seen.groups.len()), (by_bank.all, 0));
        let everybody = figures(&bench.house(), start, "*", GroupBy::Participant).await?;
        assert!(by_key(&everybody).contains(&(name.as_str(), 8)), "{:?}", by_key(&everybody));
        assert_eq!(
            figures(&bench.house(), start, "", GroupBy::Bank).await?.all.unwrap_or_default().payments,
            0
        );
        Ok(())
    });
}
