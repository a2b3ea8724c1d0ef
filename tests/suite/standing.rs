//! What events mean over time (rows STA of the law), seen through what recipients get.

use kernel::clock::Clock as _;
use serde_json::json;

use crate::harness::{Backend, Line, TestGateway, policy_with};

on_both!(
    sta_01_the_token_of_the_receipt_takes_consent_back_in_one_step,
    sta_01_a_token_only_takes_back,
    sta_02_and_03_a_withdrawal_holds_at_once_and_the_past_stays_on_record,
    sta_06_a_breaking_version_needs_a_new_consent_and_a_compatible_one_does_not,
    sta_07_and_08_a_consent_runs_out_at_the_read,
    sta_07_the_history_shows_that_a_consent_ran_out,
    sta_12_at_the_same_instant_the_denial_wins,
    sta_13_withdrawing_one_purpose_leaves_the_others,
    sta_14_everything_can_be_withdrawn_at_once,
    sta_20_a_californian_adult_is_shared_until_she_opts_out,
    sta_24_only_exactly_1_is_the_signal,
    sta_41_opting_out_of_sale_and_of_emails_are_two_things,
);

async fn sta_01_the_token_of_the_receipt_takes_consent_back_in_one_step(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, mailer) = (gateway.person("anna"), gateway.mailer().await);
    let token = anna.gives(&["email_marketing"]).await["withdrawal_token"].clone();
    assert!(mailer.may_know(&anna).await);
    gateway.later();
    let withdrawal =
        json!({ "token": token, "choices": [{ "purpose": "email_marketing", "choice": "withdraw" }] });
    let receipt = anna.sends(&withdrawal).await.expect(201).json();
    assert_eq!(receipt["events"], json!([{ "event": "WITHDRAWN", "purpose": "email_marketing" }]));
    assert!(!mailer.may_know(&anna).await);
}

async fn sta_01_a_token_only_takes_back(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, berta) = (gateway.person("anna"), gateway.person("berta"));
    let token = anna.gives(&["email_marketing"]).await["withdrawal_token"].as_str().unwrap().to_owned();
    berta.gives(&["email_marketing"]).await;
    let before = gateway.database().stored().await;
    let mut give = anna.post(&[("profiling_segmentation", "give")]);
    give.as_object_mut().unwrap().remove("subject");
    give["token"] = token.clone().into();
    anna.sends(&give).await.expect_problem(422, "invalid_field");
    let withdrawal = |token: &str| json!({ "token": token, "choices": [{ "purpose": "email_marketing", "choice": "withdraw" }] });
    // Every altered token is nobody's.
    for at in 0..token.len() {
        let mut altered = token.clone().into_bytes();
        altered[at] = if altered[at] == b'0' { b'1' } else { b'0' };
        let altered = String::from_utf8(altered).unwrap();
        if altered != token {
            anna.sends(&withdrawal(&altered)).await.expect_problem(422, "invalid_token");
        }
    }
    assert_eq!(gateway.database().stored().await, before);
    gateway.later();
    anna.sends(&withdrawal(&token)).await.expect(201);
    let mailer = gateway.mailer().await;
    assert!(!mailer.may_know(&anna).await && mailer.may_know(&berta).await);
}

async fn sta_02_and_03_a_withdrawal_holds_at_once_and_the_past_stays_on_record(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, segmentation, officer) =
        (gateway.person("anna"), gateway.segmentation().await, gateway.officer().await);
    anna.gives(&["profiling_segmentation"]).await;
    let name = segmentation.knows().await.into_iter().next().unwrap();
    anna.withdraws(&["profiling_segmentation"]).await;
    assert!(segmentation.knows().await.is_empty());
    assert!(segmentation.looks_up_names(&[&name]).await.profiles().is_empty());
    gateway.clock().advance_ms(86_400_000);
    assert!(segmentation.knows().await.is_empty());
    let copy = officer.copy(&anna).await;
    let disclosures = copy["disclosures"].as_array().unwrap();
    assert_eq!(
        (disclosures.len(), &disclosures[0]["times"], &disclosures[0]["pseudonym"]),
        (1, &json!(1), &json!(name))
    );
    let events = officer.events(&anna).await;
    assert!(events.ends_with(&["GRANT_CONFIRMED".to_owned(), "WITHDRAWN".to_owned()]), "{events:?}");
}

