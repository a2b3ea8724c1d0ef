//! Adds to what is on record of an incident, or closes it. Nothing that was written before is lost: the ledger has a keyed
//! digest of every version.

use std::fmt;

use kernel::client::ClientId;
use kernel::id::{IncidentId, StaffId};
use kernel::ledger::{IncidentAct, LedgerEntry, LedgerEvent};
use kernel::time::Timestamp;

use super::{Change, sealed};
use crate::error::StoreError;
use crate::statement::sql;
use crate::unit_of_work::{Conn, Entries, Unchanged};

/// A change of an incident.
#[derive(Clone)]
pub struct ChangeIncident {
    /// Which.
    pub id: IncidentId,
    /// The version that was read: another one is left alone.
    pub version: i64,
    /// What was done.
    pub acts: Vec<IncidentAct>,
    /// What is on record from now on, sealed.
    pub sealed: Vec<u8>,
    /// Keyed digest of it.
    pub digest: [u8; 32],
    /// The program that does it.
    pub client: Option<ClientId>,
    /// The member of staff who does it.
    pub staff: Option<StaffId>,
    /// Now.
    pub at: Timestamp,
}

impl fmt::Debug for ChangeIncident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChangeIncident").field("id", &self.id).field("acts", &self.acts).finish_non_exhaustive()
    }
}

impl sealed::Sealed for ChangeIncident {}

impl Change for ChangeIncident {
    type Output = ();
    const NAME: &'static str = "change_incident";

    async fn apply(&self, conn: &Conn<'_>) -> Result<(), StoreError> {
        let closed_at = self.acts.contains(&IncidentAct::Closed).then_some(self.at.as_millis());
        let changed = sql("UPDATE incident SET sealed = $1, closed_at = $2, version = version + 1 \
                           WHERE id = $3 AND version = $4 AND closed_at IS NULL")
        .with_bytes(&self.sealed)
        .with(closed_at)
        .with_bytes(self.id.as_bytes())
        .with(self.version)
        .execute(conn.raw())
        .await?;
        // Somebody else was faster, and what they wrote must not be lost.
        if changed == 1 { Ok(()) } else { Err(StoreError::Conflict) }
    }

    fn entries(&self, (): &()) -> Entries {
        let entries = self.acts.iter().map(|act| LedgerEntry {
            at: self.at,
            event: LedgerEvent::IncidentChanged {
                incident: self.id,
                act: *act,
                digest: self.digest,
                client: self.client.clone(),
                staff: self.staff,
            },
        });
        Entries::each(entries, Unchanged::AlreadyDone)
    }
}
