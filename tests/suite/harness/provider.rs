//! An OpenID Connect provider in this process, on a listener of its own: honest, until a test has it be otherwise.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use app::SsoSettings;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use consentry::config::OutgoingSettings;
use consentry::outgoing::Outgoing;
use consentry::provider::HttpProvider;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{MARK, Signer, TestGateway};

pub(crate) const CLIENT: &str = "consentry";
const SECRET: &str = "a secret: with +/%";

/// How the next tokens are made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Forging {
    Honest,
    /// No signature at all (RFC 8725 §2.1).
    Unsigned,
    /// The public key taken for a shared secret.
    SharedSecret,
    /// Somebody else's key under the name of the provider's.
    ForeignKey,
    /// A token of another type.
    AccessToken,
}

struct Waiting {
    challenge: String,
    redirect_uri: String,
    claims: Value,
}

pub(crate) struct State {
    pub(crate) forging: Forging,
    /// Whether it says that it tells who answers (RFC 9207).
    pub(crate) tells_issuer: bool,
    pub(crate) seed: u8,
    /// What its metadata say otherwise.
    pub(crate) metadata: BTreeMap<&'static str, Value>,
    pub(crate) key_reads: u32,
    issuer: String,
    codes: BTreeMap<String, Waiting>,
    next: u64,
}

pub(crate) struct Provider {
    pub(crate) issuer: String,
    state: Arc<Mutex<State>>,
    handle: ServerHandle,
    thread: Option<JoinHandle<()>>,
}

impl Provider {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State {
            forging: Forging::Honest,
            tells_issuer: true,
            seed: 41,
            metadata: BTreeMap::new(),
            key_reads: 0,
            issuer: issuer.clone(),
            codes: BTreeMap::new(),
            next: 0,
        }));
        let (tell, told) = mpsc::channel();
        let served = Arc::clone(&state);
        let thread = std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let server = HttpServer::new(move || {
                    App::new()
                        .app_data(web::Data::new(Arc::clone(&served)))
                        .route("/.well-known/openid-configuration", web::get().to(metadata))
                        .route("/jwks", web::get().to(keys))
                        .route("/token", web::post().to(token))
                })
                .workers(1)
                .disable_signals()
                .listen(listener)
                .unwrap()
                .run();
                tell.send(server.handle()).unwrap();
                server.await.unwrap();
            });
        });
        Self { issuer, state, handle: told.recv().unwrap(), thread: Some(thread) }
    }

    /// What the operator says of it.
    pub(crate) fn settings(&self) -> SsoSettings {
        SsoSettings {
            issuer: self.issuer.clone(),
            label: "Shop ID".to_owned(),
            client_id: CLIENT.to_owned(),
            client_secret: SECRET.to_owned(),
            scopes: vec!["email".to_owned()],
            email_domains: vec!["shop.example".to_owned()],
            mfa_methods: vec!["otp".to_owned()],
            max_age_seconds: 3600,
            ..SsoSettings::default()
        }
    }

    /// Has a gateway call it.
    pub(crate) fn serves(&self, at: &TestGateway) {
        let settings = at.gateway().settings().sso.as_ref().unwrap();
        let outgoing = Outgoing::of(&OutgoingSettings { timeout_seconds: 10, ..OutgoingSettings::default() });
        at.gateway().identified_by(Arc::new(HttpProvider::of(settings, &outgoing).unwrap()));
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
    }

    pub(crate) fn key_reads(&self) -> u32 {
        self.state.lock().unwrap().key_reads
    }

    /// Somebody signs in there, as they were sent: the parameters that their browser brings back. `changed` are claims that
    /// are otherwise; `null` leaves one out.
    pub(crate) fn lets_in(
        &self,
        at: &TestGateway,
        sent_to: &str,
        sub: &str,
        changed: &Value,
    ) -> Vec<(String, String)> {
        let url = url::Url::parse(sent_to).unwrap();
        assert!(sent_to.starts_with(&format!("{}/authorize?", self.issuer)), "{sent_to}");
        let asked: BTreeMap<_, _> = url.query_pairs().into_owned().collect();
        for (name, value) in [
            ("response_type", "code"),
            ("response_mode", "query"),
            ("client_id", CLIENT),
            ("code_challenge_method", "S256"),
            ("redirect_uri", "http://gateway.test/console/sso/callback"),
            ("scope", "openid email"),
            ("max_age", "3600"),
        ] {
            assert_eq!(asked.get(name).map(String::as_str), Some(value), "{name}");
        }
        let now = at.seconds();
        let mut claims = json!({
            "iss": self.issuer, "sub": sub, "aud": CLIENT, "nonce": asked["nonce"], "iat": now, "exp": now + 300,
            "auth_time": now - 10, "email": format!("{sub}.{MARK}@shop.example"), "email_verified": true,
            "amr": ["pwd", "otp"],
        });
        for (name, value) in changed.as_object().into_iter().flatten() {
            match value {
                Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
                value => claims[name] = value.clone(),
            }
        }
        let mut state = self.state.lock().unwrap();
        state.next += 1;
        let code = format!("code-{}-{MARK}", state.next);
        let waiting = Waiting {
            challenge: asked["code_challenge"].clone(),
            redirect_uri: asked["redirect_uri"].clone(),
            claims,
        };
        state.codes.insert(code.clone(), waiting);
        let mut back = vec![("code".to_owned(), code), ("state".to_owned(), asked["state"].clone())];
        if state.tells_issuer {
            back.push(("iss".to_owned(), self.issuer.clone()));
        }
        // What providers add of their own.
        back.push(("session_state".to_owned(), "x".to_owned()));
        back
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        drop(self.handle.stop(false));
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking(), "the provider panicked");
        }
    }
}

