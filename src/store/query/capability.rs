//! What hangs on the key of capabilities: what stays and moves to its newest version, and what ends.

use kernel::staff::StaffId;
use kernel::time::Timestamp;

use crate::Store;
use crate::error::StoreError;
use crate::statement::sql;

/// A linked account as it lies.
#[derive(Clone, PartialEq, Eq)]
pub struct IdentityRow {
    /// Whose.
    pub staff: StaffId,
    /// The keyed digest of the account.
    pub identity_hash: [u8; 32],
    /// The keyed digest over the row.
    pub binding: [u8; 32],
}

impl std::fmt::Debug for IdentityRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IdentityRow").field("staff", &self.staff).finish_non_exhaustive()
    }
}

/// A recovery code as it lies.
#[derive(Clone, PartialEq, Eq)]
pub struct RecoveryCodeRow {
    /// Whose.
    pub staff: StaffId,
    /// Its keyed digest.
    pub code_hash: [u8; 32],
    /// The version of the key whose layer that is of.
    pub key_id: u32,
}

impl std::fmt::Debug for RecoveryCodeRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecoveryCodeRow").field("staff", &self.staff).finish_non_exhaustive()
    }
}

/// What waits and was made between two times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaitingCapabilities {
    /// Requests to confirm that nobody has answered.
    pub confirmations: u64,
    /// Sessions of staff.
    pub sessions: u64,
    /// One-time links for staff.
    pub links: u64,
}

impl Store {
    /// Every account with the identity provider that lets somebody in.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn staff_identities(&self) -> Result<Vec<IdentityRow>, StoreError> {
        let rows = sql("SELECT staff_id, identity_hash, binding FROM staff_identity ORDER BY staff_id");
        rows.rows(self.db())
            .await?
            .iter()
            .map(|row| {
                Ok(IdentityRow {
                    staff: StaffId::from_bytes(row.bytes(0)?),
                    identity_hash: row.bytes(1)?,
                    binding: row.bytes(2)?,
                })
            })
            .collect()
    }

    /// Recovery codes whose digests are of a version's layer.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn recovery_codes_under(&self, key_id: u32, limit: u32) -> Result<Vec<RecoveryCodeRow>, StoreError> {
        let rows = sql("SELECT staff_id, code_hash, key_id FROM staff_recovery_code WHERE key_id = $1 \
             ORDER BY staff_id, code_hash LIMIT $2")
        .with(i64::from(key_id))
        .with(i64::from(limit))
        .rows(self.db())
        .await?;
        rows.iter()
            .map(|row| {
                Ok(RecoveryCodeRow {
                    staff: StaffId::from_bytes(row.bytes(0)?),
                    code_hash: row.bytes(1)?,
                    key_id: u32::try_from(row.get::<i64>(2)?).map_err(|_| StoreError::Tampered)?,
                })
            })
            .collect()
    }

    /// What was made from one time on and before another, and waits still. `link_ms` is how long a one-time link lasts.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn waiting_capabilities(
        &self,
        (from, until): (Timestamp, Timestamp),
        link_ms: i64,
        now: Timestamp,
    ) -> Result<WaitingCapabilities, StoreError> {
        let row = sql("SELECT \
               (SELECT count(*) FROM confirmation WHERE confirmed_at IS NULL AND expires_at > $3 \
                  AND requested_at >= $1 AND requested_at < $2), \
               (SELECT count(*) FROM staff_session WHERE expires_at > $3 AND created_at >= $1 AND created_at < $2), \
               (SELECT count(*) FROM staff_invitation WHERE expires_at > $3 \
                  AND expires_at >= $1 + $4 AND expires_at < $2 + $4)")
        .with(from.as_millis())
        .with(until.as_millis())
        .with(now.as_millis())
        .with(link_ms)
        .only_row(self.db())
        .await?;
        Ok(WaitingCapabilities {
            confirmations: row.unsigned(0)?,
            sessions: row.unsigned(1)?,
            links: row.unsigned(2)?,
        })
    }
}
