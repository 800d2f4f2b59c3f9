//! What Rialto is made of: the rules of deny.toml, held with every `cargo test`.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::{fs, path::Path, process::Command};

use semver::{Version, VersionReq};
use serde_json::Value;
use spdx::Expression;

fn toml(file: &str) -> toml::Table {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    fs::read_to_string(root.join(file)).unwrap().parse().unwrap()
}

/// The strings of a list.
fn list<'a>(table: &'a toml::Table, part: &str, name: &str) -> Vec<&'a str> {
    let found: Vec<&str> =
        table[part][name].as_array().unwrap().iter().filter_map(toml::Value::as_str).collect();
    assert!(!found.is_empty(), "{part}.{name} is empty");
    found
}

/// What cargo says.
fn cargo(arguments: &[&str]) -> String {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut command = Command::new(cargo);
    let said = command
        .args(arguments)
        .args(["--locked", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    String::from_utf8(said.stdout).unwrap()
}

#[test]
fn what_is_banned_is_not_built_and_everything_comes_from_the_registry() {
    let rules = toml("deny.toml");
    let registries = list(&rules, "sources", "allow-registry");
    let bans = rules["bans"]["deny"].as_array().unwrap();
    let banned: Vec<(&str, VersionReq)> = bans
        .iter()
        .map(|ban| {
            let version = ban.get("version").and_then(toml::Value::as_str).unwrap_or("*");
            (ban["name"].as_str().unwrap(), version.parse().unwrap())
        })
        .collect();
    assert!(banned.len() > 5);
    // What is built here, rather than all that is locked: crates lock what they could be built with as well.
    let built = cargo(&["tree", "--workspace", "--all-features", "--prefix=none", "--format={p}"]);
    let mut count = 0;
    for package in built.lines() {
        let mut words = package.split_whitespace();
        let (Some(name), Some(version)) = (words.next(), words.next()) else { continue };
        let version: Version = version.trim_start_matches('v').parse().unwrap();
        let ban = banned.iter().find(|(banned, versions)| *banned == name && versions.matches(&version));
        assert!(ban.is_none(), "{name} {version} is banned in deny.toml");
        count += 1;
    }
    assert!(count > 200, "only {count} packages");
    let lock = toml("Cargo.lock");
    let sources =
        lock["package"].as_array().unwrap().iter().filter_map(|package| package.get("source")?.as_str());
    for source in sources {
        let known = registries.iter().any(|known| source == format!("registry+{known}"));
        assert!(known, "a package comes from {source}");
    }
}

#[test]
fn every_dependency_has_a_licence_that_may_be_used() {
    let rules = toml("deny.toml");
    let allowed = list(&rules, "licenses", "allow");
    let host = Command::new("rustc").arg("-vV").output().unwrap().stdout;
    let host = String::from_utf8(host).unwrap();
    let host = host.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let metadata = cargo(&["metadata", "--format-version=1", "--filter-platform", host]);
    let metadata: Value = serde_json::from_str(&metadata).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 200, "only {} packages", packages.len());
    for package in packages {
        let (name, text) = (&package["name"], package["license"].as_str().unwrap_or_default());
        // Old packages write a slash for OR.
        let text = text.replace('/', " OR ");
        let licence = Expression::parse(&text).unwrap_or_else(|error| panic!("{name}: {text:?}: {error}"));
        let may = licence.evaluate(|requirement| allowed.contains(&requirement.to_string().as_str()));
        assert!(may, "{name}: {text} is not allowed in deny.toml");
    }
}
