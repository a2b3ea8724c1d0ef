//! Reading a person's history.

use std::fmt;

use kernel::id::ReceiptId;
use kernel::notice::NoticeDigest;
use kernel::purpose::Purpose;
use kernel::subject::SubjectId;
use kernel::time::Timestamp;

use crate::Store;
use crate::error::StoreError;
use crate::statement::{Row, name, sql};

/// One event. What stands beside the sealed form is an index to it; only the sealed form counts.
#[derive(Clone, PartialEq, Eq)]
pub struct EventRow {
    /// Its place in the history, from 0.
    pub sequence: u32,
    /// The code of its kind.
    pub kind: u8,
    /// The purpose it is about, if it is about one.
    pub purpose: Option<Purpose>,
    /// When the person acted.
    pub captured_at: Timestamp,
    /// When the gateway received it.
    pub received_at: Timestamp,
    /// What was shown.
    pub notice: Option<NoticeDigest>,
    /// The receipt it was recorded under.
    pub receipt: ReceiptId,
    /// The event and its evidence, to be opened with `SubjectKey::open_event`.
    pub sealed: Vec<u8>,
}

impl fmt::Debug for EventRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventRow").field("sequence", &self.sequence).finish_non_exhaustive()
    }
}

impl Store {
    /// A person's whole history, in order.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn consent_events(&self, subject: SubjectId) -> Result<Vec<EventRow>, StoreError> {
        let rows = sql("SELECT sequence, kind, purpose, captured_at, received_at, notice, receipt, sealed \
             FROM consent_event WHERE subject_id = $1 ORDER BY sequence")
        .with_bytes(subject.as_bytes())
        .rows(self.db())
        .await?;
        rows.iter().map(event).collect()
    }
}

fn event(row: &Row) -> Result<EventRow, StoreError> {
    let purpose: Option<String> = row.get(2)?;
    let notice: Option<Vec<u8>> = row.get(5)?;
    Ok(EventRow {
        sequence: row.get::<i32>(0)?.try_into().map_err(|_| StoreError::Tampered)?,
        kind: row.get::<i16>(1)?.try_into().map_err(|_| StoreError::Tampered)?,
        purpose: purpose.as_deref().map(name).transpose()?,
        captured_at: Timestamp::from_millis(row.get(3)?),
        received_at: Timestamp::from_millis(row.get(4)?),
        notice: notice.map(|bytes| NoticeDigest::from_slice(&bytes).ok_or(StoreError::Tampered)).transpose()?,
        receipt: ReceiptId::from_bytes(row.bytes(6)?),
        sealed: row.get(7)?,
    })
}
