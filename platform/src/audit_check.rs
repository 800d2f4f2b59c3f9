//! The check of the audit log: computes every leaf and root again from the ledger as it is now, and says what differs.

use std::{collections::VecDeque, fmt};

use common::audit::{
    hex,
    merkle::{Frontier, Hash, Subtree},
};
use serde::Serialize;
use tokio::task::JoinHandle;

use crate::store::{
    Store, StoreError,
    audit::{Leaf, Seal},
};

/// So many differences are told; more say nothing new.
const TOLD: usize = 20;
/// Seals whose leaves are read at once: each has the database make a thousand texts.
const AHEAD: usize = 4;

/// What a check of the audit log found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct AuditCheck {
    /// Leaves that were computed again.
    pub leaves: u64,
    /// Leaves whose rows were taken out of the archive, so that their seals are believed.
    pub taken_out: u64,
    /// How many leaves the log has.
    pub size: u64,
    /// The log's root, in hexadecimal digits.
    pub root: String,
    /// What differs; empty when all is well.
    pub differences: Vec<String>,
}

impl AuditCheck {
    /// Computes the log again, seal by seal, and tells `progress` of each. `old` is a size and a root that somebody kept elsewhere, which the
    /// log must have had.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn take(
        store: &Store,
        old: Option<(u64, Hash)>,
        mut progress: impl FnMut(&Self),
    ) -> Result<Self, StoreError> {
        let mut found = Self::default();
        let mut log = Frontier::default();
        let mut nodes = Vec::new();
        let mut old = old;
        let mut reading = ReadAhead::new(store);
        while let Some((seal, leaves)) = reading.next().await? {
            if seal.first_leaf != log.size() {
                found.differs(format!("a seal is missing behind leaf {}", log.size()));
                log = before(store, &seal).await?;
            }
            let hashes = found.hashes_of(store, &seal, &leaves).await?;
            let mut kept = Vec::new();
            for hash in hashes.iter().flatten() {
                if let Some((size, root)) = old.filter(|(size, _)| *size == log.size()) {
                    found.compare_kept(size, &root, &log);
                    old = None;
                }
                log.push(*hash, |subtree, hash| kept.push((subtree, hash)));
            }
            match hashes {
                Some(_) if log == seal.log => nodes.append(&mut kept),
                Some(_) => {
                    found.differs(of(&seal, "a row was changed, removed or added"));
                    log = seal.log.clone();
                }
                None => log = seal.log.clone(),
            }
            if nodes.len() >= 256 {
                found.compare_nodes(store, &mut nodes).await?;
            }
            found.size = log.size();
            progress(&found);
        }
        found.compare_nodes(store, &mut nodes).await?;
        match old {
            Some((size, root)) if size == log.size() => found.compare_kept(size, &root, &log),
            Some((size, _)) if size > log.size() => {
                found.differs(format!("the log had {size} leaves once, and has {} now", log.size()));
            }
            Some((size, _)) => {
                found.differs(format!("the root of {size} leaves can't be computed: they were taken out"))
            }
            None => {}
        }
        found.size = log.size();
        found.root = hex(&log.root());
        Ok(found)
    }

    /// Whether nothing differs.
    pub fn is_ok(&self) -> bool {
        self.differences.is_empty()
    }

    fn differs(&mut self, what: String) {
        if self.differences.len() < TOLD {
            self.differences.push(what);
        }
    }

    /// The hashes of a seal's leaves as the ledger has them now; none if they were taken out.
    async fn hashes_of(
        &mut self,
        store: &Store,
        seal: &Seal,
        leaves: &[Leaf],
    ) -> Result<Option<Vec<Hash>>, StoreError> {
        let expected = seal.log.size() - seal.first_leaf;
        let count = u64::try_from(leaves.len()).unwrap_or(u64::MAX);
        if count < expected && store.is_taken_out(seal).await? {
            self.taken_out += expected;
            return Ok(None);
        }
        if count != expected {
            self.differs(of(seal, &format!("it has {expected} leaves, and {count} rows are there")));
        }
        self.leaves += count;
        Ok(Some(leaves.iter().map(Leaf::hash).collect()))
    }

    fn compare_kept(&mut self, size: u64, root: &Hash, log: &Frontier) {
        if log.root() != *root {
            self.differs(format!("the log of {size} leaves had another root when it was kept elsewhere"));
        }
    }

    async fn compare_nodes(
        &mut self,
        store: &Store,
        nodes: &mut Vec<(Subtree, Hash)>,
    ) -> Result<(), StoreError> {
        let subtrees: Vec<Subtree> = nodes.iter().map(|(subtree, _)| *subtree).collect();
        let kept = store.audit_nodes(&subtrees).await?;
        for (subtree, hash) in nodes.drain(..) {
            if kept.get(&subtree) != Some(&hash) {
                self.differs(format!(
                    "the node {} of level {} is not what its leaves make",
                    subtree.index, subtree.level
                ));
            }
        }
        Ok(())
    }
}

type Reading = JoinHandle<Result<Vec<Leaf>, StoreError>>;

/// The seals in their order with their leaves, some of which are read while those before are hashed.
struct ReadAhead<'a> {
    store: &'a Store,
    /// The size of the log with the last seal that is being read.
    size: u64,
    reading: VecDeque<(Seal, Reading)>,
}

impl<'a> ReadAhead<'a> {
    fn new(store: &'a Store) -> Self {
        Self { store, size: 0, reading: VecDeque::new() }
    }

    async fn next(&mut self) -> Result<Option<(Seal, Vec<Leaf>)>, StoreError> {
        while self.reading.len() < AHEAD {
            let Some(seal) = self.store.seal_with_leaf(self.size).await? else { break };
            self.size = seal.log.size();
            let (store, of) = (self.store.clone(), seal.clone());
            self.reading.push_back((seal, tokio::spawn(async move { store.leaves_of(&of).await })));
        }
        let Some((seal, leaves)) = self.reading.pop_front() else { return Ok(None) };
        let leaves = leaves.await.map_err(|_| sqlx::Error::WorkerCrashed)??;
        Ok(Some((seal, leaves)))
    }
}

/// The log before a seal, as the seal before it says.
async fn before(store: &Store, seal: &Seal) -> Result<Frontier, StoreError> {
    let before = match seal.first_leaf.checked_sub(1) {
        Some(last) => store.seal_with_leaf(last).await?,
        None => None,
    };
    Ok(before.map_or_else(Frontier::default, |before| before.log))
}

fn of(seal: &Seal, what: &str) -> String {
    format!("leaves {} to {}, numbers up to {}: {what}", seal.first_leaf, seal.log.size() - 1, seal.up_to)
}

impl fmt::Display for AuditCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { leaves, taken_out, size, root, differences } = self;
        writeln!(
            f,
            "audit log: {} leaves, {leaves} computed again, {taken_out} taken out of the archive",
            size
        )?;
        writeln!(f, "root {root}")?;
        differences.iter().try_for_each(|difference| writeln!(f, "  DIFFERS: {difference}"))?;
        f.write_str(if self.is_ok() { "audit log: OK" } else { "audit log: NOT OK" })
    }
}
