//! The one path: captured, ingested, decided at the read, disclosed in served forms, and on record before it leaves.

use std::collections::BTreeSet;
use std::sync::Arc;

use app::ProfileAsk;
use kernel::authz::{Actor, Authorized, ClientActor, Scope};
use kernel::ledger::RefusedAttempt;
use serde_json::{Value, json};

use crate::harness::{Backend, Line, RAW, Recipient, TestGateway, policy_with};

on_both!(
    only_served_forms_leave,
    pse_11_every_served_value_is_of_a_closed_list,
    a_withdrawal_takes_effect_in_the_next_pull,
    a_sender_finds_persons_by_address,
    what_is_disclosed_is_on_record_under_the_recipients_legal_name,
    nothing_leaves_that_could_not_be_recorded,
    unknown_erased_and_denied_persons_look_alike,
    parts_cover_everybody_exactly_once,
    a_cursor_belongs_to_one_client_and_one_ask,
    a_cursor_does_not_outlive_its_policy,
    a_running_pull_honours_a_withdrawal_from_its_next_page_on,
    a_look_up_has_bounds,
    a_values_retention_ends_at_the_read,
);

async fn only_served_forms_leave(backend: Backend) {
    let gateway = TestGateway::start_under(backend, policy_with(&[("attributes.toml", "k = 10", "k = 1")])).await;
    gateway.crowd(30, &["profiling_segmentation", "share_third_party"]).await;
    for recipient in [gateway.segmentation().await, gateway.adnetwork().await, gateway.risk_check().await] {
        let pull = recipient.pulls().await;
        assert_eq!(pull.rows.len(), 30);
        let names: Vec<_> = pull.names().collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        // A pseudonym is random: it may hold any four digits.
        let without_names = |text: &str| names.iter().fold(text.to_owned(), |text, name| text.replace(name, ""));
        let pulled = without_names(pull.text());
        for raw in RAW {
            assert!(!pulled.contains(raw), "{raw} in {}", pulled.lines().next().unwrap());
        }
        let lookup = recipient.looks_up_names(&names).await;
        let answer = without_names(&lookup.without_pull_id());
        for raw in RAW {
            assert!(!answer.contains(raw), "{raw} in a look-up");
        }
    }
    let segmentation = gateway.segmentation().await;
    let rows = segmentation.pulls().await.rows;
    let known = rows.iter().find(|row| row["age_band"] == "65+" && row["interest_topic"] == "books").unwrap();
    let mut known = known.clone();
    for varying in ["pseudonym", "household_band", "social_connected", "cart_abandoned"] {
        known.as_object_mut().unwrap().remove(varying).unwrap();
    }
    assert_eq!(
        known,
        json!({
            "age_band": "65+", "region": "DE", "interest_topic": "books", "visits_30d_band": "10+", "visit_recency": "30-89d",
            "tenure_band": "36m+", "stage": "active", "rfm_recency": 5, "rfm_frequency": 2, "rfm_monetary": 5,
            "engagement": "active_90d", "interests": ["books", "music"], "advocate_band": "mid", "propensity_band": "high",
            "propensity_model": "propensity-2",
        })
    );
}

async fn pse_11_every_served_value_is_of_a_closed_list(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    gateway.crowd(20, &["profiling_segmentation", "share_third_party"]).await;
    let policy = gateway.gateway().policy();
    for recipient in [gateway.segmentation().await, gateway.adnetwork().await, gateway.risk_check().await] {
        for row in recipient.pulls().await.rows {
            for (name, value) in row.as_object().unwrap() {
                if name == "pseudonym" {
                    continue;
                }
                let rule = policy.attribute(&name.parse().unwrap()).unwrap();
                let form = format!("{:?}", rule.served.as_ref().unwrap());
                let is_listed = |text: &Value| form.contains(&format!("{text}")) || form.starts_with("Lifecycle");
                let fits = match value {
                    Value::Null | Value::Bool(_) => true,
                    Value::Number(score) => score.as_u64().is_some_and(|score| (1..=5).contains(&score)),
                    Value::String(_) => is_listed(value),
                    Value::Array(labels) => labels.iter().all(is_listed),
                    Value::Object(_) => false,
                };
                assert!(fits, "{name} = {value} is not of {form}");
            }
        }
    }
}

