//! Identifiers of a person, as sources know them, and the keyed fingerprints under which the gateway finds them.
//!
//! The plaintext lives only in the sealed record. A fingerprint is HMAC-SHA-256 under a key of its own, so it is no
//! unkeyed hash that a dictionary undoes (EDPB 01/2025), and suppression uses yet another key.

use std::fmt;

use thiserror::Error;
use unicode_normalization::UnicodeNormalization as _;
use zeroize::Zeroizing;

use crate::id::bytes_newtype;
use crate::seal::{IndexKey, Keyring, keyed_digest};

bytes_newtype! {
    /// A fingerprint as the index of the store holds it: of the layer of one key. A newer key makes another layer of the
    /// one before, so that an index is exchanged without opening anybody's identifiers.
    IndexPrint, 32, ""
}

bytes_newtype! {
    /// The keyed fingerprint of an identifier.
    Fingerprint, 32, ""
}

bytes_newtype! {
    /// The keyed fingerprint of a suppressed identifier, under a key of its own.
    SuppressionFingerprint, 32, ""
}

/// The kinds of identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IdentifierKind {
    /// An email address.
    Email,
    /// The number or name under which a shop or CRM knows a customer.
    CustomerId,
    /// The key that a site gave a browser or device.
    Device,
    /// The key of a pseudonymous profile.
    Profile,
}

impl IdentifierKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Email, Self::CustomerId, Self::Device, Self::Profile];

    /// Its stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::CustomerId => "customer_id",
            Self::Device => "device",
            Self::Profile => "profile",
        }
    }
}

/// A normalised identifier. Personal data: shown by no `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Identifier {
    kind: IdentifierKind,
    normalised: String,
}

impl fmt::Debug for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identifier({})", self.kind.as_str())
    }
}

/// Why a text is no identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum IdentifierError {
    /// Not an email address of at most 254 bytes.
    #[error("not an email address of at most 254 characters")]
    Email,
    /// Not a customer number of 1 to 128 characters.
    #[error("not a customer number of 1 to 128 characters")]
    CustomerId,
    /// Not a key of a device or profile of 1 to 128 visible ASCII characters.
    #[error("not a key of 1 to 128 visible ASCII characters")]
    Key,
}

impl Identifier {
    /// Reads an email address: trimmed, NFC, its local part in lower case and its domain in IDNA's ASCII form, so
    /// that spelling variants are one person (EML-10).
    ///
    /// # Errors
    /// When it is no address, or longer than 254 bytes.
    pub fn email(text: &str) -> Result<Self, IdentifierError> {
        let text: String = text.trim().nfc().collect();
        if text.len() > 254 || text.chars().any(|c| c.is_control() || c.is_whitespace() || c == '"') {
            return Err(IdentifierError::Email);
        }
        let (local, domain) = text.rsplit_once('@').ok_or(IdentifierError::Email)?;
        let domain = idna::domain_to_ascii_strict(domain).map_err(|_| IdentifierError::Email)?;
        let address = format!("{}@{domain}", local.to_lowercase());
        let good =
            address.len() <= 254 && domain.contains('.') && address.parse::<email_address::EmailAddress>().is_ok();
        if good {
            Ok(Self { kind: IdentifierKind::Email, normalised: address })
        } else {
            Err(IdentifierError::Email)
        }
    }

    /// Reads a customer number.
    ///
    /// # Errors
    /// When it is empty, longer than 128 bytes or has control characters.
    pub fn customer_id(text: &str) -> Result<Self, IdentifierError> {
        let text: String = text.trim().nfc().collect();
        if text.is_empty() || text.len() > 128 || text.chars().any(char::is_control) {
            return Err(IdentifierError::CustomerId);
        }
        Ok(Self { kind: IdentifierKind::CustomerId, normalised: text })
    }

