//! A letter to a person: what one mail says. It waits sealed under the person's own key until it is delivered, so that
//! erasing the person makes it unreadable wherever it lies.

use minicbor::{Decode, Encode};
use sha2::{Digest as _, Sha256};

use crate::id::bytes_newtype;

pub use crate::id::LetterId;

bytes_newtype! {
    /// SHA-256 of a letter's wording with its language: `sha256:` and 64 hexadecimal digits.
    WordingDigest, 32, "sha256:"
}

/// What one mail says and to whom. Personal data: shown by no `Debug`.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct Letter {
    /// The address.
    #[n(0)]
    pub to: String,
    /// The subject line.
    #[n(1)]
    pub subject: String,
    /// The plain part.
    #[n(2)]
    pub text: String,
    /// The HTML part, which says the same.
    #[n(3)]
    pub html: String,
    /// The language of both, BCP 47.
    #[n(4)]
    pub locale: String,
}

impl std::fmt::Debug for Letter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Letter(..)")
    }
}

/// The wording of a letter: its plain part with a place holder for what is each person's own. It holds nothing
/// personal, so it is kept once for all who got it, as evidence of what they were told (GDPR Art. 7(1)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wording {
    /// The language, BCP 47.
    pub locale: String,
    /// The subject line and the plain part.
    pub text: String,
}

impl Wording {
    /// The name of exactly this wording.
    #[must_use]
    pub fn digest(&self) -> WordingDigest {
        let mut hash = Sha256::new();
        hash.update(b"consentry wording v1\0");
        hash.update(self.locale.as_bytes());
        hash.update([0]);
        hash.update(self.text.as_bytes());
        WordingDigest::from_bytes(hash.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::seal::tests::keyring;
    use crate::subject::SubjectId;

    fn letter() -> Letter {
        let text = || "q7canary".to_owned();
        Letter { to: text(), subject: text(), text: text(), html: text(), locale: "en".to_owned() }
    }

    #[test]
    fn a_letter_opens_for_its_person_and_at_its_place_alone() {
        struct Fixed(u8);
        impl crate::entropy::Entropy for Fixed {
            fn fill(&self, bytes: &mut [u8]) {
                bytes.fill(self.0);
            }
        }
        let keys = keyring(1);
        let (anna, berta) = (SubjectId::from_bytes([1; 16]), SubjectId::from_bytes([2; 16]));
        let key = keys.create_key(anna, &Fixed(3)).unwrap().0;
        let other = keys.create_key(berta, &Fixed(4)).unwrap().0;
        let (id, next) = (LetterId::from_bytes([5; 16]), LetterId::from_bytes([6; 16]));
        let sealed = key.seal_letter(id, &letter()).unwrap();
        assert_eq!(key.open_letter(id, &sealed).unwrap(), letter());
        assert!(key.open_letter(next, &sealed).is_err());
        assert!(other.open_letter(id, &sealed).is_err());
        assert!(!sealed.windows(8).any(|window| window == b"q7canary"));
        assert!(!format!("{:?}", letter()).contains("q7canary"));
    }

    #[test]
    fn one_changed_byte_is_another_wording() {
        let said = |locale: &str, text: &str| {
            Wording { locale: locale.to_owned(), text: text.to_owned() }.digest().to_string()
        };
        assert_eq!(said("en", "Please confirm."), said("en", "Please confirm."));
        assert_ne!(said("en", "Please confirm."), said("en", "Please confirm!"));
        assert_ne!(said("en", "Please confirm."), said("de", "Please confirm."));
    }
}
