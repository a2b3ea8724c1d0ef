//! Reading who must not be brought back.

use kernel::identifier::SuppressionFingerprint;
use kernel::time::Timestamp;
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _};

use crate::Store;
use crate::entity::suppression::{Column, Entity};
use crate::error::{StoreError, from_db};
use crate::statement::exactly;

/// Fingerprints a statement asks for at most: SQLite takes 32,766 arguments, PostgreSQL 65,535.
const BATCH: usize = 10_000;

/// A suppression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuppressionRow {
    /// Of which fingerprint.
    pub fingerprint: SuppressionFingerprint,
    /// For which imports; `*`: all.
    pub scope: String,
    /// Why.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
}

impl Store {
    /// The suppressions of some fingerprints.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn suppressions(
        &self,
        fingerprints: &[SuppressionFingerprint],
    ) -> Result<Vec<SuppressionRow>, StoreError> {
        let mut rows = Vec::new();
        for batch in fingerprints.chunks(BATCH) {
            let keys = batch.iter().map(|fingerprint| fingerprint.as_bytes().to_vec());
            let models =
                Entity::find().filter(Column::Fingerprint.is_in(keys)).all(self.db()).await.map_err(from_db)?;
            for model in models {
                rows.push(SuppressionRow {
                    fingerprint: SuppressionFingerprint::from_bytes(exactly(model.fingerprint)?),
                    scope: model.scope,
                    reason: model.reason,
                    since: Timestamp::from_millis(model.since),
                });
            }
        }
        Ok(rows)
    }
}
