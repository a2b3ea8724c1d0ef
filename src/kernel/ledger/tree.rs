//! The Merkle tree of RFC 6962 §2.1: hashing, the right edge that a log extends, and proofs that anyone can check.

use std::ops::Range;

use sha2::{Digest, Sha256};

/// A node of the tree.
pub type TreeHash = [u8; 32];

/// The hash of an entry as a leaf.
#[must_use]
pub fn leaf_hash(entry: &[u8]) -> TreeHash {
    Sha256::new().chain_update([0]).chain_update(entry).finalize().into()
}

/// The hash of two adjoining subtrees.
#[must_use]
pub fn node_hash(left: &TreeHash, right: &TreeHash) -> TreeHash {
    // RFC 6962 §2.1: the first byte keeps a leaf from being passed off as a node.
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

/// The root of the tree without leaves.
#[must_use]
pub fn empty_root() -> TreeHash {
    Sha256::digest([]).into()
}

/// The root over `leaves`, by the definition.
#[must_use]
pub fn root_of(leaves: &[TreeHash]) -> TreeHash {
    match leaves {
        [] => empty_root(),
        [leaf] => *leaf,
        _ => {
            let middle = usize::try_from(split(leaves.len() as u64)).unwrap_or(0);
            let (left, right) = leaves.split_at(middle);
            node_hash(&root_of(left), &root_of(right))
        }
    }
}

/// The right edge of a tree: the roots of its full subtrees, largest first. It is all that appending needs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frontier {
    size: u64,
    // INVARIANT: one hash for each bit that is set in `size`.
    edge: Vec<TreeHash>,
}

impl Frontier {
    /// How many leaves the tree has.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf.
    pub fn push(&mut self, leaf: TreeHash) {
        let mut node = leaf;
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.edge.pop() {
                node = node_hash(&left, &node);
            }
        }
        self.edge.push(node);
        self.size = self.size.saturating_add(1);
    }

    /// The root of the tree.
    #[must_use]
    pub fn root(&self) -> TreeHash {
        let joined = self.edge.iter().rev().copied().reduce(|right, left| node_hash(&left, &right));
        joined.unwrap_or_else(empty_root)
    }

    /// The size (8 bytes, big-endian) and the edge.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        [&self.size.to_be_bytes()[..], self.edge.as_flattened()].concat()
    }

    /// Reads what [`Self::to_bytes`] wrote; nothing else is a frontier.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (size, edge) = bytes.split_first_chunk::<8>()?;
        let size = u64::from_be_bytes(*size);
        let (edge, []) = edge.as_chunks::<32>() else { return None };
        // Both databases count in signed 64 bits.
        let fits = i64::try_from(size).is_ok() && edge.len() as u64 == u64::from(size.count_ones());
        fits.then(|| Self { size, edge: edge.to_vec() })
    }
}

/// The subtrees, as ranges of leaves, whose roots prove that leaf `index` is in the tree of `size` leaves; the
/// leaf's neighbour comes first. A caller with stored tiles hashes only these.
#[must_use]
pub fn inclusion_ranges(index: u64, size: u64) -> Option<Vec<Range<u64>>> {
    if index >= size {
        return None;
    }
    let (mut start, mut end, mut path) = (0, size, Vec::new());
    while end - start > 1 {
        let middle = start + split(end - start);
        if index < middle {
            path.push(middle..end);
            end = middle;
        } else {
            path.push(start..middle);
            start = middle;
        }
    }
    path.reverse();
    Some(path)
}

/// The subtrees whose roots prove that the tree of `size` leaves begins with the tree of `old_size` leaves.
#[must_use]
pub fn consistency_ranges(old_size: u64, size: u64) -> Option<Vec<Range<u64>>> {
    if old_size > size {
        return None;
    }
    // RFC 6962 §2.1.2 begins at one leaf; every tree begins with the empty one, without proof.
    if old_size == 0 {
        return Some(Vec::new());
    }
    let (mut start, mut end, mut path) = (0, size, Vec::new());
    while old_size < end {
        let middle = start + split(end - start);
        if old_size <= middle {
            path.push(middle..end);
            end = middle;
        } else {
            path.push(start..middle);
            start = middle;
        }
    }
    // A subtree that is the whole old tree is the old root, which the verifier has.
    if start > 0 {
        path.push(start..end);
    }
    path.reverse();
    Some(path)
}

/// Proves that leaf `index` is under the root of `leaves` (RFC 6962 §2.1.1).
#[must_use]
pub fn inclusion_proof(leaves: &[TreeHash], index: u64) -> Option<Vec<TreeHash>> {
    roots(leaves, inclusion_ranges(index, leaves.len() as u64)?)
}

