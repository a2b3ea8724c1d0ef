//! The versions of the key of capabilities. What a bearer holds was made under one of them and opens under that one; what is
//! made now is made under the newest whose time has come.
//!
//! Digests are layered: a version digests what the version before made of the same. So a stored digest moves to a newer
//! version without what it is of, and what is looked for is looked for in the layer of every version that is not retired.
//! Retired versions stay, because the newer layers are made of them; nothing opens under them.

use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::keyset::{KeyError, KeySet, KeyUse, TimedSeed};
use super::{Keyring, derive, keyed_digest};
use crate::time::Timestamp;

/// How long, in milliseconds, what is remembered for a day at most is still looked for in the layer before a new one.
pub const REMEMBERED_MS: i64 = 25 * 3_600_000;

/// One version.
struct Version {
    id: u32,
    key: Zeroizing<[u8; 32]>,
    /// Digests of requests and rows.
    request: Zeroizing<[u8; 32]>,
    /// Seals what lets staff in.
    staff: Zeroizing<[u8; 32]>,
    from: Option<Timestamp>,
    /// Whether it is not retired.
    opens: bool,
    /// Whether what is remembered for a day may be of its layer.
    is_recent: bool,
}

/// All versions, the oldest first.
pub(super) struct CapabilityKeys {
    versions: Vec<Version>,
    /// The place of the one that makes.
    makes: usize,
}

impl CapabilityKeys {
    pub(super) fn new(keys: &KeySet, now: Timestamp) -> Result<Self, KeyError> {
        let mut seeds = keys.seeds(KeyUse::Capability);
        seeds.sort_by_key(|seed| seed.id);
        let has_begun = |seed: &TimedSeed| seed.from.is_none_or(|from| from <= now);
        let makes = seeds.iter().rposition(has_begun).ok_or(KeyError::Missing(KeyUse::Capability))?;
        let is_recent = |at: usize| {
            let next = seeds.get(at + 1).and_then(|next| next.from);
            at >= makes || next.is_some_and(|from| now.since_ms(from) < REMEMBERED_MS)
        };
        let recent: Vec<bool> = (0..seeds.len()).map(is_recent).collect();
        let version = |(seed, is_recent): (TimedSeed, bool)| Version {
            id: seed.id,
            request: derive(&seed.seed, &[b"request fingerprint v1"]),
            staff: derive(&seed.seed, &[b"staff secrets v1"]),
            key: seed.seed,
            from: seed.from,
            opens: seed.until.is_none(),
            is_recent,
        };
        Ok(Self { versions: seeds.into_iter().zip(recent).map(version).collect(), makes })
    }

    fn maker(&self) -> Option<&Version> {
        self.versions.get(self.makes)
    }

    /// The newest first.
    fn open(&self) -> impl Iterator<Item = &Version> {
        self.versions.iter().rev().filter(|version| version.opens)
    }

    /// The place of the version that was in force at a time.
    fn at(&self, at: Timestamp) -> usize {
        self.versions.iter().rposition(|version| version.from.is_none_or(|from| from <= at)).unwrap_or_default()
    }

    /// The digest in the layer of a place.
    fn digest(&self, place: usize, parts: &[&[u8]]) -> [u8; 32] {
        let mut versions = self.versions.iter().take(place.saturating_add(1));
        // INVARIANT: there is a version. Were there none, the digest would be that of no key and match nothing.
        let first = versions.next().map_or([0; 32], |version| keyed_digest(&version.request, parts));
        versions.fold(first, |digest, version| version.lift(&digest))
    }

    /// The digests in all layers, the oldest first.
    fn digests(&self, parts: &[&[u8]]) -> Vec<[u8; 32]> {
        let mut digests: Vec<[u8; 32]> = Vec::with_capacity(self.versions.len());
        for version in &self.versions {
            let digest = match digests.last() {
                None => keyed_digest(&version.request, parts),
                Some(before) => version.lift(before),
            };
            digests.push(digest);
        }
        digests
    }

