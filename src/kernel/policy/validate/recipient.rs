//! Recipients: a contract gives each role no more than it may have.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::document::{RecipientDocument, Table};
use super::super::{AttributeRule, PurposeRule, RecipientRule};
use super::{Check, declared};
use crate::attribute::{AttributeName, ServedForm};
use crate::purpose::Purpose;
use crate::recipient::{RecipientId, RecipientRole};

impl Check<'_> {
    pub(super) fn recipients(
        &mut self,
        purposes: &BTreeMap<Purpose, Arc<PurposeRule>>,
        attributes: &BTreeMap<AttributeName, Arc<AttributeRule>>,
    ) -> BTreeMap<RecipientId, Arc<RecipientRule>> {
        let documents = self.documents;
        let mut rules = BTreeMap::new();
        for table in &documents.recipients.items {
            let id = self.need(table.place, &table.document.id, "id");
            let id = self.new_key(table.place, id, &rules);
            let rule = self.recipient(table);
            self.bound_purposes(table, purposes);
            self.contract(table, attributes);
            if let (Some(id), Some(rule)) = (id, rule) {
                rules.insert(id, Arc::new(rule));
            }
        }
        rules
    }

    fn recipient(&mut self, table: &Table<'_, RecipientDocument>) -> Option<RecipientRule> {
        let (place, document) = (table.place, &table.document);
        let documents = self.documents;
        let name = self.line(place, &document.name, "name");
        let role = self.need(place, &document.role, "role");
        let controller = self.need(place, &document.controller, "controller");
        if let Some(controller) = controller {
            self.known(place, std::slice::from_ref(controller), "controller", declared(&documents.controllers));
        }
        let country = self.need(place, &document.country, "country");
        if let Some(country) = country
            && !matches!(country.get_ref().as_bytes(), [a, b] if a.is_ascii_uppercase() && b.is_ascii_uppercase())
        {
            let message = "a country is two capital letters (ISO 3166-1)";
            self.fault(place.at(&country.span()), "country", message);
        }
        let purposes = self.known_some(place, &document.purposes, "purposes", declared(&documents.purposes));
        let attributes =
            self.known_some(place, &document.attributes, "attributes", declared(&documents.attributes));
        let epoch = document.epoch.as_ref().map_or(1, |epoch| *epoch.get_ref());
        if epoch == 0 {
            self.fault(place, "epoch", "epochs are counted from 1");
        }
        let previous_epoch = document.previous_epoch.as_ref().map(|previous| *previous.get_ref());
        if let Some(previous) = &document.previous_epoch
            && !(1..epoch).contains(previous.get_ref())
        {
            self.fault(place.at(&previous.span()), "epoch", "the previous epoch comes before the current one");
        }
        Some(RecipientRule {
            id: document.id.as_ref()?.get_ref().clone(),
            name: name?,
            role: *role?.get_ref(),
            controller: controller?.get_ref().clone(),
            country: country?.get_ref().clone(),
            purposes: purposes?,
            attributes: attributes?,
            epoch,
            previous_epoch,
        })
    }

    /// A third party receives for a sale or sharing and nothing else; whoever works for the controller, never
    /// for one (CCPA 1798.140(e)(6), 11 CCR §7050(b)).
    fn bound_purposes(
        &mut self,
        table: &Table<'_, RecipientDocument>,
        purposes: &BTreeMap<Purpose, Arc<PurposeRule>>,
    ) {
        let Some(role) = &table.document.role else { return };
        for purpose in table.document.purposes.iter().flatten() {
            let Some(rule) = purposes.get(purpose.get_ref()) else { continue };
            let message = match (role.get_ref(), rule.sale_or_share) {
                (RecipientRole::ThirdParty, false) => {
                    format!("a third party receives for purposes of `sale_or_share`, not for `{}`", rule.id)
                }
                (RecipientRole::Processor | RecipientRole::Sender, true) => {
                    format!("a processor may not receive for the sale or sharing `{}`", rule.id)
                }
                _ => continue,
            };
            self.fault(table.place.at(&purpose.span()), "recipient_role", message);
        }
    }

    fn contract(
        &mut self,
        table: &Table<'_, RecipientDocument>,
        attributes: &BTreeMap<AttributeName, Arc<AttributeRule>>,
    ) {
        let document = &table.document;
        let bound: Vec<_> = document.purposes.iter().flatten().map(|purpose| purpose.get_ref()).collect();
        let is_sender = document.role.as_ref().is_some_and(|role| *role.get_ref() == RecipientRole::Sender);
        for name in document.attributes.iter().flatten() {
            let Some(rule) = attributes.get(name.get_ref()) else { continue };
            let place = table.place.at(&name.span());
            match &rule.served {
                None if self.documents.attributes.items.iter().any(|attribute| {
                    attribute.document.served.is_none()
                        && attribute.document.name.as_ref().map(|known| known.get_ref()) == Some(name.get_ref())
                }) =>
                {
                    self.fault(place, "never_served", format!("`{}` is never served", rule.name));
                }
                Some(ServedForm::Plain) if !is_sender => {
                    let message = format!("`{}` is plain: only a sender may have it", rule.name);
                    self.fault(place, "plain_form", message);
                }
                _ => {}
            }
            let is_idle = !rule.purposes.iter().any(|purpose| bound.contains(&purpose));
            if !bound.is_empty() && is_idle && self.knows_purposes_of(rule) {
                let message = format!("`{}` serves no purpose that this recipient is bound to", rule.name);
                self.fault(place, "idle_attribute", message);
            }
        }
    }
}
