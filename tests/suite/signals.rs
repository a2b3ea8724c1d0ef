//! Opt-out preference signals and the opt-out regimes (rows STA-20 to STA-45 of the law), seen through what recipients
//! get afterwards.

use std::collections::BTreeSet;

use consentry::http::openapi;
use serde_json::{Value, json};

use crate::harness::{Answer, Backend, Line, MARK, Person, TestGateway, policy_with};

on_both!(
    sta_20_only_adults_under_a_law_that_opts_out_are_shared_without_a_word,
    sta_22_an_opt_out_needs_an_identifier_or_a_token_and_no_proof,
    sta_23_whoever_opted_out_can_see_that_it_was_processed,
    sta_24_a_device_a_profile_and_a_person_are_opted_out,
    sta_24_absent_or_other_values_of_the_header_are_no_signal,
    sta_25_the_answer_says_that_the_signal_was_processed,
    sta_26_the_header_alone_is_enough_and_nothing_is_asked,
    sta_27_the_signal_outweighs_an_earlier_opt_in_and_a_later_one_that_was_told_of_it_outweighs_the_signal,
    sta_28_the_signal_ends_a_programme_too_unless_the_person_stays_in_it,
    sta_29_a_visit_without_the_signal_opts_nobody_in,
    sta_30_an_opt_out_on_one_site_holds_for_every_recipient_and_device,
    sta_32_only_the_second_of_two_steps_opts_in,
    sta_32_a_plain_yes_does_not_undo_an_opt_out,
    sta_36_a_limit_leaves_what_is_necessary,
    sta_38_a_granular_opt_out_leaves_the_rest_and_all_means_all,
    sta_41_a_signal_leaves_emails_and_an_unsubscription_leaves_sharing,
    sta_44_in_europe_the_signal_is_an_objection_to_sharing_alone,
    sta_45_every_state_that_honours_signals_does,
    a_browser_that_signals_ends_up_without_sale_and_with_its_newsletter,
    gpp_and_tc_strings_take_away_what_the_policy_says,
    what_is_malformed_is_turned_away_whole,
    strings_are_kept_byte_for_byte_and_nowhere_in_the_clear,
    an_answer_never_tells_whether_a_person_is_known,
    a_signal_sent_again_adds_nothing,
    a_region_in_a_signal_declares_nothing,
    an_erased_device_is_forgotten,
);

const SHARE: &str = "share_third_party";

/// Signals without a person of its own.
async fn signals(gateway: &TestGateway, gpc: bool, body: &Value) -> Answer {
    gateway.later();
    let request = gateway.request("POST", "/v1/signals");
    let request = if gpc { request.header("sec-gpc", "1") } else { request };
    gateway.send(request.json(body)).await
}

/// Somebody of whom the shop knows what it shares.
async fn known<'a>(gateway: &'a TestGateway, name: &str, region: &'static str) -> Person<'a> {
    let person = gateway.person(name).of_region(Some(region));
    let line = Line::of(&person, json!({ "birth_date": "1990-05-05", "interest_topic": "books" }));
    gateway.shop().await.sends(&[line.of_region(region)]).await;
    person
}

async fn sta_20_only_adults_under_a_law_that_opts_out_are_shared_without_a_word(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let adnetwork = gateway.adnetwork().await;
    for (name, region, shared) in
        [("carla", "US-CA", 1), ("vera", "US-VA", 2), ("dora", "DE", 2), ("gwen", "GB", 2), ("zoe", "CH", 2)]
    {
        known(&gateway, name, region).await;
        assert_eq!(adnetwork.knows().await.len(), shared, "{region}");
    }
    let child = gateway.person("kim").of_region(Some("US-CA"));
    let line = Line::of(&child, json!({ "birth_date": "2012-05-05", "interest_topic": "books" }));
    gateway.shop().await.sends(&[line.of_region("US-CA")]).await;
    assert_eq!(adnetwork.knows().await.len(), 2);
}

async fn sta_22_an_opt_out_needs_an_identifier_or_a_token_and_no_proof(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (carla, adnetwork) = (known(&gateway, "carla", "US-CA").await, gateway.adnetwork().await);
    assert_eq!(adnetwork.knows().await.len(), 1);
    let answer = signals(&gateway, true, &json!({ "subject": { "email": carla.email } })).await.expect(200);
    assert_eq!(answer.json()["gpc_processed"], true);
    assert!(adnetwork.knows().await.is_empty());
    // By the token of any receipt, too; and a request is as plain as the signal.
    let (berta, doris) = (known(&gateway, "berta", "US-CA").await, known(&gateway, "doris", "US-CA").await);
    assert_eq!(adnetwork.knows().await.len(), 2);
    let token = berta.gives(&["email_marketing"]).await["withdrawal_token"].clone();
    signals(&gateway, true, &json!({ "token": token })).await.expect(200);
    assert_eq!(adnetwork.knows().await.len(), 1);
    let receipt = doris.asks("opt_out_sale_share").await;
    assert_eq!(receipt["events"], json!([{ "event": "OPT_OUT_SALE_SHARE" }]));
    assert!(adnetwork.knows().await.is_empty());
}

