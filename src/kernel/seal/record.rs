//! A subject's packed record: every attribute sealed by itself, all in one column.
//!
//! Format 1: one byte `1`, then a CBOR array of `[name, observed_at in ms, nonce ‖ ciphertext ‖ tag]`, sorted by
//! name. Names and times stand in the clear, so that retention is judged and the permitted ones are found without
//! opening any.

use minicbor::{Decoder, Encoder};

use super::key::{OpenError, SealError};
use crate::attribute::AttributeName;
use crate::subject::SubjectId;
use crate::time::Timestamp;

const FORMAT: u8 = 1;

/// One sealed attribute, ready to be packed. There is no way to serialise or open it from here.
pub struct SealedAttribute {
    name: AttributeName,
    observed_at: Timestamp,
    sealed: Vec<u8>,
}

impl std::fmt::Debug for SealedAttribute {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SealedAttribute({})", self.name)
    }
}

impl SealedAttribute {
    pub(super) const fn new(name: AttributeName, observed_at: Timestamp, sealed: Vec<u8>) -> Self {
        Self { name, observed_at, sealed }
    }

    /// Which attribute it is.
    #[must_use]
    pub const fn name(&self) -> &AttributeName {
        &self.name
    }
}

/// Everything a disclosure needs of one person, as it lies in the store.
#[derive(Clone, Copy)]
pub struct SealedSubject<'a> {
    /// Whose it is.
    pub id: SubjectId,
    /// Its place in disclosure bitmaps.
    pub ordinal: u64,
    /// The wrapped data key.
    pub wrapped_key: &'a [u8],
    /// The sealed standing.
    pub standing: &'a [u8],
    /// The packed record; empty: nothing stored.
    pub record: &'a [u8],
}

impl std::fmt::Debug for SealedSubject<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealedSubject(..)")
    }
}

/// A view of a packed record.
#[derive(Clone, Copy)]
pub struct SealedRecord<'a>(&'a [u8]);

impl std::fmt::Debug for SealedRecord<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealedRecord(..)")
    }
}

/// One entry of a packed record.
#[derive(Clone, Copy)]
pub struct RecordEntry<'a> {
    name: &'a str,
    observed_at: Timestamp,
    sealed: &'a [u8],
}

impl std::fmt::Debug for RecordEntry<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RecordEntry({})", self.name)
    }
}

impl<'a> RecordEntry<'a> {
    /// Which attribute it is.
    #[must_use]
    pub const fn name(&self) -> &'a str {
        self.name
    }

    /// When the value was observed.
    #[must_use]
    pub const fn observed_at(&self) -> Timestamp {
        self.observed_at
    }

    pub(super) const fn sealed(&self) -> &'a [u8] {
        self.sealed
    }
}

impl<'a> SealedRecord<'a> {
    /// Looks at a stored record.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Its entries, sorted by name.
    ///
    /// # Errors
    /// The iterator yields one error and ends where the bytes are not a record.
    pub fn entries(self) -> Entries<'a> {
        match self.0.split_first() {
            None => Entries { decoder: Decoder::new(&[]), left: 0, broken: false },
            Some((&FORMAT, body)) => {
                let mut decoder = Decoder::new(body);
                match decoder.array() {
                    Ok(Some(left)) => Entries { decoder, left, broken: false },
                    _ => Entries { decoder, left: 1, broken: true },
                }
            }
            Some(_) => Entries { decoder: Decoder::new(&[]), left: 1, broken: true },
        }
    }
}

/// The entries of a record.
#[derive(Debug)]
pub struct Entries<'a> {
    decoder: Decoder<'a>,
    left: u64,
    broken: bool,
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<RecordEntry<'a>, OpenError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let entry = if self.broken { Err(OpenError) } else { entry(&mut self.decoder).map_err(|_| OpenError) };
        if entry.is_err() {
            self.left = 0;
        }
        Some(entry)
    }
}

fn entry<'a>(decoder: &mut Decoder<'a>) -> Result<RecordEntry<'a>, minicbor::decode::Error> {
    if decoder.array()? != Some(3) {
        return Err(minicbor::decode::Error::message("an entry has three parts"));
    }
    Ok(RecordEntry {
        name: decoder.str()?,
        observed_at: Timestamp::from_millis(decoder.i64()?),
        sealed: decoder.bytes()?,
    })
}

/// Packs a record anew with some attributes added or replaced. The others are carried over unopened. A value that was
/// observed earlier than the one already stored does not replace it.
///
/// # Errors
/// When the stored record cannot be read.
pub fn merge_record(stored: &[u8], updates: &[SealedAttribute]) -> Result<Vec<u8>, SealError> {
    let mut entries: Vec<RecordEntry<'_>> =
        SealedRecord::new(stored).entries().collect::<Result<_, _>>().map_err(|_| SealError)?;
    for update in updates {
        let name = update.name.as_str();
        let fresh = RecordEntry { name, observed_at: update.observed_at, sealed: &update.sealed };
        match entries.binary_search_by(|entry| entry.name.cmp(name)) {
            Ok(at) => {
                if let Some(entry) = entries.get_mut(at).filter(|known| known.observed_at <= fresh.observed_at) {
                    *entry = fresh;
                }
            }
            Err(at) => entries.insert(at, fresh),
        }
    }
    pack(&entries).map_err(|_| SealError)
}

/// Packs a record anew with only the attributes that `keep` says, by name and time of observation. None is opened.
///
/// # Errors
/// When the stored record cannot be read.
pub fn thin_record(stored: &[u8], keep: impl Fn(&str, Timestamp) -> bool) -> Result<Vec<u8>, SealError> {
    let entries: Vec<RecordEntry<'_>> =
        SealedRecord::new(stored).entries().collect::<Result<_, _>>().map_err(|_| SealError)?;
    let kept: Vec<_> = entries.into_iter().filter(|entry| keep(entry.name, entry.observed_at)).collect();
    if kept.is_empty() { Ok(Vec::new()) } else { pack(&kept).map_err(|_| SealError) }
}

fn pack(entries: &[RecordEntry<'_>]) -> Result<Vec<u8>, minicbor::encode::Error<std::convert::Infallible>> {
    let mut bytes = vec![FORMAT];
    let mut encoder = Encoder::new(&mut bytes);
    encoder.array(entries.len() as u64)?;
    for entry in entries {
        encoder.array(3)?.str(entry.name)?.i64(entry.observed_at.as_millis())?.bytes(entry.sealed)?;
    }
    Ok(bytes)
}
