//! ISO/IEC TS 27560:2023 through DPV 2.3: records and receipts as JSON-LD. The context is in the document, so that nobody
//! fetches one, and it makes the names of concepts IRIs.

use std::collections::BTreeSet;

use kernel::consent::{ConsentState, EventKind, Evidence, Indication, lifecycle};
use kernel::decision::expiry::end_of;
use kernel::policy::{Mode, PurposeRule};
use kernel::regime::{Regime, RegimeFamily};
use serde_json::{Value as Json, json};

use super::{Telling, portrait};

/// Profiles of the W3C group's rendering of ISO/IEC TS 27560.
const PROFILE: &str = "https://w3id.org/dpv/schema/dpv-27560#";

/// The receipt of one post.
pub(super) fn receipt(telling: &Telling) -> Json {
    let records: Vec<_> = telling.purposes().map(|rule| record(telling, rule)).collect();
    let suffix = if is_european(telling) { "receipt-eu-gdpr" } else { "receipt" };
    json!({
        "@context": context(),
        "@id": telling.names.first(),
        "@type": "dpv:ConsentReceipt",
        "dct:conformsTo": format!("{PROFILE}{suffix}"),
        "dct:identifier": telling.names,
        "dpv:hasIdentifier": telling.names,
        "dct:created": telling.at,
        "dpv:hasRecordOfActivity": records,
    })
}

/// The records of a person, one a purpose.
pub(super) fn records(telling: &Telling) -> Json {
    let records: Vec<_> = telling.purposes().map(|rule| record(telling, rule)).collect();
    json!({ "@context": context(), "@graph": records })
}

fn record(telling: &Telling, rule: &PurposeRule) -> Json {
    let names: Vec<_> = telling.names.iter().map(|name| format!("{name}#{}", rule.id)).collect();
    let suffix = if is_european(telling) { "record-eu-gdpr" } else { "record" };
    let notices = notices(telling, rule);
    let languages: BTreeSet<_> = notices.iter().filter_map(|notice| notice["dct:language"].as_str()).collect();
    json!({
        "@id": names.first(),
        "@type": "dpv:ConsentRecord",
        "dct:conformsTo": format!("{PROFILE}{suffix}"),
        "dct:identifier": names,
        "dpv:hasIdentifier": names,
        "dpv:hasDataSubject": { "@id": telling.person, "@type": "dpv:DataSubject" },
        "dct:language": languages,
        "dpv:hasNotice": notices,
        "dpv:hasProcess": [process(telling, rule)],
        "dpv:hasConsentStatus": statuses(telling, rule),
    })
}

fn is_european(telling: &Telling) -> bool {
    telling.regimes.iter().any(|regime| regime.family() == RegimeFamily::EuGdpr)
}

/// What was shown; where a statement needed no notice, what is shown to whoever is asked.
fn notices(telling: &Telling, rule: &PurposeRule) -> Vec<Json> {
    let coverage: Vec<_> = telling.regimes.iter().copied().filter_map(portrait::place).collect();
    let coverage = if coverage.is_empty() { vec!["UNKNOWN".to_owned()] } else { coverage };
    let one = |digest: &kernel::notice::NoticeDigest, name: String, date: &str, locale: &str| {
        json!({
            "@id": format!("{}/v1/notices/{digest}", telling.issuer),
            "@type": "dpv:ConsentNotice",
            "dct:identifier": digest,
            "dct:title": name,
            "dct:date": date,
            "dct:language": locale,
            "dct:coverage": coverage,
        })
    };
    let mut shown = Vec::new();
    for event in telling.events.iter().filter(|event| event.purpose.as_ref() == Some(&rule.id)) {
        let digest = event.grant.as_ref().and_then(|grant| grant.notice);
        let Some((digest, notice)) = digest.and_then(|digest| telling.notices.get_key_value(&digest)) else {
            continue;
        };
        let name = format!("{} {}", notice.id, notice.version);
        shown.push(one(digest, name, &event.captured_at.date().to_string(), &notice.locale));
    }
    if shown.is_empty() {
        let current =
            telling.policy.notices().filter(|notice| notice.current && notice.purposes.contains(&rule.id));
        shown.extend(current.map(|notice| {
            let name = format!("{} {}", notice.id, notice.version);
            one(&notice.digest, name, &telling.at.date().to_string(), &notice.locale)
        }));
    }
    shown
}