async fn sta_23_whoever_opted_out_can_see_that_it_was_processed(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let carla = known(&gateway, "carla", "US-CA").await;
    let receipt = carla.asks("opt_out_sale_share").await;
    let asked_at = receipt["recorded_at"].clone();
    let ask = async |token: &Value| signals(&gateway, false, &json!({ "status_token": token })).await;
    gateway.clock().advance_ms(86_400_000);
    let status = ask(&receipt["status_token"]).await.expect(200).json()["status"].clone();
    assert_eq!((&status["opted_out"], &status["since"]), (&json!(true), &asked_at));
    // Also of a browser that goes on sending its signal, and without recording anything.
    let before = gateway.database().stored().await;
    let again = signals(&gateway, true, &json!({ "status_token": receipt["status_token"] })).await.expect(200);
    assert_eq!(again.json()["status"]["opted_out"], true);
    assert_eq!(gateway.database().stored().await, before);
    // A token of a later request tells nothing of what was said before it.
    let later = carla.asks("opt_out_sale_share").await;
    let status = ask(&later["status_token"]).await.expect(200).json()["status"].clone();
    assert_eq!(status["since"], later["recorded_at"]);
    carla.opts_in_twice(SHARE, false).await;
    assert_eq!(ask(&receipt["status_token"]).await.expect(200).json()["status"]["opted_out"], false);
    // A device sees how it stands itself.
    let device = signals(&gateway, true, &json!({ "device": "d-1" })).await.expect(200).json();
    let status = ask(&device["status_token"]).await.expect(200).json()["status"].clone();
    assert_eq!((&status["opted_out"], &status["since"]), (&json!(true), &device["processed_at"]));
    for token in
        ["", "c1_AAAA", "w1_00", device["status_token"].as_str().unwrap().trim_end_matches(char::is_alphanumeric)]
    {
        ask(&token.into()).await.expect_problem(422, "invalid_token");
    }
    signals(&gateway, false, &json!({ "status_token": device["status_token"], "device": "d-1" }))
        .await
        .expect_problem(422, "invalid_field");
}

async fn sta_24_a_device_a_profile_and_a_person_are_opted_out(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (carla, adnetwork) = (known(&gateway, "carla", "US-CA").await, gateway.adnetwork().await);
    let profile =
        json!({ "subject": { "profile": "p-1" }, "region": "US-CA", "attributes": { "interest_topic": "music" } });
    let shop = gateway.shop().await;
    shop.sends(&[Line(profile)]).await;
    assert_eq!(adnetwork.knows().await.len(), 2);
    let answer = signals(&gateway, true, &json!({ "device": "d-1", "profile": "p-1" })).await.expect(200).json();
    assert_eq!(answer["scopes"], json!(["device", "profile"]));
    assert_eq!(adnetwork.knows().await.len(), 1);
    let everybody = json!({ "device": "d-1", "profile": "p-1", "subject": { "email": carla.email } });
    let answer = signals(&gateway, true, &everybody).await.expect(200).json();
    assert_eq!(answer["scopes"], json!(["device", "profile", "consumer"]));
    assert!(adnetwork.knows().await.is_empty());
    // A device is nobody's profile: it is disclosed to nobody, for nothing.
    for (recipient, purpose) in [
        ("risk_check", "fraud_prevention"),
        ("segmentation", "profiling_segmentation"),
        ("mailer", "service_transactional"),
    ] {
        let knows = gateway.recipient(recipient, purpose).await.knows().await.len();
        assert_eq!(knows, 2, "{recipient} knows the person and the profile");
    }
}

async fn sta_24_absent_or_other_values_of_the_header_are_no_signal(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let before = gateway.database().stored().await;
    for value in [None, Some("0"), Some("true"), Some(""), Some("1;q=1"), Some("11"), Some("?1")] {
        let request = gateway.request("POST", "/v1/signals").json(&json!({ "device": "d-1" }));
        let request = match value {
            Some(value) => request.header("sec-gpc", value),
            None => request,
        };
        let answer = gateway.send(request).await.expect(200).json();
        assert_eq!((&answer["gpc_processed"], &answer["gpc_display"]), (&json!(false), &Value::Null), "{value:?}");
    }
    assert_eq!(gateway.database().stored().await, before);
    for (number, value) in ["1", " 1 ", "1, 1", "0, 1"].into_iter().enumerate() {
        let request = gateway.request("POST", "/v1/signals").header("sec-gpc", value);
        let answer =
            gateway.send(request.json(&json!({ "device": format!("d-{number}") }))).await.expect(200).json();
        assert_eq!(
            (&answer["gpc_processed"], &answer["status"]["opted_out"]),
            (&json!(true), &json!(true)),
            "{value:?}"
        );
    }
    // What the page says is worth as much as the header.
    let answer = signals(&gateway, false, &json!({ "device": "page", "gpc": true })).await.expect(200).json();
    assert_eq!(answer["status"]["opted_out"], true);
}

async fn sta_25_the_answer_says_that_the_signal_was_processed(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let carla = known(&gateway, "carla", "US-CA").await;
    let body = json!({ "subject": { "email": carla.email } });
    let answer = signals(&gateway, true, &body).await.expect(200);
    assert!(answer.header("vary").unwrap().contains("Sec-GPC"));
    let answer = answer.json();
    assert_eq!(
        (&answer["gpc_processed"], &answer["gpc_display"]),
        (&json!(true), &json!("Opt-Out Request Honored"))
    );
    let german = gateway.request("POST", "/v1/signals").header("sec-gpc", "1").header("accept-language", "de-AT");
    let answer = gateway.send(german.json(&body)).await.expect(200).json();
    assert_eq!(answer["gpc_display"], "Widerspruch berücksichtigt");
    // A page of the gateway's own shows it before and after the form is sent.
    let page = gateway.request("GET", "/forms/newsletter").header("sec-gpc", "1");
    let page = gateway.send(page).await.expect(200);
    assert!(page.header("vary").unwrap().contains("Sec-GPC") && page.text().contains("Opt-Out Request Honored"));
    assert!(!gateway.get("/forms/newsletter").await.text().contains("Opt-Out Request Honored"));
    let inputs =
        [("email", carla.email.as_str()), ("notice", &*gateway.notice("newsletter", "en")), ("locale", "en")];
    gateway.later();
    let form = gateway.request("POST", "/forms/newsletter").header("accept", "text/html").header("sec-gpc", "1");
    let thanks = gateway.send(form.form(&inputs)).await.expect(201);
    assert!(
        thanks.header("vary").unwrap().contains("Sec-GPC") && thanks.text().contains("Opt-Out Request Honored")
    );
    let support = gateway.get("/.well-known/gpc.json").await.expect(200);
    assert_eq!(support.content_type(), "application/json");
    assert_eq!(support.json(), json!({ "gpc": true, "lastUpdate": "2026-11-22" }));
}

