//! Whether the gateway lives, and whether it can serve.

pub mod live;
pub mod ready;

use serde::Serialize;
use utoipa::ToSchema;

/// A state in one word.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Health)]
pub struct HealthBody {
    /// `live` or `ready`.
    #[schema(value_type = String, example = "ready")]
    status: &'static str,
    /// `not_configured`: confirmations are asked for and nobody delivers the mails; they wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false, example = "not_configured")]
    mail: Option<&'static str>,
}
