//! Capture: what counts as consent, and what is kept of it (rows CAP of the law).

use serde_json::json;

use crate::harness::{Backend, Line, TestGateway, policy_with};

on_both!(
    cap_02_each_purpose_is_chosen_by_itself,
    cap_03_a_grant_without_its_proof_is_refused,
    cap_03_the_proof_is_kept_and_shown,
    cap_04_a_grant_bundled_with_terms_is_void,
    cap_05_a_grant_that_a_service_depends_on_is_void,
    cap_07_a_consent_is_good_only_for_the_controllers_its_notice_names,
    cap_08_special_categories_need_an_explicit_consent,
    cap_10_and_12_what_is_no_act_is_no_consent,
    cap_11_declining_is_as_plain_and_as_short_as_accepting,
    cap_19_a_late_post_does_not_resurrect_a_consent,
    cap_20_a_field_that_the_form_does_not_have_reaches_neither_storage_nor_log,
    cap_21_a_new_person_has_permitted_nothing,
    one_address_is_one_person_however_it_is_spelt,
);

async fn cap_02_each_purpose_is_chosen_by_itself(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, officer) = (gateway.person("anna"), gateway.officer().await);
    let mut flag = anna.post(&[]);
    flag["purposes"] = json!(["email_marketing", "profiling_segmentation"]);
    flag["granted"] = true.into();
    anna.sends(&flag).await.expect_problem(422, "unknown_field");
    let mut both = anna.post(&[]);
    both["choices"] = json!([{ "purpose": ["email_marketing", "profiling_segmentation"], "choice": "give" }]);
    anna.sends(&both).await.expect_problem(422, "invalid_field");
    let twice = anna.post(&[("email_marketing", "give"), ("email_marketing", "refuse")]);
    anna.sends(&twice).await.expect_problem(422, "duplicate");
    assert!(!officer.holds(&anna).await);
    let apart = anna.post(&[("email_marketing", "give"), ("profiling_segmentation", "refuse")]);
    let receipt = anna.sends(&apart).await.expect(201).json();
    assert_eq!(
        receipt["events"],
        json!([
            { "event": "GRANT_CONFIRMED", "purpose": "email_marketing" },
            { "event": "REFUSED", "purpose": "profiling_segmentation" },
        ])
    );
    assert!(gateway.mailer().await.may_know(&anna).await);
    assert!(gateway.segmentation().await.knows().await.is_empty());
}

async fn cap_03_a_grant_without_its_proof_is_refused(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let anna = gateway.person("anna");
    let before = gateway.database().stored().await;
    for (member, code) in [
        ("notice", "missing_field"),
        ("captured_at", "grant_without_captured_at"),
        ("evidence", "evidence_missing"),
        ("form", "missing_field"),
    ] {
        let mut post = anna.post(&[("email_marketing", "give")]);
        post.as_object_mut().unwrap().remove(member).unwrap();
        anna.sends(&post).await.expect_problem(422, code);
    }
    for member in ["action", "default_state", "presentation"] {
        let mut post = anna.post(&[("email_marketing", "give")]);
        post["evidence"].as_object_mut().unwrap().remove(member).unwrap();
        anna.sends(&post).await.expect_problem(422, "missing_field");
    }
    let mut post = anna.post(&[("email_marketing", "give")]);
    post["notice"] = format!("sha256:{}", "0".repeat(64)).into();
    anna.sends(&post).await.expect_problem(422, "notice_unknown");
    // The notice of another form was not shown here.
    post["notice"] = gateway.notice("newsletter", "en").into();
    anna.sends(&post).await.expect_problem(422, "notice_unknown");
    assert_eq!(gateway.database().stored().await, before);
}

async fn cap_03_the_proof_is_kept_and_shown(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let anna = gateway.person("anna");
    let mut post = anna.post(&[("email_marketing", "give")]);
    post["evidence"]["options"] = json!(["Subscribe", "No, thanks"]);
    post["evidence"]["steps_accept"] = 1.into();
    post["evidence"]["steps_decline"] = 1.into();
    post["evidence"]["page"] = "https://www.example.com/checkout?session=secret#top".into();
    let receipt = anna.sends(&post).await.expect(201).json();
    let copy = gateway.officer().await.copy(&anna).await;
    let given =
        copy["events"].as_array().unwrap().iter().find(|event| event["event"] == "GRANT_CONFIRMED").unwrap();
    assert_eq!(given["purpose"], "email_marketing");
    assert_eq!(given["captured_at"], post["captured_at"]);
    assert_eq!(given["received_at"], receipt["recorded_at"]);
    assert_eq!(given["receipt"], receipt["receipt"]);
    assert_eq!(given["notice"]["digest"], post["notice"]);
    assert!(given["notice"]["shown"]["text"].as_str().unwrap().contains("Example Shop GmbH"));
    assert_eq!(given["controllers"], json!(["example_shop", "example_ads"]));
    assert_eq!(
        given["evidence"],
        json!({
            "action": "checkbox_ticked", "preselected": false, "presentation": "separate",
            "conditional_on_service": false, "options": ["Subscribe", "No, thanks"], "steps_accept": 1,
            "steps_decline": 1, "statement": null, "locale": "en", "page": "https://www.example.com/checkout",
            "mailbox": null,
        })
    );
}

