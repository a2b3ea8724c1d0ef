//! Erasure: nothing of the person stays, not in any file, and nothing that happens at the same time brings it back.

use std::fs;

use kernel::id::{LedgerRef, RightsRequestId, SubjectId};
use kernel::ledger::{LedgerEntry, LedgerEvent};
use store::change::{
    CaptureSubject, Captured, CompleteRightsRequest, EraseSubject, IdempotencyClaim, OpenRightsRequest,
    RightsOutcome,
};

use crate::harness::{NOW, TestStore, grant, on_both};

fn erasure(db: &TestStore, subject: SubjectId) -> EraseSubject {
    let request = RightsRequestId::generate(&*db.entropy);
    EraseSubject { subject, request, also: Vec::new(), keyring: db.keyring.clone(), at: NOW }
}

fn files_hold(db: &TestStore, needle: &[u8]) -> bool {
    let directory = db.directory.as_ref().unwrap().path();
    fs::read_dir(directory).unwrap().any(|entry| {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        bytes.windows(needle.len()).any(|window| window == needle)
    })
}

on_both! {
    async fn an_erasure_leaves_nothing_of_the_person(db) {
        let mut post = db.post("anna@example.org", vec![grant(0), grant(1)]);
        post.idempotency = Some(IdempotencyClaim {
            scope: "form".to_owned(),
            key: [1; 32],
            request: [2; 32],
            outcome: b"a receipt".to_vec(),
            expires_at: NOW.plus_ms(1000),
        });
        let anna = db.capture(post).await;
        let ben = db.capture(db.post("ben@example.org", vec![grant(0)])).await.subject;
        let row = db.row(anna.subject).await;
        let event = db.store.consent_acts(anna.subject).await.unwrap().remove(0);
        let fingerprint = db.fingerprint("anna@example.org");

        let erase = erasure(&db, anna.subject);
        let open = OpenRightsRequest {
            staff: None,
            id: erase.request,
            kind: 1,
            subject: Some(anna.subject),
            received_at: NOW,
            client: None,
            at: NOW,
        };
        db.store.perform(&open).await.unwrap();
        let complete = CompleteRightsRequest { id: erase.request, outcome: RightsOutcome::Erased, at: NOW.plus_ms(3) };
        if !db.is_postgres() {
            assert!(files_hold(&db, &row.wrapped_key));
        }
        let ((erased, completed), _) = db.store.perform(&(erase, complete)).await.unwrap();
        assert!(erased.erased() && completed.completed);
        assert_eq!((erased.ledger_ref, erased.identifiers), (Some(anna.ledger_ref), 1));

        assert!(db.store.rows_by_ids(&[anna.subject]).await.unwrap().is_empty());
        assert!(db.store.consent_acts(anna.subject).await.unwrap().is_empty());
        assert!(db.store.fingerprints_of(&db.keyring, anna.subject).await.unwrap().is_empty());
        assert_eq!(db.store.find_by_fingerprint(&db.keyring, &fingerprint).await.unwrap(), None);
        assert!(db.store.idempotency("form", &[1; 32], NOW).await.unwrap().is_none());
        let request = db.store.rights_requests(None, 10).await.unwrap().remove(0);
        assert_eq!((request.subject, request.outcome.as_deref()), (None, Some("erased")));
        let suppressed = db.store.suppressions(&[db.keyring.suppression_of(&fingerprint)]).await.unwrap();
        assert_eq!(suppressed.len(), 1);
        assert_eq!((suppressed[0].scope.as_str(), suppressed[0].since), ("*", NOW));
        let last = db.entries().await.pop().unwrap();
        let entry = LedgerEntry::from_bytes(&last.entry).unwrap();
        assert_eq!(entry.event, LedgerEvent::SubjectErased { subject: anna.ledger_ref, request: request.id });

        if !db.is_postgres() {
            let id = anna.subject;
            for (what, bytes) in [
                ("key", &row.wrapped_key[..]),
                ("standing", &row.standing),
                ("record", &row.record),
                ("event", &event.sealed),
                ("id", id.as_bytes()),
                ("fingerprint", fingerprint.as_bytes()),
                ("outcome", b"a receipt"),
            ] {
                assert!(!files_hold(&db, bytes), "{what} is still in a file");
            }
            assert!(files_hold(&db, ben.as_bytes()));
        }
        db.check_fold(ben).await;
    }

    async fn a_post_that_was_on_its_way_does_not_undo_an_erasure(db) {
        let erase_at = async |millis| {
            let found = db.store.find_by_fingerprint(&db.keyring, &db.fingerprint("anna@example.org")).await.unwrap().unwrap();
            let erase = EraseSubject { at: NOW.plus_ms(millis), ..erasure(&db, found) };
            assert!(db.store.perform(&erase).await.unwrap().0.erased());
        };
        let capture = async |millis| {
            let post = db.post("anna@example.org", vec![grant(millis)]);
            db.try_capture(vec![post]).await.unwrap().remove(0)
        };
        assert!(matches!(capture(0).await, Captured::Recorded(_)));
        erase_at(10).await;
        let entries = db.ledger_len().await;
        assert_eq!(capture(5).await, Captured::Outdated);
        assert_eq!(capture(10).await, Captured::Outdated);
        assert_eq!(db.ledger_len().await, entries);
        // She comes back by herself and is erased again: the later erasure counts.
        assert!(matches!(capture(20).await, Captured::Recorded(recorded) if recorded.created));
        erase_at(30).await;
        assert_eq!(capture(25).await, Captured::Outdated);
        assert!(matches!(capture(31).await, Captured::Recorded(_)));
        let mark = db.keyring.suppression_of(&db.fingerprint("anna@example.org"));
        let suppressed = db.store.suppressions(&[mark]).await.unwrap();
        assert_eq!((suppressed.len(), suppressed[0].since), (1, NOW.plus_ms(30)));
    }

    async fn erasing_nobody_changes_nothing(db) {
        let erased = db.store.perform(&erasure(&db, SubjectId::generate(&*db.entropy))).await.unwrap().0;
        assert!(!erased.erased());
        assert_eq!(db.ledger_len().await, 0);
    }

    async fn the_store_still_opens_and_serves_after_an_erasure_beside_readers(db) {
        // A reader of an older state stands in the way of the log's removal for a moment; the erasure waits for it.
        for round in 0..5 {
            let email = format!("p{round}@example.org");
            let subject = db.capture(db.post(&email, vec![grant(0)])).await.subject;
            let reader = { let db = db.clone(); tokio::spawn(async move { db.store.counts().await.unwrap() }) };
            assert!(db.store.perform(&erasure(&db, subject)).await.unwrap().0.erased());
            reader.await.unwrap();
            assert!(db.store.scrub().await.unwrap());
        }
        assert_eq!(db.store.counts().await.unwrap().subjects, 0);
    }

    async fn captures_and_erasures_at_once_leave_whole_people_or_none(db) {
        let gateways = [db.clone(), db.another().await];
        for round in 0..12 {
            let first = db.capture(db.post("anna@example.org", vec![grant(round)])).await.subject;
            let mut tasks = Vec::new();
            for at in 0..4_usize {
                let gateway = gateways[at % 2].clone();
                tasks.push(tokio::spawn(async move {
                    let mut post = gateway.post("anna@example.org", vec![grant(1)]);
                    if at > 1 {
                        post.who = CaptureSubject::Known(first);
                    }
                    let outcome = gateway.try_capture(vec![post]).await.unwrap().remove(0);
                    assert!(matches!(outcome, Captured::Recorded(_) | Captured::NoSuchSubject), "{outcome:?}");
                    None::<LedgerRef>
                }));
            }
            for gateway in gateways.clone() {
                tasks.push(tokio::spawn(async move {
                    gateway.store.perform(&erasure(&gateway, first)).await.unwrap().0.ledger_ref
                }));
            }
            let mut erased = 0;
            for task in tasks {
                erased += usize::from(task.await.unwrap().is_some());
            }
            assert_eq!(erased, 1);
            // Nothing points to somebody who is not there, and nobody is there who cannot be found.
            for orphans in [
                "SELECT count(*) FROM subject_identifier WHERE subject_id NOT IN (SELECT id FROM subject)",
                "SELECT count(*) FROM consent_event WHERE subject_id NOT IN (SELECT id FROM subject)",
                "SELECT count(*) FROM subject WHERE id NOT IN (SELECT subject_id FROM subject_identifier)",
            ] {
                assert_eq!(db.number(orphans).await, 0, "{orphans}");
            }
            if let Some(now) = db.store.find_by_fingerprint(&db.keyring, &db.fingerprint("anna@example.org")).await.unwrap() {
                assert_ne!(now, first);
                db.check_fold(now).await;
            }
        }
    }
}
