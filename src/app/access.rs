//! Callers: clients with hashed secrets, and the short-lived tokens they get for them.

use std::collections::BTreeMap;
use std::sync::RwLock;

use kernel::authn::{ClientSecret, SecretHash, TokenClaims};
use kernel::authz::{Actor, Authorized, ClientActor, ManageClients, Scope};
use kernel::client::ClientId;
use kernel::id::TokenId;
use kernel::ledger::{AttemptRefusal, RefusedAttempt};
use kernel::purpose::Purpose;
use kernel::recipient::RecipientId;
use kernel::source::SourceId;
use kernel::time::Timestamp;
use store::StoreError;
use store::change::{RegisterClient, RevokeClient};
use store::query::ClientRow;

use crate::error::{AppError, Code, Fault};
use crate::figures::count;
use crate::gateway::Gateway;

/// How long a client's row is believed without asking the store: the longest a revocation on another replica takes.
const CLIENT_FRESH_MS: i64 = 1_000;
/// The most verified tokens and clients remembered.
const MOST_REMEMBERED: usize = 4_096;

/// A token just issued (RFC 6749 §5.1).
#[derive(Clone)]
pub struct IssuedToken {
    /// The token.
    pub access_token: String,
    /// Its life in seconds.
    pub expires_in: u32,
    /// The scope granted, parted by spaces.
    pub scope: String,
}

impl std::fmt::Debug for IssuedToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IssuedToken").field("scope", &self.scope).finish_non_exhaustive()
    }
}

/// Why no token is issued (RFC 6749 §5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenDenial {
    /// Unknown client, wrong secret or revoked: the same for all.
    InvalidClient,
    /// A scope or purpose that the client does not have.
    InvalidScope,
    /// The store does not answer.
    Unavailable,
}

/// Why a token is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthenticateError {
    /// Not ours, altered, expired or of a revoked client.
    Invalid,
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
    /// Since when.
    pub created_at: Timestamp,
    /// Since when no more.
    pub revoked_at: Option<Timestamp>,
}

/// What was verified lately, bounded in number and time.
#[derive(Debug, Default)]
pub(crate) struct ClientCache {
    tokens: RwLock<BTreeMap<[u8; 32], TokenClaims>>,
    clients: RwLock<BTreeMap<ClientId, (Timestamp, Option<ClientState>)>>,
}

/// What authentication needs of a client's row.
#[derive(Debug, Clone)]
struct ClientState {
    source: Option<SourceId>,
    recipient: Option<RecipientId>,
}

impl ClientCache {
    fn forget(&self, client: &ClientId) {
        self.clients.write().unwrap_or_else(std::sync::PoisonError::into_inner).remove(client);
    }
}

impl Gateway {
    /// Issues an access token for a client's secret (RFC 6749 §4.4). `scope` may name scopes and `purpose:<id>`; what
    /// it leaves out is not granted; without it the client gets all it may have.
    ///
    /// # Errors
    /// See [`TokenDenial`].
    pub async fn issue_token(
        &self,
        client_id: &str,
        secret: &str,
        scope: Option<&str>,
    ) -> Result<IssuedToken, TokenDenial> {
        let result = self.try_issue_token(client_id, secret, scope).await;
        let counters = &self.inner.counters;
        match &result {
            Ok(_) => count(&counters.tokens_issued),
            Err(TokenDenial::Unavailable) => {}
            Err(denial) => {
                count(&counters.tokens_denied);
                let reason = match denial {
                    TokenDenial::InvalidScope => AttemptRefusal::InsufficientScope,
                    _ => AttemptRefusal::WrongSecret,
                };
                // Only a name that is registered: what a stranger types does not enter the ledger.
                let client = match client_id.parse() {
                    Ok(id) => self.inner.store.client(&id).await.map_err(|_| TokenDenial::Unavailable)?,
                    Err(_) => None,
                };
                self.note_refusal(client.map(|client| client.id), RefusedAttempt::IssueToken, reason)
                    .await
                    .map_err(|_| TokenDenial::Unavailable)?;
            }
        }
        result
    }

    async fn try_issue_token(
        &self,
        client_id: &str,
        secret: &str,
        scope: Option<&str>,
    ) -> Result<IssuedToken, TokenDenial> {
        let row = match client_id.parse::<ClientId>() {
            Ok(id) => self.inner.store.client(&id).await.map_err(|_| TokenDenial::Unavailable)?,
            Err(_) => None,
        };
        // An unknown client costs the same time as a known one with a wrong secret.
        let live = row.filter(|row| row.revoked_at.is_none());
        let hash = live.as_ref().and_then(|row| row.secret_hash.parse().ok());
        let known = hash.is_some();
        let hash: SecretHash = hash.unwrap_or_else(|| self.inner.dummy_hash.clone());
        let secret = zeroize::Zeroizing::new(secret.to_owned());
        let _place = self.inner.hashing.acquire().await.map_err(|_| TokenDenial::Unavailable)?;
        let right = tokio::task::spawn_blocking(move || hash.verify(&secret))
            .await
            .map_err(|_| TokenDenial::Unavailable)?;
        let row = live.filter(|_| right && known).ok_or(TokenDenial::InvalidClient)?;
        self.sign_token(&row, scope)
    }

