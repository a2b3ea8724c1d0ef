//! Staff who sign in with an OpenID Connect provider, and everything that must not let anybody in.

use std::collections::BTreeMap;

use app::SsoSettings;
use kernel::authz::{Actor, Authorized};
use kernel::ledger::{LedgerEntry, LedgerEvent};
use kernel::staff::Role;
use serde_json::{Value, json};

use crate::erasure::expect_no_trace;
use crate::harness::{Backend, Browser, Forging, MARK, PASSWORD, Provider, TestGateway};

on_both!(
    an_invited_member_joins_and_signs_in_with_the_provider,
    without_the_providers_second_factor_ours_is_asked_for,
    a_token_that_is_not_of_this_sign_in_lets_nobody_in,
    an_answer_counts_once_in_the_browser_that_began_and_by_its_issuer,
    whoever_is_not_known_or_not_the_controllers_own_stays_out,
    a_role_counts_if_both_say_it,
    only_where_the_operator_says_so_does_the_provider_make_staff,
    a_member_links_an_account_with_both_factors_and_takes_it_back,
    a_linked_account_that_was_moved_lets_nobody_in,
    a_provider_that_is_not_there_keeps_nobody_from_their_password,
    keys_of_the_provider_take_turns,
);

const CALLBACK: &str = "/console/sso/callback";

async fn gateway(backend: Backend, provider: &Provider) -> TestGateway {
    gateway_with(backend, provider.settings(), provider).await
}

async fn gateway_with(backend: Backend, sso: SsoSettings, provider: &Provider) -> TestGateway {
    let gateway = TestGateway::start_with(backend, |settings| settings.sso = Some(sso)).await;
    provider.serves(&gateway);
    gateway
}

async fn invites(gateway: &TestGateway, name: &str, role: Role) -> String {
    let operator = Authorized::prove(Actor::Operator).unwrap();
    let link = gateway.gateway().invite_staff(&operator, name, role).await.unwrap();
    link.expose().strip_prefix("http://gateway.test").unwrap().to_owned()
}

/// Presses the button of the sign-in: where the browser is led.
async fn goes(browser: &mut Browser<'_>) -> String {
    browser.opens("/console/login").await.expect(200);
    let led = browser.sends("/console/sso", &[("for", "sign_in")]).await.expect(303);
    led.header("location").unwrap().to_owned()
}

/// Signs in with the provider, all the way back.
async fn comes(
    browser: &mut Browser<'_>,
    provider: &Provider,
    sub: &str,
    changed: &Value,
) -> crate::harness::Answer {
    let led = goes(browser).await;
    let back = provider.lets_in(browser.at, &led, sub, changed);
    browser.arrives(CALLBACK, &back).await
}

/// Joins by a link, with the provider instead of a password.
async fn joins(browser: &mut Browser<'_>, provider: &Provider, path: &str, sub: &str, changed: &Value) {
    browser.opens(path).await.expect(200);
    let link = path.rsplit('/').next().unwrap();
    let led = browser.sends("/console/sso", &[("for", "join"), ("link", link)]).await.expect(303);
    let back = provider.lets_in(browser.at, led.header("location").unwrap(), sub, changed);
    browser.arrives(CALLBACK, &back).await.expect(200);
}

async fn sessions(gateway: &TestGateway) -> i64 {
    gateway.database().number("SELECT count(*) FROM staff_session").await
}

async fn events(gateway: &TestGateway) -> Vec<LedgerEvent> {
    let entries = gateway.database().bytes("SELECT entry FROM ledger_entry ORDER BY sequence, id").await;
    entries.iter().map(|entry| LedgerEntry::from_bytes(entry).unwrap().event).collect()
}

