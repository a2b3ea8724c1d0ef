//! What strangers present: withdrawal tokens, cursors and access tokens. Nothing opens that was not made here.
#![no_main]

use std::sync::LazyLock;

use kernel::authn::{Assertion, ClientKeys, Possession, ProvenRequest, TokenRing};
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

static KEYS: LazyLock<(Keyring, TokenRing)> = LazyLock::new(|| {
    let keys = Keyring::new(&KeySet::generate(&Counting)).expect("a fresh set is complete");
    let ring = TokenRing::new(keys.token_seeds()).expect("any seed is a key");
    (keys, ring)
});

fuzz_target!(|text: &str| {
    let (keys, ring) = &*KEYS;
    let now = Timestamp::from_millis(1_800_000_000_000);
    if let Ok(subject) = keys.open_withdrawal_token(text) {
        assert_eq!(keys.withdrawal_token(subject), text, "a token has one form");
    }
    let _state = keys.open_cursor("segmentation", text);
    assert!(keys.open_unsubscribe_token(text).is_err() && keys.open_preference_token(text, now).is_err());
    if let Ok((subject, receipt, regime)) = keys.open_receipt_token(text) {
        assert_eq!(keys.receipt_token(subject, receipt, regime), text, "a token has one form");
    }
    assert!(ring.verify(text, now, "https://issuer.example", "https://audience.example").is_err());
    let _keys = KeySet::from_toml(text);
    let _client = Assertion::claimed_client(text);
    let _keys = ClientKeys::from_json(text);
    let request = ProvenRequest { method: "GET", url: "https://issuer.example/v1/profiles", token: Some("token") };
    // A stranger may sign with a key of their own, but hardly by chance.
    let _proof = Possession::verify(text, request, now);
});
