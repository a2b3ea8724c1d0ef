//! OAuth 2.0: keys instead of secrets, tokens that are bound to a key, asking about tokens and taking them back.

use kernel::authn::ClientKeys;
use kernel::authz::{Actor, Authorized, Scope};
use kernel::client::ClientId;
use kernel::ledger::{AttemptRefusal, LedgerEntry, LedgerEvent};
use kernel::seal::KeySet;
use serde_json::{Value, json};

use crate::harness::{Answer, Backend, Client, Role, SeededEntropy, Signer, TestGateway};

on_both!(
    a_client_proves_itself_with_its_key_once_and_for_us_alone,
    a_client_has_a_secret_or_keys_and_other_ones_end_what_was_issued,
    sec_10_whoever_presents_a_bound_token_shows_that_they_hold_its_key,
    sec_10_a_client_that_must_hold_a_key_gets_no_token_without,
    a_proof_names_a_nonce_where_the_operator_wants_it,
    a_client_learns_of_its_own_tokens_and_of_no_others,
    a_token_that_was_taken_back_is_refused_at_once_everywhere,
    sec_05_a_right_that_cannot_be_checked_is_none,
    a_new_signing_key_takes_over_without_a_token_lost,
    what_stock_clients_read_of_us_is_there,
    the_name_of_a_revoked_client_is_not_given_again,
);

const GRANT: (&str, &str) = ("grant_type", "client_credentials");
const BY_ASSERTION: (&str, &str) =
    ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
const LIST: &str = "/v1/rights-requests";

/// Whoever was granted something by a name must not find another behind it (ASVS 5.0 10.3.3).
async fn the_name_of_a_revoked_client_is_not_given_again(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let operator = Authorized::prove(Actor::Operator).unwrap();
    let facade = gateway.gateway();
    let new = || app::NewClient {
        id: "shop".parse().unwrap(),
        recipient: None,
        source: None,
        scopes: vec![Scope::RightsRead],
        purposes: Vec::new(),
        keys: None,
        bound_tokens: false,
    };
    facade.register_client(&operator, new()).await.unwrap();
    assert!(facade.revoke_client(&operator, &new().id).await.unwrap());
    let again = facade.register_client(&operator, new()).await.unwrap_err();
    assert_eq!(again.code(), app::Code::NameTaken);
    assert_eq!(gateway.database().number("SELECT count(*) FROM client WHERE id = 'shop'").await, 1);
}

async fn token(gateway: &TestGateway, form: &[(&str, &str)]) -> Answer {
    gateway.send(gateway.request("POST", "/oauth/token").form(form)).await
}

async fn bearer(gateway: &TestGateway, token: &str) -> Answer {
    gateway.send(gateway.request("GET", LIST).bearer_auth(token)).await
}

/// A request with a bound token and a proof.
async fn bound(gateway: &TestGateway, token: &str, proof: &str) -> Answer {
    let request = gateway.request("GET", LIST).header("authorization", format!("DPoP {token}"));
    gateway.send(request.header("dpop", proof)).await
}

async fn with_key(gateway: &TestGateway, signer: &Signer, bound_tokens: bool) -> ClientId {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let id: ClientId = format!("keyed-{number}").parse().unwrap();
    let new = app::NewClient {
        id: id.clone(),
        recipient: None,
        source: None,
        scopes: vec![Scope::RightsRead],
        purposes: Vec::new(),
        keys: Some(ClientKeys::from_json(&signer.key_set()).unwrap()),
        bound_tokens,
    };
    let operator = Authorized::prove(Actor::Operator).unwrap();
    assert_eq!(gateway.gateway().register_client(&operator, new).await.unwrap(), None);
    id
}

fn text<'a>(answer: &'a Value, member: &str) -> &'a str {
    answer[member].as_str().unwrap()
}

async fn refusals(gateway: &TestGateway) -> Vec<AttemptRefusal> {
    let entries = gateway.database().bytes("SELECT entry FROM ledger_entry ORDER BY sequence, id").await;
    let events = entries.iter().map(|entry| LedgerEntry::from_bytes(entry).unwrap().event);
    events
        .filter_map(|event| match event {
            LedgerEvent::AttemptRefused { reason, .. } => Some(reason),
            _ => None,
        })
        .collect()
}

