//! An explanation as one JSON document: the rule of the policy, what each regime asks and rests on, the event that counts,
//! the result, and what would change it.

use kernel::attribute::AttributeName;
use kernel::decision::explain::{Explanation, Question, RegimeFinding, explain};
use kernel::decision::{Ask, Refusal};
use kernel::policy::{PurposeRule, RecipientRule, ValidPolicy};
use kernel::recipient::RecipientId;
use kernel::time::Timestamp;
use serde_json::{Value as Json, json};

use super::{ExplainAsk, History};
use crate::error::{AppError, Code, Fault};
use crate::gateway::Gateway;

impl Gateway {
    pub(super) async fn explanation(
        &self,
        history: &History,
        policy: Option<&ValidPolicy>,
        ask: &ExplainAsk,
        now: Timestamp,
    ) -> Result<Json, AppError> {
        let at = ask.as_of.unwrap_or(now);
        let subject = history.row.id;
        let head = |recipient: Option<&RecipientId>| {
            json!({
                "subject": subject, "purpose": ask.purpose, "attribute": ask.attribute, "recipient": recipient,
                "as_of": at, "generated_at": now,
            })
        };
        // Whoever came later was not known then, and before the first policy nothing was decided.
        let Some(policy) = policy.filter(|_| history.known_since <= at) else {
            let nobody = result(Some(Refusal::NotFound));
            return Ok(joined([head(ask.recipient.as_ref()), nobody, json!({ "regimes": [], "event": null })]));
        };
        let recipient = recipient(policy, ask)?;
        let attributes = attributes(policy, ask, &recipient);
        let question_ask = Ask::new(policy, recipient.clone(), ask.purpose.clone(), attributes);
        let events = history.events();
        let question = Question { policy, subject, events: &events, ask: &question_ask, at };
        let explained = explain(&question);
        let event = match explained.event {
            Some(sequence) => self.decisive_event(history, sequence).await?,
            None => Json::Null,
        };
        let rule = policy.purpose(&ask.purpose).map(|rule| &**rule);
        let findings: Vec<_> = explained.regimes.iter().map(|finding| shown_finding(finding, rule)).collect();
        let considered = events.iter().filter(|event| event.received_at <= at).count();
        let mut parts = vec![
            head(Some(&recipient)),
            result(explained.refusal),
            json!({
                "policy": policy.version(),
                "rule": rule.map(shown_rule),
                "contract": policy.recipient(&recipient).map(|rule| shown_contract(rule)),
                "regimes": findings,
                "event": event,
                "events_considered": considered,
            }),
            outcome(&explained),
        ];
        if ask.as_of.is_none()
            && let Some(rule) = rule
        {
            let answer = self.prompt_answer(policy, rule, subject, &events, false, now).await?;
            parts.push(json!({ "may_prompt": answer }));
        }
        Ok(joined(parts))
    }

    /// The event that decided, with what was shown.
    async fn decisive_event(&self, history: &History, sequence: u32) -> Result<Json, AppError> {
        let found = history.entries.iter().find(|(_, event, _)| event.sequence == sequence);
        let Some((receipt, event, evidence)) = found else {
            return Ok(Json::Null);
        };
        let notice = match event.notice() {
            Some(digest) => self.inner.store.notice(&digest).await?.map(|notice| {
                json!({ "digest": digest, "id": notice.id, "version": notice.version, "locale": notice.locale })
            }),
            None => None,
        };
        let grant = event.grant.as_ref();
        Ok(json!({
            "sequence": event.sequence,
            "event": event.kind,
            "purpose": event.purpose,
            "captured_at": event.captured_at,
            "received_at": event.received_at,
            "receipt": receipt,
            "source": event.source,
            "notice": notice,
            "purpose_version": grant.map(|grant| grant.purpose_version),
            "assurance": grant.map(|grant| grant.assurance),
            "explicit": grant.map(|grant| grant.explicit),
            "controllers": grant.map(|grant| &grant.controllers),
            "action": evidence.as_ref().map(|evidence| evidence.action),
        }))
    }
}

/// The recipient that is asked about.
fn recipient(policy: &ValidPolicy, ask: &ExplainAsk) -> Result<RecipientId, AppError> {
    if let Some(recipient) = &ask.recipient {
        return Ok(recipient.clone());
    }
    let mut bound = policy.recipients().filter(|rule| rule.purposes.contains(&ask.purpose));
    match (bound.next(), bound.next()) {
        (Some(only), None) => Ok(only.id.clone()),
        _ => {
            let detail = "the purpose does not have exactly one recipient: name the recipient";
            Err(AppError::invalid(Fault::saying("/recipient", Code::MissingField, detail)))
        }
    }
}

