//! `/console/account`: one's own sessions, password and recovery codes.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use app::{Code, Gateway, StaffFault, StaffSession};

use super::authenticator::recovery_codes;
use super::{
    Form, Seated, alert, form, input, inside, machine, put_wait, refuse, seat, secret_input, see,
    too_many_failures,
};
use crate::http::page::escape;
use crate::http::problem::Problem;

async fn page(
    gateway: &Gateway,
    session: &StaffSession,
    (status, wrong): (StatusCode, &str),
) -> Result<HttpResponse, Problem> {
    let secret = secret_input(session.form_secret());
    let mut rows = String::new();
    for known in gateway.staff_sessions(session).await? {
        let end = if known.is_this {
            "this one".to_owned()
        } else {
            format!(
                "<form method=\"post\" action=\"/console/account\">{secret}<button type=\"submit\" name=\"end\" value=\"{}\">End</button></form>",
                known.id
            )
        };
        rows.push_str(&format!(
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{end}</td></tr>\n",
            escape(&known.machine),
            known.created_at,
            known.seen_at
        ));
    }
    let left = gateway.recovery_codes_left(session).await?;
    let password = |id: &str| {
        format!(
            "<p><label for=\"{id}\">Your present password</label><br><input id=\"{id}\" name=\"password\" type=\"password\" \
             autocomplete=\"current-password\" maxlength=\"256\" required></p>\n"
        )
    };
    let main = format!(
        "{}<h2>Sessions</h2>\n<table>\n<thead><tr><th scope=\"col\">Machine</th><th scope=\"col\">Since</th>\
         <th scope=\"col\">Last used</th><th scope=\"col\">End</th></tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n\
         <form method=\"post\" action=\"/console/account\">{secret}<p><button type=\"submit\" name=\"end_others\" value=\"yes\">End all \
         others</button></p></form>\n<h2>Password</h2>\n<form method=\"post\" action=\"/console/account\">{secret}\n{}{}\
         <p><button type=\"submit\" name=\"change\" value=\"password\">Change it and end all other sessions</button></p></form>\n\
         <h2>Recovery codes</h2>\n<p>{left} are left.</p>\n<form method=\"post\" action=\"/console/account\">{secret}\n{}\
         <p><button type=\"submit\" name=\"change\" value=\"codes\">Replace them</button></p></form>\n",
        alert(wrong),
        password("present"),
        input(
            "new_password",
            "A new one of at least 12 characters",
            "type=\"password\" autocomplete=\"new-password\" minlength=\"12\" maxlength=\"256\""
        ),
        password("present_for_codes"),
    );
    Ok(inside(session, status, "Your account", &main))
}

/// Shows one's own account.
#[utoipa::path(
    get,
    path = "/console/account",
    operation_id = "show_account",
    tag = "staff",
    responses(
        (status = 200, description = "Sessions, password and recovery codes", body = String, content_type = "text/html"),
        (status = 303, description = "Nobody is signed in"),
    ),
)]
pub async fn show(by: Seated, gateway: web::Data<Gateway>) -> Result<HttpResponse, Problem> {
    page(&gateway, &by.0, (StatusCode::OK, "")).await
}

/// Changes one's own account.
#[utoipa::path(
    post,
    path = "/console/account",
    operation_id = "change_account",
    tag = "staff",
    description = "One button: `end=<session>`, `end_others=yes`, `change=password` with `password` and `new_password`, or `change=codes` \
        with `password`. A new password ends all sessions; this one goes on under another token.",
    request_body(content((BTreeMap<String, String> = "application/x-www-form-urlencoded"), (BTreeMap<String, String> = "multipart/form-data"))),
    responses(
        (status = 200, description = "New recovery codes, shown this once", body = String, content_type = "text/html"),
        (status = 303, description = "Done", headers(("Set-Cookie" = Option<String>))),
        (status = 403, description = "The password is wrong, or the form was not opened here", body = String, content_type = "text/html"),
        (status = 422, description = "The new password is not taken", body = String, content_type = "text/html"),
        (status = 429, description = "Too many failures", body = String, content_type = "text/html", headers(("Retry-After" = u64))),
    ),
)]
pub async fn submit(
    by: Seated,
    gateway: web::Data<Gateway>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let names = ["end", "end_others", "change", "password", "new_password"];
    let form = match form(&gateway, &request, payload, &names).await {
        Ok(form) => form,
        Err(problem) => return refuse(&request, problem),
    };
    match act(&gateway, &request, &by.0, &form).await {
        Ok(response) => Ok(response),
        Err(StaffFault::WrongPassword | StaffFault::Code | StaffFault::Name) => {
            page(&gateway, &by.0, (StatusCode::FORBIDDEN, "The password is wrong.")).await
        }
        Err(StaffFault::Password(fault)) => {
            page(&gateway, &by.0, (StatusCode::UNPROCESSABLE_ENTITY, &format!("{fault}."))).await
        }
        Err(StaffFault::Wait(seconds)) => {
            let text = too_many_failures(seconds);
            let mut response = page(&gateway, &by.0, (StatusCode::TOO_MANY_REQUESTS, &text)).await?;
            put_wait(&mut response, seconds);
            Ok(response)
        }
        Err(StaffFault::Failed(error)) => refuse(&request, error.into()),
    }
}

async fn act(
    gateway: &Gateway,
    request: &HttpRequest,
    session: &StaffSession,
    form: &Form,
) -> Result<HttpResponse, StaffFault> {
    let done = || see("/console/account");
    if !form.get("end").is_empty() {
        let id = form.get("end").parse().map_err(|_| app::AppError::NotFound(Code::NotFound))?;
        gateway.end_session(session, id).await?;
        return Ok(done());
    }
    if !form.get("end_others").is_empty() {
        gateway.end_other_sessions(session).await?;
        return Ok(done());
    }
    let machine = machine(gateway, request);
    match form.get("change") {
        "password" => {
            let passwords = (form.get("password"), form.get("new_password"));
            let grant = gateway.change_password(session, passwords, &machine).await?;
            Ok(seat(gateway, &grant))
        }
        "codes" => {
            let codes = gateway.renew_recovery_codes(session, form.get("password"), &machine).await?;
            let items: String =
                codes.iter().map(|code| format!("<li><code>{}</code></li>\n", escape(code))).collect();
            Ok(inside(session, StatusCode::OK, "Your recovery codes", &recovery_codes(&items)))
        }
        _ => Err(app::AppError::invalid(app::Fault::at("/change", Code::InvalidField)).into()),
    }
}
