//! `/console/staff`: who is staff. To everybody but administrators there is no such page.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use app::{AppError, Code, Fault, Gateway, OneTimeLink, StaffSession};
use kernel::authz::{Authorized, ManageStaff};
use kernel::ledger::{AttemptRefusal, RefusedAttempt};
use kernel::staff::{Role, StaffId};

use super::{Form, Seated, alert, form, input, inside, refuse, secret_input, see};
use crate::http::page::escape;
use crate::http::problem::Problem;

/// That this is an administrator; whoever is not learns nothing, and it is on record.
async fn administrator(gateway: &Gateway, session: &StaffSession) -> Result<Authorized<ManageStaff>, Problem> {
    let actor = session.actor().ok_or_else(|| Problem::of(Code::NotFound))?;
    match Authorized::prove(actor.clone()) {
        Ok(by) => Ok(by),
        Err(_) => {
            let reason = AttemptRefusal::InsufficientScope;
            gateway.note_denied(Some(&actor), RefusedAttempt::ManageStaff, reason).await;
            Err(Problem::of(Code::NotFound))
        }
    }
}

fn roles(chosen: Option<Role>) -> String {
    let option = |role: Role| {
        let selected = if chosen == Some(role) { " selected" } else { "" };
        format!("<option{selected}>{role}</option>")
    };
    Role::ALL.into_iter().map(option).collect()
}

async fn page(
    gateway: &Gateway,
    session: &StaffSession,
    by: &Authorized<ManageStaff>,
    (status, said): (StatusCode, &str),
) -> Result<HttpResponse, Problem> {
    let secret = secret_input(session.form_secret());
    let mut rows = String::new();
    for member in gateway.staff_members(by).await? {
        let state = match (member.ended_at, member.joined_at) {
            (Some(at), _) => format!("ended {at}"),
            (None, Some(at)) => format!("since {at}"),
            (None, None) => "invited".to_owned(),
        };
        let acts = if member.ended_at.is_some() {
            String::new()
        } else {
            format!(
                "<form method=\"post\" action=\"/console/staff\">{secret}<input type=\"hidden\" name=\"staff\" value=\"{}\">\
                 <select name=\"role\" aria-label=\"Role\">{}</select>\
                 <button type=\"submit\" name=\"act\" value=\"role\">Set role</button> \
                 <button type=\"submit\" name=\"act\" value=\"reset\">Reset access</button> \
                 <button type=\"submit\" name=\"act\" value=\"end\">End</button></form>",
                member.id,
                roles(Some(member.role)),
            )
        };
        let factor = if member.has_authenticator { "yes" } else { "no" };
        rows.push_str(&format!(
            "<tr><td>{}</td><td>{}</td><td>{state}</td><td>{factor}</td><td>{acts}</td></tr>\n",
            escape(member.name.as_str()),
            member.role,
        ));
    }
    let main = format!(
        "{said}<table>\n<thead><tr><th scope=\"col\">Name</th><th scope=\"col\">Role</th><th scope=\"col\">State</th>\
         <th scope=\"col\">Authenticator</th><th scope=\"col\">Change</th></tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n\
         <h2>Invite somebody</h2>\n<form method=\"post\" action=\"/console/staff\">{secret}\n{}\
         <p><label for=\"role\">Role</label><br><select id=\"role\" name=\"role\">{}</select></p>\n\
         <p><button type=\"submit\" name=\"act\" value=\"invite\">Invite</button></p></form>\n",
        input(
            "name",
            "Name: letters a to z, digits, _ and -",
            "autocomplete=\"off\" autocapitalize=\"none\" maxlength=\"64\""
        ),
        roles(None),
    );
    Ok(inside(session, status, "Staff", &main))
}

/// Shows who is staff.
#[utoipa::path(
    get,
    path = "/console/staff",
    operation_id = "show_staff",
    tag = "staff",
    responses(
        (status = 200, description = "The list", body = String, content_type = "text/html"),
        (status = 303, description = "Nobody is signed in"),
        (status = 404, description = "There is nothing here for whoever asks", body = String, content_type = "text/html"),
    ),
)]
pub async fn show(by: Seated, gateway: web::Data<Gateway>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    match administrator(&gateway, &by.0).await {
        Ok(administrator) => page(&gateway, &by.0, &administrator, (StatusCode::OK, "")).await,
        Err(problem) => refuse(&request, problem),
    }
}

/// Changes who is staff.
#[utoipa::path(
    post,
    path = "/console/staff",
    operation_id = "change_staff",
    tag = "staff",
    description = "One button: `act=invite` with `name` and `role`, or `act=role` with `staff` and `role`, `act=reset` or `act=end` with \
        `staff`. Inviting and resetting answer with a one-time link, shown this once. Sessions of whoever is changed end.",
    request_body(content((BTreeMap<String, String> = "application/x-www-form-urlencoded"), (BTreeMap<String, String> = "multipart/form-data"))),
    responses(
        (status = 200, description = "A one-time link", body = String, content_type = "text/html"),
        (status = 303, description = "Done, or nobody is signed in"),
        (status = 403, description = "The form was not opened here", body = String, content_type = "text/html"),
        (status = 404, description = "There is nothing here for whoever asks, or no such member", body = String, content_type = "text/html"),
        (status = 409, description = "The name is taken, or nobody would be left", body = String, content_type = "text/html"),
        (status = 422, description = "The name is none", body = String, content_type = "text/html"),
    ),
)]
pub async fn submit(
    by: Seated,
    gateway: web::Data<Gateway>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let administrator = match administrator(&gateway, &by.0).await {
        Ok(administrator) => administrator,
        Err(problem) => return refuse(&request, problem),
    };
    let form = match form(&gateway, &request, payload, &["act", "staff", "name", "role"]).await {
        Ok(form) => form,
        Err(problem) => return refuse(&request, problem),
    };
    let (status, said) = match act(&gateway, &administrator, &form).await {
        Ok(None) => return Ok(see("/console/staff")),
        Ok(Some(link)) => {
            let link = escape(link.expose());
            let said = format!(
                "<p role=\"status\">Give this address to whom it is for. It is good once, for a day, and shown this once:</p>\n\
                 <p><code id=\"link\">{link}</code></p>\n"
            );
            (StatusCode::OK, said)
        }
        Err(AppError::Conflict(code)) => (StatusCode::CONFLICT, alert(code.title())),
        Err(AppError::NotFound(code)) => (StatusCode::NOT_FOUND, alert(code.title())),
        Err(AppError::Invalid(_)) => (
            StatusCode::UNPROCESSABLE_ENTITY,
            alert("That is no name, or no role: letters a to z, digits, _ and -."),
        ),
        Err(error) => return Err(error.into()),
    };
    page(&gateway, &by.0, &administrator, (status, &said)).await
}

async fn act(
    gateway: &Gateway,
    by: &Authorized<ManageStaff>,
    form: &Form,
) -> Result<Option<OneTimeLink>, AppError> {
    let role =
        || Role::parse(form.get("role")).ok_or_else(|| AppError::invalid(Fault::at("/role", Code::InvalidField)));
    let staff = || form.get("staff").parse::<StaffId>().map_err(|_| AppError::NotFound(Code::NotFound));
    match form.get("act") {
        "invite" => gateway.invite_staff(by, form.get("name"), role()?).await.map(Some),
        "reset" => gateway.reset_staff(by, staff()?).await.map(Some),
        "role" => gateway.change_role(by, staff()?, role()?).await.map(|()| None),
        "end" => gateway.end_staff(by, staff()?).await.map(|()| None),
        _ => Err(AppError::invalid(Fault::at("/act", Code::InvalidField))),
    }
}
