//! What the services' code names, so that the bench's tables can be held against it.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// What stands in quotes behind `call(` in the code of the services: the service, and the name.
pub fn names(call: &str) -> BTreeSet<(&'static str, String)> {
    let opening = format!("{call}(\"");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut names = BTreeSet::new();
    for service in ["common", "gateway", "platform", "channel"] {
        for file in files(&root.join(service).join("src")) {
            // What the two modules say of themselves are examples.
            if file.ends_with("common/src/crash_point.rs") || file.ends_with("common/src/planted.rs") {
                continue;
            }
            let text = fs::read_to_string(file).unwrap();
            let quoted = text.split(&opening).skip(1).filter_map(|rest| rest.split('"').next());
            names.extend(quoted.map(|name| (service, name.to_owned())));
        }
    }
    names
}
