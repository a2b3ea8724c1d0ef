//! Other credentials of one's own: a password, recovery codes, or the same password at today's cost.

use kernel::ledger::{LedgerEntry, LedgerEvent, StaffAct};
use kernel::staff::StaffId;
use kernel::time::Timestamp;

use super::sign_in::{RecoveryCodes, SecondFactor, replace_codes};
use super::{NewSession, session};
use crate::change::{Change, sealed};
use crate::error::StoreError;
use crate::statement::sql;
use crate::unit_of_work::{Conn, Entries, Unchanged};

/// Another password. Every session ends, and the one in which it was changed goes on under another token.
#[derive(Clone)]
pub struct ChangePassword {
    /// Whose.
    pub staff: StaffId,
    /// The hash of the password so far: if somebody changed it meanwhile, this is not done.
    pub from: String,
    /// The hash of the new one, sealed.
    pub to: String,
    /// What was shown beside the password.
    pub factor: SecondFactor,
    /// The session that goes on.
    pub session: NewSession,
    /// Now.
    pub at: Timestamp,
}

impl std::fmt::Debug for ChangePassword {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChangePassword").field("staff", &self.staff).finish_non_exhaustive()
    }
}

impl sealed::Sealed for ChangePassword {}

impl Change for ChangePassword {
    /// Whether it was changed. A code that counts no more is [`StoreError::Conflict`].
    type Output = bool;
    const NAME: &'static str = "change_password";

    async fn apply(&self, conn: &Conn<'_>) -> Result<bool, StoreError> {
        if !set_hash(conn, self.staff, &self.from, &self.to).await? {
            return Ok(false);
        }
        self.factor.take(conn, self.staff).await?;
        session::end_all(conn, self.staff).await?;
        self.session.begin(conn, self.staff, self.at).await?;
        Ok(true)
    }

    fn entries(&self, done: &bool) -> Entries {
        if !done {
            return Entries::unchanged(Unchanged::AlreadyDone);
        }
        let act = StaffAct::PasswordChanged;
        let event = LedgerEvent::StaffChanged { staff: self.staff, act, by: Some(self.staff) };
        Entries::one(LedgerEntry { at: self.at, event })
    }
}

/// The same password, hashed at another cost.
#[derive(Clone)]
pub struct KeepHash {
    /// Whose.
    pub staff: StaffId,
    /// The hash so far.
    pub from: String,
    /// The hash from now on.
    pub to: String,
}

impl std::fmt::Debug for KeepHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeepHash").field("staff", &self.staff).finish_non_exhaustive()
    }
}

impl sealed::Sealed for KeepHash {}

impl Change for KeepHash {
    type Output = bool;
    const NAME: &'static str = "keep_hash";

    async fn apply(&self, conn: &Conn<'_>) -> Result<bool, StoreError> {
        set_hash(conn, self.staff, &self.from, &self.to).await
    }

    fn entries(&self, _: &bool) -> Entries {
        Entries::unchanged(Unchanged::Housekeeping)
    }
}

async fn set_hash(conn: &Conn<'_>, staff: StaffId, from: &str, to: &str) -> Result<bool, StoreError> {
    let set = sql("UPDATE staff SET password_hash = $3 WHERE id = $1 AND password_hash = $2 AND ended_at IS NULL")
        .with_bytes(staff.as_bytes())
        .with(from)
        .with(to)
        .execute(conn.raw())
        .await?;
    Ok(set == 1)
}

/// Other recovery codes. The session in which they are drawn goes on under another token.
#[derive(Clone)]
pub struct ReplaceRecoveryCodes {
    /// Whose.
    pub staff: StaffId,
    /// They themselves.
    pub codes: RecoveryCodes,
    /// What was shown for it.
    pub factor: SecondFactor,
    /// The session in which they are drawn, by the digest of its token.
    pub drawn_in: [u8; 32],
    /// The session that goes on.
    pub session: NewSession,
    /// Now.
    pub at: Timestamp,
}

impl std::fmt::Debug for ReplaceRecoveryCodes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReplaceRecoveryCodes").field("staff", &self.staff).finish_non_exhaustive()
    }
}

impl sealed::Sealed for ReplaceRecoveryCodes {}

impl Change for ReplaceRecoveryCodes {
    /// Whether there was such a session. A code that counts no more is [`StoreError::Conflict`].
    type Output = bool;
    const NAME: &'static str = "replace_recovery_codes";

    async fn apply(&self, conn: &Conn<'_>) -> Result<bool, StoreError> {
        if !session::end(conn, self.staff, &self.drawn_in).await? {
            return Ok(false);
        }
        self.factor.take(conn, self.staff).await?;
        replace_codes(conn, self.staff, &self.codes).await?;
        self.session.begin(conn, self.staff, self.at).await?;
        Ok(true)
    }

    fn entries(&self, done: &bool) -> Entries {
        if !done {
            return Entries::unchanged(Unchanged::AlreadyDone);
        }
        let act = StaffAct::RecoveryCodesReplaced;
        let event = LedgerEvent::StaffChanged { staff: self.staff, act, by: Some(self.staff) };
        Entries::one(LedgerEntry { at: self.at, event })
    }
}
