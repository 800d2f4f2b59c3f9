//! The images: built by buildah from programs that are at hand.

use std::{
    collections::BTreeMap,
    env, fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use harness::{binaries, fetched, postgres::own_folder};
use serde_json::Value;

use crate::{
    manifests::{list, text},
    tools::{self, said},
};

const PROGRAMS: [&str; 4] = ["gateway", "platform", "channel", "bank"];
/// Whom images run as.
pub const NOBODY: u32 = 65_532;
/// What an image may weigh, in bytes, when its program was built as for a release; and all of it but the program.
const MAX_SIZE: u64 = 40_000_000;
const MAX_REST: u64 = 5_000_000;

/// Where the programs are: those that the tests were built with, or a folder such as target/dist.
fn programs() -> PathBuf {
    env::var_os("RIALTO_IMAGE_PROGRAMS").map_or_else(|| binaries::folder().unwrap(), PathBuf::from)
}

/// The images' store, of this process alone, and a container of each image.
pub struct Store {
    folder: PathBuf,
    /// By the programs that the images are of.
    pub containers: BTreeMap<&'static str, Container>,
}

/// A container that is not running: its name, and its root.
pub struct Container(pub String, pub PathBuf);

impl Store {
    fn buildah(&self) -> Command {
        let mut command = Command::new("buildah");
        // What works without the kernel's help, in a container too.
        command.env("BUILDAH_ISOLATION", "chroot").args(["--storage-driver", "vfs"]);
        command.arg("--root").arg(self.folder.join("store")).arg("--runroot").arg(self.folder.join("run"));
        command
    }

    /// What buildah says to these words.
    fn says(&self, words: &[&str]) -> String {
        said(self.buildah().args(words)).unwrap_or_else(|error| panic!("{error}")).trim().to_owned()
    }

    /// Builds the image of a program, and makes a container of it.
    fn build(&mut self, program: &'static str) {
        let (source, context) = (tools::deploy().join(".."), self.folder.join("context"));
        let mut make = Command::new(source.join("deploy/images/root.sh"));
        make.arg(programs().join(program)).arg(context.join("roots").join(program));
        said(&mut make).unwrap_or_else(|error| panic!("{error}"));
        let context = format!("--build-context=build={}", context.display());
        let mut build = self.buildah();
        build.args([
            "bud",
            "--file",
            "deploy/images/Dockerfile",
            "--target",
            program,
            "--tag",
            &image(program),
        ]);
        build.args([context.as_str(), "--build-arg=REVISION=tested", "."]).current_dir(&source);
        said(&mut build).unwrap_or_else(|error| panic!("{error}"));
        let container = self.says(&["from", &image(program)]);
        let root = self.says(&["mount", &container]).into();
        self.containers.insert(program, Container(container, root));
    }
}

fn image(program: &str) -> String {
    format!("localhost/rialto/{program}:test")
}

/// All images, built once.
pub fn built() -> &'static Store {
    static BUILT: OnceLock<Store> = OnceLock::new();
    BUILT.get_or_init(|| {
        assert!(fetched::is_installed("buildah"), "install buildah (Debian: apt-get install buildah)");
        let mut store = Store { folder: own_folder("images").unwrap(), containers: BTreeMap::new() };
        PROGRAMS.into_iter().for_each(|program| store.build(program));
        store
    })
}

/// The regular files below a folder, and their sizes.
fn sizes(folder: &Path) -> BTreeMap<PathBuf, u64> {
    let entries = fs::read_dir(folder).unwrap().flatten();
    let below = entries.flat_map(|entry| match entry.file_type().unwrap().is_dir() {
        true => sizes(&entry.path()),
        false => BTreeMap::from([(entry.path(), entry.metadata().unwrap().len())]),
    });
    below.collect()
}

#[test]
fn neither_the_dockerfile_nor_a_script_has_a_fault_that_is_known() {
    let at = |file: &str| tools::deploy().join(file);
    let mut lint = tools::program("hadolint");
    said(lint.arg(at("images/Dockerfile"))).unwrap_or_else(|error| panic!("{error}"));
    let scripts = ["images/root.sh", "images/sbom.sh", "development/files.sh"].map(at);
    said(tools::program("shellcheck").args(scripts)).unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn an_image_is_one_program_that_says_what_it_is() {
    let store = built();
    for program in PROGRAMS {
        let inspected = store.says(&["inspect", "--type=image", &image(program)]);
        let inspected: Value = serde_json::from_str(&inspected).unwrap();
        let config = &inspected["OCIv1"]["config"];
        assert_eq!(config["User"], format!("{NOBODY}:{NOBODY}"), "{program}: a number that is not root's");
        assert_eq!(config["Entrypoint"], serde_json::json!([format!("/{program}")]));
        let label =
            |name: &str| text(&config["Labels"][format!("org.opencontainers.image.{name}")]).to_owned();
        assert_eq!(label("version"), env!("CARGO_PKG_VERSION"), "{program}");
        assert_eq!(
            (label("licenses").as_str(), label("revision").as_str()),
            ("Apache-2.0", "tested"),
            "{program}"
        );
        assert!(!label("title").is_empty() && !label("description").is_empty(), "{program}");

        let Container(container, root) = &store.containers[program];
        let held = sizes(root);
        let own = held[&root.join(program)];
        let all: u64 = held.values().sum();
        assert!(all - own <= MAX_REST, "{program}: {held:?}");
        assert!(!programs().ends_with("dist") || all <= MAX_SIZE, "{program}: {all} bytes");
        let is_program = |file: &&PathBuf| fs::metadata(file).unwrap().permissions().mode() & 0o111 != 0;
        let others = held.keys().filter(is_program).filter(|file| !file.to_str().unwrap().contains("/lib"));
        assert_eq!(others.collect::<Vec<_>>(), [&root.join(program)], "nothing else can be run");
        for file in held.keys() {
            assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o7022, 0, "{}", file.display());
        }
        let trusted = fs::read_to_string(root.join("etc/ssl/certs/ca-certificates.crt")).unwrap();
        assert!(
            trusted.matches("BEGIN CERTIFICATE").count() > 50,
            "{program}: webhooks go to servers of any CA"
        );
        assert!(root.join(text(&config["Labels"]["rialto.licence"]).trim_start_matches('/')).is_file());
        is_bill_of_materials(
            program,
            &root.join(text(&config["Labels"]["rialto.sbom"]).trim_start_matches('/')),
        );

        let help = store.says(&["run", container, "--", &format!("/{program}"), "--help"]);
        assert!(help.contains("--listen"), "{program}: {help}");
    }
}

fn is_bill_of_materials(program: &str, file: &Path) {
    let bill: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    assert_eq!((text(&bill["bomFormat"]), text(&bill["specVersion"])), ("CycloneDX", "1.5"));
    assert_eq!(bill["metadata"]["component"]["name"], program);
    let parts = list(&bill["components"]);
    for expected in ["tokio", "rustls", "aws-lc-sys", "libc6"] {
        assert!(parts.iter().any(|part| part["name"] == expected), "{program} is made of {expected}");
    }
    for part in parts {
        let (purl, licence) = (text(&part["purl"]), &part["licenses"][0]["expression"]);
        assert!(purl.ends_with(&format!("@{}", text(&part["version"]).replace('+', "%2B"))), "{part}");
        let is_crate = purl.starts_with("pkg:cargo/");
        assert!(is_crate || purl.starts_with("pkg:deb/debian/"), "{part}");
        assert!(!is_crate || spdx::Expression::parse(text(licence)).is_ok(), "{part}");
    }
    assert!(parts.len() > 80, "{program}: {}", parts.len());
}
