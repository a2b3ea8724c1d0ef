//! Signing in: the password begins a session that can do nothing, the second factor ends that one and begins another.

use kernel::ledger::{LedgerEntry, LedgerEvent, StaffAct};
use kernel::staff::{Role, StaffId};
use kernel::time::Timestamp;

use super::{NewSession, attempt, session};
use crate::change::{Change, sealed};
use crate::error::StoreError;
use crate::statement::{signed, sql};
use crate::unit_of_work::{Conn, Entries, Unchanged};

/// The password was right.
#[derive(Debug, Clone)]
pub struct PassFirstFactor {
    /// Whose.
    pub staff: StaffId,
    /// The session that waits for the second factor, or in which one is set up.
    pub session: NewSession,
    /// The failures that are forgotten.
    pub bucket: [u8; 32],
    /// Now.
    pub at: Timestamp,
}

impl sealed::Sealed for PassFirstFactor {}

impl Change for PassFirstFactor {
    type Output = ();
    const NAME: &'static str = "pass_first_factor";

    async fn apply(&self, conn: &Conn<'_>) -> Result<(), StoreError> {
        attempt::forget(conn, &self.bucket).await?;
        self.session.begin(conn, self.staff, self.at).await
    }

    fn entries(&self, (): &()) -> Entries {
        Entries::unchanged(Unchanged::Prepared)
    }
}

/// What somebody showed beside the password.
#[derive(Debug, Clone)]
pub enum SecondFactor {
    /// The code of a step, later than the last one that was taken.
    Step(u64),
    /// A recovery code, by its keyed digests: it lies under one of them.
    Recovery(Vec<[u8; 32]>),
}

impl SecondFactor {
    /// Uses it up.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when it was used already.
    pub(super) async fn take(&self, conn: &Conn<'_>, staff: StaffId) -> Result<(), StoreError> {
        let used = match self {
            Self::Step(step) => {
                sql("UPDATE staff SET authenticator_step = $2 WHERE id = $1 AND authenticator_step < $2 \
                     AND ended_at IS NULL")
                .with_bytes(staff.as_bytes())
                .with(signed(*step)?)
                .execute(conn.raw())
                .await?
            }
            Self::Recovery(codes) => {
                let mut used = 0;
                for code in codes {
                    used += sql("DELETE FROM staff_recovery_code WHERE staff_id = $1 AND code_hash = $2")
                        .with_bytes(staff.as_bytes())
                        .with_bytes(code)
                        .execute(conn.raw())
                        .await?;
                }
                used
            }
        };
        if used == 0 { Err(StoreError::Conflict) } else { Ok(()) }
    }
}

/// A second factor is used up, before an act that takes none itself.
#[derive(Debug, Clone)]
pub struct TakeFactor {
    /// Whose.
    pub staff: StaffId,
    /// What was shown.
    pub factor: SecondFactor,
}

impl sealed::Sealed for TakeFactor {}

impl Change for TakeFactor {
    /// A code that counts no more is [`StoreError::Conflict`].
    type Output = ();
    const NAME: &'static str = "take_factor";

    async fn apply(&self, conn: &Conn<'_>) -> Result<(), StoreError> {
        self.factor.take(conn, self.staff).await
    }

    fn entries(&self, (): &()) -> Entries {
        Entries::unchanged(Unchanged::Prepared)
    }
}

/// The second factor was shown.
#[derive(Debug, Clone)]
pub struct PassSecondFactor {
    /// Whose.
    pub staff: StaffId,
    /// What was shown.
    pub factor: SecondFactor,
    /// The session that waited for it, by the digest of its token.
    pub waiting: [u8; 32],
    /// The session that begins.
    pub session: NewSession,
    /// The failures that are forgotten.
    pub bucket: [u8; 32],
    /// Now.
    pub at: Timestamp,
}

impl sealed::Sealed for PassSecondFactor {}

impl Change for PassSecondFactor {
    /// Whether it counts: each code does once.
    type Output = bool;
    const NAME: &'static str = "pass_second_factor";

