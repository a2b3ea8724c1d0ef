//! The unsubscribe link of a mail (RFC 8058; rows EML, OBJ and STA of the law).

use kernel::capability::Stop;
use serde_json::json;

use crate::harness::{Answer, Backend, Line, TestGateway, policy_with};

on_both!(
    eml_03_one_click_unsubscribes_at_once_without_cookies_and_again_changes_nothing,
    eml_03_both_encodings_of_the_one_click_are_taken,
    eml_03_following_the_link_changes_nothing,
    eml_03_any_other_body_is_a_400_and_changes_nothing,
    eml_03_two_clicks_at_the_same_time_are_one_event,
    eml_04_a_forged_link_gets_one_uniform_answer,
    eml_04_an_erased_person_is_answered_alike_and_nothing_happens,
    eml_05_the_page_asks_for_nothing,
    obj_01_an_objection_stops_all_marketing_at_once,
    obj_03_one_click_on_a_link_for_all_marketing_objects,
    obj_04_and_sta_22_the_link_is_all_that_is_needed,
    obj_06_the_page_offers_the_list_and_all_and_they_are_two_things,
    sta_01_unsubscribing_takes_one_step,
    sta_41_unsubscribing_stops_emails_under_an_opt_out_regime_and_not_sharing,
    sta_42_and_43_the_link_of_a_mail_sent_59_days_ago_works,
    sta_42_the_link_works_when_its_purpose_left_the_policy,
    an_unsubscribe_is_heard_where_marketing_needs_no_consent,
    after_a_new_yes_the_old_link_works_again,
);

fn list() -> Stop {
    Stop::List("email_marketing".parse().unwrap())
}

fn expect_page(answer: &Answer) {
    assert_eq!((answer.status, answer.content_type()), (200, "text/html"), "{answer:?}");
    assert_eq!(answer.header("set-cookie"), None);
    assert_eq!(answer.header("location"), None);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
    assert_eq!(answer.header("x-robots-tag"), Some("noindex, nofollow"));
    assert!(answer.header("content-security-policy").unwrap().starts_with("default-src 'none'"));
}

async fn eml_03_one_click_unsubscribes_at_once_without_cookies_and_again_changes_nothing(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, mailer, officer) = (gateway.person("anna"), gateway.mailer().await, gateway.officer().await);
    anna.gives(&["email_marketing", "email_open_tracking"]).await;
    assert!(mailer.may_know(&anna).await);
    let link = anna.unsubscribe_link(&list()).await;
    let first = link.one_click().await;
    expect_page(&first);
    assert!(!mailer.may_know(&anna).await);
    let before = officer.events(&anna).await;
    assert_eq!(before.iter().filter(|event| *event == "WITHDRAWN").count(), 1);
    let second = link.one_click().await;
    expect_page(&second);
    assert_eq!(second.text(), first.text());
    assert_eq!(officer.events(&anna).await, before);
    // Its own list and no other (STA-13).
    let tracking = gateway.recipient("mailer", "email_open_tracking").await;
    assert!(tracking.may_know(&anna).await);
    gateway.expect_sound_ledger().await;
}

async fn eml_03_both_encodings_of_the_one_click_are_taken(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let mailer = gateway.mailer().await;
    let multipart =
        "--B\r\nContent-Disposition: form-data; name=\"List-Unsubscribe\"\r\n\r\nOne-Click\r\n--B--\r\n";
    for (name, kind, body) in [
        ("urlencoded", "application/x-www-form-urlencoded", "List-Unsubscribe=One-Click"),
        ("multipart", "multipart/form-data; boundary=B", multipart),
    ] {
        let person = gateway.person(name);
        person.gives(&["email_marketing"]).await;
        let link = person.unsubscribe_link(&list()).await;
        expect_page(&link.post(kind, body).await);
        assert!(!mailer.may_know(&person).await, "{name}");
    }
}

async fn eml_03_following_the_link_changes_nothing(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, mailer) = (gateway.person("anna"), gateway.mailer().await);
    anna.gives(&["email_marketing"]).await;
    for stop in [list(), Stop::Marketing] {
        let link = anna.unsubscribe_link(&stop).await;
        let before = gateway.database().stored().await;
        let page = link.get().await;
        expect_page(&page);
        assert!(page.text().contains("<button") && !page.text().contains("<script"));
        let head = link.head().await;
        assert_eq!((head.status, head.body.len()), (200, 0));
        assert_eq!(gateway.database().stored().await, before);
    }
    assert!(mailer.may_know(&anna).await);
}

