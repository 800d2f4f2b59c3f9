//! Validation of XML documents against the schemas under `tests/iso20022/xsd`.
//!
//! It blocks, and costs one process for any number of documents. It never skips: without a validator it is an error.

use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::fetched;

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

/// The Python of an environment of its own below the target directory, made at the first use. The links in an environment are to the
/// Python it was made with, so that it may be renamed.
fn python_with_lxml() -> Result<PathBuf, String> {
    let python = |environment: &Path| environment.join("bin/python");
    let is_whole = |environment: &Path| has_lxml(&python(environment));
    let environment = fetched::folder("xsd-venv", ADVICE, is_whole, |fresh| {
        let here = Path::new(".");
        fetched::run("python3", [OsStr::new("-m"), OsStr::new("venv"), fresh.as_os_str()], here)?;
        fetched::run(python(fresh), ["-m", "pip", "install", "--quiet", "lxml"], here)
    })?;
    Ok(python(&environment))
}

fn has_lxml(python: &Path) -> bool {
    Command::new(python)
        .args(["-c", "from lxml import etree"])
        .output()
        .is_ok_and(|output| output.status.success())
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