/// The shipped policy with a second version of the email purpose.
fn second_version_of_emails(kind: &str) -> kernel::policy::document::PolicySources {
    let heading = "id = \"email_marketing\"\n";
    let record = if kind == "compatible" { "compatibility_record = \"CT-2026-7\"\n" } else { "" };
    let change = format!(
        "[[purpose.change]]\nversion = 2\nkind = \"{kind}\"\nsummary = \"Offers of partners are in it, too.\"\n{record}\n\
         [[purpose]]\nid = \"email_open_tracking\""
    );
    policy_with(&[
        ("purposes.toml", heading, &format!("{heading}version = 2\n")),
        ("purposes.toml", "[[purpose]]\nid = \"email_open_tracking\"", &change),
    ])
}

async fn sta_06_a_breaking_version_needs_a_new_consent_and_a_compatible_one_does_not(backend: Backend) {
    for (kind, still) in [("compatible", true), ("breaking", false)] {
        let gateway = TestGateway::start(backend).await;
        gateway.person("anna").gives(&["email_marketing", "profiling_segmentation"]).await;
        let gateway = gateway.under(second_version_of_emails(kind)).await;
        let (anna, mailer) = (gateway.person("anna"), gateway.mailer().await);
        assert_eq!(mailer.may_know(&anna).await, still, "{kind}");
        // What did not change is not affected.
        assert_eq!(gateway.segmentation().await.knows().await.len(), 1);
        anna.gives(&["email_marketing"]).await;
        assert!(mailer.may_know(&anna).await, "{kind}");
    }
}

async fn sta_07_and_08_a_consent_runs_out_at_the_read(backend: Backend) {
    // No job runs in this suite unless a test runs it: the read decides.
    let gateway = TestGateway::start(backend).await;
    let (anna, mailer, adnetwork) = (gateway.person("anna"), gateway.mailer().await, gateway.adnetwork().await);
    gateway.clock().set("2026-11-30T09:00:00Z".parse().unwrap());
    anna.gives(&["email_marketing", "share_third_party"]).await;
    let knows = async |at: &str| {
        gateway.clock().set(at.parse().unwrap());
        (mailer.may_know(&anna).await, adnetwork.knows().await.len())
    };
    assert_eq!(knows("2027-11-30T09:00:00Z").await, (true, 1));
    assert_eq!(knows("2027-11-30T09:00:00.001Z").await, (true, 0));
    assert_eq!(knows("2028-11-30T09:00:00Z").await, (true, 0));
    assert_eq!(knows("2028-11-30T09:00:00.001Z").await, (false, 0));
    anna.gives(&["email_marketing"]).await;
    assert!(mailer.may_know(&anna).await);
}

async fn sta_07_the_history_shows_that_a_consent_ran_out(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, officer) = (gateway.person("anna"), gateway.officer().await);
    anna.gives(&["share_third_party"]).await;
    let state = async || {
        let copy = officer.copy(&anna).await;
        let purposes = copy["standing"]["purposes"].as_array().unwrap().clone();
        purposes.into_iter().find(|purpose| purpose["purpose"] == "share_third_party").unwrap()["state"].clone()
    };
    assert_eq!(state().await, "given");
    gateway.clock().set("2028-01-01T00:00:00Z".parse().unwrap());
    assert!(gateway.adnetwork().await.knows().await.is_empty());
    assert_eq!(state().await, "expired");
    let events = officer.events(&anna).await;
    assert!(events.contains(&"EXPIRED".to_owned()), "{events:?}");
}

async fn sta_12_at_the_same_instant_the_denial_wins(backend: Backend) {
    for denial_first in [false, true] {
        let gateway = TestGateway::start(backend).await;
        let (anna, mailer) = (gateway.person("anna"), gateway.mailer().await);
        let give = anna.post(&[("email_marketing", "give")]);
        let withdraw = json!({
            "subject": { "email": anna.email }, "choices": [{ "purpose": "email_marketing", "choice": "withdraw" }],
        });
        // The clock stands: both have the same instant.
        let at = gateway.clock().now();
        let posts = if denial_first { [&withdraw, &give] } else { [&give, &withdraw] };
        for post in posts {
            assert_eq!(anna.sends(post).await.expect(201).json()["recorded_at"], at.to_string());
        }
        assert!(!mailer.may_know(&anna).await, "denial first: {denial_first}");
    }
}

async fn sta_13_withdrawing_one_purpose_leaves_the_others(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, mailer, segmentation) =
        (gateway.person("anna"), gateway.mailer().await, gateway.segmentation().await);
    anna.gives(&["email_marketing", "profiling_segmentation"]).await;
    anna.withdraws(&["profiling_segmentation"]).await;
    assert!(mailer.may_know(&anna).await && segmentation.knows().await.is_empty());
}

