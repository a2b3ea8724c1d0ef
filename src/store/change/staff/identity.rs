//! Which account with the identity provider lets a member in. One account, one member.

use std::fmt;

use kernel::ledger::{LedgerEntry, LedgerEvent};
use kernel::staff::StaffId;
use kernel::time::Timestamp;

use super::session;
use crate::change::{Change, sealed};
use crate::error::StoreError;
use crate::statement::sql;
use crate::unit_of_work::{Conn, Entries, Unchanged};

/// An account with the provider, to be linked. Of its issuer and subject only a keyed digest is stored.
#[derive(Clone)]
pub struct NewIdentity {
    /// That digest.
    pub identity_hash: [u8; 32],
    /// The keyed digest over the row.
    pub binding: [u8; 32],
}

impl fmt::Debug for NewIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NewIdentity(..)")
    }
}

impl NewIdentity {
    /// Puts it in the place of the one there was. One that is somebody else's is [`StoreError::Conflict`].
    pub(super) async fn link(&self, conn: &Conn<'_>, staff: StaffId, at: Timestamp) -> Result<(), StoreError> {
        // A link that was still to be used would let somebody else in beside it.
        for statement in
            ["DELETE FROM staff_identity WHERE staff_id = $1", "DELETE FROM staff_invitation WHERE staff_id = $1"]
        {
            sql(statement).with_bytes(staff.as_bytes()).execute(conn.raw()).await?;
        }
        sql("INSERT INTO staff_identity (identity_hash, staff_id, binding, linked_at) VALUES ($1, $2, $3, $4)")
            .with_bytes(&self.identity_hash)
            .with_bytes(staff.as_bytes())
            .with_bytes(&self.binding)
            .with(at.as_millis())
            .execute(conn.raw())
            .await?;
        Ok(())
    }
}

/// A member who is signed in links an account.
#[derive(Debug, Clone)]
pub struct LinkIdentity {
    /// Whose.
    pub staff: StaffId,
    /// The account.
    pub identity: NewIdentity,
    /// Now.
    pub at: Timestamp,
}

impl sealed::Sealed for LinkIdentity {}

impl Change for LinkIdentity {
    /// An account that is somebody else's is [`StoreError::Conflict`].
    type Output = ();
    const NAME: &'static str = "link_identity";

    async fn apply(&self, conn: &Conn<'_>) -> Result<(), StoreError> {
        self.identity.link(conn, self.staff, self.at).await
    }

    fn entries(&self, (): &()) -> Entries {
        Entries::one(LedgerEntry { at: self.at, event: LedgerEvent::StaffLinked { staff: self.staff } })
    }
}

/// A member takes the link back: sessions that were begun by it end.
#[derive(Debug, Clone)]
pub struct UnlinkIdentity {
    /// Whose.
    pub staff: StaffId,
    /// By whom.
    pub by: Option<StaffId>,
    /// Now.
    pub at: Timestamp,
}

impl sealed::Sealed for UnlinkIdentity {}

impl Change for UnlinkIdentity {
    /// Whether there was one.
    type Output = bool;
    const NAME: &'static str = "unlink_identity";

    async fn apply(&self, conn: &Conn<'_>) -> Result<bool, StoreError> {
        let staff = self.staff.as_bytes();
        let gone = sql("DELETE FROM staff_identity WHERE staff_id = $1").with_bytes(staff);
        if gone.execute(conn.raw()).await? == 0 {
            return Ok(false);
        }
        session::end_of_provider(conn, self.staff).await?;
        Ok(true)
    }

    fn entries(&self, done: &bool) -> Entries {
        if !done {
            return Entries::unchanged(Unchanged::AlreadyDone);
        }
        let event = LedgerEvent::StaffUnlinked { staff: self.staff, by: self.by };
        Entries::one(LedgerEntry { at: self.at, event })
    }
}
