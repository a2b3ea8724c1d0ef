//! The controller's own people: joining, signing in with two factors, sessions, roles, and who may not lock out whom.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use consentry::http::{Access, routes};
use kernel::authn::HashCost;
use kernel::authz::{Actor, Authorized};
use kernel::ledger::{Inspection, LedgerEntry, LedgerEvent, StaffAct};
use kernel::seal::StaffSecret;
use kernel::staff::{Role, StaffId};
use serde_json::json;

use crate::erasure::expect_no_trace;
use crate::harness::{Backend, Browser, Member, PASSWORD, TestGateway};

on_both!(
    the_first_administrator_joins_once_and_invites_the_others,
    a_link_is_good_once_and_for_a_day,
    both_factors_are_needed_and_each_code_counts_once,
    a_recovery_code_signs_in_once,
    sec_05_a_role_may_what_it_is_for_and_the_rest_looks_absent,
    sec_05_what_staff_do_is_on_record_with_their_id,
    a_form_that_was_not_opened_here_does_nothing,
    a_session_ends_by_idleness_by_the_clock_and_by_hand,
    another_password_ends_the_other_sessions_and_renews_this_one,
    another_role_counts_at_once_and_the_last_administrator_stays,
    an_outsider_slows_down_nobody_but_themself,
    a_password_is_hashed_anew_when_the_cost_rises,
    sec_02_nothing_that_lets_anybody_in_is_in_the_database,
    sec_02_a_row_of_staff_that_was_edited_or_moved_lets_nobody_in,
    another_session_than_the_fifth_ends_the_oldest,
    pages_of_the_console_mask_passwords_and_let_managers_fill_them_in,
    signing_out_has_the_browser_forget,
);

async fn events(gateway: &TestGateway) -> Vec<LedgerEvent> {
    let entries = gateway.database().bytes("SELECT entry FROM ledger_entry ORDER BY sequence, id").await;
    entries.iter().map(|entry| LedgerEntry::from_bytes(entry).unwrap().event).collect()
}

async fn the_first_administrator_joins_once_and_invites_the_others(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let operator = Authorized::prove(Actor::Operator).unwrap();
    // Two gateways start at once: two links, of which one makes the first administrator.
    let mut links = Vec::new();
    for _ in 0..2 {
        let link = gateway.gateway().invite_first_administrator(&operator).await.unwrap().unwrap();
        links.push(link.expose().strip_prefix("http://gateway.test").unwrap().to_owned());
    }
    let mut root = Member::joins(&gateway, "root-admin", &format!("http://gateway.test{}", links[0])).await;
    assert_eq!(root.codes.len(), 10);
    Browser::new(&gateway).opens(&links[1]).await.expect(404);
    assert!(gateway.gateway().invite_first_administrator(&operator).await.unwrap().is_none());
    let home = root.browser.opens("/console").await.expect(200);
    assert!(home.text().contains("root-admin") && home.text().contains("administrator"));
    // An administrator invites somebody on the page.
    root.browser.opens("/console/staff").await.expect(200);
    let invite = [("act", "invite"), ("name", "olivia"), ("role", "officer")];
    root.browser.sends("/console/staff", &invite).await.expect(200);
    let link = root.browser.reads("<code id=\"link\">", "<");
    root.browser.sends("/console/staff", &invite).await.expect(409);
    root.browser
        .sends("/console/staff", &[("act", "invite"), ("name", "No!"), ("role", "officer")])
        .await
        .expect(422);
    let mut olivia = Member::joins(&gateway, "ignored", &link).await;
    olivia.name = "olivia".to_owned();
    assert!(olivia.browser.opens("/console").await.expect(200).text().contains("olivia (officer)"));
    gateway.expect_sound_ledger().await;
}

async fn a_link_is_good_once_and_for_a_day(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    gateway.administrator().await;
    let operator = Authorized::prove(Actor::Operator).unwrap();
    let invite = async |name| {
        let link = gateway.gateway().invite_staff(&operator, name, Role::Auditor).await.unwrap();
        link.expose().strip_prefix("http://gateway.test").unwrap().to_owned()
    };
    let path = invite("anton").await;
    let mut browser = Browser::new(&gateway);
    for bad in ["short", "passwordpassword", "antonantonanton"] {
        browser.opens(&path).await.expect(200);
        browser.sends(&path, &[("name", ""), ("password", bad)]).await.expect(422);
    }
    browser.sends(&path, &[("name", ""), ("password", PASSWORD)]).await.expect(303);
    Browser::new(&gateway).opens(&path).await.expect(404);
    let late = invite("berta").await;
    gateway.clock().advance_ms(24 * 3_600_000);
    Browser::new(&gateway).opens(&late).await.expect(404);
    Browser::new(&gateway).opens(&format!("/console/join/{}", "0".repeat(64))).await.expect(404);
}

