//! Pseudonyms: one per recipient, purpose and epoch, reversible only by the gateway, without a mapping table.
//!
//! A pseudonym is the subject id under AES-256, a keyed permutation of 128 bits, with a key derived for that
//! recipient, purpose and epoch (GDPR Art. 4(5); EDPB 01/2025). Two recipients cannot join theirs, and a pseudonym of
//! an erased subject resolves to an id that no longer exists.

use std::fmt;
use std::str::FromStr;

use aes::Aes256;
use aes::cipher::{Block, BlockCipherDecrypt as _, BlockCipherEncrypt as _, KeyInit as _};
use thiserror::Error;

use crate::id::{PullId, hex, unhex};
use crate::purpose::Purpose;
use crate::recipient::RecipientId;
use crate::seal::{Keyring, derive};
use crate::subject::SubjectId;

/// The name under which one recipient knows one person for one purpose during one epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pseudonym {
    epoch: u16,
    value: [u8; 16],
}

/// Text that is not a pseudonym.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a pseudonym is `p`, its epoch, `-` and 32 hexadecimal digits")]
pub struct PseudonymError;

impl Pseudonym {
    /// The epoch it belongs to.
    #[must_use]
    pub const fn epoch(self) -> u16 {
        self.epoch
    }

    /// The 128 bits, which the text form writes in hexadecimal digits.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.value
    }
}

impl fmt::Display for Pseudonym {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p{}-{}", self.epoch, hex(&self.value))
    }
}

impl FromStr for Pseudonym {
    type Err = PseudonymError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (epoch, value) = text.strip_prefix('p').and_then(|rest| rest.split_once('-')).ok_or(PseudonymError)?;
        let plain = !epoch.is_empty() && epoch.bytes().all(|b| b.is_ascii_digit()) && !epoch.starts_with('0');
        if !plain {
            return Err(PseudonymError);
        }
        Ok(Self {
            epoch: epoch.parse().map_err(|_| PseudonymError)?,
            value: unhex(value).map_err(|_| PseudonymError)?,
        })
    }
}

/// The permutation of one recipient, purpose and epoch.
pub struct Pseudonymiser {
    epoch: u16,
    cipher: Aes256,
}

impl fmt::Debug for Pseudonymiser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pseudonymiser(epoch {})", self.epoch)
    }
}

impl Keyring {
    /// The pseudonyms of a recipient for a purpose in an epoch.
    #[must_use]
    pub fn pseudonymiser(&self, recipient: &RecipientId, purpose: &Purpose, epoch: u16) -> Pseudonymiser {
        // INVARIANT: a key ring has a key of pseudonyms, or it is none. Were there none, names would be of no use, and still
        // nobody's; no pseudonym hangs on the key of capabilities.
        self.pseudonymisers(recipient, purpose, epoch).next().unwrap_or_else(|| {
            Pseudonymiser::with_key(epoch, &derive(&self.capability_key(), &[b"pseudonym without a key v1"]))
        })
    }

    /// What resolves the pseudonyms of a recipient, purpose and epoch: one for each key that is kept, the newest first.
    /// A pseudonym that another key made resolves to an id that nobody has.
    pub fn pseudonymisers(
        &self,
        recipient: &RecipientId,
        purpose: &Purpose,
        epoch: u16,
    ) -> impl Iterator<Item = Pseudonymiser> + use<> {
        let (recipient, purpose) = (recipient.clone(), purpose.clone());
        self.pseudonym_keys().into_iter().map(move |key| {
            let parts: [&[u8]; 4] = [
                b"pseudonym v1",
                recipient.as_str().as_bytes(),
                purpose.as_str().as_bytes(),
                &epoch.to_be_bytes(),
            ];
            Pseudonymiser::with_key(epoch, &derive(&key, &parts))
        })
    }

    /// The order in which a pull visits its ranges: a keyed permutation of `0..count`, another one for every pull, so
    /// that two recipients' files do not align by position. It is made under one version of the key of capabilities, and
    /// the pull's cursors name it: it does not change while a pull is under way. `None`: the version is retired.
    #[must_use]
    pub fn visiting_order(
        &self,
        pull: PullId,
        recipient: &RecipientId,
        count: u32,
        version: u32,
    ) -> Option<VisitingOrder> {
        let parts: [&[u8]; 3] = [b"visiting order v1", recipient.as_str().as_bytes(), pull.as_bytes()];
        let key = derive(&*self.capability_key_of(version)?, &parts);
        let key: &[u8; 32] = &key;
        // Half of the even number of bits that hold `count`.
        let half = (u32::BITS - count.saturating_sub(1).leading_zeros()).div_ceil(2).max(1);
        Some(VisitingOrder { cipher: Aes256::new(key.into()), half, count })
    }
}

/// A keyed permutation of the ranges of one pull. Any place of it is found at once, so that going on from a cursor
/// costs the same everywhere.
pub struct VisitingOrder {
    cipher: Aes256,
    half: u32,
    count: u32,
}

impl fmt::Debug for VisitingOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VisitingOrder({})", self.count)
    }
}