async fn an_invited_member_joins_and_signs_in_with_the_provider(backend: Backend) {
    let provider = Provider::start();
    let gateway = gateway(backend, &provider).await;
    let sub = format!("248-{MARK}");
    let path = invites(&gateway, "olivia", Role::Officer).await;
    let mut browser = Browser::new(&gateway);
    joins(&mut browser, &provider, &path, &sub, &json!({})).await;
    // The provider vouched for the second factor: there is nothing to set up.
    assert!(browser.opens("/console").await.expect(200).text().contains("olivia (officer)"));
    gateway.send(browser.request("GET", "/v1/rights-requests")).await.expect(200);
    Browser::new(&gateway).opens(&path).await.expect(404);
    // There is no password to sign in with.
    Browser::new(&gateway).signs_in("olivia", PASSWORD).await.expect(403);
    // Again, elsewhere.
    let mut second = Browser::new(&gateway);
    let page = comes(&mut second, &provider, &sub, &json!({})).await.expect(200);
    // A page leads on: a redirect would still be the other site's, and the session's cookie would not be sent.
    assert_eq!(
        (page.header("refresh"), page.header("referrer-policy")),
        (Some("0; url=/console"), Some("no-referrer"))
    );
    assert!(!second.cookies.contains_key("consentry-sso"));
    let account = second.opens("/console/account").await.expect(200).text();
    assert_eq!(account.matches("(through the provider)").count(), 2);
    assert!(account.contains("Your account there lets you in here.") && !account.contains("type=\"password\""));
    // A session like any other: listed, ended by hand, ended by the clock.
    let ids = second.reads_all("name=\"end\" value=\"", "\"");
    second.sends("/console/account", &[("end", &ids[0])]).await.expect(303);
    browser.opens("/console").await.expect(303);
    let out = second.opens("/console").await.expect(200).text();
    assert!(out.contains("Sign out"));
    let out = second.sends("/console/sign-out", &[]).await.expect(200).text();
    assert!(out.contains(&format!("{}/sign-out?client_id=consentry&amp;post_logout", provider.issuer)), "{out}");
    second.opens("/console").await.expect(303);
    let mut third = Browser::new(&gateway);
    comes(&mut third, &provider, &sub, &json!({})).await.expect(200);
    gateway.clock().advance_ms(31 * 60_000);
    third.opens("/console").await.expect(303);
    // On record, by the member's id; what the provider calls them is nowhere.
    let events = events(&gateway).await;
    let in_by_provider =
        |event: &&LedgerEvent| matches!(event, LedgerEvent::StaffSignedInByProvider { provider_factor: true, .. });
    assert_eq!(events.iter().filter(in_by_provider).count(), 3);
    assert_eq!(events.iter().filter(|event| matches!(event, LedgerEvent::StaffLinked { .. })).count(), 1);
    let stored = gateway.database().everything().await;
    expect_no_trace(&stored, &sub);
    expect_no_trace(&stored, &format!("{sub}.{MARK}@shop.example"));
    gateway.expect_sound_ledger().await;
}

