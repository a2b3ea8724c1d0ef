//! `/console/authenticator`: setting up the second factor, without which nobody gets in.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use app::{Gateway, StaffFault, StaffSession};

use super::{Cookies, alert, form, input, machine, outside, put_cookie, refuse, see, session};
use crate::http::page::{self, escape};
use crate::http::problem::Problem;

fn page(
    gateway: &Gateway,
    request: &HttpRequest,
    session: &StaffSession,
    (status, wrong): (StatusCode, &str),
) -> Result<HttpResponse, Problem> {
    let Some(enrolment) = gateway.enrolment(session)? else { return Ok(see("/console")) };
    Ok(outside(gateway, request, status, "Set up your authenticator", |secret| {
        format!(
            "{}<p>Type this key into an authenticator app, or open <a href=\"{}\">this address</a> with it on this device:</p>\n\
             <p><code id=\"key\">{}</code></p>\n<form method=\"post\" action=\"/console/authenticator\">{secret}\n{}\
             <p><button type=\"submit\">Continue</button></p>\n</form>\n",
            alert(wrong),
            escape(&enrolment.url),
            escape(&enrolment.secret),
            input(
                "code",
                "The code that the app shows now",
                "autocomplete=\"one-time-code\" inputmode=\"numeric\" maxlength=\"12\""
            ),
        )
    }))
}

/// Shows the key of the authenticator.
#[utoipa::path(
    get,
    path = "/console/authenticator",
    operation_id = "show_authenticator",
    tag = "staff",
    responses(
        (status = 200, description = "The key and the form", body = String, content_type = "text/html"),
        (status = 303, description = "There is none to set up"),
    ),
)]
pub async fn show(gateway: web::Data<Gateway>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    match session(&request)? {
        Some(session) => page(&gateway, &request, &session, (StatusCode::OK, "")),
        None => Ok(see("/console/login")),
    }
}

/// Takes the first code.
#[utoipa::path(
    post,
    path = "/console/authenticator",
    operation_id = "set_up_authenticator",
    tag = "staff",
    description = "Signs in and shows the recovery codes, this once.",
    request_body(content((BTreeMap<String, String> = "application/x-www-form-urlencoded"), (BTreeMap<String, String> = "multipart/form-data"))),
    responses(
        (status = 200, description = "The recovery codes", body = String, content_type = "text/html", headers(("Set-Cookie" = String))),
        (status = 303, description = "There is none to set up"),
        (status = 403, description = "The code is wrong, or the form was not opened here", body = String, content_type = "text/html"),
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
    match gateway.enrol(&session, form.get("code"), &machine(&gateway, &request)).await {
        Ok(enrolled) => {
            let codes: String =
                enrolled.codes.iter().map(|code| format!("<li><code>{}</code></li>\n", escape(code))).collect();
            let main = format!("{}<p><a href=\"/console\">Go on to the console</a></p>\n", recovery_codes(&codes));
            let mut response = page::respond(StatusCode::OK, ("en", "Your recovery codes"), &main, None);
            let cookies = Cookies::of(&gateway);
            put_cookie(&mut response, &cookies.set_session(&enrolled.signed_in.session.token));
            put_cookie(&mut response, &cookies.set_device(&enrolled.signed_in.device));
            Ok(response)
        }
        Err(StaffFault::Failed(error)) => refuse(&request, error.into()),
        Err(_) => page(&gateway, &request, &session, (StatusCode::FORBIDDEN, "The code is wrong.")),
    }
}

/// The recovery codes, with what to do with them.
pub(super) fn recovery_codes(items: &str) -> String {
    format!(
        "<p>Each of these signs you in once, in the place of your authenticator. They are shown this once: print them, and keep \
         them apart from it.</p>\n<ul id=\"codes\">\n{items}</ul>\n"
    )
}
