//! Joining: a one-time link, a password, an authenticator, recovery codes.

use kernel::authn::authenticator::RECOVERY_CODES;
use kernel::authn::{Authenticator, RecoveryCode};
use kernel::seal::StaffSecret;
use kernel::staff::{Role, StaffId, StaffName, new_password};
use store::StoreError;
use store::change::staff::{EnrolAuthenticator, JoinStaff, Joining, RecoveryCodes};
use store::query::{InvitationRow, SessionStage};
use zeroize::Zeroizing;

use super::account::StaffFault;
use super::session::{SessionGrant, StaffSession, StaffStage};
use super::sign_in::{Machine, SignedIn};
use crate::error::{AppError, Code};
use crate::gateway::Gateway;

/// For whom a link is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvitationView {
    /// The name; `None`: it is still to be chosen, by the first administrator.
    pub name: Option<StaffName>,
    /// What they will be here for.
    pub role: Role,
}

/// An authenticator to be set up. Secret: shown by no `Debug`.
pub struct Enrolment {
    /// The secret, to be typed into an app.
    pub secret: Zeroizing<String>,
    /// The secret as an address that an app opens.
    pub url: Zeroizing<String>,
}

impl std::fmt::Debug for Enrolment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Enrolment(..)")
    }
}

/// An authenticator was set up, and somebody is signed in.
pub struct Enrolled {
    /// The session.
    pub signed_in: SignedIn,
    /// The recovery codes, shown this once.
    pub codes: Vec<Zeroizing<String>>,
}

impl std::fmt::Debug for Enrolled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Enrolled(..)")
    }
}

impl Gateway {
    /// For whom a one-time link is.
    ///
    /// # Errors
    /// [`Code::NotFound`] for one that never was, was used or is too old.
    pub async fn staff_invitation(&self, link: &str) -> Result<InvitationView, AppError> {
        let (_, found) = self.good_link(link).await?;
        match found.staff {
            Some(row) => Ok(InvitationView { name: Some(row.name), role: row.role }),
            None => Ok(InvitationView { name: None, role: Role::Administrator }),
        }
    }

    /// A one-time link that is good, and the digest under which it is stored.
    pub(super) async fn good_link(&self, link: &str) -> Result<([u8; 32], InvitationRow), AppError> {
        for token_hash in self.link_digests(link) {
            let found = self.inner.store.invitation(&token_hash, self.now()).await?;
            if let Some(row) = found.filter(|row| self.is_link_genuine(row, &token_hash)) {
                return Ok((token_hash, row));
            }
        }
        Err(AppError::NotFound(Code::NotFound))
    }

    /// Uses a one-time link up. What follows is setting up the authenticator.
    ///
    /// # Errors
    /// [`Code::NotFound`] for a link that is none; [`StaffFault`] for a name or password that is not taken.
    pub async fn join_staff(
        &self,
        link: &str,
        name: Option<&str>,
        password: &str,
        machine: &Machine,
    ) -> Result<SessionGrant, StaffFault> {
        let at = self.now();
        let (token_hash, found) = self.good_link(link).await?;
        let (who, name) = match found.staff {
            Some(row) => (Joining::Invited(row.id), row.name),
            None => {
                let name: StaffName =
                    name.unwrap_or_default().trim().to_lowercase().parse().map_err(|_| StaffFault::Name)?;
                (self.first_administrator(name.clone()), name)
            }
        };
        let password = new_password(password, &name)?;
        let staff = match &who {
            Joining::First { id, .. } | Joining::Invited(id) => *id,
        };
        let password_hash = Some(self.hash_password(staff, password).await?);
        let pending = self.draw_authenticator(staff)?;
        let stage = (SessionStage::Enrolling, Some(pending));
        let (session, grant) = self.new_session(staff, stage, (&machine.description, false));
        let change = JoinStaff { token_hash, who, password_hash, identity: None, session, at };
        match self.inner.store.perform(&change).await {
            Ok((true, _)) => Ok(grant),
            Ok((false, _)) => Err(AppError::NotFound(Code::NotFound).into()),
            Err(error) => Err(error.into()),
        }
    }

