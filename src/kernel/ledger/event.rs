//! Everything the ledger can say: random references, closed codes, names, counts and keyed digests, never a value.
//!
//! The ledger outlives the persons' keys (GDPR Art. 17), so no variant may gain a field that could hold an
//! identifier, free text or an unkeyed hash of one. Indices are never reused: old entries must stay readable.

use minicbor::{Decode, Encode};
use serde::{Serialize, Serializer};

use crate::attribute::AttributeName;
use crate::campaign::CampaignId;
use crate::client::ClientId;
use crate::id::{ImportId, IncidentId, LedgerRef, PullId, ReceiptId, RightsRequestId};
use crate::notice::NoticeDigest;
use crate::policy::PolicyVersion;
use crate::purpose::Purpose;
use crate::recipient::RecipientId;
use crate::seal::{KeyUse, RootProvider};
use crate::source::SourceId;
use crate::staff::{Role, StaffId};
use crate::time::Timestamp;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum LedgerEvent {
    /// A person's statements were recorded (GDPR Art. 7(1)).
    #[n(0)]
    ConsentCaptured {
        /// Whose.
        #[n(0)]
        subject: LedgerRef,
        /// The receipt that was given for them.
        #[n(1)]
        receipt: ReceiptId,
        /// The code of each event and the purpose it is about, if it is about one.
        #[n(2)]
        events: Vec<(u8, Option<Purpose>)>,
        /// The form or source it came through, when it brought attributes.
        #[n(3)]
        #[serde(skip_serializing_if = "Option::is_none")]
        source: Option<SourceId>,
        /// Which attributes came with it, by name; none: absent.
        #[n(4)]
        #[serde(skip_serializing_if = "Option::is_none")]
        attributes: Option<Vec<AttributeName>>,
        /// The notice that was shown, by the digest of its text, which is the policy's and public.
        #[n(5)]
        #[serde(skip_serializing_if = "Option::is_none")]
        notice: Option<NoticeDigest>,
    },
    /// A source delivered attributes of a person.
    #[n(1)]
    RecordIngested {
        /// Whose.
        #[n(0)]
        subject: LedgerRef,
        /// Who delivered.
        #[n(1)]
        source: SourceId,
        /// Which attributes, by name.
        #[n(2)]
        attributes: Vec<AttributeName>,
    },
    /// Attributes were handed to a recipient (GDPR Art. 15(1)(c)); written before the bytes leave.
    #[n(2)]
    Disclosed {
        /// The pull or lookup.
        #[n(0)]
        pull: PullId,
        /// The page of the pull, from 0.
        #[n(1)]
        page: u32,
        /// To whom.
        #[n(2)]
        recipient: RecipientId,
        /// For what.
        #[n(3)]
        purpose: Purpose,
        /// The attributes that the policy opened to this recipient for this purpose; a person without a value has none.
        #[n(4)]
        attributes: Vec<AttributeName>,
        /// The attributes that were asked for and that the policy withholds for this purpose.
        #[n(5)]
        withheld: Vec<AttributeName>,
        /// The policy that decided.
        #[n(6)]
        policy: PolicyVersion,
        /// How many persons.
        #[n(7)]
        subjects: u64,
        /// How many persons were refused, by the code of the refusal.
        #[n(8)]
        refused: Vec<(u8, u64)>,
        /// Keyed digest of the bitmap of the persons whose data went out.
        #[cbor(n(9), with = "minicbor::bytes")]
        #[serde(serialize_with = "as_hex")]
        bitmap_digest: [u8; 32],
    },
    /// A person's key was destroyed (GDPR Art. 17).
    #[n(3)]
    SubjectErased {
        /// Whose.
        #[n(0)]
        subject: LedgerRef,
        /// The request that asked for it.
        #[n(1)]
        request: RightsRequestId,
    },
    /// A person's data were given to that person (GDPR Arts. 15 and 20).
    #[n(4)]
    SubjectAccessed {
        /// Whose; nobody when the requester is not known here.
        #[n(0)]
        subject: Option<LedgerRef>,
        /// The request that asked for it.
        #[n(1)]
        request: RightsRequestId,
    },
    /// A rights request arrived and its clock runs (GDPR Art. 12(3)).
    #[n(5)]
    RightsRequestOpened {
        /// The request.
        #[n(0)]
        request: RightsRequestId,
        /// The code of its kind.
        #[n(1)]
        kind: u8,
        /// The member of staff who opened it, if one did.
        #[n(2)]
        #[serde(skip_serializing_if = "Option::is_none")]
        staff: Option<StaffId>,
    },
    /// A policy came into force.
    #[n(6)]
    PolicyApplied {
        /// Which.
        #[n(0)]
        policy: PolicyVersion,
    },
    /// A client was given credentials.
    #[n(7)]
    ClientRegistered {
        /// Which.
        #[n(0)]
        client: ClientId,
    },
    /// A client's credentials were taken back.
    #[n(8)]
    ClientRevoked {
        /// Which.
        #[n(0)]
        client: ClientId,
    },
    /// Somebody tried what they may not do.
    #[n(9)]
    AttemptRefused {
        /// Who, if the credentials told.
        #[n(0)]
        client: Option<ClientId>,
        /// What they tried.
        #[n(1)]
        action: RefusedAttempt,
        /// Why it was refused.
        #[n(2)]
        reason: AttemptRefusal,
        /// Which member of staff, if the credentials told.
        #[n(3)]
        #[serde(skip_serializing_if = "Option::is_none")]
        staff: Option<StaffId>,
    },
    /// A rights request was answered and its clock stopped; what it did to the person has an entry of its own.
    #[n(10)]
    RightsRequestCompleted {
        /// The request.
        #[n(0)]
        request: RightsRequestId,
        /// How it ended.
        #[n(1)]
        outcome: RequestOutcome,
    },
    /// What somebody was asked to confirm and never did was removed (GDPR Art. 5(1)(e)).
    #[n(11)]
    UnconfirmedPurged {
        /// Whose.
        #[n(0)]
        subject: LedgerRef,
        /// Whether nothing else was held, so that the person's key was destroyed.
        #[n(1)]
        whole: bool,
    },
    /// Addresses were resolved for a campaign: which message went to whom, and whether it was the one that tells of the
    /// right to object (GDPR Art. 21(4)).
    #[n(20)]
    CampaignResolved {
        /// The look-up whose persons the message goes to.
        #[n(0)]
        pull: PullId,
        /// The campaign.
        #[n(1)]
        campaign: CampaignId,
        /// Whether it is a first message, with the notice of the right to object.
        #[n(2)]
        first_contact: bool,
    },
    /// Somebody of the controller's looked at one person's file (GDPR Art. 32); written before anything is shown.
    #[n(22)]
    SubjectInspected {
        /// Whose.
        #[n(0)]
        subject: LedgerRef,
        /// Which program looked; none when it was staff or the operator.
        #[n(1)]
        client: Option<ClientId>,
        /// At what.
        #[n(2)]
        what: Inspection,
        /// Which member of staff looked, if one did.
        #[n(3)]
        #[serde(skip_serializing_if = "Option::is_none")]
        staff: Option<StaffId>,
        /// In which role.
        #[n(4)]
        #[serde(skip_serializing_if = "Option::is_none")]
        role: Option<Role>,
    },
    /// A form is about to ask a person (EDPB 03/2022).
    #[n(21)]
    PromptShown {
        /// Whom.
        #[n(0)]
        subject: LedgerRef,
        /// For which purposes.
        #[n(1)]
        purposes: Vec<Purpose>,
    },
    /// A file was read and is ready to be applied; nothing of it is in force.
    #[n(23)]
    ImportPreviewed {
        /// Which import.
        #[n(0)]
        import: ImportId,
        /// Who delivered.
        #[n(1)]
        source: SourceId,
        /// How many rows it has.
        #[n(2)]
        rows: u64,
        /// How many of them would change something.
        #[n(3)]
        ready: u64,
        /// Keyed digest of the file.
        #[cbor(n(4), with = "minicbor::bytes")]
        #[serde(serialize_with = "as_hex")]
        digest: [u8; 32],
    },
    /// Rows of an import were applied.
    #[n(24)]
    ImportApplied {
        /// Which import.
        #[n(0)]
        import: ImportId,
        /// The last line that is dealt with now.
        #[n(1)]
        line: u64,
        /// How many persons were new.
        #[n(2)]
        created: u64,
        /// How many persons who were held changed.
        #[n(3)]
        changed: u64,
        /// How many rows were left out, by the code of the reason.
        #[n(4)]
        left_out: Vec<(u8, u64)>,
        /// Keyed digest of what was done, person by person in the words of the ledger.
        #[cbor(n(5), with = "minicbor::bytes")]
        #[serde(serialize_with = "as_hex")]
        digest: [u8; 32],
    },
    /// An import was given up before all of it was applied, and its key destroyed.
    #[n(25)]
    ImportDiscarded {
        /// Which import.
        #[n(0)]
        import: ImportId,
        /// Whether its time was over.
        #[n(1)]
        expired: bool,
    },
    /// A token was taken back before its time (RFC 7009).
    #[n(40)]
    TokenRevoked {
        /// The client it was issued to.
        #[n(0)]
        client: ClientId,
    },
    /// A client was given other credentials, and the tokens issued for those before ended.
    #[n(41)]
    ClientCredentialsReplaced {
        /// Which.
        #[n(0)]
        client: ClientId,
    },
    /// Somebody was invited to be staff.
    #[n(50)]
    StaffInvited {
        /// Who.
        #[n(0)]
        staff: StaffId,
        /// What they will be here for.
        #[n(1)]
        role: Role,
        /// By which administrator; nobody when it was the operator.
        #[n(2)]
        by: Option<StaffId>,
    },
    /// Somebody used a one-time link and chose a password.
    #[n(51)]
    StaffJoined {
        /// Who.
        #[n(0)]
        staff: StaffId,
    },
    /// Something about a member of staff changed.
    #[n(52)]
    StaffChanged {
        /// Who.
        #[n(0)]
        staff: StaffId,
        /// What.
        #[n(1)]
        act: StaffAct,
        /// By whom; nobody when it was the operator.
        #[n(2)]
        by: Option<StaffId>,
    },
    /// A member of staff signed in with both factors.
    #[n(53)]
    StaffSignedIn {
        /// Who.
        #[n(0)]
        staff: StaffId,
        /// Whether with a recovery code.
        #[n(1)]
        recovery: bool,
    },
    /// A member of staff signed in through the identity provider.
    #[n(73)]
    StaffSignedInByProvider {
        /// Who.
        #[n(0)]
        staff: StaffId,
        /// Whether the provider vouched for the second factor; if not, it is asked for here.
        #[n(1)]
        provider_factor: bool,
    },
    /// An account with the identity provider lets a member of staff in from now on.
    #[n(74)]
    StaffLinked {
        /// Who.
        #[n(0)]
        staff: StaffId,
    },
    /// No account with the identity provider lets a member of staff in any more.
    #[n(75)]
    StaffUnlinked {
        /// Who.
        #[n(0)]
        staff: StaffId,
        /// By whom.
        #[n(1)]
        by: Option<StaffId>,
    },
    /// Somebody became staff because the identity provider knows them, as the operator configured.
    #[n(76)]
    StaffProvisioned {
        /// Who.
        #[n(0)]
        staff: StaffId,
        /// What for.
        #[n(1)]
        role: Role,
    },
    /// Attributes were forgotten whose consent was taken back and that nothing else needs (GDPR Art. 17(1)(b)).
    #[n(30)]
    AttributesForgotten {
        /// Whose.
        #[n(0)]
        subject: LedgerRef,
        /// Which attributes, by name.
        #[n(1)]
        attributes: Vec<AttributeName>,
    },
    /// Somebody read entries of the ledger in clear.
    #[n(60)]
    LedgerRead {
        /// Who; nobody when it was the operator.
        #[n(0)]
        client: Option<ClientId>,
        /// From which entry on.
        #[n(1)]
        start: u64,
        /// How many.
        #[n(2)]
        count: u64,
    },
    /// The working keys were sealed under a root key: made, or moved to another one.
    #[n(61)]
    KeySetSealed {
        /// Who keeps the root key.
        #[n(0)]
        provider: RootProvider,
        /// Whether the keys were made just then.
        #[n(1)]
        made: bool,
    },
    /// A key was rotated: another one is used from a time on.
    #[n(62)]
    KeyRotated {
        /// What it is for.
        #[n(0)]
        key_use: KeyUse,
        /// The number of the new key.
        #[n(1)]
        id: u32,
        /// From when on it is used.
        #[n(2)]
        from: Timestamp,
    },
    /// Everything that an older key held is under the new one.
    #[n(63)]
    KeyTakenOver {
        /// What it is for.
        #[n(0)]
        key_use: KeyUse,
        /// The number of the new key.
        #[n(1)]
        id: u32,
        /// How much was taken over.
        #[n(2)]
        count: u64,
    },
    /// A key was taken out of use.
    #[n(64)]
    KeyRetired {
        /// What it was for.
        #[n(0)]
        key_use: KeyUse,
        /// Its number.
        #[n(1)]
        id: u32,
    },
    /// A recipient was told how many persons share some values: rounded numbers of groups, and nobody (GDPR Art. 89(1)).
    #[n(67)]
    SegmentCounted {
        /// Who received.
        #[n(0)]
        recipient: RecipientId,
        /// What for.
        #[n(1)]
        purpose: Purpose,
        /// What persons were grouped by.
        #[n(2)]
        attributes: Vec<AttributeName>,
        /// The policy that decided who counts.
        #[n(3)]
        policy: PolicyVersion,
        /// How many groups were told of.
        #[n(4)]
        groups: u64,
        /// How many were too small to tell of.
        #[n(5)]
        withheld: u64,
    },
    /// An incident was put on record (GDPR Art. 33(5)).
    #[n(68)]
    IncidentOpened {
        /// Which.
        #[n(0)]
        incident: IncidentId,
        /// What kind.
        #[n(1)]
        kind: IncidentKind,
        /// By which program; nobody when it was the operator or the gateway itself.
        #[n(2)]
        client: Option<ClientId>,
        /// By which member of staff.
        #[n(3)]
        staff: Option<StaffId>,
    },
    /// Something about an incident was added or decided.
    #[n(69)]
    IncidentChanged {
        /// Which.
        #[n(0)]
        incident: IncidentId,
        /// What was done.
        #[n(1)]
        act: IncidentAct,
        /// Digest of what is on record of it now, under the ledger's own key.
        #[n(2)]
        #[serde(serialize_with = "as_hex")]
        digest: [u8; 32],
        /// By which program.
        #[n(3)]
        client: Option<ClientId>,
        /// By which member of staff.
        #[n(4)]
        staff: Option<StaffId>,
    },
    /// Somebody asked whom an incident concerns: who was in what a recipient received.
    #[n(70)]
    RecipientAudited {
        /// Whose receipts.
        #[n(0)]
        recipient: RecipientId,
        /// How many persons were named.
        #[n(1)]
        subjects: u64,
        /// By which program.
        #[n(2)]
        client: Option<ClientId>,
        /// By which member of staff.
        #[n(3)]
        staff: Option<StaffId>,
    },
    /// A recipient fetched the notices that wait for it (GDPR Art. 19).
    #[n(71)]
    NoticesFetched {
        /// Who.
        #[n(0)]
        recipient: RecipientId,
        /// How many.
        #[n(1)]
        notices: u64,
    },
    /// A recipient acknowledged notices.
    #[n(72)]
    NoticesAcknowledged {
        /// Who.
        #[n(0)]
        recipient: RecipientId,
        /// How many.
        #[n(1)]
        notices: u64,
    },
}

