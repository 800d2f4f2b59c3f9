//! Alert rules and dashboards: tried by promtool, and against a real Prometheus that reads a real system.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use harness::{
    BenchError,
    client::{Client, order, payee_by_iban},
    nats::Nats,
    postgres::own_folder,
    prometheus::{self, Prometheus},
    receiver::Receiver,
    scrape,
    system::{BANKS, Service, Setup, System},
    wait,
};
use proto::webhooks::CreateWebhookEndpointRequest;
use serde_json::Value;

/// Metrics that a healthy system may have nothing of, and why.
const MAY_BE_ABSENT: [(&str, &str); 5] = [
    ("rialto_bank_notices_total", "no bank spoke unasked"),
    ("rialto_hop_lost_total", "no stream broke"),
    ("rialto_hop_not_asked_total", "every question could be asked"),
    ("rialto_server_connection_refused_total", "nobody came too often"),
    ("rialto_ledger_batch_repeated_total", "nothing had changed meanwhile"),
];
/// An account at the first bank whose payments are executed, with the connection then closed.
const HANGS_UP: u32 = 5;
/// One that is credited less than was instructed.
const SHORT: u32 = 7;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/monitoring").canonicalize().unwrap()
}

fn promtool(arguments: &[&str]) {
    let output = Command::new(prometheus::program("promtool").unwrap_or_else(|error| panic!("{error}")))
        .args(arguments)
        .current_dir(folder())
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
}

/// The names that stand behind `mark` in a file, up to what ends a name.
fn names(text: &str, mark: &str) -> BTreeSet<String> {
    let name = |rest: &str| rest.chars().take_while(char::is_ascii_alphanumeric).collect();
    text.lines().filter_map(|line| line.split(mark).nth(1)).map(name).collect()
}

#[test]
fn rules_are_sound_and_each_alert_was_seen_to_fire() {
    promtool(&["check", "rules", "alerts.yaml"]);
    promtool(&["test", "rules", "alerts.test.yaml"]);
    promtool(&["check", "config", "--syntax-only", "prometheus.yaml"]);
    let alerts = names(&fs::read_to_string(folder().join("alerts.yaml")).unwrap(), "- alert: ");
    assert!(alerts.len() > 20, "{alerts:?}");
    let tests = fs::read_to_string(folder().join("alerts.test.yaml")).unwrap();
    assert_eq!(alerts, names(&tests, "labels: '{alertname=\""), "alerts, and those that a test has fire");
    let document = fs::read_to_string(folder().join("../../docs/telemetry.md")).unwrap();
    let explained = document.split("\n## Alerts").nth(1).unwrap();
    assert_eq!(alerts, names(explained, "| `"), "alerts, and those that docs/telemetry.md explains");
}

/// A dashboard, by its file's name.
fn dashboards() -> BTreeMap<String, Value> {
    let files = fs::read_dir(folder().join("dashboards")).unwrap().flatten();
    let read = |file: fs::DirEntry| {
        let text = fs::read_to_string(file.path()).unwrap();
        (file.file_name().into_string().unwrap(), serde_json::from_str(&text).unwrap())
    };
    files.map(read).collect()
}

fn text<'v>(value: &'v Value, field: &str) -> &'v str {
    value[field].as_str().unwrap_or_default()
}

/// The squares that a panel takes.
fn squares(panel: &Value) -> BTreeSet<(u64, u64)> {
    let [x, y, w, h] = ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().unwrap());
    assert!(x + w <= 24 && w > 0 && h > 0, "{}", panel["title"]);
    (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))).collect()
}

#[test]
fn each_alert_leads_to_a_runbook_that_begins_with_it() {
    let root = folder().join("../..");
    let rules = fs::read_to_string(folder().join("alerts.yaml")).unwrap();
    let (mut alert, mut used) = ("", BTreeSet::new());
    for line in rules.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("- alert: ") {
            alert = name;
        }
        let Some(runbook) = line.strip_prefix("runbook: ") else { continue };
        let page = runbook.split('#').next().unwrap();
        let text =
            fs::read_to_string(root.join(page)).unwrap_or_else(|error| panic!("{alert}: {page}: {error}"));
        let begins = if page.contains("runbooks") { text.split("\n1. ").next().unwrap() } else { &text };
        assert!(begins.contains(&format!("`{alert}`")), "{page} does not begin with {alert}");
        assert!(!page.contains("runbooks") || text.contains("**All is well when**"), "{page}");
        used.insert(page.to_owned());
        alert = "";
    }
    let runbooks = fs::read_dir(root.join("docs/runbooks")).unwrap().flatten();
    let there: BTreeSet<String> =
        runbooks.map(|file| format!("docs/runbooks/{}", file.file_name().to_str().unwrap())).collect();
    let expected = there.into_iter().filter(|page| !page.ends_with("README.md"));
    assert_eq!(
        expected.collect::<BTreeSet<_>>(),
        used.into_iter().filter(|page| page.contains("runbooks")).collect()
    );
}

