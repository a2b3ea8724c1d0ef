//! Sessions: begun by the acts that prove who somebody is, seen while they last, and ended.

use std::fmt;

use kernel::ledger::{LedgerEntry, LedgerEvent, StaffAct};
use kernel::staff::{SessionId, StaffId};
use kernel::time::Timestamp;

use crate::change::{Change, sealed};
use crate::error::StoreError;
use crate::query::SessionStage;
use crate::statement::sql;
use crate::unit_of_work::{Conn, Entries, Unchanged};

/// A session to begin. Of its token only a keyed digest is stored.
#[derive(Clone)]
pub struct NewSession {
    /// The digest of its token.
    pub token_hash: [u8; 32],
    /// Its name in lists.
    pub id: SessionId,
    /// How far somebody got.
    pub stage: SessionStage,
    /// The authenticator that is being set up, sealed.
    pub pending: Option<Vec<u8>>,
    /// The machine in words, for whoever looks at the list.
    pub machine: String,
    /// When it ends, whatever happens.
    pub expires_at: Timestamp,
    /// The keyed digest over the row.
    pub binding: [u8; 32],
    /// Whether it is begun through the identity provider.
    pub by_provider: bool,
}

/// The most sessions that somebody has at once (ASVS 5.0 7.1.2): another one ends the oldest.
pub const MOST_SESSIONS: i64 = 5;

impl fmt::Debug for NewSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewSession").field("id", &self.id).field("stage", &self.stage).finish_non_exhaustive()
    }
}

impl NewSession {
    pub(super) async fn begin(&self, conn: &Conn<'_>, staff: StaffId, at: Timestamp) -> Result<(), StoreError> {
        sql("INSERT INTO staff_session \
             (token_hash, id, staff_id, stage, pending, machine, created_at, seen_at, expires_at, binding, by_provider) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $8, $9, $10)")
        .with_bytes(&self.token_hash)
        .with_bytes(self.id.as_bytes())
        .with_bytes(staff.as_bytes())
        .with(self.stage.as_str())
        .with(self.pending.clone())
        .with(self.machine.as_str())
        .with(at.as_millis())
        .with(self.expires_at.as_millis())
        .with_bytes(&self.binding)
        .with(i16::from(self.by_provider))
        .execute(conn.raw())
        .await?;
        if self.stage == SessionStage::Full {
            sql("DELETE FROM staff_session WHERE staff_id = $1 AND stage = 'full' AND token_hash <> $2 \
                 AND token_hash NOT IN (SELECT token_hash FROM staff_session WHERE staff_id = $1 AND stage = 'full' \
                   AND token_hash <> $2 ORDER BY created_at DESC, token_hash LIMIT $3)")
            .with_bytes(staff.as_bytes())
            .with_bytes(&self.token_hash)
            .with(MOST_SESSIONS - 1)
            .execute(conn.raw())
            .await?;
        }
        Ok(())
    }
}

/// Ends a session by its token; says whether there was one.
pub(super) async fn end(conn: &Conn<'_>, staff: StaffId, token_hash: &[u8; 32]) -> Result<bool, StoreError> {
    let ended = sql("DELETE FROM staff_session WHERE token_hash = $1 AND staff_id = $2")
        .with_bytes(token_hash)
        .with_bytes(staff.as_bytes())
        .execute(conn.raw())
        .await?;
    Ok(ended == 1)
}

/// Ends every session of somebody.
pub(super) async fn end_all(conn: &Conn<'_>, staff: StaffId) -> Result<(), StoreError> {
    sql("DELETE FROM staff_session WHERE staff_id = $1").with_bytes(staff.as_bytes()).execute(conn.raw()).await?;
    Ok(())
}

/// Ends every session of somebody that was begun through the identity provider.
pub(super) async fn end_of_provider(conn: &Conn<'_>, staff: StaffId) -> Result<(), StoreError> {
    sql("DELETE FROM staff_session WHERE staff_id = $1 AND by_provider = 1")
        .with_bytes(staff.as_bytes())
        .execute(conn.raw())
        .await?;
    Ok(())
}

/// Which of somebody's sessions.
#[derive(Clone, Copy)]
pub enum WhichSessions {
    /// The one with this name.
    One(SessionId),
    /// The one with this token.
    This([u8; 32]),
    /// All but the one with this token.
    Others([u8; 32]),
}

impl fmt::Debug for WhichSessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::One(_) => "One(..)",
            Self::This(_) => "This(..)",
            Self::Others(_) => "Others(..)",
        })
    }
}

/// Sessions to end.
#[derive(Debug, Clone)]
pub struct EndSessions {
    /// Whose.
    pub staff: StaffId,
    /// Which.
    pub which: WhichSessions,
    /// Now.
    pub at: Timestamp,
}

impl sealed::Sealed for EndSessions {}

impl Change for EndSessions {
    /// How many were ended.
    type Output = u64;
    const NAME: &'static str = "end_sessions";

    async fn apply(&self, conn: &Conn<'_>) -> Result<u64, StoreError> {
        let staff = self.staff.as_bytes();
        let statement = match &self.which {
            WhichSessions::One(id) => sql("DELETE FROM staff_session WHERE staff_id = $1 AND id = $2")
                .with_bytes(staff)
                .with_bytes(id.as_bytes()),
            WhichSessions::This(hash) => sql("DELETE FROM staff_session WHERE staff_id = $1 AND token_hash = $2")
                .with_bytes(staff)
                .with_bytes(hash),
            WhichSessions::Others(hash) => {
                sql("DELETE FROM staff_session WHERE staff_id = $1 AND token_hash <> $2")
                    .with_bytes(staff)
                    .with_bytes(hash)
            }
        };
        statement.execute(conn.raw()).await
    }

    fn entries(&self, ended: &u64) -> Entries {
        if *ended == 0 {
            return Entries::unchanged(Unchanged::AlreadyDone);
        }
        let event =
            LedgerEvent::StaffChanged { staff: self.staff, act: StaffAct::SessionsEnded, by: Some(self.staff) };
        Entries::one(LedgerEntry { at: self.at, event })
    }
}

/// A session was used. It changes when it ends of itself, and nothing else.
#[derive(Debug, Clone)]
pub struct TouchSession {
    /// Its name.
    pub id: SessionId,
    /// Now.
    pub at: Timestamp,
}

impl sealed::Sealed for TouchSession {}

impl Change for TouchSession {
    type Output = ();
    const NAME: &'static str = "touch_session";

    async fn apply(&self, conn: &Conn<'_>) -> Result<(), StoreError> {
        sql("UPDATE staff_session SET seen_at = $2 WHERE id = $1 AND seen_at < $2")
            .with_bytes(self.id.as_bytes())
            .with(self.at.as_millis())
            .execute(conn.raw())
            .await?;
        Ok(())
    }

    fn entries(&self, (): &()) -> Entries {
        Entries::unchanged(Unchanged::Housekeeping)
    }
}
