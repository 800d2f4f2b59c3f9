//! Validation of XML documents against the schemas under `tests/iso20022/xsd`.
//!
//! It blocks, and costs one process for any number of documents. It never skips: without a validator it is an error.

use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::binaries;

/// What to do where neither way works.
const ADVICE: &str =
    "install xmllint (Debian: libxml2-utils), or Python 3 with venv and access to the package lxml";

/// Takes the schema and then the documents as arguments, and says what is wrong with each.
const LXML: &str = r"
import sys
from lxml import etree
schema = etree.XMLSchema(etree.parse(sys.argv[1]))
bad = 0
for path in sys.argv[2:]:
    try:
        schema.assertValid(etree.parse(path))
    except (etree.XMLSyntaxError, etree.DocumentInvalid) as error:
        bad = 1
        print(f'{path}: {error}', file=sys.stderr)
sys.exit(bad)
";

/// Checks every document against the schema of that name, say `pacs.002.001.10`.
///
/// # Errors
///
/// What the validator found, with the documents that it found it in, or why none could be run.
pub fn validate(schema: &str, documents: &[String]) -> Result<(), String> {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let schema = package.join("iso20022/xsd").join(format!("{schema}.xsd"));
    if !schema.is_file() {
        return Err(format!("there is no schema {}", schema.display()));
    }
    if documents.is_empty() {
        return Err("no documents to validate".to_owned());
    }
    let directory = Scratch::new()?;
    let mut files = Vec::with_capacity(documents.len());
    for (number, document) in documents.iter().enumerate() {
        let file = directory.0.join(format!("{number}.xml"));
        fs::write(&file, document).map_err(|error| format!("{}: {error}", file.display()))?;
        files.push(file);
    }
    let output = match with_xmllint(&schema, &files) {
        Some(output) => output?,
        None => with_lxml(&schema, &files)?,
    };
    if output.status.success() {
        return Ok(());
    }
    let mut report = String::from_utf8_lossy(&output.stderr).into_owned();
    for (file, document) in files.iter().zip(documents) {
        if report.contains(&*file.to_string_lossy())
            && !report.contains(&format!("{} validates", file.display()))
        {
            report.push_str(&format!("\n{}:\n{document}\n", file.display()));
        }
    }
    Err(report)
}

/// None where xmllint is not installed.
fn with_xmllint(schema: &Path, files: &[PathBuf]) -> Option<Result<Output, String>> {
    let mut command = Command::new("xmllint");
    command.args(["--noout", "--nonet", "--schema"]).arg(schema).args(files);
    match command.output() {
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        output => Some(output.map_err(|error| format!("xmllint: {error}"))),
    }
}

fn with_lxml(schema: &Path, files: &[PathBuf]) -> Result<Output, String> {
    let python = python_with_lxml()?;
    let output = Command::new(&python).args(["-c", LXML]).arg(schema).args(files).output();
    output.map_err(|error| format!("{}: {error}; {ADVICE}", python.display()))
}

/// The Python of an environment of its own below the target directory, made at the first use.
fn python_with_lxml() -> Result<PathBuf, String> {
    // Tests of one process take turns here; those of another make an environment of their own and rename it into place.
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().map_err(|_| "a test failed while it made the Python environment".to_owned())?;
    let target = binaries::target().map_err(|error| error.to_string())?;
    let environment = target.join("xsd-venv");
    let python = environment.join("bin/python");
    if has_lxml(&python) {
        return Ok(python);
    }
    let fresh = target.join(format!("xsd-venv-{}", std::process::id()));
    let made = run("python3", &["-m".into(), "venv".into(), fresh.clone().into()]).and_then(|()| {
        let install = ["-m", "pip", "install", "--quiet", "lxml"].map(OsString::from);
        run(fresh.join("bin/python"), &install)
    });
    if let Err(error) = made {
        drop(fs::remove_dir_all(&fresh));
        return Err(error);
    }
    // The links in an environment are to the Python it was made with, so that it may be renamed.
    if fs::rename(&fresh, &environment).is_err() {
        if has_lxml(&python) {
            drop(fs::remove_dir_all(&fresh));
        } else {
            drop(fs::remove_dir_all(&environment));
            fs::rename(&fresh, &environment)
                .map_err(|error| format!("{}: {error}", environment.display()))?;
        }
    }
    if has_lxml(&python) { Ok(python) } else { Err(format!("lxml cannot be imported; {ADVICE}")) }
}

fn has_lxml(python: &Path) -> bool {
    Command::new(python)
        .args(["-c", "from lxml import etree"])
        .output()
        .is_ok_and(|output| output.status.success())
}

fn run(program: impl AsRef<std::ffi::OsStr>, arguments: &[OsString]) -> Result<(), String> {
    let name = program.as_ref().to_string_lossy().into_owned();
    match Command::new(program).args(arguments).output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("{name}: {}; {ADVICE}", String::from_utf8_lossy(&output.stderr).trim())),
        Err(error) => Err(format!("{name}: {error}; {ADVICE}")),
    }
}

/// A directory that goes with the validation.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self, String> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("xsd-{}-{number}", std::process::id()));
        fs::create_dir_all(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
        Ok(Self(directory))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}
