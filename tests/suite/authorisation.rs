//! Callers: tokens for secrets, their ends, and what they are bound to.

use kernel::authz::{Actor, Authorized, Scope};
use kernel::ledger::{AttemptRefusal, LedgerEntry, LedgerEvent, RefusedAttempt};
use serde_json::{Value, json};

use crate::harness::{Answer, Backend, Client, Line, Role, TestGateway};

on_both!(
    a_secret_gets_a_token_by_basic_or_in_the_body,
    a_wrong_secret_and_an_unknown_client_get_the_same_answer,
    a_token_has_no_more_than_was_asked_for,
    a_token_ends_with_its_time,
    a_revoked_client_is_refused_at_once_everywhere,
    a_recipient_who_is_remembered_and_revoked_learns_nothing_more_anywhere,
    an_altered_token_is_refused,
    a_client_without_a_source_or_recipient_is_nobodys,
    a_failed_attempt_is_recorded_without_what_was_sent,
    sec_05_whoever_is_turned_away_at_the_door_is_on_record_and_cannot_flood_it,
);

async fn token(gateway: &TestGateway, form: &[(&str, &str)]) -> Answer {
    gateway.send(gateway.request("POST", "/oauth/token").form(form)).await
}

async fn a_secret_gets_a_token_by_basic_or_in_the_body(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let shop = gateway.shop().await.client;
    let grant = ("grant_type", "client_credentials");
    let in_body =
        token(&gateway, &[grant, ("client_id", shop.id.as_str()), ("client_secret", &shop.secret)]).await;
    let request = gateway.request("POST", "/oauth/token").basic_auth(shop.id.as_str(), Some(&shop.secret));
    let by_basic = gateway.send(request.form(&[grant])).await;
    for answer in [in_body, by_basic] {
        let answer = answer.expect(200);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let body = answer.json();
        assert_eq!(
            (&body["token_type"], &body["expires_in"], &body["scope"]),
            (&json!("Bearer"), &json!(900), &json!("records:write"))
        );
        // RFC 9068: the header says what kind of token it is, and which key signed it.
        let header = decoded(body["access_token"].as_str().unwrap(), 0);
        assert_eq!((&header["alg"], &header["typ"]), (&json!("EdDSA"), &json!("at+jwt")));
        let keys = gateway.get("/.well-known/jwks.json").await.expect(200).json();
        let key = keys["keys"].as_array().unwrap().iter().find(|key| key["kid"] == header["kid"]).unwrap();
        assert!(key["d"].is_null() && key["kty"] == "OKP" && key["crv"] == "Ed25519", "{key}");
    }
    let about = gateway.get("/.well-known/oauth-authorization-server").await.expect(200).json();
    assert_eq!(about["token_endpoint"], "http://gateway.test/oauth/token");
}

fn decoded(token: &str, part: usize) -> Value {
    let part = token.split('.').nth(part).unwrap();
    let bytes = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, part).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

async fn a_wrong_secret_and_an_unknown_client_get_the_same_answer(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let shop = gateway.shop().await.client;
    let grant = ("grant_type", "client_credentials");
    let wrong = token(&gateway, &[grant, ("client_id", shop.id.as_str()), ("client_secret", "q7canary")])
        .await
        .expect(401);
    let unknown =
        token(&gateway, &[grant, ("client_id", "nobody"), ("client_secret", &shop.secret)]).await.expect(401);
    let malformed = token(&gateway, &[grant, ("client_id", "No Body!"), ("client_secret", "x")]).await.expect(401);
    assert_eq!(
        (wrong.text(), wrong.header("www-authenticate")),
        (unknown.text(), unknown.header("www-authenticate"))
    );
    assert_eq!(wrong.text(), malformed.text());
    assert_eq!(wrong.json()["error"], "invalid_client");
    for (form, error) in [
        (vec![("client_id", shop.id.as_str()), ("client_secret", &*shop.secret)], "invalid_request"),
        (
            vec![("grant_type", "password"), ("client_id", shop.id.as_str()), ("client_secret", &*shop.secret)],
            "unsupported_grant_type",
        ),
        (vec![grant, grant, ("client_id", shop.id.as_str()), ("client_secret", &*shop.secret)], "invalid_request"),
    ] {
        assert_eq!(token(&gateway, &form).await.expect(400).json()["error"], error);
    }
}

