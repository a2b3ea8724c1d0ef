//! Plain HTML forms: they work in every browser, without script.

pub mod show;
pub mod submit;

use actix_web::HttpRequest;
use app::{Code, Gateway};
use kernel::form::FormId;
use kernel::policy::FormRule;
use std::sync::Arc;

use super::problem::Problem;

/// The policy's form that a path names.
fn rule(request: &HttpRequest, gateway: &Gateway) -> Result<Arc<FormRule>, Problem> {
    let name = request.match_info().get("form").unwrap_or_default();
    let form = name.parse::<FormId>().ok();
    let rule = form.and_then(|form| gateway.policy().form(&form).cloned());
    rule.ok_or_else(|| Problem::of(Code::UnknownForm))
}

/// The input that says which showing of the form this is.
const SHOWING: &str = "showing";
/// The prefix of the boxes that give consent.
const PURPOSE: &str = "purpose.";
