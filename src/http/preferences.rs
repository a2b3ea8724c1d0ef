//! The preference page behind the link of a mail: how every purpose stands, and a button to take each back. It works
//! without script and without a login, and it gives nothing.

pub mod act;
mod markup;
pub mod show;
mod view;

pub(crate) use view::PreferencesBody;

use actix_web::{HttpRequest, HttpResponse};
use app::{Gateway, Preferences};

use super::negotiate;
use super::page::Language;
use super::unsubscribe::page_of_link;

/// The page in the person's language, or the same as data for a program that asks for it.
fn respond(
    request: &HttpRequest,
    gateway: &Gateway,
    preferences: Option<&Preferences>,
    done: bool,
) -> HttpResponse {
    let spoken = preferences.and_then(|preferences| preferences.locale.as_deref());
    let asked = negotiate::language(request, &["en", "de"]);
    let language = Language::of(spoken.or(asked).unwrap_or("en"));
    if negotiate::media_type(request, &["text/html", "application/json"]) == Some("application/json") {
        return HttpResponse::Ok().json(PreferencesBody::of(preferences, language));
    }
    let main = match preferences {
        Some(preferences) => markup::page(language, gateway, preferences, done),
        None => markup::nobody(language),
    };
    page_of_link(language, language.say("Your choices", "Ihre Einstellungen"), &main)
}
