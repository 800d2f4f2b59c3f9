//! What every pod must have, so that one that was taken over can do little.

use serde_json::{Value, json};

use crate::manifests::{container, labels, list, name, overlays, pod, selects, text, variables};

#[test]
fn the_namespace_lets_in_restricted_pods_alone() {
    for deployed in overlays() {
        let labels = &deployed.one("Namespace", "rialto")["metadata"]["labels"];
        for mode in ["enforce", "audit", "warn"] {
            assert_eq!(
                labels[format!("pod-security.kubernetes.io/{mode}")],
                "restricted",
                "{}",
                deployed.name
            );
        }
    }
}

#[test]
fn every_pod_is_restricted() {
    for deployed in overlays() {
        for workload in deployed.workloads() {
            let what = format!("{}: {}", deployed.name, name(workload));
            let (of_pod, of_container) =
                (&pod(workload)["securityContext"], &container(workload)["securityContext"]);
            assert_eq!(of_pod["runAsNonRoot"], true, "{what}");
            for id in ["runAsUser", "runAsGroup", "fsGroup"] {
                assert!(of_pod[id].as_u64().is_some_and(|id| id > 0), "{what}: {id}");
            }
            assert_eq!(of_pod["seccompProfile"]["type"], "RuntimeDefault", "{what}");
            let expected = json!({ "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
                "capabilities": { "drop": ["ALL"] } });
            assert_eq!(
                *of_container, expected,
                "{what}: nothing else, since it would count for more than what the pod says"
            );
            for share in ["hostNetwork", "hostPID", "hostIPC", "hostUsers", "shareProcessNamespace"] {
                assert!(pod(workload)[share].is_null(), "{what}: {share}");
            }
            for volume in list(&pod(workload)["volumes"]) {
                let kinds: Vec<&String> =
                    volume.as_object().unwrap().keys().filter(|key| *key != "name").collect();
                let may = ["secret", "projected", "emptyDir", "persistentVolumeClaim"];
                assert!(kinds.iter().all(|kind| may.contains(&kind.as_str())), "{what}: {volume}");
            }
            for mount in list(&container(workload)["volumeMounts"]) {
                let is_secret = text(&mount["mountPath"]).starts_with("/run/rialto/");
                assert!(!is_secret || mount["readOnly"] == true, "{what}: {mount}");
            }
        }
    }
}

#[test]
fn nobody_has_a_token_of_the_cluster() {
    for deployed in overlays() {
        for workload in deployed.workloads() {
            let what = format!("{}: {}", deployed.name, name(workload));
            let account = text(&pod(workload)["serviceAccountName"]);
            assert_eq!(account, name(workload), "{what}: each has an account of its own");
            assert_eq!(
                deployed.one("ServiceAccount", account)["automountServiceAccountToken"],
                false,
                "{what}"
            );
            assert_eq!(pod(workload)["automountServiceAccountToken"], false, "{what}");
            assert_eq!(pod(workload)["enableServiceLinks"], false, "{what}");
        }
        let rights = ["Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"];
        assert!(rights.iter().all(|kind| deployed.of(kind).next().is_none()), "{}", deployed.name);
    }
}

#[test]
fn images_are_pinned_and_of_this_version() {
    let version = env!("CARGO_PKG_VERSION");
    for deployed in overlays() {
        for workload in deployed.workloads() {
            let image = text(&container(workload)["image"]);
            let what = format!("{}: {}: {image}", deployed.name, name(workload));
            let (repository, tag) = image.rsplit_once(':').unwrap_or_else(|| panic!("{what} has no tag"));
            assert!(tag.starts_with(|c: char| c.is_ascii_digit()) && tag.contains('.'), "{what}");
            if repository.contains("rialto/") {
                assert_eq!(tag, version, "{what}");
            }
        }
        for cluster in deployed.of("Cluster") {
            let (_, tag) = text(&cluster["spec"]["imageName"]).rsplit_once(':').unwrap();
            assert!(tag.contains('.'), "{tag}");
        }
    }
    let dockerfile = std::fs::read_to_string(crate::tools::deploy().join("images/Dockerfile")).unwrap();
    assert!(dockerfile.contains(&format!("ARG VERSION={version}\n")), "the images' version");
}

#[test]
fn everybody_says_what_they_need() {
    for deployed in overlays() {
        for workload in deployed.workloads() {
            let resources = &container(workload)["resources"];
            let what = format!("{}: {}: {resources}", deployed.name, name(workload));
            assert!(["cpu", "memory"].iter().all(|kind| resources["requests"][kind].is_string()), "{what}");
            assert!(resources["limits"]["memory"].is_string(), "{what}");
            // One that waits for its share of a core holds up payments that others would have made.
            assert!(resources["limits"]["cpu"].is_null(), "{what}");
        }
    }
}

/// What a program would take for a secret.
fn is_secret(name: &str) -> bool {
    let words = ["PASSWORD", "SECRET", "TOKEN", "DATABASE_URL"];
    words.iter().any(|word| name.contains(word)) && !name.ends_with("_FILE")
}

#[test]
fn secrets_are_files_and_nothing_else() {
    for deployed in overlays() {
        assert!(
            deployed.of("ConfigMap").next().is_none(),
            "{}: nothing here is for a ConfigMap",
            deployed.name
        );
        let secrets = deployed.of("Secret").count();
        assert_eq!(secrets > 0, deployed.name == "dev", "only the overlay of development brings its secrets");
        for workload in deployed.workloads() {
            let what = format!("{}: {}", deployed.name, name(workload));
            assert!(container(workload)["envFrom"].is_null(), "{what}");
            for variable in list(&container(workload)["env"]) {
                assert!(variable["valueFrom"].is_null(), "{what}: {variable}");
            }
            for (name, value) in variables(workload) {
                assert!(!is_secret(name), "{what}: {name} is a secret: give a file");
                assert!(!value.contains('@') && !value.contains("PRIVATE"), "{what}: {name}");
            }
            let words = ["command", "args"].iter().flat_map(|part| list(&container(workload)[part]));
            for word in words.map(text) {
                assert!(!word.contains("postgres:") && !is_secret(&word.to_uppercase()), "{what}: {word}");
            }
            for volume in list(&pod(workload)["volumes"]) {
                let mode =
                    volume["secret"]["defaultMode"].as_u64().or(volume["projected"]["defaultMode"].as_u64());
                let is_secret = volume["secret"].is_object() || volume["projected"].is_object();
                assert!(!is_secret || mode == Some(0o440), "{what}: {volume}");
            }
        }
    }
}

#[test]
fn what_selects_pods_selects_those_that_it_is_named_after() {
    for deployed in overlays() {
        for workload in deployed.workloads() {
            let what = format!("{}: {}", deployed.name, name(workload));
            assert_eq!(labels(workload)["app.kubernetes.io/name"], name(workload), "{what}");
            let selector: &Value = &workload["spec"]["selector"];
            assert!(workload["kind"] == "Job" || selects(selector, labels(workload)), "{what}");
        }
    }
}
