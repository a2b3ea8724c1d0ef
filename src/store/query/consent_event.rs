//! Reading a person's history.

use std::fmt;

use kernel::id::ReceiptId;
use kernel::subject::SubjectId;
use kernel::time::Timestamp;

use crate::Store;
use crate::error::StoreError;
use crate::statement::{Row, sql};

/// The events of one post or record. What they say is in the sealed form alone.
#[derive(Clone, PartialEq, Eq)]
pub struct ActRow {
    /// The place of the first event in the history, from 0.
    pub first: u32,
    /// How many events.
    pub events: u32,
    /// When the gateway received it.
    pub received_at: Timestamp,
    /// The receipt it was recorded under.
    pub receipt: ReceiptId,
    /// The events and their evidence, to be opened with `SubjectKey::open_act`.
    pub sealed: Vec<u8>,
}

impl fmt::Debug for ActRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActRow").field("first", &self.first).finish_non_exhaustive()
    }
}

impl Store {
    /// A person's whole history, in order.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn consent_acts(&self, subject: SubjectId) -> Result<Vec<ActRow>, StoreError> {
        let rows = sql("SELECT sequence, events, received_at, receipt, sealed \
             FROM consent_event WHERE subject_id = $1 ORDER BY sequence")
        .with_bytes(subject.as_bytes())
        .rows(self.db())
        .await?;
        rows.iter().map(act).collect()
    }
}

fn act(row: &Row) -> Result<ActRow, StoreError> {
    Ok(ActRow {
        first: row.get::<i32>(0)?.try_into().map_err(|_| StoreError::Tampered)?,
        events: row.get::<i32>(1)?.try_into().map_err(|_| StoreError::Tampered)?,
        received_at: Timestamp::from_millis(row.get(2)?),
        receipt: ReceiptId::from_bytes(row.bytes(3)?),
        sealed: row.get(4)?,
    })
}
