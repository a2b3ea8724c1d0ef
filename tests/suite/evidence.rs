//! Evidence: one file that proves a consent to somebody who asks nobody, and receipts under our signature.

use std::io::Write as _;

use kernel::evidence::{Evidence, EvidenceFault, EvidenceState};
use kernel::ledger::note::NoteVerifier;
use kernel::receipt::{ReceiptError, ReceiptVerifier};
use serde_json::{Value, json};

use crate::harness::process::{run, text};
use crate::harness::{Answer, Backend, MARK, TestGateway};

on_both!(
    cap_03_evidence_of_a_consent_is_checked_without_the_gateway,
    whatever_is_changed_in_a_file_of_evidence_is_found,
    era_18_after_an_erasure_the_evidence_shows_that_something_was_recorded_not_what,
    the_bearer_of_a_receipt_gets_evidence_that_opens_nothing_else,
    evidence_waits_for_a_checkpoint,
    an_old_receipt_is_found_under_its_tile,
    a_signed_receipt_holds_under_the_published_key_and_is_no_access_token,
    a_person_shows_a_consent_without_the_address,
    reg_09_whoever_fetches_evidence_is_on_record,
);

const MAIL: &str = "email_marketing";

async fn by_token(gateway: &TestGateway, token: &Value, format: &str) -> Answer {
    gateway.post(&format!("/v1/receipts?format={format}"), &json!({ "token": token })).await
}

async fn vkey(gateway: &TestGateway) -> NoteVerifier {
    NoteVerifier::from_vkey(gateway.get("/ledger/vkey").await.expect(200).text().trim()).unwrap()
}

/// `consentry evidence verify` on a file with this text.
async fn verify(file: &str, vkey: &NoteVerifier) -> (Option<i32>, String) {
    let mut kept = tempfile::NamedTempFile::new().unwrap();
    kept.write_all(file.as_bytes()).unwrap();
    let (path, vkey) = (kept.path().to_str().unwrap().to_owned(), vkey.vkey());
    let output = tokio::task::spawn_blocking(move || run(&["evidence", "verify", &path, "--vkey", &vkey])).await;
    let output = output.unwrap();
    (output.status.code(), text(&output.stdout))
}

/// Anna gives, somebody else gives, Anna withdraws: the officer's file about her consent.
async fn officers_file(gateway: &TestGateway) -> (Value, String) {
    let (anna, officer) = (gateway.person("anna"), gateway.officer().await);
    let receipt = anna.gives(&[MAIL]).await;
    gateway.person("berta").gives(&[MAIL]).await;
    anna.refuses(&["link_tracking"]).await;
    anna.withdraws(&[MAIL]).await;
    gateway.sequence().await;
    let path = format!("receipts/{}?format=evidence", receipt["receipt"].as_str().unwrap());
    let file = officer.file(&anna, &path).await.expect(200);
    let name = file.header("content-disposition").unwrap();
    assert!(name.contains("consent-evidence-") && file.content_type() == "application/json", "{name}");
    (receipt, file.text())
}

async fn cap_03_evidence_of_a_consent_is_checked_without_the_gateway(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (receipt, file) = officers_file(&gateway).await;
    let key = vkey(&gateway).await;
    assert!(!file.contains(MARK), "the evidence holds an address");
    let evidence = Evidence::parse(&file).unwrap();
    let report = evidence.verify(Some(&key)).unwrap();
    assert_eq!(report.recorded_at.unwrap().to_string(), receipt["recorded_at"].as_str().unwrap());
    // The chain: the consent, and what ended it; not the other purpose, not the other person.
    let chain: Vec<Value> =
        evidence.chain.iter().map(|link| link.opening.as_ref().unwrap().reads.clone()).collect();
    assert_eq!(chain.len(), 2, "{chain:?}");
    assert_eq!(chain[0]["receipt"], receipt["receipt"]);
    assert!(
        chain.iter().all(|entry| entry["event"] == "consent_captured" && entry["subject"] == chain[0]["subject"])
    );
    // The text that was shown is in the file, and is the one that the receipt names.
    let document = evidence.document.as_ref().unwrap();
    let named = &document["dpv:hasRecordOfActivity"][0]["dpv:hasNotice"][0]["dct:identifier"];
    let shown = evidence.notices.iter().find(|notice| *named == notice.digest.to_string()).unwrap();
    assert!(shown.text.len() > 20);
    drop(gateway);
    let (code, said) = verify(&file, &key).await;
    assert!(code == Some(0) && said.contains("the evidence holds"), "{said}");
    let other = NoteVerifier::from_vkey("example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k");
    assert_eq!(evidence.verify(Some(&other.unwrap())), Err(EvidenceFault::Keys));
}