/// Proves that `leaves` begin with the tree of the first `old_size` of them (RFC 6962 §2.1.2).
#[must_use]
pub fn consistency_proof(leaves: &[TreeHash], old_size: u64) -> Option<Vec<TreeHash>> {
    roots(leaves, consistency_ranges(old_size, leaves.len() as u64)?)
}

/// Whether `proof` shows that `leaf` is number `index` of the `size` leaves under `root` (RFC 9162 §2.1.3.2).
#[must_use]
pub fn verify_inclusion(leaf: &TreeHash, index: u64, size: u64, proof: &[TreeHash], root: &TreeHash) -> bool {
    if index >= size {
        return false;
    }
    let (mut place, mut last, mut node) = (index, size - 1, *leaf);
    for sibling in proof {
        if last == 0 {
            return false;
        }
        if place & 1 == 1 || place == last {
            node = node_hash(sibling, &node);
            (place, last) = climb_to_left_turn(place, last);
        } else {
            node = node_hash(&node, sibling);
        }
        (place, last) = (place >> 1, last >> 1);
    }
    last == 0 && node == *root
}

/// Whether `proof` shows that the tree of `size` leaves under `root` begins with the tree of `old_size` leaves
/// under `old_root` (RFC 9162 §2.1.4.2).
#[must_use]
pub fn verify_consistency(
    old_size: u64,
    old_root: &TreeHash,
    size: u64,
    root: &TreeHash,
    proof: &[TreeHash],
) -> bool {
    if old_size == size {
        return proof.is_empty() && old_root == root;
    }
    if old_size == 0 {
        return proof.is_empty() && *old_root == empty_root();
    }
    if old_size > size {
        return false;
    }
    let mut hashes = proof.iter();
    // A full old tree is itself the first node of the path.
    let first = if old_size.is_power_of_two() { Some(old_root) } else { hashes.next() };
    let Some(&first) = first else { return false };
    let (mut place, mut last) = (old_size - 1, size - 1);
    let full = place.trailing_ones();
    (place, last) = (place >> full, last >> full);
    let (mut old_node, mut node) = (first, first);
    for sibling in hashes {
        if last == 0 {
            return false;
        }
        if place & 1 == 1 || place == last {
            old_node = node_hash(sibling, &old_node);
            node = node_hash(sibling, &node);
            (place, last) = climb_to_left_turn(place, last);
        } else {
            node = node_hash(&node, sibling);
        }
        (place, last) = (place >> 1, last >> 1);
    }
    last == 0 && old_node == *old_root && node == *root
}

/// The largest power of two below `size` (at least 2): where RFC 6962 divides a tree.
fn split(size: u64) -> u64 {
    1 << size.saturating_sub(1).checked_ilog2().unwrap_or(0)
}

fn roots(leaves: &[TreeHash], ranges: Vec<Range<u64>>) -> Option<Vec<TreeHash>> {
    let root = |range: Range<u64>| {
        let (start, end) = (usize::try_from(range.start).ok()?, usize::try_from(range.end).ok()?);
        leaves.get(start..end).map(root_of)
    };
    ranges.into_iter().map(root).collect()
}

