//! Records that somebody tried what they may not do, before they are told no.

use kernel::client::ClientId;
use kernel::id::StaffId;
use kernel::ledger::{AttemptRefusal, LedgerEntry, LedgerEvent, RefusedAttempt};
use kernel::time::Timestamp;

use super::{Change, sealed};
use crate::error::StoreError;
use crate::unit_of_work::{Conn, Entries};

/// A refused attempt. It changes nothing but the ledger.
#[derive(Debug, Clone)]
pub struct RecordRefusedAttempt {
    /// Who, if the credentials told.
    pub client: Option<ClientId>,
    /// Which member of staff, if the credentials told.
    pub staff: Option<StaffId>,
    /// What they tried.
    pub action: RefusedAttempt,
    /// Why it was refused.
    pub reason: AttemptRefusal,
    /// Now.
    pub at: Timestamp,
}

impl sealed::Sealed for RecordRefusedAttempt {}

impl Change for RecordRefusedAttempt {
    type Output = ();
    const NAME: &'static str = "record_refused_attempt";

    async fn apply(&self, _: &Conn<'_>) -> Result<(), StoreError> {
        Ok(())
    }

    fn entries(&self, (): &()) -> Entries {
        let event = LedgerEvent::AttemptRefused {
            client: self.client.clone(),
            action: self.action,
            reason: self.reason,
            staff: self.staff,
        };
        Entries::one(LedgerEntry { at: self.at, event })
    }
}