async fn sta_26_the_header_alone_is_enough_and_nothing_is_asked(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let mut devices = BTreeSet::new();
    for body in [None, Some("{}")] {
        let request = gateway.request("POST", "/v1/signals").header("sec-gpc", "1");
        let request = match body {
            Some(body) => request.header("content-type", "application/json").body(body),
            None => request,
        };
        let before = gateway.database().number("SELECT count(*) FROM consent_event").await;
        let answer = gateway.send(request).await.expect(200).json();
        assert_eq!((&answer["scopes"], &answer["status"]["opted_out"]), (&json!(["device"]), &json!(true)));
        assert_eq!(gateway.database().number("SELECT count(*) FROM consent_event").await, before + 1);
        let known = ["processed_at", "gpc_processed", "gpc_display", "scopes", "device", "status", "status_token"];
        assert!(answer.as_object().unwrap().keys().all(|member| known.contains(&member.as_str())), "{answer}");
        devices.insert(answer["device"].as_str().unwrap().to_owned());
    }
    assert_eq!(devices.len(), 2);
    // The key that was made is the device's from now on, and what it signalled follows it to a person.
    let (carla, adnetwork) = (known(&gateway, "carla", "US-CA").await, gateway.adnetwork().await);
    let visit = json!({ "device": devices.first().unwrap(), "subject": { "email": carla.email } });
    let answer = signals(&gateway, false, &visit).await.expect(200).json();
    assert_eq!((&answer["gpc_processed"], &answer["device"]), (&json!(false), &Value::Null));
    assert!(adnetwork.knows().await.is_empty());
}

async fn sta_27_the_signal_outweighs_an_earlier_opt_in_and_a_later_one_that_was_told_of_it_outweighs_the_signal(
    backend: Backend,
) {
    let gateway = TestGateway::start(backend).await;
    let (carla, adnetwork) = (known(&gateway, "carla", "US-CA").await, gateway.adnetwork().await);
    let shared = async || adnetwork.knows().await.len() == 1;
    carla.opts_in_twice(SHARE, true).await;
    assert!(shared().await);
    let visit = json!({ "device": "d-1", "subject": { "email": carla.email } });
    signals(&gateway, true, &visit).await.expect(200);
    assert!(!shared().await);
    carla.opts_in_twice(SHARE, false).await;
    assert!(!shared().await, "she was not told of the conflict");
    carla.opts_in_twice(SHARE, true).await;
    assert!(shared().await);
    // The browser goes on sending it: with the next visit, with the next form, from the same device.
    signals(&gateway, true, &visit).await.expect(200);
    carla.signals("1").await.expect(201);
    assert!(shared().await);
    // What she asks for herself afterwards counts, and then only an opt-in that is told of the conflict again.
    carla.asks("opt_out_sale_share").await;
    assert!(!shared().await);
    carla.opts_in_twice(SHARE, false).await;
    assert!(!shared().await);
    carla.opts_in_twice(SHARE, true).await;
    assert!(shared().await);
}

/// The shipped policy with a loyalty programme that passes data on.
fn with_programme() -> kernel::policy::document::PolicySources {
    let programme = "[[purpose]]\nid = \"loyalty_programme\"\ntitle = \"Partner offers of the loyalty programme\"\n\
        validity = \"P12M\"\nreask_after = \"P12M\"\nsale_or_share = true\ndirect_marketing = true\n\
        fideslang = \"third_party_sharing\"\ndpv = \"SellDataToThirdParties\"\nbases = [\"consent\"]\nrisk_assessment_ref = \"RA-3\"\n\
        risk_assessment_review = 2028-12-31\n[purpose.mode]\nEU_GDPR = \"opt_in\"\nUK_GDPR = \"opt_in\"\nUS_CA = \"opt_out\"\nUS_OTHER = \"opt_out\"\n\
        CA_CASL = \"opt_in\"\nUNKNOWN = \"opt_in\"\n\n[[purpose]]\nid = \"sensitive_segmentation\"";
    policy_with(&[
        ("purposes.toml", "[[purpose]]\nid = \"sensitive_segmentation\"", programme),
        (
            "recipients.toml",
            "purposes = [\"share_third_party\"]",
            "purposes = [\"share_third_party\", \"loyalty_programme\"]",
        ),
        ("attributes.toml", "\"share_third_party\"", "\"share_third_party\", \"loyalty_programme\""),
        ("forms.toml", "\"share_third_party\",", "\"share_third_party\", \"loyalty_programme\","),
        ("notices/checkout-1.toml", "\"share_third_party\"", "\"share_third_party\", \"loyalty_programme\""),
        (
            "signals.toml",
            "purposes = [\"share_third_party\"]",
            "purposes = [\"share_third_party\", \"loyalty_programme\"]",
        ),
    ])
}

async fn sta_28_the_signal_ends_a_programme_too_unless_the_person_stays_in_it(backend: Backend) {
    let gateway = TestGateway::start_under(backend, with_programme()).await;
    let carla = known(&gateway, "carla", "US-CA").await;
    let knows = async || {
        let share = gateway.recipient("adnetwork", SHARE).await.knows().await.len();
        (share, gateway.recipient("adnetwork", "loyalty_programme").await.knows().await.len())
    };
    assert_eq!(knows().await, (1, 1));
    // She was not asked whether she leaves the programme: it ends as well.
    signals(&gateway, true, &json!({ "subject": { "email": carla.email } })).await.expect(200);
    assert_eq!(knows().await, (0, 0));
    // She was, and stays in it: the programme alone goes on.
    carla.opts_in_twice("loyalty_programme", true).await;
    signals(&gateway, true, &json!({ "subject": { "email": carla.email } })).await.expect(200);
    assert_eq!(knows().await, (0, 1));
}

