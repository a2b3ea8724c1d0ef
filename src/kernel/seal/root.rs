//! Root keys that we keep ourselves: in a file, or in the environment. Each wraps the key of the key set; the newest
//! wraps, all unwrap. A root key has a name that says nothing of it, so that a wrong one is told from a lost one.

use aes_gcm::aead::{Aead as _, Generate as _, KeyInit as _, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use zeroize::{Zeroize as _, Zeroizing};

use super::keyed_digest;
use super::keyset::{KeyEntry, KeyError, KeyFile, KeySet};
use crate::entropy::Entropy;
use crate::id::hex;

const CONTEXT: &[u8] = b"consentry root key v1";

/// Root keys, the newest first. Wiped when dropped; never shown.
pub struct RootSet {
    roots: Vec<(u32, Zeroizing<[u8; 32]>)>,
}

impl std::fmt::Debug for RootSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RootSet").field("names", &self.names()).finish()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RootFile {
    #[serde(default)]
    root: Vec<RootEntry>,
    /// A file from before there were root keys has the working keys.
    #[serde(default)]
    key: Vec<KeyEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RootEntry {
    id: u32,
    secret: String,
}

impl RootSet {
    /// A fresh root key.
    #[must_use]
    pub fn generate(entropy: &dyn Entropy) -> Self {
        Self { roots: vec![(1, Zeroizing::new(entropy.bytes_32()))] }
    }

    /// Reads a key file: the root keys in it, and the working keys where they still lie beside them.
    ///
    /// # Errors
    /// When it is malformed, a secret has the wrong length or an id repeats. The text is never part of the error.
    pub fn from_toml(text: &str) -> Result<(Self, Option<KeySet>), KeyError> {
        let mut file: RootFile = toml::from_str(text).map_err(|_| KeyError::Malformed)?;
        let mut roots: Vec<(u32, Zeroizing<[u8; 32]>)> = Vec::with_capacity(file.root.len());
        for entry in &mut file.root {
            let secret = secret_of(&entry.secret).ok_or(KeyError::Malformed)?;
            entry.secret.zeroize();
            if roots.iter().any(|(id, _)| *id == entry.id) {
                return Err(KeyError::Malformed);
            }
            roots.push((entry.id, secret));
        }
        roots.sort_by_key(|(id, _)| std::cmp::Reverse(*id));
        let keys = if file.key.is_empty() { None } else { Some(KeySet::from_file(KeyFile { key: file.key })?) };
        if roots.is_empty() && keys.is_none() { Err(KeyError::Malformed) } else { Ok((Self { roots }, keys)) }
    }

    /// Reads root keys from one text: in base64, parted by commas or blanks, the newest first.
    ///
    /// # Errors
    /// When there is none, or one is not 32 bytes in base64.
    pub fn from_list(text: &str) -> Result<Self, KeyError> {
        let words = text.split([',', ' ', '\n', '\t']).filter(|word| !word.is_empty());
        let secrets: Vec<_> = words.map(secret_of).collect::<Option<_>>().ok_or(KeyError::Malformed)?;
        let newest = u32::try_from(secrets.len()).map_err(|_| KeyError::Malformed)?;
        if newest == 0 {
            return Err(KeyError::Malformed);
        }
        Ok(Self { roots: (1..=newest).rev().zip(secrets).collect() })
    }

    /// Writes the key file, with the working keys if they still lie in it.
    #[must_use]
    pub fn to_toml(&self, plain: Option<&KeySet>) -> Zeroizing<String> {
        let plain = plain.map(KeySet::to_toml);
        // Room for all of it: a text that grows leaves what it was behind.
        let room = 512 + self.roots.len() * 128 + plain.as_ref().map_or(0, |plain| plain.len());
        let mut text = Zeroizing::new(String::with_capacity(room));
        text.push_str(
            "# The root key of a Consentry store, newest first. Without it nobody can read the store; with it and the\n\
             # database anybody can. Keep a copy apart from the database's backups.\n",
        );
        for (id, secret) in &self.roots {
            let secret = Zeroizing::new(STANDARD.encode(secret.as_slice()));
            for part in ["\n[[root]]\nid = ", &id.to_string(), "\nsecret = \"", &secret, "\"\n"] {
                text.push_str(part);
            }
        }
        if let Some(plain) = plain {
            text.push('\n');
            text.push_str(&plain);
        }
        text
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.roots.is_empty()
    }

    /// Adds a newer root key.
    pub fn renew(&mut self, entropy: &dyn Entropy) {
        let id = self.roots.first().map_or(0, |(id, _)| *id).saturating_add(1);
        self.roots.insert(0, (id, Zeroizing::new(entropy.bytes_32())));
    }

    /// Leaves out every root key but the one of this name. `false`: there is none of that name, and all stay.
    pub fn keep_only(&mut self, name: &str) -> bool {
        let known = self.roots.iter().any(|(_, secret)| name_of(secret) == name);
        if known {
            self.roots.retain(|(_, secret)| name_of(secret) == name);
        }
        known
    }

    /// The names of the root keys, the newest first.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.roots.iter().map(|(_, secret)| name_of(secret)).collect()
    }

    /// Wraps a key under the newest root key, whose name it says.
    ///
    /// # Errors
    /// When there is none, or the cipher fails.
    pub fn wrap(&self, key: &[u8; 32]) -> Result<(String, Vec<u8>), KeyError> {
        let (_, root) = self.roots.first().ok_or(KeyError::Sealed)?;
        let nonce = Nonce::generate();
        let payload = Payload { msg: key, aad: CONTEXT };
        let sealed = Aes256Gcm::new((&**root).into()).encrypt(&nonce, payload).map_err(|_| KeyError::Sealed)?;
        Ok((name_of(root), [nonce.as_slice(), &sealed].concat()))
    }

    /// Unwraps a key that the root key of a name wrapped.
    ///
    /// # Errors
    /// When there is no root key of that name, or it did not wrap this.
    pub fn unwrap(&self, name: &str, wrapped: &[u8]) -> Result<Zeroizing<[u8; 32]>, KeyError> {
        let (_, root) = self.roots.iter().find(|(_, secret)| name_of(secret) == name).ok_or(KeyError::Sealed)?;
        let (nonce, sealed) = wrapped.split_first_chunk::<12>().ok_or(KeyError::Sealed)?;
        let payload = Payload { msg: sealed, aad: CONTEXT };
        let plain = Aes256Gcm::new((&**root).into()).decrypt(nonce.into(), payload);
        let plain = plain.map(Zeroizing::new).map_err(|_| KeyError::Sealed)?;
        plain.as_slice().try_into().map(Zeroizing::new).map_err(|_| KeyError::Sealed)
    }
}

