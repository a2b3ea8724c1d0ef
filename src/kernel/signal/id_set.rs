//! Sets of small numbers: vendors in ranges, purposes and features in a word.

use super::bits::{BitReader, BitWriter};
use super::error::{SignalError, SignalFault};

const ID_BITS: u32 = 16;
const COUNT_BITS: u32 = 12;

/// A set of vendor IDs, which start at 1.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IdSet {
    // INVARIANT: ascending, none empty, none touching the next; no zero.
    ranges: Vec<(u16, u16)>,
}

impl FromIterator<u16> for IdSet {
    /// The set of these IDs; zero is no ID.
    fn from_iter<I: IntoIterator<Item = u16>>(ids: I) -> Self {
        Self::of_ranges(ids.into_iter().filter(|id| *id != 0).map(|id| (id, id)).collect())
    }
}

impl IdSet {
    fn of_ranges(mut ranges: Vec<(u16, u16)>) -> Self {
        ranges.sort_unstable();
        ranges.dedup_by(|next, last| {
            let touches = next.0 <= last.1.saturating_add(1);
            if touches {
                last.1 = last.1.max(next.1);
            }
            touches
        });
        Self { ranges }
    }

    /// Whether `id` is in the set.
    #[must_use]
    pub fn contains(&self, id: u16) -> bool {
        let after = self.ranges.partition_point(|(first, _)| *first <= id);
        after.checked_sub(1).and_then(|at| self.ranges.get(at)).is_some_and(|(_, last)| id <= *last)
    }

    /// The IDs, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u16> {
        self.ranges.iter().flat_map(|(first, last)| *first..=*last)
    }

    /// How many IDs there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ranges.iter().map(|(first, last)| usize::from(last - first) + 1).sum()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    fn max(&self) -> u16 {
        self.ranges.last().map_or(0, |(_, last)| *last)
    }

    /// Reads MaxVendorId, IsRangeEncoding and a bit field or a range (TCF 2.3, "Vendor Consent Section").
    pub(super) fn read(reader: &mut BitReader) -> Result<Self, SignalError> {
        let max = reader.integer(ID_BITS)?;
        if reader.flag()? {
            return Self::read_ranges(reader, max);
        }
        let mut ranges: Vec<(u16, u16)> = Vec::new();
        for id in 1..=max {
            if !reader.flag()? {
                continue;
            }
            match ranges.last_mut() {
                Some((_, last)) if last.checked_add(1) == Some(id) => *last = id,
                _ => ranges.push((id, id)),
            }
        }
        Ok(Self { ranges })
    }

    /// Reads NumEntries and as many single IDs or ranges, none above `max`. The specification asks for no order.
    pub(super) fn read_ranges(reader: &mut BitReader, max: u16) -> Result<Self, SignalError> {
        let count: u16 = reader.integer(COUNT_BITS)?;
        let mut ranges = Vec::new();
        for _ in 0..count {
            let is_range = reader.flag()?;
            let first: u16 = reader.integer(ID_BITS)?;
            let last = if is_range { reader.integer(ID_BITS)? } else { first };
            if first == 0 || last < first || last > max {
                return Err(reader.fault(SignalFault::VendorIds));
            }
            ranges.push((first, last));
        }
        Ok(Self::of_ranges(ranges))
    }

    /// Writes what [`IdSet::read`] reads, in the shorter form; of two equally long the range, as the official library.
    pub(super) fn write(&self, writer: &mut BitWriter) -> Result<(), SignalError> {
        let max = self.max();
        writer.integer(max, ID_BITS)?;
        let is_range = self.range_bits() <= usize::from(max);
        writer.flag(is_range);
        if is_range {
            return self.write_ranges(writer);
        }
        for id in 1..=max {
            writer.flag(self.contains(id));
        }
        Ok(())
    }

    fn range_bits(&self) -> usize {
        self.ranges.iter().map(|(first, last)| if first == last { 17 } else { 33 }).sum::<usize>() + 12
    }

    /// Writes what [`IdSet::read_ranges`] reads.
    pub(super) fn write_ranges(&self, writer: &mut BitWriter) -> Result<(), SignalError> {
        let count = u64::try_from(self.ranges.len()).map_err(|_| writer.fault())?;
        writer.integer(count, COUNT_BITS)?;
        for (first, last) in &self.ranges {
            writer.flag(first != last);
            writer.integer(*first, ID_BITS)?;
            if first != last {
                writer.integer(*last, ID_BITS)?;
            }
        }
        Ok(())
    }
}

/// A set of numbers from 1 to 64: purposes, special features.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SmallSet {
    // INVARIANT: number n is the bit of weight 2^(n-1).
    bits: u64,
}

