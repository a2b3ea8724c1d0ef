//! What can go wrong for a caller, in one closed list of stable codes. No HTTP here, and never a personal value.

use kernel::authz::Denied;
use store::StoreError;
use thiserror::Error;

macro_rules! codes {
    ($($name:ident $text:literal $title:literal,)*) => {
        /// A stable problem code. A code is never reused for something else.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $(#[doc = $title] $name,)*
        }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The code as text.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// A short English title.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }
        }
    };
}

codes! {
    MalformedJson "malformed_json" "The body is not well-formed JSON",
    InvalidUtf8 "invalid_utf8" "The body is not UTF-8",
    InvalidField "invalid_field" "A field has a wrong value",
    UnknownField "unknown_field" "A field is not known",
    MissingField "missing_field" "A field is missing",
    UnsupportedMediaType "unsupported_media_type" "The content type is not supported here",
    NotAcceptable "not_acceptable" "No offered content type is accepted",
    PayloadTooLarge "payload_too_large" "The body is too large",
    MethodNotAllowed "method_not_allowed" "The method is not allowed here",
    NotFound "not_found" "There is nothing here",
    UnknownForm "unknown_form" "The policy has no such form",
    UnknownPurpose "unknown_purpose" "The policy has no such purpose",
    UnknownRecipient "unknown_recipient" "The policy has no such recipient",
    UnknownAttribute "unknown_attribute" "The policy has no such attribute",
    PurposeNotOnForm "purpose_not_on_form" "The form does not ask for this purpose",
    FieldNotOnForm "field_not_on_form" "The form has no such field",
    NoticeStale "notice_stale" "The notice was replaced by a newer version",
    FormStale "form_stale" "The form was opened too long ago",
    NoticeUnknown "notice_unknown" "No notice has this digest",
    NoticeLocale "notice_locale" "The notice has no text in this language",
    CapturedInFuture "captured_in_future" "The time of capture lies in the future",
    EvidencePreselected "evidence_preselected" "A choice made beforehand is not consent",
    EvidenceNotAffirmative "evidence_not_affirmative" "The act is not a clear affirmative one",
    EvidenceNoDecline "evidence_no_decline" "There was no plain way to decline",
    EvidenceAsymmetric "evidence_asymmetric" "Declining took more steps than accepting",
    EvidenceMissing "evidence_missing" "A grant needs its evidence",
    GrantWithoutCapturedAt "grant_without_captured_at" "A grant needs its time of capture",
    InvalidIdentifier "invalid_identifier" "This is not an identifier",
    InvalidRegion "invalid_region" "This is not a region code",
    NotOneClick "not_one_click" "The body is neither a one-click unsubscribe nor a button of the page",
    InvalidToken "invalid_token" "The token is not valid",
    ControlCharacter "control_character" "A text holds a control character",
    TooLong "too_long" "A value is too long",
    TooMany "too_many" "There are too many values",
    Empty "empty" "A value is empty",
    Duplicate "duplicate" "A value is given twice",
    OriginNotAllowed "origin_not_allowed" "The form does not accept this origin",
    Unauthenticated "unauthenticated" "An access token is needed",
    InvalidAccessToken "invalid_access_token" "The access token is not valid",
    InsufficientScope "insufficient_scope" "The access token lacks a scope",
    PurposeOutsideToken "purpose_outside_token" "The access token is not bound to this purpose",
    RecipientMismatch "recipient_mismatch" "The access token is of another recipient",
    SourceMismatch "source_mismatch" "The client speaks for no such source",
    AttributeOutsideContract "attribute_outside_contract" "The attribute is outside the recipient's contract",
    IdentifierLookupNotAllowed "identifier_lookup_not_allowed" "Only a sender may look persons up by identifier",
    IdempotencyKeyReused "idempotency_key_reused" "The idempotency key was used for another request",
    IdempotencyInProgress "idempotency_in_progress" "The request with this idempotency key is still running",
    IdempotencyKeyMalformed "idempotency_key_malformed" "The idempotency key is not well-formed",
    CursorInvalid "cursor_invalid" "The cursor is not valid",
    PolicyChanged "policy_changed" "The policy changed meanwhile",
    PolicyNotReproducible "policy_not_reproducible" "The policy that was in force then cannot be read any more",
    ReceiptNotFound "receipt_not_found" "There is no such receipt",
    EvidencePending "evidence_pending" "The ledger has no checkpoint over it yet",
    NothingConsented "nothing_consented" "The post consented to nothing",
    SubjectNotFound "subject_not_found" "No such person is held",
    RequestNotFound "request_not_found" "There is no such request",
    IncidentNotFound "incident_not_found" "There is no such incident",
    IncidentClosed "incident_closed" "The incident is closed",
    IncidentChanged "incident_changed" "The incident was changed meanwhile",
    Suppressed "suppressed" "The person is suppressed for imports",
    ConfirmationExpired "confirmation_expired" "The time to confirm is over",
    IdentifierConflict "identifier_conflict" "The identifiers belong to two persons",
    PersonNotInformed "person_not_informed" "The person was not told before the restriction ends",
    NotRestricted "not_restricted" "The person's processing is not restricted",
    OptInStepMissing "opt_in_step_missing" "The second step of an opt-in confirms no first step",
    SignalMalformed "signal_malformed" "A signal string is malformed",
    CsvQuoting "csv_quoting" "A cell is quoted wrongly",
    CsvColumns "csv_columns" "A line has another number of cells than the header",
    Formula "formula" "A text begins like a spreadsheet formula",
    SoftOptInIncomplete "soft_opt_in_incomplete" "A soft opt-in lacks what it rests on",
    BasisNotAllowed "basis_not_allowed" "The purpose does not rest on this basis",
    ImportNotFound "import_not_found" "There is no such import",
    ImportNotReady "import_not_ready" "The import is still being received",
    ImportBegun "import_begun" "The import was begun to be applied",
    ImportGone "import_gone" "The import was discarded or is too old",
    LegalBasisFixed "legal_basis_fixed" "The legal basis cannot be changed",
    ParentalAuthorityEnded "parental_authority_ended" "The child decides by itself now",
    InvalidDpopProof "invalid_dpop_proof" "The proof of possession is missing or not good for this request",
    UseDpopNonce "use_dpop_nonce" "The proof of possession must name the nonce given",
    InvalidClient "invalid_client" "The client is not known or its secret is wrong",
    TooManyRequests "too_many_requests" "Too many requests",
    TooManyAtOnce "too_many_at_once" "Too many requests at once",
    Busy "busy" "Too much is being read at once",
    RequestTimeout "request_timeout" "The request came too slowly",
    CertificateNeeded "certificate_needed" "A client certificate is needed",
    HeadersTooLarge "headers_too_large" "The header fields are too large",
    UriTooLong "uri_too_long" "The address is too long",
    FormNotOurs "form_not_ours" "The form was not opened here, or too long ago",
    LastAdministrator "last_administrator" "There must be an administrator left",
    NameTaken "name_taken" "The name is taken",
    StaffAltered "staff_altered" "The member's row was altered outside the gateway: say first what their role is",
    SignInFailed "sign_in_failed" "The sign-in through the identity provider does not count",
    ProviderUnreachable "provider_unreachable" "The identity provider does not answer",
    NotASender "not_a_sender" "Only a sender may resolve addresses",
    CampaignIncomplete "campaign_incomplete" "The campaign lacks what the law asks of it",
    CampaignClassMismatch "campaign_class_mismatch" "The campaign is not what its purpose says",
    MarketingInTransactional "marketing_in_transactional" "A transactional message carries no marketing",
    SenderMismatch "sender_mismatch" "The sender is not the one of the policy",
    Unavailable "unavailable" "The service is not available now",
    Internal "internal" "Something went wrong here",
}