async fn both_factors_are_needed_and_each_code_counts_once(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let officer = gateway.member("olivia", Role::Officer).await;
    gateway.clock().advance_ms(30_000);
    let mut browser = Browser::new(&gateway);
    // Wrong and unknown are answered alike.
    let wrong = browser.signs_in("olivia", "not this one at all").await.expect(403).text();
    let unknown = browser.signs_in("nobody", PASSWORD).await.expect(403).text();
    let plain = |page: &str| page.replace(&browser.csrf, "");
    assert_eq!(plain(&wrong), plain(&unknown));
    let half = browser.signs_in("Olivia ", PASSWORD).await.expect(303);
    assert_eq!(half.header("location"), Some("/console/second-factor"));
    // The password alone opens nothing.
    for (path, place) in [("/console", "/console/second-factor"), ("/console/account", "/console/second-factor")] {
        assert_eq!(browser.opens(path).await.expect(303).header("location"), Some(place));
    }
    let request = browser.request("GET", "/v1/rights-requests").header("accept", "application/json");
    gateway.send(request).await.expect_problem(401, "unauthenticated");
    let before = browser.cookies["consentry-session"].clone();
    browser.opens("/console/second-factor").await.expect(200);
    browser.sends("/console/second-factor", &[("code", "000000")]).await.expect(403);
    let code = officer.code();
    browser.sends("/console/second-factor", &[("code", &code)]).await.expect(303);
    // Another token, and the one before is worth nothing.
    assert_ne!(browser.cookies["consentry-session"], before);
    browser.opens("/console").await.expect(200);
    let mut old = Browser::new(&gateway);
    old.cookies.insert("consentry-session".to_owned(), before);
    assert_eq!(old.opens("/console").await.expect(303).header("location"), Some("/console/login"));
    // The same code again, by whoever saw it.
    let mut second = Browser::new(&gateway);
    second.signs_in("olivia", PASSWORD).await.expect(303);
    second.opens("/console/second-factor").await.expect(200);
    second.sends("/console/second-factor", &[("code", &code)]).await.expect(403);
    gateway.clock().advance_ms(30_000);
    second.sends("/console/second-factor", &[("code", &officer.code())]).await.expect(303);
}

async fn a_recovery_code_signs_in_once(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let officer = gateway.member("olivia", Role::Officer).await;
    let code = officer.codes[3].to_lowercase();
    let mut browser = Browser::new(&gateway);
    browser.signs_in("olivia", PASSWORD).await.expect(303);
    browser.opens("/console/second-factor").await.expect(200);
    browser.sends("/console/second-factor", &[("code", &code)]).await.expect(303);
    assert!(browser.opens("/console/account").await.expect(200).text().contains("<p>9 are left.</p>"));
    assert!(
        events(&gateway)
            .await
            .iter()
            .any(|event| matches!(event, LedgerEvent::StaffSignedIn { recovery: true, .. }))
    );
    let mut again = Browser::new(&gateway);
    again.signs_in("olivia", PASSWORD).await.expect(303);
    again.opens("/console/second-factor").await.expect(200);
    again.sends("/console/second-factor", &[("code", &code)]).await.expect(403);
    // Others take their place.
    let ask = |password, code| [("change", "codes"), ("password", password), ("code", code)];
    let now = officer.code();
    browser.sends("/console/account", &ask("wrong, of course", &now)).await.expect(403);
    browser.sends("/console/account", &ask(PASSWORD, "000000")).await.expect(403);
    browser.sends("/console/account", &ask(PASSWORD, "")).await.expect(403);
    // The code of the sign-in is used up, and so is a recovery code.
    browser.sends("/console/account", &ask(PASSWORD, &now)).await.expect(403);
    browser.sends("/console/account", &ask(PASSWORD, &code)).await.expect(403);
    gateway.clock().advance_ms(30_000);
    let before = browser.cookies["consentry-session"].clone();
    browser.sends("/console/account", &ask(PASSWORD, &officer.code())).await.expect(200);
    assert_ne!(browser.cookies["consentry-session"], before);
    let fresh = browser.reads_all("<li><code>", "<");
    assert!(fresh.len() == 10 && fresh.iter().all(|code| !officer.codes.contains(code)));
    again.sends("/console/second-factor", &[("code", &officer.codes[4])]).await.expect(403);
    again.sends("/console/second-factor", &[("code", &fresh[0])]).await.expect(303);
}

