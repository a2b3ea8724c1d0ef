//! What every answer says of itself, whatever it is: pages, data, problems, streams, redirects, tiles. And that no form
//! of the console does anything for a page that is not ours.

use std::collections::{BTreeMap, BTreeSet};

use consentry::http::{Access, routes};
use kernel::authz::Scope;
use kernel::staff::Role as StaffRole;
use serde_json::json;

use crate::harness::{Answer, Backend, Browser, Client, Line, PASSWORD, Role, TestGateway};
use crate::routes::path_of;

on_both!(sec_10_no_form_of_the_console_does_anything_without_its_secret);

/// What anybody may keep a copy of: public, and the same for everybody.
const CACHED: [&str; 10] = [
    "/.well-known/gpc.json",
    "/.well-known/jwks.json",
    "/.well-known/oauth-authorization-server",
    "/.well-known/oauth-protected-resource",
    "/ledger/checkpoint",
    "/ledger/consistency",
    "/ledger/inclusion",
    "/ledger/tile/{tile}",
    "/ledger/vkey",
    "/openapi.json",
];

/// The directives of a policy, each once.
fn directives(policy: &str) -> BTreeMap<&str, Vec<&str>> {
    let mut found = BTreeMap::new();
    for directive in policy.split(';') {
        let mut words = directive.split_whitespace();
        let name = words.next().unwrap();
        assert!(found.insert(name, words.collect()).is_none(), "{name} twice in {policy}");
    }
    found
}

