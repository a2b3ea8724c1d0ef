//! Consent records and receipts in the shapes of ISO/IEC TS 27560 (DPV 2.3) and Kantara 1.1: every member that is required,
//! nothing that is not for the reader.

use kernel::time::Timestamp;
use serde_json::{Value, json};

use crate::harness::{Answer, Backend, TestGateway};

on_both!(
    a_receipt_has_every_member_that_27560_requires,
    the_statuses_of_a_record_follow_the_lifecycle,
    a_kantara_receipt_has_every_member_that_1_1_requires,
    a_receipt_is_a_download_in_the_shape_that_is_asked_for,
    a_receipt_shows_its_own_post_and_nothing_else,
    a_forged_token_and_a_person_who_is_gone_are_answered_alike,
    no_receipt_or_record_holds_an_address,
    the_link_of_a_mail_opens_all_records,
    a_receipt_tells_the_policy_of_its_time,
    cap_03_the_persons_copy_holds_the_consent_record,
);

const MAIL: &str = "email_marketing";

async fn read(gateway: &TestGateway, receipt: &Value, accept: &str) -> Answer {
    let body = json!({ "token": receipt["receipt_token"] });
    gateway.send(gateway.request("POST", "/v1/receipts").header("accept", accept).json(&body)).await
}

async fn dpv(gateway: &TestGateway, receipt: &Value) -> Value {
    read(gateway, receipt, "application/ld+json").await.expect(200).json()
}

/// A member that is a list with something in it.
#[track_caller]
fn some(value: &Value, member: &str) -> Vec<Value> {
    let list = value[member].as_array().unwrap_or_else(|| panic!("{member} is no list: {value}"));
    assert!(!list.is_empty(), "{member} is empty");
    list.clone()
}

#[track_caller]
fn text(value: &Value, member: &str) -> String {
    value[member].as_str().unwrap_or_else(|| panic!("{member} is no text: {value}")).to_owned()
}

/// The states of DPV 2.3 and the types beside them: closed lists.
const STATES: [&str; 10] = [
    "dpv:ConsentUnknown",
    "dpv:ConsentRequested",
    "dpv:ConsentRequestDeferred",
    "dpv:ConsentRefused",
    "dpv:ConsentGiven",
    "dpv:RenewedConsentGiven",
    "dpv:ConsentExpired",
    "dpv:ConsentWithdrawn",
    "dpv:ConsentRevoked",
    "dpv:ConsentInvalidated",
];

/// The cardinalities of the profile, member by member.
#[track_caller]
fn expect_record(record: &Value, profile: &str) {
    assert_eq!(record["@type"], "dpv:ConsentRecord");
    assert_eq!(text(record, "dct:conformsTo"), format!("https://w3id.org/dpv/schema/dpv-27560#{profile}"));
    assert_eq!(some(record, "dct:identifier"), some(record, "dpv:hasIdentifier"));
    assert!(text(&record["dpv:hasDataSubject"], "@id").starts_with("urn:uuid:"));
    some(record, "dct:language");
    for notice in some(record, "dpv:hasNotice") {
        assert_eq!(notice["@type"], "dpv:ConsentNotice");
        text(&notice, "dct:date");
        text(&notice, "dct:language");
        some(&notice, "dct:coverage");
    }
    for process in some(record, "dpv:hasProcess") {
        assert_eq!(process["@type"], "dpv:Process");
        for member in ["dpv:hasPersonalData", "dpv:hasRight", "dpv:hasJurisdiction", "dpv:hasLegalBasis"] {
            some(&process, member);
        }
        for purpose in some(&process, "dpv:hasPurpose") {
            assert!(text(&purpose, "skos:broader").starts_with("dpv:"));
        }
        let storage = some(&process, "dpv:hasStorageCondition");
        assert!(storage.iter().any(|condition| condition["@type"] == "dpv:StorageDuration"));
        for control in some(&process, "dpv:hasConsentControl") {
            assert_eq!(control["@type"], "dpv:WithdrawConsent");
            assert!(text(&control, "dpv:isExercisedAt").starts_with("http"));
        }
        for controller in some(&process, "dpv:hasDataController") {
            for member in ["dpv:hasName", "dpv:hasAddress", "dpv:hasContact", "dpv:hasRole"] {
                text(&controller, member);
            }
            some(&controller, "dpv:hasIdentifier");
        }
        for recipient in some(&process, "dpv:hasRecipient") {
            text(&recipient, "dpv:hasName");
        }
    }
    for status in some(record, "dpv:hasConsentStatus") {
        let types = some(&status, "@type");
        assert!(STATES.contains(&types[0].as_str().unwrap()), "{types:?}");
        assert!(matches!(types[1].as_str(), Some("dpv:ExpressedConsent" | "dpv:ExplicitlyExpressedConsent")));
        let at = text(&status, "dpv:isIndicatedAtTime");
        assert!(at.ends_with('Z') && at.parse::<Timestamp>().is_ok());
        for duration in some(&status, "dpv:hasDuration") {
            some(&duration, "@type");
            text(&duration, "rdf:value");
        }
        some(&status, "dpv:isIndicatedBy");
    }
}

