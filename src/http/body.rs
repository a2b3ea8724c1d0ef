//! Request bodies, read whole and never longer than the caller allows.

use actix_web::HttpRequest;
use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use app::Code;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;

use super::pace;
use super::problem::Problem;

/// Reads a body of at most `most` bytes.
///
/// # Errors
/// 413 when it is longer, 408 when it comes too slowly, 400 when it breaks off, 415 when it is compressed.
pub async fn read(request: &HttpRequest, payload: &mut Payload, most: usize) -> Result<Bytes, Problem> {
    refuse_encoded(request)?;
    if declared_bytes(request).is_some_and(|declared| declared > most) {
        return Err(Problem::of(Code::PayloadTooLarge));
    }
    let mut first = Bytes::new();
    let mut joined = BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|error| broken(&error))?;
        if first.len() + joined.len() + chunk.len() > most {
            return Err(Problem::of(Code::PayloadTooLarge));
        }
        // Most bodies come in one piece and are not copied.
        if first.is_empty() && joined.is_empty() {
            first = chunk;
        } else {
            if joined.is_empty() {
                joined.extend_from_slice(&std::mem::take(&mut first));
            }
            joined.extend_from_slice(&chunk);
        }
    }
    Ok(if joined.is_empty() { first } else { joined.freeze() })
}

/// A body that broke off, was framed wrongly or came too slowly.
pub(super) fn broken(error: &PayloadError) -> Problem {
    if pace::was_slow(error) {
        return Problem::of(Code::RequestTimeout);
    }
    Problem::of(Code::MalformedJson).saying("the body could not be read to its end")
}

/// The length that a request announces.
pub(super) fn declared_bytes(request: &HttpRequest) -> Option<usize> {
    request.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Compressed bodies are not unpacked: a small one may be huge.
pub(super) fn refuse_encoded(request: &HttpRequest) -> Result<(), Problem> {
    let encoded = request
        .headers()
        .get_all(CONTENT_ENCODING)
        .any(|coding| !coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity"));
    if encoded { Err(Problem::of(Code::UnsupportedMediaType)) } else { Ok(()) }
}

/// The media type of a body in lower case, without parameters, if there is exactly one and it is UTF-8.
pub(super) fn media_type(request: &HttpRequest) -> Option<String> {
    let mut types = request.headers().get_all(CONTENT_TYPE);
    let (Some(one), None) = (types.next(), types.next()) else { return None };
    let mut parts = one.to_str().ok()?.split(';');
    let media_type = parts.next()?.trim().to_ascii_lowercase();
    let is_utf8 = parts.all(|parameter| {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let value = value.trim().trim_matches('"');
        !name.trim().eq_ignore_ascii_case("charset")
            || ["utf-8", "utf8", "us-ascii"].contains(&&*value.to_ascii_lowercase())
    });
    is_utf8.then_some(media_type)
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn a_media_type_is_read_without_its_parameters() {
        let read = |text: &'static str| {
            media_type(&TestRequest::default().insert_header((CONTENT_TYPE, text)).to_http_request())
        };
        for text in ["application/json", "Application/JSON; charset=UTF-8", "application/json;charset=\"utf-8\""] {
            assert_eq!(read(text).as_deref(), Some("application/json"), "{text}");
        }
        assert_eq!(read("application/json; charset=latin1"), None);
        assert_eq!(media_type(&TestRequest::default().to_http_request()), None);
    }
}