fn attributes(policy: &ValidPolicy, ask: &ExplainAsk, recipient: &RecipientId) -> Vec<AttributeName> {
    if let Some(attribute) = &ask.attribute {
        return vec![attribute.clone()];
    }
    let serves =
        |name: &&AttributeName| policy.attribute(name).is_some_and(|rule| rule.purposes.contains(&ask.purpose));
    let contract = policy.recipient(recipient);
    contract.map(|rule| rule.attributes.iter().filter(serves).cloned().collect()).unwrap_or_default()
}

fn result(refusal: Option<Refusal>) -> Json {
    json!({
        "result": if refusal.is_none() { "permit" } else { "refuse" },
        "reason": refusal.map(Refusal::code),
        "in_words": in_words(refusal),
    })
}

fn outcome(explained: &Explanation) -> Json {
    let withheld: Vec<_> = explained
        .withheld
        .iter()
        .map(|(attribute, reason)| json!({ "attribute": attribute, "reason": reason.code() }))
        .collect();
    let changes: Vec<_> = explained
        .changes
        .iter()
        .map(|way| {
            let text: Vec<_> = way.iter().map(|step| step.describe()).collect();
            json!({ "steps": way, "in_words": text.join(" ") })
        })
        .collect();
    json!({
        "permitted": explained.permitted,
        "withheld": withheld,
        "what_would_change_it": changes,
        "changes_at": explained.changes_at,
    })
}

fn shown_rule(rule: &PurposeRule) -> Json {
    json!({
        "title": rule.title.as_str(),
        "version": rule.version,
        "last_breaking_version": rule.last_breaking_version,
        "validity": rule.validity.to_string(),
        "reask_after": rule.reask_after.to_string(),
        "assurance": rule.assurance,
        "direct_marketing": rule.direct_marketing,
        "sale_or_share": rule.sale_or_share,
        "sensitive": rule.sensitive,
        "bases": rule.bases,
    })
}

fn shown_contract(rule: &RecipientRule) -> Json {
    json!({ "name": rule.name, "role": rule.role, "controller": rule.controller, "country": rule.country })
}

fn shown_finding(finding: &RegimeFinding, rule: Option<&PurposeRule>) -> Json {
    json!({
        "regime": finding.regime,
        "mode": finding.mode.map(kernel::policy::Mode::as_str),
        "basis": finding.basis,
        "assurance_needed": rule.map(|rule| rule.assurance_needed(finding.regime)),
        "result": if finding.refusal.is_none() { "permit" } else { "refuse" },
        "reason": finding.refusal.map(Refusal::code),
        "event": finding.event,
    })
}

const fn in_words(refusal: Option<Refusal>) -> &'static str {
    let Some(refusal) = refusal else { return "Every regime that applies permits it." };
    match refusal {
        Refusal::NotFound => "The person was not known then.",
        Refusal::Restricted => "Processing is restricted (GDPR Art. 18).",
        Refusal::Objected => "The person objected to direct marketing (GDPR Art. 21).",
        Refusal::Minimisation => "The attribute is not for this purpose and recipient, or is never served.",
        Refusal::Recipient => "The recipient is not bound to this purpose.",
        Refusal::Minor => "A rule that protects minors is not met.",
        Refusal::Sensitive => "A rule for special categories or sensitive information is not met.",
        Refusal::NoConsent => "No consent was given.",
        Refusal::Pending => "The consent waits for its confirmation.",
        Refusal::Withdrawn => "The person took consent back.",
        Refusal::Refused => "The person said no.",
        Refusal::Expired => "The consent ran out.",
        Refusal::Reconsent => "The consent was given to an older version of the purpose.",
        Refusal::Invalid => "What was given is not consent in law.",
        Refusal::Controller => "The consent does not name the recipient's controller.",
        Refusal::Assurance => "It is not sure enough that the person acted.",
        Refusal::OptedOut => "The person opted out, by request, signal, limit or refusal.",
        Refusal::Retention => "The value is older than it may be kept.",
        Refusal::UnknownPurpose => "The policy has no such purpose.",
        Refusal::Forbidden => "The policy forbids it under the person's law.",
        Refusal::Unreadable => "The person's row cannot be read or verified.",
        Refusal::StaleThirdParty => "Another organisation collected the consent too long ago.",
        Refusal::RecipientNotDisclosed => "The notice that was shown did not name the recipient.",
        Refusal::AutomatedDecision => "The law's conditions for a decision by computer alone are not met.",
    }
}

/// The members of several objects in one.
fn joined(parts: impl IntoIterator<Item = Json>) -> Json {
    let mut whole = serde_json::Map::new();
    for part in parts {
        if let Json::Object(members) = part {
            whole.extend(members);
        }
    }
    Json::Object(whole)
}
