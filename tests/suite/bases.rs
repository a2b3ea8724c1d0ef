//! What a source reports besides records: sales, inquiries, a parent's word, a no; and that no basis is swapped.

use kernel::policy::document::PolicySources;
use serde_json::{Value, json};

use crate::harness::{Answer, Backend, Line, Person, Source, TestGateway, policy_with};

on_both!(
    cap_22_a_source_does_not_set_a_legitimate_interest,
    sta_10_a_soft_opt_in_needs_its_sale_and_a_way_to_object_at_collection,
    sta_10_a_partners_product_family_is_none_of_ours,
    sta_17_an_implied_consent_lapses_with_its_last_day,
    sta_15_a_parent_decides_until_the_child_is_of_age,
    sta_11_a_company_is_written_to_where_its_state_allows,
    sta_18_silence_ends_a_colorado_consent_to_sensitive_use,
    sta_47_a_revocation_counts_at_once,
    adm_06_an_opt_out_of_automated_decisions_is_taken,
    obj_02_an_objection_to_one_purpose_is_taken_and_restricts_it,
    a_source_may_always_report_a_no,
    a_report_that_makes_no_sense_is_turned_away,
);

/// What a source reports of a person.
fn report(person: &Person<'_>, event: &str, more: Value) -> Value {
    let mut body = json!({ "subject": { "email": person.email }, "statement": event });
    for (key, value) in more.as_object().unwrap() {
        body[key] = value.clone();
    }
    body
}

async fn reports(shop: &Source<'_>, person: &Person<'_>, event: &str, more: Value) -> Answer {
    person.at.later();
    shop.client.post("/v1/statements", &report(person, event, more)).await
}

/// A sale with everything that a soft opt-in needs.
fn sale(gateway: &TestGateway) -> Value {
    json!({
        "purpose": "email_marketing", "region": "DE", "notice": gateway.notice("checkout", "en"),
        "sale_ref": "2026-10042", "product_family": "clothing", "objection_offered_at_collection": true,
    })
}

async fn cap_22_a_source_does_not_set_a_legitimate_interest(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, shop, segmentation) = (gateway.person("anna"), gateway.shop().await, gateway.segmentation().await);
    anna.gives(&["profiling_segmentation", "email_marketing"]).await;
    anna.withdraws(&["profiling_segmentation", "email_marketing"]).await;
    let (before, entries) = (gateway.database().stored().await, gateway.expect_sound_ledger().await.entries);
    let swap = json!({ "purpose": "profiling_segmentation" });
    reports(&shop, &anna, "legitimate_interest", swap).await.expect_problem(409, "legal_basis_fixed");
    // Nor is a withdrawn consent replaced by the customer's sale.
    reports(&shop, &anna, "soft_opt_in", sale(&gateway)).await.expect_problem(409, "legal_basis_fixed");
    // Nor is a sale a basis of what the policy rests on consent.
    let mut elsewhere = sale(&gateway);
    elsewhere["purpose"] = "profiling_segmentation".into();
    let berta = gateway.person("berta");
    reports(&shop, &berta, "soft_opt_in", elsewhere).await.expect_problem(409, "legal_basis_fixed");
    assert_eq!(gateway.database().stored().await, before);
    assert_eq!(gateway.expect_sound_ledger().await.entries, entries + 3);
    assert!(segmentation.knows().await.is_empty() && !gateway.mailer().await.may_know(&anna).await);
}

