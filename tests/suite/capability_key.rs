//! Another key of capabilities: what was given or mailed under the one before works until that is retired, at every gateway, and
//! what is stored moves.

use std::collections::BTreeMap;

use app::{KEY_OVERLAP_MS, KNOWN_AFTER_MS, KeyChangeError, KeyProgress, NewClient};
use kernel::authn::ClientKeys;
use kernel::authz::{Actor, Authorized, Scope};
use kernel::ledger::{LedgerEntry, LedgerEvent};
use kernel::seal::KeyUse;
use kernel::staff::Role;
use serde_json::{Value, json};

use crate::double_opt_in::asks;
use crate::harness::mailbox::MailServer;
use crate::harness::{
    Answer, Backend, Browser, Client, Member, PASSWORD, Person, Provider, Recipient, Signer, TestGateway,
};
use crate::keys::{HOLDER, finish, job, operator, rotate};

on_both!(
    what_persons_were_given_works_after_a_rotation_until_the_key_is_retired,
    staff_stay_signed_in_and_sign_in_after_a_rotation,
    an_account_with_the_provider_moves_to_the_new_key,
    what_came_once_before_a_rotation_is_known_after_it,
    a_move_that_was_cut_off_is_finished_by_another_gateway,
);

const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

async fn withdraws(at: &TestGateway, token: &Value) -> Answer {
    at.later();
    let choices = json!([{ "purpose": "email_marketing", "choice": "withdraw" }]);
    at.post("/v1/consents", &json!({ "token": token, "choices": choices })).await
}

async fn reads(at: &TestGateway, token: &Value) -> Answer {
    at.post("/v1/receipts", &json!({ "token": token })).await
}

async fn status(at: &TestGateway, token: &Value) -> Answer {
    at.post("/v1/signals", &json!({ "status_token": token })).await
}

fn path_of(url: &Value) -> String {
    url.as_str().unwrap().strip_prefix("http://gateway.test").unwrap().to_owned()
}

/// The two links that a mail to somebody has.
async fn mailed(person: &Person<'_>) -> [String; 2] {
    let mailer = person.at.mailer().await;
    let deliveries = mailer.resolves(&[person]).await;
    let header = deliveries[0]["headers"]["List-Unsubscribe"].as_str().unwrap();
    let (first, _) = header.strip_prefix('<').unwrap().split_once('>').unwrap();
    [path_of(&json!(first)), path_of(&deliveries[0]["preferences_url"])]
}

/// The next page of a pull: who is on it, and what leads on.
async fn page(recipient: &Recipient<'_>, path: &str) -> (Vec<String>, Option<String>) {
    let answer = recipient.client.get(path).await.expect(200);
    let link = answer.header("link").and_then(|link| link.strip_prefix('<')?.split_once('>'));
    let next = link.map(|(next, _)| next.to_owned());
    let text = answer.text();
    let names = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["pseudonym"].clone());
    (names.map(|name| name.as_str().unwrap().to_owned()).collect(), next)
}

/// Waits until gateways whose clocks differ have done with the key before the newest, and takes it away.
async fn retire(one: &TestGateway, two: &TestGateway) {
    one.clock().advance_ms(KEY_OVERLAP_MS);
    one.gateway().retire_key(&operator(), KeyUse::Capability, 1).await.unwrap();
    two.gateway().refresh_keys(&job()).await.unwrap();
}

