//! Tiles (c2sp.org/tlog-tiles): the tree in pieces of 256 hashes, and the entries in bundles of 256, each under an
//! address of its own.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use crate::ledger::tree::{TreeHash, node_hash};

/// How many hashes, or entries, a full tile has.
pub const WIDTH: u64 = 256;
/// The levels of the tree that one tile spans.
const HEIGHT: u32 = 8;
/// The highest level that 64 bits can need.
const MAX_LEVEL: u8 = 7;

/// What a tile holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TileKind {
    /// Hashes: of leaves at level 0, of full tiles of the level below at the others.
    Hashes(u8),
    /// Entries.
    Entries,
}

/// The address of a tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TilePath {
    /// What it holds.
    pub kind: TileKind,
    /// Its number, from 0.
    pub number: u64,
    /// How many hashes or entries: 1 to 256.
    pub width: u16,
}

/// Text that is not the address of a tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the address of a tile")]
pub struct TilePathError;

impl TilePath {
    /// Whether it has all it will ever have.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.width as u64 == WIDTH
    }

    /// The level on which its members are counted.
    #[must_use]
    pub const fn level(&self) -> u8 {
        match self.kind {
            TileKind::Hashes(level) => level,
            TileKind::Entries => 0,
        }
    }

    /// Every tile that a tree of `size` leaves has at one level, of one kind.
    #[must_use]
    pub fn count(level: u8, size: u64) -> u64 {
        hashes_at(level, size).div_ceil(WIDTH)
    }
}

/// How many hashes level `level` of tiles has in a tree of `size` leaves.
#[must_use]
pub const fn hashes_at(level: u8, size: u64) -> u64 {
    if level > MAX_LEVEL { 0 } else { size >> (HEIGHT * level as u32) }
}

/// How wide a tile is in a tree of `size` leaves: 0 where there is none.
#[must_use]
pub fn width_at(level: u8, number: u64, size: u64) -> u16 {
    let before = number.saturating_mul(WIDTH);
    let width = hashes_at(level, size).saturating_sub(before).min(WIDTH);
    u16::try_from(width).unwrap_or(0)
}

impl fmt::Display for TilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            TileKind::Hashes(level) => write!(f, "{level}")?,
            TileKind::Entries => f.write_str("entries")?,
        }
        let mut groups = Vec::new();
        let mut rest = self.number;
        loop {
            groups.push(rest % 1000);
            rest /= 1000;
            if rest == 0 {
                break;
            }
        }
        for (place, group) in groups.iter().enumerate().rev() {
            write!(f, "/{}{group:03}", if place > 0 { "x" } else { "" })?;
        }
        if self.is_full() { Ok(()) } else { write!(f, ".p/{}", self.width) }
    }
}

impl FromStr for TilePath {
    type Err = TilePathError;

    fn from_str(text: &str) -> Result<Self, TilePathError> {
        let (kind, rest) = text.split_once('/').ok_or(TilePathError)?;
        let kind = match kind {
            "entries" => TileKind::Entries,
            level => TileKind::Hashes(level.parse().map_err(|_| TilePathError)?),
        };
        let (number, width) = match rest.split_once(".p/") {
            None => (rest, 256),
            Some((number, width)) => (number, width.parse().map_err(|_| TilePathError)?),
        };
        let number = number
            .split('/')
            .try_fold(0_u64, |number, group| {
                let digits = group.strip_prefix('x').unwrap_or(group);
                let group: u64 = digits.parse().ok().filter(|_| digits.len() == 3)?;
                number.checked_mul(1000)?.checked_add(group)
            })
            .ok_or(TilePathError)?;
        let path = Self { kind, number, width };
        // Every address has one form.
        if path.level() <= MAX_LEVEL && (1..=256).contains(&width) && path.to_string() == text {
            Ok(path)
        } else {
            Err(TilePathError)
        }
    }
}

/// Neighbouring hashes of one tile, whose root is the root of a full subtree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TileSlice {
    /// The level of the tile.
    pub level: u8,
    /// Its number.
    pub number: u64,
    /// The first hash in it.
    pub start: usize,
    /// How many: a power of two.
    pub count: usize,
}

