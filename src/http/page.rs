//! Small plain pages for people whose browser posts a form: no script, no style, a language, a heading, and every text
//! escaped.

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_LANGUAGE, CONTENT_SECURITY_POLICY, HeaderValue, REFERRER_POLICY};
use actix_web::{HttpRequest, HttpResponse};
use app::Code;

use super::negotiate;
use super::problem::Problem;

/// The languages of the gateway's own words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    English,
    German,
}

impl Language {
    /// The language of a locale; English for those that the gateway does not speak.
    pub(super) fn of(locale: &str) -> Self {
        match locale.split(['-', '_']).next() {
            Some(tag) if tag.eq_ignore_ascii_case("de") => Self::German,
            _ => Self::English,
        }
    }

    /// The language of a person: the one of their form, else the one their browser likes best.
    pub(super) fn asked(locale: Option<&str>, request: &HttpRequest) -> Self {
        Self::of(locale.or_else(|| negotiate::language(request, &["en", "de"])).unwrap_or("en"))
    }

    /// One of two texts.
    pub(super) const fn say(self, english: &'static str, german: &'static str) -> &'static str {
        match self {
            Self::English => english,
            Self::German => german,
        }
    }

    /// Its tag (BCP 47).
    pub(super) const fn tag(self) -> &'static str {
        self.say("en", "de")
    }
}

/// A text as it may stand in an element or in a quoted attribute.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// A page. `main` is markup, `title` is text. `redirects_to` is another origin that a form of the page may lead to.
pub(super) fn respond(
    status: StatusCode,
    (locale, title): (&str, &str),
    main: &str,
    redirects_to: Option<&str>,
) -> HttpResponse {
    let (lang, title) = (escape(locale), escape(title));
    let body = format!(
        "<!doctype html>\n<html lang=\"{lang}\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n{main}</main>\n</body>\n</html>\n"
    );
    let targets = redirects_to.and_then(origin_of).map(|origin| format!(" {origin}")).unwrap_or_default();
    let policy =
        format!("default-src 'none'; form-action 'self'{targets}; base-uri 'none'; frame-ancestors 'none'");
    let mut response = HttpResponse::build(status).content_type("text/html; charset=utf-8").body(body);
    let headers = response.headers_mut();
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    if let Ok(language) = HeaderValue::from_str(locale) {
        headers.insert(CONTENT_LANGUAGE, language);
    }
    // With `no-referrer` a browser would send `Origin: null` with the form of this very page (Fetch §3.1).
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    response
}

/// The origin of an absolute address, if it is safe inside a header.
fn origin_of(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
    let is_good = matches!(scheme, "https" | "http") && !authority.is_empty() && authority.bytes().all(plain);
    is_good.then(|| format!("{scheme}://{authority}"))
}

/// A problem as a page: the same status and headers, the reasons in words, and nothing of what was sent.
pub(super) fn problem(problem: &Problem, locale: &str) -> HttpResponse {
    let language = Language::of(locale);
    let mut reasons: Vec<&str> = problem.faults().iter().map(|fault| reason(fault.code, language)).collect();
    if reasons.is_empty() {
        reasons.push(reason(problem.code(), language));
    }
    reasons.dedup();
    let mut main = String::from("<ul role=\"alert\">\n");
    for reason in reasons {
        main.push_str(&format!("<li>{}</li>\n", escape(reason)));
    }
    main.push_str("</ul>\n");
    let advice = language.say(
        "Nothing was stored. Please go back, correct it and send the form again.",
        "Es wurde nichts gespeichert. Bitte gehen Sie zurück, berichtigen Sie es und senden Sie das Formular erneut.",
    );
    main.push_str(&format!("<p>{}</p>\n", escape(advice)));
    let title = language.say("Your entry was not accepted", "Ihre Eingabe wurde nicht angenommen");
    let mut response = respond(problem.status(), (language.tag(), title), &main, None);
    problem.put_headers(&mut response);
    response.extensions_mut().insert(problem.clone());
    response
}

