//! Incidents: the register, its clocks, and whom one concerns (rows PSE-14, REG-07, SEC-12 to SEC-15 of the law).

use kernel::authz::Scope;
use kernel::ledger::{IncidentKind, LedgerEntry, LedgerEvent};
use serde_json::{Value, json};

use crate::harness::{Answer, Backend, Client, Officer, Role, TestGateway};

on_both!(
    pse_14_whoever_asks_for_the_way_back_without_the_right_opens_an_incident,
    reg_07_an_incident_is_not_closed_without_its_reason,
    sec_12_the_clock_of_the_authority_runs_for_72_elapsed_hours,
    sec_14_exactly_those_are_told_of_whose_data_a_recipient_received,
    sec_15_residents_of_california_are_told_within_30_days,
    an_incident_is_put_on_record_once_and_is_sealed,
    what_is_no_incident_is_refused_and_nothing_is_stored,
);

fn report(more: Value) -> Value {
    let mut report = json!({
        "kind": "unauthorised_access", "aware_at": "2026-11-20T15:20:00Z",
        "facts": "q7canary: a laptop with an export was lost",
    });
    report.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    report
}

async fn opens(officer: &Officer<'_>, more: Value) -> Value {
    officer.client.post("/v1/incidents", &report(more)).await.expect(201).json()
}

async fn adds(officer: &Officer<'_>, incident: &Value, notes: Value) -> Answer {
    officer.client.post(&format!("/v1/incidents/{}/notes", incident["id"].as_str().unwrap()), &notes).await
}

async fn closes(officer: &Officer<'_>, incident: &Value, body: Value) -> Answer {
    officer.client.post(&format!("/v1/incidents/{}/close", incident["id"].as_str().unwrap()), &body).await
}

async fn register(officer: &Officer<'_>) -> Vec<Value> {
    officer.client.get("/v1/incidents").await.expect(200).json()["incidents"].as_array().unwrap().clone()
}

async fn events(gateway: &TestGateway) -> Vec<LedgerEvent> {
    let entries = gateway.database().bytes("SELECT entry FROM ledger_entry").await;
    entries.iter().map(|entry| LedgerEntry::from_bytes(entry).unwrap().event).collect()
}

async fn pse_14_whoever_asks_for_the_way_back_without_the_right_opens_an_incident(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, segmentation, officer) =
        (gateway.person("anna"), gateway.segmentation().await, gateway.officer().await);
    anna.gives(&["profiling_segmentation"]).await;
    let name = segmentation.knows().await.into_iter().next().unwrap();
    assert_eq!(register(&officer).await, Vec::<Value>::new());
    let of =
        json!({ "pseudonym": { "recipient": "segmentation", "purpose": "profiling_segmentation", "name": name } });
    // An officer may, and that is no incident.
    officer.client.post("/v1/subjects/lookup", &of).await.expect(200);
    assert_eq!(register(&officer).await, Vec::<Value>::new());
    let at = gateway.later();
    for _ in 0..3 {
        segmentation.client.post("/v1/subjects/lookup", &of).await.expect_problem(403, "insufficient_scope");
    }
    let found = register(&officer).await;
    assert_eq!(found.len(), 1, "one incident a caller: {found:?}");
    let due = at.plus_ms(72 * 3_600_000);
    assert_eq!(
        (&found[0]["kind"], &found[0]["status"], &found[0]["due"]["authority"]),
        (&json!("pseudonym_reversal"), &json!("open"), &json!(due.to_string()))
    );
    assert!(found[0]["facts"].as_str().unwrap().contains(segmentation.client.id.as_str()));
    let opened = events(&gateway).await.into_iter().filter(|event| {
        matches!(event, LedgerEvent::IncidentOpened { kind: IncidentKind::PseudonymReversal, .. })
    });
    assert_eq!(opened.count(), 1);
    // So does a member of staff in a role that may not.
    let mut mara = gateway.member("mara", kernel::staff::Role::Marketer).await;
    mara.browser.opens("/console").await.expect(200);
    let request = mara.browser.request("POST", "/v1/subjects/lookup").json(&of);
    let answer = gateway.send(request.header("x-csrf-token", &mara.browser.csrf)).await.expect(403);
    drop(answer);
    let found = register(&officer).await;
    assert!(found.iter().any(|one| one["facts"].as_str().unwrap().contains("staff:")), "{found:?}");
    // Another caller is another incident; one that was closed is news again.
    gateway.shop().await.client.post("/v1/subjects/lookup", &of).await.expect(403);
    let found = register(&officer).await;
    assert_eq!(found.len(), 3);
    let of_client = |one: &&Value| one["facts"].as_str().unwrap().contains(segmentation.client.id.as_str());
    let found: Vec<_> = found.iter().filter(of_client).cloned().collect();
    adds(&officer, &found[0], json!({ "effects": "None.", "measures": "Its operator was asked." }))
        .await
        .expect(200);
    closes(&officer, &found[0], json!({ "reason": "A fault of configuration." })).await.expect(200);
    segmentation.client.post("/v1/subjects/lookup", &of).await.expect(403);
    assert_eq!(register(&officer).await.len(), 4);
}

