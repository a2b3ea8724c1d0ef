//! Imports, chunk by chunk: what ends one between two chunks loses nothing and does nothing twice.

use std::sync::Arc;

use kernel::consent::EventKind;
use kernel::id::ImportId;
use kernel::import::{ImportStatus, LeftOut, StagedRow, StagedStatement, Tally};
use kernel::time::Months;
use store::StoreError;
use store::change::{
    AppliedImport, ApplyImport, DiscardImport, FinishPreview, ImportStep, OpenImport, SealedRow, StageRows,
    SweepImport,
};

use crate::harness::{NOW, TestStore, another_policy, attribute, event, grant, on_both, policy};

fn address(number: u64) -> String {
    format!("p{number}@example.org")
}

/// A previewed import whose rows give consent to marketing, line 2 for the first person.
async fn previewed(db: &TestStore, persons: u64) -> ImportId {
    let import = ImportId::generate(&*db.entropy);
    let (key, wrapped_key) = db.keyring.create_import_key(import, &*db.entropy).unwrap();
    let open = OpenImport {
        import,
        source: "shop".parse().unwrap(),
        client: None,
        policy: policy().version(),
        informed: false,
        wrapped_key,
        expires_at: NOW.plus_ms(1_000),
        at: NOW,
    };
    db.store.perform(&open).await.unwrap();
    let rows = (0..persons).map(|number| {
        let email = Some(db.fingerprint(&address(number)));
        let statement = StagedStatement {
            kind: EventKind::GrantConfirmed,
            purpose: Some("marketing".parse().unwrap()),
            grant: grant(0).grant,
            proof: None,
            direct_marketing: true,
            sale_or_share: false,
            validity: Months(24),
        };
        let value = kernel::attribute::Value::Text("Graz".to_owned());
        let row = StagedRow {
            email,
            statements: vec![statement],
            attributes: vec![(attribute("city"), value)],
            ..StagedRow::of(NOW.plus_ms(-5))
        };
        let line = number + 2;
        SealedRow { line, email, customer_id: None, sealed: key.seal_row(line, &row).unwrap() }
    });
    db.store
        .perform(&StageRows { keyring: Arc::clone(&db.keyring), import, rows: rows.collect(), at: NOW })
        .await
        .unwrap();
    let preview = Tally { created: persons, ..Tally::default() };
    let source = "shop".parse().unwrap();
    let finish = FinishPreview { import, source, rows: persons, preview, digest: [1; 32], at: NOW };
    db.store.perform(&finish).await.unwrap();
    import
}

async fn step(db: &TestStore, import: ImportId, most: u32) -> ImportStep {
    let apply = ApplyImport {
        import,
        policy: policy(),
        most,
        keyring: db.keyring.clone(),
        entropy: db.entropy.clone(),
        at: NOW,
    };
    db.store.perform(&apply).await.unwrap().0
}

fn applied(step: ImportStep) -> AppliedImport {
    match step {
        ImportStep::Applied(applied) => applied,
        other => panic!("{other:?}"),
    }
}