    fn sign_token(&self, row: &ClientRow, scope: Option<&str>) -> Result<IssuedToken, TokenDenial> {
        let (scopes, purposes) = granted(self, row, scope).ok_or(TokenDenial::InvalidScope)?;
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
            client: row.id.clone(),
            id: TokenId::generate(&*self.inner.entropy),
            issued_at: now,
            expires_at: now.plus_ms(i64::from(settings.token_seconds).saturating_mul(1000)),
            scope: names.join(" "),
            recipient: row.recipient.clone(),
            purposes,
        };
        let access_token = self.inner.token_signer.sign(&claims).map_err(|_| TokenDenial::Unavailable)?;
        Ok(IssuedToken { access_token, expires_in: settings.token_seconds, scope: claims.scope })
    }

    /// Who presents a token. A token verified before is not verified again, but its client must still stand.
    ///
    /// # Errors
    /// See [`AuthenticateError`].
    pub async fn authenticate(&self, token: &str) -> Result<Actor, AuthenticateError> {
        let now = self.now();
        let digest = self.request_fingerprint(&[b"access token", token.as_bytes()]);
        let tokens = &self.inner.clients.tokens;
        let remembered = tokens.read().unwrap_or_else(std::sync::PoisonError::into_inner).get(&digest).cloned();
        let claims = match remembered.filter(|claims| claims.expires_at > now) {
            Some(claims) => claims,
            None => {
                let settings = self.settings();
                let verifier = self.inner.token_signer.verifier();
                let claims = verifier
                    .verify(token, now, &settings.issuer, &settings.audience)
                    .map_err(|_| AuthenticateError::Invalid)?;
                let mut tokens = tokens.write().unwrap_or_else(std::sync::PoisonError::into_inner);
                if tokens.len() >= MOST_REMEMBERED {
                    tokens.retain(|_, known| known.expires_at > now);
                }
                if tokens.len() >= MOST_REMEMBERED {
                    tokens.clear();
                }
                tokens.insert(digest, claims.clone());
                claims
            }
        };
        let state = self.client_state(&claims.client, now).await?.ok_or(AuthenticateError::Invalid)?;
        if state.recipient != claims.recipient {
            return Err(AuthenticateError::Invalid);
        }
        Ok(Actor::Client(ClientActor {
            scopes: claims.scope.split(' ').filter_map(Scope::parse).collect(),
            client: claims.client,
            recipient: claims.recipient,
            source: state.source,
            purposes: claims.purposes,
        }))
    }

    async fn client_state(&self, id: &ClientId, now: Timestamp) -> Result<Option<ClientState>, AuthenticateError> {
        let clients = &self.inner.clients.clients;
        let remembered = clients.read().unwrap_or_else(std::sync::PoisonError::into_inner).get(id).cloned();
        if let Some((at, state)) = remembered
            && (0..CLIENT_FRESH_MS).contains(&now.since_ms(at))
        {
            return Ok(state);
        }
        let row = self.inner.store.client(id).await.map_err(|_| AuthenticateError::Unavailable)?;
        let state = row
            .filter(|row| row.revoked_at.is_none())
            .map(|row| ClientState { source: row.source, recipient: row.recipient });
        let mut clients = clients.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        if clients.len() >= MOST_REMEMBERED {
            clients.clear();
        }
        clients.insert(id.clone(), (now, state.clone()));
        Ok(state)
    }

    /// The public keys of the tokens and of the receipts (RFC 7517). What is signed with one never passes for the
    /// other: each says its type, and each is checked with its own keys alone.
    #[must_use]
    pub fn jwks(&self) -> serde_json::Value {
        let mut all = self.inner.token_signer.jwks();
        let mut receipts = self.inner.receipt_signer.verifier().jwks();
        let keys = receipts.get_mut("keys").and_then(serde_json::Value::as_array_mut).map(std::mem::take);
        if let Some(all) = all.get_mut("keys").and_then(serde_json::Value::as_array_mut) {
            all.extend(keys.unwrap_or_default());
        }
        all
    }

    /// Registers a client and returns its secret, which is shown this once and kept only as a hash.
    ///
    /// # Errors
    /// When its recipient or purposes are not in the policy, or the name is taken.
    pub async fn register_client(
        &self,
        _by: &Authorized<ManageClients>,
        new: NewClient,
    ) -> Result<String, AppError> {
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
        let secret = ClientSecret::from_random(self.inner.entropy.bytes_32());
        let text = zeroize::Zeroizing::new(secret.expose().to_owned());
        let (cost, salt) = (self.settings().hash_cost, self.inner.entropy.bytes_16());
        let hash = tokio::task::spawn_blocking(move || SecretHash::hash(&text, cost, salt))
            .await
            .map_err(AppError::internal)?
            .map_err(AppError::internal)?;
        let change = RegisterClient {
            client: new.id,
            secret_hash: hash.as_str().to_owned(),
            recipient: new.recipient,
            source: new.source,
            scopes: new.scopes,
            purposes: new.purposes,
            at: self.now(),
        };
        match self.inner.store.perform(&change).await {
            Ok(_) => {
                self.inner.clients.forget(&change.client);
                Ok(secret.expose().to_owned())
            }
            Err(StoreError::Conflict) => Err(AppError::Conflict(Code::NameTaken)),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes a client's credentials back; says whether there was such a client.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn revoke_client(&self, _by: &Authorized<ManageClients>, id: &ClientId) -> Result<bool, AppError> {
        let (revoked, _committed) =
            self.inner.store.perform(&RevokeClient { client: id.clone(), at: self.now() }).await?;
        self.inner.clients.forget(id);
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
                created_at: row.created_at,
                revoked_at: row.revoked_at,
            })
            .collect())
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
