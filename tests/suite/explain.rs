//! Why a decision came out as it did, now and at any time in the past, and what a person's file shows.

use kernel::authz::Scope;
use kernel::clock::Clock as _;
use kernel::ledger::{LedgerEntry, LedgerEvent};
use kernel::time::Timestamp;
use serde_json::{Value, json};

use crate::harness::{Backend, Client, Officer, Person, Recipient, Role, TestGateway, policy_with};

on_both!(
    the_chain_leads_from_the_rule_to_the_event_to_the_result,
    cap_03_the_evidence_of_a_consent_can_be_shown,
    sta_02_past_audit_still_shows_the_permit_after_a_withdrawal,
    every_answer_that_was_given_is_explained_as_it_was_given,
    what_came_later_does_not_change_the_explanation,
    the_policy_of_then_decides,
    every_regime_says_its_own,
    what_would_change_it_does,
    sta_07_the_history_shows_the_expired_event_in_its_place,
    unknown_and_erased_persons_are_answered_alike,
    whoever_was_not_known_then_was_refused,
    every_look_is_recorded_before_it_is_answered,
    a_question_must_be_well_put,
    disclosures_are_listed_newest_first_a_page_at_a_time,
    only_who_may_see_requests_may_see_a_file,
);

const MAIL: &str = "email_marketing";

async fn the_chain_leads_from_the_rule_to_the_event_to_the_result(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, officer) = (gateway.person("anna"), gateway.officer().await);
    let receipt = anna.gives(&[MAIL]).await;
    let explained = officer.explains(&anna, "purpose=email_marketing&attribute=email&recipient=mailer").await;
    assert_eq!((&explained["result"], &explained["reason"]), (&json!("permit"), &Value::Null), "{explained}");
    assert_eq!(explained["permitted"], json!(["email"]));
    assert_eq!(explained["policy"], gateway.gateway().policy().version().to_string());
    assert_eq!(explained["rule"]["validity"], "P24M");
    assert_eq!(explained["contract"]["controller"], "example_shop");
    let finding = &explained["regimes"][0];
    assert_eq!(
        (&finding["regime"], &finding["mode"], &finding["basis"], &finding["result"]),
        (&json!("EU_GDPR:DE"), &json!("opt_in_or_soft"), &json!("consent"), &json!("permit"))
    );
    let event = &explained["event"];
    assert_eq!(event["sequence"], finding["event"]);
    assert_eq!((&event["event"], &event["receipt"]), (&json!("GRANT_CONFIRMED"), &receipt["receipt"]));
    assert_eq!(event["received_at"], receipt["recorded_at"]);
    assert_eq!(event["notice"]["digest"], gateway.notice("checkout", "en"));
    assert_eq!(
        (&event["purpose_version"], &event["assurance"], &event["explicit"], &event["controllers"]),
        (&json!(1), &json!("form"), &json!(false), &json!(["example_shop", "example_ads"]))
    );
    assert_eq!(explained["may_prompt"]["reason"], "already_given");
    // An attribute that the policy never gives to this recipient.
    let refused = officer.explains(&anna, "purpose=email_marketing&attribute=age_band").await;
    assert_eq!((&refused["result"], &refused["reason"]), (&json!("refuse"), &json!("minimisation")));
}