impl VisitingOrder {
    /// How many ranges there are.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// The range that is visited at a place; `None` beyond the last.
    #[must_use]
    pub fn at(&self, place: u32) -> Option<u32> {
        if place >= self.count {
            return None;
        }
        // A Feistel network permutes all numbers of its width; walking on until the result is in `0..count` makes it
        // a permutation of those. The width is less than four times the count, so the walk is short.
        let mut at = self.permute(place);
        while at >= self.count {
            at = self.permute(at);
        }
        Some(at)
    }

    fn permute(&self, number: u32) -> u32 {
        let mask = u32::MAX >> (u32::BITS - self.half);
        let (mut left, mut right) = (number >> self.half & mask, number & mask);
        for round in 0_u8..6 {
            (left, right) = (right, left ^ self.mix(round, right) & mask);
        }
        left << self.half | right
    }

    fn mix(&self, round: u8, half: u32) -> u32 {
        let mut bytes = [0; 16];
        for (to, from) in bytes.iter_mut().zip([round].into_iter().chain(half.to_be_bytes())) {
            *to = from;
        }
        let mut block = Block::<Aes256>::from(bytes);
        self.cipher.encrypt_block(&mut block);
        let bytes: [u8; 16] = block.into();
        let [a, b, c, d, ..] = bytes;
        u32::from_be_bytes([a, b, c, d])
    }
}

impl Pseudonymiser {
    pub(crate) fn with_key(epoch: u16, key: &[u8; 32]) -> Self {
        Self { epoch, cipher: Aes256::new(key.into()) }
    }

    /// The pseudonym of a subject.
    #[must_use]
    pub fn of(&self, subject: SubjectId) -> Pseudonym {
        let mut block = Block::<Aes256>::from(*subject.as_bytes());
        self.cipher.encrypt_block(&mut block);
        Pseudonym { epoch: self.epoch, value: block.into() }
    }

    /// The subject id behind a pseudonym, whether or not such a subject exists; `None` for another epoch.
    #[must_use]
    pub fn resolve(&self, pseudonym: Pseudonym) -> Option<SubjectId> {
        if pseudonym.epoch != self.epoch {
            return None;
        }
        let mut block = Block::<Aes256>::from(pseudonym.value);
        self.cipher.decrypt_block(&mut block);
        Some(SubjectId::from_bytes(block.into()))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::seal::tests::keyring;
    use proptest::prelude::*;
    use sha2::{Digest as _, Sha256, Sha512};

    fn pseudonymiser(recipient: &str, purpose: &str, epoch: u16) -> Pseudonymiser {
        keyring(1).pseudonymiser(&recipient.parse().unwrap(), &purpose.parse().unwrap(), epoch)
    }

    #[test]
    fn pse_03_recipients_purposes_and_epochs_do_not_share_pseudonyms() {
        let subject = SubjectId::from_bytes([7; 16]);
        let base = pseudonymiser("segmentation", "profiling", 1).of(subject);
        assert_eq!(base, pseudonymiser("segmentation", "profiling", 1).of(subject));
        for other in [
            pseudonymiser("adnetwork", "profiling", 1),
            pseudonymiser("segmentation", "sharing", 1),
            pseudonymiser("segmentation", "profiling", 2),
        ] {
            assert_ne!(base.value, other.of(subject).value);
        }
    }

    #[test]
    fn pse_02_a_pseudonym_is_no_hash_of_the_subject() {
        let subject = [7; 16];
        let base = pseudonymiser("segmentation", "profiling", 1).of(SubjectId::from_bytes(subject));
        assert_ne!(base.value[..], Sha256::digest(subject)[..16]);
        assert_ne!(base.value[..], Sha512::digest(subject)[..16]);
    }

    #[test]
    fn a_pseudonym_of_another_epoch_resolves_to_nothing() {
        let old = pseudonymiser("segmentation", "profiling", 1).of(SubjectId::from_bytes([7; 16]));
        assert_eq!(pseudonymiser("segmentation", "profiling", 2).resolve(old), None);
    }

    proptest! {
        #[test]
        fn only_the_gateway_gets_back_to_the_subject(bytes: [u8; 16], epoch in 1_u16..) {
            let subject = SubjectId::from_bytes(bytes);
            let own = pseudonymiser("segmentation", "profiling", epoch);
            let pseudonym: Pseudonym = own.of(subject).to_string().parse().unwrap();
            prop_assert_eq!(own.resolve(pseudonym), Some(subject));
            let other = pseudonymiser("adnetwork", "profiling", epoch);
            prop_assert_ne!(other.resolve(pseudonym), Some(subject));
        }
    }

    #[test]
    fn a_pull_visits_every_range_once_in_an_order_of_its_own() {
        let order = |pull: u8, who: &str, count: u32| {
            let order = keyring(1).visiting_order(PullId::from_bytes([pull; 16]), &who.parse().unwrap(), count, 1);
            let order = order.unwrap();
            assert_eq!(order.at(count), None);
            (0..count).map(|place| order.at(place).unwrap()).collect::<Vec<_>>()
        };
        assert_ne!(order(1, "segmentation", 100), order(2, "segmentation", 100));
        assert_ne!(order(1, "segmentation", 100), order(1, "adnetwork", 100));
        for count in [0, 1, 2, 3, 4, 5, 17, 64, 65, 1000] {
            let mut sorted = order(1, "segmentation", count);
            sorted.sort_unstable();
            assert_eq!(sorted, (0..count).collect::<Vec<_>>());
        }
    }
}
