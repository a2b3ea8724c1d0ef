//! What comes back from a database that somebody else may have written to: nothing opens that was not sealed here, and bytes
//! that are no record, entry or key are an error.
#![no_main]

use std::sync::LazyLock;

use kernel::entropy::Entropy;
use kernel::id::StaffId;
use kernel::ledger::LedgerEntry;
use kernel::seal::{KeySet, Keyring, SealedRecord, StaffSecret, SubjectKey, merge_record, thin_record};
use kernel::subject::SubjectId;
use libfuzzer_sys::fuzz_target;

struct Counting;

impl Entropy for Counting {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.iter_mut().zip(1..).for_each(|(byte, count)| *byte = count);
    }
}

static KEYS: LazyLock<(Keyring, SubjectKey)> = LazyLock::new(|| {
    let keys = Keyring::new(&KeySet::generate(&Counting)).expect("a fresh set is complete");
    let (key, _) = keys.create_key(SubjectId::from_bytes([1; 16]), &Counting).expect("a key");
    (keys, key)
});

fuzz_target!(|bytes: &[u8]| {
    let (keys, key) = &*KEYS;
    if let Ok(entry) = LedgerEntry::from_bytes(bytes) {
        assert_eq!(entry.to_bytes().ok().as_deref(), Some(bytes), "an entry has one form");
    }
    assert!(keys.unwrap_key(SubjectId::from_bytes([1; 16]), bytes).is_err());
    assert!(key.open_standing(bytes).is_err());
    assert!(key.open_act(0, bytes).is_err());
    for kind in [StaffSecret::PasswordHash, StaffSecret::Authenticator] {
        assert!(keys.open_staff_secret(StaffId::from_bytes([1; 16]), kind, bytes).is_err());
    }
    let entries = SealedRecord::new(bytes).entries().take(100_000).filter(Result::is_ok).count();
    // A record that reads whole stays whole when nothing is added or left out of it.
    if let Ok(merged) = merge_record(bytes, &[]) {
        assert!(SealedRecord::new(&merged).entries().all(|entry| entry.is_ok()));
        assert_eq!(SealedRecord::new(&merged).entries().count(), entries);
    }
    if let Ok(thinned) = thin_record(bytes, |_, _| false) {
        assert_eq!(SealedRecord::new(&thinned).entries().count(), 0);
    }
});