async fn sec_05_a_role_may_what_it_is_for_and_the_rest_looks_absent(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    gateway.administrator().await;
    let lookup = json!({ "subject": { "email": "nobody@example.org" } });
    for role in Role::ALL {
        let mut member = gateway.member(&format!("a-{role}"), role).await;
        member.browser.opens("/console").await.expect(200);
        let (officer, auditor) = (role == Role::Officer, role == Role::Auditor);
        let list = gateway.send(member.browser.request("GET", "/v1/rights-requests")).await;
        assert_eq!(list.status, if officer || auditor { 200 } else { 403 }, "{role}");
        let request = member.browser.request("POST", "/v1/subjects/lookup").json(&lookup);
        let found = gateway.send(request.header("x-csrf-token", &member.browser.csrf)).await;
        // An officer may look, and nobody is there.
        assert_eq!(found.status, if officer { 404 } else { 403 }, "{role}");
        let page = member.browser.opens("/console/staff").await;
        assert_eq!(page.status, if role == Role::Administrator { 200 } else { 404 }, "{role}");
        // Nobody of the staff does what programs do.
        let mut done = BTreeSet::new();
        for route in routes() {
            for endpoint in route.endpoints {
                let Access::Scope(scope) = endpoint.access else { continue };
                if scope.is_for_staff() {
                    continue;
                }
                let path = route.path.replace("{id}", &"0".repeat(32));
                let request = member.browser.request(endpoint.method, &path);
                let answer = gateway.send(request.header("x-csrf-token", &member.browser.csrf)).await;
                assert_eq!(answer.status, 403, "{role} {path}");
                done.insert(path);
            }
        }
        assert!(done.len() > 8);
    }
}

async fn sec_05_what_staff_do_is_on_record_with_their_id(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let anna = gateway.person("anna");
    anna.gives(&["email_marketing"]).await;
    let mut officer = gateway.member("olivia", Role::Officer).await;
    officer.browser.opens("/console").await.expect(200);
    let request = officer.browser.request("POST", "/v1/subjects/lookup");
    let request = request.json(&json!({ "subject": { "email": anna.email } }));
    let found = gateway.send(request.header("x-csrf-token", &officer.browser.csrf)).await.expect(200).json();
    let path = format!("/v1/subjects/{}/consents", found["id"].as_str().unwrap());
    gateway.send(officer.browser.request("GET", &path)).await.expect(200);
    let request = officer.browser.request("POST", "/v1/rights-requests");
    let request = request.json(&json!({ "type": "access", "subject": { "email": anna.email } }));
    gateway.send(request.header("x-csrf-token", &officer.browser.csrf)).await.expect(201);
    let events = events(&gateway).await;
    let id = events.iter().find_map(|event| match event {
        LedgerEvent::StaffJoined { staff } => Some(*staff),
        _ => None,
    });
    for what in [Inspection::Lookup, Inspection::Consents] {
        let looked = |event: &LedgerEvent| matches!(event, LedgerEvent::SubjectInspected { client: None, staff, role: Some(Role::Officer), what: seen, .. } if *staff == id && *seen == what);
        assert!(events.iter().any(looked), "{what:?}");
    }
    assert!(
        events.iter().any(|event| matches!(event, LedgerEvent::RightsRequestOpened { staff, .. } if *staff == id))
    );
    // The name is in no entry.
    let ledger = gateway.database().bytes("SELECT entry FROM ledger_entry").await.concat();
    expect_no_trace(&ledger, "olivia");
    gateway.expect_sound_ledger().await;
}

