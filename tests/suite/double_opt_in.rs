//! Double opt-in over a real mail server: who asks is not yet who consents. The mail is read with another parser than
//! the gateway's writer.

use std::collections::BTreeSet;

use kernel::decision::Refusal;
use serde_json::{Value, json};

use crate::harness::mailbox::{Mail, MailServer};
use crate::harness::{Answer, Backend, Line, Person, TestGateway, log};

on_both!(
    cap_14_a_request_alone_is_pending_and_its_confirmation_permits,
    cap_14_request_and_confirmation_have_evidence_of_their_own,
    cap_14_a_token_used_twice_makes_no_new_event,
    cap_15_a_link_ends_with_its_time,
    cap_15_after_thirty_days_the_plaintext_of_an_unconfirmed_address_is_gone,
    cap_15_of_somebody_held_otherwise_only_the_unconfirmed_address_goes,
    cap_15_what_was_confirmed_stays,
    cap_16_get_of_the_link_confirms_nothing,
    eml_01_the_mail_is_plain_and_says_who_asks_for_what,
    eml_01_the_mail_is_in_the_persons_language,
    a_no_after_the_request_wins_over_the_confirmation,
    an_erasure_after_the_request_leaves_nothing_to_confirm,
    a_forged_token_has_one_neutral_answer,
    the_form_works_without_a_script,
    an_unconfirmed_post_replaces_nothing_that_is_stored,
    a_form_that_writes_to_a_mailbox_needs_its_address,
    a_token_is_in_no_log_and_not_in_the_database,
);

const DAY_MS: i64 = 86_400_000;
const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

async fn start(backend: Backend) -> (TestGateway, MailServer) {
    let (gateway, server) = (TestGateway::start(backend).await, MailServer::start().await);
    server.serves(gateway.gateway());
    (gateway, server)
}

/// A post of the form that asks for a confirmation.
pub(crate) fn request(person: &Person<'_>, locale: &str, choices: &[(&str, &str)]) -> Value {
    let mut post = person.post(choices);
    post["form"] = "newsletter_confirmed".into();
    post["notice"] = person.at.notice("newsletter_confirmed", locale).into();
    post["locale"] = locale.into();
    post
}

/// Asks for email offers.
pub(crate) async fn asks(person: &Person<'_>) -> Value {
    person.sends(&request(person, "en", &[("email_marketing", "give")])).await.expect(201).json()
}

/// Asks, and reads the mail that comes.
async fn asks_and_reads(person: &Person<'_>, server: &MailServer) -> Mail {
    asks(person).await;
    person.at.deliver().await;
    server.taken().pop().unwrap()
}

async fn confirm(gateway: &TestGateway, path: &str) -> Answer {
    gateway.later();
    gateway.send(gateway.request("POST", path).header("accept", BROWSER).form(&[("confirm", "yes")])).await
}

/// Everything that a request could change.
async fn state(gateway: &TestGateway) -> (String, i64, Vec<Vec<u8>>) {
    let stored = format!("{:?}", gateway.database().stored().await);
    let entries = gateway.database().number("SELECT count(*) FROM ledger_entry").await;
    (stored, entries, gateway.database().bytes("SELECT standing FROM subject ORDER BY id").await)
}

async fn cap_14_a_request_alone_is_pending_and_its_confirmation_permits(backend: Backend) {
    let (gateway, server) = start(backend).await;
    let (anna, mailer) = (gateway.person("anna"), gateway.mailer().await);
    let receipt = asks(&anna).await;
    assert_eq!(receipt["events"], json!([{ "event": "GRANT_REQUESTED", "purpose": "email_marketing" }]));
    assert!(!mailer.may_know(&anna).await);
    let refusals = gateway.gateway().figures().refusals;
    assert!(refusals.contains(&(Refusal::Pending, 1)), "{refusals:?}");
    gateway.deliver().await;
    assert!(!mailer.may_know(&anna).await, "a mail that went out is no consent");
    let mail = server.taken().pop().unwrap();
    assert_eq!((mail.from.as_str(), mail.to.as_slice()), ("consent@shop.example", &[anna.email.clone()][..]));
    confirm(&gateway, &mail.confirmation()).await.expect(200);
    assert!(mailer.may_know(&anna).await);
    let profile = mailer.looks_up_persons(&[&anna]).await.profiles()[0]["attributes"].clone();
    assert_eq!(profile["email"], anna.email);
    gateway.expect_sound_ledger().await;
}

