//! The programs of this workspace, built like the one that asks.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use crate::BenchError;

/// The folder that the programs are in: where this very program was built to.
///
/// # Errors
/// When the system does not say which program this is.
pub fn folder() -> Result<PathBuf, BenchError> {
    let this = env::current_exe()?;
    let folder = this.parent().ok_or("this program is in no folder")?;
    let in_deps = folder.file_name().is_some_and(|name| name == "deps");
    Ok(if in_deps { folder.parent().unwrap_or(folder) } else { folder }.to_owned())
}

/// The workspace's own folder for what is made at run time; nothing outside it is touched.
///
/// # Errors
/// See [`folder`].
pub fn target() -> Result<PathBuf, BenchError> {
    Ok(folder()?.parent().ok_or("the build folder has no parent")?.to_owned())
}

/// What a system is made of, and what people call it with. The other programs are for whoever runs them, and are built then.
const SYSTEM: [&str; 5] = ["bank", "channel", "gateway", "platform", "rialto"];

/// Builds the programs that a system is made of, with these features (`package/feature`).
///
/// # Errors
/// When the build fails.
pub fn build(features: &[&str]) -> Result<(), BenchError> {
    build_programs(&SYSTEM, features)
}

/// Builds programs with the profile of this one and these features. Where there is no cargo, those that are there must do.
///
/// # Errors
/// When the build fails.
pub fn build_programs(programs: &[&str], features: &[&str]) -> Result<(), BenchError> {
    let Some(cargo) = env::var_os("CARGO") else { return Ok(()) };
    let profile = match folder()?.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev".to_owned(),
        Some(other) => other.to_owned(),
    };
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml");
    let status = Command::new(cargo)
        .args(["build", "--quiet", "--workspace", "--profile", &profile, "--manifest-path"])
        .arg(manifest)
        .args(programs.iter().map(|program| format!("--bin={program}")))
        .args(["--features", &features.join(",")])
        .status()?;
    if status.success() {
        Ok(())
    } else {
        Err("the programs do not build; the compiler's messages are above".into())
    }
}

/// One of the programs.
///
/// # Errors
/// When it is not there.
pub fn program(name: &str) -> Result<PathBuf, BenchError> {
    program_in(&folder()?, name)
}

/// One of the programs in a folder.
///
/// # Errors
/// When it is not there.
pub fn program_in(folder: &Path, name: &str) -> Result<PathBuf, BenchError> {
    let path = folder.join(name);
    if path.is_file() {
        Ok(path)
    } else {
        Err(format!("{} is not there: run `cargo build`", path.display()).into())
    }
}
