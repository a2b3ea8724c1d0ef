//! Removes idempotency keys whose time is over: what answered a post is kept no longer than needed.

use kernel::time::Timestamp;

use super::{Change, sealed};
use crate::error::StoreError;
use crate::statement::sql;
use crate::unit_of_work::{Conn, Entries, Unchanged};

/// A sweep.
#[derive(Debug, Clone, Copy)]
pub struct PurgeExpiredKeys {
    /// Now.
    pub at: Timestamp,
}

impl sealed::Sealed for PurgeExpiredKeys {}

impl Change for PurgeExpiredKeys {
    /// How many were removed.
    type Output = u64;
    const NAME: &'static str = "purge_expired_keys";

    async fn apply(&self, conn: &Conn<'_>) -> Result<u64, StoreError> {
        sql("DELETE FROM idempotency_key WHERE expires_at <= $1")
            .with(self.at.as_millis())
            .execute(conn.raw())
            .await
    }

    fn entries(&self, _: &u64) -> Entries {
        Entries::unchanged(Unchanged::Housekeeping)
    }
}