async fn cap_14_request_and_confirmation_have_evidence_of_their_own(backend: Backend) {
    let (gateway, server) = start(backend).await;
    let anna = gateway.person("anna");
    let requested = asks(&anna).await;
    gateway.clock().advance_ms(60_000);
    gateway.deliver().await;
    let mail = server.taken().pop().unwrap();
    gateway.clock().advance_ms(3_600_000);
    confirm(&gateway, &mail.confirmation()).await.expect(200);
    let copy = gateway.officer().await.copy(&anna).await;
    let of = |kind: &str| {
        let events: Vec<_> =
            copy["events"].as_array().unwrap().iter().filter(|event| event["event"] == kind).collect();
        assert_eq!(events.len(), 1, "{kind}: {copy}");
        events[0].clone()
    };
    let (request, confirmed) = (of("GRANT_REQUESTED"), of("GRANT_CONFIRMED"));
    assert_eq!((&request["assurance"], &confirmed["assurance"]), (&json!("form"), &json!("confirmed_mailbox")));
    assert_eq!(request["receipt"], requested["receipt"]);
    assert_ne!(request["receipt"], confirmed["receipt"]);
    assert_ne!(request["captured_at"], confirmed["captured_at"]);
    assert_eq!(request["notice"]["digest"], confirmed["notice"]["digest"]);
    let (asked, proof) = (&request["evidence"], &confirmed["evidence"]["mailbox"]);
    assert_eq!((&asked["action"], &asked["mailbox"]), (&json!("checkbox_ticked"), &json!(null)));
    assert_eq!(confirmed["evidence"]["action"], "button");
    assert_eq!((&proof["request"], &proof["requested_at"]), (&requested["receipt"], &requested["recorded_at"]));
    assert!(proof["mail_sent_at"].as_str().unwrap() > proof["requested_at"].as_str().unwrap());
    // What the mail said, word for word but for the link, which is a secret.
    let said = proof["mail"]["said"]["text"].as_str().unwrap();
    let [text, _] = mail.parts();
    let link = mail.links().remove(0);
    let sent = format!("{}\n\n{}", mail.subject(), text.replace("\r\n", "\n").replace(&link, "{link}"));
    assert_eq!(said.trim_end(), sent.trim_end());
    assert!(proof["mail"]["digest"].as_str().unwrap().starts_with("sha256:"));
    let standing = copy["standing"]["purposes"].as_array().unwrap();
    let marketing = standing.iter().find(|purpose| purpose["purpose"] == "email_marketing").unwrap();
    assert_eq!((&marketing["state"], &marketing["assurance"]), (&json!("given"), &json!("confirmed_mailbox")));
}

async fn cap_14_a_token_used_twice_makes_no_new_event(backend: Backend) {
    let (gateway, server) = start(backend).await;
    let (anna, officer) = (gateway.person("anna"), gateway.officer().await);
    let path = asks_and_reads(&anna, &server).await.confirmation();
    let first = confirm(&gateway, &path).await.expect(200).text();
    let events = officer.events(&anna).await;
    assert_eq!(events.iter().filter(|event| *event == "GRANT_CONFIRMED").count(), 1);
    let before = state(&gateway).await;
    for _ in 0..3 {
        assert_eq!(confirm(&gateway, &path).await.expect(200).text(), first);
    }
    assert_eq!(state(&gateway).await, before);
    // Nor does the second press bring back what was taken back after the first.
    anna.withdraws(&["email_marketing"]).await;
    assert_eq!(confirm(&gateway, &path).await.expect(200).text(), first);
    assert!(!gateway.mailer().await.may_know(&anna).await);
    // Pressed by many at once it is one event.
    let berta = gateway.person("berta");
    let path = asks_and_reads(&berta, &server).await.confirmation();
    let presses = (0..8).map(|_| gateway.send(gateway.request("POST", &path)));
    for answer in futures_util::future::join_all(presses).await {
        answer.expect(200);
    }
    let events = officer.events(&berta).await;
    assert_eq!(events.iter().filter(|event| *event == "GRANT_CONFIRMED").count(), 1, "{events:?}");
}

