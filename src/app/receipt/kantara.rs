//! The Kantara Consent Receipt 1.1.0 (2018-02-20): what one post consented to.

use kernel::consent::{ConsentEvent, EventKind};
use kernel::policy::PurposeRule;
use kernel::recipient::RecipientRole;
use serde_json::{Value as Json, json};

use super::{Telling, portrait};

const VERSION: &str = "KI-CR-v1.1.0";

/// The receipt of a post; `None` when it consents to nothing, for then the shape has nothing to say.
pub(super) fn receipt(telling: &Telling) -> Option<Json> {
    let consented: Vec<(&PurposeRule, &ConsentEvent)> = telling
        .purposes()
        .filter_map(|rule| {
            let given = telling.events.iter().rfind(|event| {
                event.purpose.as_ref() == Some(&rule.id) && event.kind == EventKind::GrantConfirmed
            });
            given.map(|event| (rule, event))
        })
        .collect();
    let (_, first) = consented.first()?;
    let places: Vec<_> = telling.regimes.iter().copied().filter_map(portrait::place).collect();
    let notice = first.grant.as_ref().and_then(|grant| grant.notice);
    let service = first.source.as_ref().map_or_else(|| "form".to_owned(), ToString::to_string);
    let title = service
        .parse()
        .ok()
        .and_then(|form| telling.policy.form(&form))
        .map(|form| form.title.in_locale(telling.locale()).to_owned());
    let mut controllers = Vec::new();
    for (id, rule) in consented.iter().flat_map(|(rule, _)| telling.controllers(rule)) {
        if !controllers.contains(&(id, rule)) {
            controllers.push((id, rule));
        }
    }
    let controllers: Vec<_> = controllers
        .into_iter()
        .map(|(_, rule)| {
            json!({
                "piiController": rule.name,
                "contact": rule.officer,
                "address": { "streetAddress": rule.address },
                "email": rule.contact,
                // The shape asks for one, and the policy knows none.
                "phone": "n/a",
            })
        })
        .collect();
    let mut sensitive: Vec<_> = consented
        .iter()
        .flat_map(|(rule, _)| telling.attributes(rule))
        .filter_map(|attribute| attribute.tag.map(|_| attribute.fideslang.clone()))
        .collect();
    sensitive.sort_unstable();
    sensitive.dedup();
    Some(json!({
        "version": VERSION,
        "jurisdiction": if places.is_empty() { "unknown".to_owned() } else { places.join(", ") },
        "consentTimestamp": first.captured_at.as_seconds(),
        "collectionMethod": format!("web form {service}"),
        "consentReceiptID": telling.names.first().map(|name| name.trim_start_matches("urn:uuid:").to_owned()),
        "language": telling.locale(),
        "piiPrincipalId": telling.person,
        "piiControllers": controllers,
        "policyUrl": notice.map(|digest| format!("{}/v1/notices/{digest}", telling.issuer)),
        "services": [{
            "service": title.unwrap_or(service),
            "purposes": consented.iter().map(|(rule, event)| purpose(telling, rule, event)).collect::<Vec<_>>(),
        }],
        "sensitive": !sensitive.is_empty() || consented.iter().any(|(rule, _)| rule.sensitive),
        "spiCat": sensitive,
    }))
}

fn purpose(telling: &Telling, rule: &PurposeRule, event: &ConsentEvent) -> Json {
    let mut categories: Vec<_> =
        telling.attributes(rule).iter().map(|attribute| attribute.fideslang.clone()).collect();
    categories.sort_unstable();
    categories.dedup();
    let end = event.grant.as_ref().and_then(|grant| grant.valid_until);
    let validity = rule.validity.after(event.captured_at);
    let end = end.map_or(validity, |fixed| fixed.min(validity));
    let third_parties: Vec<_> = telling
        .recipients(rule)
        .filter(|recipient| recipient.role == RecipientRole::ThirdParty)
        .map(|recipient| recipient.name.as_str())
        .collect();
    let mut shown = json!({
        "purpose": rule.title.in_locale(telling.locale()),
        "purposeCategory": [rule.fideslang],
        "consentType": "EXPLICIT",
        "piiCategory": categories,
        "primaryPurpose": false,
        "termination": format!("{end}, or when the person takes consent back at {}/v1/consents", telling.issuer),
        "thirdPartyDisclosure": !third_parties.is_empty(),
    });
    if let (false, Some(members)) = (third_parties.is_empty(), shown.as_object_mut()) {
        members.insert("thirdPartyName".to_owned(), third_parties.join(", ").into());
    }
    shown
}
