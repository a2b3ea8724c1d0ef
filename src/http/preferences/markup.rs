//! The preferences as a page: plain HTML, one button an act, every text escaped.

use std::fmt::Write as _;

use app::{Gateway, Preference, PreferenceState, Preferences};
use kernel::decision::Refusal;
use kernel::time::Timestamp;

use super::view::honoured;
use crate::http::gpc;
use crate::http::page::{Language, escape};

/// The page of somebody who is held.
pub(super) fn page(language: Language, gateway: &Gateway, preferences: &Preferences, done: bool) -> String {
    let mut main = String::new();
    // Writing to a string cannot fail.
    if done {
        let text = language.say("Your choice was recorded.", "Ihre Auswahl wurde gespeichert.");
        let _ = writeln!(main, "<p role=\"status\">{text}</p>");
    }
    put_purposes(&mut main, language, preferences);
    put_whole(&mut main, language, preferences);
    put_forms(&mut main, language, gateway);
    main
}

/// The page of a link whose person is not held any more.
pub(super) fn nobody(language: Language) -> String {
    let text = language.say(
        "We hold nothing about you under this link. There is nothing to change.",
        "Unter diesem Link ist nichts mehr über Sie gespeichert. Es gibt nichts zu ändern.",
    );
    format!("<p>{text}</p>\n")
}

fn put_purposes(main: &mut String, language: Language, preferences: &Preferences) {
    let caption = language.say("What we use your data for", "Wofür wir Ihre Daten nutzen");
    let (purpose, state, change) =
        (language.say("Purpose", "Zweck"), language.say("State", "Stand"), language.say("Change", "Ändern"));
    let _ = writeln!(
        main,
        "<table>\n<caption>{caption}</caption>\n<thead><tr><th scope=\"col\">{purpose}</th><th scope=\"col\">{state}</th>\
         <th scope=\"col\">{change}</th></tr></thead>\n<tbody>"
    );
    for preference in &preferences.purposes {
        let title = escape(preference.title.in_locale(language.tag()));
        let since = preference.since.map(|at| since(language, at)).unwrap_or_default();
        let _ = write!(
            main,
            "<tr><th scope=\"row\">{title}</th><td>{}{since}</td><td>",
            words(language, preference.state)
        );
        if can_be_withdrawn(preference) {
            let label = language.say("Stop", "Beenden");
            let _ = write!(
                main,
                "<form method=\"post\"><button type=\"submit\" name=\"withdraw\" value=\"{}\" aria-label=\"{label}: {title}\">\
                 {label}</button></form>",
                escape(preference.purpose.as_str())
            );
        }
        main.push_str("</td></tr>\n");
    }
    main.push_str("</tbody>\n</table>\n");
}

/// What concerns the person as a whole.
fn put_whole(main: &mut String, language: Language, preferences: &Preferences) {
    let mut act = |name: &str, label: &str, done: &str, at: Option<Timestamp>| {
        let _ = match at {
            Some(at) => writeln!(main, "<p>{done}{}</p>", since(language, at)),
            None => writeln!(
                main,
                "<form method=\"post\"><p><button type=\"submit\" name=\"{name}\" value=\"yes\">{label}</button></p></form>"
            ),
        };
    };
    act("withdraw_all", language.say("Take back every consent", "Alle Einwilligungen widerrufen"), "", None);
    act(
        "object",
        language.say("Stop all marketing to me", "Keine Werbung mehr an mich"),
        language.say("You object to all marketing", "Sie widersprechen jeder Werbung"),
        preferences.objected_at,
    );
    act(
        "opt_out",
        language.say(
            "Do not sell or share my personal information",
            "Meine personenbezogenen Daten nicht verkaufen oder weitergeben",
        ),
        language.say(
            "Your personal information is not sold or shared",
            "Ihre personenbezogenen Daten werden nicht verkauft oder weitergegeben",
        ),
        preferences.opted_out_at,
    );
    act(
        "limit",
        language.say(
            "Limit the use of my sensitive personal information",
            "Nutzung meiner sensiblen Daten einschränken",
        ),
        language.say(
            "The use of your sensitive personal information is limited",
            "Die Nutzung Ihrer sensiblen Daten ist eingeschränkt",
        ),
        preferences.limited_at,
    );
    if let Some(at) = preferences.signal_at {
        let (signal, at) = (
            language.say(
                "Your browser sends the Global Privacy Control signal",
                "Ihr Browser sendet das Signal Global Privacy Control",
            ),
            since(language, at),
        );
        let outcome = if honoured(preferences) {
            gpc::display(language)
        } else {
            language.say(
                "You agreed to sale and sharing again afterwards",
                "Sie haben Verkauf und Weitergabe danach wieder zugestimmt",
            )
        };
        let _ = writeln!(main, "<p>{signal}{at}. {outcome}.</p>");
    }
}

/// Where a new yes can be said: with its notice and its proof.
fn put_forms(main: &mut String, language: Language, gateway: &Gateway) {
    let policy = gateway.policy();
    let hint = language.say(
        "This page only takes back. To agree again, please use a form:",
        "Auf dieser Seite können Sie nur beenden. Um wieder zuzustimmen, nutzen Sie bitte ein Formular:",
    );
    let _ = writeln!(main, "<p>{hint}</p>\n<ul>");
    for form in policy.forms() {
        let _ = writeln!(
            main,
            "<li><a href=\"/forms/{}\">{}</a></li>",
            escape(form.id.as_str()),
            escape(form.title.in_locale(language.tag()))
        );
    }
    main.push_str("</ul>\n");
}

fn since(language: Language, at: Timestamp) -> String {
    let at = at.to_string();
    let day = at.split('T').next().unwrap_or_default();
    format!(" {} <time datetime=\"{at}\">{day}</time>", language.say("since", "seit"))
}

/// Whether the button would change anything.
const fn can_be_withdrawn(preference: &Preference) -> bool {
    matches!(preference.state, PreferenceState::On | PreferenceState::Off(Refusal::Pending))
}

const fn words(language: Language, state: PreferenceState) -> &'static str {
    match state {
        PreferenceState::On => language.say("on", "an"),
        PreferenceState::Necessary => {
            language.say("on, because we need it for this", "an, weil es dafür nötig ist")
        }
        PreferenceState::Off(Refusal::Pending) => {
            language.say("off, waiting for your confirmation", "aus, wartet auf Ihre Bestätigung")
        }
        PreferenceState::Off(Refusal::Expired) => language.say("off, it ran out", "aus, abgelaufen"),
        PreferenceState::Off(Refusal::Restricted) => language.say("off, restricted", "aus, eingeschränkt"),
        PreferenceState::Off(_) => language.say("off", "aus"),
    }
}
