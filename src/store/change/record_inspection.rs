//! Records that an officer looks at one person's file, before anything of it is shown.

use kernel::client::ClientId;
use kernel::id::{LedgerRef, StaffId};
use kernel::ledger::{Inspection, LedgerEntry, LedgerEvent};
use kernel::staff::Role;
use kernel::time::Timestamp;

use super::{Change, sealed};
use crate::error::StoreError;
use crate::unit_of_work::{Conn, Entries};

/// A look at a person's file. It changes nothing but the ledger.
#[derive(Debug, Clone)]
pub struct RecordInspection {
    /// Whose file.
    pub subject: LedgerRef,
    /// Which program looks; `None`: staff or the operator.
    pub client: Option<ClientId>,
    /// Which member of staff looks, if one does.
    pub staff: Option<StaffId>,
    /// In which role.
    pub role: Option<Role>,
    /// At what.
    pub what: Inspection,
    /// Now.
    pub at: Timestamp,
}

impl sealed::Sealed for RecordInspection {}

impl Change for RecordInspection {
    type Output = ();
    const NAME: &'static str = "record_inspection";

    async fn apply(&self, _: &Conn<'_>) -> Result<(), StoreError> {
        Ok(())
    }

    fn entries(&self, (): &()) -> Entries {
        let event = LedgerEvent::SubjectInspected {
            subject: self.subject,
            client: self.client.clone(),
            what: self.what,
            staff: self.staff,
            role: self.role,
        };
        Entries::one(LedgerEntry { at: self.at, event })
    }
}
