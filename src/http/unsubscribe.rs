//! The unsubscribe link of a mail (RFC 8058): following it shows a page and changes nothing, posting to it unsubscribes.

pub mod act;
pub mod show;

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue, REFERRER_POLICY};
use actix_web::{HttpRequest, HttpResponse};

use super::page::{self, Language};

/// Pages that a link in a mail leads to are not for search engines.
const X_ROBOTS_TAG: HeaderName = HeaderName::from_static("x-robots-tag");

/// The token of a path.
pub(super) fn token(request: &HttpRequest) -> &str {
    request.match_info().get("token").unwrap_or_default()
}

/// A page behind a link that is a secret: it is told to no other site and to no search engine.
pub(super) fn page_of_link(language: Language, title: &str, main: &str) -> HttpResponse {
    let mut response = page::respond(StatusCode::OK, (language.tag(), title), main, None);
    let headers = response.headers_mut();
    // Nothing here judges the origin of a post: the token itself is the permission.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(X_ROBOTS_TAG, HeaderValue::from_static("noindex, nofollow"));
    response
}
