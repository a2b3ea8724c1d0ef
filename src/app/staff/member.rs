//! Who is staff: invited by an administrator, given a role, and ended. To everybody else there is no such list.

use kernel::authz::{Authorized, ManageStaff};
use kernel::staff::{Role, StaffId, StaffName};
use kernel::time::Timestamp;
use store::StoreError;
use store::change::staff::{ChangeMember, InviteStaff, Invited, MemberChange};
use store::query::StaffRow;

use crate::error::{AppError, Code, Fault};
use crate::gateway::Gateway;

/// How long a one-time link is good.
pub(crate) const LINK_MS: i64 = 24 * 3_600_000;

/// A member of staff, or somebody who was invited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberView {
    /// Who.
    pub id: StaffId,
    /// The name to sign in with.
    pub name: StaffName,
    /// What they are here for.
    pub role: Role,
    /// Whether an authenticator is set up.
    pub has_authenticator: bool,
    /// Since when a member; `None`: invited.
    pub joined_at: Option<Timestamp>,
    /// Since when no more.
    pub ended_at: Option<Timestamp>,
}

impl From<StaffRow> for MemberView {
    fn from(row: StaffRow) -> Self {
        Self {
            id: row.id,
            name: row.name,
            role: row.role,
            has_authenticator: row.authenticator.is_some(),
            joined_at: row.joined_at,
            ended_at: row.ended_at,
        }
    }
}

/// A one-time link to give to somebody: good once, for a day. Secret until then: shown by no `Debug`.
pub struct OneTimeLink(String);

impl OneTimeLink {
    /// The address.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for OneTimeLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OneTimeLink(..)")
    }
}

impl Gateway {
    /// A link for the first administrator; `None`: there are staff already.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn invite_first_administrator(
        &self,
        by: &Authorized<ManageStaff>,
    ) -> Result<Option<OneTimeLink>, AppError> {
        if self.inner.store.has_staff().await? {
            return Ok(None);
        }
        self.invite(by, Invited::First).await
    }

    /// Everybody who is, was or is to be staff.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn staff_members(&self, _by: &Authorized<ManageStaff>) -> Result<Vec<MemberView>, AppError> {
        Ok(self.inner.store.staff().await?.into_iter().map(MemberView::from).collect())
    }

    /// Invites somebody.
    ///
    /// # Errors
    /// [`Code::NameTaken`], or a name that is none.
    pub async fn invite_staff(
        &self,
        by: &Authorized<ManageStaff>,
        name: &str,
        role: Role,
    ) -> Result<OneTimeLink, AppError> {
        let name = name.trim().to_lowercase().parse();
        let name = name.map_err(|_| AppError::invalid(Fault::at("/name", Code::InvalidField)))?;
        let id = StaffId::generate(&*self.inner.entropy);
        let seal = self.staff_seal(id, &name, role, false);
        match self.invite(by, Invited::New { id, name, role, seal }).await {
            Ok(link) => link.ok_or(AppError::NotFound(Code::NotFound)),
            Err(AppError::Conflict(_)) => Err(AppError::Conflict(Code::NameTaken)),
            Err(error) => Err(error),
        }
    }

    /// Ends somebody's password, authenticator, recovery codes and sessions, and gives them a link to begin anew.
    ///
    /// # Errors
    /// [`Code::NotFound`] when there is no such member; [`Code::StaffAltered`] when their row is not as the gateway wrote it:
    /// then say first by [`Self::change_role`] what they are.
    pub async fn reset_staff(&self, by: &Authorized<ManageStaff>, id: StaffId) -> Result<OneTimeLink, AppError> {
        let row = self.inner.store.staff_member(id).await?.filter(|row| row.ended_at.is_none());
        let row = row.ok_or(AppError::NotFound(Code::NotFound))?;
        if !self.is_genuine(&row) {
            return Err(AppError::Conflict(Code::StaffAltered));
        }
        let seal = self.staff_seal(id, &row.name, row.role, false);
        let again = Invited::Again { id, role: row.role, seal };
        self.invite(by, again).await?.ok_or(AppError::NotFound(Code::NotFound))
    }

    async fn invite(&self, by: &Authorized<ManageStaff>, whom: Invited) -> Result<Option<OneTimeLink>, AppError> {
        let (token, at) = (self.fresh_token(), self.now());
        let token_hash = self.link_digest(&token);
        let staff = match &whom {
            Invited::First => None,
            Invited::New { id, .. } | Invited::Again { id, .. } => Some(*id),
        };
        let change = InviteStaff {
            whom,
            token_hash,
            binding: self.link_binding(&token_hash, staff),
            expires_at: at.plus_ms(LINK_MS),
            by: by.actor().staff().map(|staff| staff.staff),
            at,
        };
        match self.inner.store.perform(&change).await {
            Ok((done, _)) => {
                let link = OneTimeLink(format!("{}/console/join/{token}", self.settings().issuer));
                Ok(done.then_some(link))
            }
            Err(StoreError::Conflict) => Err(AppError::Conflict(Code::NameTaken)),
            Err(error) => Err(error.into()),
        }
    }

    /// Gives somebody another role, at once; their sessions end.
    ///
    /// # Errors
    /// [`Code::NotFound`] when there is no such member, [`Code::LastAdministrator`] when nobody would be left.
    pub async fn change_role(
        &self,
        by: &Authorized<ManageStaff>,
        id: StaffId,
        role: Role,
    ) -> Result<(), AppError> {
        let row = self.inner.store.staff_member(id).await?.ok_or(AppError::NotFound(Code::NotFound))?;
        let has_authenticator = row.authenticator.is_some();
        let seal = self.staff_seal(id, &row.name, role, has_authenticator);
        self.change_member(by, id, MemberChange::Role { role, seal, has_authenticator }).await
    }

    /// Ends somebody's membership, at once.
    ///
    /// # Errors
    /// As [`Self::change_role`].
    pub async fn end_staff(&self, by: &Authorized<ManageStaff>, id: StaffId) -> Result<(), AppError> {
        self.change_member(by, id, MemberChange::End).await
    }

    async fn change_member(
        &self,
        by: &Authorized<ManageStaff>,
        staff: StaffId,
        change: MemberChange,
    ) -> Result<(), AppError> {
        let by = by.actor().staff().map(|staff| staff.staff);
        match self.inner.store.perform(&ChangeMember { staff, change, by, at: self.now() }).await {
            Ok((true, _)) => Ok(()),
            Ok((false, _)) => Err(AppError::NotFound(Code::NotFound)),
            Err(StoreError::Conflict) => Err(AppError::Conflict(Code::LastAdministrator)),
            Err(error) => Err(error.into()),
        }
    }
}
