//! Single sign-on for staff with an OpenID Connect provider: authorization code, PKCE, state, nonce, the issuer told back.
//!
//! What a sign-in is known by is kept in a cookie of the browser that began it, and nowhere else: state, nonce and PKCE
//! verifier are keyed digests of that cookie. Each counts once, for ten minutes, in that browser. The provider says who
//! somebody is; what they may is said here.

mod admit;
mod provider;
mod settings;

pub(crate) use provider::Sso;
pub use provider::{IdentityProvider, ProviderAnswer, ProviderAnswered, ProviderCall};
pub use settings::SsoSettings;

use std::fmt;

use kernel::authn::id_token;
use kernel::id::hex;
use kernel::ledger::{AttemptRefusal, RefusedAttempt};
use kernel::staff::StaffId;
use kernel::time::Timestamp;
use store::StoreError;
use subtle::ConstantTimeEq as _;
use url::Url;

use self::provider::ProviderFault;
use super::account::{Shown, StaffFault};
use super::session::{SessionGrant, StaffSession};
use super::sign_in::Machine;
use crate::denied::Author;
use crate::error::{AppError, Code};
use crate::gateway::Gateway;

/// How long somebody may take at the provider.
const LONGEST_MS: i64 = 600_000;
/// The digits of a cookie: when it was made, and what makes it its own.
const TIME_DIGITS: usize = 16;
const RANDOM_DIGITS: usize = 64;
/// The most bytes of a code.
const MOST_CODE: usize = 4096;

/// What somebody goes to the provider for.
#[derive(Clone, Copy)]
pub enum SsoFor<'a> {
    /// To sign in.
    SigningIn,
    /// To use a one-time link up.
    Joining(&'a str),
    /// To be let in by that account from now on, having shown both factors.
    Linking(&'a StaffSession, Shown<'a>, &'a Machine),
}

impl fmt::Debug for SsoFor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SigningIn => "SigningIn",
            Self::Joining(_) => "Joining(..)",
            Self::Linking(..) => "Linking(..)",
        })
    }
}

/// Somebody is on the way to the provider.
pub struct SsoBegun {
    /// Where to.
    pub url: String,
    /// What their browser keeps meanwhile.
    pub cookie: String,
}

impl fmt::Debug for SsoBegun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SsoBegun(..)")
    }
}

/// What somebody came back with.
#[derive(Clone, Copy)]
pub struct SsoAnswer<'a> {
    /// What the sign-in is known by.
    pub state: &'a str,
    /// The code; `None`: the provider refused.
    pub code: Option<&'a str>,
    /// Who the provider says it is (RFC 9207).
    pub issuer: Option<&'a str>,
}

impl fmt::Debug for SsoAnswer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SsoAnswer(..)")
    }
}

/// What came of it.
#[derive(Debug)]
pub enum SsoFinished {
    /// A session began. Signed in, the machine keeps something, to be known again.
    Began(SessionGrant, Option<String>),
    /// The account is linked.
    Linked,
}

/// Why nothing came of it.
#[derive(Debug)]
pub enum SsoDenial {
    /// Not begun here, by this browser and just now; or it was finished already.
    NotOurs,
    /// The provider's word is none, or does not let anybody in here. It is not told why.
    Refused,
    /// The account is somebody else's.
    Taken,
    /// The provider does not answer.
    Unreachable,
    /// One's own account does not change.
    Fault(StaffFault),
    /// It does not work now, or there is nothing here.
    Failed(AppError),
}

impl From<AppError> for SsoDenial {
    fn from(error: AppError) -> Self {
        Self::Failed(error)
    }
}

impl From<StoreError> for SsoDenial {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict => Self::Taken,
            error => Self::Failed(error.into()),
        }
    }
}

/// A sign-in that was begun, as its cookie tells.
enum Begun {
    SigningIn,
    Joining(String),
    Linking([u8; 32]),
}

impl Gateway {
    /// What the identity provider is called, if there is one.
    #[must_use]
    pub fn provider_label(&self) -> Option<&str> {
        self.sso().map(|sso| sso.label.as_str())
    }

