//! compose.yaml, as Compose itself reads it.

use std::path::Path;

use serde_json::Value;

use crate::{
    manifests::{self, list, overlay, text, variables},
    settings::{is_known, program},
    tools,
};

fn services() -> Vec<(String, Value)> {
    let compose = tools::compose(&manifests::folder()).unwrap_or_else(|error| panic!("{error}"));
    let services = compose["services"].as_object().unwrap();
    assert!(services.len() >= 9, "{services:?}");
    services.clone().into_iter().collect()
}

#[test]
fn every_container_is_pinned_and_hardened() {
    for (name, service) in services() {
        let image = text(&service["image"]);
        let (_, tag) = image.rsplit_once(':').unwrap_or_else(|| panic!("{name}: {image} has no tag"));
        assert!(tag.contains('.') && tag.contains(|c: char| c.is_ascii_digit()), "{name}: {image}");
        assert!(program(image).is_none() || tag == env!("CARGO_PKG_VERSION"), "{name}: {image}");
        assert!(list(&service["security_opt"]).contains(&"no-new-privileges:true".into()), "{name}");
        assert!(service["privileged"].is_null() && service["network_mode"].is_null(), "{name}");
        if name != "postgres" {
            // Its own start script changes to its user.
            assert_eq!(
                (&service["read_only"], &service["cap_drop"]),
                (&true.into(), &serde_json::json!(["ALL"]))
            );
        }
        for port in list(&service["ports"]) {
            assert_eq!(port["host_ip"], "127.0.0.1", "{name}: others on the network reach it");
        }
        for volume in list(&service["volumes"]).iter().filter(|volume| volume["type"] == "bind") {
            assert!(Path::new(text(&volume["source"])).exists(), "{name}: {volume}");
            assert_eq!(volume["read_only"], true, "{name}: {volume}");
        }
    }
}

#[test]
fn programs_know_what_compose_tells_them() {
    for (name, service) in services() {
        let Some(program) = program(text(&service["image"])) else { continue };
        let environment = service["environment"].as_object();
        let environment = environment.into_iter().flatten().map(|(variable, _)| variable.as_str());
        is_known(&name, program, environment, list(&service["command"]).iter().map(text));
        assert!(service["build"].is_null() || service["build"]["target"] == program, "{name}");
        // Its files are where the overlay of development has them.
        let mounted = list(&service["volumes"]).iter().map(|volume| text(&volume["target"]));
        let called = if name == "migrate" { "Job" } else { "Deployment" };
        let pod = overlay("dev").mounts(overlay("dev").one(called, &name));
        let pod: Vec<&str> =
            pod.keys().map(String::as_str).filter(|path| path.starts_with("/run/")).collect();
        let mut mounted: Vec<&str> = mounted.collect();
        mounted.sort_unstable();
        assert_eq!(mounted, pod, "{name}");
        // What the pod is told as well, it is told the same.
        let of_pod = variables(overlay("dev").one(called, &name));
        for (variable, value) in service["environment"].as_object().into_iter().flatten() {
            let of_pod = of_pod.get(variable.as_str());
            assert!(of_pod.is_none_or(|of_pod| *of_pod == text(value)), "{name}: {variable}={value}");
        }
    }
}

#[test]
fn its_prometheus_reads_what_runs() {
    let file = tools::deploy().join("development/prometheus.yaml");
    let promtool = harness::prometheus::program("promtool").unwrap_or_else(|error| panic!("{error}"));
    let mut check = std::process::Command::new(promtool);
    check.args(["check", "config", "--syntax-only"]).arg(&file);
    tools::said(&mut check).unwrap_or_else(|error| panic!("{error}"));
    let document = &tools::documents(&file)[0];
    for job in list(&document["scrape_configs"]) {
        let service = text(&job["job_name"]).strip_prefix("rialto-").unwrap();
        assert_eq!(job["static_configs"][0]["targets"][0], format!("{service}:9081"));
    }
    assert_eq!(list(&document["scrape_configs"]).len(), manifests::SERVICES.len());
}
