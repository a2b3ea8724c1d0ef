//! Proofs of possession: checked, used once on all replicas, and fresh where the operator asks for nonces.

use kernel::authn::{KeyThumbprint, Possession, ProvenRequest};
use kernel::id::hex;
use kernel::ledger::AttemptRefusal;
use kernel::time::Timestamp;

use super::prove::once_parts;
use crate::gateway::Gateway;

/// How long a nonce is handed out; the one before it counts as long again.
const NONCE_MS: i64 = 300_000;

/// A proof as it came with a request.
#[derive(Clone, Copy)]
pub struct PresentedProof<'a> {
    /// The value of the `DPoP` header.
    pub proof: &'a str,
    /// The request's method.
    pub method: &'a str,
    /// The request's path.
    pub path: &'a str,
}

impl std::fmt::Debug for PresentedProof<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PresentedProof").field("method", &self.method).finish_non_exhaustive()
    }
}

/// Why a proof does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PossessionDenial {
    Invalid,
    Replayed,
    UseNonce(String),
    Unavailable,
}

impl PossessionDenial {
    /// What the ledger says of it. To be asked for a nonce is no refusal.
    pub(super) const fn refusal(&self) -> Option<AttemptRefusal> {
        match self {
            Self::Invalid => Some(AttemptRefusal::NoPossession),
            Self::Replayed => Some(AttemptRefusal::Replayed),
            Self::UseNonce(_) | Self::Unavailable => None,
        }
    }
}

impl Gateway {
    /// The key that a proof shows, for this request and, at a resource, this token.
    pub(super) async fn check_possession(
        &self,
        presented: PresentedProof<'_>,
        token: Option<&str>,
    ) -> Result<KeyThumbprint, PossessionDenial> {
        let now = self.now();
        let url = format!("{}{}", self.settings().issuer, presented.path);
        let request = ProvenRequest { method: presented.method, url: &url, token };
        let possession =
            Possession::verify(presented.proof, request, now).map_err(|_| PossessionDenial::Invalid)?;
        if self.settings().dpop_nonces {
            let known = [now, now.plus_ms(-NONCE_MS)].map(|at| self.dpop_nonces(at));
            let is_fresh = |nonce: &String| known.iter().flatten().any(|known| known == nonce);
            if !possession.nonce.as_ref().is_some_and(is_fresh) {
                return Err(PossessionDenial::UseNonce(self.dpop_nonce(now)));
            }
        }
        let parts = once_parts(b"proof", possession.key.as_bytes(), possession.id.as_bytes());
        match self.use_once(&parts, possession.expires_at).await {
            Ok(true) => Ok(possession.key),
            Ok(false) => Err(PossessionDenial::Replayed),
            Err(_) => Err(PossessionDenial::Unavailable),
        }
    }

    /// The nonce of an instant: every replica knows it, and nobody else before it is told.
    fn dpop_nonce(&self, now: Timestamp) -> String {
        nonce_of(&self.request_fingerprint(&[NONCE, &window_of(now)]))
    }

    /// The nonces of an instant that replicas tell, who may be at different versions of the key.
    fn dpop_nonces(&self, now: Timestamp) -> Vec<String> {
        let digests = self.inner.keyring.recent_request_fingerprints(&[NONCE, &window_of(now)]);
        digests.iter().map(nonce_of).collect()
    }
}

const NONCE: &[u8] = b"dpop nonce v1";

const fn window_of(now: Timestamp) -> [u8; 8] {
    now.as_millis().div_euclid(NONCE_MS).to_be_bytes()
}

fn nonce_of(digest: &[u8; 32]) -> String {
    hex(digest.get(..16).unwrap_or(digest))
}
