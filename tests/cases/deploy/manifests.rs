//! What is deployed: the objects that kustomize makes of an overlay.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
    process::Command,
    sync::OnceLock,
};

use harness::postgres::own_folder;
use serde_json::Value;

use crate::tools::{self, said};

/// The services, each of which runs several times.
pub const SERVICES: [&str; 3] = ["gateway", "platform", "channel"];
/// Kinds that operators bring with them: no schema of Kubernetes knows them.
const OF_OPERATORS: [&str; 5] = ["Certificate", "Issuer", "ExternalSecret", "PodMonitor", "Cluster"];
/// The oldest Kubernetes that all of it works on, and the newest that it was checked against.
const VERSIONS: [&str; 2] = ["1.30", "1.37"];
/// What a production may be made of besides what the overlay has.
const EVERYTHING: &str = "namespace: rialto\nresources: [../production]\ncomponents: [../../components/otlp, ../../components/broker, ../../components/bank-notices]\n";
const EXTERNAL: &str = "resources: [../../base]\nnamespace: rialto\ncomponents: \
    [../../components/cert-manager, ../../components/external-database]\n";

/// A copy of the folder `deploy`, with the files of development and further overlays.
pub fn folder() -> PathBuf {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    let make = || {
        let folder = own_folder("deploy").unwrap().join("deploy");
        said(Command::new("cp").arg("-r").arg(tools::deploy()).arg(&folder)).unwrap();
        drop(fs::remove_dir_all(folder.join("development/files")));
        said(&mut Command::new(folder.join("development/files.sh"))).unwrap();
        for (name, content) in [("everything", EVERYTHING), ("external", EXTERNAL)] {
            let overlay = folder.join("kubernetes/overlays").join(name);
            fs::create_dir_all(&overlay).unwrap();
            let head = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n";
            fs::write(overlay.join("kustomization.yaml"), format!("{head}{content}")).unwrap();
        }
        folder
    };
    MADE.get_or_init(make).clone()
}

/// What is deployed by one overlay.
pub struct Deployed {
    /// The overlay.
    pub name: &'static str,
    /// All of it.
    pub objects: Vec<Value>,
}

/// Every overlay: `dev`, `production`, with every component (`everything`), and with a database elsewhere (`external`).
pub fn overlays() -> &'static [Deployed] {
    static MADE: OnceLock<Vec<Deployed>> = OnceLock::new();
    MADE.get_or_init(|| {
        let make = |name: &'static str| {
            let overlays = folder().join("kubernetes/overlays");
            let file = overlays.join(format!("{name}.yaml"));
            fs::write(&file, tools::kustomize(&overlays.join(name))).unwrap();
            Deployed { name, objects: tools::documents(&file) }
        };
        ["dev", "production", "everything", "external"].map(make).into()
    })
}

/// One overlay.
pub fn overlay(name: &str) -> &'static Deployed {
    overlays().iter().find(|deployed| deployed.name == name).unwrap()
}

/// An object's name.
pub fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap()
}

/// The items of a list; none if there is none.
pub fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// A text, or nothing.
pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

impl Deployed {
    /// The objects of a kind.
    pub fn of(&self, kind: &str) -> impl Iterator<Item = &Value> {
        self.objects.iter().filter(move |object| object["kind"] == kind)
    }

    /// One object.
    pub fn one(&self, kind: &str, called: &str) -> &Value {
        let found = self.of(kind).find(|object| name(object) == called);
        found.unwrap_or_else(|| panic!("{}: there is no {kind} {called}", self.name))
    }

    /// All that makes pods.
    pub fn workloads(&self) -> Vec<&Value> {
        let kinds = ["Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob", "Pod", "ReplicaSet"];
        let found: Vec<&Value> = kinds.iter().flat_map(|kind| self.of(kind)).collect();
        assert!(found.len() >= 4, "{}", self.name);
        found
    }

    /// Where a pod's files are: the path and the Secrets' names behind each, or none if it is no Secret.
    pub fn mounts(&self, workload: &Value) -> BTreeMap<String, Vec<String>> {
        let spec = pod(workload);
        let secrets = |called: &str| {
            let volume = list(&spec["volumes"]).iter().find(|volume| volume["name"] == called);
            // What a StatefulSet claims is no volume of its pods' own.
            let volume = volume.unwrap_or(&Value::Null);
            let projected =
                list(&volume["projected"]["sources"]).iter().map(|source| &source["secret"]["name"]);
            let names = std::iter::once(&volume["secret"]["secretName"]).chain(projected);
            names.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let mounts = list(&container(workload)["volumeMounts"]).iter();
        mounts.map(|mount| (text(&mount["mountPath"]).to_owned(), secrets(text(&mount["name"])))).collect()
    }
}

/// The specification of a workload's pods.
pub fn pod(workload: &Value) -> &Value {
    &workload["spec"]["template"]["spec"]
}

/// The labels of its pods.
pub fn labels(workload: &Value) -> &Value {
    &workload["spec"]["template"]["metadata"]["labels"]
}

/// Its one container.
pub fn container(workload: &Value) -> &Value {
    let containers = list(&pod(workload)["containers"]);
    assert_eq!(containers.len(), 1, "{}", name(workload));
    assert!(list(&pod(workload)["initContainers"]).is_empty(), "{}", name(workload));
    containers.first().unwrap()
}

/// The variables of its container.
pub fn variables(workload: &Value) -> BTreeMap<&str, &str> {
    let variables = list(&container(workload)["env"]);
    let found: BTreeMap<&str, &str> =
        variables.iter().map(|variable| (text(&variable["name"]), text(&variable["value"]))).collect();
    assert_eq!(found.len(), variables.len(), "{}: a variable is given twice", name(workload));
    found
}

/// Whether a selector (`matchLabels`, `matchExpressions` with `In`) is of pods with these labels.
pub fn selects(selector: &Value, labels: &Value) -> bool {
    let equal =
        selector["matchLabels"].as_object().into_iter().flatten().all(|(key, value)| labels[key] == *value);
    let within = list(&selector["matchExpressions"]).iter().all(|expression| {
        assert_eq!(expression["operator"], "In");
        list(&expression["values"]).contains(&labels[text(&expression["key"])])
    });
    equal && within
}

#[test]
fn every_overlay_is_valid() {
    for Deployed { name, objects } in overlays() {
        let known = |kind: &str| !OF_OPERATORS.contains(&kind);
        let expected = objects.iter().filter(|object| known(text(&object["kind"]))).count();
        for version in VERSIONS {
            let file = folder().join(format!("kubernetes/overlays/{name}.yaml"));
            let mut validate = tools::python(&["-m", "kubernetes_validate", "--strict", "-k", version]);
            let output = validate.arg(&file).output().unwrap();
            let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
            assert!(output.status.success(), "{name}: {said}");
            assert_eq!(said.matches(" passed ").count(), expected, "{name}: {said}");
        }
        let mut seen = BTreeSet::new();
        for object in objects {
            let what = (text(&object["kind"]), crate::manifests::name(object));
            assert!(seen.insert(what), "{name}: {what:?} is there twice");
            let own = &object["metadata"]["namespace"];
            assert!(object["kind"] == "Namespace" || own == "rialto", "{name}: {what:?} is in {own}");
        }
    }
}
