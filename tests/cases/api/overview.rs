//! What operators look at, on the whole system: banks, the trial balance, and one payment's whole story.

use std::time::Duration;

use harness::{
    client::{money, order, payee_by_iban, payee_on_ledger},
    system::BANKS,
};
use proto::{
    operations::{
        GetPaymentStoryRequest, GetTrialBalanceRequest, GetTrialBalanceResponse, ListBanksRequest,
        PaymentStory,
    },
    payments::{CaptureMode, ListPaymentsRequest, PaymentState},
    stats::GetStatisticsRequest,
};

use uuid::Uuid;

use crate::{
    bench::{account_of, euros, run, unique},
    life::refund,
};

fn checks(found: &GetTrialBalanceResponse) -> Vec<(&str, i64)> {
    found.checks.iter().map(|check| (check.name.as_str(), check.violations)).collect()
}

#[test]
fn everybody_adds_up_their_own_and_the_house_everything() {
    run(async |bench| {
        let (_, client, account) = bench.payer().await?;
        bench.pay(&client, &account, &BANKS[0].account(1), 100).await?;
        let mut held = euros(&unique("balance"), &account, &BANKS[0].account(1), 30);
        held.set_capture(CaptureMode::Manual);
        client.pay(held, None).await?;
        let balance = async |client: &harness::client::Client, whose: &str| {
            let request = GetTrialBalanceRequest { participant: whose.to_owned() };
            let asked = client.operations.clone().get_trial_balance(client.request(request, None)).await;
            asked.map(tonic::Response::into_inner)
        };
        let own = balance(&client, "").await?;
        let [euro] = own.currencies.as_slice() else { panic!("{own:?}") };
        assert_eq!(
            [
                &euro.currency,
                &euro.debits_posted,
                &euro.credits_posted,
                &euro.debits_pending,
                &euro.credits_pending
            ],
            ["EUR", "100", "1000", "30", "0"]
        );
        assert_eq!(checks(&own), [("HOLDS_EQUAL_PAYMENTS_UNDER_WAY", 0), ("NO_ACCOUNT_OVERDRAWN", 0)]);
        assert_eq!(own.accounts, 1);
        let all = balance(&bench.house(), "*").await?;
        let names = ["DEBITS_EQUAL_CREDITS", "HOLDS_EQUAL_PAYMENTS_UNDER_WAY", "NO_ACCOUNT_OVERDRAWN"];
        assert_eq!(checks(&all), names.map(|name| (name, 0)));
        assert!(
            all.accounts > 1 && all.currencies.iter().all(|sums| sums.debits_posted == sums.credits_posted)
        );
        Ok(())
    });
}

#[test]
fn only_the_house_hears_what_banks_have_under_way() {
    run(async |bench| {
        let banks = async |client: &harness::client::Client| {
            let asked = client.request(ListBanksRequest {}, None);
            client.operations.clone().list_banks(asked).await.map(|found| found.into_inner().banks)
        };
        let (seen, all) = (banks(&bench.client(0)).await?, banks(&bench.house()).await?);
        let mut ids: Vec<_> = BANKS.iter().map(|bank| bank.id).collect();
        ids.sort_unstable();
        assert_eq!(seen.iter().map(|bank| bank.id.as_str()).collect::<Vec<_>>(), ids);
        assert!(seen.iter().all(|bank| bank.in_flight.is_none() && bank.change_time.is_some()));
        assert!(
            all.iter().all(|bank| bank.in_flight.is_some_and(|under_way| under_way <= bank.max_in_flight))
        );
        Ok(())
    });
}