async fn without_the_providers_second_factor_ours_is_asked_for(backend: Backend) {
    let provider = Provider::start();
    let gateway = gateway(backend, &provider).await;
    let weak = json!({ "amr": ["pwd"], "acr": "silver" });
    let path = invites(&gateway, "olivia", Role::Officer).await;
    let mut browser = Browser::new(&gateway);
    joins(&mut browser, &provider, &path, "248", &weak).await;
    assert_eq!(browser.opens("/console").await.expect(303).header("location"), Some("/console/authenticator"));
    browser.opens("/console/authenticator").await.expect(200);
    let key = browser.reads("<code id=\"key\">", "<");
    let secret = totp_rs::Secret::try_from_base32(&key).unwrap();
    let authenticator = kernel::authn::Authenticator::from_bytes(secret.as_bytes()).unwrap();
    let code = |at: &TestGateway| {
        use kernel::clock::Clock as _;
        authenticator.code(at.clock().now()).unwrap()
    };
    browser.sends("/console/authenticator", &[("code", &code(&gateway))]).await.expect(200);
    browser.opens("/console").await.expect(200);
    // The next time it is asked for, and opens nothing before.
    gateway.clock().advance_ms(30_000);
    let mut second = Browser::new(&gateway);
    let page = comes(&mut second, &provider, "248", &weak).await.expect(200);
    assert_eq!(page.header("refresh"), Some("0; url=/console/second-factor"));
    let half =
        gateway.send(second.request("GET", "/v1/rights-requests").header("accept", "application/json")).await;
    half.expect_problem(401, "unauthenticated");
    second.opens("/console/second-factor").await.expect(200);
    second.sends("/console/second-factor", &[("code", "000000")]).await.expect(403);
    second.sends("/console/second-factor", &[("code", &code(&gateway))]).await.expect(303);
    second.opens("/console").await.expect(200);
    // Recovery codes: without a password, the sign-in must have been just now.
    let ask = |code: String| [("change", "codes".to_owned()), ("code", code)];
    gateway.clock().advance_ms(11 * 60_000);
    second.opens("/console/account").await.expect(200);
    let late = ask(code(&gateway));
    let late: Vec<_> = late.iter().map(|(name, value)| (*name, value.as_str())).collect();
    second.sends("/console/account", &late).await.expect(403);
    let mut third = Browser::new(&gateway);
    comes(&mut third, &provider, "248", &json!({})).await.expect(200);
    third.opens("/console/account").await.expect(200);
    third.sends("/console/account", &late).await.expect(200);
    assert_eq!(third.reads_all("<li><code>", "<").len(), 10);
    // Nobody unlinks the only way in.
    third.opens("/console/account").await.expect(200);
    third.sends("/console/account", &[("change", "unlink"), ("code", "000000")]).await.expect(403);
    assert_eq!(gateway.database().number("SELECT count(*) FROM staff_identity").await, 1);
}

async fn a_token_that_is_not_of_this_sign_in_lets_nobody_in(backend: Backend) {
    let provider = Provider::start();
    let gateway = gateway(backend, &provider).await;
    let path = invites(&gateway, "olivia", Role::Officer).await;
    let mut browser = Browser::new(&gateway);
    joins(&mut browser, &provider, &path, "248", &json!({})).await;
    let before = sessions(&gateway).await;
    let now = gateway.seconds();
    let mut browser = Browser::new(&gateway);
    for changed in [
        json!({ "nonce": "another" }),
        json!({ "nonce": null }),
        json!({ "aud": "another-client" }),
        json!({ "aud": ["consentry", "another-client"] }),
        json!({ "azp": "another-client" }),
        json!({ "iss": "https://id.evil.example" }),
        json!({ "iss": null }),
        json!({ "exp": now - 1 }),
        json!({ "exp": null }),
        json!({ "iat": now - 3_600 }),
        json!({ "iat": now + 3_600 }),
        json!({ "nbf": now + 3_600 }),
        // Signed in with the provider longer ago than asked for, or it does not say when.
        json!({ "auth_time": now - 7_200 }),
        json!({ "auth_time": null }),
        json!({ "sub": "" }),
        json!({ "sub": null }),
    ] {
        let page = comes(&mut browser, &provider, "248", &changed).await.expect(403);
        assert!(!browser.cookies.contains_key("consentry-session"), "{changed}");
        // It is not told why.
        assert!(page.text().contains("does not let you in"), "{changed}");
    }
    for forging in [Forging::Unsigned, Forging::SharedSecret, Forging::ForeignKey, Forging::AccessToken] {
        provider.change(|state| state.forging = forging);
        comes(&mut browser, &provider, "248", &json!({})).await.expect(403);
    }
    assert_eq!(sessions(&gateway).await, before);
    let refused = events(&gateway).await;
    assert!(refused.iter().any(|event| matches!(event, LedgerEvent::AttemptRefused { .. })));
    provider.change(|state| state.forging = Forging::Honest);
    comes(&mut browser, &provider, "248", &json!({})).await.expect(200);
    browser.opens("/console").await.expect(200);
}

