//! Whether a form may ask a person again.

pub mod ask;
pub mod lookup;
pub mod preflight;

use app::PromptAsk;
use serde::Deserialize;
use utoipa::ToSchema;
use validator::Validate;

/// A transaction that the person began and that cannot be completed without what is asked (11 CCR §7028(b)).
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TriggerBody {
    /// What the person began.
    #[serde(rename = "type")]
    #[expect(dead_code, reason = "there is one, and it is named so that there can be others")]
    kind: TriggerKind,
    /// The name of the transaction in the system that carries it out: not kept.
    #[validate(length(min = 1, max = 128, code = "too_long"))]
    #[schema(min_length = 1, max_length = 128, example = "order-4711")]
    transaction: String,
}

/// What can be begun.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = PromptTrigger)]
pub enum TriggerKind {
    /// A transaction that requires the disclosure or use.
    TransactionRequires,
}

fn ask_of(purposes: Vec<String>, trigger: bool, prompting: bool) -> PromptAsk {
    PromptAsk { purposes, transaction_requires: trigger, prompting }
}