/// What kind of incident it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Serialize)]
#[cbor(index_only)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum IncidentKind {
    /// Pseudonyms were led back to persons by somebody who may not (EDPB 01/2025).
    #[n(1)]
    PseudonymReversal = 1,
    /// Somebody saw what they may not.
    #[n(2)]
    UnauthorisedAccess = 2,
    /// Data went to somebody who may not have it.
    #[n(3)]
    UnauthorisedDisclosure = 3,
    /// Data was lost or destroyed.
    #[n(4)]
    Loss = 4,
    /// Data was changed by somebody who may not.
    #[n(5)]
    Alteration = 5,
    /// Data cannot be had.
    #[n(6)]
    Unavailability = 6,
}

impl IncidentKind {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::PseudonymReversal,
        Self::UnauthorisedAccess,
        Self::UnauthorisedDisclosure,
        Self::Loss,
        Self::Alteration,
        Self::Unavailability,
    ];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PseudonymReversal => "pseudonym_reversal",
            Self::UnauthorisedAccess => "unauthorised_access",
            Self::UnauthorisedDisclosure => "unauthorised_disclosure",
            Self::Loss => "loss",
            Self::Alteration => "alteration",
            Self::Unavailability => "unavailability",
        }
    }
}

/// What was done about an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Serialize)]
#[cbor(index_only)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum IncidentAct {
    /// Facts, effects or measures were added.
    #[n(1)]
    Documented = 1,
    /// The authority was told.
    #[n(2)]
    AuthorityNotified = 2,
    /// Persons were told.
    #[n(3)]
    PersonsNotified = 3,
    /// California's attorney general was told.
    #[n(4)]
    AttorneyGeneralNotified = 4,
    /// It was closed, with a reason.
    #[n(5)]
    Closed = 5,
}