async fn an_answer_counts_once_in_the_browser_that_began_and_by_its_issuer(backend: Backend) {
    let provider = Provider::start();
    let gateway = gateway(backend, &provider).await;
    let path = invites(&gateway, "olivia", Role::Officer).await;
    let mut browser = Browser::new(&gateway);
    joins(&mut browser, &provider, &path, "248", &json!({})).await;
    let before = sessions(&gateway).await;
    let with = |back: &[(String, String)], name: &str, value: Option<&str>| {
        let mut back: Vec<_> = back.iter().filter(|(known, _)| known != name).cloned().collect();
        back.extend(value.map(|value| (name.to_owned(), value.to_owned())));
        back
    };
    // Somebody else's browser, or one without a cookie.
    let mut own = Browser::new(&gateway);
    let led = goes(&mut own).await;
    let back = provider.lets_in(&gateway, &led, "248", &json!({}));
    let mut other = Browser::new(&gateway);
    other.arrives(CALLBACK, &back).await.expect(403);
    goes(&mut other).await;
    other.arrives(CALLBACK, &back).await.expect(403);
    // A foreign state, none, two.
    let (cookies, state) = (own.cookies.clone(), back[1].1.clone());
    for state in [None, Some("0".repeat(64)), Some(state.to_uppercase()), Some(String::new())] {
        own.cookies.clone_from(&cookies);
        own.arrives(CALLBACK, &with(&back, "state", state.as_deref())).await.expect(403);
    }
    own.cookies.clone_from(&cookies);
    let twice = [back.clone(), vec![("state".to_owned(), "x".to_owned())]].concat();
    own.arrives(CALLBACK, &twice).await.expect(403);
    // Another issuer's answer, or one that does not say whose (RFC 9207).
    for issuer in [None, Some("https://id.evil.example"), Some("")] {
        own.cookies.clone_from(&cookies);
        own.arrives(CALLBACK, &with(&back, "iss", issuer)).await.expect(403);
    }
    // A cookie that was altered: made later, or for something else.
    for altered in [("0", "1"), ("s", "j")] {
        own.cookies.clone_from(&cookies);
        let cookie = cookies["consentry-sso"].replacen(altered.0, altered.1, 70);
        own.cookies.insert("consentry-sso".to_owned(), cookie);
        own.arrives(CALLBACK, &back).await.expect(403);
    }
    // None of it was the answer: that still counts, once.
    own.cookies.clone_from(&cookies);
    own.arrives(CALLBACK, &back).await.expect(200);
    assert_eq!(sessions(&gateway).await, before + 1);
    let replica = gateway.twin_with(|settings| settings.sso = Some(provider.settings())).await;
    provider.serves(&replica);
    for at in [&gateway, &replica] {
        let mut replay = Browser::new(at);
        replay.cookies.insert("consentry-sso".to_owned(), cookies["consentry-sso"].clone());
        replay.arrives(CALLBACK, &back).await.expect(403);
    }
    // A code that was stolen and brought into another sign-in: PKCE and nonce are of this one.
    let mut victim = Browser::new(&gateway);
    let stolen = provider.lets_in(&gateway, &goes(&mut victim).await, "248", &json!({}));
    let mut thief = Browser::new(&gateway);
    let own_back = provider.lets_in(&gateway, &goes(&mut thief).await, "666", &json!({}));
    thief.arrives(CALLBACK, &with(&own_back, "code", Some(&stolen[0].1))).await.expect(403);
    // The provider refused, or said nothing.
    for change in [("error", Some("access_denied")), ("code", None), ("code", Some(""))] {
        let led = goes(&mut other).await;
        let back = provider.lets_in(&gateway, &led, "248", &json!({}));
        other.arrives(CALLBACK, &with(&back, change.0, change.1)).await.expect(403);
    }
    // Ten minutes are the longest.
    let led = goes(&mut other).await;
    gateway.clock().advance_ms(600_000);
    let back = provider.lets_in(&gateway, &led, "248", &json!({}));
    other.arrives(CALLBACK, &back).await.expect(403);
    assert_eq!(sessions(&gateway).await, before + 1);
    // Nobody is sent there by another site, and nothing but a GET comes back.
    let forged = gateway.request("POST", "/console/sso").form(&[("for", "sign_in")]);
    gateway.send(forged).await.expect(403);
    gateway.send(gateway.request("POST", CALLBACK)).await.expect(405);
}