async fn a_client_proves_itself_with_its_key_once_and_for_us_alone(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let twin = gateway.twin().await;
    let (signer, stranger) = (Signer::new(1), Signer::new(2));
    let id = with_key(&gateway, &signer, false).await;
    let assertion = signer.assertion(&gateway, id.as_str(), "one", &json!({}));
    fn form(assertion: &str) -> [(&str, &str); 3] {
        [GRANT, BY_ASSERTION, ("client_assertion", assertion)]
    }
    let issued = token(&gateway, &form(&assertion)).await.expect(200).json();
    assert_eq!(issued["token_type"], "Bearer");
    bearer(&gateway, text(&issued, "access_token")).await.expect(200);
    // Once: not again here, nor at another replica.
    for at in [&gateway, &twin] {
        assert_eq!(token(at, &form(&assertion)).await.expect(401).json()["error"], "invalid_client");
    }
    assert!(refusals(&gateway).await.contains(&AttemptRefusal::Replayed));
    let now = gateway.seconds();
    for (jti, changed) in [
        ("aud-1", json!({ "aud": "http://other.test" })),
        ("aud-2", json!({ "aud": ["http://gateway.test", "http://other.test"] })),
        ("aud-3", json!({ "aud": "http://gateway.test/" })),
        ("iss", json!({ "iss": "somebody" })),
        ("exp-1", json!({ "exp": now })),
        ("exp-2", json!({ "exp": now + 3600 })),
        ("iat", json!({ "iat": now + 120 })),
        ("", json!({})),
    ] {
        let bad = signer.assertion(&gateway, id.as_str(), jti, &changed);
        assert_eq!(token(&gateway, &form(&bad)).await.expect(401).json()["error"], "invalid_client", "{changed}");
    }
    let forged = stranger.assertion(&gateway, id.as_str(), "forged", &json!({}));
    token(&gateway, &form(&forged)).await.expect(401);
    let other = signer.assertion(&gateway, id.as_str(), "named", &json!({}));
    let mut named = form(&other).to_vec();
    named.push(("client_id", "somebody"));
    token(&gateway, &named).await.expect(401);
    // The token endpoint is one of our names, too; and one audience in a list is one audience.
    for (jti, audience) in [("a", json!("http://gateway.test/oauth/token")), ("b", json!(["http://gateway.test"]))]
    {
        let good = signer.assertion(&gateway, id.as_str(), jti, &json!({ "aud": audience }));
        token(&gateway, &form(&good)).await.expect(200);
    }
    gateway.expect_sound_ledger().await;
}

async fn a_client_has_a_secret_or_keys_and_other_ones_end_what_was_issued(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let twin = gateway.twin().await;
    let signer = Signer::new(1);
    let officer = gateway.officer().await.client;
    let before = officer.token().await;
    for at in [&gateway, &twin] {
        bearer(at, &before).await.expect(200);
    }
    // Keys in the place of the secret: neither it nor its tokens count from then on.
    let operator = Authorized::prove(Actor::Operator).unwrap();
    let keys = Some(ClientKeys::from_json(&signer.key_set()).unwrap());
    let renewed = gateway.gateway().replace_client_credentials(&operator, &officer.id, keys).await.unwrap();
    assert_eq!(renewed, Some(None));
    for at in [&gateway, &twin] {
        bearer(at, &before).await.expect_problem(401, "invalid_access_token");
    }
    officer.asks_for_token(None).await.expect(401);
    let assertion = signer.assertion(&gateway, officer.id.as_str(), "one", &json!({}));
    let form = [GRANT, BY_ASSERTION, ("client_assertion", &*assertion)];
    let after = token(&gateway, &form).await.expect(200).json();
    bearer(&gateway, text(&after, "access_token")).await.expect(200);
    // And a secret in the place of the keys.
    let renewed = gateway.gateway().replace_client_credentials(&operator, &officer.id, None).await.unwrap();
    let secret = renewed.unwrap().unwrap();
    bearer(&twin, text(&after, "access_token")).await.expect(401);
    let officer = Client::known(&gateway, officer.id, secret);
    bearer(&gateway, &officer.token().await).await.expect(200);
    let nobody = "nobody".parse().unwrap();
    assert_eq!(gateway.gateway().replace_client_credentials(&operator, &nobody, None).await.unwrap(), None);
}

