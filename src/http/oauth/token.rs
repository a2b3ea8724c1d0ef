//! `POST /oauth/token`: a client's secret for a short-lived access token (RFC 6749 §4.4). A client proves itself in one
//! way, and every parameter counts once.

use actix_web::http::StatusCode;
use actix_web::http::header::{AUTHORIZATION, CACHE_CONTROL, PRAGMA, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpRequest, HttpResponse, web};
use app::{Gateway, IssuedToken, TokenDenial};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::http::problem::Problem;
use crate::http::{body, urlencoded};

/// The most bytes of a token request.
const MOST_BYTES: usize = 64 * 1024;

/// A token request.
#[derive(Deserialize, ToSchema)]
#[schema(as = TokenRequest, example = json!({"grant_type": "client_credentials", "scope": "profiles:read"}))]
#[expect(dead_code, reason = "describes the form in the API document")]
pub(crate) struct TokenRequestBody {
    /// `client_credentials`
    #[schema(example = "client_credentials")]
    grant_type: String,
    /// Scopes and `purpose:<id>`, parted by spaces; all that the client may have, if absent.
    #[schema(nullable = false, max_length = 4096)]
    scope: Option<String>,
    /// The client, where it does not use Basic.
    #[schema(nullable = false, max_length = 64)]
    client_id: Option<String>,
    /// Its secret, where it does not use Basic.
    #[schema(nullable = false, max_length = 256)]
    client_secret: Option<String>,
}

/// An access token (RFC 6749 §5.1).
#[derive(Serialize, ToSchema)]
#[schema(as = Token, example = json!({
    "access_token": "eyJ0eXAiOiJhdCtqd3QiLCJhbGciOiJFZERTQSJ9.e30.c2ln", "token_type": "Bearer", "expires_in": 900,
    "scope": "profiles:read purpose:profiling_segmentation"
}))]
pub(crate) struct TokenBody {
    /// The token.
    access_token: String,
    /// `Bearer`
    #[schema(value_type = String)]
    token_type: &'static str,
    /// Its life in seconds.
    expires_in: u32,
    /// What was granted.
    scope: String,
}

/// Why no token is issued (RFC 6749 §5.2).
#[derive(Serialize, ToSchema)]
#[schema(as = TokenError, example = json!({"error": "invalid_client", "error_description": "the client is not known or its secret is wrong"}))]
pub(crate) struct TokenErrorBody {
    /// The code.
    #[schema(value_type = String, example = "invalid_client")]
    error: &'static str,
    /// In words.
    #[schema(value_type = String)]
    error_description: &'static str,
}

/// A denial on its way to the client.
#[derive(Debug)]
struct Denial {
    error: &'static str,
    detail: &'static str,
    status: StatusCode,
    /// Whether the client used Basic, and is challenged for it.
    is_basic: bool,
}

/// Issues a token.
#[utoipa::path(
    post,
    path = "/oauth/token",
    operation_id = "issue_token",
    tag = "access",
    description = "The client credentials grant. The client proves itself by HTTP Basic or by `client_id` and `client_secret` in the body, not by both.",
    params(("Authorization" = Option<String>, Header, description = "`Basic`, with client id and secret form-urlencoded")),
    request_body(content = TokenRequestBody, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "A token", body = TokenBody, headers(("Cache-Control" = String))),
        (status = 400, description = "The request is not one that is granted", body = TokenErrorBody),
        (status = 401, description = "The client is not known or its secret is wrong", body = TokenErrorBody, headers(("WWW-Authenticate" = Option<String>))),
    ),
)]
pub async fn handler(
    gateway: web::Data<Gateway>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let bytes = body::read(&request, &mut payload.into_inner(), MOST_BYTES).await?;
    let (basic, parameters) = match read(&request, &bytes) {
        Ok(read) => read,
        Err(denial) => return Ok(denial.respond()),
    };
    let grant = match grant(basic, &parameters) {
        Ok(grant) => grant,
        Err(denial) => return Ok(denial.respond()),
    };
    let issued = gateway.issue_token(&grant.client, &grant.secret, parameters.get("scope")).await;
    Ok(issued.map_or_else(|denial| Denial::of(denial, grant.is_basic).respond(), present))
}