async fn sta_14_everything_can_be_withdrawn_at_once(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let anna = gateway.person("anna");
    let mut post = anna.post(&[
        ("email_marketing", "give"),
        ("email_open_tracking", "give"),
        ("link_tracking", "give"),
        ("profiling_segmentation", "give"),
        ("share_third_party", "give"),
        ("sensitive_segmentation", "give"),
    ]);
    post["choices"][5]["explicit"] = true.into();
    post["evidence"]["statement"] = "Yes, all of it.".into();
    anna.sends(&post).await.expect(201);
    let recipients = [
        gateway.recipient("mailer", "email_marketing").await,
        gateway.recipient("mailer", "email_open_tracking").await,
        gateway.recipient("mailer", "link_tracking").await,
        gateway.recipient("segmentation", "profiling_segmentation").await,
        gateway.recipient("segmentation", "sensitive_segmentation").await,
        gateway.recipient("adnetwork", "share_third_party").await,
    ];
    for recipient in &recipients {
        assert_eq!(recipient.knows().await.len(), 1, "{}", recipient.purpose);
    }
    anna.asks("withdraw_all").await;
    for recipient in &recipients {
        assert_eq!(recipient.knows().await.len(), 0, "{}", recipient.purpose);
    }
    assert!(gateway.recipient("mailer", "service_transactional").await.may_know(&anna).await);
    assert_eq!(gateway.risk_check().await.knows().await.len(), 1);
}

async fn sta_20_a_californian_adult_is_shared_until_she_opts_out(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (shop, adnetwork) = (gateway.shop().await, gateway.adnetwork().await);
    let (carla, dora) = (gateway.person("carla").of_region(Some("US-CA")), gateway.person("dora"));
    let attributes = json!({ "birth_date": "1990-05-05", "interest_topic": "books" });
    shop.sends(&[
        Line::of(&carla, attributes.clone()).of_region("US-CA"),
        Line::of(&dora, attributes).of_region("DE"),
    ])
    .await;
    assert_eq!(adnetwork.knows().await.len(), 1);
    carla.asks("opt_out_sale_share").await;
    assert_eq!(adnetwork.knows().await.len(), 0);
}

async fn sta_24_only_exactly_1_is_the_signal(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (officer, adnetwork) = (gateway.officer().await, gateway.adnetwork().await);
    for (number, header) in ["0", "true", "", "1;q=1", "11"].into_iter().enumerate() {
        let person = gateway.person(&format!("quiet-{number}")).of_region(Some("US-CA"));
        person.signals(header).await.expect_problem(422, "empty");
        assert!(!officer.holds(&person).await, "{header}");
    }
    for (number, header) in ["1", " 1 ", "1, 1"].into_iter().enumerate() {
        let person = gateway.person(&format!("loud-{number}")).of_region(Some("US-CA"));
        let before = adnetwork.knows().await.len();
        gateway
            .shop()
            .await
            .sends(&[Line::of(&person, json!({ "interest_topic": "books" })).of_region("US-CA")])
            .await;
        assert_eq!(adnetwork.knows().await.len(), before + 1);
        let receipt = person.signals(header).await.expect(201).json();
        assert_eq!(
            (&receipt["events"], &receipt["gpc_processed"], &receipt["gpc_display"]),
            (&json!([{ "event": "SIGNAL_GPC" }]), &json!(true), &json!("Opt-Out Request Honored")),
            "{header}"
        );
        assert_eq!(adnetwork.knows().await.len(), before, "{header}");
    }
    // Two lines of the header, as a proxy may leave them.
    let person = gateway.person("twice").of_region(Some("US-CA"));
    gateway.later();
    let request = gateway.request("POST", "/v1/consents").header("sec-gpc", "0").header("sec-gpc", "1");
    let answer = gateway.send(request.json(&json!({ "subject": { "email": person.email } }))).await.expect(201);
    assert_eq!(answer.json()["gpc_processed"], true);
}

async fn sta_41_opting_out_of_sale_and_of_emails_are_two_things(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (shop, mailer, adnetwork) = (gateway.shop().await, gateway.mailer().await, gateway.adnetwork().await);
    let (carla, dora) =
        (gateway.person("carla").of_region(Some("US-CA")), gateway.person("dora").of_region(Some("US-CA")));
    for person in [&carla, &dora] {
        shop.sends(&[Line::of(person, json!({ "interest_topic": "books" })).of_region("US-CA")]).await;
    }
    assert_eq!(adnetwork.knows().await.len(), 2);
    carla.signals("1").await.expect(201);
    dora.withdraws(&["email_marketing"]).await;
    assert!(mailer.may_know(&carla).await && !mailer.may_know(&dora).await);
    assert_eq!(adnetwork.knows().await.len(), 1);
}
