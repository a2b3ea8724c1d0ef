//! A program with a registered client: it gets its tokens over HTTP, as programs do.

use std::sync::atomic::{AtomicU32, Ordering};

use app::NewClient;
use kernel::authz::{Actor, Authorized, Scope};
use kernel::client::ClientId;
use kernel::clock::Clock as _;
use kernel::time::Timestamp;
use tokio::sync::Mutex;

use super::{Answer, TestGateway};

/// What a program may do.
#[derive(Debug, Clone, Default)]
pub(crate) struct Role {
    pub(crate) recipient: Option<&'static str>,
    pub(crate) source: Option<&'static str>,
    pub(crate) scopes: Vec<Scope>,
    pub(crate) purposes: Vec<&'static str>,
}

pub(crate) struct Client<'a> {
    pub(crate) at: &'a TestGateway,
    pub(crate) id: ClientId,
    pub(crate) secret: String,
    token: Mutex<Option<(Timestamp, String)>>,
}

impl<'a> Client<'a> {
    /// Registers a program, as the operator.
    pub(crate) async fn registered(at: &'a TestGateway, role: Role) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        Self::registered_as(at, &format!("client-{}", NEXT.fetch_add(1, Ordering::Relaxed)), role).await
    }

    /// Registers a program under a name.
    pub(crate) async fn registered_as(at: &'a TestGateway, name: &str, role: Role) -> Self {
        let id: ClientId = name.parse().unwrap();
        let new = NewClient {
            id: id.clone(),
            recipient: role.recipient.map(|name| name.parse().unwrap()),
            source: role.source.map(|name| name.parse().unwrap()),
            scopes: role.scopes,
            purposes: role.purposes.iter().map(|name| name.parse().unwrap()).collect(),
            keys: None,
            bound_tokens: false,
        };
        let operator = Authorized::prove(Actor::Operator).unwrap();
        let secret = at.gateway().register_client(&operator, new).await.unwrap().unwrap();
        Self::known(at, id, secret)
    }

    /// A program that was registered before, or through another gateway of the same store.
    pub(crate) fn known(at: &'a TestGateway, id: ClientId, secret: String) -> Self {
        Self { at, id, secret, token: Mutex::default() }
    }

    /// A token that is good now.
    pub(crate) async fn token(&self) -> String {
        let now = self.at.clock().now();
        let mut kept = self.token.lock().await;
        if let Some((at, token)) = &*kept
            && (0..600_000).contains(&now.since_ms(*at))
        {
            return token.clone();
        }
        let answer = self.asks_for_token(None).await.expect(200);
        let token = answer.json()["access_token"].as_str().unwrap().to_owned();
        *kept = Some((now, token.clone()));
        token
    }

    /// Asks for a token (RFC 6749 §4.4.2).
    pub(crate) async fn asks_for_token(&self, scope: Option<&str>) -> Answer {
        let mut form = vec![
            ("grant_type", "client_credentials"),
            ("client_id", self.id.as_str()),
            ("client_secret", self.secret.as_str()),
        ];
        form.extend(scope.map(|scope| ("scope", scope)));
        self.at.send(self.at.request("POST", "/oauth/token").form(&form)).await
    }

    /// A request with the client's token.
    pub(crate) async fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        self.at.request(method, path).bearer_auth(self.token().await)
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        let request = self.request("GET", path).await;
        self.at.send(request).await
    }

    pub(crate) async fn post(&self, path: &str, body: &serde_json::Value) -> Answer {
        let request = self.request("POST", path).await.json(body);
        self.at.send(request).await
    }
}
