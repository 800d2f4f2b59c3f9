//! The house rules, as a test: what may depend on what, where things stand, and how large they are.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

#[path = "tidy/migrations.rs"]
mod migrations;

/// A file of the repository: its path from the root, and its text.
struct Source {
    path: String,
    text: String,
}

impl Source {
    /// Its code: without its unit tests, which stand at the end, and without comments.
    fn code(&self) -> String {
        let code = self.text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
    }

    fn is_test(&self) -> bool {
        self.path.starts_with("tests/") || self.path.ends_with("tests.rs") || self.path.contains("/tests/")
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

fn sources(extension: &str) -> Vec<Source> {
    let mut found = Vec::new();
    for folder in ["proto", "common", "gateway", "platform", "channel", "tests", "deploy"] {
        collect(&root(), &root().join(folder), extension, &mut found);
    }
    assert!(!found.is_empty(), "no .{extension} files found: the test looks in the wrong place");
    found
}

fn collect(root: &Path, folder: &Path, extension: &str, found: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(root, &path, extension, found);
        } else if path.extension().is_some_and(|own| own == extension) {
            let text = fs::read_to_string(&path).unwrap();
            found.push(Source { path: path.strip_prefix(root).unwrap().to_str().unwrap().to_owned(), text });
        }
    }
}

/// Fails with every offence, not only the first.
fn none(rule: &str, offences: Vec<String>) {
    assert!(offences.is_empty(), "{rule}:\n  {}", offences.join("\n  "));
}

#[test]
fn services_depend_on_nobody_above_or_beside_them() {
    let forbidden: [(&str, &[&str]); 6] = [
        ("common", &["proto", "gateway", "platform", "channel", "tests", "sqlx"]),
        ("proto", &["gateway", "platform", "channel", "tests", "sqlx"]),
        ("gateway", &["platform", "channel", "tests", "sqlx", "quick-xml", "reqwest"]),
        ("gateway/cli", &["gateway", "platform", "channel", "tests", "sqlx", "quick-xml", "reqwest"]),
        ("platform", &["gateway", "channel", "tests", "quick-xml", "reqwest"]),
        ("channel", &["gateway", "platform", "tests", "sqlx"]),
    ];
    let mut offences = Vec::new();
    for (package, others) in forbidden {
        let manifest = fs::read_to_string(root().join(package).join("Cargo.toml")).unwrap();
        let names =
            |other: &str| manifest.lines().any(|line| line.split(['.', ' ', '=']).next() == Some(other));
        offences
            .extend(others.iter().filter(|other| names(other)).map(|other| format!("{package} → {other}")));
    }
    none("a package depends on what it must not know", offences);
}

#[test]
fn the_domain_is_pure() {
    let mut offences = Vec::new();
    for source in sources("rs").iter().filter(|source| source.path.starts_with("platform/src/domain")) {
        for word in [
            "async ", ".await", "sqlx", "tokio", "tonic", "proto::", "Clock", "Instant", "rand::", "f64",
            "f32",
        ] {
            if source.code().contains(word) && !source.is_test() {
                offences.push(format!("{}: {word}", source.path));
            }
        }
    }
    none("the domain uses I/O, a clock, randomness or floats", offences);
}

#[test]
fn inner_layers_do_not_know_outer_ones() {
    let rules: [(&str, &[&str]); 3] = [
        ("platform/src/domain", &["crate::store", "crate::flow", "crate::commands"]),
        ("platform/src/store", &["crate::flow", "crate::commands", "crate::channel_link"]),
        ("platform/src/flow", &["crate::commands", "crate::platform_service", "crate::wire"]),
    ];
    let mut offences = Vec::new();
    for source in sources("rs") {
        for (folder, outer) in rules.iter().filter(|(folder, _)| source.path.starts_with(folder)) {
            let known = outer.iter().filter(|outer| source.code().contains(**outer));
            offences.extend(known.map(|outer| format!("{} ({folder}) → {outer}", source.path)));
        }
    }
    none("a layer knows one outside of it", offences);
}

#[test]
fn grpc_and_sql_stand_in_their_rooms() {
    let mut offences = Vec::new();
    let ours = ["gateway/src", "gateway/cli/src", "platform/src", "channel/src"];
    for source in sources("rs") {
        if source.is_test() || !ours.iter().any(|folder| source.path.starts_with(folder)) {
            continue;
        }
        let code = source.code();
        let lib = source.path.ends_with("/lib.rs");
        if code.contains("_service_server::") && !source.path.ends_with("_service.rs") && !lib {
            offences.push(format!("{}: a generated server outside *_service.rs", source.path));
        }
        if code.contains("_service_client::") && !source.path.ends_with("_link.rs") {
            offences.push(format!("{}: a generated client outside *_link.rs", source.path));
        }
        let sql_room =
            source.path.starts_with("platform/src/store") || source.path.ends_with("/trial_balance.rs");
        if (code.contains("sqlx::query") || code.contains("raw_sql")) && !sql_room {
            offences.push(format!("{}: SQL outside the store", source.path));
        }
    }
    none("something stands in the wrong room", offences);
}

