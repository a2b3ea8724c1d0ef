//! What a sender gets at send time (rows EML, NOT and OBJ of the law): addresses of those alone who may be written to now.

use serde_json::{Value, json};

use crate::harness::{Backend, Line, Person, TestGateway, policy_with};

on_both!(
    an_address_is_released_with_its_merge_fields_and_recorded_before,
    eml_02_a_campaign_without_its_sender_is_turned_away,
    eml_02_the_request_cannot_name_another_sender,
    eml_03_every_marketing_message_has_its_unsubscribe_header_fields_and_they_work,
    eml_05_a_template_without_postal_address_or_unsubscribe_link_is_turned_away,
    eml_06_and_not_04_and_obj_05_a_first_message_shows_the_right_to_object,
    eml_07_a_pixel_needs_its_own_consent,
    eml_08_a_marked_link_needs_its_own_consent,
    eml_09_a_suppressed_address_is_not_written_to_whoever_holds_it,
    eml_09_who_comes_back_by_their_own_act_is_written_to_again,
    eml_10_spelling_variants_do_not_defeat_suppression,
    eml_11_a_withdrawal_between_segment_and_send_holds,
    eml_12_a_transactional_message_carries_no_marketing,
    eml_14_nobody_without_consent_is_in_the_audience_of_a_re_permission_mail,
    eml_15_an_unsubscribed_address_is_in_no_third_partys_export,
    sta_42_an_address_is_never_sold,
    a_crawl_over_every_link_of_a_delivery_changes_nothing,
    unknown_erased_and_refused_persons_are_absent_alike,
    only_a_sender_resolves_addresses,
    a_resolve_has_bounds,
);

/// A person with an address in the record, who agreed to some purposes at the checkout.
async fn customer<'a>(gateway: &'a TestGateway, name: &str, purposes: &[&str]) -> Person<'a> {
    let person = gateway.person(name);
    let choices: Vec<_> = purposes.iter().map(|purpose| (*purpose, "give")).collect();
    let mut post = person.post(&choices);
    post["fields"] = json!({ "first_name": format!("{name} q7canary"), "city": "q7canary-town" });
    person.sends(&post).await.expect(201);
    person
}

fn changed(campaign: &Value, pointer: &str, value: Value) -> Value {
    let mut campaign = campaign.clone();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let parent = if parent.is_empty() { &mut campaign } else { campaign.pointer_mut(parent).unwrap() };
    parent[key] = value;
    campaign
}

/// The address within the angle brackets at a place of `List-Unsubscribe`.
fn unsubscribe_url(delivery: &Value) -> String {
    let header = delivery["headers"]["List-Unsubscribe"].as_str().unwrap();
    let (first, _) = header.strip_prefix('<').unwrap().split_once('>').unwrap();
    first.to_owned()
}

async fn an_address_is_released_with_its_merge_fields_and_recorded_before(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let anna = customer(&gateway, "anna", &["email_marketing"]).await;
    let (mailer, officer) = (gateway.mailer().await, gateway.officer().await);
    let answer = mailer.tries_to_resolve(&mailer.campaign(), &[&anna]).await.expect(200);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let body = answer.json();
    assert_eq!(
        body["sender"],
        json!({
            "legal_name": "Example Shop GmbH",
            "postal_address": "Lindenstrasse 12, 10969 Berlin, Germany",
            "stop_address": "unsubscribe@shop.example",
        })
    );
    assert!(body.get("objection_notice").is_none());
    let deliveries = body["deliveries"].as_array().unwrap();
    assert_eq!(deliveries.len(), 1);
    assert_eq!(
        deliveries[0]["attributes"],
        json!({ "email": anna.email, "first_name": "anna q7canary", "city": "q7canary-town" })
    );
    let pseudonym = deliveries[0]["pseudonym"].as_str().unwrap();
    // By that name, too.
    let ask = json!({ "purpose": "email_marketing", "campaign": mailer.campaign(), "pseudonyms": [pseudonym] });
    let again = mailer.client.post("/v1/deliveries/resolve", &ask).await.expect(200).json();
    assert_eq!(again["deliveries"][0]["attributes"]["email"], anna.email);
    let copy = officer.copy(&anna).await;
    let disclosures = copy["disclosures"].as_array().unwrap();
    assert_eq!((disclosures.len(), &disclosures[0]["times"]), (1, &json!(2)));
    assert_eq!(disclosures[0]["attributes"], json!(["city", "email", "first_name"]));
    gateway.expect_sound_ledger().await;
    let ledger = gateway.database().bytes("SELECT entry FROM ledger_entry").await.concat();
    assert!(ledger.windows(11).any(|window| window == b"advent-2026"));
}

