//! Gives somebody a one-time link with which they choose a password: a new member, one who lost everything, or the first
//! administrator.

use kernel::ledger::{LedgerEntry, LedgerEvent, StaffAct};
use kernel::staff::{Role, StaffId, StaffName};
use kernel::time::Timestamp;

use super::session;
use crate::change::{Change, access_revision, sealed};
use crate::error::StoreError;
use crate::statement::sql;
use crate::unit_of_work::{Conn, Entries, Unchanged};

/// For whom a link is.
#[derive(Debug, Clone)]
pub enum Invited {
    /// The first administrator, who is nobody yet. Only while there are no staff.
    First,
    /// A new member.
    New {
        /// Who.
        id: StaffId,
        /// The name to sign in with.
        name: StaffName,
        /// What they will be here for.
        role: Role,
        /// The keyed digest over the row.
        seal: [u8; 32],
    },
    /// A member whose password, authenticator and account with the provider end now.
    Again {
        /// Who.
        id: StaffId,
        /// As what: if that changed meanwhile, this is not done.
        role: Role,
        /// The keyed digest over the row.
        seal: [u8; 32],
    },
}

/// A link to give out. Of its token only a keyed digest is stored.
#[derive(Clone)]
pub struct InviteStaff {
    /// For whom.
    pub whom: Invited,
    /// The digest of its token.
    pub token_hash: [u8; 32],
    /// The keyed digest over the row.
    pub binding: [u8; 32],
    /// Until when it is good.
    pub expires_at: Timestamp,
    /// The administrator; `None`: the operator.
    pub by: Option<StaffId>,
    /// Now.
    pub at: Timestamp,
}

impl std::fmt::Debug for InviteStaff {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InviteStaff").field("whom", &self.whom).finish_non_exhaustive()
    }
}

impl sealed::Sealed for InviteStaff {}

impl Change for InviteStaff {
    /// Whether there is somebody for the link to be for. A name that is taken is [`StoreError::Conflict`].
    type Output = bool;
    const NAME: &'static str = "invite_staff";

    async fn apply(&self, conn: &Conn<'_>) -> Result<bool, StoreError> {
        // One at a time: the first administrator is the first once.
        access_revision::advance(conn).await?;
        let staff = match &self.whom {
            Invited::First => {
                let found = sql("SELECT count(*) FROM staff").only_row(conn.raw()).await?;
                if found.get::<i64>(0)? > 0 {
                    return Ok(false);
                }
                None
            }
            Invited::New { id, name, role, seal } => {
                sql("INSERT INTO staff (id, name, role, created_at, seal) VALUES ($1, $2, $3, $4, $5)")
                    .with_bytes(id.as_bytes())
                    .with(name.as_str())
                    .with(role.as_str())
                    .with(self.at.as_millis())
                    .with_bytes(seal)
                    .execute(conn.raw())
                    .await?;
                Some(*id)
            }
            Invited::Again { id, role, seal } => {
                let found = sql("UPDATE staff SET password_hash = NULL, authenticator = NULL, seal = $3 \
                     WHERE id = $1 AND role = $2 AND ended_at IS NULL")
                .with_bytes(id.as_bytes())
                .with(role.as_str())
                .with_bytes(seal)
                .execute(conn.raw())
                .await?;
                if found == 0 {
                    return Ok(false);
                }
                session::end_all(conn, *id).await?;
                for statement in [
                    "DELETE FROM staff_invitation WHERE staff_id = $1",
                    "DELETE FROM staff_recovery_code WHERE staff_id = $1",
                    "DELETE FROM staff_identity WHERE staff_id = $1",
                ] {
                    sql(statement).with_bytes(id.as_bytes()).execute(conn.raw()).await?;
                }
                Some(*id)
            }
        };
        sql("INSERT INTO staff_invitation (token_hash, staff_id, expires_at, binding) VALUES ($1, $2, $3, $4)")
            .with_bytes(&self.token_hash)
            .with(staff.map(|staff| staff.as_bytes().to_vec()))
            .with(self.expires_at.as_millis())
            .with_bytes(&self.binding)
            .execute(conn.raw())
            .await?;
        Ok(true)
    }

    fn entries(&self, done: &bool) -> Entries {
        let event = match &self.whom {
            _ if !done => return Entries::unchanged(Unchanged::AlreadyDone),
            Invited::First => return Entries::unchanged(Unchanged::Prepared),
            Invited::New { id, role, .. } => LedgerEvent::StaffInvited { staff: *id, role: *role, by: self.by },
            Invited::Again { id, .. } => {
                LedgerEvent::StaffChanged { staff: *id, act: StaffAct::Reset, by: self.by }
            }
        };
        Entries::one(LedgerEntry { at: self.at, event })
    }
}
