//! Talking to the identity provider: its metadata, its keys, and the exchange of a code. What it says is remembered for an
//! hour; a key that is not known is asked for again, once a minute at the most.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use kernel::authn::{ExpectedIdToken, IdToken, IdTokenError, ProviderKeys};
use kernel::time::Timestamp;
use serde::Deserialize;
use url::{Url, form_urlencoded};

use super::SsoSettings;
use crate::gateway::Gateway;

/// How long metadata and keys are remembered.
const REMEMBERED_MS: i64 = 3_600_000;
/// How often keys are asked for again that were not known.
const ASKED_AGAIN_MS: i64 = 60_000;

/// Something to ask the provider.
#[derive(Clone)]
pub enum ProviderCall {
    /// To be read.
    Get(String),
    /// A form, with a value for `Authorization` perhaps.
    Post {
        /// Where to.
        url: String,
        /// The form, encoded.
        form: String,
        /// The credentials.
        authorization: Option<String>,
    },
}

impl fmt::Debug for ProviderCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Get(_) => "Get(..)",
            Self::Post { .. } => "Post(..)",
        })
    }
}

/// What the provider answered.
#[derive(Clone)]
pub struct ProviderAnswer {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: String,
}

impl fmt::Debug for ProviderAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProviderAnswer").field("status", &self.status).finish_non_exhaustive()
    }
}

/// An answer to come; without one, why in words that are the same every time.
pub type ProviderAnswered<'a> = Pin<Box<dyn Future<Output = Result<ProviderAnswer, &'static str>> + Send + 'a>>;

/// Brings a call to the provider: to no other hosts than the operator named, without following anybody elsewhere, bounded in
/// time and size.
pub trait IdentityProvider: Send + Sync {
    /// Calls.
    fn call(&self, call: ProviderCall) -> ProviderAnswered<'_>;
}

/// What the provider says of itself (OpenID Connect Discovery 1.0 §3), as far as it matters here.
#[derive(Debug, Deserialize)]
pub(super) struct Metadata {
    issuer: String,
    pub(super) authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    #[serde(default)]
    pub(super) end_session_endpoint: Option<String>,
    /// RFC 9207 §3.
    #[serde(default)]
    pub(super) authorization_response_iss_parameter_supported: bool,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    code_challenge_methods_supported: Option<Vec<String>>,
}

/// Why the provider's word could not be had or is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ProviderFault {
    /// It does not answer, or nothing that makes sense.
    Unreachable(&'static str),
    /// It takes the code for none.
    CodeRefused,
    /// Its token is not believed.
    Token(IdTokenError),
}

/// What is known of the provider.
#[derive(Default)]
pub(crate) struct Sso {
    provider: OnceLock<Arc<dyn IdentityProvider>>,
    metadata: Mutex<Option<(Timestamp, Arc<Metadata>)>>,
    keys: Mutex<Option<(Timestamp, Arc<ProviderKeys>)>>,
}

impl fmt::Debug for Sso {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sso").field("is_attached", &self.provider.get().is_some()).finish_non_exhaustive()
    }
}

fn recall<T>(place: &Mutex<Option<(Timestamp, Arc<T>)>>) -> Option<(Timestamp, Arc<T>)> {
    place.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

fn remember<T>(place: &Mutex<Option<(Timestamp, Arc<T>)>>, now: Timestamp, what: T) -> Arc<T> {
    let what = Arc::new(what);
    *place.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, Arc::clone(&what)));
    what
}

impl Sso {
    async fn ask(&self, call: ProviderCall) -> Result<ProviderAnswer, ProviderFault> {
        let provider = self.provider.get().ok_or(ProviderFault::Unreachable("nobody calls it"))?;
        provider.call(call).await.map_err(ProviderFault::Unreachable)
    }

    async fn read(&self, url: &str) -> Result<String, ProviderFault> {
        let answer = self.ask(ProviderCall::Get(url.to_owned())).await?;
        match answer.status {
            200 => Ok(answer.body),
            _ => Err(ProviderFault::Unreachable("it answers with an error")),
        }
    }
}

impl Gateway {
    /// Says who calls the identity provider. Only the first one counts.
    pub fn identified_by(&self, provider: Arc<dyn IdentityProvider>) {
        if self.inner.sso.provider.set(provider).is_err() {
            tracing::warn!("there is an identity provider already");
        }
    }

    /// The settings of the provider, if staff can sign in with one here.
    pub(super) fn sso(&self) -> Option<&SsoSettings> {
        self.settings().sso.as_ref().filter(|_| self.inner.sso.provider.get().is_some())
    }

    /// What the provider says of itself.
    pub(super) async fn provider(&self, settings: &SsoSettings) -> Result<Arc<Metadata>, ProviderFault> {
        let (sso, now) = (&self.inner.sso, self.now());
        if let Some((_, known)) = recall(&sso.metadata).filter(|(at, _)| is_fresh(*at, now, REMEMBERED_MS)) {
            return Ok(known);
        }
        let url = format!("{}/.well-known/openid-configuration", settings.issuer.trim_end_matches('/'));
        let wrong = ProviderFault::Unreachable;
        let metadata: Metadata =
            serde_json::from_str(&sso.read(&url).await?).map_err(|_| wrong("its metadata cannot be read"))?;
        // Discovery §4.3: else somebody else's endpoints could be taken for its own.
        if metadata.issuer != settings.issuer {
            return Err(wrong("its metadata is of another issuer"));
        }
        let endpoints = [&metadata.authorization_endpoint, &metadata.token_endpoint, &metadata.jwks_uri];
        let all = endpoints.into_iter().chain(&metadata.end_session_endpoint);
        if !all.into_iter().all(|url| is_of_provider(url, settings)) {
            return Err(wrong("an endpoint of it is on a host that is not named, or not encrypted"));
        }
        // Where it tells what it can, it must be able to do PKCE (RFC 9700 §2.1.1).
        let methods = metadata.code_challenge_methods_supported.as_ref();
        if methods.is_some_and(|methods| !methods.iter().any(|method| method == "S256")) {
            return Err(wrong("it cannot do PKCE with S256"));
        }
        Ok(remember(&sso.metadata, now, metadata))
    }

