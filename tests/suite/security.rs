//! Security (rows SEC of the law): what the database alone tells, and what happens when somebody edits it.

use serde_json::json;
use sha2::{Digest as _, Sha256, Sha512};

use crate::erasure::expect_no_trace;
use crate::harness::{Backend, Line, MARK, TestGateway, log};

on_both!(
    sec_01_what_is_moved_to_another_person_does_not_open,
    sec_01_a_row_that_was_edited_is_refused,
    sec_02_the_database_alone_gives_nothing_away,
    sec_04_a_fingerprint_is_no_unkeyed_hash,
    sec_06_what_is_asked_is_not_logged,
    a_fault_of_ours_is_in_the_log_with_its_cause_and_tells_its_caller_nothing,
);

async fn sec_01_what_is_moved_to_another_person_does_not_open(backend: Backend) {
    for column in ["record", "standing", "wrapped_key"] {
        let gateway = TestGateway::start(backend).await;
        let (anna, berta) = (gateway.person("anna"), gateway.person("berta"));
        let (segmentation, mailer) = (gateway.segmentation().await, gateway.mailer().await);
        anna.gives(&["profiling_segmentation", "email_marketing"]).await;
        berta.refuses(&["profiling_segmentation", "email_marketing"]).await;
        let lines =
            [&anna, &berta].map(|person| Line::of(person, json!({ "city": "Berlin", "interest_topic": "books" })));
        gateway.shop().await.sends(&lines).await;
        assert_eq!(segmentation.knows().await.len(), 1);
        // Anna's consent for Berta, or Berta's values for Anna: neither opens.
        gateway
            .database()
            .execute(&format!(
                "CREATE TEMPORARY TABLE moved AS SELECT ordinal, {column} AS sealed FROM subject; \
                 UPDATE subject SET {column} = (SELECT sealed FROM moved WHERE moved.ordinal <> subject.ordinal)"
            ))
            .await;
        assert_eq!(segmentation.knows().await.len(), 0, "{column}");
        assert!(!mailer.may_know(&anna).await && !mailer.may_know(&berta).await, "{column}");
    }
}

async fn sec_01_a_row_that_was_edited_is_refused(backend: Backend) {
    for column in ["record", "standing", "wrapped_key"] {
        let gateway = TestGateway::start(backend).await;
        let (anna, berta) = (gateway.person("anna"), gateway.person("berta"));
        let mailer = gateway.mailer().await;
        for person in [&anna, &berta] {
            person.gives(&["email_marketing"]).await;
        }
        let first = "WHERE ordinal = (SELECT min(ordinal) FROM subject)";
        let edit = match backend {
            Backend::Sqlite => format!(
                "UPDATE subject SET {column} = CAST(substr({column}, 1, length({column}) - 1) || \
                 CASE WHEN substr({column}, -1) = X'00' THEN X'01' ELSE X'00' END AS BLOB) {first}"
            ),
            Backend::Postgres => format!(
                "UPDATE subject SET {column} = set_byte({column}, length({column}) - 1, \
                 (get_byte({column}, length({column}) - 1) + 1) % 256) {first}"
            ),
        };
        gateway.database().execute(&edit).await;
        let known = [mailer.may_know(&anna).await, mailer.may_know(&berta).await];
        assert_eq!(
            known.iter().filter(|known| **known).count(),
            1,
            "{column}: one person must not cost the other"
        );
        assert_eq!(mailer.knows().await.len(), 1, "{column}");
    }
}