async fn whatever_is_changed_in_a_file_of_evidence_is_found(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (_, file) = officers_file(&gateway).await;
    let key = vkey(&gateway).await;
    let whole: Value = serde_json::from_str(&file).unwrap();
    // What says nothing: when the file was made, what a notice is called, and how a key may be used.
    let is_free = |at: &str| {
        at == "/generated_at"
            || at.starts_with("/notices/") && (at.ends_with("/id") || at.ends_with("/version"))
            || at.starts_with("/keys/jwks/") && (at.ends_with("/alg") || at.ends_with("/use"))
    };
    let mut places = Vec::new();
    leaves(&whole, "", &mut places);
    assert!(places.len() > 40);
    for at in places.iter().filter(|at| !is_free(at)) {
        let mut changed = whole.clone();
        let value = changed.pointer_mut(at).unwrap();
        *value = match value {
            Value::String(text) => {
                // A letter in the middle.
                let middle =
                    text.char_indices().map(|(place, _)| place).nth(text.chars().count() / 2).unwrap_or(0);
                let letter = if text[middle..].starts_with('A') { 'B' } else { 'A' };
                let rest: String = text[middle..].chars().skip(1).collect();
                format!("{}{letter}{rest}", &text[..middle]).into()
            }
            Value::Number(number) => (number.as_i64().unwrap() + 1).into(),
            Value::Bool(yes) => (!*yes).into(),
            _ => "something".into(),
        };
        let found = Evidence::parse(&changed.to_string()).and_then(|evidence| evidence.verify(Some(&key)));
        assert!(found.is_err(), "{at} was changed and not found: {}", changed.pointer(at).unwrap());
    }
    let mut shorter = whole.clone();
    shorter["notices"] = json!([]);
    let found = Evidence::parse(&shorter.to_string()).unwrap().verify(None);
    assert_eq!(found, Err(EvidenceFault::NoticeMissing));
    let (code, said) = verify(&shorter.to_string(), &key).await;
    assert!(code == Some(1) && said.contains("DOES NOT HOLD"), "{said}");
}

fn leaves(value: &Value, at: &str, places: &mut Vec<String>) {
    let escape = |name: &str| name.replace('~', "~0").replace('/', "~1");
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(name, value)| leaves(value, &format!("{at}/{}", escape(name)), places));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(place, value)| leaves(value, &format!("{at}/{place}"), places));
        }
        _ => places.push(at.to_owned()),
    }
}

