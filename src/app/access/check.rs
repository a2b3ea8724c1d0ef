//! Whether a token is good now. What was verified before is not verified again, but no answer is given before the store
//! said that nothing was taken away since: one small read, which requests that wait at the same time share.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use kernel::authn::{KeyThumbprint, TokenClaims};
use kernel::authz::{Actor, Authorized, ClientActor, ReadProfiles, Scope};
use kernel::time::Timestamp;
use store::Store;
use store::change::{ClaimOnce, OnceClaim};
use tokio::runtime::Handle;

use super::possession::PossessionDenial;
use super::{AuthenticateError, PresentedToken};
use crate::batcher::{BatchSize, Batcher};
use crate::error::AppError;
use crate::gateway::{Gateway, gathered};

/// The most verified tokens remembered.
const MOST_REMEMBERED: usize = 4_096;
/// The most requests that share one look at the access revision, or one commit of what is used once.
const SHARED: BatchSize = BatchSize { at_once: 2, worthwhile: 1, most: 256 };

/// Tokens verified lately, bounded in number and time.
#[derive(Debug, Default)]
pub(crate) struct KnownTokens(RwLock<BTreeMap<[u8; 32], Arc<KnownToken>>>);

#[derive(Debug)]
struct KnownToken {
    /// The access revision before it was checked.
    revision: u64,
    expires_at: Timestamp,
    key: Option<KeyThumbprint>,
    actor: ClientActor,
    /// That whoever has it may read profiles, if they may.
    reads: Option<Authorized<ReadProfiles>>,
}

/// A recipient as remembered from when its token was verified. It is good for [`Gateway::lookup_remembered`] alone,
/// which reads in one statement the persons and whether rights were taken away since.
#[derive(Debug, Clone)]
pub struct RememberedReader(Arc<KnownToken>);

impl RememberedReader {
    /// Who it was.
    #[must_use]
    pub fn actor(&self) -> Option<&Actor> {
        self.by().map(Authorized::actor)
    }

    /// That it could read profiles.
    pub(crate) fn by(&self) -> Option<&Authorized<ReadProfiles>> {
        self.0.reads.as_ref()
    }

    /// The access revision up to which that is known.
    pub(crate) fn as_of(&self) -> u64 {
        self.0.revision
    }
}

impl KnownTokens {
    fn get(&self, digest: &[u8; 32], now: Timestamp) -> Option<Arc<KnownToken>> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.get(digest).filter(|token| token.expires_at > now).cloned()
    }

    fn put(&self, digest: [u8; 32], token: Arc<KnownToken>, now: Timestamp) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_REMEMBERED {
            known.retain(|_, other| other.expires_at > now && other.revision == token.revision);
        }
        if known.len() >= MOST_REMEMBERED {
            known.clear();
        }
        known.insert(digest, token);
    }
}

/// Reads the access revision, once for all who wait.
pub(crate) fn revision_readers(runtime: &Handle, store: &Store) -> Batcher<(), u64> {
    let store = store.clone();
    Batcher::new(gathered(runtime, &store), SHARED, move |asked: Vec<()>| {
        let store = store.clone();
        async move {
            let revision = store.access_revision().await;
            asked
                .iter()
                .map(|()| revision.as_ref().map(|revision| *revision).map_err(|_| AppError::Unavailable))
                .collect()
        }
    })
}

/// Uses up what may be used once, many in one commit.
pub(crate) fn once_writers(runtime: &Handle, store: &Store) -> Batcher<OnceClaim, bool> {
    let store = store.clone();
    Batcher::new(gathered(runtime, &store), SHARED, move |claims: Vec<OnceClaim>| {
        let store = store.clone();
        async move {
            let many = claims.len();
            match store.perform(&ClaimOnce { claims }).await {
                Ok((fresh, _committed)) => fresh.into_iter().map(Ok).collect(),
                Err(_) => (0..many).map(|_| Err(AppError::Unavailable)).collect(),
            }
        }
    })
}