    /// What a digest of each layer would be in the newest one.
    fn lifted(&self, digest: &[u8; 32]) -> impl Iterator<Item = [u8; 32]> {
        let digest = *digest;
        (0..self.versions.len()).map(move |place| {
            let above = self.versions.iter().skip(place.saturating_add(1));
            above.fold(digest, |digest, version| version.lift(&digest))
        })
    }
}

impl Version {
    /// A digest of the layer before, in this one.
    fn lift(&self, digest: &[u8; 32]) -> [u8; 32] {
        keyed_digest(&self.request, &[b"layer v1", digest])
    }
}

impl Keyring {
    /// The version that makes capabilities now.
    #[must_use]
    pub fn makes_capabilities_by(&self) -> u32 {
        self.ring.load().capability.maker().map_or(0, |version| version.id)
    }

    /// The versions before one, the oldest first.
    #[must_use]
    pub fn capabilities_before(&self, id: u32) -> Vec<u32> {
        let ring = self.ring.load();
        ring.capability.versions.iter().map(|version| version.id).filter(|known| *known < id).collect()
    }

    /// The key that makes capabilities now.
    pub(crate) fn capability_key(&self) -> Zeroizing<[u8; 32]> {
        // INVARIANT: a ring has a version that makes. Were there none, what is made would open for nobody.
        self.ring.load().capability.maker().map_or_else(Zeroizing::default, |version| version.key.clone())
    }

    /// The keys that capabilities open under, the newest first.
    pub(crate) fn capability_keys(&self) -> Vec<Zeroizing<[u8; 32]>> {
        self.ring.load().capability.open().map(|version| version.key.clone()).collect()
    }

    /// The key of a version that is not retired; of 0, the oldest: what does not name its version is of that one.
    pub(crate) fn capability_key_of(&self, id: u32) -> Option<Zeroizing<[u8; 32]>> {
        let ring = self.ring.load();
        let mut versions = ring.capability.versions.iter();
        let version = if id == 0 { versions.next() } else { versions.find(|version| version.id == id) };
        version.filter(|version| version.opens).map(|version| version.key.clone())
    }

    /// The key of the version that was in force at a time, retired or not: what was named once keeps its name.
    pub(crate) fn capability_key_at(&self, at: Timestamp) -> Zeroizing<[u8; 32]> {
        let ring = self.ring.load();
        let version = ring.capability.versions.get(ring.capability.at(at));
        version.map_or_else(Zeroizing::default, |version| version.key.clone())
    }

    /// A keyed digest of a request, to recognise its repetition without keeping what it said.
    #[must_use]
    pub fn request_fingerprint(&self, parts: &[&[u8]]) -> [u8; 32] {
        let ring = self.ring.load();
        ring.capability.digest(ring.capability.makes, parts)
    }

    /// The same in the layer of every version that is not retired, the newest first: one of them is what was stored.
    #[must_use]
    pub fn request_fingerprints(&self, parts: &[&[u8]]) -> Vec<[u8; 32]> {
        self.some_fingerprints(parts, |version| version.opens)
    }

    /// The same for what is remembered for [`REMEMBERED_MS`] at most: mostly one.
    #[must_use]
    pub fn recent_request_fingerprints(&self, parts: &[&[u8]]) -> Vec<[u8; 32]> {
        self.some_fingerprints(parts, |version| version.is_recent)
    }

    fn some_fingerprints(&self, parts: &[&[u8]], is_asked: impl Fn(&Version) -> bool) -> Vec<[u8; 32]> {
        let ring = self.ring.load();
        let digests = ring.capability.digests(parts);
        let asked = ring.capability.versions.iter().zip(digests).rev().filter(|(version, _)| is_asked(version));
        asked.map(|(_, digest)| digest).collect()
    }

    /// The same as it was at a time: what was told once is told again alike.
    #[must_use]
    pub fn request_fingerprint_at(&self, parts: &[&[u8]], at: Timestamp) -> [u8; 32] {
        let ring = self.ring.load();
        ring.capability.digest(ring.capability.at(at), parts)
    }