async fn a_receipt_has_every_member_that_27560_requires(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let anna = gateway.person("anna");
    let receipt = anna.gives(&[MAIL, "share_third_party"]).await;
    let document = dpv(&gateway, &receipt).await;
    assert_eq!(document["@type"], "dpv:ConsentReceipt");
    assert_eq!(document["dct:conformsTo"], "https://w3id.org/dpv/schema/dpv-27560#receipt-eu-gdpr");
    assert!(some(&document, "dpv:hasIdentifier").contains(&receipt["receipt"]));
    assert_eq!(document["dct:created"], receipt["recorded_at"]);
    // The context is in the document: nothing has to be fetched.
    assert_eq!(document["@context"]["dpv"], "https://w3id.org/dpv#");
    let records = some(&document, "dpv:hasRecordOfActivity");
    assert_eq!(records.len(), 2);
    for record in &records {
        expect_record(record, "record-eu-gdpr");
    }
    let mail = &records[0]["dpv:hasProcess"][0];
    assert_eq!(mail["dpv:hasPurpose"][0]["skos:broader"], "dpv:DirectMarketing");
    assert!(some(mail, "dpv:hasLegalBasis").contains(&json!("eu-gdpr:A6-1-a")));
    assert_eq!(mail["dpv:hasJurisdiction"], json!(["loc:DE"]));
    let notice = &records[0]["dpv:hasNotice"][0];
    assert_eq!(notice["dct:identifier"], gateway.notice("checkout", "en"));
    // A Californian's record is under the general profile.
    let carla = gateway.person("carla").of_region(Some("US-CA"));
    let document = dpv(&gateway, &carla.gives(&[MAIL]).await).await;
    expect_record(&document["dpv:hasRecordOfActivity"][0], "record");
    assert_eq!(
        document["dpv:hasRecordOfActivity"][0]["dpv:hasProcess"][0]["dpv:hasJurisdiction"],
        json!(["loc:US-CA"])
    );
}

async fn the_statuses_of_a_record_follow_the_lifecycle(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, officer) = (gateway.person("anna"), gateway.officer().await);
    let states = async |purpose: &str| -> Vec<String> {
        let document = officer.file(&anna, "record").await.expect(200).json();
        let records = some(&document, "@graph");
        for record in &records {
            expect_record(record, "record-eu-gdpr");
        }
        let of = |record: &&Value| record["dpv:hasProcess"][0]["dpv:hasPurpose"][0]["dct:identifier"] == purpose;
        let record = records.iter().find(of).unwrap();
        let statuses = some(record, "dpv:hasConsentStatus");
        statuses.iter().map(|status| text(&json!({ "t": status["@type"][0] }), "t").replace("dpv:", "")).collect()
    };
    anna.refuses(&["link_tracking"]).await;
    assert_eq!(states("link_tracking").await, ["ConsentRequested", "ConsentRefused"]);
    anna.gives(&[MAIL]).await;
    gateway.later();
    anna.gives(&[MAIL]).await;
    assert_eq!(states(MAIL).await, ["ConsentRequested", "ConsentGiven", "RenewedConsentGiven"]);
    anna.asks("object_direct_marketing").await;
    gateway.later();
    anna.gives(&[MAIL]).await;
    gateway.clock().set("2029-01-01T00:00:00Z".parse().unwrap());
    assert_eq!(
        states(MAIL).await,
        [
            "ConsentRequested",
            "ConsentGiven",
            "RenewedConsentGiven",
            "ConsentWithdrawn",
            "ConsentRequested",
            "ConsentGiven",
            "ConsentExpired",
        ]
    );
}

