//! Records that somebody asked whose data a recipient received, before they are told.

use kernel::client::ClientId;
use kernel::id::StaffId;
use kernel::ledger::{LedgerEntry, LedgerEvent};
use kernel::recipient::RecipientId;
use kernel::time::Timestamp;

use super::{Change, sealed};
use crate::error::StoreError;
use crate::unit_of_work::{Conn, Entries};

/// A question about a recipient.
#[derive(Debug, Clone)]
pub struct RecordAudit {
    /// Which recipient.
    pub recipient: RecipientId,
    /// How many persons are named.
    pub subjects: u64,
    /// The program that asks.
    pub client: Option<ClientId>,
    /// The member of staff who asks.
    pub staff: Option<StaffId>,
    /// Now.
    pub at: Timestamp,
}

impl sealed::Sealed for RecordAudit {}

impl Change for RecordAudit {
    type Output = ();
    const NAME: &'static str = "record_audit";

    async fn apply(&self, _conn: &Conn<'_>) -> Result<(), StoreError> {
        Ok(())
    }

    fn entries(&self, (): &()) -> Entries {
        let event = LedgerEvent::RecipientAudited {
            recipient: self.recipient.clone(),
            subjects: self.subjects,
            client: self.client.clone(),
            staff: self.staff,
        };
        Entries::one(LedgerEntry { at: self.at, event })
    }
}