#[test]
fn dashboards_are_whole() {
    let dashboards = dashboards();
    assert_eq!(dashboards.keys().collect::<Vec<_>>(), ["banks.json", "overview.json", "platform.json"]);
    let uids: BTreeSet<&str> = dashboards.values().map(|dashboard| text(dashboard, "uid")).collect();
    assert_eq!(uids.len(), dashboards.len());
    for (file, dashboard) in &dashboards {
        assert!(!text(dashboard, "title").is_empty() && !text(dashboard, "description").is_empty());
        let variables = dashboard["templating"]["list"].as_array().unwrap();
        assert!(variables.iter().any(|variable| text(variable, "type") == "datasource"), "{file}");
        let (mut ids, mut taken) = (BTreeSet::new(), BTreeSet::new());
        for panel in dashboard["panels"].as_array().unwrap() {
            let title = text(panel, "title");
            assert!(ids.insert(panel["id"].as_u64().unwrap()) && !title.is_empty(), "{file}: {panel}");
            for square in squares(panel) {
                assert!(taken.insert(square), "{file}: {title} lies on another panel");
            }
            if text(panel, "type") == "row" {
                continue;
            }
            assert!(!text(panel, "description").is_empty(), "{file}: {title} is not explained");
            assert!(
                !text(&panel["fieldConfig"]["defaults"], "unit").is_empty(),
                "{file}: {title} has no unit"
            );
            let targets = panel["targets"].as_array().unwrap();
            let letters: BTreeSet<&str> = targets.iter().map(|target| text(target, "refId")).collect();
            assert!(!targets.is_empty() && letters.len() == targets.len(), "{file}: {title}");
            for target in targets {
                assert!(!text(target, "expr").is_empty(), "{file}: {title}");
                assert_eq!(text(&target["datasource"], "uid"), "${datasource}", "{file}: {title}");
            }
        }
    }
}

/// What dashboards ask, with the place where they do, as Prometheus takes it.
fn panels() -> Vec<(String, String)> {
    let mut asked = Vec::new();
    for (file, dashboard) in dashboards() {
        for panel in dashboard["panels"].as_array().unwrap() {
            for target in panel["targets"].as_array().into_iter().flatten() {
                let expression =
                    text(target, "expr").replace("$__rate_interval", "1m").replace("$bank", ".*");
                assert!(!expression.contains('$'), "{file}: {expression}");
                asked.push((format!("{file}: {}", text(panel, "title")), expression));
            }
        }
    }
    asked
}

/// The names in an expression that could be metrics or labels of ours; texts and ranges left out.
fn words(expression: &str) -> BTreeSet<String> {
    let unquoted: String = expression.split('"').step_by(2).collect::<Vec<_>>().join(" ");
    let words = unquoted.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':');
    let ours = words.filter(|word| ["rialto_", "rpc_", "db_"].iter().any(|begin| word.starts_with(begin)));
    ours.map(str::to_owned).collect()
}

/// The metrics that an expression reads.
fn metrics_of(place: &str, expression: &str) -> BTreeSet<String> {
    let documented = scrape::documented().unwrap();
    let labels: BTreeSet<&str> =
        documented.values().flat_map(|(_, labels)| labels.iter().map(String::as_str)).collect();
    let is_metric = |word: &str| {
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|part| word.strip_suffix(part));
        documented.contains_key(word)
            || family.and_then(|family| documented.get(family)).is_some_and(|(kind, _)| kind == "histogram")
    };
    let (metrics, others) =
        words(expression).into_iter().partition::<BTreeSet<String>, _>(|word| is_metric(word));
    let unknown: Vec<_> = others.iter().filter(|word| !labels.contains(word.as_str())).collect();
    assert!(unknown.is_empty(), "{place}: docs/telemetry.md does not know {unknown:?}");
    metrics
}

fn may_be_absent(metric: &str) -> bool {
    MAY_BE_ABSENT.iter().any(|(absent, _)| *absent == metric)
}