async fn whoever_is_not_known_or_not_the_controllers_own_stays_out(backend: Backend) {
    let provider = Provider::start();
    let gateway = gateway(backend, &provider).await;
    let operator = Authorized::prove(Actor::Operator).unwrap();
    let path = invites(&gateway, "olivia", Role::Officer).await;
    let mut browser = Browser::new(&gateway);
    for changed in [
        json!({ "email": "olivia@evil.example" }),
        json!({ "email": "olivia@sub.shop.example" }),
        json!({ "email": "olivia@shop.example.evil.example" }),
        json!({ "email": null }),
        json!({ "email_verified": false }),
        json!({ "email_verified": "true" }),
        json!({ "email_verified": null }),
    ] {
        // Neither with a link nor without.
        browser.opens(&path).await.expect(200);
        let link = path.rsplit('/').next().unwrap();
        let led = browser.sends("/console/sso", &[("for", "join"), ("link", link)]).await.expect(303);
        let back = provider.lets_in(&gateway, led.header("location").unwrap(), "248", &changed);
        browser.arrives(CALLBACK, &back).await.expect(403);
        comes(&mut browser, &provider, "248", &changed).await.expect(403);
    }
    // Of the right domain, and not invited, or invited and not linked.
    comes(&mut browser, &provider, "stranger", &json!({})).await.expect(403);
    comes(&mut browser, &provider, "olivia", &json!({ "preferred_username": "olivia" })).await.expect(403);
    assert_eq!(sessions(&gateway).await, 0);
    joins(&mut browser, &provider, &path, "248", &json!({})).await;
    browser.opens("/console").await.expect(200);
    // An account is one member's.
    let second = invites(&gateway, "berta", Role::Auditor).await;
    let mut other = Browser::new(&gateway);
    other.opens(&second).await.expect(200);
    let link = second.rsplit('/').next().unwrap();
    let led = other.sends("/console/sso", &[("for", "join"), ("link", link)]).await.expect(303);
    let back = provider.lets_in(&gateway, led.header("location").unwrap(), "248", &json!({}));
    other.arrives(CALLBACK, &back).await.expect(409);
    Browser::new(&gateway).opens(&second).await.expect(200);
    // An address that moves on to somebody else takes nothing along: the provider's name for a person counts.
    comes(&mut other, &provider, "249", &json!({ "email": "248.q7canary@shop.example" })).await.expect(403);
    // Whoever is no member any more stays out, and so does whoever was reset.
    let members = gateway.gateway().staff_members(&operator).await.unwrap();
    let olivia = members.iter().find(|member| member.name.as_str() == "olivia").unwrap().id;
    gateway.gateway().reset_staff(&operator, olivia).await.unwrap();
    comes(&mut other, &provider, "248", &json!({})).await.expect(403);
    let path = {
        let link = gateway.gateway().reset_staff(&operator, olivia).await.unwrap();
        link.expose().strip_prefix("http://gateway.test").unwrap().to_owned()
    };
    joins(&mut other, &provider, &path, "248", &json!({})).await;
    gateway.member("root-admin", Role::Administrator).await;
    gateway.gateway().end_staff(&operator, olivia).await.unwrap();
    other.opens("/console").await.expect(303);
    comes(&mut other, &provider, "248", &json!({})).await.expect(403);
}

