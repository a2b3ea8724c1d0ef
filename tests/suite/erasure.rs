//! Erasure: the key is destroyed, no read discloses, no import brings the person back, and the ledger still verifies.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::json;
use sha2::{Digest as _, Sha256, Sha512};

use crate::harness::{Backend, Line, MARK, TestGateway};

on_both!(
    after_it_no_read_discloses_and_no_import_brings_the_person_back,
    an_own_new_consent_works_again,
    nothing_readable_stays_in_the_database,
    everything_sealed_of_the_person_is_gone,
    a_token_of_an_erased_person_takes_nothing_back_and_tells_nothing,
    somebody_who_is_not_held_is_told_so,
);

async fn after_it_no_read_discloses_and_no_import_brings_the_person_back(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, berta) = (gateway.person("anna"), gateway.person("berta"));
    let (shop, mailer, segmentation) =
        (gateway.shop().await, gateway.mailer().await, gateway.segmentation().await);
    let officer = gateway.officer().await;
    for person in [&anna, &berta] {
        person.gives(&["email_marketing", "profiling_segmentation"]).await;
        shop.sends(&[Line::of(person, json!({ "city": "Berlin" }))]).await;
    }
    let before = segmentation.knows().await;
    officer.erases(&anna).await;
    let after = segmentation.knows().await;
    assert_eq!((before.len(), after.len()), (2, 1));
    assert!(!mailer.may_know(&anna).await && mailer.may_know(&berta).await);
    let gone = before.difference(&after).next().unwrap();
    assert!(segmentation.looks_up_names(&[gone]).await.profiles().is_empty());
    let transactional = mailer.asking_for("service_transactional");
    assert!(!transactional.may_know(&anna).await && transactional.may_know(&berta).await);
    assert_eq!(officer.copy(&anna).await["processing"], false);
    let stored = gateway.database().stored().await;
    for _ in 0..2 {
        let lines = [&anna, &berta].map(|person| Line::of(person, json!({ "city": "Hamburg" })));
        let results = shop.tries(&lines).await.expect(200).json()["results"].clone();
        assert_eq!(
            (&results[0]["problem"]["code"], &results[1]["status"]),
            (&json!("suppressed"), &json!("stored"))
        );
    }
    assert_eq!(gateway.database().stored().await, stored);
    assert!(!officer.holds(&anna).await);
    gateway.expect_sound_ledger().await;
}

async fn an_own_new_consent_works_again(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, shop, mailer) = (gateway.person("anna"), gateway.shop().await, gateway.mailer().await);
    let (officer, segmentation) = (gateway.officer().await, gateway.segmentation().await);
    anna.gives(&["email_marketing", "profiling_segmentation"]).await;
    let old = segmentation.knows().await;
    officer.erases(&anna).await;
    anna.gives(&["email_marketing", "profiling_segmentation"]).await;
    assert!(mailer.may_know(&anna).await);
    // A new person as far as anybody can tell: another name, and no history.
    let new = segmentation.knows().await;
    assert!(new.len() == 1 && new.is_disjoint(&old));
    let events = officer.events(&anna).await;
    assert_eq!(events.iter().filter(|event| *event == "GRANT_CONFIRMED").count(), 2, "{events:?}");
    assert_eq!(officer.copy(&anna).await["disclosures"].as_array().unwrap().len(), 2);
    // And once she is known again, her shop's records are taken again.
    shop.sends(&[Line::of(&anna, json!({ "city": "Berlin" }))]).await;
    assert_eq!(mailer.looks_up_persons(&[&anna]).await.profiles()[0]["attributes"]["city"], "Berlin");
    gateway.expect_sound_ledger().await;
}

/// Everything by which somebody with the database and without the keys could find a text in it.
fn traces_of(text: &str) -> Vec<Vec<u8>> {
    let mut traces = Vec::new();
    for spelling in [text.to_owned(), text.to_lowercase(), text.to_uppercase()] {
        let utf16: Vec<u8> = spelling.encode_utf16().flat_map(u16::to_le_bytes).collect();
        for bytes in [
            spelling.as_bytes().to_vec(),
            utf16,
            Sha256::digest(&spelling).to_vec(),
            Sha512::digest(&spelling).to_vec(),
        ] {
            traces.push(STANDARD.encode(&bytes).trim_end_matches('=').to_owned().into_bytes());
            traces.push(URL_SAFE_NO_PAD.encode(&bytes).into_bytes());
            traces.push(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into_bytes());
            traces.push(bytes);
        }
    }
    traces
}

pub(crate) fn expect_no_trace(stored: &[u8], text: &str) {
    for trace in traces_of(text) {
        let found = stored.windows(trace.len()).any(|window| window == trace);
        assert!(!found, "the database holds {text:?} as {:?}", String::from_utf8_lossy(&trace));
    }
}

