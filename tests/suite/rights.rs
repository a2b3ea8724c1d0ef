//! Rights requests: the copy of everything held, and the list of what was asked.

use serde_json::json;

use crate::harness::{Backend, Line, TestGateway};

on_both!(
    a_copy_has_everything_that_is_held,
    a_copy_names_the_sources_and_how_long_values_are_kept,
    a_copy_of_nobody_says_so,
    requests_are_listed_without_what_they_gave_out,
    a_request_must_name_one_person,
    two_identifiers_of_two_persons_are_refused,
);

async fn a_copy_has_everything_that_is_held(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let anna = gateway.person("anna");
    let mut post = anna.post(&[("email_marketing", "give"), ("profiling_segmentation", "refuse")]);
    post["fields"] = json!({ "first_name": "q7canary Anna", "birth_date": "1985-07-14" });
    anna.sends(&post).await.expect(201);
    anna.signals("1").await.expect(201);
    let purchases = json!([{ "on": "2026-02-11", "amount": "8317.23" }]);
    gateway.shop().await.sends(&[Line::of(&anna, json!({ "purchases": purchases, "city": "Berlin" }))]).await;
    let copy = gateway.officer().await.copy(&anna).await;
    assert_eq!(copy["processing"], true);
    let value = |name: &str| {
        let attributes = copy["attributes"].as_array().unwrap();
        attributes.iter().find(|attribute| attribute["name"] == name).unwrap()["value"].clone()
    };
    assert_eq!(value("email"), anna.email.as_str());
    assert_eq!(value("first_name"), "q7canary Anna");
    assert_eq!(value("birth_date"), "1985-07-14");
    assert_eq!(value("city"), "Berlin");
    assert_eq!(value("purchases"), purchases);
    assert_eq!(copy["attributes"].as_array().unwrap().len(), 5);
    let events: Vec<_> = copy["events"].as_array().unwrap().iter().map(|event| &event["event"]).collect();
    for kind in ["REGIME_DECLARED", "BIRTH_DECLARED", "GRANT_CONFIRMED", "REFUSED", "SIGNAL_GPC"] {
        assert!(events.contains(&&json!(kind)), "{kind} in {events:?}");
    }
    assert_eq!(copy["standing"]["regimes"], json!(["EU_GDPR:DE"]));
    assert!(copy["standing"]["signal_received_at"].is_string());
    let states: Vec<_> = copy["standing"]["purposes"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|purpose| purpose["state"] != "not_given")
        .map(|purpose| (purpose["purpose"].as_str().unwrap(), purpose["state"].as_str().unwrap()))
        .collect();
    assert_eq!(states, [("email_marketing", "given"), ("profiling_segmentation", "refused")]);
    assert_eq!(copy["identifiers"], json!(["email"]));
    assert!(copy["rights"].as_str().unwrap().contains("data protection authority"));
    assert!(
        copy["controllers"].as_array().unwrap().iter().any(|controller| controller["name"] == "Example Shop GmbH")
    );
}

async fn a_copy_names_the_sources_and_how_long_values_are_kept(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, officer) = (gateway.person("anna"), gateway.officer().await);
    let line = Line::of(&anna, json!({ "city": "Berlin" })).observed_at("2026-05-31T08:00:00Z");
    gateway.shop().await.sends(&[line]).await;
    anna.gives(&["email_marketing"]).await;
    let copy = officer.copy(&anna).await;
    assert_eq!(copy["sources"], json!(["checkout", "shop"]));
    let city =
        copy["attributes"].as_array().unwrap().iter().find(|attribute| attribute["name"] == "city").unwrap();
    assert_eq!(
        *city,
        json!({
            "name": "city", "title": "City", "category": "user.contact.address.city", "ccpa_category": "1798.140(v)(1)(B)",
            "value": "Berlin", "observed_at": "2026-05-31T08:00:00.000Z", "kept_until": "2029-05-31T08:00:00.000Z",
            "source": "shop",
        })
    );
}