/// What changed about a member of staff.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Serialize)]
#[cbor(index_only)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum StaffAct {
    /// Another role.
    #[n(1)]
    RoleChanged = 1,
    /// No member any more.
    #[n(2)]
    Ended = 2,
    /// Password, authenticator and recovery codes were taken away, and a link was given to begin anew.
    #[n(3)]
    Reset = 3,
    /// Another password.
    #[n(4)]
    PasswordChanged = 4,
    /// An authenticator was set up.
    #[n(5)]
    AuthenticatorSet = 5,
    /// Other recovery codes.
    #[n(6)]
    RecoveryCodesReplaced = 6,
    /// Sessions were ended.
    #[n(7)]
    SessionsEnded = 7,
}

/// How a rights request ended, where no other entry says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Serialize)]
#[cbor(index_only)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum RequestOutcome {
    /// Nothing was held of the person.
    #[n(1)]
    NothingHeld = 1,
    /// The person's processing was restricted (GDPR Art. 18).
    #[n(2)]
    Restricted = 2,
    /// The restriction was lifted.
    #[n(3)]
    RestrictionLifted = 3,
}

/// What of a person's file was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Serialize)]
#[cbor(index_only)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Inspection {
    /// Whether the person is known.
    #[n(1)]
    Lookup = 1,
    /// Why a decision came out as it did.
    #[n(2)]
    Explanation = 2,
    /// The history of consents.
    #[n(3)]
    Consents = 3,
    /// Who received what.
    #[n(4)]
    Disclosures = 4,
    /// The consent records.
    #[n(5)]
    Records = 5,
    /// A consent receipt.
    #[n(6)]
    Receipt = 6,
    /// The evidence of a consent.
    #[n(7)]
    Evidence = 7,
}

