//! One ledger entry and its canonical bytes: the same entry has one encoding, and nothing else decodes.
//!
//! The bytes are a CBOR sequence (RFC 8742) of the format version and the entry, so any CBOR reader can open them.

use minicbor::{Decode, Encode};
use serde::Serialize;
use thiserror::Error;

use crate::ledger::event::LedgerEvent;
use crate::time::Timestamp;

/// Something that happened, and when.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct LedgerEntry {
    /// When.
    #[n(0)]
    pub at: Timestamp,
    /// What.
    #[n(1)]
    #[serde(flatten)]
    pub event: LedgerEvent,
}

/// Why an entry has no bytes, or bytes are no entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum EntryError {
    /// Longer than a tile of entries can carry.
    #[error("a ledger entry is at most {} bytes", LedgerEntry::MAX_BYTES)]
    TooLong,
    /// Not an entry in its canonical encoding.
    #[error("these bytes are not a canonical ledger entry")]
    Malformed,
}

impl LedgerEntry {
    /// C2SP tlog-tiles: an entry's length is written in two bytes.
    pub const MAX_BYTES: usize = 65_535;

    const VERSION: u8 = 1;

    /// The canonical encoding, which is what the tree hashes.
    ///
    /// # Errors
    /// When the entry is longer than [`Self::MAX_BYTES`].
    pub fn to_bytes(&self) -> Result<Vec<u8>, EntryError> {
        let mut bytes = vec![Self::VERSION];
        minicbor::encode(self, &mut bytes).map_err(|_| EntryError::Malformed)?;
        if bytes.len() > Self::MAX_BYTES {
            return Err(EntryError::TooLong);
        }
        Ok(bytes)
    }

    /// Reads an entry back.
    ///
    /// # Errors
    /// When the bytes are too long, of another version, or not exactly what [`Self::to_bytes`] writes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, EntryError> {
        if bytes.len() > Self::MAX_BYTES {
            return Err(EntryError::TooLong);
        }
        let Some((&Self::VERSION, body)) = bytes.split_first() else {
            return Err(EntryError::Malformed);
        };
        let entry: Self = minicbor::decode(body).map_err(|_| EntryError::Malformed)?;
        // CBOR allows many encodings of one value, and the decoder skips what it does not know: without this check
        // bytes could hide in an entry that reads as harmless.
        if entry.to_bytes()? == bytes { Ok(entry) } else { Err(EntryError::Malformed) }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;
    use crate::id::{LedgerRef, PullId, ReceiptId, RightsRequestId};
    use crate::ledger::event::{AttemptRefusal, Inspection, RefusedAttempt, RequestOutcome};
    use crate::policy::PolicyVersion;

    fn name<T: std::str::FromStr<Err: std::fmt::Debug> + std::fmt::Debug>() -> impl Strategy<Value = T> {
        "[a-z][a-z0-9_-]{0,20}".prop_map(|text| text.parse().unwrap())
    }

    fn subject() -> impl Strategy<Value = LedgerRef> {
        any::<[u8; 16]>().prop_map(LedgerRef::from_bytes)
    }

    fn request() -> impl Strategy<Value = RightsRequestId> {
        any::<[u8; 16]>().prop_map(RightsRequestId::from_bytes)
    }

    fn policy() -> impl Strategy<Value = PolicyVersion> {
        any::<[u8; 32]>().prop_map(PolicyVersion::from_bytes)
    }

    fn disclosed() -> impl Strategy<Value = LedgerEvent> {
        let whom = (any::<[u8; 16]>(), any::<u32>(), name(), name());
        let what = (vec(name(), 0..9), vec(name(), 0..3), policy());
        let many = (any::<u64>(), vec(any::<(u8, u64)>(), 0..9), any::<[u8; 32]>());
        (whom, what, many).prop_map(|(whom, what, many)| LedgerEvent::Disclosed {
            pull: PullId::from_bytes(whom.0),
            page: whom.1,
            recipient: whom.2,
            purpose: whom.3,
            attributes: what.0,
            withheld: what.1,
            policy: what.2,
            subjects: many.0,
            refused: many.1,
            bitmap_digest: many.2,
        })
    }

    fn refused() -> impl Strategy<Value = LedgerEvent> {
        let actions = vec![RefusedAttempt::IssueToken, RefusedAttempt::ReadLedger];
        let reasons = vec![AttemptRefusal::NoCredentials, AttemptRefusal::TamperedParameter];
        (option::of(name()), select(actions), select(reasons)).prop_map(|(client, action, reason)| {
            LedgerEvent::AttemptRefused { client, action, reason, staff: None }
        })
    }

