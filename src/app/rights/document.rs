//! The person's copy as one JSON document (GDPR Art. 15(1) and (3)): everything held, in words and in full.

use std::collections::{BTreeMap, BTreeSet};

use kernel::consent::{ConsentEvent, EventKind, Evidence, GrantStanding, Standing};
use kernel::decision::permit_access;
use kernel::disclosure::PersonalCopy;
use kernel::id::{ReceiptId, SubjectId};
use kernel::notice::NoticeDigest;
use kernel::policy::{PurposeRule, ValidPolicy};
use kernel::seal::SubjectKey;
use kernel::time::Timestamp;
use serde_json::{Value as Json, json};
use store::StoreError;
use store::query::{ActRow, DisclosureRow, SubjectRow};

use crate::gateway::Gateway;
use crate::plain;

const DISCLOSURES: u32 = 500;

/// The answer to somebody of whom nothing is held: that, too, is an answer (GDPR Art. 15(1)).
pub(super) fn nothing_held(at: Timestamp) -> Json {
    json!({ "processing": false, "generated_at": at })
}

impl Gateway {
    /// Everything held of a person; `None` when nothing is.
    pub(super) async fn copy_document(
        &self,
        subject: SubjectId,
        at: Timestamp,
    ) -> Result<Option<Json>, StoreError> {
        let store = &self.inner.store;
        let Some(row) = store.rows_by_ids(&[subject]).await?.pop() else { return Ok(None) };
        let acts = store.consent_acts(subject).await?;
        let identifiers = store.fingerprints_of(subject).await?;
        let disclosures = self.disclosures_of(row.ordinal).await?;
        let opened = self.open_rows(&row, &acts, at)?;
        let notices = self.notices_of(&opened.events).await?;
        let policy = self.policy();
        let sources: BTreeSet<String> = opened
            .copy
            .attributes()
            .iter()
            .map(|attribute| attribute.source.to_string())
            .chain(opened.events.iter().filter_map(|(_, event, _)| event.source.as_ref().map(ToString::to_string)))
            .collect();
        Ok(Some(json!({
            "processing": true,
            "generated_at": at,
            "subject": subject,
            "identifiers": identifiers.iter().map(|(kind, _)| kind.as_str()).collect::<Vec<_>>(),
            "attributes": attributes(&opened.copy, &policy),
            "standing": standing(&opened.standing, &policy, at),
            "events": opened.events.iter().map(|(receipt, event, evidence)| {
                shown_event(*receipt, event, evidence.as_ref(), &notices)
            }).chain(expiries(&opened.standing, &policy, at)).collect::<Vec<_>>(),
            "sources": sources,
            "disclosures": self.by_recipient(&disclosures, subject, &policy),
            "controllers": policy.controllers().map(|(id, rule)| json!({
                "id": id, "name": rule.name, "address": rule.address, "contact": rule.contact,
                "data_protection_officer": rule.officer,
            })).collect::<Vec<_>>(),
            "rights": RIGHTS,
        })))
    }

    fn open_rows(&self, row: &SubjectRow, acts: &[ActRow], at: Timestamp) -> Result<Opened, StoreError> {
        let tampered = |_| StoreError::Tampered;
        let sealed = row.sealed();
        let key: SubjectKey = self.inner.keyring.unwrap_key(sealed.id, sealed.wrapped_key).map_err(tampered)?;
        let standing = key.open_standing(sealed.standing).map_err(tampered)?;
        let copy = PersonalCopy::open(permit_access(&standing, at), &key, &sealed).map_err(tampered)?;
        let mut events = Vec::new();
        for act in acts {
            let (opened, evidence) = key.open_act(act.first, &act.sealed).map_err(tampered)?;
            events.extend(opened.into_iter().map(|event| {
                // How somebody acted is told of what they stated, not of the facts that came with it.
                let evidence = evidence.clone().filter(|_| !event.kind.is_fact());
                (act.receipt, event, evidence)
            }));
        }
        Ok(Opened { standing, copy, events })
    }

