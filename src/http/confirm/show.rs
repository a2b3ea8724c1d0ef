//! `GET /confirm/{token}`: a page with a button. Nothing happens until somebody presses it (CAP-16).

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use app::Gateway;

use super::{locale, private, refusal, token};
use crate::http::page::{self, Language, escape};
use crate::http::problem::Problem;

/// Shows what a confirmation link leads to.
#[utoipa::path(
    get,
    path = "/confirm/{token}",
    operation_id = "show_confirmation",
    tag = "persons",
    description = "The page behind the link of a confirmation mail: one button, no script. Reading it changes nothing.",
    params(("token" = String, Path, description = "The token of the mail", max_length = 64, pattern = "^[A-Za-z0-9_-]+$",
        example = "p6en_SYFmQ0o3cYFzhXxY9sYvGd5YkzX2VnWl8mPq1E")),
    responses(
        (status = 200, description = "The page", body = String, content_type = "text/html"),
        (status = 410, description = "The time to confirm is over", content(
            (String = "text/html"), (crate::http::problem::ProblemDocument = "application/problem+json"),
        )),
    ),
)]
pub async fn handler(gateway: web::Data<Gateway>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let token = token(&request);
    if let Err(error) = gateway.confirmation(token).await {
        return refusal(Problem::from(error), &request);
    }
    let language = Language::of(locale(&request));
    let main = format!(
        "<p>{}</p>\n<form method=\"post\" action=\"/confirm/{}\">\n\
         <p><button type=\"submit\" name=\"confirm\" value=\"yes\">{}</button></p>\n</form>\n<p>{}</p>\n",
        language.say(
            "Somebody entered your address in a form. The mail that led you here says in which, and for what.",
            "Jemand hat Ihre Adresse in ein Formular eingetragen. In welches und wofür, steht in der Nachricht, die Sie \
             hierher geführt hat.",
        ),
        escape(token),
        language.say("Yes, I confirm", "Ja, ich bestätige"),
        language.say(
            "If it was not you, just close this page: then you have not agreed to anything.",
            "Wenn Sie das nicht waren, schließen Sie diese Seite: dann haben Sie in nichts eingewilligt.",
        ),
    );
    let title = language.say("Please confirm", "Bitte bestätigen");
    Ok(private(page::respond(StatusCode::OK, (language.tag(), title), &main, None)))
}
