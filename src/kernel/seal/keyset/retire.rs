//! Taking keys out of use. Of keys that signed nothing is kept but what checks their signatures: whoever gets hold of a
//! set later can make none that looks older.

use ed25519_dalek::SigningKey;
use zeroize::Zeroizing;

use super::{KeyError, KeySet, KeyUse, NamedKey};
use crate::time::Timestamp;

/// What is kept of a key.
pub(super) enum Material {
    /// All of it.
    Secret(Zeroizing<[u8; 32]>),
    /// What its signatures are checked with (Ed25519).
    Public([u8; 32]),
}

/// What is left of a signing key that is retired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetiredKey {
    /// Its id; a higher one is newer.
    pub id: u32,
    /// What its signatures are checked with (Ed25519).
    pub public: [u8; 32],
}

impl KeySet {
    /// Takes a key out of use that is not the newest. Of one whose signatures are checked later the public half stays; one
    /// that newer digests are made of stays for that; the others are gone.
    ///
    /// # Errors
    /// When there is none of that id, or it is the newest.
    pub fn retire(&mut self, key_use: KeyUse, id: u32, now: Timestamp) -> Result<(), KeyError> {
        if self.last(key_use).is_some_and(|key| key.id == id) {
            return Err(KeyError::Newest { key_use, id });
        }
        let at = self.keys.iter().position(|key| key.key_use == key_use && key.id == id);
        let at = at.ok_or(KeyError::NoSuchKey { key_use, id })?;
        if key_use.is_kept() {
            if let Some(key) = self.keys.get_mut(at) {
                key.until.get_or_insert(now);
            }
        } else {
            self.keys.remove(at);
        }
        self.shed(now);
        Ok(())
    }

    /// Lets go of what retired keys signed with. Sets from before kept it.
    pub fn shed(&mut self, now: Timestamp) {
        for key in &mut self.keys {
            let has_ended = key.until.is_some_and(|until| until <= now);
            if has_ended && key.key_use.signs_for_good() {
                key.shed();
            }
        }
    }

    /// What is left of the signing keys of a use that are retired.
    pub(crate) fn retired(&self, key_use: KeyUse) -> Vec<RetiredKey> {
        let left = |key: &NamedKey| match key.material {
            Material::Public(public) => Some(RetiredKey { id: key.id, public }),
            Material::Secret(_) => None,
        };
        self.of(key_use).filter_map(left).collect()
    }
}

impl NamedKey {
    fn shed(&mut self) {
        if let Material::Secret(seed) = &self.material {
            self.material = Material::Public(SigningKey::from_bytes(seed).verifying_key().to_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::seal::Keyring;
    use crate::seal::tests::Counting;

    const USES: [KeyUse; 2] = [KeyUse::Ledger, KeyUse::Receipt];

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn of_a_retired_signing_key_the_public_half_alone_is_kept() {
        let mut keys = KeySet::generate(&Counting(5.into()));
        for key_use in USES {
            keys.add(key_use, &Counting(99.into()), at(10));
        }
        let before = Keyring::at(&keys, at(20)).unwrap();
        let seeds = [before.ledger_seeds(), before.receipt_seeds()].map(|seeds| seeds[0].clone());
        assert!(before.ledger_retired().is_empty() && before.receipt_retired().is_empty());
        let older = keys.to_toml();
        for key_use in USES {
            keys.retire(key_use, 1, at(20)).unwrap();
        }
        let text = keys.to_toml();
        for (seed, key_use) in seeds.iter().zip(USES) {
            let secret = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, *seed.seed);
            assert!(older.contains(&secret) && !text.contains(&secret), "{key_use:?}");
        }
        let after = Keyring::at(&KeySet::from_toml(&text).unwrap(), at(20)).unwrap();
        let left = [after.ledger_retired(), after.receipt_retired()];
        for (left, seed) in left.iter().zip(&seeds) {
            let public = SigningKey::from_bytes(&seed.seed).verifying_key().to_bytes();
            assert_eq!(left.as_slice(), [RetiredKey { id: 1, public }]);
        }
        let ids = |seeds: Vec<crate::seal::TimedSeed>| seeds.iter().map(|seed| seed.id).collect::<Vec<_>>();
        assert_eq!((ids(after.ledger_seeds()), ids(after.receipt_seeds())), (vec![2], vec![2]));
        assert_eq!(keys.facts().iter().filter(|key| key.until == Some(at(20))).count(), 2);
    }

    #[test]
    fn a_set_from_before_is_read_and_lets_go_at_its_next_change() {
        let mut keys = KeySet::generate(&Counting(5.into()));
        keys.add(KeyUse::Ledger, &Counting(99.into()), at(10));
        let text = keys.to_toml();
        let (first, rest) = text.split_once("use = \"ledger\"\nid = 1\n").unwrap();
        let (secret, rest) = rest.split_once('\n').unwrap();
        let whole =
            format!("{first}use = \"ledger\"\nid = 1\n{secret}\nuntil = \"1970-01-01T00:00:00.020Z\"\n{rest}");
        let mut older = KeySet::from_toml(&whole).unwrap();
        assert_eq!(Keyring::at(&older, at(30)).unwrap().ledger_seeds().len(), 2);
        older.shed(at(19));
        assert!(older.to_toml().contains(secret), "it signs still");
        older.shed(at(20));
        assert!(!older.to_toml().contains(secret));
        assert_eq!(Keyring::at(&older, at(30)).unwrap().ledger_retired().len(), 1);
        // A half without an end, or of another use, is no key.
        let public = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
        for key in ["use = \"ledger\"", "use = \"data\"\nuntil = \"1970-01-01T00:00:00.020Z\""] {
            let broken = format!("{}\n[[key]]\n{key}\nid = 9\npublic = \"{public}\"\n", text.as_str());
            assert!(matches!(KeySet::from_toml(&broken), Err(KeyError::Times)), "{key}");
        }
        let both =
            format!("{}\n[[key]]\nuse = \"data\"\nid = 9\npublic = \"{public}\"\nsecret = \"{public}\"\n", *text);
        assert!(matches!(KeySet::from_toml(&both), Err(KeyError::Secret { .. })));
    }
}