/// What holds of every answer.
fn check(what: &str, template: &str, is_cross_origin: bool, answer: &Answer) {
    let header = |name: &str| answer.header(name).unwrap_or_else(|| panic!("{what}: no {name}: {answer:?}"));
    let policy = header("content-security-policy");
    let directives = directives(policy);
    for (name, value) in [("default-src", "'none'"), ("base-uri", "'none'"), ("frame-ancestors", "'none'")] {
        assert_eq!(directives.get(name), Some(&vec![value]), "{what}: {policy}");
    }
    let known = ["default-src", "base-uri", "frame-ancestors", "form-action"];
    assert!(directives.keys().all(|name| known.contains(name)), "{what}: {policy}");
    assert!(!policy.contains("unsafe") && !policy.contains('*') && !policy.contains("data:"), "{what}: {policy}");
    let actions = directives.get("form-action").unwrap_or_else(|| panic!("{what}: {policy}"));
    let is_page = answer.content_type() == "text/html";
    assert_eq!(actions[0], if is_page { "'self'" } else { "'none'" }, "{what}: {policy}");
    assert_eq!(header("x-frame-options"), "DENY", "{what}");
    assert_eq!(header("x-content-type-options"), "nosniff", "{what}");
    // A page with a form tells its own origin where it comes from, and nobody else anything.
    let referrer = header("referrer-policy");
    assert!(referrer == "no-referrer" || (is_page && referrer == "same-origin"), "{what}: {referrer}");
    let permissions = header("permissions-policy");
    for feature in ["camera", "geolocation", "microphone", "browsing-topics"] {
        assert!(permissions.contains(&format!("{feature}=()")), "{what}: {permissions}");
    }
    assert_eq!(header("cross-origin-opener-policy"), "same-origin", "{what}");
    let readers = if is_cross_origin { "cross-origin" } else { "same-origin" };
    assert_eq!(header("cross-origin-resource-policy"), readers, "{what}");
    let cache = header("cache-control");
    if answer.status >= 300 || !(CACHED.contains(&template) || template == "/v1/notices/{digest}") {
        assert!(cache.contains("no-store"), "{what}: {cache}");
    }
    assert!(answer.header("server").is_none() && answer.header("x-powered-by").is_none(), "{what}");
    if !answer.body.is_empty() {
        let kind = header("content-type");
        let has_charset = kind.to_ascii_lowercase().contains("charset=utf-8");
        let is_text = kind.starts_with("text/");
        assert!(!is_text || has_charset, "{what}: {kind}");
        let is_data = ["application/json", "application/problem+json", "application/octet-stream"]
            .iter()
            .chain(&[
                "application/x-ndjson",
                "application/vnd.",
                "application/openmetrics-text",
                "application/ld+json",
            ])
            .any(|known| kind.starts_with(known));
        assert!(is_text || is_data, "{what}: {kind}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_10_every_answer_of_every_route_is_guarded_by_its_headers() {
    let gateway = TestGateway::start(Backend::Sqlite).await;
    let role = Role {
        recipient: Some("segmentation"),
        source: Some("shop"),
        scopes: Scope::ALL.to_vec(),
        ..Role::default()
    };
    let client = Client::registered(&gateway, role).await;
    let mut statuses = BTreeSet::new();
    for route in routes() {
        let path = path_of(route);
        for method in ["GET", "HEAD", "POST", "DELETE", "OPTIONS", "PUT", "TRACE"] {
            let what = format!("{method} {path}");
            let bodies: &[(&str, &str)] = match method {
                "POST" => &[
                    ("application/json", "{}"),
                    ("application/x-www-form-urlencoded", "a=b"),
                    ("text/plain", "?"),
                ],
                _ => &[("", "")],
            };
            for (kind, body) in bodies {
                for accept in ["*/*", "text/html"] {
                    let mut request = gateway.request(method, &path).header("accept", accept);
                    if !kind.is_empty() {
                        request = request.header("content-type", *kind).body(*body);
                    }
                    let mut answers = vec![gateway.send(request.try_clone().unwrap()).await];
                    if matches!(route.access(method), Some(Access::Scope(_))) {
                        answers.push(gateway.send(request.bearer_auth(client.token().await)).await);
                    }
                    for answer in answers {
                        check(&what, route.path, route.is_cross_origin, &answer);
                        statuses.insert(answer.status);
                    }
                }
            }
        }
    }
    for path in ["/nothing", "/", "/v1/nothing", &format!("/{}", "x".repeat(9_000))] {
        let answer = gateway.get(path).await;
        check(path, path, false, &answer);
        statuses.insert(answer.status);
    }
    let stranger = gateway.request("POST", "/console/login").form(&[("csrf", "guess")]);
    for accept in ["application/json", "text/html"] {
        let answer = gateway.send(stranger.try_clone().unwrap().header("accept", accept)).await;
        check("a form of somebody else", "/console/login", false, &answer);
        statuses.insert(answer.status);
    }
    for class in [200, 303, 401, 403, 404, 405, 414, 415, 422] {
        assert!(statuses.contains(&class), "no answer with {class} was seen: {statuses:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_10_streams_tiles_and_pages_of_the_console_are_guarded_too() {
    let gateway = TestGateway::start(Backend::Sqlite).await;
    let anna = gateway.person("anna");
    anna.gives(&["profiling_segmentation", "email_marketing"]).await;
    gateway.shop().await.sends(&[Line::of(&anna, json!({ "city": "Berlin" }))]).await;
    let segmentation = gateway.segmentation().await;
    for accept in [
        "application/x-ndjson",
        "text/csv",
        "application/vnd.apache.arrow.stream",
        "application/vnd.apache.parquet",
    ] {
        let answer = segmentation.pulls_as(accept, "").await.expect(200);
        assert!(answer.content_type() == accept && !answer.body.is_empty());
        check(accept, "/v1/profiles", false, &answer);
    }
    gateway.sequence().await;
    for path in ["/ledger/checkpoint", "/ledger/vkey", "/ledger/tile/0/000.p/1", "/ledger/tile/entries/000.p/1"] {
        check(path, "/ledger/tile/{tile}", false, &gateway.get(path).await.expect(200));
    }
    for path in [anna.preference_link().await.path, "/forms/checkout".to_owned()] {
        let answer = gateway.send(gateway.request("GET", &path).header("accept", "text/html")).await;
        assert_eq!((answer.status, answer.content_type()), (200, "text/html"));
        check("a page", "/forms/{form}", false, &answer);
    }
    let mut root = gateway.administrator().await;
    for path in ["/console", "/console/account", "/console/staff"] {
        let answer = root.browser.opens(path).await.expect(200);
        check(path, path, false, &answer);
        assert!(!answer.text().contains(" style=") && !answer.text().contains("<script"), "{path}");
    }
    let left = root.browser.sends("/console/sign-out", &[]).await.expect(303);
    check("sign-out", "/console/sign-out", false, &left);
    assert_eq!(left.header("clear-site-data"), Some("\"cache\", \"storage\""));
}

/// A browser that is where a form of the console is used, with its page open.
async fn at<'a>(gateway: &'a TestGateway, path: &str) -> (Browser<'a>, String) {
    let operator = kernel::authz::Authorized::prove(kernel::authz::Actor::Operator).unwrap();
    let invited = async |name: &str| {
        let link = gateway.gateway().invite_staff(&operator, name, StaffRole::Administrator).await.unwrap();
        link.expose().strip_prefix("http://gateway.test").unwrap().to_owned()
    };
    match path {
        "/console/login" => {
            let mut browser = Browser::new(gateway);
            browser.opens(path).await.expect(200);
            (browser, path.to_owned())
        }
        "/console/join/{token}" => {
            let link = invited("joining").await;
            let mut browser = Browser::new(gateway);
            browser.opens(&link).await.expect(200);
            (browser, link)
        }
        "/console/authenticator" => {
            let link = invited("enrolling").await;
            let mut browser = Browser::new(gateway);
            browser.opens(&link).await.expect(200);
            browser.sends(&link, &[("name", ""), ("password", PASSWORD)]).await.expect(303);
            browser.opens(path).await.expect(200);
            (browser, path.to_owned())
        }
        "/console/second-factor" => {
            let member = gateway.member("halfway", StaffRole::Administrator).await;
            let mut browser = Browser::new(gateway);
            browser.signs_in(&member.name, PASSWORD).await.expect(303);
            browser.opens(path).await.expect(200);
            (browser, path.to_owned())
        }
        // Whatever else there is, or will be, is used by somebody who is signed in.
        _ => {
            let mut browser =
                gateway.member(&format!("member{}", path.len()), StaffRole::Administrator).await.browser;
            browser.opens("/console").await.expect(200);
            (browser, path.to_owned())
        }
    }
}

/// Staff and their sessions.
async fn state(gateway: &TestGateway) -> [i64; 2] {
    let count = async |table: &str| gateway.database().number(&format!("SELECT count(*) FROM {table}")).await;
    [count("staff").await, count("staff_session").await]
}

async fn sec_10_no_form_of_the_console_does_anything_without_its_secret(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let stranger = gateway.administrator().await.browser.csrf;
    let mut forms = 0;
    for route in routes() {
        for endpoint in route.endpoints {
            if endpoint.access != Access::Staff || matches!(endpoint.method, "GET") {
                continue;
            }
            assert_eq!(endpoint.method, "POST", "{}: a form can only post", route.path);
            forms += 1;
            let (browser, path) = at(&gateway, route.path).await;
            let right = browser.csrf.clone();
            let before = state(&gateway).await;
            let post = |csrf: Option<&str>| {
                let inputs: Vec<_> = csrf.map(|csrf| ("csrf", csrf)).into_iter().collect();
                browser.request("POST", &path).form(&inputs)
            };
            let refused = async |request: reqwest::RequestBuilder, why: &str| {
                let answer = gateway.send(request).await;
                assert_eq!(answer.status, 403, "{} {why}: {answer:?}", route.path);
            };
            refused(post(None), "without").await;
            for wrong in ["", "0", &right[1..], &"0".repeat(right.len()), &stranger] {
                refused(post(Some(wrong)), wrong).await;
            }
            // The right one does not help whoever sends it from another page.
            refused(post(Some(&right)).header("origin", "https://evil.example"), "origin").await;
            refused(post(Some(&right)).header("origin", "null"), "no origin").await;
            refused(post(Some(&right)).header("sec-fetch-site", "cross-site"), "site").await;
            // Nor does the right one in the address, or without the cookie that it goes with.
            let in_address = browser.request("POST", &format!("{path}?csrf={right}")).form(&[("a", "")]);
            let answer = gateway.send(in_address).await;
            assert!(matches!(answer.status, 403 | 422), "{}: {answer:?}", route.path);
            let bare = gateway.request("POST", &path).form(&[("csrf", &right)]);
            let answer = gateway.send(bare).await;
            assert!(answer.status == 403 || answer.header("location") == Some("/console/login"), "{answer:?}");
            assert_eq!(state(&gateway).await, before, "{} changed something", route.path);
        }
    }
    assert_eq!(forms, 8);
}
