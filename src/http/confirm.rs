//! The page that a confirmation mail leads to. Showing it changes nothing, for mail scanners follow every link; the
//! button on it confirms. The token is in the path alone, which no log, span or metric repeats.

pub mod show;
pub mod submit;

use actix_web::http::header::{HeaderName, HeaderValue, REFERRER_POLICY};
use actix_web::{HttpRequest, HttpResponse};
use app::Code;

use super::negotiate;
use super::page::{self, Language};
use super::problem::Problem;

const X_ROBOTS_TAG: HeaderName = HeaderName::from_static("x-robots-tag");

/// The token of a path.
fn token(request: &HttpRequest) -> &str {
    request.match_info().get("token").unwrap_or_default()
}

/// The language of a page for this reader.
fn locale(request: &HttpRequest) -> &'static str {
    negotiate::language(request, &["en", "de"]).unwrap_or("en")
}

/// Why there is nothing to confirm: the same words for whatever is not a token that waits.
fn refusal(problem: Problem, request: &HttpRequest) -> Result<HttpResponse, Problem> {
    if !negotiate::prefers_html(request) || !matches!(problem.status().as_u16(), 404 | 410) {
        return Err(problem);
    }
    let language = Language::of(locale(request));
    let words = match problem.code() {
        Code::ConfirmationExpired => language.say(
            "The time to confirm is over. Nothing was agreed. If you still want it, please fill in the form again.",
            "Die Frist zum Bestätigen ist abgelaufen. Es wurde nichts vereinbart. Wenn Sie es noch möchten, füllen Sie \
             bitte das Formular erneut aus.",
        ),
        _ => language.say(
            "There is nothing to confirm here. Please check that the address is complete.",
            "Hier gibt es nichts zu bestätigen. Bitte prüfen Sie, ob die Adresse vollständig ist.",
        ),
    };
    let title = language.say("Nothing to confirm", "Nichts zu bestätigen");
    let main = format!("<p role=\"alert\">{}</p>\n", page::escape(words));
    let mut response = page::respond(problem.status(), (language.tag(), title), &main, None);
    response.extensions_mut().insert(problem);
    Ok(private(response))
}

/// A page that is nobody else's: not for search engines, and its address goes to no other site.
fn private(mut response: HttpResponse) -> HttpResponse {
    let headers = response.headers_mut();
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(X_ROBOTS_TAG, HeaderValue::from_static("noindex"));
    response
}
