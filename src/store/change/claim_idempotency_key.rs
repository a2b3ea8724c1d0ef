//! Claims an idempotency key for a request that other changes of the same unit carry out.

use kernel::time::Timestamp;

use super::{Change, IdempotencyClaim, sealed};
use crate::error::StoreError;
use crate::statement::sql;
use crate::unit_of_work::{Conn, Entries, Unchanged};

/// A claim. When the key is taken the unit fails with [`StoreError::Conflict`], and nothing of it remains.
#[derive(Debug, Clone)]
pub struct ClaimIdempotencyKey {
    /// The key, the request and what answers a repetition.
    pub claim: IdempotencyClaim,
    /// Now.
    pub at: Timestamp,
}

impl sealed::Sealed for ClaimIdempotencyKey {}

impl Change for ClaimIdempotencyKey {
    type Output = ();
    const NAME: &'static str = "claim_idempotency_key";

    async fn apply(&self, conn: &Conn<'_>) -> Result<(), StoreError> {
        let claim = &self.claim;
        let claimed =
            sql("INSERT INTO idempotency_key AS k (scope, key, request, outcome, created_at, expires_at) \
             VALUES ($1, $2, $3, $4, $5, $6) \
             ON CONFLICT (scope, key) DO UPDATE SET request = excluded.request, subject_id = NULL, \
                 outcome = excluded.outcome, created_at = excluded.created_at, expires_at = excluded.expires_at \
             WHERE k.expires_at <= $5")
            .with(claim.scope.as_str())
            .with_bytes(&claim.key)
            .with_bytes(&claim.request)
            .with(claim.outcome.clone())
            .with(self.at.as_millis())
            .with(claim.expires_at.as_millis())
            .execute(conn.raw())
            .await?;
        if claimed == 1 { Ok(()) } else { Err(StoreError::Conflict) }
    }

    fn entries(&self, (): &()) -> Entries {
        Entries::unchanged(Unchanged::ToldElsewhere)
    }
}
