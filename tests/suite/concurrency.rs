//! Many at once: first posts of one person, withdrawals against pulls, two gateways on one store.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::join_all;
use serde_json::json;

use crate::harness::{Backend, Client, Line, Recipient, TestGateway};

on_both!(
    sixteen_first_posts_of_one_address_make_one_person,
    a_post_and_a_record_of_a_new_address_make_one_person,
    a_withdrawal_is_honoured_by_every_page_begun_after_it,
    an_erasure_is_honoured_by_every_look_up_begun_after_it,
    two_gateways_honour_each_others_withdrawals_and_erasures,
    two_gateways_capture_together_into_one_ledger,
    many_persons_at_once_lose_nothing,
);

async fn sixteen_first_posts_of_one_address_make_one_person(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    for round in 0..4 {
        let before = gateway.database().stored().await;
        let anna = gateway.person(&format!("anna-{round}"));
        let posts: Vec<_> = (0..16).map(|_| anna.post(&[("email_marketing", "give")])).collect();
        let receipts = join_all(posts.iter().map(async |post| anna.sends(post).await.expect(201).json())).await;
        let ids: BTreeSet<_> = receipts.iter().map(|receipt| receipt["receipt"].as_str().unwrap()).collect();
        let tokens: BTreeSet<_> =
            receipts.iter().map(|receipt| receipt["withdrawal_token"].as_str().unwrap()).collect();
        assert_eq!((ids.len(), tokens.len()), (16, 1));
        let after = gateway.database().stored().await;
        assert_eq!(after["subject"], before["subject"] + 1);
        assert_eq!(after["subject_identifier"], before["subject_identifier"] + 1);
        let events = gateway.officer().await.events(&anna).await;
        assert_eq!(events.iter().filter(|event| *event == "GRANT_CONFIRMED").count(), 16);
    }
    gateway.expect_sound_ledger().await;
}

async fn a_post_and_a_record_of_a_new_address_make_one_person(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (shop, mailer) = (gateway.shop().await, gateway.mailer().await);
    let _token = shop.client.token().await;
    for round in 0..8 {
        let anna = gateway.person(&format!("anna-{round}"));
        let post = anna.post(&[("email_marketing", "give")]);
        let line = [Line::of(&anna, json!({ "city": "Berlin" }))];
        let (receipt, ()) = futures_util::join!(anna.sends(&post), shop.sends(&line));
        receipt.expect(201);
        assert_eq!(gateway.database().stored().await["subject"], round + 1);
        let profiles = mailer.looks_up_persons(&[&anna]).await.profiles();
        assert_eq!(profiles[0]["attributes"]["city"], "Berlin");
    }
}

/// A withdrawal races a puller that goes through small pages: whatever page begins after the acknowledgement does not
/// show the person.
async fn a_withdrawal_is_honoured_by_every_page_begun_after_it(backend: Backend) {
    const ROUNDS: usize = 24;
    let gateway = TestGateway::start(backend).await;
    gateway.crowd(ROUNDS, &["profiling_segmentation"]).await;
    let segmentation = gateway.segmentation().await;
    let mut known = segmentation.knows().await;
    assert_eq!(known.len(), ROUNDS);
    for round in 0..ROUNDS {
        let person = gateway.person(&format!("person-{round}"));
        let acknowledged = AtomicBool::new(false);
        let withdraw = async {
            // Somewhere in the middle of the pull, another place in every round.
            for _ in 0..round % 6 {
                gateway.get("/health/live").await.expect(200);
            }
            person.withdraws(&["profiling_segmentation"]).await;
            acknowledged.store(true, Ordering::SeqCst);
        };
        let pull = async {
            let mut pages = Vec::new();
            let mut path = Some("/v1/profiles?purpose=profiling_segmentation&limit=3".to_owned());
            while let Some(next) = path.take() {
                let is_after = acknowledged.load(Ordering::SeqCst);
                let answer = segmentation.client.get(&next).await.expect(200);
                path = answer.header("link").map(|link| link.split_once('>').unwrap().0[1..].to_owned());
                pages.push((is_after, answer.lines()));
            }
            pages
        };
        let ((), pages) = futures_util::join!(withdraw, pull);
        let left = segmentation.knows().await;
        let gone: Vec<_> = known.difference(&left).cloned().collect();
        assert_eq!(gone.len(), 1, "round {round}");
        for (is_after, rows) in pages {
            let shows = rows.iter().any(|row| row["pseudonym"] == gone[0].as_str());
            assert!(!(is_after && shows), "round {round}: a page begun after the withdrawal shows the person");
        }
        known = left;
    }
    gateway.expect_sound_ledger().await;
}