async fn a_copy_of_nobody_says_so(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, officer) = (gateway.person("anna"), gateway.officer().await);
    let answer = officer.opens("access", json!({ "email": anna.email })).await.expect(201).json();
    assert_eq!((&answer["outcome"], &answer["document"]["processing"]), (&json!("not_held"), &json!(false)));
    assert_eq!(gateway.database().stored().await["subject"], 0);
    gateway.expect_sound_ledger().await;
}

async fn requests_are_listed_without_what_they_gave_out(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, officer) = (gateway.person("anna"), gateway.officer().await);
    anna.gives(&["email_marketing"]).await;
    let mut opened = Vec::new();
    for kind in ["access", "access", "erasure", "access", "access"] {
        gateway.later();
        let answer = officer.opens(kind, json!({ "email": anna.email })).await.expect(201);
        let id = answer.json()["id"].as_str().unwrap().to_owned();
        assert_eq!(answer.header("location"), Some(&*format!("/v1/rights-requests/{id}")));
        let shown = officer.client.get(&format!("/v1/rights-requests/{id}")).await.expect(200).json();
        assert_eq!(
            (&shown["type"], &shown["status"], &shown["document"]),
            (&json!(kind), &json!("completed"), &json!(null))
        );
        opened.push(id);
    }
    opened.reverse();
    let (mut listed, mut path) = (Vec::new(), Some("/v1/rights-requests?limit=2".to_owned()));
    while let Some(next) = path.take() {
        let answer = officer.client.get(&next).await.expect(200);
        path = answer.header("link").map(|link| link.split_once('>').unwrap().0[1..].to_owned());
        let page = answer.json()["requests"].as_array().unwrap().clone();
        assert!(page.len() <= 2 && page.iter().all(|request| request["document"].is_null()));
        listed.extend(page.iter().map(|request| request["id"].as_str().unwrap().to_owned()));
    }
    assert_eq!(listed, opened);
    let unknown = format!("/v1/rights-requests/{}", "0".repeat(32));
    officer.client.get(&unknown).await.expect_problem(404, "request_not_found");
    officer.client.get("/v1/rights-requests?after=nonsense").await.expect_problem(422, "cursor_invalid");
}

async fn a_request_must_name_one_person(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let officer = gateway.officer().await;
    let before = gateway.database().stored().await;
    for (subject, code) in [
        (json!({}), "missing_field"),
        (json!({ "email": "nonsense" }), "invalid_identifier"),
        (json!({ "email": "a@b.example", "id": "0".repeat(32) }), "invalid_field"),
        (json!({ "name": "Anna" }), "unknown_field"),
        (json!({ "id": "zz" }), "invalid_field"),
    ] {
        officer.opens("erasure", subject).await.expect_problem(422, code);
    }
    officer.opens("forget", json!({ "email": "a@b.example" })).await.expect_problem(422, "invalid_field");
    assert_eq!(gateway.database().stored().await, before);
}

async fn two_identifiers_of_two_persons_are_refused(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, berta, officer) = (gateway.person("anna"), gateway.person("berta"), gateway.officer().await);
    let shop = gateway.shop().await;
    let line = |subject| Line(json!({ "subject": subject, "attributes": { "city": "Berlin" } }));
    shop.sends(&[line(json!({ "email": anna.email, "customer_id": "q7canary-1" }))]).await;
    shop.sends(&[line(json!({ "email": berta.email, "customer_id": "q7canary-2" }))]).await;
    let mixed = json!({ "email": anna.email, "customer_id": "q7canary-2" });
    let result = shop.tries(&[line(mixed.clone())]).await.expect(200).json();
    assert_eq!(result["results"][0]["problem"]["code"], "identifier_conflict");
    officer.opens("erasure", mixed.clone()).await.expect_problem(409, "identifier_conflict");
    let mut post = anna.post(&[("email_marketing", "give")]);
    post["subject"] = mixed;
    anna.sends(&post).await.expect_problem(409, "identifier_conflict");
    assert!(officer.holds(&anna).await && officer.holds(&berta).await);
    // By the number alone she is found.
    let answer = officer.opens("erasure", json!({ "customer_id": "q7canary-2" })).await.expect(201).json();
    assert_eq!(answer["outcome"], "erased");
    assert!(officer.holds(&anna).await && !officer.holds(&berta).await);
}
