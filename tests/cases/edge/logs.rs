//! Logs: one trace through every service, and nothing of whom it is about.

use std::time::Duration;

use harness::{
    client::{Client, order, payee_by_iban},
    system::{BANKS, Service, System},
    wait,
};
use proto::payments::CreatePaymentRequest;

use crate::bench::{HANGS_UP, funded, run_on_system, shop};

fn log(system: &System, service: Service) -> String {
    std::fs::read_to_string(system.folder().join(format!("{}.log", service.name()))).unwrap_or_default()
}

const LOGGING: [Service; 3] = [Service::Gateway, Service::Platform, Service::Channel];

#[test]
fn a_trace_runs_through_gateway_platform_and_channel() {
    run_on_system(async |system| {
        let shop = shop(system);
        let payer = funded(&shop, "trace").await?;
        for (number, account) in [(1, 1), (2, HANGS_UP)] {
            let trace = format!("4bf92f3577b34da6a3ce929d0e0e47{number:02}");
            let payee = payee_by_iban("Blaise", &BANKS[0].account(account));
            let message = order(&format!("trace-{number}"), &payer, payee, 5, "EUR");
            let mut request = shop.request(message, None);
            request.metadata_mut().insert("traceparent", format!("00-{trace}-00f067aa0ba902b7-01").parse()?);
            shop.payments.clone().create_payment(request).await?;
            for service in LOGGING {
                let logged = || async { log(system, service).contains(&trace).then_some(()) };
                let what = format!("trace {number} in the log of {}", service.name());
                wait::until(&what, Duration::from_secs(5), logged).await?;
            }
        }
        // Who sends no trace, or nonsense, gets a new one.
        for (number, strange) in
            ["", "nonsense", "00-00000000000000000000000000000000-00f067aa0ba902b7-01"].iter().enumerate()
        {
            let payee = payee_by_iban("Blaise", &BANKS[0].account(1));
            let mut request =
                shop.request(order(&format!("no-trace-{number}"), &payer, payee, 5, "EUR"), None);
            request.metadata_mut().insert("traceparent", strange.parse()?);
            shop.payments.clone().create_payment(request).await?;
        }
        assert!(!log(system, Service::Gateway).contains("\"trace_id\":\"0000000000000000"));
        Ok(())
    });
}

/// What must be in no log.
const CANARIES: [&str; 7] =
    ["Kanariana", "Gelbvogel", "canary-remittance", "canary-label", "canary-e2e", "rk_", "Bearer"];

#[test]
fn no_name_account_number_or_key_is_in_any_log_or_metric() {
    run_on_system(async |system| {
        let shop = shop(system);
        let own = harness::names::iban("NL", "RIAL0000031415");
        let payer = shop.open_account("canary-account", "Kanariana Gelbvogel", "EUR", &own).await?.id;
        shop.deposit("canary-deposit", &payer, 10_000, "EUR", "aurora").await?;
        let payee = BANKS[0].account(HANGS_UP);
        let accepted = BANKS[0].account(2718);
        let to = |request_id: &str, iban: &str, amount| CreatePaymentRequest {
            remittance_information: "canary-remittance".to_owned(),
            end_to_end_id: "canary-e2e".to_owned(),
            metadata: [("canary-label".to_owned(), "canary-label".to_owned())].into(),
            ..order(request_id, &payer, payee_by_iban("Kanariana Gelbvogel", iban), amount, "EUR")
        };
        for (request_id, iban, amount) in [
            ("log-1", &accepted, 1),
            ("log-2", &payee, 2),
            ("log-1", &accepted, 3),
            ("log-3", &accepted, 1_000_000),
            ("log-4", &own, 4),
            ("log-5", &"GB29NWBK60161331926819".to_owned(), 5),
            ("log 6", &accepted, 6),
            ("log-7", &"DE00KANARIANA".to_owned(), 7),
        ] {
            // Some are refused: their names are no more to be logged than others'.
            let _ = shop.pay(to(request_id, iban, amount), None).await;
        }
        for key in ["", "Bearer", "rk_canary", &format!("{}x", system.credential(0))] {
            let stranger = Client::new(&system.gateway()?, key)?;
            let _ = stranger.pay(to("log-8", &accepted, 8), None).await;
        }
        let done = || async { log(system, Service::Channel).contains("unknown").then_some(()) };
        wait::until("the channel has logged", Duration::from_secs(5), done).await?;
        let mut canaries: Vec<String> = CANARIES.map(str::to_owned).to_vec();
        canaries.extend([own, payee, accepted, "GB29NWBK60161331926819".to_owned()]);
        canaries.push(system.database_url().split([':', '@']).nth(2).ok_or("no password")?.to_owned());
        canaries.extend((0..3).map(|participant| system.credential(participant)[3..].to_owned()));
        for service in LOGGING {
            let log = log(system, service);
            assert!(log.len() > 500, "{} logs nothing", service.name());
            for canary in &canaries {
                let line = log.lines().find(|line| line.contains(canary.as_str()));
                assert_eq!(line, None, "{canary} in the log of {}", service.name());
            }
            let (_, metrics) = system.admin(service, "/metrics").await?;
            assert!(metrics.len() > 1_000, "{} measures nothing", service.name());
            // Names of participants stand in logs, and amounts and ids nowhere in metrics.
            for canary in canaries.iter().map(String::as_str).chain(["demo-", "pay_", "acc_", "log-"]) {
                let line = metrics.lines().find(|line| line.contains(canary));
                assert_eq!(line, None, "{canary} in the metrics of {}", service.name());
            }
        }
        Ok(())
    });
}

#[test]
fn every_line_is_json_and_none_is_an_error() {
    run_on_system(async |system| {
        let shop = shop(system);
        funded(&shop, "json").await?;
        for service in LOGGING {
            for line in log(system, service).lines() {
                let parsed: serde_json::Value = serde_json::from_str(line)
                    .map_err(|error| format!("{}: {error}: {line}", service.name()))?;
                assert_ne!(parsed["level"], "ERROR", "{}: {line}", service.name());
            }
        }
        Ok(())
    });
}