async fn an_erasure_is_honoured_by_every_look_up_begun_after_it(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (mailer, officer) = (gateway.mailer().await, gateway.officer().await);
    let (_token, _other) = (mailer.client.token().await, officer.client.token().await);
    for round in 0..16 {
        let anna = gateway.person(&format!("anna-{round}"));
        anna.gives(&["email_marketing"]).await;
        let acknowledged = AtomicBool::new(false);
        let erase = async {
            officer.erases(&anna).await;
            acknowledged.store(true, Ordering::SeqCst);
        };
        let look_up = async {
            for _ in 0..12 {
                let is_after = acknowledged.load(Ordering::SeqCst);
                let knows = mailer.may_know(&anna).await;
                assert!(!(is_after && knows), "round {round}");
            }
        };
        futures_util::join!(erase, look_up);
        assert!(!mailer.may_know(&anna).await);
    }
}

async fn two_gateways_honour_each_others_withdrawals_and_erasures(backend: Backend) {
    let one = TestGateway::start(backend).await;
    let two = one.twin().await;
    let segmentation = one.segmentation().await;
    let there = Recipient {
        client: Client::known(&two, segmentation.client.id.clone(), segmentation.client.secret.clone()),
        purpose: segmentation.purpose,
    };
    let officer = one.officer().await;
    let people: Vec<_> = (0..10).map(|number| one.person(&format!("person-{number}"))).collect();
    for person in &people {
        person.gives(&["profiling_segmentation"]).await;
    }
    assert_eq!(there.knows().await, segmentation.knows().await);
    let mut left = people.len();
    for (number, person) in people.iter().enumerate() {
        let before = there.knows().await;
        // By turns: withdrawn here, withdrawn there, erased here; read at the other gateway at once.
        let (asked, elsewhere) = match number % 3 {
            0 => {
                person.withdraws(&["profiling_segmentation"]).await;
                (&there, &segmentation)
            }
            1 => {
                person.at(&two).withdraws(&["profiling_segmentation"]).await;
                (&segmentation, &there)
            }
            _ => {
                officer.erases(person).await;
                (&there, &segmentation)
            }
        };
        left -= 1;
        let after = asked.knows().await;
        assert_eq!(after.len(), left, "person {number}");
        let gone = before.difference(&after).next().unwrap();
        assert!(elsewhere.looks_up_names(&[gone]).await.profiles().is_empty());
        assert!(asked.looks_up_names(&[gone]).await.profiles().is_empty());
    }
    one.expect_sound_ledger().await;
    two.expect_sound_ledger().await;
}

async fn two_gateways_capture_together_into_one_ledger(backend: Backend) {
    let one = TestGateway::start(backend).await;
    let two = one.twin().await;
    let entries = one.expect_sound_ledger().await.entries;
    let post = async |number: usize| {
        // Every address at both gateways, and some addresses twice at one.
        let at = if number.is_multiple_of(2) { &one } else { &two };
        let person = at.person(&format!("person-{}", number / 3));
        person.gives(&["email_marketing", "profiling_segmentation"]).await;
        if number.is_multiple_of(8) {
            at.sequence().await;
        }
    };
    join_all((0..48).map(post)).await;
    assert_eq!(one.database().stored().await["subject"], 16);
    assert_eq!(one.segmentation().await.knows().await.len(), 16);
    let report = two.expect_sound_ledger().await;
    assert_eq!(report, one.expect_sound_ledger().await);
    assert!(report.entries >= entries + 48, "{report:?}");
}

async fn many_persons_at_once_lose_nothing(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let people: Vec<_> = (0..96).map(|number| gateway.person(&format!("person-{number}"))).collect();
    let receipts = join_all(people.iter().map(|person| person.gives(&["profiling_segmentation"]))).await;
    let ids: BTreeSet<_> = receipts.iter().map(|receipt| receipt["receipt"].to_string()).collect();
    assert_eq!(ids.len(), people.len());
    assert_eq!(gateway.segmentation().await.knows().await.len(), people.len());
    let officer = gateway.officer().await;
    for (person, receipt) in people.iter().zip(&receipts).step_by(7) {
        let copy = officer.copy(person).await;
        let events = copy["events"].as_array().unwrap();
        assert!(events.iter().all(|event| event["receipt"] == receipt["receipt"]), "{copy}");
    }
    gateway.expect_sound_ledger().await;
}