impl FromIterator<u8> for SmallSet {
    /// The set of these numbers; others than 1 to 64 are left out.
    fn from_iter<I: IntoIterator<Item = u8>>(numbers: I) -> Self {
        Self { bits: numbers.into_iter().fold(0, |bits, number| bits | Self::bit(number)) }
    }
}

impl SmallSet {
    fn bit(number: u8) -> u64 {
        number.checked_sub(1).and_then(|shift| 1_u64.checked_shl(u32::from(shift))).unwrap_or(0)
    }

    /// Whether `number` is in the set.
    #[must_use]
    pub fn contains(self, number: u8) -> bool {
        self.bits & Self::bit(number) != 0
    }

    /// Whether none is in the set.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.bits == 0
    }

    /// The numbers, ascending.
    pub fn iter(self) -> impl Iterator<Item = u8> {
        (1..=64).filter(move |number| self.contains(*number))
    }

    /// Reads `width` flags, of which the first is number 1.
    pub(super) fn read(reader: &mut BitReader, width: u8) -> Result<Self, SignalError> {
        let mut bits = 0;
        for number in 1..=width {
            if reader.flag()? {
                bits |= Self::bit(number);
            }
        }
        Ok(Self { bits })
    }

    /// Writes what [`SmallSet::read`] reads.
    pub(super) fn write(self, writer: &mut BitWriter, width: u8) -> Result<(), SignalError> {
        if self.bits.checked_shr(u32::from(width)).is_some_and(|beyond| beyond != 0) {
            return Err(writer.fault());
        }
        (1..=width).for_each(|number| writer.flag(self.contains(number)));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::super::bits::Padding;
    use super::*;

    fn written(set: &IdSet) -> String {
        let mut writer = BitWriter::default();
        set.write(&mut writer).unwrap();
        writer.finish(Padding::Traditional)
    }

    fn read(text: &str) -> Result<IdSet, SignalFault> {
        IdSet::read(&mut BitReader::new(text, 0).unwrap()).map_err(SignalError::fault)
    }

    /// MaxVendorId, range encoding, and these entries.
    fn ranges(max: u16, entries: &[(u16, u16)]) -> String {
        let mut writer = BitWriter::default();
        writer.integer(max, 16).unwrap();
        writer.flag(true);
        writer.integer(u64::try_from(entries.len()).unwrap(), 12).unwrap();
        for (first, last) in entries {
            writer.flag(true);
            writer.integer(*first, 16).unwrap();
            writer.integer(*last, 16).unwrap();
        }
        writer.finish(Padding::Traditional)
    }

    #[test]
    fn ranges_in_any_order_and_overlapping_are_one_set() {
        let set = read(&ranges(20, &[(7, 9), (1, 2), (9, 12), (3, 3), (2, 2)])).unwrap();
        assert_eq!(set, (1..=3).chain(7..=12).collect());
        assert_eq!(set.len(), 9);
        assert_eq!(read(&ranges(u16::MAX, &[(1, u16::MAX), (u16::MAX, u16::MAX)])).unwrap().len(), 65_535);
    }

    #[test]
    fn impossible_ranges_are_refused() {
        for entry in [(0, 0), (0, 3), (4, 3), (4, 21)] {
            assert_eq!(read(&ranges(20, &[entry])), Err(SignalFault::VendorIds), "{entry:?}");
        }
        assert_eq!(read("AAAA"), Ok(IdSet::default()));
        assert_eq!(read("AAQ"), Err(SignalFault::Truncated));
        assert_eq!(read("__9"), Err(SignalFault::Truncated));
    }

    #[test]
    fn a_small_set_holds_1_to_64() {
        let set: SmallSet = [0, 1, 24, 64, 65, 255].into_iter().collect();
        assert_eq!(set.iter().collect::<Vec<_>>(), [1, 24, 64]);
        assert!(!set.contains(0) && !set.contains(65) && set.contains(64));
        assert!(set.write(&mut BitWriter::default(), 24).is_err());
        assert!(set.write(&mut BitWriter::default(), 64).is_ok());
    }

    proptest! {
        #[test]
        fn sets_survive_in_either_form(
            ids in prop::collection::btree_set(1_u16.., 0..60), dense in prop::collection::btree_set(1_u16..200, 0..120)
        ) {
            for ids in [ids, dense] {
                let set: IdSet = ids.iter().copied().collect();
                prop_assert_eq!(set.iter().collect::<BTreeSet<_>>(), ids.clone());
                prop_assert_eq!(set.len(), ids.len());
                prop_assert!((0..=300).all(|id| set.contains(id) == ids.contains(&id)));
                prop_assert_eq!(read(&written(&set)).unwrap(), set);
            }
        }
    }
}
