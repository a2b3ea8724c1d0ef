//! `GET /v1/notices/{digest}`: the exact text that a digest stands for, old versions included.

use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpRequest, HttpResponse, web};
use app::{Code, Gateway};
use kernel::notice::NoticeDigest;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::listing;
use crate::http::problem::Problem;

/// One version of a notice in one language.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Notice)]
pub struct NoticeBody {
    /// Its digest.
    #[schema(pattern = "^sha256:[0-9a-f]{64}$")]
    digest: String,
    /// Its name.
    id: String,
    /// Its version.
    version: u16,
    /// Its language (BCP 47).
    locale: String,
    /// Its exact text.
    text: String,
    /// Whether forms show it now.
    current: bool,
}

/// Shows a notice.
#[utoipa::path(
    get,
    path = "/v1/notices/{digest}",
    operation_id = "show_notice",
    tag = "persons",
    description = "The exact text of a notice. A digest names one text for ever.",
    params(("digest" = String, Path, description = "The digest of the text", pattern = "^sha256:[0-9a-f]{64}$",
        example = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")),
    responses((status = 200, description = "The notice", body = NoticeBody)),
)]
pub async fn handler(gateway: web::Data<Gateway>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let digest: NoticeDigest = listing::named(&request, "digest", Code::NotFound)?;
    let notice = gateway.notice(&digest).await?.ok_or_else(|| Problem::of(Code::NotFound))?;
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "public, max-age=300")).json(NoticeBody {
        digest: notice.digest.to_string(),
        id: notice.id,
        version: notice.version,
        locale: notice.locale,
        text: notice.text,
        current: notice.current,
    }))
}