async fn sec_02_the_database_alone_gives_nothing_away(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, officer) = (gateway.person("anna"), gateway.officer().await);
    let token = anna.gives(&["email_marketing"]).await["withdrawal_token"].as_str().unwrap().to_owned();
    gateway.shop().await.sends(&[Line::of(&anna, json!({ "city": "q7canary-city" }))]).await;
    officer.copy(&anna).await;
    gateway.expect_sound_ledger().await;
    let stored = gateway.database().everything().await;
    for text in [MARK, &anna.email, "q7canary-city", &officer.client.secret, &token] {
        expect_no_trace(&stored, text);
    }
    // Nor a key, in any of the forms in which the key file could have got there.
    for line in gateway.keys().lines().filter_map(|line| line.strip_prefix("secret = \"")) {
        let secret = line.trim_end_matches('"');
        let bytes = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, secret).unwrap();
        assert_eq!(bytes.len(), 32);
        assert!(!stored.windows(bytes.len()).any(|window| window == bytes), "a key is in the database");
        assert!(
            !stored.windows(secret.len()).any(|window| window == secret.as_bytes()),
            "a key is in the database"
        );
    }
}

async fn sec_04_a_fingerprint_is_no_unkeyed_hash(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let anna = gateway.person("anna");
    anna.gives(&["email_marketing"]).await;
    let found = gateway.database().bytes("SELECT fingerprint FROM subject_identifier").await;
    assert_eq!((found.len(), found[0].len()), (1, 32));
    let email = &anna.email;
    for guess in [
        email.clone(),
        email.to_uppercase(),
        format!("email:{email}"),
        format!("email\0{email}"),
        format!("email{email}"),
    ] {
        assert_ne!(found[0], Sha256::digest(&guess).to_vec());
        assert_ne!(found[0], Sha512::digest(&guess)[..32]);
    }
    // Another key gives another fingerprint, and a suppressed one another still.
    gateway.officer().await.erases(&anna).await;
    let suppressed = gateway.database().bytes("SELECT fingerprint FROM suppression").await;
    assert!(suppressed.len() == 1 && suppressed[0] != found[0]);
}

async fn sec_06_what_is_asked_is_not_logged(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    gateway.get("/v1/profiles?purpose=q7canary%40example.org").await.expect(401);
    gateway.get("/q7canary/anna@example.org?email=q7canary").await.expect(404);
    gateway.get("/forms/q7canary").await.expect(404);
    let request = gateway.request("q7canary".to_uppercase().as_str(), "/v1/consents");
    gateway
        .send(request.header("user-agent", "q7canary").header("referer", "https://q7canary.example/"))
        .await
        .expect(405);
    let request = gateway.request("GET", "/metrics").header("authorization", "Bearer q7canary");
    let metrics = gateway.send(request).await.expect(200).text();
    assert!(!metrics.contains(MARK) && metrics.contains("consentry_http_requests_total"), "{metrics}");
    let segmentation = gateway.segmentation().await;
    segmentation
        .pulls_as("*/*", "&attributes=q7canary%40example.org")
        .await
        .expect_problem(422, "unknown_attribute");
    segmentation.pulls_as("*/*", "&q7canary%40example.org=1").await.expect_problem(422, "unknown_field");
    // The log is kept, and it tells of these requests without telling what they said.
    let log = log::kept();
    assert!(log.contains("\"route\":\"/v1/profiles\"") && log.contains("request_id"));
    assert!(!log.contains(MARK) && !log.contains("127.0.0.1"));
}

/// ASVS 5.0 16.3.4, 16.5.1.
async fn a_fault_of_ours_is_in_the_log_with_its_cause_and_tells_its_caller_nothing(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let officer = gateway.officer().await;
    gateway.database().execute("ALTER TABLE rights_request RENAME TO rights_request_away").await;
    let request = officer.client.request("GET", "/v1/rights-requests").await;
    // Every other answer of the suite must not be one.
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 500);
    let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
    let problem: serde_json::Value = answer.json().await.unwrap();
    assert_eq!((problem["code"].as_str(), problem["request_id"].as_str()), (Some("internal"), Some(id.as_str())));
    assert!(!problem.to_string().contains("rights_request"));
    let log = log::kept();
    let line = log.lines().find(|line| line.contains(&id) && line.contains("\"level\":\"ERROR\"")).unwrap();
    assert!(line.contains("\"cause\":\"") && line.contains("\"route\":\"/v1/rights-requests\""), "{line}");
}
