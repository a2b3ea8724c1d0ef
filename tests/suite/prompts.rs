//! Whether a form may ask again: the rows on peace after a no, and that the answer tells nobody anything new.

use kernel::consent::EventKind;
use serde_json::{Value, json};

use crate::harness::{Answer, Backend, Line, TestGateway};

on_both!(
    sta_09_after_a_refusal_a_form_waits_six_months,
    sta_31_california_waits_twelve_months_and_rounds_up,
    sta_33_a_transaction_of_the_persons_own_may_ask_within_the_wait,
    sta_35_a_minor_who_declined_is_asked_at_the_sooner_of_twelve_months_and_sixteen,
    cap_13_a_second_prompt_inside_the_gap_is_not_allowed,
    a_receipt_answers_for_its_own_post,
    the_bearer_of_a_receipt_learns_nothing_of_the_address,
    a_question_must_name_its_purposes_and_its_person,
    the_questions_put_to_a_person_go_with_the_person,
);

const MAIL: &str = "email_marketing";
const SHARE: &str = "share_third_party";
const TRIGGER: &str = "order-4711";

/// Asks as a form does, with the token of its own post.
async fn ask(gateway: &TestGateway, token: &Value, purposes: &[&str]) -> Answer {
    gateway.post("/v1/prompts/ask", &json!({ "token": token, "purposes": purposes })).await
}

async fn sta_09_after_a_refusal_a_form_waits_six_months(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, shop) = (gateway.person("anna"), gateway.shop().await);
    assert_eq!(shop.asks(&anna, MAIL, json!({})).await, json!({ "purpose": MAIL, "may_prompt": true }));
    anna.refuses(&[MAIL]).await;
    let answer = shop.asks(&anna, MAIL, json!({})).await;
    assert_eq!(answer, json!({ "purpose": MAIL, "may_prompt": false, "not_before": "2027-05-22T12:00:00.001Z" }));
    // +5 months, +7 months.
    assert!(!shop.may_ask(&anna, MAIL, "2027-04-22").await);
    assert!(shop.may_ask(&anna, MAIL, "2027-06-22").await);
}

async fn sta_31_california_waits_twelve_months_and_rounds_up(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let shop = gateway.shop().await;
    for (name, out, blocked, allowed) in [
        ("m01", "2026-11-22", "2027-11-21", "2027-11-23"),
        // A leap day has no anniversary in the next year: the first of March is.
        ("m02", "2028-02-29", "2029-02-28", "2029-03-02"),
    ] {
        let carla = gateway.person(name).of_region(Some("US-CA"));
        gateway.clock().set(format!("{out}T12:00:00Z").parse().unwrap());
        carla.asks("opt_out_sale_share").await;
        assert!(!shop.may_ask(&carla, SHARE, blocked).await, "{name}");
        assert!(shop.may_ask(&carla, SHARE, allowed).await, "{name}");
    }
}

async fn sta_33_a_transaction_of_the_persons_own_may_ask_within_the_wait(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (carla, shop) = (gateway.person("carla").of_region(Some("US-CA")), gateway.shop().await);
    carla.asks("opt_out_sale_share").await;
    assert!(!shop.may_ask(&carla, SHARE, "2026-12-22").await);
    let trigger = json!({ "trigger": { "type": "transaction_requires", "transaction": TRIGGER } });
    assert_eq!(shop.asks(&carla, SHARE, trigger).await["may_prompt"], true);
    // A transaction that is not named is none.
    let body = json!({
        "subject": { "email": carla.email }, "purposes": [SHARE], "trigger": { "type": "transaction_requires" },
    });
    shop.client.post("/v1/prompts/lookup", &body).await.expect_problem(422, "missing_field");
}

