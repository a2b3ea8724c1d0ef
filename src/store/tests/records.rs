//! Disclosures, policies, notices and requests: what was recorded is what is read.

use std::collections::BTreeMap;

use kernel::decision::Refusal;
use kernel::disclosure::{DisclosureLog as _, DisclosureRecord, Whereabouts};
use kernel::id::{PullId, RightsRequestId};
use kernel::ledger::{LedgerEntry, LedgerEvent};
use kernel::notice::NoticeDigest;
use kernel::policy::PolicyVersion;
use roaring::RoaringTreemap;
use store::StoreError;
use store::change::{ApplyPolicy, CompleteRightsRequest, OpenRightsRequest, RecordDisclosures, RightsOutcome};
use store::query::StoredNotice;

use crate::harness::{NOW, TestStore, attribute, grant, on_both};

fn disclosure(db: &TestStore, millis: i64, ordinals: &[u64]) -> DisclosureRecord {
    let bitmap: RoaringTreemap = ordinals.iter().copied().collect();
    let mut bytes = Vec::new();
    bitmap.serialize_into(&mut bytes).unwrap();
    DisclosureRecord {
        pull: PullId::generate(&*db.entropy),
        page: 3,
        recipient: "segmentation".parse().unwrap(),
        purpose: "marketing".parse().unwrap(),
        attributes: vec![attribute("age_band"), attribute("city")],
        withheld: vec![attribute("email")],
        policy: PolicyVersion::from_bytes([4; 32]),
        at: NOW.plus_ms(millis),
        subjects: bitmap.len(),
        refused: vec![(Refusal::ALL[0], 2)],
        whereabouts: match (bitmap.min(), bitmap.max()) {
            (Some(first), Some(last)) => Whereabouts::Between(first, last),
            _ => Whereabouts::NOBODY,
        },
        bitmap: bytes,
        bitmap_digest: [9; 32],
    }
}

/// Look-ups that were answered together.
fn lookups(db: &TestStore, millis: i64, ordinals: &[u64]) -> DisclosureRecord {
    DisclosureRecord {
        whereabouts: Whereabouts::Each(ordinals.to_vec()),
        page: 0,
        ..disclosure(db, millis, ordinals)
    }
}

fn policy(name: u8, text: &str) -> ApplyPolicy {
    ApplyPolicy {
        version: PolicyVersion::from_bytes([name; 32]),
        documents: BTreeMap::from([("purposes.toml".to_owned(), text.to_owned())]),
        notices: vec![StoredNotice {
            digest: NoticeDigest::of("en", "We mail you offers."),
            id: "newsletter".parse().unwrap(),
            version: 2,
            locale: "en".to_owned(),
            text: "We mail you offers.".to_owned(),
        }],
        at: NOW.plus_ms(i64::from(name)),
    }
}