/// What somebody tried, in the words of the faces rather than of paths or bodies that a caller could fill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Serialize)]
#[cbor(index_only)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum RefusedAttempt {
    /// To obtain an access token.
    #[n(1)]
    IssueToken = 1,
    /// To sign in to the console.
    #[n(2)]
    SignIn = 2,
    /// To record a consent on a person's behalf.
    #[n(3)]
    CaptureConsent = 3,
    /// To deliver attributes.
    #[n(4)]
    IngestRecords = 4,
    /// To look up single profiles.
    #[n(5)]
    LookUpProfiles = 5,
    /// To pull profiles in bulk.
    #[n(6)]
    PullProfiles = 6,
    /// To read or acknowledge changes.
    #[n(7)]
    ReadChanges = 7,
    /// To resolve a delivery address.
    #[n(8)]
    ResolveDelivery = 8,
    /// To count a segment.
    #[n(9)]
    CountSegment = 9,
    /// To look at one person's file.
    #[n(10)]
    ReadSubject = 10,
    /// To open or work on a rights request.
    #[n(11)]
    HandleRightsRequest = 11,
    /// To plan or apply a policy.
    #[n(12)]
    ManagePolicy = 12,
    /// To register or revoke a client.
    #[n(13)]
    ManageClient = 13,
    /// To read the ledger.
    #[n(14)]
    ReadLedger = 14,
    /// To ask about a token of somebody else, or to take it back.
    #[n(15)]
    InspectToken = 15,
    /// To see or change who is staff.
    #[n(16)]
    ManageStaff = 16,
}