    async fn disclosures_of(&self, ordinal: u64) -> Result<Vec<DisclosureRow>, StoreError> {
        let (mut rows, mut after) = (Vec::new(), None);
        loop {
            let page = self.inner.store.disclosures_of(ordinal, after, DISCLOSURES).await?;
            rows.extend(page.rows);
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(rows),
            }
        }
    }

    /// The wording of every notice that an event refers to.
    async fn notices_of(&self, events: &[OpenedEvent]) -> Result<BTreeMap<String, Json>, StoreError> {
        let digests: BTreeSet<_> = events.iter().filter_map(|(_, event, _)| notice_of(event)).collect();
        let mut notices = BTreeMap::new();
        for digest in digests {
            if let Some(notice) = self.inner.store.notice(&digest).await? {
                let shown = json!({
                    "id": notice.id, "version": notice.version, "locale": notice.locale, "text": notice.text,
                });
                notices.insert(digest.to_string(), shown);
            }
        }
        Ok(notices)
    }

    /// Who actually received what (GDPR Art. 15(1)(c); C-154/21), with the pseudonym it was given.
    fn by_recipient(&self, rows: &[DisclosureRow], subject: SubjectId, policy: &ValidPolicy) -> Json {
        let mut grouped: BTreeMap<_, Vec<&DisclosureRow>> = BTreeMap::new();
        for row in rows {
            grouped.entry((&row.recipient, &row.purpose)).or_default().push(row);
        }
        grouped
            .into_iter()
            .map(|((recipient, purpose), rows)| {
                let rule = policy.recipient(recipient);
                let attributes: BTreeSet<_> = rows.iter().flat_map(|row| &row.attributes).collect();
                let pseudonym = rule.map(|rule| {
                    self.inner.keyring.pseudonymiser(recipient, purpose, rule.epoch).of(subject).to_string()
                });
                json!({
                    "recipient": recipient,
                    "name": rule.map(|rule| rule.name.as_str()),
                    "role": rule.map(|rule| rule.role),
                    "country": rule.map(|rule| rule.country.as_str()),
                    "purpose": purpose,
                    "attributes": attributes,
                    "times": rows.len(),
                    "first_at": rows.iter().map(|row| row.at).min(),
                    "last_at": rows.iter().map(|row| row.at).max(),
                    "pseudonym": pseudonym,
                })
            })
            .collect()
    }
}

type OpenedEvent = (ReceiptId, ConsentEvent, Option<Evidence>);

struct Opened {
    standing: Standing,
    copy: PersonalCopy,
    events: Vec<OpenedEvent>,
}

fn attributes(copy: &PersonalCopy, policy: &ValidPolicy) -> Json {
    copy.attributes()
        .iter()
        .map(|attribute| {
            let rule = attribute.name.parse().ok().and_then(|name| policy.attribute(&name).cloned());
            json!({
                "name": attribute.name,
                "title": rule.as_ref().map(|rule| rule.title.as_str()),
                "category": rule.as_ref().map(|rule| rule.fideslang.as_str()),
                "ccpa_category": rule.as_ref().map(|rule| format!("1798.140(v)(1)({})", rule.ccpa)),
                "value": plain::shown(&attribute.value),
                "observed_at": attribute.observed_at,
                "kept_until": rule.as_ref().map(|rule| rule.retention.after(attribute.observed_at)),
                "source": attribute.source,
            })
        })
        .collect()
}

/// When a grant runs out: what was fixed at capture, or the policy's validity, whichever comes first.
fn end_of(grant: &GrantStanding, rule: &PurposeRule) -> Timestamp {
    let validity = rule.validity.after(grant.captured_at);
    grant.grant.valid_until.map_or(validity, |fixed| fixed.min(validity))
}

/// The grants that ran out, as events of the history. Nobody writes them down: an expiry is judged at the read.
fn expiries(standing: &Standing, policy: &ValidPolicy, at: Timestamp) -> Vec<Json> {
    policy
        .purposes()
        .filter_map(|rule| {
            let end = end_of(standing.effective(&rule.id)?, rule);
            (end <= at).then(|| {
                json!({
                    "event": EventKind::Expired, "purpose": rule.id, "captured_at": end, "received_at": end,
                    "computed": true,
                })
            })
        })
        .collect()
}