async fn a_role_counts_if_both_say_it(backend: Backend) {
    let provider = Provider::start();
    let roles = BTreeMap::from([("officers".to_owned(), Role::Officer), ("reviewers".to_owned(), Role::Auditor)]);
    let sso = SsoSettings { role_claim: "groups".to_owned(), roles, ..provider.settings() };
    let gateway = gateway_with(backend, sso, &provider).await;
    let path = invites(&gateway, "olivia", Role::Officer).await;
    let mut browser = Browser::new(&gateway);
    joins(&mut browser, &provider, &path, "248", &json!({ "groups": ["officers", "reviewers"] })).await;
    browser.opens("/console").await.expect(200);
    for groups in [json!(["reviewers"]), json!([]), json!(null), json!("Officers"), json!(["unknown"]), json!(7)] {
        comes(&mut Browser::new(&gateway), &provider, "248", &json!({ "groups": groups })).await.expect(403);
    }
    let mut one = Browser::new(&gateway);
    comes(&mut one, &provider, "248", &json!({ "groups": "officers" })).await.expect(200);
    // The claim makes nobody more than their account is.
    let operator = Authorized::prove(Actor::Operator).unwrap();
    let members = gateway.gateway().staff_members(&operator).await.unwrap();
    gateway.member("root-admin", Role::Administrator).await;
    gateway.gateway().change_role(&operator, members[0].id, Role::Marketer).await.unwrap();
    one.opens("/console").await.expect(303);
    comes(&mut one, &provider, "248", &json!({ "groups": ["officers", "reviewers"] })).await.expect(403);
}

async fn only_where_the_operator_says_so_does_the_provider_make_staff(backend: Backend) {
    let provider = Provider::start();
    let roles = BTreeMap::from([
        ("officers".to_owned(), Role::Officer),
        ("reviewers".to_owned(), Role::Auditor),
        ("admins".to_owned(), Role::Administrator),
    ]);
    let sso = SsoSettings { role_claim: "groups".to_owned(), roles, provision: true, ..provider.settings() };
    let subjects = BTreeMap::from([("777".to_owned(), "berta".parse().unwrap())]);
    let gateway = gateway_with(backend, SsoSettings { subjects, ..sso }, &provider).await;
    let mut browser = Browser::new(&gateway);
    // Without a role, or with none that a claim can give, nobody comes to be.
    for changed in [json!({}), json!({ "groups": ["unknown"] }), json!({ "groups": ["admins"] })] {
        comes(&mut browser, &provider, "248", &changed).await.expect(403);
    }
    let changed = json!({ "groups": ["officers", "reviewers"], "preferred_username": "Olivia.M", "email": "o@evil.example" });
    comes(&mut browser, &provider, "248", &changed).await.expect(403);
    assert_eq!(gateway.database().number("SELECT count(*) FROM staff").await, 0);
    let changed = json!({ "groups": ["officers", "reviewers"], "preferred_username": "Olivia.M" });
    comes(&mut browser, &provider, "248", &changed).await.expect(200);
    // The least of the roles.
    assert!(browser.opens("/console").await.expect(200).text().contains("olivia-m (auditor)"));
    comes(&mut Browser::new(&gateway), &provider, "248", &changed).await.expect(200);
    assert_eq!(gateway.database().number("SELECT count(*) FROM staff").await, 1);
    // Another account of the same name is not the same person.
    comes(&mut Browser::new(&gateway), &provider, "249", &changed).await.expect(409);
    // Whom the operator named for an account is not made anew, whatever their address, and keeps their role.
    let link = invites(&gateway, "berta", Role::Officer).await;
    let changed = json!({ "groups": ["officers"], "email": null });
    let mut berta = Browser::new(&gateway);
    comes(&mut berta, &provider, "777", &changed).await.expect(200);
    assert!(berta.opens("/console").await.expect(200).text().contains("berta (officer)"));
    // The link that she was sent is used up by it.
    Browser::new(&gateway).opens(&link).await.expect(404);
    let made = events(&gateway).await;
    assert_eq!(made.iter().filter(|event| matches!(event, LedgerEvent::StaffProvisioned { .. })).count(), 1);
    gateway.expect_sound_ledger().await;
}

