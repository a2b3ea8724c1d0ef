//! `POST /forms/{form}`: what a browser sends for a plain form. A ticked box gives, an empty one refuses, and what the
//! form does not declare is turned away whole.

use std::collections::BTreeMap;

use actix_web::http::StatusCode;
use actix_web::http::header::{LOCATION, VARY};
use actix_web::{HttpRequest, HttpResponse, web};
use app::{Choice, ChoiceKind, Code, ConsentPost, Fault, Gateway, Receipt, Who};
use bytes::Bytes;
use kernel::authz::CaptureConsent;
use kernel::consent::{Action, EventKind, Evidence, Presentation};
use kernel::policy::FormRule;

use super::{PURPOSE, SHOWING, rule};
use crate::http::authenticate::Anyone;
use crate::http::page::{self, Language, escape};
use crate::http::problem::Problem;
use crate::http::v1::consents::capture::ReceiptBody;
use crate::http::{body, form_body, gpc, idempotency, negotiate, origin};

/// The most bytes of a form.
const MOST_BYTES: usize = 64 * 1024;

/// Takes a form.
#[utoipa::path(
    post,
    path = "/forms/{form}",
    operation_id = "submit_form",
    tag = "persons",
    description = "Takes a plain HTML form. Its inputs are the form's declared fields, `notice` (the digest of the text shown), `locale`, \
        optionally `region`, the `showing` of the gateway's own page, and a checkbox `purpose.<id>` for each purpose: present gives consent, absent refuses it. A browser \
        that asks for `text/html` gets a page, or is sent to the form's return address.",
    params(
        ("form" = String, Path, description = "The form", example = "newsletter", max_length = 64, pattern = "^[a-z][a-z0-9_-]*$"),
        ("Sec-GPC" = Option<String>, Header, description = "Global Privacy Control: `1` opts out of sale and sharing", example = "1"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key again is answered again and done once", max_length = 257),
    ),
    request_body(
        description = "The form's inputs",
        content(
            (BTreeMap<String, String> = "application/x-www-form-urlencoded"),
            (BTreeMap<String, String> = "multipart/form-data"),
        ),
    ),
    responses(
        (status = 201, description = "Recorded", content((ReceiptBody = "application/json"), (String = "text/html"))),
        (status = 303, description = "Recorded; for browsers, where the form has a return address", headers(("Location" = String))),
    ),
)]
pub async fn handler(
    by: Anyone<CaptureConsent>,
    gateway: web::Data<Gateway>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let mut locale = negotiate::language(&request, &["en", "de"]).unwrap_or("en").to_owned();
    let result = submit(&by, &gateway, &request, payload, &mut locale).await;
    let mut response = match (result, negotiate::prefers_html(&request)) {
        (Ok((receipt, return_url)), true) => thanks(&receipt, return_url.as_deref(), &locale),
        (Ok((receipt, _)), false) => ReceiptBody::respond(receipt, Language::of(&locale)),
        (Err(problem), true) => page::problem(&problem, &locale),
        (Err(problem), false) => return Err(problem),
    };
    response.headers_mut().insert(VARY, gpc::VARY_OF_PAGES);
    Ok(response)
}

async fn submit(
    by: &Anyone<CaptureConsent>,
    gateway: &Gateway,
    request: &HttpRequest,
    payload: web::Payload,
    locale: &mut String,
) -> Result<(Receipt, Option<String>), Problem> {
    let rule = rule(request, gateway)?;
    origin::admit(request, gateway, Some(&rule.id))?;
    let mut payload = payload.into_inner();
    let bytes = body::read(request, &mut payload, MOST_BYTES).await?;
    let mut inputs = Inputs::read(request, bytes.clone()).await?;
    if let Some(chosen) = inputs.get("locale") {
        chosen.clone_into(locale);
    }
    let gpc = gpc::is_signalled(request.headers());
    let showing = inputs.take(SHOWING);
    let mut post = inputs.into_post(&rule, gateway)?;
    post.gpc = gpc;
    post.peer = origin::peer(request);
    let parts: [&[u8]; 2] = [&bytes, &[u8::from(gpc)]];
    post.idempotency = match (idempotency::of(request, gateway, "public", &parts)?, showing) {
        (Some(key), _) => Some(key),
        (None, Some(showing)) => Some(gateway.once(&showing, idempotency::content(request, gateway, &parts))?),
        (None, None) => None,
    };
    Ok((gateway.capture(&by.0, post).await?, rule.return_url.clone()))
}

