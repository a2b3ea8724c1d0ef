//! Reading whom the gateway has to tell that a consent was taken back.

use kernel::id::{LetterId, ReceiptId};
use kernel::pseudonym::Pseudonym;
use kernel::purpose::Purpose;
use kernel::recipient::RecipientId;
use kernel::subject::SubjectId;
use kernel::time::Timestamp;

use crate::Store;
use crate::error::StoreError;
use crate::statement::{name, names, sql};

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

/// Something that waits for a recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WaitingNotice {
    /// Somebody was erased.
    Farewell {
        /// The message.
        id: LetterId,
        /// The purpose that the names are of.
        purpose: Purpose,
        /// The names that the recipient knew them by.
        names: Vec<Pseudonym>,
        /// Since when it waits.
        created_at: Timestamp,
    },
    /// A permission for a purpose changed.
    Changed {
        /// Whose.
        subject: SubjectId,
        /// The receipt of what changed it.
        receipt: ReceiptId,
        /// For which purpose.
        purpose: Purpose,
        /// Since when it waits.
        created_at: Timestamp,
    },
}

impl Store {
    /// What waits for a recipient until it acknowledges it, the oldest first: of each kind at most `limit`.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn waiting_notices(
        &self,
        recipient: &RecipientId,
        limit: u32,
    ) -> Result<Vec<WaitingNotice>, StoreError> {
        let farewells = sql("SELECT id, purpose, names, created_at FROM recipient_message \
                             WHERE recipient = $1 ORDER BY created_at, id LIMIT $2")
        .with(recipient.as_str())
        .with(i64::from(limit))
        .rows(self.db())
        .await?;
        let changed = sql("SELECT subject_id, receipt, purpose, created_at FROM recipient_notice \
                           WHERE party = 'recipient' AND name = $1 AND acknowledged_at IS NULL \
                           ORDER BY created_at, subject_id, receipt, purpose LIMIT $2")
        .with(recipient.as_str())
        .with(i64::from(limit))
        .rows(self.db())
        .await?;
        let mut waiting = Vec::with_capacity(farewells.len() + changed.len());
        for row in &farewells {
            waiting.push(WaitingNotice::Farewell {
                id: LetterId::from_bytes(row.bytes(0)?),
                purpose: name(&row.get::<String>(1)?)?,
                names: names(&row.get::<String>(2)?)?,
                created_at: Timestamp::from_millis(row.get(3)?),
            });
        }
        for row in &changed {
            waiting.push(WaitingNotice::Changed {
                subject: SubjectId::from_bytes(row.bytes(0)?),
                receipt: ReceiptId::from_bytes(row.bytes(1)?),
                purpose: name(&row.get::<String>(2)?)?,
                created_at: Timestamp::from_millis(row.get(3)?),
            });
        }
        Ok(waiting)
    }
}
