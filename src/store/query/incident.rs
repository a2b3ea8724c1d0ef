//! Reading the register of incidents.

use kernel::id::IncidentId;
use kernel::ledger::IncidentKind;
use kernel::time::Timestamp;

use crate::Store;
use crate::error::StoreError;
use crate::statement::{Row, sql};

/// An incident as it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncidentRow {
    /// Its name.
    pub id: IncidentId,
    /// Its kind.
    pub kind: IncidentKind,
    /// When it was put on record.
    pub opened_at: Timestamp,
    /// How often it was written.
    pub version: i64,
    /// What is on record, sealed.
    pub sealed: Vec<u8>,
}

impl Store {
    /// An incident by its name.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn incident(&self, id: IncidentId) -> Result<Option<IncidentRow>, StoreError> {
        let row = sql("SELECT id, kind, opened_at, version, sealed FROM incident WHERE id = $1")
            .with_bytes(id.as_bytes())
            .row(self.db())
            .await?;
        row.as_ref().map(read).transpose()
    }

    /// Incidents, the latest first, after a place in the list.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn incidents(
        &self,
        after: Option<(Timestamp, IncidentId)>,
        limit: u32,
    ) -> Result<Vec<IncidentRow>, StoreError> {
        let (at, id) = after.map_or((i64::MAX, [0xff; 16]), |(at, id)| (at.as_millis(), *id.as_bytes()));
        let rows = sql("SELECT id, kind, opened_at, version, sealed FROM incident \
                        WHERE opened_at < $1 OR (opened_at = $1 AND id < $2) \
                        ORDER BY opened_at DESC, id DESC LIMIT $3")
        .with(at)
        .with_bytes(&id)
        .with(i64::from(limit))
        .rows(self.db())
        .await?;
        rows.iter().map(read).collect()
    }
}

fn read(row: &Row) -> Result<IncidentRow, StoreError> {
    let kind: i16 = row.get(1)?;
    let kind = IncidentKind::ALL.into_iter().find(|known| *known as i16 == kind);
    Ok(IncidentRow {
        id: IncidentId::from_bytes(row.bytes(0)?),
        kind: kind.ok_or(StoreError::Tampered)?,
        opened_at: Timestamp::from_millis(row.get(2)?),
        version: row.get(3)?,
        sealed: row.get(4)?,
    })
}