async fn cap_15_a_link_ends_with_its_time(backend: Backend) {
    let (gateway, server) = start(backend).await;
    let (anna, berta) = (gateway.person("anna"), gateway.person("berta"));
    let late = asks_and_reads(&anna, &server).await.confirmation();
    gateway.clock().advance_ms(7 * DAY_MS - 60_000);
    let early = asks_and_reads(&berta, &server).await.confirmation();
    gateway.get(&late).await.expect(200);
    gateway.clock().advance_ms(60_000);
    let before = state(&gateway).await;
    gateway.get(&late).await.expect_problem(410, "confirmation_expired");
    gateway.send(gateway.request("POST", &late)).await.expect_problem(410, "confirmation_expired");
    let page = confirm(&gateway, &late).await.expect(410);
    assert_eq!(page.content_type(), "text/html");
    assert!(page.text().contains("The time to confirm is over") && page.text().contains("role=\"alert\""));
    assert_eq!(state(&gateway).await, before);
    confirm(&gateway, &early).await.expect(200);
    let mailer = gateway.mailer().await;
    assert!(!mailer.may_know(&anna).await && mailer.may_know(&berta).await);
    // What was confirmed in time answers the same after its time.
    gateway.clock().advance_ms(8 * DAY_MS);
    confirm(&gateway, &early).await.expect(200);
}

async fn cap_15_after_thirty_days_the_plaintext_of_an_unconfirmed_address_is_gone(backend: Backend) {
    let (gateway, server) = start(backend).await;
    let (anna, officer) = (gateway.person("anna"), gateway.officer().await);
    let mut post = request(&anna, "en", &[("email_marketing", "give"), ("link_tracking", "refuse")]);
    post["fields"] = json!({ "first_name": "q7canary-anna" });
    anna.sends(&post).await.expect(201);
    gateway.deliver().await;
    let path = server.taken().pop().unwrap().confirmation();
    gateway.clock().advance_ms(30 * DAY_MS - 1_000);
    assert_eq!(gateway.purge_unconfirmed().await, 0);
    assert!(officer.holds(&anna).await);
    gateway.clock().advance_ms(DAY_MS);
    assert_eq!(gateway.purge_unconfirmed().await, 1);
    assert!(!officer.holds(&anna).await);
    let stored = gateway.database().stored().await;
    for table in ["subject", "subject_identifier", "consent_event", "confirmation", "outbox", "suppression"] {
        assert_eq!(stored[table], 0, "{table}");
    }
    gateway.get(&path).await.expect_problem(404, "not_found");
    assert_eq!(gateway.purge_unconfirmed().await, 0);
    assert_eq!(gateway.metric("consentry_unconfirmed_purged_total").await, 1);
    gateway.expect_sound_ledger().await;
    // Whoever comes back is new, and no import was shut out.
    let path = asks_and_reads(&anna, &server).await.confirmation();
    confirm(&gateway, &path).await.expect(200);
    assert!(gateway.mailer().await.may_know(&anna).await);
}

