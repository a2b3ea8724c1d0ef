//! Removes what was never confirmed (GDPR Art. 5(1)(e)): of somebody of whom nothing else is held, everything, as an
//! erasure does but without a suppression, for nobody asked for one; of somebody else, only what the unconfirmed posts
//! said.

use std::fmt;

use kernel::id::LedgerRef;
use kernel::ledger::{LedgerEntry, LedgerEvent};
use kernel::seal::thin_record;
use kernel::subject::SubjectId;
use kernel::time::Timestamp;

use super::erase_subject::forget;
use super::{Change, sealed};
use crate::Backend;
use crate::error::StoreError;
use crate::statement::sql;
use crate::unit_of_work::{Conn, Entries, Unchanged};

/// A purge of one person's unconfirmed requests.
pub struct PurgeUnconfirmed {
    /// Whose.
    pub subject: SubjectId,
    /// The version of the person that was judged: another one is left alone, and judged again.
    pub version: i64,
    /// What to remove.
    pub what: Unconfirmed,
    /// Requests before this are removed.
    pub before: Timestamp,
    /// Now.
    pub at: Timestamp,
}

/// What to remove of somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unconfirmed {
    /// Everything: nothing else is held.
    Everything,
    /// What the record holds since these instants.
    Observed(Vec<Timestamp>),
}

impl fmt::Debug for PurgeUnconfirmed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PurgeUnconfirmed").field("what", &self.what).finish_non_exhaustive()
    }
}

impl sealed::Sealed for PurgeUnconfirmed {}

impl Change for PurgeUnconfirmed {
    /// What the ledger called the person; `None`: nothing was done.
    type Output = Option<LedgerRef>;
    const NAME: &'static str = "purge_unconfirmed";
    const DESTROYS: bool = true;

    async fn apply(&self, conn: &Conn<'_>) -> Result<Self::Output, StoreError> {
        let id = self.subject.as_bytes();
        let locked = match conn.backend() {
            Backend::Postgres => sql("SELECT ledger_ref, version, record FROM subject WHERE id = $1 FOR UPDATE"),
            Backend::Sqlite => sql("SELECT ledger_ref, version, record FROM subject WHERE id = $1"),
        };
        let row = locked.with_bytes(id).row(conn.raw()).await?;
        let Some(row) = row else { return Ok(None) };
        if row.get::<i64>(1)? != self.version {
            return Ok(None);
        }
        let ledger_ref = LedgerRef::from_bytes(row.bytes(0)?);
        match &self.what {
            Unconfirmed::Everything => {
                sql("DELETE FROM subject_identifier WHERE subject_id = $1")
                    .with_bytes(id)
                    .execute(conn.raw())
                    .await?;
                forget(conn, self.subject).await?;
            }
            Unconfirmed::Observed(instants) => {
                self.thin(conn, &row.get::<Vec<u8>>(2)?, instants).await?;
                for statement in [
                    "DELETE FROM confirmation WHERE subject_id = $1 AND requested_at <= $2",
                    "DELETE FROM outbox WHERE subject_id = $1 AND created_at <= $2",
                ] {
                    sql(statement).with_bytes(id).with(self.before.as_millis()).execute(conn.raw()).await?;
                }
            }
        }
        Ok(Some(ledger_ref))
    }

    fn entries(&self, output: &Self::Output) -> Entries {
        match output {
            Some(subject) => {
                let whole = self.what == Unconfirmed::Everything;
                let event = LedgerEvent::UnconfirmedPurged { subject: *subject, whole };
                Entries::one(LedgerEntry { at: self.at, event })
            }
            None => Entries::unchanged(Unchanged::NoSuchSubject),
        }
    }
}

impl PurgeUnconfirmed {
    async fn thin(&self, conn: &Conn<'_>, record: &[u8], instants: &[Timestamp]) -> Result<(), StoreError> {
        let thinned = thin_record(record, |_, at| !instants.contains(&at)).map_err(|_| StoreError::Tampered)?;
        let sequence = conn.sequence().await?;
        let statement = match conn.backend() {
            Backend::Postgres => sql("UPDATE subject SET record = $1, version = version + 1, \
                 change_sequence = $2::bigint + pg_current_xact_id()::text::bigint WHERE id = $3"),
            Backend::Sqlite => sql("UPDATE subject SET record = $1, version = version + 1, change_sequence = $2 \
                 WHERE id = $3"),
        };
        statement.with(thinned).with(sequence).with_bytes(self.subject.as_bytes()).execute(conn.raw()).await?;
        Ok(())
    }
}
