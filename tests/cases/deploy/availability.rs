//! What keeps payments going while pods come and go.

use std::time::Duration;

use serde_json::Value;

use crate::manifests::{
    Deployed, SERVICES, container, labels, list, name, overlays, pod, selects, text, variables,
};

/// What telemetry may take when a process ends, for each of traces and metrics (docs/telemetry.md).
const FLUSH: Duration = Duration::from_secs(2);

fn services(deployed: &Deployed) -> impl Iterator<Item = (&'static str, &Value)> {
    SERVICES.into_iter().map(|service| (service, deployed.one("Deployment", service)))
}

fn seconds(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number of seconds"))
}

#[test]
fn the_three_probes_mean_three_things() {
    for deployed in overlays() {
        for (service, workload) in services(deployed) {
            let what = format!("{}: {service}", deployed.name);
            let container = container(workload);
            let asks = |probe: &str| {
                assert_eq!(container[probe]["httpGet"]["port"], "admin", "{what}: {probe}");
                text(&container[probe]["httpGet"]["path"]).to_owned()
            };
            let patience = |probe: &str| {
                seconds(&container[probe]["periodSeconds"]) * seconds(&container[probe]["failureThreshold"])
            };
            // Started: serves. Ready: takes work, and is left alone at once when it does not. Alive: itself, whatever others do.
            assert_eq!(
                (asks("startupProbe"), asks("readinessProbe")),
                ("/readyz".to_owned(), "/readyz".to_owned())
            );
            assert_eq!(
                asks("livenessProbe"),
                "/healthz",
                "{what}: a restart mends nothing that is wrong elsewhere"
            );
            assert!(patience("startupProbe") >= 60, "{what}: a database takes a while to come up");
            assert!(patience("readinessProbe") <= 5, "{what}");
            assert!(patience("livenessProbe") >= 30, "{what}: what is busy is not dead");
        }
        for workload in deployed.workloads() {
            let is_service = SERVICES.contains(&name(workload));
            assert_eq!(container(workload)["livenessProbe"].is_object(), is_service, "{}", name(workload));
        }
    }
}

#[test]
fn nobody_is_killed_amid_a_drain() {
    for deployed in overlays() {
        for (service, workload) in services(deployed) {
            let what = format!("{}: {service}", deployed.name);
            let pause = seconds(&container(workload)["lifecycle"]["preStop"]["sleep"]["seconds"]);
            let drain = humantime::parse_duration(variables(workload)["RIALTO_DRAIN_TIMEOUT"]).unwrap();
            let grace = seconds(&pod(workload)["terminationGracePeriodSeconds"]);
            let needed = Duration::from_secs(pause) + drain + 2 * FLUSH;
            assert!(Duration::from_secs(grace) > needed, "{what}: {grace} s of {needed:?}");
            let readiness = seconds(&container(workload)["readinessProbe"]["periodSeconds"]);
            assert!(pause > readiness, "{what}: it goes before others have heard of it");
        }
    }
}

#[test]
fn one_may_go_and_others_stay() {
    for deployed in overlays() {
        for (service, workload) in services(deployed) {
            let what = format!("{}: {service}", deployed.name);
            let budget = &deployed.one("PodDisruptionBudget", service)["spec"];
            assert!(selects(&budget["selector"], labels(workload)), "{what}");
            assert_eq!(budget["maxUnavailable"], 1, "{what}");
            let rolls = &workload["spec"]["strategy"]["rollingUpdate"];
            assert_eq!((&rolls["maxUnavailable"], &rolls["maxSurge"]), (&0.into(), &1.into()), "{what}");
            let scaler = deployed.of("HorizontalPodAutoscaler").find(|scaler| name(scaler) == service);
            let least = match scaler {
                Some(scaler) => {
                    assert_eq!(scaler["spec"]["scaleTargetRef"]["name"], service, "{what}");
                    assert!(
                        workload["spec"]["replicas"].is_null(),
                        "{what}: each deployment would undo what was scaled"
                    );
                    &scaler["spec"]["minReplicas"]
                }
                None => &workload["spec"]["replicas"],
            };
            assert!(least.as_u64().is_some_and(|least| least >= 2), "{what}: {least}");
        }
    }
}

#[test]
fn pods_are_spread_over_hosts_and_zones() {
    for deployed in overlays() {
        for (service, workload) in services(deployed) {
            let spreads = list(&pod(workload)["topologySpreadConstraints"]);
            for key in ["topology.kubernetes.io/zone", "kubernetes.io/hostname"] {
                let spread = spreads.iter().find(|spread| spread["topologyKey"] == key);
                let spread = spread.unwrap_or_else(|| panic!("{}: {service}: {key}", deployed.name));
                assert!(selects(&spread["labelSelector"], labels(workload)), "{service}: {key}");
            }
        }
    }
}

#[test]
fn what_scales_is_what_runs_out() {
    for deployed in overlays() {
        for service in ["gateway", "platform"] {
            let scaler = &deployed.one("HorizontalPodAutoscaler", service)["spec"];
            // A service has one thread: the average is of a core, whatever was requested.
            let resource = &list(&scaler["metrics"])[0]["resource"];
            let target = text(&resource["target"]["averageValue"]).strip_suffix('m').map(str::parse::<u64>);
            assert!(resource["name"] == "cpu" && target.unwrap().unwrap() < 1_000, "{service}: {resource}");
        }
        // Two of them are twice what a bank agreed to: never more by themselves.
        assert!(deployed.of("HorizontalPodAutoscaler").all(|scaler| name(scaler) != "channel"));
    }
}

#[test]
fn services_give_clients_the_addresses_of_those_that_are_ready() {
    for deployed in overlays() {
        for workload in deployed.workloads().into_iter().filter(|workload| workload["kind"] != "Job") {
            let called = name(workload);
            let service = &deployed.one("Service", called)["spec"];
            let matched = service["selector"].as_object().unwrap().iter();
            assert!(matched.into_iter().all(|(key, value)| labels(workload)[key] == *value), "{called}");
            for port in list(&service["ports"]) {
                let target = |own: &&Value| own["name"] == port["targetPort"];
                let own = list(&container(workload)["ports"]).iter().find(target);
                assert_eq!(
                    own.unwrap_or_else(|| panic!("{called}: {port}"))["containerPort"],
                    port["port"],
                    "{called}"
                );
            }
        }
        for service in ["platform", "channel"] {
            let service = &deployed.one("Service", service)["spec"];
            assert_eq!(
                (&service["clusterIP"], &service["publishNotReadyAddresses"]),
                (&"None".into(), &false.into())
            );
        }
    }
}

#[test]
fn the_schema_is_brought_up_to_date_by_whoever_knows_the_database_alone() {
    for deployed in overlays() {
        let (job, platform) = (deployed.one("Job", "migrate"), deployed.one("Deployment", "platform"));
        assert_eq!(container(job)["image"], container(platform)["image"], "{}", deployed.name);
        assert_eq!(container(job)["args"], serde_json::json!(["migrate"]));
        assert!(!variables(platform).contains_key("RIALTO_MIGRATE"), "platforms wait for the Job");
        let of_job: Vec<_> = deployed.mounts(job).into_keys().collect();
        assert_eq!(of_job, ["/run/rialto/database"], "{}", deployed.name);
        assert_eq!(
            deployed.mounts(job)["/run/rialto/database"],
            deployed.mounts(platform)["/run/rialto/database"]
        );
    }
}