async fn eml_02_a_campaign_without_its_sender_is_turned_away(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let anna = customer(&gateway, "anna", &["email_marketing"]).await;
    let mailer = gateway.mailer().await;
    let before = gateway.database().stored().await;
    for missing in ["sender_name", "stop_address"] {
        let slots: Vec<_> = ["sender_name", "postal_address", "stop_address", "unsubscribe_link"]
            .into_iter()
            .filter(|slot| *slot != missing)
            .collect();
        let campaign = changed(&mailer.campaign(), "/template/slots", json!(slots));
        mailer.tries_to_resolve(&campaign, &[&anna]).await.expect_problem(422, "campaign_incomplete");
    }
    let mut bare = mailer.campaign();
    bare.as_object_mut().unwrap().remove("template");
    mailer.tries_to_resolve(&bare, &[&anna]).await.expect_problem(422, "campaign_incomplete");
    assert_eq!(gateway.database().stored().await, before);
    // Nor does it help to show what the policy does not know.
    let gateway = gateway
        .under(policy_with(&[("controllers.toml", "stop_address = \"unsubscribe@shop.example\"\n", "")]))
        .await;
    let (anna, mailer) = (gateway.person("anna"), gateway.mailer().await);
    let answer = mailer.tries_to_resolve(&mailer.campaign(), &[&anna]).await;
    let answer = answer.expect_problem(422, "campaign_incomplete");
    assert_eq!(answer.json()["errors"][0]["pointer"], "/campaign/sender/stop_address");
}

async fn eml_02_the_request_cannot_name_another_sender(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let anna = customer(&gateway, "anna", &["email_marketing"]).await;
    let mailer = gateway.mailer().await;
    let right = json!({
        "legal_name": "Example Shop GmbH",
        "postal_address": "Lindenstrasse 12, 10969 Berlin, Germany",
        "stop_address": "unsubscribe@shop.example",
    });
    let campaign = changed(&mailer.campaign(), "/sender", right.clone());
    mailer.tries_to_resolve(&campaign, &[&anna]).await.expect(200);
    for name in ["legal_name", "postal_address", "stop_address"] {
        let wrong = changed(&campaign, &format!("/sender/{name}"), "somebody@else.example".into());
        mailer.tries_to_resolve(&wrong, &[&anna]).await.expect_problem(422, "sender_mismatch");
    }
}

async fn eml_03_every_marketing_message_has_its_unsubscribe_header_fields_and_they_work(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let anna = customer(&gateway, "anna", &["email_marketing", "profiling_segmentation"]).await;
    let berta = customer(&gateway, "berta", &["email_marketing", "profiling_segmentation"]).await;
    let mailer = gateway.mailer().await;
    let deliveries = mailer.resolves(&[&anna, &berta]).await;
    assert_eq!(deliveries.len(), 2);
    for delivery in &deliveries {
        let header = delivery["headers"]["List-Unsubscribe"].as_str().unwrap();
        let urls: Vec<_> = header.split(", ").collect();
        assert_eq!(urls.len(), 2, "{header}");
        assert!(urls[0].starts_with("<http://gateway.test/unsubscribe/u1_") && urls[0].ends_with('>'));
        assert!(urls[1].starts_with("<mailto:unsubscribe@shop.example?subject=unsubscribe%20u1_"));
        assert_eq!(delivery["headers"]["List-Unsubscribe-Post"], "List-Unsubscribe=One-Click");
        assert!(!header.contains("q7canary") && header.is_ascii());
    }
    let of = |person: &Person<'_>| {
        deliveries.iter().find(|delivery| delivery["attributes"]["email"] == person.email).unwrap()
    };
    assert_ne!(unsubscribe_url(of(&anna)), unsubscribe_url(of(&berta)));
    gateway.link(&unsubscribe_url(of(&anna))).one_click().await.expect(200);
    assert!(mailer.resolves(&[&anna]).await.is_empty());
    assert_eq!(mailer.resolves(&[&berta]).await.len(), 1);
    // A campaign may put the wider stop behind its link (OBJ-03).
    let campaign = changed(&mailer.campaign(), "/unsubscribe", "all_marketing".into());
    let answer = mailer.tries_to_resolve(&campaign, &[&berta]).await.expect(200).json();
    gateway.link(&unsubscribe_url(&answer["deliveries"][0])).one_click().await.expect(200);
    assert_eq!(gateway.officer().await.events(&berta).await.pop().unwrap(), "OBJECTED");
    assert!(mailer.resolves(&[&berta]).await.is_empty());
}