async fn cap_15_of_somebody_held_otherwise_only_the_unconfirmed_address_goes(backend: Backend) {
    let (gateway, server) = start(backend).await;
    let officer = gateway.officer().await;
    let names = |copy: &Value| -> BTreeSet<String> {
        copy["attributes"].as_array().unwrap().iter().map(|a| a["name"].as_str().unwrap().to_owned()).collect()
    };
    // An objection must not be forgotten with the address.
    let anna = gateway.person("anna");
    let path = asks_and_reads(&anna, &server).await.confirmation();
    anna.asks("object_direct_marketing").await;
    // A customer of the shop, whose own record says nothing of the address.
    let berta = gateway.person("berta");
    asks(&berta).await;
    gateway.later();
    gateway.shop().await.sends(&[Line::of(&berta, json!({ "city": "q7canary-city" }))]).await;
    // Somebody whose no stands where silence would mean yes.
    let carla = gateway.person("carla").of_region(Some("US-CA"));
    let post = request(&carla, "en", &[("email_marketing", "give"), ("profiling_segmentation", "refuse")]);
    carla.sends(&post).await.expect(201);
    gateway.clock().advance_ms(31 * DAY_MS);
    assert_eq!(gateway.purge_unconfirmed().await, 3);
    for (person, held) in [(&anna, &[][..]), (&berta, &["city"]), (&carla, &[])] {
        let copy = officer.copy(person).await;
        assert_eq!(names(&copy), held.iter().map(|name| (*name).to_owned()).collect(), "{}", person.email);
        assert!(!copy.to_string().contains(&person.email));
    }
    assert!(!officer.copy(&anna).await["standing"]["objected_at"].is_null());
    assert_eq!(gateway.database().stored().await["confirmation"], 0);
    gateway.get(&path).await.expect_problem(404, "not_found");
    assert_eq!(gateway.purge_unconfirmed().await, 0);
    gateway.expect_sound_ledger().await;
}

async fn cap_15_what_was_confirmed_stays(backend: Backend) {
    let (gateway, server) = start(backend).await;
    let (anna, berta) = (gateway.person("anna"), gateway.person("berta"));
    let path = asks_and_reads(&anna, &server).await.confirmation();
    confirm(&gateway, &path).await.expect(200);
    gateway.clock().advance_ms(DAY_MS);
    asks(&anna).await;
    // Somebody who asked again a month later still has time to answer.
    asks(&berta).await;
    gateway.clock().advance_ms(28 * DAY_MS);
    let again = asks_and_reads(&berta, &server).await.confirmation();
    gateway.clock().advance_ms(3 * DAY_MS);
    gateway.purge_unconfirmed().await;
    confirm(&gateway, &again).await.expect(200);
    let mailer = gateway.mailer().await;
    for person in [&anna, &berta] {
        let profile = mailer.looks_up_persons(&[person]).await.profiles()[0]["attributes"].clone();
        assert_eq!(profile["email"], person.email);
    }
}

async fn cap_16_get_of_the_link_confirms_nothing(backend: Backend) {
    let (gateway, server) = start(backend).await;
    let mut mails = Vec::new();
    for (name, locale) in [("anna", "en"), ("berta", "de")] {
        let person = gateway.person(name);
        person.sends(&request(&person, locale, &[("email_marketing", "give")])).await.expect(201);
    }
    gateway.deliver().await;
    mails.extend(server.taken());
    assert_eq!(mails.len(), 2);
    let before = state(&gateway).await;
    let mut crawled = 0;
    for mail in &mails {
        for link in mail.links() {
            let path = link.strip_prefix("http://gateway.test").unwrap().to_owned();
            for method in ["GET", "HEAD", "GET"] {
                let page =
                    gateway.send(gateway.request(method, &path).header("accept", BROWSER)).await.expect(200);
                assert_eq!(page.header("cache-control"), Some("no-store"));
                assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
                assert_eq!(page.header("x-robots-tag"), Some("noindex"));
                let csp = page.header("content-security-policy").unwrap();
                assert!(csp.contains("default-src 'none'") && csp.contains("form-action 'self'"), "{csp}");
                if method == "GET" {
                    let html = page.text();
                    assert!(html.contains("<button type=\"submit\"") && html.contains("method=\"post\""));
                    for active in ["<script", "http-equiv", "onload", "autofocus", "<img", "<link", "<iframe"] {
                        assert!(!html.contains(active), "{active}: {html}");
                    }
                }
                crawled += 1;
            }
            gateway.send(gateway.request("OPTIONS", &path)).await.expect(405);
        }
    }
    assert_eq!(crawled, 6);
    assert_eq!(state(&gateway).await, before);
    let mailer = gateway.mailer().await;
    assert!(!mailer.may_know(&gateway.person("anna")).await, "still pending");
    let hers = mails.iter().find(|mail| mail.to[0].starts_with("anna")).unwrap();
    confirm(&gateway, &hers.confirmation()).await.expect(200);
    assert!(mailer.may_know(&gateway.person("anna")).await && !mailer.may_know(&gateway.person("berta")).await);
}