    /// Reads the key of a device or of a profile, as it is: a site made it up, and it is compared byte for byte.
    ///
    /// # Errors
    /// When it is empty, longer than 128 bytes or has other characters than visible ASCII ones.
    fn key(kind: IdentifierKind, text: &str) -> Result<Self, IdentifierError> {
        if (1..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            Ok(Self { kind, normalised: text.to_owned() })
        } else {
            Err(IdentifierError::Key)
        }
    }

    /// Reads an identifier of a kind.
    ///
    /// # Errors
    /// When the text is none of that kind.
    pub fn parse(kind: IdentifierKind, text: &str) -> Result<Self, IdentifierError> {
        match kind {
            IdentifierKind::Email => Self::email(text),
            IdentifierKind::CustomerId => Self::customer_id(text),
            IdentifierKind::Device | IdentifierKind::Profile => Self::key(kind, text),
        }
    }

    /// The mailbox of an address with a plus-tag (RFC 5233): the same address without the tag.
    #[must_use]
    pub fn without_plus_tag(&self) -> Option<Self> {
        let (local, domain) = self.normalised.rsplit_once('@').filter(|_| self.kind == IdentifierKind::Email)?;
        let (mailbox, _) = local.split_once('+').filter(|(mailbox, _)| !mailbox.is_empty())?;
        Some(Self { kind: self.kind, normalised: format!("{mailbox}@{domain}") })
    }

    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> IdentifierKind {
        self.kind
    }

    /// The normalised text, to be sealed with the record.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.normalised
    }
}

impl Keyring {
    /// The fingerprint under which a subject is found.
    #[must_use]
    pub fn fingerprint(&self, identifier: &Identifier) -> Fingerprint {
        let parts: [&[u8]; 2] = [identifier.kind.as_str().as_bytes(), identifier.normalised.as_bytes()];
        Fingerprint::from_bytes(self.index_keys().first().map_or([0; 32], |base| keyed_digest(&base.key, &parts)))
    }

    /// The marks under which an address is suppressed: its own and, where plus-tags count as one mailbox, that of the
    /// mailbox (EML-10).
    #[must_use]
    pub fn suppression_marks(&self, address: &Identifier, one_mailbox: bool) -> Vec<SuppressionFingerprint> {
        let mailbox = address.without_plus_tag().filter(|_| one_mailbox);
        let mark = |identifier: &Identifier| self.suppressions_of(&self.fingerprint(identifier));
        std::iter::once(address).chain(&mailbox).flat_map(mark).collect()
    }

    /// What a fingerprint is in the index of the store, in every layer in which it may be there: in this order, for what
    /// moves while somebody looks moves to a later one.
    #[must_use]
    pub fn index_of(&self, fingerprint: &Fingerprint) -> Vec<IndexPrint> {
        self.layers(fingerprint).filter(|(key, _)| key.searched).map(|(_, print)| print).collect()
    }

    /// What is written of a fingerprint into the index, with the number of the key of each layer.
    #[must_use]
    pub fn index_rows(&self, fingerprint: &Fingerprint) -> Vec<(u32, IndexPrint)> {
        self.layers(fingerprint).filter(|(key, _)| key.writes).map(|(key, print)| (key.id, print)).collect()
    }

    /// What a stored fingerprint is in its own layer and in every later one, with the numbers of their keys.
    #[must_use]
    pub fn index_from(&self, stored: &IndexPrint, key_id: u32) -> Vec<(u32, IndexPrint)> {
        let mut prints = vec![(key_id, *stored)];
        let mut print = *stored;
        for key in self.index_keys().into_iter().filter(|key| key.id > key_id) {
            print = next_layer(&key, &print);
            prints.push((key.id, print));
        }
        prints
    }

    /// Whether new fingerprints are written in the layer of this key alone.
    #[must_use]
    pub fn indexes_by(&self, key_id: u32) -> bool {
        self.index_keys().iter().all(|key| key.writes == (key.id == key_id))
    }

    fn layers(&self, fingerprint: &Fingerprint) -> impl Iterator<Item = (IndexKey, IndexPrint)> + use<> {
        let mut print = IndexPrint::from_bytes(*fingerprint.as_bytes());
        self.index_keys().into_iter().enumerate().map(move |(at, key)| {
            if at > 0 {
                print = next_layer(&key, &print);
            }
            (key, print)
        })
    }