async fn reg_07_an_incident_is_not_closed_without_its_reason(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let officer = gateway.officer().await;
    let incident = opens(&officer, json!({})).await;
    for (body, place) in
        [(json!({}), "/reason"), (json!({ "reason": "" }), "/reason"), (json!({ "reason": "  " }), "/reason")]
    {
        let answer = closes(&officer, &incident, body).await.expect(422);
        assert!(answer.text().contains(place), "{answer:?}");
    }
    // Nor before it is documented.
    let reason = json!({ "reason": "q7canary: harm is unlikely" });
    let answer = closes(&officer, &incident, reason.clone()).await.expect(422);
    assert!(answer.text().contains("/effects") && answer.text().contains("/measures"), "{answer:?}");
    assert_eq!(register(&officer).await[0]["status"], "open");
    adds(
        &officer,
        &incident,
        json!({ "effects": "None known.", "measures": "Keys were changed.", "risk": "unlikely" }),
    )
    .await
    .expect(200);
    let closed = closes(&officer, &incident, reason.clone()).await.expect(200).json();
    assert_eq!((&closed["status"], &closed["closed"]["reason"]), (&json!("closed"), &reason["reason"]));
    assert_eq!(closed["due"]["authority"], Value::Null, "harm is unlikely");
    // What is closed stays as it is.
    adds(&officer, &incident, json!({ "effects": "Other." })).await.expect_problem(409, "incident_closed");
    closes(&officer, &incident, reason).await.expect_problem(409, "incident_closed");
    gateway.expect_sound_ledger().await;
}

async fn sec_12_the_clock_of_the_authority_runs_for_72_elapsed_hours(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let officer = gateway.officer().await;
    // Friday to Monday.
    let incident = opens(&officer, json!({ "aware_at": "2026-11-20T16:20:00+01:00" })).await;
    assert_eq!(
        (&incident["due"]["authority"], &incident["overdue"]),
        (&json!("2026-11-23T15:20:00.000Z"), &json!(false))
    );
    // Over Easter and the change of the clocks.
    gateway.clock().set("2027-03-29T17:00:00Z".parse().unwrap());
    let easter = opens(&officer, json!({ "aware_at": "2027-03-26T18:00:00+01:00" })).await;
    assert_eq!(
        (&easter["due"]["authority"], &easter["overdue"]),
        (&json!("2027-03-29T17:00:00.000Z"), &json!(false))
    );
    gateway.clock().advance_ms(1);
    let register = register(&officer).await;
    assert!(register.iter().all(|one| one["overdue"] == true), "{register:?}");
    // Told late, it needs the reasons.
    let told = json!({ "authority_told_at": "2027-03-29T17:00:00.001Z" });
    let answer = adds(&officer, &easter, told.clone()).await.expect(422);
    assert!(answer.text().contains("/late_reason"), "{answer:?}");
    let mut with_reason = told;
    with_reason["late_reason"] = json!("It was the day after Easter.");
    let told = adds(&officer, &easter, with_reason).await.expect(200).json();
    assert_eq!(
        (&told["authority_told"]["late_reason"], &told["overdue"]),
        (&json!("It was the day after Easter."), &json!(false))
    );
    // In time it needs none.
    let in_time = json!({ "authority_told_at": "2026-11-23T15:20:00Z" });
    adds(&officer, &incident, in_time).await.expect(200);
    // Who is not in Europe is not told of there.
    let elsewhere = opens(&officer, json!({ "touches_europe": false })).await;
    assert_eq!(elsewhere["due"]["authority"], Value::Null);
}

