//! That manifests, compose.yaml and the document say what the programs know.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::Command,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use harness::binaries;
use serde_json::Value;

use crate::{
    manifests::{container, list, name, overlays, text, variables},
    tools::{self, said},
};

/// What a program says of itself, with that of its subcommands.
pub fn help(program: &str) -> String {
    let path = binaries::program(program).unwrap_or_else(|error| panic!("{error}"));
    let own = said(Command::new(&path).arg("--help")).unwrap();
    let commands =
        own.split("\nCommands:\n").nth(1).and_then(|rest| rest.split("\n\n").next()).unwrap_or_default();
    let commands = commands.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = commands.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help");
    let of_commands = names.map(|name| said(Command::new(&path).args([name, "--help"])).unwrap());
    of_commands.fold(own.clone(), |all, more| all + &more)
}

/// The program that a workload, or a service of compose.yaml, runs; none if it is another's.
pub fn program(image: &str) -> Option<&str> {
    let (repository, _tag) = image.rsplit_once(':')?;
    repository.contains("rialto/").then(|| repository.rsplit('/').next().unwrap())
}

/// Fails unless a program knows these variables, and these arguments.
pub fn is_known<'a>(
    what: &str,
    program: &str,
    variables: impl IntoIterator<Item = &'a str>,
    arguments: impl IntoIterator<Item = &'a str>,
) {
    let help = help(program);
    for variable in variables {
        let known = help.contains(&format!("[env: {variable}=")) || variable.starts_with("PGSSL");
        assert!(known, "{what}: {program} does not know {variable}");
    }
    for argument in arguments {
        let flag = argument.split('=').next().unwrap();
        let known = help.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').any(|word| word == flag);
        assert!(known, "{what}: {program} does not know {argument}");
    }
}

#[test]
fn programs_know_what_they_are_told() {
    for deployed in overlays() {
        for workload in deployed.workloads() {
            let Some(program) = program(text(&container(workload)["image"])) else { continue };
            let what = format!("{}: {}", deployed.name, name(workload));
            let arguments = list(&container(workload)["args"]).iter().map(text);
            is_known(&what, program, variables(workload).into_keys(), arguments);
            let may_be_insecure =
                |variable: &str| deployed.name == "dev" && variable == "RIALTO_INSECURE_DATABASE";
            for variable in variables(workload).into_keys().filter(|variable| variable.contains("INSECURE")) {
                assert!(may_be_insecure(variable), "{what}: {variable}");
            }
        }
    }
}

#[test]
fn every_file_that_is_named_is_mounted() {
    for deployed in overlays() {
        let secrets: BTreeMap<&str, &Value> =
            deployed.of("Secret").map(|secret| (name(secret), &secret["data"])).collect();
        for workload in deployed.workloads() {
            let mounts = deployed.mounts(workload);
            for (variable, file) in
                variables(workload).into_iter().filter(|(_, value)| value.starts_with("/run/"))
            {
                let what = format!("{}: {}: {variable}={file}", deployed.name, name(workload));
                let (folder, file) = file.rsplit_once('/').unwrap();
                let behind = mounts.get(folder).unwrap_or_else(|| panic!("{what}: nothing is mounted there"));
                assert!(!behind.is_empty(), "{what}");
                let held = behind.iter().filter_map(|secret| secrets.get(secret.as_str()));
                let mut held = held.peekable();
                let is_known = held.peek().is_none() || held.any(|data| data[file].is_string());
                assert!(is_known, "{what}: the Secret has no such file");
                assert!(
                    deployed.name != "dev"
                        || behind.iter().all(|secret| secrets.contains_key(secret.as_str()))
                );
            }
        }
    }
}

/// What callers may call, by who they are without the name of the trust domain.
fn allowed(list: &str) -> BTreeMap<String, BTreeSet<String>> {
    let one = |entry: &str| {
        let (identity, calls) = entry.split_once('=').unwrap_or_else(|| panic!("{entry}"));
        let identity = identity.rsplit('/').next().unwrap().to_owned();
        (identity, calls.split(',').map(str::to_owned).collect())
    };
    list.split_whitespace().map(one).collect()
}