    /// Which version's layer a stored digest is of, if it is the digest of these parts at all. None of a retired one is.
    #[must_use]
    pub fn layer_of_fingerprint(&self, parts: &[&[u8]], stored: &[u8]) -> Option<u32> {
        let ring = self.ring.load();
        let digests = ring.capability.digests(parts);
        let mut open = ring.capability.versions.iter().zip(digests).rev().filter(|(version, _)| version.opens);
        open.find(|(_, digest)| bool::from(digest.as_slice().ct_eq(stored))).map(|(version, _)| version.id)
    }

    /// Whether two digests, of whichever layers, are of the same.
    #[must_use]
    pub fn is_same_request(&self, one: &[u8; 32], other: &[u8; 32]) -> bool {
        if bool::from(one.ct_eq(other)) {
            return true;
        }
        let ring = self.ring.load();
        let theirs: Vec<_> = ring.capability.lifted(other).collect();
        ring.capability.lifted(one).any(|mine| theirs.iter().any(|theirs| bool::from(mine.ct_eq(theirs))))
    }

    /// A stored digest of a version's layer, in the layer of the version that makes now. `None`: there is no such version,
    /// or it is newer.
    #[must_use]
    pub fn lift_fingerprint(&self, digest: &[u8; 32], from: u32) -> Option<[u8; 32]> {
        let ring = self.ring.load();
        let place = ring.capability.versions.iter().position(|version| version.id == from)?;
        let above = ring.capability.versions.get(place.saturating_add(1)..=ring.capability.makes)?;
        Some(above.iter().fold(*digest, |digest, version| version.lift(&digest)))
    }

    /// The keys under which what lets staff in is sealed: the one that seals now, then all that open, the newest first.
    pub(super) fn staff_keys(&self) -> (Zeroizing<[u8; 32]>, Vec<Zeroizing<[u8; 32]>>) {
        let ring = self.ring.load();
        let seals = ring.capability.maker().map_or_else(Zeroizing::default, |version| version.staff.clone());
        (seals, ring.capability.open().map(|version| version.staff.clone()).collect())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::super::tests::Counting;
    use super::*;
    use crate::capability::{CapabilityError, Stop};
    use crate::confirmation::ConfirmationToken;
    use crate::entropy::Entropy;
    use crate::id::{IncidentId, PullId, ReceiptId, StaffId};
    use crate::seal::StaffSecret;
    use crate::subject::SubjectId;

    struct Fixed(u8);

    impl Entropy for Fixed {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(self.0);
        }
    }

    const BEGAN: i64 = 1_000_000_000;
    const ROTATED: i64 = 2_000_000_000;
    const SUBJECT: SubjectId = SubjectId::from_bytes([9; 16]);

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    /// A set before, and after a rotation.
    fn sets() -> (KeySet, KeySet) {
        let before = KeySet::generate(&Counting(3.into()));
        let mut after = KeySet::from_toml(&before.to_toml()).unwrap();
        assert_eq!(after.add(KeyUse::Capability, &Counting(90.into()), at(ROTATED)), 2);
        (before, after)
    }

    fn ring(set: &KeySet, now: i64) -> Keyring {
        Keyring::at(set, at(now)).unwrap()
    }