async fn sec_15_residents_of_california_are_told_within_30_days(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let officer = gateway.officer().await;
    let discovered = json!({ "aware_at": "2026-11-22T12:00:00Z", "discovered_at": "2026-11-22T12:00:00Z" });
    let incident = opens(&officer, discovered).await;
    assert_eq!(incident["due"]["california_residents"], Value::Null);
    let told = adds(&officer, &incident, json!({ "california_residents": 500 })).await.expect(200).json();
    assert_eq!(told["due"]["california_residents"], "2026-12-22");
    assert_eq!(told["due"]["california_attorney_general"], Value::Null);
    let told = adds(&officer, &incident, json!({ "california_residents": 501 })).await.expect(200).json();
    assert_eq!(told["due"]["california_attorney_general"], "2027-01-06");
    gateway.clock().set("2026-12-01T20:00:00Z".parse().unwrap());
    let persons =
        json!({ "persons_told_at": "2026-12-01T20:00:00Z", "authority_told_at": "2026-11-23T12:00:00Z" });
    let told = adds(&officer, &incident, persons).await.expect(200).json();
    assert_eq!(told["due"]["california_attorney_general"], "2026-12-16");
    assert_eq!(told["overdue"], false);
    gateway.clock().set("2026-12-17T12:00:00Z".parse().unwrap());
    assert_eq!(register(&officer).await[0]["overdue"], true);
}

async fn sec_14_exactly_those_are_told_of_whose_data_a_recipient_received(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (segmentation, mailer, officer) =
        (gateway.segmentation().await, gateway.mailer().await, gateway.officer().await);
    let [anna, berta, carla, dora] = ["anna", "berta", "carla", "dora"].map(|name| gateway.person(name));
    for person in [&anna, &berta] {
        person.gives(&["profiling_segmentation"]).await;
    }
    dora.gives(&["email_marketing"]).await;
    let from = gateway.later();
    segmentation.knows().await;
    mailer.knows().await;
    let until = gateway.later();
    // Who came later was not in it.
    carla.gives(&["profiling_segmentation"]).await;
    segmentation.knows().await;
    let end = gateway.later();
    let affected = async |recipient: &str, from: kernel::time::Timestamp, until: kernel::time::Timestamp| {
        let path = format!("/v1/disclosures?recipient={recipient}&from={from}&until={until}");
        let told = officer.client.get(&path).await.expect(200).json();
        let mut ids: Vec<_> = told["subjects"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["id"].as_str().unwrap().to_owned())
            .collect();
        ids.sort();
        (ids, told)
    };
    let ids = async |persons: &[&crate::harness::Person<'_>]| {
        let mut ids = Vec::new();
        for person in persons {
            ids.push(officer.finds(person).await);
        }
        ids.sort();
        ids
    };
    let (found, told) = affected("segmentation", from, until).await;
    assert_eq!(found, ids(&[&anna, &berta]).await);
    assert_eq!(
        (&told["persons"], &told["disclosures"], &told["encrypted"], &told["pseudonymous"]),
        (&json!(2), &json!(1), &json!(false), &json!(true))
    );
    assert!(told["subjects"][0]["attributes"].as_array().unwrap().contains(&json!("age_band")));
    assert_eq!(told["attributes"]["age_band"], 2);
    assert_eq!(affected("segmentation", from, end).await.0, ids(&[&anna, &berta, &carla]).await);
    assert_eq!(affected("segmentation", until, end).await.0.len(), 3);
    let (found, told) = affected("mailer", from, end).await;
    assert_eq!((found, &told["pseudonymous"]), (ids(&[&dora]).await, &json!(false)));
    assert_eq!(affected("adnetwork", from, end).await.0, Vec::<String>::new());
    // Who was erased is counted and cannot be told.
    officer.erases(&anna).await;
    let (found, told) = affected("segmentation", from, until).await;
    assert_eq!(
        (found, &told["persons"], &told["erased_on_this_page"]),
        (ids(&[&berta]).await, &json!(2), &json!(1))
    );
    // Page by page they are the same.
    let mut paged = Vec::new();
    let mut path = format!("/v1/disclosures?recipient=segmentation&from={from}&until={end}&limit=1");
    loop {
        let answer = officer.client.get(&path).await.expect(200);
        paged.extend(
            answer.json()["subjects"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()),
        );
        let Some(link) = answer.header("link") else { break };
        path = link.split_once('>').unwrap().0.trim_start_matches('<').to_owned();
    }
    paged.sort();
    assert_eq!(paged, ids(&[&berta, &carla]).await);
    // Each look is on record, and it is for officers.
    assert!(events(&gateway).await.iter().any(|event| matches!(event, LedgerEvent::RecipientAudited { .. })));
    segmentation.client.get(&path).await.expect_problem(403, "insufficient_scope");
    for (query, place) in [("recipient=nobody", "/recipient"), ("", "/recipient")] {
        let path = format!("/v1/disclosures?from={from}&until={end}&{query}");
        let answer = officer.client.get(path.trim_end_matches('&')).await.expect(422);
        assert!(answer.text().contains(place), "{answer:?}");
    }
    let path = format!("/v1/disclosures?recipient=mailer&from={end}&until={from}");
    officer.client.get(&path).await.expect_problem(422, "invalid_field");
}

