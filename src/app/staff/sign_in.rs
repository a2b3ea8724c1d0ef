//! Signing in: a name and a password, then a code. Whoever fails waits, by account and machine; a machine that somebody has
//! signed in from before has a count of its own, so that nobody can keep them out from elsewhere.

use std::net::IpAddr;

use kernel::authn::{Authenticator, RecoveryCode, SecretHash};
use kernel::ledger::{AttemptRefusal, RefusedAttempt};
use kernel::seal::StaffSecret;
use kernel::staff::{StaffId, StaffName, password_form};
use store::StoreError;
use store::change::staff::{Attempted, BeginAttempt, KeepHash, PassFirstFactor, PassSecondFactor, SecondFactor};
use store::query::{SessionStage, StaffRow};
use subtle::ConstantTimeEq as _;

use super::session::{SessionGrant, StaffSession, StaffStage};
use crate::denied::Author;
use crate::error::AppError;
use crate::gateway::Gateway;

/// The machine that somebody signs in from.
#[derive(Debug, Clone, Default)]
pub struct Machine {
    /// What it was given when somebody signed in from it before.
    pub device: Option<String>,
    /// Its address, where that says anything.
    pub address: Option<IpAddr>,
    /// What it says of itself.
    pub description: String,
}

/// Why somebody is not signed in.
#[derive(Debug)]
pub enum SignInDenial {
    /// Something is wrong, and it is not told what.
    Wrong,
    /// Too many failures: again after so many seconds.
    Wait(u64),
    /// It does not work now.
    Failed(AppError),
}

impl From<AppError> for SignInDenial {
    fn from(error: AppError) -> Self {
        Self::Failed(error)
    }
}

impl From<StoreError> for SignInDenial {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

/// Somebody signed in.
#[derive(Clone)]
pub struct SignedIn {
    /// The session.
    pub session: SessionGrant,
    /// What the machine keeps, to be known again.
    pub device: String,
}

impl std::fmt::Debug for SignedIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignedIn").field("session", &self.session).finish_non_exhaustive()
    }
}

impl Gateway {
    /// Begins to sign somebody in with name and password.
    ///
    /// # Errors
    /// See [`SignInDenial`].
    pub async fn sign_in(
        &self,
        name: &str,
        password: &str,
        machine: &Machine,
    ) -> Result<SessionGrant, SignInDenial> {
        let name = name.trim().to_lowercase().parse::<StaffName>().ok();
        let row = match &name {
            Some(name) => self.inner.store.staff_named(name).await?,
            None => None,
        };
        let row = row.filter(|row| row.ended_at.is_none() && self.is_genuine(row));
        let account = name.as_ref().map_or("", StaffName::as_str);
        let bucket = self.bucket(b"password", account, row.as_ref().map(|row| row.id), machine);
        self.begin_attempt(bucket).await?;
        let right = self.is_password(row.as_ref(), password).await?;
        let Some(row) = row.clone().filter(|_| right) else {
            let staff = row.map(|row| row.id);
            self.note_denied_by(Author::staff(staff), RefusedAttempt::SignIn, AttemptRefusal::WrongSecret).await;
            return Err(SignInDenial::Wrong);
        };
        self.keep_hash(&row, password).await?;
        let stage = self.next_stage(&row)?;
        let (session, grant) = self.new_session(row.id, stage, (&machine.description, false));
        let change = PassFirstFactor { staff: row.id, session, bucket, at: self.now() };
        self.inner.store.perform(&change).await?;
        Ok(grant)
    }

    /// What follows on the first factor: the second one, or setting one up.
    pub(super) fn next_stage(&self, row: &StaffRow) -> Result<(SessionStage, Option<Vec<u8>>), AppError> {
        Ok(match row.authenticator {
            Some(_) => (SessionStage::Password, None),
            None => (SessionStage::Enrolling, Some(self.draw_authenticator(row.id)?)),
        })
    }

    /// Ends signing in with a code of the authenticator, or with a recovery code.
    ///
    /// # Errors
    /// See [`SignInDenial`].
    pub async fn show_second_factor(
        &self,
        session: &StaffSession,
        code: &str,
        machine: &Machine,
    ) -> Result<SignedIn, SignInDenial> {
        let staff = &session.row.staff;
        if session.stage() != StaffStage::SecondFactor {
            return Err(SignInDenial::Wrong);
        }
        // Whoever comes here knows the password: from machines that are not known, all share one count.
        let elsewhere = Machine { address: None, ..machine.clone() };
        let bucket = self.bucket(b"code", staff.name.as_str(), Some(staff.id), &elsewhere);
        self.begin_attempt(bucket).await?;
        let factor = self.second_factor(staff, code)?;
        let Some(factor) = factor else {
            return Err(self.wrong_code(staff.id, AttemptRefusal::WrongSecret).await);
        };
        let how = (machine.description.as_str(), session.is_by_provider());
        let (begun, grant) = self.new_session(staff.id, (SessionStage::Full, None), how);
        let change = PassSecondFactor {
            staff: staff.id,
            factor,
            waiting: session.token_hash,
            session: begun,
            bucket,
            at: self.now(),
        };
        match self.inner.store.perform(&change).await {
            Ok((true, _)) => Ok(SignedIn { session: grant, device: self.device_of(staff.id) }),
            Ok((false, _)) => Err(SignInDenial::Wrong),
            // It was right, and somebody used it already.
            Err(StoreError::Conflict) => Err(self.wrong_code(staff.id, AttemptRefusal::Replayed).await),
            Err(error) => Err(error.into()),
        }
    }

