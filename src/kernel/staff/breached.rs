//! Passwords that were found in breaches: what whoever guesses tries first. `breached.md` says where the list is from.

use std::cmp::Ordering;

use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

/// The beginnings of the digests, sorted.
static KNOWN: &[u8] = include_bytes!("breached.bin");
/// The bytes of each.
const BYTES: usize = 5;

/// Whether a password in its hashed form is on the list, however its letters are written.
pub(super) fn is_known(form: &str) -> bool {
    let lower = Zeroizing::new(form.to_lowercase());
    let digest = Sha256::digest(lower.as_bytes());
    let (entries, _) = KNOWN.as_chunks::<BYTES>();
    entries.binary_search_by(|entry| compare(entry, &digest)).is_ok()
}

fn compare(entry: &[u8; BYTES], digest: &[u8]) -> Ordering {
    entry.as_slice().cmp(digest.get(..BYTES).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_whole_sorted_and_larger_than_what_is_tried_first() {
        let (entries, rest) = KNOWN.as_chunks::<BYTES>();
        assert!(rest.is_empty() && entries.is_sorted());
        // ASVS 5.0 6.2.4 asks for the 3,000 most common ones of the length that is allowed.
        assert!(entries.len() > 40_000);
    }

    #[test]
    fn a_password_of_the_list_is_known_and_another_is_not() {
        for known in ["123qweasdzxc", "1qaz2wsx3edc", "SonyEricsson", "leavemealone", "motherfucker"] {
            assert!(is_known(known), "{known}");
        }
        for other in ["", "123qweasdzx", "four words nobody joins", "correct horse battery"] {
            assert!(!is_known(other), "{other}");
        }
    }
}
