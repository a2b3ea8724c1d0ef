//! The plain HTML form: it works without a script, no box is ticked beforehand, and what is wrong is said in words.

use serde_json::json;

use crate::harness::{Answer, Backend, TestGateway, policy_with};

on_both!(
    a_form_shows_its_notice_and_empty_boxes,
    a_ticked_box_gives_and_an_empty_one_refuses,
    both_encodings_of_a_form_are_taken,
    a_browser_gets_pages_and_a_program_gets_data,
    what_is_wrong_is_said_in_words_and_nothing_is_stored,
    pages_of_other_origins_may_not_post,
    a_browser_may_ask_whether_it_may_post,
    a_form_leads_back_to_its_shop,
    cap_19_a_form_that_the_browser_sends_again_brings_nothing_back,
);

const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

type Inputs<'a> = Vec<(&'a str, &'a str)>;

/// Submits a form as a browser does.
async fn submit(gateway: &TestGateway, form: &str, inputs: &[(&str, &str)], accept: &str) -> Answer {
    gateway.later();
    let request = gateway.request("POST", &format!("/forms/{form}")).header("accept", accept);
    gateway.send(request.form(inputs)).await
}

async fn a_form_shows_its_notice_and_empty_boxes(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    for (language, lang, title) in [
        ("en", "en", "Offers and news by email"),
        ("de-AT, en;q=0.5", "de", "Datenschutz"),
        ("fr", "en", "Offers"),
    ] {
        let request = gateway.request("GET", "/forms/newsletter").header("accept-language", language);
        let page = gateway.send(request).await.expect(200);
        assert_eq!((page.content_type(), page.header("content-language")), ("text/html", Some(lang)));
        let csp = page.header("content-security-policy").unwrap();
        assert!(csp.contains("default-src 'none'") && csp.contains("form-action 'self'"), "{csp}");
        let html = page.text();
        assert!(html.contains(&format!("<html lang=\"{lang}\">")) && html.contains(title), "{language}: {html}");
        assert!(html.contains(&gateway.notice("newsletter", lang)));
        assert!(html.contains("privacy@shop.example"));
        assert!(!html.contains("checked") && !html.contains("<script"));
        let boxes: Vec<_> = html.matches("type=\"checkbox\"").collect();
        assert_eq!(boxes.len(), 4);
        for input in ["email", "first_name", "purpose.email_marketing", "purpose.profiling_segmentation"] {
            assert!(
                html.contains(&format!("<label for=\"{input}\">")) && html.contains(&format!("id=\"{input}\"")),
                "{input}"
            );
        }
    }
    gateway.get("/forms/lottery").await.expect_problem(404, "unknown_form");
    gateway.get("/forms/newsletter?locale=fr").await.expect_problem(422, "notice_locale");
    gateway.get("/forms/newsletter?locale=de").await.expect(200);
}

async fn a_ticked_box_gives_and_an_empty_one_refuses(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let anna = gateway.person("anna");
    let notice = gateway.notice("newsletter", "en");
    let inputs = [
        ("notice", &*notice),
        ("locale", "en"),
        ("email", &*anna.email),
        ("first_name", "Anna"),
        ("region", "DE"),
        ("purpose.email_marketing", "give"),
    ];
    let receipt = submit(&gateway, "newsletter", &inputs, "application/json").await.expect(201).json();
    assert_eq!(
        receipt["events"],
        json!([
            { "event": "GRANT_CONFIRMED", "purpose": "email_marketing" },
            { "event": "REFUSED", "purpose": "email_open_tracking" },
            { "event": "REFUSED", "purpose": "link_tracking" },
            { "event": "REFUSED", "purpose": "profiling_segmentation" },
        ])
    );
    let mailer = gateway.mailer().await;
    let profile = mailer.looks_up_persons(&[&anna]).await.profiles()[0]["attributes"].clone();
    assert_eq!((&profile["first_name"], &profile["email"]), (&json!("Anna"), &json!(anna.email)));
    assert!(gateway.segmentation().await.knows().await.is_empty());
}

async fn both_encodings_of_a_form_are_taken(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let anna = gateway.person("anna");
    let mut body = String::new();
    for (name, value) in [
        ("notice", &*gateway.notice("newsletter", "de")),
        ("locale", "de"),
        ("email", &*anna.email),
        ("first_name", "Änne"),
        ("purpose.email_marketing", "on"),
    ] {
        body.push_str(&format!("--B\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"));
    }
    body.push_str("--B--\r\n");
    let request =
        gateway.request("POST", "/forms/newsletter").header("content-type", "multipart/form-data; boundary=B");
    gateway.send(request.body(body)).await.expect(201);
    let profiles = gateway.mailer().await.looks_up_persons(&[&anna]).await.profiles();
    assert_eq!(profiles[0]["attributes"]["first_name"], "Änne");
    let events = gateway.officer().await.copy(&anna).await["events"].clone();
    assert_eq!(events[events.as_array().unwrap().len() - 1]["evidence"]["locale"], "de");
}