fn present(token: IssuedToken) -> HttpResponse {
    HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).insert_header((PRAGMA, "no-cache")).json(
        TokenBody {
            access_token: token.access_token,
            token_type: "Bearer",
            expires_in: token.expires_in,
            scope: token.scope,
        },
    )
}

impl Denial {
    const fn invalid_request(detail: &'static str) -> Self {
        Self { error: "invalid_request", detail, status: StatusCode::BAD_REQUEST, is_basic: false }
    }

    const fn invalid_client(is_basic: bool) -> Self {
        let detail = "the client is not known or its secret is wrong";
        Self { error: "invalid_client", detail, status: StatusCode::UNAUTHORIZED, is_basic }
    }

    const fn of(denial: TokenDenial, is_basic: bool) -> Self {
        match denial {
            TokenDenial::InvalidClient => Self::invalid_client(is_basic),
            TokenDenial::InvalidScope => {
                let detail = "the client does not have the scope or purpose";
                Self { error: "invalid_scope", detail, status: StatusCode::BAD_REQUEST, is_basic }
            }
            TokenDenial::Unavailable => {
                let (error, detail) = ("temporarily_unavailable", "the service is not available now");
                Self { error, detail, status: StatusCode::SERVICE_UNAVAILABLE, is_basic }
            }
        }
    }

    fn respond(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        response.insert_header((CACHE_CONTROL, "no-store")).insert_header((PRAGMA, "no-cache"));
        if self.status == StatusCode::UNAUTHORIZED && self.is_basic {
            response.insert_header((WWW_AUTHENTICATE, "Basic realm=\"consentry\", charset=\"UTF-8\""));
        } else if self.status == StatusCode::UNAUTHORIZED {
            // RFC 9110 §15.5.2: a 401 always challenges.
            response.insert_header((WWW_AUTHENTICATE, "Basic realm=\"consentry\""));
        }
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.insert_header((RETRY_AFTER, "1"));
        }
        response.json(TokenErrorBody { error: self.error, error_description: self.detail })
    }
}

/// The parameters of a request: none is empty and none is there twice.
#[derive(Debug)]
struct Parameters(Vec<(String, String)>);

