//! The Global Privacy Control signal (W3C GPC §2.1): `Sec-GPC` means something only as the single character `1`.

use actix_web::http::header::{HeaderMap, HeaderValue};

use super::page::Language;

/// The name of the header.
pub const HEADER: &str = "sec-gpc";

/// What a person is shown when the signal was processed (11 CCR §7025(c)(6)), in the regulation's words.
#[must_use]
pub const fn display(language: Language) -> &'static str {
    language.say("Opt-Out Request Honored", "Widerspruch berücksichtigt")
}

/// What the pages of forms vary by.
pub(super) const VARY_OF_PAGES: HeaderValue = HeaderValue::from_static("Accept, Accept-Language, Sec-GPC");

/// The same on a page, with what it is the answer to.
#[must_use]
pub(super) fn markup(language: Language) -> String {
    let about = language.say("Global Privacy Control of your browser", "Global Privacy Control Ihres Browsers");
    format!("<p role=\"status\" id=\"gpc\">{about}: {}</p>\n", display(language))
}

/// Whether a request carries the signal: in any of its lines, or in any member that a proxy joined into one line.
#[must_use]
pub fn is_signalled(headers: &HeaderMap) -> bool {
    headers
        .get_all(HEADER)
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .any(|member| member.trim_ascii() == b"1")
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderName;

    use super::*;

    fn signalled(lines: &[&'static str]) -> bool {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(HeaderName::from_static(HEADER), HeaderValue::from_static(line));
        }
        is_signalled(&headers)
    }

    #[test]
    fn only_exactly_1_is_the_signal() {
        for lines in [&["1"][..], &["0", "1"], &["0, 1"], &["1,1"], &["true", "1"]] {
            assert!(signalled(lines), "{lines:?}");
        }
        for lines in
            [&[][..], &["0"], &["true"], &["1;x"], &[""], &[" "], &["11"], &["\"1\""], &["01"], &["1 1"], &["?1"]]
        {
            assert!(!signalled(lines), "{lines:?}");
        }
    }
}