async fn a_browser_gets_pages_and_a_program_gets_data(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let anna = gateway.person("anna");
    for (locale, words) in [("en", "Your choice was recorded."), ("de", "Ihre Auswahl wurde gespeichert.")] {
        let notice = gateway.notice("newsletter", locale);
        let inputs = [("notice", &*notice), ("locale", locale), ("email", &*anna.email)];
        let page = submit(&gateway, "newsletter", &inputs, BROWSER).await.expect(201);
        assert_eq!((page.content_type(), page.header("cache-control")), ("text/html", Some("no-store")));
        assert!(page.text().contains(words) && page.text().contains(&format!("<html lang=\"{locale}\">")));
        // The page says how to take it back, and repeats nothing that was entered.
        assert!(!page.text().contains("example.org"));
        let data = submit(&gateway, "newsletter", &inputs, "*/*").await.expect(201).json();
        assert!(page.text().contains(data["withdrawal_token"].as_str().unwrap()));
    }
    let notice = gateway.notice("newsletter", "en");
    let inputs = [("notice", &*notice), ("locale", "en"), ("email", &*anna.email)];
    let request = gateway.request("POST", "/forms/newsletter").header("accept", BROWSER).header("sec-gpc", "1");
    let page = gateway.send(request.form(&inputs)).await.expect(201).text();
    assert!(page.contains("Opt-Out Request Honored"));
}

