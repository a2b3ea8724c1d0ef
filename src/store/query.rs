//! Every read, as methods of [`Store`](crate::Store). Rows come out as they lie: sealed.

pub mod access;
pub mod client;
pub mod consent_event;
pub mod counts;
pub mod disclosure;
pub mod idempotency;
pub mod import;
pub mod incident;
pub mod mail;
pub mod notice;
pub mod policy;
pub mod prompt;
pub mod received;
pub mod recipient_notice;
pub mod rights_request;
pub mod staff;
pub mod subject;
pub mod suppression;

pub use client::{ClientCredentials, ClientRow};
pub use consent_event::ActRow;
pub use counts::Counts;
pub use disclosure::{DisclosurePage, DisclosurePosition, DisclosureRow};
pub use idempotency::StoredOutcome;
pub use import::{ImportRow, ImportedFrom};
pub use incident::IncidentRow;
pub use mail::{ConfirmationRow, MailQueue};
pub use notice::StoredNotice;
pub use policy::StoredPolicy;
pub use prompt::PromptRow;
pub use received::Received;
pub use recipient_notice::{RecipientNoticeRow, WaitingNotice};
pub use rights_request::RightsRequestRow;
pub use staff::{SessionRow, SessionStage, StaffRow};
pub use subject::{ChangePosition, SubjectPage, SubjectRow};
pub use suppression::SuppressionRow;
