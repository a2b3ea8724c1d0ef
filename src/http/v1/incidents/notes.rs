//! What is written down about an incident.

use app::{Code, IncidentNotes};
use kernel::incident::Risk;
use kernel::time::Timestamp;
use serde::Deserialize;
use utoipa::ToSchema;
use validator::Validate;

use crate::http::problem::Problem;

/// What is added to an incident. What is not there stays as it is.
#[derive(Default, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = IncidentNotes, example = json!({
    "effects": "Names of one purpose were matched with orders.", "measures": "The client was revoked.", "risk": "possible"
}))]
pub struct NotesBody {
    /// What came, or may come, of it.
    #[validate(length(min = 1, max = 4000, code = "too_long"))]
    #[schema(min_length = 1, max_length = 4000)]
    effects: Option<String>,
    /// What was done about it.
    #[validate(length(min = 1, max = 4000, code = "too_long"))]
    #[schema(min_length = 1, max_length = 4000)]
    measures: Option<String>,
    /// How likely harm is.
    risk: Option<RiskBody>,
    /// How many residents of California it touches.
    #[schema(maximum = 1000000000)]
    #[validate(range(max = 1_000_000_000, code = "invalid_field"))]
    california_residents: Option<u64>,
    /// Whether the data were unintelligible to whoever got them.
    data_encrypted: Option<bool>,
    /// The recipient at which it happened.
    #[validate(length(max = 64, code = "too_long"))]
    #[schema(max_length = 64)]
    recipient: Option<String>,
    /// When the authority was told.
    #[schema(value_type = Option<String>, format = DateTime)]
    authority_told_at: Option<Timestamp>,
    /// When the persons were told.
    #[schema(value_type = Option<String>, format = DateTime)]
    persons_told_at: Option<Timestamp>,
    /// When California's attorney general was told.
    #[schema(value_type = Option<String>, format = DateTime)]
    attorney_general_told_at: Option<Timestamp>,
    /// Why somebody was told late; needed then.
    #[validate(length(min = 1, max = 4000, code = "too_long"))]
    #[schema(min_length = 1, max_length = 4000)]
    late_reason: Option<String>,
}

impl std::fmt::Debug for NotesBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NotesBody(..)")
    }
}

/// How likely it is that persons come to harm.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = IncidentRisk)]
pub enum RiskBody {
    /// Unlikely.
    Unlikely,
    /// Possible.
    Possible,
    /// High.
    High,
}

impl NotesBody {
    /// The notes.
    ///
    /// # Errors
    /// 422 when the recipient's name is none.
    pub(super) fn into_notes(self) -> Result<IncidentNotes, Problem> {
        let recipient = self.recipient.map(|recipient| recipient.parse()).transpose();
        Ok(IncidentNotes {
            effects: self.effects,
            measures: self.measures,
            risk: self.risk.map(|risk| match risk {
                RiskBody::Unlikely => Risk::Unlikely,
                RiskBody::Possible => Risk::Possible,
                RiskBody::High => Risk::High,
            }),
            california_residents: self.california_residents,
            data_encrypted: self.data_encrypted,
            recipient: recipient.map_err(|_| Problem::fault("/recipient", Code::UnknownRecipient))?,
            authority_told_at: self.authority_told_at,
            persons_told_at: self.persons_told_at,
            attorney_general_told_at: self.attorney_general_told_at,
            late_reason: self.late_reason,
        })
    }
}