    /// The origins of the provider, to which a form may lead.
    #[must_use]
    pub fn provider_origins(&self) -> Vec<String> {
        let Some(settings) = self.sso() else { return Vec::new() };
        let issuer = Url::parse(&settings.issuer).ok().map(|url| url.origin().ascii_serialization());
        let hosts = settings.hosts.iter().map(|host| format!("https://{host}"));
        issuer.into_iter().chain(hosts).collect()
    }

    /// Sends somebody to the provider.
    ///
    /// # Errors
    /// See [`SsoDenial`].
    pub async fn begin_sso(&self, what: SsoFor<'_>) -> Result<SsoBegun, SsoDenial> {
        let settings = self.sso().ok_or(AppError::NotFound(Code::NotFound))?;
        let metadata = self.provider(settings).await.map_err(|fault| self.unheard(fault))?;
        let tag = match what {
            SsoFor::SigningIn => "s".to_owned(),
            SsoFor::Joining(link) => {
                self.good_link(link).await?;
                format!("j{link}")
            }
            SsoFor::Linking(session, shown, machine) => {
                self.prove_for_link(session, shown, machine).await.map_err(SsoDenial::Fault)?;
                format!("l{}", hex(&session.token_hash))
            }
        };
        let cookie = format!("{:016x}{}{tag}", self.now().as_millis(), self.fresh_token());
        let mut url = Url::parse(&metadata.authorization_endpoint)
            .map_err(|_| self.unheard(ProviderFault::Unreachable("its endpoint is no address")))?;
        let scope = std::iter::once("openid").chain(settings.scopes.iter().map(String::as_str));
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("response_mode", "query")
            .append_pair("client_id", &settings.client_id)
            .append_pair("redirect_uri", &self.redirect_uri())
            .append_pair("scope", &scope.collect::<Vec<_>>().join(" "))
            .append_pair("state", &self.derived(b"state", &cookie))
            .append_pair("nonce", &self.derived(b"nonce", &cookie))
            .append_pair("code_challenge", &id_token::pkce_challenge(&self.derived(b"verifier", &cookie)))
            .append_pair("code_challenge_method", "S256");
        if settings.max_age_seconds > 0 {
            url.query_pairs_mut().append_pair("max_age", &settings.max_age_seconds.to_string());
        }
        if !settings.mfa_classes.is_empty() {
            url.query_pairs_mut().append_pair("acr_values", &settings.mfa_classes.join(" "));
        }
        Ok(SsoBegun { url: url.into(), cookie })
    }

    /// Takes somebody back from the provider.
    ///
    /// # Errors
    /// See [`SsoDenial`].
    pub async fn finish_sso(
        &self,
        cookie: &str,
        answer: SsoAnswer<'_>,
        machine: &Machine,
    ) -> Result<SsoFinished, SsoDenial> {
        let settings = self.sso().ok_or(AppError::NotFound(Code::NotFound))?;
        let version = self.version_of_state(cookie, answer.state);
        let (begun, version) = self.begun(cookie).zip(version).ok_or(SsoDenial::NotOurs)?;
        let metadata = self.provider(settings).await.map_err(|fault| self.unheard(fault))?;
        // The answer of another provider could carry its code to this one's token endpoint (RFC 9207 §2.4).
        let is_told = answer.issuer.is_some() || metadata.authorization_response_iss_parameter_supported;
        if is_told && answer.issuer != Some(settings.issuer.as_str()) {
            return Err(self.refused(None, "another issuer answered", AttemptRefusal::TamperedParameter).await);
        }
        let code = answer.code.filter(|code| !code.is_empty() && code.len() <= MOST_CODE);
        let Some(code) = code else {
            return Err(self.refused(None, "the provider refused", AttemptRefusal::NoCredentials).await);
        };
        let parts: [&[u8]; 3] = [b"sso v1", b"once", cookie.as_bytes()];
        let used = self.use_once(&parts, self.now().plus_ms(LONGEST_MS)).await;
        if !used.map_err(|_| AppError::Unavailable)? {
            return Err(self.replayed().await);
        }
        let derived = |kind| self.all_derived(kind, cookie).into_iter().nth(version);
        let both = derived(b"verifier").zip(derived(b"nonce"));
        let (verifier, nonce) = both.ok_or(SsoDenial::NotOurs)?;
        let token = self.redeem(settings, &metadata, (code, &verifier, &nonce), &self.redirect_uri()).await;
        let token = match token {
            Ok(token) => token,
            Err(fault @ ProviderFault::Unreachable(_)) => return Err(self.unheard(fault)),
            Err(fault) => {
                tracing::warn!(?fault, "a sign-in through the identity provider does not count");
                return Err(self.refused(None, "its word is not believed", AttemptRefusal::InvalidToken).await);
            }
        };
        if !self.is_admitted(settings, &token) {
            return Err(self.refused(None, "not one of the controller's own", AttemptRefusal::WrongSecret).await);
        }
        match begun {
            Begun::SigningIn => self.sign_in_by(settings, &token, machine).await,
            Begun::Joining(link) => self.join_by(settings, &token, &link, machine).await,
            Begun::Linking(token_hash) => self.link_by(settings, &token, &token_hash).await,
        }
    }