async fn eml_03_any_other_body_is_a_400_and_changes_nothing(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, mailer) = (gateway.person("anna"), gateway.mailer().await);
    anna.gives(&["email_marketing"]).await;
    let link = anna.unsubscribe_link(&list()).await;
    let before = gateway.database().stored().await;
    let form = "application/x-www-form-urlencoded";
    let long = format!("List-Unsubscribe=One-Click&x={}", "x".repeat(10_000));
    for (kind, body) in [
        (form, ""),
        (form, "List-Unsubscribe=One-click"),
        (form, "List-Unsubscribe=one-click"),
        (form, "list-unsubscribe=One-Click"),
        (form, "List-Unsubscribe=One-Click&List-Unsubscribe=One-Click"),
        (form, "List-Unsubscribe=One-Click&email=a%40b.example"),
        (form, "List-Unsubscribe=%ff"),
        (form, "List-Unsubscribe"),
        (form, "action=everything"),
        (form, &long),
        ("application/json", "{\"List-Unsubscribe\":\"One-Click\"}"),
        ("text/plain", "List-Unsubscribe=One-Click"),
        ("multipart/form-data; boundary=B", "List-Unsubscribe=One-Click"),
        ("multipart/form-data", "--B--"),
    ] {
        link.post(kind, body).await.expect_problem(400, "not_one_click");
    }
    gateway.send(gateway.request("POST", &link.path)).await.expect_problem(400, "not_one_click");
    assert_eq!(gateway.database().stored().await, before);
    assert!(mailer.may_know(&anna).await);
}

async fn eml_03_two_clicks_at_the_same_time_are_one_event(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, officer) = (gateway.person("anna"), gateway.officer().await);
    anna.gives(&["email_marketing"]).await;
    let link = anna.unsubscribe_link(&list()).await;
    let clicks = futures_util::future::join_all((0..8).map(|_| link.one_click())).await;
    for click in &clicks {
        expect_page(click);
    }
    let events = officer.events(&anna).await;
    assert_eq!(events.iter().filter(|event| *event == "WITHDRAWN").count(), 1, "{events:?}");
}

async fn eml_04_a_forged_link_gets_one_uniform_answer(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let anna = gateway.person("anna");
    anna.gives(&["email_marketing"]).await;
    let real = anna.unsubscribe_link(&list()).await.path;
    let preferences = anna.preference_link().await.path;
    let before = gateway.database().stored().await;
    let mut altered = real.clone();
    let last = altered.pop().unwrap();
    altered.push(if last == 'A' { 'Q' } else { 'A' });
    let forged = [
        altered,
        real.replace("u1_", "u2_"),
        preferences.replace("/preferences/r1_", "/unsubscribe/u1_"),
        format!("{real}AAAA"),
        "/unsubscribe/u1_".to_owned(),
        format!("/unsubscribe/u1_{}", "A".repeat(83)),
        "/unsubscribe/anna%40example.org".to_owned(),
        real.replace("/unsubscribe/u1_", "/preferences/r1_"),
        "/preferences/r1_AAAA".to_owned(),
    ];
    let without_id = |answer: &Answer| {
        let mut body = answer.json();
        body.as_object_mut().unwrap().remove("request_id");
        body
    };
    let nowhere = without_id(&gateway.get("/unsubscribe/").await.expect_problem(404, "not_found"));
    for path in &forged {
        let link = gateway.link(&format!("http://gateway.test{path}"));
        let get = link.get().await.expect_problem(404, "not_found");
        assert_eq!(without_id(&get), nowhere, "{path}");
        for body in ["List-Unsubscribe=One-Click", "", "action=all"] {
            let post = link.post("application/x-www-form-urlencoded", body).await.expect_problem(404, "not_found");
            assert_eq!(without_id(&post), nowhere, "{path} {body}");
        }
    }
    assert_eq!(gateway.database().stored().await, before);
}

async fn eml_04_an_erased_person_is_answered_alike_and_nothing_happens(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, berta, officer) = (gateway.person("anna"), gateway.person("berta"), gateway.officer().await);
    anna.gives(&["email_marketing"]).await;
    berta.gives(&["email_marketing"]).await;
    let (gone, here) = (anna.unsubscribe_link(&list()).await, berta.unsubscribe_link(&list()).await);
    officer.erases(&anna).await;
    let before = gateway.database().stored().await;
    let of_gone = [gone.get().await, gone.one_click().await, gone.press("action", "all").await];
    assert_eq!(gateway.database().stored().await, before);
    let of_here = [here.get().await, here.one_click().await, here.press("action", "all").await];
    for (gone, here) in of_gone.iter().zip(&of_here) {
        expect_page(gone);
        assert_eq!(gone.text(), here.text());
    }
    assert!(!officer.holds(&anna).await);
    gateway.expect_sound_ledger().await;
}

