//! The demo's programs and persons, seen from outside: everything goes over HTTP, as it would from any other machine.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, bail};
use futures_util::StreamExt as _;
use reqwest::{Client, RequestBuilder, Response};
use serde::Deserialize;
use serde_json::{Value, json};

/// How many connections post at once.
pub(super) const CONNECTIONS: usize = 32;

/// A way to the gateway.
#[derive(Clone)]
pub(super) struct Wire {
    http: Client,
    base: String,
}

/// What a person gets for a post.
#[derive(Debug, Deserialize)]
pub(super) struct Receipt {
    /// With which they take it back.
    pub(super) withdrawal_token: String,
}

/// One row of a pull.
#[derive(Debug, Deserialize)]
pub(super) struct Profile {
    pub(super) pseudonym: String,
    pub(super) rfm_recency: Option<u8>,
    pub(super) rfm_frequency: Option<u8>,
    pub(super) rfm_monetary: Option<u8>,
    pub(super) age_band: Option<String>,
    pub(super) region: Option<String>,
    #[serde(flatten)]
    pub(super) _others: BTreeMap<String, Value>,
}

impl Wire {
    pub(super) fn to(base: &str) -> anyhow::Result<Self> {
        let http = Client::builder()
            .no_proxy()
            .pool_max_idle_per_host(CONNECTIONS)
            .tcp_nodelay(true)
            .timeout(Duration::from_secs(120))
            .build()?;
        Ok(Self { http, base: base.to_owned() })
    }

    fn post(&self, path: &str) -> RequestBuilder {
        self.http.post(format!("{}{path}", self.base))
    }

    /// A client's access token (RFC 6749 §4.4).
    pub(super) async fn token(&self, client: &str, secret: &str) -> anyhow::Result<String> {
        #[derive(Deserialize)]
        struct Issued {
            access_token: String,
        }
        let request = self.post("/oauth/token").basic_auth(client, Some(secret));
        let issued: Issued = sent(request.form(&[("grant_type", "client_credentials")])).await?.json().await?;
        Ok(issued.access_token)
    }

    /// Sends records; every one of them must be stored.
    pub(super) async fn records(&self, token: &str, lines: String, count: usize) -> anyhow::Result<()> {
        let request =
            self.post("/v1/records").bearer_auth(token).header("content-type", "application/x-ndjson").body(lines);
        let answer = sent(request).await?.text().await?;
        let stored = answer.matches("\"stored\"").count();
        if stored != count {
            bail!("{stored} of {count} records were stored: {}", answer.lines().next().unwrap_or_default());
        }
        Ok(())
    }

    /// Posts a person's choices on the newsletter form.
    pub(super) async fn consent(&self, post: &Value, signals: bool) -> anyhow::Result<Receipt> {
        let mut request = self.post("/v1/consents").json(post);
        if signals {
            request = request.header("Sec-GPC", "1");
        }
        Ok(sent(request).await?.json().await?)
    }

    /// Takes every consent back by the token of a receipt: no login, no reason.
    pub(super) async fn withdraw(&self, withdrawal_token: &str) -> anyhow::Result<()> {
        let post = json!({ "token": withdrawal_token, "requests": ["withdraw_all"] });
        sent(self.post("/v1/consents").json(&post)).await?;
        Ok(())
    }

    /// Pulls everything permitted for a purpose.
    pub(super) async fn pull(
        &self,
        token: &str,
        purpose: &str,
        mut progress: impl FnMut(u64),
    ) -> anyhow::Result<Vec<Profile>> {
        let request = self
            .http
            .get(format!("{}/v1/profiles", self.base))
            .query(&[("purpose", purpose)])
            .bearer_auth(token)
            .header("accept", "application/x-ndjson");
        let mut body = sent(request).await?.bytes_stream();
        let (mut profiles, mut rest) = (Vec::new(), Vec::new());
        while let Some(chunk) = body.next().await {
            rest.extend_from_slice(&chunk.context("the pull broke off")?);
            let whole = rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            let before = profiles.len();
            for line in rest.drain(..whole).as_slice().split(|byte| *byte == b'\n').filter(|line| !line.is_empty())
            {
                profiles.push(serde_json::from_slice(line).context("a row of the pull cannot be read")?);
            }
            progress((profiles.len() - before) as u64);
        }
        if !rest.is_empty() {
            bail!("the pull ended in the middle of a row");
        }
        Ok(profiles)
    }

    /// Asks for a person's copy or erasure, as the officer's client; the answer is the request's outcome.
    pub(super) async fn rights_request(&self, token: &str, kind: &str, email: &str) -> anyhow::Result<Value> {
        let post = json!({ "type": kind, "subject": { "email": email } });
        Ok(sent(self.post("/v1/rights-requests").bearer_auth(token).json(&post)).await?.json().await?)
    }
}

async fn sent(request: RequestBuilder) -> anyhow::Result<Response> {
    let response = request.send().await.context("the gateway does not answer")?;
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let path = response.url().path().to_owned();
    let problem = response.text().await.unwrap_or_default();
    bail!("{path} answered {status}: {problem}")
}