async fn sta_29_a_visit_without_the_signal_opts_nobody_in(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (carla, adnetwork) = (known(&gateway, "carla", "US-CA").await, gateway.adnetwork().await);
    let visit = json!({ "device": "d-1", "subject": { "email": carla.email } });
    signals(&gateway, true, &visit).await.expect(200);
    for _ in 0..3 {
        gateway.clock().advance_ms(200 * 86_400_000);
        let answer = signals(&gateway, false, &visit).await.expect(200).json();
        assert_eq!((&answer["gpc_processed"], &answer["status"]["opted_out"]), (&json!(false), &json!(true)));
        // Not even a platform's string that says she did not opt out.
        signals(&gateway, false, &json!({ "subject": { "email": carla.email }, "gpp": "DBABTA~1YNN" }))
            .await
            .expect(200);
        assert!(adnetwork.knows().await.is_empty());
    }
}

async fn sta_30_an_opt_out_on_one_site_holds_for_every_recipient_and_device(backend: Backend) {
    // A second brand, with a network of its own.
    let brand = "[[recipient]]\nid = \"brand_b_network\"\nname = \"Other Ads Inc.\"\nrole = \"third_party\"\n\
        controller = \"example_ads\"\ncountry = \"US\"\n\
        contract = { reference = \"SHARE-2026-03\", kind = \"third_party\" }\npurposes = [\"share_third_party\"]\n\
        attributes = [\"age_band\", \"region\", \"interest_topic\"]\nepoch = 1\n";
    let header = "# Another controller: a sale or sharing in California's words.";
    let names = "recipients = [\"";
    let policy = policy_with(&[
        ("recipients.toml", header, &format!("{brand}\n{header}")),
        ("notices/checkout-1.toml", names, "recipients = [\"brand_b_network\", \""),
    ]);
    let gateway = TestGateway::start_under(backend, policy).await;
    let (carla, berta) = (known(&gateway, "carla", "US-CA").await, known(&gateway, "berta", "US-CA").await);
    let knows = async || {
        let one = gateway.recipient("adnetwork", SHARE).await.knows().await.len();
        (one, gateway.recipient("brand_b_network", SHARE).await.knows().await.len())
    };
    assert_eq!(knows().await, (2, 2));
    // On the site of the newsletter form she opts out; nothing goes to the other brand's network either.
    let opt_out = json!({ "subject": { "email": carla.email }, "requests": ["opt_out_sale_share"] });
    let request = gateway.request("POST", "/v1/consents").header("origin", "https://www.example.com");
    gateway.later();
    gateway.send(request.json(&opt_out)).await.expect(201);
    assert_eq!(knows().await, (1, 1));
    // Her pseudonymous profile on another device is hers as soon as that is known; the device is not hers alone.
    let visit = json!({ "device": "tablet", "profile": "p-9", "subject": { "email": carla.email } });
    let profile =
        json!({ "subject": { "profile": "p-9" }, "region": "US-CA", "attributes": { "interest_topic": "music" } });
    gateway.shop().await.sends(&[Line(profile)]).await;
    assert_eq!(knows().await, (2, 2));
    signals(&gateway, false, &visit).await.expect(200);
    assert_eq!(knows().await, (1, 1));
    signals(&gateway, false, &json!({ "device": "tablet", "subject": { "email": berta.email } }))
        .await
        .expect(200);
    assert_eq!(knows().await, (1, 1), "Berta uses the same tablet and said nothing");
}

async fn sta_32_only_the_second_of_two_steps_opts_in(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (carla, berta) = (known(&gateway, "carla", "US-CA").await, known(&gateway, "berta", "US-CA").await);
    let (adnetwork, officer) = (gateway.adnetwork().await, gateway.officer().await);
    for person in [&carla, &berta] {
        person.asks("opt_out_sale_share").await;
    }
    let before = gateway.database().stored().await;
    // Without a first step, with a receipt of something else, of nobody, of another person, or for another purpose.
    let other = berta.opts_in(SHARE, None, false).await.expect(201).json()["receipt"].clone();
    let stored = gateway.database().stored().await;
    for of in [json!("0".repeat(32)), other.clone()] {
        carla.opts_in(SHARE, Some(&of), true).await.expect_problem(409, "opt_in_step_missing");
        // The same answer for somebody who is not here.
        gateway.person("nobody").opts_in(SHARE, Some(&of), true).await.expect_problem(409, "opt_in_step_missing");
    }
    assert_eq!(gateway.database().stored().await, stored);
    assert_eq!(stored["subject"], before["subject"]);
    let first = carla.opts_in(SHARE, None, false).await.expect(201).json();
    assert_eq!(first["events"], json!([{ "event": "OPT_IN_STEP1", "purpose": SHARE }]));
    assert!(adnetwork.knows().await.is_empty());
    carla
        .opts_in("email_marketing", Some(&first["receipt"]), false)
        .await
        .expect_problem(409, "opt_in_step_missing");
    let second = carla.opts_in(SHARE, Some(&first["receipt"]), false).await.expect(201).json();
    assert_eq!(second["events"][0], json!({ "event": "OPT_IN_STEP2", "purpose": SHARE }));
    assert_eq!(adnetwork.knows().await.len(), 1);
    // It is used up.
    carla.opts_in(SHARE, Some(&first["receipt"]), false).await.expect_problem(409, "opt_in_step_missing");
    let events = officer.events(&carla).await;
    assert!(
        events.ends_with(&["OPT_IN_STEP1", "OPT_IN_STEP2", "GRANT_CONFIRMED"].map(str::to_owned)),
        "{events:?}"
    );
    // And what is not a step is told as that.
    for (edit, pointer) in [
        (json!({ "step": 3 }), "/choices/0/step"),
        (json!({ "step": 2 }), "/choices/0/of"),
        (json!({ "step": 1, "of": other }), "/choices/0/of"),
        (json!({ "conflict_notice": true }), "/choices/0/conflict_notice"),
        (json!({ "step": 1, "choice": "refuse" }), "/choices/0/step"),
    ] {
        let mut post = carla.post(&[(SHARE, "give")]);
        for (member, value) in edit.as_object().unwrap() {
            post["choices"][0][member] = value.clone();
        }
        let problem = carla.sends(&post).await.expect(422).json();
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
    }
}

