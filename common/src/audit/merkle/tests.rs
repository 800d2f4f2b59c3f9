use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

fn hex(hash: &Hash) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn leaf(number: u64) -> Hash {
    leaf_hash(&number.to_be_bytes())
}

fn grown(size: u64) -> Frontier {
    let mut log = Frontier::default();
    (0..size).for_each(|number| log.push(leaf(number), |_, _| {}));
    log
}

/// The hash over leaves as section 2.1.1 defines it.
fn by_definition(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => empty_root(),
        [one] => *one,
        _ => {
            let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
            node_hash(&by_definition(left), &by_definition(right))
        }
    }
}

fn of(subtree: Subtree) -> Hash {
    let first = subtree.index << subtree.level;
    by_definition(&(first..first + (1 << subtree.level)).map(leaf).collect::<Vec<_>>())
}

fn proof(path: Vec<Vec<Subtree>>) -> Vec<Hash> {
    path.iter()
        .map(|parts| fold(&parts.iter().map(|&part| of(part)).collect::<Vec<_>>()).expect("parts"))
        .collect()
}

#[test]
fn the_roots_are_those_of_other_logs() {
    // The vectors of Certificate Transparency's own implementations.
    let leaves: [&[u8]; 8] = [
        b"",
        b"\x00",
        b"\x10",
        b"\x20\x21",
        b"\x30\x31",
        b"\x40\x41\x42\x43",
        b"\x50\x51\x52\x53\x54\x55\x56\x57",
        b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
    ];
    let roots = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    let mut log = Frontier::default();
    assert_eq!(hex(&log.root()), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    for (leaf, root) in leaves.into_iter().zip(roots) {
        log.push(leaf_hash(leaf), |_, _| {});
        assert_eq!(hex(&log.root()), root, "{} leaves", log.size());
    }
}

#[test]
fn every_proof_of_small_logs_holds_and_no_other_does() {
    for size in 1..=40 {
        let root = grown(size).root();
        for number in 0..size {
            let proof = proof(inclusion_path(number, size).expect("a leaf"));
            assert_eq!(
                root_of_inclusion(number, size, leaf(number), &proof),
                Some(root),
                "{number} of {size}"
            );
            assert_ne!(root_of_inclusion(number, size, leaf(number + 1), &proof), Some(root));
            assert_ne!(
                root_of_inclusion((number + 1) % size, size, leaf(number), &proof),
                (size > 1).then_some(root)
            );
            let mut longer = proof.clone();
            longer.push(leaf(0));
            assert_ne!(root_of_inclusion(number, size, leaf(number), &longer), Some(root));
            if let Some((_, shorter)) = proof.split_last() {
                assert_ne!(root_of_inclusion(number, size, leaf(number), shorter), Some(root));
            }
        }
        assert_eq!(inclusion_path(size, size), None);
        for old in 1..=size {
            let (old_root, mut proof) =
                (grown(old).root(), proof(consistency_path(old, size).expect("sizes")));
            assert!(is_consistent(old, &old_root, size, &root, &proof), "{old} to {size}");
            assert!(!is_consistent(old, &leaf(999), size, &root, &proof));
            assert!(!is_consistent(old, &old_root, size, &leaf(999), &proof));
            proof.push(leaf(0));
            assert!(!is_consistent(old, &old_root, size, &root, &proof), "{old} to {size}");
        }
        assert_eq!((consistency_path(0, size), consistency_path(size + 1, size)), (None, None));
    }
}

#[test]
fn tiles_are_told_of_when_they_are_complete() {
    let mut told = HashMap::new();
    let mut log = Frontier::default();
    (0..70_000).for_each(|number| {
        log.push(leaf(number), |subtree, hash| {
            told.insert(subtree, hash);
        })
    });
    assert_eq!(told.len(), 70_000 / 256 + 1);
    for subtree in
        [Subtree { level: 8, index: 0 }, Subtree { level: 8, index: 272 }, Subtree { level: 16, index: 0 }]
    {
        assert_eq!(told.get(&subtree), Some(&of(subtree)), "{subtree:?}");
    }
    assert_eq!(Frontier::new(log.size(), log.peaks().to_vec()), Some(log.clone()));
    assert_eq!(Frontier::new(log.size() + 1, log.peaks().to_vec()), None);
}

proptest! {
    #[test]
    fn proofs_of_large_logs_are_made_of_few_subtrees(size in 1_u64..1 << 40, number in 0_u64..1 << 40, old in 1_u64..1 << 40) {
        let (number, old) = (number % size, old % size + 1);
        let path = inclusion_path(number, size).expect("a leaf");
        prop_assert!(path.len() <= 41 && path.iter().flatten().count() <= 2 * 41);
        let path = consistency_path(old, size).expect("sizes");
        prop_assert!(path.len() <= 42 && path.iter().flatten().count() <= 3 * 41);
        let covered: u64 = peaks(size).iter().map(|peak| 1 << peak.level).sum();
        prop_assert_eq!(covered, size);
    }
}
