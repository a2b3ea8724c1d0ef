//! Whole requests against a whole gateway: bodies in JSON, NDJSON, CSV and of forms, queries, cookies, header fields and tokens in
//! paths, through the same route table as in the program. Whatever is sent is answered, and never by a fault of the
//! gateway's own: a panic would be one.
#![no_main]

use std::cell::RefCell;
use std::sync::Arc;

use actix_web::dev::Service as _;
use actix_web::http::StatusCode;
use actix_web::test::{TestRequest, init_service, read_body};
use actix_web::{App, rt::System};
use app::{Gateway, GatewaySettings, NewClient, Quota, SystemEntropy};
use consentry::assets::shipped_policy;
use consentry::config::Settings;
use consentry::http::{Edge, EdgeSettings};
use futures_util::future::LocalBoxFuture;
use kernel::authn::HashCost;
use kernel::authz::{Actor, Authorized, Scope};
use kernel::clock::FixedClock;
use kernel::seal::{KeySet, Keyring};
use kernel::time::Timestamp;
use libfuzzer_sys::fuzz_target;

type Answering = Box<dyn Fn(TestRequest) -> LocalBoxFuture<'static, (StatusCode, Vec<u8>)>>;

struct World {
    system: actix_web::rt::SystemRunner,
    answers: Answering,
    source: String,
    recipient: String,
    _folder: tempfile::TempDir,
}

thread_local! {
    static WORLD: RefCell<World> = RefCell::new(World::new());
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let system = System::new();
        let url = format!("sqlite:{}", folder.path().join("fuzz.db").display());
        let (answers, source, recipient) = system.block_on(async move {
            let settings = GatewaySettings {
                issuer: "http://gateway.test".to_owned(),
                audience: "http://gateway.test".to_owned(),
                database_url: url,
                token_seconds: 100_000_000,
                address_quota: Quota::UNBOUNDED,
                hash_cost: HashCost::new(8, 1, 1).expect("a cost"),
                ..GatewaySettings::default()
            };
            let keys = Keyring::new(&KeySet::generate(&SystemEntropy)).expect("a fresh set is complete");
            let clock = Arc::new(FixedClock::at(Timestamp::from_millis(1_800_000_000_000)));
            let gateway = Gateway::open(settings, keys, shipped_policy(), clock, Arc::new(SystemEntropy)).await;
            let gateway = gateway.expect("a gateway");
            let source = [Scope::RecordsWrite, Scope::EventsWrite, Scope::ImportsWrite];
            let source = secret(&gateway, "source", Some("shop"), None, &source).await;
            let recipient =
                secret(&gateway, "recipient", None, Some("segmentation"), &[Scope::ProfilesRead]).await;
            // The clock stands: a quota would be used up once and for all, and nothing behind it be read any more.
            let mut configured = Settings::load(None).expect("the settings that are built in");
            configured.limits.pulls.per_minute = 0;
            let edge = Edge::new(gateway, &EdgeSettings::of(&configured));
            let service = Arc::new(init_service(App::new().configure(move |routes| edge.configure(routes))).await);
            let answers: Answering = Box::new(move |request| {
                let service = Arc::clone(&service);
                Box::pin(async move {
                    let response = service.call(request.to_request()).await.expect("every error is an answer");
                    let status = response.status();
                    (status, read_body(response).await.to_vec())
                })
            });
            let source = token(&answers, "source", &source).await;
            let recipient = token(&answers, "recipient", &recipient).await;
            (answers, source, recipient)
        });
        Self { system, answers, source, recipient, _folder: folder }
    }
}

async fn secret(
    gateway: &Gateway,
    id: &str,
    source: Option<&str>,
    recipient: Option<&str>,
    scopes: &[Scope],
) -> String {
    let operator = Authorized::prove(Actor::Operator).expect("the operator may");
    let new = NewClient {
        id: id.parse().expect("a name"),
        recipient: recipient.map(|name| name.parse().expect("a name")),
        source: source.map(|name| name.parse().expect("a name")),
        scopes: scopes.to_vec(),
        purposes: Vec::new(),
        keys: None,
        bound_tokens: false,
    };
    gateway.register_client(&operator, new).await.expect("a client").expect("a secret")
}