async fn era_18_after_an_erasure_the_evidence_shows_that_something_was_recorded_not_what(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (receipt, before) = officers_file(&gateway).await;
    let (anna, officer, key) = (gateway.person("anna"), gateway.officer().await, vkey(&gateway).await);
    let id = receipt["receipt"].as_str().unwrap();
    officer.erases(&anna).await;
    gateway.expect_sound_ledger().await;
    // What somebody kept still holds.
    assert_eq!(Evidence::parse(&before).unwrap().verify(Some(&key)).unwrap().state, EvidenceState::Open);
    // What can be had now shows the entry, and nothing of what it says.
    let after = officer.client.get(&format!("/v1/evidence/{id}")).await.expect(200).text();
    let evidence = Evidence::parse(&after).unwrap();
    let report = evidence.verify(Some(&key)).unwrap();
    assert_eq!((report.state, report.recorded_at), (EvidenceState::Closed, None));
    assert_eq!(report.entries, [Evidence::parse(&before).unwrap().chain[0].index]);
    for word in [MAIL, "consent_captured", "opening", "document", "notices", MARK] {
        assert!(!after.contains(word), "the evidence of somebody who was erased holds {word}");
    }
    let (code, said) = verify(&after, &key).await;
    assert!(code == Some(0) && said.contains("that something was recorded, not what"), "{said}");
    // The reference that the kept file opens leads to nobody any more.
    let opened = Evidence::parse(&before).unwrap().chain[0].opening.as_ref().unwrap().reads["subject"].clone();
    for reference in gateway.database().bytes("SELECT ledger_ref FROM subject").await {
        assert_ne!(opened, kernel::id::hex(&reference));
    }
    by_token(&gateway, &receipt["receipt_token"], "evidence").await.expect_problem(404, "receipt_not_found");
    let never = format!("/v1/evidence/{}", "0".repeat(32));
    officer.client.get(&never).await.expect_problem(404, "receipt_not_found");
}

async fn the_bearer_of_a_receipt_gets_evidence_that_opens_nothing_else(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let anna = gateway.person("anna");
    let receipts = [anna.gives(&[MAIL]).await, anna.gives(&["profiling_segmentation"]).await];
    gateway.sequence().await;
    let key = vkey(&gateway).await;
    let mut files = Vec::new();
    for receipt in &receipts {
        let file = by_token(&gateway, &receipt["receipt_token"], "evidence").await.expect(200).text();
        let evidence = Evidence::parse(&file).unwrap();
        let report = evidence.verify(Some(&key)).unwrap();
        assert_eq!((report.state, report.entries.len()), (EvidenceState::Open, 1));
        assert!(evidence.chain.iter().all(|link| link.opening.is_none()));
        files.push(file);
    }
    // The reference that both entries share is in neither file: two receipts of one person cannot be matched.
    for reference in gateway.database().bytes("SELECT ledger_ref FROM subject").await {
        assert!(files.iter().all(|file| !file.contains(&kernel::id::hex(&reference))));
    }
    // Another receipt's entry does not pass for one's own.
    let mut mixed: Value = serde_json::from_str(&files[0]).unwrap();
    let other: Value = serde_json::from_str(&files[1]).unwrap();
    mixed["chain"] = other["chain"].clone();
    mixed["checkpoint"] = other["checkpoint"].clone();
    let found = Evidence::parse(&mixed.to_string()).unwrap().verify(Some(&key));
    assert_eq!(found, Err(EvidenceFault::Receipt));
}

async fn evidence_waits_for_a_checkpoint(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    gateway.sequence().await;
    let receipt = gateway.person("anna").gives(&[MAIL]).await;
    let token = &receipt["receipt_token"];
    by_token(&gateway, token, "evidence").await.expect_problem(409, "evidence_pending");
    by_token(&gateway, token, "jws").await.expect(200);
    gateway.sequence().await;
    by_token(&gateway, token, "evidence").await.expect(200);
    by_token(&gateway, token, "nonsense").await.expect_problem(422, "invalid_field");
}

async fn an_old_receipt_is_found_under_its_tile(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, mut receipts) = (gateway.person("anna"), Vec::new());
    for _ in 0..140 {
        receipts.push(anna.gives(&[MAIL]).await);
        receipts.push(anna.withdraws(&[MAIL]).await);
    }
    gateway.sequence().await;
    let (key, mut before) = (vkey(&gateway).await, None);
    assert!(receipts.len() > 270);
    for receipt in receipts.iter().step_by(30).chain(receipts.last()) {
        let file = by_token(&gateway, &receipt["receipt_token"], "evidence").await.expect(200).text();
        let report = Evidence::parse(&file).unwrap().verify(Some(&key)).unwrap();
        assert!(before < Some(report.entries[0]), "{before:?} {report:?}");
        before = Some(report.entries[0]);
    }
    assert!(before > Some(256));
}

