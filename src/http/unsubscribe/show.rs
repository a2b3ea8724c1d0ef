//! `GET /unsubscribe/{token}`: a page with buttons. Mail scanners follow links; nothing happens before a button is
//! pressed, and no script presses it.

use std::fmt::Write as _;

use actix_web::{HttpRequest, HttpResponse, web};
use app::Gateway;
use kernel::authz::CaptureConsent;

use super::{page_of_link, token};
use crate::http::authenticate::Anyone;
use crate::http::negotiate;
use crate::http::page::{Language, escape};
use crate::http::problem::Problem;

/// Shows the unsubscribe page.
#[utoipa::path(
    get,
    path = "/unsubscribe/{token}",
    operation_id = "show_unsubscribe",
    tag = "persons",
    description = "The page behind the unsubscribe link of a mail. Following the link changes nothing.",
    params(("token" = String, Path, description = "From the link", max_length = 259, pattern = "^u1_[A-Za-z0-9_-]+$")),
    responses((status = 200, description = "The page", body = String, content_type = "text/html")),
)]
pub async fn handler(
    by: Anyone<CaptureConsent>,
    gateway: web::Data<Gateway>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let language = Language::of(negotiate::language(&request, &["en", "de"]).unwrap_or("en"));
    let link = gateway.unsubscribe_link(&by.0, token(&request), language.tag())?;
    let mut main = String::new();
    let mut button = |value: &str, label: &str| {
        // Writing to a string cannot fail.
        let _ = writeln!(
            main,
            "<form method=\"post\"><p><button type=\"submit\" name=\"action\" value=\"{value}\">{label}</button></p></form>"
        );
    };
    if let Some(list) = &link.list {
        let label = match language {
            Language::English => format!("Unsubscribe from: {}", escape(list)),
            Language::German => format!("Abmelden von: {}", escape(list)),
        };
        button("list", &label);
    }
    let all = language.say("Stop all marketing to me", "Keine Werbung mehr an mich");
    button("all", all);
    let hint = language.say(
        "You need no password and no reason. It takes effect at once.",
        "Sie brauchen kein Passwort und keinen Grund. Es gilt sofort.",
    );
    let _ = writeln!(main, "<p>{hint}</p>");
    Ok(page_of_link(language, language.say("Unsubscribe", "Abmelden"), &main))
}