async fn what_persons_were_given_works_after_a_rotation_until_the_key_is_retired(backend: Backend) {
    let one = TestGateway::start_rooted(backend).await;
    let two = one.twin().await;
    let mail = MailServer::start().await;
    mail.serves(one.gateway());
    one.crowd(6, &["profiling_segmentation"]).await;
    let (anna, ben) = (one.person("anna"), one.person("ben"));
    let carla = one.person("carla").of_region(Some("US-CA"));
    let given = anna.gives(&["email_marketing"]).await;
    let opted_out = carla.asks("opt_out_sale_share").await["status_token"].clone();
    let [unsubscribe, preferences] = mailed(&anna).await;
    let mut confirmations = Vec::new();
    for person in [&ben, &one.person("doris")] {
        asks(person).await;
        one.deliver().await;
        confirmations.push(mail.taken().pop().unwrap().confirmation());
    }
    let receipt = reads(&one, &given["receipt_token"]).await.expect(200).json();
    let segmentation = one.segmentation().await;
    let names = segmentation.knows().await;
    let first = format!("/v1/profiles?purpose={}&limit=2", segmentation.purpose);
    let (mut seen, next) = page(&segmentation, &first).await;
    let cursor = next.unwrap();

    assert_eq!(rotate(&one, &[&two], KeyUse::Capability).await, 2);
    finish(&one).await;
    // What is made now is made under the new key at both gateways, and opens at both.
    let [new_unsubscribe, _] = mailed(&anna).await;
    assert_ne!(new_unsubscribe, unsubscribe, "the same mail of the same day under another key");
    assert_eq!(mailed(&anna.at(&two)).await[0], new_unsubscribe);
    let fresh = anna.at(&two).gives(&["email_marketing"]).await;
    assert_ne!(fresh["withdrawal_token"], given["withdrawal_token"]);

    let mailer = two.mailer().await;
    for at in [&one, &two] {
        // The token of the receipt, the link of the mail, the link to the preferences, the status.
        for token in [&given["withdrawal_token"], &fresh["withdrawal_token"]] {
            anna.gives(&["email_marketing"]).await;
            assert!(mailer.may_know(&anna.at(&two)).await);
            withdraws(at, token).await.expect(201);
            assert!(!mailer.may_know(&anna.at(&two)).await);
        }
        for path in [&unsubscribe, &new_unsubscribe] {
            anna.gives(&["email_marketing"]).await;
            at.later();
            at.send(at.request("POST", path).form(&[("List-Unsubscribe", "One-Click")])).await.expect(200);
            assert!(!mailer.may_know(&anna.at(&two)).await);
        }
        at.get(&preferences).await.expect(200);
        assert_eq!(status(at, &opted_out).await.expect(200).json()["status"]["opted_out"], true);
        // The receipt of then calls its person as it did.
        let again = reads(at, &given["receipt_token"]).await.expect(200).json();
        assert_eq!((&again["@id"], people(&again)), (&receipt["@id"], people(&receipt)));
    }
    // The confirmation that waited.
    two.later();
    let confirmed = two.request("POST", &confirmations[0]).header("accept", BROWSER).form(&[("confirm", "yes")]);
    two.send(confirmed).await.expect(200);
    assert!(mailer.may_know(&ben.at(&two)).await);
    // The pull goes on in its order, at the other gateway, and every person is in it once.
    let there = Recipient {
        client: Client::known(&two, segmentation.client.id.clone(), segmentation.client.secret.clone()),
        purpose: segmentation.purpose,
    };
    let mut next = Some(cursor.clone());
    while let Some(path) = next {
        let (more, then) = page(&there, &path).await;
        seen.extend(more);
        next = then;
    }
    seen.sort();
    assert_eq!(seen, names.iter().cloned().collect::<Vec<_>>());
    assert_eq!(there.knows().await, names, "no pseudonym hangs on this key");

    // Who retires it is told what ends.
    let ending = one.gateway().ending_capabilities(&operator(), 1).await.unwrap();
    assert_eq!((ending.from, ending.confirmations), (None, 1));
    assert!(one.gateway().ending_capabilities(&operator(), 2).await.is_err(), "the newest");
    let early = one.gateway().retire_key(&operator(), KeyUse::Capability, 1).await;
    assert!(matches!(early, Err(KeyChangeError::TooEarly(_))), "{early:?}");
    retire(&one, &two).await;
    anna.gives(&["email_marketing"]).await;
    for at in [&one, &two] {
        let forged = json!(format!("w1_{}", "0".repeat(64)));
        let expected = withdraws(at, &forged).await;
        let refused = withdraws(at, &given["withdrawal_token"]).await;
        assert_eq!((refused.status, problem(&refused)), (expected.status, problem(&expected)));
        for (path, forged) in [(&unsubscribe, "/unsubscribe/u1_AAAA"), (&preferences, "/preferences/r1_AAAA")] {
            assert_eq!(at.get(path).await.status, at.get(forged).await.status, "{path}");
        }
        let refused = at.request("POST", &unsubscribe).form(&[("List-Unsubscribe", "One-Click")]);
        assert!(at.send(refused).await.status >= 400);
        assert_eq!(at.get(&confirmations[1]).await.status, 404);
        reads(at, &given["receipt_token"]).await.expect_problem(404, "receipt_not_found");
        assert_eq!(status(at, &opted_out).await.status, 422);
    }
    segmentation.client.get(&cursor).await.expect_problem(422, "cursor_invalid");
    assert!(mailer.may_know(&anna.at(&two)).await, "a token that has ended took something back");
    // What was made under the new one goes on.
    withdraws(&two, &fresh["withdrawal_token"]).await.expect(201);
    two.get(&new_unsubscribe).await.expect(200);
    assert_eq!(there.knows().await, names);
    one.expect_sound_ledger().await;
}