fn process(telling: &Telling, rule: &PurposeRule) -> Json {
    let locale = telling.locale();
    let attributes = telling.attributes(rule);
    let data: Vec<_> = attributes.iter().map(|attribute| portrait::personal_data(attribute, locale)).collect();
    let data = if data.is_empty() { vec![json!({ "@type": ["dpv:PersonalData"] })] } else { data };
    let recipients: Vec<_> =
        telling.recipients(rule).map(|recipient| portrait::recipient(&telling.issuer, recipient)).collect();
    let controllers: Vec<_> = telling
        .controllers(rule)
        .into_iter()
        .map(|(id, controller)| portrait::controller(&telling.issuer, id, controller))
        .collect();
    json!({
        "@type": "dpv:Process",
        "dpv:hasNecessity": "dpv:Optional",
        "dpv:hasPurpose": [{
            "@type": ["dpv:Purpose"],
            "dct:identifier": rule.id,
            "dct:title": rule.title.in_locale(locale),
            "schema:version": rule.version,
            "skos:broader": format!("dpv:{}", rule.dpv),
        }],
        "dpv:hasPersonalData": data,
        "dpv:hasStorageCondition": storage(&attributes.iter().map(|known| known.retention).collect::<Vec<_>>()),
        "dpv:hasRecipient": if recipients.is_empty() { controllers.clone() } else { recipients },
        "dpv:hasDataController": controllers,
        "dpv:hasConsentControl": [{
            "@type": "dpv:WithdrawConsent",
            "dpv:isExercisedAt": format!("{}/v1/consents", telling.issuer),
        }],
        "dpv:hasJurisdiction": jurisdictions(telling),
        "dpv:hasRight": rights(telling),
        "dpv:hasLegalBasis": legal_bases(telling, rule),
    })
}

/// How long values are kept. Where they lie is not in the policy.
fn storage(retentions: &[kernel::time::Months]) -> Json {
    let longest = retentions.iter().max();
    let kept = match longest {
        Some(months) => json!({ "@type": ["dpv:TemporalDuration"], "rdf:value": months.to_string() }),
        None => json!({ "@type": ["dpv:UntilEventDuration"], "rdf:value": "withdrawal" }),
    };
    json!([
        { "@type": "dpv:StorageDuration", "dpv:hasDuration": kept },
        {
            "@type": "dpv:StorageDeletion",
            "dpv:hasDuration": { "@type": ["dpv:UntilEventDuration"], "rdf:value": "erasure at the person's request" },
        },
    ])
}

fn jurisdictions(telling: &Telling) -> Vec<Json> {
    let of = |regime: &Regime| match portrait::place(*regime) {
        Some(place) => Json::from(format!("loc:{place}")),
        None => json!({ "@type": "dpv:Location", "skos:prefLabel": "not known: treated as the strictest" }),
    };
    telling.regimes.iter().map(of).collect()
}

fn rights(telling: &Telling) -> Vec<Json> {
    const EUROPEAN: [&str; 8] = ["A7-3", "A15", "A16", "A17", "A18", "A20", "A21", "A77"];
    if is_european(telling) {
        return EUROPEAN.iter().map(|article| Json::from(format!("eu-gdpr:{article}"))).collect();
    }
    let words = "To take consent back or opt out at any time, to see, correct and erase what is held.";
    vec![json!({ "@type": "dpv:DataSubjectRight", "dct:description": words })]
}

fn legal_bases(telling: &Telling, rule: &PurposeRule) -> Vec<Json> {
    let explicit = is_explicit(telling, rule);
    let mut bases = vec![if explicit { "dpv:ExplicitlyExpressedConsent" } else { "dpv:ExpressedConsent" }];
    if is_european(telling) {
        bases.push("eu-gdpr:A6-1-a");
        let special = rule.sensitive || rule.modes.values().any(|mode| *mode == Mode::ExplicitOptIn);
        if explicit && special {
            bases.push("eu-gdpr:A9-2-a");
        }
    }
    bases.into_iter().map(Json::from).collect()
}

