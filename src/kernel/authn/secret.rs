//! Secrets of clients and their Argon2id hashes: a secret is shown once, and only its hash is kept.

use std::fmt;
use std::str::FromStr;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{ARGON2ID_IDENT, Algorithm, Argon2, Params, Version};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use thiserror::Error;
use zeroize::Zeroizing;

/// Why there is no hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SecretError {
    /// The cost is out of bounds.
    #[error("Argon2 takes 8 KiB a lane to 1 GiB of memory, 1 to 64 passes and 1 to 16 lanes")]
    Cost,
    /// Not an Argon2id hash in PHC form.
    #[error("not an Argon2id hash in PHC form with salt and digest")]
    Hash,
    /// The secret could not be hashed.
    #[error("the secret could not be hashed")]
    Hashing,
}

/// A client's secret: 256 random bits, written so that scanners of leaked files can find it.
pub struct ClientSecret(Zeroizing<String>);

impl ClientSecret {
    /// The secret made of these random bytes.
    #[must_use]
    pub fn from_random(bytes: [u8; 32]) -> Self {
        let bytes = Zeroizing::new(bytes);
        // Reserved whole, so that growing leaves no copy behind.
        let mut text = Zeroizing::new(String::with_capacity(64));
        text.push_str("cs_");
        BASE64_URL_SAFE_NO_PAD.encode_string(bytes.as_slice(), &mut text);
        Self(text)
    }

    /// The text, to be shown once.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ClientSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientSecret(..)")
    }
}

/// What one guess costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashCost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

impl HashCost {
    /// The minimum of the OWASP password storage cheat sheet for Argon2id.
    pub const OWASP: Self = Self { memory_kib: 19_456, passes: 2, lanes: 1 };

    /// A cost of `memory_kib` KiB, `passes` over them and `lanes`.
    ///
    /// # Errors
    /// When Argon2 does not know such a cost, or it would exhaust the machine.
    pub fn new(memory_kib: u32, passes: u32, lanes: u32) -> Result<Self, SecretError> {
        // INVARIANT: a stored hash that somebody edited cannot demand more than this.
        let bounded = memory_kib <= 1 << 20 && passes <= 64 && lanes <= 16;
        let cost = Self { memory_kib, passes, lanes };
        if bounded && cost.params().is_ok() { Ok(cost) } else { Err(SecretError::Cost) }
    }

    fn params(self) -> Result<Params, SecretError> {
        Params::new(self.memory_kib, self.passes, self.lanes, None).map_err(|_| SecretError::Cost)
    }

    fn argon2(self) -> Result<Argon2<'static>, SecretError> {
        Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, self.params()?))
    }
}

/// The Argon2id hash of a secret, in PHC form.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretHash {
    phc: String,
    cost: HashCost,
}

impl SecretHash {
    /// Longer texts are no secrets of ours and are not hashed.
    const MAX_PRESENTED_BYTES: usize = 1024;

    /// Hashes a client's secret, or a password, under a fresh random salt.
    ///
    /// # Errors
    /// When the secret is too long to be presented, or memory is short.
    pub fn hash(secret: &str, cost: HashCost, salt: [u8; 16]) -> Result<Self, SecretError> {
        if secret.len() > Self::MAX_PRESENTED_BYTES {
            return Err(SecretError::Hashing);
        }
        let hash: PasswordHash =
            cost.argon2()?.hash_password_with_salt(secret.as_bytes(), &salt).map_err(|_| SecretError::Hashing)?;
        Ok(Self { phc: hash.to_string(), cost })
    }

    /// A hash that no secret is known to match: verified in place of an unknown client's, it takes as long as a
    /// known one's, so that time does not tell which clients exist.
    #[must_use]
    pub fn dummy(cost: HashCost) -> Self {
        let HashCost { memory_kib, passes, lanes } = cost;
        let (salt, digest) = ("A".repeat(22), "A".repeat(43));
        let phc = format!("$argon2id$v=19$m={memory_kib},t={passes},p={lanes}${salt}${digest}");
        Self { phc, cost }
    }

    /// Whether `presented` is the secret. Whatever goes wrong, it is not.
    #[must_use]
    pub fn verify(&self, presented: &str) -> bool {
        if presented.len() > Self::MAX_PRESENTED_BYTES {
            return false;
        }
        let (Ok(argon2), Ok(hash)) = (self.cost.argon2(), PasswordHash::new(&self.phc)) else {
            return false;
        };
        argon2.verify_password(presented.as_bytes(), &hash).is_ok()
    }

