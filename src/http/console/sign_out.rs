//! `POST /console/sign-out`: the session ends, here and in the store.

use actix_web::http::header::{CLEAR_SITE_DATA, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use app::Gateway;

use super::{Cookies, Seated, form, put_cookie, refuse, see};
use crate::http::problem::Problem;

/// Signs out.
#[utoipa::path(
    post,
    path = "/console/sign-out",
    operation_id = "sign_out",
    tag = "staff",
    request_body(content((BTreeMap<String, String> = "application/x-www-form-urlencoded"), (BTreeMap<String, String> = "multipart/form-data"))),
    responses((status = 303, description = "Signed out", headers(("Set-Cookie" = String)))),
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
    let mut response = see("/console/login");
    // What the browser kept goes too; the cookie by which the machine is known stays.
    response.headers_mut().insert(CLEAR_SITE_DATA, HeaderValue::from_static("\"cache\", \"storage\""));
    put_cookie(&mut response, &Cookies::of(&gateway).end_session());
    Ok(response)
}
