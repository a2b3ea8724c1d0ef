//! Removes what is remembered of callers no longer than it matters: ended tokens, used proofs, ended sessions and links,
//! old failures to sign in.

use kernel::time::Timestamp;

use super::{Change, sealed};
use crate::error::StoreError;
use crate::statement::sql;
use crate::unit_of_work::{Conn, Entries, Unchanged};

/// A sweep.
#[derive(Debug, Clone, Copy)]
pub struct PurgeAccess {
    /// Now.
    pub at: Timestamp,
}

impl sealed::Sealed for PurgeAccess {}

impl Change for PurgeAccess {
    /// How many rows were removed.
    type Output = u64;
    const NAME: &'static str = "purge_access";

    async fn apply(&self, conn: &Conn<'_>) -> Result<u64, StoreError> {
        let mut removed = 0;
        for statement in [
            "DELETE FROM revoked_token WHERE expires_at <= $1",
            "DELETE FROM used_once WHERE expires_at <= $1",
            "DELETE FROM staff_session WHERE expires_at <= $1",
            "DELETE FROM staff_invitation WHERE expires_at <= $1",
            "DELETE FROM sign_in_failure WHERE expires_at <= $1",
        ] {
            removed += sql(statement).with(self.at.as_millis()).execute(conn.raw()).await?;
        }
        Ok(removed)
    }

    fn entries(&self, _: &u64) -> Entries {
        Entries::unchanged(Unchanged::Housekeeping)
    }
}
