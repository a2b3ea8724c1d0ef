//! Issuing access tokens (RFC 6749 §4.4, RFC 9068): no more than the client has, bound to a key where one is shown.

use kernel::authn::{KeyThumbprint, TokenClaims};
use kernel::authz::Scope;
use kernel::id::TokenId;
use kernel::ledger::{AttemptRefusal, RefusedAttempt};
use kernel::purpose::Purpose;
use store::query::ClientRow;

use super::possession::PossessionDenial;
use super::{ClientProof, PresentedProof};
use crate::denied::Author;
use crate::figures::count;
use crate::gateway::Gateway;

/// A token just issued (RFC 6749 §5.1).
#[derive(Clone)]
pub struct IssuedToken {
    /// The token.
    pub access_token: String,
    /// Its life in seconds.
    pub expires_in: u32,
    /// The scope granted, parted by spaces.
    pub scope: String,
    /// Whether it is bound to a key (RFC 9449 §5).
    pub is_bound: bool,
}

impl std::fmt::Debug for IssuedToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IssuedToken").field("scope", &self.scope).finish_non_exhaustive()
    }
}

/// Why no token is issued (RFC 6749 §5.2, RFC 8707 §2, RFC 9449 §5 and §8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenDenial {
    /// Unknown client, wrong proof or revoked: the same for all.
    InvalidClient,
    /// A scope or purpose that the client does not have.
    InvalidScope,
    /// A resource that is not this one.
    InvalidTarget,
    /// No proof of possession where the client must bring one, or one that is not good.
    InvalidPossession,
    /// A proof of possession must name this nonce.
    UseNonce(String),
    /// The token is another client's.
    NotYours,
    /// The store does not answer.
    Unavailable,
}

impl From<PossessionDenial> for TokenDenial {
    fn from(denial: PossessionDenial) -> Self {
        match denial {
            PossessionDenial::Invalid | PossessionDenial::Replayed => Self::InvalidPossession,
            PossessionDenial::UseNonce(nonce) => Self::UseNonce(nonce),
            PossessionDenial::Unavailable => Self::Unavailable,
        }
    }
}

/// What a client asks for.
#[derive(Debug, Clone, Copy, Default)]
pub struct TokenAsk<'a> {
    /// Scopes and `purpose:<id>`; what it leaves out is not granted; without it the client gets all it may have.
    pub scope: Option<&'a str>,
    /// Where it will be used (RFC 8707).
    pub resource: Option<&'a str>,
    /// The proof of the key that the token is to be bound to.
    pub possession: Option<PresentedProof<'a>>,
}

impl Gateway {
    /// Issues an access token to a client that proves itself.
    ///
    /// # Errors
    /// See [`TokenDenial`].
    pub async fn issue_token(&self, proof: &ClientProof, ask: TokenAsk<'_>) -> Result<IssuedToken, TokenDenial> {
        let result = self.try_issue_token(proof, ask).await;
        let counters = &self.inner.counters;
        match &result {
            Ok(_) => count(&counters.tokens_issued),
            Err(TokenDenial::Unavailable | TokenDenial::UseNonce(_)) => {}
            Err(_) => count(&counters.tokens_denied),
        }
        result
    }

    async fn try_issue_token(&self, proof: &ClientProof, ask: TokenAsk<'_>) -> Result<IssuedToken, TokenDenial> {
        let row = self.prove_client(proof, RefusedAttempt::IssueToken).await?;
        let key = match ask.possession {
            Some(presented) => match self.check_possession(presented, None).await {
                Ok(key) => Some(key),
                Err(denial) => {
                    if let Some(reason) = denial.refusal() {
                        self.note_denied_by(Author::client(Some(row.id)), RefusedAttempt::IssueToken, reason)
                            .await;
                    }
                    return Err(denial.into());
                }
            },
            None if row.bound_tokens => {
                let reason = AttemptRefusal::NoPossession;
                self.note_denied_by(Author::client(Some(row.id)), RefusedAttempt::IssueToken, reason).await;
                return Err(TokenDenial::InvalidPossession);
            }
            None => None,
        };
        let settings = self.settings();
        if ask.resource.is_some_and(|resource| resource != settings.audience) {
            return Err(TokenDenial::InvalidTarget);
        }
        let Some((scopes, purposes)) = granted(self, &row, ask.scope) else {
            let reason = AttemptRefusal::InsufficientScope;
            self.note_denied_by(Author::client(Some(row.id)), RefusedAttempt::IssueToken, reason).await;
            return Err(TokenDenial::InvalidScope);
        };
        self.sign_token(row, &scopes, purposes, key)
    }

    fn sign_token(
        &self,
        row: ClientRow,
        scopes: &[Scope],
        purposes: Vec<Purpose>,
        key: Option<KeyThumbprint>,
    ) -> Result<IssuedToken, TokenDenial> {
        let settings = self.settings();
        let now = self.now();
        let names: Vec<String> = scopes
            .iter()
            .map(|scope| scope.as_str().to_owned())
            .chain(purposes.iter().map(|purpose| format!("purpose:{purpose}")))
            .collect();
        let claims = TokenClaims {
            issuer: settings.issuer.clone(),
            audience: settings.audience.clone(),
            client: row.id,
            id: TokenId::generate(&*self.inner.entropy),
            issued_at: now,
            expires_at: now.plus_ms(i64::from(settings.token_seconds).saturating_mul(1000)),
            scope: names.join(" "),
            recipient: row.recipient,
            purposes,
            generation: row.generation,
            key,
        };
        let access_token = self.signers().tokens.sign(&claims).map_err(|_| TokenDenial::Unavailable)?;
        let (expires_in, scope) = (settings.token_seconds, claims.scope);
        Ok(IssuedToken { access_token, expires_in, scope, is_bound: key.is_some() })
    }
}

/// The scopes and purposes that a token request asks for, if the client has them all.
fn granted(gateway: &Gateway, row: &ClientRow, scope: Option<&str>) -> Option<(Vec<Scope>, Vec<Purpose>)> {
    let policy = gateway.policy();
    let contract = row.recipient.as_ref().and_then(|id| policy.recipient(id));
    // A purpose must be in the contract now, whatever was registered.
    let own: Vec<Purpose> = contract.map_or_else(Vec::new, |rule| {
        let registered = |purpose: &&Purpose| row.purposes.is_empty() || row.purposes.contains(*purpose);
        rule.purposes.iter().filter(registered).cloned().collect()
    });
    let Some(scope) = scope.map(str::trim).filter(|scope| !scope.is_empty()) else {
        return Some((row.scopes.clone(), own));
    };
    let (mut scopes, mut purposes) = (Vec::new(), Vec::new());
    for name in scope.split(' ').filter(|name| !name.is_empty()) {
        if let Some(purpose) = name.strip_prefix("purpose:") {
            let purpose: Purpose = purpose.parse().ok()?;
            purposes.push(own.iter().find(|known| **known == purpose)?.clone());
        } else {
            let scope = Scope::parse(name)?;
            scopes.push(row.scopes.iter().copied().find(|known| *known == scope)?);
        }
    }
    if purposes.is_empty() {
        purposes = own;
    }
    if scopes.is_empty() {
        scopes.clone_from(&row.scopes);
    }
    scopes.sort_unstable();
    scopes.dedup();
    purposes.sort_unstable();
    purposes.dedup();
    Some((scopes, purposes))
}
