//! The preference page behind the link of a mail: it shows how every purpose stands and only takes back.

use serde_json::{Value, json};

use crate::harness::{Backend, Line, TestGateway};

on_both!(
    sta_13_one_purpose_is_taken_back_on_the_page_and_the_others_stay,
    sta_14_everything_is_taken_back_with_one_button,
    sta_22_and_not_07_opting_out_and_limiting_take_effect_without_a_login,
    sta_23_the_person_sees_that_the_opt_out_was_processed_and_since_when,
    sta_25_a_processed_signal_is_displayed,
    obj_01_the_page_takes_an_objection,
    cap_13_the_page_asks_for_no_yes_and_gives_none,
    the_page_shows_how_every_purpose_stands_and_nothing_else_of_the_person,
    the_page_speaks_the_language_that_the_person_agreed_in,
    a_preference_link_ends_after_400_days_and_looks_like_a_forged_one,
    the_page_of_an_erased_person_says_that_nothing_is_held,
    what_is_no_button_changes_nothing,
);

fn state<'a>(data: &'a Value, purpose: &str) -> &'a Value {
    let purposes = data["purposes"].as_array().unwrap();
    &purposes.iter().find(|known| known["purpose"] == purpose).unwrap()["state"]
}

async fn sta_13_one_purpose_is_taken_back_on_the_page_and_the_others_stay(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, mailer, segmentation) =
        (gateway.person("anna"), gateway.mailer().await, gateway.segmentation().await);
    anna.gives(&["email_marketing", "profiling_segmentation"]).await;
    let link = anna.preference_link().await;
    let page = link.press("withdraw", "profiling_segmentation").await.expect(200);
    assert!(page.text().contains("role=\"status\""));
    assert!(mailer.may_know(&anna).await && segmentation.knows().await.is_empty());
    let data = link.data().await;
    assert_eq!(
        (state(&data, "email_marketing"), state(&data, "profiling_segmentation")),
        (&json!("on"), &json!("off"))
    );
}

async fn sta_14_everything_is_taken_back_with_one_button(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let anna = gateway.person("anna");
    let purposes = ["email_marketing", "link_tracking", "profiling_segmentation", "share_third_party"];
    anna.gives(&purposes).await;
    let link = anna.preference_link().await;
    link.press("withdraw_all", "yes").await.expect(200);
    let data = link.data().await;
    for purpose in purposes {
        assert_eq!(state(&data, purpose), "off", "{purpose}");
    }
    assert_eq!(state(&data, "service_transactional"), "necessary");
    assert!(!gateway.mailer().await.may_know(&anna).await);
    assert!(gateway.adnetwork().await.knows().await.is_empty());
    assert!(gateway.recipient("mailer", "service_transactional").await.may_know(&anna).await);
    // Again is the same.
    let officer = gateway.officer().await;
    let before = officer.events(&anna).await;
    link.press("withdraw_all", "yes").await.expect(200);
    assert_eq!(officer.events(&anna).await, before);
}

async fn sta_22_and_not_07_opting_out_and_limiting_take_effect_without_a_login(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (shop, adnetwork) = (gateway.shop().await, gateway.adnetwork().await);
    let sensitive = gateway.recipient("segmentation", "sensitive_segmentation").await;
    let carla = gateway.person("carla").of_region(Some("US-CA"));
    let attributes = json!({ "interest_topic": "books", "health_interest": "sleep", "birth_date": "1990-05-05" });
    shop.sends(&[Line::of(&carla, attributes).of_region("US-CA")]).await;
    assert_eq!((adnetwork.knows().await.len(), sensitive.knows().await.len()), (1, 1));
    let link = carla.preference_link().await;
    let page = link.get().await.expect(200).text();
    for words in ["Do not sell or share my personal information", "Limit the use of my sensitive"] {
        assert!(page.contains(words), "{words}");
    }
    link.press("opt_out", "yes").await.expect(200);
    assert_eq!((adnetwork.knows().await.len(), sensitive.knows().await.len()), (0, 1));
    link.press("limit", "yes").await.expect(200);
    assert_eq!(sensitive.knows().await.len(), 0);
    // First-party emails are another matter (STA-41).
    assert!(gateway.mailer().await.may_know(&carla).await);
}

