//! One's own account: the sessions there are, another password, other recovery codes.

use kernel::id::SessionId;
use kernel::staff::{PasswordFault, new_password};
use kernel::time::Timestamp;
use store::StoreError;
use store::change::staff::{
    ChangePassword, EndSessions, ForgetAttempts, NewSession, ReplaceRecoveryCodes, SecondFactor, TakeFactor,
    UnlinkIdentity, WhichSessions,
};
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
    /// Whoever has no password here must have signed in with the provider just now.
    SignInAgain,
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

/// What somebody shows once more before their account changes.
#[derive(Clone, Copy)]
pub struct Shown<'a> {
    /// The present password.
    pub password: &'a str,
    /// A code of the authenticator, or a recovery code.
    pub code: &'a str,
}

impl std::fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shown(..)")
    }
}

/// How long ago somebody may have signed in with the provider whose account here changes.
const JUST_NOW_MS: i64 = 600_000;

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
    /// Whether it was begun through the identity provider.
    pub by_provider: bool,
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
                by_provider: row.by_provider,
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

    /// Changes one's own password, with both factors. All sessions end; this one goes on under another token.
    ///
    /// # Errors
    /// See [`StaffFault`].
    pub async fn change_password(
        &self,
        session: &StaffSession,
        shown: Shown<'_>,
        new: &str,
        machine: &Machine,
    ) -> Result<SessionGrant, StaffFault> {
        let factor = self.prove_again(session, shown, machine).await?;
        let from = session.row.staff.password_hash.clone().ok_or(StaffFault::WrongPassword)?;
        let to = self.hash_password(session.staff(), new_password(new, session.name())?).await?;
        let (begun, grant) = self.renewed(session, machine);
        let change = ChangePassword { staff: session.staff(), from, to, factor, session: begun, at: self.now() };
        match self.inner.store.perform(&change).await {
            Ok((true, _)) => Ok(grant),
            // Somebody changed it meanwhile.
            Ok((false, _)) => Err(StaffFault::WrongPassword),
            Err(error) => Err(used_up(error)),
        }
    }

    /// The session that takes a session's place.
    fn renewed(&self, session: &StaffSession, machine: &Machine) -> (NewSession, SessionGrant) {
        let how = (machine.description.as_str(), session.is_by_provider());
        self.new_session(session.staff(), (SessionStage::Full, None), how)
    }

    /// Replaces one's own recovery codes, with both factors; they are shown this once. The session goes on under another
    /// token.
    ///
    /// # Errors
    /// See [`StaffFault`].
    pub async fn renew_recovery_codes(
        &self,
        session: &StaffSession,
        shown: Shown<'_>,
        machine: &Machine,
    ) -> Result<(Vec<Zeroizing<String>>, SessionGrant), StaffFault> {
        let factor = self.prove_again(session, shown, machine).await?;
        let (codes, digests) = self.draw_recovery_codes(session.staff());
        let (begun, grant) = self.renewed(session, machine);
        let change = ReplaceRecoveryCodes {
            staff: session.staff(),
            codes: digests,
            factor,
            drawn_in: session.token_hash,
            session: begun,
            at: self.now(),
        };
        match self.inner.store.perform(&change).await {
            Ok((true, _)) => Ok((codes, grant)),
            Ok((false, _)) => Err(StaffFault::SignInAgain),
            Err(error) => Err(used_up(error)),
        }
    }

    /// Whether an account with the identity provider lets one in.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn is_linked(&self, session: &StaffSession) -> Result<bool, AppError> {
        Ok(self.inner.store.has_identity(session.staff()).await?)
    }

    /// Takes the link to the account with the provider back, with both factors. Sessions that were begun by it end. Whoever
    /// has no password would be shut out: an administrator resets them instead.
    ///
    /// # Errors
    /// See [`StaffFault`].
    pub async fn unlink_identity(
        &self,
        session: &StaffSession,
        shown: Shown<'_>,
        machine: &Machine,
    ) -> Result<(), StaffFault> {
        if !session.has_password() {
            return Err(StaffFault::WrongPassword);
        }
        self.prove_for_link(session, shown, machine).await?;
        let (staff, at) = (session.staff(), self.now());
        self.inner.store.perform(&UnlinkIdentity { staff, by: Some(staff), at }).await?;
        Ok(())
    }

    /// As [`Self::prove_again`], for an act that does not take the code itself: it is used up here.
    pub(super) async fn prove_for_link(
        &self,
        session: &StaffSession,
        shown: Shown<'_>,
        machine: &Machine,
    ) -> Result<(), StaffFault> {
        let factor = self.prove_again(session, shown, machine).await?;
        let change = TakeFactor { staff: session.staff(), factor };
        self.inner.store.perform(&change).await.map(drop).map_err(used_up)
    }

    /// That whoever sits at the machine still has both factors; the second one, to be used up. Whoever has no password here
    /// must have signed in with the provider just now instead.
    async fn prove_again(
        &self,
        session: &StaffSession,
        shown: Shown<'_>,
        machine: &Machine,
    ) -> Result<SecondFactor, StaffFault> {
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
        if session.has_password() {
            if !self.is_password(Some(staff), shown.password).await? {
                return Err(StaffFault::WrongPassword);
            }
        } else if !session.is_by_provider() || self.now().since_ms(session.row.created_at) > JUST_NOW_MS {
            return Err(StaffFault::SignInAgain);
        }
        let factor = self.second_factor(staff, shown.code)?.ok_or(StaffFault::Code)?;
        self.inner.store.perform(&ForgetAttempts { bucket }).await?;
        Ok(factor)
    }
}

/// A code that was right, and that somebody used already.
fn used_up(error: StoreError) -> StaffFault {
    match error {
        StoreError::Conflict => StaffFault::Code,
        error => error.into(),
    }
}