    fn event() -> impl Strategy<Value = LedgerEvent> {
        let captured = (subject(), any::<[u8; 16]>(), vec((any::<u8>(), option::of(name())), 0..9));
        let brought = option::of((name(), vec(name(), 0..9)));
        prop_oneof![
            (captured, brought).prop_map(|((subject, receipt, events), brought)| {
                let receipt = ReceiptId::from_bytes(receipt);
                let (source, attributes) = brought.unzip();
                LedgerEvent::ConsentCaptured { subject, receipt, events, source, attributes, notice: None }
            }),
            (subject(), name(), vec(name(), 0..9)).prop_map(|(subject, source, attributes)| {
                LedgerEvent::RecordIngested { subject, source, attributes }
            }),
            disclosed(),
            (subject(), request()).prop_map(|(subject, request)| LedgerEvent::SubjectErased { subject, request }),
            (option::of(subject()), request())
                .prop_map(|(subject, request)| LedgerEvent::SubjectAccessed { subject, request }),
            (request(), any::<u8>()).prop_map(|(request, kind)| LedgerEvent::RightsRequestOpened {
                request,
                kind,
                staff: None
            }),
            policy().prop_map(|policy| LedgerEvent::PolicyApplied { policy }),
            name().prop_map(|client| LedgerEvent::ClientRegistered { client }),
            name().prop_map(|client| LedgerEvent::ClientRevoked { client }),
            (request(), select(vec![RequestOutcome::NothingHeld, RequestOutcome::RestrictionLifted]))
                .prop_map(|(request, outcome)| LedgerEvent::RightsRequestCompleted { request, outcome }),
            (any::<[u8; 16]>(), name(), any::<bool>()).prop_map(|(pull, campaign, first_contact)| {
                LedgerEvent::CampaignResolved { pull: PullId::from_bytes(pull), campaign, first_contact }
            }),
            refused(),
            (option::of(name()), any::<u64>(), any::<u64>())
                .prop_map(|(client, start, count)| LedgerEvent::LedgerRead { client, start, count }),
            (subject(), option::of(name()), select(vec![Inspection::Lookup, Inspection::Receipt])).prop_map(
                |(subject, client, what)| LedgerEvent::SubjectInspected {
                    subject,
                    client,
                    what,
                    staff: None,
                    role: None
                }
            ),
            (subject(), vec(name(), 0..9))
                .prop_map(|(subject, purposes)| LedgerEvent::PromptShown { subject, purposes }),
        ]
    }

    fn entry() -> impl Strategy<Value = LedgerEntry> {
        (any::<i64>(), event()).prop_map(|(at, event)| LedgerEntry { at: Timestamp::from_millis(at), event })
    }

    proptest! {
        #[test]
        fn an_entry_has_one_encoding_and_survives_it(entry in entry()) {
            let bytes = entry.to_bytes().unwrap();
            prop_assert_eq!(&entry.clone().to_bytes().unwrap(), &bytes);
            prop_assert_eq!(LedgerEntry::from_bytes(&bytes).unwrap(), entry);
        }

        #[test]
        fn no_two_byte_strings_are_the_same_entry(
            entry in entry(), at in any::<prop::sample::Index>(), flip in 1_u8..
        ) {
            let bytes = entry.to_bytes().unwrap();
            let mut other = bytes.clone();
            other[at.index(bytes.len())] ^= flip;
            prop_assert_ne!(LedgerEntry::from_bytes(&other), Ok(entry.clone()));
            other = bytes;
            other.push(0);
            prop_assert_eq!(LedgerEntry::from_bytes(&other), Err(EntryError::Malformed));
        }

        #[test]
        fn the_serialized_form_says_what_happened(entry in entry()) {
            let value = serde_json::to_value(&entry).unwrap();
            prop_assert_eq!(&value["event"], entry.event.describe());
            prop_assert!(value["at"].is_string());
        }
    }

    #[test]
    fn an_entry_is_readable_by_any_cbor_reader_and_stays_so() {
        let request = RightsRequestId::from_bytes([0xaa; 16]);
        let event = LedgerEvent::RightsRequestOpened { request, kind: 3, staff: None };
        let bytes = LedgerEntry { at: Timestamp::from_millis(1000), event }.to_bytes().unwrap();
        let expected = [&[0x01, 0x82, 0x19, 0x03, 0xe8, 0x82, 0x05, 0x82, 0x50][..], &[0xaa; 16], &[3]];
        assert_eq!(bytes, expected.concat());
    }

    #[test]
    fn a_foreign_or_padded_encoding_is_refused() {
        let request = [&[0x50][..], &[0xaa; 16]].concat();
        let good = [&[0x01, 0x82, 0x00, 0x82, 0x05, 0x82][..], &request, &[3]].concat();
        assert!(LedgerEntry::from_bytes(&good).is_ok());
        let another_version = [&[0x02, 0x82, 0x00, 0x82, 0x05, 0x82][..], &request, &[3]].concat();
        let wide_integer = [&[0x01, 0x82, 0x00, 0x82, 0x05, 0x82][..], &request, &[0x18, 3]].concat();
        let smuggled = [&[0x01, 0x82, 0x00, 0x82, 0x05, 0x83][..], &request, &[3, 0x61, b'x']].concat();
        let unknown_event = [0x01, 0x82, 0x00, 0x82, 0x18, 0x63, 0x80];
        for bad in [&another_version[..], &wide_integer, &smuggled, &unknown_event, &[0x01], &[]] {
            assert_eq!(LedgerEntry::from_bytes(bad), Err(EntryError::Malformed), "{bad:02x?}");
        }
    }

    #[test]
    fn an_entry_that_no_tile_can_carry_is_refused() {
        let events = vec![(1, Some("p".repeat(64).parse().unwrap())); 1_000];
        let subject = LedgerRef::from_bytes([1; 16]);
        let receipt = ReceiptId::from_bytes([2; 16]);
        let event = LedgerEvent::ConsentCaptured {
            subject,
            receipt,
            events,
            source: None,
            attributes: None,
            notice: None,
        };
        let entry = LedgerEntry { at: Timestamp::from_millis(0), event };
        assert_eq!(entry.to_bytes(), Err(EntryError::TooLong));
        assert_eq!(LedgerEntry::from_bytes(&[1; 65_536]), Err(EntryError::TooLong));
    }
}
