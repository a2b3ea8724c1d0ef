//! The live route table: every route is described, guarded and exact in its methods.

use std::collections::BTreeSet;

use consentry::http::{Access, Route, openapi, routes};
use kernel::authz::Scope;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::harness::{Backend, Client, Role, TestGateway};

const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PURGE"];

/// A path of a route, with something in the place of its parameters.
pub(crate) fn path_of(route: &Route) -> String {
    route
        .path
        .replace("{form}", "newsletter")
        .replace("{digest}", "sha256:0")
        .replace("{id}", &"0".repeat(32))
        .replace("{token}", "unknown")
        .replace("{receipt}", &"0".repeat(32))
        .replace("{tile}", "0/unknown")
}

/// The routes that need no token. The list may only become shorter.
const PUBLIC: [&str; 32] = [
    "GET /.well-known/gpc.json",
    "GET /.well-known/jwks.json",
    "GET /.well-known/oauth-authorization-server",
    "GET /.well-known/oauth-protected-resource",
    "GET /confirm/{token}",
    "GET /forms/{form}",
    "GET /health/live",
    "GET /health/ready",
    "GET /ledger/checkpoint",
    "GET /ledger/consistency",
    "GET /ledger/inclusion",
    "GET /ledger/tile/{tile}",
    "GET /ledger/vkey",
    "GET /metrics",
    "GET /openapi.json",
    "GET /preferences/{token}",
    "GET /unsubscribe/{token}",
    "GET /v1/notices/{digest}",
    "OPTIONS /v1/consents",
    "OPTIONS /v1/signals",
    "OPTIONS /v1/prompts/ask",
    "POST /confirm/{token}",
    "POST /forms/{form}",
    // Here a client proves itself without a token.
    "POST /oauth/introspect",
    "POST /oauth/revoke",
    "POST /oauth/token",
    "POST /preferences/{token}",
    "POST /unsubscribe/{token}",
    "POST /v1/consents",
    "POST /v1/prompts/ask",
    "POST /v1/receipts",
    "POST /v1/signals",
];

#[test]
fn what_needs_no_token_is_known_by_name() {
    let mut public = BTreeSet::new();
    for route in routes() {
        for endpoint in route.endpoints.iter().filter(|endpoint| endpoint.access == Access::Public) {
            public.insert(format!("{} {}", endpoint.method, route.path));
        }
    }
    assert_eq!(public, PUBLIC.map(str::to_owned).into_iter().collect());
}

