//! Restriction of the processing (GDPR Art. 18): an officer's way to stop everything without losing anything.

use serde_json::json;

use crate::harness::{Backend, TestGateway};

on_both!(
    res_01_a_restriction_has_one_of_four_grounds,
    res_02_while_restricted_nothing_is_served_and_the_person_gets_a_copy,
    res_04_nobody_is_freed_without_being_told_before,
    res_05_who_received_data_is_told_and_nobody_else,
    res_06_consents_given_and_taken_meanwhile_count_afterwards,
    obj_02_while_an_objection_is_weighed_nothing_is_served,
    restricting_nobody_is_on_record,
);

async fn res_01_a_restriction_has_one_of_four_grounds(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, officer, mailer) = (gateway.person("anna"), gateway.officer().await, gateway.mailer().await);
    anna.gives(&["email_marketing"]).await;
    let before = gateway.database().stored().await;
    let subject = json!({ "email": anna.email });
    officer.opens("restriction", subject.clone()).await.expect_problem(422, "missing_field");
    officer.restricts(&anna, "because").await.expect_problem(422, "invalid_field");
    for (kind, member, value) in [
        ("access", "ground", "unlawful"),
        ("restriction_lift", "ground", "unlawful"),
        ("erasure", "informed_at", "2026-11-01T00:00:00Z"),
    ] {
        let ask = json!({ "type": kind, "subject": subject, member: value });
        officer.client.post("/v1/rights-requests", &ask).await.expect_problem(422, "invalid_field");
    }
    assert_eq!(gateway.database().stored().await, before);
    assert!(mailer.may_know(&anna).await);
    for ground in ["accuracy_contested", "unlawful", "legal_claims", "objection_pending"] {
        let answer = officer.restricts(&anna, ground).await.expect(201).json();
        assert_eq!((&answer["outcome"], &answer["ground"]), (&json!("restricted"), &json!(ground)));
        let shown = officer.client.get(&format!("/v1/rights-requests/{}", answer["id"].as_str().unwrap())).await;
        assert_eq!(shown.expect(200).json(), answer);
        assert!(!mailer.may_know(&anna).await, "{ground}");
        assert_eq!(officer.copy(&anna).await["standing"]["restricted_at"], answer["received_at"]);
        officer.lifts(&anna).await.expect(201);
        assert!(mailer.may_know(&anna).await, "{ground}");
        assert_eq!(officer.copy(&anna).await["standing"]["restricted_at"], json!(null));
    }
    gateway.expect_sound_ledger().await;
}

async fn res_02_while_restricted_nothing_is_served_and_the_person_gets_a_copy(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, officer) = (gateway.person("anna"), gateway.officer().await);
    let (segmentation, mailer) = (gateway.segmentation().await, gateway.mailer().await);
    anna.gives(&["email_marketing", "profiling_segmentation"]).await;
    let name = segmentation.knows().await.into_iter().next().unwrap();
    officer.restricts(&anna, "legal_claims").await.expect(201);
    assert!(segmentation.knows().await.is_empty() && mailer.knows().await.is_empty());
    assert!(segmentation.looks_up_names(&[&name]).await.profiles().is_empty());
    // A new consent does not free her.
    anna.gives(&["email_marketing"]).await;
    assert!(!mailer.may_know(&anna).await);
    let copy = officer.copy(&anna).await;
    assert_eq!(copy["attributes"][0]["value"], anna.email);
    let events: Vec<_> = copy["events"].as_array().unwrap().iter().map(|event| &event["event"]).collect();
    assert!(events.contains(&&json!("RESTRICTED")), "{events:?}");
}

