//! What the bench fetches once, by the package registries' own clients, into the target directory.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
};

use crate::binaries;

/// A folder below the target directory, which `make` fills at the first use; `is_whole` says whether what is there is good. `advice` says
/// what to do where it can't be had.
///
/// # Errors
/// Why it can't be had, and the advice.
pub fn folder(
    name: &str,
    advice: &str,
    is_whole: impl Fn(&Path) -> bool,
    make: impl FnOnce(&Path) -> Result<(), String>,
) -> Result<PathBuf, String> {
    // Tests of one process take turns here; those of another make a folder of their own and rename it into place.
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().map_err(|_| format!("a test failed while it fetched something for {name}"))?;
    let target = binaries::target().map_err(|error| error.to_string())?;
    let folder = target.join(name);
    if is_whole(&folder) {
        return Ok(folder);
    }
    let fresh = target.join(format!("{name}-{}", std::process::id()));
    if let Err(error) = make(&fresh) {
        drop(fs::remove_dir_all(&fresh));
        return Err(format!("{error}; {advice}"));
    }
    if fs::rename(&fresh, &folder).is_err() {
        if is_whole(&folder) {
            drop(fs::remove_dir_all(&fresh));
        } else {
            drop(fs::remove_dir_all(&folder));
            fs::rename(&fresh, &folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        }
    }
    if is_whole(&folder) { Ok(folder) } else { Err(format!("{name} was fetched and is not whole; {advice}")) }
}

/// Runs a program to its end, in a folder.
///
/// # Errors
/// When it can't be run or fails; with what it said.
pub fn run(
    program: impl AsRef<OsStr>,
    arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
    folder: &Path,
) -> Result<(), String> {
    let name = program.as_ref().to_string_lossy().into_owned();
    match Command::new(program).args(arguments).current_dir(folder).output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("{name}: {}", String::from_utf8_lossy(&output.stderr).trim())),
        Err(error) => Err(format!("{name}: {error}")),
    }
}

/// Whether this machine has a program installed: whether it says its version.
pub fn is_installed(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}