    #[test]
    fn what_was_made_before_a_rotation_opens_until_its_version_is_retired() {
        let (before, mut after) = sets();
        let old = ring(&before, BEGAN);
        let now = at(ROTATED + 60_000);
        let recipient = "segmentation".parse().unwrap();
        let receipt = ReceiptId::from_bytes([3; 16]);
        let withdrawal = old.withdrawal_token(SUBJECT);
        let of_receipt = old.receipt_token(SUBJECT, receipt, None);
        let mailed = old.unsubscribe_token(SUBJECT, &Stop::Marketing, now).unwrap();
        let preferences = old.preference_token(SUBJECT, now).unwrap();
        let cursor = old.seal_cursor("segmentation", b"state").unwrap();
        let order = |ring: &Keyring, key| {
            let order = ring.visiting_order(PullId::from_bytes([4; 16]), &recipient, 40, key)?;
            (0..40).map(|place| order.at(place)).collect::<Option<Vec<_>>>()
        };
        let visited = order(&old, 1).unwrap();
        let opens = |ring: &Keyring| {
            let opened = [
                ring.open_withdrawal_token(&withdrawal) == Ok(SUBJECT),
                ring.open_receipt_token(&of_receipt) == Ok((SUBJECT, receipt, None)),
                ring.open_unsubscribe_token(&mailed) == Ok((SUBJECT, Stop::Marketing)),
                ring.open_preference_token(&preferences, now) == Ok(SUBJECT),
                ring.open_cursor("segmentation", &cursor).is_ok(),
                order(ring, 1).as_ref() == Some(&visited) && order(ring, 0).as_ref() == Some(&visited),
            ];
            assert!(opened.iter().all(|one| *one == opened[0]), "{opened:?}");
            opened[0]
        };
        assert!(opens(&old));
        // Known and not used yet: the old one makes, and what a gateway made whose clock is ahead opens already.
        let waiting = ring(&after, ROTATED - 1);
        assert_eq!((waiting.makes_capabilities_by(), waiting.withdrawal_token(SUBJECT)), (1, withdrawal.clone()));
        let new = ring(&after, ROTATED);
        assert_eq!(new.makes_capabilities_by(), 2);
        let fresh = new.withdrawal_token(SUBJECT);
        assert_ne!(fresh, withdrawal);
        assert_eq!(waiting.open_withdrawal_token(&fresh), Ok(SUBJECT));
        assert_eq!(old.open_withdrawal_token(&fresh), Err(CapabilityError));
        assert!(opens(&waiting) && opens(&new));
        assert_ne!(order(&new, 2).unwrap(), visited);
        // Retired, it opens nothing; the newer one goes on.
        after.retire(KeyUse::Capability, 1, at(ROTATED + 60_000)).unwrap();
        let retired = ring(&after, ROTATED + 60_000);
        assert!(!opens(&retired));
        assert_eq!(retired.open_withdrawal_token(&fresh), Ok(SUBJECT));
        assert!(after.retire(KeyUse::Capability, 2, at(ROTATED + 60_000)).is_err(), "the newest cannot go");
        let again = KeySet::from_toml(&after.to_toml()).unwrap();
        assert!(!opens(&ring(&again, ROTATED + 60_000)));
    }

    #[test]
    fn a_stored_digest_moves_to_the_newer_version_without_what_it_is_of() {
        let (before, mut after) = sets();
        let (old, new) = (ring(&before, BEGAN), ring(&after, ROTATED));
        let parts: [&[u8]; 2] = [b"recovery code", b"kept by its owner alone"];
        let (first, second) = (old.request_fingerprint(&parts), new.request_fingerprint(&parts));
        assert_ne!(first, second);
        assert_eq!(new.lift_fingerprint(&first, 1), Some(second));
        assert_eq!(new.lift_fingerprint(&second, 2), Some(second));
        assert_eq!(new.lift_fingerprint(&second, 3), None);
        assert_eq!(new.request_fingerprints(&parts), [second, first]);
        assert_eq!(new.layer_of_fingerprint(&parts, &first), Some(1));
        assert_eq!(new.layer_of_fingerprint(&parts, &second), Some(2));
        assert_eq!(new.layer_of_fingerprint(&parts, &[0; 32]), None);
        assert!(new.is_same_request(&first, &second) && new.is_same_request(&second, &first));
        assert!(!new.is_same_request(&first, &new.request_fingerprint(&[b"another"])));
        // Whoever has the older key alone cannot make the digest of the newer one.
        assert!(!old.request_fingerprints(&parts).contains(&second));
        // Retired: the newer layer is what it was, and the older one counts no more.
        after.retire(KeyUse::Capability, 1, at(ROTATED + 60_000)).unwrap();
        let retired = ring(&after, ROTATED + 60_000);
        assert_eq!(retired.request_fingerprint(&parts), second);
        assert_eq!(retired.request_fingerprints(&parts), [second]);
        assert_eq!(retired.layer_of_fingerprint(&parts, &first), None);
    }

