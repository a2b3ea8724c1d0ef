//! The pages of the controller's own people: plain HTML that works without a script. A session is an opaque token in a
//! cookie that no other site can send; every form carries a secret that no other site can know (CSRF), and comes from here.

pub mod account;
pub mod authenticator;
mod cookie;
pub mod home;
pub mod join;
pub mod login;
pub mod second_factor;
pub mod sign_out;
pub mod sso;
pub mod staff;

use std::fmt;
use std::future::{Ready, ready};

use actix_web::body::BoxBody;
use actix_web::dev::{Payload, ServiceRequest};
use actix_web::http::StatusCode;
use actix_web::http::header::{
    CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, LOCATION, RETRY_AFTER, SET_COOKIE, USER_AGENT,
};
use actix_web::{FromRequest, HttpMessage as _, HttpRequest, HttpResponse, ResponseError, web};
use app::{Code, Gateway, Machine, SessionGrant, StaffSession, StaffStage};
use kernel::authz::Actor;
use zeroize::Zeroizing;

pub(super) use cookie::Cookies;

use super::page::{self, escape};
use super::problem::Problem;
use super::{body, form_body, negotiate, origin};

/// The most bytes of a form.
const MOST_BYTES: usize = 16 * 1024;
/// Where a program that has a session's cookie says the secret of its forms.
const X_CSRF_TOKEN: HeaderName = HeaderName::from_static("x-csrf-token");

/// The session that a request came with, if it goes on.
#[derive(Clone)]
struct Seat(Result<Option<StaffSession>, Problem>);

/// Finds the session of a request and keeps it for [`Seated`].
pub(super) async fn take_seat(gateway: &Gateway, request: &ServiceRequest) {
    let seat = match Cookies::of(gateway).session(request.headers()) {
        Some(token) => gateway.staff_session(token).await.map_err(Problem::from),
        None => Ok(None),
    };
    request.extensions_mut().insert(Seat(seat));
}

/// Who acts through a session's cookie on a path that programs use too: `None`, nobody. What is not merely read needs the
/// secret of the session's forms as well, so that no other site can have a browser ask for it.
pub(super) async fn seated_actor(gateway: &Gateway, request: &HttpRequest) -> Result<Option<Actor>, Problem> {
    let Some(token) = Cookies::of(gateway).session(request.headers()) else { return Ok(None) };
    let Some(session) = gateway.staff_session(token).await? else { return Ok(None) };
    let is_read = request.method().is_safe();
    let said = request.headers().get(&X_CSRF_TOKEN).and_then(|secret| secret.to_str().ok());
    if !is_read && !gateway.is_form_secret(token, said.unwrap_or_default()) {
        return Err(Problem::of(Code::FormNotOurs));
    }
    Ok(session.actor())
}

/// Somebody who is signed in.
#[derive(Debug)]
pub struct Seated(pub StaffSession);

/// Why somebody is not let in: they are sent to where they can sign in.
#[derive(Debug)]
pub enum Turned {
    /// To another page.
    To(&'static str),
    /// Something failed.
    Failed(Problem),
}

impl fmt::Display for Turned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("turned away")
    }
}

impl ResponseError for Turned {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::To(_) => StatusCode::SEE_OTHER,
            Self::Failed(problem) => problem.status(),
        }
    }

    fn error_response(&self) -> HttpResponse<BoxBody> {
        match self {
            Self::To(place) => see(place),
            Self::Failed(problem) => problem.response(None),
        }
    }
}

impl FromRequest for Seated {
    type Error = Turned;
    type Future = Ready<Result<Self, Turned>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(match session(request) {
            Err(problem) => Err(Turned::Failed(problem)),
            Ok(Some(session)) => match session.stage() {
                StaffStage::Full => Ok(Self(session)),
                StaffStage::SecondFactor => Err(Turned::To("/console/second-factor")),
                StaffStage::Enrolling => Err(Turned::To("/console/authenticator")),
            },
            Ok(None) => Err(Turned::To("/console/login")),
        })
    }
}

/// The session of a request, however far it goes.
fn session(request: &HttpRequest) -> Result<Option<StaffSession>, Problem> {
    request.extensions().get::<Seat>().map_or(Ok(None), |seat| seat.0.clone())
}

/// Another page, to be fetched.
fn see(place: &str) -> HttpResponse {
    let mut response = HttpResponse::SeeOther();
    if let Ok(place) = HeaderValue::from_str(place) {
        response.insert_header((LOCATION, place));
    }
    response.finish()
}

/// The page that follows on a session that was begun, with its cookie.
fn seat(gateway: &Gateway, grant: &SessionGrant) -> HttpResponse {
    let mut response = see(match grant.stage {
        StaffStage::Full => "/console",
        StaffStage::SecondFactor => "/console/second-factor",
        StaffStage::Enrolling => "/console/authenticator",
    });
    put_cookie(&mut response, &Cookies::of(gateway).set_session(&grant.token));
    response
}

fn put_cookie(response: &mut HttpResponse, cookie: &str) {
    if let Ok(cookie) = HeaderValue::from_str(cookie) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
}

/// The machine that a request came from.
fn machine(gateway: &Gateway, request: &HttpRequest) -> Machine {
    let told = request.headers().get(USER_AGENT).and_then(|agent| agent.to_str().ok());
    Machine {
        device: Cookies::of(gateway).device(request.headers()).map(str::to_owned),
        address: origin::peer(request),
        description: told.unwrap_or("unknown").to_owned(),
    }
}

