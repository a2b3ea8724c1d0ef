//! Callers: clients with hashed secrets or registered keys, and the short-lived tokens they get for proving themselves.

mod check;
mod inspect;
mod issue;
mod possession;
mod prove;

pub use check::RememberedReader;
pub(crate) use check::{KnownTokens, once_writers, revision_readers};
pub use issue::{IssuedToken, TokenAsk, TokenDenial};
pub use possession::PresentedProof;
pub use prove::ClientProof;

use kernel::authn::{ClientKeys, ClientSecret, SecretHash};
use kernel::authz::{Authorized, ManageClients, Scope};
use kernel::client::ClientId;
use kernel::purpose::Purpose;
use kernel::recipient::RecipientId;
use kernel::source::SourceId;
use kernel::time::Timestamp;
use store::StoreError;
use store::change::{RegisterClient, ReplaceCredentials, RevokeClient};
use store::query::ClientCredentials;

use crate::error::{AppError, Code, Fault};
use crate::gateway::Gateway;

/// A token as it came with a request.
#[derive(Clone, Copy)]
pub struct PresentedToken<'a> {
    /// The token.
    pub token: &'a str,
    /// The proof that came with it; `None`: it was presented as a bearer token.
    pub possession: Option<PresentedProof<'a>>,
}

impl std::fmt::Debug for PresentedToken<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PresentedToken").field("is_bound", &self.possession.is_some()).finish_non_exhaustive()
    }
}

/// Why a token is not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthenticateError {
    /// Not ours, altered, expired, taken back, of a revoked client, or presented in the wrong way.
    Invalid,
    /// Whoever presents it does not show that they hold its key.
    InvalidPossession,
    /// A proof of possession must name this nonce.
    UseNonce(String),
    /// The store does not answer.
    Unavailable,
}

/// A client to be.
#[derive(Debug, Clone)]
pub struct NewClient {
    /// Its name.
    pub id: ClientId,
    /// The recipient it acts as.
    pub recipient: Option<RecipientId>,
    /// The source it speaks for.
    pub source: Option<SourceId>,
    /// Its scopes.
    pub scopes: Vec<Scope>,
    /// The purposes it may name; empty for a recipient: all of its contract.
    pub purposes: Vec<Purpose>,
    /// Its public keys; `None`: it gets a secret.
    pub keys: Option<ClientKeys>,
    /// Whether its tokens must be bound to a key.
    pub bound_tokens: bool,
}

/// A registered client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientView {
    /// Its name.
    pub id: ClientId,
    /// The recipient it acts as.
    pub recipient: Option<RecipientId>,
    /// The source it speaks for.
    pub source: Option<SourceId>,
    /// Its scopes.
    pub scopes: Vec<Scope>,
    /// The purposes it may name.
    pub purposes: Vec<Purpose>,
    /// Whether it proves itself with a key.
    pub has_keys: bool,
    /// Whether its tokens must be bound to a key.
    pub bound_tokens: bool,
    /// Since when.
    pub created_at: Timestamp,
    /// Since when no more.
    pub revoked_at: Option<Timestamp>,
}

impl Gateway {
    /// The public keys of the tokens and of the receipts (RFC 7517). What is signed with one never passes for the
    /// other: each says its type, and each is checked with its own keys alone.
    #[must_use]
    pub fn jwks(&self) -> serde_json::Value {
        let mut all = self.signers().tokens.jwks(self.now());
        let mut receipts = self.signers().receipt.verifier().jwks();
        let keys = receipts.get_mut("keys").and_then(serde_json::Value::as_array_mut).map(std::mem::take);
        if let Some(all) = all.get_mut("keys").and_then(serde_json::Value::as_array_mut) {
            all.extend(keys.unwrap_or_default());
        }
        all
    }