fn is_explicit(telling: &Telling, rule: &PurposeRule) -> bool {
    telling.grant_of(rule).and_then(|event| event.grant.as_ref()).is_some_and(|grant| grant.explicit)
}

fn statuses(telling: &Telling, rule: &PurposeRule) -> Vec<Json> {
    let kind = if is_explicit(telling, rule) { "dpv:ExplicitlyExpressedConsent" } else { "dpv:ExpressedConsent" };
    let controllers: Vec<_> = telling
        .controllers(rule)
        .into_iter()
        .map(|(id, _)| format!("{}/#controller-{id}", telling.issuer))
        .collect();
    let mut steps = lifecycle(telling.subject, &telling.events, rule, telling.whole);
    if steps.is_empty() {
        let state = ConsentState::Unknown;
        steps.push(Indication { state, at: telling.at, event: 0, by_person: false });
    }
    steps
        .iter()
        .map(|step| {
            let by = if step.by_person { vec![telling.person.clone()] } else { controllers.clone() };
            let mut status = json!({
                "@type": [format!("dpv:{}", step.state.dpv()), kind],
                "dpv:isIndicatedAtTime": step.at,
                "dpv:hasDuration": [duration(telling, rule, step)],
                "dpv:isIndicatedBy": by,
            });
            if let (true, Some(method)) = (step.by_person, method(telling, step))
                && let Some(members) = status.as_object_mut()
            {
                members.insert("dpv:hasIndicationMethod".to_owned(), method.into());
            }
            status
        })
        .collect()
}

/// How long a state lasts by itself: a consent until it runs out, everything else until the next act.
fn duration(telling: &Telling, rule: &PurposeRule, step: &Indication) -> Json {
    let given =
        telling.events.iter().find(|event| event.sequence == step.event && event.kind != EventKind::Expired);
    match given.and_then(|event| event.grant.as_ref().map(|grant| (event, grant))) {
        Some((event, grant)) if step.state.permits() => {
            let standing = kernel::consent::GrantStanding {
                captured_at: event.captured_at,
                received_at: event.received_at,
                sequence: event.sequence,
                grant: grant.clone(),
                by_parent: event.by_parent,
                source: event.source.clone(),
            };
            json!({ "@type": ["dpv:UntilTimeDuration"], "rdf:value": end_of(&standing, rule) })
        }
        _ => json!({ "@type": ["dpv:UntilEventDuration"], "rdf:value": "the next act of the person" }),
    }
}

fn method(telling: &Telling, step: &Indication) -> Option<String> {
    let evidence: &Evidence = telling.evidence.get(&step.event)?;
    let action = serde_json::to_value(evidence.action).ok()?;
    let event = telling.events.iter().find(|event| event.sequence == step.event)?;
    let source = event.source.as_ref().map(ToString::to_string).unwrap_or_default();
    Some(format!("{} on the form {source}", action.as_str()?))
}

fn context() -> Json {
    const IRIS: [&str; 18] = [
        "dct:conformsTo",
        "dpv:hasDataSubject",
        "dpv:hasNotice",
        "dpv:hasProcess",
        "dpv:hasPurpose",
        "dpv:hasPersonalData",
        "dpv:hasNecessity",
        "dpv:hasDataController",
        "dpv:hasRecipient",
        "dpv:hasConsentControl",
        "dpv:hasJurisdiction",
        "dpv:hasRight",
        "dpv:hasLegalBasis",
        "dpv:hasLocation",
        "dpv:hasRole",
        "dpv:isExercisedAt",
        "dpv:isIndicatedBy",
        "skos:broader",
    ];
    let mut context = json!({
        "dpv": "https://w3id.org/dpv#",
        "pd": "https://w3id.org/dpv/pd#",
        "loc": "https://w3id.org/dpv/loc#",
        "eu-gdpr": "https://w3id.org/dpv/legal/eu/gdpr#",
        "dct": "http://purl.org/dc/terms/",
        "schema": "https://schema.org/",
        "skos": "http://www.w3.org/2004/02/skos/core#",
        "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    });
    if let Some(members) = context.as_object_mut() {
        members.extend(IRIS.map(|term| (term.to_owned(), json!({ "@type": "@id" }))));
    }
    context
}