/// What a receipt calls people.
fn people(receipt: &Value) -> Vec<String> {
    let text = receipt.to_string();
    let names = text.split("urn:uuid:").skip(1).map(|rest| rest.chars().take(36).collect());
    names.collect()
}

/// What a refusal says, whoever it is said to.
fn problem(answer: &Answer) -> Value {
    let mut problem: BTreeMap<String, Value> = serde_json::from_str(&answer.text()).unwrap();
    problem.remove("request_id");
    json!(problem)
}

/// A browser that has what another one has, at another gateway.
fn moved<'b>(browser: &Browser<'_>, to: &'b TestGateway) -> Browser<'b> {
    let mut moved = Browser::new(to);
    moved.cookies.clone_from(&browser.cookies);
    moved
}

async fn signs_in(at: &TestGateway, member: &Member<'_>, code: &str) {
    let mut browser = Browser::new(at);
    browser.signs_in(&member.name, PASSWORD).await.expect(303);
    browser.opens("/console/second-factor").await.expect(200);
    browser.sends("/console/second-factor", &[("code", code)]).await.expect(303);
    browser.opens("/console").await.expect(200);
}

async fn staff_stay_signed_in_and_sign_in_after_a_rotation(backend: Backend) {
    let one = TestGateway::start_rooted(backend).await;
    let two = one.twin().await;
    let olivia = one.member("olivia", Role::Officer).await;
    let invites = async |name| {
        let by = Authorized::prove(Actor::Operator).unwrap();
        let link = one.gateway().invite_staff(&by, name, Role::Auditor).await.unwrap();
        link.expose().to_owned()
    };
    let (link, late_link) = (invites("anton").await, invites("berta").await);
    // Somebody who has begun to join, and has not set up the authenticator.
    let path = path_of(&json!(invites("carl").await));
    let mut carl = Browser::new(&one);
    carl.opens(&path).await.expect(200);
    carl.sends(&path, &[("name", ""), ("password", PASSWORD)]).await.expect(303);
    carl.opens("/console/authenticator").await.expect(200);
    let key = carl.reads("<code id=\"key\">", "<");
    let mut open = moved(&olivia.browser, &one);
    open.opens("/console/account").await.expect(200);
    let officer = one.officer().await;
    let report = json!({
        "kind": "unauthorised_access", "aware_at": "2026-11-20T15:20:00Z", "facts": "q7canary: a laptop was lost",
    });
    let incident = officer.client.post("/v1/incidents", &report).await.expect(201).json();
    let rows = async || {
        let queries =
            ["SELECT seal FROM staff", "SELECT authenticator FROM staff WHERE authenticator IS NOT NULL"];
        let mut all = Vec::new();
        for query in
            queries.iter().chain(&["SELECT code_hash FROM staff_recovery_code", "SELECT sealed FROM incident"])
        {
            all.extend(one.database().bytes(query).await);
        }
        all
    };
    let before = rows().await;

    assert_eq!(rotate(&one, &[&two], KeyUse::Capability).await, 2);
    // Before anything is moved.
    one.clock().advance_ms(30_000);
    signs_in(&two, &olivia, &olivia.code()).await;
    signs_in(&two, &olivia, &olivia.codes[0]).await;
    let moved_rows = finish(&one).await;
    assert_eq!(moved_rows, 4 + 9 + 1, "members, recovery codes and the incident");
    let after = rows().await;
    assert!(after.iter().all(|row| !before.contains(row)), "something stayed under the older key");
    assert_eq!(one.database().number("SELECT count(*) FROM staff_recovery_code WHERE key_id <> 2").await, 0);

    // The page that was open all the time still counts as the gateway's own.
    open.sends("/console/account", &[("end_others", "yes")]).await.expect(303);
    open.opens("/console/account").await.expect(200);
    for at in [&one, &two] {
        // The session goes on.
        let mut browser = moved(&olivia.browser, at);
        browser.opens("/console").await.expect(200);
        one.clock().advance_ms(30_000);
        signs_in(at, &olivia, &olivia.code()).await;
        let ids = json!(incident["id"]);
        let shown = Client::known(at, officer.client.id.clone(), officer.client.secret.clone());
        let path = format!("/v1/incidents/{}", ids.as_str().unwrap());
        assert_eq!(shown.get(&path).await.expect(200).json()["facts"], report["facts"]);
    }
    signs_in(&one, &olivia, &olivia.codes[1]).await;
    let mut again = Browser::new(&two);
    again.signs_in("olivia", PASSWORD).await.expect(303);
    again.opens("/console/second-factor").await.expect(200);
    again.sends("/console/second-factor", &[("code", &olivia.codes[1])]).await.expect(403);
    // One-time links, and setting up what had begun.
    let anton = Member::joins(&two, "anton", &link).await;
    let secret = totp_rs::Secret::try_from_base32(&key).unwrap();
    let authenticator = kernel::authn::Authenticator::from_bytes(secret.as_bytes()).unwrap();
    let code = authenticator.code(kernel::clock::Clock::now(one.clock())).unwrap();
    carl.sends("/console/authenticator", &[("code", &code)]).await.expect(200);

    let ending = one.gateway().ending_capabilities(&operator(), 1).await.unwrap();
    assert!(ending.sessions >= 1 && ending.links == 1, "{ending:?}");
    retire(&one, &two).await;
    one.clock().advance_ms(30_000);
    for at in [&one, &two] {
        let mut ended = moved(&olivia.browser, at);
        assert_eq!(ended.opens("/console").await.expect(303).header("location"), Some("/console/login"));
        let path = path_of(&json!(late_link));
        Browser::new(at).opens(&path).await.expect(404);
        moved(&anton.browser, at).opens("/console").await.expect(200);
    }
    // Everything that lets them in again hangs on the new key.
    signs_in(&two, &olivia, &olivia.code()).await;
    signs_in(&one, &olivia, &olivia.codes[2]).await;
    one.clock().advance_ms(30_000);
    let carl = Member { name: "carl".to_owned(), browser: carl, authenticator, codes: Vec::new() };
    signs_in(&two, &carl, &carl.code()).await;
    officer.client.get(&format!("/v1/incidents/{}", incident["id"].as_str().unwrap())).await.expect(200);
    let entries = one.database().bytes("SELECT entry FROM ledger_entry").await;
    let told: Vec<_> = entries.iter().map(|entry| LedgerEntry::from_bytes(entry).unwrap().event).collect();
    let key_use = KeyUse::Capability;
    for event in [
        LedgerEvent::KeyTakenOver { key_use, id: 2, count: moved_rows },
        LedgerEvent::KeyRetired { key_use, id: 1 },
    ] {
        assert!(told.contains(&event), "{event:?}");
    }
    one.expect_sound_ledger().await;
}

