//! Erases a person: the data key, the record, the history and every fingerprint go in one unit, and the fingerprints
//! stay suppressed so that no import brings the person back (GDPR Art. 17).
//!
//! What stays names nobody: bits in disclosure bitmaps, a random reference in the ledger, suppression fingerprints
//! under a key of their own.

use std::fmt;
use std::sync::Arc;

use kernel::id::{LedgerRef, RightsRequestId};
use kernel::identifier::{IndexPrint, SuppressionFingerprint};
use kernel::ledger::{LedgerEntry, LedgerEvent};
use kernel::seal::Keyring;
use kernel::subject::SubjectId;
use kernel::time::Timestamp;
use sea_orm::ActiveValue::Set;
use sea_orm::EntityTrait as _;
use sea_orm::sea_query::OnConflict;

use super::{Change, sealed};
use crate::Backend;
use crate::entity::suppression;
use crate::error::{StoreError, from_db};
use crate::statement::sql;
use crate::unit_of_work::{Conn, Entries, Unchanged};

/// The scope of a suppression that keeps every import out.
const EVERYWHERE: &str = "*";
pub(super) const REASON: &str = "erasure";

/// An erasure.
pub struct EraseSubject {
    /// Whom.
    pub subject: SubjectId,
    /// The request that asked for it.
    pub request: RightsRequestId,
    /// Further marks to suppress: of addresses in the record, and of mailboxes without their plus-tag (EML-10).
    pub also: Vec<SuppressionFingerprint>,
    /// The keys in use: the fingerprints that are found are turned into suppressed ones here, where none can be added
    /// in between.
    pub keyring: Arc<Keyring>,
    /// Now.
    pub at: Timestamp,
}

impl fmt::Debug for EraseSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EraseSubject").field("request", &self.request).finish_non_exhaustive()
    }
}

/// What an erasure did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Erasure {
    /// What the ledger called the person, if there was one to erase.
    pub ledger_ref: Option<LedgerRef>,
    /// How many fingerprints are suppressed now.
    pub identifiers: u64,
}

impl Erasure {
    /// Whether there was somebody to erase.
    #[must_use]
    pub const fn erased(&self) -> bool {
        self.ledger_ref.is_some()
    }
}

impl sealed::Sealed for EraseSubject {}

impl Change for EraseSubject {
    type Output = Erasure;
    const NAME: &'static str = "erase_subject";
    const DESTROYS: bool = true;

    async fn apply(&self, conn: &Conn<'_>) -> Result<Self::Output, StoreError> {
        let id = self.subject.as_bytes();
        // The lock first: whoever captures for this person at this moment either came before and is erased too, or
        // comes after and finds nobody.
        let locked = match conn.backend() {
            Backend::Postgres => sql("SELECT ledger_ref FROM subject WHERE id = $1 FOR UPDATE"),
            Backend::Sqlite => sql("SELECT ledger_ref FROM subject WHERE id = $1"),
        };
        let Some(row) = locked.with_bytes(id).row(conn.raw()).await? else {
            return Ok(Erasure { ledger_ref: None, identifiers: 0 });
        };
        let ledger_ref = LedgerRef::from_bytes(row.bytes(0)?);

        let identifiers =
            sql("DELETE FROM subject_identifier WHERE subject_id = $1 RETURNING fingerprint, key_id")
                .with_bytes(id)
                .rows(conn.raw())
                .await?;
        for row in &identifiers {
            let stored = IndexPrint::from_bytes(row.bytes(0)?);
            self.suppress(conn, self.keyring.suppression_of_index(&stored)).await?;
            // What a file says of the person and waits to be applied goes, too: it may be of a later layer by now.
            let key_id = u32::try_from(row.get::<i64>(1)?).map_err(|_| StoreError::Tampered)?;
            for (_, print) in self.keyring.index_from(&stored, key_id) {
                for waiting in
                    ["DELETE FROM import_row WHERE email = $1", "DELETE FROM import_row WHERE customer_id = $1"]
                {
                    sql(waiting).with_bytes(print.as_bytes()).execute(conn.raw()).await?;
                }
            }
        }
        for mark in &self.also {
            self.suppress(conn, *mark).await?;
        }
        forget(conn, self.subject).await?;
        Ok(Erasure { ledger_ref: Some(ledger_ref), identifiers: identifiers.len() as u64 })
    }

    fn entries(&self, output: &Self::Output) -> Entries {
        match output.ledger_ref {
            Some(subject) => {
                let event = LedgerEvent::SubjectErased { subject, request: self.request };
                Entries::one(LedgerEntry { at: self.at, event })
            }
            None => Entries::unchanged(Unchanged::NoSuchSubject),
        }
    }
}

/// Removes everything that is kept by a person's id, the key last.
pub(super) async fn forget(conn: &Conn<'_>, subject: SubjectId) -> Result<(), StoreError> {
    for statement in [
        "DELETE FROM consent_event WHERE subject_id = $1",
        "DELETE FROM recipient_notice WHERE subject_id = $1",
        "DELETE FROM idempotency_key WHERE subject_id = $1",
        "DELETE FROM prompt WHERE subject_id = $1",
        "DELETE FROM confirmation WHERE subject_id = $1",
        "DELETE FROM outbox WHERE subject_id = $1",
        "DELETE FROM import_subject WHERE subject_id = $1",
        "UPDATE rights_request SET subject_id = NULL WHERE subject_id = $1",
        "DELETE FROM subject WHERE id = $1",
    ] {
        sql(statement).with_bytes(subject.as_bytes()).execute(conn.raw()).await?;
    }
    Ok(())
}

impl EraseSubject {
    async fn suppress(&self, conn: &Conn<'_>, mark: SuppressionFingerprint) -> Result<(), StoreError> {
        let row = suppression::ActiveModel {
            fingerprint: Set(mark.as_bytes().to_vec()),
            scope: Set(EVERYWHERE.to_owned()),
            reason: Set(REASON.to_owned()),
            since: Set(self.at.as_millis()),
        };
        // One who came back and is erased again: what was on its way before the later erasure comes late.
        let again = OnConflict::columns([suppression::Column::Fingerprint, suppression::Column::Scope])
            .update_columns([suppression::Column::Since, suppression::Column::Reason])
            .to_owned();
        suppression::Entity::insert(row)
            .on_conflict(again)
            .exec_without_returning(conn.raw())
            .await
            .map_err(from_db)?;
        Ok(())
    }
}
