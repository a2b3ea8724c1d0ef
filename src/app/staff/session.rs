//! Sessions: an opaque token in a cookie, a keyed digest in the store, an end by idleness and one by the clock.

use kernel::authz::{Actor, StaffActor};
use kernel::id::SessionId;
use kernel::staff::{Role, StaffId, StaffName};
use store::change::staff::{NewSession, TouchSession};
use store::query::{SessionRow, SessionStage};

use crate::error::AppError;
use crate::gateway::Gateway;

/// The most sessions that somebody has at once: another one ends the oldest.
pub const MOST_SESSIONS: i64 = store::change::staff::MOST_SESSIONS;
/// How long a session lasts at the most.
pub(super) const LONGEST_MS: i64 = 12 * 3_600_000;
/// How long a session lasts without being used.
pub(super) const IDLE_MS: i64 = 30 * 60_000;
/// How long somebody may take to show the second factor, or to set one up.
pub(super) const WAITING_MS: i64 = 10 * 60_000;
/// How exactly it is known when a session was last used.
const SEEN_EVERY_MS: i64 = 60_000;
/// The most characters that are kept of a machine's own description.
const MACHINE_CHARACTERS: usize = 80;

/// How far somebody got in signing in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StaffStage {
    /// The second factor is missing.
    SecondFactor,
    /// A second factor is being set up.
    Enrolling,
    /// Signed in.
    Full,
}

/// A session that was begun. Its token is shown this once, to be kept in a cookie.
#[derive(Clone)]
pub struct SessionGrant {
    /// The token.
    pub token: String,
    /// How far it goes.
    pub stage: StaffStage,
}

impl std::fmt::Debug for SessionGrant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionGrant").field("stage", &self.stage).finish_non_exhaustive()
    }
}

/// A session that goes on.
#[derive(Clone)]
pub struct StaffSession {
    pub(super) row: SessionRow,
    pub(super) token_hash: [u8; 32],
    form_secret: String,
}

impl std::fmt::Debug for StaffSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StaffSession").field("row", &self.row).finish_non_exhaustive()
    }
}

impl StaffSession {
    /// Whose it is.
    #[must_use]
    pub const fn staff(&self) -> StaffId {
        self.row.staff.id
    }

    /// The name they signed in with.
    #[must_use]
    pub const fn name(&self) -> &StaffName {
        &self.row.staff.name
    }

    /// What they are here for, as it is now.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.row.staff.role
    }

    /// How far they got.
    #[must_use]
    pub const fn stage(&self) -> StaffStage {
        match self.row.stage {
            SessionStage::Password => StaffStage::SecondFactor,
            SessionStage::Enrolling => StaffStage::Enrolling,
            SessionStage::Full => StaffStage::Full,
        }
    }

    /// Whether it was begun through the identity provider.
    #[must_use]
    pub const fn is_by_provider(&self) -> bool {
        self.row.by_provider
    }

    /// Whether they have a password here.
    #[must_use]
    pub const fn has_password(&self) -> bool {
        self.row.staff.password_hash.is_some()
    }

    /// Whether they have an authenticator here.
    #[must_use]
    pub const fn has_authenticator(&self) -> bool {
        self.row.staff.authenticator.is_some()
    }

    /// The secret that every form of this session carries.
    #[must_use]
    pub fn form_secret(&self) -> &str {
        &self.form_secret
    }

    /// Who acts; `None` until they are signed in.
    #[must_use]
    pub fn actor(&self) -> Option<Actor> {
        let actor = StaffActor { staff: self.staff(), role: self.role() };
        (self.stage() == StaffStage::Full).then_some(Actor::Staff(actor))
    }
}

impl Gateway {
    /// The session of a cookie, if it goes on: it is asked for at every request, so that an end is one at once.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn staff_session(&self, token: &str) -> Result<Option<StaffSession>, AppError> {
        if token.len() != 64 {
            return Ok(None);
        }
        for token_hash in self.session_digests(token) {
            if let Some(found) = self.session_of(&token_hash).await? {
                return Ok(Some(StaffSession { form_secret: self.form_secret(token), ..found }));
            }
        }
        Ok(None)
    }

    /// The session of a token's digest, if it goes on. It has no secret for forms.
    pub(super) async fn session_of(&self, token_hash: &[u8; 32]) -> Result<Option<StaffSession>, AppError> {
        let (now, token_hash) = (self.now(), *token_hash);
        let Some(row) = self.inner.store.session(&token_hash).await? else { return Ok(None) };
        let idle = now.since_ms(row.seen_at);
        let goes_on = now < row.expires_at && idle < IDLE_MS && row.staff.ended_at.is_none();
        if !goes_on || !self.is_session_genuine(&row, &token_hash) {
            return Ok(None);
        }
        if idle >= SEEN_EVERY_MS {
            self.inner.store.perform(&TouchSession { id: row.id, at: now }).await?;
        }
        Ok(Some(StaffSession { row, token_hash, form_secret: String::new() }))
    }

    /// A session to begin, and its token.
    pub(super) fn new_session(
        &self,
        staff: StaffId,
        (stage, pending): (SessionStage, Option<Vec<u8>>),
        (machine, by_provider): (&str, bool),
    ) -> (NewSession, SessionGrant) {
        let token = self.fresh_token();
        let (lasts, granted) = match stage {
            SessionStage::Password => (WAITING_MS, StaffStage::SecondFactor),
            SessionStage::Enrolling => (WAITING_MS, StaffStage::Enrolling),
            SessionStage::Full => (LONGEST_MS, StaffStage::Full),
        };
        let (token_hash, id) = (self.session_digest(&token), SessionId::generate(&*self.inner.entropy));
        let expires_at = self.now().plus_ms(lasts);
        let session = NewSession {
            token_hash,
            id,
            binding: self.session_binding(&token_hash, staff, (id, stage), (expires_at, by_provider)),
            by_provider,
            stage,
            pending,
            machine: machine.chars().filter(|c| !c.is_control()).take(MACHINE_CHARACTERS).collect(),
            expires_at,
        };
        (session, SessionGrant { token, stage: granted })
    }
}
