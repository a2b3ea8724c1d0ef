//! Records of sources: into one person's row, into history where they are facts, and nowhere if suppressed.

use std::collections::BTreeSet;

use kernel::attribute::Value;
use kernel::id::{ReceiptId, RightsRequestId};
use kernel::regime::Regime;
use kernel::seal::SealedRecord;
use kernel::subject::Birth;
use store::change::{EraseSubject, Identified, Ingest, IngestRecords, Ingested};

use crate::harness::{NOW, TestStore, attribute, grant, on_both, policy};

fn record(db: &TestStore, who: Identified, attributes: &[(&str, &str)]) -> Ingest {
    Ingest {
        who,
        receipt: ReceiptId::generate(&*db.entropy),
        attributes: attributes
            .iter()
            .map(|(name, value)| (attribute(name), Value::Text((*value).to_owned())))
            .collect(),
        source: "crm".parse().unwrap(),
        observed_at: NOW,
        regime: None,
        birth: None,
        policy: policy(),
    }
}

async fn ingest(db: &TestStore, records: Vec<Ingest>) -> Vec<Ingested> {
    let batch =
        IngestRecords { records, keyring: db.keyring.clone(), entropy: db.entropy.clone(), at: NOW.plus_ms(10) };
    db.store.perform(&batch).await.unwrap().0
}

on_both! {
    async fn records_of_one_person_come_together(db) {
        let outcomes = ingest(&db, vec![
            record(&db, db.person(&["anna@example.org"]), &[("city", "Graz")]),
            record(&db, db.person(&["ben@example.org"]), &[("city", "Wien")]),
            record(&db, db.person(&["anna@example.org"]), &[("name", "Anna"), ("city", "Linz")]),
        ]).await;
        let subjects: Vec<_> = outcomes
            .iter()
            .map(|outcome| match outcome {
                Ingested::Recorded { subject, created, .. } => (*subject, *created),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(subjects[0], subjects[2]);
        assert!(subjects.iter().all(|(_, created)| *created));
        let row = db.row(subjects[0].0).await;
        let names: Vec<_> = SealedRecord::new(&row.record).entries().map(|entry| entry.unwrap().name()).collect();
        assert_eq!(names, ["city", "name"]);
        assert_eq!(db.ledger_len().await, 3);
        db.check_fold(subjects[0].0).await;
    }

    async fn facts_become_events_once(db) {
        let mut first = record(&db, db.person(&["anna@example.org"]), &[("city", "Graz")]);
        (first.regime, first.birth) = (Some("EU_GDPR:AT".parse::<Regime>().unwrap()), Some(Birth::Year(1990)));
        let mut again = first.clone();
        again.attributes = vec![(attribute("city"), Value::Text("Linz".to_owned()))];
        let outcomes = ingest(&db, vec![first]).await;
        let Ingested::Recorded { subject, events, .. } = &outcomes[0] else { panic!("{outcomes:?}") };
        assert_eq!(events.len(), 2);
        assert_eq!(db.ledger_len().await, 1);
        let outcomes = ingest(&db, vec![again]).await;
        let Ingested::Recorded { events, .. } = &outcomes[0] else { panic!("{outcomes:?}") };
        assert!(events.is_empty());
        assert_eq!(db.ledger_len().await, 2);
        assert_eq!(db.standing(*subject).await.birth(), Some(Birth::Year(1990)));
        db.check_fold(*subject).await;
    }

    async fn nobody_who_was_erased_is_brought_back_by_an_import(db) {
        let anna = db.capture(db.post("anna@example.org", vec![grant(0)])).await.subject;
        let erase = EraseSubject {
            also: Vec::new(),
            subject: anna,
            request: RightsRequestId::generate(&*db.entropy),
            keyring: db.keyring.clone(),
            at: NOW,
        };
        assert!(db.store.perform(&erase).await.unwrap().0.erased());
        let entries = db.ledger_len().await;
        let late = || record(&db, db.person(&["anna@example.org"]), &[("city", "Graz")]);
        assert_eq!(ingest(&db, vec![late()]).await, [Ingested::Suppressed]);
        // Not by another address beside the suppressed one either, and others in the batch are not held up.
        let mixed = record(&db, db.person(&["anna3@example.org", "anna@example.org"]), &[("city", "Graz")]);
        let ben = record(&db, db.person(&["ben@example.org"]), &[("city", "Wien")]);
        let outcomes = ingest(&db, vec![late(), mixed, ben]).await;
        assert_eq!(outcomes[..2], [Ingested::Suppressed, Ingested::Suppressed]);
        assert!(matches!(outcomes[2], Ingested::Recorded { created: true, .. }));
        assert_eq!(db.ledger_len().await, entries + 1);
        assert_eq!(db.store.counts().await.unwrap().subjects, 1);
        // Her own fresh opt-in is heard, and then records of her are taken.
        let back = db.capture(db.post("anna@example.org", vec![grant(9)])).await;
        assert!(back.created && back.subject != anna);
        let outcomes = ingest(&db, vec![late()]).await;
        assert!(matches!(outcomes[0], Ingested::Recorded { subject, created: false, .. } if subject == back.subject));
    }

    async fn a_record_that_names_two_people_is_left_out(db) {
        let [anna, ben] = ["anna@example.org", "ben@example.org"];
        let outcomes = ingest(&db, vec![
            record(&db, db.person(&[anna]), &[("city", "Graz")]),
            record(&db, db.person(&[ben]), &[("city", "Wien")]),
            record(&db, db.person(&[anna, ben]), &[("city", "Linz")]),
            record(&db, db.person(&["eve@example.org"]), &[("city", "Bonn")]),
        ]).await;
        assert_eq!(outcomes[2], Ingested::Ambiguous);
        assert!(matches!(outcomes[3], Ingested::Recorded { .. }));
        assert_eq!(db.ledger_len().await, 3);
    }

    async fn imports_at_once_make_one_person_an_address(db) {
        let gateways = [db.clone(), db.another().await];
        let tasks = (0..6_usize).map(|task| {
            let gateway = gateways[task % 2].clone();
            tokio::spawn(async move {
                let people = (0..30_usize).map(|at| (at * (2 * task + 1)) % 30);
                let records = people
                    .map(|who| record(&gateway, gateway.person(&[&format!("p{who}@example.org")]), &[("city", "Graz")]))
                    .collect();
                ingest(&gateway, records).await
            })
        });
        let mut subjects = BTreeSet::new();
        for task in tasks.collect::<Vec<_>>() {
            for outcome in task.await.unwrap() {
                let Ingested::Recorded { subject, .. } = outcome else { panic!("{outcome:?}") };
                subjects.insert(subject);
            }
        }
        assert_eq!(subjects.len(), 30);
        assert_eq!(db.store.counts().await.unwrap().subjects, 30);
    }
}