async fn eml_01_the_mail_is_plain_and_says_who_asks_for_what(backend: Backend) {
    let (gateway, server) = start(backend).await;
    let anna = gateway.person("anna");
    let choices = [("email_marketing", "give"), ("profiling_segmentation", "give"), ("link_tracking", "refuse")];
    let mut post = request(&anna, "en", &choices);
    post["fields"] = json!({ "first_name": "q7canary-anna" });
    anna.sends(&post).await.expect(201);
    gateway.deliver().await;
    let mail = server.taken().pop().unwrap();
    let parts = mail.parts();
    for part in &parts {
        assert_eq!(part.matches("/confirm/").count(), 1, "{part}");
        for told in [
            "Example Shop GmbH",
            "Lindenstrasse 12, 10969 Berlin, Germany",
            "privacy@shop.example",
            "Newsletter",
            "Offers and news by email",
            "Grouping customers",
            "good for 7 days",
            "ignore this mail",
            "30 days",
            "take your consent back at any time",
        ] {
            assert!(part.contains(told), "no `{told}` in {part}");
        }
        // Neither what was refused, nor what else was entered, nor the address itself.
        for untold in ["links in emails", "q7canary", "example.org"] {
            assert!(!part.contains(untold), "`{untold}` in {part}");
        }
    }
    let html = parts[1].to_lowercase();
    for remote in ["<img", "src=", "<link", "<style", "url(", "<script", "<iframe", "background", "cid:", "data:"]
    {
        assert!(!html.contains(remote), "{remote}");
    }
    assert_eq!(mail.links().len(), 1, "one link and no other");
    assert!(!mail.links()[0].contains('?') && !mail.links()[0].contains("anna"));
    let headers = mail.headers();
    let header = |name: &str| {
        let found: Vec<_> = headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name)).collect();
        assert!(found.len() <= 1, "{name} twice");
        found.first().map(|(_, value)| value.clone())
    };
    assert!(
        header("from").unwrap().contains("Example Shop")
            && header("from").unwrap().contains("consent@shop.example")
    );
    assert!(header("reply-to").unwrap().contains("privacy@shop.example"));
    assert_eq!(header("auto-submitted").as_deref(), Some("auto-generated"));
    assert!(header("message-id").unwrap().ends_with("@shop.example>") && header("date").is_some());
    for tracking in
        ["list-unsubscribe", "return-receipt-to", "disposition-notification-to", "x-mailer", "user-agent"]
    {
        assert_eq!(header(tracking), None);
    }
}

async fn eml_01_the_mail_is_in_the_persons_language(backend: Backend) {
    let (gateway, server) = start(backend).await;
    let anna = gateway.person("anna");
    anna.sends(&request(&anna, "de", &[("email_marketing", "give")])).await.expect(201);
    gateway.deliver().await;
    let mail = server.taken().pop().unwrap();
    assert_eq!(mail.subject(), "Bitte bestätigen: Newsletter");
    for part in mail.parts() {
        assert!(part.contains("Guten Tag") && part.contains("beachten Sie diese Nachricht nicht"), "{part}");
    }
    assert!(mail.parts()[1].contains("<html lang=\"de\">"));
    let path = mail.confirmation();
    let request = gateway.request("GET", &path).header("accept-language", "de-AT, en;q=0.5");
    let page = gateway.send(request).await.expect(200);
    assert!(page.text().contains("Ja, ich bestätige") && page.header("content-language") == Some("de"));
}