async fn a_form_that_was_not_opened_here_does_nothing(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let mut root = gateway.administrator().await;
    root.browser.opens("/console/staff").await.expect(200);
    let right = root.browser.csrf.clone();
    let invite = |csrf: &str| {
        let form = [("act", "invite"), ("name", "mallory"), ("role", "administrator"), ("csrf", csrf)];
        root.browser.request("POST", "/console/staff").form(&form)
    };
    for wrong in ["", "0", &right[1..], &"0".repeat(64)] {
        gateway.send(invite(wrong)).await.expect(403);
    }
    gateway.send(invite(&right).header("origin", "https://evil.example")).await.expect(403);
    gateway.send(invite(&right).header("origin", "null")).await.expect(403);
    gateway.send(invite(&right).header("sec-fetch-site", "cross-site")).await.expect(403);
    // The secret of another session is not this one's.
    let other = root.elsewhere().await;
    let mut other_page = other.later();
    other_page.cookies = other.cookies.clone();
    other_page.opens("/console").await.expect(200);
    gateway.send(invite(&other_page.csrf)).await.expect(403);
    assert_eq!(gateway.database().number("SELECT count(*) FROM staff").await, 1);
    // Nor does a program's path do anything for a mere cookie.
    let mut officer = gateway.member("olivia", Role::Officer).await;
    officer.browser.opens("/console").await.expect(200);
    let ask = || {
        officer
            .browser
            .request("POST", "/v1/rights-requests")
            .json(&json!({ "type": "access", "subject": { "email": "a@b.example" } }))
    };
    gateway.send(ask()).await.expect_problem(403, "form_not_ours");
    gateway.send(ask().header("x-csrf-token", "guess")).await.expect_problem(403, "form_not_ours");
    assert_eq!(gateway.database().number("SELECT count(*) FROM rights_request").await, 0);
    // Nobody is signed in by somebody else's page.
    let login = gateway.request("POST", "/console/login").form(&[("name", "olivia"), ("password", PASSWORD)]);
    gateway.send(login).await.expect(403);
    let twice = officer.browser.request("GET", "/v1/rights-requests").header("cookie", "consentry-session=x");
    gateway.send(twice).await.expect(401);
    gateway.send(invite(&right).header("origin", "http://gateway.test")).await.expect(200);
}

async fn a_session_ends_by_idleness_by_the_clock_and_by_hand(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let twin = gateway.twin().await;
    let mut officer = gateway.member("olivia", Role::Officer).await;
    let mut second = officer.elsewhere().await;
    officer.browser.opens("/console/account").await.expect(200);
    let ids = officer.browser.reads_all("name=\"end\" value=\"", "\"");
    assert_eq!(ids.len(), 1);
    // Somebody else's session is none.
    let mut other = gateway.member("oscar", Role::Officer).await;
    other.browser.opens("/console/account").await.expect(200);
    other.browser.sends("/console/account", &[("end", &ids[0])]).await.expect(404);
    second.opens("/console").await.expect(200);
    officer.browser.sends("/console/account", &[("end", &ids[0])]).await.expect(303);
    // At once, on another replica too.
    let cookie = format!("consentry-session={}", second.cookies["consentry-session"]);
    twin.send(twin.request("GET", "/v1/rights-requests").header("cookie", cookie)).await.expect(401);
    assert_eq!(second.opens("/console").await.expect(303).header("location"), Some("/console/login"));
    // Used, it goes on; unused for half an hour, it does not.
    for _ in 0..3 {
        gateway.clock().advance_ms(29 * 60_000);
        officer.browser.opens("/console").await.expect(200);
    }
    gateway.clock().advance_ms(31 * 60_000);
    officer.browser.opens("/console").await.expect(303);
    // Used all day long, it ends after twelve hours.
    let mut long = officer.elsewhere().await;
    for _ in 0..25 {
        gateway.clock().advance_ms(28 * 60_000);
        long.opens("/console").await.expect(200);
    }
    gateway.clock().advance_ms(20 * 60_000);
    long.opens("/console").await.expect(303);
    // Signed out is signed out, whoever kept the cookie.
    let mut last = officer.elsewhere().await;
    last.opens("/console").await.expect(200);
    let kept = last.cookies["consentry-session"].clone();
    last.sends("/console/sign-out", &[]).await.expect(303);
    assert!(!last.cookies.contains_key("consentry-session"));
    last.cookies.insert("consentry-session".to_owned(), kept);
    last.opens("/console").await.expect(303);
}

