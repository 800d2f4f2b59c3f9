//! What is asked of others' operators, whose schemas no registry of packages has: the rules that matter, by hand. All of it was checked once
//! against the definitions of cert-manager 1.15, CloudNativePG 1.25, External Secrets v1 and Prometheus Operator.

use crate::manifests::{SERVICES, container, list, name, overlay, text, variables};

#[test]
fn every_service_has_one_identity_of_one_ca() {
    let deployed = overlay("production");
    for service in SERVICES {
        let certificate = &deployed.one("Certificate", &format!("{service}-identity"))["spec"];
        assert_eq!(list(&certificate["uris"]), [format!("spiffe://rialto/{service}")], "{service}");
        assert_eq!(certificate["secretName"], format!("{service}-identity"));
        let issuer = deployed.one("Issuer", text(&certificate["issuerRef"]["name"]));
        let ca = deployed.one("Certificate", text(&issuer["spec"]["ca"]["secretName"]));
        assert!(ca["spec"]["isCA"] == true && ca["spec"]["secretName"] == issuer["spec"]["ca"]["secretName"]);
        for usage in ["server auth", "client auth"] {
            assert!(list(&certificate["usages"]).contains(&usage.into()), "{service}: {usage}");
        }
        assert_eq!(certificate["privateKey"]["rotationPolicy"], "Always", "{service}");
    }
    for (caller, variable, service) in
        [("gateway", "RIALTO_PLATFORM", "platform"), ("platform", "RIALTO_CHANNEL", "channel")]
    {
        let url = variables(deployed.one("Deployment", caller))[variable];
        let host = url.strip_prefix("https://").unwrap().split(':').next().unwrap();
        let names = &deployed.one("Certificate", &format!("{service}-identity"))["spec"]["dnsNames"];
        assert!(list(names).contains(&host.into()), "{caller} looks for {host}");
    }
}

#[test]
fn a_commit_is_on_two_disks_and_the_database_shows_who_it_is() {
    let deployed = overlay("production");
    let cluster = &deployed.one("Cluster", "database")["spec"];
    let synchronous = &cluster["postgresql"]["synchronous"];
    assert!(synchronous["number"] == 1 && synchronous["dataDurability"] == "required", "{synchronous}");
    assert_eq!(cluster["postgresql"]["parameters"]["synchronous_commit"], "on");
    assert!(cluster["instances"].as_u64().is_some_and(|instances| instances >= 3));
    assert_eq!(cluster["affinity"]["podAntiAffinityType"], "required");
    for workload in [deployed.one("Deployment", "platform"), deployed.one("Job", "migrate")] {
        let variables = variables(workload);
        assert_eq!(variables["PGSSLMODE"], "verify-full", "{}", name(workload));
        assert_eq!(variables["PGSSLROOTCERT"], "/run/rialto/database/ca.crt", "{}", name(workload));
        let behind = &deployed.mounts(workload)["/run/rialto/database"];
        assert_eq!(
            *behind,
            ["database-app", "database-ca"],
            "what CloudNativePG makes for a cluster of this name"
        );
    }
}

#[test]
fn every_secret_comes_from_somewhere() {
    let deployed = overlay("production");
    let made = |kind: &str, part: &str, field: &str| {
        deployed.of(kind).map(|object| text(&object["spec"][part][field]).to_owned()).collect::<Vec<_>>()
    };
    let certificates =
        deployed.of("Certificate").map(|object| text(&object["spec"]["secretName"]).to_owned());
    let database = ["database-app", "database-ca"].map(str::to_owned);
    let made: Vec<String> =
        made("ExternalSecret", "target", "name").into_iter().chain(certificates).chain(database).collect();
    for workload in deployed.workloads() {
        for secret in deployed.mounts(workload).into_values().flatten() {
            assert!(made.contains(&secret), "{}: nobody makes {secret}", name(workload));
        }
    }
}

#[test]
fn prometheus_reads_each_service_under_the_name_that_alerts_know() {
    let deployed = overlay("production");
    for service in SERVICES {
        let monitor = &deployed.one("PodMonitor", service)["spec"];
        assert_eq!(monitor["selector"]["matchLabels"]["app.kubernetes.io/name"], service);
        let endpoint = &monitor["podMetricsEndpoints"][0];
        let ports = list(&container(deployed.one("Deployment", service))["ports"]);
        assert!(ports.iter().any(|port| port["name"] == endpoint["port"]), "{service}");
        assert_eq!(endpoint["relabelings"][0]["replacement"], format!("rialto-{service}"));
    }
}
