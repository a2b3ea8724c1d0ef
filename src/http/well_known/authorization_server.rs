//! `GET /.well-known/oauth-authorization-server`: what the token endpoint can do (RFC 8414), and nothing that it cannot.

use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpResponse, web};
use app::Gateway;
use kernel::authz::Scope;
use serde::Serialize;
use utoipa::ToSchema;

use super::CACHE;

/// Authorization server metadata (RFC 8414 §2).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuthorizationServer)]
pub struct AuthorizationServerBody {
    /// The issuer, exactly as in tokens.
    #[schema(format = "uri")]
    issuer: String,
    /// Where tokens are issued.
    #[schema(format = "uri")]
    token_endpoint: String,
    /// Where the keys are.
    #[schema(format = "uri")]
    jwks_uri: String,
    /// None: there is no authorization endpoint.
    response_types_supported: Vec<String>,
    /// How tokens are granted.
    grant_types_supported: Vec<String>,
    /// How clients prove themselves.
    token_endpoint_auth_methods_supported: Vec<String>,
    /// The scopes there are.
    scopes_supported: Vec<String>,
}

/// Publishes the metadata.
#[utoipa::path(
    get,
    path = "/.well-known/oauth-authorization-server",
    operation_id = "authorization_server",
    tag = "access",
    responses((status = 200, description = "Authorization server metadata (RFC 8414)", body = AuthorizationServerBody)),
)]
pub async fn handler(gateway: web::Data<Gateway>) -> HttpResponse {
    let issuer = &gateway.settings().issuer;
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    HttpResponse::Ok().insert_header((CACHE_CONTROL, CACHE)).json(AuthorizationServerBody {
        issuer: issuer.clone(),
        token_endpoint: format!("{issuer}/oauth/token"),
        jwks_uri: format!("{issuer}/.well-known/jwks.json"),
        response_types_supported: Vec::new(),
        grant_types_supported: texts(&["client_credentials"]),
        token_endpoint_auth_methods_supported: texts(&["client_secret_basic", "client_secret_post"]),
        scopes_supported: texts(&Scope::ALL.map(Scope::as_str)),
    })
}