async fn sta_32_a_plain_yes_does_not_undo_an_opt_out(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (carla, adnetwork) = (known(&gateway, "carla", "US-CA").await, gateway.adnetwork().await);
    for no in ["request", "refusal", "withdrawal"] {
        match no {
            "request" => drop(carla.asks("opt_out_sale_share").await),
            "refusal" => drop(carla.refuses(&[SHARE]).await),
            _ => drop(carla.withdraws(&[SHARE]).await),
        }
        carla.gives(&[SHARE]).await;
        assert!(adnetwork.knows().await.is_empty(), "{no}");
        carla.opts_in_twice(SHARE, false).await;
        assert_eq!(adnetwork.knows().await.len(), 1, "{no}");
    }
}

async fn sta_36_a_limit_leaves_what_is_necessary(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let carla = known(&gateway, "carla", "US-CA").await;
    let line = Line::of(&carla, json!({ "health_interest": "sleep" })).of_region("US-CA");
    let health = gateway.shop().await.tries(&[line]).await.json()["stored"] == 1;
    let sensitive = gateway.recipient("segmentation", "sensitive_segmentation").await;
    let knows = async || (sensitive.knows().await.len(), gateway.risk_check().await.knows().await.len());
    assert_eq!(knows().await, (1, 1), "{health}");
    let receipt = carla.asks("limit_sensitive").await;
    assert_eq!(receipt["events"], json!([{ "event": "LIMIT_SPI" }]));
    assert_eq!(knows().await, (0, 1));
    // An opt-in to that purpose in two steps lifts the limit for it.
    let mut first = carla.post(&[("sensitive_segmentation", "give")]);
    first["choices"][0]["step"] = 1.into();
    let first = carla.sends(&first).await.expect(201).json();
    assert_eq!(knows().await, (0, 1));
    carla.opts_in("sensitive_segmentation", Some(&first["receipt"]), false).await.expect(201);
    assert_eq!(knows().await, (1, 1));
    // A platform's string limits, too.
    let limited = json!({ "subject": { "email": carla.email }, "gpp": "DBABBg~BVWSSSVY" });
    signals(&gateway, false, &limited).await.expect(200);
    assert_eq!(knows().await, (0, 1));
}

async fn sta_38_a_granular_opt_out_leaves_the_rest_and_all_means_all(backend: Backend) {
    // Wherever single purposes can be chosen, everything can.
    let document = openapi::document();
    let schemas = &document["components"]["schemas"];
    assert!(schemas["ConsentBody"]["properties"]["choices"].is_object());
    let all = schemas["PersonRequest"].to_string();
    assert!(all.contains("opt_out_sale_share") && all.contains("withdraw_all"), "{all}");
    assert!(schemas["ConsentBody"]["properties"]["requests"].is_object());

    let gateway = TestGateway::start_under(backend, with_programme()).await;
    let carla = known(&gateway, "carla", "US-CA").await;
    let knows = async || {
        let share = gateway.recipient("adnetwork", SHARE).await.knows().await.len();
        (share, gateway.recipient("adnetwork", "loyalty_programme").await.knows().await.len())
    };
    carla.withdraws(&[SHARE]).await;
    assert_eq!(knows().await, (0, 1));
    carla.asks("opt_out_sale_share").await;
    assert_eq!(knows().await, (0, 0));
}

async fn sta_41_a_signal_leaves_emails_and_an_unsubscription_leaves_sharing(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (carla, dora) = (known(&gateway, "carla", "US-CA").await, known(&gateway, "dora", "US-CA").await);
    let (mailer, adnetwork) = (gateway.mailer().await, gateway.adnetwork().await);
    let body = json!({ "subject": { "email": carla.email }, "gpp": "DBABBg~BVWSSSVY.YA", "gpp_sid": [8] });
    signals(&gateway, true, &body).await.expect(200);
    dora.withdraws(&["email_marketing"]).await;
    assert!(mailer.may_know(&carla).await && !mailer.may_know(&dora).await);
    assert_eq!(adnetwork.knows().await.len(), 1);
}

