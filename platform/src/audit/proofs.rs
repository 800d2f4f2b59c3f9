//! Proofs: which hashes they consist of follows from the sizes alone; the hashes come from kept nodes and from the leaves as the ledger
//! has them now.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use common::audit::merkle::{self, Hash, Subtree, TILE_LEVELS};

use crate::store::{
    Store, StoreError,
    audit::{Leaf, Seal},
};

/// Why there is no proof.
#[derive(Debug, thiserror::Error)]
pub enum NoProof {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The log never had so many leaves, or such a leaf.
    #[error("the log has no such leaf or size")]
    NoSuchSize,
    /// Leaves that it needs were taken out of the archive.
    #[error("leaves that the proof needs were taken out of the archive")]
    TakenOut,
    /// What the ledger has now does not lead to the root that was sealed.
    #[error("the ledger is not what was sealed")]
    Differs,
}

/// The hashes that lead from a leaf to the root of the log with `size` leaves.
///
/// # Errors
/// See [`NoProof`].
pub async fn inclusion(store: &Store, leaf: u64, size: u64) -> Result<Vec<Hash>, NoProof> {
    hashes(store, merkle::inclusion_path(leaf, size).ok_or(NoProof::NoSuchSize)?).await
}

/// The hashes that show that the log of `size` leaves grew out of that of `old_size`.
///
/// # Errors
/// See [`NoProof`].
pub async fn consistency(store: &Store, old_size: u64, size: u64) -> Result<Vec<Hash>, NoProof> {
    hashes(store, merkle::consistency_path(old_size, size).ok_or(NoProof::NoSuchSize)?).await
}

/// Computes each hash of a path from the subtrees that it is folded of.
async fn hashes(store: &Store, path: Vec<Vec<Subtree>>) -> Result<Vec<Hash>, NoProof> {
    let (mut kept, mut low) = (BTreeSet::new(), BTreeSet::new());
    for subtree in path.iter().flatten() {
        if subtree.level >= TILE_LEVELS {
            kept.extend(kept_below(*subtree));
        } else {
            low.insert(*subtree);
        }
    }
    let kept = store.audit_nodes(&kept.into_iter().collect::<Vec<_>>()).await?;
    let leaves = leaves_below(store, &low).await?;
    let hash = |subtree: &Subtree| hash_of(*subtree, &kept, &leaves).ok_or(NoProof::Differs);
    path.iter()
        .map(|parts| {
            let parts = parts.iter().map(hash).collect::<Result<Vec<_>, _>>()?;
            merkle::fold(&parts).ok_or(NoProof::Differs)
        })
        .collect()
}

/// The kept nodes that a subtree is made of.
fn kept_below(subtree: Subtree) -> impl Iterator<Item = Subtree> {
    let level = subtree.level - subtree.level % TILE_LEVELS;
    let first = subtree.index << (subtree.level - level);
    let count = 1_u64 << (subtree.level - level);
    (first..first + count).map(move |index| Subtree { level, index })
}

fn hash_of(subtree: Subtree, kept: &HashMap<Subtree, Hash>, leaves: &BTreeMap<u64, Hash>) -> Option<Hash> {
    match subtree.halves() {
        None => leaves.get(&subtree.index).copied(),
        Some(_) if subtree.level.is_multiple_of(TILE_LEVELS) => kept.get(&subtree).copied(),
        Some([left, right]) => {
            Some(merkle::node_hash(&hash_of(left, kept, leaves)?, &hash_of(right, kept, leaves)?))
        }
    }
}

/// The hashes of the leaves below these subtrees, each of which is smaller than a tile.
async fn leaves_below(store: &Store, subtrees: &BTreeSet<Subtree>) -> Result<BTreeMap<u64, Hash>, NoProof> {
    let mut hashes = BTreeMap::new();
    for subtree in subtrees {
        let mut at = subtree.index << subtree.level;
        let end = at + (1 << subtree.level);
        while at < end {
            if hashes.contains_key(&at) {
                at += 1;
                continue;
            }
            let seal = store.seal_with_leaf(at).await?.ok_or(NoProof::NoSuchSize)?;
            for (number, leaf) in (seal.first_leaf..).zip(leaves_of(store, &seal).await?) {
                hashes.insert(number, leaf.hash());
            }
        }
    }
    Ok(hashes)
}

/// The leaves of a seal, exactly as many as were sealed.
///
/// # Errors
/// See [`NoProof`].
pub async fn leaves_of(store: &Store, seal: &Seal) -> Result<Vec<Leaf>, NoProof> {
    let leaves = store.leaves_of(seal).await?;
    if u64::try_from(leaves.len()) == Ok(seal.log.size() - seal.first_leaf) {
        Ok(leaves)
    } else if store.is_taken_out(seal).await? {
        Err(NoProof::TakenOut)
    } else {
        Err(NoProof::Differs)
    }
}
