//! `consentry openapi`: the document that a running gateway serves at `/openapi.json`.

use super::Outcome;
use super::output::say;

pub(super) fn run() -> anyhow::Result<Outcome> {
    say(serde_json::to_string_pretty(&crate::http::openapi::document())?);
    Ok(Outcome::Done)
}