impl Parameters {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// A client's name and secret.
type Credentials = (String, String);

/// What a client wants, and how it proves itself.
struct Grant {
    client: String,
    secret: String,
    is_basic: bool,
}

fn read(request: &HttpRequest, bytes: &[u8]) -> Result<(Option<Credentials>, Parameters), Denial> {
    if body::media_type(request).as_deref() != Some("application/x-www-form-urlencoded") {
        return Err(Denial::invalid_request("send `application/x-www-form-urlencoded`"));
    }
    let pairs = urlencoded::pairs(bytes).map_err(|_| Denial::invalid_request("the form cannot be read"))?;
    let is_repeated = |at: usize, name: &str| pairs.iter().take(at).any(|(before, _)| before == name);
    if pairs.iter().enumerate().any(|(at, (name, _))| is_repeated(at, name)) {
        return Err(Denial::invalid_request("a parameter is there twice"));
    }
    // RFC 6749 §3.2: a parameter without a value is as if it were not there.
    let parameters = Parameters(pairs.into_iter().filter(|(_, value)| !value.is_empty()).collect());
    Ok((basic(request)?, parameters))
}

/// The credentials of HTTP Basic, form-urlencoded inside (RFC 6749 §2.3.1).
fn basic(request: &HttpRequest) -> Result<Option<Credentials>, Denial> {
    let mut headers = request.headers().get_all(AUTHORIZATION);
    let Some(header) = headers.next() else { return Ok(None) };
    if headers.next().is_some() {
        return Err(Denial::invalid_request("several credentials were sent"));
    }
    let read = || {
        let (scheme, encoded) = header.to_str().ok()?.split_once(' ')?;
        let bytes = scheme.eq_ignore_ascii_case("basic").then(|| STANDARD.decode(encoded.trim()).ok())??;
        let at = bytes.iter().position(|byte| *byte == b':')?;
        let (client, secret) = bytes.split_at(at);
        let decode = |text: &[u8]| urlencoded::decode(text, true).ok();
        Some((decode(client)?, decode(secret.get(1..)?)?))
    };
    read().map(Some).ok_or(Denial::invalid_client(true))
}

fn grant(basic: Option<Credentials>, parameters: &Parameters) -> Result<Grant, Denial> {
    let (id, secret) = (parameters.get("client_id"), parameters.get("client_secret"));
    let grant = match (basic, id, secret) {
        (Some(_), _, Some(_)) => return Err(Denial::invalid_request("prove the client in one way, not in two")),
        (Some((client, _)), Some(id), None) if client != id => {
            return Err(Denial::invalid_request("two clients are named"));
        }
        (Some((client, secret)), _, None) => Grant { client, secret, is_basic: true },
        (None, Some(id), Some(secret)) => {
            Grant { client: id.to_owned(), secret: secret.to_owned(), is_basic: false }
        }
        (None, _, _) => return Err(Denial::invalid_client(false)),
    };
    match parameters.get("grant_type") {
        Some("client_credentials") => Ok(grant),
        Some(_) => Err(Denial {
            error: "unsupported_grant_type",
            detail: "only `client_credentials` is granted",
            status: StatusCode::BAD_REQUEST,
            is_basic: grant.is_basic,
        }),
        None => Err(Denial::invalid_request("`grant_type` is missing")),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use actix_web::http::header::CONTENT_TYPE;
    use actix_web::test::TestRequest;

    use super::*;

    fn outcome(authorization: Option<&str>, form: &str) -> Result<(String, String), &'static str> {
        let mut request =
            TestRequest::default().insert_header((CONTENT_TYPE, "application/x-www-form-urlencoded"));
        if let Some(value) = authorization {
            request = request.insert_header((AUTHORIZATION, value));
        }
        let (basic, parameters) =
            read(&request.to_http_request(), form.as_bytes()).map_err(|denial| denial.error)?;
        grant(basic, &parameters).map(|grant| (grant.client, grant.secret)).map_err(|denial| denial.error)
    }

    #[test]
    fn a_client_proves_itself_in_exactly_one_way() {
        let own = Ok(("shop".to_owned(), "s:e+c".to_owned()));
        let header = format!("Basic {}", STANDARD.encode("shop:s%3Ae%2Bc"));
        let form = "grant_type=client_credentials";
        assert_eq!(outcome(Some(&header), form), own);
        assert_eq!(outcome(Some(&header), &format!("{form}&client_id=shop")), own);
        assert_eq!(outcome(None, &format!("{form}&client_id=shop&client_secret=s%3Ae%2Bc")), own);
        assert_eq!(outcome(Some(&header), &format!("{form}&client_secret=x")), Err("invalid_request"));
        assert_eq!(outcome(Some(&header), &format!("{form}&client_id=other")), Err("invalid_request"));
        assert_eq!(outcome(None, form), Err("invalid_client"));
        assert_eq!(outcome(Some("Basic ???"), form), Err("invalid_client"));
        assert_eq!(outcome(Some("Bearer x"), form), Err("invalid_client"));
    }

    #[test]
    fn a_request_that_is_not_clear_is_refused() {
        let header = format!("Basic {}", STANDARD.encode("shop:x"));
        let header = Some(header.as_str());
        assert_eq!(
            outcome(header, "grant_type=client_credentials&scope=a&scope=b").unwrap_err(),
            "invalid_request"
        );
        assert_eq!(outcome(header, "grant_type=password").unwrap_err(), "unsupported_grant_type");
        assert_eq!(outcome(header, "grant_type=").unwrap_err(), "invalid_request");
        assert_eq!(outcome(header, "a=%ff").unwrap_err(), "invalid_request");
    }
}
