//! What does not fit in a ledger, and which entry it is.

use std::fmt;
use std::ops::Range;

use crate::ledger::blind::{BatchSecret, PublishedEntry};

/// What happened to a ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tampering {
    /// An entry says something else than it said.
    Edited,
    /// An entry is gone.
    Deleted,
    /// There is an entry too many before this one.
    Inserted,
    /// Entries changed places.
    Reordered,
    /// What was published of an entry was changed.
    Republished,
    /// The secret that the entries open with was changed.
    Locked,
    /// The bytes of an entry are none.
    Malformed,
    /// A hash of the tree over these entries was changed.
    Tile,
    /// The checkpoint over these entries is gone.
    CheckpointMissing,
    /// The checkpoint of these entries does not fit them, or its signature is wrong.
    Checkpoint,
    /// These entries are covered by a checkpoint and not there.
    Truncated,
    /// These entries are not those that an older checkpoint covers.
    Forked,
}

/// Something that does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerFault {
    /// What.
    pub how: Tampering,
    /// Which entries, by their indices. One, wherever one can be told.
    pub entries: Range<u64>,
}

impl LedgerFault {
    /// About one entry.
    #[must_use]
    pub fn of(how: Tampering, index: u64) -> Self {
        Self { how, entries: index..index.saturating_add(1) }
    }

    /// About several.
    #[must_use]
    pub const fn among(how: Tampering, entries: Range<u64>) -> Self {
        Self { how, entries }
    }
}

impl fmt::Display for LedgerFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Range { start, end } = self.entries;
        let last = end.saturating_sub(1);
        let which = if end.saturating_sub(start) <= 1 {
            format!("entry {start}")
        } else {
            format!("entries {start} to {last}")
        };
        match self.how {
            Tampering::Edited => write!(f, "{which} was edited"),
            Tampering::Deleted => write!(f, "{which} was deleted"),
            Tampering::Inserted => write!(f, "an entry was inserted before {which}"),
            Tampering::Reordered => write!(f, "{which} changed places"),
            Tampering::Republished => write!(f, "what was published of {which} was changed"),
            Tampering::Locked => write!(f, "the secret of {which} was changed"),
            Tampering::Malformed => write!(f, "{which} is not a canonical entry"),
            Tampering::Tile => write!(f, "a stored hash over {which} was changed"),
            Tampering::CheckpointMissing => write!(f, "the checkpoint over {which} is missing"),
            Tampering::Checkpoint => {
                write!(f, "the checkpoint at size {end} does not fit {which}, or its signature is wrong")
            }
            Tampering::Truncated => {
                write!(f, "{which} are covered by a checkpoint and missing: the tail was cut off")
            }
            Tampering::Forked => {
                write!(f, "{which} are not those of the older checkpoint of size {end}: the ledger was forked")
            }
        }
    }
}

/// Compares the entries that are there with what was published of those that were, from index `start` on, and tells
/// the first that does not fit.
#[must_use]
pub fn compare(
    start: u64,
    secret: &BatchSecret,
    published: &[PublishedEntry],
    entries: &[Vec<u8>],
) -> Option<LedgerFault> {
    let keys: Vec<_> = (start..).take(published.len()).map(|index| secret.key(index)).collect();
    let is = |place: usize, entry: &Vec<u8>| match (keys.get(place), published.get(place)) {
        (Some(key), Some(published)) => key.publish(entry) == *published,
        _ => false,
    };
    let unfit = (0..published.len().max(entries.len()))
        .find(|place| !entries.get(*place).is_some_and(|entry| is(*place, entry)))?;
    // Something does not fit from here on: each entry is looked for where it was.
    let homes: Vec<Option<usize>> =
        entries.iter().map(|entry| (0..published.len()).find(|place| is(*place, entry))).collect();
    if homes.len() > 1 && homes.len() == published.len() && homes.iter().all(Option::is_none) {
        return Some(LedgerFault::among(Tampering::Locked, start..start.saturating_add(published.len() as u64)));
    }
    let at = start.saturating_add(unfit as u64);
    let is_home = |place: usize| homes.contains(&Some(place));
    let here = homes.get(unfit).copied().flatten();
    Some(match here {
        _ if unfit >= published.len() => LedgerFault::of(Tampering::Inserted, at),
        // A copy of an entry that stood in its place before.
        Some(home) if home < unfit => LedgerFault::of(Tampering::Inserted, at),
        // Another entry stands here. The one that belongs here is elsewhere, or gone.
        Some(_) if is_home(unfit) => {
            let there = homes.iter().rposition(|home| *home == Some(unfit)).unwrap_or(unfit);
            LedgerFault::among(Tampering::Reordered, at..start.saturating_add(there as u64).saturating_add(1))
        }
        Some(_) => LedgerFault::of(Tampering::Deleted, at),
        // An entry stands here that belongs nowhere.
        None if entries.len() <= unfit => LedgerFault::of(Tampering::Deleted, at),
        None if is_home(unfit) => LedgerFault::of(Tampering::Inserted, at),
        None => LedgerFault::of(Tampering::Edited, at),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret() -> BatchSecret {
        BatchSecret::from_bytes([3; 32])
    }

    fn entries() -> Vec<Vec<u8>> {
        (0..9_u8).map(|number| vec![number; 5]).collect()
    }

    fn found(change: impl FnOnce(&mut Vec<Vec<u8>>)) -> Option<(Tampering, Range<u64>)> {
        let mut entries = entries();
        let published: Vec<_> =
            (100..).zip(&entries).map(|(index, entry)| secret().key(index).publish(entry)).collect();
        change(&mut entries);
        compare(100, &secret(), &published, &entries).map(|fault| (fault.how, fault.entries))
    }

    #[test]
    fn what_was_done_is_told_with_the_entry_it_was_done_to() {
        assert_eq!(found(|_| {}), None);
        for at in 0..9_usize {
            let index = 100 + at as u64;
            let one = |how| Some((how, index..index + 1));
            assert_eq!(found(|all| all[at][2] ^= 1), one(Tampering::Edited));
            assert_eq!(found(|all| drop(all.remove(at))), one(Tampering::Deleted));
            assert_eq!(found(|all| all.insert(at, vec![77])), one(Tampering::Inserted));
        }
        assert_eq!(found(|all| all.swap(2, 5)), Some((Tampering::Reordered, 102..106)));
        assert_eq!(found(|all| all.push(vec![0; 5])), Some((Tampering::Inserted, 109..110)));
        assert_eq!(found(Vec::clear), Some((Tampering::Deleted, 100..101)));
        let published = [100, 101].map(|index| secret().key(index).publish(b"a"));
        let locked = compare(100, &BatchSecret::from_bytes([4; 32]), &published, &[b"a".to_vec(), b"a".to_vec()]);
        assert_eq!(locked.map(|fault| fault.how), Some(Tampering::Locked));
    }

    #[test]
    fn a_fault_names_its_entries() {
        assert_eq!(LedgerFault::of(Tampering::Edited, 17).to_string(), "entry 17 was edited");
        let cut = LedgerFault::among(Tampering::Truncated, 3..5).to_string();
        assert!(cut.starts_with("entries 3 to 4 are covered"), "{cut}");
    }
}
