//! Opens a data subject's request: from its receipt on, the clock of GDPR Art. 12(3) runs.

use kernel::client::ClientId;
use kernel::id::{RightsRequestId, StaffId};
use kernel::ledger::{LedgerEntry, LedgerEvent};
use kernel::subject::SubjectId;
use kernel::time::Timestamp;
use sea_orm::ActiveValue::Set;
use sea_orm::EntityTrait as _;

use super::{Change, sealed};
use crate::entity::{rights_event, rights_request};
use crate::error::{StoreError, from_db};
use crate::unit_of_work::{Conn, Entries, Unchanged};

/// A request that arrived.
#[derive(Debug, Clone)]
pub struct OpenRightsRequest {
    /// Its id.
    pub id: RightsRequestId,
    /// The code of its kind.
    pub kind: u8,
    /// Who asks, if known here.
    pub subject: Option<SubjectId>,
    /// When it was received.
    pub received_at: Timestamp,
    /// The program that passed it on, if one did.
    pub client: Option<ClientId>,
    /// The member of staff who opened it, if one did.
    pub staff: Option<StaffId>,
    /// Now.
    pub at: Timestamp,
}

impl sealed::Sealed for OpenRightsRequest {}

impl Change for OpenRightsRequest {
    /// Whether it was opened now: a request that is open or closed already is left as it is.
    type Output = bool;
    const NAME: &'static str = "open_rights_request";

    async fn apply(&self, conn: &Conn<'_>) -> Result<bool, StoreError> {
        let row = rights_request::ActiveModel {
            id: Set(self.id.as_bytes().to_vec()),
            kind: Set(i16::from(self.kind)),
            subject_id: Set(self.subject.map(|subject| subject.as_bytes().to_vec())),
            received_at: Set(self.received_at.as_millis()),
            completed_at: Set(None),
            outcome: Set(None),
            client: Set(self.client.as_ref().map(|client| client.as_str().to_owned())),
        };
        let inserted = rights_request::Entity::insert(row)
            .on_conflict_do_nothing()
            .exec_without_returning(conn.raw())
            .await
            .map_err(from_db)?;
        let opened = matches!(inserted, sea_orm::TryInsertResult::Inserted(1));
        if opened {
            add_event(conn, self.id, 0, "opened", self.at).await?;
        }
        Ok(opened)
    }

    fn entries(&self, opened: &bool) -> Entries {
        if *opened {
            let event = LedgerEvent::RightsRequestOpened { request: self.id, kind: self.kind, staff: self.staff };
            Entries::one(LedgerEntry { at: self.at, event })
        } else {
            Entries::unchanged(Unchanged::AlreadyDone)
        }
    }
}

/// Adds a line to a request's history.
pub(super) async fn add_event(
    conn: &Conn<'_>,
    request: RightsRequestId,
    sequence: i32,
    event: &str,
    at: Timestamp,
) -> Result<(), StoreError> {
    let row = rights_event::ActiveModel {
        request: Set(request.as_bytes().to_vec()),
        sequence: Set(sequence),
        at: Set(at.as_millis()),
        event: Set(event.to_owned()),
    };
    rights_event::Entity::insert(row).exec_without_returning(conn.raw()).await.map_err(from_db)?;
    Ok(())
}
