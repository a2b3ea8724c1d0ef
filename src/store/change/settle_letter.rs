//! Says how an attempt to deliver a letter ended. A letter that was delivered is kept no longer: when it was and what
//! it said stay with the request that it asked to confirm.

use kernel::letter::LetterId;
use kernel::subject::SubjectId;
use kernel::time::Timestamp;

use super::{Change, sealed};
use crate::error::StoreError;
use crate::statement::sql;
use crate::unit_of_work::{Conn, Entries, Unchanged};

/// The end of an attempt.
#[derive(Debug, Clone, Copy)]
pub struct SettleLetter {
    /// To whom.
    pub subject: SubjectId,
    /// Which.
    pub id: LetterId,
    /// How it ended.
    pub attempt: Attempt,
    /// Now.
    pub at: Timestamp,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// The mail server took it.
    Sent,
    /// It was not taken now; it is tried again.
    Later {
        /// From when on.
        next: Timestamp,
        /// The server's code, if it answered.
        code: Option<u16>,
    },
    /// It was refused for good. It stays, marked, for somebody to look at.
    Failed {
        /// The server's code, if it answered.
        code: Option<u16>,
    },
    /// It is of no use any more: what it asked for was answered, or ran out.
    Dropped,
}

impl sealed::Sealed for SettleLetter {}

impl Change for SettleLetter {
    type Output = ();
    const NAME: &'static str = "settle_letter";

    async fn apply(&self, conn: &Conn<'_>) -> Result<(), StoreError> {
        let at = self.at.as_millis();
        match self.attempt {
            Attempt::Sent => {
                sql("UPDATE confirmation SET sent_at = $1 WHERE subject_id = $2 AND letter = $3 AND sent_at IS NULL")
                    .with(at)
                    .with_bytes(self.subject.as_bytes())
                    .with_bytes(self.id.as_bytes())
                    .execute(conn.raw())
                    .await?;
                self.delete(conn).await
            }
            Attempt::Dropped => self.delete(conn).await,
            Attempt::Later { next, code } => self.mark(conn, Some(next), code).await,
            Attempt::Failed { code } => self.mark(conn, None, code).await,
        }
    }

    fn entries(&self, (): &()) -> Entries {
        Entries::unchanged(Unchanged::Delivery)
    }
}

impl SettleLetter {
    async fn delete(&self, conn: &Conn<'_>) -> Result<(), StoreError> {
        sql("DELETE FROM outbox WHERE subject_id = $1 AND id = $2")
            .with_bytes(self.subject.as_bytes())
            .with_bytes(self.id.as_bytes())
            .execute(conn.raw())
            .await?;
        Ok(())
    }

    async fn mark(&self, conn: &Conn<'_>, next: Option<Timestamp>, code: Option<u16>) -> Result<(), StoreError> {
        sql("UPDATE outbox SET next_attempt_at = $1, last_code = $2, failed_at = $3 \
             WHERE subject_id = $4 AND id = $5")
        .with(next.unwrap_or(self.at).as_millis())
        .with(code.map(i32::from))
        .with(next.is_none().then(|| self.at.as_millis()))
        .with_bytes(self.subject.as_bytes())
        .with_bytes(self.id.as_bytes())
        .execute(conn.raw())
        .await?;
        Ok(())
    }
}
