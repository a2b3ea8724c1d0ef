//! Moves what hangs on the key of capabilities and stays to its newest version, batch by batch: rows of staff, what is sealed of
//! them, linked accounts, recovery codes, incidents. Each is compared before it is written: whoever changes one at the same time
//! wins, and the next look finds what they wrote.

use std::fmt;

use kernel::id::{IncidentId, StaffId};
use kernel::seal::KeyUse;

use super::{Change, sealed};
use crate::error::StoreError;
use crate::statement::{signed, sql};
use crate::unit_of_work::{Conn, Entries, Unchanged};

/// What was read, and what takes its place.
#[derive(Clone, PartialEq, Eq)]
pub struct Replaced<T> {
    /// What was read.
    pub from: T,
    /// What takes its place.
    pub to: T,
}

impl<T> fmt::Debug for Replaced<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Replaced(..)")
    }
}

/// What changes in a member's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaffTakenOver {
    /// Whose.
    pub staff: StaffId,
    /// The keyed digest over the row.
    pub seal: Option<Replaced<Vec<u8>>>,
    /// The hash of the password, sealed.
    pub password_hash: Option<Replaced<String>>,
    /// The secret of the authenticator, sealed.
    pub authenticator: Option<Replaced<Vec<u8>>>,
}

/// What changes in the row of a linked account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityTakenOver {
    /// Whose.
    pub staff: StaffId,
    /// The keyed digest of the account.
    pub identity_hash: Replaced<[u8; 32]>,
    /// The keyed digest over the row.
    pub binding: Replaced<[u8; 32]>,
}

/// One batch.
#[derive(Debug, Clone, Default)]
pub struct TakeOverCapability {
    /// The version that takes over.
    pub key_id: u32,
    /// Members.
    pub staff: Vec<StaffTakenOver>,
    /// Linked accounts.
    pub identities: Vec<IdentityTakenOver>,
    /// Recovery codes, by their keyed digests.
    pub codes: Vec<(StaffId, Replaced<[u8; 32]>)>,
    /// Incidents.
    pub incidents: Vec<(IncidentId, Replaced<Vec<u8>>)>,
}

impl TakeOverCapability {
    /// How many rows it changes.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.staff.len() + self.identities.len() + self.codes.len() + self.incidents.len()
    }

    /// Whether there is nothing to change.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl sealed::Sealed for TakeOverCapability {}

impl Change for TakeOverCapability {
    /// How many rows were taken over.
    type Output = u64;
    const NAME: &'static str = "take_over_capability";

    async fn apply(&self, conn: &Conn<'_>) -> Result<u64, StoreError> {
        let mut done = 0;
        for row in &self.staff {
            done += row.apply(conn).await?;
        }
        for row in &self.identities {
            done += sql("UPDATE staff_identity SET identity_hash = $2, binding = $3 \
                 WHERE staff_id = $1 AND identity_hash = $4 AND binding = $5")
            .with_bytes(row.staff.as_bytes())
            .with_bytes(&row.identity_hash.to)
            .with_bytes(&row.binding.to)
            .with_bytes(&row.identity_hash.from)
            .with_bytes(&row.binding.from)
            .execute(conn.raw())
            .await?;
        }
        for (staff, code) in &self.codes {
            done += sql("UPDATE staff_recovery_code SET code_hash = $2, key_id = $3 \
                 WHERE staff_id = $1 AND code_hash = $4 AND key_id < $3")
            .with_bytes(staff.as_bytes())
            .with_bytes(&code.to)
            .with(i64::from(self.key_id))
            .with_bytes(&code.from)
            .execute(conn.raw())
            .await?;
        }
        for (incident, text) in &self.incidents {
            done += sql("UPDATE incident SET sealed = $2 WHERE id = $1 AND sealed = $3")
                .with_bytes(incident.as_bytes())
                .with_bytes(&text.to)
                .with_bytes(&text.from)
                .execute(conn.raw())
                .await?;
        }
        sql("UPDATE key_work SET done = done + $3 WHERE key_use = $1 AND key_id = $2 AND finished_at IS NULL")
            .with(KeyUse::Capability.as_str())
            .with(i64::from(self.key_id))
            .with(signed(done)?)
            .execute(conn.raw())
            .await?;
        Ok(done)
    }

    fn entries(&self, _done: &u64) -> Entries {
        Entries::unchanged(Unchanged::Housekeeping)
    }
}

impl StaffTakenOver {
    async fn apply(&self, conn: &Conn<'_>) -> Result<u64, StoreError> {
        let mut changed = 0;
        if let Some(seal) = &self.seal {
            changed += sql("UPDATE staff SET seal = $2 WHERE id = $1 AND seal = $3")
                .with_bytes(self.staff.as_bytes())
                .with_bytes(&seal.to)
                .with_bytes(&seal.from)
                .execute(conn.raw())
                .await?;
        }
        if let Some(hash) = &self.password_hash {
            changed += sql("UPDATE staff SET password_hash = $2 WHERE id = $1 AND password_hash = $3")
                .with_bytes(self.staff.as_bytes())
                .with(hash.to.as_str())
                .with(hash.from.as_str())
                .execute(conn.raw())
                .await?;
        }
        if let Some(authenticator) = &self.authenticator {
            changed += sql("UPDATE staff SET authenticator = $2 WHERE id = $1 AND authenticator = $3")
                .with_bytes(self.staff.as_bytes())
                .with_bytes(&authenticator.to)
                .with_bytes(&authenticator.from)
                .execute(conn.raw())
                .await?;
        }
        Ok(u64::from(changed > 0))
    }
}