async fn sta_10_a_soft_opt_in_needs_its_sale_and_a_way_to_object_at_collection(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, shop, mailer) = (gateway.person("anna"), gateway.shop().await, gateway.mailer().await);
    let before = gateway.database().stored().await;
    for (member, code) in [
        ("objection_offered_at_collection", "missing_field"),
        ("sale_ref", "missing_field"),
        ("product_family", "missing_field"),
        ("notice", "missing_field"),
        ("purpose", "missing_field"),
    ] {
        let mut without = sale(&gateway);
        without.as_object_mut().unwrap().remove(member);
        reports(&shop, &anna, "soft_opt_in", without).await.expect_problem(422, code);
    }
    let mut denied = sale(&gateway);
    denied["objection_offered_at_collection"] = false.into();
    reports(&shop, &anna, "soft_opt_in", denied).await.expect_problem(422, "invalid_field");
    assert_eq!(gateway.database().stored().await, before);
    let receipt = reports(&shop, &anna, "soft_opt_in", sale(&gateway)).await.expect(201).json();
    assert_eq!(receipt["event"], "SOFT_OPT_IN_BASIS");
    assert!(mailer.may_know(&anna).await);
    // It covers emails, and no profile.
    assert!(gateway.segmentation().await.knows().await.is_empty());
    // An easy objection ends it.
    anna.asks("object_direct_marketing").await;
    assert!(!mailer.may_know(&anna).await);
    reports(&shop, &anna, "soft_opt_in", sale(&gateway)).await.expect_problem(409, "legal_basis_fixed");
}

async fn sta_10_a_partners_product_family_is_none_of_ours(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, shop, mailer) = (gateway.person("anna"), gateway.shop().await, gateway.mailer().await);
    let mut partners = sale(&gateway);
    partners["product_family"] = "partner_insurance".into();
    reports(&shop, &anna, "soft_opt_in", partners).await.expect(201);
    assert!(!mailer.may_know(&anna).await);
    reports(&shop, &anna, "soft_opt_in", sale(&gateway)).await.expect(201);
    assert!(mailer.may_know(&anna).await);
}

async fn sta_17_an_implied_consent_lapses_with_its_last_day(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (shop, mailer) = (gateway.shop().await, gateway.mailer().await);
    for (name, relationship, from, last, over) in [
        ("buyer", "purchase", "2024-02-29T18:00:00Z", "2026-02-28T23:59:59Z", "2026-03-01T00:00:00Z"),
        ("asker", "inquiry", "2025-08-31T18:00:00Z", "2026-02-28T23:59:59Z", "2026-03-01T00:00:00Z"),
    ] {
        let person = gateway.person(name);
        gateway.clock().set("2025-12-01T00:00:00Z".parse().unwrap());
        let implied = json!({
            "purpose": "email_marketing", "region": "CA-QC", "captured_at": from, "relationship": relationship,
            "reference": "mail 17", "notice": gateway.notice("checkout", "en"),
        });
        reports(&shop, &person, "implied_consent", implied).await.expect(201);
        for (at, permitted) in [(last, true), (over, false)] {
            gateway.clock().set(at.parse().unwrap());
            assert_eq!(mailer.may_know(&person).await, permitted, "{name} at {at}");
        }
    }
}

async fn sta_15_a_parent_decides_until_the_child_is_of_age(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (tim, shop, mailer) = (gateway.person("tim"), gateway.shop().await, gateway.mailer().await);
    // 15 now; 16, the age in Germany, on 2027-01-15.
    shop.sends(&[Line::of(&tim, json!({ "birth_date": "2011-01-15" })).of_region("DE")]).await;
    tim.gives(&["email_marketing"]).await;
    assert!(!mailer.may_know(&tim).await);
    let word = json!({ "purpose": "email_marketing", "method": "signed_form" });
    reports(&shop, &tim, "parent_authorised", json!({ "purpose": "email_marketing" }))
        .await
        .expect_problem(422, "missing_field");
    reports(&shop, &tim, "parent_authorised", word.clone()).await.expect(201);
    assert!(mailer.may_know(&tim).await);
    gateway.clock().set("2027-01-15T00:00:00Z".parse().unwrap());
    // What the parent authorised stays good, until the young person says otherwise, alone.
    assert!(mailer.may_know(&tim).await);
    reports(&shop, &tim, "parent_authorised", word).await.expect_problem(403, "parental_authority_ended");
    let events = gateway.officer().await.events(&tim).await;
    assert!(events.contains(&"AGE_ATTAINED".to_owned()), "{events:?}");
    tim.withdraws(&["email_marketing"]).await;
    assert!(!mailer.may_know(&tim).await);
}