async fn token(answers: &Answering, id: &str, secret: &str) -> String {
    let form = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
    let request = TestRequest::post()
        .uri("/oauth/token")
        .insert_header(("content-type", "application/x-www-form-urlencoded"))
        .set_payload(form);
    let (_, body) = answers(request).await;
    let body: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
    body["access_token"].as_str().expect("a token").to_owned()
}

/// Bytes as they may stand in an address.
fn escaped(bytes: &[u8]) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~=&%+,:".contains(&byte);
    bytes
        .iter()
        .map(|byte| if plain(*byte) { char::from(*byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// Bytes as they may stand in a header field.
fn field(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().copied().filter(|byte| *byte >= 0x20 && *byte != 0x7f).take(4_000).collect()
}

fn request(world: &World, which: u8, bytes: &[u8]) -> TestRequest {
    let post = |path: &str, kind: &str| {
        TestRequest::post().uri(path).insert_header(("content-type", kind)).set_payload(bytes.to_vec())
    };
    let of_source = ("authorization", format!("Bearer {}", world.source));
    let of_recipient = ("authorization", format!("Bearer {}", world.recipient));
    const JSON: &str = "application/json";
    const FORM: &str = "application/x-www-form-urlencoded";
    const PARTS: &str = "multipart/form-data; boundary=x";
    match which % 24 {
        0 => post("/v1/consents", JSON),
        1 => post("/forms/newsletter", FORM),
        2 => post("/forms/newsletter", PARTS),
        3 => post("/v1/signals", JSON),
        4 => post("/v1/records", "application/x-ndjson").insert_header(of_source),
        5 => post("/v1/records", JSON).insert_header(of_source),
        6 => post("/v1/imports?evidence=list", "text/csv").insert_header(of_source),
        7 => post("/v1/events", "application/x-ndjson").insert_header(of_source),
        8 => post("/v1/statements", JSON).insert_header(of_source),
        9 => post("/v1/profiles/lookup", JSON).insert_header(of_recipient),
        10 => TestRequest::get().uri(&format!("/v1/profiles?{}", escaped(bytes))).insert_header(of_recipient),
        11 => post("/oauth/token", FORM),
        12 => TestRequest::get().uri("/console").insert_header(("cookie", field(bytes))),
        13 => post("/console/login", FORM).insert_header(("cookie", "consentry-form=x")),
        14 => TestRequest::get().uri(&format!("/console/sso/callback?{}", escaped(bytes))),
        15 => post("/v1/receipts", JSON),
        16 => TestRequest::get().uri("/v1/profiles").insert_header(("authorization", field(bytes))),
        17 => TestRequest::get()
            .uri("/v1/profiles")
            .insert_header(("authorization", "DPoP x"))
            .insert_header(("dpop", field(bytes))),
        18 => TestRequest::get().uri(&format!("/unsubscribe/{}", escaped(bytes))),
        19 => TestRequest::get().uri(&format!("/preferences/{}", escaped(bytes))),
        20 => TestRequest::get().uri(&format!("/ledger/tile/{}", escaped(bytes))),
        21 => TestRequest::get().uri("/forms/newsletter").insert_header(("accept-language", field(bytes))),
        22 => post("/v1/consents", JSON).insert_header(("idempotency-key", field(bytes))),
        _ => TestRequest::get().uri(&format!("/ledger/inclusion?{}", escaped(bytes))),
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((which, bytes)) = input.split_first() else { return };
    WORLD.with_borrow(|world| {
        // From this machine, which is not counted.
        let asked = request(world, *which, bytes).peer_addr(([127, 0, 0, 1], 9).into());
        let (status, _) = world.system.block_on((world.answers)(asked));
        assert!(!status.is_server_error(), "{which}: {status}");
    });
});
