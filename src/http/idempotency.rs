//! The `Idempotency-Key` header (draft-ietf-httpapi-idempotency-key-header-07): the same request again is answered again
//! and done once.

use actix_web::HttpRequest;
use app::{Code, Gateway, Idempotency};

use super::problem::Problem;

/// The name of the header.
pub const HEADER: &str = "idempotency-key";
/// Tells that an answer repeats an earlier one.
pub const REPLAYED: &str = "idempotency-replayed";

/// The key of a request, if it has one. `scope` says whose keys they are; `parts` is what makes the request the same.
///
/// # Errors
/// 400 when there are several, or one that is not well-formed.
pub fn of(
    request: &HttpRequest,
    gateway: &Gateway,
    scope: &str,
    parts: &[&[u8]],
) -> Result<Option<Idempotency>, Problem> {
    let mut lines = request.headers().get_all(HEADER);
    let Some(line) = lines.next() else { return Ok(None) };
    let key = match (line.to_str().ok().and_then(parse), lines.next()) {
        (Some(key), None) => key,
        _ => return Err(Problem::of(Code::IdempotencyKeyMalformed)),
    };
    let request = content(request, gateway, parts);
    Ok(Some(Idempotency { scope: scope.to_owned(), key, request }))
}

/// The keyed digest of what makes a request the same as another.
pub(super) fn content(request: &HttpRequest, gateway: &Gateway, parts: &[&[u8]]) -> [u8; 32] {
    let place = [request.method().as_str().as_bytes(), request.path().as_bytes()];
    gateway.request_fingerprint(&[&place[..], parts].concat())
}

/// A key is a structured-field string (RFC 9651 §3.3.3); the bare form, which many clients send, is taken too.
fn parse(line: &str) -> Option<String> {
    let line = line.trim_matches(' ');
    let key = match line.strip_prefix('"') {
        Some(quoted) => unquoted(quoted.strip_suffix('"')?)?,
        None => line.to_owned(),
    };
    let is_visible = key.bytes().all(|byte| byte.is_ascii_graphic());
    ((1..=255).contains(&key.len()) && is_visible && (line.starts_with('"') || !key.contains(['"', ',', ';'])))
        .then_some(key)
}

fn unquoted(text: &str) -> Option<String> {
    let mut key = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => return None,
            '\\' => key.push(chars.next().filter(|next| matches!(next, '"' | '\\'))?),
            other => key.push(other),
        }
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_key_is_taken_quoted_and_bare() {
        let uuid = "8e03978e-40d5-43e8-bc93-6894a57f9324";
        assert_eq!(parse(&format!("\"{uuid}\"")).as_deref(), Some(uuid));
        assert_eq!(parse(uuid).as_deref(), Some(uuid));
        assert_eq!(parse("\"a\\\"b\\\\c\"").as_deref(), Some("a\"b\\c"));
        let longest = "k".repeat(255);
        assert_eq!(parse(&longest).as_deref(), Some(longest.as_str()));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let too_long = "k".repeat(256);
        for bad in [
            "", "\"\"", "\"", "\"a", "a\"", "a b", "\"a b\"", "\"a\"b\"", "\"a\\b\"", "a,b", "\"a\";p", "ü",
            &too_long,
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