async fn nothing_readable_stays_in_the_database(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let anna = gateway.person("anna");
    let mut post = anna.post(&[("email_marketing", "give"), ("profiling_segmentation", "give")]);
    post["fields"] =
        json!({ "first_name": "q7canary-first-name", "city": "q7canary-city", "birth_date": "1987-03-29" });
    post["evidence"]["statement"] = "q7canary-statement".into();
    anna.sends(&post).await.expect(201);
    gateway.shop().await.sends(&[Line::of(&anna, json!({ "interests": ["q7canary-interest"] }))]).await;
    gateway.mailer().await.looks_up_persons(&[&anna]).await.profiles();
    for erased in [false, true] {
        if erased {
            gateway.officer().await.erases(&anna).await;
        }
        let stored = gateway.database().everything().await;
        assert!(stored.len() > 1_000);
        for text in [
            MARK,
            &*anna.email,
            "q7canary-first-name",
            "q7canary-city",
            "1987-03-29",
            "q7canary-statement",
            "q7canary-interest",
        ] {
            expect_no_trace(&stored, text);
        }
        // The test sees what is there: the policy is in the database in plain words.
        assert!(stored.windows(15).any(|window| window == b"email_marketing"));
    }
}

async fn everything_sealed_of_the_person_is_gone(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, officer) = (gateway.person("anna"), gateway.officer().await);
    let before = gateway.database().stored().await;
    let post = anna.post(&[("email_marketing", "give")]);
    let request = gateway.request("POST", "/v1/consents").header("idempotency-key", "k").json(&post);
    gateway.send(request).await.expect(201);
    officer.copy(&anna).await;
    let database = gateway.database();
    let mut sealed = Vec::new();
    for query in [
        "SELECT id FROM subject",
        "SELECT wrapped_key FROM subject",
        "SELECT standing FROM subject",
        "SELECT record FROM subject",
        "SELECT sealed FROM consent_event",
        "SELECT fingerprint FROM subject_identifier",
    ] {
        let found = database.bytes(query).await;
        assert!(!found.is_empty(), "{query}");
        sealed.extend(found);
    }
    officer.erases(&anna).await;
    let after = database.stored().await;
    for table in ["subject", "subject_identifier", "consent_event", "idempotency_key"] {
        assert_eq!((table, after[table]), (table, before[table]));
    }
    assert_eq!(after["suppression"], before["suppression"] + 1);
    let pointing = "SELECT count(*) FROM rights_request WHERE subject_id IS NOT NULL";
    assert_eq!(database.number(pointing).await, 0);
    // Not in freed pages either, nor in the write-ahead log: what was sealed is gone as well as its key.
    let stored = database.everything().await;
    for blob in sealed.iter().filter(|blob| blob.len() >= 16) {
        assert!(!stored.windows(blob.len()).any(|window| window == *blob), "{} bytes are still there", blob.len());
    }
}

async fn a_token_of_an_erased_person_takes_nothing_back_and_tells_nothing(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, officer) = (gateway.person("anna"), gateway.officer().await);
    let token = anna.gives(&["email_marketing"]).await["withdrawal_token"].clone();
    let withdrawal =
        json!({ "token": token, "choices": [{ "purpose": "email_marketing", "choice": "withdraw" }] });
    gateway.later();
    let held = anna.sends(&withdrawal).await.expect(201).json();
    officer.erases(&anna).await;
    let stored = gateway.database().stored().await;
    let erased = anna.sends(&withdrawal).await.expect(201).json();
    assert_eq!(erased["events"], held["events"]);
    assert_eq!(gateway.database().stored().await, stored);
    assert!(!officer.holds(&anna).await);
}

async fn somebody_who_is_not_held_is_told_so(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, officer) = (gateway.person("anna"), gateway.officer().await);
    let erasure = officer.opens("erasure", json!({ "email": anna.email })).await.expect(201).json();
    assert_eq!((&erasure["status"], &erasure["outcome"]), (&json!("completed"), &json!("not_held")));
    // Nothing was held, so nothing is suppressed: she may be imported.
    gateway.shop().await.sends(&[Line::of(&anna, json!({ "city": "Berlin" }))]).await;
    let officer = gateway.officer().await;
    let answer = officer.opens("access", json!({ "email": anna.email })).await.expect(201);
    let id = answer.json()["document"]["subject"].clone();
    let erasure = officer.opens("erasure", json!({ "id": id })).await.expect(201).json();
    assert_eq!(erasure["outcome"], "erased");
    assert!(!officer.holds(&anna).await);
    gateway.expect_sound_ledger().await;
}
