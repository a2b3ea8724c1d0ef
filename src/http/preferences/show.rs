//! `GET /preferences/{token}`: how a person's choices stand. Following the link changes nothing.

use actix_web::{HttpRequest, HttpResponse, web};
use app::Gateway;
use kernel::authz::ReadPreferences;

use super::PreferencesBody;
use crate::http::authenticate::Anyone;
use crate::http::problem::Problem;
use crate::http::unsubscribe::token;

/// Shows the preference page.
#[utoipa::path(
    get,
    path = "/preferences/{token}",
    operation_id = "show_preferences",
    tag = "persons",
    description = "The page behind the preference link of a mail: every purpose with its state, and the opt-outs with since when they hold. \
        `Accept: application/json` gives the same as data.",
    params(("token" = String, Path, description = "From the link; good for 400 days", max_length = 259, pattern = "^r1_[A-Za-z0-9_-]+$")),
    responses((status = 200, description = "The choices", content(
        (String = "text/html"), (PreferencesBody = "application/json"),
    ))),
)]
pub async fn handler(
    by: Anyone<ReadPreferences>,
    gateway: web::Data<Gateway>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let preferences = gateway.preferences(&by.0, token(&request)).await?;
    Ok(super::respond(&request, &gateway, preferences.as_ref(), false))
}
