//! Pseudonyms and minimisation (rows PSE and SEG of the law), and the attack of two recipients who put their files together.

use std::collections::{BTreeMap, BTreeSet};

use kernel::subject::SubjectId;
use serde_json::json;
use sha2::{Digest as _, Sha256, Sha512};

use crate::harness::{Backend, Line, Recipient, TestGateway, policy_with};

on_both!(
    pse_01_a_recipient_reaches_nothing_that_reverses_its_names,
    pse_02_a_name_is_no_hash_of_the_address,
    pse_03_names_differ_by_recipient_and_purpose_and_stay_the_same_otherwise,
    pse_08_a_token_of_one_purpose_is_not_good_for_another,
    pse_09_the_answer_has_what_was_asked_and_allowed_and_permitted,
    pse_10_raw_values_are_never_served_to_the_segmentation,
    seg_05_an_age_band_begins_on_the_birthday,
    two_recipients_cannot_join_their_files,
);

async fn pse_01_a_recipient_reaches_nothing_that_reverses_its_names(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let anna = gateway.person("anna");
    anna.gives(&["profiling_segmentation"]).await;
    let segmentation = gateway.segmentation().await;
    let name = segmentation.knows().await.into_iter().next().unwrap();
    let request = json!({ "type": "access", "subject": { "email": anna.email } });
    segmentation.client.post("/v1/rights-requests", &request).await.expect_problem(403, "insufficient_scope");
    segmentation.client.get("/v1/rights-requests").await.expect_problem(403, "insufficient_scope");
    // A name is not the id under which an officer could ask either.
    let officer = gateway.officer().await;
    let id = officer.copy(&anna).await["subject"].as_str().unwrap().to_owned();
    assert_ne!(format!("p1-{id}"), name);
    let guessed =
        officer.opens("access", json!({ "id": name.trim_start_matches("p1-") })).await.expect(201).json();
    assert_eq!(guessed["outcome"], "not_held");
}

