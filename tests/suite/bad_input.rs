//! Bad input: each kind is refused with its code, and nothing of it is stored.
//!
//! Every test also sends the same thing without the fault, which is accepted: what was refused was refused for its fault.

use serde_json::{Value, json};

use crate::harness::{Backend, Line, MARK, START, TestGateway};

on_both!(
    an_unknown_purpose_is_refused,
    cap_20_an_unknown_field_of_a_form_is_refused,
    cap_01_a_box_ticked_beforehand_is_refused,
    a_stale_notice_is_refused,
    a_time_of_capture_in_the_future_is_refused,
    an_oversized_body_is_refused,
    broken_utf_8_is_refused,
    a_wrong_content_type_is_refused,
    json_nested_ten_thousand_deep_is_refused,
    a_nul_in_a_string_is_refused,
    an_email_of_300_characters_is_refused,
    a_token_of_another_recipient_is_refused,
    a_purpose_outside_the_token_is_refused,
    an_attribute_outside_the_contract_is_refused,
    an_unknown_member_is_refused,
    a_bad_record_is_rejected_alone,
);

/// Sends a post with a fault, and then without it.
async fn refuse(backend: Backend, status: u16, code: &str, spoil: impl FnOnce(&mut Value)) {
    let gateway = TestGateway::start(backend).await;
    let (anna, officer) = (gateway.person("anna"), gateway.officer().await);
    let good = anna.post(&[("email_marketing", "give")]);
    let mut bad = good.clone();
    spoil(&mut bad);
    let before = gateway.database().stored().await;
    anna.sends(&bad).await.expect_problem(status, code);
    assert_eq!(gateway.database().stored().await, before);
    assert!(!officer.holds(&anna).await);
    anna.sends(&good).await.expect(201);
    assert!(officer.holds(&anna).await);
}

/// Sends raw bytes as a post.
async fn send_bytes(gateway: &TestGateway, kind: &str, body: impl Into<Vec<u8>>) -> crate::harness::Answer {
    gateway.send(gateway.request("POST", "/v1/consents").header("content-type", kind).body(body.into())).await
}

async fn an_unknown_purpose_is_refused(backend: Backend) {
    refuse(backend, 422, "unknown_purpose", |post| post["choices"][0]["purpose"] = "world_domination".into())
        .await;
}

async fn cap_20_an_unknown_field_of_a_form_is_refused(backend: Backend) {
    refuse(backend, 422, "field_not_on_form", |post| post["fields"] = json!({ "date_of_birth": MARK })).await;
}

async fn cap_01_a_box_ticked_beforehand_is_refused(backend: Backend) {
    refuse(backend, 422, "evidence_preselected", |post| post["evidence"]["default_state"] = "checked".into())
        .await;
}

async fn a_stale_notice_is_refused(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let stale = gateway.notice("checkout", "en");
    let gateway = gateway.under(super::notices::second_version()).await;
    let anna = gateway.person("anna");
    let good = anna.post(&[("email_marketing", "give")]);
    assert_ne!(good["notice"], stale);
    let mut bad = good.clone();
    bad["notice"] = stale.into();
    let before = gateway.database().stored().await;
    anna.sends(&bad).await.expect_problem(422, "notice_stale");
    assert_eq!(gateway.database().stored().await, before);
    anna.sends(&good).await.expect(201);
}

async fn a_time_of_capture_in_the_future_is_refused(backend: Backend) {
    refuse(backend, 422, "captured_in_future", |post| post["captured_at"] = "2026-11-22T12:00:06Z".into()).await;
}

async fn an_oversized_body_is_refused(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let anna = gateway.person("anna");
    let mut post = anna.post(&[("email_marketing", "give")]);
    post["evidence"]["statement"] = "x".repeat(70_000).into();
    let before = gateway.database().stored().await;
    anna.sends(&post).await.expect_problem(413, "payload_too_large");
    // Without a declared length it is found out while it is read.
    let chunks = futures_util::stream::iter((0..5).map(|_| Ok::<_, std::io::Error>(vec![b' '; 16_384])));
    let request = gateway.request("POST", "/v1/consents").header("content-type", "application/json");
    let answer = gateway.send(request.body(reqwest::Body::wrap_stream(chunks))).await;
    answer.expect_problem(413, "payload_too_large");
    assert_eq!(gateway.database().stored().await, before);
    post["evidence"]["statement"] = "I agree.".into();
    anna.sends(&post).await.expect(201);
}

