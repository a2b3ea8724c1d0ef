#![expect(clippy::unwrap_used, reason = "tests")]
use super::*;
use crate::attribute::Value;
use crate::consent::Standing;
use crate::time::Timestamp;

/// Entropy that counts, so that test keys are different and repeatable.
pub(crate) struct Counting(pub(crate) std::sync::atomic::AtomicU8);

impl Entropy for Counting {
    fn fill(&self, bytes: &mut [u8]) {
        let seed = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = seed.wrapping_mul(31).wrapping_add(u8::try_from(at % 251).unwrap());
        }
    }
}

/// A ring of keys that a seed determines.
pub(crate) fn keyring(seed: u8) -> Keyring {
    Keyring::new(&KeySet::generate(&Counting(seed.wrapping_mul(50).into()))).unwrap()
}

fn subject(byte: u8) -> SubjectId {
    SubjectId::from_bytes([byte; 16])
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

#[test]
fn a_key_file_survives_its_text_and_shows_nothing() {
    let keys = KeySet::generate(&Counting(1.into()));
    let text = keys.to_toml();
    let again = KeySet::from_toml(&text).unwrap();
    assert_eq!(again.to_toml().as_str(), text.as_str());
    assert_eq!(format!("{keys:?}"), "KeySet { keys: 8 }");
    assert!(matches!(KeySet::from_toml("[[key]]"), Err(KeyError::Malformed)));
    // A key file from before receipts were signed goes on as it is, and signs the same for ever.
    let (older, _) = text.split_once("\n[[key]]\nuse = \"receipt\"").unwrap();
    let ring = || Keyring::new(&KeySet::from_toml(older).unwrap()).unwrap();
    assert_eq!(*ring().receipt_seeds()[0].seed, *ring().receipt_seeds()[0].seed);
    assert!(*ring().receipt_seeds()[0].seed != *ring().ledger_seeds()[0].seed);
    let mut settled = KeySet::from_toml(older).unwrap();
    settled.settle_receipts();
    settled.add(KeyUse::Ledger, &Counting(70.into()), Timestamp::from_millis(0));
    let settled = Keyring::new(&settled).unwrap().receipt_seeds();
    assert_eq!((settled.len(), *settled[0].seed), (1, *ring().receipt_seeds()[0].seed));
    let without = text.replace("use = \"token\"", "use = \"ledger\"").replace("id = 1\nsecret", "id = 2\nsecret");
    assert!(KeySet::from_toml(&without).is_err(), "two keys of one use and id");
}

#[test]
fn sec_01_a_ciphertext_moved_to_another_person_or_attribute_does_not_open() {
    let ring = keyring(1);
    let entropy = Counting(7.into());
    let (anna, wrapped) = ring.create_key(subject(1), &entropy).unwrap();
    let (bert, _) = ring.create_key(subject(2), &entropy).unwrap();
    let source = "shop".parse().unwrap();
    let value = Value::Text("anna@example.org".into());
    let email = anna.seal_attribute(&"email".parse().unwrap(), &value, at(5), &source).unwrap();
    let record = merge_record(&[], &[email]).unwrap();
    let entry = SealedRecord::new(&record).entries().next().unwrap().unwrap();
    assert!(anna.open_attribute(&entry).is_ok());
    assert!(bert.open_attribute(&entry).is_err());
    for byte in 0..record.len() {
        let mut moved = record.clone();
        moved[byte] ^= 1;
        let opens = SealedRecord::new(&moved)
            .entries()
            .next()
            .is_some_and(|entry| entry.is_ok_and(|entry| anna.open_attribute(&entry).is_ok()));
        assert!(!opens, "byte {byte}");
    }
    assert!(ring.unwrap_key(subject(1), wrapped.as_bytes()).is_ok());
    assert!(ring.unwrap_key(subject(2), wrapped.as_bytes()).is_err());
    assert!(keyring(2).unwrap_key(subject(1), wrapped.as_bytes()).is_err());
}

#[test]
fn sec_03_an_older_wrapping_key_still_opens_after_a_newer_one_came() {
    let entropy = Counting(7.into());
    let old = KeySet::generate(&Counting(1.into()));
    let (key, wrapped) = Keyring::new(&old).unwrap().create_key(subject(1), &entropy).unwrap();
    let sealed = key.seal_standing(&Standing::of(subject(1))).unwrap();
    let newer = "\n[[key]]\nuse = \"data\"\nid = 2\nsecret = \"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"\n";
    let both = KeySet::from_toml(&format!("{}{newer}", old.to_toml().as_str())).unwrap();
    let both = Keyring::new(&both).unwrap();
    assert!(both.unwrap_key(subject(1), wrapped.as_bytes()).unwrap().open_standing(&sealed).is_ok());
    let (_, fresh) = both.create_key(subject(3), &entropy).unwrap();
    assert_eq!(fresh.as_bytes()[..4], 2_u32.to_be_bytes());
}

#[test]
fn a_standing_that_was_edited_does_not_open() {
    let ring = keyring(1);
    let (key, _) = ring.create_key(subject(1), &Counting(7.into())).unwrap();
    let sealed = key.seal_standing(&Standing::of(subject(1))).unwrap();
    assert_eq!(key.open_standing(&sealed).unwrap(), Standing::of(subject(1)));
    for byte in 0..sealed.len() {
        let mut edited = sealed.clone();
        edited[byte] ^= 1;
        assert!(key.open_standing(&edited).is_err(), "byte {byte}");
    }
    assert!(key.seal_standing(&Standing::of(subject(2))).is_err());
}

#[test]
fn a_value_observed_earlier_does_not_replace_a_later_one() {
    let ring = keyring(1);
    let (key, _) = ring.create_key(subject(1), &Counting(7.into())).unwrap();
    let (city, source) = ("city".parse().unwrap(), "shop".parse().unwrap());
    let seal = |text: &str, when| key.seal_attribute(&city, &Value::Text(text.into()), at(when), &source).unwrap();
    let record = merge_record(&[], &[seal("Ulm", 10)]).unwrap();
    let record = merge_record(&record, &[seal("Bonn", 5)]).unwrap();
    let entry = SealedRecord::new(&record).entries().next().unwrap().unwrap();
    assert!(key.open_value(&entry).unwrap() == Value::Text("Ulm".into()));
    let record = merge_record(&record, &[seal("Kiel", 20)]).unwrap();
    let entry = SealedRecord::new(&record).entries().next().unwrap().unwrap();
    assert!(key.open_value(&entry).unwrap() == Value::Text("Kiel".into()));
}

#[test]
fn a_broken_record_yields_an_error_and_ends() {
    for broken in [&[9][..], &[1][..], &[1, 0x82, 0x83][..], &[1, 0xff][..]] {
        let entries: Vec<_> = SealedRecord::new(broken).entries().collect();
        assert_eq!(entries.len(), 1);
        assert!(entries[0].is_err());
    }
    assert_eq!(SealedRecord::new(&[]).entries().count(), 0);
}