#[test]
fn files_are_small_and_named_for_what_they_hold() {
    const MAX_LINES: usize = 450;
    let mut offences = Vec::new();
    for source in sources("rs") {
        let lines = source.code().lines().count();
        if lines > MAX_LINES {
            offences.push(format!("{}: {lines} lines, split it by idea", source.path));
        }
        let name = source.path.rsplit('/').next().unwrap_or_default();
        if ["mod.rs", "utils.rs", "util.rs", "helpers.rs", "misc.rs", "manager.rs"].contains(&name) {
            offences.push(format!("{}: the name says nothing", source.path));
        }
        if source.path != "tests/tidy.rs" {
            let marks = ["todo!(", "unimplemented!(", "FIXME", "XXX:"]
                .iter()
                .filter(|mark| source.text.contains(**mark));
            offences.extend(marks.map(|mark| format!("{}: {mark}", source.path)));
        }
    }
    none("a file is too large, badly named or unfinished", offences);
}

#[test]
fn contracts_have_no_floats_and_explain_every_field() {
    let mut offences = Vec::new();
    for source in sources("proto") {
        let mut explained = false;
        for (number, line) in source.text.lines().enumerate() {
            let line = line.trim();
            let declares = line.ends_with(';') && line.contains(" = ") && !line.starts_with("syntax")
                || ["message ", "enum ", "service ", "rpc ", "oneof "]
                    .iter()
                    .any(|word| line.starts_with(word));
            if declares && !explained {
                offences.push(format!("{}:{}: no comment: {line}", source.path, number + 1));
            }
            if line.starts_with("float ") || line.starts_with("double ") {
                offences.push(format!("{}:{}: a float", source.path, number + 1));
            }
            explained = line.starts_with("//");
        }
    }
    none("a contract is not explained", offences);
}

#[test]
fn every_metric_is_explained() {
    let text = fs::read_to_string(root().join("docs/telemetry.md")).unwrap();
    let metrics = text.split("## Traces").next().unwrap();
    let rows = metrics.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let told: BTreeSet<&str> = rows.collect();
    let sources = sources("rs");
    let code: Vec<String> =
        sources.iter().filter(|source| !source.is_test()).map(|source| source.code()).collect();
    let makers = ["duration(", "size(", "counter(", "observed(", "show("];
    // The name is the first argument, on the same line or the next.
    let made: BTreeSet<&str> = code
        .iter()
        .flat_map(|code| makers.iter().flat_map(|maker| code.split(maker).skip(1)))
        .filter_map(|rest| rest.trim_start().strip_prefix('"')?.split('"').next())
        .filter(|name| name.contains('.') && !name.contains(' '))
        .collect();
    assert!(made.len() > 20, "{made:?}");
    none(
        "made and not in docs/telemetry.md",
        made.difference(&told).map(|name| (*name).to_owned()).collect(),
    );
    none(
        "in docs/telemetry.md and not made",
        told.difference(&made).map(|name| (*name).to_owned()).collect(),
    );
}

#[test]
fn documents_point_to_what_there_is() {
    let mut offences = Vec::new();
    for document in [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "docs/backup.md",
        "docs/bank-profile.md",
        "docs/broker.md",
        "docs/failover.md",
        "docs/performance.md",
        "docs/reliability.md",
        "docs/security.md",
        "docs/telemetry.md",
        "docs/webhooks.md",
    ] {
        let text =
            fs::read_to_string(root().join(document)).unwrap_or_else(|_| panic!("{document} is missing"));
        let folders =
            ["proto/", "common/", "gateway/", "platform/", "channel/", "tests/", "deploy/", "docs/", ".ci/"];
        let quoted = text.split('`').skip(1).step_by(2);
        let linked = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for path in quoted.chain(linked) {
            let is_path =
                folders.iter().any(|folder| path.starts_with(folder)) && !path.contains(['*', '{', '<', ' ']);
            if is_path && !root().join(path).exists() && !root().join(format!("{path}.rs")).exists() {
                offences.push(format!("{document}: {path}"));
            }
        }
    }
    none("a document points to what is not there", offences);
}