async fn broken_utf_8_is_refused(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let anna = gateway.person("anna");
    let good = serde_json::to_vec(&anna.post(&[("email_marketing", "give")])).unwrap();
    let before = gateway.database().stored().await;
    for broken in [&b"\xff"[..], b"\xc0\x80", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\xc3"] {
        let at = good.windows(4).position(|window| window == b"anna").unwrap();
        let body = [&good[..at], broken, &good[at..]].concat();
        send_bytes(&gateway, "application/json", body).await.expect_problem(400, "invalid_utf8");
    }
    assert_eq!(gateway.database().stored().await, before);
    send_bytes(&gateway, "application/json", good).await.expect(201);
}

async fn a_wrong_content_type_is_refused(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let anna = gateway.person("anna");
    let good = serde_json::to_vec(&anna.post(&[("email_marketing", "give")])).unwrap();
    let before = gateway.database().stored().await;
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/json; charset=utf-16",
        "application/jsonx",
    ] {
        send_bytes(&gateway, kind, good.clone()).await.expect_problem(415, "unsupported_media_type");
    }
    let compressed = gateway.request("POST", "/v1/consents").header("content-encoding", "gzip");
    let compressed = compressed.header("content-type", "application/json").body(good.clone());
    gateway.send(compressed).await.expect_problem(415, "unsupported_media_type");
    assert_eq!(gateway.database().stored().await, before);
    send_bytes(&gateway, "application/json; charset=utf-8", good).await.expect(201);
}

async fn json_nested_ten_thousand_deep_is_refused(backend: Backend) {
    const DEEP: usize = 10_000;
    let gateway = TestGateway::start(backend).await;
    let (anna, shop) = (gateway.person("anna"), gateway.shop().await);
    let good = anna.post(&[("email_marketing", "give")]);
    let text = good.to_string();
    let nested = |open: &str, close: &str| format!("{}{}", open.repeat(DEEP), close.repeat(DEEP));
    let before = gateway.database().stored().await;
    for body in [
        "[".repeat(DEEP),
        nested("[", "]"),
        format!("{}1{}", "{\"a\":".repeat(DEEP), "}".repeat(DEEP)),
        text.replacen("\"choices\":", &format!("\"fields\":{{\"city\":{}}},\"choices\":", nested("[", "]")), 1),
        text.replacen("\"choices\":[", &format!("\"choices\":[{},", nested("[", "]")), 1),
    ] {
        let answer = send_bytes(&gateway, "application/json", body).await;
        assert!(matches!(answer.status, 400 | 422), "{answer:?}");
        assert_eq!(answer.content_type(), "application/problem+json");
        assert!(
            answer.codes().iter().all(|code| code == "malformed_json" || code == "invalid_field"),
            "{answer:?}"
        );
    }
    let record = Line::of(&anna, json!({ "city": "DEEP" })).0.to_string().replace("\"DEEP\"", &nested("[", "]"));
    shop.sends_bytes("application/json", format!("[{record}]")).await.expect_problem(400, "malformed_json");
    let lines = shop.sends_bytes("application/x-ndjson", record).await.expect(200).lines();
    assert_eq!(lines[0]["status"], "rejected");
    assert_eq!(gateway.database().stored().await, before);
    anna.sends(&good).await.expect(201);
}