async fn another_password_ends_the_other_sessions_and_renews_this_one(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let mut officer = gateway.member("olivia", Role::Officer).await;
    let mut second = officer.elsewhere().await;
    let new = "quite another set of words";
    officer.browser.opens("/console/account").await.expect(200);
    gateway.clock().advance_ms(30_000);
    let code = officer.code();
    let change = |present, code, new| {
        [("change", "password"), ("password", present), ("code", code), ("new_password", new)]
    };
    officer.browser.sends("/console/account", &change("a wrong one entirely", &code, new)).await.expect(403);
    officer.browser.sends("/console/account", &change(PASSWORD, "000000", new)).await.expect(403);
    officer.browser.sends("/console/account", &change(PASSWORD, &code, "short")).await.expect(422);
    officer.browser.sends("/console/account", &change(PASSWORD, &code, "q1w2e3r4t5y6")).await.expect(422);
    second.opens("/console").await.expect(200);
    let before = officer.browser.cookies["consentry-session"].clone();
    officer.browser.sends("/console/account", &change(PASSWORD, &code, new)).await.expect(303);
    assert_ne!(officer.browser.cookies["consentry-session"], before);
    officer.browser.opens("/console").await.expect(200);
    second.opens("/console").await.expect(303);
    let mut old = Browser::new(&gateway);
    old.cookies.insert("consentry-session".to_owned(), before);
    old.opens("/console").await.expect(303);
    Browser::new(&gateway).signs_in("olivia", PASSWORD).await.expect(403);
    Browser::new(&gateway).signs_in("olivia", new).await.expect(303);
    let changed =
        |event: &LedgerEvent| matches!(event, LedgerEvent::StaffChanged { act: StaffAct::PasswordChanged, .. });
    assert_eq!(events(&gateway).await.iter().filter(|event| changed(event)).count(), 1);
}

async fn another_role_counts_at_once_and_the_last_administrator_stays(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let mut root = gateway.administrator().await;
    let mut officer = gateway.member("olivia", Role::Officer).await;
    root.browser.opens("/console/staff").await.expect(200);
    let ids = root.browser.reads_all("name=\"staff\" value=\"", "\"");
    // By name: olivia, root-admin.
    let (olivia, own) = (ids[0].clone(), ids[1].clone());
    for act in [vec![("act", "end")], vec![("act", "role"), ("role", "officer")]] {
        let mut form = act;
        form.push(("staff", &own));
        root.browser.sends("/console/staff", &form).await.expect(409);
    }
    let unknown = "0".repeat(32);
    root.browser.sends("/console/staff", &[("act", "end"), ("staff", &unknown)]).await.expect(404);
    officer.browser.opens("/console").await.expect(200);
    root.browser
        .sends("/console/staff", &[("act", "role"), ("staff", &olivia), ("role", "marketer")])
        .await
        .expect(303);
    officer.browser.opens("/console").await.expect(303);
    let mut again = officer.elsewhere().await;
    gateway.send(again.request("GET", "/v1/rights-requests")).await.expect_problem(403, "insufficient_scope");
    // Reset: neither password nor codes count any more, and the link begins anew.
    root.browser.opens("/console/staff").await.expect(200);
    root.browser.sends("/console/staff", &[("act", "reset"), ("staff", &olivia)]).await.expect(200);
    let link = root.browser.reads("<code id=\"link\">", "<");
    again.opens("/console").await.expect(303);
    Browser::new(&gateway).signs_in("olivia", PASSWORD).await.expect(403);
    let anew = Member::joins(&gateway, "olivia", &link).await;
    assert_ne!(anew.authenticator.as_bytes(), officer.authenticator.as_bytes());
    root.browser.sends("/console/staff", &[("act", "end"), ("staff", &olivia)]).await.expect(303);
    Browser::new(&gateway).signs_in("olivia", PASSWORD).await.expect(403);
    gateway.expect_sound_ledger().await;
}

async fn an_outsider_slows_down_nobody_but_themself(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let officer = gateway.member("olivia", Role::Officer).await;
    gateway.clock().advance_ms(30_000);
    let mut outsider = Browser::new(&gateway);
    for _ in 0..5 {
        outsider.signs_in("olivia", "a guess that is wrong").await.expect(403);
    }
    let mut waited = Vec::new();
    for _ in 0..4 {
        let told = outsider.signs_in("olivia", PASSWORD).await.expect(429);
        let seconds: i64 = told.header("retry-after").unwrap().parse().unwrap();
        waited.push(seconds);
        // Trying meanwhile makes it no longer.
        outsider.signs_in("olivia", PASSWORD).await.expect(429);
        gateway.clock().advance_ms(seconds * 1000);
        outsider.signs_in("olivia", "a guess that is wrong").await.expect(403);
    }
    assert_eq!(waited, [1, 2, 4, 8]);
    // A name that is nobody's is treated alike.
    for _ in 0..5 {
        outsider.signs_in("nobody", "a guess that is wrong").await.expect(403);
    }
    outsider.signs_in("nobody", "a guess that is wrong").await.expect(429);
    // Whoever signed in from a machine before is not kept out, though the address is the same.
    let mut own = officer.browser.later();
    own.signs_in("olivia", PASSWORD).await.expect(303);
    own.opens("/console/second-factor").await.expect(200);
    own.sends("/console/second-factor", &[("code", &officer.code())]).await.expect(303);
    // What the machine keeps is this account's alone, and cannot be made up.
    let mut forged = officer.browser.later();
    let device = forged.cookies["consentry-device"].replace('a', "b");
    forged.cookies.insert("consentry-device".to_owned(), device);
    forged.signs_in("olivia", PASSWORD).await.expect(429);
    // Never for ever: a quarter of an hour is the longest.
    gateway.clock().advance_ms(900_000);
    outsider.signs_in("olivia", PASSWORD).await.expect(303);
}

