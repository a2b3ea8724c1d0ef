//! `GET /v1/profiles/changes`: what waits for a recipient: who was erased, and whose permission changed.

use actix_web::{HttpRequest, HttpResponse, web};
use app::{Gateway, MOST_NOTICES, NoticeToRecipient};
use kernel::authz::ReadProfiles;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::authenticate::Allowed;
use crate::http::problem::Problem;
use crate::http::query::Query;

/// What waits.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RecipientNotices)]
pub(crate) struct NoticesBody {
    /// The notices, the oldest first. Each comes again until it is acknowledged.
    notices: Vec<NoticeBody>,
}

/// One notice.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RecipientNotice, example = json!({
    "id": "0f1e2d3c4b5a69788796a5b4c3d2e1f0", "kind": "erased", "purpose": "profiling_segmentation",
    "pseudonyms": ["p1-00112233445566778899aabbccddeeff"], "since": "2026-11-22T18:30:00.000Z"
}))]
pub(crate) struct NoticeBody {
    /// Its name, for the acknowledgement.
    id: String,
    /// `erased`: what is held under these names must go. `changed`: whoever is not found under them now must not be used
    /// for the purpose any more.
    #[schema(value_type = String)]
    kind: &'static str,
    /// For which purpose.
    purpose: String,
    /// The recipient's own names for the person.
    pseudonyms: Vec<String>,
    /// Since when it waits.
    #[schema(format = DateTime)]
    since: String,
}

impl From<NoticeToRecipient> for NoticeBody {
    fn from(notice: NoticeToRecipient) -> Self {
        Self {
            id: notice.id,
            kind: notice.kind.as_str(),
            purpose: notice.purpose.to_string(),
            pseudonyms: notice.pseudonyms.iter().map(ToString::to_string).collect(),
            since: notice.since.to_string(),
        }
    }
}

/// Fetches notices.
#[utoipa::path(
    get,
    path = "/v1/profiles/changes",
    operation_id = "list_profile_changes",
    tag = "recipients",
    description = "What a recipient is told of persons whom it received (GDPR Art. 19), by its own names for them and for the purposes of its token: who was \
        erased, and whose permission changed. A notice waits until it is acknowledged.",
    params(("limit" = Option<u32>, Query, description = "How many", minimum = 1, maximum = 500, example = 50)),
    responses((status = 200, description = "What waits", body = NoticesBody)),
)]
pub async fn handler(
    by: Allowed<ReadProfiles>,
    gateway: web::Data<Gateway>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let query = Query::of(&request, &["limit"])?;
    let most = u32::try_from(MOST_NOTICES).unwrap_or(u32::MAX);
    let limit = query.limit(most)?.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(MOST_NOTICES);
    let notices = gateway.recipient_notices(&by.0, limit).await?;
    Ok(HttpResponse::Ok().json(NoticesBody { notices: notices.into_iter().map(NoticeBody::from).collect() }))
}
