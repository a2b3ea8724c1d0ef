//! Reading whom the gateway has to tell that a consent was taken back.

use kernel::id::ReceiptId;
use kernel::subject::SubjectId;
use kernel::time::Timestamp;

use crate::Store;
use crate::error::StoreError;
use crate::statement::sql;

/// One notice to one party about one purpose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecipientNoticeRow {
    /// The receipt of the withdrawal.
    pub receipt: ReceiptId,
    /// About which purpose.
    pub purpose: String,
    /// `recipient` or `source`.
    pub party: String,
    /// Its name.
    pub name: String,
    /// Since when it waits.
    pub created_at: Timestamp,
    /// When it went out.
    pub sent_at: Option<Timestamp>,
    /// When it was acknowledged.
    pub acknowledged_at: Option<Timestamp>,
}

impl Store {
    /// The notices about one person, in the order of their withdrawals.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn recipient_notices(&self, subject: SubjectId) -> Result<Vec<RecipientNoticeRow>, StoreError> {
        let rows = sql(
            "SELECT receipt, purpose, party, name, created_at, sent_at, acknowledged_at FROM recipient_notice \
             WHERE subject_id = $1 ORDER BY created_at, receipt, purpose, party, name",
        )
        .with_bytes(subject.as_bytes())
        .rows(self.db())
        .await?;
        rows.iter()
            .map(|row| {
                let at = |column| row.get::<Option<i64>>(column).map(|at| at.map(Timestamp::from_millis));
                Ok(RecipientNoticeRow {
                    receipt: ReceiptId::from_bytes(row.bytes(0)?),
                    purpose: row.get(1)?,
                    party: row.get(2)?,
                    name: row.get(3)?,
                    created_at: Timestamp::from_millis(row.get(4)?),
                    sent_at: at(5)?,
                    acknowledged_at: at(6)?,
                })
            })
            .collect()
    }
}
