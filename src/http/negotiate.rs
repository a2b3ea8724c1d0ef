//! Content negotiation by `Accept` and `Accept-Language` (RFC 9110 §12.5).

use actix_web::HttpRequest;
use actix_web::http::header::{ACCEPT, ACCEPT_LANGUAGE};

/// The offered media type that a request likes best; the first offer where it has no preference. `None`: it accepts none.
#[must_use]
pub fn media_type<'a>(request: &HttpRequest, offers: &[&'a str]) -> Option<&'a str> {
    choose(&wishes(request, ACCEPT)?, offers, |wish, offer| {
        let (kind, _) = offer.split_once('/')?;
        match wish.split_once('/')? {
            ("*", "*") => Some(0),
            (wanted, "*") if wanted == kind => Some(1),
            _ if wish == offer => Some(2),
            _ => None,
        }
    })
}

/// The offered language that a request likes best; `None`: none of them.
#[must_use]
pub fn language<'a>(request: &HttpRequest, offers: &[&'a str]) -> Option<&'a str> {
    let wishes = wishes(request, ACCEPT_LANGUAGE)?;
    if wishes.is_empty() {
        return None;
    }
    choose(&wishes, offers, |wish, offer| {
        let offer = offer.to_ascii_lowercase();
        let (range, tag) = (wish.split('-').next()?, offer.split('-').next()?);
        if wish == offer {
            Some(2)
        } else if range == tag {
            Some(1)
        } else {
            (wish == "*").then_some(0)
        }
    })
}

/// Whether a request would rather have a page than data, as browsers do.
#[must_use]
pub fn prefers_html(request: &HttpRequest) -> bool {
    let is_named =
        request.headers().get_all(ACCEPT).any(|line| line.to_str().is_ok_and(|line| line.contains("text/html")));
    is_named && media_type(request, &["text/html", "application/json"]) == Some("text/html")
}

/// A wish and its weight in thousandths. `None`: the header is unreadable, and nothing is acceptable for sure.
fn wishes(request: &HttpRequest, header: actix_web::http::header::HeaderName) -> Option<Vec<(String, u16)>> {
    let mut wishes = Vec::new();
    for line in request.headers().get_all(header) {
        for item in line.to_str().ok()?.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            let mut parts = item.split(';').map(str::trim);
            let name = parts.next()?.to_ascii_lowercase();
            let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
            wishes.push((name, weight.map_or(1000, thousandths)));
        }
    }
    Some(wishes)
}

fn thousandths(weight: &str) -> u16 {
    let (whole, fraction) = weight.split_once('.').unwrap_or((weight, ""));
    if whole == "1" {
        return 1000;
    }
    let mut digits = fraction.bytes().filter(u8::is_ascii_digit).map(|digit| u16::from(digit - b'0'));
    let mut next = || digits.next().unwrap_or_default();
    next() * 100 + next() * 10 + next()
}

/// The offer of the highest weight; among equals the earlier one. The most specific wish for an offer sets its weight.
fn choose<'a>(
    wishes: &[(String, u16)],
    offers: &[&'a str],
    specificity: impl Fn(&str, &str) -> Option<u8>,
) -> Option<&'a str> {
    if wishes.is_empty() {
        return offers.first().copied();
    }
    let weight_of = |offer: &str| {
        let wanted = wishes.iter().filter_map(|(wish, weight)| Some((specificity(wish, offer)?, *weight)));
        wanted.max_by_key(|(specific, _)| *specific).map_or(0, |(_, weight)| weight)
    };
    let mut best: Option<(&'a str, u16)> = None;
    for offer in offers {
        let weight = weight_of(offer);
        if weight > best.map_or(0, |(_, weight)| weight) {
            best = Some((offer, weight));
        }
    }
    best.map(|(offer, _)| offer)
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    const OFFERS: [&str; 3] = ["application/x-ndjson", "text/csv", "application/vnd.apache.arrow.stream"];

    fn chosen(accept: &'static str) -> Option<&'static str> {
        media_type(&TestRequest::default().insert_header((ACCEPT, accept)).to_http_request(), &OFFERS)
    }

    #[test]
    fn the_best_liked_offer_is_taken() {
        for (accept, expected) in [
            ("*/*", Some(OFFERS[0])),
            ("", Some(OFFERS[0])),
            ("text/csv", Some("text/csv")),
            ("TEXT/CSV; charset=utf-8", Some("text/csv")),
            ("text/*;q=0.5, application/vnd.apache.arrow.stream;q=0.8", Some(OFFERS[2])),
            ("application/x-ndjson;q=0, */*", Some("text/csv")),
            ("text/csv;q=0.001", Some("text/csv")),
            ("image/png", None),
            ("text/csv;q=0", None),
        ] {
            assert_eq!(chosen(accept), expected, "{accept}");
        }
        assert_eq!(media_type(&TestRequest::default().to_http_request(), &OFFERS), Some(OFFERS[0]));
    }

    #[test]
    fn browsers_get_pages_and_programs_data() {
        let html = |accept: &'static str| {
            prefers_html(&TestRequest::default().insert_header((ACCEPT, accept)).to_http_request())
        };
        assert!(html("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"));
        assert!(!html("*/*"));
        assert!(!html("application/json"));
        assert!(!html("application/json, text/html;q=0.5"));
    }

    #[test]
    fn the_language_is_the_best_liked_one() {
        let language = |text: &'static str| {
            language(
                &TestRequest::default().insert_header((ACCEPT_LANGUAGE, text)).to_http_request(),
                &["en", "de"],
            )
        };
        assert_eq!(language("de-AT,de;q=0.9,en;q=0.5"), Some("de"));
        assert_eq!(language("fr,en;q=0.5"), Some("en"));
        assert_eq!(language("fr"), None);
    }
}
