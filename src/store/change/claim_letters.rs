//! Takes letters that are due into work, for a while: whoever takes them delivers them and settles each. One who dies
//! meanwhile loses nothing, for they are due again when the while is over.

use std::fmt;

use kernel::id::ReceiptId;
use kernel::letter::LetterId;
use kernel::subject::SubjectId;
use kernel::time::Timestamp;

use super::{Change, sealed};
use crate::Backend;
use crate::error::StoreError;
use crate::statement::sql;
use crate::unit_of_work::{Conn, Entries, Unchanged};

/// A claim.
#[derive(Debug, Clone, Copy)]
pub struct ClaimLetters {
    /// Now.
    pub at: Timestamp,
    /// The most to take.
    pub most: u32,
    /// For how long they are one's own, in milliseconds: longer than any attempt to deliver takes.
    pub lease_ms: i64,
}

/// A letter in work.
#[derive(Clone)]
pub struct ClaimedLetter {
    /// To whom.
    pub subject: SubjectId,
    /// Which.
    pub id: LetterId,
    /// The sealed letter.
    pub sealed: Vec<u8>,
    /// When it was written.
    pub created_at: Timestamp,
    /// From when on it is of no use.
    pub expires_at: Timestamp,
    /// The attempts, this one included.
    pub attempts: u32,
    /// The receipt of the request that it asks to confirm; `None` when that is gone or was answered.
    pub request: Option<ReceiptId>,
}

impl fmt::Debug for ClaimedLetter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClaimedLetter")
            .field("id", &self.id)
            .field("attempts", &self.attempts)
            .finish_non_exhaustive()
    }
}

impl sealed::Sealed for ClaimLetters {}

impl Change for ClaimLetters {
    type Output = Vec<ClaimedLetter>;
    const NAME: &'static str = "claim_letters";

    async fn apply(&self, conn: &Conn<'_>) -> Result<Vec<ClaimedLetter>, StoreError> {
        let statement = match conn.backend() {
            // Several gateways send side by side: none waits for what another one has taken.
            Backend::Postgres => sql("UPDATE outbox SET next_attempt_at = $2, attempts = attempts + 1 \
                 WHERE (subject_id, id) IN (SELECT subject_id, id FROM outbox \
                     WHERE failed_at IS NULL AND next_attempt_at <= $1 \
                     ORDER BY next_attempt_at LIMIT $3 FOR UPDATE SKIP LOCKED) \
                 RETURNING subject_id, id, sealed, created_at, expires_at, attempts, \
                     (SELECT receipt FROM confirmation c WHERE c.subject_id = outbox.subject_id \
                         AND c.letter = outbox.id AND c.confirmed_at IS NULL)"),
            Backend::Sqlite => sql("UPDATE outbox SET next_attempt_at = $2, attempts = attempts + 1 \
                 WHERE (subject_id, id) IN (SELECT subject_id, id FROM outbox \
                     WHERE failed_at IS NULL AND next_attempt_at <= $1 \
                     ORDER BY next_attempt_at LIMIT $3) \
                 RETURNING subject_id, id, sealed, created_at, expires_at, attempts, \
                     (SELECT receipt FROM confirmation c WHERE c.subject_id = outbox.subject_id \
                         AND c.letter = outbox.id AND c.confirmed_at IS NULL)"),
        };
        let rows = statement
            .with(self.at.as_millis())
            .with(self.at.plus_ms(self.lease_ms).as_millis())
            .with(i64::from(self.most))
            .rows(conn.raw())
            .await?;
        rows.iter()
            .map(|row| {
                let request: Option<Vec<u8>> = row.get(6)?;
                Ok(ClaimedLetter {
                    subject: SubjectId::from_bytes(row.bytes(0)?),
                    id: LetterId::from_bytes(row.bytes(1)?),
                    sealed: row.get(2)?,
                    created_at: Timestamp::from_millis(row.get(3)?),
                    expires_at: Timestamp::from_millis(row.get(4)?),
                    attempts: row.get::<i32>(5)?.try_into().map_err(|_| StoreError::Tampered)?,
                    request: request.and_then(|bytes| ReceiptId::from_slice(&bytes)),
                })
            })
            .collect()
    }

    fn entries(&self, _: &Vec<ClaimedLetter>) -> Entries {
        Entries::unchanged(Unchanged::Delivery)
    }
}
