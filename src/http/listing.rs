//! What lists and paths name: one thing, or the place in a list by time where a page ended.

use std::fmt::Display;
use std::str::FromStr;

use actix_web::HttpRequest;
use app::Code;
use kernel::time::Timestamp;

use super::problem::Problem;

/// What a path names. What is no name is nobody's: the answer is the same as for an unknown one.
///
/// # Errors
/// The problem of `unknown`, when it is no name.
pub fn named<T: FromStr>(request: &HttpRequest, parameter: &str, unknown: Code) -> Result<T, Problem> {
    let name = request.match_info().get(parameter).unwrap_or_default();
    name.parse().map_err(|_| Problem::of(unknown))
}

/// A place in a list by time, as [`cut`] writes it: when it was, and its name.
#[must_use]
pub fn place<T: FromStr>(text: &str) -> Option<(Timestamp, T)> {
    let (millis, id) = text.split_once('-')?;
    Some((Timestamp::from_millis(millis.parse().ok()?), id.parse().ok()?))
}

/// Cuts what was asked for, one more than `limit`, to a page. That one more tells whether there is a next page: then the
/// answer is the value of its `Link`.
pub fn cut<T, I: Display>(
    list: &mut Vec<T>,
    limit: u32,
    path: &str,
    place: impl FnOnce(&T) -> (Timestamp, I),
) -> Option<String> {
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let is_last = list.len() <= most;
    list.truncate(most);
    let (at, id) = place(list.last().filter(|_| !is_last)?);
    Some(format!("<{path}?after={}-{id}&limit={limit}>; rel=\"next\"", at.as_millis()))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use kernel::id::IncidentId;

    use super::*;

    #[test]
    fn a_page_ends_where_the_next_one_goes_on() {
        let id = |byte| IncidentId::from_bytes([byte; 16]);
        let at = |byte: u8| (Timestamp::from_millis(i64::from(byte)), id(byte));
        let mut list = vec![3, 2, 1];
        assert_eq!(cut(&mut list, 3, "/v1/incidents", |byte| at(*byte)), None);
        let next = cut(&mut list, 2, "/v1/incidents", |byte| at(*byte)).unwrap();
        assert_eq!((list.as_slice(), next.ends_with("&limit=2>; rel=\"next\"")), (&[3, 2][..], true));
        let after = next.split_once("after=").unwrap().1.split_once('&').unwrap().0;
        assert_eq!(place(after), Some(at(2)));
        assert_eq!(cut(&mut Vec::<u8>::new(), 2, "/v1/incidents", |byte| at(*byte)), None);
        for bad in ["", "-", "1-", "x-00", "1"] {
            assert_eq!(place::<IncidentId>(bad), None, "{bad}");
        }
    }
}
