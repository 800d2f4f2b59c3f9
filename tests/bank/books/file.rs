//! The file behind the books: one JSON line per record, only ever appended to.

use std::fmt::Display;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::sync::Arc;

use tokio::task::{spawn_blocking, yield_now};

use super::record::Record;
use super::{Output, Progress, Shared};

/// Appends the line of `record` to `queue`.
pub(super) fn append_line(queue: &mut Vec<u8>, record: &Record) -> Result<(), serde_json::Error> {
    let before = queue.len();
    serde_json::to_writer(&mut *queue, record).inspect_err(|_| queue.truncate(before))?;
    queue.push(b'\n');
    Ok(())
}

/// Opens or creates the file for this process alone and gives every record to `apply`, which says what is wrong with it.
pub(super) fn open(
    path: &Path,
    mut apply: impl FnMut(Record) -> Result<(), &'static str>,
) -> Result<File, String> {
    let failed = |error: &dyn Display| format!("{}: {error}", path.display());
    let file =
        OpenOptions::new().create(true).append(true).read(true).open(path).map_err(|error| failed(&error))?;
    file.try_lock().map_err(|_| failed(&"another bank is using these books"))?;
    let mut reader = BufReader::new(&file);
    let mut line = Vec::new();
    let mut whole: u64 = 0;
    for number in 1_u64.. {
        line.clear();
        let length = reader.read_until(b'\n', &mut line).map_err(|error| failed(&error))?;
        if line.last() != Some(&b'\n') {
            break;
        }
        let wrong = |error: &dyn Display| failed(&format!("line {number}: {error}"));
        let record: Record = serde_json::from_slice(&line).map_err(|error| wrong(&error))?;
        apply(record).map_err(|error| wrong(&error))?;
        whole += u64::try_from(length).unwrap_or_default();
    }
    file.set_len(whole).and_then(|()| file.sync_all()).map_err(|error| failed(&error))?;
    // A new file survives a crash only once its directory does.
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(|error| failed(&error))?;
    Ok(file)
}

/// Writes, group by group, everything that was queued while the last group was on its way to the disk. Ends at the first
/// failure.
pub(super) async fn write_groups(shared: Arc<Shared>) {
    loop {
        shared.queued.notified().await;
        // What is ready to be decided now goes into the same group.
        yield_now().await;
        let writing = Arc::clone(&shared);
        let progress = spawn_blocking(move || write_group(&writing)).await.unwrap_or(Progress::Broken);
        shared.progress.send_replace(progress);
        if progress == Progress::Broken {
            return;
        }
    }
}

/// Appends all that is queued in one write, and syncs once.
pub(super) fn write_group(shared: &Shared) -> Progress {
    let mut output = shared.lock_output();
    let Output { file, group } = &mut *output;
    group.clear();
    let mut state = shared.lock();
    std::mem::swap(group, &mut state.queue);
    let lines = state.lines;
    drop(state);
    if *shared.progress.borrow() == Progress::Broken {
        return Progress::Broken;
    }
    match file.write_all(group).and_then(|()| file.sync_data()) {
        Ok(()) => Progress::Durable(lines),
        // After a failed sync nobody knows what the disk holds, so the books stay shut until a restart reads them.
        Err(_) => Progress::Broken,
    }
}