    #[test]
    fn what_is_remembered_for_a_day_is_looked_for_in_the_layer_before_for_a_day() {
        let (before, after) = sets();
        let parts: [&[u8]; 1] = [b"a request"];
        let (old, new) = (ring(&before, BEGAN), ring(&after, ROTATED));
        let both = vec![new.request_fingerprint(&parts), old.request_fingerprint(&parts)];
        assert_eq!(ring(&after, ROTATED - 1).recent_request_fingerprints(&parts), both);
        assert_eq!(new.recent_request_fingerprints(&parts), both);
        assert_eq!(ring(&after, ROTATED + REMEMBERED_MS - 1).recent_request_fingerprints(&parts), both);
        assert_eq!(ring(&after, ROTATED + REMEMBERED_MS).recent_request_fingerprints(&parts), both[..1]);
        assert_eq!(ring(&after, ROTATED + REMEMBERED_MS).request_fingerprints(&parts), both);
    }

    #[test]
    fn what_was_named_or_told_once_keeps_its_name() {
        let (before, mut after) = sets();
        after.retire(KeyUse::Capability, 1, at(ROTATED + 60_000)).unwrap();
        let (old, new) = (ring(&before, BEGAN), ring(&after, ROTATED + 60_000));
        let receipt = ReceiptId::from_bytes([3; 16]);
        let named = |ring: &Keyring, when| ring.receipt_pseudonym(SUBJECT, receipt, at(when));
        assert_eq!(named(&old, BEGAN), named(&new, BEGAN));
        assert_ne!(named(&new, BEGAN), named(&new, ROTATED));
        let told = |ring: &Keyring, when| ring.request_fingerprint_at(&[b"notice v1"], at(when));
        assert_eq!(told(&old, BEGAN), told(&new, BEGAN));
        assert_ne!(told(&new, BEGAN), told(&new, ROTATED));
        // What recipients call somebody hangs on another key.
        let names = |ring: &Keyring| {
            ring.pseudonymiser(&"segmentation".parse().unwrap(), &"profiling".parse().unwrap(), 1).of(SUBJECT)
        };
        assert_eq!(names(&old), names(&new));
    }

    #[test]
    fn what_is_sealed_opens_and_is_sealed_anew() {
        let (before, mut after) = sets();
        let (old, new) = (ring(&before, BEGAN), ring(&after, ROTATED));
        let (anna, incident) = (StaffId::from_bytes([1; 16]), IncidentId::from_bytes([2; 16]));
        let kind = StaffSecret::Authenticator;
        let sealed = old.seal_staff_secret(anna, kind, b"secret").unwrap();
        let written = old.seal_incident(incident, b"what happened").unwrap();
        assert_eq!(new.open_staff_secret(anna, kind, &sealed).unwrap().as_slice(), b"secret");
        assert_eq!(new.open_incident(incident, &written).unwrap().as_slice(), b"what happened");
        let sealed_anew = new.reseal_staff_secret(anna, kind, &sealed).unwrap().unwrap();
        let written_anew = new.reseal_incident(incident, &written).unwrap().unwrap();
        assert_eq!(new.reseal_staff_secret(anna, kind, &sealed_anew), Ok(None));
        assert_eq!(new.reseal_incident(incident, &written_anew), Ok(None));
        assert!(old.open_staff_secret(anna, kind, &sealed_anew).is_err());
        after.retire(KeyUse::Capability, 1, at(ROTATED + 60_000)).unwrap();
        let retired = ring(&after, ROTATED + 60_000);
        assert!(retired.open_staff_secret(anna, kind, &sealed).is_err());
        assert!(retired.open_incident(incident, &written).is_err());
        assert_eq!(retired.open_staff_secret(anna, kind, &sealed_anew).unwrap().as_slice(), b"secret");
        assert_eq!(retired.open_incident(incident, &written_anew).unwrap().as_slice(), b"what happened");
        let token = ConfirmationToken::generate(&Fixed(7));
        let (waiting, newest) = (old.confirmation_digest(&token), new.confirmation_digest(&token));
        assert_eq!(new.confirmation_digests(&token), [newest, waiting]);
        assert_eq!(retired.confirmation_digests(&token), [newest]);
    }
}
