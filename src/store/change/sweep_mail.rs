//! Removes what the mail no longer needs: quotas that no longer count, and tokens that were answered long ago.

use kernel::time::Timestamp;

use super::{Change, sealed};
use crate::error::StoreError;
use crate::statement::sql;
use crate::unit_of_work::{Conn, Entries, Unchanged};

/// A sweep.
#[derive(Debug, Clone, Copy)]
pub struct SweepMail {
    /// Confirmed requests from before this are forgotten; their events are not.
    pub before: Timestamp,
    /// Now.
    pub at: Timestamp,
}

impl sealed::Sealed for SweepMail {}

impl Change for SweepMail {
    type Output = ();
    const NAME: &'static str = "sweep_mail";

    async fn apply(&self, conn: &Conn<'_>) -> Result<(), StoreError> {
        sql("DELETE FROM mail_quota WHERE until <= $1").with(self.at.as_millis()).execute(conn.raw()).await?;
        sql("DELETE FROM confirmation WHERE requested_at <= $1 AND confirmed_at IS NOT NULL")
            .with(self.before.as_millis())
            .execute(conn.raw())
            .await?;
        Ok(())
    }

    fn entries(&self, (): &()) -> Entries {
        Entries::unchanged(Unchanged::Housekeeping)
    }
}
