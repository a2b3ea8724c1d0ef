//! How much there is.

use crate::Store;
use crate::error::StoreError;
use crate::statement::sql;

/// Exact counts of one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Persons.
    pub subjects: u64,
    /// Events of all their histories.
    pub events: u64,
    /// Entries of the ledger.
    pub ledger_entries: u64,
    /// Entries that the latest checkpoint covers.
    pub ledger_size: u64,
    /// Recorded disclosures: pages of pulls and look-ups.
    pub disclosures: u64,
    /// Data subjects' requests that are not complete.
    pub open_rights_requests: u64,
}

impl Store {
    /// Counts. It reads whole indexes: for a person who looks, not for every scrape.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn counts(&self) -> Result<Counts, StoreError> {
        let row = sql(
            "SELECT (SELECT count(*) FROM subject), (SELECT CAST(coalesce(sum(events), 0) AS bigint) FROM consent_event), \
                 (SELECT count(*) FROM ledger_entry), \
                 coalesce((SELECT size FROM ledger_checkpoint ORDER BY size DESC LIMIT 1), 0), \
                 (SELECT count(*) FROM disclosure), \
                 (SELECT count(*) FROM rights_request WHERE completed_at IS NULL)",
        )
        .only_row(self.db())
        .await?;
        Ok(Counts {
            subjects: row.unsigned(0)?,
            events: row.unsigned(1)?,
            ledger_entries: row.unsigned(2)?,
            ledger_size: row.unsigned(3)?,
            disclosures: row.unsigned(4)?,
            open_rights_requests: row.unsigned(5)?,
        })
    }
}
