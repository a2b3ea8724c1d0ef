//! Recipients: a contract gives each role no more than it may have.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::civil::Date;
use toml::value::Datetime;

use super::super::document::{Place, Placed, RecipientDocument, Table};
use super::super::{AttributeRule, Contract, Deidentified, Epochs, PurposeRule, RecipientRule};
use super::{Check, declared};
use crate::attribute::{AttributeName, ServedForm};
use crate::purpose::Purpose;
use crate::recipient::{ContractKind, RecipientId, RecipientRole};
use crate::time::Timestamp;

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
        let epochs = self.epochs(table);
        let contract = self.contract_of(table);
        let no_reid =
            if document.no_reid.is_some() { self.line(place, &document.no_reid, "no_reid") } else { None };
        let deidentified = self.deidentified(table);
        Some(RecipientRule {
            id: document.id.as_ref()?.get_ref().clone(),
            name: name?,
            role: *role?.get_ref(),
            controller: controller?.get_ref().clone(),
            country: country?.get_ref().clone(),
            purposes: purposes?,
            attributes: attributes?,
            epochs,
            contract,
            no_reid,
            deidentified,
        })
    }

    /// PSE-04: pseudonyms change with the epoch, and the old ones end.
    fn epochs(&mut self, table: &Table<'_, RecipientDocument>) -> Epochs {
        let (place, document) = (table.place, &table.document);
        let number = document.epoch.as_ref().map_or(1, |epoch| *epoch.get_ref());
        if number == 0 {
            self.fault(place, "epoch", "epochs are counted from 1");
        }
        let previous = document.previous_epoch.as_ref().map(|previous| *previous.get_ref());
        if let Some(previous) = &document.previous_epoch
            && !(1..number).contains(previous.get_ref())
        {
            self.fault(place.at(&previous.span()), "epoch", "the previous epoch comes before the current one");
        }
        let began = self.day(place, &document.epoch_began, "epoch_began");
        let lasts = self.months(place, document.epoch_lasts.as_ref(), "epoch_lasts");
        let grace_days = document.grace_days.as_ref().map_or(0, |days| *days.get_ref());
        let turns = previous.is_some() || document.epoch_lasts.is_some();
        if turns && document.epoch_began.is_none() {
            self.fault(place, "epoch", "`epoch_began` is missing: an epoch that turns has a first day");
        }
        if turns && document.grace_days.is_none() {
            let message = "`grace_days` is missing: for how long the names of the epoch before are understood";
            self.fault(place, "epoch", message);
        }
        if let Some(days) = &document.grace_days
            && *days.get_ref() > 366
        {
            self.fault(place.at(&days.span()), "epoch", "a grace is at most 366 days");
        }
        Epochs { number, previous, began, lasts, grace_days }
    }

    /// REG-05, REG-06: what a recipient receives under. Whether there is one is judged at every read.
    fn contract_of(&mut self, table: &Table<'_, RecipientDocument>) -> Option<Contract> {
        let contract = table.document.contract.as_ref()?;
        let place = table.place.at(&contract.span());
        let document = contract.get_ref();
        let reference = self.line(place, &document.reference, "reference");
        let kind = self.need(place, &document.kind, "kind");
        if let (Some(kind), Some(role)) = (kind, &table.document.role) {
            let is_third_party = *kind.get_ref() == ContractKind::ThirdParty;
            if is_third_party != (*role.get_ref() == RecipientRole::ThirdParty) {
                let message = "a third party has a contract of a `third_party`, and nobody else has";
                self.fault(place.at(&kind.span()), "reg_06", message);
            }
        }
        // It runs to the end of its last day.
        let ends = self.day(place, &document.ends, "ends").map(|day| day.plus_ms(86_400_000));
        for name in &document.sub_processors {
            self.is_line(place.at(&name.span()), name.get_ref(), "sub_processors");
        }
        Some(Contract {
            reference: reference?,
            kind: *kind?.get_ref(),
            ends,
            sub_processors: document.sub_processors.iter().map(|name| name.get_ref().clone()).collect(),
        })
    }

    /// PSE-15: nothing is called deidentified without the three attestations (CCPA 1798.140(m)).
    fn deidentified(&mut self, table: &Table<'_, RecipientDocument>) -> Option<Deidentified> {
        let label = table.document.deidentified.as_ref()?;
        let place = table.place.at(&label.span());
        let document = label.get_ref();
        let mut attested = |value: &Placed<String>, key: &str| {
            let why = ": deidentified data needs a public commitment, no re-identification and a contract that passes both on (CCPA 1798.140(m))";
            self.need_as(place, value, key, "pse_15", why)?;
            self.line(place, value, key)
        };
        let public_commitment = attested(&document.public_commitment, "public_commitment");
        let no_reidentification = attested(&document.no_reidentification, "no_reidentification");
        let flow_down = attested(&document.flow_down, "flow_down");
        Some(Deidentified {
            public_commitment: public_commitment?,
            no_reidentification: no_reidentification?,
            flow_down: flow_down?,
        })
    }

    /// Midnight UTC of a date.
    fn day(&mut self, place: Place<'_>, value: &Placed<Datetime>, key: &str) -> Option<Timestamp> {
        let value = value.as_ref()?;
        let day = value.get_ref().to_string().parse::<Date>().ok().filter(|_| value.get_ref().time.is_none());
        if day.is_none() {
            self.fault(place.at(&value.span()), "value", format!("`{key}` is a date such as 2027-06-30"));
        }
        day.map(Timestamp::from_date)
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