/// A system that tells of all that it can: it was paid with, refused, and left in doubt; somebody hears of it.
async fn busy_system() -> Result<(System, Nats, Receiver), BenchError> {
    let mut setup = Setup::new(own_folder("monitoring")?);
    (setup.times.answer_timeout_ms, setup.times.enquire_after_ms) = (1_000, 50_000);
    let rule = |number, rule: &str| {
        format!("[[aurora]]\naccount = \"{}\"\nbehaviour = {rule}\n\n", BANKS[0].account(number))
    };
    setup.script =
        rule(HANGS_UP, "\"drop_after\"") + &rule(SHORT, "{ deduct = { minor_units = 1, told = true } }");
    let nats = Nats::start(own_folder("nats")?, "").await?;
    for flag in [format!("--broker=nats://{}", nats.address()), "--insecure-broker".to_owned()] {
        setup.flags.push((Service::Platform, flag));
    }
    setup.flags.push((Service::Gateway, "--insecure-webhooks".to_owned()));
    let (system, receiver) = (System::start(setup).await?, Receiver::start().await?);
    let shop = system.client(0)?;
    let (request_id, url) = ("endpoint".to_owned(), receiver.url("hooks"));
    let endpoint = CreateWebhookEndpointRequest { request_id, url, states: Vec::new() };
    shop.webhooks.clone().create_webhook_endpoint(shop.request(endpoint, None)).await?;
    let account = shop.open_account("account", "Ada Buyer", "EUR", "").await?.id;
    shop.deposit("deposit", &account, 100_000, "EUR", "aurora").await?;
    for (number, to, amount) in
        [(0, 1, 100), (1, 1, 100), (2, HANGS_UP, 100), (3, SHORT, 100), (4, 1, 10_000_000)]
    {
        pay(&shop, &format!("payment-{number}"), &account, to, amount).await?;
    }
    Client::new(&system.gateway()?, "guessed")?.payment("pay_0").await.unwrap_err();
    receiver.wait_for(5).await?;
    Ok((system, nats, receiver))
}

async fn pay(client: &Client, request: &str, account: &str, to: u32, amount: i64) -> Result<(), BenchError> {
    let payee = payee_by_iban("Blaise Seller", &BANKS[0].account(to));
    client.pay(order(request, account, payee, amount, "EUR"), None).await?;
    Ok(())
}

/// A Prometheus that reads the system each second, with the rules as they are.
async fn prometheus_of(system: &System) -> Result<Prometheus, BenchError> {
    let rules = folder().join("alerts.yaml");
    let mut configuration = format!(
        "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\nrule_files: [{rules:?}]\nscrape_configs:\n"
    );
    for service in [Service::Gateway, Service::Platform, Service::Channel] {
        let (name, address) = (service.name(), system.admin_address(service)?);
        configuration +=
            &format!("- {{ job_name: rialto-{name}, static_configs: [{{ targets: [{address:?}] }}] }}\n");
    }
    Prometheus::start(system.folder(), &configuration).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_query_finds_what_a_real_system_tells() -> Result<(), BenchError> {
    let (system, _nats, _receiver) = busy_system().await?;
    let prometheus = prometheus_of(&system).await?;
    // The figures of the database are those of its last look, which may be a while ago.
    let seen = "min(count_over_time(rialto_payment_under_way_count{rialto_payment_state=\"UNKNOWN\"}[1m])) > 2 \
        and max(rialto_alarm_count) > 0 and min(count_over_time(up{job=~\"rialto-.+\"}[1m])) > 3";
    let is_seen = async || prometheus.query(seen).await.ok().filter(|found| !found.is_empty());
    wait::until("scrapes of all that happened", Duration::from_secs(90), is_seen).await?;

    for (place, expression) in panels() {
        let found = prometheus.query(&expression).await.map_err(|error| format!("{place}: {error}"))?;
        let metrics = metrics_of(&place, &expression);
        let may_be_empty = metrics.iter().any(|metric| may_be_absent(metric));
        assert!(!found.is_empty() || may_be_empty, "{place}: nothing for {expression}");
    }

    let groups = prometheus.ask("rules", &[]).await?;
    let groups = groups["groups"].as_array().unwrap();
    let rules: Vec<&Value> = groups.iter().flat_map(|group| group["rules"].as_array().unwrap()).collect();
    assert!(rules.len() > 30, "{}", rules.len());
    for rule in &rules {
        let (name, expression) = (text(rule, "name"), text(rule, "query"));
        let recorded =
            rules.iter().filter(|rule| text(rule, "type") == "recording").map(|rule| text(rule, "name"));
        let plain =
            recorded.fold(expression.to_owned(), |expression, name| expression.replace(name, "recorded"));
        prometheus.query(expression).await.map_err(|error| format!("{name}: {error}"))?;
        assert_eq!(text(rule, "lastError"), "", "{name}");
        for metric in metrics_of(name, &plain) {
            let is_there = !prometheus.query(&format!("count({metric})")).await?.is_empty();
            assert!(is_there || may_be_absent(&metric), "{name}: there is no {metric}");
        }
        if text(rule, "type") == "alerting" {
            assert!(["critical", "warning"].contains(&text(&rule["labels"], "severity")), "{name}");
            for part in ["summary", "description"] {
                assert!(!text(&rule["annotations"], part).is_empty(), "{name}: {part}");
            }
        }
    }
    // What is in doubt has not been so for long; of what does not fit there is an alarm at once.
    let firing = prometheus.query("ALERTS{alertstate=\"firing\"}").await?;
    let firing: BTreeSet<&str> = firing.iter().map(|alert| text(&alert["metric"], "alertname")).collect();
    assert_eq!(firing, BTreeSet::from(["AlarmRaised"]));
    Ok(())
}