async fn sta_44_in_europe_the_signal_is_an_objection_to_sharing_alone(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (mailer, adnetwork, segmentation, officer) =
        (gateway.mailer().await, gateway.adnetwork().await, gateway.segmentation().await, gateway.officer().await);
    // By the signals' own path and with a form, both record the choice of the policy.
    for (name, by_form) in [("dora", false), ("erna", true)] {
        let person = gateway.person(name);
        person.gives(&["email_marketing", "profiling_segmentation", SHARE]).await;
        assert_eq!(adnetwork.knows().await.len(), 1);
        for _ in 0..2 {
            if by_form {
                person.signals("1").await.expect(201);
            } else {
                let body = json!({ "subject": { "email": person.email }, "region": "DE" });
                signals(&gateway, true, &body).await.expect(200);
            }
        }
        assert!(adnetwork.knows().await.is_empty() && mailer.may_know(&person).await);
        let events = officer.copy(&person).await["events"].as_array().unwrap().clone();
        let objections: Vec<_> = events.iter().filter(|event| event["event"] == "OBJECTED").collect();
        assert_eq!(objections.len(), 1, "once, however often it is sent");
        assert_eq!((&objections[0]["purpose"], &objections[0]["scope"]), (&json!(SHARE), &json!("consumer")));
        assert_eq!(events.iter().filter(|event| event["event"] == "SIGNAL_GPC").count(), 1);
        assert!(!events.iter().any(|event| event["event"] == "WITHDRAWN"));
    }
    assert_eq!(segmentation.knows().await.len(), 2);
    // An American is not objecting to anything under European law.
    let carla = known(&gateway, "carla", "US-CA").await;
    signals(&gateway, true, &json!({ "subject": { "email": carla.email } })).await.expect(200);
    assert!(!officer.events(&carla).await.contains(&"OBJECTED".to_owned()));
}

async fn sta_45_every_state_that_honours_signals_does(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let adnetwork = gateway.adnetwork().await;
    // The states whose law says so, and two whose law does not: they are honoured anyway.
    for region in [
        "US-CA", "US-CO", "US-CT", "US-DE", "US-MD", "US-MN", "US-MT", "US-NE", "US-NH", "US-NJ", "US-OR",
        "US-TX", "US-VA", "US-UT",
    ] {
        let person = known(&gateway, &region.to_lowercase(), region).await;
        let before = adnetwork.knows().await.len();
        signals(&gateway, true, &json!({ "subject": { "email": person.email } })).await.expect(200);
        let after = adnetwork.knows().await.len();
        assert!(after == 0 && before <= 1, "{region}");
    }
}

async fn a_browser_that_signals_ends_up_without_sale_and_with_its_newsletter(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (carla, mailer, adnetwork) =
        (known(&gateway, "carla", "US-CA").await, gateway.mailer().await, gateway.adnetwork().await);
    assert!(adnetwork.knows().await.len() == 1 && mailer.may_know(&carla).await);
    // She comes as nobody: the shop's page calls with the browser's header, from its own origin.
    let visit =
        gateway.request("POST", "/v1/signals").header("sec-gpc", "1").header("origin", "https://www.example.com");
    let visit = gateway.send(visit).await.expect(200);
    assert_eq!(visit.header("access-control-allow-origin"), Some("https://www.example.com"));
    let visit = visit.json();
    assert_eq!(adnetwork.knows().await.len(), 1, "nobody knows yet that it is she");
    // She reads on, and then signs in.
    let device = json!({ "device": visit["device"] });
    signals(&gateway, true, &device).await.expect(200);
    let signed_in = json!({ "device": visit["device"], "subject": { "email": carla.email } });
    let answer = signals(&gateway, true, &signed_in).await.expect(200).json();
    assert_eq!(
        (&answer["gpc_processed"], &answer["gpc_display"]),
        (&json!(true), &json!("Opt-Out Request Honored"))
    );
    assert!(adnetwork.knows().await.is_empty() && mailer.may_know(&carla).await);
    // And takes the newsletter, with the signal on.
    let give = carla.post(&[("email_marketing", "give")]);
    let form = gateway.request("POST", "/v1/consents").header("sec-gpc", "1");
    assert_eq!(gateway.send(form.json(&give)).await.expect(201).json()["gpc_processed"], true);
    assert!(adnetwork.knows().await.is_empty() && mailer.may_know(&carla).await);
    for origin in ["https://evil.example", "null"] {
        let request = gateway.request("POST", "/v1/signals").header("origin", origin).header("sec-gpc", "1");
        gateway.send(request).await.expect_problem(403, "origin_not_allowed");
    }
    let preflight = gateway.request("OPTIONS", "/v1/signals").header("origin", "https://www.example.com");
    let preflight = gateway.send(preflight).await.expect(204);
    assert_eq!(preflight.header("access-control-allow-methods"), Some("POST"));
}

/// TCF 2.3 strings: without any consent, and with consent to purposes 1 to 3 of a string that the framework calls invalid.
const TC_WITHOUT: &str = "CQSbk4AQSbk4ANwAAAENAwCgAAAAAAAAAAYgACPAAAAA.IDKQA4AAgAKAGQAygAAA.YAAAAAAAAAAA";

async fn gpp_and_tc_strings_take_away_what_the_policy_says(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let adnetwork = gateway.adnetwork().await;
    for (number, (signal, shared)) in [
        (json!({ "gpp": "DBABTA~1YNN" }), 1),
        (json!({ "gpp": "DBABTA~1YYN" }), 0),
        (json!({ "gpp": "DBABBg~BAAAAABA.QA" }), 1),
        (json!({ "gpp": "DBABBg~BVWSSSVY" }), 0),
        // It does not apply, and by `-1` nothing does.
        (json!({ "gpp": "DBABTA~1YYN", "gpp_sid": [-1] }), 1),
        // A section that applies and is missing; one of a disputed layout; one that nobody knows.
        (json!({ "gpp": "DBABTA~1YNN", "gpp_sid": [8] }), 0),
        (json!({ "gpp": "DBABYA~BQBA.AAA" }), 0),
        (json!({ "gpp": "DBABTA~1YNN", "gpp_sid": [26] }), 0),
        (json!({ "gpp": "DBABTA~1YNN", "gpp_sid": [99] }), 0),
        (json!({ "tc": TC_WITHOUT }), 0),
        (json!({ "gpp": "DBABTA~1YNN", "tc": TC_WITHOUT }), 0),
    ]
    .into_iter()
    .enumerate()
    {
        let person = known(&gateway, &format!("person-{number}"), "US-CA").await;
        let before = adnetwork.knows().await.len();
        let mut body = signal.clone();
        body["subject"] = json!({ "email": person.email });
        signals(&gateway, false, &body).await.expect(200);
        let kept = adnetwork.knows().await.len() + 1 - before;
        assert_eq!(kept, shared, "{signal}");
        person.asks("opt_out_sale_share").await;
    }
    // In Europe a string without consent ends what a form was given, and gives nothing that a form was not.
    let (dora, erna) = (gateway.person("dora"), gateway.person("erna"));
    dora.gives(&["email_marketing", SHARE]).await;
    assert_eq!(adnetwork.knows().await.len(), 1);
    for person in [&dora, &erna] {
        let body = json!({ "subject": { "email": person.email }, "tc": TC_WITHOUT, "region": "DE" });
        signals(&gateway, false, &body).await.expect(200);
    }
    assert!(adnetwork.knows().await.is_empty());
    assert!(gateway.mailer().await.may_know(&dora).await);
}

