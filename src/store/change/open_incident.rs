//! Puts an incident on record (GDPR Art. 33(5)).

use std::fmt;

use kernel::client::ClientId;
use kernel::id::{IncidentId, StaffId};
use kernel::ledger::{IncidentKind, LedgerEntry, LedgerEvent};
use kernel::time::Timestamp;

use super::{Change, sealed};
use crate::error::StoreError;
use crate::statement::sql;
use crate::unit_of_work::{Conn, Entries, Unchanged};

/// An incident.
#[derive(Clone)]
pub struct OpenIncident {
    /// Its name.
    pub id: IncidentId,
    /// Its kind.
    pub kind: IncidentKind,
    /// Whose attempts brought it about, where the gateway itself noticed: one open incident of a kind a caller.
    pub caller: Option<String>,
    /// What is on record, sealed.
    pub sealed: Vec<u8>,
    /// The program that reports it.
    pub client: Option<ClientId>,
    /// The member of staff who reports it.
    pub staff: Option<StaffId>,
    /// Now.
    pub at: Timestamp,
}

impl fmt::Debug for OpenIncident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenIncident").field("id", &self.id).field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl sealed::Sealed for OpenIncident {}

impl Change for OpenIncident {
    /// Whether it was opened: one that a caller brought about before, and that is open still, is left as it is.
    type Output = bool;
    const NAME: &'static str = "open_incident";

    async fn apply(&self, conn: &Conn<'_>) -> Result<bool, StoreError> {
        let opened = sql("INSERT INTO incident (id, kind, opened_at, version, caller, sealed) \
                          VALUES ($1, $2, $3, 1, $4, $5) ON CONFLICT DO NOTHING")
        .with_bytes(self.id.as_bytes())
        .with(self.kind as i16)
        .with(self.at.as_millis())
        .with(self.caller.clone())
        .with_bytes(&self.sealed)
        .execute(conn.raw())
        .await?;
        Ok(opened == 1)
    }

    fn entries(&self, opened: &bool) -> Entries {
        if !*opened {
            return Entries::unchanged(Unchanged::AlreadyDone);
        }
        let event = LedgerEvent::IncidentOpened {
            incident: self.id,
            kind: self.kind,
            client: self.client.clone(),
            staff: self.staff,
        };
        Entries::one(LedgerEntry { at: self.at, event })
    }
}
