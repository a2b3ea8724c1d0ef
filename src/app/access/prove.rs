//! A client proves who it is: with its secret, or with a signature that is good once and for us alone.

use kernel::authn::{Assertion, SecretHash};
use kernel::ledger::{AttemptRefusal, RefusedAttempt};
use kernel::time::Timestamp;
use store::change::OnceClaim;
use store::query::{ClientCredentials, ClientRow};
use zeroize::Zeroizing;

use super::TokenDenial;
use crate::denied::Author;
use crate::error::AppError;
use crate::gateway::Gateway;

/// What a client shows of itself.
pub enum ClientProof {
    /// Its name and secret (RFC 6749 §2.3.1).
    Secret {
        /// The name.
        client: String,
        /// The secret.
        secret: Zeroizing<String>,
    },
    /// Something that it signed (RFC 7523 §2.2).
    Assertion {
        /// The name, where it is given beside.
        client: Option<String>,
        /// What it signed.
        assertion: String,
    },
}

impl std::fmt::Debug for ClientProof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Secret { .. } => "Secret(..)",
            Self::Assertion { .. } => "Assertion(..)",
        })
    }
}

impl Gateway {
    /// The client that proves itself so. A failure is on record before it is told.
    pub(super) async fn prove_client(
        &self,
        proof: &ClientProof,
        attempt: RefusedAttempt,
    ) -> Result<ClientRow, TokenDenial> {
        let claimed = match proof {
            ClientProof::Secret { client, .. } => client.parse().ok(),
            ClientProof::Assertion { client, assertion } => {
                let claimed = Assertion::claimed_client(assertion);
                claimed.filter(|claimed| client.as_ref().is_none_or(|named| claimed.as_str() == named))
            }
        };
        let row = match &claimed {
            Some(id) => self.inner.store.client(id).await.map_err(|_| TokenDenial::Unavailable)?,
            None => None,
        };
        // Only a name that is registered enters the ledger, never what a stranger types.
        let known = row.as_ref().map(|row| row.id.clone());
        let live = row.filter(|row| row.revoked_at.is_none());
        let proven = match proof {
            ClientProof::Secret { secret, .. } => self.prove_by_secret(live, secret).await,
            ClientProof::Assertion { assertion, .. } => self.prove_by_assertion(live, assertion).await,
        };
        match proven {
            Ok(row) => Ok(row),
            Err(None) => Err(TokenDenial::Unavailable),
            Err(Some(reason)) => {
                self.note_denied_by(Author::client(known), attempt, reason).await;
                Err(TokenDenial::InvalidClient)
            }
        }
    }

    async fn prove_by_secret(
        &self,
        live: Option<ClientRow>,
        secret: &Zeroizing<String>,
    ) -> Result<ClientRow, Option<AttemptRefusal>> {
        // An unknown client costs the same time as a known one with a wrong secret.
        let hash = live.as_ref().and_then(|row| match &row.credentials {
            ClientCredentials::Secret(hash) => hash.parse::<SecretHash>().ok(),
            ClientCredentials::Keys(_) => None,
        });
        let is_known = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.inner.dummy_hash.clone());
        let secret = secret.clone();
        let _place = self.inner.hashing.acquire().await.map_err(|_| None)?;
        let right = tokio::task::spawn_blocking(move || hash.verify(&secret)).await.map_err(|_| None)?;
        live.filter(|_| right && is_known).ok_or(Some(AttemptRefusal::WrongSecret))
    }

    async fn prove_by_assertion(
        &self,
        live: Option<ClientRow>,
        assertion: &str,
    ) -> Result<ClientRow, Option<AttemptRefusal>> {
        let invalid = Some(AttemptRefusal::InvalidToken);
        let row = live.ok_or(invalid)?;
        let ClientCredentials::Keys(keys) = &row.credentials else { return Err(invalid) };
        let issuer = self.settings().issuer.as_str();
        let endpoint = format!("{issuer}/oauth/token");
        let assertion =
            Assertion::verify(assertion, &row.id, keys, &[issuer, &endpoint], self.now()).map_err(|_| invalid)?;
        let parts = once_parts(b"assertion", row.id.as_str().as_bytes(), assertion.id.as_bytes());
        let is_first = self.use_once(&parts, assertion.expires_at).await.map_err(|_| None)?;
        if is_first { Ok(row) } else { Err(Some(AttemptRefusal::Replayed)) }
    }

    /// Uses something up that may be used once, and says whether it was the first time. It is remembered under a keyed digest;
    /// for a day after that key was rotated under both, so that two gateways that differ see the same.
    ///
    /// # Errors
    /// When the store does not answer: then it is not known.
    pub(crate) async fn use_once(&self, parts: &[&[u8]], expires_at: Timestamp) -> Result<bool, AppError> {
        for digest in self.inner.keyring.recent_request_fingerprints(parts) {
            if !self.inner.once.submit(OnceClaim { digest, expires_at }).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// What something is remembered as that may be used once.
pub(super) const fn once_parts<'a>(kind: &'a [u8], whose: &'a [u8], id: &'a [u8]) -> [&'a [u8]; 4] {
    [b"used once v1", kind, whose, id]
}