async fn a_member_links_an_account_with_both_factors_and_takes_it_back(backend: Backend) {
    let provider = Provider::start();
    let gateway = gateway(backend, &provider).await;
    let mut officer = gateway.member("olivia", Role::Officer).await;
    comes(&mut Browser::new(&gateway), &provider, "248", &json!({})).await.expect(403);
    gateway.clock().advance_ms(30_000);
    let link = |password, code| [("for", "link"), ("password", password), ("code", code)];
    officer.browser.opens("/console/account").await.expect(200);
    let code = officer.code();
    officer.browser.sends("/console/sso", &link("not the password", &code)).await.expect(403);
    officer.browser.sends("/console/sso", &link(PASSWORD, "000000")).await.expect(403);
    let led = officer.browser.sends("/console/sso", &link(PASSWORD, &code)).await.expect(303);
    // The code is used up.
    officer.browser.sends("/console/sso", &link(PASSWORD, &code)).await.expect(403);
    let back = provider.lets_in(&gateway, led.header("location").unwrap(), "248", &json!({}));
    officer.browser.arrives(CALLBACK, &back).await.expect(200);
    let account = officer.browser.opens("/console/account").await.expect(200).text();
    assert!(account.contains("Your account there lets you in here."));
    let mut other = Browser::new(&gateway);
    comes(&mut other, &provider, "248", &json!({})).await.expect(200);
    other.opens("/console").await.expect(200);
    // The password still works beside it.
    Browser::new(&gateway).signs_in("olivia", PASSWORD).await.expect(303);
    // Nobody who is not signed in links anything, and a sign-in that is over meanwhile links nothing.
    let mut nobody = Browser::new(&gateway);
    nobody.opens("/console/login").await.expect(200);
    let turned = nobody.sends("/console/sso", &link(PASSWORD, &code)).await.expect(303);
    assert_eq!(turned.header("location"), Some("/console/login"));
    let mut berta = gateway.member("berta", Role::Auditor).await;
    gateway.clock().advance_ms(30_000);
    berta.browser.opens("/console/account").await.expect(200);
    let led = berta.browser.sends("/console/sso", &link(PASSWORD, &berta.code())).await.expect(303);
    let led = led.header("location").unwrap().to_owned();
    let back = provider.lets_in(&gateway, &led, "777", &json!({}));
    berta.browser.sends("/console/sign-out", &[]).await.expect(303);
    berta.browser.arrives(CALLBACK, &back).await.expect(403);
    assert_eq!(gateway.database().number("SELECT count(*) FROM staff_identity").await, 1);
    // Taken back, with both factors: what was begun by it ends.
    let unlink = |password, code| [("change", "unlink"), ("password", password), ("code", code)];
    officer.browser.opens("/console/account").await.expect(200);
    officer.browser.sends("/console/account", &unlink(PASSWORD, "000000")).await.expect(403);
    officer.browser.sends("/console/account", &unlink(PASSWORD, &officer.code())).await.expect(303);
    other.opens("/console").await.expect(303);
    officer.browser.opens("/console").await.expect(200);
    comes(&mut other, &provider, "248", &json!({})).await.expect(403);
    assert!(events(&gateway).await.iter().any(|event| matches!(event, LedgerEvent::StaffUnlinked { .. })));
}

async fn a_linked_account_that_was_moved_lets_nobody_in(backend: Backend) {
    let provider = Provider::start();
    let gateway = gateway(backend, &provider).await;
    let officer = gateway.member("olivia", Role::Officer).await;
    let path = invites(&gateway, "mallory", Role::Marketer).await;
    let mut mallory = Browser::new(&gateway);
    joins(&mut mallory, &provider, &path, "666", &json!({})).await;
    let moved =
        format!("UPDATE staff_identity SET staff_id = (SELECT id FROM staff WHERE name = '{}')", officer.name);
    gateway.database().execute(&moved).await;
    let mut again = Browser::new(&gateway);
    comes(&mut again, &provider, "666", &json!({})).await.expect(403);
    assert!(!again.cookies.contains_key("consentry-session"));
}