async fn a_nul_in_a_string_is_refused(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, shop) = (gateway.person("anna"), gateway.shop().await);
    let good = anna.post(&[("email_marketing", "give")]);
    let before = gateway.database().stored().await;
    let spoilt = |spoil: &dyn Fn(&mut Value)| {
        let mut post = good.clone();
        spoil(&mut post);
        post
    };
    for bad in [
        spoilt(&|post| post["subject"]["email"] = "anna\u{0}@example.org".into()),
        spoilt(&|post| post["fields"] = json!({ "city": "Ber\u{0}lin" })),
        spoilt(&|post| post["fields"] = json!({ "ci\u{0}ty": "Berlin" })),
        spoilt(&|post| post["evidence"]["statement"] = "I\u{0}agree".into()),
        spoilt(&|post| post["evidence"]["page"] = "https://www.example.com/\u{0}".into()),
        spoilt(&|post| post["evidence"]["options"] = json!(["Yes", "No\u{0}"])),
        spoilt(&|post| post["locale"] = "e\u{0}n".into()),
    ] {
        anna.sends(&bad).await.expect_problem(422, "control_character");
    }
    let line = |city: &str| Line::of(&anna, json!({ "city": city }));
    let result = shop.tries(&[line("Ber\u{0}lin")]).await.expect(200).json();
    assert_eq!(result["results"][0]["problem"]["code"], "control_character", "{result}");
    assert_eq!(gateway.database().stored().await, before);
    anna.sends(&good).await.expect(201);
    shop.sends(&[line("Berlin")]).await;
}

async fn an_email_of_300_characters_is_refused(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, shop) = (gateway.person("anna"), gateway.shop().await);
    let good = anna.post(&[("email_marketing", "give")]);
    let email = format!("{}@{}.{}.example", "a".repeat(64), "b".repeat(63), "c".repeat(162));
    assert!(email.len() >= 298);
    let email = format!("{}{email}", "x".repeat(300 - email.len()));
    let before = gateway.database().stored().await;
    let mut bad = good.clone();
    bad["subject"]["email"] = email.clone().into();
    let answer = anna.sends(&bad).await;
    assert_eq!((answer.status, answer.content_type()), (422, "application/problem+json"), "{answer:?}");
    assert!(answer.codes().iter().all(|code| code == "too_long" || code == "invalid_identifier"), "{answer:?}");
    let result =
        shop.tries(&[Line(json!({ "subject": { "email": email }, "attributes": { "city": "Berlin" } }))]).await;
    assert_eq!(result.expect(200).json()["rejected"], 1);
    assert_eq!(gateway.database().stored().await, before);
    anna.sends(&good).await.expect(201);
}

async fn a_token_of_another_recipient_is_refused(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let anna = gateway.person("anna");
    anna.gives(&["profiling_segmentation", "share_third_party"]).await;
    let (segmentation, adnetwork) = (gateway.segmentation().await, gateway.adnetwork().await);
    let names: Vec<_> = segmentation.knows().await.into_iter().collect();
    let before = gateway.database().stored().await;
    // The ad network cannot ask what only the segmentation may ask, in bulk or for one person.
    let adnetwork = adnetwork.asking_for("profiling_segmentation");
    adnetwork.pulls_as("*/*", "").await.expect_problem(403, "purpose_outside_token");
    adnetwork.looks_up_names(&[&names[0]]).await.0.expect_problem(403, "purpose_outside_token");
    assert_eq!(gateway.database().stored().await, before);
    // And the segmentation's names mean nothing under its own purpose.
    let adnetwork = adnetwork.asking_for("share_third_party");
    assert!(adnetwork.looks_up_names(&[&names[0]]).await.profiles().is_empty());
    assert_eq!(segmentation.looks_up_names(&[&names[0]]).await.profiles().len(), 1);
}

