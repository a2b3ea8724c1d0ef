//! Everything that changes who of the controller's own people may do what: one act a file, each with its ledger entry.

pub mod attempt;
pub mod change_member;
pub mod credentials;
pub mod identity;
pub mod invite;
pub mod join;
pub mod provider;
pub mod session;
pub mod sign_in;

pub use attempt::{Attempted, BeginAttempt, ForgetAttempts};
pub use change_member::{ChangeMember, MemberChange};
pub use credentials::{ChangePassword, KeepHash, ReplaceRecoveryCodes};
pub use identity::{LinkIdentity, NewIdentity, UnlinkIdentity};
pub use invite::{InviteStaff, Invited};
pub use join::{JoinStaff, Joining};
pub use provider::{PassProvider, ProvisionStaff};
pub use session::{EndSessions, MOST_SESSIONS, NewSession, TouchSession, WhichSessions};
pub use sign_in::{
    EnrolAuthenticator, PassFirstFactor, PassSecondFactor, RecoveryCodes, SecondFactor, TakeFactor,
};
