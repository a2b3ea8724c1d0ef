//! The token of a confirmation (double opt-in): 256 random bits that only the mail carries. The store keeps their keyed
//! digest, so whoever reads the database can confirm nothing.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::capability::CapabilityError;
use crate::entropy::Entropy;
use crate::seal::{Keyring, keyed_digest};

/// A token. A secret: shown by no `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct ConfirmationToken([u8; 32]);

impl ConfirmationToken {
    /// Draws a fresh one.
    #[must_use]
    pub fn generate(entropy: &dyn Entropy) -> Self {
        Self(entropy.bytes_32())
    }

    /// As it stands in a link.
    #[must_use]
    pub fn expose(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }
}

impl fmt::Debug for ConfirmationToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConfirmationToken(..)")
    }
}

impl FromStr for ConfirmationToken {
    type Err = CapabilityError;

    fn from_str(text: &str) -> Result<Self, CapabilityError> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| CapabilityError)?;
        bytes.try_into().map(Self).map_err(|_| CapabilityError)
    }
}

impl Keyring {
    /// The keyed digest under which a token is kept.
    #[must_use]
    pub fn confirmation_digest(&self, token: &ConfirmationToken) -> [u8; 32] {
        keyed_digest(&self.capability_key(), &[b"confirmation v1", &token.0])
    }

    /// The keyed digests under one of which a token is found: of each version of the key that is not retired, the newest
    /// first.
    #[must_use]
    pub fn confirmation_digests(&self, token: &ConfirmationToken) -> Vec<[u8; 32]> {
        self.capability_keys().iter().map(|key| keyed_digest(key, &[b"confirmation v1", &token.0])).collect()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::seal::tests::keyring;

    struct Fixed;

    impl Entropy for Fixed {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(0xa7);
        }
    }

    #[test]
    fn a_token_survives_its_link_and_its_digest_is_keyed() {
        let token = ConfirmationToken::generate(&Fixed);
        assert_eq!(token.expose().len(), 43);
        assert_eq!(token.expose().parse::<ConfirmationToken>().unwrap(), token);
        let digest = keyring(1).confirmation_digest(&token);
        assert_ne!(digest, keyring(2).confirmation_digest(&token));
        assert_ne!(digest, token.0);
        assert_eq!(format!("{token:?}"), "ConfirmationToken(..)");
    }

    #[test]
    fn what_is_not_exactly_a_token_is_none() {
        let good = ConfirmationToken::generate(&Fixed).expose();
        let (longer, padded) = (format!("{good}AAAA"), format!("{good}="));
        for bad in ["", "p", &good[1..], &longer, &padded, &good.replace('p', "+"), &good.replace('p', "ü")] {
            assert!(bad.parse::<ConfirmationToken>().is_err(), "{bad}");
        }
    }
}