async fn sta_35_a_minor_who_declined_is_asked_at_the_sooner_of_twelve_months_and_sixteen(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let shop = gateway.shop().await;
    for (name, born, blocked, allowed) in [
        // 15 years and 3 months: 16 comes first.
        ("older", "2011-08-22", "2027-08-21", "2027-08-22"),
        // 14 years and 3 months: the twelve months come first.
        ("younger", "2012-08-22", "2027-11-22", "2027-11-23"),
    ] {
        gateway.clock().set("2026-11-22T12:00:00Z".parse().unwrap());
        let person = gateway.person(name).of_region(Some("US-CA"));
        let mut post = person.post(&[(SHARE, "refuse")]);
        post["birth"] = born.into();
        person.sends(&post).await.expect(201);
        assert!(!shop.may_ask(&person, SHARE, blocked).await, "{name}");
        assert!(shop.may_ask(&person, SHARE, allowed).await, "{name}");
    }
}

async fn cap_13_a_second_prompt_inside_the_gap_is_not_allowed(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, shop) = (gateway.person("anna"), gateway.shop().await);
    shop.sends(&[Line::of(&anna, json!({ "city": "Berlin" })).of_region("DE")]).await;
    let prompting = || json!({ "prompting": true });
    assert_eq!(shop.asks(&anna, MAIL, prompting()).await["may_prompt"], true);
    assert_eq!(shop.asks(&anna, MAIL, prompting()).await["may_prompt"], false);
    assert!(!shop.may_ask(&anna, MAIL, "2026-12-21").await);
    assert!(shop.may_ask(&anna, MAIL, "2026-12-22").await);
    // Another purpose has its own count.
    assert_eq!(shop.asks(&anna, "link_tracking", json!({})).await["may_prompt"], true);
    // Three questions without an answer are an answer.
    assert_eq!(shop.asks(&anna, MAIL, prompting()).await["may_prompt"], true);
    gateway.clock().set("2027-01-22T12:00:00Z".parse().unwrap());
    assert_eq!(shop.asks(&anna, MAIL, prompting()).await["may_prompt"], true);
    assert!(!shop.may_ask(&anna, MAIL, "2027-03-22").await);
    assert!(shop.may_ask(&anna, MAIL, "2027-07-22").await);
    gateway.expect_sound_ledger().await;
}

async fn a_receipt_answers_for_its_own_post(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let anna = gateway.person("anna");
    let refused = anna.refuses(&[MAIL]).await;
    gateway.later();
    let given = anna.gives(&["link_tracking"]).await;
    let may = async |receipt: &Value, purpose| {
        let answer = ask(&gateway, &receipt["receipt_token"], &[purpose]).await.expect(200).json();
        assert_eq!(answer["purposes"][0].as_object().unwrap().len(), 2, "{answer}");
        answer["purposes"][0]["may_prompt"].as_bool().unwrap()
    };
    assert!(!may(&refused, MAIL).await && may(&refused, "link_tracking").await);
    assert!(may(&given, MAIL).await && !may(&given, "link_tracking").await);
    gateway.clock().set("2027-06-22T12:00:00Z".parse().unwrap());
    assert!(may(&refused, MAIL).await);
    // A form that asks says so, and then leaves the person in peace.
    let asking = json!({ "token": given["receipt_token"], "purposes": [MAIL], "prompting": true });
    assert_eq!(
        gateway.post("/v1/prompts/ask", &asking).await.expect(200).json()["purposes"][0]["may_prompt"],
        true
    );
    assert!(!may(&given, MAIL).await && may(&refused, MAIL).await);
}