async fn a_no_after_the_request_wins_over_the_confirmation(backend: Backend) {
    let (gateway, server) = start(backend).await;
    let (mailer, officer) = (gateway.mailer().await, gateway.officer().await);
    let mut pages = BTreeSet::new();
    for no in ["withdraw", "withdraw_all", "refuse", "object", "none"] {
        let person = gateway.person(no);
        let receipt = asks(&person).await;
        gateway.deliver().await;
        let path = server.taken().pop().unwrap().confirmation();
        match no {
            "withdraw" => drop(person.withdraws(&["email_marketing"]).await),
            "withdraw_all" => drop(person.asks("withdraw_all").await),
            "object" => drop(person.asks("object_direct_marketing").await),
            "refuse" => drop(person.refuses(&["email_marketing"]).await),
            _ => {}
        }
        let page = confirm(&gateway, &path).await.expect(200).text();
        // The same words, whatever became of it; only the code to take consent back is each person's own.
        pages.insert(page.replace(receipt["withdrawal_token"].as_str().unwrap(), ""));
        assert_eq!(mailer.may_know(&person).await, no == "none", "{no}");
        let confirmed = officer.events(&person).await.contains(&"GRANT_CONFIRMED".to_owned());
        assert_eq!(confirmed, no == "none", "{no}");
    }
    assert_eq!(pages.len(), 1);
    // A mail that has not gone out yet does not go out any more.
    let (person, before) = (gateway.person("quick"), server.taken().len());
    asks(&person).await;
    person.withdraws(&["email_marketing"]).await;
    gateway.deliver().await;
    assert_eq!(server.taken().len(), before);
    assert_eq!(gateway.database().stored().await["outbox"], 0);
}

async fn an_erasure_after_the_request_leaves_nothing_to_confirm(backend: Backend) {
    let (gateway, server) = start(backend).await;
    let (anna, berta, officer) = (gateway.person("anna"), gateway.person("berta"), gateway.officer().await);
    let path = asks_and_reads(&anna, &server).await.confirmation();
    asks(&berta).await;
    officer.erases(&anna).await;
    officer.erases(&berta).await;
    gateway.deliver().await;
    assert_eq!(server.taken().len(), 1, "nobody writes to the erased");
    let before = state(&gateway).await;
    gateway.get(&path).await.expect_problem(404, "not_found");
    confirm(&gateway, &path).await.expect(404);
    assert_eq!(state(&gateway).await, before);
    let stored = gateway.database().stored().await;
    assert_eq!((stored["confirmation"], stored["outbox"], stored["subject"]), (0, 0, 0));
    assert!(!officer.holds(&anna).await);
}

async fn a_forged_token_has_one_neutral_answer(backend: Backend) {
    let (gateway, server) = start(backend).await;
    let anna = gateway.person("anna");
    let path = asks_and_reads(&anna, &server).await.confirmation();
    let token = path.strip_prefix("/confirm/").unwrap();
    assert!(token.len() >= 22, "128 bits and more");
    let mut altered = token.to_owned();
    let last = if altered.pop() == Some('A') { 'B' } else { 'A' };
    altered.insert(0, last);
    let before = state(&gateway).await;
    let mut pages = BTreeSet::new();
    let longer = format!("{token}AAAA");
    for forged in
        [&*altered, "x", &token[1..], &longer, &"A".repeat(43), "q7canary%40example.org", "%00", &"A".repeat(900)]
    {
        let path = format!("/confirm/{forged}");
        for method in ["GET", "POST"] {
            let page = gateway.send(gateway.request(method, &path).header("accept", BROWSER)).await.expect(404);
            assert_eq!((page.content_type(), page.header("x-robots-tag")), ("text/html", Some("noindex")));
            pages.insert(page.text());
            gateway.send(gateway.request(method, &path)).await.expect_problem(404, "not_found");
        }
    }
    assert_eq!(pages.len(), 1);
    assert_eq!(state(&gateway).await, before);
    confirm(&gateway, &path).await.expect(200);
}

