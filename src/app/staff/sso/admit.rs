//! Who of the provider's people may in, and as whom: linked to a member, named by the operator, holding a one-time link, or, where
//! the operator wants that, made staff.

use kernel::authn::IdToken;
use kernel::ledger::AttemptRefusal;
use kernel::staff::{Role, StaffId, StaffName};
use store::change::staff::{JoinStaff, Joining, LinkIdentity, NewIdentity, PassProvider, ProvisionStaff};
use store::query::{SessionStage, StaffRow};

use super::{SsoDenial, SsoFinished, SsoSettings};
use crate::error::{AppError, Code};
use crate::gateway::Gateway;
use crate::staff::session::{SessionGrant, StaffStage};
use crate::staff::sign_in::Machine;

/// The roles that somebody can be given by a claim, the least first. Nobody becomes an administrator by it.
const PROVISIONED: [Role; 4] = [Role::Marketer, Role::Engineer, Role::Auditor, Role::Officer];

/// What the digest of an account is of.
fn identity_parts<'a>(settings: &'a SsoSettings, token: &'a IdToken) -> [&'a [u8]; 4] {
    [b"staff v1", b"identity", settings.issuer.as_bytes(), token.subject().as_bytes()]
}

/// What the digest over the row of a linked account is of.
fn row_parts<'a>(identity_hash: &'a [u8; 32], staff: &'a StaffId) -> [&'a [u8]; 4] {
    [b"staff v1", b"identity row", identity_hash, staff.as_bytes()]
}

impl Gateway {
    /// Whether an account is one of the controller's own people's.
    pub(super) fn is_admitted(&self, settings: &SsoSettings, token: &IdToken) -> bool {
        let is_named = settings.subjects.contains_key(token.subject());
        is_named || token.verified_email().is_some_and(|address| settings.is_own_address(address))
    }

    /// An account as it is stored now. Both digests are of one version of the key, so that the one tells the other's.
    fn new_identity(&self, settings: &SsoSettings, token: &IdToken, staff: StaffId) -> NewIdentity {
        let keyring = &self.inner.keyring;
        loop {
            let version = keyring.makes_capabilities_by();
            let identity_hash = keyring.request_fingerprint(&identity_parts(settings, token));
            let binding = keyring.request_fingerprint(&row_parts(&identity_hash, &staff));
            if version == keyring.makes_capabilities_by() {
                return NewIdentity { identity_hash, binding };
            }
        }
    }

    /// Which version of the key bound the row of a linked account; `None`: it is not as the gateway wrote it.
    pub(crate) fn version_of_identity(
        &self,
        identity_hash: &[u8; 32],
        staff: StaffId,
        binding: &[u8],
    ) -> Option<u32> {
        self.inner.keyring.layer_of_fingerprint(&row_parts(identity_hash, &staff), binding)
    }

    /// The row of a linked account whose digest was moved, bound anew.
    pub(crate) fn bind_identity_anew(&self, identity_hash: &[u8; 32], staff: StaffId) -> [u8; 32] {
        self.request_fingerprint(&row_parts(identity_hash, &staff))
    }

    /// Whom an account lets in.
    async fn identified(&self, settings: &SsoSettings, token: &IdToken) -> Result<Option<StaffRow>, AppError> {
        for identity_hash in self.inner.keyring.request_fingerprints(&identity_parts(settings, token)) {
            let Some((row, binding)) = self.inner.store.staff_identified(&identity_hash).await? else { continue };
            let is_bound = self.version_of_identity(&identity_hash, row.id, &binding).is_some();
            if !is_bound {
                tracing::error!("the row of a linked account is not as it was written: it lets nobody in");
            }
            return Ok(Some(row).filter(|row| is_bound && row.ended_at.is_none() && self.is_genuine(row)));
        }
        Ok(None)
    }

    pub(super) async fn sign_in_by(
        &self,
        settings: &SsoSettings,
        token: &IdToken,
        machine: &Machine,
    ) -> Result<SsoFinished, SsoDenial> {
        let row = match self.identified(settings, token).await? {
            Some(row) => row,
            None => match self.named(settings, token).await? {
                Some(row) => {
                    let identity = self.new_identity(settings, token, row.id);
                    let change = LinkIdentity { staff: row.id, identity, at: self.now() };
                    self.inner.store.perform(&change).await?;
                    row
                }
                None if settings.provision => return self.provision(settings, token, machine).await,
                None => {
                    let reason = AttemptRefusal::WrongSecret;
                    return Err(self.refused(None, "nobody here is linked to the account", reason).await);
                }
            },
        };
        self.check_role(settings, token, row.id, row.role).await?;
        let (stage, pending) = match self.vouches(settings, token) {
            true => (SessionStage::Full, None),
            false => self.next_stage(&row)?,
        };
        let (session, grant) = self.new_session(row.id, (stage, pending), (&machine.description, true));
        self.inner.store.perform(&PassProvider { staff: row.id, session, at: self.now() }).await?;
        Ok(self.began(row.id, grant))
    }

