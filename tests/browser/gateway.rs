//! The gateway as it is shipped, on a data folder of its own, and the mailer's program.

use app::{ClientProof, NewClient, SystemEntropy, TokenAsk};
use consentry::config::{DataDir, Missing, Settings};
use consentry::server::{self, Running};
use kernel::authz::{Actor, Authorized, Scope};
use serde_json::{Value, json};

pub(crate) struct TestGateway {
    running: Running,
    token: String,
    _folder: tempfile::TempDir,
}

impl TestGateway {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let environment = [("CONSENTRY__SERVER__LISTEN".to_owned(), "127.0.0.1:0".to_owned())].into();
        let mut settings = Settings::from_layers(None, environment).unwrap();
        DataDir::open(folder.path(), Missing::Make, &SystemEntropy).unwrap().apply(&mut settings);
        let running = server::start(&settings).await.unwrap();
        let new = NewClient {
            id: "mailer".parse().unwrap(),
            recipient: Some("mailer".parse().unwrap()),
            source: None,
            scopes: vec![Scope::ProfilesRead],
            purposes: Vec::new(),
            keys: None,
            bound_tokens: false,
        };
        let operator = Authorized::prove(Actor::Operator).unwrap();
        let secret = running.gateway().register_client(&operator, new).await.unwrap().unwrap();
        let proof = ClientProof::Secret { client: "mailer".to_owned(), secret: secret.into() };
        let token = running.gateway().issue_token(&proof, TokenAsk::default()).await.unwrap().access_token;
        Self { running, token, _folder: folder }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.running.public_url())
    }

    async fn look_up(&self, email: &str) -> Value {
        let ask = json!({ "purpose": "email_marketing", "identifiers": [{ "email": email }] });
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = client.post(self.url("/v1/profiles/lookup")).bearer_auth(&self.token).json(&ask);
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        answer["profiles"].clone()
    }

    /// Whether the mailer may write to an address now.
    pub(crate) async fn mailer_knows(&self, email: &str) -> bool {
        !self.look_up(email).await.as_array().unwrap().is_empty()
    }

    /// What the mailer sees of an address.
    pub(crate) async fn mailer_sees(&self, email: &str, attribute: &str) -> String {
        self.look_up(email).await[0]["attributes"][attribute].as_str().unwrap().to_owned()
    }
}
