//! `POST /confirm/{token}`: the button was pressed. Pressed again, or after a no, it changes nothing and answers the
//! same.
//!
//! Whoever has the token may: the page's origin is not asked for, because a page with `Referrer-Policy: no-referrer`
//! sends none (Fetch §3.1), and no cookie could be abused.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use app::Gateway;
use kernel::authz::CaptureConsent;

use super::{locale, private, refusal, token};
use crate::http::authenticate::Anyone;
use crate::http::page::{self, Language, escape};
use crate::http::problem::Problem;

/// Confirms what the mail asked for.
#[utoipa::path(
    post,
    path = "/confirm/{token}",
    operation_id = "confirm",
    tag = "persons",
    description = "Confirms what the mail asked for. Sent again it changes nothing and answers the same; whatever the person refused, took \
        back or objected to since the request stays as it is.",
    params(("token" = String, Path, description = "The token of the mail", max_length = 64, pattern = "^[A-Za-z0-9_-]+$",
        example = "p6en_SYFmQ0o3cYFzhXxY9sYvGd5YkzX2VnWl8mPq1E")),
    request_body(
        description = "What the button of the page sends. Whoever has the token may send anything else as well.",
        content((BTreeMap<String, String> = "application/x-www-form-urlencoded")),
    ),
    responses(
        (status = 200, description = "Taken", body = String, content_type = "text/html"),
        (status = 410, description = "The time to confirm is over", content(
            (String = "text/html"), (crate::http::problem::ProblemDocument = "application/problem+json"),
        )),
    ),
)]
pub async fn handler(
    by: Anyone<CaptureConsent>,
    gateway: web::Data<Gateway>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let confirmation = match gateway.confirm(&by.0, token(&request), locale(&request)).await {
        Ok(confirmation) => confirmation,
        Err(error) => return refusal(Problem::from(error), &request),
    };
    let language = Language::of(locale(&request));
    let main = format!(
        "<p>{}</p>\n<p>{}</p>\n<dl>\n<dt>{}</dt><dd>{}</dd>\n</dl>\n",
        language.say("Your confirmation was received.", "Ihre Bestätigung ist eingegangen."),
        language.say(
            "Whatever you refused or took back since you filled in the form stays refused.",
            "Was Sie seit dem Ausfüllen des Formulars abgelehnt oder widerrufen haben, bleibt abgelehnt.",
        ),
        language.say(
            "Your withdrawal code: with it you can take your consent back at any time",
            "Ihr Widerrufscode: damit können Sie Ihre Einwilligung jederzeit widerrufen",
        ),
        escape(&confirmation.withdrawal_token),
    );
    let title = language.say("Thank you", "Danke");
    Ok(private(page::respond(StatusCode::OK, (language.tag(), title), &main, None)))
}
