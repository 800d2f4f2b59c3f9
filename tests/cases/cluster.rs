//! More than one of everything, as short as it can be: each kind is killed under load and scaled out, and nothing is lost or doubled.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, process::Command};

use harness::{binaries, postgres::own_folder};
use serde_json::Value;

/// What callers felt, by what happened.
fn replicas(only: &str) -> Vec<(String, Value)> {
    binaries::build(&[]).unwrap();
    let json = own_folder("cluster-case").unwrap().join("cluster.json");
    let output = Command::new(binaries::program("cluster").unwrap())
        .args(["replicas", "--rate=30", "--seconds=6", "--any-latency", "--only", only, "--json"])
        .arg(&json)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    let document: Value = serde_json::from_str(&fs::read_to_string(json).unwrap()).unwrap();
    let felt = document["felt"].as_array().unwrap();
    felt.iter().map(|felt| (felt["event"].as_str().unwrap().to_owned(), felt.clone())).collect()
}

#[test]
fn whoever_is_killed_is_not_missed() {
    let felt = replicas("kill");
    for service in ["channel", "platform", "gateway"] {
        let (_, felt) = felt.iter().find(|(event, _)| *event == format!("kill {service}")).unwrap();
        assert_eq!(felt["failed"], 0, "{felt}");
        assert!(felt["due"].as_u64().unwrap() > 150, "{felt}");
    }
}

#[test]
fn work_spreads_over_those_who_come() {
    let felt = replicas("scale");
    for service in ["channel", "platform", "gateway"] {
        let (_, felt) = felt.iter().find(|(event, _)| *event == format!("{service} 1 → 3")).unwrap();
        let off = felt["unevenness_percent"].as_f64().unwrap();
        assert!(off <= 10.0, "{felt}");
    }
}