on_both! {
    async fn an_import_that_was_ended_between_two_chunks_goes_on_where_it_stopped(db) {
        let import = previewed(&db, 5).await;
        let entries = db.ledger_len().await;
        let first = applied(step(&db, import, 2).await);
        assert_eq!((first.line, first.tally.created, first.is_last), (3, 2, false));
        let row = db.store.import(import).await.unwrap().unwrap();
        assert_eq!((row.status, row.last_line, row.applied.created), (ImportStatus::Applying, 3, 2));
        // Another process, after the first one is gone; a step that is never committed leaves nothing.
        let other = db.another().await;
        let mut unit = other.store.begin().await.unwrap();
        let apply = ApplyImport {
            import, policy: policy(), most: 2, keyring: db.keyring.clone(), entropy: db.entropy.clone(), at: NOW,
        };
        unit.perform(&apply).await.unwrap();
        drop(unit);
        assert_eq!(db.store.counts().await.unwrap().subjects, 2);
        // Once begun it is finished, whatever the policy is meanwhile.
        let apply = ApplyImport { policy: another_policy(), ..apply };
        let second = applied(other.store.perform(&apply).await.unwrap().0);
        assert_eq!((second.line, second.tally.created, second.is_last), (5, 2, false));
        let last = applied(step(&other, import, 2).await);
        assert_eq!((last.line, last.tally.created, last.is_last), (6, 1, true));
        for _ in 0..2 {
            assert_eq!(step(&db, import, 2).await, ImportStep::Done);
        }
        let counts = db.store.counts().await.unwrap();
        assert_eq!((counts.subjects, counts.events), (5, 5));
        assert_eq!(db.ledger_len().await, entries + 3);
        let row = db.store.import(import).await.unwrap().unwrap();
        assert_eq!((row.status, row.applied.created), (ImportStatus::Applied, 5));
        assert_eq!(db.number("SELECT count(*) FROM import_row").await, 0);
        assert_eq!(db.number("SELECT count(wrapped_key) FROM import").await, 0);
        for number in 0..5 {
            let print = db.fingerprint(&address(number));
            db.check_fold(db.store.find_by_fingerprint(&db.keyring, &print).await.unwrap().unwrap()).await;
        }
    }

    async fn what_a_person_did_between_two_chunks_wins(db) {
        let import = previewed(&db, 2).await;
        assert_eq!(applied(step(&db, import, 1).await).tally.created, 1);
        // A withdrawal by somebody whose row still waits, and an erasure of somebody whose row was applied.
        db.capture(db.post(&address(1), vec![event(EventKind::Withdrawn, 0)])).await;
        let last = applied(step(&db, import, 10).await);
        assert_eq!((last.tally.created, last.tally.changed, last.is_last), (0, 0, true));
        assert_eq!(last.tally.left_out.get(&LeftOut::Withdrawn), Some(&1));
    }

    async fn two_processes_that_apply_at_once_apply_each_row_once(db) {
        let import = previewed(&db, 60).await;
        let tasks = [db.clone(), db.another().await, db.another().await].map(|gateway| {
            tokio::spawn(async move {
                let mut created = 0;
                loop {
                    match step(&gateway, import, 7).await {
                        ImportStep::Applied(applied) => created += applied.tally.created,
                        ImportStep::Done => return created,
                        other => panic!("{other:?}"),
                    }
                }
            })
        });
        let mut created = 0;
        for task in tasks {
            created += task.await.unwrap();
        }
        assert_eq!((created, db.store.counts().await.unwrap().subjects), (60, 60));
    }

    async fn a_discarded_import_loses_its_key_at_once_and_is_never_applied(db) {
        let import = previewed(&db, 3).await;
        assert!(db.store.perform(&DiscardImport { import, expired: false, at: NOW }).await.unwrap().0);
        assert_eq!(db.number("SELECT count(wrapped_key) FROM import").await, 0);
        assert!(!db.store.perform(&DiscardImport { import, expired: true, at: NOW }).await.unwrap().0);
        assert_eq!(step(&db, import, 10).await, ImportStep::Not(ImportStatus::Discarded));
        let late = StageRows { keyring: Arc::clone(&db.keyring), import, rows: Vec::new(), at: NOW };
        assert!(matches!(db.store.perform(&late).await, Err(StoreError::Conflict)));
        assert_eq!(db.store.imports_to_sweep(10).await.unwrap(), [import]);
        let mut swept = Vec::new();
        while swept.last() != Some(&0) {
            swept.push(db.store.perform(&SweepImport { import, most: 2 }).await.unwrap().0);
        }
        assert_eq!(swept.iter().sum::<u64>(), 3);
        assert!(db.store.imports_to_sweep(10).await.unwrap().is_empty());
        assert_eq!(db.store.counts().await.unwrap().subjects, 0);
    }

    async fn an_import_is_begun_in_time_and_under_its_own_policy(db) {
        let import = previewed(&db, 1).await;
        let apply = |policy, at| ApplyImport {
            import, policy, most: 10, keyring: db.keyring.clone(), entropy: db.entropy.clone(), at,
        };
        let other = db.store.perform(&apply(another_policy(), NOW)).await.unwrap().0;
        assert_eq!(other, ImportStep::PolicyChanged);
        let late = db.store.perform(&apply(policy(), NOW.plus_ms(1_000))).await.unwrap().0;
        assert_eq!(late, ImportStep::Not(ImportStatus::Expired));
        let none = ImportId::from_bytes([0; 16]);
        let nothing = db.store.perform(&ApplyImport { import: none, ..apply(policy(), NOW) }).await.unwrap().0;
        assert_eq!(nothing, ImportStep::NotFound);
        assert!(applied(step(&db, import, 10).await).is_last);
    }
}