    async fn apply(&self, conn: &Conn<'_>) -> Result<bool, StoreError> {
        if !session::end(conn, self.staff, &self.waiting).await? {
            return Ok(false);
        }
        // If it counts no more, the session that waits stays: nothing of this unit is kept.
        self.factor.take(conn, self.staff).await?;
        attempt::forget(conn, &self.bucket).await?;
        self.session.begin(conn, self.staff, self.at).await?;
        Ok(true)
    }

    fn entries(&self, done: &bool) -> Entries {
        if !done {
            return Entries::unchanged(Unchanged::AlreadyDone);
        }
        let recovery = matches!(self.factor, SecondFactor::Recovery(_));
        Entries::one(LedgerEntry {
            at: self.at,
            event: LedgerEvent::StaffSignedIn { staff: self.staff, recovery },
        })
    }
}

/// An authenticator was set up, and its first code was right.
#[derive(Clone)]
pub struct EnrolAuthenticator {
    /// Whose.
    pub staff: StaffId,
    /// Its secret, sealed.
    pub authenticator: Vec<u8>,
    /// The step of the code.
    pub step: u64,
    /// Whose role it is set up in: if that changed meanwhile, this is not done.
    pub role: Role,
    /// The keyed digest over the row.
    pub seal: [u8; 32],
    /// The recovery codes that go with it.
    pub codes: RecoveryCodes,
    /// The session in which it was set up.
    pub enrolling: [u8; 32],
    /// The session that begins.
    pub session: NewSession,
    /// Now.
    pub at: Timestamp,
}

impl std::fmt::Debug for EnrolAuthenticator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EnrolAuthenticator").field("staff", &self.staff).finish_non_exhaustive()
    }
}

impl sealed::Sealed for EnrolAuthenticator {}

impl Change for EnrolAuthenticator {
    /// Whether it was still to be set up.
    type Output = bool;
    const NAME: &'static str = "enrol_authenticator";

    async fn apply(&self, conn: &Conn<'_>) -> Result<bool, StoreError> {
        if !session::end(conn, self.staff, &self.enrolling).await? {
            return Ok(false);
        }
        let set = sql("UPDATE staff SET authenticator = $2, authenticator_step = $3, seal = $4 \
             WHERE id = $1 AND authenticator IS NULL AND ended_at IS NULL AND role = $5")
        .with_bytes(self.staff.as_bytes())
        .with(self.authenticator.clone())
        .with(signed(self.step)?)
        .with_bytes(&self.seal)
        .with(self.role.as_str())
        .execute(conn.raw())
        .await?;
        if set == 0 {
            return Ok(false);
        }
        replace_codes(conn, self.staff, &self.codes).await?;
        self.session.begin(conn, self.staff, self.at).await?;
        Ok(true)
    }

    fn entries(&self, done: &bool) -> Entries {
        if !done {
            return Entries::unchanged(Unchanged::AlreadyDone);
        }
        let (staff, by) = (self.staff, Some(self.staff));
        let events = [
            LedgerEvent::StaffChanged { staff, act: StaffAct::AuthenticatorSet, by },
            LedgerEvent::StaffSignedIn { staff, recovery: false },
        ];
        Entries::each(events.map(|event| LedgerEntry { at: self.at, event }), Unchanged::AlreadyDone)
    }
}

/// Fresh recovery codes, as they are stored.
#[derive(Clone)]
pub struct RecoveryCodes {
    /// The version of the key of capabilities whose layer the digests are of.
    pub key_id: u32,
    /// Their keyed digests.
    pub digests: Vec<[u8; 32]>,
}

impl std::fmt::Debug for RecoveryCodes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RecoveryCodes(..)")
    }
}

/// Puts other recovery codes in the place of those there are.
pub(super) async fn replace_codes(
    conn: &Conn<'_>,
    staff: StaffId,
    codes: &RecoveryCodes,
) -> Result<(), StoreError> {
    sql("DELETE FROM staff_recovery_code WHERE staff_id = $1")
        .with_bytes(staff.as_bytes())
        .execute(conn.raw())
        .await?;
    for code in &codes.digests {
        sql("INSERT INTO staff_recovery_code (staff_id, code_hash, key_id) VALUES ($1, $2, $3)")
            .with_bytes(staff.as_bytes())
            .with_bytes(code)
            .with(i64::from(codes.key_id))
            .execute(conn.raw())
            .await?;
    }
    Ok(())
}