#[test]
fn everybody_lets_in_the_same() {
    let root = tools::deploy().join("..");
    let launch = fs::read_to_string(root.join("tests/harness/system/launch.rs")).unwrap();
    let document = fs::read_to_string(root.join("deploy/README.md")).unwrap();
    let compose = tools::compose(&crate::manifests::folder()).unwrap();
    for (service, caller) in [("platform", "gateway"), ("channel", "platform")] {
        let call = match service {
            "platform" => "rialto.platform.v1.PlatformService/",
            _ => "rialto.channel.v1.InstructionService/",
        };
        // As Rust writes a long text, over lines that end with a backslash.
        let of_bench: String = launch.split_whitespace().map(|word| word.trim_end_matches('\\')).collect();
        let of_bench = of_bench.split(&format!("\"{caller}={call}")).nth(1).unwrap();
        let of_bench = format!("{caller}={call}{}", of_bench.split('"').next().unwrap());
        let expected = allowed(&of_bench);
        let of_document = document.split(&format!("'spiffe://rialto/{caller}=")).nth(1).unwrap();
        let of_document = format!("spiffe://rialto/{caller}={}", of_document.split('\'').next().unwrap());
        assert_eq!(allowed(&of_document), expected, "deploy/README.md: {service}");
        let of_compose = text(&compose["services"][service]["environment"]["RIALTO_ALLOW_CLIENT"]);
        assert_eq!(allowed(of_compose), expected, "compose.yaml: {service}");
        for deployed in overlays() {
            let variables = variables(deployed.one("Deployment", service));
            assert_eq!(allowed(variables["RIALTO_ALLOW_CLIENT"]), expected, "{}: {service}", deployed.name);
        }
    }
}

#[test]
fn the_document_names_what_there_is() {
    let document = fs::read_to_string(tools::deploy().join("README.md")).unwrap();
    let known: String =
        ["gateway", "platform", "channel", "bank"].iter().map(|program| help(program)).collect();
    let known: BTreeSet<&str> = known.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').collect();
    // Those of other programs.
    let others = [
        "--profile",
        "--bins",
        "--file",
        "--target",
        "--tag",
        "--build-arg",
        "--build-context",
        "--package",
        "--test",
        "--rm",
        "--no-deps",
        "--detach",
        "--volumes",
        "--namespace",
        "--ignore-not-found",
        "--for",
        "--timeout",
        "--selector",
        "--from-file",
        "--from-literal",
        "--dry-run",
        "--locked",
        "--bin",
        "--image",
        "--kustomize",
        "--server-side",
        "--all",
    ];
    let flags = document
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '-')
        .filter(|word| word.starts_with("--"));
    let unknown: BTreeSet<&str> =
        flags.filter(|flag| !flag.trim_start_matches('-').is_empty() && !known.contains(flag)).collect();
    let unknown: Vec<_> = unknown.into_iter().filter(|flag| !others.contains(flag)).collect();
    assert!(unknown.is_empty(), "no program knows {unknown:?}");
    let links = document.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
    for link in links.filter(|link| !link.is_empty() && !link.contains("://")) {
        assert!(tools::deploy().join(link).exists(), "deploy/README.md points to {link}");
    }
    for quoted in document
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|quoted| quoted.starts_with("deploy/") && !quoted.contains(' '))
    {
        let is_made = Path::new(quoted).starts_with("deploy/development/files") && !quoted.ends_with(".sh");
        assert!(
            is_made || tools::deploy().join("..").join(quoted).exists(),
            "deploy/README.md names {quoted}"
        );
    }
}

/// The files of a Secret of the overlay of development.
pub fn files(secret: &Value) -> BTreeMap<String, Vec<u8>> {
    let data = secret["data"].as_object().unwrap();
    // Long ones are written over several lines.
    let decoded = |content| STANDARD.decode(text(content).split_whitespace().collect::<String>()).unwrap();
    data.iter().map(|(name, content)| (name.clone(), decoded(content))).collect()
}
