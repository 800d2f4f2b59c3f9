//! The tree over the log's leaves (RFC 9162, section 2.1), with SHA-256.
//!
//! A log only grows, so that a subtree which is complete never changes: those at levels that are a multiple of [`TILE_LEVELS`] are
//! kept, and everything else is computed of them and of the leaves of at most two tiles.

use aws_lc_rs::digest::{Context, SHA256};

/// The hash of a leaf or of a subtree.
pub type Hash = [u8; 32];

/// How many levels a tile spans: its leaves are a power of two of this.
pub const TILE_LEVELS: u32 = 8;

fn sha256(prefix: u8, parts: &[&[u8]]) -> Hash {
    let mut context = Context::new(&SHA256);
    context.update(&[prefix]);
    parts.iter().for_each(|part| context.update(part));
    let mut hash = Hash::default();
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

/// The hash of a leaf (RFC 9162, section 2.1.1).
pub fn leaf_hash(leaf: &[u8]) -> Hash {
    sha256(0, &[leaf])
}

/// The hash of two subtrees side by side.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    sha256(1, &[left, right])
}

/// The root of a log without leaves.
pub fn empty_root() -> Hash {
    let mut hash = Hash::default();
    hash.copy_from_slice(Context::new(&SHA256).finish().as_ref());
    hash
}

/// A complete subtree: `2^level` leaves, the first of which is `index · 2^level`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Subtree {
    /// How high it is.
    pub level: u32,
    /// The how-manieth of its level, counted from 0.
    pub index: u64,
}

impl Subtree {
    /// Its two halves; none of a leaf.
    pub fn halves(self) -> Option<[Self; 2]> {
        let level = self.level.checked_sub(1)?;
        let index = self.index.checked_mul(2)?;
        Some([Self { level, index }, Self { level, index: index.checked_add(1)? }])
    }
}

/// The complete subtrees that the leaves `from..to` are made of, left to right; `from` is where one of at least that size begins.
fn cover(from: u64, to: u64) -> Vec<Subtree> {
    let mut subtrees = Vec::new();
    let mut at = from;
    while at < to {
        let fits = (to - at).ilog2();
        let level = if at == 0 { fits } else { fits.min(at.trailing_zeros()) };
        subtrees.push(Subtree { level, index: at >> level });
        at += 1 << level;
    }
    subtrees
}

/// What the root of a log of this size is made of, left to right.
pub fn peaks(size: u64) -> Vec<Subtree> {
    cover(0, size)
}

/// Folds subtrees that stand left to right, each smaller than the one before, into the hash over all their leaves.
pub fn fold(hashes: &[Hash]) -> Option<Hash> {
    let (last, before) = hashes.split_last()?;
    Some(before.iter().rev().fold(*last, |right, left| node_hash(left, &right)))
}

/// What an inclusion proof consists of (RFC 9162, section 2.1.3.1): from the leaf upwards, each hash as the subtrees that it is
/// folded of. None if there is no such leaf.
pub fn inclusion_path(leaf: u64, size: u64) -> Option<Vec<Vec<Subtree>>> {
    (leaf < size).then(|| {
        let mut path = Vec::new();
        let (mut from, mut to) = (0, size);
        while to - from > 1 {
            let middle = from + split(to - from);
            if leaf < middle {
                path.push(cover(middle, to));
                to = middle;
            } else {
                path.push(cover(from, middle));
                from = middle;
            }
        }
        path.reverse();
        path
    })
}

/// What a consistency proof consists of (RFC 9162, section 2.1.4.1). None if there were never so many leaves.
pub fn consistency_path(old_size: u64, size: u64) -> Option<Vec<Vec<Subtree>>> {
    if old_size == 0 || old_size > size {
        return None;
    }
    let mut path = Vec::new();
    let (mut from, mut to, mut is_whole) = (0, size, true);
    while old_size != to {
        let middle = from + split(to - from);
        if old_size <= middle {
            path.push(cover(middle, to));
            to = middle;
        } else {
            path.push(cover(from, middle));
            from = middle;
            is_whole = false;
        }
    }
    if !is_whole {
        path.push(cover(from, to));
    }
    path.reverse();
    Some(path)
}

/// The largest power of two that is less than a count of at least 2.
fn split(count: u64) -> u64 {
    1 << (count - 1).ilog2()
}

/// The root that an inclusion proof leads to (RFC 9162, section 2.1.3.2); none if it does not fit the leaf and the size.
pub fn root_of_inclusion(leaf: u64, size: u64, hash: Hash, proof: &[Hash]) -> Option<Hash> {
    if leaf >= size {
        return None;
    }
    let (mut at, mut last, mut root) = (leaf, size - 1, hash);
    for sibling in proof {
        if last == 0 {
            return None;
        }
        if at % 2 == 1 || at == last {
            root = node_hash(sibling, &root);
            while at % 2 == 0 && at != 0 {
                (at, last) = (at >> 1, last >> 1);
            }
        } else {
            root = node_hash(&root, sibling);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    (last == 0).then_some(root)
}

/// Whether the log of `size` leaves grew out of the one of `old_size` (RFC 9162, section 2.1.4.2).
pub fn is_consistent(old_size: u64, old_root: &Hash, size: u64, root: &Hash, proof: &[Hash]) -> bool {
    if old_size == 0 || old_size > size {
        return false;
    }
    if old_size == size {
        return proof.is_empty() && old_root == root;
    }
    let mut proof = proof.iter();
    let first = if old_size.is_power_of_two() { Some(old_root) } else { proof.next() };
    let Some(first) = first else { return false };
    let (mut at, mut last) = (old_size - 1, size - 1);
    while at % 2 == 1 {
        (at, last) = (at >> 1, last >> 1);
    }
    let (mut old, mut new) = (*first, *first);
    for sibling in proof {
        if last == 0 {
            return false;
        }
        if at % 2 == 1 || at == last {
            (old, new) = (node_hash(sibling, &old), node_hash(sibling, &new));
            while at % 2 == 0 && at != 0 {
                (at, last) = (at >> 1, last >> 1);
            }
        } else {
            new = node_hash(&new, sibling);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    last == 0 && old == *old_root && new == *root
}

/// A log that grows: its size, and the hashes of its peaks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    peaks: Vec<Hash>,
}

impl Frontier {
    /// The log of so many leaves with these peaks; none if it has another number of peaks.
    pub fn new(size: u64, peaks: Vec<Hash>) -> Option<Self> {
        (u32::try_from(peaks.len()) == Ok(size.count_ones())).then_some(Self { size, peaks })
    }

    /// How many leaves it has.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The hashes of its peaks, left to right.
    pub fn peaks(&self) -> &[Hash] {
        &self.peaks
    }

    /// Adds a leaf by its hash, and tells of each subtree at a tile's root that it completes.
    pub fn push(&mut self, leaf: Hash, mut completed: impl FnMut(Subtree, Hash)) {
        let (mut hash, mut level, mut index) = (leaf, 0_u32, self.size);
        while index % 2 == 1 {
            let Some(left) = self.peaks.pop() else { break };
            hash = node_hash(&left, &hash);
            (level, index) = (level + 1, index >> 1);
            if level.is_multiple_of(TILE_LEVELS) {
                completed(Subtree { level, index }, hash);
            }
        }
        self.peaks.push(hash);
        self.size += 1;
    }

    /// Its root.
    pub fn root(&self) -> Hash {
        fold(&self.peaks).unwrap_or_else(empty_root)
    }
}

#[cfg(test)]
mod tests;
