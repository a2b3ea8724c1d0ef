//! An administrator gives a member another role, or ends their membership. Their sessions end either way; there is always
//! an administrator left.

use kernel::ledger::{LedgerEntry, LedgerEvent, StaffAct};
use kernel::staff::{Role, StaffId};
use kernel::time::Timestamp;

use super::session;
use crate::change::{Change, access_revision, sealed};
use crate::error::StoreError;
use crate::statement::sql;
use crate::unit_of_work::{Conn, Entries, Unchanged};

/// What becomes of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberChange {
    /// Another role.
    Role {
        /// Which.
        role: Role,
        /// The keyed digest over the row.
        seal: [u8; 32],
        /// Whether there is an authenticator, which the digest tells: if that changed meanwhile, this is not done.
        has_authenticator: bool,
    },
    /// The end. The row stays, so that the ledger's mentions stay somebody's.
    End,
}

/// A change of a member.
#[derive(Debug, Clone)]
pub struct ChangeMember {
    /// Whose.
    pub staff: StaffId,
    /// What.
    pub change: MemberChange,
    /// The administrator; `None`: the operator.
    pub by: Option<StaffId>,
    /// Now.
    pub at: Timestamp,
}

impl sealed::Sealed for ChangeMember {}

impl Change for ChangeMember {
    /// Whether there is such a member. To end the last administrator is [`StoreError::Conflict`].
    type Output = bool;
    const NAME: &'static str = "change_member";

    async fn apply(&self, conn: &Conn<'_>) -> Result<bool, StoreError> {
        // One at a time: two administrators who end each other would leave none.
        access_revision::advance(conn).await?;
        let staff = self.staff.as_bytes();
        let changed = match self.change {
            MemberChange::Role { role, seal, has_authenticator } => {
                sql("UPDATE staff SET role = $2, seal = $3 WHERE id = $1 AND ended_at IS NULL \
                     AND CASE WHEN authenticator IS NULL THEN 0 ELSE 1 END = $4")
                .with_bytes(staff)
                .with(role.as_str())
                .with_bytes(&seal)
                .with(i32::from(has_authenticator))
            }
            MemberChange::End => {
                sql("UPDATE staff SET ended_at = $2, password_hash = NULL, authenticator = NULL \
                     WHERE id = $1 AND ended_at IS NULL")
                .with_bytes(staff)
                .with(self.at.as_millis())
            }
        };
        if changed.execute(conn.raw()).await? == 0 {
            return Ok(false);
        }
        let left = sql("SELECT count(*) FROM staff WHERE role = 'administrator' AND joined_at IS NOT NULL AND ended_at IS NULL")
            .only_row(conn.raw())
            .await?;
        if left.get::<i64>(0)? == 0 {
            return Err(StoreError::Conflict);
        }
        session::end_all(conn, self.staff).await?;
        if self.change == MemberChange::End {
            for statement in [
                "DELETE FROM staff_invitation WHERE staff_id = $1",
                "DELETE FROM staff_recovery_code WHERE staff_id = $1",
                "DELETE FROM staff_identity WHERE staff_id = $1",
            ] {
                sql(statement).with_bytes(staff).execute(conn.raw()).await?;
            }
        }
        Ok(true)
    }

    fn entries(&self, done: &bool) -> Entries {
        if !done {
            return Entries::unchanged(Unchanged::AlreadyDone);
        }
        let act = match self.change {
            MemberChange::Role { .. } => StaffAct::RoleChanged,
            MemberChange::End => StaffAct::Ended,
        };
        let event = LedgerEvent::StaffChanged { staff: self.staff, act, by: self.by };
        Entries::one(LedgerEntry { at: self.at, event })
    }
}
