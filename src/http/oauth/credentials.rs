//! A form that a client sends about tokens, and how it proves itself with it: in exactly one way. Every parameter counts
//! once.

use actix_web::http::header::AUTHORIZATION;
use actix_web::{HttpRequest, web};
use app::ClientProof;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::MOST_BYTES;
use super::denial::Denial;
use crate::http::problem::Problem;
use crate::http::{body, urlencoded};

/// What a client that signs says it did (RFC 7523 §2.2).
pub(in crate::http) const BY_ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The parameters of a request: none is empty and none is there twice. Secrets are among them: no `Debug`.
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// A form with its client.
pub(super) struct ClientForm {
    pub(super) proof: ClientProof,
    pub(super) parameters: Parameters,
}

/// Reads a form.
pub(super) async fn read(
    request: &HttpRequest,
    payload: web::Payload,
) -> Result<Result<ClientForm, Denial>, Problem> {
    let bytes = body::read(request, &mut payload.into_inner(), MOST_BYTES).await?;
    Ok(parse(request, &bytes))
}

/// A token that a client asks about or takes back.
pub(super) struct TokenForm {
    pub(super) proof: ClientProof,
    pub(super) token: String,
}

/// Reads a form about a token (RFC 7662 §2.1, RFC 7009 §2.1).
pub(super) async fn read_token(
    request: &HttpRequest,
    payload: web::Payload,
) -> Result<Result<TokenForm, Denial>, Problem> {
    let about = |form: ClientForm| {
        let token = form.parameters.get("token").map(str::to_owned);
        let token = token.ok_or_else(|| Denial::invalid_request("`token` is missing"))?;
        Ok(TokenForm { proof: form.proof, token })
    };
    Ok(read(request, payload).await?.and_then(about))
}

fn parse(request: &HttpRequest, bytes: &[u8]) -> Result<ClientForm, Denial> {
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
    let proof = proof(basic(request)?, &parameters)?;
    Ok(ClientForm { proof, parameters })
}

/// The credentials of HTTP Basic, form-urlencoded inside (RFC 6749 §2.3.1).
fn basic(request: &HttpRequest) -> Result<Option<(String, String)>, Denial> {
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
    read().map(Some).ok_or(Denial::invalid_client())
}

fn proof(basic: Option<(String, String)>, parameters: &Parameters) -> Result<ClientProof, Denial> {
    let (id, secret) = (parameters.get("client_id"), parameters.get("client_secret"));
    let (kind, assertion) = (parameters.get("client_assertion_type"), parameters.get("client_assertion"));
    let ways = [basic.is_some(), secret.is_some(), kind.is_some() || assertion.is_some()];
    if ways.into_iter().filter(|way| *way).count() > 1 {
        return Err(Denial::invalid_request("prove the client in one way, not in two"));
    }
    if let Some((client, secret)) = basic {
        return match id {
            Some(id) if id != client => Err(Denial::invalid_request("two clients are named")),
            _ => Ok(ClientProof::Secret { client, secret: secret.into() }),
        };
    }
    match (id, secret, kind, assertion) {
        (Some(id), Some(secret), None, None) => {
            Ok(ClientProof::Secret { client: id.to_owned(), secret: secret.to_owned().into() })
        }
        (id, None, Some(BY_ASSERTION), Some(assertion)) => {
            Ok(ClientProof::Assertion { client: id.map(str::to_owned), assertion: assertion.to_owned() })
        }
        (_, None, Some(_), _) => Err(Denial::invalid_request("that kind of assertion is not supported")),
        (_, None, None, Some(_)) => Err(Denial::invalid_request("`client_assertion_type` is missing")),
        _ => Err(Denial::invalid_client()),
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
        let form = parse(&request.to_http_request(), form.as_bytes()).map_err(|denial| denial.error)?;
        Ok(match form.proof {
            ClientProof::Secret { client, secret } => (client, secret.as_str().to_owned()),
            ClientProof::Assertion { client, assertion } => (client.unwrap_or_default(), assertion),
        })
    }

    #[test]
    fn a_client_proves_itself_in_exactly_one_way() {
        let own = Ok(("shop".to_owned(), "s:e+c".to_owned()));
        let header = format!("Basic {}", STANDARD.encode("shop:s%3Ae%2Bc"));
        let form = "grant_type=client_credentials";
        let by_assertion =
            format!("client_assertion_type={}&client_assertion=a.b.c", BY_ASSERTION.replace(':', "%3A"));
        assert_eq!(outcome(Some(&header), form), own);
        assert_eq!(outcome(Some(&header), &format!("{form}&client_id=shop")), own);
        assert_eq!(outcome(None, &format!("{form}&client_id=shop&client_secret=s%3Ae%2Bc")), own);
        assert_eq!(outcome(None, &by_assertion), Ok((String::new(), "a.b.c".to_owned())));
        assert_eq!(outcome(None, &format!("{by_assertion}&client_id=shop")).unwrap().0, "shop");
        for two in ["client_secret=x", "client_id=other", &by_assertion] {
            assert_eq!(outcome(Some(&header), &format!("{form}&{two}")), Err("invalid_request"), "{two}");
        }
        for bad in [
            &format!("client_id=shop&client_secret=x&{by_assertion}"),
            "client_assertion=a.b.c",
            "client_assertion_type=other&client_assertion=a.b.c",
        ] {
            assert_eq!(outcome(None, bad), Err("invalid_request"), "{bad}");
        }
        assert_eq!(outcome(None, form), Err("invalid_client"));
        assert_eq!(outcome(Some("Basic ???"), form), Err("invalid_client"));
        assert_eq!(outcome(Some("Bearer x"), form), Err("invalid_client"));
    }

    #[test]
    fn a_form_that_is_not_clear_is_refused() {
        let header = format!("Basic {}", STANDARD.encode("shop:x"));
        for bad in ["grant_type=client_credentials&scope=a&scope=b", "a=%ff"] {
            assert_eq!(outcome(Some(&header), bad).unwrap_err(), "invalid_request");
        }
    }
}
