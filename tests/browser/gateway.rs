//! The gateway as it is shipped, on a data folder of its own, and the mailer's program.

use app::{ClientProof, NewClient, SystemEntropy, TokenAsk};
use consentry::config::{DataDir, Missing, Settings};
use consentry::server::{self, Running};
use kernel::authz::{Actor, Authorized, Scope};
use kernel::seal::RootProvider;
use serde_json::{Value, json};

pub(crate) struct TestGateway {
    running: Running,
    mailer: String,
    adnetwork: String,
    _folder: tempfile::TempDir,
}

impl TestGateway {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let environment = [("CONSENTRY__SERVER__LISTEN".to_owned(), "127.0.0.1:0".to_owned())].into();
        let mut settings = Settings::from_layers(None, environment).unwrap();
        DataDir::open(folder.path(), Missing::Make, RootProvider::File, &SystemEntropy)
            .unwrap()
            .apply(&mut settings);
        let running = server::start(&settings).await.unwrap();
        let operator = Authorized::prove(Actor::Operator).unwrap();
        let mut tokens = Vec::new();
        for recipient in ["mailer", "adnetwork"] {
            let new = NewClient {
                id: recipient.parse().unwrap(),
                recipient: Some(recipient.parse().unwrap()),
                source: None,
                scopes: vec![Scope::ProfilesRead],
                purposes: Vec::new(),
                keys: None,
                bound_tokens: false,
            };
            let secret = running.gateway().register_client(&operator, new).await.unwrap().unwrap();
            let proof = ClientProof::Secret { client: recipient.to_owned(), secret: secret.into() };
            tokens.push(running.gateway().issue_token(&proof, TokenAsk::default()).await.unwrap().access_token);
        }
        let [mailer, adnetwork] = tokens.try_into().unwrap();
        Self { running, mailer, adnetwork, _folder: folder }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.running.public_url())
    }

    async fn look_up(&self, email: &str) -> Value {
        let ask = json!({ "purpose": "email_marketing", "identifiers": [{ "email": email }] });
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = client.post(self.url("/v1/profiles/lookup")).bearer_auth(&self.mailer).json(&ask);
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

    /// How many persons the advertising network is told of.
    pub(crate) async fn shared(&self) -> usize {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let pull = self.url("/v1/profiles?purpose=share_third_party&attributes=region");
        let request = client.get(pull).bearer_auth(&self.adnetwork).header("accept", "application/x-ndjson");
        let answer = request.send().await.unwrap().error_for_status().unwrap().text().await.unwrap();
        answer.lines().filter(|line| line.contains("\"pseudonym\"")).count()
    }
}