async fn a_withdrawal_takes_effect_in_the_next_pull(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, berta) = (gateway.person("anna"), gateway.person("berta"));
    let segmentation = gateway.segmentation().await;
    let token = anna.gives(&["profiling_segmentation"]).await["withdrawal_token"].clone();
    berta.gives(&["profiling_segmentation"]).await;
    let before = segmentation.knows().await;
    assert_eq!(before.len(), 2);
    gateway.later();
    let withdrawal =
        json!({ "token": token, "choices": [{ "purpose": "profiling_segmentation", "choice": "withdraw" }] });
    gateway.post("/v1/consents", &withdrawal).await.expect(201);
    let after = segmentation.knows().await;
    assert!(after.len() == 1 && after.is_subset(&before));
    let names: Vec<_> = before.iter().map(String::as_str).collect();
    let found: BTreeSet<_> = segmentation
        .looks_up_names(&names)
        .await
        .profiles()
        .iter()
        .map(|profile| profile["pseudonym"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(found, after);
}

async fn a_sender_finds_persons_by_address(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, berta, carla) = (gateway.person("anna"), gateway.person("berta"), gateway.person("carla"));
    let mut post = anna.post(&[("email_marketing", "give")]);
    post["fields"] = json!({ "first_name": "Anna", "city": "Köln" });
    anna.sends(&post).await.expect(201);
    carla.gives(&["email_marketing"]).await;
    let mailer = gateway.mailer().await;
    let mut profiles = mailer.looks_up_persons(&[&berta, &carla, &anna, &carla]).await.profiles();
    profiles.sort_by_key(|profile| profile["index"].as_u64());
    let shown: Vec<_> = profiles.iter().map(|profile| (&profile["index"], &profile["attributes"])).collect();
    let of = |email: &str, name: Value, city: Value| json!({ "email": email, "first_name": name, "city": city });
    let (carlas, annas) =
        (of(&carla.email, Value::Null, Value::Null), of(&anna.email, "Anna".into(), "Köln".into()));
    assert_eq!(shown, [(&json!(1), &carlas), (&json!(2), &annas)]);
    // Nobody but a sender may name a person.
    let by_address = json!({ "purpose": "profiling_segmentation", "identifiers": [{ "email": anna.email }] });
    let refused = gateway.segmentation().await.looks_up(&by_address).await.0;
    refused.expect_problem(403, "identifier_lookup_not_allowed");
}

async fn what_is_disclosed_is_on_record_under_the_recipients_legal_name(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, berta, officer) = (gateway.person("anna"), gateway.person("berta"), gateway.officer().await);
    anna.gives(&["profiling_segmentation", "share_third_party", "email_marketing"]).await;
    berta.gives(&["email_marketing"]).await;
    gateway.shop().await.sends(&[Line::of(&anna, json!({ "interest_topic": "books" }))]).await;
    assert_eq!(officer.copy(&anna).await["disclosures"], json!([]));
    let (segmentation, adnetwork, mailer) =
        (gateway.segmentation().await, gateway.adnetwork().await, gateway.mailer().await);
    let first_at = gateway.later();
    let row =
        segmentation.pulls_as("*/*", "&attributes=interest_topic,region").await.expect(200).lines()[0].clone();
    let name = row["pseudonym"].as_str().unwrap();
    let last_at = gateway.later();
    segmentation.looks_up_names(&[name]).await.profiles();
    let other = adnetwork.knows().await.into_iter().next().unwrap();
    mailer.looks_up_persons(&[&berta]).await.profiles();
    let disclosures = officer.copy(&anna).await["disclosures"].as_array().unwrap().clone();
    assert_eq!(disclosures.len(), 2, "{disclosures:?}");
    assert_eq!(
        disclosures[1],
        json!({
            "recipient": "segmentation", "name": "Example Shop GmbH, customer segmentation", "role": "own", "country": "DE",
            "purpose": "profiling_segmentation", "attributes": disclosures[1]["attributes"], "times": 2,
            "first_at": first_at.to_string(), "last_at": last_at.to_string(), "pseudonym": name,
            "pseudonyms": [name],
        })
    );
    assert!(disclosures[1]["attributes"].as_array().unwrap().contains(&json!("interest_topic")));
    assert_eq!(
        (&disclosures[0]["name"], &disclosures[0]["pseudonym"], &disclosures[0]["role"]),
        (&json!("Example Ads B.V."), &json!(other), &json!("third_party"))
    );
    let of_berta = officer.copy(&berta).await["disclosures"].clone();
    assert_eq!(of_berta.as_array().unwrap().len(), 1);
    assert_eq!(of_berta[0]["name"], "Example Mail Services AB");
    gateway.expect_sound_ledger().await;
}

