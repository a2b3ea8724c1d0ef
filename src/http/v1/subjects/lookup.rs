//! `POST /v1/subjects/lookup`: the gateway's own name of a person. A POST, so that no identifier is in a URL.

use actix_web::{HttpResponse, web};
use app::{Code, Gateway};
use kernel::authz::InspectSubjects;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use validator::Validate;

use crate::http::authenticate::Allowed;
use crate::http::json::Valid;
use crate::http::object::Object;
use crate::http::problem::Problem;
use crate::http::v1::subject::Subject;

/// Whom an officer looks for.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SubjectLookup, example = json!({"subject": {"email": "anna@example.org"}}))]
pub struct LookupBody {
    /// The person, by identifiers; or `pseudonym`.
    #[validate(nested)]
    #[schema(value_type = Option<Subject>)]
    subject: Option<Object<Subject>>,
    /// The person, by the name that a recipient has for them.
    #[validate(nested)]
    #[schema(value_type = Option<PseudonymBody>)]
    pseudonym: Option<Object<PseudonymBody>>,
}

/// A recipient's name for a person.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PseudonymOfRecipient, example = json!({
    "recipient": "segmentation", "purpose": "profiling_segmentation", "name": "p1-00112233445566778899aabbccddeeff"
}))]
pub struct PseudonymBody {
    /// Whose name it is.
    #[validate(length(max = 64, code = "too_long"))]
    #[schema(max_length = 64)]
    recipient: String,
    /// For which purpose it was given.
    #[validate(length(max = 64, code = "too_long"))]
    #[schema(max_length = 64)]
    purpose: String,
    /// The name.
    #[validate(length(max = 64, code = "too_long"))]
    #[schema(max_length = 64)]
    name: String,
}

/// Who was found.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FoundSubject, example = json!({"id": "0f1e2d3c4b5a69788796a5b4c3d2e1f0"}))]
pub struct FoundBody {
    /// The gateway's own name of the person: random, and in no other system.
    #[schema(pattern = "^[0-9a-f]{32}$")]
    id: String,
}

/// Finds a person.
#[utoipa::path(
    post,
    path = "/v1/subjects/lookup",
    operation_id = "lookup_subject",
    tag = "officers",
    description = "Finds a person by an identifier, or by the name that a recipient has for them. Unknown and erased persons are answered alike. Every look-up is recorded in the ledger; whoever asks without the right to it opens an incident.",
    request_body = LookupBody,
    responses((status = 200, description = "Found", body = FoundBody)),
)]
pub async fn handler(
    by: Allowed<InspectSubjects>,
    gateway: web::Data<Gateway>,
    body: Valid<LookupBody>,
) -> Result<HttpResponse, Problem> {
    let id = match (body.value.subject, body.value.pseudonym) {
        (Some(Object(Subject { email, customer_id })), None) => {
            gateway.find_subject(&by.0, email, customer_id).await?
        }
        (None, Some(Object(of))) => {
            let wrong = |place: &str, code| Problem::fault(format!("/pseudonym/{place}"), code);
            let recipient = of.recipient.parse().map_err(|_| wrong("recipient", Code::UnknownRecipient))?;
            let purpose = of.purpose.parse().map_err(|_| wrong("purpose", Code::UnknownPurpose))?;
            let name = of.name.parse().map_err(|_| wrong("name", Code::InvalidField))?;
            gateway.find_pseudonym(&by.0, &recipient, &purpose, name).await?
        }
        (None, None) => return Err(Problem::fault("/subject", Code::MissingField)),
        (Some(_), Some(_)) => return Err(Problem::fault("/pseudonym", Code::InvalidField)),
    };
    Ok(HttpResponse::Ok().json(FoundBody { id: id.to_string() }))
}
