//! The commit horizon: whoever reads in order misses nobody who commits late.

use kernel::ledger::note::NoteSigner;
use kernel::ledger::{AttemptRefusal, LedgerEntry, LedgerEvent, RefusedAttempt};
use store::change::RecordRefusedAttempt;
use store::query::{ChangePosition, SubjectRow};

use crate::harness::{NOW, TestStore, eventually, grant};

const ORIGIN: &str = "consent.example/ledger";

fn signer() -> NoteSigner {
    NoteSigner::new(ORIGIN, [7; 32]).unwrap()
}

fn attempt(action: RefusedAttempt) -> RecordRefusedAttempt {
    RecordRefusedAttempt { staff: None, client: None, action, reason: AttemptRefusal::NoCredentials, at: NOW }
}

fn action(entry: &[u8]) -> RefusedAttempt {
    match LedgerEntry::from_bytes(entry).unwrap().event {
        LedgerEvent::AttemptRefused { action, .. } => action,
        other => panic!("{other:?}"),
    }
}

async fn changed(
    db: &TestStore,
    after: Option<ChangePosition>,
    count: usize,
) -> Vec<(ChangePosition, SubjectRow)> {
    eventually(async || {
        let changed = db.store.changed_subjects(after, 10).await.unwrap();
        (changed.len() == count).then_some(changed)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_entry_that_is_committed_late_is_not_skipped() {
    let db = TestStore::postgres().await;
    let mut late = db.store.begin().await.unwrap();
    late.perform(&attempt(RefusedAttempt::SignIn)).await.unwrap();
    // Begun later, committed earlier.
    db.store.perform(&attempt(RefusedAttempt::IssueToken)).await.unwrap();
    assert!(
        db.store
            .extend_ledger(ORIGIN, &signer(), kernel::ledger::BatchSecret::from_bytes([5; 32]), NOW, 10)
            .await
            .unwrap()
            .is_none()
    );
    assert!(db.store.entries_after(None, 10).await.unwrap().is_empty());
    late.commit().await.unwrap();
    db.entries().await;
    let checkpoint = eventually(async || {
        db.store
            .extend_ledger(ORIGIN, &signer(), kernel::ledger::BatchSecret::from_bytes([5; 32]), NOW, 10)
            .await
            .unwrap()
    })
    .await;
    assert_eq!(checkpoint.size, 2);
    let entries = db.store.ledger_entries(0, 10).await.unwrap();
    let actions: Vec<_> = entries.iter().map(|entry| action(entry)).collect();
    assert_eq!(actions, [RefusedAttempt::SignIn, RefusedAttempt::IssueToken]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_person_whose_change_is_committed_late_is_not_skipped() {
    let db = TestStore::postgres().await;
    let before = db.capture(db.post("before@example.org", vec![grant(0)])).await.subject;
    let (position, row) = changed(&db, None, 1).await.remove(0);
    assert_eq!(row.id, before);

    let mut late = db.store.begin().await.unwrap();
    late.perform(&db.batch(vec![db.post("late@example.org", vec![grant(0)])])).await.unwrap();
    let early = db.capture(db.post("early@example.org", vec![grant(0)])).await.subject;
    assert!(db.store.changed_subjects(Some(position), 10).await.unwrap().is_empty());
    late.commit().await.unwrap();
    let changed = changed(&db, Some(position), 2).await;
    assert_eq!(changed[1].1.id, early);
    assert!(position < changed[0].0 && changed[0].0 < changed[1].0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn in_another_cluster_the_sequence_goes_on_above_what_is_stored() {
    let db = TestStore::postgres().await;
    db.store.perform(&attempt(RefusedAttempt::SignIn)).await.unwrap();
    let first = db.entries().await[0].position;
    // As after a restore: the cluster is not known, or its transaction numbers are far behind.
    for (round, restored) in [
        "UPDATE sequence_epoch SET system_identifier = 1",
        "UPDATE sequence_epoch SET base = base - 1000000 WHERE system_identifier <> 1",
    ]
    .into_iter()
    .enumerate()
    {
        db.raw(restored).await.unwrap();
        let gateways = [db.another().await, db.another().await];
        let (one, two) = (attempt(RefusedAttempt::IssueToken), attempt(RefusedAttempt::ReadLedger));
        let (one, two) = tokio::join!(gateways[0].store.perform(&one), gateways[1].store.perform(&two));
        one.unwrap();
        two.unwrap();
        let entries = gateways[0].entries().await;
        assert_eq!(entries.len(), 3 + 2 * round);
        assert_eq!(action(&entries[0].entry), RefusedAttempt::SignIn);
        assert_eq!(entries[0].position, first);
    }
}