/// Why an attempt was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Serialize)]
#[cbor(index_only)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum AttemptRefusal {
    /// No credentials were shown.
    #[n(1)]
    NoCredentials = 1,
    /// The secret or password was wrong.
    #[n(2)]
    WrongSecret = 2,
    /// The token was forged, foreign or out of date.
    #[n(3)]
    InvalidToken = 3,
    /// The client was revoked.
    #[n(4)]
    ClientRevoked = 4,
    /// The scope does not cover the action.
    #[n(5)]
    InsufficientScope = 5,
    /// The caller does not act for that recipient.
    #[n(6)]
    ForeignRecipient = 6,
    /// The caller does not hold that purpose.
    #[n(7)]
    ForeignPurpose = 7,
    /// The caller does not act for that source.
    #[n(8)]
    ForeignSource = 8,
    /// Too many attempts in too short a time.
    #[n(9)]
    TooManyAttempts = 9,
    /// A cursor or other sealed parameter was not one of ours.
    #[n(10)]
    TamperedParameter = 10,
    /// The legal basis of a purpose cannot be had, or not after the person said no (GDPR Art. 6(1)).
    #[n(11)]
    BasisFixed = 11,
    /// A parent acted for a child that had come of age (GDPR Art. 8(1)).
    #[n(12)]
    ParentalAuthorityEnded = 12,
    /// What may be used once was used again.
    #[n(13)]
    Replayed = 13,
    /// The caller did not show that it holds the key of its token (RFC 9449).
    #[n(14)]
    NoPossession = 14,
}