async fn res_04_nobody_is_freed_without_being_told_before(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, officer, mailer) = (gateway.person("anna"), gateway.officer().await, gateway.mailer().await);
    anna.gives(&["email_marketing"]).await;
    let subject = json!({ "email": anna.email });
    officer.lifts(&anna).await.expect_problem(409, "not_restricted");
    let long_ago = gateway.later().to_string();
    officer.restricts(&anna, "unlawful").await.expect(201);
    let before = gateway.database().stored().await;
    officer.opens("restriction_lift", subject.clone()).await.expect_problem(409, "person_not_informed");
    let lift = async |informed_at: &str| {
        let ask = json!({ "type": "restriction_lift", "subject": subject, "informed_at": informed_at });
        officer.client.post("/v1/rights-requests", &ask).await
    };
    // Told at this very moment, told tomorrow, told before there was anything to tell.
    let now = gateway.later();
    lift(&now.to_string()).await.expect_problem(409, "person_not_informed");
    lift(&now.plus_ms(86_400_000).to_string()).await.expect_problem(409, "person_not_informed");
    lift(&long_ago).await.expect_problem(409, "person_not_informed");
    assert_eq!(gateway.database().stored().await, before);
    assert!(!mailer.may_know(&anna).await);
    gateway.later();
    lift(&now.to_string()).await.expect(201);
    assert!(mailer.may_know(&anna).await);
    officer.lifts(&anna).await.expect_problem(409, "not_restricted");
}

async fn res_05_who_received_data_is_told_and_nobody_else(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, berta, officer) = (gateway.person("anna"), gateway.person("berta"), gateway.officer().await);
    for person in [&anna, &berta] {
        person.gives(&["email_marketing", "profiling_segmentation", "share_third_party"]).await;
    }
    // The engine got both, the sender only Berta, the network nobody.
    assert_eq!(gateway.segmentation().await.knows().await.len(), 2);
    assert!(gateway.mailer().await.may_know(&berta).await);
    officer.restricts(&anna, "accuracy_contested").await.expect(201);
    let told = async || {
        let notices = officer.copy(&anna).await["withdrawal_notices"].as_array().unwrap().clone();
        let part = |notice: &serde_json::Value, key: &str| notice[key].as_str().unwrap().to_owned();
        notices.iter().map(|notice| (part(notice, "purpose"), part(notice, "name"))).collect::<Vec<_>>()
    };
    let engine = ("profiling_segmentation".to_owned(), "segmentation".to_owned());
    assert_eq!(told().await, std::slice::from_ref(&engine));
    assert!(officer.copy(&berta).await["withdrawal_notices"].as_array().unwrap().is_empty());
    // They are told of the end as well.
    officer.lifts(&anna).await.expect(201);
    assert_eq!(told().await, [engine.clone(), engine]);
}

async fn res_06_consents_given_and_taken_meanwhile_count_afterwards(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, officer) = (gateway.person("anna"), gateway.officer().await);
    let (segmentation, mailer) = (gateway.segmentation().await, gateway.mailer().await);
    anna.gives(&["email_marketing"]).await;
    officer.restricts(&anna, "accuracy_contested").await.expect(201);
    anna.withdraws(&["email_marketing"]).await;
    anna.gives(&["profiling_segmentation"]).await;
    assert!(segmentation.knows().await.is_empty() && !mailer.may_know(&anna).await);
    officer.lifts(&anna).await.expect(201);
    assert!(segmentation.knows().await.len() == 1 && !mailer.may_know(&anna).await);
}

async fn obj_02_while_an_objection_is_weighed_nothing_is_served(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, officer, risk_check) =
        (gateway.person("anna"), gateway.officer().await, gateway.risk_check().await);
    anna.gives(&["email_marketing"]).await;
    // Fraud prevention rests on a legitimate interest: nobody consented to it, and one may object to it.
    assert_eq!(risk_check.knows().await.len(), 1);
    officer.restricts(&anna, "objection_pending").await.expect(201);
    assert_eq!(risk_check.pulls_on_record().await, (0, [("restricted", 1)].into()));
    officer.lifts(&anna).await.expect(201);
    assert_eq!(risk_check.knows().await.len(), 1);
}

async fn restricting_nobody_is_on_record(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, officer) = (gateway.person("anna"), gateway.officer().await);
    let entries = gateway.expect_sound_ledger().await.entries;
    for kind in ["restriction", "restriction_lift", "erasure"] {
        let answer = match kind {
            "restriction" => officer.restricts(&anna, "unlawful").await,
            "restriction_lift" => officer.lifts(&anna).await,
            _ => officer.opens(kind, json!({ "email": anna.email })).await,
        };
        assert_eq!(answer.expect(201).json()["outcome"], "not_held", "{kind}");
    }
    assert_eq!(gateway.database().stored().await["subject"], 0);
    // Each was opened and each was completed.
    assert_eq!(gateway.expect_sound_ledger().await.entries, entries + 6);
}
