//! `/console/sso`: to the identity provider and back.
//!
//! The cookie of a session is sent with nothing that another site begins, and so not with the way back either. What a sign-in
//! is known by is in a cookie of its own that is; the page that follows leads on from here, with the session's cookie.

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue, REFERRER_POLICY};
use actix_web::{HttpRequest, HttpResponse, web};
use app::{Code, Gateway, Shown, SsoAnswer, SsoDenial, SsoFinished, SsoFor, StaffFault, StaffStage};

use super::{Cookies, form, machine, put_cookie, put_wait, refuse, see, session, too_many_failures};
use crate::http::page::{self, escape};
use crate::http::problem::Problem;
use crate::http::urlencoded;

const REFRESH: HeaderName = HeaderName::from_static("refresh");

/// Goes to the identity provider.
#[utoipa::path(
    post,
    path = "/console/sso",
    operation_id = "begin_sso",
    tag = "staff",
    description = "Leads to the identity provider: `for=sign_in`; `for=join` with `link`, the token of a one-time link; or, signed in, \
        `for=link` with `password` and `code`, to be let in by that account from then on.",
    request_body(content((BTreeMap<String, String> = "application/x-www-form-urlencoded"), (BTreeMap<String, String> = "multipart/form-data"))),
    responses(
        (status = 303, description = "On to the provider, or to the sign-in", headers(("Set-Cookie" = Option<String>))),
        (status = 403, description = "The form was not opened here, or password or code are wrong", body = String, content_type = "text/html"),
        (status = 404, description = "There is no identity provider, or no such link", body = String, content_type = "text/html"),
        (status = 422, description = "The form says nothing that there is", body = String, content_type = "text/html"),
        (status = 429, description = "Too many failures", body = String, content_type = "text/html", headers(("Retry-After" = u64))),
        (status = 503, description = "The provider does not answer", body = String, content_type = "text/html"),
    ),
)]
pub async fn begin(
    gateway: web::Data<Gateway>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let form = match form(&gateway, &request, payload, &["for", "link", "password", "code"]).await {
        Ok(form) => form,
        Err(problem) => return refuse(&request, problem),
    };
    let machine = machine(&gateway, &request);
    let session = session(&request)?;
    let what = match (form.get("for"), &session) {
        ("sign_in", _) => SsoFor::SigningIn,
        ("join", _) => SsoFor::Joining(form.get("link")),
        ("link", Some(session)) if session.stage() == StaffStage::Full => {
            SsoFor::Linking(session, Shown { password: form.get("password"), code: form.get("code") }, &machine)
        }
        ("link", _) => return Ok(see("/console/login")),
        _ => return refuse(&request, Problem::fault("/for", Code::InvalidField)),
    };
    match gateway.begin_sso(what).await {
        Ok(begun) => {
            let mut response = see(&begun.url);
            put_cookie(&mut response, &Cookies::of(&gateway).set_sso(&begun.cookie));
            Ok(response)
        }
        Err(denial) => denied(&request, denial),
    }
}

