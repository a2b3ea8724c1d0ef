//! Signing in through the identity provider: a session begins as one does after a password, or after both factors if the
//! provider vouched for both.

use kernel::ledger::{LedgerEntry, LedgerEvent};
use kernel::staff::{Role, StaffId, StaffName};
use kernel::time::Timestamp;

use super::{NewIdentity, NewSession};
use crate::change::{Change, access_revision, sealed};
use crate::error::StoreError;
use crate::query::SessionStage;
use crate::statement::sql;
use crate::unit_of_work::{Conn, Entries, Unchanged};

/// The provider said who it is.
#[derive(Debug, Clone)]
pub struct PassProvider {
    /// Who.
    pub staff: StaffId,
    /// The session that begins.
    pub session: NewSession,
    /// Now.
    pub at: Timestamp,
}

impl sealed::Sealed for PassProvider {}

impl Change for PassProvider {
    type Output = ();
    const NAME: &'static str = "pass_provider";

    async fn apply(&self, conn: &Conn<'_>) -> Result<(), StoreError> {
        // Whoever the operator named for an account joins by signing in.
        sql("UPDATE staff SET joined_at = $2 WHERE id = $1 AND joined_at IS NULL")
            .with_bytes(self.staff.as_bytes())
            .with(self.at.as_millis())
            .execute(conn.raw())
            .await?;
        self.session.begin(conn, self.staff, self.at).await
    }

    fn entries(&self, (): &()) -> Entries {
        let provider_factor = self.session.stage == SessionStage::Full;
        let event = LedgerEvent::StaffSignedInByProvider { staff: self.staff, provider_factor };
        Entries::one(LedgerEntry { at: self.at, event })
    }
}

/// Somebody becomes staff because the provider knows them: only where the operator wants that.
#[derive(Debug, Clone)]
pub struct ProvisionStaff {
    /// Who.
    pub staff: StaffId,
    /// The name they are known by here.
    pub name: StaffName,
    /// What for.
    pub role: Role,
    /// The keyed digest over the row.
    pub seal: [u8; 32],
    /// The account with the provider.
    pub identity: NewIdentity,
    /// The session that begins.
    pub session: NewSession,
    /// Now.
    pub at: Timestamp,
}

impl sealed::Sealed for ProvisionStaff {}

impl Change for ProvisionStaff {
    /// A name that is taken is [`StoreError::Conflict`].
    type Output = ();
    const NAME: &'static str = "provision_staff";

    async fn apply(&self, conn: &Conn<'_>) -> Result<(), StoreError> {
        access_revision::advance(conn).await?;
        sql("INSERT INTO staff (id, name, role, created_at, joined_at, seal) VALUES ($1, $2, $3, $4, $4, $5)")
            .with_bytes(self.staff.as_bytes())
            .with(self.name.as_str())
            .with(self.role.as_str())
            .with(self.at.as_millis())
            .with_bytes(&self.seal)
            .execute(conn.raw())
            .await?;
        self.identity.link(conn, self.staff, self.at).await?;
        self.session.begin(conn, self.staff, self.at).await
    }

    fn entries(&self, (): &()) -> Entries {
        let (staff, role) = (self.staff, self.role);
        let provider_factor = self.session.stage == SessionStage::Full;
        let events = [
            LedgerEvent::StaffProvisioned { staff, role },
            LedgerEvent::StaffLinked { staff },
            LedgerEvent::StaffSignedInByProvider { staff, provider_factor },
        ];
        let entries = events.map(|event| LedgerEntry { at: self.at, event });
        Entries::each(entries, Unchanged::AlreadyDone)
    }
}