async fn pse_02_a_name_is_no_hash_of_the_address(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let anna = gateway.person("anna");
    anna.gives(&["profiling_segmentation"]).await;
    let segmentation = gateway.segmentation().await;
    let name = segmentation.knows().await.into_iter().next().unwrap();
    let digits = name.trim_start_matches("p1-");
    let fingerprints = gateway.database().bytes("SELECT fingerprint FROM subject_identifier").await;
    let ids = gateway.database().bytes("SELECT id FROM subject").await;
    let email = &anna.email;
    let spellings = [
        email.clone(),
        email.to_uppercase(),
        format!(" {email}"),
        format!("{email}\n"),
        format!("mailto:{email}"),
    ];
    let guesses = spellings.iter().map(|text| text.as_bytes().to_vec()).chain(ids.clone()).chain(fingerprints);
    for guess in guesses {
        for hash in [Sha256::digest(&guess).to_vec(), Sha512::digest(&guess).to_vec(), guess] {
            let hash = hex(&hash);
            assert!(!hash.contains(digits) && !digits.contains(&hash), "{name} is {hash}");
        }
    }
    assert_eq!((digits.len(), ids.len()), (32, 1));
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn pse_03_names_differ_by_recipient_and_purpose_and_stay_the_same_otherwise(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let anna = gateway.person("anna");
    anna.gives(&["profiling_segmentation", "share_third_party", "email_marketing", "email_open_tracking"]).await;
    gateway.shop().await.sends(&[Line::of(&anna, json!({ "city": "Berlin" }))]).await;
    let mut names = BTreeSet::new();
    let asks = [
        ("segmentation", "profiling_segmentation"),
        ("adnetwork", "share_third_party"),
        ("mailer", "email_marketing"),
        ("mailer", "email_open_tracking"),
        ("mailer", "service_transactional"),
        ("risk_check", "fraud_prevention"),
    ];
    for (recipient, purpose) in asks {
        let recipient = gateway.recipient(recipient, purpose).await;
        let name = recipient.knows().await;
        gateway.clock().advance_ms(3_600_000);
        assert_eq!((name.len(), recipient.knows().await), (1, name.clone()), "{purpose}");
        names.extend(name);
    }
    assert_eq!(names.len(), asks.len());
    let values: BTreeSet<_> = names.iter().map(|name| name.split_once('-').unwrap().1).collect();
    assert_eq!(values.len(), asks.len());
}

async fn pse_08_a_token_of_one_purpose_is_not_good_for_another(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    gateway.person("anna").gives(&["email_marketing", "share_third_party"]).await;
    let mailer = gateway.mailer().await.asking_for("share_third_party");
    let (entries, attempts) =
        (gateway.expect_sound_ledger().await.entries, gateway.gateway().figures().attempts_refused);
    mailer.pulls_as("*/*", "").await.expect_problem(403, "purpose_outside_token");
    // The attempt is on record.
    assert_eq!(gateway.expect_sound_ledger().await.entries, entries + 1);
    assert_eq!(gateway.gateway().figures().attempts_refused, attempts + 1);
}

async fn pse_09_the_answer_has_what_was_asked_and_allowed_and_permitted(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let anna = gateway.person("anna");
    anna.gives(&["email_marketing", "profiling_segmentation"]).await;
    let line = json!({ "city": "Berlin", "first_name": "q7canary", "last_open_on": "2026-11-20", "interest_topic": "books" });
    gateway.shop().await.sends(&[Line::of(&anna, line)]).await;
    let mailer = gateway.mailer().await;
    // Of its contract, but for another purpose: left out, not refused.
    let row = mailer.pulls_as("*/*", "&attributes=open_engagement,city").await.expect(200).lines()[0].clone();
    assert_eq!(row, json!({ "pseudonym": row["pseudonym"], "city": "Berlin" }));
    let nothing = mailer.pulls_as("*/*", "&attributes=open_engagement").await.expect(200);
    assert!(nothing.lines().is_empty());
    let segmentation = gateway.segmentation().await;
    let row = segmentation.pulls_as("*/*", "&attributes=interest_topic").await.expect(200).lines()[0].clone();
    assert_eq!(row, json!({ "pseudonym": row["pseudonym"], "interest_topic": "books" }));
    for all in ["*", "all", "age_band,*", "age_band,age_band", "age_band,,region"] {
        let answer = segmentation.pulls_as("*/*", &format!("&attributes={all}")).await;
        assert_eq!(answer.status, 422, "{all}: {answer:?}");
    }
}

async fn pse_10_raw_values_are_never_served_to_the_segmentation(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    gateway.person("anna").gives(&["profiling_segmentation"]).await;
    let segmentation = gateway.segmentation().await;
    let policy = gateway.gateway().policy();
    let raw: Vec<_> = policy.attributes().filter(|rule| rule.served.is_none()).collect();
    assert!(raw.len() >= 10);
    for rule in raw {
        let answer = segmentation.pulls_as("*/*", &format!("&attributes={}", rule.name)).await;
        answer.expect_problem(403, "attribute_outside_contract");
    }
}

async fn seg_05_an_age_band_begins_on_the_birthday(backend: Backend) {
    let gateway = TestGateway::start_under(backend, policy_with(&[("attributes.toml", "k = 10", "k = 1")])).await;
    let (anna, segmentation) = (gateway.person("anna"), gateway.segmentation().await);
    anna.gives(&["profiling_segmentation"]).await;
    gateway.shop().await.sends(&[Line::of(&anna, json!({ "birth_date": "2008-11-23" }))]).await;
    let band = async |at: &str| {
        gateway.clock().set(at.parse().unwrap());
        segmentation.pulls().await.rows[0]["age_band"].clone()
    };
    assert_eq!(band("2026-11-22T23:59:59.999Z").await, json!(null));
    assert_eq!(band("2026-11-23T00:00:00Z").await, "18-24");
}

/// What the keys tell of everybody under a recipient's name: the place in the order of signing up.
async fn truth(gateway: &TestGateway, recipient: &Recipient<'_>, name: &str) -> BTreeMap<String, f64> {
    let pseudonymiser =
        gateway.keyring().pseudonymiser(&name.parse().unwrap(), &recipient.purpose.parse().unwrap(), 1);
    let ids = gateway.database().bytes("SELECT id FROM subject ORDER BY ordinal").await;
    let name = |id: Vec<u8>| pseudonymiser.of(SubjectId::from_bytes(id.try_into().unwrap())).to_string();
    ids.into_iter().map(name).zip((0_u32..).map(f64::from)).collect()
}

/// Where each person stands in a file, in the order in which they signed up.
fn places(truth: &BTreeMap<String, f64>, file: &[String]) -> Vec<f64> {
    let mut places: Vec<_> =
        file.iter().zip((0_u32..).map(f64::from)).map(|(name, place)| (truth[name], place)).collect();
    places.sort_by(|a, b| a.0.total_cmp(&b.0));
    places.into_iter().map(|(_, place)| place).collect()
}

/// Spearman's rank correlation: of two orders of one set.
fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let count = f64::from(u32::try_from(a.len()).unwrap());
    let squares: f64 = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum();
    1.0 - 6.0 * squares / (count * (count * count - 1.0))
}