/// A code in the words of a person.
const fn reason(code: Code, language: Language) -> &'static str {
    match code {
        Code::InvalidIdentifier => language.say(
            "The email address or customer number is not written correctly.",
            "Die E-Mail-Adresse oder Kundennummer ist nicht richtig geschrieben.",
        ),
        Code::NoticeStale => language.say(
            "The information text has changed since you opened the form. Please open the form again and read it.",
            "Der Informationstext hat sich geändert, seit Sie das Formular geöffnet haben. Bitte öffnen Sie es erneut.",
        ),
        Code::FormStale => language.say(
            "You opened the form more than a day ago. Please open it again.",
            "Sie haben das Formular vor mehr als einem Tag geöffnet. Bitte öffnen Sie es erneut.",
        ),
        Code::NoticeUnknown | Code::NoticeLocale => language.say(
            "The form does not say which information text you were shown.",
            "Das Formular sagt nicht, welcher Informationstext Ihnen gezeigt wurde.",
        ),
        Code::FormNotOurs => language.say(
            "The form was not opened here, or too long ago. Please open it again.",
            "Das Formular wurde nicht hier geöffnet oder vor zu langer Zeit. Bitte öffnen Sie es erneut.",
        ),
        Code::UnknownForm | Code::NotFound => {
            language.say("There is no such form.", "Dieses Formular gibt es nicht.")
        }
        Code::UnknownField | Code::FieldNotOnForm | Code::PurposeNotOnForm | Code::UnknownPurpose => language.say(
            "The form sent a field that it does not have.",
            "Das Formular hat ein Feld gesendet, das es nicht hat.",
        ),
        Code::MissingField | Code::Empty => {
            language.say("A required field is empty.", "Ein Pflichtfeld ist leer.")
        }
        Code::Duplicate => language.say("A field was sent twice.", "Ein Feld wurde doppelt gesendet."),
        Code::TooLong | Code::TooMany => language.say("A field is too long.", "Ein Feld ist zu lang."),
        Code::ControlCharacter | Code::InvalidUtf8 => language.say(
            "A field holds characters that cannot be read.",
            "Ein Feld enthält Zeichen, die nicht gelesen werden können.",
        ),
        Code::InvalidRegion => language.say("The region is not known.", "Die Region ist nicht bekannt."),
        Code::PayloadTooLarge => language.say("The form is too large.", "Das Formular ist zu groß."),
        Code::UnsupportedMediaType => language.say(
            "The form was sent in a way that is not supported.",
            "Das Formular wurde auf eine Weise gesendet, die nicht unterstützt wird.",
        ),
        Code::OriginNotAllowed => language.say(
            "This website may not send this form.",
            "Diese Website darf dieses Formular nicht senden.",
        ),
        Code::Unavailable | Code::TooManyRequests | Code::TooManyAtOnce | Code::Busy => language.say(
            "The service cannot be reached at the moment. Please try again soon.",
            "Der Dienst ist gerade nicht erreichbar. Bitte versuchen Sie es bald erneut.",
        ),
        Code::Internal => language.say("Something went wrong on our side.", "Bei uns ist etwas schiefgegangen."),
        _ => language.say("A field has a value that is not accepted.", "Ein Feld hat einen Wert, der nicht angenommen wird."),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn nothing_breaks_out_of_a_text() {
        assert_eq!(escape("<a href=\"x\" id='y'>&"), "&lt;a href=&quot;x&quot; id=&#39;y&#39;&gt;&amp;");
    }

    #[test]
    fn a_form_may_lead_back_to_its_shop() {
        assert_eq!(origin_of("https://shop.example/thanks?x=1").as_deref(), Some("https://shop.example"));
        for bad in ["/thanks", "javascript:alert(1)", "https://a b/", "https://'none'; script-src *"] {
            assert_eq!(origin_of(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_problem_page_keeps_its_status_and_its_language() {
        let response = problem(&Problem::fault("/email", Code::InvalidIdentifier), "de-AT");
        assert_eq!(response.status(), 422);
        assert_eq!(response.headers().get(CONTENT_LANGUAGE).unwrap(), "de");
    }
}
