//! `POST /v1/profiles/changes/ack`: a recipient did what notices told it.

use actix_web::{HttpResponse, web};
use app::{Gateway, MOST_NOTICES};
use kernel::authz::ReadProfiles;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use validator::Validate;

use crate::http::authenticate::Allowed;
use crate::http::bounded::Bounded;
use crate::http::json::Valid;
use crate::http::problem::Problem;

/// Which notices.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NoticeAcknowledgement, example = json!({ "notices": ["0f1e2d3c4b5a69788796a5b4c3d2e1f0"] }))]
pub struct AcknowledgeBody {
    /// Their names.
    #[schema(value_type = Vec<String>, min_items = 1, max_items = 500)]
    notices: Bounded<String, 1, MOST_NOTICES>,
}

/// What was acknowledged.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AcknowledgedNotices)]
pub(crate) struct AcknowledgedBody {
    /// How many of them waited. What is unknown or was acknowledged before is passed over.
    acknowledged: u64,
}

/// Acknowledges notices.
#[utoipa::path(
    post,
    path = "/v1/profiles/changes/ack",
    operation_id = "acknowledge_profile_changes",
    tag = "recipients",
    description = "Acknowledges notices: the recipient did what they say. They do not come again, and the acknowledgement is recorded in the ledger.",
    request_body = AcknowledgeBody,
    responses((status = 200, description = "Acknowledged", body = AcknowledgedBody)),
)]
pub async fn handler(
    by: Allowed<ReadProfiles>,
    gateway: web::Data<Gateway>,
    body: Valid<AcknowledgeBody>,
) -> Result<HttpResponse, Problem> {
    let ids = body.value.notices.into_iter().collect();
    let acknowledged = gateway.acknowledge_notices(&by.0, &ids).await?;
    Ok(HttpResponse::Ok().json(AcknowledgedBody { acknowledged }))
}
