//! The body of a plain HTML form, in either of its encodings: names and values in order.

use actix_multipart::Multipart;
use actix_web::HttpRequest;
use app::Code;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};

use super::json::is_name;
use super::problem::Problem;
use super::{body, urlencoded};

/// The most inputs of a form.
const MOST_INPUTS: usize = 200;

/// Reads the inputs of a form.
///
/// # Errors
/// 415 for another encoding, 400 or 422 for a body that cannot be read for sure.
pub async fn pairs(request: &HttpRequest, bytes: Bytes) -> Result<Vec<(String, String)>, Problem> {
    match body::media_type(request).as_deref() {
        Some("application/x-www-form-urlencoded") => urlencoded::pairs(&bytes),
        Some("multipart/form-data") => parts(request, bytes).await,
        _ => {
            let detail = "send `application/x-www-form-urlencoded` or `multipart/form-data`";
            Err(Problem::of(Code::UnsupportedMediaType).saying(detail))
        }
    }
}

/// The place of an input; a name that is not one of ours in looks is not repeated.
#[must_use]
pub fn pointer(name: &str) -> String {
    if is_name(name) { format!("/{name}") } else { String::new() }
}

/// The parts of a multipart form (RFC 7578). Files are not taken.
async fn parts(request: &HttpRequest, bytes: Bytes) -> Result<Vec<(String, String)>, Problem> {
    let broken = || Problem::of(Code::InvalidField).saying("the multipart body is not well-formed");
    let whole = stream::iter([Ok::<_, actix_web::error::PayloadError>(bytes)]);
    let mut multipart = Multipart::new(request.headers(), whole);
    let mut pairs = Vec::new();
    while let Some(part) = multipart.next().await {
        let mut part = part.map_err(|_| broken())?;
        let name = part.name().ok_or_else(broken)?.to_owned();
        let is_file = part.content_disposition().is_some_and(|about| about.get_filename().is_some());
        if is_file || pairs.len() == MOST_INPUTS {
            return Err(Problem::fault(pointer(&name), Code::InvalidField));
        }
        let mut value = Vec::new();
        while let Some(chunk) = part.next().await {
            value.extend_from_slice(&chunk.map_err(|_| broken())?);
        }
        pairs.push((name, String::from_utf8(value).map_err(|_| Problem::of(Code::InvalidUtf8))?));
    }
    Ok(pairs)
}