#[test]
fn every_route_is_in_the_api_document_and_nothing_else_is() {
    let document = openapi::document();
    let described: BTreeSet<_> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, methods)| {
            methods.as_object().unwrap().keys().map(move |method| (path.clone(), method.to_uppercase()))
        })
        .collect();
    let live: BTreeSet<_> = routes()
        .iter()
        .flat_map(|route| {
            route.endpoints.iter().map(|endpoint| (route.path.to_owned(), endpoint.method.to_owned()))
        })
        .collect();
    assert_eq!(described, live);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_05_every_guarded_route_wants_a_token_with_its_scope() {
    let gateway = TestGateway::start(Backend::Sqlite).await;
    let mut guarded = 0;
    let clients = {
        let mut clients = Vec::new();
        for scope in Scope::ALL {
            let role = Role { recipient: Some("segmentation"), scopes: vec![scope], ..Role::default() };
            clients.push((scope, Client::registered(&gateway, role).await));
        }
        clients
    };
    for route in routes() {
        let path = path_of(route);
        for endpoint in route.endpoints {
            let Access::Scope(needed) = endpoint.access else { continue };
            guarded += 1;
            let methods = if endpoint.method == "GET" { &["GET", "HEAD"][..] } else { &[endpoint.method] };
            for method in methods {
                let anonymous = gateway.send(gateway.request(method, &path)).await.expect(401);
                assert_eq!(
                    anonymous.header("www-authenticate"),
                    Some("Bearer realm=\"consentry\""),
                    "{method} {path}"
                );
                for token in ["nonsense", "a.b.c", &"x".repeat(5_000)] {
                    let answer = gateway.send(gateway.request(method, &path).bearer_auth(token)).await.expect(401);
                    assert!(
                        answer.header("www-authenticate").unwrap().contains("invalid_token"),
                        "{method} {path}"
                    );
                }
                for (scope, client) in &clients {
                    let answer = gateway.send(client.request(method, &path).await).await;
                    if *scope == needed {
                        // Let in: what follows is about the request, not about the caller.
                        assert!(
                            answer.status != 401
                                && !(answer.status == 403 && answer.header("www-authenticate").is_some())
                        );
                        continue;
                    }
                    assert_eq!(answer.status, 403, "{method} {path} with {scope}: {answer:?}");
                    let challenge = format!("error=\"insufficient_scope\", scope=\"{needed}\"");
                    assert!(answer.header("www-authenticate").unwrap().contains(&challenge), "{method} {path}");
                }
            }
        }
    }
    assert_eq!(guarded, 31);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_without_a_right_learns_nothing_of_the_body() {
    let gateway = TestGateway::start(Backend::Sqlite).await;
    for path in ["/v1/records", "/v1/profiles/lookup", "/v1/rights-requests"] {
        for (kind, body) in [("application/json", "{"), ("text/plain", ""), ("application/json", "\u{0}")] {
            let request = gateway.request("POST", path).header("content-type", kind).body(body);
            gateway.send(request).await.expect_problem(401, "unauthenticated");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_path_refuses_the_methods_it_does_not_have_with_its_exact_allow() {
    let gateway = TestGateway::start(Backend::Sqlite).await;
    for route in routes() {
        let path = path_of(route);
        let allowed: BTreeSet<_> = route.allow.split(", ").collect();
        for method in METHODS.into_iter().filter(|method| !allowed.contains(method)) {
            let answer = gateway.send(gateway.request(method, &path)).await;
            assert_eq!((answer.status, answer.header("allow")), (405, Some(route.allow)), "{method} {path}");
            if method != "HEAD" {
                assert_eq!(answer.codes(), ["method_not_allowed"]);
            }
        }
        for method in allowed {
            let answer = gateway.send(gateway.request(method, &path)).await;
            assert!(
                !matches!(answer.status, 404 | 405)
                    || ["sha256:0", "/unknown"].iter().any(|nothing| path.contains(nothing)),
                "{method} {path}: {answer:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn head_answers_as_get_without_the_body() {
    let gateway = TestGateway::start(Backend::Sqlite).await;
    let digest = gateway.notice("checkout", "en");
    for path in [
        "/health/live",
        "/openapi.json",
        "/.well-known/jwks.json",
        "/forms/newsletter",
        &format!("/v1/notices/{digest}"),
    ] {
        let get = gateway.get(path).await.expect(200);
        let head = gateway.send(gateway.request("HEAD", path)).await.expect(200);
        assert!(head.body.is_empty() && !get.body.is_empty());
        for header in ["content-type", "cache-control", "content-length", "content-security-policy"] {
            assert_eq!(head.header(header), get.header(header), "{header} of {path}");
        }
    }
    let (segmentation, before) = (gateway.segmentation().await, gateway.database().stored().await);
    let head = segmentation.client.request("HEAD", "/v1/profiles?purpose=profiling_segmentation").await;
    assert_eq!(gateway.send(head).await.expect(200).content_type(), "application/x-ndjson");
    // Nothing was disclosed, so nothing is on record.
    assert_eq!(gateway.database().stored().await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_exist_is_not_found() {
    let gateway = TestGateway::start(Backend::Sqlite).await;
    for path in [
        "/",
        "/v1",
        "/v1/",
        "/v1/consents/",
        "/v2/consents",
        "/forms",
        "/forms/",
        "/forms/newsletter/x",
        "/V1/consents",
        "/v1/profiles/lookup/",
        "/%7Bunknown%7D",
        "/v1/notices/",
        "/../etc/passwd",
        "/v1/%2e%2e/consents",
        "//v1/consents",
        "/forms/q7canary%40example.org",
        "/favicon.ico",
    ] {
        for method in ["GET", "POST", "DELETE"] {
            let answer = gateway.send(gateway.request(method, path)).await;
            let is_form = path.starts_with("/forms/q7canary") && method == "DELETE";
            assert_eq!(answer.status, if is_form { 405 } else { 404 }, "{method} {path}: {answer:?}");
            assert_eq!(answer.content_type(), "application/problem+json", "{method} {path}");
        }
    }
}

/// Requests that no client library sends.
async fn raw(gateway: &TestGateway, request: &[u8]) -> String {
    let mut stream = tokio::net::TcpStream::connect(gateway.address()).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_is_not_http_gets_a_plain_400() {
    let gateway = TestGateway::start(Backend::Sqlite).await;
    for request in [
        &b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n"[..],
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n",
        b"POST /v1/consents HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\nConnection: close\r\n\r\n{}",
        b"POST /v1/consents HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\nConnection: close\r\n\r\nzz\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"q7canary nonsense\r\n\r\n",
    ] {
        let answer = raw(&gateway, request).await;
        assert!(answer.starts_with("HTTP/1.1 400") || answer.is_empty(), "{answer}");
        assert!(!answer.contains("q7canary"), "{answer}");
    }
    // And it still answers.
    gateway.get("/health/live").await.expect(200);
}