async fn a_password_is_hashed_anew_when_the_cost_rises(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let officer = gateway.member("olivia", Role::Officer).await;
    let costlier = gateway.twin_with(|settings| settings.hash_cost = HashCost::new(16, 2, 1).unwrap()).await;
    // It is stored sealed: only whoever has the keys sees what it cost.
    let hash = async || {
        let id = gateway.database().bytes("SELECT id FROM staff").await.remove(0);
        let sealed = gateway.database().texts("SELECT password_hash FROM staff").await.remove(0);
        assert!(!sealed.contains('$'));
        let (id, sealed) = (StaffId::from_bytes(id.try_into().unwrap()), URL_SAFE_NO_PAD.decode(sealed).unwrap());
        let opened = gateway.keyring().open_staff_secret(id, StaffSecret::PasswordHash, &sealed).unwrap();
        String::from_utf8(opened.to_vec()).unwrap()
    };
    let cheap = hash().await;
    assert!(cheap.starts_with("$argon2id$v=19$m=8,t=1,p=1$"));
    let mut browser = Browser::new(&costlier);
    browser.signs_in(&officer.name, "not the password at all").await.expect(403);
    assert_eq!(hash().await, cheap);
    browser.signs_in(&officer.name, PASSWORD).await.expect(303);
    assert!(hash().await.starts_with("$argon2id$v=19$m=16,t=2,p=1$"));
    Browser::new(&gateway).signs_in(&officer.name, PASSWORD).await.expect(303);
}

async fn sec_02_nothing_that_lets_anybody_in_is_in_the_database(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let officer = gateway.member("olivia", Role::Officer).await;
    let operator = Authorized::prove(Actor::Operator).unwrap();
    let link = gateway.gateway().invite_staff(&operator, "oscar", Role::Officer).await.unwrap();
    let stored = gateway.database().everything().await;
    let mut secrets = vec![PASSWORD.to_owned(), link.expose().rsplit('/').next().unwrap().to_owned()];
    secrets.extend(officer.browser.cookies.values().cloned());
    secrets.extend(officer.codes.iter().flat_map(|code| [code.clone(), code.replace('-', "")]));
    secrets.push(officer.authenticator.text().to_string());
    for secret in &secrets {
        expect_no_trace(&stored, secret);
    }
    let raw = officer.authenticator.as_bytes();
    assert!(!stored.windows(raw.len()).any(|window| window == raw));
}