    /// Whether the hash was made at another cost than `cost`, and should be made anew while the secret is at hand.
    #[must_use]
    pub fn needs_rehash(&self, cost: HashCost) -> bool {
        self.cost != cost
    }

    /// The PHC form, to be stored.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.phc
    }
}

impl FromStr for SecretHash {
    type Err = SecretError;

    /// Reads a stored hash.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let hash = PasswordHash::new(text).map_err(|_| SecretError::Hash)?;
        let digest = hash.hash.ok_or(SecretError::Hash)?;
        let salted = hash.salt.is_some_and(|salt| salt.len() >= 8);
        let ours = hash.algorithm == ARGON2ID_IDENT && hash.version == Some(19);
        if !ours || !salted || digest.len() < 16 {
            return Err(SecretError::Hash);
        }
        let params = Params::try_from(&hash).map_err(|_| SecretError::Hash)?;
        let cost = HashCost::new(params.m_cost(), params.t_cost(), params.p_cost())?;
        Ok(Self { phc: text.to_owned(), cost })
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretHash").field("cost", &self.cost).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn cheap() -> HashCost {
        HashCost::new(16, 1, 1).unwrap()
    }

    #[test]
    fn only_the_secret_verifies() {
        let secret = ClientSecret::from_random([0xfb; 32]);
        let hash = SecretHash::hash(secret.expose(), cheap(), [1; 16]).unwrap();
        let stored: SecretHash = hash.as_str().parse().unwrap();
        assert_eq!(stored, hash);
        assert!(stored.verify(secret.expose()));
        let other = ClientSecret::from_random([0xfa; 32]);
        let long = "x".repeat(1025);
        for wrong in ["", "cs_", other.expose(), &secret.expose()[..45], hash.as_str(), &long] {
            assert!(!stored.verify(wrong), "{wrong}");
        }
        assert_eq!(SecretHash::hash(&long, cheap(), [1; 16]), Err(SecretError::Hashing));
    }

    #[test]
    fn a_secret_is_text_that_is_not_printed_by_accident() {
        let secret = ClientSecret::from_random([0xfb; 32]);
        assert_eq!(secret.expose(), "cs_-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_s");
        assert_eq!(format!("{secret:?}"), "ClientSecret(..)");
        let hash = SecretHash::hash(secret.expose(), cheap(), [1; 16]).unwrap();
        assert!(!format!("{hash:?}").contains('$'));
    }

    #[test]
    fn a_hash_of_another_cost_is_made_anew() {
        let hash = SecretHash::hash("secret", cheap(), [1; 16]).unwrap();
        assert!(!hash.needs_rehash(cheap()));
        assert!(hash.needs_rehash(HashCost::OWASP));
    }

    #[test]
    fn an_unknown_client_costs_as_much_as_a_known_one() {
        for cost in [cheap(), HashCost::OWASP] {
            let dummy = SecretHash::dummy(cost);
            assert_eq!(dummy.as_str().parse::<SecretHash>().unwrap(), dummy);
            assert!(!dummy.needs_rehash(cost));
            assert!(!dummy.verify("secret"));
        }
    }

    #[test]
    fn a_hash_is_argon2id_with_salt_and_digest_at_a_bearable_cost() {
        let (salt, digest) = ("c29tZXNhbHQ", "A".repeat(43));
        let good = format!("$argon2id$v=19$m=16,t=1,p=1${salt}${digest}");
        assert!(good.parse::<SecretHash>().is_ok());
        for bad in [
            "",
            "secret",
            "$argon2id$v=19$m=16,t=1,p=1",
            &good.replace(&digest, ""),
            &good.replace(&digest, &digest[..16]),
            &good.replace("argon2id", "argon2i"),
            &good.replace("argon2id", "scrypt"),
            &good.replace("v=19", "v=16"),
            &good.replace("$v=19", ""),
            &good.replace("m=16", "m=4294967295"),
            &good.replace("t=1", "t=65"),
            &good.replace("p=1", "p=0"),
        ] {
            assert!(bad.parse::<SecretHash>().is_err(), "{bad}");
        }
        for (memory_kib, passes, lanes) in [(7, 1, 1), (8, 0, 1), (8, 1, 0), (1 << 21, 1, 1)] {
            assert_eq!(HashCost::new(memory_kib, passes, lanes), Err(SecretError::Cost));
        }
        assert_eq!(HashCost::new(19_456, 2, 1), Ok(HashCost::OWASP));
    }
}
