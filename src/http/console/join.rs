//! `/console/join/{token}`: a one-time link. Showing it changes nothing; choosing a password uses it up.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use app::{Gateway, InvitationView, StaffFault};

use super::{alert, allow_provider, form, input, machine, outside, provider_button, refuse, seat};
use crate::http::page::escape;
use crate::http::problem::Problem;

fn token(request: &HttpRequest) -> &str {
    request.match_info().get("token").unwrap_or_default()
}

fn page(
    gateway: &Gateway,
    request: &HttpRequest,
    invitation: &InvitationView,
    (status, wrong): (StatusCode, &str),
) -> HttpResponse {
    let mut response = outside(gateway, request, status, "Join", |secret| {
        let name = match &invitation.name {
            Some(name) => format!(
                "<p>You sign in as <strong>{0}</strong>.</p>\n<input type=\"hidden\" name=\"name\" autocomplete=\"username\" value=\"{0}\">\n",
                escape(name.as_str())
            ),
            None => input(
                "name",
                "The name to sign in with: letters a to z, digits, _ and -",
                "autocomplete=\"username\" autocapitalize=\"none\" maxlength=\"64\" pattern=\"[a-z][a-z0-9_\\-]*\"",
            ),
        };
        format!(
            "{}<p>You were asked to be staff here, as {}.</p>\n<form method=\"post\" action=\"/console/join/{}\">{secret}\n{name}{}\
             <p><button type=\"submit\">Continue</button></p>\n</form>\n{}",
            alert(wrong),
            invitation.role,
            escape(token(request)),
            input(
                "password",
                "A password of at least 12 characters. A few words that do not belong together are good.",
                "type=\"password\" autocomplete=\"new-password\" minlength=\"12\" maxlength=\"256\""
            ),
            // The first administrator has no name yet, and chooses a password.
            match &invitation.name {
                Some(_) => provider_button(
                    gateway,
                    secret,
                    &format!(
                        "<input type=\"hidden\" name=\"for\" value=\"join\">\n<input type=\"hidden\" name=\"link\" value=\"{}\">\n",
                        escape(token(request))
                    )
                ),
                None => String::new(),
            },
        )
    });
    allow_provider(gateway, &mut response);
    response
}

/// Shows what a one-time link is for.
#[utoipa::path(
    get,
    path = "/console/join/{token}",
    operation_id = "show_invitation",
    tag = "staff",
    params(("token" = String, Path, description = "From the link; good once, for a day", max_length = 64, pattern = "^[0-9a-f]{64}$")),
    responses((status = 200, description = "The form", body = String, content_type = "text/html")),
)]
pub async fn show(gateway: web::Data<Gateway>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    match gateway.staff_invitation(token(&request)).await {
        Ok(invitation) => Ok(page(&gateway, &request, &invitation, (StatusCode::OK, ""))),
        Err(error) => refuse(&request, error.into()),
    }
}

/// Uses a one-time link up.
#[utoipa::path(
    post,
    path = "/console/join/{token}",
    operation_id = "join_staff",
    tag = "staff",
    params(("token" = String, Path, description = "From the link; good once, for a day", max_length = 64, pattern = "^[0-9a-f]{64}$")),
    request_body(content((BTreeMap<String, String> = "application/x-www-form-urlencoded"), (BTreeMap<String, String> = "multipart/form-data"))),
    responses(
        (status = 303, description = "On to setting up the authenticator", headers(("Set-Cookie" = String))),
        (status = 403, description = "The form was not opened here", body = String, content_type = "text/html"),
        (status = 422, description = "The name or password is not taken", body = String, content_type = "text/html"),
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
    let link = token(&request);
    let machine = machine(&gateway, &request);
    let fault = match gateway.join_staff(link, Some(form.get("name")), form.get("password"), &machine).await {
        Ok(grant) => return Ok(seat(&gateway, &grant)),
        Err(fault) => fault,
    };
    let words = match fault {
        StaffFault::Name => "The name is not taken: letters a to z, digits, _ and -.".to_owned(),
        StaffFault::Password(fault) => format!("{fault}."),
        StaffFault::Failed(error) => return refuse(&request, error.into()),
        StaffFault::WrongPassword | StaffFault::Wait(_) | StaffFault::Code | StaffFault::SignInAgain => {
            "That is not possible.".to_owned()
        }
    };
    let invitation = gateway.staff_invitation(link).await?;
    Ok(page(&gateway, &request, &invitation, (StatusCode::UNPROCESSABLE_ENTITY, &words)))
}
