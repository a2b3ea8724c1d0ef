//! What recipients are told of persons, from writing it down to their acknowledgement (GDPR Art. 19).

use std::fmt;

use kernel::id::{LetterId, ReceiptId, SubjectId};
use kernel::ledger::{LedgerEntry, LedgerEvent};
use kernel::pseudonym::Pseudonym;
use kernel::purpose::Purpose;
use kernel::recipient::RecipientId;
use kernel::time::Timestamp;

use super::{Change, sealed};
use crate::error::StoreError;
use crate::statement::{join_names, sql};
use crate::unit_of_work::{Conn, Entries, Unchanged};

/// What a recipient is told of somebody who is erased: the names that it knew them by.
#[derive(Clone, PartialEq, Eq)]
pub struct Farewell {
    /// The name of the message.
    pub id: LetterId,
    /// Who is told.
    pub recipient: RecipientId,
    /// The purpose that the names are of.
    pub purpose: Purpose,
    /// The names.
    pub names: Vec<Pseudonym>,
}

impl fmt::Debug for Farewell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Farewell").field("recipient", &self.recipient).finish_non_exhaustive()
    }
}

/// Writes down what recipients are told, in the unit of the erasure.
#[derive(Debug)]
pub struct SayFarewell {
    /// To whom.
    pub farewells: Vec<Farewell>,
    /// Now.
    pub at: Timestamp,
}

impl sealed::Sealed for SayFarewell {}

impl Change for SayFarewell {
    type Output = ();
    const NAME: &'static str = "say_farewell";

    async fn apply(&self, conn: &Conn<'_>) -> Result<(), StoreError> {
        for farewell in &self.farewells {
            sql("INSERT INTO recipient_message (id, recipient, purpose, names, created_at) VALUES ($1, $2, $3, $4, $5)")
                .with_bytes(farewell.id.as_bytes())
                .with(farewell.recipient.as_str())
                .with(farewell.purpose.as_str())
                .with(join_names(&farewell.names))
                .with(self.at.as_millis())
                .execute(conn.raw())
                .await?;
        }
        Ok(())
    }

    fn entries(&self, (): &()) -> Entries {
        // The erasure says what happened.
        Entries::unchanged(Unchanged::ToldElsewhere)
    }
}

/// What waits for a recipient, by its own key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// Somebody was erased.
    Farewell(LetterId),
    /// A permission for a purpose changed.
    Changed(SubjectId, ReceiptId, Purpose),
}

/// A recipient is handed notices, or has acknowledged them.
#[derive(Debug)]
pub struct DeliverNotices {
    /// Who.
    pub recipient: RecipientId,
    /// Which.
    pub notices: Vec<Notice>,
    /// Whether they were acknowledged.
    pub acknowledged: bool,
    /// Now.
    pub at: Timestamp,
}

impl sealed::Sealed for DeliverNotices {}

impl Change for DeliverNotices {
    /// How many there were.
    type Output = u64;
    const NAME: &'static str = "deliver_notices";

    async fn apply(&self, conn: &Conn<'_>) -> Result<u64, StoreError> {
        let (recipient, at, mut count) = (self.recipient.as_str(), self.at.as_millis(), 0);
        for notice in &self.notices {
            count += match (notice, self.acknowledged) {
                // What was acknowledged is forgotten: it is of somebody who is not here.
                (Notice::Farewell(id), true) => {
                    sql("DELETE FROM recipient_message WHERE id = $1 AND recipient = $2")
                        .with_bytes(id.as_bytes())
                        .with(recipient)
                }
                (Notice::Farewell(id), false) => {
                    sql("UPDATE recipient_message SET sent_at = coalesce(sent_at, $3) WHERE id = $1 AND recipient = $2")
                        .with_bytes(id.as_bytes())
                        .with(recipient)
                        .with(at)
                }
                (Notice::Changed(subject, receipt, purpose), acknowledged) => {
                    let statement = if acknowledged {
                        sql("UPDATE recipient_notice SET acknowledged_at = $5 WHERE subject_id = $1 AND receipt = $2 \
                             AND purpose = $3 AND party = 'recipient' AND name = $4 AND acknowledged_at IS NULL")
                    } else {
                        sql("UPDATE recipient_notice SET sent_at = coalesce(sent_at, $5) WHERE subject_id = $1 AND \
                             receipt = $2 AND purpose = $3 AND party = 'recipient' AND name = $4")
                    };
                    statement
                        .with_bytes(subject.as_bytes())
                        .with_bytes(receipt.as_bytes())
                        .with(purpose.as_str())
                        .with(recipient)
                        .with(at)
                }
            }
            .execute(conn.raw())
            .await?;
        }
        Ok(count)
    }

    fn entries(&self, notices: &u64) -> Entries {
        let (recipient, notices) = (self.recipient.clone(), *notices);
        if notices == 0 {
            return Entries::unchanged(Unchanged::AlreadyDone);
        }
        let event = if self.acknowledged {
            LedgerEvent::NoticesAcknowledged { recipient, notices }
        } else {
            LedgerEvent::NoticesFetched { recipient, notices }
        };
        Entries::one(LedgerEntry { at: self.at, event })
    }
}
