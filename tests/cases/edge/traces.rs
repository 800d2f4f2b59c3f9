//! Traces: one from the buyer's call to the bank's request and back, as a real collector receives it; and none that anybody waits for.

use std::time::{Duration, Instant};

use harness::{
    BenchError,
    client::{Client, order, payee_by_iban},
    collector::{Collector, Span},
    system::{BANKS, Service, Setup, System},
    wait,
};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use proto::payments::PaymentState;
use serde_json::{Value, json};

use crate::{
    bench::{HANGS_UP, SLOW, funded, run, setup, shop},
    notices::put,
};

const TRACING: [Service; 3] = [Service::Gateway, Service::Platform, Service::Channel];
const PATIENCE: Duration = Duration::from_secs(20);
/// The span of the buyer's own.
const BUYER: &str = "00f067aa0ba902b7";
const CALL: &str = "rialto.payments.v1.PaymentService/CreatePayment";

/// A system that sends what it traces to `url`, and of new traces so many in 1,000.
fn traced(purpose: &str, url: &str, per_mille: u32) -> Result<Setup, BenchError> {
    let mut setup = setup(purpose)?;
    for service in TRACING {
        setup.flags.push((service, format!("--otlp-endpoint={url}")));
        setup.flags.push((service, format!("--traces-per-mille={per_mille}")));
        for (name, ms) in [("OTEL_BSP_SCHEDULE_DELAY", "50"), ("OTEL_METRIC_EXPORT_INTERVAL", "300")] {
            setup.variables.push((service, name.to_owned(), ms.to_owned()));
        }
    }
    Ok(setup)
}

fn trace(number: u32) -> String {
    format!("4bf92f3577b34da6a3ce929d0e0e{number:04}")
}

/// Pays an account of the first bank in a trace that the buyer has sampled; the state that the call told.
async fn pay(mut client: Client, payer: &str, number: u32, account: u32) -> Result<PaymentState, BenchError> {
    let payee = payee_by_iban("Blaise Seller", &BANKS[0].account(account));
    let mut request = client.request(order(&format!("traced-{number}"), payer, payee, 100, "EUR"), None);
    request.metadata_mut().insert("traceparent", format!("00-{}-{BUYER}-01", trace(number)).parse()?);
    let paid = client.payments.create_payment(request).await?.into_inner().payment;
    Ok(paid.ok_or("no payment")?.state())
}

/// The names of a span and of those above it in the trace, with their services, up to the buyer's.
fn path(spans: &[Span], leaf: &Span) -> Vec<String> {
    let mut names = vec![format!("{} {}", leaf.service, leaf.wire.name)];
    let mut child = leaf.clone();
    while let Some(parent) = spans.iter().find(|span| span.wire.span_id == child.wire.parent_span_id) {
        names.push(format!("{} {}", parent.service, parent.wire.name));
        child = parent.clone();
    }
    let top: String = child.wire.parent_span_id.iter().map(|byte| format!("{byte:02x}")).collect();
    names.push(if top == BUYER { "the buyer".to_owned() } else { top });
    names
}

/// The paths of the spans of a trace with this name, once there is one.
async fn paths(collector: &Collector, number: u32, name: &str) -> Result<Vec<Vec<String>>, BenchError> {
    let is_ours = |span: &Span| span.trace_id() == trace(number);
    wait::until(&format!("a span {name} of trace {number}"), PATIENCE, || async {
        let spans: Vec<Span> = collector.spans().into_iter().filter(is_ours).collect();
        let found: Vec<_> =
            spans.iter().filter(|span| span.wire.name == name).map(|span| path(&spans, span)).collect();
        // Those above it end after it.
        let is_whole = |path: &Vec<String>| path.last().is_some_and(|top| top == "the buyer");
        (!found.is_empty() && found.iter().all(is_whole)).then_some(found)
    })
    .await
}

/// The first bank's books' lines of a kind.
fn lines(system: &System, kind: &str) -> Vec<Value> {
    let books =
        std::fs::read_to_string(system.folder().join("books").join("aurora.books")).unwrap_or_default();
    let lines = books.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["kind"] == kind).collect()
}

