//! Who may do what: an [`Actor`] becomes an [`Authorized`] of one action, or is denied.
//!
//! Every use case takes `&Authorized<A>` first. There is no other constructor than [`Authorized::prove`].

use std::fmt;
use std::marker::PhantomData;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::client::ClientId;
use crate::purpose::Purpose;
use crate::recipient::RecipientId;
use crate::source::SourceId;
use crate::staff::{Role, StaffId};

/// A right that a client's token carries (RFC 6749 §3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Scope {
    /// Send records of a source.
    #[serde(rename = "records:write")]
    RecordsWrite,
    /// Report how persons answered mails: complaints and replies.
    #[serde(rename = "events:write")]
    EventsWrite,
    /// Import files of a source.
    #[serde(rename = "imports:write")]
    ImportsWrite,
    /// Read permitted attributes as the client's recipient.
    #[serde(rename = "profiles:read")]
    ProfilesRead,
    /// Answer data subjects' requests.
    #[serde(rename = "rights:write")]
    RightsWrite,
    /// See data subjects' requests.
    #[serde(rename = "rights:read")]
    RightsRead,
    /// Read the ledger.
    #[serde(rename = "ledger:read")]
    LedgerRead,
    /// Read operational figures.
    #[serde(rename = "metrics:read")]
    MetricsRead,
    /// Ask whether tokens of other clients are good (RFC 7662).
    #[serde(rename = "tokens:introspect")]
    TokensIntrospect,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 9] = [
        Self::RecordsWrite,
        Self::EventsWrite,
        Self::ImportsWrite,
        Self::ProfilesRead,
        Self::RightsWrite,
        Self::RightsRead,
        Self::LedgerRead,
        Self::MetricsRead,
        Self::TokensIntrospect,
    ];

    /// Its name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RecordsWrite => "records:write",
            Self::EventsWrite => "events:write",
            Self::ImportsWrite => "imports:write",
            Self::ProfilesRead => "profiles:read",
            Self::RightsWrite => "rights:write",
            Self::RightsRead => "rights:read",
            Self::LedgerRead => "ledger:read",
            Self::MetricsRead => "metrics:read",
            Self::TokensIntrospect => "tokens:introspect",
        }
    }

    /// Whether there are roles of staff that may what this scope allows.
    #[must_use]
    pub const fn is_for_staff(self) -> bool {
        matches!(self, Self::RightsWrite | Self::RightsRead | Self::LedgerRead | Self::MetricsRead)
    }

    /// The scope of a name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == name)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Who acts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// A person at a form or with a token, not logged in.
    Person,
    /// A program with a verified access token.
    Client(ClientActor),
    /// One of the controller's own people, signed in with both factors.
    Staff(StaffActor),
    /// Whoever runs the binary on the machine that holds the keys.
    Operator,
    /// A background job of the gateway.
    Job(&'static str),
}

/// A program, with what its token allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientActor {
    /// Which program.
    pub client: ClientId,
    /// The token's scopes.
    pub scopes: Vec<Scope>,
    /// The recipient it acts as, if any.
    pub recipient: Option<RecipientId>,
    /// The source it speaks for, if any.
    pub source: Option<SourceId>,
    /// The purposes its token is bound to.
    pub purposes: Vec<Purpose>,
}

/// A member of staff.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StaffActor {
    /// Who.
    pub staff: StaffId,
    /// What they are here for.
    pub role: Role,
}

impl Actor {
    fn holds(&self, scope: Scope) -> bool {
        matches!(self, Self::Client(client) if client.scopes.contains(&scope))
    }

    /// The client, where one acts.
    #[must_use]
    pub const fn client(&self) -> Option<&ClientActor> {
        match self {
            Self::Client(client) => Some(client),
            Self::Staff(_) | Self::Person | Self::Operator | Self::Job(_) => None,
        }
    }

    /// The member of staff, where one acts.
    #[must_use]
    pub const fn staff(&self) -> Option<&StaffActor> {
        match self {
            Self::Staff(staff) => Some(staff),
            Self::Client(_) | Self::Person | Self::Operator | Self::Job(_) => None,
        }
    }

    /// Whose the idempotency keys are that this caller uses: nobody else's repetition is answered by them.
    #[must_use]
    pub fn key_space(&self) -> String {
        match self {
            Self::Client(client) => client.client.to_string(),
            // A client's name holds no colon.
            Self::Staff(staff) => format!("staff:{}", staff.staff),
            Self::Person | Self::Operator | Self::Job(_) => String::new(),
        }
    }
}

