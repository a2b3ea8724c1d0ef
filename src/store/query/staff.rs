//! Reading who of the controller's own people may do what.

use std::fmt;

use kernel::staff::{Role, SessionId, StaffId, StaffName};
use kernel::time::Timestamp;

use crate::Store;
use crate::error::StoreError;
use crate::statement::{Row, name, sql};

/// A member of staff, or somebody who was invited to be.
#[derive(Clone, PartialEq, Eq)]
pub struct StaffRow {
    /// Who.
    pub id: StaffId,
    /// The name to sign in with.
    pub name: StaffName,
    /// What they are here for.
    pub role: Role,
    /// The hash of the password, sealed; `None`: none was chosen.
    pub password_hash: Option<String>,
    /// The secret of the authenticator, sealed; `None`: none is set up.
    pub authenticator: Option<Vec<u8>>,
    /// The step of the last code that was taken.
    pub authenticator_step: u64,
    /// Since when invited.
    pub created_at: Timestamp,
    /// Since when a member.
    pub joined_at: Option<Timestamp>,
    /// Since when no more.
    pub ended_at: Option<Timestamp>,
    /// The keyed digest over what is in the clear of this row; empty: none was made.
    pub seal: Vec<u8>,
}

impl fmt::Debug for StaffRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StaffRow").field("id", &self.id).field("role", &self.role).finish_non_exhaustive()
    }
}

/// How far somebody got in signing in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionStage {
    /// The password was right; the second factor is missing.
    Password,
    /// There is no second factor yet, and one is being set up.
    Enrolling,
    /// Signed in.
    Full,
}

impl SessionStage {
    /// Its name as stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Enrolling => "enrolling",
            Self::Full => "full",
        }
    }
}

/// A one-time link.
#[derive(Debug, Clone)]
pub struct InvitationRow {
    /// For whom; `None`: the first administrator.
    pub staff: Option<StaffRow>,
    /// The keyed digest over what is in the clear of this row.
    pub binding: Vec<u8>,
}

/// A session, with whoever it is of.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionRow {
    /// Its name in lists.
    pub id: SessionId,
    /// How far somebody got.
    pub stage: SessionStage,
    /// The authenticator that is being set up, sealed.
    pub pending: Option<Vec<u8>>,
    /// The machine in words.
    pub machine: String,
    /// Since when.
    pub created_at: Timestamp,
    /// When it was last used, give or take a minute.
    pub seen_at: Timestamp,
    /// When it ends, whatever happens.
    pub expires_at: Timestamp,
    /// The keyed digest over what is in the clear of this row.
    pub binding: Vec<u8>,
    /// Whether it was begun through the identity provider.
    pub by_provider: bool,
    /// Whose it is.
    pub staff: StaffRow,
}

impl fmt::Debug for SessionRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionRow").field("id", &self.id).field("stage", &self.stage).finish_non_exhaustive()
    }
}

const STAFF: &str = "SELECT id, name, role, password_hash, authenticator, authenticator_step, created_at, joined_at, ended_at, \
     seal FROM staff ORDER BY name";
const STAFF_BY_ID: &str = "SELECT id, name, role, password_hash, authenticator, authenticator_step, created_at, joined_at, \
     ended_at, seal FROM staff WHERE id = $1";
const STAFF_BY_NAME: &str = "SELECT id, name, role, password_hash, authenticator, authenticator_step, created_at, joined_at, \
     ended_at, seal FROM staff WHERE name = $1";
const STAFF_BY_IDENTITY: &str = "SELECT f.id, f.name, f.role, f.password_hash, f.authenticator, f.authenticator_step, f.created_at, \
     f.joined_at, f.ended_at, f.seal, i.binding FROM staff_identity AS i JOIN staff AS f ON f.id = i.staff_id \
     WHERE i.identity_hash = $1";
const SESSION: &str = "SELECT f.id, f.name, f.role, f.password_hash, f.authenticator, f.authenticator_step, f.created_at, \
     f.joined_at, f.ended_at, f.seal, s.id, s.stage, s.pending, s.machine, s.created_at, s.seen_at, s.expires_at, s.binding, \
     s.by_provider \
     FROM staff_session AS s JOIN staff AS f ON f.id = s.staff_id WHERE s.token_hash = $1";
const SESSIONS: &str = "SELECT f.id, f.name, f.role, f.password_hash, f.authenticator, f.authenticator_step, f.created_at, \
     f.joined_at, f.ended_at, f.seal, s.id, s.stage, s.pending, s.machine, s.created_at, s.seen_at, s.expires_at, s.binding, \
     s.by_provider \
     FROM staff_session AS s JOIN staff AS f ON f.id = s.staff_id WHERE s.staff_id = $1 ORDER BY s.created_at DESC, s.id";

