//! What is in the clear of the rows of staff is bound by keyed digests, and their passwords are sealed: whoever can write to the
//! database, and has no keys, cannot move or make up what lets somebody in. What an earlier version of the key bound or sealed
//! counts until that version is retired; a job moves it to the newest.

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use kernel::id::SessionId;
use kernel::seal::StaffSecret;
use kernel::staff::{Role, StaffId, StaffName};
use kernel::time::Timestamp;
use store::query::{InvitationRow, SessionRow, SessionStage, StaffRow};
use zeroize::Zeroizing;

use crate::error::AppError;
use crate::gateway::Gateway;

/// What the digest over a member's row is of: who, by which name, as what, and whether with an authenticator.
fn of_member<T>(
    (staff, name): (StaffId, &StaffName),
    role: Role,
    has_authenticator: bool,
    digest: impl FnOnce(&[&[u8]]) -> T,
) -> T {
    let role = role.as_str().as_bytes();
    let name = name.as_str().as_bytes();
    digest(&[b"staff v1", b"member", staff.as_bytes(), name, role, &[u8::from(has_authenticator)]])
}

fn of_session<T>(
    token_hash: &[u8; 32],
    staff: StaffId,
    (id, stage): (SessionId, SessionStage),
    (expires_at, by_provider): (Timestamp, bool),
    digest: impl FnOnce(&[&[u8]]) -> T,
) -> T {
    digest(&[
        b"staff v1",
        b"session row",
        token_hash,
        staff.as_bytes(),
        id.as_bytes(),
        stage.as_str().as_bytes(),
        &expires_at.as_millis().to_be_bytes(),
        &[u8::from(by_provider)],
    ])
}

fn of_link<T>(token_hash: &[u8; 32], staff: Option<StaffId>, digest: impl FnOnce(&[&[u8]]) -> T) -> T {
    let staff = staff.map(|staff| *staff.as_bytes());
    let staff = staff.as_ref().map_or(&[][..], |staff| staff.as_slice());
    digest(&[b"staff v1", b"link row", token_hash, staff])
}

impl Gateway {
    pub(super) fn staff_seal(
        &self,
        staff: StaffId,
        name: &StaffName,
        role: Role,
        has_authenticator: bool,
    ) -> [u8; 32] {
        of_member((staff, name), role, has_authenticator, |parts| self.request_fingerprint(parts))
    }

    /// Which version of the key bound a member's row; `None`: it is not as the gateway wrote it.
    pub(crate) fn version_of_member(&self, row: &StaffRow) -> Option<u32> {
        of_member((row.id, &row.name), row.role, row.authenticator.is_some(), |parts| {
            self.inner.keyring.layer_of_fingerprint(parts, &row.seal)
        })
    }

    /// A member's row, bound anew.
    pub(crate) fn seal_member_anew(&self, row: &StaffRow) -> [u8; 32] {
        self.staff_seal(row.id, &row.name, row.role, row.authenticator.is_some())
    }

    /// Whether a member's row is as the gateway wrote it. One that is not lets nobody in.
    pub(super) fn is_genuine(&self, row: &StaffRow) -> bool {
        let is_genuine = self.version_of_member(row).is_some();
        if !is_genuine {
            tracing::error!("a row of staff is not as it was written: it lets nobody in");
        }
        is_genuine
    }

    pub(super) fn session_binding(
        &self,
        token_hash: &[u8; 32],
        staff: StaffId,
        what: (SessionId, SessionStage),
        how: (Timestamp, bool),
    ) -> [u8; 32] {
        of_session(token_hash, staff, what, how, |parts| self.request_fingerprint(parts))
    }

    /// Whether the row of a session is as the gateway wrote it, and whoever it is of too.
    pub(super) fn is_session_genuine(&self, row: &SessionRow, token_hash: &[u8; 32]) -> bool {
        let what = (row.id, row.stage);
        let how = (row.expires_at, row.by_provider);
        let is_genuine =
            of_session(token_hash, row.staff.id, what, how, |parts| self.is_bound(parts, &row.binding));
        if !is_genuine {
            tracing::error!("the row of a session is not as it was written: it lets nobody in");
        }
        is_genuine && self.is_genuine(&row.staff)
    }

    pub(super) fn link_binding(&self, token_hash: &[u8; 32], staff: Option<StaffId>) -> [u8; 32] {
        of_link(token_hash, staff, |parts| self.request_fingerprint(parts))
    }

    /// Whether the row of a one-time link is as the gateway wrote it, and whoever it is for too.
    pub(super) fn is_link_genuine(&self, row: &InvitationRow, token_hash: &[u8; 32]) -> bool {
        let staff = row.staff.as_ref().map(|staff| staff.id);
        let is_genuine = of_link(token_hash, staff, |parts| self.is_bound(parts, &row.binding));
        if !is_genuine {
            tracing::error!("the row of a one-time link is not as it was written: it lets nobody in");
        }
        is_genuine && row.staff.as_ref().is_none_or(|staff| self.is_genuine(staff))
    }

    fn is_bound(&self, parts: &[&[u8]], binding: &[u8]) -> bool {
        self.inner.keyring.layer_of_fingerprint(parts, binding).is_some()
    }

    /// A password's hash as it is stored.
    pub(super) fn seal_password(&self, staff: StaffId, phc: &str) -> Result<String, AppError> {
        let sealed = self.inner.keyring.seal_staff_secret(staff, StaffSecret::PasswordHash, phc.as_bytes());
        Ok(BASE64_URL_SAFE_NO_PAD.encode(sealed.map_err(AppError::internal)?))
    }

    /// A password's hash as it is stored, sealed anew; `None`: it need not be, or is not this member's.
    pub(crate) fn seal_password_anew(&self, staff: StaffId, stored: &str) -> Option<String> {
        let sealed = BASE64_URL_SAFE_NO_PAD.decode(stored).ok()?;
        let anew = self.inner.keyring.reseal_staff_secret(staff, StaffSecret::PasswordHash, &sealed).ok()??;
        Some(BASE64_URL_SAFE_NO_PAD.encode(anew))
    }

    /// A password's hash, if it is this member's and as it was written.
    pub(super) fn open_password(&self, row: &StaffRow) -> Option<Zeroizing<String>> {
        let sealed = BASE64_URL_SAFE_NO_PAD.decode(row.password_hash.as_ref()?).ok()?;
        let opened = self.inner.keyring.open_staff_secret(row.id, StaffSecret::PasswordHash, &sealed).ok()?;
        std::str::from_utf8(&opened).ok().map(|phc| Zeroizing::new(phc.to_owned()))
    }
}