/// A grant in a form that the law does not accept: kept as evidence, never in force.
async fn void(backend: Backend, member: &str, value: serde_json::Value) {
    let gateway = TestGateway::start(backend).await;
    let (anna, mailer, officer) = (gateway.person("anna"), gateway.mailer().await, gateway.officer().await);
    let mut post = anna.post(&[("email_marketing", "give")]);
    post["evidence"][member] = value;
    let receipt = anna.sends(&post).await.expect(201).json();
    assert_eq!(receipt["events"], json!([{ "event": "GRANT_INVALID", "purpose": "email_marketing" }]));
    assert!(!mailer.may_know(&anna).await);
    assert!(officer.events(&anna).await.contains(&"GRANT_INVALID".to_owned()));
    // A refusal needs no such purity, and a good grant afterwards is one.
    anna.gives(&["email_marketing"]).await;
    assert!(mailer.may_know(&anna).await);
}

async fn cap_04_a_grant_bundled_with_terms_is_void(backend: Backend) {
    void(backend, "presentation", "bundled_with_terms".into()).await;
}

async fn cap_05_a_grant_that_a_service_depends_on_is_void(backend: Backend) {
    void(backend, "conditional_on_service", true.into()).await;
}

async fn cap_07_a_consent_is_good_only_for_the_controllers_its_notice_names(backend: Backend) {
    // V22: the notice names the shop alone; the ad network is a controller of its own.
    let named = "controllers = [\"example_shop\", \"example_ads\"]";
    let policy = policy_with(&[("notices/checkout-1.toml", named, "controllers = [\"example_shop\"]")]);
    for (policy, knows) in [(policy, 0), (consentry::assets::shipped_policy(), 1)] {
        let gateway = TestGateway::start_under(backend, policy).await;
        gateway.person("anna").gives(&["share_third_party", "email_marketing"]).await;
        assert_eq!(gateway.adnetwork().await.knows().await.len(), knows);
        assert!(gateway.mailer().await.may_know(&gateway.person("anna")).await);
    }
}

async fn cap_08_special_categories_need_an_explicit_consent(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let anna = gateway.person("anna");
    let segmentation = gateway.segmentation().await.asking_for("sensitive_segmentation");
    gateway.shop().await.sends(&[Line::of(&anna, json!({ "health_interest": "sleep" }))]).await;
    anna.gives(&["sensitive_segmentation", "profiling_segmentation"]).await;
    assert!(segmentation.knows().await.is_empty());
    let mut post = anna.post(&[("sensitive_segmentation", "give")]);
    post["choices"][0]["explicit"] = true.into();
    for statement in [json!(null), json!(""), json!("  ")] {
        post["evidence"]["statement"] = statement;
        anna.sends(&post).await.expect_problem(422, "evidence_missing");
    }
    assert!(segmentation.knows().await.is_empty());
    post["evidence"]["statement"] = "Yes, use my health interests to choose what I am shown.".into();
    anna.sends(&post).await.expect(201);
    assert_eq!(segmentation.pulls().await.rows[0]["health_interest"], "sleep");
    // And never for a purpose that is not the sensitive one.
    let segmentation = segmentation.asking_for("profiling_segmentation");
    assert!(segmentation.pulls().await.rows[0]["health_interest"].is_null());
}

async fn cap_10_and_12_what_is_no_act_is_no_consent(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let anna = gateway.person("anna");
    let before = gateway.database().stored().await;
    for action in ["close_banner", "hover", "scroll", "mute", "continue_browsing", "accept_terms", "navigate_away"]
    {
        let mut post = anna.post(&[("email_marketing", "give")]);
        post["evidence"]["action"] = action.into();
        anna.sends(&post).await.expect_problem(422, "evidence_not_affirmative");
    }
    let mut post = anna.post(&[("email_marketing", "give")]);
    post["evidence"]["action"] = "telepathy".into();
    anna.sends(&post).await.expect_problem(422, "invalid_field");
    assert_eq!(gateway.database().stored().await, before);
    for action in ["checkbox_ticked", "button", "signed", "oral_recorded"] {
        let mut post = anna.post(&[("email_marketing", "give")]);
        post["evidence"]["action"] = action.into();
        anna.sends(&post).await.expect(201);
    }
}

