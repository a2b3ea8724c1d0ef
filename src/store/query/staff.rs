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
    /// The hash of the password, in PHC form; `None`: none was chosen yet.
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
    /// Whose it is.
    pub staff: StaffRow,
}

impl fmt::Debug for SessionRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionRow").field("id", &self.id).field("stage", &self.stage).finish_non_exhaustive()
    }
}

const STAFF: &str = "SELECT id, name, role, password_hash, authenticator, authenticator_step, created_at, joined_at, ended_at \
     FROM staff ORDER BY name";
const STAFF_BY_ID: &str = "SELECT id, name, role, password_hash, authenticator, authenticator_step, created_at, joined_at, \
     ended_at FROM staff WHERE id = $1";
const STAFF_BY_NAME: &str = "SELECT id, name, role, password_hash, authenticator, authenticator_step, created_at, joined_at, \
     ended_at FROM staff WHERE name = $1";
const SESSION: &str = "SELECT f.id, f.name, f.role, f.password_hash, f.authenticator, f.authenticator_step, f.created_at, \
     f.joined_at, f.ended_at, s.id, s.stage, s.pending, s.machine, s.created_at, s.seen_at, s.expires_at \
     FROM staff_session AS s JOIN staff AS f ON f.id = s.staff_id WHERE s.token_hash = $1";
const SESSIONS: &str = "SELECT f.id, f.name, f.role, f.password_hash, f.authenticator, f.authenticator_step, f.created_at, \
     f.joined_at, f.ended_at, s.id, s.stage, s.pending, s.machine, s.created_at, s.seen_at, s.expires_at \
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

    /// For whom a one-time link is: `None`, there is no such link; `Some(None)`, the first administrator.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn invitation(
        &self,
        token_hash: &[u8; 32],
        now: Timestamp,
    ) -> Result<Option<Option<StaffRow>>, StoreError> {
        let row = sql("SELECT staff_id FROM staff_invitation WHERE token_hash = $1 AND expires_at > $2")
            .with_bytes(token_hash)
            .with(now.as_millis())
            .row(self.db())
            .await?;
        let Some(row) = row else { return Ok(None) };
        match row.get::<Option<Vec<u8>>>(0)? {
            None => Ok((!self.has_staff().await?).then_some(None)),
            Some(id) => {
                let row = sql(STAFF_BY_ID).with(id).row(self.db()).await?;
                let staff = row.as_ref().map(staff).transpose()?;
                Ok(staff.filter(|staff| staff.ended_at.is_none()).map(Some))
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
    })
}

fn session(row: &Row) -> Result<SessionRow, StoreError> {
    Ok(SessionRow {
        staff: staff(row)?,
        id: SessionId::from_bytes(row.bytes(9)?),
        stage: match row.get::<String>(10)?.as_str() {
            "password" => SessionStage::Password,
            "enrolling" => SessionStage::Enrolling,
            "full" => SessionStage::Full,
            _ => return Err(StoreError::Tampered),
        },
        pending: row.get(11)?,
        machine: row.get(12)?,
        created_at: Timestamp::from_millis(row.get(13)?),
        seen_at: Timestamp::from_millis(row.get(14)?),
        expires_at: Timestamp::from_millis(row.get(15)?),
    })
}