async fn sec_10_whoever_presents_a_bound_token_shows_that_they_hold_its_key(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let twin = gateway.twin().await;
    let (signer, thief) = (Signer::new(1), Signer::new(2));
    let officer = gateway.officer().await.client;
    let form = [GRANT, ("client_id", officer.id.as_str()), ("client_secret", &*officer.secret)];
    let ask = async |proof: &str| {
        gateway.send(gateway.request("POST", "/oauth/token").header("dpop", proof).form(&form)).await
    };
    let proof = signer.proof(&gateway, ("POST", "/oauth/token"), None, &json!({}));
    let issued = ask(&proof).await.expect(200).json();
    assert_eq!(issued["token_type"], "DPoP");
    let bound_token = text(&issued, "access_token");
    // A proof is good once, for its own request, for a minute.
    assert_eq!(ask(&proof).await.expect(400).json()["error"], "invalid_dpop_proof");
    for changed in
        [json!({ "htm": "GET" }), json!({ "htu": "http://gateway.test/v1/records" }), json!({ "iat": 0 })]
    {
        let bad = signer.proof(&gateway, ("POST", "/oauth/token"), None, &changed);
        assert_eq!(ask(&bad).await.expect(400).json()["error"], "invalid_dpop_proof", "{changed}");
    }

    let good = signer.proof(&gateway, ("GET", LIST), Some(bound_token), &json!({}));
    bound(&gateway, bound_token, &good).await.expect(200);
    for at in [&gateway, &twin] {
        let replayed = bound(at, bound_token, &good).await.expect_problem(401, "invalid_dpop_proof");
        let challenge = replayed.header("www-authenticate").unwrap();
        assert!(
            challenge.starts_with("DPoP ") && challenge.contains("error=\"invalid_dpop_proof\""),
            "{challenge}"
        );
        assert!(challenge.contains("algs=\"ES256 Ed25519"), "{challenge}");
    }
    for bad in [
        thief.proof(&gateway, ("GET", LIST), Some(bound_token), &json!({})),
        signer.proof(&gateway, ("GET", LIST), Some("another token"), &json!({})),
        signer.proof(&gateway, ("GET", LIST), None, &json!({})),
        signer.proof(&gateway, ("POST", LIST), Some(bound_token), &json!({})),
        signer.proof(&gateway, ("GET", "/v1/profiles"), Some(bound_token), &json!({})),
        signer.proof(&gateway, ("GET", LIST), Some(bound_token), &json!({ "iat": gateway.seconds() - 61 })),
        signer.proof(&gateway, ("GET", LIST), Some(bound_token), &json!({ "iat": gateway.seconds() + 62 })),
        "nonsense".to_owned(),
    ] {
        bound(&gateway, bound_token, &bad).await.expect_problem(401, "invalid_dpop_proof");
    }
    // A bound token is no bearer token, and a bearer token not a bound one.
    bearer(&gateway, bound_token).await.expect_problem(401, "invalid_access_token");
    let plain = officer.token().await;
    let proof = signer.proof(&gateway, ("GET", LIST), Some(&plain), &json!({}));
    bound(&gateway, &plain, &proof).await.expect_problem(401, "invalid_access_token");
    let none = gateway.request("GET", LIST).header("authorization", format!("DPoP {bound_token}"));
    gateway.send(none).await.expect_problem(401, "invalid_dpop_proof");
    let twice = gateway.request("GET", LIST).header("authorization", format!("DPoP {bound_token}"));
    let proofs = [0, 1].map(|_| signer.proof(&gateway, ("GET", LIST), Some(bound_token), &json!({})));
    let twice = twice.header("dpop", &proofs[0]).header("dpop", &proofs[1]);
    gateway.send(twice).await.expect_problem(401, "invalid_dpop_proof");
    // The query is not part of what a proof is for.
    let proof = signer.proof(&gateway, ("GET", LIST), Some(bound_token), &json!({}));
    let request = gateway.request("GET", &format!("{LIST}?limit=5"));
    let request = request.header("authorization", format!("DPoP {bound_token}")).header("dpop", proof);
    gateway.send(request).await.expect(200);
    assert!(refusals(&gateway).await.contains(&AttemptRefusal::NoPossession));
}