async fn a_token_has_no_more_than_was_asked_for(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let officer = gateway.officer().await.client;
    let narrow = officer.asks_for_token(Some("rights:read")).await.expect(200).json();
    assert_eq!(narrow["scope"], "rights:read");
    let bearer = narrow["access_token"].as_str().unwrap();
    gateway.send(gateway.request("GET", "/v1/rights-requests").bearer_auth(bearer)).await.expect(200);
    let body = json!({ "type": "access", "subject": { "email": "a@b.example" } });
    let post = gateway.request("POST", "/v1/rights-requests").bearer_auth(bearer).json(&body);
    gateway.send(post).await.expect_problem(403, "insufficient_scope");
    for wider in ["records:write", "rights:read records:write", "everything", "purpose:email_marketing"] {
        assert_eq!(
            officer.asks_for_token(Some(wider)).await.expect(400).json()["error"],
            "invalid_scope",
            "{wider}"
        );
    }
}

async fn a_token_ends_with_its_time(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let officer = gateway.officer().await.client;
    let bearer = officer.token().await;
    let ask = async || gateway.send(gateway.request("GET", "/v1/rights-requests").bearer_auth(&bearer)).await;
    ask().await.expect(200);
    gateway.clock().advance_ms(899_000);
    ask().await.expect(200);
    gateway.clock().advance_ms(1_000);
    ask().await.expect_problem(401, "invalid_access_token");
}

async fn a_revoked_client_is_refused_at_once_everywhere(backend: Backend) {
    let one = TestGateway::start(backend).await;
    let two = one.twin().await;
    let officer = one.officer().await.client;
    let bearer = officer.token().await;
    let ask =
        async |at: &TestGateway| at.send(at.request("GET", "/v1/rights-requests").bearer_auth(&bearer)).await;
    ask(&one).await.expect(200);
    ask(&two).await.expect(200);
    let operator = Authorized::prove(Actor::Operator).unwrap();
    assert!(one.gateway().revoke_client(&operator, &officer.id).await.unwrap());
    // The clock stands still.
    ask(&one).await.expect_problem(401, "invalid_access_token");
    ask(&two).await.expect_problem(401, "invalid_access_token");
    let denied = officer.asks_for_token(None).await.expect(401);
    assert_eq!(denied.json()["error"], "invalid_client");
}

async fn a_recipient_who_is_remembered_and_revoked_learns_nothing_more_anywhere(backend: Backend) {
    let one = TestGateway::start(backend).await;
    let two = one.twin().await;
    one.crowd(3, &["profiling_segmentation"]).await;
    let (segmentation, other) = (one.segmentation().await, one.officer().await.client);
    let names: Vec<_> = segmentation.pulls().await.names().collect();
    let bearer = segmentation.client.token().await;
    let ask = json!({ "purpose": "profiling_segmentation", "pseudonyms": [names[0]] });
    let looks_up = async |at: &TestGateway, ask: &Value| {
        at.send(at.request("POST", "/v1/profiles/lookup").bearer_auth(&bearer).json(ask)).await
    };
    let disclosed = async || {
        let entries = one.database().bytes("SELECT entry FROM ledger_entry").await;
        let events = entries.iter().map(|entry| LedgerEntry::from_bytes(entry).unwrap().event);
        events.filter(|event| matches!(event, LedgerEvent::Disclosed { .. })).count()
    };
    // Twice, so that both of them remember.
    for at in [&one, &two, &one, &two] {
        let answer = looks_up(at, &ask).await.expect(200);
        assert_eq!(answer.json()["profiles"].as_array().unwrap().len(), 1);
    }
    let operator = Authorized::prove(Actor::Operator).unwrap();
    // Somebody else's right is taken away: what is remembered is looked at again, and stands.
    assert!(two.gateway().revoke_client(&operator, &other.id).await.unwrap());
    for at in [&one, &two, &one, &two] {
        let answer = looks_up(at, &ask).await.expect(200);
        assert_eq!(answer.json()["profiles"].as_array().unwrap().len(), 1);
    }
    let before = disclosed().await;
    assert!(two.gateway().revoke_client(&operator, &segmentation.client.id).await.unwrap());
    for at in [&one, &two] {
        looks_up(at, &ask).await.expect_problem(401, "invalid_access_token");
        // Nor is it told what is wrong with its question.
        looks_up(at, &json!({ "purpose": 7 })).await.expect_problem(401, "invalid_access_token");
    }
    assert_eq!(disclosed().await, before);
}

async fn an_altered_token_is_refused(backend: Backend) {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let gateway = TestGateway::start(backend).await;
    let officer = gateway.officer().await.client;
    let good = officer.token().await;
    let ask =
        async |bearer: &str| gateway.send(gateway.request("GET", "/v1/rights-requests").bearer_auth(bearer)).await;
    for at in (0..good.len()).step_by(5) {
        let mut altered = good.clone().into_bytes();
        altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
        let altered = String::from_utf8(altered).unwrap();
        if altered != good {
            ask(&altered).await.expect_problem(401, "invalid_access_token");
        }
    }
    // Claims of one's own, signed by nobody.
    let mut claims = decoded(&good, 1);
    claims["scope"] = "profiles:read rights:read".into();
    let claims = URL_SAFE_NO_PAD.encode(claims.to_string());
    for header in [json!({ "alg": "none", "typ": "at+jwt" }), json!({ "alg": "HS256", "typ": "at+jwt" })] {
        let header = URL_SAFE_NO_PAD.encode(header.to_string());
        for signature in ["", good.rsplit('.').next().unwrap()] {
            ask(&format!("{header}.{claims}.{signature}")).await.expect_problem(401, "invalid_access_token");
        }
    }
    ask(&good).await.expect(200);
    // Two callers in one request are none.
    let twice = gateway.request("GET", "/v1/rights-requests").bearer_auth(&good).bearer_auth(&good);
    gateway.send(twice).await.expect(401);
}

