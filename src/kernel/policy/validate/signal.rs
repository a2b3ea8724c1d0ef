//! Rules about signals: each takes something away, none is about what its signal does not speak of, and no sale or
//! sharing is left that no signal ends.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::PurposeRule;
use super::super::document::{Place, SignalDocument, Table};
use super::super::signal::{SignalEffect, SignalRule, SignalSource, SignalTrigger, SignalWord};
use super::{Check, declared};
use crate::purpose::Purpose;
use crate::regime::RegimeFamily;
use crate::signal::SectionId;

/// The purposes and vendors that a TC string can name.
const TCF_PURPOSES: std::ops::RangeInclusive<u8> = 1..=24;

impl Check<'_> {
    pub(super) fn signals(&mut self, purposes: &BTreeMap<Purpose, Arc<PurposeRule>>) -> Vec<SignalRule> {
        let documents = self.documents;
        let Some(source) = documents.signal_source else {
            return SignalRule::defaults(purposes.values().map(|rule| &**rule));
        };
        let mut rules = BTreeMap::new();
        for table in &documents.signals.items {
            let id = self.need(table.place, &table.document.id, "id");
            let id = self.new_key(table.place, id, &rules);
            let rule = self.signal(table, purposes);
            if let (Some(id), Some(rule)) = (id, rule) {
                rules.insert(id, rule);
            }
        }
        let rules: Vec<SignalRule> = rules.into_values().collect();
        // With a fault in a table, what the others lack cannot be told.
        if rules.len() == documents.signals.declared.len() && rules.len() == documents.signals.items.len() {
            self.every_sale_ends(Place::start(source), &rules, purposes);
        }
        rules
    }

    fn signal(
        &mut self,
        table: &Table<'_, SignalDocument>,
        purposes: &BTreeMap<Purpose, Arc<PurposeRule>>,
    ) -> Option<SignalRule> {
        let (place, document) = (table.place, &table.document);
        let because = self.line(place, &document.because, "because");
        let regimes = self.regimes(place, document);
        let trigger = self.trigger(place, document);
        let effect = self.need(place, &document.effect, "effect").map(|effect| *effect.get_ref());
        let named = match effect {
            Some(SignalEffect::Limit) => {
                self.foreign(place, document.purposes.is_some(), "purposes", "a limit concerns no single purpose");
                Some(Vec::new())
            }
            _ => self.known_some(place, &document.purposes, "purposes", declared(&self.documents.purposes)),
        };
        for id in document.purposes.iter().flatten() {
            let Some(rule) = purposes.get(id.get_ref()) else { continue };
            let place = place.at(&id.span());
            if effect == Some(SignalEffect::OptOut) && !rule.sale_or_share {
                let message = format!("`{}` is no sale or sharing: refuse it, or object to it", rule.id);
                self.fault(place, "signal", message);
            }
            if trigger == Some(SignalTrigger::Gpc) && !rule.sale_or_share {
                let message = format!(
                    "the Global Privacy Control says nothing of `{}`: it speaks of sale, sharing and targeted \
                     advertising",
                    rule.id
                );
                self.fault(place, "sta_44", message);
            }
        }
        Some(SignalRule {
            id: document.id.as_ref()?.get_ref().clone(),
            trigger: trigger?,
            regimes: regimes?,
            effect: effect?,
            purposes: named?,
            because: because?,
        })
    }

    fn regimes(&mut self, place: Place<'_>, document: &SignalDocument) -> Option<Vec<RegimeFamily>> {
        let mut families = Vec::new();
        let mut is_whole = true;
        for name in document.regimes.iter().flatten() {
            match RegimeFamily::ALL.into_iter().find(|family| family.as_str() == name.get_ref()) {
                Some(family) => families.push(family),
                None => {
                    is_whole = false;
                    let message = format!("`{}` is no family of regimes, such as `EU_GDPR`", name.get_ref());
                    self.fault(place.at(&name.span()), "signal", message);
                }
            }
        }
        is_whole.then_some(families)
    }

    fn trigger(&mut self, place: Place<'_>, document: &SignalDocument) -> Option<SignalTrigger> {
        let source = *self.need(place, &document.source, "source")?.get_ref();
        if source != SignalSource::Gpp {
            let why = "only the sections of a GPP string have words";
            self.foreign(place, document.says.is_some(), "says", why);
            self.foreign(place, document.sections.is_some(), "sections", why);
        }
        if source != SignalSource::Tcf {
            let why = "only a TC string has purposes and vendors";
            self.foreign(place, document.without_consent.is_some(), "without_consent", why);
            self.foreign(place, document.vendor.is_some(), "vendor", why);
        }
        match source {
            SignalSource::Gpc => Some(SignalTrigger::Gpc),
            SignalSource::Gpp => self.gpp(place, document),
            SignalSource::Tcf => self.tcf(place, document),
        }
    }

    fn gpp(&mut self, place: Place<'_>, document: &SignalDocument) -> Option<SignalTrigger> {
        let says = self.need_as(place, &document.says, "says", "missing_key", "")?;
        let mut sections = Vec::new();
        for name in document.sections.iter().flatten() {
            match SectionId::of_name(name.get_ref()) {
                Some(SectionId::TCF_EU_V2) => {
                    let message = "a TC string has no words: write a rule with `source = \"tcf\"`";
                    self.fault(place.at(&name.span()), "signal", message);
                }
                Some(section) => sections.push(section),
                None => {
                    let message = format!("GPP has no section `{}`", name.get_ref());
                    self.fault(place.at(&name.span()), "signal", message);
                }
            }
        }
        if says.is_empty() {
            self.fault(place, "signal", "`says` is empty: the rule would never apply");
        }
        let is_whole = sections.len() == document.sections.as_ref().map_or(0, Vec::len);
        let says: Vec<SignalWord> = says.iter().map(|word| *word.get_ref()).collect();
        (is_whole && !says.is_empty()).then_some(SignalTrigger::Gpp { says, sections })
    }

    fn tcf(&mut self, place: Place<'_>, document: &SignalDocument) -> Option<SignalTrigger> {
        let listed = self.need_as(place, &document.without_consent, "without_consent", "missing_key", "")?;
        let mut without_consent = Vec::new();
        for number in listed {
            if TCF_PURPOSES.contains(number.get_ref()) {
                without_consent.push(*number.get_ref());
            } else {
                self.fault(place.at(&number.span()), "signal", "the TCF counts its purposes from 1 to 24");
            }
        }
        if listed.is_empty() {
            self.fault(place, "signal", "`without_consent` is empty: the rule would never apply");
        }
        let vendor = document.vendor.as_ref().map(|vendor| *vendor.get_ref());
        if vendor == Some(0) {
            self.fault(place, "signal", "the TCF counts its vendors from 1");
        }
        let is_whole = !listed.is_empty() && without_consent.len() == listed.len() && vendor != Some(0);
        is_whole.then_some(SignalTrigger::Tcf { without_consent, vendor })
    }

    /// A key that a rule of its kind has no use for.
    fn foreign(&mut self, place: Place<'_>, is_there: bool, key: &str, why: &str) {
        if is_there {
            self.fault(place, "signal", format!("`{key}` does not belong here: {why}"));
        }
    }

    /// Every sale or sharing must end with a section that opts out of it, wherever the person is (11 CCR §7025, §7026).
    fn every_sale_ends(
        &mut self,
        place: Place<'_>,
        rules: &[SignalRule],
        purposes: &BTreeMap<Purpose, Arc<PurposeRule>>,
    ) {
        let ended: BTreeSet<&Purpose> = rules
            .iter()
            .filter(|rule| match &rule.trigger {
                SignalTrigger::Gpp { says, sections } => {
                    sections.is_empty() && says.iter().any(|word| SignalWord::OF_SALE.contains(word))
                }
                SignalTrigger::Gpc | SignalTrigger::Tcf { .. } => false,
            })
            .filter(|rule| rule.effect == SignalEffect::OptOut && rule.regimes.is_empty())
            .flat_map(|rule| &rule.purposes)
            .collect();
        for rule in purposes.values().filter(|rule| rule.sale_or_share && !ended.contains(&rule.id)) {
            let message = format!(
                "no `[[signal]]` lets a GPP section opt out of `{}` under every regime (11 CCR §7026)",
                rule.id
            );
            self.fault(place, "sta_24", message);
        }
    }
}
