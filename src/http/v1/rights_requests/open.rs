//! `POST /v1/rights-requests`: an officer carries out what a person asks for.

use actix_web::http::header::LOCATION;
use actix_web::{HttpRequest, HttpResponse, web};
use app::{Code, Gateway, RightsAsk, RightsSubject};
use kernel::authz::HandleRights;
use kernel::consent::RestrictionGround;
use kernel::id::SubjectId;
use kernel::identifier::IdentifierKind;
use kernel::time::Timestamp;
use serde::Deserialize;
use utoipa::ToSchema;
use validator::Validate;

use super::view::RightsRequestBody;
use crate::http::authenticate::Allowed;
use crate::http::idempotency;
use crate::http::json::Valid;
use crate::http::object::Object;
use crate::http::problem::Problem;

/// What a person asks for.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewRightsRequest, example = json!({"type": "access", "subject": {"email": "anna@example.org"}}))]
pub struct OpenBody {
    /// What is asked for.
    #[serde(rename = "type")]
    kind: KindBody,
    /// Whom it concerns.
    #[validate(nested)]
    #[schema(value_type = RightsSubjectBody)]
    subject: Object<RightsSubjectBody>,
    /// Why the processing is to be restricted; needed by `restriction` and by nothing else.
    ground: Option<GroundBody>,
    /// When the person was told that the restriction ends; needed by `restriction_lift` and by nothing else.
    #[schema(value_type = Option<String>, format = DateTime)]
    informed_at: Option<Timestamp>,
}

impl OpenBody {
    fn ask(&self) -> Result<RightsAsk, Problem> {
        match (self.kind, self.ground, self.informed_at) {
            (KindBody::Access, None, None) => Ok(RightsAsk::Access),
            (KindBody::Erasure, None, None) => Ok(RightsAsk::Erasure),
            (KindBody::Restriction, Some(ground), None) => Ok(RightsAsk::Restriction(ground.into())),
            (KindBody::Restriction, None, None) => Err(Problem::fault("/ground", Code::MissingField)),
            (KindBody::RestrictionLift, None, informed_at) => Ok(RightsAsk::RestrictionLift { informed_at }),
            (_, Some(_), _) if self.kind != KindBody::Restriction => {
                Err(Problem::fault("/ground", Code::InvalidField))
            }
            _ => Err(Problem::fault("/informed_at", Code::InvalidField)),
        }
    }
}

/// What can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = RightsRequestType)]
pub enum KindBody {
    /// Everything that is held (GDPR Art. 15).
    Access,
    /// Destroying everything that is held (GDPR Art. 17).
    Erasure,
    /// Storing and nothing else (GDPR Art. 18(1)).
    Restriction,
    /// The end of a restriction (GDPR Art. 18(3)).
    RestrictionLift,
}

/// Why processing is restricted (GDPR Art. 18(1)).
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = RestrictionGround)]
pub enum GroundBody {
    /// The person contests the accuracy of the data.
    AccuracyContested,
    /// The processing is unlawful and the person does not want the data erased.
    Unlawful,
    /// The person needs the data for legal claims.
    LegalClaims,
    /// The person objected, and the grounds are being weighed.
    ObjectionPending,
}

impl From<GroundBody> for RestrictionGround {
    fn from(ground: GroundBody) -> Self {
        match ground {
            GroundBody::AccuracyContested => Self::AccuracyContested,
            GroundBody::Unlawful => Self::Unlawful,
            GroundBody::LegalClaims => Self::LegalClaims,
            GroundBody::ObjectionPending => Self::ObjectionPending,
        }
    }
}

/// A person, by identifiers or by id.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RightsSubject)]
pub struct RightsSubjectBody {
    /// Email address.
    #[validate(length(max = 254, code = "too_long"))]
    #[schema(format = Email, max_length = 254)]
    email: Option<String>,
    /// The number under which a shop or CRM knows the person.
    #[validate(length(max = 128, code = "too_long"))]
    #[schema(max_length = 128)]
    customer_id: Option<String>,
    /// The key of a browser or device, by itself: its signals are kept apart from any person.
    #[validate(length(max = 128, code = "too_long"))]
    #[schema(max_length = 128)]
    device: Option<String>,
    /// The key of a pseudonymous profile, by itself.
    #[validate(length(max = 128, code = "too_long"))]
    #[schema(max_length = 128)]
    profile: Option<String>,
    /// The gateway's own name for the person, in place of identifiers.
    #[schema(value_type = Option<String>, pattern = "^[0-9a-f]{32}$")]
    id: Option<SubjectId>,
}

impl std::fmt::Debug for RightsSubjectBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RightsSubjectBody(..)")
    }
}

impl RightsSubjectBody {
    fn into_subject(self) -> Result<RightsSubject, Problem> {
        let is_named = self.email.is_some() || self.customer_id.is_some();
        match (is_named, self.device, self.profile, self.id) {
            (false, None, None, Some(id)) => Ok(RightsSubject::Id(id)),
            (false, Some(device), None, None) => Ok(RightsSubject::Keyed(IdentifierKind::Device, device)),
            (false, None, Some(profile), None) => Ok(RightsSubject::Keyed(IdentifierKind::Profile, profile)),
            (false, None, None, None) => Err(Problem::fault("/subject", Code::MissingField)),
            (true, None, None, None) => {
                Ok(RightsSubject::Identified { email: self.email, customer_id: self.customer_id })
            }
            (_, Some(_), ..) => Err(Problem::fault("/subject/device", Code::InvalidField)),
            (_, _, Some(_), _) => Err(Problem::fault("/subject/profile", Code::InvalidField)),
            (_, _, _, Some(_)) => Err(Problem::fault("/subject/id", Code::InvalidField)),
        }
    }
}

/// Opens a request.
#[utoipa::path(
    post,
    path = "/v1/rights-requests",
    operation_id = "open_rights_request",
    tag = "officers",
    description = "Carries out a data subject's request. Access answers with everything that is held. Erasure destroys the person's key and rows: once it \
        is acknowledged, no read discloses anything of the person. Restriction needs its `ground`; nothing is disclosed until it is lifted, \
        and its end needs `informed_at`, a time before now at which the person was told of it.",
    params(("Idempotency-Key" = Option<String>, Header, description = "The same key again is answered again and done once", max_length = 257)),
    request_body = OpenBody,
    responses((status = 201, description = "Carried out", body = RightsRequestBody, headers(
        ("Location" = String, description = "The request"),
        ("Idempotency-Replayed" = Option<String>, description = "`true` when this repeats an earlier answer"),
    ))),
)]
pub async fn handler(
    by: Allowed<HandleRights>,
    gateway: web::Data<Gateway>,
    request: HttpRequest,
    body: Valid<OpenBody>,
) -> Result<HttpResponse, Problem> {
    let client = by.0.actor().key_space();
    let idempotency = idempotency::of(&request, &gateway, &client, &[&body.bytes])?;
    let ask = body.value.ask()?;
    let subject = body.value.subject.0.into_subject()?;
    let (view, replayed) = gateway.open_rights_request(&by.0, ask, subject, idempotency).await?;
    let mut response = HttpResponse::Created();
    response.insert_header((LOCATION, format!("/v1/rights-requests/{}", view.id)));
    if replayed {
        response.insert_header((idempotency::REPLAYED, "true"));
    }
    Ok(response.json(RightsRequestBody::from(view)))
}