async fn a_signed_receipt_holds_under_the_published_key_and_is_no_access_token(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let receipt = gateway.person("anna").gives(&[MAIL]).await;
    let keys =
        ReceiptVerifier::from_jwks(&gateway.get("/.well-known/jwks.json").await.expect(200).json()).unwrap();
    let token = &receipt["receipt_token"];
    let answer = by_token(&gateway, token, "jws").await.expect(200);
    assert_eq!(answer.content_type(), "application/jwt");
    let claims = keys.verify(&answer.text()).unwrap();
    let plain = by_token(&gateway, token, "dpv").await.expect(200).json();
    assert_eq!((&claims["receipt"], &claims["jti"]), (&plain, &receipt["receipt"]));
    assert_eq!(claims["iss"], "http://gateway.test");
    // By what the client accepts, too.
    let request = gateway.request("POST", "/v1/receipts").header("accept", "application/sd-jwt");
    let selective = gateway.send(request.json(&json!({ "token": token }))).await.expect(200);
    assert_eq!(selective.content_type(), "application/sd-jwt");
    assert_eq!(keys.verify(&selective.text()), Err(ReceiptError::Type));
    assert_eq!(
        keys.verify_selective(&selective.text()).unwrap()["records"][0],
        plain["dpv:hasRecordOfActivity"][0]
    );
    // A receipt is no access token, and an access token is no receipt.
    for receipt in [answer.text(), selective.text()] {
        let request = gateway.request("GET", "/v1/rights-requests").bearer_auth(receipt);
        gateway.send(request).await.expect_problem(401, "invalid_access_token");
    }
    let access = gateway.officer().await.client.token().await;
    assert_eq!(keys.verify(&access), Err(ReceiptError::Type));
}

async fn a_person_shows_a_consent_without_the_address(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, officer) = (gateway.person("anna"), gateway.officer().await);
    let receipt = anna.gives(&[MAIL, "link_tracking"]).await;
    let keys =
        ReceiptVerifier::from_jwks(&gateway.get("/.well-known/jwks.json").await.expect(200).json()).unwrap();
    // Whoever made the post proved no mailbox: no address, also none to leave out.
    let bearers = by_token(&gateway, &receipt["receipt_token"], "sd-jwt").await.expect(200).text();
    assert!(keys.verify_selective(&bearers).unwrap()["email"].is_null());
    // The link of a mail proves it.
    let subject = officer.finds(&anna).await.parse().unwrap();
    let token = gateway.keyring().preference_token(subject, kernel::clock::Clock::now(gateway.clock())).unwrap();
    let whole = by_token(&gateway, &token.into(), "sd-jwt").await.expect(200).text();
    let shown = keys.verify_selective(&whole).unwrap();
    assert_eq!(shown["email"], anna.email.as_str());
    assert_eq!(shown["records"].as_array().unwrap().len(), 2);
    // She leaves out everything but one record: what is left is signed, and names nobody.
    let mut parts: Vec<&str> = whole.trim_end_matches('~').split('~').collect();
    let last = parts.pop().unwrap();
    let shown = keys.verify_selective(&format!("{}~{last}~", parts[0])).unwrap();
    assert_eq!(shown["records"].as_array().unwrap().len(), 1);
    assert!(shown["email"].is_null() && !shown.to_string().contains(MARK), "{shown}");
}

async fn reg_09_whoever_fetches_evidence_is_on_record(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    officers_file(&gateway).await;
    let mut inspected = 0;
    for entry in gateway.database().bytes("SELECT entry FROM ledger_entry").await {
        let entry = kernel::ledger::LedgerEntry::from_bytes(&entry).unwrap();
        let entry = serde_json::to_value(entry).unwrap();
        if entry["event"] == "subject_inspected" && entry["what"] == "evidence" {
            assert!(entry["client"].is_string());
            inspected += 1;
        }
    }
    assert_eq!(inspected, 1);
}
