//! Uses a one-time link up: somebody chose a password and goes on to set up their authenticator.

use kernel::ledger::{LedgerEntry, LedgerEvent};
use kernel::staff::{Role, StaffId, StaffName};
use kernel::time::Timestamp;

use super::{NewIdentity, NewSession, session};
use crate::change::{Change, access_revision, sealed};
use crate::error::StoreError;
use crate::query::SessionStage;
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
        /// The keyed digest over the row.
        seal: [u8; 32],
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
    /// The hash of the password, sealed; `None`: the account with the provider lets them in.
    pub password_hash: Option<String>,
    /// The account with the provider.
    pub identity: Option<NewIdentity>,
    /// The session that begins: mostly the one in which the authenticator is set up.
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
        if let Joining::First { id, name, seal } = &self.who {
            sql("INSERT INTO staff (id, name, role, created_at, seal) VALUES ($1, $2, $3, $4, $5)")
                .with_bytes(id.as_bytes())
                .with(name.as_str())
                .with(Role::Administrator.as_str())
                .with(self.at.as_millis())
                .with_bytes(seal)
                .execute(conn.raw())
                .await?;
            sql("DELETE FROM staff_invitation WHERE staff_id IS NULL").execute(conn.raw()).await?;
        }
        let joined =
            sql("UPDATE staff SET password_hash = $2, authenticator = NULL, joined_at = coalesce(joined_at, $3) \
             WHERE id = $1 AND ended_at IS NULL")
            .with_bytes(staff.as_bytes())
            .with(self.password_hash.clone())
            .with(self.at.as_millis())
            .execute(conn.raw())
            .await?;
        if joined == 0 {
            return Ok(false);
        }
        if let Some(identity) = &self.identity {
            identity.link(conn, staff, self.at).await?;
        }
        session::end_all(conn, staff).await?;
        self.session.begin(conn, staff, self.at).await?;
        Ok(true)
    }

    fn entries(&self, done: &bool) -> Entries {
        let staff = self.staff();
        let linked = self.identity.as_ref().map(|_| LedgerEvent::StaffLinked { staff });
        let is_in = self.session.stage == SessionStage::Full;
        let signed_in = is_in.then_some(LedgerEvent::StaffSignedInByProvider { staff, provider_factor: true });
        let events = [Some(LedgerEvent::StaffJoined { staff }), linked, signed_in].into_iter().flatten();
        let entries = events.filter(|_| *done).map(|event| LedgerEntry { at: self.at, event });
        Entries::each(entries, Unchanged::AlreadyDone)
    }
}
