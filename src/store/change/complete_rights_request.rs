//! Completes a data subject's request, and says in the ledger when data were given to the person.

use kernel::consent::RestrictionGround;
use kernel::id::{LedgerRef, RightsRequestId};
use kernel::ledger::{LedgerEntry, LedgerEvent, RequestOutcome};
use kernel::subject::SubjectId;
use kernel::time::Timestamp;

use super::open_rights_request::add_event;
use super::{Change, sealed};
use crate::error::StoreError;
use crate::statement::sql;
use crate::unit_of_work::{Conn, Entries, Unchanged};

/// A request that is done.
#[derive(Debug, Clone)]
pub struct CompleteRightsRequest {
    /// Which.
    pub id: RightsRequestId,
    /// How it ended.
    pub outcome: RightsOutcome,
    /// Now.
    pub at: Timestamp,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RightsOutcome {
    /// The person was given a copy of the data (GDPR Arts. 15 and 20), or told that there are none.
    Accessed(Option<SubjectId>),
    /// The person was erased. The erasure itself, in the same unit, says so in the ledger.
    Erased,
    /// There was nothing about the person to act on.
    NothingHeld,
    /// The person's processing was restricted.
    Restricted(RestrictionGround),
    /// The restriction was lifted.
    RestrictionLifted,
}

impl RightsOutcome {
    /// Its name as stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accessed(_) => "accessed",
            Self::Erased => "erased",
            Self::NothingHeld => "nothing_held",
            Self::Restricted(RestrictionGround::AccuracyContested) => "restricted:accuracy_contested",
            Self::Restricted(RestrictionGround::Unlawful) => "restricted:unlawful",
            Self::Restricted(RestrictionGround::LegalClaims) => "restricted:legal_claims",
            Self::Restricted(RestrictionGround::ObjectionPending) => "restricted:objection_pending",
            Self::RestrictionLifted => "restriction_lifted",
        }
    }
}

/// What completing a request did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Completion {
    /// Whether it was completed now: one that is unknown or complete already is left as it is.
    pub completed: bool,
    ledger_ref: Option<LedgerRef>,
}

impl sealed::Sealed for CompleteRightsRequest {}

impl Change for CompleteRightsRequest {
    type Output = Completion;
    const NAME: &'static str = "complete_rights_request";

    async fn apply(&self, conn: &Conn<'_>) -> Result<Completion, StoreError> {
        let closed = sql("UPDATE rights_request SET completed_at = $1, outcome = $2 \
             WHERE id = $3 AND completed_at IS NULL")
        .with(self.at.as_millis())
        .with(self.outcome.as_str())
        .with_bytes(self.id.as_bytes())
        .execute(conn.raw())
        .await?;
        if closed == 0 {
            return Ok(Completion { completed: false, ledger_ref: None });
        }
        // INVARIANT: a request has two events, for it is opened once and completed once.
        add_event(conn, self.id, 1, self.outcome.as_str(), self.at).await?;
        let ledger_ref = match self.outcome {
            RightsOutcome::Accessed(Some(subject)) => {
                let row = sql("SELECT ledger_ref FROM subject WHERE id = $1")
                    .with_bytes(subject.as_bytes())
                    .row(conn.raw())
                    .await?;
                row.map(|row| row.bytes(0)).transpose()?.map(LedgerRef::from_bytes)
            }
            _ => None,
        };
        Ok(Completion { completed: true, ledger_ref })
    }

    fn entries(&self, output: &Completion) -> Entries {
        match self.outcome {
            _ if !output.completed => Entries::unchanged(Unchanged::AlreadyDone),
            RightsOutcome::Accessed(_) => {
                let event = LedgerEvent::SubjectAccessed { subject: output.ledger_ref, request: self.id };
                Entries::one(LedgerEntry { at: self.at, event })
            }
            RightsOutcome::Erased => Entries::unchanged(Unchanged::ToldElsewhere),
            RightsOutcome::NothingHeld => self.completed(RequestOutcome::NothingHeld),
            RightsOutcome::Restricted(_) => self.completed(RequestOutcome::Restricted),
            RightsOutcome::RestrictionLifted => self.completed(RequestOutcome::RestrictionLifted),
        }
    }
}

impl CompleteRightsRequest {
    fn completed(&self, outcome: RequestOutcome) -> Entries {
        let event = LedgerEvent::RightsRequestCompleted { request: self.id, outcome };
        Entries::one(LedgerEntry { at: self.at, event })
    }
}