async fn an_account_with_the_provider_moves_to_the_new_key(backend: Backend) {
    let provider = Provider::start();
    let sso = provider.settings();
    let one = TestGateway::start_rooted_with(backend, |settings| settings.sso = Some(sso)).await;
    provider.serves(&one);
    let sub = "248-q7canary";
    let by = Authorized::prove(Actor::Operator).unwrap();
    let link = one.gateway().invite_staff(&by, "olivia", Role::Officer).await.unwrap().expose().to_owned();
    let path = path_of(&json!(link));
    let mut browser = Browser::new(&one);
    browser.opens(&path).await.expect(200);
    let link = path.rsplit('/').next().unwrap();
    let led = browser.sends("/console/sso", &[("for", "join"), ("link", link)]).await.expect(303);
    let back = provider.lets_in(&one, led.header("location").unwrap(), sub, &json!({}));
    browser.arrives("/console/sso/callback", &back).await.expect(200);
    let comes = async |browser: &mut Browser<'_>, led: &str| {
        let back = provider.lets_in(&one, led, sub, &json!({}));
        browser.arrives("/console/sso/callback", &back).await.expect(200);
        browser.opens("/console").await.expect(200);
    };
    let goes = async |browser: &mut Browser<'_>| {
        browser.opens("/console/login").await.expect(200);
        let led = browser.sends("/console/sso", &[("for", "sign_in")]).await.expect(303);
        led.header("location").unwrap().to_owned()
    };
    // On the way to the provider when the key changes.
    let mut away = Browser::new(&one);
    let led = goes(&mut away).await;
    let before = one.database().bytes("SELECT identity_hash FROM staff_identity").await;
    rotate(&one, &[], KeyUse::Capability).await;
    comes(&mut away, &led).await;
    finish(&one).await;
    assert_ne!(one.database().bytes("SELECT identity_hash FROM staff_identity").await, before);
    let twin = one.twin().await;
    for retired in [false, true] {
        if retired {
            retire(&one, &twin).await;
        }
        let mut again = Browser::new(&one);
        let led = goes(&mut again).await;
        comes(&mut again, &led).await;
    }
    assert_eq!(one.database().number("SELECT count(*) FROM staff_identity").await, 1);
}