async fn sta_11_a_company_is_written_to_where_its_state_allows(backend: Backend) {
    let id = "id = \"email_marketing\"\n";
    let listed = format!("{id}legal_persons = {{ \"EU_GDPR:FR\" = \"opt_out\" }}\n");
    let gateway = TestGateway::start_under(backend, policy_with(&[("purposes.toml", id, &listed)])).await;
    let (shop, mailer) = (gateway.shop().await, gateway.mailer().await);
    for (name, region, kind, permitted) in
        [("sarl", "FR", "legal", true), ("anne", "FR", "natural", false), ("gmbh", "DE", "legal", false)]
    {
        let person = gateway.person(name);
        shop.sends(&[Line::of(&person, json!({ "city": "Paris" })).of_region(region)]).await;
        assert!(!mailer.may_know(&person).await);
        reports(&shop, &person, "subscriber_declared", json!({ "subscriber_type": kind })).await.expect(201);
        assert_eq!(mailer.may_know(&person).await, permitted, "{name}");
    }
}

/// The shipped policy, whose explicit consents last for longer than Colorado's silence.
fn lasting() -> PolicySources {
    policy_with(&[("purposes.toml", "validity = \"P12M\"", "validity = \"P60M\"")])
}

async fn sta_18_silence_ends_a_colorado_consent_to_sensitive_use(backend: Backend) {
    let gateway = TestGateway::start_under(backend, lasting()).await;
    let (shop, engine) = (gateway.shop().await, gateway.recipient("segmentation", "sensitive_segmentation").await);
    for (name, region) in [("quiet", "US-CO"), ("heard", "US-CO"), ("virginian", "US-VA")] {
        let person = gateway.person(name).of_region(Some(region));
        let mut post = person.post(&[("sensitive_segmentation", "give")]);
        post["choices"][0]["explicit"] = true.into();
        post["evidence"]["statement"] = "Yes, use my health interests.".into();
        person.sends(&post).await.expect(201);
    }
    assert_eq!(engine.knows().await.len(), 3);
    gateway.clock().set("2027-11-22T12:00:00Z".parse().unwrap());
    reports(&shop, &gateway.person("heard"), "interacted", json!({})).await.expect(201);
    gateway.clock().set("2028-11-23T12:00:00Z".parse().unwrap());
    assert_eq!(engine.knows().await.len(), 2);
    gateway.clock().set("2029-11-23T12:00:00Z".parse().unwrap());
    assert_eq!(engine.knows().await.len(), 1);
}

async fn sta_47_a_revocation_counts_at_once(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let engine = gateway.segmentation().await;
    let cora = gateway.person("cora").of_region(Some("US-CT"));
    cora.gives(&["profiling_segmentation"]).await;
    assert_eq!(engine.knows().await.len(), 1);
    cora.withdraws(&["profiling_segmentation"]).await;
    assert!(engine.knows().await.is_empty());
}

async fn adm_06_an_opt_out_of_automated_decisions_is_taken(backend: Backend) {
    let id = "id = \"fraud_prevention\"\n";
    let significant = format!(
        "{id}significant_effect = true\nhuman_review = \"By telephone, within a day.\"\nrisk_assessment_ref = \"RA\"\n\
         risk_assessment_review = 2028-01-01\ndpia_ref = \"D\"\ndpia_review = 2028-01-01\n"
    );
    let gateway = TestGateway::start_under(backend, policy_with(&[("purposes.toml", id, &significant)])).await;
    let (shop, risk_check) = (gateway.shop().await, gateway.risk_check().await);
    let (carla, uwe) = (gateway.person("carla").of_region(Some("US-CA")), gateway.person("uwe"));
    for (person, region) in [(&carla, "US-CA"), (&uwe, "DE")] {
        shop.sends(&[Line::of(person, json!({ "region": region })).of_region(region)]).await;
    }
    // ADM-01: in Germany neither a contract nor an explicit consent carries it.
    assert_eq!(risk_check.knows().await.len(), 1);
    carla.asks("opt_out_automated_decisions").await;
    assert!(risk_check.knows().await.is_empty());
}

