//! Counts an attempt to sign in before it is looked at, so that many at once are no way around the wait.

use kernel::staff::wait_after_ms;
use kernel::time::Timestamp;

use crate::Backend;
use crate::change::{Change, sealed};
use crate::error::StoreError;
use crate::statement::sql;
use crate::unit_of_work::{Conn, Entries, Unchanged};

/// How long failures are remembered after the last one.
const REMEMBERED_MS: i64 = 86_400_000;

/// An attempt. It counts as failed until whoever makes it succeeds.
#[derive(Clone)]
pub struct BeginAttempt {
    /// The account and the machine, as a keyed digest.
    pub bucket: [u8; 32],
    /// Now.
    pub at: Timestamp,
}

impl std::fmt::Debug for BeginAttempt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BeginAttempt(..)")
    }
}

/// Whether an attempt may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempted {
    /// It may, and is counted.
    Now,
    /// Not for so many milliseconds; it is not counted, so that whoever keeps trying does not wait for ever.
    Wait(i64),
}

impl sealed::Sealed for BeginAttempt {}

impl Change for BeginAttempt {
    type Output = Attempted;
    const NAME: &'static str = "begin_attempt";

    async fn apply(&self, conn: &Conn<'_>) -> Result<Attempted, StoreError> {
        let at = self.at.as_millis();
        sql("INSERT INTO sign_in_failure (bucket, failures, last_at, expires_at) VALUES ($1, 0, $2, $3) \
             ON CONFLICT DO NOTHING")
        .with_bytes(&self.bucket)
        .with(at)
        .with(at.saturating_add(REMEMBERED_MS))
        .execute(conn.raw())
        .await?;
        let row = match conn.backend() {
            Backend::Postgres => {
                sql("SELECT failures, last_at, expires_at FROM sign_in_failure WHERE bucket = $1 FOR UPDATE")
            }
            // The transaction holds the write lock.
            Backend::Sqlite => sql("SELECT failures, last_at, expires_at FROM sign_in_failure WHERE bucket = $1"),
        };
        let row = row.with_bytes(&self.bucket).only_row(conn.raw()).await?;
        let (failures, last_at, expires_at): (i32, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let failures =
            if expires_at <= at { 0 } else { u32::try_from(failures).map_err(|_| StoreError::Tampered)? };
        let wait = last_at.saturating_add(wait_after_ms(failures)).saturating_sub(at);
        // A clock that was set back is not waited for.
        if failures > 0 && wait > 0 && last_at <= at {
            return Ok(Attempted::Wait(wait));
        }
        let counted = i32::try_from(failures.saturating_add(1)).unwrap_or(i32::MAX);
        sql("UPDATE sign_in_failure SET failures = $2, last_at = $3, expires_at = $4 WHERE bucket = $1")
            .with_bytes(&self.bucket)
            .with(counted)
            .with(at)
            .with(at.saturating_add(REMEMBERED_MS))
            .execute(conn.raw())
            .await?;
        Ok(Attempted::Now)
    }

    fn entries(&self, _: &Attempted) -> Entries {
        Entries::unchanged(Unchanged::Prepared)
    }
}

/// Forgets the failures of a bucket: whoever made them has succeeded.
pub(super) async fn forget(conn: &Conn<'_>, bucket: &[u8; 32]) -> Result<(), StoreError> {
    sql("DELETE FROM sign_in_failure WHERE bucket = $1").with_bytes(bucket).execute(conn.raw()).await?;
    Ok(())
}

/// The failures of a bucket are forgotten.
#[derive(Clone)]
pub struct ForgetAttempts {
    /// The bucket.
    pub bucket: [u8; 32],
}

impl std::fmt::Debug for ForgetAttempts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ForgetAttempts(..)")
    }
}

impl sealed::Sealed for ForgetAttempts {}

impl Change for ForgetAttempts {
    type Output = ();
    const NAME: &'static str = "forget_attempts";

    async fn apply(&self, conn: &Conn<'_>) -> Result<(), StoreError> {
        forget(conn, &self.bucket).await
    }

    fn entries(&self, (): &()) -> Entries {
        Entries::unchanged(Unchanged::Housekeeping)
    }
}