/// The table of evidence (law 18.1), element by element.
async fn cap_03_the_evidence_of_a_consent_can_be_shown(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, officer) = (gateway.person("anna"), gateway.officer().await);
    let mut post = anna.post(&[(MAIL, "give"), ("profiling_segmentation", "refuse")]);
    post["evidence"]["page"] = "https://www.example.com/checkout".into();
    post["evidence"]["options"] = json!(["Yes", "No"]);
    post["evidence"]["steps_accept"] = 1.into();
    post["evidence"]["steps_decline"] = 1.into();
    let receipt = anna.sends(&post).await.expect(201).json();
    let file = officer.file(&anna, "consents").await.expect(200).json();
    let events = file["events"].as_array().unwrap();
    let given = events.iter().find(|event| event["event"] == "GRANT_CONFIRMED").unwrap();
    // Who, and how sure that is.
    assert_eq!((&file["subject"], &given["assurance"]), (&json!(officer.finds(&anna).await), &json!("form")));
    // When, and in which order against withdrawals.
    assert_eq!((&given["captured_at"], &given["received_at"]), (&post["captured_at"], &receipt["recorded_at"]));
    assert!(given["sequence"].is_number());
    // How.
    assert_eq!(given["source"], "checkout");
    let evidence = &given["evidence"];
    assert_eq!(
        (&evidence["action"], &evidence["preselected"], &evidence["options"], &evidence["steps_decline"]),
        (&json!("checkbox_ticked"), &json!(false), &json!(["Yes", "No"]), &json!(1))
    );
    assert_eq!(evidence["page"], "https://www.example.com/checkout");
    // What the person was told: the exact text, by its digest.
    let digest = given["notice"]["digest"].as_str().unwrap();
    let notice = gateway.get(&format!("/v1/notices/{digest}")).await.expect(200).json();
    assert_eq!(given["notice"]["shown"]["text"], notice["text"]);
    assert_eq!(given["controllers"], json!(["example_shop", "example_ads"]));
    // What the person chose: one record a purpose.
    let refused = events.iter().find(|event| event["event"] == "REFUSED").unwrap();
    assert_eq!((&given["purpose"], &refused["purpose"]), (&json!(MAIL), &json!("profiling_segmentation")));
    // Whether it still holds.
    let states = file["standing"]["purposes"].as_array().unwrap();
    assert_eq!(states.iter().find(|state| state["purpose"] == MAIL).unwrap()["state"], "given");
    // That nobody changed it: the ledger names the receipt.
    gateway.expect_sound_ledger().await;
    let recorded = entries(&gateway).await.into_iter().any(|entry| {
        matches!(entry, LedgerEvent::ConsentCaptured { receipt: recorded, .. } if receipt["receipt"] == recorded.to_string())
    });
    assert!(recorded);
}

async fn entries(gateway: &TestGateway) -> Vec<LedgerEvent> {
    let stored = gateway.database().bytes("SELECT entry FROM ledger_entry ORDER BY sequence, id").await;
    stored.iter().map(|bytes| LedgerEntry::from_bytes(bytes).unwrap().event).collect()
}

async fn sta_02_past_audit_still_shows_the_permit_after_a_withdrawal(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, officer, mailer) = (gateway.person("anna"), gateway.officer().await, gateway.mailer().await);
    anna.gives(&[MAIL]).await;
    let then = gateway.later();
    assert!(mailer.may_know(&anna).await);
    anna.withdraws(&[MAIL]).await;
    assert!(!mailer.may_know(&anna).await);
    let now = officer.explains(&anna, "purpose=email_marketing").await;
    assert_eq!((&now["result"], &now["reason"]), (&json!("refuse"), &json!("withdrawn")));
    assert_eq!(now["event"]["event"], "WITHDRAWN");
    let past = officer.explains(&anna, &format!("purpose=email_marketing&as_of={then}")).await;
    assert_eq!((&past["result"], &past["as_of"]), (&json!("permit"), &json!(then.to_string())));
    let file = officer.file(&anna, "disclosures").await.expect(200).json();
    let disclosures = file["disclosures"].as_array().unwrap();
    assert_eq!((disclosures.len(), &disclosures[0]["at"]), (1, &json!(then.to_string())));
}

/// Asks, and keeps what was answered with its time.
async fn answer(gateway: &TestGateway, recipient: &Recipient<'_>, person: &Person<'_>) -> (Timestamp, bool) {
    let at = gateway.later();
    (at, recipient.may_know(person).await)
}

async fn expect_explained(officer: &Officer<'_>, person: &Person<'_>, answers: &[(Timestamp, bool)]) {
    for (at, permitted) in answers {
        let explained =
            officer.explains(person, &format!("purpose=email_marketing&recipient=mailer&as_of={at}")).await;
        let result = if *permitted { "permit" } else { "refuse" };
        assert_eq!(explained["result"], result, "{at}: {explained}");
    }
}

