//! Reading what answered a post, before a repetition of it is even planned.

use std::fmt;

use kernel::subject::SubjectId;
use kernel::time::Timestamp;

use crate::Store;
use crate::error::StoreError;
use crate::statement::sql;

/// What a post under a key was answered with.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredOutcome {
    /// The keyed digest of the request.
    pub request: [u8; 32],
    /// Whose post it was.
    pub subject: Option<SubjectId>,
    /// What was kept to answer it.
    pub outcome: Vec<u8>,
}

impl fmt::Debug for StoredOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoredOutcome(..)")
    }
}

impl Store {
    /// What a key was used for, unless its time is over at `now`.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn idempotency(
        &self,
        scope: &str,
        key: &[u8; 32],
        now: Timestamp,
    ) -> Result<Option<StoredOutcome>, StoreError> {
        let row = sql("SELECT request, subject_id, outcome FROM idempotency_key \
             WHERE scope = $1 AND key = $2 AND expires_at > $3")
        .with(scope)
        .with_bytes(key)
        .with(now.as_millis())
        .row(self.db())
        .await?;
        let Some(row) = row else { return Ok(None) };
        let subject: Option<Vec<u8>> = row.get(1)?;
        let subject =
            subject.map(|bytes| SubjectId::from_slice(&bytes).ok_or(StoreError::Tampered)).transpose()?;
        Ok(Some(StoredOutcome { request: row.bytes(0)?, subject, outcome: row.get(2)? }))
    }
}