    fn first_administrator(&self, name: StaffName) -> Joining {
        let id = StaffId::generate(&*self.inner.entropy);
        let seal = self.staff_seal(id, &name, Role::Administrator, false);
        Joining::First { id, name, seal }
    }

    /// The authenticator that is being set up; `None`: none is.
    ///
    /// # Errors
    /// When the keys do not open it.
    pub fn enrolment(&self, session: &StaffSession) -> Result<Option<Enrolment>, AppError> {
        let Some(authenticator) = self.pending(session)? else { return Ok(None) };
        let url = authenticator.url(session.name().as_str(), "Consentry");
        let url = url.ok_or_else(|| AppError::internal("the authenticator has no address"))?;
        Ok(Some(Enrolment { secret: authenticator.text(), url }))
    }

    /// Ends setting up an authenticator with its first code.
    ///
    /// # Errors
    /// [`StaffFault::Code`] for a wrong one.
    pub async fn enrol(
        &self,
        session: &StaffSession,
        code: &str,
        machine: &Machine,
    ) -> Result<Enrolled, StaffFault> {
        let authenticator = self.pending(session)?.ok_or(StaffFault::Code)?;
        let step = authenticator.check(code, self.now(), 0).ok_or(StaffFault::Code)?;
        let staff = session.staff();
        let (codes, digests) = self.draw_recovery_codes(staff);
        let by_provider = session.is_by_provider();
        let (begun, grant) =
            self.new_session(staff, (SessionStage::Full, None), (&machine.description, by_provider));
        let change = EnrolAuthenticator {
            staff,
            role: session.role(),
            seal: self.staff_seal(staff, session.name(), session.role(), true),
            authenticator: self.pending_sealed_anew(session)?,
            step,
            codes: digests,
            enrolling: session.token_hash,
            session: begun,
            at: self.now(),
        };
        match self.inner.store.perform(&change).await {
            Ok((true, _)) => {
                let signed_in = SignedIn { session: grant, device: self.device_of(staff) };
                Ok(Enrolled { signed_in, codes })
            }
            Ok((false, _)) | Err(StoreError::Conflict) => Err(StaffFault::Code),
            Err(error) => Err(error.into()),
        }
    }

    /// The authenticator that is being set up, sealed under the version of the key that seals now: the session may have begun
    /// under the one before, and what moves rows to the newest may have passed already.
    fn pending_sealed_anew(&self, session: &StaffSession) -> Result<Vec<u8>, AppError> {
        let pending = session.row.pending.clone().unwrap_or_default();
        let keyring = &self.inner.keyring;
        let anew = keyring.reseal_staff_secret(session.staff(), StaffSecret::Authenticator, &pending);
        Ok(anew.map_err(AppError::internal)?.unwrap_or(pending))
    }

    fn pending(&self, session: &StaffSession) -> Result<Option<Authenticator>, AppError> {
        let Some(sealed) = session.row.pending.as_ref().filter(|_| session.stage() == StaffStage::Enrolling)
        else {
            return Ok(None);
        };
        let keyring = &self.inner.keyring;
        let opened = keyring.open_staff_secret(session.staff(), StaffSecret::Authenticator, sealed);
        let opened = opened.map_err(AppError::internal)?;
        Ok(Authenticator::from_bytes(&opened))
    }

    /// Fresh recovery codes, and their digests.
    pub(super) fn draw_recovery_codes(&self, staff: StaffId) -> (Vec<Zeroizing<String>>, RecoveryCodes) {
        let codes: Vec<_> = (0..RECOVERY_CODES).map(|_| RecoveryCode::generate(&*self.inner.entropy)).collect();
        loop {
            let key_id = self.inner.keyring.makes_capabilities_by();
            let digests = codes.iter().map(|code| self.code_digest(staff, code.as_bytes())).collect();
            // If the keys were exchanged meanwhile, it is not known of which version's layer the digests are.
            if key_id == self.inner.keyring.makes_capabilities_by() {
                return (codes.iter().map(RecoveryCode::text).collect(), RecoveryCodes { key_id, digests });
            }
        }
    }
}