async fn cap_11_declining_is_as_plain_and_as_short_as_accepting(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let anna = gateway.person("anna");
    let before = gateway.database().stored().await;
    let offered = |options: serde_json::Value, steps: Option<(u8, u8)>| {
        let mut post = anna.post(&[("email_marketing", "give")]);
        post["evidence"]["options"] = options;
        if let Some((accept, decline)) = steps {
            post["evidence"]["steps_accept"] = accept.into();
            post["evidence"]["steps_decline"] = decline.into();
        }
        post
    };
    for options in [json!(["Yes", "Ask me later"]), json!(["Accept all", "More information"])] {
        anna.sends(&offered(options, None)).await.expect_problem(422, "evidence_no_decline");
    }
    let longer = offered(json!(["Accept", "Decline"]), Some((1, 2)));
    anna.sends(&longer).await.expect_problem(422, "evidence_asymmetric");
    assert_eq!(gateway.database().stored().await, before);
    anna.sends(&offered(json!(["Accept", "Decline"]), Some((1, 1)))).await.expect(201);
}

async fn cap_19_a_late_post_does_not_resurrect_a_consent(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, mailer) = (gateway.person("anna"), gateway.mailer().await);
    anna.gives(&["email_marketing"]).await;
    let late = anna.post(&[("email_marketing", "give")]);
    anna.withdraws(&["email_marketing"]).await;
    gateway.later();
    // It is recorded, for it happened; it has no effect, for it happened before.
    anna.sends(&late).await.expect(201);
    assert!(!mailer.may_know(&anna).await);
    anna.gives(&["email_marketing"]).await;
    assert!(mailer.may_know(&anna).await);
}

async fn cap_20_a_field_that_the_form_does_not_have_reaches_neither_storage_nor_log(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let anna = gateway.person("anna");
    for value in ["1999-09-19", "q7canary-of-a-field"] {
        let mut post = anna.post(&[("email_marketing", "give")]);
        post["fields"] = json!({ "age_of_mother": value });
        anna.sends(&post).await.expect_problem(422, "field_not_on_form");
        let form =
            [("age_of_mother", value), ("email", &*anna.email), ("notice", &*gateway.notice("newsletter", "en"))];
        let answer = gateway.send(gateway.request("POST", "/forms/newsletter").form(&form)).await;
        answer.expect_problem(422, "unknown_field");
    }
    gateway.expect_sound_ledger().await;
    let stored = gateway.database().everything().await;
    for trace in ["age_of_mother", "1999-09-19", "q7canary"] {
        assert!(!stored.windows(trace.len()).any(|window| window == trace.as_bytes()), "{trace}");
        assert!(!crate::harness::log::kept().contains(trace), "{trace}");
    }
}

async fn cap_21_a_new_person_has_permitted_nothing(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let anna = gateway.person("anna");
    let shop = gateway.shop().await;
    shop.sends(&[Line::of(&anna, json!({ "birth_date": "1990-01-01", "first_name": "Anna" })).of_region("DE")])
        .await;
    let mailer = gateway.mailer().await;
    for purpose in ["email_marketing", "email_open_tracking", "link_tracking"] {
        let mailer = gateway.recipient("mailer", purpose).await;
        assert!(!mailer.may_know(&anna).await && mailer.knows().await.is_empty(), "{purpose}");
    }
    for purpose in ["profiling_segmentation", "sensitive_segmentation"] {
        assert!(gateway.recipient("segmentation", purpose).await.knows().await.is_empty(), "{purpose}");
    }
    assert!(gateway.adnetwork().await.knows().await.is_empty());
    // What needs no consent is not stopped by its absence.
    assert!(mailer.asking_for("service_transactional").may_know(&anna).await);
}

async fn one_address_is_one_person_however_it_is_spelt(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, mailer) = (gateway.person("anna"), gateway.mailer().await);
    anna.gives(&["email_marketing"]).await;
    for spelling in
        [anna.email.to_uppercase(), format!("  {} ", anna.email), anna.email.replace("example", "EXAMPLE")]
    {
        let mut post = anna.post(&[("profiling_segmentation", "give")]);
        post["subject"]["email"] = spelling.into();
        anna.sends(&post).await.expect(201);
    }
    assert_eq!(gateway.database().stored().await["subject"], 1);
    anna.withdraws(&["email_marketing"]).await;
    assert!(!mailer.may_know(&anna).await);
}