impl Store {
    /// Whether anybody is staff, or was invited to be.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn has_staff(&self) -> Result<bool, StoreError> {
        Ok(sql("SELECT 1 FROM staff LIMIT 1").row(self.db()).await?.is_some())
    }

    /// Everybody who is, was or is to be staff, by name.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn staff(&self) -> Result<Vec<StaffRow>, StoreError> {
        sql(STAFF).rows(self.db()).await?.iter().map(staff).collect()
    }

    /// Somebody by the name to sign in with.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn staff_named(&self, name: &StaffName) -> Result<Option<StaffRow>, StoreError> {
        sql(STAFF_BY_NAME).with(name.as_str()).row(self.db()).await?.as_ref().map(staff).transpose()
    }

    /// Somebody by their id.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn staff_member(&self, id: StaffId) -> Result<Option<StaffRow>, StoreError> {
        sql(STAFF_BY_ID).with_bytes(id.as_bytes()).row(self.db()).await?.as_ref().map(staff).transpose()
    }

    /// Whom an account with the identity provider lets in, and the keyed digest over that row.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn staff_identified(
        &self,
        identity_hash: &[u8; 32],
    ) -> Result<Option<(StaffRow, Vec<u8>)>, StoreError> {
        let row = sql(STAFF_BY_IDENTITY).with_bytes(identity_hash).row(self.db()).await?;
        row.as_ref().map(|row| Ok((staff(row)?, row.get(10)?))).transpose()
    }

    /// Whether an account with the identity provider lets somebody in.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn has_identity(&self, staff: StaffId) -> Result<bool, StoreError> {
        let row = sql("SELECT 1 FROM staff_identity WHERE staff_id = $1").with_bytes(staff.as_bytes());
        Ok(row.row(self.db()).await?.is_some())
    }

    /// A one-time link that is still good.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn invitation(
        &self,
        token_hash: &[u8; 32],
        now: Timestamp,
    ) -> Result<Option<InvitationRow>, StoreError> {
        let row = sql("SELECT staff_id, binding FROM staff_invitation WHERE token_hash = $1 AND expires_at > $2")
            .with_bytes(token_hash)
            .with(now.as_millis())
            .row(self.db())
            .await?;
        let Some(row) = row else { return Ok(None) };
        let binding = row.get::<Option<Vec<u8>>>(1)?.unwrap_or_default();
        match row.get::<Option<Vec<u8>>>(0)? {
            None => Ok((!self.has_staff().await?).then_some(InvitationRow { staff: None, binding })),
            Some(id) => {
                let row = sql(STAFF_BY_ID).with(id).row(self.db()).await?;
                let staff = row.as_ref().map(staff).transpose()?.filter(|staff| staff.ended_at.is_none());
                Ok(staff.map(|staff| InvitationRow { staff: Some(staff), binding }))
            }
        }
    }

    /// A session by the digest of its token, whether it is over or not.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn session(&self, token_hash: &[u8; 32]) -> Result<Option<SessionRow>, StoreError> {
        sql(SESSION).with_bytes(token_hash).row(self.db()).await?.as_ref().map(session).transpose()
    }

    /// Somebody's sessions, the newest first, whether they are over or not.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn sessions_of(&self, staff: StaffId) -> Result<Vec<SessionRow>, StoreError> {
        sql(SESSIONS).with_bytes(staff.as_bytes()).rows(self.db()).await?.iter().map(session).collect()
    }

    /// How many recovery codes somebody has left.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn recovery_codes_left(&self, staff: StaffId) -> Result<u64, StoreError> {
        sql("SELECT count(*) FROM staff_recovery_code WHERE staff_id = $1")
            .with_bytes(staff.as_bytes())
            .only_row(self.db())
            .await?
            .unsigned(0)
    }
}

fn staff(row: &Row) -> Result<StaffRow, StoreError> {
    let time = |at: Option<i64>| at.map(Timestamp::from_millis);
    Ok(StaffRow {
        id: StaffId::from_bytes(row.bytes(0)?),
        name: name(&row.get::<String>(1)?)?,
        role: Role::parse(&row.get::<String>(2)?).ok_or(StoreError::Tampered)?,
        password_hash: row.get(3)?,
        authenticator: row.get(4)?,
        authenticator_step: row.unsigned(5)?,
        created_at: Timestamp::from_millis(row.get(6)?),
        joined_at: time(row.get(7)?),
        ended_at: time(row.get(8)?),
        seal: row.get::<Option<Vec<u8>>>(9)?.unwrap_or_default(),
    })
}

fn session(row: &Row) -> Result<SessionRow, StoreError> {
    Ok(SessionRow {
        staff: staff(row)?,
        id: SessionId::from_bytes(row.bytes(10)?),
        stage: match row.get::<String>(11)?.as_str() {
            "password" => SessionStage::Password,
            "enrolling" => SessionStage::Enrolling,
            "full" => SessionStage::Full,
            _ => return Err(StoreError::Tampered),
        },
        pending: row.get(12)?,
        machine: row.get(13)?,
        created_at: Timestamp::from_millis(row.get(14)?),
        seen_at: Timestamp::from_millis(row.get(15)?),
        expires_at: Timestamp::from_millis(row.get(16)?),
        binding: row.get::<Option<Vec<u8>>>(17)?.unwrap_or_default(),
        by_provider: row.get::<i16>(18)? != 0,
    })
}