fn name_of(secret: &[u8; 32]) -> String {
    let digest = keyed_digest(secret, &[b"root key name v1"]);
    hex(digest.get(..8).unwrap_or_default())
}

fn secret_of(text: &str) -> Option<Zeroizing<[u8; 32]>> {
    let bytes = Zeroizing::new(STANDARD.decode(text.trim().as_bytes()).ok()?);
    bytes.as_slice().try_into().map(Zeroizing::new).ok()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::seal::KeyUse;
    use crate::seal::tests::{Counting, keyring};
    use crate::subject::SubjectId;
    use crate::time::Timestamp;

    fn entropy(from: u8) -> Counting {
        Counting(from.into())
    }

    #[test]
    fn a_root_key_unwraps_what_it_wrapped_and_no_other_does() {
        let mut roots = RootSet::generate(&entropy(1));
        let (name, wrapped) = roots.wrap(&[7; 32]).unwrap();
        assert_eq!(*roots.unwrap(&name, &wrapped).unwrap(), [7; 32]);
        roots.renew(&entropy(2));
        let text = roots.to_toml(None);
        let (again, plain) = RootSet::from_toml(&text).unwrap();
        assert!(plain.is_none() && again.names() == roots.names() && again.names()[1] == name);
        assert_eq!(*again.unwrap(&name, &wrapped).unwrap(), [7; 32]);
        let (newer, _) = again.wrap(&[7; 32]).unwrap();
        assert_ne!(newer, name);
        assert!(again.unwrap(&newer, &wrapped).is_err());
        assert!(RootSet::generate(&entropy(3)).unwrap(&name, &wrapped).is_err());
        for at in 0..wrapped.len() {
            let mut altered = wrapped.clone();
            altered[at] ^= 1;
            assert!(roots.unwrap(&name, &altered).is_err(), "{at}");
        }
        assert!(!roots.keep_only("0000000000000000") && roots.names().len() == 2);
        assert!(roots.keep_only(&newer) && roots.names() == [newer]);
    }

    #[test]
    fn root_keys_are_read_from_one_text_the_newest_first() {
        let list = format!("{}, {}\n", STANDARD.encode([1; 32]), STANDARD.encode([2; 32]));
        let roots = RootSet::from_list(&list).unwrap();
        let alone = RootSet::from_list(&STANDARD.encode([1; 32])).unwrap();
        assert_eq!(roots.names()[0], alone.names()[0]);
        assert!(!format!("{roots:?}").contains(&STANDARD.encode([1; 32])[..20]));
        for bad in ["", " ", "abc", &STANDARD.encode([1; 31])] {
            assert!(RootSet::from_list(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_file_of_working_keys_is_known_for_one() {
        let keys = KeySet::generate(&entropy(1));
        let (mut roots, plain) = RootSet::from_toml(&keys.to_toml()).unwrap();
        assert!(roots.is_empty());
        assert_eq!(plain.unwrap().to_toml(), keys.to_toml());
        roots.renew(&entropy(9));
        let (roots, plain) = RootSet::from_toml(&roots.to_toml(Some(&keys))).unwrap();
        assert_eq!((roots.names().len(), plain.unwrap().to_toml()), (1, keys.to_toml()));
        for bad in ["", "[[root]]", "root = 1", "[[root]]\nid = 1\nsecret = \"AAAA\""] {
            assert!(RootSet::from_toml(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_sealed_set_opens_in_its_version_alone() {
        let keys = KeySet::generate(&entropy(1));
        let sealed = keys.seal(&[3; 32], 4).unwrap();
        assert_eq!(KeySet::open(&sealed, &[3; 32], 4).unwrap().to_toml(), keys.to_toml());
        assert!(KeySet::open(&sealed, &[3; 32], 3).is_err());
        assert!(KeySet::open(&sealed, &[4; 32], 4).is_err());
    }

    #[test]
    fn a_new_key_is_known_before_it_is_used_and_the_old_one_after() {
        let at = Timestamp::from_millis;
        let mut keys = KeySet::generate(&entropy(1));
        let before = crate::seal::Keyring::at(&keys, at(0)).unwrap();
        let who = SubjectId::from_bytes([1; 16]);
        let (_, old) = before.create_key(who, &entropy(50)).unwrap();
        assert_eq!(keys.add(KeyUse::Data, &entropy(60), at(100)), 2);
        before.exchange(&keys, at(99)).unwrap();
        assert_eq!((before.wraps_by(), before.rewrap_key(who, old.as_bytes()).unwrap()), (1, None));
        before.exchange(&keys, at(100)).unwrap();
        let fresh = before.rewrap_key(who, old.as_bytes()).unwrap().unwrap();
        assert_eq!(crate::seal::Keyring::wrapped_by(fresh.as_bytes()), Some(2));
        assert!(
            before.unwrap_key(who, fresh.as_bytes()).is_ok() && before.unwrap_key(who, old.as_bytes()).is_ok()
        );
        assert!(matches!(keys.retire(KeyUse::Data, 2, at(200)), Err(KeyError::Newest { .. })));
        assert!(matches!(keys.retire(KeyUse::Data, 7, at(200)), Err(KeyError::NoSuchKey { .. })));
        keys.retire(KeyUse::Data, 1, at(200)).unwrap();
        before.exchange(&keys, at(200)).unwrap();
        assert!(
            before.unwrap_key(who, fresh.as_bytes()).is_ok() && before.unwrap_key(who, old.as_bytes()).is_err()
        );
        assert!(keyring(1).unwrap_key(who, fresh.as_bytes()).is_err());
    }

    #[test]
    fn a_signing_key_that_is_retired_stays_known() {
        let at = Timestamp::from_millis;
        let mut keys = KeySet::generate(&entropy(1));
        keys.add(KeyUse::Ledger, &entropy(60), at(100));
        keys.retire(KeyUse::Ledger, 1, at(200)).unwrap();
        let facts = KeySet::from_toml(&keys.to_toml()).unwrap().facts();
        let ledger: Vec<_> =
            facts.iter().filter(|key| key.key_use == KeyUse::Ledger).map(|key| (key.id, key.until)).collect();
        assert_eq!(ledger, [(1, Some(at(200))), (2, None)]);
    }
}
