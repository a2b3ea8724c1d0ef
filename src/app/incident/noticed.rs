//! Incidents that the gateway notices itself: somebody without the right to it asks for the way from names back to persons
//! (PSE-14; EDPB 01/2025, GDPR Art. 33).

use kernel::authz::Actor;
use kernel::id::IncidentId;
use kernel::ledger::IncidentKind;

use super::of_facts;
use crate::denied::Author;
use crate::error::AppError;
use crate::gateway::Gateway;

impl Gateway {
    /// Puts on record that somebody tried to lead names back to persons without being allowed to. They were turned away; the
    /// clock runs until an officer has looked into it. One open incident a caller.
    pub async fn note_reversal(&self, by: &Actor) {
        if let Err(error) = self.open_reversal(by).await {
            tracing::warn!(error = %error, "an incident was not put on record");
        }
    }

    async fn open_reversal(&self, by: &Actor) -> Result<(), AppError> {
        let author = Author::of(by);
        let (what, caller) = match (&author.client, &author.staff) {
            (Some(client), _) => ("the client", client.to_string()),
            (None, Some(staff)) => ("the member of staff", format!("staff:{staff}")),
            (None, None) => return Ok(()),
        };
        let now = self.now();
        let facts = format!(
            "{what} {caller} asked for the persons behind identifiers or pseudonyms without the right to. It was turned \
             away and told nothing. Find out why it asked, and whether it got there in another way."
        );
        let incident = of_facts(now, now, facts);
        let id = IncidentId::generate(&*self.inner.entropy);
        let open = self.opening(id, IncidentKind::PseudonymReversal, &incident, (author, Some(caller)))?;
        self.inner.store.perform(&open).await?;
        Ok(())
    }
}
