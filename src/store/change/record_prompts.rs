//! Counts the questions that forms put to a person, so that nobody is asked until they give in (EDPB 03/2022).

use kernel::id::{LedgerRef, ReceiptId};
use kernel::ledger::{LedgerEntry, LedgerEvent};
use kernel::purpose::Purpose;
use kernel::subject::SubjectId;
use kernel::time::Timestamp;

use super::{Change, sealed};
use crate::Backend;
use crate::error::StoreError;
use crate::query::prompt::key_of;
use crate::statement::sql;
use crate::unit_of_work::{Conn, Entries, Unchanged};

/// Questions that a form is about to put.
#[derive(Debug, Clone)]
pub struct RecordPrompts {
    /// To whom.
    pub subject: SubjectId,
    /// The receipt whose bearer is asked; `None` where the person was named.
    pub receipt: Option<ReceiptId>,
    /// For which purposes, each with the time of the person's last answer: earlier questions were answered by it.
    pub purposes: Vec<(Purpose, Option<Timestamp>)>,
    /// Now.
    pub at: Timestamp,
}

impl sealed::Sealed for RecordPrompts {}

impl Change for RecordPrompts {
    /// What the ledger calls the person, who may be gone.
    type Output = Option<LedgerRef>;
    const NAME: &'static str = "record_prompts";

    async fn apply(&self, conn: &Conn<'_>) -> Result<Self::Output, StoreError> {
        // The lock keeps an erasure from missing what is written here.
        let locked = match conn.backend() {
            Backend::Postgres => sql("SELECT ledger_ref FROM subject WHERE id = $1 FOR UPDATE"),
            Backend::Sqlite => sql("SELECT ledger_ref FROM subject WHERE id = $1"),
        };
        let Some(row) = locked.with_bytes(self.subject.as_bytes()).row(conn.raw()).await? else {
            return Ok(None);
        };
        for (purpose, answered_at) in &self.purposes {
            sql("INSERT INTO prompt (subject_id, purpose, receipt, count, last_at) VALUES ($1, $2, $3, 1, $4) \
                 ON CONFLICT (subject_id, purpose, receipt) DO UPDATE SET \
                   count = CASE WHEN prompt.last_at <= $5 THEN 1 ELSE prompt.count + 1 END, last_at = $4")
            .with_bytes(self.subject.as_bytes())
            .with(purpose.as_str())
            .with_bytes(&key_of(self.receipt))
            .with(self.at.as_millis())
            .with(answered_at.map_or(i64::MIN, Timestamp::as_millis))
            .execute(conn.raw())
            .await?;
        }
        row.bytes(0).map(LedgerRef::from_bytes).map(Some)
    }

    fn entries(&self, output: &Self::Output) -> Entries {
        match output {
            Some(subject) => {
                let purposes = self.purposes.iter().map(|(purpose, _)| purpose.clone()).collect();
                let event = LedgerEvent::PromptShown { subject: *subject, purposes };
                Entries::one(LedgerEntry { at: self.at, event })
            }
            None => Entries::unchanged(Unchanged::NoSuchSubject),
        }
    }
}