    /// The suppression fingerprint of an identifier, under the newest keys.
    #[must_use]
    pub fn suppression_of(&self, fingerprint: &Fingerprint) -> SuppressionFingerprint {
        let newest = self.index_rows(fingerprint).pop();
        newest.map_or(SuppressionFingerprint::from_bytes([0; 32]), |(_, print)| self.suppression_of_index(&print))
    }

    /// The suppression fingerprint of what the index holds, under the newest key: it can be computed when the person is
    /// erased, without the identifier itself.
    #[must_use]
    pub fn suppression_of_index(&self, print: &IndexPrint) -> SuppressionFingerprint {
        let newest = self.suppression_keys().into_iter().next();
        let digest = newest.map_or([0; 32], |key| keyed_digest(&key, &[print.as_bytes()]));
        SuppressionFingerprint::from_bytes(digest)
    }

    /// The suppression fingerprints under which an erasure may have left its mark: one for each layer and key that there
    /// was, for of whom was erased nothing is left that could be marked anew.
    pub fn suppressions_of(
        &self,
        fingerprint: &Fingerprint,
    ) -> impl Iterator<Item = SuppressionFingerprint> + use<> {
        let keys = self.suppression_keys();
        self.layers(fingerprint).flat_map(move |(_, print)| {
            let of = |key: &Zeroizing<[u8; 32]>| keyed_digest(key, &[print.as_bytes()]);
            keys.iter().map(of).map(SuppressionFingerprint::from_bytes).collect::<Vec<_>>()
        })
    }
}

fn next_layer(key: &IndexKey, print: &IndexPrint) -> IndexPrint {
    IndexPrint::from_bytes(keyed_digest(&key.key, &[b"next layer v1", print.as_bytes()]))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::seal::tests::keyring;
    use sha2::{Digest as _, Sha256};

    #[test]
    fn eml_10_spelling_variants_are_one_person() {
        let plain = Identifier::email("a.b+x@example.com").unwrap();
        for variant in ["A.B+x@Example.COM ", " a.b+X@EXAMPLE.com"] {
            assert_eq!(Identifier::email(variant).unwrap(), plain, "{variant}");
        }
        assert_eq!(
            Identifier::email("anna@müller.example").unwrap(),
            Identifier::email("Anna@xn--mller-kva.example").unwrap()
        );
    }

    #[test]
    fn eml_10_a_plus_tag_can_be_left_out() {
        let bare = |text| Identifier::email(text).unwrap().without_plus_tag().map(|one| one.expose().to_owned());
        assert_eq!(bare("A.B+x@Example.COM ").as_deref(), Some("a.b@example.com"));
        assert_eq!(bare("a+b+c@example.com").as_deref(), Some("a@example.com"));
        assert_eq!(bare("a.b@example.com"), None);
        assert_eq!(bare("+x@example.com"), None);
        assert!(Identifier::customer_id("a+b@c").unwrap().without_plus_tag().is_none());
    }

    #[test]
    fn what_is_no_address_is_turned_away() {
        let long = format!("{}@example.org", "a".repeat(290));
        for bad in [
            "",
            "anna",
            "anna@",
            "@example.org",
            "a b@example.org",
            "a\0@example.org",
            "a@b@c",
            "anna@localhost",
            &long,
        ] {
            assert!(Identifier::email(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sec_04_a_fingerprint_is_keyed_and_its_key_is_its_own() {
        let who = Identifier::email("anna@example.org").unwrap();
        let print = keyring(1).fingerprint(&who);
        assert_ne!(print.as_bytes()[..], Sha256::digest(b"anna@example.org")[..]);
        assert_ne!(print, keyring(2).fingerprint(&who));
        assert_ne!(keyring(1).suppression_of(&print).as_bytes(), print.as_bytes());
    }
}