/// One thing that is wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where, as a JSON pointer (RFC 6901); empty: the whole.
    pub pointer: String,
    /// What.
    pub code: Code,
    /// In words, without the offending value.
    pub detail: String,
}

impl Fault {
    /// A fault at a place, in the words of its code.
    #[must_use]
    pub fn at(pointer: impl Into<String>, code: Code) -> Self {
        Self { pointer: pointer.into(), code, detail: code.title().to_owned() }
    }

    /// A fault at a place, in words of its own.
    #[must_use]
    pub fn saying(pointer: impl Into<String>, code: Code, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), code, detail: detail.into() }
    }
}

/// Why a use case did not do what it was asked.
#[derive(Debug, Error)]
pub enum AppError {
    /// The request does not say what it must; nothing was stored.
    #[error("the request is not valid")]
    Invalid(Vec<Fault>),
    /// There is no such thing, or none that this caller may see.
    #[error("not found")]
    NotFound(Code),
    /// It was there and is no more.
    #[error("gone")]
    Gone(Code),
    /// It contradicts what is there.
    #[error("conflict")]
    Conflict(Code),
    /// This caller may not.
    #[error("forbidden")]
    Forbidden(Fault),
    /// It was asked for too often; in so many seconds it may be asked for again.
    #[error("too often")]
    TooOften(u64),
    /// The store cannot be reached, or is too busy; try again.
    #[error("unavailable")]
    Unavailable,
    /// A fault of ours. The cause is for the log, and never shown.
    #[error("internal error")]
    Internal(#[source] InternalError),
}

/// The cause of an internal error: of fixed texts only.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct InternalError(pub(crate) String);

impl AppError {
    /// One fault.
    #[must_use]
    pub fn invalid(fault: Fault) -> Self {
        Self::Invalid(vec![fault])
    }

    pub(crate) fn internal(cause: impl std::fmt::Display) -> Self {
        Self::Internal(InternalError(cause.to_string()))
    }

    /// The code that stands for the whole.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Invalid(faults) => faults.first().map_or(Code::InvalidField, |fault| fault.code),
            Self::NotFound(code) | Self::Gone(code) | Self::Conflict(code) => *code,
            Self::Forbidden(fault) => fault.code,
            Self::TooOften(_) => Code::TooManyRequests,
            Self::Unavailable => Code::Unavailable,
            Self::Internal(_) => Code::Internal,
        }
    }
}

impl From<Denied> for AppError {
    fn from(denied: Denied) -> Self {
        let detail = match denied.scope {
            Some(scope) => format!("this needs the scope `{scope}`"),
            None => "no client may do this".to_owned(),
        };
        Self::Forbidden(Fault::saying("", Code::InsufficientScope, detail))
    }
}

impl From<StoreError> for AppError {
    fn from(error: StoreError) -> Self {
        if error.is_transient() { Self::Unavailable } else { Self::internal(error) }
    }
}