async fn a_provider_that_is_not_there_keeps_nobody_from_their_password(backend: Backend) {
    let provider = Provider::start();
    let gone = SsoSettings { issuer: "http://127.0.0.1:1".to_owned(), ..provider.settings() };
    let elsewhere = SsoSettings { issuer: format!("{}/", provider.issuer), ..provider.settings() };
    let gateway = gateway_with(backend, gone, &provider).await;
    let officer = gateway.member("olivia", Role::Officer).await;
    let unreachable = async |gateway: &TestGateway| {
        let mut browser = Browser::new(gateway);
        browser.opens("/console/login").await.expect(200);
        let form = [("for", "sign_in"), ("csrf", browser.csrf.as_str())];
        browser.request("POST", "/console/sso").form(&form).send().await.unwrap().status().as_u16()
    };
    assert_eq!(unreachable(&gateway).await, 503);
    Browser::new(&gateway).signs_in(&officer.name, PASSWORD).await.expect(303);
    // What calls itself otherwise than it was configured is not it, nor what has its endpoints elsewhere, in the clear, or
    // cannot do PKCE.
    let twin = gateway.twin_with(|settings| settings.sso = Some(elsewhere)).await;
    provider.serves(&twin);
    assert_eq!(unreachable(&twin).await, 503);
    for (name, value) in [
        ("token_endpoint", json!("http://169.254.169.254/token")),
        ("token_endpoint", json!("https://evil.example/token")),
        ("jwks_uri", json!("file:///etc/passwd")),
        ("authorization_endpoint", json!("https://evil.example/authorize")),
        ("end_session_endpoint", json!("javascript:alert(1)")),
        ("code_challenge_methods_supported", json!(["plain"])),
    ] {
        let twin = gateway.twin_with(|settings| settings.sso = Some(provider.settings())).await;
        provider.serves(&twin);
        provider.change(|state| drop(state.metadata.insert(name, value.clone())));
        assert_eq!(unreachable(&twin).await, 503, "{name} {value}");
        provider.change(|state| state.metadata.clear());
        let page = Browser::new(&twin).opens("/console/login").await.expect(200);
        let policy = page.header("content-security-policy").unwrap().to_owned();
        assert!(policy.contains(&format!("form-action 'self' {};", provider.issuer)), "{policy}");
    }
    // Without a provider there is no button, and nothing behind it.
    let plain = gateway.twin().await;
    let mut browser = Browser::new(&plain);
    assert!(!browser.opens("/console/login").await.expect(200).text().contains("/console/sso"));
    browser.sends("/console/sso", &[("for", "sign_in")]).await.expect(404);
    assert_eq!(browser.arrives(CALLBACK, &[]).await.expect(303).header("location"), Some("/console/login"));
}

async fn keys_of_the_provider_take_turns(backend: Backend) {
    let provider = Provider::start();
    let gateway = gateway(backend, &provider).await;
    let path = invites(&gateway, "olivia", Role::Officer).await;
    let mut browser = Browser::new(&gateway);
    joins(&mut browser, &provider, &path, "248", &json!({})).await;
    assert_eq!(provider.key_reads(), 1);
    let mut browser = Browser::new(&gateway);
    comes(&mut browser, &provider, "248", &json!({})).await.expect(200);
    assert_eq!(provider.key_reads(), 1);
    gateway.clock().advance_ms(60_000);
    provider.change(|state| state.seed = 77);
    let mut browser = Browser::new(&gateway);
    comes(&mut browser, &provider, "248", &json!({})).await.expect(200);
    assert_eq!(provider.key_reads(), 2);
    // Whoever sends unknown keys makes us ask once a minute at the most.
    provider.change(|state| state.forging = Forging::ForeignKey);
    for _ in 0..3 {
        comes(&mut Browser::new(&gateway), &provider, "248", &json!({})).await.expect(403);
    }
    assert_eq!(provider.key_reads(), 2);
}