    /// Registers a client and returns its secret, which is shown this once and kept only as a hash; `None`: it has keys.
    ///
    /// # Errors
    /// When its recipient or purposes are not in the policy, or the name is taken.
    pub async fn register_client(
        &self,
        _by: &Authorized<ManageClients>,
        new: NewClient,
    ) -> Result<Option<String>, AppError> {
        let policy = self.policy();
        let contract = match &new.recipient {
            Some(id) => match policy.recipient(id) {
                Some(rule) => rule.purposes.clone(),
                None => return Err(AppError::invalid(Fault::at("/recipient", Code::UnknownRecipient))),
            },
            None => Vec::new(),
        };
        if new.scopes.is_empty() {
            return Err(AppError::invalid(Fault::at("/scopes", Code::Empty)));
        }
        if let Some(at) = new.purposes.iter().position(|purpose| !contract.contains(purpose)) {
            return Err(AppError::invalid(Fault::at(format!("/purposes/{at}"), Code::UnknownPurpose)));
        }
        let (credentials, secret) = self.credentials(new.keys).await?;
        let change = RegisterClient {
            client: new.id,
            credentials,
            bound_tokens: new.bound_tokens,
            recipient: new.recipient,
            source: new.source,
            scopes: new.scopes,
            purposes: new.purposes,
            at: self.now(),
        };
        match self.inner.store.perform(&change).await {
            Ok(_) => Ok(secret.map(|secret| secret.expose().to_owned())),
            Err(StoreError::Conflict) => Err(AppError::Conflict(Code::NameTaken)),
            Err(error) => Err(error.into()),
        }
    }

    /// Gives a client a new secret, which is returned this once, or other keys. The ones before and every token that was
    /// issued for them end at once, on every replica. `None`: there is no such client.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn replace_client_credentials(
        &self,
        _by: &Authorized<ManageClients>,
        id: &ClientId,
        keys: Option<ClientKeys>,
    ) -> Result<Option<Option<String>>, AppError> {
        let (credentials, secret) = self.credentials(keys).await?;
        let change = ReplaceCredentials { client: id.clone(), credentials, at: self.now() };
        let (replaced, _committed) = self.inner.store.perform(&change).await?;
        Ok(replaced.then(|| secret.map(|secret| secret.expose().to_owned())))
    }

    async fn credentials(
        &self,
        keys: Option<ClientKeys>,
    ) -> Result<(ClientCredentials, Option<ClientSecret>), AppError> {
        if let Some(keys) = keys {
            return Ok((ClientCredentials::Keys(keys), None));
        }
        let secret = ClientSecret::from_random(self.inner.entropy.bytes_32());
        let text = zeroize::Zeroizing::new(secret.expose().to_owned());
        let (cost, salt) = (self.settings().hash_cost, self.inner.entropy.bytes_16());
        let hash = tokio::task::spawn_blocking(move || SecretHash::hash(&text, cost, salt))
            .await
            .map_err(AppError::internal)?
            .map_err(AppError::internal)?;
        Ok((ClientCredentials::Secret(hash.as_str().to_owned()), Some(secret)))
    }

    /// Takes a client's credentials back, and its tokens with them, at once on every replica; says whether there was such a
    /// client.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn revoke_client(&self, _by: &Authorized<ManageClients>, id: &ClientId) -> Result<bool, AppError> {
        let (revoked, _committed) =
            self.inner.store.perform(&RevokeClient { client: id.clone(), at: self.now() }).await?;
        Ok(revoked)
    }

    /// All clients, revoked ones included.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn clients(&self, _by: &Authorized<ManageClients>) -> Result<Vec<ClientView>, AppError> {
        let rows = self.inner.store.clients().await?;
        Ok(rows
            .into_iter()
            .map(|row| ClientView {
                id: row.id,
                recipient: row.recipient,
                source: row.source,
                scopes: row.scopes,
                purposes: row.purposes,
                has_keys: matches!(row.credentials, ClientCredentials::Keys(_)),
                bound_tokens: row.bound_tokens,
                created_at: row.created_at,
                revoked_at: row.revoked_at,
            })
            .collect())
    }
}