on_both! {
    async fn a_disclosure_is_found_by_each_person_on_it_and_nobody_else(db) {
        let wide = disclosure(&db, 0, &[1, 5, 9_000_000_000]);
        let one = disclosure(&db, 1, &[5]);
        let none = disclosure(&db, 2, &[]);
        let disclosures = vec![wide.clone(), one.clone(), none];
        db.store.perform(&RecordDisclosures { disclosures }).await.unwrap();
        let last = disclosure(&db, 3, &[5, 6]);
        db.store.record(last.clone()).await.unwrap();
        let named = lookups(&db, 4, &[3, 6, 7_000_000_000]);
        let more = lookups(&db, 5, &[6]);
        let disclosures = vec![named.clone(), more.clone()];
        db.store.perform(&RecordDisclosures { disclosures }).await.unwrap();
        let of = async |ordinal| {
            let page = db.store.disclosures_of(ordinal, None, 100).await.unwrap();
            assert_eq!(page.next, None);
            page.rows.iter().map(|row| row.pull).collect::<Vec<_>>()
        };
        assert_eq!(of(1).await, [wide.pull]);
        assert_eq!(of(5).await, [last.pull, one.pull, wide.pull]);
        assert_eq!(of(3).await, [named.pull]);
        assert_eq!(of(6).await, [more.pull, named.pull, last.pull]);
        assert_eq!(of(7_000_000_000).await, [named.pull]);
        assert_eq!(of(9_000_000_000).await, [wide.pull]);
        for nobody in [0, 2, 7, 8_999_999_999, 9_000_000_001] {
            assert!(of(nobody).await.is_empty(), "{nobody}");
        }
        let row = db.store.disclosures_of(1, None, 1).await.unwrap().rows.remove(0);
        assert_eq!((row.page, row.subjects, row.at, row.policy), (3, 3, NOW, wide.policy));
        assert_eq!((row.recipient, row.purpose, row.attributes), (wide.recipient, wide.purpose, wide.attributes));

        let entries = db.entries().await;
        assert_eq!(entries.len(), 6);
        let entry = LedgerEntry::from_bytes(&entries[0].entry).unwrap();
        let LedgerEvent::Disclosed { pull, withheld, refused, bitmap_digest, .. } = entry.event else {
            panic!("{entry:?}")
        };
        assert_eq!((pull, withheld, bitmap_digest), (wide.pull, wide.withheld, [9; 32]));
        assert_eq!(refused, [(Refusal::ALL[0] as u8, 2)]);
    }

    async fn many_disclosures_are_read_in_pages_newest_first(db) {
        // Half of them are not about the person, and several share their time.
        let disclosures: Vec<_> = (0..600)
            .map(|at| {
                let persons: &[u64] = if at % 2 == 0 { &[4, 7, 10] } else { &[4, 10] };
                if at % 5 == 0 { lookups(&db, at / 3, persons) } else { disclosure(&db, at / 3, persons) }
            })
            .collect();
        for chunk in disclosures.chunks(100) {
            db.store.perform(&RecordDisclosures { disclosures: chunk.to_vec() }).await.unwrap();
        }
        let (mut after, mut read) = (None, Vec::new());
        loop {
            let page = db.store.disclosures_of(7, after, 70).await.unwrap();
            assert!(page.rows.len() <= 70);
            read.extend(page.rows);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(read.len(), 300);
        assert!(read.windows(2).all(|pair| (pair[0].at, pair[0].pull) > (pair[1].at, pair[1].pull)));
    }

    async fn a_policy_is_applied_once_and_can_come_back(db) {
        assert_eq!(db.store.current_policy().await.unwrap(), None);
        assert!(db.store.perform(&policy(1, "a = 1")).await.unwrap().0);
        assert!(!db.store.perform(&policy(1, "a = 1")).await.unwrap().0);
        assert_eq!(db.ledger_len().await, 1);
        assert!(db.store.perform(&policy(2, "a = 2")).await.unwrap().0);
        let current = db.store.current_policy().await.unwrap().unwrap();
        assert_eq!((current.version, current.applied_at), (policy(2, "").version, NOW.plus_ms(2)));
        assert_eq!(current.documents, policy(2, "a = 2").documents);
        assert!(db.store.perform(&policy(1, "a = 1")).await.unwrap().0);
        assert_eq!(db.store.current_policy_version().await.unwrap(), Some(policy(1, "").version));
        assert_eq!(db.store.policy(&policy(2, "").version).await.unwrap().unwrap().applied_at, NOW.plus_ms(2));
        assert_eq!(db.ledger_len().await, 3);
        let notice = policy(1, "").notices.remove(0);
        assert_eq!(db.store.notice(&notice.digest).await.unwrap(), Some(notice.clone()));
        assert_eq!(db.store.notice(&NoticeDigest::of("de", "")).await.unwrap(), None);
        db.raw("UPDATE notice SET text = 'We mail you offers!'").await.unwrap();
        assert!(matches!(db.store.notice(&notice.digest).await, Err(StoreError::Tampered)));
    }

    async fn a_request_is_opened_once_and_completed_once(db) {
        let anna = db.capture(db.post("anna@example.org", vec![grant(0)])).await;
        let before = db.ledger_len().await;
        let open = |at: i64, subject| OpenRightsRequest {
            staff: None,
            id: RightsRequestId::generate(&*db.entropy),
            kind: 2,
            subject,
            received_at: NOW.plus_ms(at / 2),
            client: Some("drp-agent".parse().unwrap()),
            at: NOW,
        };
        let (known, unknown, third) = (open(0, Some(anna.subject)), open(1, None), open(2, None));
        for request in [&known, &unknown, &third] {
            assert!(db.store.perform(request).await.unwrap().0);
            assert!(!db.store.perform(request).await.unwrap().0);
        }
        assert_eq!(db.store.counts().await.unwrap().open_rights_requests, 3);
        let accessed = |id, subject| CompleteRightsRequest {
            id,
            outcome: RightsOutcome::Accessed(subject),
            at: NOW.plus_ms(50),
        };
        for (id, subject) in [(known.id, Some(anna.subject)), (unknown.id, None)] {
            assert!(db.store.perform(&accessed(id, subject)).await.unwrap().0.completed);
            assert!(!db.store.perform(&accessed(id, subject)).await.unwrap().0.completed);
        }
        let stranger = RightsRequestId::generate(&*db.entropy);
        assert!(!db.store.perform(&accessed(stranger, None)).await.unwrap().0.completed);

        let entries = db.entries().await;
        let events: Vec<_> =
            entries[usize::try_from(before).unwrap() + 3..].iter().map(|row| LedgerEntry::from_bytes(&row.entry).unwrap().event).collect();
        assert_eq!(
            events,
            [
                LedgerEvent::SubjectAccessed { subject: Some(anna.ledger_ref), request: known.id },
                LedgerEvent::SubjectAccessed { subject: None, request: unknown.id },
            ]
        );
        let row = db.store.rights_request(known.id).await.unwrap().unwrap();
        assert_eq!((row.kind, row.subject, row.completed_at), (2, Some(anna.subject), Some(NOW.plus_ms(50))));
        assert_eq!((row.outcome.as_deref(), row.client), (Some("accessed"), known.client));
        assert_eq!(db.store.counts().await.unwrap().open_rights_requests, 1);

        let mut paged = Vec::new();
        let mut after = None;
        while let [row] = &db.store.rights_requests(after, 1).await.unwrap()[..] {
            after = Some((row.received_at, row.id));
            paged.push(row.id);
        }
        let all: Vec<_> = db.store.rights_requests(None, 10).await.unwrap().iter().map(|row| row.id).collect();
        assert_eq!((paged.len(), &paged), (3, &all));
        assert_eq!(paged[0], third.id);
    }

    async fn counts_are_exact(db) {
        db.capture(db.post("anna@example.org", vec![grant(0), grant(1)])).await;
        db.store.record(disclosure(&db, 0, &[1])).await.unwrap();
        let counts = db.store.counts().await.unwrap();
        assert_eq!((counts.subjects, counts.events, counts.disclosures), (1, 2, 1));
        assert_eq!((counts.ledger_entries, counts.ledger_size), (2, 0));
        db.store.ping().await.unwrap();
    }
}
