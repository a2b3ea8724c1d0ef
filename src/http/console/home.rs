//! `GET /console`: what somebody is here for, and where it is done.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use kernel::staff::Role;

use super::{Seated, inside};

/// Shows what somebody may do.
#[utoipa::path(
    get,
    path = "/console",
    operation_id = "show_console",
    tag = "staff",
    responses(
        (status = 200, description = "The page", body = String, content_type = "text/html"),
        (status = 303, description = "Nobody is signed in"),
    ),
)]
pub async fn handler(by: Seated) -> HttpResponse {
    let about = match by.0.role() {
        Role::Officer => {
            "<p>You answer data subjects: their <a href=\"/v1/rights-requests\">requests</a>, and their files under /v1/subjects.</p>\n"
        }
        Role::Auditor => {
            "<p>You check what was done: the <a href=\"/v1/rights-requests\">requests</a> without the files, and the ledger.</p>\n"
        }
        Role::Engineer => {
            "<p>You keep the gateway running: <a href=\"/metrics\">figures</a>, and no person.</p>\n"
        }
        Role::Marketer => "<p>You see <a href=\"/metrics\">figures</a>, and no person.</p>\n",
        Role::Administrator => {
            "<p>You decide who is <a href=\"/console/staff\">staff</a>. You see no person's data.</p>\n"
        }
    };
    inside(&by.0, StatusCode::OK, "Console", about)
}