async fn an_incident_is_put_on_record_once_and_is_sealed(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let officer = gateway.officer().await;
    let request = async |key: &str, body: &Value| {
        let request = officer.client.request("POST", "/v1/incidents").await.header("idempotency-key", key);
        gateway.send(request.json(body)).await
    };
    let first = request("\"one\"", &report(json!({}))).await.expect(201);
    let id = first.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(first.header("location"), Some(format!("/v1/incidents/{id}").as_str()));
    let again = request("\"one\"", &report(json!({}))).await.expect(201);
    assert_eq!(
        (again.json()["id"].as_str(), again.header("idempotency-replayed")),
        (Some(id.as_str()), Some("true"))
    );
    request("\"one\"", &report(json!({ "facts": "other" }))).await.expect_problem(422, "idempotency_key_reused");
    assert_eq!(register(&officer).await.len(), 1);
    officer.client.get(&format!("/v1/incidents/{id}")).await.expect(200);
    officer
        .client
        .get(&format!("/v1/incidents/{}", "0".repeat(32)))
        .await
        .expect_problem(404, "incident_not_found");
    // What was written about it is in no file and in no entry.
    crate::erasure::expect_no_trace(&gateway.database().everything().await, "q7canary");
    // Who may only see rights requests may see it and not write it; whoever may neither, neither.
    let reader = Client::registered(&gateway, Role { scopes: vec![Scope::RightsRead], ..Role::default() }).await;
    reader.get(&format!("/v1/incidents/{id}")).await.expect(200);
    reader.post("/v1/incidents", &report(json!({}))).await.expect_problem(403, "insufficient_scope");
    gateway.mailer().await.client.get("/v1/incidents").await.expect_problem(403, "insufficient_scope");
    gateway.expect_sound_ledger().await;
}

async fn what_is_no_incident_is_refused_and_nothing_is_stored(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let officer = gateway.officer().await;
    for (more, place) in [
        (json!({ "kind": "nothing" }), "/kind"),
        (json!({ "aware_at": "2026-11-23T12:00:00Z" }), "/aware_at"),
        (json!({ "discovered_at": "2027-01-01T00:00:00Z" }), "/discovered_at"),
        (json!({ "facts": "" }), "/facts"),
        (json!({ "facts": "x".repeat(4001) }), "/facts"),
        (json!({ "notes": { "recipient": "nobody" } }), "/recipient"),
        (json!({ "notes": { "authority_told_at": "2026-11-19T00:00:00Z" } }), "/authority_told_at"),
        (json!({ "notes": { "authority_told_at": "2026-11-23T00:00:00Z" } }), "/authority_told_at"),
        (json!({ "more": 1 }), ""),
    ] {
        let answer = officer.client.post("/v1/incidents", &report(more)).await.expect(422);
        assert!(answer.text().contains(place), "{answer:?}");
    }
    assert_eq!(register(&officer).await, Vec::<Value>::new());
}