async fn what_is_wrong_is_said_in_words_and_nothing_is_stored(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let anna = gateway.person("anna");
    let (english, stale) = (gateway.notice("newsletter", "en"), format!("sha256:{}", "7".repeat(64)));
    let good = vec![
        ("notice", &*english),
        ("locale", "en"),
        ("email", &*anna.email),
        ("purpose.email_marketing", "give"),
    ];
    let with =
        |name, value| good.iter().copied().filter(|(known, _)| *known != name).chain([(name, value)]).collect();
    let cases: [(Inputs<'_>, &str, &str); 9] = [
        (with("email", "not an address"), "invalid_identifier", "not written correctly"),
        (with("email", ""), "missing_field", "required field is empty"),
        (with("notice", &stale), "notice_unknown", "which information text"),
        (with("shoe_size", "42"), "unknown_field", "a field that it does not have"),
        (with("purpose.share_third_party", "give"), "purpose_not_on_form", "a field that it does not have"),
        (with("purpose.email_marketing", "perhaps"), "invalid_field", "not accepted"),
        (with("region", "Atlantis"), "invalid_region", "region is not known"),
        (with("locale", "fr"), "notice_locale", "which information text"),
        (with("first_name", "q7canary\u{0}"), "control_character", "cannot be read"),
    ];
    let before = gateway.database().stored().await;
    for (inputs, code, words) in &cases {
        submit(&gateway, "newsletter", inputs, "*/*").await.expect_problem(422, code);
        let page = submit(&gateway, "newsletter", inputs, BROWSER).await.expect(422);
        assert_eq!(page.content_type(), "text/html");
        let text = page.text();
        assert!(
            text.contains(words) && text.contains("Nothing was stored") && text.contains("role=\"alert\""),
            "{code}: {text}"
        );
    }
    let german = with("email", "keine");
    let request =
        gateway.request("POST", "/forms/newsletter").header("accept", BROWSER).header("accept-language", "de");
    let german: Vec<_> = german.into_iter().filter(|(name, _)| *name != "locale").collect();
    let page = gateway.send(request.form(&german)).await.expect(422).text();
    assert!(page.contains("Es wurde nichts gespeichert"), "{page}");
    assert_eq!(gateway.database().stored().await, before);
    submit(&gateway, "newsletter", &good, BROWSER).await.expect(201);
}

async fn pages_of_other_origins_may_not_post(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let anna = gateway.person("anna");
    let own = gateway.url("");
    let before = gateway.database().stored().await;
    let post = async |origin: &str| {
        let body = anna.post(&[("email_marketing", "give")]);
        gateway.send(gateway.request("POST", "/v1/consents").header("origin", origin).json(&body)).await
    };
    for origin in
        ["https://evil.example", "https://www.example.com.evil.example", "http://www.example.com", "null"]
    {
        let refused = post(origin).await.expect_problem(403, "origin_not_allowed");
        assert_eq!(refused.header("access-control-allow-origin"), None);
        let notice = gateway.notice("newsletter", "en");
        let inputs = [("notice", &*notice), ("locale", "en"), ("email", &*anna.email)];
        let request = gateway.request("POST", "/forms/newsletter").header("origin", origin);
        gateway.send(request.form(&inputs)).await.expect_problem(403, "origin_not_allowed");
    }
    assert_eq!(gateway.database().stored().await, before);
    for origin in ["https://www.example.com", "http://localhost:3000", &own] {
        let taken = post(origin).await.expect(201);
        assert_eq!(taken.header("access-control-allow-origin"), Some(origin));
        assert_eq!(taken.header("access-control-allow-credentials"), None);
    }
}

async fn a_browser_may_ask_whether_it_may_post(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let ask = async |origin: &str| {
        let request = gateway.request("OPTIONS", "/v1/consents").header("origin", origin);
        let request = request.header("access-control-request-method", "POST");
        gateway.send(request.header("access-control-request-headers", "content-type, idempotency-key")).await
    };
    let allowed = ask("https://www.example.com").await.expect(204);
    assert_eq!(allowed.header("access-control-allow-origin"), Some("https://www.example.com"));
    assert_eq!(allowed.header("access-control-allow-methods"), Some("POST"));
    assert_eq!(allowed.header("access-control-allow-credentials"), None);
    let refused = ask("https://evil.example").await.expect_problem(403, "origin_not_allowed");
    assert_eq!(refused.header("access-control-allow-origin"), None);
}

async fn a_form_leads_back_to_its_shop(backend: Backend) {
    let heading = "[[form]]\nid = \"newsletter\"\n";
    let back = format!("{heading}return_url = \"https://www.example.com/thanks\"\n");
    let gateway = TestGateway::start_under(backend, policy_with(&[("forms.toml", heading, &back)])).await;
    let anna = gateway.person("anna");
    let notice = gateway.notice("newsletter", "en");
    let inputs =
        [("notice", &*notice), ("locale", "en"), ("email", &*anna.email), ("purpose.email_marketing", "give")];
    let answer = submit(&gateway, "newsletter", &inputs, BROWSER).await.expect(303);
    assert_eq!(answer.header("location"), Some("https://www.example.com/thanks"));
    assert!(gateway.mailer().await.may_know(&anna).await);
}

async fn cap_19_a_form_that_the_browser_sends_again_brings_nothing_back(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, officer, mailer) = (gateway.person("anna"), gateway.officer().await, gateway.mailer().await);
    let showing = async || {
        let page = gateway.get("/forms/newsletter?locale=en").await.expect(200).text();
        let (_, after) = page.split_once("name=\"showing\" value=\"").unwrap();
        after.split_once('"').unwrap().0.to_owned()
    };
    let notice = gateway.notice("newsletter", "en");
    let post = async |showing: &str, choice: &[(&str, &str)]| {
        let inputs = [("notice", &*notice), ("locale", "en"), ("email", &*anna.email), ("showing", showing)];
        submit(&gateway, "newsletter", &[&inputs, choice].concat(), BROWSER).await
    };
    let give = [("purpose.email_marketing", "give")];
    let (first, second) = (showing().await, showing().await);
    assert_ne!(first, second);
    post(&first, &give).await.expect(201);
    assert!(mailer.may_know(&anna).await);
    anna.withdraws(&["email_marketing"]).await;
    let events = officer.events(&anna).await;
    let again = post(&first, &give).await.expect(201);
    assert!(again.text().contains("Nothing was changed."), "{again:?}");
    assert!(!mailer.may_know(&anna).await);
    assert_eq!(officer.events(&anna).await, events);
    // Another choice on the same page is an act, and so is the same choice on a page that was opened anew.
    post(&first, &[("purpose.email_marketing", "give"), ("purpose.link_tracking", "give")]).await.expect(201);
    assert!(mailer.may_know(&anna).await);
    anna.withdraws(&["email_marketing"]).await;
    post(&second, &give).await.expect(201);
    assert!(mailer.may_know(&anna).await);
    anna.withdraws(&["email_marketing"]).await;
    // When repetitions are not recognised any more, nothing is taken from the old page.
    gateway.clock().advance_ms(24 * 3_600_000);
    post(&first, &give).await.expect(422);
    let inputs = [("notice", &*notice), ("locale", "en"), ("email", &*anna.email), ("showing", &*first)];
    submit(&gateway, "newsletter", &inputs, "*/*").await.expect_problem(422, "form_stale");
    for forged in ["nonsense", "1-2", "99999999999999-00000000000000000000000000000000", "-"] {
        let inputs = [("notice", &*notice), ("locale", "en"), ("email", &*anna.email), ("showing", forged)];
        submit(&gateway, "newsletter", &inputs, "*/*").await.expect_problem(422, "invalid_field");
    }
    assert!(!mailer.may_know(&anna).await);
}
