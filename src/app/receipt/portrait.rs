//! What both shapes say of controllers, recipients, data and places, in the words of the Data Privacy Vocabulary 2.3.

use kernel::attribute::SensitiveTag;
use kernel::controller::ControllerId;
use kernel::policy::{AttributeRule, ControllerRule, PurposeRule, RecipientRule};
use kernel::recipient::RecipientRole;
use kernel::regime::Regime;
use serde_json::{Value as Json, json};

use super::Telling;

impl Telling {
    /// The controllers that rely on the consent to a purpose: those the notice named, or those of its recipients.
    pub(super) fn controllers(&self, rule: &PurposeRule) -> Vec<(&ControllerId, &ControllerRule)> {
        let named = self.grant_of(rule).and_then(|event| event.grant.as_ref()).map(|grant| &grant.controllers);
        let of_recipients = || self.recipients(rule).map(|recipient| &recipient.controller).collect::<Vec<_>>();
        let ids: Vec<&ControllerId> = match named {
            Some(named) if !named.is_empty() => named.iter().collect(),
            _ => of_recipients(),
        };
        let mut controllers: Vec<_> = self.policy.controllers().filter(|(id, _)| ids.contains(id)).collect();
        if controllers.is_empty() {
            controllers = self.policy.controllers().take(1).collect();
        }
        controllers
    }

    /// The recipients that are bound to a purpose.
    pub(super) fn recipients<'a>(&'a self, rule: &'a PurposeRule) -> impl Iterator<Item = &'a RecipientRule> {
        self.policy.recipients().map(|recipient| &**recipient).filter(|known| known.purposes.contains(&rule.id))
    }

    /// The attributes that leave for a purpose.
    pub(super) fn attributes<'a>(&'a self, rule: &'a PurposeRule) -> Vec<&'a AttributeRule> {
        let leaves = |attribute: &&AttributeRule| {
            attribute.purposes.contains(&rule.id)
                && self.recipients(rule).any(|recipient| recipient.attributes.contains(&attribute.name))
        };
        self.policy.attributes().map(|attribute| &**attribute).filter(leaves).collect()
    }

    /// The language of the post, or English.
    pub(super) fn locale(&self) -> &str {
        self.notices.values().next_back().map_or("en", |notice| notice.locale.as_str())
    }
}

/// A controller as an entity: name, address and contact (ISO/IEC TS 27560 §6.3.5).
pub(super) fn controller(issuer: &str, id: &ControllerId, rule: &ControllerRule) -> Json {
    json!({
        "@id": format!("{issuer}/#controller-{id}"),
        "@type": ["dpv:DataController"],
        "dct:identifier": [id],
        "dpv:hasIdentifier": [id],
        "dpv:hasName": rule.name,
        "dpv:hasRole": "dpv:DataController",
        "dpv:hasAddress": rule.address,
        "dpv:hasContact": rule.contact,
        "dpv:hasRepresentative": { "@type": "dpv:DataProtectionOfficer", "dpv:hasContact": rule.officer },
    })
}

/// A recipient as an entity.
pub(super) fn recipient(issuer: &str, rule: &RecipientRule) -> Json {
    let role = match rule.role {
        RecipientRole::ThirdParty => "dpv:ThirdParty",
        RecipientRole::Sender | RecipientRole::Processor => "dpv:DataProcessor",
        RecipientRole::Own => "dpv:DataController",
    };
    json!({
        "@id": format!("{issuer}/#recipient-{}", rule.id),
        "@type": ["dpv:Recipient", role],
        "dct:identifier": [rule.id],
        "dpv:hasIdentifier": [rule.id],
        "dpv:hasName": rule.name,
        "dpv:hasRole": role,
        "dpv:hasLocation": format!("loc:{}", rule.country),
    })
}

/// A category of personal data: an instance whose broader concept is DPV's.
pub(super) fn personal_data(rule: &AttributeRule, locale: &str) -> Json {
    let kind = match rule.tag {
        None => "dpv:PersonalData",
        Some(SensitiveTag::PreciseLocation | SensitiveTag::Financial) => "dpv:SensitivePersonalData",
        Some(_) => "dpv:SpecialCategoryPersonalData",
    };
    json!({
        "@type": [kind],
        "dct:identifier": rule.name,
        "dct:title": rule.title.in_locale(locale),
        "skos:broader": concept(&rule.fideslang),
    })
}

/// The DPV concept of a fideslang category: the nearest that both vocabularies know.
fn concept(fideslang: &str) -> &'static str {
    const CONCEPTS: [(&str, &str); 9] = [
        ("user.contact.email", "pd:EmailAddress"),
        ("user.name", "pd:Name"),
        ("user.contact.address", "pd:Location"),
        ("user.health_and_medical", "pd:MedicalHealth"),
        ("user.behavior.purchase_history", "pd:Financial"),
        ("user.behavior", "pd:External"),
        ("user.demographic", "pd:External"),
        ("user.social", "pd:Social"),
        ("user.account", "pd:Profile"),
    ];
    let is_under =
        |prefix: &str| fideslang.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    CONCEPTS.iter().find(|(prefix, _)| is_under(prefix)).map_or("dpv:PersonalData", |(_, concept)| concept)
}

/// The place whose law a regime is, as an ISO 3166 code; `None`: not known.
pub(super) fn place(regime: Regime) -> Option<String> {
    let text = regime.to_string();
    let state = text.split_once(':').map(|(_, state)| state);
    match (regime, state) {
        (Regime::EuGdpr(_), Some(state)) => Some(state.to_owned()),
        (Regime::EuGdpr(_), None) => Some("EU".to_owned()),
        (Regime::UkGdpr, _) => Some("GB".to_owned()),
        (Regime::UsCa, _) => Some("US-CA".to_owned()),
        (Regime::UsOther(_), Some(state)) => Some(format!("US-{state}")),
        (Regime::UsOther(_), None) => Some("US".to_owned()),
        (Regime::CaCasl, _) => Some("CA".to_owned()),
        (Regime::Unknown, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_category_has_the_nearest_concept() {
        for (category, expected) in [
            ("user.contact.email", "pd:EmailAddress"),
            ("user.contact.address.city", "pd:Location"),
            ("user.behavior.purchase_history", "pd:Financial"),
            ("user.behavior.browsing_history", "pd:External"),
            ("user.demographic", "pd:External"),
            ("user.demographics_of_mars", "dpv:PersonalData"),
            ("system", "dpv:PersonalData"),
        ] {
            assert_eq!(concept(category), expected, "{category}");
        }
    }
}
