//! What the mail says: who asks, for what, how to confirm, and that doing nothing is an answer too. No picture, no
//! tracking, no advertising; one link, once.

use std::fmt::Write as _;

use kernel::letter::{Letter, Wording};
use kernel::policy::ControllerRule;

use super::ConfirmationSettings;

/// What stands for the link in the wording that is kept.
const PLACE: &str = "{link}";

/// What a form asked for.
pub(super) struct Asks<'a> {
    pub(super) form: &'a str,
    pub(super) purposes: &'a [String],
    pub(super) controllers: &'a [&'a ControllerRule],
}

/// The languages that mails are written in.
#[derive(Clone, Copy)]
enum Language {
    English,
    German,
}

impl Language {
    /// The language of a locale; English for those that have no mail of their own.
    fn of(locale: &str) -> Self {
        match locale.split(['-', '_']).next() {
            Some(tag) if tag.eq_ignore_ascii_case("de") => Self::German,
            _ => Self::English,
        }
    }

    const fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::German => "de",
        }
    }
}

/// The language of the letter to somebody who was shown a notice in this one.
pub(super) fn locale_of(locale: &str) -> &'static str {
    Language::of(locale).tag()
}

/// The sentences around the purposes and the link.
struct Sentences {
    subject: String,
    greeting: &'static str,
    occasion: String,
    ask: String,
    press: &'static str,
    valid: String,
    ignore: String,
    withdraw: String,
}

/// Writes the letter, and its wording without what is the person's own.
pub(super) fn write(
    locale: &str,
    asks: &Asks<'_>,
    settings: &ConfirmationSettings,
    address: &str,
    link: &str,
) -> (Letter, Wording) {
    let language = Language::of(locale);
    let sentences = match language {
        Language::English => english(asks, settings),
        Language::German => german(asks, settings),
    };
    let letter = Letter {
        to: address.to_owned(),
        subject: sentences.subject.clone(),
        text: plain(&sentences, asks, link),
        html: html(language, &sentences, asks, link),
        locale: language.tag().to_owned(),
    };
    let text = format!("{}\n\n{}", sentences.subject, plain(&sentences, asks, PLACE));
    (letter, Wording { locale: language.tag().to_owned(), text })
}

fn english(asks: &Asks<'_>, settings: &ConfirmationSettings) -> Sentences {
    let (form, names) = (asks.form, names(asks, " and "));
    let (valid, days) = (period(settings.valid_hours, ["hour", "hours", "day", "days"]), settings.purge_days);
    Sentences {
        subject: format!("Please confirm: {form}"),
        greeting: "Hello,",
        occasion: format!("somebody entered this address in the form \"{form}\" of {names}."),
        ask: format!("If it was you, please confirm that {names} may use your data for:"),
        press: "To confirm, open this page and press the button on it:",
        valid: format!("The link is good for {valid}. Until you confirm, nothing counts as agreed."),
        ignore: format!(
            "If it was not you, or you changed your mind, ignore this mail: then you have not agreed to anything, and \
             what was entered is deleted after {days} days."
        ),
        withdraw: "You can take your consent back at any time, without giving a reason.".to_owned(),
    }
}

fn german(asks: &Asks<'_>, settings: &ConfirmationSettings) -> Sentences {
    let (form, names) = (asks.form, names(asks, " und "));
    let (valid, days) = (period(settings.valid_hours, ["Stunde", "Stunden", "Tag", "Tage"]), settings.purge_days);
    Sentences {
        subject: format!("Bitte bestätigen: {form}"),
        greeting: "Guten Tag,",
        occasion: format!("diese Adresse wurde in das Formular \u{201e}{form}\u{201c} von {names} eingetragen."),
        ask: format!("Wenn Sie das waren, bestätigen Sie bitte, dass {names} Ihre Daten hierfür verwenden darf:"),
        press: "Zum Bestätigen öffnen Sie diese Seite und drücken dort den Knopf:",
        valid: format!("Der Link gilt {valid}. Solange Sie nicht bestätigen, gilt nichts als vereinbart."),
        ignore: format!(
            "Wenn Sie es nicht waren oder es sich anders überlegt haben, beachten Sie diese Nachricht nicht: dann haben \
             Sie in nichts eingewilligt, und was eingetragen wurde, wird nach {days} Tagen gelöscht."
        ),
        withdraw: "Ihre Einwilligung können Sie jederzeit ohne Angabe von Gründen widerrufen.".to_owned(),
    }
}

/// Whole days where it is whole days.
fn period(hours: u32, [hour, many_hours, day, many_days]: [&str; 4]) -> String {
    match (hours % 24, hours / 24) {
        (0, 1) => format!("1 {day}"),
        (0, days) => format!("{days} {many_days}"),
        _ if hours == 1 => format!("1 {hour}"),
        _ => format!("{hours} {many_hours}"),
    }
}