async fn eml_05_a_template_without_postal_address_or_unsubscribe_link_is_turned_away(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let anna = customer(&gateway, "anna", &["email_marketing"]).await;
    let mailer = gateway.mailer().await;
    for slots in [
        json!(["sender_name", "stop_address", "unsubscribe_link"]),
        json!(["sender_name", "postal_address", "stop_address"]),
        json!([]),
    ] {
        let campaign = changed(&mailer.campaign(), "/template/slots", slots);
        mailer.tries_to_resolve(&campaign, &[&anna]).await.expect_problem(422, "campaign_incomplete");
    }
    assert_eq!(mailer.resolves(&[&anna]).await.len(), 1);
}

async fn eml_06_and_not_04_and_obj_05_a_first_message_shows_the_right_to_object(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let anna = customer(&gateway, "anna", &["email_marketing"]).await;
    let mailer = gateway.mailer().await;
    let first = changed(&mailer.campaign(), "/first_contact", true.into());
    let before = gateway.database().stored().await;
    mailer.tries_to_resolve(&first, &[&anna]).await.expect_problem(422, "campaign_incomplete");
    assert_eq!(gateway.database().stored().await, before);
    let slots = json!(["sender_name", "postal_address", "stop_address", "unsubscribe_link", "objection_notice"]);
    let with_slot = changed(&first, "/template/slots", slots);
    let body = mailer.tries_to_resolve(&with_slot, &[&anna]).await.expect(200).json();
    for (locale, words) in [("en", "object to our marketing"), ("de", "Werbung jederzeit widersprechen")] {
        assert!(body["objection_notice"][locale].as_str().unwrap().contains(words), "{body}");
    }
    // Without a text of the policy there is nothing to put into the slot.
    let start = "[controller.objection_notice]";
    let text = consentry::assets::shipped_policy();
    let document = text.iter().find(|source| source.path() == "controllers.toml").unwrap().text().to_owned();
    let notice = document.split(start).nth(1).unwrap().split("\n\n").next().unwrap();
    let passage = format!("{start}{notice}");
    let gateway = gateway.under(policy_with(&[("controllers.toml", &passage, "")])).await;
    let (anna, mailer) = (gateway.person("anna"), gateway.mailer().await);
    mailer.tries_to_resolve(&with_slot, &[&anna]).await.expect_problem(422, "campaign_incomplete");
}

async fn hint(gateway: &TestGateway, purposes: &[&str], name: &str) -> (bool, bool) {
    let person = customer(gateway, name, purposes).await;
    let delivery = gateway.mailer().await.resolves(&[&person]).await.pop().unwrap();
    (delivery["hints"]["open_tracking"].as_bool().unwrap(), delivery["hints"]["link_tracking"].as_bool().unwrap())
}

async fn eml_07_a_pixel_needs_its_own_consent(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    assert_eq!(hint(&gateway, &["email_marketing"], "anna").await, (false, false));
    assert_eq!(hint(&gateway, &["email_marketing", "email_open_tracking"], "berta").await, (true, false));
    // Taken back, the next message has none.
    let berta = gateway.person("berta");
    berta.withdraws(&["email_open_tracking"]).await;
    let delivery = gateway.mailer().await.resolves(&[&berta]).await.pop().unwrap();
    assert_eq!(delivery["hints"]["open_tracking"], false);
}

