//! Files that hold a secret.

use std::{
    fs::OpenOptions,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// Writes a secret to a new file, which nobody but its owner may read or write (mode 0600).
///
/// # Errors
/// When the file can't be written, and when there is one already, which stays as it is: it may hold the only copy of a key.
pub fn create(path: &Path, secret: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600).open(path)?.write_all(secret)
}

#[cfg(test)]
mod tests {
    use std::{env, fs, io::ErrorKind, os::unix::fs::PermissionsExt, process};

    use super::*;

    #[test]
    fn a_secret_is_its_owners_alone_and_replaces_no_other() {
        let folder = env::temp_dir().join(format!("private-file-{}", process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("key");
        let made = create(&path, b"first");
        let mode = fs::metadata(&path).map(|file| file.permissions().mode() & 0o777);
        let again = create(&path, b"second").map_err(|error| error.kind());
        let kept = fs::read(&path);
        fs::remove_dir_all(&folder).unwrap();
        assert!(made.is_ok(), "{made:?}");
        assert_eq!(
            (mode.unwrap(), again, kept.unwrap()),
            (0o600, Err(ErrorKind::AlreadyExists), b"first".to_vec())
        );
    }
}
