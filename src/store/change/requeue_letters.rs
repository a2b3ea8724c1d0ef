//! Puts letters that were refused for good back into the queue, as long as their links are good: what refused them may
//! have been set right.

use kernel::time::Timestamp;

use super::{Change, sealed};
use crate::error::StoreError;
use crate::statement::sql;
use crate::unit_of_work::{Conn, Entries, Unchanged};

/// Another try.
#[derive(Debug, Clone, Copy)]
pub struct RequeueLetters {
    /// Now.
    pub at: Timestamp,
}

impl sealed::Sealed for RequeueLetters {}

impl Change for RequeueLetters {
    /// How many there were.
    type Output = u64;
    const NAME: &'static str = "requeue_letters";

    async fn apply(&self, conn: &Conn<'_>) -> Result<u64, StoreError> {
        sql("UPDATE outbox SET failed_at = NULL, next_attempt_at = $1 \
             WHERE failed_at IS NOT NULL AND expires_at > $1")
        .with(self.at.as_millis())
        .execute(conn.raw())
        .await
    }

    fn entries(&self, _: &u64) -> Entries {
        Entries::unchanged(Unchanged::Delivery)
    }
}