/// Whatever somebody with the database can write who has no keys: it makes nobody somebody else.
async fn sec_02_a_row_of_staff_that_was_edited_or_moved_lets_nobody_in(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let database = gateway.database();
    let mut root = gateway.administrator().await;
    let mut mallory = gateway.member("mallory", Role::Marketer).await;
    let officer = gateway.member("olivia", Role::Officer).await;
    // To copy from, and to put back.
    database.execute("CREATE TABLE kept AS SELECT * FROM staff").await;
    let of = |column: &str, name: &str| format!("(SELECT {column} FROM kept WHERE name = '{name}')");
    let back = async || {
        for column in ["role", "password_hash", "authenticator", "seal"] {
            let whole =
                format!("UPDATE staff SET {column} = (SELECT {column} FROM kept WHERE kept.id = staff.id)");
            database.execute(&whole).await;
        }
    };
    let lets_in = async |name: &str| {
        gateway.clock().advance_ms(1_000_000);
        Browser::new(&gateway).signs_in(name, PASSWORD).await.status == 303
    };
    assert!(lets_in("olivia").await && lets_in("mallory").await);
    let taken = of("password_hash", "mallory");
    for (what, edit) in [
        // Their own password for somebody else's account, with or without their own authenticator.
        ("olivia", format!("UPDATE staff SET password_hash = {taken} WHERE name = 'olivia'")),
        (
            "olivia",
            format!(
                "UPDATE staff SET password_hash = {taken}, authenticator = {}, seal = {} WHERE name = 'olivia'",
                of("authenticator", "mallory"),
                of("seal", "mallory")
            ),
        ),
        // A hash made elsewhere.
        (
            "olivia",
            "UPDATE staff SET password_hash = '$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAA' WHERE name = 'olivia'"
                .to_owned(),
        ),
        // Whoever knows the password takes the second factor away.
        ("olivia", "UPDATE staff SET authenticator = NULL WHERE name = 'olivia'".to_owned()),
        // Another role, another's seal, none.
        ("mallory", "UPDATE staff SET role = 'officer' WHERE name = 'mallory'".to_owned()),
        (
            "mallory",
            format!("UPDATE staff SET role = 'officer', seal = {} WHERE name = 'mallory'", of("seal", "olivia")),
        ),
        ("mallory", "UPDATE staff SET seal = NULL WHERE name = 'mallory'".to_owned()),
    ] {
        database.execute(&edit).await;
        assert!(!lets_in(what).await, "{edit}");
        back().await;
        assert!(lets_in(what).await, "not put back: {edit}");
    }
    // The other's authenticator under one's own password: no code of either counts.
    database
        .execute(&format!(
            "UPDATE staff SET authenticator = {} WHERE name = 'olivia'",
            of("authenticator", "mallory")
        ))
        .await;
    let mut moved = Browser::new(&gateway);
    moved.signs_in("olivia", PASSWORD).await.expect(303);
    moved.opens("/console/second-factor").await.expect(200);
    for code in [mallory.code(), officer.code()] {
        moved.sends("/console/second-factor", &[("code", &code)]).await.expect(403);
    }
    back().await;
    // One account under the other's name.
    let rename = |from: &str, to: &str| format!("UPDATE staff SET name = '{to}' WHERE name = '{from}'");
    database.execute(&format!("{}; {}", rename("olivia", "aside"), rename("mallory", "olivia"))).await;
    assert!(!lets_in("olivia").await);
    database.execute(&format!("{}; {}", rename("olivia", "mallory"), rename("aside", "olivia"))).await;
    assert!(lets_in("olivia").await);
    // One's own session, said to be somebody else's, further on than it is, or longer.
    mallory.browser = mallory.elsewhere().await;
    mallory.browser.opens("/console").await.expect(200);
    let olivias = "(SELECT id FROM staff WHERE name = 'olivia')";
    database.execute("CREATE TABLE kept_session AS SELECT * FROM staff_session").await;
    for edit in [
        format!("UPDATE staff_session SET staff_id = {olivias}"),
        "UPDATE staff_session SET expires_at = expires_at + 1000".to_owned(),
        "UPDATE staff_session SET by_provider = 1".to_owned(),
        "UPDATE staff_session SET binding = NULL".to_owned(),
    ] {
        database.execute(&edit).await;
        assert_eq!(mallory.browser.opens("/console").await.header("location"), Some("/console/login"), "{edit}");
        database.execute("DELETE FROM staff_session; INSERT INTO staff_session SELECT * FROM kept_session").await;
        mallory.browser.opens("/console").await.expect(200);
    }
    let mut half = Browser::new(&gateway);
    half.signs_in("mallory", PASSWORD).await.expect(303);
    database.execute("UPDATE staff_session SET stage = 'full' WHERE stage = 'password'").await;
    half.opens("/console").await.expect(303);
    // One's own link, pointed at somebody else.
    let operator = Authorized::prove(Actor::Operator).unwrap();
    let link = gateway.gateway().invite_staff(&operator, "berta", Role::Marketer).await.unwrap();
    let path = link.expose().strip_prefix("http://gateway.test").unwrap();
    Browser::new(&gateway).opens(path).await.expect(200);
    database.execute(&format!("UPDATE staff_invitation SET staff_id = {olivias}")).await;
    Browser::new(&gateway).opens(path).await.expect(404);
    // A reset believes no row that was altered; who says what the member is, says it anew.
    database.execute("UPDATE staff SET role = 'officer' WHERE name = 'mallory'").await;
    root.browser = root.elsewhere().await;
    root.browser.opens("/console/staff").await.expect(200);
    let id = database.bytes("SELECT id FROM staff WHERE name = 'mallory'").await.remove(0);
    let mallorys = StaffId::from_bytes(id.try_into().unwrap()).to_string();
    root.browser.sends("/console/staff", &[("act", "reset"), ("staff", &mallorys)]).await.expect(409);
    root.browser
        .sends("/console/staff", &[("act", "role"), ("staff", &mallorys), ("role", "marketer")])
        .await
        .expect(303);
    assert!(lets_in("mallory").await);
    assert!(officer.name == "olivia" && lets_in("olivia").await);
}

