//! The file behind the books: one JSON line per entry, only ever appended to.

use std::fmt::Display;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use super::{Amount, Currency, Entry, Progress, Reason, References, Shared};
use crate::messages::Stamp;

/// An entry as it stands in the file and in `GET /{bank}/books`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    #[serde(with = "as_text")]
    uetr: Uuid,
    #[serde(borrow)]
    message_id: Text<'a>,
    #[serde(borrow)]
    end_to_end_id: Text<'a>,
    minor_units: u64,
    /// The same amount as decimal text.
    amount: String,
    currency: String,
    #[serde(borrow)]
    creditor_account: Text<'a>,
    time: String,
    #[serde(with = "as_text")]
    content: super::Fingerprint,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rejection: Option<Box<Reason>>,
}

type Text<'a> = std::borrow::Cow<'a, str>;

impl Serialize for Entry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Line {
            uetr: self.references.uetr,
            message_id: Text::Borrowed(&self.references.message_id),
            end_to_end_id: Text::Borrowed(&self.references.end_to_end_id),
            minor_units: self.amount.minor_units,
            amount: self.amount.to_string(),
            currency: self.amount.currency.to_string(),
            creditor_account: Text::Borrowed(&self.creditor_account),
            time: Stamp(self.time).to_string(),
            content: self.content,
            rejection: self.rejection.clone(),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let line = Line::deserialize(deserializer)?;
        let currency: Currency = line.currency.parse().map_err(D::Error::custom)?;
        let amount = Amount::read(&line.amount, currency).map_err(D::Error::custom)?;
        if amount.minor_units != line.minor_units {
            return Err(D::Error::custom("amount and minor_units differ"));
        }
        Ok(Self {
            references: References {
                message_id: line.message_id.into(),
                end_to_end_id: line.end_to_end_id.into(),
                uetr: line.uetr,
            },
            amount,
            creditor_account: line.creditor_account.into(),
            time: OffsetDateTime::parse(&line.time, &Rfc3339).map_err(D::Error::custom)?,
            content: line.content,
            rejection: line.rejection,
        })
    }
}

/// Values that JSON holds as their text.
mod as_text {
    use super::{Deserialize, Deserializer, Display, FromStr, Serializer};
    use serde::de::Error as _;

    pub(super) fn serialize<T: Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(super) fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        std::borrow::Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// Appends the line of `entry` to `queue`.
pub(super) fn append_line(queue: &mut Vec<u8>, entry: &Entry) -> Result<(), serde_json::Error> {
    let before = queue.len();
    serde_json::to_writer(&mut *queue, entry).inspect_err(|_| queue.truncate(before))?;
    queue.push(b'\n');
    Ok(())
}

/// Opens or creates the file for this process alone and gives every entry to `add`, which says whether it is new.
pub(super) fn open(path: &Path, mut add: impl FnMut(Entry) -> bool) -> Result<File, String> {
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
        let entry: Entry =
            serde_json::from_slice(&line).map_err(|error| failed(&format!("line {number}: {error}")))?;
        if !add(entry) {
            return Err(failed(&format!("line {number}: the UETR occurs twice")));
        }
        whole += u64::try_from(length).unwrap_or_default();
    }
    file.set_len(whole).and_then(|()| file.sync_all()).map_err(|error| failed(&error))?;
    // A new file survives a crash only once its directory does.
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(|error| failed(&error))?;
    Ok(file)
}

/// The writer thread: takes everything queued while the last sync ran, appends it in one write, syncs once, and lets
/// the waiting handlers go on. Ends when the books close and nothing is left, or at the first failure.
pub(super) fn write_groups(mut file: File, shared: &Shared) {
    let mut group = Vec::new();
    loop {
        let mut state = shared.lock();
        while state.queue.is_empty() && !state.closing {
            state = shared.queued.wait(state).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
        if state.queue.is_empty() {
            return;
        }
        group.clear();
        std::mem::swap(&mut group, &mut state.queue);
        let count = state.entries.len();
        drop(state);
        if file.write_all(&group).and_then(|()| file.sync_data()).is_err() {
            // After a failed sync nobody knows what the disk holds, so the books stay shut until a restart reads them.
            shared.progress.send_replace(Progress::Broken);
            return;
        }
        shared.progress.send_replace(Progress::Durable(count));
    }
}
