//! Capturing consent: one person a fingerprint, folded in order, whatever runs beside it.

use std::collections::BTreeSet;

use kernel::consent::{Action, EventKind, Evidence, Presentation};
use kernel::id::SubjectId;
use kernel::ledger::{LedgerEntry, LedgerEvent};
use kernel::regime::Regime;
use kernel::seal::SealedRecord;
use kernel::subject::Birth;
use store::change::{CaptureSubject, Captured};

use crate::harness::{NOW, attribute, event, grant, on_both, recorded};

on_both! {
    async fn sixteen_first_posts_at_once_make_one_person(db) {
        // Two gateways, so that no memory of one process can be what keeps them apart.
        let gateways = [db.clone(), db.another().await];
        let posts = (0..16).map(|at| {
            let gateway = gateways[at % 2].clone();
            tokio::spawn(async move {
                let post = gateway.post("anna@example.org", vec![grant(i64::try_from(at).unwrap())]);
                gateway.capture(post).await
            })
        });
        let mut all = Vec::new();
        for post in posts.collect::<Vec<_>>() {
            all.push(post.await.unwrap());
        }
        let subjects: BTreeSet<_> = all.iter().map(|recorded| recorded.subject).collect();
        assert_eq!(subjects.len(), 1);
        assert_eq!(all.iter().filter(|recorded| recorded.created).count(), 1);
        let subject = all[0].subject;
        assert_eq!(db.store.consent_acts(subject).await.unwrap().len(), 16);
        assert_eq!(db.store.counts().await.unwrap().subjects, 1);
        db.check_fold(subject).await;
    }

    async fn batches_with_the_same_people_in_any_order_do_not_block_each_other(db) {
        let gateways = [db.clone(), db.another().await];
        let tasks = (0..8_usize).map(|task| {
            let gateway = gateways[task % 2].clone();
            tokio::spawn(async move {
                for round in 0..4_usize {
                    let people = (0..24_usize).map(|at| (at * (task * 2 + 1) + round * 7) % 40);
                    let posts = people.map(|who| gateway.post(&format!("p{who}@example.org"), vec![grant(0)])).collect();
                    let outcomes = gateway.try_capture(posts).await.unwrap();
                    assert!(outcomes.iter().all(|outcome| matches!(outcome, Captured::Recorded(_))));
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
        let counts = db.store.counts().await.unwrap();
        assert_eq!((counts.subjects, counts.events), (40, 8 * 4 * 24));
        for who in 0..40 {
            let found = db.store.find_by_fingerprint(&db.keyring, &db.fingerprint(&format!("p{who}@example.org"))).await.unwrap();
            db.check_fold(found.unwrap()).await;
        }
    }

    async fn a_withdrawal_is_folded_into_the_standing(db) {
        let purpose = "marketing".parse().unwrap();
        let subject = db.capture(db.post("anna@example.org", vec![grant(0)])).await.subject;
        assert!(db.standing(subject).await.effective(&purpose).is_some());
        let mut withdrawal = db.post("anna@example.org", vec![event(EventKind::Withdrawn, 5)]);
        withdrawal.who = CaptureSubject::Known(subject);
        withdrawal.attributes.clear();
        let recorded = db.capture(withdrawal).await;
        assert!(!recorded.created);
        assert!(db.standing(subject).await.effective(&purpose).is_none());
        db.check_fold(subject).await;
    }

    async fn posts_of_one_person_in_one_batch_are_folded_one_after_the_other(db) {
        let mut objection = event(EventKind::Objected, 9);
        objection.purpose = None;
        let posts = vec![
            db.post("anna@example.org", vec![grant(0)]),
            db.post("ben@example.org", vec![grant(0)]),
            db.post("anna@example.org", vec![event(EventKind::Withdrawn, 5)]),
            db.post("anna@example.org", vec![grant(9), objection]),
        ];
        let outcomes: Vec<_> = db.try_capture(posts).await.unwrap().iter().map(recorded).collect();
        assert_eq!(outcomes[0].subject, outcomes[2].subject);
        assert_eq!(outcomes[0].subject, outcomes[3].subject);
        assert_ne!(outcomes[0].subject, outcomes[1].subject);
        let standing = db.standing(outcomes[0].subject).await;
        assert_eq!(standing.next_sequence(), 4);
        assert_eq!(standing.objected_at(), Some(NOW.plus_ms(9)));
        db.check_fold(outcomes[0].subject).await;
        db.check_fold(outcomes[1].subject).await;
    }

    async fn a_fact_that_is_known_is_not_recorded_again(db) {
        let facts = |regime: Regime, year| {
            let mut told = event(EventKind::RegimeDeclared, 0);
            (told.purpose, told.regime) = (None, Some(regime));
            let mut born = event(EventKind::BirthDeclared, 0);
            (born.purpose, born.birth) = (None, Some(Birth::Year(year)));
            vec![told, born, grant(0)]
        };
        let (uk, ca) = (Regime::UkGdpr, Regime::UsCa);
        let first = db.capture(db.post("anna@example.org", facts(uk, 1990))).await;
        assert_eq!(first.events.len(), 3);
        for (regime, year, added) in [(uk, 1990, 1), (Regime::Unknown, 1990, 1), (ca, 1990, 2), (uk, 1991, 2)] {
            let again = db.capture(db.post("anna@example.org", facts(regime, year))).await;
            assert_eq!(again.events.len(), added, "{regime} {year}");
        }
        db.check_fold(first.subject).await;
    }

    async fn evidence_is_sealed_with_the_statements(db) {
        let evidence = Evidence {
            action: Action::CheckboxTicked,
            preselected: false,
            presentation: Presentation::Separate,
            conditional_on_service: false,
            options: Vec::new(),
            steps_accept: None,
            steps_decline: None,
            statement: Some("I agree".to_owned()),
            locale: "en".to_owned(),
            page: None,
            mailbox: None,
        };
        let mut told = event(EventKind::RegimeDeclared, 0);
        (told.purpose, told.regime) = (None, Some(Regime::UkGdpr));
        let mut post = db.post("anna@example.org", vec![told, grant(0)]);
        post.evidence = Some(evidence.clone());
        let recorded = db.capture(post).await;
        let key = db.key(recorded.subject).await;
        let acts = db.store.consent_acts(recorded.subject).await.unwrap();
        assert_eq!((acts.len(), acts[0].first, acts[0].events, acts[0].receipt), (1, 0, 2, recorded.receipt));
        let (events, proof) = key.open_act(0, &acts[0].sealed).unwrap();
        assert_eq!(proof, Some(evidence));
        assert_eq!((events[0].kind, events[1].kind), (EventKind::RegimeDeclared, EventKind::GrantConfirmed));
        assert_eq!(events[1].grant.as_ref().unwrap().notice, grant(0).grant.unwrap().notice);
        // An act at another place of the history does not open.
        assert!(key.open_act(1, &acts[0].sealed).is_err());
    }

    async fn a_fact_alone_carries_no_evidence(db) {
        let mut told = event(EventKind::RegimeDeclared, 0);
        (told.purpose, told.regime) = (None, Some(Regime::UkGdpr));
        let recorded = db.capture(db.post("anna@example.org", vec![told])).await;
        let act = db.store.consent_acts(recorded.subject).await.unwrap().remove(0);
        assert_eq!(db.key(recorded.subject).await.open_act(0, &act.sealed).unwrap().1, None);
    }

    async fn a_token_of_nobody_stores_nothing(db) {
        let mut post = db.post("anna@example.org", vec![event(EventKind::Withdrawn, 0)]);
        post.who = CaptureSubject::Known(SubjectId::generate(&*db.entropy));
        assert_eq!(db.try_capture(vec![post]).await.unwrap(), [Captured::NoSuchSubject]);
        assert_eq!(db.store.counts().await.unwrap(), Default::default());
    }

    async fn identifiers_of_two_people_store_nothing(db) {
        let anna = db.capture(db.post("anna@example.org", vec![grant(0)])).await.subject;
        db.capture(db.post("ben@example.org", vec![grant(0)])).await;
        let entries = db.ledger_len().await;
        let mut both = db.post("anna@example.org", vec![event(EventKind::Withdrawn, 0)]);
        both.who = CaptureSubject::Identified(db.person(&["new@example.org", "anna@example.org", "ben@example.org"]));
        assert_eq!(db.try_capture(vec![both]).await.unwrap(), [Captured::Ambiguous]);
        assert_eq!(db.store.find_by_fingerprint(&db.keyring, &db.fingerprint("new@example.org")).await.unwrap(), None);
        assert_eq!(db.ledger_len().await, entries);
        // A second address of one person is added.
        let mut more = db.post("anna@example.org", vec![grant(1)]);
        more.who = CaptureSubject::Identified(db.person(&["anna2@example.org", "anna@example.org"]));
        assert_eq!(db.capture(more).await.subject, anna);
        assert_eq!(db.store.find_by_fingerprint(&db.keyring, &db.fingerprint("anna2@example.org")).await.unwrap(), Some(anna));
        assert_eq!(db.store.fingerprints_of(&db.keyring, anna).await.unwrap().len(), 2);
    }

    async fn attributes_are_sealed_into_the_record_and_the_ledger_names_them(db) {
        let recorded = db.capture(db.post("anna@example.org", vec![grant(0)])).await;
        let row = db.row(recorded.subject).await;
        let names: Vec<_> = SealedRecord::new(&row.record).entries().map(|entry| entry.unwrap().name()).collect();
        assert_eq!(names, ["email"]);
        assert!(!row.record.windows(4).any(|window| window == b"anna"));
        let entries = db.entries().await;
        let events: Vec<_> = entries.iter().map(|row| LedgerEntry::from_bytes(&row.entry).unwrap().event).collect();
        assert_eq!(
            events,
            [
                LedgerEvent::ConsentCaptured {
                    subject: recorded.ledger_ref,
                    receipt: recorded.receipt,
                    events: recorded.events.clone(),
                    source: Some("newsletter".parse().unwrap()),
                    attributes: Some(vec![attribute("email")]),
                    notice: grant(0).notice(),
                },
            ]
        );
    }
}
