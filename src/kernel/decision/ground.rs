//! What a no leaves without a ground: attributes to forget (GDPR Art. 17(1)(b)), and those who are to be told
//! (C-129/21).

use std::collections::BTreeSet;

use super::objection::not_objected;
use crate::attribute::AttributeName;
use crate::consent::{ConsentEvent, EventKind, Standing};
use crate::policy::{Mode, PurposeRule, ValidPolicy};
use crate::purpose::Purpose;
use crate::recipient::RecipientId;
use crate::regime::Regime;
use crate::source::SourceId;
use crate::time::Timestamp;

/// Of some stored attributes those that were held on a consent that was taken back, and that no other purpose needs.
/// What is kept for a contract, a notice or another consent stays.
#[must_use]
pub fn unfounded<'n>(
    policy: &ValidPolicy,
    standing: &Standing,
    names: impl IntoIterator<Item = &'n str>,
    now: Timestamp,
) -> Vec<AttributeName> {
    if !standing.took_anything_back() {
        return Vec::new();
    }
    let rules = |purposes: &[Purpose]| -> Vec<&PurposeRule> {
        purposes.iter().filter_map(|purpose| policy.purpose(purpose)).map(AsRef::as_ref).collect()
    };
    let attributes = names.into_iter().filter_map(|name| name.parse().ok()).filter(|name| {
        policy.attribute(name).is_some_and(|attribute| {
            let purposes = rules(&attribute.purposes);
            purposes.iter().any(|rule| was_taken_back(standing, rule))
                && !purposes.iter().any(|rule| has_ground(standing, rule, now))
        })
    });
    attributes.collect()
}

/// Whether a consent to this purpose, or what stood in its place, was given and taken back.
fn was_taken_back(standing: &Standing, rule: &PurposeRule) -> bool {
    let needs_consent = |regime: &Regime| is_opt_in(rule.mode(*regime));
    let Some(known) = standing.purpose(&rule.id) else { return false };
    let was_given = known.confirmed.is_some()
        || known.soft.is_some()
        || known.implied.is_some()
        || known.requested_at.is_some();
    let withdrawn = known.withdrawn_at.is_some() || standing.withdrawn_all_at().is_some();
    let ended = withdrawn && standing.effective(&rule.id).is_none() || not_objected(standing, rule).is_err();
    was_given && ended && standing.regimes().iter().any(needs_consent)
}

/// Whether the purpose may still be pursued, whoever would ask.
fn has_ground(standing: &Standing, rule: &PurposeRule, now: Timestamp) -> bool {
    let denied = standing.denied_at(&rule.id);
    let given = standing.effective(&rule.id);
    let in_force = given.is_some_and(|grant| {
        let ended = grant.grant.valid_until.is_some_and(|end| now >= end);
        !ended && !rule.validity.are_over(grant.captured_at, now)
    });
    let waiting = |at: Timestamp| denied.is_none_or(|denied| at > denied);
    let known = standing.purpose(&rule.id);
    let asked = known.and_then(|known| known.requested_at).is_some_and(waiting);
    let stands_in = denied.is_none() && known.is_some_and(|known| known.soft.is_some() || known.implied.is_some());
    let permits = |regime: &Regime| match rule.mode(*regime) {
        Mode::Forbidden => false,
        Mode::Allowed => true,
        Mode::OptOut | Mode::LegitimateInterest => denied.is_none() || given.is_some(),
        Mode::OptIn | Mode::ExplicitOptIn | Mode::OptInOrSoft | Mode::OptInOrImplied => {
            in_force || asked || stands_in
        }
    };
    not_objected(standing, rule).is_ok() && standing.regimes().iter().all(permits)
}

const fn is_opt_in(mode: Mode) -> bool {
    matches!(mode, Mode::OptIn | Mode::ExplicitOptIn | Mode::OptInOrSoft | Mode::OptInOrImplied)
}

/// Somebody who has to be told that a consent was taken back.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Concerned {
    /// Receives for the purpose.
    Recipient(RecipientId),
    /// Collected the consent.
    Source(SourceId),
}

/// Who has to be told of a withdrawal or objection: up the chain whoever collected the consent, down the chain
/// everybody bound to the purpose whom the notice named. `standing` is that before the event; a no that ends nothing
/// concerns nobody.
#[must_use]
pub fn concerned(policy: &ValidPolicy, standing: &Standing, event: &ConsentEvent) -> Vec<(Purpose, Concerned)> {
    if !matches!(event.kind, EventKind::Withdrawn | EventKind::Objected) {
        return Vec::new();
    }
    let ends = |rule: &PurposeRule| match (&event.purpose, event.kind) {
        (Some(purpose), _) => purpose == &rule.id,
        (None, EventKind::Objected) => rule.direct_marketing,
        (None, _) => true,
    };
    let mut told = BTreeSet::new();
    for rule in policy.purposes().filter(|rule| ends(rule)) {
        let Some(grant) = standing.effective(&rule.id).filter(|_| not_objected(standing, rule).is_ok()) else {
            continue;
        };
        let named = grant.grant.notice.and_then(|digest| policy.notice(&digest));
        let receives = policy.recipients().filter(|recipient| {
            recipient.purposes.contains(&rule.id)
                && named.is_none_or(|notice| notice.recipients.contains(&recipient.id))
        });
        told.extend(receives.map(|recipient| (rule.id.clone(), Concerned::Recipient(recipient.id.clone()))));
        told.extend(grant.source.iter().map(|source| (rule.id.clone(), Concerned::Source(source.clone()))));
    }
    told.into_iter().collect()
}