async fn what_came_once_before_a_rotation_is_known_after_it(backend: Backend) {
    let one = TestGateway::start_rooted(backend).await;
    let two = one.twin().await;
    let (anna, officer) = (one.person("anna"), one.officer().await);
    let under = async |at: &TestGateway, key: &str, post: &Value| {
        at.send(at.request("POST", "/v1/consents").header("idempotency-key", key).json(post)).await
    };
    let report = json!({ "kind": "loss", "aware_at": "2026-11-20T15:20:00Z", "facts": "q7canary: lost" });
    let reports = async |report: &Value| {
        let request = officer.client.request("POST", "/v1/incidents").await.header("idempotency-key", "\"one\"");
        one.send(request.json(report)).await
    };
    let post = anna.post(&[("email_marketing", "give")]);
    let first = under(&one, "\"k\"", &post).await.expect(201);
    let incident = reports(&report).await.expect(201).json();
    // A client's assertion that was used, and a notice that waits for its recipient under a name.
    let signer = Signer::new(9);
    let new = NewClient {
        id: "signing".parse().unwrap(),
        recipient: None,
        source: None,
        scopes: vec![Scope::RightsRead],
        purposes: Vec::new(),
        keys: Some(ClientKeys::from_json(&signer.key_set()).unwrap()),
        bound_tokens: false,
    };
    let by = Authorized::prove(Actor::Operator).unwrap();
    one.gateway().register_client(&by, new).await.unwrap();
    let assertion = signer.assertion(&one, "signing", "once", &json!({}));
    let shows = async |at: &TestGateway| {
        let form = [
            ("grant_type", "client_credentials"),
            ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
            ("client_assertion", &assertion),
        ];
        at.send(at.request("POST", "/oauth/token").form(&form)).await.status
    };
    assert_eq!(shows(&one).await, 200);
    let (berta, segmentation) = (one.person("berta"), one.segmentation().await);
    berta.gives(&["profiling_segmentation"]).await;
    segmentation.knows().await;
    officer.restricts(&berta, "accuracy_contested").await.expect(201);
    let told = segmentation.client.get("/v1/profiles/changes").await.expect(200).json()["notices"].clone();
    let events = one.database().number("SELECT count(*) FROM consent_event").await;
    rotate(&one, &[&two], KeyUse::Capability).await;
    for at in [&one, &two] {
        let again = under(at, "\"k\"", &post).await.expect(201);
        assert_eq!(again.header("idempotency-replayed"), Some("true"));
        assert_eq!(again.json()["receipt"], first.json()["receipt"]);
        let other = anna.post(&[("email_marketing", "refuse")]);
        under(at, "\"k\"", &other).await.expect_problem(422, "idempotency_key_reused");
    }
    assert_eq!(reports(&report).await.expect(201).json()["id"], incident["id"]);
    assert_eq!(one.database().number("SELECT count(*) FROM consent_event").await, events);
    assert_eq!([shows(&one).await, shows(&two).await], [401, 401], "an assertion counted twice");
    let again = segmentation.client.get("/v1/profiles/changes").await.expect(200).json()["notices"].clone();
    assert_eq!((&again[0]["id"], again.as_array().unwrap().len()), (&told[0]["id"], 1));
    let body = json!({ "notices": [told[0]["id"]] });
    let acknowledged = segmentation.client.post("/v1/profiles/changes/ack", &body).await.expect(200).json();
    assert_eq!(acknowledged["acknowledged"], 1);
    // A key that came under the new one is one at both, too; after a day nobody asks under the older one.
    let later = anna.post(&[("email_marketing", "give")]);
    under(&one, "\"l\"", &later).await.expect(201);
    assert_eq!(under(&two, "\"l\"", &later).await.expect(201).header("idempotency-replayed"), Some("true"));
}