async fn sec_10_a_client_that_must_hold_a_key_gets_no_token_without(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let signer = Signer::new(1);
    let id = with_key(&gateway, &signer, true).await;
    let ask = async |jti: &str, proof: Option<String>| {
        let assertion = signer.assertion(&gateway, id.as_str(), jti, &json!({}));
        let form = [GRANT, BY_ASSERTION, ("client_assertion", &*assertion)];
        let mut request = gateway.request("POST", "/oauth/token").form(&form);
        if let Some(proof) = proof {
            request = request.header("dpop", proof);
        }
        gateway.send(request).await
    };
    assert_eq!(ask("one", None).await.expect(400).json()["error"], "invalid_dpop_proof");
    let proof = signer.proof(&gateway, ("POST", "/oauth/token"), None, &json!({}));
    assert_eq!(ask("two", Some(proof)).await.expect(200).json()["token_type"], "DPoP");
}

async fn a_proof_names_a_nonce_where_the_operator_wants_it(backend: Backend) {
    let gateway = TestGateway::start_with(backend, |settings| settings.dpop_nonces = true).await;
    let signer = Signer::new(1);
    let officer = gateway.officer().await.client;
    let form = [GRANT, ("client_id", officer.id.as_str()), ("client_secret", &*officer.secret)];
    let ask = async |changed: &Value| {
        let proof = signer.proof(&gateway, ("POST", "/oauth/token"), None, changed);
        gateway.send(gateway.request("POST", "/oauth/token").header("dpop", proof).form(&form)).await
    };
    let told = ask(&json!({})).await.expect(400);
    assert_eq!(told.json()["error"], "use_dpop_nonce");
    let nonce = told.header("dpop-nonce").unwrap().to_owned();
    assert_eq!(ask(&json!({ "nonce": "guessed" })).await.expect(400).json()["error"], "use_dpop_nonce");
    let issued = ask(&json!({ "nonce": nonce })).await.expect(200).json();
    let bound_token = text(&issued, "access_token");
    let proof = |changed| signer.proof(&gateway, ("GET", LIST), Some(bound_token), &changed);
    let told = bound(&gateway, bound_token, &proof(json!({}))).await.expect_problem(401, "use_dpop_nonce");
    assert!(told.header("www-authenticate").unwrap().contains("error=\"use_dpop_nonce\""));
    assert_eq!(told.header("dpop-nonce"), Some(&*nonce));
    bound(&gateway, bound_token, &proof(json!({ "nonce": nonce }))).await.expect(200);
    // It counts for one more turn, and then no more.
    gateway.clock().advance_ms(300_000);
    bound(&gateway, bound_token, &proof(json!({ "nonce": nonce }))).await.expect(200);
    gateway.clock().advance_ms(300_000);
    bound(&gateway, bound_token, &proof(json!({ "nonce": nonce }))).await.expect_problem(401, "use_dpop_nonce");
}

async fn introspect(gateway: &TestGateway, by: &Client<'_>, token: &str) -> Answer {
    let request = gateway.request("POST", "/oauth/introspect").basic_auth(by.id.as_str(), Some(&by.secret));
    gateway.send(request.form(&[("token", token)])).await
}

