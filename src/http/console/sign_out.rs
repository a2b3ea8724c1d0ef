//! `POST /console/sign-out`: the session ends, here and in the store.

use actix_web::http::StatusCode;
use actix_web::http::header::{CLEAR_SITE_DATA, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use app::Gateway;

use super::{Cookies, Seated, form, put_cookie, refuse, see};
use crate::http::page::{self, escape};
use crate::http::problem::Problem;

/// Signs out.
#[utoipa::path(
    post,
    path = "/console/sign-out",
    operation_id = "sign_out",
    tag = "staff",
    request_body(content((BTreeMap<String, String> = "application/x-www-form-urlencoded"), (BTreeMap<String, String> = "multipart/form-data"))),
    responses(
        (status = 200, description = "Signed out here, with the way to sign out at the identity provider", body = String, content_type = "text/html", headers(("Set-Cookie" = String))),
        (status = 303, description = "Signed out", headers(("Set-Cookie" = String))),
    ),
)]
pub async fn handler(
    by: Seated,
    gateway: web::Data<Gateway>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    if let Err(problem) = form(&gateway, &request, payload, &[]).await {
        return refuse(&request, problem);
    }
    gateway.sign_out(&by.0).await?;
    let provider = match by.0.is_by_provider() {
        true => gateway.provider_sign_out().await,
        false => None,
    };
    let mut response = match provider {
        None => see("/console/login"),
        Some(url) => {
            let main = format!(
                "<p>You are signed out here. <a href=\"{}\">Sign out at your provider too</a>, or <a href=\"/console/login\">sign \
                 in again</a>.</p>\n",
                escape(&url)
            );
            page::respond(StatusCode::OK, ("en", "Signed out"), &main, None)
        }
    };
    put_cookie(&mut response, &Cookies::of(&gateway).end_session());
    // What the browser still shows and remembers of the session goes with it.
    response.headers_mut().insert(CLEAR_SITE_DATA, HeaderValue::from_static("\"cache\", \"storage\""));
    Ok(response)
}
