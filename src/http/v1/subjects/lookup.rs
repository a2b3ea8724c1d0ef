//! `POST /v1/subjects/lookup`: the gateway's own name of a person. A POST, so that no identifier is in a URL.

use actix_web::{HttpResponse, web};
use app::Gateway;
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
    /// The person.
    #[validate(nested)]
    #[schema(value_type = Subject)]
    subject: Object<Subject>,
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
    description = "Finds a person by an identifier. Unknown and erased persons are answered alike. Every look-up is recorded in the ledger.",
    request_body = LookupBody,
    responses((status = 200, description = "Found", body = FoundBody)),
)]
pub async fn handler(
    by: Allowed<InspectSubjects>,
    gateway: web::Data<Gateway>,
    body: Valid<LookupBody>,
) -> Result<HttpResponse, Problem> {
    let Object(Subject { email, customer_id }) = body.value.subject;
    let id = gateway.find_subject(&by.0, email, customer_id).await?;
    Ok(HttpResponse::Ok().json(FoundBody { id: id.to_string() }))
}
