//! The person's copy as one JSON document (GDPR Art. 15(1) and (3)): everything held, in words and in full.

use std::collections::{BTreeMap, BTreeSet};

use kernel::consent::{ConsentEvent, EventKind, Evidence, Standing};
use kernel::decision::expiry::{end_of, expiries};
use kernel::decision::permit_access;
use kernel::disclosure::PersonalCopy;
use kernel::id::{ReceiptId, SubjectId};
use kernel::policy::{PurposeRule, ValidPolicy};
use kernel::seal::SubjectKey;
use kernel::signal::SignalScope;
use kernel::time::Timestamp;
use serde_json::{Value as Json, json};
use store::StoreError;
use store::query::{ActRow, DisclosureRow, ImportedFrom, SubjectRow};

use crate::gateway::Gateway;
use crate::import::art14_due;
use crate::plain;
use crate::signal::opted_out_since;
use crate::subject::{OpenedEvent, open_acts};

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
        let identifiers = store.fingerprints_of(&self.inner.keyring, subject).await?;
        let disclosures = self.disclosures_of(row.ordinal).await?;
        let imports = store.imports_of(subject).await?;
        let opened = self.open_rows(&row, &acts, at)?;
        let notices = self.notices_of(&opened.events).await?;
        let wordings = self.wordings_of(&opened.events).await?;
        let told = store.recipient_notices(subject).await?;
        let policy = self.policy();
        let Some(history) = self.history(subject).await? else { return Ok(None) };
        let record = self.records(&history).await?;
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
            "events": shown_history(subject, &opened.events, (&notices, &wordings), &policy, at),
            "prompts": self.shown_prompts(subject).await?,
            "consent_record": record.document,
            "sources": sources,
            "imports": imported(&imports, &disclosures),
            "withdrawal_notices": told.iter().map(|notice| json!({
                "purpose": notice.purpose, "party": notice.party, "name": notice.name, "created_at": notice.created_at,
                "sent_at": notice.sent_at, "acknowledged_at": notice.acknowledged_at,
            })).collect::<Vec<_>>(),
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
        let events = open_acts(&key, acts)?;
        Ok(Opened { standing, copy, events })
    }

    pub(crate) async fn disclosures_of(&self, ordinal: u64) -> Result<Vec<DisclosureRow>, StoreError> {
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
    pub(crate) async fn notices_of(&self, events: &[OpenedEvent]) -> Result<BTreeMap<String, Json>, StoreError> {
        let digests: BTreeSet<_> = events.iter().filter_map(|(_, event, _)| event.notice()).collect();
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

    /// What every mail said that a confirmation rests on.
    pub(crate) async fn wordings_of(&self, events: &[OpenedEvent]) -> Result<BTreeMap<String, Json>, StoreError> {
        let proofs = events.iter().filter_map(|(_, _, evidence)| evidence.as_ref()?.mailbox.as_ref());
        let digests: BTreeSet<_> = proofs.map(|proof| proof.wording).collect();
        let mut wordings = BTreeMap::new();
        for digest in digests {
            if let Some((locale, text)) = self.inner.store.wording(&digest).await? {
                wordings.insert(digest.to_string(), json!({ "locale": locale, "text": text }));
            }
        }
        Ok(wordings)
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
                // The names that the recipient knew the person by, the latest first.
                let names = rule.map(|rule| {
                    let epochs: BTreeSet<_> = rows.iter().map(|row| rule.epochs.at(row.at)).collect();
                    let name = |epoch| self.inner.keyring.pseudonymiser(recipient, purpose, epoch).of(subject);
                    epochs.into_iter().rev().map(|epoch| name(epoch).to_string()).collect::<Vec<_>>()
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
                    "pseudonym": names.as_ref().and_then(|names| names.first()),
                    "pseudonyms": names,
                })
            })
            .collect()
    }
}

/// By which files the person's data came, and by when the person has to be told (GDPR Art. 14(3)): within a month, and
/// no later than the first disclosure, which every message to the person is, too.
fn imported(imports: &[ImportedFrom], disclosures: &[DisclosureRow]) -> Json {
    imports
        .iter()
        .map(|import| {
            let disclosed = disclosures.iter().map(|row| row.at).filter(|at| *at >= import.received_at).min();
            let (due_at, because) = art14_due(import.due_at, disclosed);
            json!({
                "source": import.source,
                "import": import.import,
                "received_at": import.received_at,
                "art14_due_at": due_at,
                "art14_because": because,
            })
        })
        .collect()
}

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