async fn a_kantara_receipt_has_every_member_that_1_1_requires(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let anna = gateway.person("anna");
    let mut post = anna.post(&[(MAIL, "give"), ("share_third_party", "give"), ("link_tracking", "refuse")]);
    post["captured_at"] = "2026-11-22T11:59:59.900Z".into();
    let receipt = anna.sends(&post).await.expect(201).json();
    let document = read(&gateway, &receipt, "application/json").await.expect(200).json();
    assert_eq!(document["version"], "KI-CR-v1.1.0");
    // Whole seconds.
    assert_eq!(document["consentTimestamp"], 1_795_348_799_i64);
    for member in
        ["jurisdiction", "collectionMethod", "consentReceiptID", "piiPrincipalId", "policyUrl", "language"]
    {
        assert!(!text(&document, member).is_empty());
    }
    let id = text(&document, "consentReceiptID");
    let is_uuid_4 =
        id.len() == 36 && id.as_bytes()[14] == b'4' && matches!(id.as_bytes()[19], b'8' | b'9' | b'a' | b'b');
    assert!(is_uuid_4, "{id}");
    for controller in some(&document, "piiControllers") {
        for member in ["piiController", "contact", "email", "phone"] {
            text(&controller, member);
        }
        assert!(controller["address"].is_object());
    }
    let purposes = some(&some(&document, "services")[0], "purposes");
    assert_eq!(purposes.len(), 2, "a refusal is no consent: {purposes:?}");
    for purpose in &purposes {
        some(purpose, "purposeCategory");
        some(purpose, "piiCategory");
        assert!(matches!(purpose["consentType"].as_str(), Some("EXPLICIT" | "IMPLICIT" | "N/A")));
        text(purpose, "termination");
        let disclosed = purpose["thirdPartyDisclosure"].as_bool().unwrap();
        assert_eq!(disclosed, purpose["thirdPartyName"].is_string(), "{purpose}");
    }
    assert_eq!(purposes.iter().filter(|purpose| purpose["thirdPartyDisclosure"] == true).count(), 1);
    assert_eq!((&document["sensitive"], &document["spiCat"]), (&json!(false), &json!([])));
    // What consents to nothing has no receipt of this shape.
    let refused = anna.refuses(&[MAIL]).await;
    read(&gateway, &refused, "application/json").await.expect_problem(409, "nothing_consented");
    assert_eq!(dpv(&gateway, &refused).await["@type"], "dpv:ConsentReceipt");
}

async fn a_receipt_is_a_download_in_the_shape_that_is_asked_for(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, officer) = (gateway.person("anna"), gateway.officer().await);
    let receipt = anna.gives(&[MAIL]).await;
    let name = receipt["receipt"].as_str().unwrap();
    for (accept, kind, ending) in [
        ("*/*", "application/ld+json", "jsonld"),
        ("application/ld+json", "application/ld+json", "jsonld"),
        ("application/json", "application/json", "json"),
    ] {
        let answer = read(&gateway, &receipt, accept).await.expect(200);
        assert_eq!((answer.content_type(), answer.header("cache-control")), (kind, Some("no-store")));
        let disposition = format!("attachment; filename=\"consent-receipt-{name}.{ending}\"");
        assert_eq!(answer.header("content-disposition"), Some(&*disposition));
    }
    read(&gateway, &receipt, "text/html").await.expect_problem(406, "not_acceptable");
    let body = json!({ "token": receipt["receipt_token"] });
    let kantara = gateway.post("/v1/receipts?format=kantara", &body).await.expect(200);
    assert_eq!(kantara.json()["version"], "KI-CR-v1.1.0");
    gateway.post("/v1/receipts?format=pdf", &body).await.expect_problem(422, "invalid_field");
    // The officer gets the same document.
    let shown = officer.file(&anna, &format!("receipts/{name}?format=kantara")).await.expect(200);
    assert_eq!(shown.json(), kantara.json());
    officer.file(&anna, &format!("receipts/{}", "0".repeat(32))).await.expect_problem(404, "receipt_not_found");
}

async fn a_receipt_shows_its_own_post_and_nothing_else(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let mut receipts = Vec::new();
    // Somebody types the address of a person who is unknown, has consented, has objected.
    for state in ["unknown", "given", "objected"] {
        let victim = gateway.person(state);
        match state {
            "given" => drop(victim.gives(&[MAIL, "link_tracking"]).await),
            "objected" => drop(victim.asks("object_direct_marketing").await),
            _ => {}
        }
        gateway.clock().set("2026-12-01T12:00:00Z".parse().unwrap());
        let posts = [victim.gives(&["profiling_segmentation"]).await, victim.withdraws(&[MAIL]).await];
        gateway.later();
        // What happens afterwards is not for the bearer either.
        victim.withdraws(&["profiling_segmentation"]).await;
        for own in posts {
            let mut document = dpv(&gateway, &own).await.to_string();
            let person =
                dpv(&gateway, &own).await["dpv:hasRecordOfActivity"][0]["dpv:hasDataSubject"]["@id"].clone();
            let name = own["receipt"].as_str().unwrap();
            let uuid = dpv(&gateway, &own).await["@id"].as_str().unwrap().to_owned();
            for own_name in [person.as_str().unwrap(), name, &uuid] {
                document = document.replace(own_name, "…");
            }
            receipts.push(document);
        }
    }
    assert!(receipts.chunks(2).all(|pair| pair == &receipts[..2]), "{receipts:#?}");
}

