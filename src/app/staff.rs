//! The controller's own people: how they join, sign in, stay signed in and are managed. Nobody is told whether a name is
//! somebody's, and nobody can lock somebody else out.

mod account;
mod binding;
mod join;
mod member;
mod session;
mod sign_in;
mod sso;

pub use account::{SessionView, Shown, StaffFault};
pub use join::{Enrolled, Enrolment, InvitationView};
pub(crate) use member::LINK_MS;
pub use member::{MemberView, OneTimeLink};
pub use session::{MOST_SESSIONS, SessionGrant, StaffSession, StaffStage};
pub use sign_in::{Machine, SignInDenial, SignedIn};
pub(crate) use sso::Sso;
pub use sso::{
    IdentityProvider, ProviderAnswer, ProviderAnswered, ProviderCall, SsoAnswer, SsoBegun, SsoDenial, SsoFinished,
    SsoFor, SsoSettings,
};

use kernel::authn::SecretHash;
use kernel::staff::{StaffId, password_form};
use store::query::StaffRow;
use zeroize::Zeroizing;

use crate::error::AppError;
use crate::gateway::Gateway;

impl Gateway {
    /// A keyed digest of a secret that staff hold: the only thing of it that is stored.
    fn staff_digest(&self, kind: &[u8], staff: &[u8], secret: &[u8]) -> [u8; 32] {
        self.request_fingerprint(&[b"staff v1", kind, staff, secret])
    }

    /// The same under each version of the key that is not retired, the newest first: one of them is what was stored.
    fn staff_digests(&self, kind: &[u8], staff: &[u8], secret: &[u8]) -> Vec<[u8; 32]> {
        self.inner.keyring.request_fingerprints(&[b"staff v1", kind, staff, secret])
    }

    fn session_digest(&self, token: &str) -> [u8; 32] {
        self.staff_digest(b"session", b"", token.as_bytes())
    }

    fn link_digest(&self, token: &str) -> [u8; 32] {
        self.staff_digest(b"link", b"", token.as_bytes())
    }

    fn session_digests(&self, token: &str) -> Vec<[u8; 32]> {
        self.staff_digests(b"session", b"", token.as_bytes())
    }

    fn link_digests(&self, token: &str) -> Vec<[u8; 32]> {
        self.staff_digests(b"link", b"", token.as_bytes())
    }

    fn code_digests(&self, staff: StaffId, code: &[u8]) -> Vec<[u8; 32]> {
        self.staff_digests(b"recovery code", staff.as_bytes(), code)
    }

    fn code_digest(&self, staff: StaffId, code: &[u8]) -> [u8; 32] {
        self.staff_digest(b"recovery code", staff.as_bytes(), code)
    }

    /// The secret that makes a form one of the gateway's own, for whoever has this cookie (CSRF).
    #[must_use]
    pub fn form_secret(&self, cookie: &str) -> String {
        kernel::id::hex(&self.staff_digest(b"form", b"", cookie.as_bytes()))
    }

    /// Whether a form said the secret that goes with a cookie.
    #[must_use]
    pub fn is_form_secret(&self, cookie: &str, said: &str) -> bool {
        use subtle::ConstantTimeEq as _;
        let made = self.staff_digests(b"form", b"", cookie.as_bytes());
        made.iter().any(|made| bool::from(kernel::id::hex(made).as_bytes().ct_eq(said.as_bytes())))
    }

    /// A fresh opaque token.
    #[must_use]
    pub fn fresh_token(&self) -> String {
        kernel::id::hex(&self.inner.entropy.bytes_32())
    }

    /// Whether a typed password is somebody's. Whoever has none costs as much time.
    async fn is_password(&self, row: Option<&StaffRow>, typed: &str) -> Result<bool, AppError> {
        let known = row.and_then(|row| self.open_password(row)).and_then(|phc| phc.parse::<SecretHash>().ok());
        let is_known = known.is_some();
        let hash = known.unwrap_or_else(|| self.inner.dummy_hash.clone());
        let form = password_form(typed);
        let _place = self.inner.hashing.acquire().await.map_err(AppError::internal)?;
        let right = tokio::task::spawn_blocking(move || hash.verify(&form)).await.map_err(AppError::internal)?;
        Ok(right && is_known)
    }

    /// The hash of a password, as it is stored.
    async fn hash_password(&self, staff: StaffId, form: Zeroizing<String>) -> Result<String, AppError> {
        let (cost, salt) = (self.settings().hash_cost, self.inner.entropy.bytes_16());
        let _place = self.inner.hashing.acquire().await.map_err(AppError::internal)?;
        let hash = tokio::task::spawn_blocking(move || SecretHash::hash(&form, cost, salt)).await;
        let hash = hash.map_err(AppError::internal)?.map_err(AppError::internal)?;
        self.seal_password(staff, hash.as_str())
    }
}
