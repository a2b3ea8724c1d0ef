//! Who is asking: an access token, with the proof that it is bound to where it is, becomes an [`Actor`] before the handler, and an [`Allowed`] action in its first
//! parameter.
//!
//! [`Allowed`] is ready at once: among several extractors the first error that is ready wins, so an unauthorised
//! caller never learns what is wrong with the body. Where nothing authenticated, it refuses.

use std::future::{Ready, ready};

use actix_web::dev::{Payload, ServiceRequest};
use actix_web::http::header::{AUTHORIZATION, HeaderMap, HeaderName};
use actix_web::{FromRequest, HttpMessage as _, HttpRequest};
use app::{Gateway, PresentedProof, PresentedToken, RememberedReader};
use kernel::authz::{Action, Actor, Authorized, ReadProfiles};

use super::console;
use super::problem::Problem;

/// What came of the credentials.
#[derive(Clone)]
struct Outcome(Result<Actor, Problem>);

/// Keeps a caller who is remembered for [`Reader`], if there is one.
pub(super) fn remember(gateway: &Gateway, request: &ServiceRequest) -> Option<RememberedReader> {
    let token = presented(request.request()).ok()??;
    let reader = gateway.remembered_reader(&token)?;
    request.extensions_mut().insert(reader.clone());
    Some(reader)
}

/// Reads the credentials of a request and keeps what came of them for [`Allowed`].
pub(super) async fn authenticate(gateway: &Gateway, request: &HttpRequest) {
    let outcome = match presented(request) {
        Ok(Some(token)) => gateway.authenticate(token).await.map_err(Problem::from),
        Ok(None) if request.headers().contains_key(AUTHORIZATION) => Err(Problem::unauthenticated()),
        // Staff come with the cookie of their session.
        Ok(None) => match console::seated_actor(gateway, request).await {
            Ok(Some(actor)) => Ok(actor),
            Ok(None) => Err(Problem::unauthenticated()),
            Err(problem) => Err(problem),
        },
        Err(problem) => Err(problem),
    };
    request.extensions_mut().insert(Outcome(outcome));
}

/// Who was recognised, if somebody was.
pub(super) fn actor(request: &HttpRequest) -> Option<Actor> {
    request.extensions().get::<Outcome>().and_then(|outcome| outcome.0.as_ref().ok().cloned())
}

/// The header of a proof of possession (RFC 9449 §4.1).
const DPOP: HeaderName = HeaderName::from_static("dpop");

/// The one proof of possession of a request.
///
/// # Errors
/// When there are several, or one that cannot be read.
pub(super) fn dpop_proof(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let mut proofs = headers.get_all(&DPOP);
    match (proofs.next(), proofs.next()) {
        (None, _) => Ok(None),
        (Some(proof), None) => proof.to_str().map(Some).map_err(|_| Problem::invalid_possession()),
        (Some(_), Some(_)) => Err(Problem::invalid_possession()),
    }
}

/// The one token of a request, with its proof where it comes under the scheme of one (RFC 6750 §2.1, RFC 9449 §7.1).
fn presented(request: &HttpRequest) -> Result<Option<PresentedToken<'_>>, Problem> {
    let mut headers = request.headers().get_all(AUTHORIZATION);
    let Some(header) = headers.next() else { return Ok(None) };
    if headers.next().is_some() {
        // Two callers in one request: neither is believed.
        return Err(Problem::invalid_access_token());
    }
    let text = header.to_str().map_err(|_| Problem::invalid_access_token())?;
    let (scheme, token) = text.split_once(' ').unwrap_or((text, ""));
    let is_bound = scheme.eq_ignore_ascii_case("dpop");
    if !is_bound && !scheme.eq_ignore_ascii_case("bearer") {
        return Ok(None);
    }
    let token = token.trim_matches(' ');
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    if token.is_empty() || token.len() > 4096 || !token.bytes().all(plain) {
        return Err(Problem::invalid_access_token());
    }
    if !is_bound {
        return Ok(Some(PresentedToken { token, possession: None }));
    }
    let proof = dpop_proof(request.headers())?.ok_or_else(Problem::invalid_possession)?;
    let possession = PresentedProof { proof, method: request.method().as_str(), path: request.path() };
    Ok(Some(PresentedToken { token, possession: Some(possession) }))
}

