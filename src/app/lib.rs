//! The use cases, the jobs and the transaction boundary, behind one facade: [`Gateway`].
//!
//! Every use case takes `&Authorized<A>` first, plans purely from what it was given, and writes one `Change`. An
//! acknowledgement is sent only after the commit.

mod access;
mod batcher;
mod confirmation;
mod consent;
mod delivery;
mod denied;
mod error;
mod feedback;
mod figures;
mod gateway;
mod import;
mod incident;
mod jobs;
mod keys;
mod ledger;
mod limit;
mod mail;
mod notice;
mod plain;
mod preference;
mod profile;
mod prompt;
mod receipt;
mod record;
mod rights;
mod self_test;
mod signal;
mod staff;
mod statement;
mod subject;
mod system;
mod unsubscribe;

pub use access::{
    AuthenticateError, ClientProof, ClientView, IssuedToken, NewClient, PresentedProof, PresentedToken,
    RememberedReader, TokenAsk, TokenDenial,
};
pub use confirmation::{Confirmation, ConfirmationSettings};
pub use consent::{
    Choice, ChoiceKind, ConsentPost, Idempotency, NoticeView, OptInStep, PersonRequest, Receipt, Who,
};
pub use delivery::{
    BlockClass, Campaign, CampaignClass, Deliveries, Extras, Sender, Slot, StatedSender, StopKind,
};
pub use error::{AppError, Code, Fault, InternalError};
pub use feedback::{Feedback, FeedbackKind, FeedbackSubject};
pub use figures::Figures;
pub use gateway::{Gateway, GatewaySettings, OpenGatewayError, migrate, pending_migrations};
pub use import::{Art14View, ImportLine, ImportParameters, ImportView, Importing};
pub use incident::{Affected, AffectedAsk, IncidentNotes, IncidentView, NewIncident};
pub use keys::{
    EndingCapabilities, KEY_OVERLAP_MS, KNOWN_AFTER_MS, KeyChangeError, KeyOverview, KeyProgress, KeySource,
    RootKey, RootKeyError, Rooted, Rotation, Wrapped,
};
pub use ledger::{LedgerPage, LedgerReport, Witness, WitnessAnswer, Witnessed, verify_database};
pub use limit::{Left, Quota, Throttle, TooOften, network_of};
pub use mail::{MailState, Outgoing, Post, PostError, Posted};
pub use notice::{MOST_NOTICES, NoticeKind, NoticeToRecipient};
pub use preference::{Preference, PreferenceAct, PreferenceState, Preferences};
pub use profile::{
    ColumnKind, ColumnSpec, LookupKeys, MAX_LOOKUP, MOST_GROUPED, ProfileAsk, Pull, PulledPage, ReadyAsk, Segment,
};
pub use prompt::{PromptAsk, PromptView};
pub use receipt::{ReceiptDocument, ReceiptFormat};
pub use record::{LineOutcome, RecordLine};
pub use rights::{RightsAsk, RightsKind, RightsRequestView, RightsSubject};
pub use self_test::{CANARY, Measure, SelfTestReport, Tried};
pub use signal::{OptOutStatus, SignalAnswer, SignalPost};
pub use staff::{
    Enrolled, Enrolment, IdentityProvider, InvitationView, MOST_SESSIONS, Machine, MemberView, OneTimeLink,
    ProviderAnswer, ProviderAnswered, ProviderCall, SessionGrant, SessionView, Shown, SignInDenial, SignedIn,
    SsoAnswer, SsoBegun, SsoDenial, SsoFinished, SsoFor, SsoSettings, StaffFault, StaffSession, StaffStage,
};
pub use statement::{PlainStatement, Relationship, Statement, StatementPost, StatementReceipt};
pub use subject::{DisclosurePlace, ExplainAsk, FileView};
pub use system::{SystemClock, SystemEntropy};
pub use unsubscribe::{UnsubscribeLink, Unsubscribing};
