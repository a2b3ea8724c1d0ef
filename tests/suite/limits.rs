//! How often and how many at once: by machine, by client, by address. Time is the test's own; nothing waits.

use consentry::config::{ClientLimits, Networks, QuotaSettings, Settings};
use kernel::authz::Scope;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::harness::{Answer, Backend, Browser, Client, Role, TestGateway};

on_both!(
    a_machine_is_held_off_stores_nothing_and_is_told_when_to_come_back,
    an_address_is_bounded_and_its_owner_can_always_say_no,
    a_client_has_its_own_quota_and_no_other_pays_for_it,
);

const fn quota(per_minute: u32, burst: u32) -> QuotaSettings {
    QuotaSettings { per_minute, burst }
}

fn networks(text: &str) -> Networks {
    serde_json::from_value(json!(text)).unwrap()
}

/// Everybody is counted, this machine too.
fn counted(settings: &mut Settings) {
    settings.limits.exempt = Networks::default();
}

/// What `RateLimit` tells: what is left, and in how many seconds everything is.
fn left(answer: &Answer, name: &str) -> (u32, u32) {
    let text = answer.header("ratelimit").unwrap_or_else(|| panic!("no RateLimit: {answer:?}"));
    let rest = text.strip_prefix(&format!("\"{name}\";r=")).unwrap_or_else(|| panic!("{text}"));
    let (left, seconds) = rest.split_once(";t=").unwrap();
    (left.parse().unwrap(), seconds.parse().unwrap())
}

async fn a_machine_is_held_off_stores_nothing_and_is_told_when_to_come_back(backend: Backend) {
    let gateway = TestGateway::start_configured(backend, |settings| {
        counted(settings);
        settings.limits.posts = quota(60, 3);
    })
    .await;
    let anna = gateway.person("anna");
    for expected in [2, 1, 0] {
        let answer = anna.sends(&anna.post(&[("email_marketing", "give")])).await.expect(201);
        assert_eq!(answer.header("ratelimit-policy"), Some("\"posts\";q=3;w=3"));
        assert_eq!(left(&answer, "posts"), (expected, 3 - expected));
    }
    let before = gateway.database().stored().await;
    let answer = anna.sends(&anna.post(&[("email_marketing", "refuse")])).await;
    let answer = answer.expect_problem(429, "too_many_requests");
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!((left(&answer, "posts"), answer.header("cache-control")), ((0, 1), Some("no-store")));
    assert_eq!(gateway.database().stored().await, before);
    // Other kinds of requests are counted by themselves, and probes not at all.
    let page = gateway.get("/forms/newsletter").await.expect(200);
    assert_eq!(left(&page, "pages").0, 599);
    assert_eq!(gateway.get("/health/live").await.expect(200).header("ratelimit"), None);
    gateway.clock().advance_ms(1_000);
    anna.refuses(&["email_marketing"]).await;
    anna.sends(&anna.post(&[("email_marketing", "refuse")])).await.expect_problem(429, "too_many_requests");
}

async fn an_address_is_bounded_and_its_owner_can_always_say_no(backend: Backend) {
    let gateway = TestGateway::start_configured(backend, |settings| settings.limits.address = quota(1, 2)).await;
    let (anna, berta) = (gateway.person("anna"), gateway.person("berta"));
    anna.gives(&["email_marketing"]).await;
    anna.gives(&["email_marketing"]).await;
    let before = gateway.database().stored().await;
    let answer = anna.sends(&anna.post(&[("email_marketing", "give")])).await;
    let answer = answer.expect_problem(429, "too_many_requests");
    assert_eq!(answer.header("retry-after"), Some("60"));
    // Another spelling is the same address, and on another form too.
    let spelled = gateway.person("anna").spelled(&anna.email.to_uppercase());
    spelled.sends(&spelled.post(&[("email_marketing", "give")])).await.expect_problem(429, "too_many_requests");
    assert_eq!(gateway.database().stored().await, before);
    // The owner's no gets through however often somebody used the address, and others have their own bound.
    for _ in 0..5 {
        anna.withdraws(&["email_marketing"]).await;
        anna.refuses(&["email_marketing"]).await;
        anna.asks("object_direct_marketing").await;
        anna.signals("1").await.expect(201);
    }
    berta.gives(&["email_marketing"]).await;
    gateway.clock().advance_ms(60_000);
    anna.gives(&["profiling_segmentation"]).await;
}

