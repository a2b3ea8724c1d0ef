//! `GET /forms/{form}`: a form ready to be filled in, in the words of the policy. No box is ticked beforehand (Planet49,
//! C-673/17), and its notice stands where the choice is made.

use std::fmt::Write as _;
use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::VARY;
use actix_web::{HttpRequest, HttpResponse, web};
use app::{Code, Gateway};
use kernel::attribute::{AttributeName, AttributeType};
use kernel::policy::{Audience, FormRule, NoticeText, ValidPolicy};

use super::{PURPOSE, SHOWING, rule};
use crate::http::page::{self, Language, escape};
use crate::http::problem::Problem;
use crate::http::query::Query;
use crate::http::{gpc, negotiate};

/// Shows a form.
#[utoipa::path(
    get,
    path = "/forms/{form}",
    operation_id = "show_form",
    tag = "persons",
    description = "A plain HTML form of the policy, with its current notice, that works without JavaScript.",
    params(
        ("form" = String, Path, description = "The form", example = "newsletter", max_length = 64, pattern = "^[a-z][a-z0-9_-]*$"),
        ("locale" = Option<String>, Query, description = "The language of the notice; else what `Accept-Language` likes best", example = "en", max_length = 35),
    ),
    responses((status = 200, description = "The form", body = String, content_type = "text/html")),
)]
pub async fn handler(gateway: web::Data<Gateway>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let rule = rule(&request, &gateway)?;
    let query = Query::of(&request, &["locale"])?;
    let policy = gateway.policy();
    let notice = notice(&policy, &rule, query.get("locale"), &request)?;
    let mut main = markup(&policy, &rule, &notice, &gateway.showing());
    if gpc::is_signalled(request.headers()) {
        main.push_str(&gpc::markup(Language::of(&notice.locale)));
    }
    let mut page = page::respond(
        StatusCode::OK,
        (&notice.locale, rule.title.in_locale(&notice.locale)),
        &main,
        rule.return_url.as_deref(),
    );
    page.headers_mut().insert(VARY, gpc::VARY_OF_PAGES);
    Ok(page)
}

/// The form's notice in the language asked for, or the best there is.
fn notice(
    policy: &ValidPolicy,
    rule: &FormRule,
    locale: Option<&str>,
    request: &HttpRequest,
) -> Result<Arc<NoticeText>, Problem> {
    let texts: Vec<&Arc<NoticeText>> =
        policy.notices().filter(|notice| notice.current && notice.id == rule.notice).collect();
    let in_locale =
        |locale: &str| texts.iter().find(|notice| notice.locale == locale).map(|notice| Arc::clone(notice));
    if let Some(locale) = locale {
        return in_locale(locale).ok_or_else(|| Problem::fault("/locale", Code::NoticeLocale));
    }
    let locales: Vec<&str> = texts.iter().map(|notice| notice.locale.as_str()).collect();
    negotiate::language(request, &locales)
        .or(Some("en"))
        .and_then(in_locale)
        .or_else(|| texts.first().map(|notice| Arc::clone(notice)))
        .ok_or_else(|| Problem::of(Code::UnknownForm))
}

fn markup(policy: &ValidPolicy, rule: &FormRule, notice: &NoticeText, showing: &str) -> String {
    let language = Language::of(&notice.locale);
    let mut main = String::new();
    let action = escape(rule.id.as_str());
    // Writing to a string cannot fail.
    let _ = writeln!(main, "<form method=\"post\" action=\"/forms/{action}\" accept-charset=\"utf-8\">");
    let digest = notice.digest.to_string();
    for (name, value) in [("notice", &*digest), ("locale", &notice.locale), (SHOWING, showing)] {
        let _ = writeln!(main, "<input type=\"hidden\" name=\"{name}\" value=\"{}\">", escape(value));
    }
    // The short layers come first, the whole text stands where the choice is made (GDPR Art. 12(1)).
    let is_for_children = rule.audience == Audience::Child;
    for layer in notice.child.iter().filter(|_| is_for_children).chain(&notice.short) {
        put_text(&mut main, layer);
    }
    for field in &rule.fields {
        put_field(&mut main, policy, field, &notice.locale);
    }
    let (legend, about) =
        (language.say("Your choice", "Ihre Auswahl"), language.say("What you agree to", "Worin Sie einwilligen"));
    let _ = writeln!(main, "<fieldset aria-describedby=\"notice\">\n<legend>{legend}</legend>");
    for purpose in &rule.purposes {
        let title = policy
            .purpose(purpose)
            .map_or_else(|| purpose.to_string(), |rule| rule.title.in_locale(&notice.locale).to_owned());
        let (id, title) = (escape(purpose.as_str()), escape(&title));
        let _ = writeln!(
            main,
            "<p><input type=\"checkbox\" id=\"{PURPOSE}{id}\" name=\"{PURPOSE}{id}\" value=\"give\"> \
             <label for=\"{PURPOSE}{id}\">{title}</label></p>"
        );
    }
    let _ = writeln!(main, "</fieldset>\n<section id=\"notice\" aria-label=\"{about}\">\n<h2>{about}</h2>");
    let objection = notice.objection.as_deref();
    put_text(&mut main, objection.and_then(|end| notice.text.strip_suffix(end)).unwrap_or(&notice.text));
    main.push_str("</section>\n");
    // Clearly and separately from any other information (GDPR Art. 21(4)).
    if let Some(objection) = objection {
        let right = language.say("Your right to object", "Ihr Widerspruchsrecht");
        let _ = writeln!(main, "<section id=\"objection\" aria-label=\"{right}\">\n<h2>{right}</h2>");
        put_text(&mut main, objection);
        main.push_str("</section>\n");
    }
    let submit = language.say("Send", "Absenden");
    let _ = writeln!(main, "<p><button type=\"submit\">{submit}</button></p>\n</form>");
    main
}

/// A text, paragraph by paragraph.
fn put_text(main: &mut String, text: &str) {
    for paragraph in text.split("\n\n").filter(|paragraph| !paragraph.trim().is_empty()) {
        let _ = writeln!(main, "<p>{}</p>", escape(paragraph.trim()).replace('\n', "<br>\n"));
    }
}

fn put_field(main: &mut String, policy: &ValidPolicy, field: &AttributeName, locale: &str) {
    let rule = policy.attribute(field);
    let title = rule.map_or_else(|| field.to_string(), |rule| rule.title.in_locale(locale).to_owned());
    let kind = rule.and_then(|rule| rule.stored);
    let (input, autocomplete) = match (field.as_str(), kind) {
        ("email", _) | (_, Some(AttributeType::Email)) => ("email", "email"),
        (_, Some(AttributeType::Date)) => ("date", "off"),
        (_, Some(AttributeType::Integer)) => ("number", "off"),
        ("first_name", _) => ("text", "given-name"),
        ("last_name", _) => ("text", "family-name"),
        _ => ("text", "off"),
    };
    let required = if field.as_str() == "email" { " required" } else { "" };
    let most = if input == "email" { 254 } else { 256 };
    let (id, title) = (escape(field.as_str()), escape(&title));
    let _ = writeln!(
        main,
        "<p><label for=\"{id}\">{title}</label> \
         <input type=\"{input}\" id=\"{id}\" name=\"{id}\" autocomplete=\"{autocomplete}\" maxlength=\"{most}\"{required}></p>"
    );
}