impl LedgerEvent {
    /// The name of what happened, the same word as in the serialized form.
    #[must_use]
    pub const fn describe(&self) -> &'static str {
        match self {
            Self::ConsentCaptured { .. } => "consent_captured",
            Self::RecordIngested { .. } => "record_ingested",
            Self::Disclosed { .. } => "disclosed",
            Self::SubjectErased { .. } => "subject_erased",
            Self::SubjectAccessed { .. } => "subject_accessed",
            Self::RightsRequestOpened { .. } => "rights_request_opened",
            Self::PolicyApplied { .. } => "policy_applied",
            Self::ClientRegistered { .. } => "client_registered",
            Self::ClientRevoked { .. } => "client_revoked",
            Self::AttemptRefused { .. } => "attempt_refused",
            Self::CampaignResolved { .. } => "campaign_resolved",
            Self::StaffInvited { .. } => "staff_invited",
            Self::StaffJoined { .. } => "staff_joined",
            Self::StaffChanged { .. } => "staff_changed",
            Self::StaffSignedIn { .. } => "staff_signed_in",
            Self::StaffSignedInByProvider { .. } => "staff_signed_in_by_provider",
            Self::StaffLinked { .. } => "staff_linked",
            Self::StaffUnlinked { .. } => "staff_unlinked",
            Self::StaffProvisioned { .. } => "staff_provisioned",
            Self::TokenRevoked { .. } => "token_revoked",
            Self::ClientCredentialsReplaced { .. } => "client_credentials_replaced",
            Self::AttributesForgotten { .. } => "attributes_forgotten",
            Self::LedgerRead { .. } => "ledger_read",
            Self::KeySetSealed { .. } => "key_set_sealed",
            Self::KeyRotated { .. } => "key_rotated",
            Self::KeyTakenOver { .. } => "key_taken_over",
            Self::KeyRetired { .. } => "key_retired",
            Self::SegmentCounted { .. } => "segment_counted",
            Self::IncidentOpened { .. } => "incident_opened",
            Self::IncidentChanged { .. } => "incident_changed",
            Self::RecipientAudited { .. } => "recipient_audited",
            Self::NoticesFetched { .. } => "notices_fetched",
            Self::NoticesAcknowledged { .. } => "notices_acknowledged",
            Self::RightsRequestCompleted { .. } => "rights_request_completed",
            Self::UnconfirmedPurged { .. } => "unconfirmed_purged",
            Self::SubjectInspected { .. } => "subject_inspected",
            Self::PromptShown { .. } => "prompt_shown",
            Self::ImportPreviewed { .. } => "import_previewed",
            Self::ImportApplied { .. } => "import_applied",
            Self::ImportDiscarded { .. } => "import_discarded",
        }
    }
}

fn as_hex<S: Serializer>(bytes: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&crate::id::hex(bytes))
}
