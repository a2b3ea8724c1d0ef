//! A rights request as officers see it.

use app::RightsRequestView;
use serde::Serialize;
use utoipa::ToSchema;

/// A data subject's request.
#[derive(Serialize, ToSchema)]
#[schema(as = RightsRequest, example = json!({
    "id": "0f1e2d3c4b5a69788796a5b4c3d2e1f0", "type": "erasure", "status": "completed", "outcome": "erased",
    "received_at": "2026-11-22T18:30:00Z", "completed_at": "2026-11-22T18:30:00.120Z"
}))]
pub struct RightsRequestBody {
    /// Its name.
    pub id: String,
    /// `access`, `erasure`, `restriction` or `restriction_lift`.
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    pub kind: &'static str,
    /// Where it stands.
    #[schema(value_type = String)]
    pub status: &'static str,
    /// What came of it: `provided`, `erased`, `restricted`, `lifted` or `not_held`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    pub outcome: Option<&'static str>,
    /// Why the processing was restricted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    pub ground: Option<&'static str>,
    /// When it was received.
    #[schema(format = DateTime)]
    pub received_at: String,
    /// When it was completed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, format = DateTime, required = false)]
    pub completed_at: Option<String>,
    /// For access: everything that is held.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Object, required = false)]
    pub document: Option<serde_json::Value>,
}

impl std::fmt::Debug for RightsRequestBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RightsRequestBody").field("id", &self.id).finish_non_exhaustive()
    }
}

impl From<RightsRequestView> for RightsRequestBody {
    fn from(view: RightsRequestView) -> Self {
        Self {
            id: view.id.to_string(),
            kind: view.kind.as_str(),
            status: view.status,
            outcome: view.outcome,
            ground: view.ground.map(kernel::consent::RestrictionGround::as_str),
            received_at: view.received_at.to_string(),
            completed_at: view.completed_at.map(|at| at.to_string()),
            document: view.document,
        }
    }
}