async fn a_client_without_a_source_or_recipient_is_nobodys(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let anna = gateway.person("anna");
    anna.gives(&["profiling_segmentation"]).await;
    let role = Role { scopes: vec![Scope::RecordsWrite, Scope::ProfilesRead], ..Role::default() };
    let nobody = Client::registered(&gateway, role).await;
    let before = gateway.database().stored().await;
    let lines = json!([Line::of(&anna, json!({ "city": "Berlin" })).0]);
    nobody.post("/v1/records", &lines).await.expect_problem(403, "source_mismatch");
    nobody.get("/v1/profiles?purpose=profiling_segmentation").await.expect_problem(403, "unknown_recipient");
    assert_eq!(gateway.database().stored().await, before);
}

async fn a_failed_attempt_is_recorded_without_what_was_sent(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (segmentation, shop) = (gateway.segmentation().await, gateway.shop().await.client);
    let before = gateway.expect_sound_ledger().await.entries;
    let grant = ("grant_type", "client_credentials");
    token(&gateway, &[grant, ("client_id", shop.id.as_str()), ("client_secret", "q7canary")]).await.expect(401);
    token(&gateway, &[grant, ("client_id", "q7canary@example.org"), ("client_secret", "q7canary")])
        .await
        .expect(401);
    segmentation.client.token().await;
    segmentation.pulls_as("*/*", "&attributes=email").await.expect(403);
    let after = gateway.expect_sound_ledger().await.entries;
    assert_eq!(after, before + 3);
    let ledger = gateway.database().bytes("SELECT entry FROM ledger_entry ORDER BY sequence, id").await.concat();
    crate::erasure::expect_no_trace(&ledger, "q7canary");
    assert_eq!(gateway.gateway().figures().tokens_denied, 2);
}

async fn sec_05_whoever_is_turned_away_at_the_door_is_on_record_and_cannot_flood_it(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (shop, mailer) = (gateway.shop().await.client, gateway.mailer().await.client);
    let refused = async || {
        let mut refused = Vec::new();
        for entry in gateway.database().bytes("SELECT entry FROM ledger_entry").await {
            if let LedgerEvent::AttemptRefused { client, action, reason, .. } =
                LedgerEntry::from_bytes(&entry).unwrap().event
            {
                refused.push((client, action, reason));
            }
        }
        refused.sort();
        refused
    };
    for _ in 0..25 {
        gateway.get("/v1/profiles?purpose=email_marketing").await.expect_problem(401, "unauthenticated");
        let forged = gateway.request("GET", "/v1/profiles?purpose=email_marketing").bearer_auth("q7canary.x.y");
        gateway.send(forged).await.expect_problem(401, "invalid_access_token");
        for client in [&shop, &mailer] {
            client.get("/v1/rights-requests").await.expect_problem(403, "insufficient_scope");
        }
    }
    let mut expected = vec![
        (None, RefusedAttempt::PullProfiles, AttemptRefusal::NoCredentials),
        (None, RefusedAttempt::PullProfiles, AttemptRefusal::InvalidToken),
        (Some(shop.id.clone()), RefusedAttempt::HandleRightsRequest, AttemptRefusal::InsufficientScope),
        (Some(mailer.id.clone()), RefusedAttempt::HandleRightsRequest, AttemptRefusal::InsufficientScope),
    ];
    expected.sort();
    assert_eq!(refused().await, expected);
    // A minute later the same is news again, and what is allowed or merely wrong never is.
    gateway.clock().advance_ms(60_000);
    gateway.get("/v1/profiles?purpose=email_marketing").await.expect_problem(401, "unauthenticated");
    expected.push((None, RefusedAttempt::PullProfiles, AttemptRefusal::NoCredentials));
    expected.sort();
    assert_eq!(refused().await, expected);
    mailer.get("/v1/profiles?purpose=email_marketing").await.expect(200);
    gateway.get("/nothing").await.expect_problem(404, "not_found");
    gateway.post("/v1/profiles", &json!({})).await.expect_problem(405, "method_not_allowed");
    assert_eq!(refused().await, expected);
    gateway.expect_sound_ledger().await;
}