type Shared = web::Data<Arc<Mutex<State>>>;

async fn metadata(state: Shared) -> HttpResponse {
    let state = state.lock().unwrap();
    let issuer = &state.issuer;
    let mut said = json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": format!("{issuer}/jwks"),
        "end_session_endpoint": format!("{issuer}/sign-out"),
        "authorization_response_iss_parameter_supported": state.tells_issuer,
        "code_challenge_methods_supported": ["S256"],
    });
    for (name, value) in &state.metadata {
        said[*name] = value.clone();
    }
    HttpResponse::Ok().json(said)
}

fn kid(seed: u8) -> String {
    format!("key-{seed}")
}

async fn keys(state: Shared) -> HttpResponse {
    let mut state = state.lock().unwrap();
    state.key_reads += 1;
    let mut key = Signer::new(state.seed).jwk;
    key["kid"] = kid(state.seed).into();
    key["use"] = "sig".into();
    HttpResponse::Ok().json(json!({ "keys": [key, { "kty": "oct", "k": "AAAA", "kid": "shared" }] }))
}

async fn token(state: Shared, request: HttpRequest, body: web::Form<BTreeMap<String, String>>) -> HttpResponse {
    let mut state = state.lock().unwrap();
    let encoded = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let expected = format!("Basic {}", STANDARD.encode(format!("{}:{}", encoded(CLIENT), encoded(SECRET))));
    if request.headers().get("authorization").and_then(|value| value.to_str().ok()) != Some(&expected) {
        return HttpResponse::Unauthorized().json(json!({ "error": "invalid_client" }));
    }
    let refused = || HttpResponse::BadRequest().json(json!({ "error": "invalid_grant" }));
    // A code counts once.
    let Some(waiting) = state.codes.remove(&body["code"]) else { return refused() };
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&body["code_verifier"]));
    let is_right = body["grant_type"] == "authorization_code"
        && body["redirect_uri"] == waiting.redirect_uri
        && challenge == waiting.challenge;
    if !is_right {
        return refused();
    }
    let id_token = signed(&state, &waiting.claims);
    HttpResponse::Ok().json(json!({ "access_token": "x", "token_type": "Bearer", "id_token": id_token }))
}

fn signed(state: &State, claims: &Value) -> String {
    let by = |seed: u8, typ: &str| {
        let signer = Signer::new(seed);
        let header = json!({ "alg": "EdDSA", "typ": typ, "kid": kid(state.seed) });
        signer.signs_under(&header, claims)
    };
    let message = |alg: &str| {
        let header = json!({ "alg": alg, "typ": "JWT", "kid": kid(state.seed) });
        format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()))
    };
    match state.forging {
        Forging::Honest => by(state.seed, "JWT"),
        Forging::ForeignKey => by(state.seed.wrapping_add(1), "JWT"),
        Forging::AccessToken => by(state.seed, "at+jwt"),
        Forging::Unsigned => format!("{}.", message("none")),
        Forging::SharedSecret => {
            let message = message("HS256");
            let x = Signer::new(state.seed).jwk["x"].as_str().unwrap().to_owned();
            let key = jsonwebtoken::EncodingKey::from_secret(&URL_SAFE_NO_PAD.decode(x).unwrap());
            let signature =
                jsonwebtoken::crypto::sign(message.as_bytes(), &key, jsonwebtoken::Algorithm::HS256).unwrap();
            format!("{message}.{signature}")
        }
    }
}
