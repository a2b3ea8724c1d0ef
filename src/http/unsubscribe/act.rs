//! `POST /unsubscribe/{token}`: one click and it is done. Mail programs post `List-Unsubscribe=One-Click` on the person's
//! behalf (RFC 8058 §3.2), without cookies, login or origin; the page posts its own field.

use actix_web::{HttpRequest, HttpResponse, web};
use app::{Code, Gateway, Unsubscribing};
use kernel::authz::CaptureConsent;

use super::{page_of_link, token};
use crate::http::authenticate::Anyone;
use crate::http::page::Language;
use crate::http::problem::Problem;
use crate::http::{body, form_body, negotiate};

/// The most bytes of a body: the one that is meant has 28, and multipart adds its frame.
const MOST_BYTES: usize = 4 * 1024;

/// Unsubscribes.
#[utoipa::path(
    post,
    path = "/unsubscribe/{token}",
    operation_id = "unsubscribe",
    tag = "persons",
    description = "One-click unsubscribe (RFC 8058): the body is exactly `List-Unsubscribe=One-Click`. It acts at once, needs no cookie, login or \
        confirmation and does not redirect. Again, it is answered alike and changes nothing. The page posts `action=list`, or `action=all` to \
        object to all marketing. Any other body is a 400 and changes nothing.",
    params(("token" = String, Path, description = "From the link", max_length = 259, pattern = "^u1_[A-Za-z0-9_-]+$")),
    request_body(
        description = "`List-Unsubscribe=One-Click`",
        content(
            (BTreeMap<String, String> = "application/x-www-form-urlencoded"),
            (BTreeMap<String, String> = "multipart/form-data"),
        ),
    ),
    responses((status = 200, description = "Unsubscribed", body = String, content_type = "text/html")),
)]
pub async fn handler(
    by: Anyone<CaptureConsent>,
    gateway: web::Data<Gateway>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let language = Language::of(negotiate::language(&request, &["en", "de"]).unwrap_or("en"));
    // A forged link is a forged link, whatever is posted to it.
    gateway.unsubscribe_link(&by.0, token(&request), language.tag())?;
    let what = wish(&request, payload).await?;
    gateway.unsubscribe(&by.0, token(&request), what).await?;
    let main = match what {
        Unsubscribing::AsTheLinkSays => language.say(
            "<p role=\"status\">You are unsubscribed. You will get no more of these mails.</p>\n",
            "<p role=\"status\">Sie sind abgemeldet. Sie erhalten diese E-Mails nicht mehr.</p>\n",
        ),
        Unsubscribing::FromAllMarketing => language.say(
            "<p role=\"status\">We have recorded your objection. You will get no more marketing from us.</p>\n",
            "<p role=\"status\">Ihr Widerspruch ist gespeichert. Sie erhalten keine Werbung mehr von uns.</p>\n",
        ),
    };
    Ok(page_of_link(language, language.say("Done", "Erledigt"), main))
}

/// What a body asks for. Whatever cannot be read for sure is not a click.
async fn wish(request: &HttpRequest, payload: web::Payload) -> Result<Unsubscribing, Problem> {
    let unclear = |_| Problem::of(Code::NotOneClick);
    let mut payload = payload.into_inner();
    let bytes = body::read(request, &mut payload, MOST_BYTES).await.map_err(unclear)?;
    let pairs = form_body::pairs(request, bytes).await.map_err(unclear)?;
    let [(name, value)] = pairs.as_slice() else { return Err(Problem::of(Code::NotOneClick)) };
    match (name.as_str(), value.as_str()) {
        ("List-Unsubscribe", "One-Click") | ("action", "list") => Ok(Unsubscribing::AsTheLinkSays),
        ("action", "all") => Ok(Unsubscribing::FromAllMarketing),
        _ => Err(Problem::of(Code::NotOneClick)),
    }
}