    /// Somebody whom the operator named for an account, as long as no account is linked to them.
    async fn named(&self, settings: &SsoSettings, token: &IdToken) -> Result<Option<StaffRow>, AppError> {
        let Some(name) = settings.subjects.get(token.subject()) else { return Ok(None) };
        let row = self.inner.store.staff_named(name).await?;
        let Some(row) = row.filter(|row| row.ended_at.is_none() && self.is_genuine(row)) else { return Ok(None) };
        Ok((!self.inner.store.has_identity(row.id).await?).then_some(row))
    }

    async fn provision(
        &self,
        settings: &SsoSettings,
        token: &IdToken,
        machine: &Machine,
    ) -> Result<SsoFinished, SsoDenial> {
        let said = settings.roles_of(&token.words(&settings.role_claim));
        let least = PROVISIONED.into_iter().find(|role| said.contains(role));
        let address = token.verified_email().and_then(|address| address.rsplit_once('@')).map(|(name, _)| name);
        let name = token.preferred_name().or(address).and_then(name_of);
        let Some((role, name)) = least.zip(name) else {
            let reason = AttemptRefusal::InsufficientScope;
            return Err(self.refused(None, "the account has no role or no name for here", reason).await);
        };
        let staff = StaffId::generate(&*self.inner.entropy);
        let (stage, pending) = match self.vouches(settings, token) {
            true => (SessionStage::Full, None),
            false => (SessionStage::Enrolling, Some(self.draw_authenticator(staff)?)),
        };
        let (session, grant) = self.new_session(staff, (stage, pending), (&machine.description, true));
        let change = ProvisionStaff {
            staff,
            seal: self.staff_seal(staff, &name, role, false),
            name,
            role,
            identity: self.new_identity(settings, token, staff),
            session,
            at: self.now(),
        };
        self.inner.store.perform(&change).await?;
        Ok(self.began(staff, grant))
    }

    pub(super) async fn join_by(
        &self,
        settings: &SsoSettings,
        token: &IdToken,
        link: &str,
        machine: &Machine,
    ) -> Result<SsoFinished, SsoDenial> {
        let (token_hash, found) = self.good_link(link).await?;
        // The first administrator has no name yet, and chooses a password.
        let row = found.staff.ok_or(AppError::NotFound(Code::NotFound))?;
        self.check_role(settings, token, row.id, row.role).await?;
        let (stage, pending) = match self.vouches(settings, token) {
            true => (SessionStage::Full, None),
            false => self.next_stage(&row)?,
        };
        let (session, grant) = self.new_session(row.id, (stage, pending), (&machine.description, true));
        let change = JoinStaff {
            token_hash,
            who: Joining::Invited(row.id),
            password_hash: None,
            identity: Some(self.new_identity(settings, token, row.id)),
            session,
            at: self.now(),
        };
        match self.inner.store.perform(&change).await?.0 {
            true => Ok(self.began(row.id, grant)),
            false => Err(AppError::NotFound(Code::NotFound).into()),
        }
    }

    pub(super) async fn link_by(
        &self,
        settings: &SsoSettings,
        token: &IdToken,
        token_hash: &[u8; 32],
    ) -> Result<SsoFinished, SsoDenial> {
        let session = self.session_of(token_hash).await?.filter(|session| session.stage() == StaffStage::Full);
        let session = session.ok_or(SsoDenial::NotOurs)?;
        self.check_role(settings, token, session.staff(), session.role()).await?;
        let identity = self.new_identity(settings, token, session.staff());
        let change = LinkIdentity { staff: session.staff(), identity, at: self.now() };
        self.inner.store.perform(&change).await?;
        Ok(SsoFinished::Linked)
    }

    fn began(&self, staff: StaffId, grant: SessionGrant) -> SsoFinished {
        let device = (grant.stage == StaffStage::Full).then(|| self.device_of(staff));
        SsoFinished::Began(grant, device)
    }

    /// Whether the provider says that two factors were shown to it.
    fn vouches(&self, settings: &SsoSettings, token: &IdToken) -> bool {
        token.class().is_some_and(|class| settings.mfa_classes.iter().any(|known| known == class))
            || token.methods().any(|method| settings.mfa_methods.iter().any(|known| known == method))
    }

    /// Where a claim tells roles, nobody is more than both it and their account say.
    async fn check_role(
        &self,
        settings: &SsoSettings,
        token: &IdToken,
        staff: StaffId,
        role: Role,
    ) -> Result<(), SsoDenial> {
        let is_said = settings.role_claim.is_empty()
            || settings.roles_of(&token.words(&settings.role_claim)).contains(&role);
        if is_said {
            return Ok(());
        }
        let reason = AttemptRefusal::InsufficientScope;
        Err(self.refused(Some(staff), "the provider does not say the member's role", reason).await)
    }
}

/// A name here of what somebody is called with the provider: what a name may not have becomes a dash.
fn name_of(called: &str) -> Option<StaffName> {
    let called = called.split('@').next().unwrap_or_default().to_lowercase();
    called
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' })
        .collect::<String>()
        .parse()
        .ok()
}