async fn parts(recipient: &Recipient<'_>, limit: Option<u32>) -> Vec<Vec<String>> {
    let parts = match limit {
        None => vec![recipient.pulls().await.rows],
        Some(limit) => recipient.pulls_in_parts(limit).await,
    };
    let name = |row: &serde_json::Value| row["pseudonym"].as_str().unwrap().to_owned();
    parts.iter().map(|part| part.iter().map(name).collect()).collect()
}

/// The parts by who signed up first in each: how the pull went through the persons.
fn course(truth: &BTreeMap<String, f64>, parts: &[Vec<String>]) -> Vec<f64> {
    let first = |part: &Vec<String>| part.iter().map(|name| truth[name]).fold(f64::INFINITY, f64::min);
    parts.iter().filter(|part| !part.is_empty()).map(first).collect()
}

async fn two_recipients_cannot_join_their_files(backend: Backend) {
    const PERSONS: usize = 240;
    let gateway = TestGateway::start(backend).await;
    gateway.crowd(PERSONS, &["profiling_segmentation", "share_third_party"]).await;
    let (segmentation, adnetwork) = (gateway.segmentation().await, gateway.adnetwork().await);
    let of_segmentation = truth(&gateway, &segmentation, "segmentation").await;
    let of_adnetwork = truth(&gateway, &adnetwork, "adnetwork").await;
    let signed_up: Vec<f64> = (0_u32..).take(PERSONS).map(f64::from).collect();
    for limit in [None, Some(2)] {
        let (a, b) = (parts(&segmentation, limit).await, parts(&adnetwork, limit).await);
        let again = parts(&segmentation, limit).await;
        let (in_a, in_b) = (a.concat(), b.concat());
        assert_eq!((in_a.len(), in_b.len()), (PERSONS, PERSONS));
        // By name.
        let values = |names: &[String]| names.iter().map(|name| name[3..].to_owned()).collect::<BTreeSet<_>>();
        assert!(values(&in_a).is_disjoint(&values(&in_b)));
        // By position, and by the time of signing up.
        let (in_a, in_b) = (places(&of_segmentation, &in_a), places(&of_adnetwork, &in_b));
        // Five standard deviations of the correlation of two unrelated orders. What is in one part stays together.
        let apart = if limit.is_some() { a.len() } else { PERSONS };
        let most = 5.0 / f64::from(u32::try_from(apart).unwrap()).sqrt();
        for (what, left, right) in [
            ("the other's file", &in_a, &in_b),
            ("signing up", &in_a, &signed_up),
            ("signing up", &in_b, &signed_up),
        ] {
            let related = correlation(left, right);
            assert!(related.abs() < most, "order follows {what}: {related} with parts of {limit:?}");
        }
        if limit.is_some() {
            // By page: the parts come in an order of their own for every recipient and every pull.
            let (course_a, course_b) = (course(&of_segmentation, &a), course(&of_adnetwork, &b));
            assert!(course_a.len() >= PERSONS / 2);
            assert_ne!(course_a, course_b);
            assert_ne!(course_a, course(&of_segmentation, &again));
            assert!(!course_a.is_sorted() && !course_b.is_sorted());
        }
    }
}