async fn a_client_learns_of_its_own_tokens_and_of_no_others(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (officer, shop) = (gateway.officer().await.client, gateway.shop().await.client);
    let scopes = vec![Scope::TokensIntrospect];
    let resource = Client::registered(&gateway, Role { scopes, ..Role::default() }).await;
    let bearer_token = officer.token().await;
    for knows in [&officer, &resource] {
        let known = introspect(&gateway, knows, &bearer_token).await.expect(200);
        assert_eq!(known.header("cache-control"), Some("no-store"));
        let known = known.json();
        let now = gateway.seconds();
        assert_eq!(
            known,
            json!({
                "active": true, "scope": "rights:read rights:write", "client_id": officer.id, "sub": officer.id,
                "token_type": "Bearer", "exp": now + 900, "iat": now, "aud": "http://gateway.test",
                "iss": "http://gateway.test", "jti": known["jti"],
            })
        );
    }
    let inactive = json!({ "active": false });
    assert_eq!(introspect(&gateway, &shop, &bearer_token).await.expect(200).json(), inactive);
    for nothing in ["nonsense", "a.b.c", &bearer_token[..bearer_token.len() - 1]] {
        assert_eq!(introspect(&gateway, &officer, nothing).await.expect(200).json(), inactive);
    }
    // Nobody asks without proving themself.
    let anonymous = gateway.request("POST", "/oauth/introspect").form(&[("token", &bearer_token)]);
    assert_eq!(gateway.send(anonymous).await.expect(401).json()["error"], "invalid_client");
    let empty =
        gateway.request("POST", "/oauth/introspect").basic_auth(officer.id.as_str(), Some(&officer.secret));
    assert_eq!(gateway.send(empty.form(&[("x", "y")])).await.expect(400).json()["error"], "invalid_request");
    // A bound token says to what.
    let signer = Signer::new(1);
    let proof = signer.proof(&gateway, ("POST", "/oauth/token"), None, &json!({}));
    let form = [GRANT, ("client_id", officer.id.as_str()), ("client_secret", &*officer.secret)];
    let request = gateway.request("POST", "/oauth/token").header("dpop", proof).form(&form);
    let issued = gateway.send(request).await.expect(200).json();
    let known = introspect(&gateway, &resource, text(&issued, "access_token")).await.expect(200).json();
    assert_eq!(known["token_type"], "DPoP");
    assert_eq!(known["cnf"]["jkt"].as_str().unwrap().len(), 43);
    gateway.clock().advance_ms(900_000);
    assert_eq!(introspect(&gateway, &officer, &bearer_token).await.expect(200).json(), inactive);
}

async fn a_token_that_was_taken_back_is_refused_at_once_everywhere(backend: Backend) {
    let one = TestGateway::start(backend).await;
    let two = one.twin().await;
    let (officer, shop) = (one.officer().await.client, one.shop().await.client);
    let (first, second) = (officer.token().await, {
        let answer = officer.asks_for_token(None).await.expect(200).json();
        text(&answer, "access_token").to_owned()
    });
    for at in [&one, &two] {
        bearer(at, &first).await.expect(200);
        bearer(at, &second).await.expect(200);
    }
    let revoke = async |by: &Client<'_>, token: &str| {
        let request = one.request("POST", "/oauth/revoke").basic_auth(by.id.as_str(), Some(&by.secret));
        one.send(request.form(&[("token", token), ("token_type_hint", "access_token")])).await
    };
    // Somebody else's is not theirs to take back.
    assert_eq!(revoke(&shop, &first).await.expect(400).json()["error"], "unauthorized_client");
    bearer(&two, &first).await.expect(200);
    revoke(&officer, &first).await.expect(200);
    // The clock stands still.
    for at in [&two, &one] {
        bearer(at, &first).await.expect_problem(401, "invalid_access_token");
        bearer(at, &second).await.expect(200);
        assert_eq!(introspect(at, &officer, &first).await.expect(200).json(), json!({ "active": false }));
    }
    let entries = one.database().number("SELECT count(*) FROM ledger_entry").await;
    for nothing in [&*first, "nonsense", "a.b.c"] {
        revoke(&officer, nothing).await.expect(200);
    }
    assert_eq!(one.database().number("SELECT count(*) FROM ledger_entry").await, entries);
    let anonymous = one.request("POST", "/oauth/revoke").form(&[("token", &second)]);
    one.send(anonymous).await.expect(401);
    one.expect_sound_ledger().await;
}

