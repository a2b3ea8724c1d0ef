//! Repeated posts: answered as the first one was, and stored once.

use kernel::consent::EventKind;
use kernel::ledger::{AttemptRefusal, RefusedAttempt};
use store::StoreError;
use store::change::{
    Capture, Captured, ClaimIdempotencyKey, IdempotencyClaim, PurgeExpiredKeys, RecordRefusedAttempt,
};

use crate::harness::{NOW, TestStore, event, grant, on_both, recorded};

fn keyed(db: &TestStore, email: &str, key: u8, request: u8) -> Capture {
    let mut post = db.post(email, vec![grant(0)]);
    post.idempotency = Some(IdempotencyClaim {
        scope: "form:newsletter".to_owned(),
        key: [key; 32],
        request: [request; 32],
        outcome: vec![key, request],
        expires_at: NOW.plus_ms(1000),
    });
    post
}

on_both! {
    async fn a_repetition_is_answered_and_not_stored(db) {
        let first = db.capture(keyed(&db, "anna@example.org", 1, 1)).await;
        let entries = db.ledger_len().await;
        let replayed = Captured::Replayed { subject: Some(first.subject), outcome: vec![1, 1] };
        let outcomes = db.try_capture(vec![keyed(&db, "anna@example.org", 1, 1)]).await.unwrap();
        assert_eq!(outcomes[..], *std::slice::from_ref(&replayed));
        assert_eq!(db.ledger_len().await, entries);
        // In a batch too, beside what is new.
        let posts = vec![keyed(&db, "anna@example.org", 1, 1), keyed(&db, "ben@example.org", 2, 1)];
        let outcomes = db.try_capture(posts).await.unwrap();
        assert_eq!(outcomes[0], replayed);
        recorded(&outcomes[1]);
        assert_eq!(db.store.consent_acts(first.subject).await.unwrap().len(), 1);
        let stored = db.store.idempotency("form:newsletter", &[1; 32], NOW).await.unwrap().unwrap();
        assert_eq!((stored.request, stored.subject, stored.outcome), ([1; 32], Some(first.subject), vec![1, 1]));
        assert!(db.store.idempotency("other", &[1; 32], NOW).await.unwrap().is_none());
    }

    async fn a_key_with_another_request_is_refused(db) {
        db.capture(keyed(&db, "anna@example.org", 1, 1)).await;
        let outcomes = db.try_capture(vec![keyed(&db, "eve@example.org", 1, 2)]).await.unwrap();
        assert_eq!(outcomes, [Captured::KeyReused]);
        assert_eq!(db.store.counts().await.unwrap().subjects, 1);
    }

    async fn a_repetition_within_one_batch_counts_once(db) {
        let posts = vec![
            keyed(&db, "anna@example.org", 1, 1),
            keyed(&db, "anna@example.org", 1, 1),
            keyed(&db, "eve@example.org", 1, 2),
        ];
        let outcomes = db.try_capture(posts).await.unwrap();
        let first = recorded(&outcomes[0]);
        assert_eq!(outcomes[1], Captured::Replayed { subject: Some(first.subject), outcome: vec![1, 1] });
        assert_eq!(outcomes[2], Captured::KeyReused);
        assert_eq!(db.store.counts().await.unwrap().events, 1);
    }

    async fn of_the_same_post_many_times_at_once_one_is_recorded(db) {
        let gateways = [db.clone(), db.another().await];
        let posts = (0..12).map(|at| {
            let gateway = gateways[at % 2].clone();
            tokio::spawn(async move {
                gateway.try_capture(vec![keyed(&gateway, "anna@example.org", 1, 1)]).await.unwrap().remove(0)
            })
        });
        let mut stored = 0;
        for post in posts.collect::<Vec<_>>() {
            match post.await.unwrap() {
                Captured::Recorded(_) => stored += 1,
                Captured::Replayed { outcome, .. } => assert_eq!(outcome, [1, 1]),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!((stored, db.store.counts().await.unwrap().events), (1, 1));
    }

    async fn a_key_is_claimed_with_the_changes_of_its_unit_or_not_at_all(db) {
        let claim = keyed(&db, "anna@example.org", 1, 1).idempotency.unwrap();
        let attempt = || RecordRefusedAttempt {
            staff: None, client: None,
            action: RefusedAttempt::ReadLedger,
            reason: AttemptRefusal::NoCredentials,
            at: NOW,
        };
        let unit = |at| (ClaimIdempotencyKey { claim: claim.clone(), at }, attempt());
        db.store.perform(&unit(NOW)).await.unwrap();
        assert!(matches!(db.store.perform(&unit(NOW)).await, Err(StoreError::Conflict)));
        assert_eq!(db.ledger_len().await, 1);
        let stored = db.store.idempotency("form:newsletter", &[1; 32], NOW).await.unwrap().unwrap();
        assert_eq!((stored.request, stored.subject, stored.outcome), ([1; 32], None, vec![1, 1]));
        db.store.perform(&unit(claim.expires_at)).await.unwrap();
        assert_eq!(db.ledger_len().await, 2);
    }

    async fn a_key_whose_time_is_over_is_free(db) {
        let first = db.capture(keyed(&db, "anna@example.org", 1, 1)).await;
        let later = NOW.plus_ms(1000);
        assert!(db.store.idempotency("form:newsletter", &[1; 32], later).await.unwrap().is_none());
        let mut post = keyed(&db, "anna@example.org", 1, 2);
        post.events = vec![event(EventKind::Withdrawn, 1)];
        post.idempotency = post.idempotency.map(|claim| IdempotencyClaim { expires_at: later.plus_ms(1), ..claim });
        let mut batch = db.batch(vec![post]);
        batch.at = later;
        assert_eq!(recorded(&db.store.perform(&batch).await.unwrap().0[0]).subject, first.subject);
        let stored = db.store.idempotency("form:newsletter", &[1; 32], later).await.unwrap().unwrap();
        assert_eq!(stored.request, [2; 32]);
        assert_eq!(db.store.perform(&PurgeExpiredKeys { at: later }).await.unwrap().0, 0);
        assert_eq!(db.store.perform(&PurgeExpiredKeys { at: later.plus_ms(1) }).await.unwrap().0, 1);
    }
}