    /// Where one signs out at the provider, if it says so.
    pub async fn provider_sign_out(&self) -> Option<String> {
        let settings = self.sso()?;
        let metadata = self.provider(settings).await.ok()?;
        let mut url = Url::parse(metadata.end_session_endpoint.as_ref()?).ok()?;
        url.query_pairs_mut()
            .append_pair("client_id", &settings.client_id)
            .append_pair("post_logout_redirect_uri", &format!("{}/console/login", self.settings().issuer));
        Some(url.into())
    }

    fn redirect_uri(&self) -> String {
        format!("{}/console/sso/callback", self.settings().issuer)
    }

    /// What a sign-in is known by: nobody else can tell it from the cookie, or the cookie from it.
    fn derived(&self, kind: &[u8], cookie: &str) -> String {
        hex(&self.request_fingerprint(&[b"sso v1", kind, cookie.as_bytes()]))
    }

    /// The same under each version of the key that is not retired.
    fn all_derived(&self, kind: &[u8], cookie: &str) -> Vec<String> {
        let all = self.inner.keyring.request_fingerprints(&[b"sso v1", kind, cookie.as_bytes()]);
        all.iter().map(|digest| hex(digest)).collect()
    }

    /// Under which of these versions a sign-in was begun, if the state is that of its cookie.
    fn version_of_state(&self, cookie: &str, state: &str) -> Option<usize> {
        let expected = self.all_derived(b"state", cookie);
        expected.iter().position(|expected| bool::from(expected.as_bytes().ct_eq(state.as_bytes())))
    }

    /// What a cookie was made for, if just now.
    fn begun(&self, cookie: &str) -> Option<Begun> {
        let (time, rest) = cookie.split_at_checked(TIME_DIGITS)?;
        let (_, tag) = rest.split_at_checked(RANDOM_DIGITS)?;
        let at = Timestamp::from_millis(i64::from_str_radix(time, 16).ok()?);
        if !(0..LONGEST_MS).contains(&self.now().since_ms(at)) {
            return None;
        }
        match tag.split_at_checked(1)? {
            ("s", "") => Some(Begun::SigningIn),
            ("j", link) => Some(Begun::Joining(link.to_owned())),
            ("l", hash) => Some(Begun::Linking(kernel::id::unhex(hash).ok()?)),
            _ => None,
        }
    }

    fn unheard(&self, fault: ProviderFault) -> SsoDenial {
        tracing::warn!(?fault, "the identity provider cannot be used");
        SsoDenial::Unreachable
    }

    async fn refused(&self, staff: Option<StaffId>, why: &'static str, reason: AttemptRefusal) -> SsoDenial {
        tracing::info!(why, "a sign-in through the identity provider was refused");
        self.note_denied_by(Author::staff(staff), RefusedAttempt::SignIn, reason).await;
        SsoDenial::Refused
    }

    async fn replayed(&self) -> SsoDenial {
        self.note_denied_by(Author::staff(None), RefusedAttempt::SignIn, AttemptRefusal::Replayed).await;
        SsoDenial::NotOurs
    }
}