impl Gateway {
    /// Who presents a token.
    ///
    /// # Errors
    /// See [`AuthenticateError`].
    pub async fn authenticate(&self, presented: PresentedToken<'_>) -> Result<Actor, AuthenticateError> {
        let PresentedToken { token, possession } = presented;
        let known = self.known_token(token).await?;
        match (known.key, possession) {
            (None, None) => {}
            (Some(bound), Some(proof)) => {
                let held = self.check_possession(proof, Some(token)).await.map_err(|denial| match denial {
                    PossessionDenial::Invalid | PossessionDenial::Replayed => AuthenticateError::InvalidPossession,
                    PossessionDenial::UseNonce(nonce) => AuthenticateError::UseNonce(nonce),
                    PossessionDenial::Unavailable => AuthenticateError::Unavailable,
                })?;
                if held != bound {
                    return Err(AuthenticateError::InvalidPossession);
                }
            }
            // RFC 9449 §7.2: a bound token is no bearer token, and the other way round.
            (Some(_), None) | (None, Some(_)) => return Err(AuthenticateError::Invalid),
        }
        Ok(Actor::Client(known.actor.clone()))
    }

    /// The recipient who presents a bearer token, if it was verified lately: nothing is asked of the store. Only what
    /// finds out by itself whether that still holds takes it.
    #[must_use]
    pub fn remembered_reader(&self, presented: &PresentedToken<'_>) -> Option<RememberedReader> {
        if presented.possession.is_some() {
            return None;
        }
        let digest = self.request_fingerprint(&[b"access token", presented.token.as_bytes()]);
        let known = self.inner.known_tokens.get(&digest, self.now())?;
        (known.key.is_none() && known.reads.is_some()).then_some(RememberedReader(known))
    }

    async fn known_token(&self, token: &str) -> Result<Arc<KnownToken>, AuthenticateError> {
        // Before anything else: what was taken away before this request began is seen by this read.
        let revision = self.inner.revisions.submit(()).await.map_err(|_| AuthenticateError::Unavailable)?;
        let now = self.now();
        let digest = self.request_fingerprint(&[b"access token", token.as_bytes()]);
        if let Some(known) = self.inner.known_tokens.get(&digest, now).filter(|known| known.revision == revision) {
            return Ok(known);
        }
        let (claims, actor) = self.live_token(token, now).await?.ok_or(AuthenticateError::Invalid)?;
        let reads = Authorized::prove(Actor::Client(actor.clone())).ok();
        let known =
            Arc::new(KnownToken { revision, expires_at: claims.expires_at, key: claims.key, actor, reads });
        self.inner.known_tokens.put(digest, Arc::clone(&known), now);
        Ok(known)
    }

    /// What a token says and for whom it stands, if it is ours, within its time, not taken back, and its client stands
    /// with the credentials and the recipient for which it was issued.
    pub(super) async fn live_token(
        &self,
        token: &str,
        now: Timestamp,
    ) -> Result<Option<(TokenClaims, ClientActor)>, AuthenticateError> {
        let settings = self.settings();
        let Ok(claims) = self.signers().tokens.verify(token, now, &settings.issuer, &settings.audience) else {
            return Ok(None);
        };
        let store = &self.inner.store;
        if store.is_token_revoked(claims.id).await.map_err(|_| AuthenticateError::Unavailable)? {
            return Ok(None);
        }
        let row = store.client(&claims.client).await.map_err(|_| AuthenticateError::Unavailable)?;
        let row = row.filter(|row| {
            row.revoked_at.is_none() && row.generation == claims.generation && row.recipient == claims.recipient
        });
        Ok(row.map(|row| {
            let granted = claims.scope.split(' ').filter_map(Scope::parse);
            let actor = ClientActor {
                scopes: granted.filter(|scope| row.scopes.contains(scope)).collect(),
                client: row.id,
                recipient: row.recipient,
                source: row.source,
                purposes: claims.purposes.clone(),
            };
            (claims, actor)
        }))
    }
}