async fn every_answer_that_was_given_is_explained_as_it_was_given(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, officer, mailer) = (gateway.person("anna"), gateway.officer().await, gateway.mailer().await);
    let mut answers = Vec::new();
    anna.refuses(&["profiling_segmentation"]).await;
    answers.push(answer(&gateway, &mailer, &anna).await);
    anna.gives(&[MAIL]).await;
    answers.push(answer(&gateway, &mailer, &anna).await);
    anna.withdraws(&[MAIL]).await;
    answers.push(answer(&gateway, &mailer, &anna).await);
    anna.gives(&[MAIL]).await;
    answers.push(answer(&gateway, &mailer, &anna).await);
    anna.asks("object_direct_marketing").await;
    answers.push(answer(&gateway, &mailer, &anna).await);
    anna.gives(&[MAIL]).await;
    answers.push(answer(&gateway, &mailer, &anna).await);
    officer.restricts(&anna, "accuracy_contested").await.expect(201);
    answers.push(answer(&gateway, &mailer, &anna).await);
    officer.lifts(&anna).await.expect(201);
    answers.push(answer(&gateway, &mailer, &anna).await);
    gateway.clock().advance_ms(25 * 31 * 86_400_000);
    answers.push(answer(&gateway, &mailer, &anna).await);
    let given: Vec<_> = answers.iter().map(|(_, permitted)| *permitted).collect();
    assert_eq!(given, [false, true, false, true, false, true, false, true, false]);
    expect_explained(&officer, &anna, &answers).await;
}

async fn what_came_later_does_not_change_the_explanation(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, officer) = (gateway.person("anna"), gateway.officer().await);
    anna.gives(&[MAIL]).await;
    let then = gateway.later();
    gateway.later();
    let query = format!("purpose=email_marketing&as_of={then}");
    let mut before = officer.explains(&anna, &query).await;
    anna.withdraws(&[MAIL]).await;
    anna.asks("object_direct_marketing").await;
    anna.signals("1").await.expect(201);
    let mut after = officer.explains(&anna, &query).await;
    for explained in [&mut before, &mut after] {
        explained.as_object_mut().unwrap().remove("generated_at").unwrap();
    }
    assert_eq!(before, after);
}

async fn the_policy_of_then_decides(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let first = gateway.gateway().policy().version().to_string();
    gateway.person("anna").gives(&[MAIL]).await;
    let permitted = gateway.later();
    gateway.later();
    let casl = "CA_CASL = \"opt_in_or_implied\"\nUNKNOWN = ";
    let strict = policy_with(&[
        ("purposes.toml", "EU_GDPR = \"opt_in_or_soft\"", "EU_GDPR = \"forbidden\""),
        // What is not known is as strict as the strictest.
        ("purposes.toml", &format!("{casl}\"opt_in\""), &format!("{casl}\"forbidden\"")),
    ]);
    let gateway = gateway.under(strict).await;
    let second = gateway.gateway().policy().version().to_string();
    let forbidden = gateway.later();
    gateway.later();
    let gateway = gateway.under(consentry::assets::shipped_policy()).await;
    let (anna, officer) = (gateway.person("anna"), gateway.officer().await);
    let again = gateway.later();
    for (at, result, reason, policy) in [
        (permitted, "permit", Value::Null, &first),
        (forbidden, "refuse", json!("forbidden"), &second),
        (again, "permit", Value::Null, &first),
    ] {
        let explained = officer.explains(&anna, &format!("purpose=email_marketing&as_of={at}")).await;
        assert_eq!((&explained["result"], &explained["reason"]), (&json!(result), &reason), "{explained}");
        assert_eq!(explained["policy"], **policy);
    }
}

async fn every_regime_says_its_own(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let officer = gateway.officer().await;
    let here = gateway.person("anna");
    here.gives(&["share_third_party"]).await;
    let there = gateway.person("anna").of_region(Some("US-CA"));
    there.refuses(&["link_tracking"]).await;
    let both = officer.explains(&here, "purpose=share_third_party").await;
    let regimes = |explained: &Value| -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let findings = explained["regimes"].as_array().unwrap();
        findings.iter().map(|finding| (text(&finding["regime"]), text(&finding["result"]))).collect()
    };
    let said = |text: &[(&str, &str)]| -> Vec<(String, String)> {
        text.iter().map(|(regime, result)| ((*regime).to_owned(), (*result).to_owned())).collect()
    };
    assert_eq!(regimes(&both), said(&[("EU_GDPR:DE", "permit"), ("US_CA", "permit")]));
    here.withdraws(&["email_marketing"]).await;
    // Under California's law an email needs no consent until somebody opts out; under Germany's it does.
    let mail = officer.explains(&here, "purpose=email_open_tracking").await;
    assert_eq!(regimes(&mail), said(&[("EU_GDPR:DE", "refuse"), ("US_CA", "permit")]));
    assert_eq!((&mail["result"], &mail["reason"]), (&json!("refuse"), &json!("no_consent")));
}