async fn eml_08_a_marked_link_needs_its_own_consent(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    assert_eq!(hint(&gateway, &["email_marketing", "link_tracking"], "anna").await, (false, true));
    // A token that does not cover the tracking purposes tracks nothing.
    let role = crate::harness::Role {
        recipient: Some("mailer"),
        scopes: vec![kernel::authz::Scope::ProfilesRead],
        purposes: vec!["email_marketing"],
        ..Default::default()
    };
    let client = crate::harness::Client::registered(&gateway, role).await;
    let mailer = crate::harness::Recipient { client, purpose: "email_marketing" };
    let delivery = mailer.resolves(&[&gateway.person("anna")]).await.pop().unwrap();
    assert_eq!(delivery["hints"], json!({ "open_tracking": false, "link_tracking": false }));
}

/// A record of somebody else that carries an address.
fn record_with(customer_id: &str, email: &str) -> Line {
    Line(json!({ "subject": { "customer_id": customer_id }, "region": "US-CA", "attributes": { "email": email } }))
}

async fn reached(mailer: &crate::harness::Recipient<'_>, customer_id: &str) -> usize {
    let body = json!({
        "purpose": mailer.purpose, "campaign": mailer.campaign(), "identifiers": [{ "customer_id": customer_id }],
    });
    let answer = mailer.client.post("/v1/deliveries/resolve", &body).await.expect(200).json();
    answer["deliveries"].as_array().unwrap().len()
}

async fn eml_09_a_suppressed_address_is_not_written_to_whoever_holds_it(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let anna = customer(&gateway, "anna", &["email_marketing"]).await;
    let (shop, mailer, officer) = (gateway.shop().await, gateway.mailer().await, gateway.officer().await);
    officer.erases(&anna).await;
    // At import (V17): her address as an identifier is turned away.
    let line = Line::of(&anna, json!({ "city": "Berlin" })).of_region("US-CA");
    let result = shop.tries(&[line]).await.expect(200).json();
    assert_eq!(result["results"][0]["problem"]["code"], "suppressed", "{result}");
    // At send: it comes back as a mere attribute of somebody whom no law asks for consent.
    shop.sends(&[record_with("10042", &anna.email), record_with("10043", "q7canary.other@example.org")]).await;
    let refused = |gateway: &TestGateway| {
        let figures = gateway.gateway().figures();
        figures.refusals.iter().find(|(refusal, _)| refusal.code() == "objected").unwrap().1
    };
    let before = refused(&gateway);
    assert_eq!((reached(&mailer, "10042").await, reached(&mailer, "10043").await), (0, 1));
    assert_eq!(refused(&gateway), before + 1);
    // An order is confirmed all the same.
    let orders = gateway.recipient("mailer", "service_transactional").await;
    assert_eq!(reached(&orders, "10042").await, 1);
}

async fn eml_09_who_comes_back_by_their_own_act_is_written_to_again(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let anna = customer(&gateway, "anna", &["email_marketing"]).await;
    let (mailer, officer) = (gateway.mailer().await, gateway.officer().await);
    officer.erases(&anna).await;
    assert!(mailer.resolves(&[&anna]).await.is_empty());
    gateway.later();
    customer(&gateway, "anna", &["email_marketing"]).await;
    assert_eq!(mailer.resolves(&[&anna]).await.len(), 1);
}

