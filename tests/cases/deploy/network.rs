//! Who may speak to whom: what stands in a table here and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::manifests::{Deployed, labels, list, name, overlay, overlays, selects, text};

type Edges = BTreeSet<String>;

/// What pods a selector is of: their names.
fn pods(deployed: &Deployed, selector: &Value) -> Vec<String> {
    let mut found: Vec<String> = deployed
        .workloads()
        .into_iter()
        .filter(|workload| selects(selector, labels(workload)))
        .map(|workload| name(workload).to_owned())
        .collect();
    let cluster = &selector["matchLabels"]["cnpg.io/cluster"];
    if cluster.is_string() {
        assert_eq!(name(deployed.of("Cluster").next().unwrap()), text(cluster));
        found = vec!["database".to_owned()];
    }
    assert!(!found.is_empty(), "{}: {selector} is of nobody", deployed.name);
    found
}

/// Who stands on the other side of a rule.
fn peers(deployed: &Deployed, peers: &Value) -> Vec<String> {
    if list(peers).is_empty() {
        return vec!["anybody".to_owned()];
    }
    let one = |peer: &Value| {
        let namespace = &peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"];
        match (namespace.as_str(), peer["ipBlock"]["cidr"].as_str()) {
            (Some(namespace), _) => vec![format!("{namespace}/")],
            (_, Some("0.0.0.0/0")) => {
                let inside =
                    ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "100.64.0.0/10"];
                let except = list(&peer["ipBlock"]["except"]);
                assert!(inside.iter().all(|inside| except.contains(&(*inside).into())), "{peer}");
                vec!["internet".to_owned()]
            }
            (_, Some(cidr)) => vec![cidr.to_owned()],
            (None, None) => pods(deployed, &peer["podSelector"]),
        }
    };
    list(peers).iter().flat_map(one).collect()
}

/// All that policies let out, and all that they let in, as `from > to:port`.
fn edges(deployed: &Deployed) -> (Edges, Edges) {
    let (mut out, mut into) = (Edges::new(), Edges::new());
    for policy in deployed.of("NetworkPolicy") {
        let spec = &policy["spec"];
        if name(policy) == "default-deny" || name(policy) == "names" {
            continue;
        }
        for (direction, other, edges) in [("egress", "to", &mut out), ("ingress", "from", &mut into)] {
            for rule in list(&spec[direction]) {
                assert!(!list(&rule["ports"]).is_empty(), "{}: every port", name(policy));
                for port in list(&rule["ports"]) {
                    for own in pods(deployed, &spec["podSelector"]) {
                        edges.extend(peers(deployed, &rule[other]).into_iter().map(|peer| match direction {
                            "egress" => format!("{own} > {peer}:{}", port["port"]),
                            _ => format!("{peer} > {own}:{}", port["port"]),
                        }));
                    }
                }
            }
        }
    }
    (out, into)
}

const SERVICES: [&str; 2] = ["gateway > platform:8081", "platform > channel:8082"];

fn set(parts: &[&[&str]]) -> Edges {
    parts.iter().flat_map(|part| part.iter().map(|&edge| edge.to_owned())).collect()
}

#[test]
fn only_what_is_meant_to_speak_does() {
    let database = &["platform > postgres:5432", "migrate > postgres:5432"];
    let banks = &["channel > banks:8080"];
    let (out, into) = edges(overlay("dev"));
    assert_eq!(out, set(&[&SERVICES, database, banks]), "dev, out");
    assert_eq!(into, set(&[&SERVICES, database, banks, &["anybody > gateway:8443"]]), "dev, in");

    let outside = &["channel > 198.51.100.0/24:443", "gateway > internet:443"];
    let cluster = &[
        "database > anybody:443",
        "database > anybody:6443",
        "database > database:5432",
        "database > database:8000",
        "migrate > database:5432",
        "platform > database:5432",
    ];
    let operator = &[
        "cnpg-system/ > database:5432",
        "cnpg-system/ > database:8000",
        "database > database:5432",
        "database > database:8000",
        "migrate > database:5432",
        "platform > database:5432",
    ];
    let prometheus =
        &["monitoring/ > gateway:9081", "monitoring/ > platform:9081", "monitoring/ > channel:9081"];
    let (out, into) = edges(overlay("production"));
    assert_eq!(out, set(&[&SERVICES, outside, cluster]), "production, out");
    let expected = set(&[&SERVICES, operator, prometheus, &["anybody > gateway:8443"]]);
    assert_eq!(into, expected, "production, in");

    let (more_out, more_in) = edges(overlay("everything"));
    let told = &[
        "gateway > observability/:4317",
        "platform > observability/:4317",
        "channel > observability/:4317",
        "platform > nats/:4222",
    ];
    assert_eq!(more_out, out.union(&set(&[told])).cloned().collect(), "everything, out");
    assert_eq!(more_in, into.union(&set(&[&["198.51.100.0/24 > channel:8444"]])).cloned().collect());

    let (out, into) = edges(overlay("external"));
    let database = &["platform > 192.0.2.0/24:5432", "migrate > 192.0.2.0/24:5432"];
    assert_eq!(out, set(&[&SERVICES, database]), "external, out");
    assert_eq!(into, set(&[&SERVICES, &["anybody > gateway:8443"]]), "external, in");
}

#[test]
fn what_no_policy_lets_through_is_denied() {
    for deployed in overlays() {
        let deny = &deployed.one("NetworkPolicy", "default-deny")["spec"];
        let nobody = serde_json::json!({ "podSelector": {}, "policyTypes": ["Ingress", "Egress"] });
        assert_eq!(*deny, nobody, "{}", deployed.name);
        let names = &deployed.one("NetworkPolicy", "names")["spec"];
        assert_eq!(list(&names["egress"]).len(), 1);
        let rule = &names["egress"][0];
        assert_eq!(rule["to"][0]["podSelector"]["matchLabels"]["k8s-app"], "kube-dns");
        assert!(list(&rule["ports"]).iter().all(|port| port["port"] == 53), "{rule}");
        for policy in deployed.of("NetworkPolicy") {
            let types = list(&policy["spec"]["policyTypes"]);
            for (direction, kind) in [("egress", "Egress"), ("ingress", "Ingress")] {
                let has = policy["spec"][direction].is_array();
                assert!(
                    !has || types.contains(&kind.into()),
                    "{}: {direction} counts for nothing",
                    name(policy)
                );
            }
        }
    }
}

#[test]
fn both_ends_let_through_what_passes_between_pods() {
    for deployed in overlays() {
        let (out, into) = edges(deployed);
        let ours: BTreeMap<&str, ()> = deployed
            .workloads()
            .into_iter()
            .map(|workload| (name(workload), ()))
            .chain([("database", ())])
            .collect();
        let between = |edge: &&String| {
            let (from, to) = edge.split_once(" > ").unwrap();
            ours.contains_key(from) && ours.contains_key(to.rsplit_once(':').unwrap().0)
        };
        let (out, into): (Vec<_>, Vec<_>) =
            (out.iter().filter(between).collect(), into.iter().filter(between).collect());
        assert_eq!(out, into, "{}", deployed.name);
    }
}