async fn what_would_change_it_does(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, officer) = (gateway.person("anna"), gateway.officer().await);
    anna.refuses(&["link_tracking"]).await;
    let ways = async || {
        let explained = officer.explains(&anna, "purpose=email_marketing").await;
        let ways = explained["what_would_change_it"].as_array().unwrap().clone();
        let steps = ways.iter().map(|way| way["steps"].clone()).collect::<Vec<_>>();
        (explained["result"].clone(), steps, explained["changes_at"].clone())
    };
    assert_eq!(ways().await, (json!("refuse"), vec![json!(["give"])], Value::Null));
    anna.gives(&[MAIL]).await;
    let (result, steps, ends) = ways().await;
    assert_eq!((result, ends), (json!("permit"), json!("2028-11-22T12:00:00.002Z")));
    assert_eq!(steps, [json!(["withdraw"]), json!(["object"]), json!(["restrict"])]);
    officer.restricts(&anna, "unlawful").await.expect(201);
    anna.withdraws(&[MAIL]).await;
    let (result, steps, _) = ways().await;
    assert_eq!((result, steps), (json!("refuse"), vec![json!(["give", "lift_restriction"])]));
}

async fn sta_07_the_history_shows_the_expired_event_in_its_place(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, officer) = (gateway.person("anna"), gateway.officer().await);
    gateway.clock().set("2026-11-30T09:00:00Z".parse().unwrap());
    anna.gives(&["share_third_party"]).await;
    let history = async || -> Vec<(String, String)> {
        let file = officer.file(&anna, "consents").await.expect(200).json();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let events = file["events"].as_array().unwrap().clone();
        events
            .iter()
            .filter(|event| event["purpose"] == "share_third_party")
            .map(|event| (text(&event["event"]), text(&event["received_at"])))
            .collect()
    };
    gateway.clock().set("2027-11-30T09:00:00Z".parse().unwrap());
    assert_eq!(history().await.len(), 1);
    gateway.clock().set("2027-11-30T09:00:00.001Z".parse().unwrap());
    let ended = ("EXPIRED".to_owned(), "2027-11-30T09:00:00.001Z".to_owned());
    assert_eq!(history().await.last(), Some(&ended));
    // It stays in its place when the person consents again, and a renewal before the end is no end.
    gateway.clock().set("2028-01-10T09:00:00Z".parse().unwrap());
    anna.gives(&["share_third_party"]).await;
    gateway.clock().set("2028-06-10T09:00:00Z".parse().unwrap());
    anna.gives(&["share_third_party"]).await;
    gateway.clock().set("2029-03-01T09:00:00Z".parse().unwrap());
    let kinds: Vec<_> = history().await.into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, ["GRANT_CONFIRMED", "EXPIRED", "GRANT_CONFIRMED", "GRANT_CONFIRMED"]);
    assert_eq!(history().await[1], ended);
}

async fn unknown_and_erased_persons_are_answered_alike(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, officer) = (gateway.person("anna"), gateway.officer().await);
    anna.gives(&[MAIL]).await;
    let id = officer.finds(&anna).await;
    officer.erases(&anna).await;
    gateway.later();
    let without_request = |answer: crate::harness::Answer| {
        let id = answer.header("x-request-id").unwrap().to_owned();
        answer.text().replace(&id, "")
    };
    for part in [
        "explain?purpose=email_marketing",
        "explain?purpose=email_marketing&as_of=2026-11-22T12:00:00Z",
        "consents",
        "disclosures",
    ] {
        let ask = async |id: &str| {
            let answer = officer.client.get(&format!("/v1/subjects/{id}/{part}")).await;
            without_request(answer.expect_problem(404, "subject_not_found"))
        };
        assert_eq!(ask(&id).await, ask(&"0".repeat(32)).await);
        ask("nonsense").await;
    }
    let lookup = async |email: &str| {
        let body = json!({ "subject": { "email": email } });
        without_request(
            officer.client.post("/v1/subjects/lookup", &body).await.expect_problem(404, "subject_not_found"),
        )
    };
    assert_eq!(lookup(&anna.email).await, lookup("nobody.q7canary@example.org").await);
}

async fn whoever_was_not_known_then_was_refused(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, officer) = (gateway.person("anna"), gateway.officer().await);
    let before = gateway.later();
    gateway.later();
    anna.gives(&[MAIL]).await;
    for at in [before.to_string(), "1999-01-01T00:00:00Z".to_owned()] {
        let explained = officer.explains(&anna, &format!("purpose=email_marketing&as_of={at}")).await;
        assert_eq!((&explained["result"], &explained["reason"]), (&json!("refuse"), &json!("not_found")));
    }
}

