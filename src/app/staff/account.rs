//! One's own account: the sessions there are, another password, other recovery codes.

use kernel::id::SessionId;
use kernel::staff::{PasswordFault, new_password};
use kernel::time::Timestamp;
use store::StoreError;
use store::change::staff::{ChangePassword, EndSessions, ReplaceRecoveryCodes, WhichSessions};
use store::query::SessionStage;
use zeroize::Zeroizing;

use super::session::{IDLE_MS, SessionGrant, StaffSession, StaffStage};
use super::sign_in::{Machine, SignInDenial};
use crate::error::{AppError, Code};
use crate::gateway::Gateway;

/// Why somebody's own account is not changed.
#[derive(Debug)]
pub enum StaffFault {
    /// A name that is none, or taken.
    Name,
    /// A new password that is not taken.
    Password(PasswordFault),
    /// The present password is wrong.
    WrongPassword,
    /// Too many wrong ones: again after so many seconds.
    Wait(u64),
    /// A code that is wrong.
    Code,
    /// It does not work now, or there is nothing here.
    Failed(AppError),
}

impl From<AppError> for StaffFault {
    fn from(error: AppError) -> Self {
        Self::Failed(error)
    }
}

impl From<StoreError> for StaffFault {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<PasswordFault> for StaffFault {
    fn from(fault: PasswordFault) -> Self {
        Self::Password(fault)
    }
}

/// A session in the list of one's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionView {
    /// Its name.
    pub id: SessionId,
    /// The machine in words.
    pub machine: String,
    /// Since when.
    pub created_at: Timestamp,
    /// When it was last used, give or take a minute.
    pub seen_at: Timestamp,
    /// Whether it is the one that asks.
    pub is_this: bool,
}

impl Gateway {
    /// One's own sessions that go on, the newest first.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn staff_sessions(&self, session: &StaffSession) -> Result<Vec<SessionView>, AppError> {
        let now = self.now();
        let rows = self.inner.store.sessions_of(session.staff()).await?;
        let goes_on = rows.into_iter().filter(|row| {
            row.stage == SessionStage::Full && now < row.expires_at && now.since_ms(row.seen_at) < IDLE_MS
        });
        Ok(goes_on
            .map(|row| SessionView {
                is_this: row.id == session.row.id,
                id: row.id,
                machine: row.machine,
                created_at: row.created_at,
                seen_at: row.seen_at,
            })
            .collect())
    }

    /// How many recovery codes are left.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn recovery_codes_left(&self, session: &StaffSession) -> Result<u64, AppError> {
        Ok(self.inner.store.recovery_codes_left(session.staff()).await?)
    }

    /// Ends one of one's own sessions. Somebody else's is none.
    ///
    /// # Errors
    /// [`Code::NotFound`] when there is no such one.
    pub async fn end_session(&self, session: &StaffSession, id: SessionId) -> Result<(), AppError> {
        let ended = self.end_sessions(session, WhichSessions::One(id)).await?;
        if ended == 0 { Err(AppError::NotFound(Code::NotFound)) } else { Ok(()) }
    }

    /// Ends all of one's own sessions but this one.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn end_other_sessions(&self, session: &StaffSession) -> Result<(), AppError> {
        self.end_sessions(session, WhichSessions::Others(session.token_hash)).await.map(drop)
    }

    /// Signs out.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn sign_out(&self, session: &StaffSession) -> Result<(), AppError> {
        self.end_sessions(session, WhichSessions::This(session.token_hash)).await.map(drop)
    }

    async fn end_sessions(&self, session: &StaffSession, which: WhichSessions) -> Result<u64, AppError> {
        let change = EndSessions { staff: session.staff(), which, at: self.now() };
        Ok(self.inner.store.perform(&change).await?.0)
    }

    /// Changes one's own password. All sessions end; this one goes on under another token.
    ///
    /// # Errors
    /// See [`StaffFault`].
    pub async fn change_password(
        &self,
        session: &StaffSession,
        (present, new): (&str, &str),
        machine: &Machine,
    ) -> Result<SessionGrant, StaffFault> {
        let from = self.prove_again(session, present, machine).await?;
        let to = self.hash_password(new_password(new, session.name())?).await?;
        let (begun, grant) = self.new_session(SessionStage::Full, None, &machine.description);
        let change = ChangePassword { staff: session.staff(), from, to, session: begun, at: self.now() };
        match self.inner.store.perform(&change).await?.0 {
            true => Ok(grant),
            // Somebody changed it meanwhile.
            false => Err(StaffFault::WrongPassword),
        }
    }

    /// Replaces one's own recovery codes; they are shown this once.
    ///
    /// # Errors
    /// See [`StaffFault`].
    pub async fn renew_recovery_codes(
        &self,
        session: &StaffSession,
        password: &str,
        machine: &Machine,
    ) -> Result<Vec<Zeroizing<String>>, StaffFault> {
        self.prove_again(session, password, machine).await?;
        let (codes, digests) = self.draw_recovery_codes(session.staff());
        let change = ReplaceRecoveryCodes { staff: session.staff(), codes: digests, at: self.now() };
        self.inner.store.perform(&change).await?;
        Ok(codes)
    }

    /// That whoever sits at the machine still knows the password; its hash.
    async fn prove_again(
        &self,
        session: &StaffSession,
        password: &str,
        machine: &Machine,
    ) -> Result<String, StaffFault> {
        if session.stage() != StaffStage::Full {
            return Err(StaffFault::WrongPassword);
        }
        let staff = &session.row.staff;
        let bucket = self.bucket(b"again", staff.name.as_str(), Some(staff.id), machine);
        self.begin_attempt(bucket).await.map_err(|denial| match denial {
            SignInDenial::Wrong => StaffFault::WrongPassword,
            SignInDenial::Wait(seconds) => StaffFault::Wait(seconds),
            SignInDenial::Failed(error) => StaffFault::Failed(error),
        })?;
        let hash = staff.password_hash.clone();
        if self.is_password(hash.as_deref(), password).await? {
            self.inner.store.perform(&store::change::staff::ForgetAttempts { bucket }).await?;
            Ok(hash.unwrap_or_default())
        } else {
            Err(StaffFault::WrongPassword)
        }
    }
}