/// A person's events as a history shows them, the ends of consents that ran out in their place. Nobody writes an expiry
/// down: it is judged at the read (STA-08), and computed for whoever looks at the history (STA-07).
pub(crate) fn shown_history(
    subject: SubjectId,
    entries: &[OpenedEvent],
    texts: (&BTreeMap<String, Json>, &BTreeMap<String, Json>),
    policy: &ValidPolicy,
    at: Timestamp,
) -> Vec<Json> {
    let events: Vec<_> = entries.iter().map(|(_, event, _)| event.clone()).collect();
    let recorded = entries.iter().map(|(receipt, event, evidence)| {
        ((event.received_at, 0, event.sequence), shown_event(*receipt, event, evidence.as_ref(), texts))
    });
    let ended = expiries(policy, subject, &events, at).into_iter().map(|event| {
        let shown = json!({
            "event": event.kind, "purpose": event.purpose, "captured_at": event.captured_at,
            "received_at": event.received_at, "ends": event.sequence, "computed": true,
        });
        ((event.received_at, 1, event.sequence), shown)
    });
    let grown = Standing::fold(subject, events.iter().filter(|event| event.received_at <= at));
    let of_age = of_age(&grown, at).map(|(day, shown)| ((day, 1, u32::MAX), shown));
    let mut history: Vec<_> = recorded.chain(ended).chain(of_age).collect();
    history.sort_by_key(|(place, _)| *place);
    history.into_iter().map(|(_, shown)| shown).collect()
}

/// The day on which a child whose parent had decided began to decide alone (STA-15). Nobody writes it down either.
fn of_age(standing: &Standing, at: Timestamp) -> Option<(Timestamp, Json)> {
    let day = standing.comes_of_age().filter(|day| *day <= at && standing.has_parental_authority())?;
    let shown =
        json!({ "event": EventKind::AgeAttained, "captured_at": day, "received_at": day, "computed": true });
    Some((day, shown))
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

/// What holds for each purpose now, and for the person as a whole.
pub(crate) fn standing(standing: &Standing, policy: &ValidPolicy, at: Timestamp) -> Json {
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
                "opted_out_at": standing.opted_out_of(&rule.id).filter(|_| rule.sale_or_share),
                "objected_at": standing.objected_to(&rule.id, rule.direct_marketing),
                "opted_in_at": standing.opted_in_at(&rule.id),
            })
        })
        .collect();
    json!({
        "regimes": standing.regimes(),
        "assumed_regimes": standing.regimes().iter().filter(|regime| standing.assumes(**regime)).collect::<Vec<_>>(),
        "purposes": purposes,
        "objected_at": standing.objected_at(),
        "restricted_at": standing.restricted_at(),
        "opted_out_of_sale_at": opted_out_since(standing, policy),
        "signal_received_at": standing.gpc_at(),
        "sensitive_use_limited_at": standing.limited_at(),
    })
}

fn shown_event(
    receipt: ReceiptId,
    event: &ConsentEvent,
    evidence: Option<&Evidence>,
    (notices, wordings): (&BTreeMap<String, Json>, &BTreeMap<String, Json>),
) -> Json {
    let digest = event.notice().map(|digest| digest.to_string());
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
        "conflict_notice": (event.kind == EventKind::OptInStep2).then_some(event.conflict_notice),
        "step": event.step,
        "scope": event.scope.map(SignalScope::as_str),
        "signal": event.signal.as_ref().map(|signal| json!({
            "gpp": signal.gpp, "gpp_sid": signal.gpp_sid, "tc": signal.tc,
        })),
        "third_party": event.grant.as_ref().map(|grant| grant.third_party),
        "imported": event.imported.as_ref().map(|proof| json!({
            "import": proof.import,
            "partner": proof.partner,
            "evidence": proof.evidence,
            "locale": proof.locale,
            "sale": proof.sale,
            "product_family": proof.product_family,
        })),
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
            "mailbox": evidence.mailbox.as_ref().map(|proof| json!({
                "request": proof.request,
                "requested_at": proof.requested_at,
                "mail_sent_at": proof.sent_at,
                "mail": { "digest": proof.wording, "said": wordings.get(&proof.wording.to_string()) },
            })),
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
