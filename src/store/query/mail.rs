//! Reading the queue of mail, and what waits to be confirmed.

use kernel::id::ReceiptId;
use kernel::letter::WordingDigest;
use kernel::subject::SubjectId;
use kernel::time::Timestamp;

use crate::Store;
use crate::error::StoreError;
use crate::statement::{Row, sql};

/// The state of the queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MailQueue {
    /// Letters that wait.
    pub queued: u64,
    /// When the oldest of them was written.
    pub oldest: Option<Timestamp>,
    /// Letters that were refused for good.
    pub failed: u64,
}

/// A request that waits for its confirmation, or did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfirmationRow {
    /// Whose.
    pub subject: SubjectId,
    /// The receipt of the request.
    pub receipt: ReceiptId,
    /// The language it was made in.
    pub locale: String,
    /// When it was made.
    pub requested_at: Timestamp,
    /// Until when it can be confirmed.
    pub expires_at: Timestamp,
    /// When it was confirmed.
    pub confirmed_at: Option<Timestamp>,
}

impl ConfirmationRow {
    fn read(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            subject: SubjectId::from_bytes(row.bytes(0)?),
            receipt: ReceiptId::from_bytes(row.bytes(1)?),
            locale: row.get(2)?,
            requested_at: Timestamp::from_millis(row.get(3)?),
            expires_at: Timestamp::from_millis(row.get(4)?),
            confirmed_at: row.get::<Option<i64>>(5)?.map(Timestamp::from_millis),
        })
    }
}

impl Store {
    /// The state of the queue of mail. It reads two small indexes.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn mail_queue(&self) -> Result<MailQueue, StoreError> {
        let row = sql("SELECT (SELECT count(*) FROM outbox WHERE failed_at IS NULL), \
             (SELECT min(created_at) FROM outbox WHERE failed_at IS NULL), \
             (SELECT count(*) FROM outbox WHERE failed_at IS NOT NULL)")
        .only_row(self.db())
        .await?;
        Ok(MailQueue {
            queued: row.unsigned(0)?,
            oldest: row.get::<Option<i64>>(1)?.map(Timestamp::from_millis),
            failed: row.unsigned(2)?,
        })
    }

    /// Whether a letter is due.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn is_letter_due(&self, now: Timestamp) -> Result<bool, StoreError> {
        let row = sql("SELECT 1 FROM outbox WHERE failed_at IS NULL AND next_attempt_at <= $1 LIMIT 1")
            .with(now.as_millis())
            .row(self.db())
            .await?;
        Ok(row.is_some())
    }

    /// The request that a token confirms. One that no letter went out for has no token that anybody could know.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn confirmation(&self, token: &[u8; 32]) -> Result<Option<ConfirmationRow>, StoreError> {
        let row = sql("SELECT subject_id, receipt, locale, requested_at, expires_at, confirmed_at \
             FROM confirmation WHERE token = $1 AND letter IS NOT NULL")
        .with_bytes(token)
        .row(self.db())
        .await?;
        row.as_ref().map(ConfirmationRow::read).transpose()
    }

    /// The requests of one person.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn confirmations_of(&self, subject: SubjectId) -> Result<Vec<ConfirmationRow>, StoreError> {
        let rows = sql("SELECT subject_id, receipt, locale, requested_at, expires_at, confirmed_at \
             FROM confirmation WHERE subject_id = $1 ORDER BY requested_at, token")
        .with_bytes(subject.as_bytes())
        .rows(self.db())
        .await?;
        rows.iter().map(ConfirmationRow::read).collect()
    }

    /// Persons with a request from before an instant that was never confirmed.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn unconfirmed_before(
        &self,
        before: Timestamp,
        after: Option<SubjectId>,
        limit: u32,
    ) -> Result<Vec<SubjectId>, StoreError> {
        let rows = sql("SELECT DISTINCT subject_id FROM confirmation \
             WHERE requested_at <= $1 AND confirmed_at IS NULL AND subject_id > $2 ORDER BY subject_id LIMIT $3")
        .with(before.as_millis())
        .with(after.map_or_else(Vec::new, |subject| subject.as_bytes().to_vec()))
        .with(i64::from(limit))
        .rows(self.db())
        .await?;
        rows.iter().map(|row| row.bytes(0).map(SubjectId::from_bytes)).collect()
    }

    /// The version of a person, which every write raises.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn version_of(&self, subject: SubjectId) -> Result<Option<i64>, StoreError> {
        let row =
            sql("SELECT version FROM subject WHERE id = $1").with_bytes(subject.as_bytes()).row(self.db()).await?;
        row.map(|row| row.get(0)).transpose()
    }

    /// What a letter said, by its digest.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn wording(&self, digest: &WordingDigest) -> Result<Option<(String, String)>, StoreError> {
        let row = sql("SELECT locale, text FROM wording WHERE digest = $1")
            .with_bytes(digest.as_bytes())
            .row(self.db())
            .await?;
        row.map(|row| Ok((row.get(0)?, row.get(1)?))).transpose()
    }
}