/// A caller who may do `A`.
#[derive(Debug)]
pub struct Allowed<A: Action>(pub Authorized<A>);

impl<A: Action + 'static> FromRequest for Allowed<A> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Self::of(request))
    }
}

impl<A: Action> Allowed<A> {
    fn of(request: &HttpRequest) -> Result<Self, Problem> {
        let outcome = request.extensions().get::<Outcome>().cloned();
        match outcome {
            None => Err(Problem::unauthenticated()),
            Some(Outcome(Err(problem))) => Err(problem),
            Some(Outcome(Ok(actor))) => Authorized::prove(actor).map(Self).map_err(Problem::from),
        }
    }
}

/// A recipient's program that may read profiles: remembered, or authenticated just now.
#[derive(Debug)]
pub enum Reader {
    /// Remembered: whether that still holds is found out by the read.
    Remembered(RememberedReader),
    /// Authenticated.
    Proven(Allowed<ReadProfiles>),
}

impl Reader {
    /// Authenticates the caller unless that was done, and so finds out what is wrong if something is.
    ///
    /// # Errors
    /// When it may not read profiles.
    pub async fn proven(
        self,
        gateway: &Gateway,
        request: &HttpRequest,
    ) -> Result<Authorized<ReadProfiles>, Problem> {
        match self {
            Self::Proven(allowed) => Ok(allowed.0),
            Self::Remembered(_) => {
                authenticate(gateway, request).await;
                Allowed::of(request).map(|allowed| allowed.0)
            }
        }
    }
}

impl FromRequest for Reader {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let remembered = request.extensions().get::<RememberedReader>().cloned();
        ready(match remembered {
            Some(reader) => Ok(Self::Remembered(reader)),
            None => Allowed::of(request).map(Self::Proven),
        })
    }
}

/// A person without a login who may do `A` for themself.
#[derive(Debug)]
pub struct Anyone<A: Action>(pub Authorized<A>);

impl<A: Action + 'static> FromRequest for Anyone<A> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(_: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Authorized::prove(Actor::Person).map(Self).map_err(Problem::from))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use actix_web::test::TestRequest;
    use kernel::authz::CaptureConsent;

    use super::*;

    fn read(headers: &[&str]) -> Result<Option<String>, u16> {
        let mut request = TestRequest::default();
        for header in headers {
            request = request.append_header((AUTHORIZATION, *header));
        }
        let request = request.to_http_request();
        let read = presented(&request).map(|presented| presented.map(|presented| presented.token.to_owned()));
        read.map_err(|problem| problem.status().as_u16())
    }

    #[test]
    fn one_bearer_token_is_read_and_two_are_none() {
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&["Bearer a.b-c_d"]), Ok(Some("a.b-c_d".to_owned())));
        assert_eq!(read(&["bEaReR x"]), Ok(Some("x".to_owned())));
        assert_eq!(read(&["Basic Zm9v"]), Ok(None));
        assert_eq!(read(&["DPoP a"]), Err(401));
        for bad in [vec!["Bearer a", "Bearer b"], vec!["Bearer"], vec!["Bearer a b"], vec!["Bearer a, Bearer b"]] {
            assert_eq!(read(&bad), Err(401), "{bad:?}");
        }
    }

    #[actix_web::test]
    async fn without_authentication_nothing_that_needs_it_is_allowed() {
        let request = TestRequest::default().to_http_request();
        let refused = Allowed::<ReadProfiles>::extract(&request).await.unwrap_err();
        assert_eq!(refused.status(), 401);
        assert!(Allowed::<CaptureConsent>::extract(&request).await.is_err());
        assert!(Anyone::<CaptureConsent>::extract(&request).await.is_ok());
        assert!(Anyone::<ReadProfiles>::extract(&request).await.is_err());
    }
}