    /// Exchanges a code for an ID token, and checks it.
    pub(super) async fn redeem(
        &self,
        settings: &SsoSettings,
        metadata: &Metadata,
        (code, verifier, nonce): (&str, &str, &str),
        redirect_uri: &str,
    ) -> Result<IdToken, ProviderFault> {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "authorization_code")
            .append_pair("code", code)
            .append_pair("redirect_uri", redirect_uri)
            .append_pair("code_verifier", verifier);
        let (id, secret) = (settings.client_id.as_str(), settings.client_secret.as_str());
        let in_the_body = |methods: &Vec<String>| !methods.iter().any(|method| method == "client_secret_basic");
        let authorization = if secret.is_empty() {
            form.append_pair("client_id", id);
            None
        } else if metadata.token_endpoint_auth_methods_supported.as_ref().is_some_and(in_the_body) {
            form.append_pair("client_id", id).append_pair("client_secret", secret);
            None
        } else {
            // RFC 6749 §2.3.1: both are form-encoded first.
            let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
            let pair = format!("{}:{}", encoded(id), encoded(secret));
            Some(format!("Basic {}", BASE64_STANDARD.encode(pair)))
        };
        let url = metadata.token_endpoint.clone();
        let answer = self.inner.sso.ask(ProviderCall::Post { url, form: form.finish(), authorization }).await?;
        match answer.status {
            200 => {}
            400 => return Err(ProviderFault::CodeRefused),
            401 | 403 => return Err(ProviderFault::Unreachable("it does not know this gateway by its secret")),
            _ => return Err(ProviderFault::Unreachable("its token endpoint answers with an error")),
        }
        #[derive(Deserialize)]
        struct Tokens {
            id_token: String,
        }
        let tokens: Tokens = serde_json::from_str(&answer.body)
            .map_err(|_| ProviderFault::Unreachable("its token endpoint gives no ID token"))?;
        let max_age_ms = Some(i64::from(settings.max_age_seconds) * 1000).filter(|most| *most > 0);
        let expected = ExpectedIdToken { issuer: &settings.issuer, client_id: id, nonce, max_age_ms };
        let (keys, are_new) = self.provider_keys(metadata, REMEMBERED_MS).await?;
        let read = |keys: &ProviderKeys| IdToken::verify(&tokens.id_token, keys, expected, self.now());
        match read(&keys) {
            // Its keys may have taken turns.
            Err(IdTokenError::UnknownKey | IdTokenError::Signature) if !are_new => {
                let (keys, _) = self.provider_keys(metadata, ASKED_AGAIN_MS).await?;
                read(&keys).map_err(ProviderFault::Token)
            }
            outcome => outcome.map_err(ProviderFault::Token),
        }
    }

    /// The provider's keys, asked for again if they are older than so many milliseconds; and whether they were.
    async fn provider_keys(
        &self,
        metadata: &Metadata,
        oldest_ms: i64,
    ) -> Result<(Arc<ProviderKeys>, bool), ProviderFault> {
        let (sso, now) = (&self.inner.sso, self.now());
        if let Some((_, known)) = recall(&sso.keys).filter(|(at, _)| is_fresh(*at, now, oldest_ms)) {
            return Ok((known, false));
        }
        let keys = ProviderKeys::from_json(&sso.read(&metadata.jwks_uri).await?)
            .map_err(|_| ProviderFault::Unreachable("it publishes no key that can be used"))?;
        Ok((remember(&sso.keys, now, keys), true))
    }
}

fn is_fresh(at: Timestamp, now: Timestamp, most_ms: i64) -> bool {
    (0..most_ms).contains(&now.since_ms(at))
}

/// Whether an endpoint is on the issuer's host or on one that the operator named, and no less encrypted than the issuer.
fn is_of_provider(url: &str, settings: &SsoSettings) -> bool {
    let (Ok(url), Ok(issuer)) = (Url::parse(url), Url::parse(&settings.issuer)) else { return false };
    let is_plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    let is_issuers = url.origin() == issuer.origin();
    let is_named = url.scheme() == "https"
        && url.host_str().is_some_and(|host| settings.hosts.iter().any(|named| named.eq_ignore_ascii_case(host)));
    is_plain && (is_issuers || is_named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_on_the_issuers_host_or_on_one_that_was_named() {
        let settings = SsoSettings {
            issuer: "https://id.example/tenant".to_owned(),
            hosts: vec!["keys.example".to_owned()],
            ..SsoSettings::default()
        };
        for good in ["https://id.example/token", "https://id.example:443/x?y=z", "https://keys.example/jwks"] {
            assert!(is_of_provider(good, &settings), "{good}");
        }
        for bad in [
            "http://id.example/token",
            "http://keys.example/jwks",
            "https://id.example:8443/token",
            "https://evil.example/token",
            "https://id.example.evil.example/token",
            "https://id.example@evil.example/token",
            "https://user@id.example/token",
            "https://id.example/token#x",
            "http://169.254.169.254/latest/meta-data",
            "file:///etc/passwd",
            "",
        ] {
            assert!(!is_of_provider(bad, &settings), "{bad}");
        }
    }
}