/// Without its record no disclosure: when the record cannot be written, no byte leaves.
async fn nothing_leaves_that_could_not_be_recorded(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let anna = gateway.person("anna");
    anna.gives(&["profiling_segmentation", "email_marketing"]).await;
    gateway.shop().await.sends(&[Line::of(&anna, json!({ "interest_topic": "books" }))]).await;
    let (segmentation, mailer) = (gateway.segmentation().await, gateway.mailer().await);
    assert_eq!(segmentation.knows().await.len(), 1);
    let _token = mailer.client.token().await;
    gateway.database().execute("ALTER TABLE disclosure RENAME TO disclosure_elsewhere").await;
    let ask = json!({ "purpose": "email_marketing", "identifiers": [{ "email": anna.email }] });
    for request in [
        segmentation.client.request("GET", "/v1/profiles?purpose=profiling_segmentation").await,
        segmentation.client.request("GET", "/v1/profiles?purpose=profiling_segmentation&limit=10").await,
        mailer.client.request("POST", "/v1/profiles/lookup").await.json(&ask),
    ] {
        // The gateway's own fault, so the checks of every other answer do not apply.
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_server_error(), "{}", answer.status());
        let body = answer.text().await.unwrap();
        for trace in ["books", "p1-", "q7canary", "disclosure_elsewhere"] {
            assert!(!body.contains(trace), "{body}");
        }
    }
    gateway.database().execute("ALTER TABLE disclosure_elsewhere RENAME TO disclosure").await;
    assert_eq!(segmentation.knows().await.len(), 1);
}

async fn unknown_erased_and_denied_persons_look_alike(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (officer, segmentation, mailer) =
        (gateway.officer().await, gateway.segmentation().await, gateway.mailer().await);
    let people = ["denied", "withdrew", "objected", "erased", "unknown"].map(|name| gateway.person(name));
    let [denied, withdrew, objected, erased, unknown] = &people;
    let mut names = Vec::new();
    let purposes = ["profiling_segmentation", "email_marketing"];
    for person in [denied, withdrew, objected, erased] {
        let before = segmentation.knows().await;
        person.gives(&purposes).await;
        let after = segmentation.knows().await;
        names.push(after.difference(&before).next().unwrap().clone());
    }
    denied.refuses(&purposes).await;
    withdrew.withdraws(&purposes).await;
    objected.asks("object_direct_marketing").await;
    officer.erases(erased).await;
    names.push("p1-00112233445566778899aabbccddeeff".to_owned());
    let mut by_name = BTreeSet::new();
    for name in &names {
        by_name.insert(segmentation.looks_up_names(&[name]).await.without_pull_id());
    }
    assert_eq!(by_name.len(), 1, "{by_name:?}");
    let mut by_address = BTreeSet::new();
    for person in [denied, withdrew, objected, erased, unknown] {
        by_address.insert(mailer.looks_up_persons(&[person]).await.without_pull_id());
    }
    assert_eq!(by_address.len(), 1, "{by_address:?}");
    assert_eq!(segmentation.pulls().await.rows.len(), 0);
}

async fn parts_cover_everybody_exactly_once(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    gateway.crowd(47, &["profiling_segmentation"]).await;
    // Some of them are not permitted: parts may be short, nobody may be missing.
    for number in [3, 4, 5, 6, 7, 8, 9, 20, 46] {
        gateway.person(&format!("person-{number}")).withdraws(&["profiling_segmentation"]).await;
    }
    let segmentation = gateway.segmentation().await;
    let whole = segmentation.pulls().await;
    let expected: BTreeSet<_> = whole.names().collect();
    assert_eq!(expected.len(), 38);
    for limit in [1, 7, 47, 8_192] {
        let parts = segmentation.pulls_in_parts(limit).await;
        assert!(parts.iter().all(|part| part.len() <= limit as usize));
        let rows: Vec<_> = parts.concat();
        assert_eq!(rows.len(), 38, "limit {limit}");
        let names: BTreeSet<_> = rows.iter().map(|row| row["pseudonym"].as_str().unwrap().to_owned()).collect();
        assert_eq!(names, expected, "limit {limit}");
    }
    for bad in ["&limit=0", "&limit=8193", "&limit=x", "&limit=1&limit=1", "&page=2", "&cursor=nonsense"] {
        assert_eq!(segmentation.pulls_as("*/*", bad).await.status, 422, "{bad}");
    }
}

async fn next_link(recipient: &Recipient<'_>) -> String {
    let answer = recipient.pulls_as("*/*", "&limit=2").await.expect(200);
    let link = answer.header("link").unwrap();
    link.split_once('>').unwrap().0.trim_start_matches('<').to_owned()
}

async fn a_cursor_belongs_to_one_client_and_one_ask(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    gateway.crowd(6, &["profiling_segmentation", "sensitive_segmentation"]).await;
    let (segmentation, other) = (gateway.segmentation().await, gateway.segmentation().await);
    let link = next_link(&segmentation).await;
    segmentation.client.get(&link).await.expect(200);
    other.client.get(&link).await.expect_problem(422, "cursor_invalid");
    let elsewhere = link.replace("profiling_segmentation", "sensitive_segmentation");
    segmentation.client.get(&elsewhere).await.expect_problem(422, "cursor_invalid");
    let wider = format!("{link}&attributes=age_band");
    segmentation.client.get(&wider).await.expect_problem(422, "cursor_invalid");
    let (start, cursor) = link.split_once("cursor=").unwrap();
    for at in (0..cursor.len()).step_by(7) {
        let mut altered = cursor.to_owned().into_bytes();
        altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
        let altered = format!("{start}cursor={}", String::from_utf8(altered).unwrap());
        segmentation.client.get(&altered).await.expect_problem(422, "cursor_invalid");
    }
}