async fn sta_23_the_person_sees_that_the_opt_out_was_processed_and_since_when(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let carla = gateway.person("carla").of_region(Some("US-CA"));
    gateway.shop().await.sends(&[Line::of(&carla, json!({ "interest_topic": "books" })).of_region("US-CA")]).await;
    let link = carla.preference_link().await;
    let before = link.data().await;
    assert_eq!(
        (&before["opted_out"], state(&before, "share_third_party")),
        (&json!({ "value": false }), &json!("on"))
    );
    let page = link.press("opt_out", "yes").await.expect(200).text();
    let since = gateway.later().plus_ms(-1).to_string();
    assert_eq!(link.data().await["opted_out"], json!({ "value": true, "since": since }));
    assert!(page.contains("Your personal information is not sold or shared since"), "{page}");
    assert!(page.contains(&format!("datetime=\"{since}\"")), "{page}");
}

async fn sta_25_a_processed_signal_is_displayed(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let carla = gateway.person("carla").of_region(Some("US-CA"));
    carla.signals("1").await.expect(201);
    let link = carla.preference_link().await;
    let data = link.data().await;
    assert_eq!(data["gpc_processed"]["value"], true);
    assert!(data["gpc_processed"]["since"].is_string());
    assert_eq!(data["gpc_display"], "Opt-Out Request Honored");
    let page = link.get().await.text();
    assert!(page.contains("Global Privacy Control") && page.contains("Opt-Out Request Honored"), "{page}");
    let anna = gateway.person("anna");
    anna.gives(&["email_marketing"]).await;
    let data = anna.preference_link().await.data().await;
    assert_eq!((&data["gpc_processed"], &data["gpc_display"]), (&json!({ "value": false }), &Value::Null));
}

async fn obj_01_the_page_takes_an_objection(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let anna = gateway.person("anna");
    anna.gives(&["email_marketing", "profiling_segmentation", "share_third_party"]).await;
    let link = anna.preference_link().await;
    link.press("object", "yes").await.expect(200);
    let data = link.data().await;
    assert_eq!(data["objected"]["value"], true);
    for purpose in ["email_marketing", "profiling_segmentation", "share_third_party"] {
        assert_eq!(state(&data, purpose), "off", "{purpose}");
    }
    assert!(!gateway.mailer().await.may_know(&anna).await);
    assert!(gateway.segmentation().await.knows().await.is_empty());
    assert!(gateway.adnetwork().await.knows().await.is_empty());
}

async fn cap_13_the_page_asks_for_no_yes_and_gives_none(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, mailer) = (gateway.person("anna"), gateway.mailer().await);
    anna.refuses(&["email_marketing"]).await;
    let link = anna.preference_link().await;
    let page = link.get().await.expect(200).text();
    // No box, no prompt, nothing preselected: only ways to stop, and links to the forms.
    assert!(!page.contains("<input") && !page.contains("checked") && !page.contains("value=\"give\""), "{page}");
    assert!(page.contains("href=\"/forms/newsletter\""));
    let before = gateway.database().stored().await;
    for (name, value) in [("give", "email_marketing"), ("purpose.email_marketing", "give"), ("withdraw_all", "no")]
    {
        assert_eq!(link.press(name, value).await.status, 422, "{name}");
    }
    assert_eq!(gateway.database().stored().await, before);
    assert!(!mailer.may_know(&anna).await);
}