mod sealed {
    pub trait Sealed {}
}

/// Something that can be authorised. Sealed: the list below is the list of what the system does.
pub trait Action: sealed::Sealed {
    /// Its name, in the ledger and in errors.
    const NAME: &'static str;
    /// The scope that a client needs; `None`: no client may.
    const SCOPE: Option<Scope>;

    /// Whether an actor may.
    #[must_use]
    fn allows(actor: &Actor) -> bool;
}

/// An action, the scope with which a client may, the roles with which staff may, and the other actors that may.
macro_rules! action {
    ($(#[$doc:meta])* $name:ident, $text:literal, $scope:expr, [$($role:ident),*] $(, $also:pat)?) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub enum $name {}

        impl sealed::Sealed for $name {}

        impl Action for $name {
            const NAME: &'static str = $text;
            const SCOPE: Option<Scope> = $scope;

            fn allows(actor: &Actor) -> bool {
                const ROLES: &[Role] = &[$(Role::$role),*];
                Self::SCOPE.is_some_and(|scope| actor.holds(scope))
                    || actor.staff().is_some_and(|staff| ROLES.contains(&staff.role))
                    $(|| matches!(actor, $also))?
            }
        }
    };
}

action! {
    /// Give, refuse or take back consent, object, opt out: everybody may for themself.
    CaptureConsent, "capture_consent", None, [], Actor::Person | Actor::Client(_) | Actor::Operator
}
action! {
    /// See how one's own choices stand, with the link of a mail.
    ReadPreferences, "read_preferences", None, [], Actor::Person
}
action! {
    /// Send records of a source.
    IngestRecords, "ingest_records", Some(Scope::RecordsWrite), [], Actor::Operator
}
action! {
    /// Report complaints and replies to mails.
    ReportFeedback, "report_feedback", Some(Scope::EventsWrite), []
}
action! {
    /// Import files of a source, and see what became of them.
    ImportRecords, "import_records", Some(Scope::ImportsWrite), [], Actor::Operator
}
action! {
    /// Read permitted attributes, by look-up or in bulk.
    ReadProfiles, "read_profiles", Some(Scope::ProfilesRead), []
}
action! {
    /// Open and carry out data subjects' requests.
    HandleRights, "handle_rights", Some(Scope::RightsWrite), [Officer], Actor::Operator
}
action! {
    /// See data subjects' requests.
    ReadRights, "read_rights", Some(Scope::RightsRead), [Officer, Auditor], Actor::Operator
}
action! {
    /// Look at one person's file.
    InspectSubjects, "inspect_subjects", Some(Scope::RightsRead), [Officer], Actor::Operator
}
action! {
    /// Put incidents on record, add to them and close them.
    HandleIncidents, "handle_incidents", Some(Scope::RightsWrite), [Officer], Actor::Operator
}
action! {
    /// See the register of incidents.
    ReadIncidents, "read_incidents", Some(Scope::RightsRead), [Officer, Auditor], Actor::Operator
}
action! {
    /// Ask whether a form may ask the bearer of a receipt.
    AskPrompts, "ask_prompts", None, [], Actor::Person
}
action! {
    /// Read the receipt of one's own post.
    ReadReceipts, "read_receipts", None, [], Actor::Person
}
action! {
    /// Ask whether a form may ask a person whom a source names.
    LookUpPrompts, "look_up_prompts", Some(Scope::RecordsWrite), []
}
action! {
    /// Read and verify the ledger.
    ReadLedger, "read_ledger", Some(Scope::LedgerRead), [Officer, Auditor], Actor::Operator
}
action! {
    /// Read operational figures.
    ReadMetrics, "read_metrics", Some(Scope::MetricsRead), [Officer, Auditor, Engineer, Marketer], Actor::Operator
}
action! {
    /// Ask whether tokens of other clients are good.
    IntrospectTokens, "introspect_tokens", Some(Scope::TokensIntrospect), []
}
action! {
    /// Register and revoke clients.
    ManageClients, "manage_clients", None, [], Actor::Operator
}
action! {
    /// Decide who is staff.
    ManageStaff, "manage_staff", None, [Administrator], Actor::Operator
}
action! {
    /// Put a policy into force.
    ApplyPolicy, "apply_policy", None, [], Actor::Operator
}
action! {
    /// Rotate and retire keys.
    ManageKeys, "manage_keys", None, [], Actor::Operator
}
action! {
    /// Try whether the gateway's measures work.
    SelfTest, "self_test", None, [], Actor::Operator
}
action! {
    /// Run background jobs.
    RunJobs, "run_jobs", None, [], Actor::Job(_)
}

/// Not allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not allowed to {action}")]
pub struct Denied {
    /// What was attempted.
    pub action: &'static str,
    /// The scope that was missing, where one would do.
    pub scope: Option<Scope>,
}

/// Proof that this actor may do `A`.
#[derive(Clone)]
pub struct Authorized<A: Action> {
    actor: Actor,
    action: PhantomData<fn() -> A>,
}

impl<A: Action> Authorized<A> {
    /// Proves it.
    ///
    /// # Errors
    /// When the actor may not.
    pub fn prove(actor: Actor) -> Result<Self, Denied> {
        if A::allows(&actor) {
            Ok(Self { actor, action: PhantomData })
        } else {
            Err(Denied { action: A::NAME, scope: A::SCOPE })
        }
    }

    /// Who it is.
    #[must_use]
    pub const fn actor(&self) -> &Actor {
        &self.actor
    }
}

impl<A: Action> fmt::Debug for Authorized<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorized").field("action", &A::NAME).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn client(scopes: &[Scope]) -> Actor {
        Actor::Client(ClientActor {
            client: "segmentation".parse().unwrap(),
            scopes: scopes.to_vec(),
            recipient: Some("segmentation".parse().unwrap()),
            source: None,
            purposes: Vec::new(),
        })
    }

    #[test]
    fn sec_05_a_client_may_only_what_its_scopes_say() {
        assert!(Authorized::<ReadProfiles>::prove(client(&[Scope::ProfilesRead])).is_ok());
        assert!(Authorized::<ReadProfiles>::prove(client(&[Scope::RecordsWrite, Scope::RightsWrite])).is_err());
        assert!(Authorized::<IngestRecords>::prove(client(&[Scope::ProfilesRead])).is_err());
        assert!(Authorized::<ManageClients>::prove(client(&Scope::ALL)).is_err());
        assert!(Authorized::<RunJobs>::prove(Actor::Operator).is_err());
    }

    #[test]
    fn nobody_but_a_recipients_client_reads_profiles() {
        for actor in [Actor::Person, Actor::Operator] {
            assert!(Authorized::<ReadProfiles>::prove(actor).is_err());
        }
    }

    fn may<A: Action>() -> Vec<Role> {
        let staff = StaffId::from_bytes([1; 16]);
        let roles = Role::ALL.into_iter();
        roles.filter(|role| A::allows(&Actor::Staff(StaffActor { staff, role: *role }))).collect()
    }

    #[test]
    fn sec_05_no_role_may_everything_and_each_only_its_own() {
        use Role::{Administrator, Auditor, Engineer, Marketer, Officer};
        assert_eq!(may::<HandleRights>(), [Officer]);
        assert_eq!(may::<InspectSubjects>(), [Officer]);
        assert_eq!(may::<ReadRights>(), [Officer, Auditor]);
        assert_eq!(may::<HandleIncidents>(), [Officer]);
        assert_eq!(may::<ReadIncidents>(), [Officer, Auditor]);
        assert_eq!(may::<ReadLedger>(), [Officer, Auditor]);
        assert_eq!(may::<ReadMetrics>(), [Officer, Auditor, Engineer, Marketer]);
        assert_eq!(may::<ManageStaff>(), [Administrator]);
        for none in [
            may::<CaptureConsent>(),
            may::<ReadPreferences>(),
            may::<IngestRecords>(),
            may::<ReportFeedback>(),
            may::<ImportRecords>(),
            may::<ReadProfiles>(),
            may::<LookUpPrompts>(),
            may::<ManageClients>(),
            may::<ApplyPolicy>(),
            may::<IntrospectTokens>(),
            may::<ManageKeys>(),
            may::<SelfTest>(),
            may::<RunJobs>(),
        ] {
            assert_eq!(none, []);
        }
    }

    #[test]
    fn a_scope_survives_its_name() {
        for scope in Scope::ALL {
            assert_eq!(Scope::parse(scope.as_str()), Some(scope));
        }
    }
}