async fn obj_02_an_objection_to_one_purpose_is_taken_and_restricts_it(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, shop, risk_check) = (gateway.person("anna"), gateway.shop().await, gateway.risk_check().await);
    shop.sends(&[Line::of(&anna, json!({ "region": "DE" })).of_region("DE")]).await;
    assert_eq!(risk_check.knows().await.len(), 1);
    gateway.later();
    let objection = json!({
        "subject": { "email": anna.email }, "choices": [{ "purpose": "fraud_prevention", "choice": "object" }],
    });
    let receipt = anna.sends(&objection).await.expect(201).json();
    assert_eq!(receipt["events"], json!([{ "event": "OBJECTED", "purpose": "fraud_prevention" }]));
    assert!(risk_check.knows().await.is_empty());
    let metrics = gateway.get("/metrics").await.expect(200).text();
    assert!(metrics.contains("refusals_total{reason=\"restricted\"} 1"), "{metrics}");
    // What the order needs is not touched.
    assert!(gateway.recipient("mailer", "service_transactional").await.may_know(&anna).await);
}

async fn a_source_may_always_report_a_no(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, shop, mailer) = (gateway.person("anna"), gateway.shop().await, gateway.mailer().await);
    for (event, more) in [
        ("withdrawn", json!({ "purpose": "email_marketing" })),
        ("withdrawn", json!({})),
        ("objected", json!({})),
        ("objected", json!({ "purpose": "email_marketing" })),
    ] {
        anna.gives(&["email_marketing"]).await;
        assert!(mailer.may_know(&anna).await, "{event} {more}");
        reports(&shop, &anna, event, more.clone()).await.expect(201);
        assert!(!mailer.may_know(&anna).await, "{event} {more}");
    }
    let before = gateway.expect_sound_ledger().await.entries;
    reports(&shop, &anna, "withdrawn", json!({ "purpose": "world_domination" }))
        .await
        .expect_problem(404, "unknown_purpose");
    assert_eq!(gateway.expect_sound_ledger().await.entries, before + 1);
}

async fn a_report_that_makes_no_sense_is_turned_away(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, shop) = (gateway.person("anna"), gateway.shop().await);
    anna.gives(&["email_marketing"]).await;
    let before = gateway.database().stored().await;
    for (event, more, code) in [
        ("interacted", json!({ "purpose": "email_marketing" }), "invalid_field"),
        ("interacted", json!({ "sale_ref": "1" }), "invalid_field"),
        ("interacted", json!({ "captured_at": "2099-01-01T00:00:00Z" }), "captured_in_future"),
        ("interacted", json!({ "region": "Germany" }), "too_long"),
        ("lottery_won", json!({}), "invalid_field"),
        ("implied_consent", json!({ "purpose": "email_marketing", "reference": "1" }), "missing_field"),
        ("subscriber_declared", json!({}), "missing_field"),
    ] {
        let answer = reports(&shop, &anna, event, more.clone()).await.expect(422).json();
        let told = answer["errors"].as_array().unwrap().iter().any(|fault| fault["code"] == code);
        assert!(told, "{event} {more}: {answer}");
    }
    assert_eq!(gateway.database().stored().await, before);
    // Whoever was erased does not come back by what a source reports.
    gateway.officer().await.erases(&anna).await;
    reports(&shop, &anna, "interacted", json!({})).await.expect_problem(409, "suppressed");
}