async fn eml_10_spelling_variants_do_not_defeat_suppression(backend: Backend) {
    for one_mailbox in [true, false] {
        let flag = "plus_tags_are_one_mailbox = true";
        let policy = policy_with(&[("controllers.toml", flag, &flag.replace("true", &one_mailbox.to_string()))]);
        let gateway = TestGateway::start_under(backend, policy).await;
        let (shop, mailer, officer) = (gateway.shop().await, gateway.mailer().await, gateway.officer().await);
        let mut anna = gateway.person("anna");
        anna.email = "A.Q7canary+x@Example.ORG".to_owned();
        let post = anna.post(&[("email_marketing", "give")]);
        anna.sends(&post).await.expect(201);
        assert_eq!(mailer.resolves(&[&anna]).await.len(), 1);
        officer.erases(&anna).await;
        // Another spelling of the same address, at import and at send.
        let import = async |email: &str| {
            let line =
                json!({ "subject": { "email": email }, "region": "US-CA", "attributes": { "city": "Berlin" } });
            let result = shop.tries(&[Line(line)]).await.expect(200).json();
            result["stored"] == 0
        };
        assert!(import(" a.q7canary+X@EXAMPLE.org").await);
        shop.sends(&[record_with("1", "a.q7canary+x@example.org"), record_with("2", "a.q7canary@example.org")])
            .await;
        shop.sends(&[record_with("3", "a.q7canary+y@example.org")]).await;
        assert_eq!(reached(&mailer, "1").await, 0);
        // Its mailbox without the tag, and with another one: as the policy says.
        let expected = usize::from(!one_mailbox);
        assert_eq!((reached(&mailer, "2").await, reached(&mailer, "3").await), (expected, expected));
        assert_eq!(import("a.q7canary@example.org").await, one_mailbox);
    }
}

async fn eml_11_a_withdrawal_between_segment_and_send_holds(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let anna = customer(&gateway, "anna", &["email_marketing"]).await;
    let berta = customer(&gateway, "berta", &["email_marketing"]).await;
    let mailer = gateway.mailer().await;
    let segment = mailer.knows().await;
    assert_eq!(segment.len(), 2);
    anna.withdraws(&["email_marketing"]).await;
    let ask = json!({ "purpose": "email_marketing", "campaign": mailer.campaign(), "pseudonyms": segment });
    let answer = mailer.client.post("/v1/deliveries/resolve", &ask).await.expect(200).json();
    let deliveries = answer["deliveries"].as_array().unwrap();
    assert_eq!((deliveries.len(), &deliveries[0]["attributes"]["email"]), (1, &json!(berta.email)));
}

async fn eml_12_a_transactional_message_carries_no_marketing(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let anna = customer(&gateway, "anna", &["email_marketing"]).await;
    let orders = gateway.recipient("mailer", "service_transactional").await;
    let campaign = orders.campaign();
    let blocks = changed(&campaign, "/template/blocks", json!(["service", "marketing"]));
    let answer = orders.tries_to_resolve(&blocks, &[&anna]).await;
    let answer = answer.expect_problem(422, "marketing_in_transactional");
    assert_eq!(answer.json()["errors"][0]["pointer"], "/campaign/template/blocks/1");
    let class = changed(&campaign, "/class", "marketing".into());
    orders.tries_to_resolve(&class, &[&anna]).await.expect_problem(422, "campaign_class_mismatch");
    let mailer = gateway.mailer().await;
    let class = changed(&mailer.campaign(), "/class", "transactional".into());
    mailer.tries_to_resolve(&class, &[&anna]).await.expect_problem(422, "campaign_class_mismatch");
    // As it should be: no unsubscribe link, for there is nothing that it could stop.
    let delivery = orders.resolves(&[&anna]).await.pop().unwrap();
    assert_eq!((&delivery["headers"], &delivery["attributes"]["email"]), (&json!({}), &json!(anna.email)));
}

async fn eml_14_nobody_without_consent_is_in_the_audience_of_a_re_permission_mail(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (shop, mailer) = (gateway.shop().await, gateway.mailer().await);
    let (anna, berta, carla) = (gateway.person("anna"), gateway.person("berta"), gateway.person("carla"));
    let of = |person: &Person<'_>| Line::of(person, json!({ "email": person.email })).of_region("DE");
    shop.sends(&[of(&anna), of(&berta), of(&carla)]).await;
    berta.refuses(&["email_marketing"]).await;
    carla.withdraws(&["email_marketing"]).await;
    // "May we write to you again?" is marketing itself.
    assert!(mailer.resolves(&[&anna, &berta, &carla]).await.is_empty());
    assert!(mailer.knows().await.is_empty());
}

