//! What was shown: a notice is immutable text, named by the digest of its exact bytes (GDPR Arts. 7(1), 13).

use sha2::{Digest as _, Sha256};

use crate::id::bytes_newtype;
use crate::slug::slug;

slug! {
    /// The name of a notice, which has versions and locales.
    NoticeId
}

bytes_newtype! {
    /// SHA-256 of the exact text shown, with its locale: `sha256:` and 64 hexadecimal digits.
    NoticeDigest, 32, "sha256:"
}

impl NoticeDigest {
    /// The digest of a text in a locale. One changed byte gives another digest.
    #[must_use]
    pub fn of(locale: &str, text: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"consentry notice v1\0");
        hash.update(locale.as_bytes());
        hash.update([0]);
        hash.update(text.as_bytes());
        Self::from_bytes(hash.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::NoticeDigest;

    #[test]
    fn cap_06_one_changed_byte_gives_another_digest() {
        let shown = NoticeDigest::of("en", "We mail you offers.");
        assert_ne!(shown, NoticeDigest::of("en", "We mail you offers!"));
        assert_ne!(shown, NoticeDigest::of("de", "We mail you offers."));
        assert_eq!(shown, NoticeDigest::of("en", "We mail you offers."));
    }
}