fn state(standing: &Standing, rule: &PurposeRule, at: Timestamp) -> &'static str {
    let known = standing.purpose(&rule.id);
    let withdrawn = known.and_then(|known| known.withdrawn_at).max(standing.withdrawn_all_at());
    let refused = known.and_then(|known| known.refused_at);
    match standing.effective(&rule.id) {
        Some(grant) if end_of(grant, rule) <= at => "expired",
        Some(_) => "given",
        None if withdrawn.is_some() && withdrawn >= refused => "withdrawn",
        None if refused.is_some() => "refused",
        None if known.is_some_and(|known| known.requested_at.is_some()) => "requested",
        None => "not_given",
    }
}

fn standing(standing: &Standing, policy: &ValidPolicy, at: Timestamp) -> Json {
    let purposes: Json = policy
        .purposes()
        .map(|rule| {
            let grant = standing.effective(&rule.id);
            let state = state(standing, rule, at);
            json!({
                "purpose": rule.id,
                "title": rule.title,
                "state": state,
                "given_at": grant.map(|grant| grant.captured_at),
                "notice": grant.and_then(|grant| grant.grant.notice),
                "explicit": grant.map(|grant| grant.grant.explicit),
                "assurance": grant.map(|grant| grant.grant.assurance),
                "valid_until": grant.map(|grant| end_of(grant, rule)),
            })
        })
        .collect();
    json!({
        "regimes": standing.regimes(),
        "assumed_regimes": standing.regimes().iter().filter(|regime| standing.assumes(**regime)).collect::<Vec<_>>(),
        "purposes": purposes,
        "objected_at": standing.objected_at(),
        "restricted_at": standing.restricted_at(),
        "opted_out_of_sale_at": standing.opted_out_of_sale(),
        "signal_received_at": standing.gpc_at(),
        "sensitive_use_limited_at": standing.limited_at(),
    })
}

fn notice_of(event: &ConsentEvent) -> Option<NoticeDigest> {
    event.grant.as_ref().and_then(|grant| grant.notice)
}

fn shown_event(
    receipt: ReceiptId,
    event: &ConsentEvent,
    evidence: Option<&Evidence>,
    notices: &BTreeMap<String, Json>,
) -> Json {
    let digest = notice_of(event).map(|digest| digest.to_string());
    json!({
        "sequence": event.sequence,
        "event": event.kind,
        "purpose": event.purpose,
        "captured_at": event.captured_at,
        "received_at": event.received_at,
        "receipt": receipt,
        "source": event.source,
        "regime": event.regime,
        "regime_source": event.regime_source,
        "birth": event.birth.map(shown_birth),
        "notice": digest.as_ref().map(|digest| json!({ "digest": digest, "shown": notices.get(digest) })),
        "purpose_version": event.grant.as_ref().map(|grant| grant.purpose_version),
        "explicit": event.grant.as_ref().map(|grant| grant.explicit),
        "assurance": event.grant.as_ref().map(|grant| grant.assurance),
        "controllers": event.grant.as_ref().map(|grant| &grant.controllers),
        "evidence": evidence.map(|evidence| json!({
            "action": evidence.action,
            "preselected": evidence.preselected,
            "presentation": evidence.presentation,
            "conditional_on_service": evidence.conditional_on_service,
            "options": evidence.options,
            "steps_accept": evidence.steps_accept,
            "steps_decline": evidence.steps_decline,
            "statement": evidence.statement,
            "locale": evidence.locale,
            "page": evidence.page,
        })),
    })
}

fn shown_birth(birth: kernel::subject::Birth) -> String {
    match birth {
        kernel::subject::Birth::Year(year) => year.to_string(),
        kernel::subject::Birth::Date(year, month, day) => format!("{year:04}-{month:02}-{day:02}"),
    }
}

/// GDPR Art. 15(1)(e) and (f).
const RIGHTS: &str = "You may ask for rectification, erasure or restriction, object to the processing, take consent \
    back at any time, and complain to the data protection authority where you live.";