async fn a_forged_token_and_a_person_who_is_gone_are_answered_alike(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, officer) = (gateway.person("anna"), gateway.officer().await);
    let receipt = anna.gives(&[MAIL]).await;
    officer.erases(&anna).await;
    let ask = async |token: &str| {
        let answer = gateway.post("/v1/receipts", &json!({ "token": token })).await;
        let id = answer.header("x-request-id").unwrap().to_owned();
        answer.expect_problem(404, "receipt_not_found").text().replace(&id, "")
    };
    let gone = ask(receipt["receipt_token"].as_str().unwrap()).await;
    for forged in [receipt["withdrawal_token"].as_str().unwrap(), "q1_", "", "nonsense"] {
        assert_eq!(ask(forged).await, gone);
    }
}

async fn no_receipt_or_record_holds_an_address(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, officer) = (gateway.person("anna"), gateway.officer().await);
    let mut post = anna.post(&[(MAIL, "give")]);
    post["fields"] = json!({ "first_name": "q7canary Anna", "birth_date": "1985-07-14" });
    let receipt = anna.sends(&post).await.expect(201).json();
    let id = officer.finds(&anna).await;
    for accept in ["application/ld+json", "application/json"] {
        let document = read(&gateway, &receipt, accept).await.expect(200).text();
        // Nor the gateway's own name of the person: two receipts of one person have nothing in common.
        for personal in ["q7canary", "1985", &id] {
            assert!(!document.contains(personal), "{personal} in {document}");
        }
    }
    assert!(!officer.file(&anna, "record").await.expect(200).text().contains("q7canary"));
    gateway.later();
    let again = anna.gives(&[MAIL]).await;
    let person = async |receipt: &Value| {
        dpv(&gateway, receipt).await["dpv:hasRecordOfActivity"][0]["dpv:hasDataSubject"].clone()
    };
    assert_ne!(person(&receipt).await, person(&again).await);
}

async fn the_link_of_a_mail_opens_all_records(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, officer) = (gateway.person("anna"), gateway.officer().await);
    anna.gives(&[MAIL]).await;
    anna.refuses(&["link_tracking"]).await;
    let subject = officer.finds(&anna).await.parse().unwrap();
    let at = "2026-11-22T12:00:00Z".parse().unwrap();
    let token = gateway.keyring().preference_token(subject, at).unwrap();
    let document = gateway.post("/v1/receipts", &json!({ "token": token })).await.expect(200).json();
    assert_eq!(some(&document, "@graph").len(), 2);
    // And says of the whole person whether a form may ask.
    let ask = json!({ "token": token, "purposes": [MAIL, "link_tracking", "share_third_party"] });
    let answer = gateway.post("/v1/prompts/ask", &ask).await.expect(200).json();
    let may: Vec<_> = some(&answer, "purposes").iter().map(|one| one["may_prompt"].clone()).collect();
    assert_eq!(may, [json!(false), json!(false), json!(true)]);
}

async fn a_receipt_tells_the_policy_of_its_time(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let receipt = gateway.person("anna").gives(&[MAIL]).await;
    let before = read(&gateway, &receipt, "application/ld+json").await.expect(200).text();
    gateway.later();
    let longer =
        crate::harness::policy_with(&[("attributes.toml", "retention = \"P36M\"", "retention = \"P60M\"")]);
    let gateway = gateway.under(longer).await;
    assert_eq!(read(&gateway, &receipt, "application/ld+json").await.expect(200).text(), before);
    gateway.later();
    let later = dpv(&gateway, &gateway.person("anna").gives(&[MAIL]).await).await.to_string();
    assert!(before.contains("P36M") && later.contains("P60M"));
}

async fn cap_03_the_persons_copy_holds_the_consent_record(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, officer) = (gateway.person("anna"), gateway.officer().await);
    anna.gives(&[MAIL]).await;
    let copy = officer.copy(&anna).await;
    let records = some(&copy["consent_record"], "@graph");
    expect_record(&records[0], "record-eu-gdpr");
    let shown = officer.file(&anna, "record").await.expect(200).json();
    assert_eq!(shown, copy["consent_record"]);
}