async fn the_form_works_without_a_script(backend: Backend) {
    let (gateway, server) = start(backend).await;
    let anna = gateway.person("anna");
    let notice = gateway.notice("newsletter_confirmed", "de");
    let inputs =
        [("notice", &*notice), ("locale", "de"), ("email", &*anna.email), ("purpose.email_marketing", "give")];
    gateway.later();
    let post = gateway.request("POST", "/forms/newsletter_confirmed").header("accept", BROWSER).form(&inputs);
    let page = gateway.send(post).await.expect(201).text();
    assert!(page.contains("E-Mail") && page.contains("bestätigen") && !page.contains("example.org"), "{page}");
    gateway.deliver().await;
    let path = server.taken().pop().unwrap().confirmation();
    // A page that sends no referrer sends no origin either.
    let press = gateway.request("POST", &path).header("origin", "null").header("accept", BROWSER);
    let page = gateway.send(press.header("accept-language", "de").form(&[("confirm", "yes")])).await.expect(200);
    assert!(page.text().contains("Ihre Bestätigung ist eingegangen."));
    assert!(gateway.mailer().await.may_know(&anna).await);
}

async fn an_unconfirmed_post_replaces_nothing_that_is_stored(backend: Backend) {
    let (gateway, _server) = start(backend).await;
    let anna = gateway.person("anna");
    let mut first = anna.post(&[("email_marketing", "give")]);
    first["fields"] = json!({ "first_name": "Anna" });
    anna.sends(&first).await.expect(201);
    let mut post = request(&anna, "en", &[("profiling_segmentation", "give")]);
    post["fields"] = json!({ "first_name": "q7canary-mallory" });
    anna.sends(&post).await.expect(201);
    let mailer = gateway.mailer().await;
    assert_eq!(mailer.looks_up_persons(&[&anna]).await.profiles()[0]["attributes"]["first_name"], "Anna");
    // Nor does its end take anything away.
    gateway.clock().advance_ms(31 * DAY_MS);
    gateway.purge_unconfirmed().await;
    let profile = mailer.looks_up_persons(&[&anna]).await.profiles()[0]["attributes"].clone();
    assert_eq!((&profile["first_name"], &profile["email"]), (&json!("Anna"), &json!(anna.email)));
}

async fn a_form_that_writes_to_a_mailbox_needs_its_address(backend: Backend) {
    let (gateway, _server) = start(backend).await;
    let anna = gateway.person("anna");
    let mut post = request(&anna, "en", &[("email_marketing", "give")]);
    post["subject"] = json!({ "customer_id": "q7canary-4711" });
    let before = gateway.database().stored().await;
    let answer = anna.sends(&post).await.expect_problem(422, "missing_field");
    assert_eq!(answer.json()["errors"][0]["pointer"], "/subject/email");
    assert_eq!(gateway.database().stored().await, before);
    // To say no nobody needs a mailbox.
    post["choices"] = json!([{ "purpose": "email_marketing", "choice": "refuse" }]);
    anna.sends(&post).await.expect(201);
    assert_eq!(gateway.database().stored().await["outbox"], 0);
}

async fn a_token_is_in_no_log_and_not_in_the_database(backend: Backend) {
    let (gateway, server) = start(backend).await;
    let anna = gateway.person("anna");
    asks(&anna).await;
    let waiting = gateway.database().everything().await;
    gateway.deliver().await;
    let path = server.taken().pop().unwrap().confirmation();
    let token = path.strip_prefix("/confirm/").unwrap();
    gateway.get(&path).await.expect(200);
    confirm(&gateway, &path).await.expect(200);
    gateway.get(&path).await.expect(200);
    let stored = gateway.database().everything().await;
    for all in [&waiting, &stored] {
        crate::erasure::expect_no_trace(all, token);
        crate::erasure::expect_no_trace(all, &anna.email);
    }
    let log = log::kept();
    assert!(log.contains("\"route\":\"/confirm/{token}\""));
    assert!(!log.contains(token) && !gateway.get("/metrics").await.text().contains(token));
}
