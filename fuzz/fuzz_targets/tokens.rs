//! What strangers present: withdrawal tokens, cursors and access tokens. Nothing opens that was not made here.
#![no_main]

use std::sync::LazyLock;

use kernel::authn::token::{TokenSigner, TokenVerifier};
use kernel::entropy::Entropy;
use kernel::seal::{KeySet, Keyring};
use kernel::time::Timestamp;
use libfuzzer_sys::fuzz_target;

struct Counting;

impl Entropy for Counting {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.iter_mut().zip(1..).for_each(|(byte, count)| *byte = count);
    }
}

static KEYS: LazyLock<(Keyring, TokenVerifier)> = LazyLock::new(|| {
    let keys = Keyring::new(&KeySet::generate(&Counting)).expect("a fresh set is complete");
    let verifier = TokenSigner::from_seed(*keys.token_seed()).expect("any seed is a key").verifier().clone();
    (keys, verifier)
});

fuzz_target!(|text: &str| {
    let (keys, verifier) = &*KEYS;
    if let Ok(subject) = keys.open_withdrawal_token(text) {
        assert_eq!(keys.withdrawal_token(subject), text, "a token has one form");
    }
    let _state = keys.open_cursor("segmentation", text);
    let now = Timestamp::from_millis(1_800_000_000_000);
    assert!(verifier.verify(text, now, "https://issuer.example", "https://audience.example").is_err());
    let _keys = KeySet::from_toml(text);
});
