//! `GET /metrics`: counters in OpenMetrics text. Numbers only: nothing of any person, path or value.

use actix_web::{HttpResponse, web};
use app::{Code, Gateway};

use super::figures::{HttpMetrics, MEDIA_TYPE};
use super::problem::Problem;

/// Tells the counters.
#[utoipa::path(
    get,
    path = "/metrics",
    operation_id = "metrics",
    tag = "operations",
    responses((status = 200, description = "Counters in OpenMetrics text", body = String, content_type = "application/openmetrics-text")),
)]
pub async fn handler(
    gateway: web::Data<Gateway>,
    metrics: web::Data<HttpMetrics>,
) -> Result<HttpResponse, Problem> {
    // The counters are told even when the store does not answer.
    let mail = gateway.mail_state().await.ok();
    let text = metrics.text(&gateway.figures(), mail.as_ref()).map_err(|_| Problem::of(Code::Internal))?;
    Ok(HttpResponse::Ok().content_type(MEDIA_TYPE).body(text))
}
