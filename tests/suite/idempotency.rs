//! The same request again is answered again and done once.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::{Answer, Backend, TestGateway};

on_both!(
    cap_19_a_repeated_post_is_answered_again_and_done_once,
    a_key_used_for_another_request_is_refused,
    concurrent_posts_under_one_key_are_done_once,
    a_key_is_forgotten_after_a_day,
    a_key_that_is_not_well_formed_is_refused,
    rights_requests_are_repeated_too,
);

async fn post_under(gateway: &TestGateway, key: &str, post: &Value) -> Answer {
    let request = gateway.request("POST", "/v1/consents").header("idempotency-key", key);
    gateway.send(request.json(post)).await
}

async fn cap_19_a_repeated_post_is_answered_again_and_done_once(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, mailer) = (gateway.person("anna"), gateway.mailer().await);
    let post = anna.post(&[("email_marketing", "give")]);
    let first = post_under(&gateway, "\"k-1\"", &post).await.expect(201);
    assert_eq!(first.header("idempotency-replayed"), None);
    let stored = gateway.database().stored().await;
    anna.withdraws(&["email_marketing"]).await;
    // The bare form of the key is the same key.
    for key in ["\"k-1\"", "k-1"] {
        let again = post_under(&gateway, key, &post).await.expect(201);
        assert_eq!((again.header("idempotency-replayed"), again.json()), (Some("true"), first.json()));
    }
    // A replay is no new consent.
    assert!(!mailer.may_know(&anna).await);
    assert_eq!(gateway.database().stored().await["consent_event"], stored["consent_event"] + 1);
    // Neither is the same post under a new key: it was captured before the withdrawal.
    post_under(&gateway, "k-2", &post).await.expect(201);
    assert!(!mailer.may_know(&anna).await);
}

async fn a_key_used_for_another_request_is_refused(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, berta) = (gateway.person("anna"), gateway.person("berta"));
    post_under(&gateway, "k", &anna.post(&[("email_marketing", "give")])).await.expect(201);
    let stored = gateway.database().stored().await;
    let other = berta.post(&[("email_marketing", "give")]);
    post_under(&gateway, "k", &other).await.expect_problem(422, "idempotency_key_reused");
    // With the signal the same body asks for more.
    let signalled = gateway.request("POST", "/v1/consents").header("idempotency-key", "k").header("sec-gpc", "1");
    gateway.send(signalled.json(&other)).await.expect_problem(422, "idempotency_key_reused");
    assert_eq!(gateway.database().stored().await, stored);
}

async fn concurrent_posts_under_one_key_are_done_once(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    for round in 0..6 {
        let before = gateway.database().stored().await;
        let anna = gateway.person(&format!("anna-{round}"));
        let post = anna.post(&[("email_marketing", "give"), ("link_tracking", "refuse")]);
        let key = format!("k-{round}");
        let answers = join_all((0..8).map(async |_| post_under(&gateway, &key, &post).await)).await;
        let done: Vec<_> = answers.iter().filter(|answer| answer.status == 201).collect();
        // One that comes while the first still runs may be told so, and is answered when it asks again.
        assert!(answers.iter().all(|answer| matches!(answer.status, 201 | 409)), "{answers:?}");
        let receipts: BTreeSet<_> = done.iter().map(|answer| answer.json()["receipt"].to_string()).collect();
        let replays = done.iter().filter(|answer| answer.header("idempotency-replayed") == Some("true")).count();
        assert_eq!((receipts.len(), done.len() - replays), (1, 1), "{answers:?}");
        let after = gateway.database().stored().await;
        assert_eq!(
            (after["subject"], after["idempotency_key"]),
            (before["subject"] + 1, before["idempotency_key"] + 1)
        );
        // Region, grant and refusal, in one act.
        assert_eq!(after["consent_event"], before["consent_event"] + 1);
        let events = "SELECT CAST(sum(events) AS bigint) FROM consent_event";
        assert_eq!(gateway.database().number(events).await, (round + 1) * 3);
    }
}

async fn a_key_is_forgotten_after_a_day(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, berta) = (gateway.person("anna"), gateway.person("berta"));
    let post = anna.post(&[("email_marketing", "give")]);
    let first = post_under(&gateway, "k", &post).await.expect(201).json();
    gateway.clock().advance_ms(86_400_000 - 10);
    assert_eq!(post_under(&gateway, "k", &post).await.expect(201).json(), first);
    gateway.clock().advance_ms(20);
    let later = post_under(&gateway, "k", &berta.post(&[("email_marketing", "give")])).await.expect(201);
    assert_eq!(later.header("idempotency-replayed"), None);
    assert!(gateway.officer().await.holds(&berta).await);
}

async fn a_key_that_is_not_well_formed_is_refused(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let anna = gateway.person("anna");
    let post = anna.post(&[("email_marketing", "give")]);
    let before = gateway.database().stored().await;
    for key in ["", "\"\"", "\"open", "two words", &"k".repeat(300)] {
        post_under(&gateway, key, &post).await.expect_problem(400, "idempotency_key_malformed");
    }
    let twice =
        gateway.request("POST", "/v1/consents").header("idempotency-key", "a").header("idempotency-key", "b");
    gateway.send(twice.json(&post)).await.expect_problem(400, "idempotency_key_malformed");
    assert_eq!(gateway.database().stored().await, before);
}

async fn rights_requests_are_repeated_too(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, officer, other) = (gateway.person("anna"), gateway.officer().await, gateway.officer().await);
    anna.gives(&["email_marketing"]).await;
    let erasure = json!({ "type": "erasure", "subject": { "email": anna.email } });
    let send = async |officer: &crate::harness::Officer<'_>, body: &Value| {
        let request = officer.client.request("POST", "/v1/rights-requests").await.header("idempotency-key", "k");
        gateway.send(request.json(body)).await
    };
    let first = send(&officer, &erasure).await.expect(201);
    let again = send(&officer, &erasure).await.expect(201);
    assert_eq!((again.header("idempotency-replayed"), again.json()), (Some("true"), first.json()));
    assert_eq!(again.header("location"), first.header("location"));
    let access = json!({ "type": "access", "subject": { "email": anna.email } });
    send(&officer, &access).await.expect_problem(422, "idempotency_key_reused");
    // Another client's keys are its own.
    let others = send(&other, &erasure).await.expect(201);
    assert_eq!((others.header("idempotency-replayed"), &others.json()["outcome"]), (None, &json!("not_held")));
}
