//! The write of captures: many in one commit, one by one when the many fail together.

use std::sync::Arc;

use kernel::consent::EventKind;
use kernel::entropy::Entropy;
use kernel::id::ReceiptId;
use kernel::purpose::Purpose;
use kernel::seal::Keyring;
use kernel::time::Timestamp;
use serde::{Deserialize, Serialize};
use store::change::{Capture, CaptureConsents, Captured};
use store::{Store, StoreError};

use crate::error::{AppError, Code};

/// What answers a repetition of a post. No personal data: it is stored in the clear.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Outcome {
    pub(super) receipt: ReceiptId,
    pub(super) recorded_at: Timestamp,
    pub(super) events: Vec<(EventKind, Option<Purpose>)>,
}

impl Outcome {
    pub(super) fn to_bytes(&self) -> Option<Vec<u8>> {
        serde_json::to_vec(self).ok()
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }
}

/// Commits captures together. A fault in one must not cost the others: then each is tried by itself.
pub(crate) async fn write_captures(
    store: &Store,
    keyring: &Arc<Keyring>,
    entropy: &Arc<dyn Entropy>,
    captures: Vec<Capture>,
    at: Timestamp,
) -> Vec<Result<Captured, AppError>> {
    let change = CaptureConsents { captures, keyring: Arc::clone(keyring), entropy: Arc::clone(entropy), at };
    let error = match store.perform(&change).await {
        Ok((captured, _committed)) => return captured.into_iter().map(Ok).collect(),
        Err(error) => error,
    };
    if change.captures.len() <= 1 || matches!(error, StoreError::Unavailable) {
        tracing::warn!(error = %error, captures = change.captures.len(), "captures were not recorded");
        return change.captures.iter().map(|_| Err(failed(&error))).collect();
    }
    let mut results = Vec::with_capacity(change.captures.len());
    for capture in change.captures {
        let single = CaptureConsents {
            captures: vec![capture],
            keyring: Arc::clone(keyring),
            entropy: Arc::clone(entropy),
            at,
        };
        results.push(match store.perform(&single).await {
            Ok((captured, _committed)) => {
                captured.into_iter().next().ok_or_else(|| AppError::internal("a capture has no result"))
            }
            Err(error) => Err(failed(&error)),
        });
    }
    results
}

fn failed(error: &StoreError) -> AppError {
    match error {
        StoreError::NoFirstStep => AppError::Conflict(Code::OptInStepMissing),
        error if error.is_transient() => AppError::Unavailable,
        error => AppError::internal(error),
    }
}