/// The inputs of a form, by name.
struct Inputs(BTreeMap<String, String>);

impl Inputs {
    async fn read(request: &HttpRequest, bytes: Bytes) -> Result<Self, Problem> {
        let pairs = form_body::pairs(request, bytes).await?;
        let mut inputs = BTreeMap::new();
        let mut faults = Vec::new();
        for (name, value) in pairs {
            let pointer = form_body::pointer(&name);
            if value.chars().chain(name.chars()).any(char::is_control) {
                faults.push(Fault::at(pointer, Code::ControlCharacter));
            } else if inputs.insert(name, value).is_some() {
                faults.push(Fault::at(pointer, Code::Duplicate));
            }
        }
        if faults.is_empty() { Ok(Self(inputs)) } else { Err(Problem::invalid(faults)) }
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    /// A value that was filled in, taken out.
    fn take(&mut self, name: &str) -> Option<String> {
        let value = self.0.remove(name)?;
        let value = value.trim();
        (!value.is_empty()).then(|| value.to_owned())
    }

    fn into_post(mut self, rule: &FormRule, gateway: &Gateway) -> Result<ConsentPost, Problem> {
        let mut faults = Vec::new();
        let choices = self.take_choices(rule, &mut faults);
        let notice = match self.take("notice").map(|notice| notice.parse()) {
            Some(Ok(notice)) => Some(notice),
            Some(Err(_)) => {
                faults.push(Fault::at("/notice", Code::NoticeUnknown));
                None
            }
            None => {
                faults.push(Fault::at("/notice", Code::MissingField));
                None
            }
        };
        let (locale, region) = (self.take("locale").unwrap_or_default(), self.take("region"));
        let mut fields = BTreeMap::new();
        for field in &rule.fields {
            // One input says the region, whether the form keeps it as an attribute or not.
            let value = if field.as_str() == "region" { region.clone() } else { self.take(field.as_str()) };
            if let Some(value) = value {
                fields.insert(field.as_str().to_owned(), value);
            }
        }
        faults.extend(self.0.keys().map(|name| Fault::at(form_body::pointer(name), Code::UnknownField)));
        if !faults.is_empty() {
            return Err(Problem::invalid(faults));
        }
        Ok(ConsentPost {
            form: Some(rule.id.clone()),
            who: Who::Identified { email: fields.remove("email"), customer_id: fields.remove("customer_id") },
            notice,
            evidence: Some(evidence(&locale)),
            locale: Some(locale),
            region,
            captured_at: Some(gateway.now()),
            choices,
            requests: Vec::new(),
            fields,
            gpc: false,
            birth: None,
            peer: None,
            idempotency: None,
        })
    }

    fn take_choices(&mut self, rule: &FormRule, faults: &mut Vec<Fault>) -> Vec<Choice> {
        let mut choices = Vec::with_capacity(rule.purposes.len());
        for purpose in &rule.purposes {
            let choice = match self.0.remove(&format!("{PURPOSE}{purpose}")).as_deref() {
                None => ChoiceKind::Refuse,
                Some("give" | "on" | "yes" | "true" | "1") => ChoiceKind::Give,
                Some(_) => {
                    faults.push(Fault::at(format!("/{PURPOSE}{purpose}"), Code::InvalidField));
                    continue;
                }
            };
            choices.push(Choice { purpose: purpose.to_string(), choice, explicit: false, step: None });
        }
        let others: Vec<String> = self.0.keys().filter(|name| name.starts_with(PURPOSE)).cloned().collect();
        for name in others {
            faults.push(Fault::at(form_body::pointer(&name), Code::PurposeNotOnForm));
            self.0.remove(&name);
        }
        choices
    }
}

/// What the policy requires of every form, and therefore need not be believed of a post: empty boxes, a question that
/// stands by itself.
fn evidence(locale: &str) -> Evidence {
    Evidence {
        action: Action::CheckboxTicked,
        preselected: false,
        presentation: Presentation::Separate,
        conditional_on_service: false,
        options: Vec::new(),
        steps_accept: None,
        steps_decline: None,
        statement: None,
        locale: locale.to_owned(),
        page: None,
        mailbox: None,
    }
}

/// Tells a person that it was recorded.
fn thanks(receipt: &Receipt, return_url: Option<&str>, locale: &str) -> HttpResponse {
    if let Some(url) = return_url {
        return HttpResponse::SeeOther().insert_header((LOCATION, url)).finish();
    }
    let language = Language::of(locale);
    let mut main = format!(
        "<p>{}</p>\n<dl>\n<dt>{}</dt><dd>{}</dd>\n<dt>{}</dt><dd>{}</dd>\n</dl>\n",
        if receipt.replayed {
            language.say(
                "This form came before. Nothing was changed.",
                "Dieses Formular ist schon früher eingegangen. Es wurde nichts geändert.",
            )
        } else {
            language.say("Your choice was recorded.", "Ihre Auswahl wurde gespeichert.")
        },
        language.say("Receipt", "Beleg"),
        receipt.receipt,
        language.say(
            "Your withdrawal code: with it you can take your consent back at any time",
            "Ihr Widerrufscode: damit können Sie Ihre Einwilligung jederzeit widerrufen",
        ),
        escape(&receipt.withdrawal_token),
    );
    if !receipt.replayed && receipt.events.iter().any(|(event, _)| *event == EventKind::GrantRequested) {
        let next = language.say(
            "We send you an email now. Please open it and confirm: until then nothing counts as agreed.",
            "Wir senden Ihnen jetzt eine E-Mail. Bitte öffnen Sie sie und bestätigen Sie: bis dahin gilt nichts als \
             vereinbart.",
        );
        main.insert_str(0, &format!("<p>{next}</p>\n"));
    }
    if receipt.gpc_processed {
        main.push_str(&gpc::markup(language));
    }
    page::respond(StatusCode::CREATED, (language.tag(), language.say("Thank you", "Danke")), &main, None)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use actix_web::http::header::CONTENT_TYPE;
    use actix_web::test::TestRequest;

    use super::*;

    async fn read(kind: &str, text: &str) -> Result<Inputs, u16> {
        let request = TestRequest::default().insert_header((CONTENT_TYPE, kind)).to_http_request();
        Inputs::read(&request, Bytes::from(text.to_owned())).await.map_err(|problem| problem.status().as_u16())
    }

    #[actix_web::test]
    async fn both_encodings_say_the_same() {
        let urlencoded =
            read("application/x-www-form-urlencoded", "email=a%40b.example&purpose.x=on").await.unwrap();
        let multipart = read(
            "multipart/form-data; boundary=B",
            "--B\r\nContent-Disposition: form-data; name=\"email\"\r\n\r\na@b.example\r\n\
             --B\r\nContent-Disposition: form-data; name=\"purpose.x\"\r\n\r\non\r\n--B--\r\n",
        )
        .await
        .unwrap();
        assert_eq!(urlencoded.0, multipart.0);
        assert_eq!(urlencoded.get("email"), Some("a@b.example"));
    }

    #[actix_web::test]
    async fn what_cannot_be_read_for_sure_is_refused() {
        let form = "application/x-www-form-urlencoded";
        assert_eq!(read(form, "a=%00").await.err(), Some(422));
        assert_eq!(read(form, "a=1&a=2").await.err(), Some(422));
        assert_eq!(read(form, "a=%ff").await.err(), Some(400));
        assert_eq!(read("application/json", "{}").await.err(), Some(415));
        let file = "--B\r\nContent-Disposition: form-data; name=\"f\"; filename=\"x\"\r\n\r\nx\r\n--B--\r\n";
        assert_eq!(read("multipart/form-data; boundary=B", file).await.err(), Some(422));
    }
}