/// ASVS 5.0 7.1.2: five at once, as docs/access.md says.
async fn another_session_than_the_fifth_ends_the_oldest(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let mut officer = gateway.member("olivia", Role::Officer).await;
    let mut others = Vec::new();
    for _ in 0..4 {
        others.push(officer.elsewhere().await);
    }
    officer.browser.opens("/console").await.expect(200);
    let mut sixth = officer.elsewhere().await;
    // The first one is gone; the others and the new one go on.
    assert_eq!(officer.browser.opens("/console").await.expect(303).header("location"), Some("/console/login"));
    for other in &mut others {
        other.opens("/console").await.expect(200);
    }
    sixth.opens("/console/account").await.expect(200);
    assert_eq!(sixth.reads_all("name=\"end\" value=\"", "\"").len(), 4);
    // What merely waits for a second factor pushes nobody out.
    for _ in 0..8 {
        Browser::new(&gateway).signs_in("olivia", PASSWORD).await.expect(303);
    }
    sixth.opens("/console").await.expect(200);
}

/// ASVS 5.0 6.2.6, 6.2.7, 6.2.9.
async fn pages_of_the_console_mask_passwords_and_let_managers_fill_them_in(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let operator = Authorized::prove(Actor::Operator).unwrap();
    let mut officer = gateway.member("olivia", Role::Officer).await;
    let link = gateway.gateway().invite_staff(&operator, "berta", Role::Auditor).await.unwrap();
    let path = link.expose().strip_prefix("http://gateway.test").unwrap().to_owned();
    let mut joining = Browser::new(&gateway);
    let pages = [
        (Browser::new(&gateway).opens("/console/login").await.expect(200).text(), "current-password"),
        (joining.opens(&path).await.expect(200).text(), "new-password"),
        (officer.browser.opens("/console/account").await.expect(200).text(), "current-password"),
    ];
    for (page, autocomplete) in pages {
        let inputs: Vec<_> = page.split("<input ").skip(1).map(|rest| rest.split('>').next().unwrap()).collect();
        let passwords: Vec<_> = inputs.iter().filter(|input| input.contains("password\"")).collect();
        assert!(!passwords.is_empty());
        for input in passwords {
            assert!(input.contains("type=\"password\"") && input.contains("autocomplete=\""), "{input}");
            assert!(input.contains("maxlength=\"256\"") && !input.contains("autocomplete=\"off\""), "{input}");
        }
        assert!(page.contains(&format!("autocomplete=\"{autocomplete}\"")));
        // Nothing that could keep anybody from pasting.
        assert!(!page.contains("<script") && !page.contains("onpaste"));
    }
    // One of 64 characters, with all that a keyboard has.
    let long = "x7 \u{e4}\u{1f511}\"'<>&;%+ -- a passphrase of sixty-four characters, all here";
    assert_eq!(long.chars().count(), 64);
    joining.sends(&path, &[("name", ""), ("password", long)]).await.expect(303);
    Browser::new(&gateway).signs_in("berta", long).await.expect(303);
    let shorter: String = long.chars().take(63).collect();
    Browser::new(&gateway).signs_in("berta", &shorter).await.expect(403);
}

/// ASVS 5.0 14.3.1.
async fn signing_out_has_the_browser_forget(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let mut officer = gateway.member("olivia", Role::Officer).await;
    officer.browser.opens("/console").await.expect(200);
    let out = officer.browser.sends("/console/sign-out", &[]).await.expect(303);
    assert_eq!(out.header("clear-site-data"), Some("\"cache\", \"storage\""));
    assert_eq!(out.header("cache-control"), Some("no-store"));
    assert!(!officer.browser.cookies.contains_key("consentry-session"));
    // The machine stays known, so that an outsider cannot keep its owner out.
    assert!(officer.browser.cookies.contains_key("consentry-device"));
}
