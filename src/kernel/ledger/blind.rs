//! What of an entry is published: a commitment that tells nothing of it, and that whoever has its key can open.
//!
//! The tree is public, and entries say which reference did what when: enough to recognise somebody whose visit was
//! watched. So a leaf holds `version ‖ HMAC-SHA-256(key, entry)`, always 33 bytes. Every entry has a key of its own,
//! derived from the secret of its batch: opening one entry to an auditor opens no other.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::ledger::tree::{TreeHash, leaf_hash};

/// What the keys of a batch are derived from. It stays with the entries and is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct BatchSecret(Zeroizing<[u8; 32]>);

/// Opens one entry.
#[derive(Clone, PartialEq, Eq)]
pub struct EntryKey([u8; 32]);

/// An entry as everybody may see it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublishedEntry([u8; Self::BYTES]);

impl BatchSecret {
    /// Takes fresh random bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes, to be stored beside the entries.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The key of the entry with this index in the ledger.
    #[must_use]
    pub fn key(&self, index: u64) -> EntryKey {
        EntryKey(mac(&self.0, &[b"consentry ledger entry v1", &index.to_be_bytes()]))
    }
}

impl EntryKey {
    /// Takes the bytes as they are.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes: shown to whoever may know the entry.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// What is published of an entry.
    #[must_use]
    pub fn publish(&self, entry: &[u8]) -> PublishedEntry {
        let mut published = [PublishedEntry::VERSION; PublishedEntry::BYTES];
        published.iter_mut().skip(1).zip(mac(&self.0, &[entry])).for_each(|(to, from)| *to = from);
        PublishedEntry(published)
    }
}

impl PublishedEntry {
    /// The length of every published entry: it tells nothing of what was said.
    pub const BYTES: usize = 33;
    const VERSION: u8 = 1;

    /// Takes the bytes as they are stored: whether they are genuine, the tree tells.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    /// Reads a published entry.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        let bytes: [u8; Self::BYTES] = bytes.try_into().ok()?;
        bytes.starts_with(&[Self::VERSION]).then_some(Self(bytes))
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }

    /// Its hash as a leaf of the tree.
    #[must_use]
    pub fn leaf(&self) -> TreeHash {
        leaf_hash(&self.0)
    }
}

impl fmt::Debug for BatchSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BatchSecret(..)")
    }
}

impl fmt::Debug for EntryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EntryKey(..)")
    }
}

impl fmt::Debug for PublishedEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublishedEntry({})", crate::id::hex(&self.0))
    }
}

fn mac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    // INVARIANT: HMAC takes a key of any length; were it not so, an all-zero entry would fit no tree.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return [0; 32] };
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn an_entry_opens_with_its_own_key_and_no_other() {
        let secret = BatchSecret::from_bytes([7; 32]);
        let published = secret.key(5).publish(b"entry");
        assert_eq!(secret.key(5).publish(b"entry"), published);
        assert_ne!(secret.key(6).publish(b"entry"), published);
        assert_ne!(secret.key(5).publish(b"entrz"), published);
        assert_ne!(BatchSecret::from_bytes([8; 32]).key(5).publish(b"entry"), published);
        assert_eq!(PublishedEntry::from_slice(published.as_bytes()), Some(published));
        for bad in [&published.as_bytes()[1..], &[0; 33], &[1; 34]] {
            assert_eq!(PublishedEntry::from_slice(bad), None);
        }
    }

    #[test]
    fn other_implementations_agree() {
        // Python: hmac.digest(hmac.digest(bytes(32), b"consentry ledger entry v1" + (0).to_bytes(8, "big"), "sha256"),
        // b"entry", "sha256")
        let published = BatchSecret::from_bytes([0; 32]).key(0).publish(b"entry");
        let (version, code) = published.as_bytes().split_first().unwrap();
        assert_eq!((*version, crate::id::hex(code).as_str()), (1, VECTOR));
    }

    const VECTOR: &str = "6087766b4b43a14b467e4e55eca8113e9c3df3e8534c51150d105266f15b675a";

    #[test]
    fn secrets_are_not_shown() {
        let secret = BatchSecret::from_bytes([0x5a; 32]);
        assert_eq!(format!("{secret:?} {:?}", secret.key(1)), "BatchSecret(..) EntryKey(..)");
    }
}
