//! The comparison itself, as short as it can be: everyone is started, measured and checked, and programs can read what came of it.

use std::{fs, process::Command};

use harness::{binaries, postgres::own_folder};
use serde_json::Value;

#[test]
fn everyone_is_measured_and_every_book_adds_up() {
    binaries::build(&[]).unwrap();
    let folder = own_folder("compare-case").unwrap();
    let (json, markdown, svg) =
        (folder.join("compare.json"), folder.join("compare.md"), folder.join("compare.svg"));
    let output = Command::new(binaries::program("compare").unwrap())
        .args(["--rounds=1", "--seconds=1", "--in-flight=4", "--scale=1", "--payers=4"])
        .arg("--json")
        .arg(&json)
        .arg("--markdown")
        .arg(&markdown)
        .arg("--svg")
        .arg(&svg)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("payments/s ÷ the naive design's"), "{said}");

    let document: Value = serde_json::from_str(&fs::read_to_string(json).unwrap()).unwrap();
    let positive = |path: &str| {
        let value = document.pointer(path).and_then(Value::as_f64);
        assert!(value.is_some_and(|value| value > 0.0), "{path}: {document:#}");
    };
    for contender in ["rialto", "hot_merchant", "echo_chain", "naive"] {
        positive(&format!("/payments_per_s/{contender}/median"));
        for process in ["load", "gateway", "platform", "channel"] {
            positive(&format!("/cpu_us_per_payment/{contender}/{process}/median"));
        }
    }
    for ratio in ["echo_chain", "naive", "hot_merchant", "p99_at_1000"] {
        positive(&format!("/ratios/{ratio}/median"));
    }
    positive("/wal_bytes_per_payment/naive/median");
    positive("/memory_mib/platform/median");
    assert_eq!(document.pointer("/settings/is_release_build"), Some(&Value::Bool(!cfg!(debug_assertions))));
    assert!(fs::read_to_string(markdown).unwrap().contains("| echo chain"));
    assert!(fs::read_to_string(svg).unwrap().contains("naive design"));
}

#[test]
fn what_safeguards_cost_is_measured_beside_systems_without_them() {
    binaries::build(&[]).unwrap();
    let json = own_folder("compare-costs-case").unwrap().join("costs.json");
    let output = Command::new(binaries::program("compare").unwrap())
        .args(["costs", "--rounds=1", "--seconds=1", "--in-flight=4", "--payers=4", "--json"])
        .arg(&json)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("without TLS") && said.contains("as it is costs more by"), "{said}");
    let document: Value = serde_json::from_str(&fs::read_to_string(json).unwrap()).unwrap();
    for system in ["as_it_is", "plaintext", "unsealed", "tokens"] {
        for process in ["gateway", "platform", "channel", "bank", "postgres", "in_all"] {
            let path = format!("/systems/{system}/cpu_us_per_payment/{process}/median");
            let value = document.pointer(&path).and_then(Value::as_f64);
            assert!(value.is_some_and(|value| value > 0.0), "{path}: {document:#}");
        }
    }
}