/// Whoever types another person's address gets a receipt of their own post. What it opens must be the same whether the
/// address is known, and whatever its owner chose.
async fn the_bearer_of_a_receipt_learns_nothing_of_the_address(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let purposes = [MAIL, "link_tracking", "profiling_segmentation", SHARE];
    let mut answers = Vec::new();
    for state in ["unknown", "given", "refused", "objected", "opted_out", "restricted", "prompted"] {
        // The region decides what needs asking at all: it must not tell whether it was known before.
        let victim = gateway.person(state).of_region(Some("US-CA"));
        match state {
            "given" => drop(victim.gives(&purposes).await),
            "refused" => drop(victim.refuses(&purposes).await),
            "objected" => drop(victim.asks("object_direct_marketing").await),
            "opted_out" => drop(victim.signals("1").await.expect(201)),
            "restricted" => {
                victim.refuses(&[MAIL]).await;
                gateway.officer().await.restricts(&victim, "unlawful").await.expect(201);
            }
            "prompted" => {
                let shop = gateway.shop().await;
                shop.sends(&[Line::of(&victim, json!({ "city": "Berlin" }))]).await;
                shop.asks(&victim, MAIL, json!({ "prompting": true })).await;
            }
            _ => {}
        }
        gateway.later();
        let own = victim.refuses(&["email_open_tracking"]).await;
        let shape: Vec<_> = own.as_object().unwrap().keys().cloned().collect();
        let answer = ask(&gateway, &own["receipt_token"], &purposes).await.expect(200).text();
        answers.push((shape, answer));
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:?}");
}

async fn a_question_must_name_its_purposes_and_its_person(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, shop) = (gateway.person("anna"), gateway.shop().await);
    let own = anna.refuses(&[MAIL]).await;
    let token = own["receipt_token"].as_str().unwrap();
    for (purposes, code) in
        [(json!([]), "empty"), (json!(["nothing_known"]), "unknown_purpose"), (json!([MAIL, MAIL]), "duplicate")]
    {
        let body = json!({ "token": token, "purposes": purposes });
        gateway.post("/v1/prompts/ask", &body).await.expect_problem(422, code);
    }
    // The withdrawal token only takes back, and an altered one is nobody's.
    let altered = format!("{}0", &token[..token.len() - 1]);
    let altered = if altered == token { format!("{}1", &token[..token.len() - 1]) } else { altered };
    for bad in [own["withdrawal_token"].as_str().unwrap(), "", "q1_", &altered] {
        ask(&gateway, &json!(bad), &[MAIL]).await.expect_problem(422, "invalid_token");
    }
    // By an address only a source may ask.
    let by_address = json!({ "subject": { "email": anna.email }, "purposes": [MAIL] });
    gateway.post("/v1/prompts/ask", &by_address).await.expect_problem(422, "unknown_field");
    gateway.post("/v1/prompts/lookup", &by_address).await.expect_problem(401, "unauthenticated");
    shop.client
        .post("/v1/prompts/lookup", &json!({ "subject": {}, "purposes": [MAIL] }))
        .await
        .expect_problem(422, "missing_field");
    let foreign = gateway.request("POST", "/v1/prompts/ask").header("origin", "https://evil.example");
    let body = json!({ "token": token, "purposes": [MAIL] });
    gateway.send(foreign.json(&body)).await.expect_problem(403, "origin_not_allowed");
}

async fn the_questions_put_to_a_person_go_with_the_person(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, shop, officer) = (gateway.person("anna"), gateway.shop().await, gateway.officer().await);
    let own = anna.refuses(&["link_tracking"]).await;
    shop.asks(&anna, MAIL, json!({ "prompting": true })).await;
    let copy = officer.copy(&anna).await;
    assert_eq!((&copy["prompts"][0]["purpose"], &copy["prompts"][0]["count"]), (&json!(MAIL), &json!(1)));
    assert!(!officer.events(&anna).await.contains(&format!("{:?}", EventKind::Expired)));
    officer.erases(&anna).await;
    assert_eq!(gateway.database().number("SELECT count(*) FROM prompt").await, 0);
    // Whoever is gone is asked as anybody is, and leaves no trace of it.
    let asking = json!({ "token": own["receipt_token"], "purposes": ["link_tracking"], "prompting": true });
    let answer = gateway.post("/v1/prompts/ask", &asking).await.expect(200).json();
    assert_eq!(answer["purposes"][0]["may_prompt"], true);
    assert_eq!(gateway.database().number("SELECT count(*) FROM prompt").await, 0);
}