async fn a_client_has_its_own_quota_and_no_other_pays_for_it(backend: Backend) {
    let gateway = TestGateway::start_configured(backend, |settings| {
        settings.limits.lookups = quota(60, 5);
        settings.limits.pulls = quota(60, 2);
        settings.limits.writes = quota(60, 1);
    })
    .await;
    let (first, second) = (gateway.segmentation().await, gateway.segmentation().await);
    for expected in [1, 0] {
        let answer = first.pulls_as("application/x-ndjson", "").await.expect(200);
        assert_eq!(left(&answer, "pulls").0, expected);
        assert_eq!(answer.header("ratelimit-policy"), Some("\"pulls\";q=2;w=2"));
    }
    first.pulls_as("application/x-ndjson", "").await.expect_problem(429, "too_many_requests");
    second.pulls_as("application/x-ndjson", "").await.expect(200);
    // Look-ups have a quota of their own, whether they find anything or not.
    let ask = json!({ "purpose": "profiling_segmentation", "pseudonyms": [] });
    let answer = first.client.post("/v1/profiles/lookup", &ask).await;
    assert_eq!(left(&answer, "lookups").0, 4);
    // So have writes.
    let shop = gateway.shop().await.client;
    let write = json!([]);
    assert_eq!(left(&shop.post("/v1/records", &write).await, "writes").0, 0);
    let answer = shop.post("/v1/records", &write).await.expect_problem(429, "too_many_requests");
    assert_eq!(answer.header("retry-after"), Some("1"));
    gateway.clock().advance_ms(1_000);
    assert_ne!(shop.post("/v1/records", &write).await.status, 429);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_client_may_have_a_quota_of_its_own_and_ours_have_none_on_reads_and_writes() {
    let gateway = TestGateway::start_configured(Backend::Sqlite, |settings| {
        let own = ClientLimits { lookups: Some(quota(60, 1)), ..ClientLimits::default() };
        settings.limits.clients.insert("slow-reader".to_owned(), own);
    })
    .await;
    let scopes = vec![Scope::ProfilesRead];
    let role = || Role { recipient: Some("segmentation"), scopes: scopes.clone(), ..Role::default() };
    let slow = Client::registered_as(&gateway, "slow-reader", role()).await;
    let other = Client::registered(&gateway, role()).await;
    let ask = json!({ "purpose": "profiling_segmentation", "pseudonyms": [] });
    assert_eq!(left(&slow.post("/v1/profiles/lookup", &ask).await, "lookups").0, 0);
    slow.post("/v1/profiles/lookup", &ask).await.expect_problem(429, "too_many_requests");
    for _ in 0..200 {
        let answer = other.post("/v1/profiles/lookup", &ask).await;
        assert!(answer.status != 429 && answer.header("ratelimit").is_none());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forwarded_address_is_believed_from_a_trusted_proxy_alone() {
    let posts = |settings: &mut Settings| {
        counted(settings);
        settings.limits.posts = quota(60, 1);
    };
    let post = async |gateway: &TestGateway, field: &'static str, told: &str| {
        let request = gateway.request("POST", "/v1/receipts").header(field, told).json(&json!({}));
        gateway.send(request).await.status
    };
    // Nobody is trusted: whoever invents addresses is counted as one.
    let plain = TestGateway::start_configured(Backend::Sqlite, posts).await;
    assert_ne!(post(&plain, "x-forwarded-for", "198.51.100.1").await, 429);
    assert_eq!(post(&plain, "x-forwarded-for", "198.51.100.2").await, 429);
    assert_eq!(post(&plain, "forwarded", "for=198.51.100.3").await, 429);
    // Behind a proxy that is named, each of its clients counts by itself, and what a client wrote itself does not.
    let behind = TestGateway::start_configured(Backend::Sqlite, |settings| {
        posts(settings);
        settings.server.trusted_proxies = networks("127.0.0.1");
    })
    .await;
    assert_ne!(post(&behind, "x-forwarded-for", "198.51.100.1").await, 429);
    assert_ne!(post(&behind, "x-forwarded-for", "198.51.100.2").await, 429);
    assert_eq!(post(&behind, "x-forwarded-for", "203.0.113.77, 198.51.100.2").await, 429);
    // The field that is not configured is one that clients can write.
    assert_ne!(post(&behind, "forwarded", "for=198.51.100.4").await, 429);
    assert_eq!(post(&behind, "forwarded", "for=198.51.100.5").await, 429);
    // An IPv6 customer has one bucket for the whole of their network.
    assert_ne!(post(&behind, "x-forwarded-for", "2001:db8:1:2::1").await, 429);
    assert_eq!(post(&behind, "x-forwarded-for", "2001:db8:1:2::2").await, 429);
    assert_ne!(post(&behind, "x-forwarded-for", "2001:db8:1:3::2").await, 429);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn programs_on_this_machine_are_exempt_unless_they_pass_others_on() {
    let gateway =
        TestGateway::start_configured(Backend::Sqlite, |settings| settings.limits.posts = quota(1, 1)).await;
    let post = |told: Option<&'static str>| {
        let request = gateway.request("POST", "/v1/receipts").json(&json!({}));
        match told {
            Some(told) => request.header("x-forwarded-for", told),
            None => request,
        }
    };
    for _ in 0..10 {
        let answer = gateway.send(post(None)).await;
        assert!(answer.status != 429 && answer.header("ratelimit").is_none());
    }
    // A proxy that nobody named: better all of its clients together than none of them.
    assert_ne!(gateway.send(post(Some("198.51.100.1"))).await.status, 429);
    assert_eq!(gateway.send(post(Some("198.51.100.2"))).await.status, 429);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_tries_credentials_is_held_off() {
    let gateway = TestGateway::start_configured(Backend::Sqlite, |settings| {
        counted(settings);
        settings.limits.tokens = quota(60, 4);
        settings.limits.sign_in = quota(60, 2);
    })
    .await;
    // Wrong secrets and tokens that are not good are counted together.
    let ask = [("grant_type", "client_credentials"), ("client_id", "nobody"), ("client_secret", "nothing")];
    for _ in 0..2 {
        gateway.send(gateway.request("POST", "/oauth/token").form(&ask)).await.expect(401);
    }
    for _ in 0..2 {
        gateway.send(gateway.request("GET", "/v1/profiles").bearer_auth("guess")).await.expect(401);
    }
    let answer = gateway.send(gateway.request("POST", "/oauth/token").form(&ask)).await;
    answer.expect_problem(429, "too_many_requests");
    let guess = gateway.request("GET", "/v1/profiles").bearer_auth("guess");
    gateway.send(guess).await.expect_problem(429, "too_many_requests");
    // A person at the console gets a page.
    let mut browser = Browser::new(&gateway);
    for _ in 0..2 {
        browser.signs_in("nobody", "not this one at all").await.expect(403);
    }
    let answer = browser.signs_in("nobody", "not this one at all").await.expect(429);
    assert_eq!(answer.content_type(), "text/html");
    assert!(answer.header("retry-after").is_some() && answer.header("content-security-policy").is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_has_no_more_requests_at_once_than_it_may() {
    let gateway =
        TestGateway::start_configured(Backend::Sqlite, |settings| settings.limits.client_at_once = 1).await;
    let shop = gateway.shop().await.client;
    let other = gateway.shop().await.client;
    let token = shop.token().await;
    // A request whose body does not end yet keeps its place.
    let head = format!(
        "POST /v1/records HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n\
         Content-Length: 2\r\nConnection: close\r\n\r\n["
    );
    let opens = async || {
        let mut open = tokio::net::TcpStream::connect(gateway.address()).await.unwrap();
        open.write_all(head.as_bytes()).await.unwrap();
        open
    };
    let mut open = opens().await;
    let answer = loop {
        let answer = shop.post("/v1/records", &json!([])).await;
        if answer.status == 429 {
            break answer.expect_problem(429, "too_many_at_once");
        }
        // Whoever asks has a place too, and the open one may have found it taken: then it was answered, and comes again.
        if open.try_read(&mut [0]).is_ok() {
            open = opens().await;
        }
    };
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_ne!(other.post("/v1/records", &json!([])).await.status, 429, "another client has places of its own");
    open.write_all(b"]").await.unwrap();
    let mut answered = String::new();
    open.read_to_string(&mut answered).await.unwrap();
    assert!(answered.starts_with("HTTP/1.1 "), "{answered}");
    for _ in 0..10_000 {
        if shop.post("/v1/records", &json!([])).await.status != 429 {
            return;
        }
    }
    panic!("the place is never free again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_is_bounded_and_the_answer_says_in_what() {
    let gateway = TestGateway::start(Backend::Sqlite).await;
    let long = format!("/forms/newsletter?q={}", "x".repeat(9_000));
    gateway.get(&long).await.expect_problem(414, "uri_too_long");
    let long = format!("/{}", "x".repeat(60_000));
    gateway.get(&long).await.expect_problem(414, "uri_too_long");
    let wide = gateway.request("GET", "/health/live").header("x-wide", "x".repeat(40_000));
    gateway.send(wide).await.expect_problem(431, "headers_too_large");
    let mut many = gateway.request("GET", "/health/live");
    for number in 0..70 {
        many = many.header(format!("x-{number}"), "1");
    }
    gateway.send(many).await.expect_problem(431, "headers_too_large");
    // What is larger than the parser reads it refuses by itself, with a status and nothing else.
    let mut raw = tokio::net::TcpStream::connect(gateway.address()).await.unwrap();
    let endless = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(70_000));
    raw.write_all(endless.as_bytes()).await.unwrap();
    let mut answer = String::new();
    raw.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
}
