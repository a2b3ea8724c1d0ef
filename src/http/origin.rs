//! Which web pages may post (the `Origin` header, RFC 6454): those a form names, and the gateway's own.

use actix_web::http::StatusCode;
use actix_web::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_MAX_AGE, ALLOW, HOST, ORIGIN,
};
use actix_web::{HttpMessage as _, HttpRequest, HttpResponse};
use app::{Code, Gateway};
use kernel::form::FormId;

use super::limit::Machine;
use super::problem::Problem;

/// Whether a page may post to a form; without a form, to any of them. A request without `Origin` comes from no page.
///
/// # Errors
/// 403 when it may not.
pub fn admit(request: &HttpRequest, gateway: &Gateway, form: Option<&FormId>) -> Result<(), Problem> {
    let Some(origin) = origin(request)? else { return Ok(()) };
    let policy = gateway.policy();
    // An unknown form is the use case's to refuse.
    let known = form.is_none_or(|form| policy.form(form).is_some());
    let mut forms = policy.forms().filter(|rule| form.is_none_or(|form| *form == rule.id));
    let listed =
        forms.any(|rule| rule.origins.is_empty() || rule.origins.iter().any(|pattern| matches(pattern, origin)));
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    if listed || !known || is_own(origin, &gateway.settings().issuer, host) {
        Ok(())
    } else {
        Err(Problem::of(Code::OriginNotAllowed))
    }
}

/// Answers what a browser asks before a page of another origin may post (Fetch §4.8), with the request headers it may send.
///
/// # Errors
/// 403 when the page may not.
pub fn preflight(
    request: &HttpRequest,
    gateway: &Gateway,
    headers: &'static str,
) -> Result<HttpResponse, Problem> {
    admit(request, gateway, None)?;
    let mut response = HttpResponse::build(StatusCode::NO_CONTENT);
    response.insert_header((ALLOW, "POST, OPTIONS"));
    if origin(request)?.is_some() {
        response
            .insert_header((ACCESS_CONTROL_ALLOW_METHODS, "POST"))
            .insert_header((ACCESS_CONTROL_ALLOW_HEADERS, headers))
            .insert_header((ACCESS_CONTROL_MAX_AGE, "600"));
    }
    Ok(response.finish())
}

/// Whether a request that changes something comes from one of the gateway's own pages, as far as the browser tells.
///
/// # Errors
/// 403 when it tells several things or nothing readable.
pub fn is_own_page(request: &HttpRequest, gateway: &Gateway) -> Result<bool, Problem> {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    let is_own = origin(request)?.is_none_or(|origin| is_own(origin, &gateway.settings().issuer, host));
    let site = request.headers().get("sec-fetch-site").and_then(|site| site.to_str().ok());
    Ok(is_own && site.is_none_or(|site| matches!(site, "same-origin" | "none")))
}

/// The origin of the page that sent a request.
///
/// # Errors
/// 403 when there are several or it is not readable.
pub fn origin(request: &HttpRequest) -> Result<Option<&str>, Problem> {
    let mut lines = request.headers().get_all(ORIGIN);
    let Some(line) = lines.next() else { return Ok(None) };
    match (line.to_str(), lines.next()) {
        (Ok(origin), None) => Ok(Some(origin)),
        _ => Err(Problem::of(Code::OriginNotAllowed)),
    }
}

/// The machine that a request comes from; `None`: it is not known, because a proxy that nobody named stands between.
#[must_use]
pub fn peer(request: &HttpRequest) -> Option<std::net::IpAddr> {
    request.extensions().get::<Machine>().map(|machine| machine.address)
}

/// Whether an origin is the one of a pattern, `scheme://host`, `scheme://host:port` or `scheme://host:*` for every port.
fn matches(pattern: &str, origin: &str) -> bool {
    if origin == "null" {
        return false;
    }
    let Some(prefix) = pattern.strip_suffix(":*") else { return pattern.eq_ignore_ascii_case(origin) };
    let Some((start, rest)) = origin.split_at_checked(prefix.len()) else { return false };
    let is_port = |port: &str| (1..=5).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_digit());
    start.eq_ignore_ascii_case(prefix) && (rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port))
}

/// Whether a page is one of the gateway's own.
fn is_own(origin: &str, issuer: &str, host: Option<&str>) -> bool {
    let authority =
        |url: &str| url.split_once("://").map(|(_, rest)| rest.split('/').next().unwrap_or_default().to_owned());
    let Some(ours) = authority(origin).filter(|authority| !authority.is_empty()) else { return false };
    let scheme = |url: &str| url.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    let is_issuer = scheme(origin) == scheme(issuer)
        && authority(issuer).is_some_and(|theirs| theirs.eq_ignore_ascii_case(&ours));
    is_issuer || host.is_some_and(|host| host.eq_ignore_ascii_case(&ours))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_its_origin_alone() {
        for (pattern, origin) in [
            ("https://shop.example", "https://shop.example"),
            ("https://shop.example", "HTTPS://Shop.example"),
            ("http://127.0.0.1:*", "http://127.0.0.1:8080"),
            ("http://127.0.0.1:*", "http://127.0.0.1"),
            ("https://shop.example:8443", "https://shop.example:8443"),
        ] {
            assert!(matches(pattern, origin), "{pattern} {origin}");
        }
        for (pattern, origin) in [
            ("https://shop.example", "http://shop.example"),
            ("https://shop.example", "https://shop.example.evil.example"),
            ("https://shop.example", "https://evil-shop.example"),
            ("https://shop.example", "https://shop.example:444"),
            ("http://127.0.0.1:*", "http://127.0.0.1:80.evil.example"),
            ("http://127.0.0.1:*", "http://127.0.0.1.evil.example"),
            ("http://127.0.0.1:*", "https://127.0.0.1:80"),
            ("http://127.0.0.1:*", "http://127.0.0.1:"),
            ("null", "null"),
        ] {
            assert!(!matches(pattern, origin), "{pattern} {origin}");
        }
    }

    #[test]
    fn the_gateways_own_pages_are_known_by_issuer_and_host() {
        assert!(is_own("https://consent.example", "https://consent.example", None));
        assert!(is_own("http://127.0.0.1:9000", "http://127.0.0.1:8080", Some("127.0.0.1:9000")));
        assert!(!is_own("http://consent.example", "https://consent.example", None));
        assert!(!is_own("null", "https://consent.example", Some("null")));
        assert!(!is_own("https://evil.example", "https://consent.example", Some("consent.example")));
    }
}
