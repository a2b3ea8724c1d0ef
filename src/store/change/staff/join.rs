//! Uses a one-time link up: somebody chose a password and goes on to set up their authenticator.

use kernel::ledger::{LedgerEntry, LedgerEvent};
use kernel::staff::{Role, StaffId, StaffName};
use kernel::time::Timestamp;

use super::{NewSession, session};
use crate::change::{Change, access_revision, sealed};
use crate::error::StoreError;
use crate::statement::sql;
use crate::unit_of_work::{Conn, Entries, Unchanged};

/// Who joins.
#[derive(Debug, Clone)]
pub enum Joining {
    /// The first administrator.
    First {
        /// Who.
        id: StaffId,
        /// The name to sign in with.
        name: StaffName,
    },
    /// Who was invited.
    Invited(StaffId),
}

/// A link that is used.
#[derive(Clone)]
pub struct JoinStaff {
    /// The digest of its token.
    pub token_hash: [u8; 32],
    /// Who uses it.
    pub who: Joining,
    /// The hash of the password, in PHC form.
    pub password_hash: String,
    /// The session in which the authenticator is set up.
    pub session: NewSession,
    /// Now.
    pub at: Timestamp,
}

impl std::fmt::Debug for JoinStaff {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JoinStaff").field("who", &self.who).finish_non_exhaustive()
    }
}

impl JoinStaff {
    const fn staff(&self) -> StaffId {
        match &self.who {
            Joining::First { id, .. } | Joining::Invited(id) => *id,
        }
    }
}

impl sealed::Sealed for JoinStaff {}

impl Change for JoinStaff {
    /// Whether the link was good: each is so once, and the first administrator's until there is one.
    type Output = bool;
    const NAME: &'static str = "join_staff";

    async fn apply(&self, conn: &Conn<'_>) -> Result<bool, StoreError> {
        access_revision::advance(conn).await?;
        let staff = self.staff();
        let used = match &self.who {
            Joining::First { .. } => {
                sql("DELETE FROM staff_invitation WHERE token_hash = $1 AND expires_at > $2 AND staff_id IS NULL \
                     AND NOT EXISTS (SELECT 1 FROM staff)")
            }
            Joining::Invited(_) => {
                sql("DELETE FROM staff_invitation WHERE token_hash = $1 AND expires_at > $2 AND staff_id = $3")
            }
        };
        let mut used = used.with_bytes(&self.token_hash).with(self.at.as_millis());
        if matches!(self.who, Joining::Invited(_)) {
            used = used.with_bytes(staff.as_bytes());
        }
        if used.execute(conn.raw()).await? == 0 {
            return Ok(false);
        }
        if let Joining::First { id, name } = &self.who {
            sql("INSERT INTO staff (id, name, role, created_at) VALUES ($1, $2, $3, $4)")
                .with_bytes(id.as_bytes())
                .with(name.as_str())
                .with(Role::Administrator.as_str())
                .with(self.at.as_millis())
                .execute(conn.raw())
                .await?;
            sql("DELETE FROM staff_invitation WHERE staff_id IS NULL").execute(conn.raw()).await?;
        }
        let joined =
            sql("UPDATE staff SET password_hash = $2, authenticator = NULL, joined_at = coalesce(joined_at, $3) \
             WHERE id = $1 AND ended_at IS NULL")
            .with_bytes(staff.as_bytes())
            .with(self.password_hash.as_str())
            .with(self.at.as_millis())
            .execute(conn.raw())
            .await?;
        if joined == 0 {
            return Ok(false);
        }
        session::end_all(conn, staff).await?;
        self.session.begin(conn, staff, self.at).await?;
        Ok(true)
    }

    fn entries(&self, done: &bool) -> Entries {
        if *done {
            let event = LedgerEvent::StaffJoined { staff: self.staff() };
            Entries::one(LedgerEntry { at: self.at, event })
        } else {
            Entries::unchanged(Unchanged::AlreadyDone)
        }
    }
}
