//! `GET /.well-known/oauth-authorization-server`: what the token endpoint can do (RFC 8414), and nothing that it cannot.

use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpResponse, web};
use app::Gateway;
use kernel::authn::SIGNING_ALGORITHMS;
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
    /// The algorithms with which clients sign for themselves.
    token_endpoint_auth_signing_alg_values_supported: Vec<String>,
    /// Where a token is asked about.
    #[schema(format = "uri")]
    introspection_endpoint: String,
    /// How clients prove themselves there.
    introspection_endpoint_auth_methods_supported: Vec<String>,
    /// The algorithms with which clients sign there.
    introspection_endpoint_auth_signing_alg_values_supported: Vec<String>,
    /// Where a token is taken back.
    #[schema(format = "uri")]
    revocation_endpoint: String,
    /// How clients prove themselves there.
    revocation_endpoint_auth_methods_supported: Vec<String>,
    /// The algorithms with which clients sign there.
    revocation_endpoint_auth_signing_alg_values_supported: Vec<String>,
    /// The algorithms of proofs of possession.
    dpop_signing_alg_values_supported: Vec<String>,
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
    let methods = ["client_secret_basic", "client_secret_post", "private_key_jwt"];
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    HttpResponse::Ok().insert_header((CACHE_CONTROL, CACHE)).json(AuthorizationServerBody {
        issuer: issuer.clone(),
        token_endpoint: format!("{issuer}/oauth/token"),
        jwks_uri: format!("{issuer}/.well-known/jwks.json"),
        response_types_supported: Vec::new(),
        grant_types_supported: texts(&["client_credentials"]),
        token_endpoint_auth_methods_supported: texts(&methods),
        token_endpoint_auth_signing_alg_values_supported: texts(&SIGNING_ALGORITHMS),
        introspection_endpoint: format!("{issuer}/oauth/introspect"),
        introspection_endpoint_auth_methods_supported: texts(&methods),
        introspection_endpoint_auth_signing_alg_values_supported: texts(&SIGNING_ALGORITHMS),
        revocation_endpoint: format!("{issuer}/oauth/revoke"),
        revocation_endpoint_auth_methods_supported: texts(&methods),
        revocation_endpoint_auth_signing_alg_values_supported: texts(&SIGNING_ALGORITHMS),
        dpop_signing_alg_values_supported: texts(&SIGNING_ALGORITHMS),
        scopes_supported: texts(&Scope::ALL.map(Scope::as_str)),
    })
}
