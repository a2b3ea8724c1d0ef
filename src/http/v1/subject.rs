//! A person, as callers name them in bodies.

use app::Code;
use kernel::identifier::{Identifier, IdentifierKind};
use serde::Deserialize;
use utoipa::ToSchema;
use validator::Validate;

use crate::http::problem::Problem;

/// Identifiers of one person: at least one.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"email": "anna@example.org"}))]
pub struct Subject {
    /// Email address.
    #[validate(length(max = 254, code = "too_long"))]
    #[schema(format = Email, max_length = 254)]
    pub email: Option<String>,
    /// The number under which a shop or CRM knows the person.
    #[validate(length(max = 128, code = "too_long"))]
    #[schema(min_length = 1, max_length = 128)]
    pub customer_id: Option<String>,
}

impl std::fmt::Debug for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Subject(..)")
    }
}

impl Subject {
    /// The one identifier that it names.
    ///
    /// # Errors
    /// 422 when there is none or several, or it is not one.
    pub fn identifier(&self, pointer: &str) -> Result<Identifier, Problem> {
        let (kind, text) = match (&self.email, &self.customer_id) {
            (Some(email), None) => (IdentifierKind::Email, email),
            (None, Some(customer)) => (IdentifierKind::CustomerId, customer),
            _ => return Err(Problem::fault(pointer, Code::InvalidIdentifier)),
        };
        Identifier::parse(kind, text)
            .map_err(|_| Problem::fault(format!("{pointer}/{}", kind.as_str()), Code::InvalidIdentifier))
    }
}
