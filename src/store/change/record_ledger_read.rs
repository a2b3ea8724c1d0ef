//! Records that somebody read entries of the ledger in clear.

use kernel::client::ClientId;
use kernel::ledger::{LedgerEntry, LedgerEvent};
use kernel::time::Timestamp;

use super::{Change, sealed};
use crate::error::StoreError;
use crate::unit_of_work::{Conn, Entries};

/// A look at the ledger.
#[derive(Debug)]
pub struct RecordLedgerRead {
    /// Who looked; nobody when it was the operator.
    pub client: Option<ClientId>,
    /// From which entry on.
    pub start: u64,
    /// At how many.
    pub count: u64,
    /// When.
    pub at: Timestamp,
}

impl sealed::Sealed for RecordLedgerRead {}

impl Change for RecordLedgerRead {
    type Output = ();
    const NAME: &'static str = "record_ledger_read";

    async fn apply(&self, _conn: &Conn<'_>) -> Result<(), StoreError> {
        Ok(())
    }

    fn entries(&self, (): &()) -> Entries {
        let event = LedgerEvent::LedgerRead { client: self.client.clone(), start: self.start, count: self.count };
        Entries::one(LedgerEntry { at: self.at, event })
    }
}