fn names(asks: &Asks<'_>, and: &str) -> String {
    asks.controllers.iter().map(|rule| rule.name.as_str()).collect::<Vec<_>>().join(and)
}

fn plain(sentences: &Sentences, asks: &Asks<'_>, link: &str) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write!(text, "{}\n\n{}\n\n{}\n", sentences.greeting, sentences.occasion, sentences.ask);
    for purpose in asks.purposes {
        let _ = writeln!(text, "- {purpose}");
    }
    let _ = write!(
        text,
        "\n{}\n{link}\n\n{}\n\n{}\n\n{}\n\n-- \n",
        sentences.press, sentences.valid, sentences.ignore, sentences.withdraw
    );
    for rule in asks.controllers {
        let _ = writeln!(text, "{}\n{}\n{}", rule.name, rule.address, rule.contact);
    }
    text
}

fn html(language: Language, sentences: &Sentences, asks: &Asks<'_>, link: &str) -> String {
    let mut html = String::new();
    // Writing to a string cannot fail.
    let _ = write!(
        html,
        "<!doctype html>\n<html lang=\"{}\">\n<head>\n<meta charset=\"utf-8\">\n<title>{}</title>\n</head>\n<body>\n\
         <p>{}</p>\n<p>{}</p>\n<p>{}</p>\n<ul>\n",
        language.tag(),
        escape(&sentences.subject),
        escape(sentences.greeting),
        escape(&sentences.occasion),
        escape(&sentences.ask),
    );
    for purpose in asks.purposes {
        let _ = writeln!(html, "<li>{}</li>", escape(purpose));
    }
    let label = match language {
        Language::English => "Open the page to confirm",
        Language::German => "Seite zum Bestätigen öffnen",
    };
    let _ = write!(
        html,
        "</ul>\n<p>{}</p>\n<p><a href=\"{}\">{label}</a></p>\n<p>{}</p>\n<p>{}</p>\n<p>{}</p>\n<hr>\n",
        escape(sentences.press),
        escape(link),
        escape(&sentences.valid),
        escape(&sentences.ignore),
        escape(&sentences.withdraw),
    );
    for rule in asks.controllers {
        let _ = writeln!(
            html,
            "<p>{}<br>\n{}<br>\n{}</p>",
            escape(&rule.name),
            escape(&rule.address),
            escape(&rule.contact)
        );
    }
    html.push_str("</body>\n</html>\n");
    html
}

/// A text as it may stand in an element or in a quoted attribute.
fn escape(text: &str) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn shop() -> ControllerRule {
        ControllerRule {
            name: "Shop & <Sons>".to_owned(),
            address: "Street 1, Berlin".to_owned(),
            contact: "privacy@shop.example".to_owned(),
            officer: "dpo@shop.example".to_owned(),
            stop_address: None,
            objection_notice: None,
            plus_tags_are_one_mailbox: false,
        }
    }

    fn written(locale: &str, link: &str) -> (Letter, Wording) {
        let (shop, purposes) = (shop(), ["Offers <by> email".to_owned()]);
        let asks = Asks { form: "News\"letter", purposes: &purposes, controllers: &[&shop] };
        write(locale, &asks, &ConfirmationSettings::default(), "anna@example.org", link)
    }

    #[test]
    fn the_link_stands_once_in_each_part_and_not_in_the_wording() {
        for locale in ["en", "de-AT", "fr"] {
            let (letter, wording) = written(locale, "https://g.example/confirm/T0KEN");
            assert_eq!(letter.text.matches("T0KEN").count(), 1);
            assert_eq!(letter.html.matches("T0KEN").count(), 1);
            assert!(!wording.text.contains("T0KEN") && !wording.text.contains("anna"));
            assert_eq!(wording, written(locale, "https://g.example/confirm/0THER").1);
        }
        assert_eq!(written("de-AT", "x").0.locale, "de");
        assert_eq!(written("fr", "x").0.locale, "en");
    }

    #[test]
    fn nothing_breaks_out_of_a_text() {
        let html = written("en", "x").0.html;
        assert!(html.contains("Shop &amp; &lt;Sons&gt;") && html.contains("Offers &lt;by&gt; email"), "{html}");
        assert!(html.contains("News&quot;letter"));
    }

    #[test]
    fn a_period_is_said_in_days_where_it_is_days() {
        let said = |hours| period(hours, ["hour", "hours", "day", "days"]);
        assert_eq!([said(168), said(24), said(1), said(36)], ["7 days", "1 day", "1 hour", "36 hours"]);
    }
}