async fn a_purpose_outside_the_token_is_refused(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let anna = gateway.person("anna");
    let mut post = anna.post(&[("profiling_segmentation", "give"), ("sensitive_segmentation", "give")]);
    post["choices"][1]["explicit"] = true.into();
    post["evidence"]["statement"] = "Yes, use my health interests.".into();
    anna.sends(&post).await.expect(201);
    let segmentation = gateway.segmentation().await;
    let scope = "profiles:read purpose:profiling_segmentation";
    let token = segmentation.client.asks_for_token(Some(scope)).await.expect(200).json();
    assert_eq!(token["scope"], scope);
    let token = token["access_token"].as_str().unwrap();
    let pull = |purpose: &str| {
        gateway.send(gateway.request("GET", &format!("/v1/profiles?purpose={purpose}")).bearer_auth(token))
    };
    let before = gateway.database().stored().await;
    pull("sensitive_segmentation").await.expect_problem(403, "purpose_outside_token");
    pull("email_marketing").await.expect_problem(403, "purpose_outside_token");
    assert_eq!(gateway.database().stored().await, before);
    assert_eq!(pull("profiling_segmentation").await.expect(200).lines().len(), 1);
    // A token for a purpose that the client does not have is not issued.
    let denied =
        segmentation.client.asks_for_token(Some("profiles:read purpose:email_marketing")).await.expect(400);
    assert_eq!(denied.json()["error"], "invalid_scope");
}

async fn an_attribute_outside_the_contract_is_refused(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    gateway.person("anna").gives(&["profiling_segmentation"]).await;
    let segmentation = gateway.segmentation().await;
    let before = gateway.database().stored().await;
    for attribute in ["email", "first_name", "birth_date", "purchases", "propensity_score"] {
        let query = format!("&attributes=age_band,{attribute}");
        segmentation.pulls_as("*/*", &query).await.expect_problem(403, "attribute_outside_contract");
        let ask = json!({
            "purpose": "profiling_segmentation", "attributes": [attribute],
            "pseudonyms": ["p1-00112233445566778899aabbccddeeff"],
        });
        segmentation.looks_up(&ask).await.0.expect_problem(403, "attribute_outside_contract");
    }
    segmentation.pulls_as("*/*", "&attributes=shoe_size").await.expect_problem(422, "unknown_attribute");
    assert_eq!(gateway.database().stored().await, before);
    segmentation.pulls_as("*/*", "&attributes=age_band").await.expect(200);
}

async fn an_unknown_member_is_refused(backend: Backend) {
    refuse(backend, 422, "unknown_field", |post| post["nickname"] = MARK.into()).await;
}

async fn a_bad_record_is_rejected_alone(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (shop, officer) = (gateway.shop().await, gateway.officer().await);
    let (anna, berta, carla) = (gateway.person("anna"), gateway.person("berta"), gateway.person("carla"));
    let good = |person| Line::of(person, json!({ "city": "Berlin" })).0.to_string();
    let lines = [
        good(&anna),
        format!("{{\"subject\":{{\"email\":\"{MARK}\"}},\"attributes\":{{\"city\":\"X\"}}}}"),
        "{broken".to_owned(),
        Line::of(&berta, json!({ "shoe_size": 42 })).0.to_string(),
        Line::of(&berta, json!({ "birth_date": "2026-02-30" })).0.to_string(),
        Line::of(&berta, json!({ "city": "Berlin" })).observed_at("2026-11-23T00:00:00Z").0.to_string(),
        Line::of(&berta, json!({ "city": "Berlin" })).of_region("de").0.to_string(),
        Line::of(&berta, json!({})).0.to_string(),
        good(&carla),
    ];
    let body = lines.join("\n").into_bytes();
    let body = [body, b"\n\xff\n".to_vec()].concat();
    let results = shop.sends_bytes("application/x-ndjson", body).await.expect(200).lines();
    let codes: Vec<_> =
        results.iter().map(|result| result["problem"]["code"].as_str().unwrap_or("stored")).collect();
    assert_eq!(
        codes,
        [
            "stored",
            "invalid_identifier",
            "malformed_json",
            "unknown_attribute",
            "invalid_field",
            "invalid_field",
            "invalid_region",
            "empty",
            "stored",
            "invalid_utf8",
        ],
    );
    assert!(officer.holds(&anna).await && !officer.holds(&berta).await && officer.holds(&carla).await);
    assert_eq!(officer.copy(&anna).await["attributes"][0]["observed_at"], START.replace('Z', ".000Z"));
}