async fn the_page_shows_how_every_purpose_stands_and_nothing_else_of_the_person(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let anna = gateway.person("anna");
    let mut post = anna.post(&[("email_marketing", "give"), ("profiling_segmentation", "refuse")]);
    post["fields"] = json!({ "first_name": "Anna q7canary", "city": "q7canary-town" });
    anna.sends(&post).await.expect(201);
    let link = anna.preference_link().await;
    let page = link.get().await.expect(200);
    assert_eq!(page.header("x-robots-tag"), Some("noindex, nofollow"));
    let (page, data) = (page.text(), link.data().await);
    assert_eq!(data["purposes"].as_array().unwrap().len(), gateway.gateway().policy().purposes().count());
    assert_eq!(state(&data, "email_marketing"), "on");
    assert_eq!(state(&data, "profiling_segmentation"), "off");
    assert!(page.contains("Offers and news by email") && !page.contains("<script"));
    assert!(!page.contains("q7canary") && !data.to_string().contains("q7canary"));
}

async fn the_page_speaks_the_language_that_the_person_agreed_in(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let anna = gateway.person("anna");
    let mut post = anna.post(&[("email_marketing", "give")]);
    post["notice"] = gateway.notice("checkout", "de").into();
    post["locale"] = "de".into();
    anna.sends(&post).await.expect(201);
    let page = anna.preference_link().await.get().await.text();
    assert!(page.contains("<html lang=\"de\">") && page.contains("Keine Werbung mehr an mich"), "{page}");
    let berta = gateway.person("berta");
    berta.asks("object_direct_marketing").await;
    let path = berta.preference_link().await.path;
    let asked = gateway.send(gateway.request("GET", &path).header("accept-language", "de")).await.text();
    assert!(asked.contains("<html lang=\"de\">"));
    assert!(gateway.get(&path).await.text().contains("<html lang=\"en\">"));
}

async fn a_preference_link_ends_after_400_days_and_looks_like_a_forged_one(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let anna = gateway.person("anna");
    anna.gives(&["email_marketing"]).await;
    let link = anna.preference_link().await;
    gateway.clock().advance_ms(400 * 86_400_000);
    link.get().await.expect(200);
    gateway.clock().advance_ms(86_400_000);
    let (late, forged) = (link.get().await, gateway.get("/preferences/r1_AAAA").await);
    let body = |answer: &crate::harness::Answer| {
        let mut body = answer.json();
        body.as_object_mut().unwrap().remove("request_id");
        body
    };
    assert_eq!((late.status, body(&late)), (404, body(&forged)));
    link.press("withdraw_all", "yes").await.expect_problem(404, "not_found");
}

async fn the_page_of_an_erased_person_says_that_nothing_is_held(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, officer) = (gateway.person("anna"), gateway.officer().await);
    anna.gives(&["email_marketing"]).await;
    let link = anna.preference_link().await;
    officer.erases(&anna).await;
    let before = gateway.database().stored().await;
    assert!(link.get().await.expect(200).text().contains("We hold nothing about you"));
    assert_eq!(link.data().await["held"], false);
    link.press("withdraw_all", "yes").await.expect(200);
    assert_eq!(gateway.database().stored().await, before);
}

async fn what_is_no_button_changes_nothing(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let anna = gateway.person("anna");
    anna.gives(&["email_marketing"]).await;
    let link = anna.preference_link().await;
    let before = gateway.database().stored().await;
    link.get().await.expect(200);
    link.head().await.expect(200);
    let form = "application/x-www-form-urlencoded";
    for (kind, body, status, code) in [
        (form, "", 422, "invalid_field"),
        (form, "withdraw=email_marketing&withdraw_all=yes", 422, "invalid_field"),
        (form, "withdraw=no_such_purpose", 422, "unknown_purpose"),
        (form, "withdraw=q7canary%40example.org", 422, "unknown_purpose"),
        (form, "q7canary%40example.org=1", 422, "unknown_field"),
        (form, "object=maybe", 422, "invalid_field"),
        (form, "object=%ff", 400, "invalid_utf8"),
        ("application/json", "{\"object\":\"yes\"}", 415, "unsupported_media_type"),
    ] {
        link.post(kind, body).await.expect_problem(status, code);
    }
    assert_eq!(gateway.database().stored().await, before);
    assert!(gateway.mailer().await.may_know(&anna).await);
}
