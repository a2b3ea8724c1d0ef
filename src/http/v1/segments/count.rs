//! `POST /v1/segments/count`: how many persons share some values. Rounded numbers of groups that are large enough, and
//! nothing that names anybody.

use std::collections::BTreeMap;

use actix_web::{HttpResponse, web};
use app::{Code, Fault, Gateway, MOST_GROUPED, Segment};
use kernel::attribute::AttributeName;
use kernel::authz::ReadProfiles;
use kernel::disclosure::{Group, GroupValue, ROUNDED_TO};
use kernel::purpose::Purpose;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use validator::Validate;

use crate::http::authenticate::Allowed;
use crate::http::bounded::Bounded;
use crate::http::json::Valid;
use crate::http::problem::Problem;

/// What is counted.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SegmentQuestion, example = json!({ "purpose": "profiling_segmentation", "attributes": ["age_band", "stage"] }))]
pub struct CountBody {
    /// What for.
    #[validate(length(max = 64, code = "too_long"))]
    #[schema(max_length = 64)]
    purpose: String,
    /// What persons are grouped by: attributes of the contract with one value of a closed list.
    #[schema(value_type = Vec<String>, min_items = 1, max_items = 4)]
    attributes: Bounded<String, 1, MOST_GROUPED>,
}

/// How many persons share what.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SegmentCount)]
pub(crate) struct CountedBody {
    /// What for.
    purpose: String,
    /// The policy that decided who counts.
    policy: String,
    /// When they were counted. Whoever asks again within an hour gets the same numbers.
    #[schema(format = DateTime)]
    counted_at: String,
    /// No group of fewer persons is told of.
    least: u64,
    /// Every number is rounded to a multiple of this.
    rounded_to: u64,
    /// About how many persons were counted; null where they are too few.
    #[schema(required = true)]
    persons: Option<u64>,
    /// The groups that are large enough.
    groups: Vec<GroupBody>,
    /// How many groups are too small to tell of, or would give one of these away.
    groups_withheld: u64,
}

/// Persons who share their values.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SegmentGroup)]
pub(crate) struct GroupBody {
    /// What they share; null: there is no value, or none that may be told.
    #[schema(value_type = std::collections::BTreeMap<String, serde_json::Value>)]
    attributes: BTreeMap<String, Option<ValueBody>>,
    /// About how many they are.
    persons: u64,
}

/// A value of a closed list.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum ValueBody {
    Label(String),
    Score(u16),
    Flag(bool),
}

impl From<Group> for GroupBody {
    fn from(group: Group) -> Self {
        let value = |value| match value {
            GroupValue::Label(label) => ValueBody::Label(label.to_string()),
            GroupValue::Score(score) => ValueBody::Score(score),
            GroupValue::Flag(flag) => ValueBody::Flag(flag),
        };
        let values = group.values.into_iter().map(|(name, shared)| (name.to_string(), shared.map(value)));
        Self { attributes: values.collect(), persons: group.persons }
    }
}

impl From<Segment> for CountedBody {
    fn from(segment: Segment) -> Self {
        Self {
            purpose: segment.purpose.to_string(),
            policy: segment.policy.to_string(),
            counted_at: segment.counted_at.to_string(),
            least: segment.least,
            rounded_to: ROUNDED_TO,
            persons: segment.statistics.persons,
            groups: segment.statistics.groups.into_iter().map(GroupBody::from).collect(),
            groups_withheld: segment.statistics.withheld,
        }
    }
}

/// Counts a segment.
#[utoipa::path(
    post,
    path = "/v1/segments/count",
    operation_id = "count_segment",
    tag = "recipients",
    description = "How many of those whom the recipient may know for the purpose share which values: groups that are large enough, in rounded numbers, and \
        nothing that names a person. Counted at most once an hour for the same question. Recorded before the answer is written.",
    request_body = CountBody,
    responses((status = 200, description = "The numbers", body = CountedBody)),
)]
pub async fn handler(
    by: Allowed<ReadProfiles>,
    gateway: web::Data<Gateway>,
    body: Valid<CountBody>,
) -> Result<HttpResponse, Problem> {
    let purpose: Purpose =
        body.value.purpose.parse().map_err(|_| Problem::fault("/purpose", Code::UnknownPurpose))?;
    let mut faults = Vec::new();
    let mut attributes = Vec::new();
    for (at, name) in body.value.attributes.as_slice().iter().enumerate() {
        match name.parse::<AttributeName>() {
            Ok(name) => attributes.push(name),
            Err(_) => faults.push(Fault::at(format!("/attributes/{at}"), Code::UnknownAttribute)),
        }
    }
    if !faults.is_empty() {
        return Err(Problem::invalid(faults));
    }
    let segment = gateway.count_segment(&by.0, purpose, attributes).await?;
    Ok(HttpResponse::Ok().json(CountedBody::from(segment)))
}
