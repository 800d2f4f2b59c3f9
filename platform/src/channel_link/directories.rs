//! The directories of several channels, as one: every bank that any of them has, and online if any of them reaches it. Another attempt
//! goes to whichever does.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use proto::channel::{Bank, Directory};
use tokio::sync::mpsc;

/// What the channels said last, each on its stream, and who hears what that comes to.
#[derive(Debug)]
pub(super) struct Directories {
    said: Mutex<Said>,
    together: mpsc::UnboundedSender<Directory>,
}

#[derive(Debug, Default)]
struct Said {
    /// By the stream's number.
    by_stream: BTreeMap<u64, Directory>,
    /// What that came to when it was last told.
    told: Option<Directory>,
}

impl Directories {
    pub(super) fn new() -> (Self, mpsc::UnboundedReceiver<Directory>) {
        let (together, heard) = mpsc::unbounded_channel();
        (Self { said: Mutex::default(), together }, heard)
    }

    /// Takes what a channel says.
    pub(super) fn hear(&self, stream: u64, directory: Directory) {
        self.change(|by_stream| {
            by_stream.insert(stream, directory);
        });
    }

    /// Forgets what a channel said that is gone, unless nobody else has said anything.
    pub(super) fn forget(&self, stream: u64) {
        self.change(|by_stream| {
            by_stream.remove(&stream);
        });
    }

    /// Whether a channel reaches a bank, as far as it has said.
    pub(super) fn reaches(&self, stream: u64, bank_id: &str) -> bool {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let bank =
            said.by_stream.get(&stream).and_then(|said| said.banks.iter().find(|bank| bank.id == bank_id));
        bank.is_none_or(|bank| bank.online)
    }

    fn change(&self, change: impl FnOnce(&mut BTreeMap<u64, Directory>)) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut said.by_stream);
        let together = together(said.by_stream.values());
        if together.is_some() && together != said.told {
            said.told.clone_from(&together);
            // The receiver lives as long as the process; at its end nobody needs a directory.
            together.map(|together| self.together.send(together));
        }
    }
}

/// What they say together; of a bank that several have, the last one's entry.
fn together<'a>(directories: impl Iterator<Item = &'a Directory>) -> Option<Directory> {
    let mut banks: BTreeMap<&str, Bank> = BTreeMap::new();
    let mut last = None;
    for directory in directories {
        last = Some(directory);
        for bank in &directory.banks {
            let is_online = bank.online || banks.get(bank.id.as_str()).is_some_and(|other| other.online);
            banks.insert(&bank.id, Bank { online: is_online, ..bank.clone() });
        }
    }
    last.map(|last| Directory { banks: banks.into_values().collect(), ..last.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(banks: &[(&str, bool)]) -> Directory {
        let bank =
            |(id, online): &(&str, bool)| Bank { id: (*id).to_owned(), online: *online, ..Bank::default() };
        Directory { banks: banks.iter().map(bank).collect(), ..Directory::default() }
    }

    fn heard(news: &mut mpsc::UnboundedReceiver<Directory>) -> Option<Vec<(String, bool)>> {
        let banks = news.try_recv().ok()?.banks;
        Some(banks.into_iter().map(|bank| (bank.id, bank.online)).collect())
    }

    fn entry(id: &str, online: bool) -> (String, bool) {
        (id.to_owned(), online)
    }

    #[test]
    fn a_bank_is_online_while_any_channel_reaches_it() {
        let (directories, mut news) = Directories::new();
        directories.hear(1, directory(&[("aurora", true)]));
        assert_eq!(heard(&mut news), Some(vec![entry("aurora", true)]));
        directories.hear(2, directory(&[("aurora", false), ("borealis", true)]));
        assert_eq!(heard(&mut news), Some(vec![entry("aurora", true), entry("borealis", true)]));
        assert_eq!([1, 2, 3].map(|stream| directories.reaches(stream, "aurora")), [true, false, true]);
        directories.hear(1, directory(&[("aurora", false)]));
        assert_eq!(heard(&mut news), Some(vec![entry("aurora", false), entry("borealis", true)]));
        directories.hear(1, directory(&[("aurora", true)]));
        assert_eq!(heard(&mut news), Some(vec![entry("aurora", true), entry("borealis", true)]));
        directories.forget(1);
        assert_eq!(heard(&mut news), Some(vec![entry("aurora", false), entry("borealis", true)]));
        directories.hear(3, directory(&[("aurora", false)]));
        assert_eq!(heard(&mut news), None, "it comes to the same");
    }

    #[test]
    fn what_the_last_channel_said_stays() {
        let (directories, mut news) = Directories::new();
        directories.hear(1, directory(&[("aurora", true)]));
        assert!(heard(&mut news).is_some());
        directories.forget(1);
        assert_eq!(heard(&mut news), None, "nobody knows better");
        directories.hear(2, directory(&[("aurora", false)]));
        assert_eq!(heard(&mut news), Some(vec![entry("aurora", false)]));
    }
}
