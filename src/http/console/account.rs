//! `/console/account`: one's own sessions, password and recovery codes.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use app::{Code, Gateway, MOST_SESSIONS, Shown, StaffFault, StaffSession};

use super::authenticator::recovery_codes;
use super::{
    Cookies, Form, Seated, alert, allow_provider, form, input, inside, machine, provider_button, put_cookie,
    put_wait, refuse, seat, secret_input, see, too_many_failures,
};
use crate::http::page::{self, escape};
use crate::http::problem::Problem;

async fn account(
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
            escape(&format!(
                "{}{}",
                known.machine,
                if known.by_provider { " (through the provider)" } else { "" }
            )),
            known.created_at,
            known.seen_at
        ));
    }
    let mut main = format!(
        "{}<h2>Sessions</h2>\n<p>At the most {} at once: another one ends the oldest.</p>\n<table>\n<thead><tr><th \
         scope=\"col\">Machine</th><th scope=\"col\">Since</th><th scope=\"col\">Last used</th><th \
         scope=\"col\">End</th></tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n<form method=\"post\" \
         action=\"/console/account\">{secret}<p><button type=\"submit\" name=\"end_others\" value=\"yes\">End all \
         others</button></p></form>\n",
        alert(wrong),
        MOST_SESSIONS,
    );
    if session.has_password() {
        let new = input(
            "new_password",
            "A new one of at least 12 characters",
            "type=\"password\" autocomplete=\"new-password\" minlength=\"12\" maxlength=\"256\"",
        );
        let inputs = format!("{}{new}", shown_again(session, "present"));
        main.push_str("<h2>Password</h2>\n");
        main.push_str(&act_form(&secret, &inputs, ("password", "Change it and end all other sessions")));
    }
    if session.has_authenticator() {
        let left = gateway.recovery_codes_left(session).await?;
        main.push_str(&format!("<h2>Recovery codes</h2>\n<p>{left} are left.</p>\n"));
        main.push_str(&act_form(&secret, &shown_again(session, "codes"), ("codes", "Replace them")));
    }
    if let Some(label) = gateway.provider_label() {
        main.push_str(&format!("<h2>{}</h2>\n", escape(label)));
        if !gateway.is_linked(session).await? {
            let inputs =
                format!("<input type=\"hidden\" name=\"for\" value=\"link\">\n{}", shown_again(session, "link"));
            main.push_str(&provider_button(gateway, &secret, &inputs));
        } else if session.has_password() {
            main.push_str("<p>Your account there lets you in here.</p>\n");
            main.push_str(&act_form(&secret, &shown_again(session, "unlink"), ("unlink", "Let it in no more")));
        } else {
            main.push_str("<p>Your account there lets you in here. You have no password here.</p>\n");
        }
    }
    let mut response = inside(session, status, "Your account", &main);
    allow_provider(gateway, &mut response);
    Ok(response)
}

/// A form with one button that changes something.
fn act_form(secret: &str, inputs: &str, (act, label): (&str, &str)) -> String {
    format!(
        "<form method=\"post\" action=\"/console/account\">{secret}\n{inputs}<p><button type=\"submit\" name=\"change\" \
         value=\"{act}\">{label}</button></p></form>\n"
    )
}

/// The inputs for both factors, shown once more.
fn shown_again(session: &StaffSession, id: &str) -> String {
    let password = format!(
        "<p><label for=\"{id}-password\">Your present password</label><br><input id=\"{id}-password\" name=\"password\" \
         type=\"password\" autocomplete=\"current-password\" maxlength=\"256\" required></p>\n"
    );
    let code = format!(
        "<p><label for=\"{id}-code\">A code of your authenticator, or a recovery code</label><br><input id=\"{id}-code\" \
         name=\"code\" autocomplete=\"one-time-code\" autocapitalize=\"none\" maxlength=\"40\" required></p>\n"
    );
    if session.has_password() { format!("{password}{code}") } else { code }
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
    account(&gateway, &by.0, (StatusCode::OK, "")).await
}

/// Changes one's own account.
#[utoipa::path(
    post,
    path = "/console/account",
    operation_id = "change_account",
    tag = "staff",
    description = "One button: `end=<session>`, `end_others=yes`, `change=password` with `new_password`, `change=codes`, or \
        `change=unlink`, each with `password` and `code`. A new password ends all sessions; new recovery codes end this one. It goes on \
        under another token.",
    request_body(content((BTreeMap<String, String> = "application/x-www-form-urlencoded"), (BTreeMap<String, String> = "multipart/form-data"))),
    responses(
        (status = 200, description = "New recovery codes, shown this once", body = String, content_type = "text/html", headers(("Set-Cookie" = String))),
        (status = 303, description = "Done", headers(("Set-Cookie" = Option<String>))),
        (status = 403, description = "Password or code is wrong, or the form was not opened here", body = String, content_type = "text/html"),
        (status = 404, description = "There is no such session to end", body = String, content_type = "text/html"),
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
    let names = ["end", "end_others", "change", "password", "code", "new_password"];
    let form = match form(&gateway, &request, payload, &names).await {
        Ok(form) => form,
        Err(problem) => return refuse(&request, problem),
    };
    match act(&gateway, &request, &by.0, &form).await {
        Ok(response) => Ok(response),
        Err(StaffFault::WrongPassword | StaffFault::Code | StaffFault::Name) => {
            let words = "Password or code is wrong, or the code was used already.";
            account(&gateway, &by.0, (StatusCode::FORBIDDEN, words)).await
        }
        Err(StaffFault::SignInAgain) => {
            let words = "Sign in with your provider again first: for this it must have been just now.";
            account(&gateway, &by.0, (StatusCode::FORBIDDEN, words)).await
        }
        Err(StaffFault::Password(fault)) => {
            account(&gateway, &by.0, (StatusCode::UNPROCESSABLE_ENTITY, &format!("{fault}."))).await
        }
        Err(StaffFault::Wait(seconds)) => {
            let text = too_many_failures(seconds);
            let mut response = account(&gateway, &by.0, (StatusCode::TOO_MANY_REQUESTS, &text)).await?;
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
    let shown = Shown { password: form.get("password"), code: form.get("code") };
    match form.get("change") {
        "password" => {
            let grant = gateway.change_password(session, shown, form.get("new_password"), &machine).await?;
            Ok(seat(gateway, &grant))
        }
        "codes" => {
            let (codes, grant) = gateway.renew_recovery_codes(session, shown, &machine).await?;
            let items: String =
                codes.iter().map(|code| format!("<li><code>{}</code></li>\n", escape(code))).collect();
            let main = format!(
                "{}<p><a href=\"/console/account\">Back to your account</a></p>\n",
                recovery_codes(&items)
            );
            let mut response = page::respond(StatusCode::OK, ("en", "Your recovery codes"), &main, None);
            put_cookie(&mut response, &Cookies::of(gateway).set_session(&grant.token));
            Ok(response)
        }
        "unlink" => gateway.unlink_identity(session, shown, &machine).await.map(|()| done()),
        _ => Err(app::AppError::invalid(app::Fault::at("/change", Code::InvalidField)).into()),
    }
}