async fn eml_15_an_unsubscribed_address_is_in_no_third_partys_export(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (shop, mailer, adnetwork) = (gateway.shop().await, gateway.mailer().await, gateway.adnetwork().await);
    let (carla, dora) =
        (gateway.person("carla").of_region(Some("US-CA")), gateway.person("dora").of_region(Some("US-CA")));
    for person in [&carla, &dora] {
        let attributes = json!({ "email": person.email, "interest_topic": "books" });
        shop.sends(&[Line::of(person, attributes).of_region("US-CA")]).await;
    }
    let delivery = mailer.resolves(&[&carla]).await.pop().unwrap();
    gateway.link(&unsubscribe_url(&delivery)).one_click().await.expect(200);
    for (accept, _) in [("application/x-ndjson", ""), ("text/csv", "")] {
        let export = adnetwork.pulls_as(accept, "").await.expect(200);
        assert!(!export.text().contains("q7canary") && !export.text().contains('@'), "{accept}");
    }
    adnetwork.pulls_as("text/csv", "&attributes=email").await.expect_problem(403, "attribute_outside_contract");
}

async fn sta_42_an_address_is_never_sold(backend: Backend) {
    // A policy by which addresses go to another controller, or to a mail house for a sale, is none (15 USC 7704(a)(4)).
    let of = |role: &str| {
        format!(
            "[[recipient]]\nid = \"list_broker\"\nname = \"Example Lists Ltd\"\nrole = \"{role}\"\n\
             controller = \"example_ads\"\ncountry = \"NL\"\npurposes = [\"share_third_party\"]\n\
             attributes = [\"email\"]\nepoch = 1\n\n# Another controller:"
        )
    };
    let emails = "purposes = [\"email_marketing\", \"email_open_tracking\"";
    let sold = emails.replace("[\"email", "[\"share_third_party\", \"email");
    for (role, code) in [("third_party", "plain_form"), ("sender", "recipient_role")] {
        let policy = policy_with(&[
            ("recipients.toml", "# Another controller:", &of(role)),
            ("attributes.toml", emails, &sold),
        ]);
        let faults = kernel::policy::ValidPolicy::from_sources(&policy).unwrap_err();
        assert!(faults.iter().any(|fault| fault.code == code), "{role}: {faults:?}");
    }
    // And by the shipped one nobody's address leaves for whoever is shared with, unsubscribed or not.
    let gateway = TestGateway::start(backend).await;
    let carla = gateway.person("carla").of_region(Some("US-CA"));
    let attributes = json!({ "email": carla.email, "interest_topic": "books" });
    gateway.shop().await.sends(&[Line::of(&carla, attributes).of_region("US-CA")]).await;
    carla.withdraws(&["email_marketing"]).await;
    let pull = gateway.adnetwork().await.pulls().await;
    assert_eq!(pull.rows.len(), 1);
    assert!(!pull.text().contains("q7canary") && !pull.text().contains('@'));
}

async fn a_crawl_over_every_link_of_a_delivery_changes_nothing(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let anna = customer(&gateway, "anna", &["email_marketing", "profiling_segmentation"]).await;
    let mailer = gateway.mailer().await;
    let text = mailer.tries_to_resolve(&mailer.campaign(), &[&anna]).await.expect(200).text();
    let mut links: Vec<String> = text
        .split("http://gateway.test")
        .skip(1)
        .map(|rest| rest.split(['"', '>', '\\', '<']).next().unwrap().to_owned())
        .collect();
    assert_eq!(links.len(), 2, "{text}");
    let before = gateway.database().stored().await;
    let mut seen = std::collections::BTreeSet::new();
    while let Some(path) = links.pop() {
        if !seen.insert(path.clone()) {
            continue;
        }
        for method in ["HEAD", "GET"] {
            let answer = gateway.send(gateway.request(method, &path)).await.expect(200);
            let page = answer.text();
            links.extend(page.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()));
        }
    }
    assert!(seen.iter().any(|path| path.starts_with("/forms/")), "{seen:?}");
    assert_eq!(gateway.database().stored().await, before);
    assert_eq!(mailer.resolves(&[&anna]).await.len(), 1);
    assert_eq!(gateway.segmentation().await.knows().await.len(), 1);
}