async fn every_look_is_recorded_before_it_is_answered(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, officer) = (gateway.person("anna"), gateway.officer().await);
    anna.gives(&[MAIL]).await;
    for part in ["explain?purpose=email_marketing", "consents", "disclosures"] {
        officer.file(&anna, part).await.expect(200);
    }
    let looks: Vec<_> = entries(&gateway)
        .await
        .into_iter()
        .filter_map(|event| match event {
            LedgerEvent::SubjectInspected { client, what, .. } => {
                assert_eq!(client.as_ref(), Some(&officer.client.id));
                Some(serde_json::to_value(what).unwrap())
            }
            _ => None,
        })
        .collect();
    assert_eq!(json!(looks), json!(["lookup", "explanation", "lookup", "consents", "lookup", "disclosures"]));
    gateway.expect_sound_ledger().await;
}

async fn a_question_must_be_well_put(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, officer) = (gateway.person("anna"), gateway.officer().await);
    anna.gives(&[MAIL]).await;
    for (query, code) in [
        ("", "missing_field"),
        ("?purpose=", "empty"),
        ("?purpose=A%20b", "invalid_field"),
        ("?purpose=email_marketing&as_of=yesterday", "invalid_field"),
        ("?purpose=email_marketing&as_of=2031-01-01T00:00:00Z", "invalid_field"),
        ("?purpose=email_marketing&purpose=link_tracking", "duplicate"),
        ("?purpose=email_marketing&email=q7canary", "unknown_field"),
        ("?purpose=nothing_known", "missing_field"),
    ] {
        officer.file(&anna, &format!("explain{query}")).await.expect_problem(422, code);
    }
    let unknown = officer.explains(&anna, "purpose=nothing_known&recipient=mailer").await;
    assert_eq!((&unknown["result"], &unknown["reason"]), (&json!("refuse"), &json!("unknown_purpose")));
    let foreign = officer.explains(&anna, "purpose=email_marketing&recipient=adnetwork").await;
    assert_eq!(foreign["result"], "refuse");
    officer.file(&anna, "disclosures?after=nonsense").await.expect_problem(422, "cursor_invalid");
}

async fn disclosures_are_listed_newest_first_a_page_at_a_time(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, officer, mailer) = (gateway.person("anna"), gateway.officer().await, gateway.mailer().await);
    anna.gives(&[MAIL]).await;
    let mut times = Vec::new();
    for _ in 0..5 {
        times.push(gateway.later().to_string());
        assert!(mailer.may_know(&anna).await);
    }
    times.reverse();
    let id = officer.finds(&anna).await;
    let (mut listed, mut path) = (Vec::new(), Some(format!("/v1/subjects/{id}/disclosures?limit=2")));
    while let Some(next) = path.take() {
        let answer = officer.client.get(&next).await.expect(200);
        path = answer.header("link").map(|link| link.split_once('>').unwrap().0[1..].to_owned());
        for disclosure in answer.json()["disclosures"].as_array().unwrap() {
            assert_eq!((&disclosure["recipient"], &disclosure["purpose"]), (&json!("mailer"), &json!(MAIL)));
            listed.push(disclosure["at"].as_str().unwrap().to_owned());
        }
    }
    assert_eq!(listed, times);
}

async fn only_who_may_see_requests_may_see_a_file(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, officer) = (gateway.person("anna"), gateway.officer().await);
    anna.gives(&[MAIL]).await;
    let id = officer.finds(&anna).await;
    let scopes = Scope::ALL.into_iter().filter(|scope| *scope != Scope::RightsRead).collect();
    let role = Role { recipient: Some("mailer"), source: Some("shop"), scopes, ..Role::default() };
    let other = Client::registered(&gateway, role).await;
    for part in ["explain?purpose=email_marketing", "consents", "disclosures"] {
        other.get(&format!("/v1/subjects/{id}/{part}")).await.expect_problem(403, "insufficient_scope");
    }
    let body = json!({ "subject": { "email": anna.email } });
    other.post("/v1/subjects/lookup", &body).await.expect_problem(403, "insufficient_scope");
    assert!(gateway.clock().now() > "2026-11-22T12:00:00Z".parse().unwrap());
}