#[test]
fn one_trace_runs_from_the_buyer_to_the_bank() {
    run(async || {
        let collector = Collector::start().await?;
        let mut system = System::start(traced("traces", &collector.url(), 0)?).await?;
        let payer = funded(&shop(&system), "traces").await?;
        assert_eq!(pay(shop(&system), &payer, 1, 1).await?, PaymentState::Succeeded);
        let call = format!("gateway {CALL}");
        let settled = ["platform settle", "platform CreatePayment", &call, "the buyer"];
        let to_bank = [&["channel POST", "channel credit_transfer"][..], &settled].concat();
        assert_eq!(paths(&collector, 1, "POST").await?, [to_bank]);
        let mut written = paths(&collector, 1, "ledger.write").await?;
        written.sort_by_key(Vec::len);
        let write = ["platform ledger.write"];
        assert_eq!(written, [[&write[..], &settled[1..]].concat(), [&write[..], &settled].concat()]);

        let spans = collector.spans();
        let ours = |name| {
            spans.iter().filter(move |span: &&Span| span.trace_id() == trace(1) && span.wire.name == name)
        };
        let post = ours("POST").next().ok_or("no POST")?;
        assert_eq!(post.kind(), SpanKind::Client);
        assert_eq!(post.attribute("http.response.status_code").as_deref(), Some("200"));
        assert_eq!(lines(&system, "received").pop().ok_or("no line")?["traceparent"], post.traceparent());
        let call = ours(CALL).next().ok_or("no call")?;
        assert_eq!(call.kind(), SpanKind::Server);
        assert_eq!(call.attribute("rpc.response.status_code").as_deref(), Some("OK"));
        for write in ours("ledger.write") {
            let batch = spans.iter().find(|batch| batch.links_to(write)).ok_or("in no batch")?;
            assert_eq!(batch.wire.name, "ledger.batch");
            assert!(write.links_to(batch));
            assert_ne!(batch.trace_id(), write.trace_id());
        }
        // What nobody sampled is nowhere: the account and its money were made without a trace.
        let is_strange = |span: &&Span| span.trace_id() != trace(1) && span.wire.name != "ledger.batch";
        assert!(!spans.iter().any(|span| is_strange(&span)), "{spans:#?}");
        for (service, metric) in
            [("gateway", "rpc.server.call.duration"), ("platform", "rialto.payment.events")]
        {
            let sent = || async { collector.has_metric(service, metric).then_some(()) };
            wait::until(&format!("{metric} of {service}"), PATIENCE, sent).await?;
        }
        // What there is still to tell at the end is told at once: nobody waits for himself.
        for service in TRACING {
            let began = Instant::now();
            system.process(service).signal("TERM")?;
            system.process(service).wait(Duration::from_secs(10))?;
            let took = began.elapsed();
            assert!(took < Duration::from_millis(1_800), "{} took {took:?} to end", service.name());
        }
        Ok(())
    });
}

#[test]
fn a_trace_goes_on_in_recovery_and_with_what_the_bank_says() {
    run(async || {
        let collector = Collector::start().await?;
        let mut setup = traced("recovered-traces", &collector.url(), 0)?;
        setup.notice_listen = Some("127.0.0.1:0".to_owned());
        let mut system = System::start(setup).await?;
        put(&system, "notice-url", system.notice_url("aurora")?).await?;
        let payer = funded(&shop(&system), "recovered").await?;
        // The answer is lost, and the work goes on in the queue, with the trace that it entered it in.
        assert_eq!(pay(shop(&system), &payer, 1, HANGS_UP).await?, PaymentState::Succeeded);
        let call = format!("gateway {CALL}");
        let settled = ["platform settle", "platform CreatePayment", &call, "the buyer"];
        let recovered = [&["platform recover"][..], &settled].concat();
        assert_eq!(paths(&collector, 1, "recover").await?, std::slice::from_ref(&recovered));
        let asked = [&["channel status_enquiry"][..], &recovered].concat();
        assert_eq!(paths(&collector, 1, "status_enquiry").await?, [asked]);

        // The platform dies with the answer on its way: nobody but the database knows the trace.
        let (client, from) = (shop(&system), payer.clone());
        let paying = tokio::spawn(async move { pay(client, &from, 2, SLOW).await });
        tokio::time::sleep(Duration::from_millis(900)).await;
        system.restart(Service::Platform)?;
        paying.await?.unwrap_err();
        let asked = || async {
            let lines = lines(&system, "received");
            let asked = lines.iter().filter(|line| line["original_message_id"].is_string());
            let prefix = format!("00-{}-", trace(2));
            asked
                .filter_map(|line| line["traceparent"].as_str())
                .find(|own| own.starts_with(&prefix))
                .map(str::to_owned)
        };
        let asked = wait::until("the bank is asked in trace 2", PATIENCE, asked).await?;
        let seen = || async { collector.spans().into_iter().find(|span| span.traceparent() == asked) };
        wait::until("the enquiry's span", PATIENCE, seen).await?;

        // The bank's own word belongs to the trace of what it speaks of.
        let script = json!([{ "behaviour": "silent_executed", "notices": [{ "after_ms": 200 }] }]);
        put(&system, "script", script.to_string()).await?;
        assert_eq!(pay(shop(&system), &payer, 3, 1).await?, PaymentState::Succeeded);
        let sent = [&["channel POST", "channel credit_transfer"][..], &settled].concat();
        let noticed = [&["platform notice", "channel POST /banks/{id}/pacs.002"][..], &sent].concat();
        assert_eq!(paths(&collector, 3, "notice").await?, [noticed]);
        Ok(())
    });
}

#[test]
fn a_collector_that_is_not_there_costs_nothing() {
    run(async || {
        let mut system = System::start(traced("no-collector", "http://127.0.0.1:9", 1_000)?).await?;
        let client = shop(&system);
        let payer = funded(&client, "no-collector").await?;
        let mut number = 0;
        let mut kib = Vec::new();
        for _ in 0..3 {
            for _ in 0..300 {
                number += 1;
                assert_eq!(pay(client.clone(), &payer, number, 1).await?, PaymentState::Succeeded);
            }
            let process = system.process(Service::Platform).pid();
            let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
            let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
            kib.push(resident.trim().trim_end_matches(" kB").parse::<u64>()?);
        }
        // The queue of spans is full by then, and what does not fit is dropped.
        assert!(kib[2] < kib[1] + 4 * 1024, "{kib:?} KiB");
        for service in TRACING {
            let began = Instant::now();
            system.process(service).signal("TERM")?;
            system.process(service).wait(Duration::from_secs(10))?;
            assert!(began.elapsed() < Duration::from_secs(8), "{} waits for it", service.name());
        }
        Ok(())
    });
}