async fn what_is_malformed_is_turned_away_whole(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let before = (gateway.database().stored().await, gateway.expect_sound_ledger().await.entries);
    let long = format!("D{}", "A".repeat(65_536));
    for (signal, pointer, reason) in [
        (json!({ "gpp": "" }), "/gpp", "truncated"),
        (json!({ "gpp": "z" }), "/gpp", "header_type"),
        (json!({ "gpp": "DBABTA~1Y+N" }), "/gpp", "alphabet"),
        (json!({ "gpp": "DBABTA=~1YNN" }), "/gpp", "alphabet"),
        (json!({ "gpp": "DCABTA~1YNN" }), "/gpp", "header_version"),
        (json!({ "gpp": "DBAB" }), "/gpp", "truncated"),
        (json!({ "gpp": "DBABTA" }), "/gpp", "section_count"),
        (json!({ "gpp": "DBABTA~1YNN~1YNN" }), "/gpp", "section_count"),
        (json!({ "gpp": "DBABTA~" }), "/gpp", "empty_section"),
        (json!({ "gpp": "DBABBg~BAA" }), "/gpp", "truncated"),
        (json!({ "gpp": "DBABBg~BwAAAABA" }), "/gpp", "value"),
        (json!({ "gpp": "DBABBg~CVWSSSVY" }), "/gpp", "section_version"),
        (json!({ "gpp": "DBABBg~BVWSSSVY.YA.YA" }), "/gpp", "subsection"),
        (json!({ "gpp": long }), "/gpp", "too_long"),
        (json!({ "gpp_sid": [8] }), "/gpp_sid", "section_ids"),
        (json!({ "gpp": "DBABTA~1YNN", "gpp_sid": [0] }), "/gpp_sid/0", "signal_malformed"),
        (json!({ "gpp": "DBABTA~1YNN", "gpp_sid": [8, -1] }), "/gpp_sid/1", "signal_malformed"),
        (json!({ "tc": "" }), "/tc", "truncated"),
        (json!({ "tc": "CQSbk4AQSbk4" }), "/tc", "truncated"),
        (json!({ "tc": "DBABTA~1YNN" }), "/tc", "alphabet"),
        (json!({ "tc": "EQSbk4AQSbk4ANwAAAENAwCgAAAAAAAAAAYgACPAAAAA" }), "/tc", "section_version"),
        (json!({ "tc": format!("{TC_WITHOUT}.YAAAAAAAAAAA") }), "/tc", "subsection"),
    ] {
        let mut body = signal.clone();
        body["device"] = "d-1".into();
        // Nothing of it is stored, not even what was not malformed.
        let problem = signals(&gateway, true, &body).await.expect_problem(422, "signal_malformed").json();
        let fault = problem["errors"][0].clone();
        assert_eq!(fault["pointer"], pointer, "{signal}: {problem}");
        let is_told =
            fault["detail"].as_str().unwrap().contains(&format!("[{reason}")) || reason == "signal_malformed";
        assert!(is_told, "{signal}: {problem}");
    }
    for (body, code, pointer) in [
        (json!({ "gpp_sid": [] , "gpp": "DBABTA~1YNN" }), "empty", "/gpp_sid"),
        (json!({ "gpp_sid": vec![8; 33], "gpp": "DBABTA~1YNN" }), "too_many", "/gpp_sid"),
        (json!({ "gpp_sid": "8", "gpp": "DBABTA~1YNN" }), "invalid_field", "/gpp_sid"),
        (json!({ "gpp": 7 }), "invalid_field", "/gpp"),
        (json!({ "gpc": 1 }), "invalid_field", "/gpc"),
        (json!({ "device": "" }), "invalid_identifier", "/device"),
        (json!({ "device": "a b" }), "invalid_identifier", "/device"),
        (json!({ "device": "ü" }), "invalid_identifier", "/device"),
        (json!({ "device": "d".repeat(129) }), "too_long", "/device"),
        (json!({ "profile": "a\u{0}b" }), "control_character", "/profile"),
        (json!({ "subject": {} }), "missing_field", "/subject"),
        (json!({ "subject": { "email": "nobody" } }), "invalid_identifier", "/subject/email"),
        (json!({ "subject": { "email": "a@b.example" }, "token": "w1_0" }), "invalid_field", "/token"),
        (json!({ "token": "w1_0" }), "invalid_token", "/token"),
        (json!({ "region": "California" }), "too_long", "/region"),
        (json!({ "region": "us" }), "invalid_region", "/region"),
        (json!({ "captured_at": "2030-01-01T00:00:00Z" }), "captured_in_future", "/captured_at"),
        (json!({ "cookie": "x" }), "unknown_field", "/cookie"),
    ] {
        let problem = signals(&gateway, true, &body).await.expect_problem(422, code).json();
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{body}: {problem}");
    }
    for (kind, body, status) in [
        ("text/plain", "{}", 415),
        ("application/json", "{", 400),
        ("application/json", "[]", 422),
        ("", "x", 415),
    ] {
        let request = gateway.request("POST", "/v1/signals").header("sec-gpc", "1").header("content-type", kind);
        assert_eq!(gateway.send(request.body(body)).await.status, status, "{kind} {body}");
    }
    let huge = gateway.request("POST", "/v1/signals").header("content-type", "application/json");
    gateway.send(huge.body(vec![b' '; 200_000])).await.expect_problem(413, "payload_too_large");
    assert_eq!((gateway.database().stored().await, gateway.expect_sound_ledger().await.entries), before);
}