async fn a_move_that_was_cut_off_is_finished_by_another_gateway(backend: Backend) {
    let one = TestGateway::start_rooted(backend).await;
    let two = one.twin().await;
    let olivia = one.member("olivia", Role::Officer).await;
    let (name, authenticator, codes) = (olivia.name, olivia.authenticator, olivia.codes);
    // More than one batch: codes of many others who are gone.
    for number in 0..25_u8 {
        for code in 0..10_u8 {
            let (staff, hash) = (format!("{number:02x}").repeat(16), format!("{number:02x}{code:02x}").repeat(16));
            let insert = match backend {
                Backend::Sqlite => format!("VALUES (X'{staff}', X'{hash}', 1)"),
                Backend::Postgres => format!("VALUES ('\\x{staff}', '\\x{hash}', 1)"),
            };
            let insert = format!("INSERT INTO staff_recovery_code (staff_id, code_hash, key_id) {insert}");
            one.database().execute(&insert).await;
        }
    }
    rotate(&one, &[&two], KeyUse::Capability).await;
    let first = one.gateway().tend_keys_once(&job(), HOLDER).await.unwrap();
    assert!(matches!(first, KeyProgress::Working(work) if (work.done, work.total) == (100, 261)), "{first:?}");
    drop(olivia.browser);
    drop(one);
    let elsewhere = two.gateway().tend_keys_once(&job(), [2; 16]).await.unwrap();
    assert!(matches!(elsewhere, KeyProgress::Elsewhere(work) if work.done == 100), "{elsewhere:?}");
    let early = two.gateway().retire_key(&operator(), KeyUse::Capability, 1).await;
    assert!(matches!(early, Err(KeyChangeError::Unfinished(2))), "{early:?}");
    two.clock().advance_ms(6_000);
    assert_eq!(finish_as(&two, [2; 16]).await, 261);
    assert_eq!(two.database().number("SELECT count(*) FROM staff_recovery_code WHERE key_id <> 2").await, 0);
    two.clock().advance_ms(KEY_OVERLAP_MS + KNOWN_AFTER_MS);
    two.gateway().retire_key(&operator(), KeyUse::Capability, 1).await.unwrap();
    let olivia = Member { name, browser: Browser::new(&two), authenticator, codes };
    signs_in(&two, &olivia, &olivia.code()).await;
    signs_in(&two, &olivia, &olivia.codes[9]).await;
}

async fn finish_as(gateway: &TestGateway, holder: [u8; 16]) -> u64 {
    loop {
        match gateway.gateway().tend_keys_once(&job(), holder).await.unwrap() {
            KeyProgress::Finished(work) => return work.done,
            KeyProgress::Working(_) => {}
            other => panic!("{other:?}"),
        }
    }
}