async fn eml_05_the_page_asks_for_nothing(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let anna = gateway.person("anna");
    anna.gives(&["email_marketing"]).await;
    let page = anna.unsubscribe_link(&list()).await.get().await;
    expect_page(&page);
    let text = page.text();
    // Buttons, and nothing to fill in, to pay or to go on to.
    assert!(!text.contains("<input") && !text.contains("<select") && !text.contains("<textarea"), "{text}");
    assert!(!text.contains("<a ") && !text.contains("src=") && !text.contains("http"), "{text}");
    assert!(text.contains("<html lang=\"en\">") && text.contains("Offers and news by email"));
    let request = gateway.request("GET", &anna.unsubscribe_link(&list()).await.path);
    let german = gateway.send(request.header("accept-language", "de-AT, en;q=0.5")).await;
    assert!(german.text().contains("<html lang=\"de\">") && german.text().contains("Abmelden"));
}

async fn obj_01_an_objection_stops_all_marketing_at_once(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let anna = gateway.person("anna");
    let purposes = ["email_marketing", "email_open_tracking", "profiling_segmentation", "share_third_party"];
    anna.gives(&purposes).await;
    let recipients = [
        gateway.mailer().await,
        gateway.recipient("mailer", "email_open_tracking").await,
        gateway.segmentation().await,
        gateway.adnetwork().await,
    ];
    for recipient in &recipients {
        assert_eq!(recipient.knows().await.len(), 1, "{}", recipient.purpose);
    }
    anna.unsubscribe_link(&list()).await.press("action", "all").await.expect(200);
    for recipient in &recipients {
        assert_eq!(recipient.knows().await.len(), 0, "{}", recipient.purpose);
    }
    // What is no marketing goes on.
    assert!(gateway.recipient("mailer", "service_transactional").await.may_know(&anna).await);
}

async fn obj_03_one_click_on_a_link_for_all_marketing_objects(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, officer) = (gateway.person("anna"), gateway.officer().await);
    anna.gives(&["email_marketing", "profiling_segmentation"]).await;
    let link = anna.unsubscribe_link(&Stop::Marketing).await;
    expect_page(&link.one_click().await);
    expect_page(&link.one_click().await);
    let events = officer.events(&anna).await;
    assert_eq!(events.iter().filter(|event| *event == "OBJECTED").count(), 1, "{events:?}");
    assert!(!gateway.mailer().await.may_know(&anna).await);
    assert!(gateway.segmentation().await.knows().await.is_empty());
}

async fn obj_04_and_sta_22_the_link_is_all_that_is_needed(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, berta) = (gateway.person("anna"), gateway.person("berta").of_region(Some("US-CA")));
    anna.gives(&["email_marketing"]).await;
    // A foreign page, a cookie of somebody else's, credentials: none of it counts, for or against.
    let link = anna.unsubscribe_link(&Stop::Marketing).await;
    gateway.later();
    let request = gateway
        .request("POST", &link.path)
        .header("origin", "https://mail.example")
        .header("cookie", "session=x")
        .basic_auth("x", Some("y"));
    expect_page(&gateway.send(request.form(&[("List-Unsubscribe", "One-Click")])).await);
    assert!(!gateway.mailer().await.may_know(&anna).await);
    // By the address alone, nothing to prove and nothing to fill in (11 CCR §7026(d)).
    let receipt = berta.asks("opt_out_sale_share").await;
    assert_eq!(receipt["events"], json!([{ "event": "OPT_OUT_SALE_SHARE" }]));
    let requests =
        gateway.database().number("SELECT count(*) FROM rights_request WHERE completed_at IS NULL").await;
    assert_eq!(requests, 0, "an opt-out was sent to verification");
}