/// The slices of tiles whose roots, [`join`]ed, are the root over a range of leaves, as [`inclusion_ranges`] and
/// [`consistency_ranges`] name them: beginning where RFC 6962 divides a tree.
///
/// [`inclusion_ranges`]: crate::ledger::tree::inclusion_ranges
/// [`consistency_ranges`]: crate::ledger::tree::consistency_ranges
#[must_use]
pub fn slices_of(range: Range<u64>) -> Vec<TileSlice> {
    let (mut start, mut slices) = (range.start, Vec::new());
    while start < range.end {
        // The largest full subtree that is left: RFC 6962 divides at it.
        let height = (range.end - start).ilog2();
        let (level, above) = (height / HEIGHT, height % HEIGHT);
        let first = start >> (HEIGHT * level);
        slices.push(TileSlice {
            level: u8::try_from(level).unwrap_or(u8::MAX),
            number: first / WIDTH,
            start: usize::try_from(first % WIDTH).unwrap_or(0),
            count: 1 << above,
        });
        start = start.saturating_add(1 << height);
    }
    slices
}

/// The root over neighbouring full subtrees, the largest first.
#[must_use]
pub fn join(roots: &[TreeHash]) -> Option<TreeHash> {
    roots.iter().rev().copied().reduce(|right, left| node_hash(&left, &right))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use proptest::prelude::*;

    use super::*;
    use crate::ledger::tree::{consistency_ranges, inclusion_ranges, leaf_hash, root_of};

    #[test]
    fn addresses_are_those_of_the_specification() {
        for (text, kind, number, width) in [
            ("0/x001/x234/067", TileKind::Hashes(0), 1_234_067, 256),
            ("0/x001/x234/067.p/17", TileKind::Hashes(0), 1_234_067, 17),
            ("entries/000.p/1", TileKind::Entries, 0, 1),
            ("3/999", TileKind::Hashes(3), 999, 256),
        ] {
            let path = TilePath { kind, number, width };
            assert_eq!((path.to_string().as_str(), text.parse()), (text, Ok(path)));
        }
        for bad in [
            "",
            "0",
            "0/",
            "0/1",
            "0/0001",
            "0/001/002",
            "0/x001",
            "0/x000/001",
            "8/000",
            "-1/000",
            "00/000",
            "0/000.p/0",
            "0/000.p/256",
            "0/000.p/007",
            "0/000.p/257",
            "0/000.p/",
            "data/000",
            "0/000/",
            "0/x999/x999/x999/x999/x999/x999/x999/999",
            "0/+01",
        ] {
            assert_eq!(bad.parse::<TilePath>(), Err(TilePathError), "{bad}");
        }
    }

    #[test]
    fn a_tree_of_256_has_a_full_tile_and_the_beginning_of_the_next_level() {
        assert_eq!((width_at(0, 0, 256), width_at(0, 1, 256), width_at(1, 0, 256)), (256, 0, 1));
        assert_eq!((width_at(0, 0, 255), width_at(1, 0, 255), width_at(2, 0, 65_536)), (255, 0, 1));
        assert_eq!((TilePath::count(0, 257), TilePath::count(1, 257), TilePath::count(1, 255)), (2, 1, 0));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn tiles_give_the_hashes_of_every_proof(size in 1_u64..70_000, index: u64, old: u64) {
            let leaves: Vec<_> = (0..size).map(|i| leaf_hash(&i.to_be_bytes())).collect();
            let mut levels = vec![leaves.clone()];
            while let Some(above) = levels.last().map(|level| level.as_chunks::<256>().0).filter(|full| !full.is_empty()) {
                let above: Vec<_> = above.iter().map(|tile| root_of(tile)).collect();
                levels.push(above);
            }
            let ranges = [inclusion_ranges(index % size, size), consistency_ranges(old % (size + 1), size)];
            for range in ranges.into_iter().flatten().flatten() {
                let roots: Vec<_> = slices_of(range.clone())
                    .iter()
                    .map(|slice| {
                        let first = usize::try_from(slice.number).unwrap() * 256 + slice.start;
                        prop_assert!(slice.start + slice.count <= 256);
                        Ok(root_of(&levels[usize::from(slice.level)][first..first + slice.count]))
                    })
                    .collect::<Result<_, _>>()?;
                let expected = root_of(&leaves[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()]);
                prop_assert_eq!(join(&roots), Some(expected));
            }
        }
    }
}