#[test]
fn a_story_has_each_step_with_its_evidence_and_what_was_moved() {
    run(async |bench| {
        let (_, client, account) = bench.payer().await?;
        let story = async |payment: &str| {
            let asked = client.request(GetPaymentStoryRequest { payment: payment.to_owned() }, None);
            let found = client.operations.clone().get_payment_story(asked).await?.into_inner().story;
            Ok::<PaymentStory, tonic::Status>(found.unwrap_or_default())
        };
        let payee = payee_by_iban("Blaise Seller", &BANKS[0].account(1));
        let paid = client.pay(order(&unique("story"), &account, payee, 100, "EUR"), None).await?.payment;
        let told = story(&paid.id).await?;
        assert_eq!(told.payment.as_ref(), Some(&paid));
        let [sent, ended] = told.steps.as_slice() else { panic!("{told:?}") };
        assert_eq!(
            (sent.sequence, sent.state(), ended.state()),
            (1, PaymentState::Submitted, PaymentState::Succeeded)
        );
        let digits = paid.id.strip_prefix("pay_").unwrap();
        assert_eq!(sent.message_id, format!("{digits}-1"));
        assert!(sent.valid_until_time.is_some() && sent.bank_message_id.is_empty(), "{sent:?}");
        assert!(!ended.bank_message_id.is_empty() && ended.message_id.is_empty(), "{ended:?}");
        let id = format!("<MsgId>{digits}-1</MsgId>");
        for part in [id.as_str(), &paid.uetr, "<Nm>Blaise Seller</Nm>", "<IntrBkSttlmAmt Ccy=\"EUR\">1.00<"] {
            assert!(sent.message.contains(part), "{part} in {}", sent.message);
        }
        assert_eq!(
            [&ended.message, &sent.bank_message, &ended.bank_message],
            ["", "", ""],
            "it only accepted"
        );
        let [moved] = told.transfers.as_slice() else { panic!("{told:?}") };
        assert_eq!(moved.id, format!("tra_{digits}"));
        assert_eq!(
            (&moved.debit_account, moved.credit_account.as_str()),
            (&account, ""),
            "the house is nobody's business"
        );
        assert_eq!((&moved.amount, told.work), (&paid.amount, None));

        let own = bench.funded(&client, "EUR", 0).await?;
        let here = order(&unique("story"), &account, payee_on_ledger("Own", &own), 5, "EUR");
        let here = story(&client.pay(here, None).await?.payment.id).await?;
        assert_eq!(here.transfers[0].credit_account, own);

        let refused = client.pay(euros(&unique("story"), &account, &account_of("rejects"), 10), None).await?;
        let told = story(&refused.payment.id).await?;
        assert_eq!((told.transfers.len(), told.steps[1].reason_code.as_str()), (0, "REJECTED_BY_BANK"));
        let said = &told.steps[1].bank_message;
        assert!(said.contains("<TxSts>RJCT</TxSts>") && said.contains("<Cd>AC04</Cd>"), "{said}");
        assert!(said.contains(&refused.payment.uetr), "{said}");

        let returned = refund(&client, &paid.id, Some(money(40, "EUR"))).await?;
        let told = story(&returned.id).await?;
        let asked = &told.steps[0].message;
        for part in
            ["camt.056", &format!("<OrgnlMsgId>{digits}-1</OrgnlMsgId>"), &paid.uetr, "Ccy=\"EUR\">0.40<"]
        {
            assert!(asked.contains(part), "{part} in {asked}");
        }
        Ok(())
    });
}

#[test]
fn payments_are_listed_by_when_they_were_made() {
    run(async |bench| {
        let (_, client, account) = bench.payer().await?;
        let mut made = Vec::new();
        for _ in 0..3 {
            made.push(bench.pay(&client, &account, &BANKS[0].account(1), 10).await?.payment);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let list = async |start: Option<&prost_types::Timestamp>, end: Option<&prost_types::Timestamp>| {
            let request = ListPaymentsRequest {
                start_time: start.copied(),
                end_time: end.copied(),
                ..Default::default()
            };
            let found =
                client.payments.clone().list_payments(client.request(request, None)).await?.into_inner();
            Ok::<Vec<String>, tonic::Status>(found.payments.into_iter().map(|payment| payment.id).collect())
        };
        // An id is made a moment before the time that its payment says, and has the time that counts here.
        let time = |number: usize| {
            let digits = made[number].id.trim_start_matches("pay_");
            let (seconds, nanos) = Uuid::try_parse(digits).unwrap().get_timestamp().unwrap().to_unix();
            std::time::UNIX_EPOCH + Duration::new(seconds, nanos)
        };
        let times: Vec<prost_types::Timestamp> = (0..3).map(|number| time(number).into()).collect();
        let at = |number: usize| times.get(number);
        let id = |number: usize| made[number].id.clone();
        assert_eq!(list(at(1), None).await?, [id(2), id(1)]);
        assert_eq!(list(None, at(1)).await?, [id(0)]);
        assert_eq!(list(at(1), at(2)).await?, [id(1)]);
        assert_eq!(list(at(2), at(1)).await?, Vec::<String>::new());
        // What came to be in intervals is what came to be in all.
        let start = time(0);
        let request = GetStatisticsRequest {
            start_time: Some(start.into()),
            end_time: Some((start + Duration::from_secs(10)).into()),
            interval: Some(prost_types::Duration { seconds: 2, nanos: 0 }),
            ..Default::default()
        };
        let found = client.stats.clone().get_statistics(client.request(request, None)).await?.into_inner();
        let counts: Vec<_> =
            found.intervals.iter().map(|one| one.statistics.as_ref().map_or(0, |own| own.payments)).collect();
        assert_eq!((counts.len(), counts.iter().sum::<i64>()), (5, 3));
        Ok(())
    });
}