async fn obj_06_the_page_offers_the_list_and_all_and_they_are_two_things(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, berta, officer) = (gateway.person("anna"), gateway.person("berta"), gateway.officer().await);
    for person in [&anna, &berta] {
        person.gives(&["email_marketing", "profiling_segmentation"]).await;
    }
    let link = anna.unsubscribe_link(&list()).await;
    let page = link.get().await.text();
    assert!(page.contains("value=\"list\"") && page.contains("value=\"all\""), "{page}");
    expect_page(&link.press("action", "list").await);
    expect_page(&berta.unsubscribe_link(&list()).await.press("action", "all").await);
    let last = async |person| officer.events(person).await.pop().unwrap();
    assert_eq!((last(&anna).await.as_str(), last(&berta).await.as_str()), ("WITHDRAWN", "OBJECTED"));
    let mailer = gateway.mailer().await;
    assert!(!mailer.may_know(&anna).await && !mailer.may_know(&berta).await);
    // Of the two only anna may still be segmented.
    assert_eq!(gateway.segmentation().await.knows().await.len(), 1);
    // She can go on to object, with the same link.
    expect_page(&link.press("action", "all").await);
    assert!(gateway.segmentation().await.knows().await.is_empty());
}

async fn sta_01_unsubscribing_takes_one_step(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, mailer) = (gateway.person("anna"), gateway.mailer().await);
    anna.gives(&["email_marketing"]).await;
    let link = anna.unsubscribe_link(&list()).await;
    let steps = [link.one_click().await];
    assert!(steps.iter().all(|step| step.status == 200) && !mailer.may_know(&anna).await);
}

async fn sta_41_unsubscribing_stops_emails_under_an_opt_out_regime_and_not_sharing(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (shop, mailer, adnetwork) = (gateway.shop().await, gateway.mailer().await, gateway.adnetwork().await);
    let carla = gateway.person("carla").of_region(Some("US-CA"));
    shop.sends(&[Line::of(&carla, json!({ "interest_topic": "books" })).of_region("US-CA")]).await;
    assert!(mailer.may_know(&carla).await);
    assert_eq!(adnetwork.knows().await.len(), 1);
    expect_page(&carla.unsubscribe_link(&list()).await.one_click().await);
    assert!(!mailer.may_know(&carla).await);
    assert_eq!(adnetwork.knows().await.len(), 1);
}

async fn sta_42_and_43_the_link_of_a_mail_sent_59_days_ago_works(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let mailer = gateway.mailer().await;
    let people = [gateway.person("anna"), gateway.person("berta"), gateway.person("carla")];
    for (person, days) in people.iter().zip([59, 60, 400]) {
        person.gives(&["email_marketing"]).await;
        let (link, preferences) = (person.unsubscribe_link(&list()).await, person.preference_link().await);
        gateway.clock().advance_ms(days * 86_400_000);
        assert!(mailer.may_know(person).await);
        preferences.get().await.expect(200);
        expect_page(&link.one_click().await);
        assert!(!mailer.may_know(person).await, "{days}");
        gateway.clock().advance_ms(86_400_000);
    }
}

async fn sta_42_the_link_works_when_its_purpose_left_the_policy(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, officer) = (gateway.person("anna"), gateway.officer().await);
    anna.gives(&["email_marketing"]).await;
    let link = anna.unsubscribe_link(&Stop::List("an_old_list".parse().unwrap())).await;
    assert!(link.get().await.text().contains("an_old_list"));
    expect_page(&link.one_click().await);
    assert_eq!(officer.events(&anna).await.pop().unwrap(), "WITHDRAWN");
}

async fn an_unsubscribe_is_heard_where_marketing_needs_no_consent(backend: Backend) {
    let modes = "EU_GDPR = \"opt_in_or_soft\"\nUK_GDPR = \"opt_in_or_soft\"\nUS_CA = \"opt_out\"";
    let allowed = modes.replace("opt_in_or_soft\"\nUK", "allowed\"\nUK");
    let policy = policy_with(&[("purposes.toml", modes, &allowed)]);
    let gateway = TestGateway::start_under(backend, policy).await;
    let (shop, mailer, anna) = (gateway.shop().await, gateway.mailer().await, gateway.person("anna"));
    shop.sends(&[Line::of(&anna, json!({ "city": "Berlin" })).of_region("DE")]).await;
    assert!(mailer.may_know(&anna).await);
    expect_page(&anna.unsubscribe_link(&list()).await.one_click().await);
    assert!(!mailer.may_know(&anna).await);
}

async fn after_a_new_yes_the_old_link_works_again(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, mailer) = (gateway.person("anna"), gateway.mailer().await);
    anna.gives(&["email_marketing"]).await;
    let link = anna.unsubscribe_link(&list()).await;
    expect_page(&link.one_click().await);
    anna.gives(&["email_marketing"]).await;
    assert!(mailer.may_know(&anna).await);
    expect_page(&link.one_click().await);
    assert!(!mailer.may_know(&anna).await);
}