async fn strings_are_kept_byte_for_byte_and_nowhere_in_the_clear(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (carla, officer) = (known(&gateway, "carla", "US-CA").await, gateway.officer().await);
    // Padded otherwise than the official library pads: it is kept as it came.
    let gpp = "DBABBgAA~BVWSSSVY.YA";
    let device = format!("device-{MARK}");
    let body = json!({
        "device": device, "subject": { "email": carla.email }, "gpp": gpp, "gpp_sid": [8], "tc": TC_WITHOUT,
    });
    signals(&gateway, true, &body).await.expect(200);
    let of_device = officer.opens("access", json!({ "device": device })).await.expect(201).json();
    for copy in [officer.copy(&carla).await, of_device["document"].clone()] {
        let events = copy["events"].as_array().unwrap();
        let received = events.iter().find(|event| event["event"] == "SIGNAL_RECEIVED").unwrap();
        assert_eq!(received["signal"], json!({ "gpp": gpp, "gpp_sid": [8], "tc": TC_WITHOUT }));
        assert_eq!(received["source"], "signal");
    }
    assert_eq!(of_device["document"]["identifiers"], json!(["device"]));
    let all = gateway.database().everything().await;
    for secret in [gpp, TC_WITHOUT, "BVWSSSVY", &*device] {
        crate::erasure::expect_no_trace(&all, secret);
    }
    gateway.expect_sound_ledger().await;
}

async fn an_answer_never_tells_whether_a_person_is_known(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let carla = known(&gateway, "carla", "US-CA").await;
    carla.asks("opt_out_sale_share").await;
    carla.opts_in_twice(SHARE, false).await;
    let nobody = gateway.person("nobody");
    for body in
        [json!({}), json!({ "gpp": "DBABTA~1YYN" }), json!({ "tc": TC_WITHOUT }), json!({ "region": "DE" })]
    {
        for gpc in [true, false] {
            let mut answers = BTreeSet::new();
            for person in [&carla, &nobody] {
                let mut body = body.clone();
                body["subject"] = json!({ "email": person.email });
                let mut answer = signals(&gateway, gpc, &body).await.expect(200).json();
                assert!(answer["status"].is_null() && answer["status_token"].is_null());
                answer["processed_at"].take();
                answers.insert(answer.to_string());
            }
            assert_eq!(answers.len(), 1, "{answers:?}");
        }
    }
}

async fn a_signal_sent_again_adds_nothing(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let carla = known(&gateway, "carla", "US-CA").await;
    let body = json!({
        "device": "d-1", "profile": "p-1", "subject": { "email": carla.email }, "gpp": "DBABBg~BVWSSSVY.YA", "tc": TC_WITHOUT,
    });
    signals(&gateway, true, &body).await.expect(200);
    let (stored, entries) = (gateway.database().stored().await, gateway.expect_sound_ledger().await.entries);
    for _ in 0..3 {
        signals(&gateway, true, &body).await.expect(200);
        carla.signals("1").await.expect(201);
    }
    assert_eq!(gateway.database().stored().await["consent_event"], stored["consent_event"]);
    assert_eq!(gateway.database().stored().await["subject"], stored["subject"]);
    let operator_entries = gateway.expect_sound_ledger().await.entries;
    assert!(operator_entries <= entries + 3, "{operator_entries} {entries}");
}

async fn a_region_in_a_signal_declares_nothing(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (mailer, officer) = (gateway.mailer().await, gateway.officer().await);
    let zoe = gateway.person("zoe").of_region(None);
    gateway.shop().await.sends(&[Line::of(&zoe, json!({ "interest_topic": "books" }))]).await;
    // Of an unknown regime nothing is permitted; a signal from California does not change that.
    for gpc in [true, false] {
        let body = json!({ "subject": { "email": zoe.email }, "region": "US-CA", "gpp": "DBABTA~1YNN" });
        signals(&gateway, gpc, &body).await.expect(200);
        assert!(!mailer.may_know(&zoe).await && gateway.adnetwork().await.knows().await.is_empty());
    }
    assert_eq!(officer.copy(&zoe).await["standing"]["regimes"], json!(["UNKNOWN"]));
}

async fn an_erased_device_is_forgotten(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let officer = gateway.officer().await;
    let device = signals(&gateway, true, &json!({ "device": "d-1" })).await.expect(200).json();
    let erased = officer.opens("erasure", json!({ "device": "d-1" })).await.expect(201).json();
    assert_eq!(erased["outcome"], "erased");
    signals(&gateway, false, &json!({ "status_token": device["status_token"] }))
        .await
        .expect_problem(422, "invalid_token");
    let again = officer.opens("access", json!({ "device": "d-1" })).await.expect(201).json();
    assert_eq!(again["document"]["processing"], false);
    for subject in [
        json!({ "device": "d", "profile": "p" }),
        json!({ "device": "d", "email": "a@b.example" }),
        json!({ "device": "" }),
    ] {
        officer.opens("access", subject).await.expect(422);
    }
}