    async fn wrong_code(&self, staff: StaffId, reason: AttemptRefusal) -> SignInDenial {
        self.note_denied_by(Author::staff(Some(staff)), RefusedAttempt::SignIn, reason).await;
        SignInDenial::Wrong
    }

    /// What a code is. A recovery code is looked for by its digest, which only the store knows.
    pub(super) fn second_factor(&self, staff: &StaffRow, code: &str) -> Result<Option<SecondFactor>, AppError> {
        if let Some(recovery) = RecoveryCode::parse(code) {
            return Ok(Some(SecondFactor::Recovery(self.code_digests(staff.id, recovery.as_bytes()))));
        }
        let Some(sealed) = &staff.authenticator else { return Ok(None) };
        let opened = self.inner.keyring.open_staff_secret(staff.id, StaffSecret::Authenticator, sealed);
        let Ok(opened) = opened else {
            tracing::error!("an authenticator is not as it was written: no code of it counts");
            return Ok(None);
        };
        let step = Authenticator::from_bytes(&opened)
            .and_then(|authenticator| authenticator.check(code, self.now(), staff.authenticator_step));
        Ok(step.map(SecondFactor::Step))
    }

    /// A fresh authenticator, sealed.
    pub(super) fn draw_authenticator(&self, staff: StaffId) -> Result<Vec<u8>, AppError> {
        let authenticator = Authenticator::generate(&*self.inner.entropy);
        let sealed =
            self.inner.keyring.seal_staff_secret(staff, StaffSecret::Authenticator, authenticator.as_bytes());
        sealed.map_err(AppError::internal)
    }

    /// Counts an attempt, unless it comes too early.
    pub(super) async fn begin_attempt(&self, bucket: [u8; 32]) -> Result<(), SignInDenial> {
        let (attempted, _committed) = self.inner.store.perform(&BeginAttempt { bucket, at: self.now() }).await?;
        match attempted {
            Attempted::Now => Ok(()),
            Attempted::Wait(millis) => Err(SignInDenial::Wait(u64::try_from(millis).unwrap_or(0).div_ceil(1000))),
        }
    }

    /// What failures are counted by: the account and a machine that is known for it, or else the account and the address.
    pub(super) fn bucket(
        &self,
        kind: &[u8],
        account: &str,
        staff: Option<StaffId>,
        machine: &Machine,
    ) -> [u8; 32] {
        let known = machine.device.as_ref().zip(staff).filter(|(device, staff)| self.is_device_of(device, *staff));
        let whence = match (known, machine.address) {
            (Some((device, _)), _) => format!("device {device}"),
            // A home has many addresses of one network (RFC 6177).
            (None, Some(IpAddr::V6(address))) => {
                let [a, b, c, d, ..] = address.segments();
                format!("network {a:x}:{b:x}:{c:x}:{d:x}")
            }
            (None, Some(IpAddr::V4(address))) => format!("address {address}"),
            (None, None) => "elsewhere".to_owned(),
        };
        self.request_fingerprint(&[b"sign-in v1", kind, account.as_bytes(), whence.as_bytes()])
    }

    /// What a machine keeps from which somebody signed in.
    pub(super) fn device_of(&self, staff: StaffId) -> String {
        let id = kernel::id::hex(&self.inner.entropy.bytes_16());
        let proof = kernel::id::hex(&self.staff_digest(b"device", staff.as_bytes(), id.as_bytes()));
        format!("{id}.{proof}")
    }

    fn is_device_of(&self, device: &str, staff: StaffId) -> bool {
        let Some((id, proof)) = device.split_once('.') else { return false };
        let made = self.staff_digests(b"device", staff.as_bytes(), id.as_bytes());
        let is_proof = |made: &[u8; 32]| bool::from(proof.as_bytes().ct_eq(kernel::id::hex(made).as_bytes()));
        id.len() == 32 && made.iter().any(is_proof)
    }

    /// Hashes a password anew that was hashed at another cost than today's.
    async fn keep_hash(&self, row: &StaffRow, password: &str) -> Result<(), AppError> {
        let cost = self.settings().hash_cost;
        let hash = self.open_password(row).and_then(|phc| phc.parse::<SecretHash>().ok());
        if let Some(from) = row.password_hash.clone().filter(|_| hash.is_some_and(|hash| hash.needs_rehash(cost)))
        {
            let to = self.hash_password(row.id, password_form(password)).await?;
            self.inner.store.perform(&KeepHash { staff: row.id, from, to }).await?;
        }
        Ok(())
    }
}