async fn unknown_erased_and_refused_persons_are_absent_alike(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (mailer, officer) = (gateway.mailer().await, gateway.officer().await);
    let erased = customer(&gateway, "erased", &["email_marketing"]).await;
    officer.erases(&erased).await;
    let refused = gateway.person("refused");
    refused.refuses(&["email_marketing"]).await;
    let unknown = gateway.person("unknown");
    // Agreed, but left no address to write to.
    gateway.later();
    let no_address = json!({
        "form": "checkout", "subject": { "customer_id": "77" }, "notice": gateway.notice("checkout", "en"),
        "locale": "en", "region": "DE", "captured_at": gateway.later().to_string(),
        "evidence": { "action": "checkbox_ticked", "default_state": "unchecked", "presentation": "separate" },
        "choices": [{ "purpose": "email_marketing", "choice": "give" }],
    });
    gateway.post("/v1/consents", &no_address).await.expect(201);
    let mut answers = Vec::new();
    for identifier in [
        json!({ "email": erased.email }),
        json!({ "email": refused.email }),
        json!({ "email": unknown.email }),
        json!({ "customer_id": "77" }),
    ] {
        let body = json!({
            "purpose": "email_marketing", "campaign": mailer.campaign(), "identifiers": [identifier],
        });
        let answer = mailer.client.post("/v1/deliveries/resolve", &body).await.expect(200);
        let pull = answer.json()["pull"].as_str().unwrap().to_owned();
        answers.push(answer.text().replace(&pull, ""));
    }
    assert!(answers[0].contains("\"deliveries\":[]"));
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    gateway.expect_sound_ledger().await;
}

async fn only_a_sender_resolves_addresses(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let anna = customer(&gateway, "anna", &["email_marketing", "profiling_segmentation"]).await;
    let segmentation = gateway.segmentation().await;
    let before = gateway.gateway().figures().attempts_refused;
    segmentation.tries_to_resolve(&segmentation.campaign(), &[&anna]).await.expect_problem(403, "not_a_sender");
    let foreign = segmentation.asking_for("email_marketing");
    let campaign = foreign.campaign();
    foreign.tries_to_resolve(&campaign, &[&anna]).await.expect_problem(403, "purpose_outside_token");
    assert_eq!(gateway.gateway().figures().attempts_refused, before + 2);
    let mailer = gateway.mailer().await;
    let ask = json!({ "purpose": "nothing", "campaign": mailer.campaign(), "pseudonyms": ["p1-0"] });
    mailer.client.post("/v1/deliveries/resolve", &ask).await.expect(422);
}

async fn a_resolve_has_bounds(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let mailer = gateway.mailer().await;
    let name = format!("p1-{}", "0".repeat(32));
    let good = json!({ "purpose": "email_marketing", "campaign": mailer.campaign(), "pseudonyms": [name] });
    let send = async |body: &Value| mailer.client.post("/v1/deliveries/resolve", body).await;
    send(&good).await.expect(200);
    for (pointer, value, code) in [
        ("/pseudonyms", json!([]), "empty"),
        ("/pseudonyms", json!(vec![name.clone(); 501]), "too_many"),
        ("/pseudonyms", json!(["p1-xyz"]), "invalid_field"),
        ("/identifiers", json!([{ "email": "a@b.example" }]), "invalid_field"),
        ("/purpose", json!("no_such"), "unknown_purpose"),
        ("/campaign/id", json!("Anna Q7canary"), "invalid_field"),
        ("/campaign/id", json!("q7canary@example.org"), "invalid_field"),
        ("/campaign/class", json!("newsletter"), "invalid_field"),
        ("/campaign/unsubscribe", json!("never"), "invalid_field"),
        ("/campaign/template", json!({ "slots": ["logo"] }), "invalid_field"),
        ("/campaign/template", json!({ "html": "<p>" }), "unknown_field"),
    ] {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let mut body = good.clone();
        let place = if parent.is_empty() { &mut body } else { body.pointer_mut(parent).unwrap() };
        place[key] = value;
        send(&body).await.expect_problem(422, code);
    }
}