async fn sec_05_a_right_that_cannot_be_checked_is_none(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let officer = gateway.officer().await.client;
    let token = officer.token().await;
    bearer(&gateway, &token).await.expect(200);
    gateway.database().execute("DELETE FROM access_revision").await;
    let request = gateway.request("GET", LIST).bearer_auth(&token);
    assert_eq!(request.send().await.unwrap().status(), 503);
    gateway.database().execute("INSERT INTO access_revision (id, revision) VALUES (1, 7)").await;
    bearer(&gateway, &token).await.expect(200);
}

async fn a_new_signing_key_takes_over_without_a_token_lost(backend: Backend) {
    let old = TestGateway::start(backend).await;
    let mut keys = KeySet::from_toml(old.keys()).unwrap();
    let now = kernel::clock::Clock::now(old.clock());
    let (from, until) = (now.plus_ms(600_000), now.plus_ms(600_000 + 900_000));
    keys.rotate_tokens(&SeededEntropy::new(4), now, from, until);
    // A rolling restart: for a while one gateway has the new key and the other does not.
    let new = old.twin_with_keys(keys.to_toml().as_str()).await;
    let names = async |at: &TestGateway| {
        let keys = at.get("/.well-known/jwks.json").await.expect(200).json()["keys"].clone();
        let names = keys.as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned());
        names.collect::<std::collections::BTreeSet<_>>()
    };
    // One of them is the receipts'.
    assert_eq!((names(&old).await.len(), names(&new).await.len()), (2, 3));
    assert!(names(&old).await.is_subset(&names(&new).await), "the new key is published before it signs");
    let officer = new.officer().await.client;
    let before = officer.token().await;
    bearer(&old, &before).await.expect(200);
    bearer(&new, &before).await.expect(200);
    old.clock().advance_ms(600_000);
    let issued = officer.asks_for_token(None).await.expect(200).json();
    let after = text(&issued, "access_token");
    for token in [&*before, after] {
        bearer(&new, token).await.expect(200);
    }
    // Whoever was not restarted in time does not believe what it cannot check.
    bearer(&old, after).await.expect_problem(401, "invalid_access_token");
    old.clock().advance_ms(900_000);
    assert_eq!(names(&new).await.len(), 2);
    assert_eq!(names(&new).await.intersection(&names(&old).await).count(), 1, "only the receipts' key stays");
}

async fn what_stock_clients_read_of_us_is_there(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let about = gateway.get("/.well-known/oauth-authorization-server").await.expect(200).json();
    assert_eq!(about["issuer"], "http://gateway.test");
    for endpoint in ["token_endpoint", "introspection_endpoint", "revocation_endpoint", "jwks_uri"] {
        let path = text(&about, endpoint).strip_prefix("http://gateway.test").unwrap().to_owned();
        assert_ne!(gateway.send(gateway.request("GET", &path)).await.status, 404, "{endpoint}");
    }
    assert_eq!(about["response_types_supported"], json!([]));
    assert_eq!(about["grant_types_supported"], json!(["client_credentials"]));
    for methods in ["token_endpoint_auth_methods_supported", "revocation_endpoint_auth_methods_supported"] {
        assert!(about[methods].as_array().unwrap().contains(&json!("private_key_jwt")), "{methods}");
    }
    let algorithms = json!(["ES256", "Ed25519", "EdDSA", "ES384", "PS256"]);
    assert_eq!(about["dpop_signing_alg_values_supported"], algorithms);
    assert_eq!(about["token_endpoint_auth_signing_alg_values_supported"], algorithms);
    let resource = gateway.get("/.well-known/oauth-protected-resource").await.expect(200).json();
    assert_eq!(resource["resource"], "http://gateway.test");
    assert_eq!(resource["authorization_servers"], json!(["http://gateway.test"]));
    // RFC 8707: a token for somewhere else is not to be had here.
    let officer = gateway.officer().await.client;
    let form = [GRANT, ("client_id", officer.id.as_str()), ("client_secret", &*officer.secret)];
    let mut here = form.to_vec();
    here.push(("resource", "http://gateway.test"));
    token(&gateway, &here).await.expect(200);
    let mut elsewhere = form.to_vec();
    elsewhere.push(("resource", "http://other.test"));
    assert_eq!(token(&gateway, &elsewhere).await.expect(400).json()["error"], "invalid_target");
}