/// Comes back from the identity provider.
#[utoipa::path(
    get,
    path = "/console/sso/callback",
    operation_id = "finish_sso",
    tag = "staff",
    description = "Where the identity provider leads back to: with the `state` of a sign-in that this browser began within ten minutes, \
        and a code, once. Other parameters are the provider's own business.",
    params(
        ("state" = Option<String>, Query, description = "What the sign-in is known by"),
        ("code" = Option<String>, Query, description = "What is exchanged for the provider's word"),
        ("iss" = Option<String>, Query, description = "Who answers (RFC 9207)"),
        ("error" = Option<String>, Query, description = "That the provider refused"),
    ),
    responses(
        (status = 200, description = "Signed in, or one step further", body = String, content_type = "text/html", headers(("Set-Cookie" = String))),
        (status = 303, description = "There is no identity provider"),
        (status = 403, description = "It does not count", body = String, content_type = "text/html"),
        (status = 404, description = "No such link", body = String, content_type = "text/html"),
        (status = 409, description = "The account is somebody else's, or the name is taken", body = String, content_type = "text/html"),
        (status = 503, description = "The provider does not answer", body = String, content_type = "text/html"),
    ),
)]
pub async fn finish(gateway: web::Data<Gateway>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    if gateway.provider_label().is_none() {
        return Ok(see("/console/login"));
    }
    let cookies = Cookies::of(&gateway);
    let pairs = urlencoded::pairs(request.query_string().as_bytes()).unwrap_or_default();
    let cookie = cookies.sso(request.headers()).unwrap_or_default();
    let outcome = match (once(&pairs, "state"), once(&pairs, "code"), once(&pairs, "iss"), once(&pairs, "error")) {
        (Ok(state), Ok(code), Ok(issuer), Ok(error)) => {
            let code = code.filter(|_| error.is_none());
            let answer = SsoAnswer { state: state.unwrap_or_default(), code, issuer };
            gateway.finish_sso(cookie, answer, &machine(&gateway, &request)).await
        }
        _ => Err(SsoDenial::NotOurs),
    };
    let mut response = match outcome {
        Ok(SsoFinished::Began(grant, device)) => {
            let mut response = lead_on(match grant.stage {
                StaffStage::Full => "/console",
                StaffStage::SecondFactor => "/console/second-factor",
                StaffStage::Enrolling => "/console/authenticator",
            });
            put_cookie(&mut response, &cookies.set_session(&grant.token));
            if let Some(device) = device {
                put_cookie(&mut response, &cookies.set_device(&device));
            }
            response
        }
        Ok(SsoFinished::Linked) => lead_on("/console/account"),
        Err(denial) => denied(&request, denial)?,
    };
    put_cookie(&mut response, &cookies.end_sso());
    // The code is used up, and is nobody else's business nevertheless.
    response.headers_mut().insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    Ok(response)
}

/// A parameter that is there once, or not at all.
fn once<'a>(pairs: &'a [(String, String)], name: &str) -> Result<Option<&'a str>, ()> {
    let mut found = pairs.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str());
    match (found.next(), found.next()) {
        (found, None) => Ok(found),
        _ => Err(()),
    }
}

/// A page that leads on by itself: a redirect would still count as begun by the other site.
fn lead_on(place: &'static str) -> HttpResponse {
    let main = format!("<p><a href=\"{place}\">Go on</a></p>\n");
    let mut response = page::respond(StatusCode::OK, ("en", "Signed in with your provider"), &main, None);
    if let Ok(value) = HeaderValue::from_str(&format!("0; url={place}")) {
        response.headers_mut().insert(REFRESH, value);
    }
    response
}

fn denied(request: &HttpRequest, denial: SsoDenial) -> Result<HttpResponse, Problem> {
    let (code, words) = match denial {
        SsoDenial::NotOurs => (
            Code::SignInFailed,
            "This sign-in was not begun in this browser within the last ten minutes, or is over already.",
        ),
        SsoDenial::Refused => (
            Code::SignInFailed,
            "The account does not let you in here. Ask an administrator whether you are invited and linked to it.",
        ),
        SsoDenial::Taken => (Code::NameTaken, "The account, or its name, is somebody else's here."),
        SsoDenial::Unreachable => {
            (Code::ProviderUnreachable, "The identity provider does not answer. Try again soon.")
        }
        SsoDenial::Fault(StaffFault::Wait(seconds)) => {
            let text = too_many_failures(seconds);
            let mut response = failed(StatusCode::TOO_MANY_REQUESTS, &text);
            put_wait(&mut response, seconds);
            return Ok(response);
        }
        SsoDenial::Fault(StaffFault::Failed(error)) | SsoDenial::Failed(error) => {
            return refuse(request, error.into());
        }
        SsoDenial::Fault(_) => (Code::SignInFailed, "Password or code is wrong, or the code was used already."),
    };
    let problem = Problem::of(code);
    if !crate::http::negotiate::prefers_html(request) {
        return Err(problem);
    }
    Ok(failed(problem.status(), words))
}

fn failed(status: StatusCode, words: &str) -> HttpResponse {
    let main = format!(
        "<p role=\"alert\">{}</p>\n<p><a href=\"/console/login\">Back to the sign-in</a></p>\n",
        escape(words)
    );
    page::respond(status, ("en", "Not signed in"), &main, None)
}
