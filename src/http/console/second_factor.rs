//! `/console/second-factor`: a code of the authenticator, or a recovery code.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use app::{Gateway, SignInDenial, StaffStage};

use super::{
    Cookies, alert, form, input, machine, outside, put_cookie, put_wait, refuse, seat, see, session,
    too_many_failures,
};
use crate::http::problem::Problem;

const WRONG: &str = "The code is wrong, or was used already. Wait for the next one.";

fn page(gateway: &Gateway, request: &HttpRequest, status: StatusCode, wrong: &str) -> HttpResponse {
    outside(gateway, request, status, "Second factor", |secret| {
        format!(
            "{}<form method=\"post\" action=\"/console/second-factor\">{secret}\n{}<p><button type=\"submit\">Sign in</button></p>\n</form>\n",
            alert(wrong),
            input(
                "code",
                "The code that your authenticator shows, or one of your recovery codes",
                "autocomplete=\"one-time-code\" autocapitalize=\"none\" maxlength=\"40\""
            ),
        )
    })
}

/// Shows the form for the second factor.
#[utoipa::path(
    get,
    path = "/console/second-factor",
    operation_id = "show_second_factor",
    tag = "staff",
    responses(
        (status = 200, description = "The form", body = String, content_type = "text/html"),
        (status = 303, description = "There is nothing to show it for"),
    ),
)]
pub async fn show(gateway: web::Data<Gateway>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    match session(&request)?.map(|session| session.stage()) {
        Some(StaffStage::SecondFactor) => Ok(page(&gateway, &request, StatusCode::OK, "")),
        Some(StaffStage::Full) => Ok(see("/console")),
        _ => Ok(see("/console/login")),
    }
}

/// Takes the second factor.
#[utoipa::path(
    post,
    path = "/console/second-factor",
    operation_id = "show_code",
    tag = "staff",
    description = "Ends the session that the password began and begins another. Each code counts once.",
    request_body(content((BTreeMap<String, String> = "application/x-www-form-urlencoded"), (BTreeMap<String, String> = "multipart/form-data"))),
    responses(
        (status = 303, description = "Signed in", headers(("Set-Cookie" = String))),
        (status = 403, description = "The code is wrong, or the form was not opened here", body = String, content_type = "text/html"),
        (status = 429, description = "Too many failures", body = String, content_type = "text/html", headers(("Retry-After" = u64))),
    ),
)]
pub async fn submit(
    gateway: web::Data<Gateway>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let form = match form(&gateway, &request, payload, &["code"]).await {
        Ok(form) => form,
        Err(problem) => return refuse(&request, problem),
    };
    let Some(session) = session(&request)? else { return Ok(see("/console/login")) };
    match gateway.show_second_factor(&session, form.get("code"), &machine(&gateway, &request)).await {
        Ok(signed_in) => {
            let mut response = seat(&gateway, &signed_in.session);
            put_cookie(&mut response, &Cookies::of(&gateway).set_device(&signed_in.device));
            Ok(response)
        }
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