/// The inputs of a form: each at most once, none that it does not have, and the right secret among them.
struct Form(Vec<(String, Zeroizing<String>)>);

impl Form {
    fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value.as_str())
    }
}

/// Reads a form that was opened here, by whoever has the cookie that its secret goes with.
async fn form(
    gateway: &Gateway,
    request: &HttpRequest,
    payload: web::Payload,
    names: &[&str],
) -> Result<Form, Problem> {
    let ours = || Problem::of(Code::FormNotOurs);
    if !origin::is_own_page(request, gateway)? {
        return Err(ours());
    }
    let bytes = body::read(request, &mut payload.into_inner(), MOST_BYTES).await?;
    let pairs = form_body::pairs(request, bytes).await?;
    for (at, (name, _)) in pairs.iter().enumerate() {
        if pairs.iter().take(at).any(|(before, _)| before == name) {
            return Err(Problem::fault(form_body::pointer(name), Code::Duplicate));
        }
        if name != "csrf" && !names.contains(&name.as_str()) {
            return Err(Problem::fault(form_body::pointer(name), Code::UnknownField));
        }
    }
    let form = Form(pairs.into_iter().map(|(name, value)| (name, Zeroizing::new(value))).collect());
    let cookies = Cookies::of(gateway);
    // A session's forms go with the session; before there is one, with a cookie of their own.
    let cookie = match session(request)? {
        Some(_) => cookies.session(request.headers()),
        None => cookies.form(request.headers()),
    };
    let is_ours = cookie.is_some_and(|cookie| gateway.is_form_secret(cookie, form.get("csrf")));
    if is_ours { Ok(form) } else { Err(ours()) }
}

/// A problem, as a page for whoever reads pages.
fn refuse(request: &HttpRequest, problem: Problem) -> Result<HttpResponse, Problem> {
    if !negotiate::prefers_html(request) {
        return Err(problem);
    }
    let mut response = page::problem(&problem, "en");
    response.extensions_mut().insert(problem);
    Ok(response)
}

/// A page for somebody who is not signed in, with the secret of its form.
fn outside(
    gateway: &Gateway,
    request: &HttpRequest,
    status: StatusCode,
    title: &str,
    main: impl FnOnce(&str) -> String,
) -> HttpResponse {
    let cookies = Cookies::of(gateway);
    let known = match session(request) {
        Ok(Some(_)) => cookies.session(request.headers()),
        _ => cookies.form(request.headers()),
    };
    let (cookie, is_new) = match known {
        Some(known) => (known.to_owned(), false),
        None => (gateway.fresh_token(), true),
    };
    let main = main(&secret_input(&gateway.form_secret(&cookie)));
    let mut response = page::respond(status, ("en", title), &main, None);
    if is_new {
        put_cookie(&mut response, &cookies.set_form(&cookie));
    }
    response
}

/// A page for somebody who is signed in.
fn inside(session: &StaffSession, status: StatusCode, title: &str, main: &str) -> HttpResponse {
    let staff = match session.role() {
        kernel::staff::Role::Administrator => " | <a href=\"/console/staff\">Staff</a>",
        _ => "",
    };
    let main = format!(
        "<nav aria-label=\"Console\"><a href=\"/console\">Console</a> | <a href=\"/console/account\">Your account</a>{staff}</nav>\n\
         {main}<form method=\"post\" action=\"/console/sign-out\">{}<p>Signed in as {} ({}). \
         <button type=\"submit\">Sign out</button></p></form>\n",
        secret_input(session.form_secret()),
        escape(session.name().as_str()),
        session.role(),
    );
    page::respond(status, ("en", title), &main, None)
}

/// Lets the forms of a page lead to the identity provider, if there is one.
fn allow_provider(gateway: &Gateway, response: &mut HttpResponse) {
    let origins = gateway.provider_origins();
    let policy = response.headers().get(CONTENT_SECURITY_POLICY).and_then(|policy| policy.to_str().ok());
    let Some(policy) = policy.filter(|_| !origins.is_empty()) else { return };
    let policy = policy.replace("form-action 'self'", &format!("form-action 'self' {}", origins.join(" ")));
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    }
}

/// The button that leads to the identity provider, if there is one.
fn provider_button(gateway: &Gateway, secret: &str, inputs: &str) -> String {
    let Some(label) = gateway.provider_label() else { return String::new() };
    format!(
        "<form method=\"post\" action=\"/console/sso\">{secret}\n{inputs}<p><button type=\"submit\">Go on with {}</button></p>\n</form>\n",
        escape(label)
    )
}

/// The input that makes a form one of ours.
fn secret_input(secret: &str) -> String {
    format!("<input type=\"hidden\" name=\"csrf\" value=\"{}\">", escape(secret))
}

/// What went wrong, said first and read out.
fn alert(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("<p role=\"alert\">{}</p>\n", escape(text)) }
}

/// A labelled input.
fn input(name: &str, label: &str, attributes: &str) -> String {
    format!(
        "<p><label for=\"{name}\">{label}</label><br><input id=\"{name}\" name=\"{name}\" {attributes} required></p>\n"
    )
}

/// Says when to try again.
fn put_wait(response: &mut HttpResponse, seconds: u64) {
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
}

/// What a page says to whoever failed too often.
fn too_many_failures(seconds: u64) -> String {
    format!("Too many failures. Try again in {seconds} seconds.")
}
