//! `/console/login`: name and password.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use app::{Gateway, SignInDenial, StaffStage};

use super::{
    alert, allow_provider, form, input, machine, outside, provider_button, put_wait, refuse, seat, see, session,
    too_many_failures,
};
use crate::http::problem::Problem;

const WRONG: &str = "Name or password is wrong.";

fn page(gateway: &Gateway, request: &HttpRequest, status: StatusCode, wrong: &str) -> HttpResponse {
    let mut response = outside(gateway, request, status, "Sign in", |secret| {
        format!(
            "{}<form method=\"post\" action=\"/console/login\">{secret}\n{}{}<p><button type=\"submit\">Continue</button></p>\n</form>\n{}",
            alert(wrong),
            input("name", "Name", "autocomplete=\"username\" autocapitalize=\"none\" maxlength=\"64\""),
            input("password", "Password", "type=\"password\" autocomplete=\"current-password\" maxlength=\"256\""),
            provider_button(gateway, secret, "<input type=\"hidden\" name=\"for\" value=\"sign_in\">\n"),
        )
    });
    allow_provider(gateway, &mut response);
    response
}

/// Shows the form to sign in.
#[utoipa::path(
    get,
    path = "/console/login",
    operation_id = "show_login",
    tag = "staff",
    responses(
        (status = 200, description = "The form", body = String, content_type = "text/html"),
        (status = 303, description = "Somebody is signed in already"),
    ),
)]
pub async fn show(gateway: web::Data<Gateway>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    if session(&request)?.is_some_and(|session| session.stage() == StaffStage::Full) {
        return Ok(see("/console"));
    }
    Ok(page(&gateway, &request, StatusCode::OK, ""))
}

/// Takes name and password.
#[utoipa::path(
    post,
    path = "/console/login",
    operation_id = "log_in",
    tag = "staff",
    description = "Begins a session that can do nothing until the second factor is shown. Unknown names and wrong passwords are answered \
        alike. Whoever fails too often waits, by account and machine.",
    request_body(content((BTreeMap<String, String> = "application/x-www-form-urlencoded"), (BTreeMap<String, String> = "multipart/form-data"))),
    responses(
        (status = 303, description = "On to the second factor", headers(("Set-Cookie" = String))),
        (status = 403, description = "Name or password is wrong, or the form was not opened here", body = String, content_type = "text/html"),
        (status = 429, description = "Too many failures", body = String, content_type = "text/html", headers(("Retry-After" = u64))),
    ),
)]
pub async fn submit(
    gateway: web::Data<Gateway>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let form = match form(&gateway, &request, payload, &["name", "password"]).await {
        Ok(form) => form,
        Err(problem) => return refuse(&request, problem),
    };
    match gateway.sign_in(form.get("name"), form.get("password"), &machine(&gateway, &request)).await {
        Ok(grant) => Ok(seat(&gateway, &grant)),
        Err(SignInDenial::Wrong) => Ok(page(&gateway, &request, StatusCode::FORBIDDEN, WRONG)),
        Err(SignInDenial::Wait(seconds)) => {
            let text = too_many_failures(seconds);
            let mut response = page(&gateway, &request, StatusCode::TOO_MANY_REQUESTS, &text);
            put_wait(&mut response, seconds);
            Ok(response)
        }
        Err(SignInDenial::Failed(error)) => Err(error.into()),
    }
}