/// Passes the levels at which the last node of the level has no sibling.
fn climb_to_left_turn(place: u64, last: u64) -> (u64, u64) {
    let levels = if place == 0 { 0 } else { place.trailing_zeros() };
    (place >> levels, last >> levels)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use base64::prelude::{BASE64_STANDARD, Engine as _};
    use proptest::prelude::*;

    use super::*;

    fn leaves(count: u64) -> Vec<TreeHash> {
        let entry = |i| format!(r#"{{"seq":{i},"ev":"consent.granted"}}"#);
        (0..count).map(|i| leaf_hash(entry(i).as_bytes())).collect()
    }

    fn frontier(leaves: &[TreeHash]) -> Frontier {
        let mut frontier = Frontier::default();
        leaves.iter().for_each(|leaf| frontier.push(*leaf));
        frontier
    }

    #[test]
    fn roots_agree_with_other_implementations() {
        for (size, root) in [
            (0, "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="),
            (1, "CVMLay2gzZHPpYUQFxT4ItaKoTrFzBe+sf1Rv9lEmGg="),
            (2, "9kejHV/JOonR6XM2G2li+J3w6m7PusKX60SFYgK4pJc="),
            (3, "Q+Pe36n61XtTKjmqGCSWohQHjcmj97u1ZJyRx5xJT0A="),
            (100, "+jUXHWXCaaSiviG9opyPi+R2mnPHqcFbBnVXiNtBTVk="),
            (256, "c1FhRRRCVC0NGvIMnDJo2Fd/9q/drJEe+A3evrVWJsk="),
            (700, "NH32oRo5MMsx4jJ9ETmjZKUj0JRvtInw5ZYge00vLrc="),
        ] {
            let leaves = leaves(size);
            assert_eq!(BASE64_STANDARD.encode(root_of(&leaves)), root, "naive, {size}");
            assert_eq!(BASE64_STANDARD.encode(frontier(&leaves).root()), root, "edge, {size}");
        }
    }

    #[test]
    fn every_proof_of_every_small_tree_verifies_only_where_it_belongs() {
        let leaves = leaves(20);
        let root = |size: u64| root_of(&leaves[..usize::try_from(size).unwrap()]);
        for size in 0..=20 {
            let tree = &leaves[..usize::try_from(size).unwrap()];
            assert_eq!(inclusion_proof(tree, size), None);
            assert_eq!(consistency_proof(tree, size + 1), None);
            for (leaf, index) in tree.iter().zip(0..) {
                let proof = inclusion_proof(tree, index).unwrap();
                for other in 0..=20 {
                    let holds = verify_inclusion(leaf, other, size, &proof, &root(size));
                    assert_eq!(holds, other == index, "{index} of {size} as {other}");
                }
            }
            for old in 0..=size {
                let proof = consistency_proof(tree, old).unwrap();
                for other in 0..=20 {
                    let holds = verify_consistency(other, &root(other), size, &root(size), &proof);
                    let own = consistency_proof(tree, other).is_some_and(|own| own == proof);
                    assert_eq!(holds, own, "{old} of {size} as {other}");
                    let claimed = verify_consistency(old, &root(other), size, &root(size), &proof);
                    assert_eq!(claimed, other == old, "{old} of {size} with the root of {other}");
                }
            }
        }
    }

    #[test]
    fn only_a_frontier_reads_as_one() {
        let good = frontier(&leaves(5)).to_bytes();
        assert_eq!(Frontier::from_bytes(&good), Some(frontier(&leaves(5))));
        let negative = [&[0x80, 0, 0, 0, 0, 0, 0, 0][..], &[0; 32]].concat();
        for bad in [&[][..], &good[..good.len() - 1], &good[..good.len() - 32], &negative] {
            assert_eq!(Frontier::from_bytes(bad), None);
        }
    }

    /// Changes one byte, drops one hash, or adds one.
    fn mutate(proof: &mut Vec<TreeHash>, how: u8, at: usize) {
        match (how % 3, proof.len()) {
            (0, 1..) => {
                let place = at % proof.len();
                proof[place][at % 32] ^= 1;
            }
            (1, 1..) => {
                proof.remove(at % proof.len());
            }
            (_, length) => proof.insert(at % (length + 1), [7; 32]),
        }
    }

    proptest! {
        #[test]
        fn the_edge_gives_the_root_of_the_definition(size in 0_u64..600) {
            let leaves = leaves(size);
            let edge = frontier(&leaves);
            prop_assert_eq!(edge.root(), root_of(&leaves));
            prop_assert_eq!(edge.size(), size);
            prop_assert_eq!(Frontier::from_bytes(&edge.to_bytes()), Some(edge));
        }

        #[test]
        fn a_mutated_inclusion_proof_fails(
            size in 1_u64..300, index: u64, how: u8, at in 0..1_000_usize
        ) {
            let (tree, index) = (leaves(size), index % size);
            let (leaf, root) = (tree[usize::try_from(index).unwrap()], root_of(&tree));
            let mut proof = inclusion_proof(&tree, index).unwrap();
            prop_assert!(verify_inclusion(&leaf, index, size, &proof, &root));
            prop_assert!(!verify_inclusion(&[9; 32], index, size, &proof, &root));
            prop_assert!(!verify_inclusion(&leaf, index, size, &proof, &[9; 32]));
            mutate(&mut proof, how, at);
            prop_assert!(!verify_inclusion(&leaf, index, size, &proof, &root));
        }

        #[test]
        fn a_mutated_consistency_proof_fails(
            size in 1_u64..300, old: u64, how: u8, at in 0..1_000_usize
        ) {
            let (tree, old) = (leaves(size), old % (size + 1));
            let (root, old_root) = (root_of(&tree), frontier(&tree[..usize::try_from(old).unwrap()]).root());
            let mut proof = consistency_proof(&tree, old).unwrap();
            prop_assert!(verify_consistency(old, &old_root, size, &root, &proof));
            prop_assert!(!verify_consistency(old, &[9; 32], size, &root, &proof));
            prop_assert!(!verify_consistency(size + 1, &old_root, size, &root, &proof));
            mutate(&mut proof, how, at);
            prop_assert!(!verify_consistency(old, &old_root, size, &root, &proof));
        }
    }
}
