//! `GET /.well-known/oauth-protected-resource`: where tokens for this API come from, and how they are presented (RFC 9728).

use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpResponse, web};
use app::Gateway;
use kernel::authn::SIGNING_ALGORITHMS;
use kernel::authz::Scope;
use serde::Serialize;
use utoipa::ToSchema;

use super::CACHE;

/// Protected resource metadata (RFC 9728 §2).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ProtectedResource)]
pub struct ProtectedResourceBody {
    /// The audience of tokens for this API.
    #[schema(format = "uri")]
    resource: String,
    /// Who issues them.
    authorization_servers: Vec<String>,
    /// The scopes there are.
    scopes_supported: Vec<String>,
    /// Where tokens are put: in the `Authorization` header alone.
    bearer_methods_supported: Vec<String>,
    /// The algorithms of proofs of possession.
    dpop_signing_alg_values_supported: Vec<String>,
}

/// Publishes the metadata.
#[utoipa::path(
    get,
    path = "/.well-known/oauth-protected-resource",
    operation_id = "protected_resource",
    tag = "access",
    responses((status = 200, description = "Protected resource metadata (RFC 9728)", body = ProtectedResourceBody)),
)]
pub async fn handler(gateway: web::Data<Gateway>) -> HttpResponse {
    let settings = gateway.settings();
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    HttpResponse::Ok().insert_header((CACHE_CONTROL, CACHE)).json(ProtectedResourceBody {
        resource: settings.audience.clone(),
        authorization_servers: vec![settings.issuer.clone()],
        scopes_supported: texts(&Scope::ALL.map(Scope::as_str)),
        bearer_methods_supported: texts(&["header"]),
        dpop_signing_alg_values_supported: texts(&SIGNING_ALGORITHMS),
    })
}