async fn a_cursor_does_not_outlive_its_policy(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    gateway.crowd(6, &["profiling_segmentation"]).await;
    let segmentation = gateway.segmentation().await;
    let (link, id, secret) =
        (next_link(&segmentation).await, segmentation.client.id.clone(), segmentation.client.secret.clone());
    drop(segmentation);
    let gateway =
        gateway.under(policy_with(&[("purposes.toml", "Offers and news by email", "News by email")])).await;
    let client = crate::harness::Client::known(&gateway, id, secret);
    client.get(&link).await.expect_problem(409, "policy_changed");
}

/// A pull in progress reads a few pages ahead; none of them outlives half a second, nor a withdrawal by more than that.
async fn a_running_pull_honours_a_withdrawal_from_its_next_page_on(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    gateway.crowd(24, &["profiling_segmentation"]).await;
    let segmentation = gateway.segmentation().await;
    assert_eq!(segmentation.knows().await.len(), 24);
    let actor = ClientActor {
        client: segmentation.client.id.clone(),
        scopes: vec![Scope::ProfilesRead],
        recipient: Some("segmentation".parse().unwrap()),
        source: None,
        purposes: vec!["profiling_segmentation".parse().unwrap()],
    };
    let by = Authorized::prove(Actor::Client(actor)).unwrap();
    let ask = ProfileAsk { purpose: "profiling_segmentation".parse().unwrap(), attributes: Vec::new() };
    let ready = gateway.gateway().ask(&by, ask, RefusedAttempt::PullProfiles).await.unwrap();
    let mut pull = gateway.gateway().pull(&by, ready, None, Some(2)).await.unwrap();
    let first = pull.next().await.unwrap().unwrap().batch.pseudonyms().len();
    assert!(first > 0);
    for number in 0..24 {
        gateway.person(&format!("person-{number}")).withdraws(&["profiling_segmentation"]).await;
    }
    gateway.clock().advance_ms(501);
    let mut sent = Vec::new();
    while let Some(page) = pull.next().await {
        sent.push(page.unwrap().batch.pseudonyms().len());
    }
    assert!(sent.len() >= 11 && sent.iter().all(|rows| *rows == 0), "{sent:?}");
}

async fn a_look_up_has_bounds(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let segmentation = gateway.segmentation().await;
    let name = "p1-00112233445566778899aabbccddeeff";
    let ask = |names: &[&str]| json!({ "purpose": "profiling_segmentation", "pseudonyms": names });
    segmentation.looks_up(&ask(&[name; 500])).await.0.expect(200);
    segmentation.looks_up(&ask(&[name; 501])).await.0.expect_problem(422, "too_many");
    segmentation.looks_up(&ask(&[])).await.0.expect_problem(422, "empty");
    segmentation
        .looks_up(&json!({ "purpose": "profiling_segmentation" }))
        .await
        .0
        .expect_problem(422, "missing_field");
    for bad in ["", "p1", "x1-00112233445566778899aabbccddeeff", "p01-00112233445566778899aabbccddeeff", "p1-zz"] {
        segmentation.looks_up(&ask(&[bad])).await.0.expect_problem(422, "invalid_field");
    }
    let both = json!({ "purpose": "profiling_segmentation", "pseudonyms": [name], "identifiers": [{ "email": "a@b.example" }] });
    segmentation.looks_up(&both).await.0.expect_problem(422, "invalid_field");
    // A name of another epoch is nobody's.
    let other = "p2-00112233445566778899aabbccddeeff";
    assert!(segmentation.looks_up(&ask(&[other])).await.profiles().is_empty());
}

async fn a_values_retention_ends_at_the_read(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, segmentation) = (gateway.person("anna"), Arc::new(gateway.segmentation().await));
    anna.gives(&["profiling_segmentation"]).await;
    gateway.shop().await.sends(&[Line::of(&anna, json!({ "visits_30d": 5, "interest_topic": "books" }))]).await;
    let row = async || segmentation.pulls().await.rows[0].clone();
    gateway.clock().set("2027-02-22T11:59:59Z".parse().unwrap());
    let shown = row().await;
    assert_eq!((&shown["visits_30d_band"], &shown["interest_topic"]), (&json!("4-9"), &json!("books")));
    // Visits are kept for three months, topics for twelve.
    gateway.clock().set("2027-02-22T12:00:01Z".parse().unwrap());
    let shown = row().await;
    assert_eq!((&shown["visits_30d_band"], &shown["interest_topic"]), (&Value::Null, &json!("books")));
}
