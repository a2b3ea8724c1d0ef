//! Attributes: each declares all that SEG-02 and NOT-06 ask, and a derived one is never freer than its input.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize as _;
use serde::de::IntoDeserializer as _;
use serde::de::value::Error as ValueError;
use toml::Spanned;

use super::super::document::{AttributeDocument, Place, Table};
use super::super::{AttributeRule, PurposeRule};
use super::{Check, declared, vocabulary};
use crate::attribute::{AttributeName, AttributeType, Measure, SensitiveTag, ServedForm};
use crate::purpose::Purpose;

/// Words of attributes that would tell who used a right.
const RIGHTS_WORDS: [&str; 8] =
    ["opt_out", "opted_out", "optout", "objected", "objection", "unsubscribed", "withdrew", "do_not_sell"];

type Rules = BTreeMap<AttributeName, Arc<AttributeRule>>;

const SEG_02: &str = " (an attribute declares its type or input, purposes, category, retention, tag and k)";
const NOT_06: &str = " (the notice at collection needs it, Cal. Civ. Code 1798.100(a))";

impl Check<'_> {
    pub(super) fn attributes(&mut self, purposes: &BTreeMap<Purpose, Arc<PurposeRule>>) -> Rules {
        let documents = self.documents;
        let mut rules = Rules::new();
        // Stored ones first: a derived one is judged by its input.
        for derived in [false, true] {
            for table in &documents.attributes.items {
                if table.document.input.is_some() != derived {
                    continue;
                }
                let name = self.need(table.place, &table.document.name, "name");
                let name = self.new_key(table.place, name, &rules);
                let rule = self.attribute(table, &rules, purposes);
                if let (Some(name), Some(rule)) = (name, rule) {
                    rules.insert(name, Arc::new(rule));
                }
            }
        }
        rules
    }

    fn attribute(
        &mut self,
        table: &Table<'_, AttributeDocument>,
        known: &Rules,
        purposes: &BTreeMap<Purpose, Arc<PurposeRule>>,
    ) -> Option<AttributeRule> {
        let (place, document) = (table.place, &table.document);
        let title = self.title(place, &document.title);
        let input = self.input(place, document, known);
        let stored = document.stored.as_ref().map(|stored| *stored.get_ref());
        let served = match &document.served {
            Some(served) => {
                let form = self.served(place, served, stored.or_else(|| input.and_then(|input| input.stored)));
                Some((place.at(&served.span()), form))
            }
            None => None,
        };
        let fideslang = self.category(place, document);
        let ccpa = self.ccpa(place, document);
        let retention = self.need_as(place, &document.retention, "retention", "not_06", NOT_06);
        let retention = self.months(place, retention, "retention");
        let tag = self.tag(place, document);
        let listed = self.need_as(place, &document.purposes, "purposes", "seg_02", SEG_02);
        if listed.is_some_and(Vec::is_empty) {
            self.fault(place, "seg_02", "an attribute without a purpose is not collected");
        }
        let listed = listed.map(|listed| self.known(place, listed, "purpose", declared(&self.documents.purposes)));
        let k = self.need_as(place, &document.k, "k", "seg_02", SEG_02);
        if let Some(k) = k
            && *k.get_ref() == 0
        {
            self.fault(place.at(&k.span()), "value", "k is counted from 1");
        }
        let model = self.model(place, document, input);
        self.quasi_identifier(place, document, served.as_ref().and_then(|(_, form)| form.as_ref()));
        let name = document.name.as_ref()?.get_ref().clone();
        if RIGHTS_WORDS.iter().any(|word| name.as_str().contains(word)) {
            let message = "whether somebody used a right is no attribute: it would invite retaliation (Cal. Civ. Code 1798.125)";
            self.fault(place, "sta_39", message);
        }
        let rule = AttributeRule {
            stored,
            input: document.input.as_ref().map_or_else(|| name.clone(), |input| input.get_ref().clone()),
            name,
            title: title?,
            served: served.as_ref().and_then(|(_, form)| form.clone()),
            fideslang: fideslang?,
            ccpa: ccpa?,
            retention: retention?,
            tag: tag?,
            purposes: listed?,
            k: *k?.get_ref(),
            quasi_identifier: document.quasi_identifier.as_ref().is_some_and(|quasi| *quasi.get_ref()),
            model,
        };
        if let Some(input) = input {
            self.inherit(table, &rule, input);
        }
        if let Some((place, _)) = served {
            self.minimised(place, document, &rule, input.unwrap_or(&rule), purposes);
        }
        self.sensitive_words(table, &rule);
        Some(rule)
    }

    /// PSE-05: what is counted in groups is of a closed list, one value a person.
    fn quasi_identifier(&mut self, place: Place<'_>, document: &AttributeDocument, form: Option<&ServedForm>) {
        let Some(quasi) = document.quasi_identifier.as_ref().filter(|quasi| *quasi.get_ref()) else { return };
        if matches!(form, None | Some(ServedForm::ManyOf { .. } | ServedForm::Plain)) {
            let message =
                "a quasi-identifier is served as one value of a closed list: a band, a prefix, one of some labels";
            self.fault(place.at(&quasi.span()), "pse_05", message);
        }
    }

    /// ADM-05: a predicted value is not registered without what the person is told of its model.
    fn model(
        &mut self,
        place: Place<'_>,
        document: &AttributeDocument,
        input: Option<&AttributeRule>,
    ) -> Option<String> {
        if document.predictive && document.model.is_none() {
            let message = "`model` is missing: what predicts a value must be explained (GDPR Art. 15(1)(h))";
            self.fault(place, "adm_05", message);
        }
        if document.model.is_some() {
            return self.paragraph(place, &document.model, "model");
        }
        input.and_then(|input| input.model.clone())
    }

    /// The stored attribute that a derived one is computed from.
    fn input<'r>(
        &mut self,
        place: Place<'_>,
        document: &AttributeDocument,
        known: &'r Rules,
    ) -> Option<&'r AttributeRule> {
        if document.stored.is_none() && document.input.is_none() {
            self.fault(place, "seg_02", format!("`type` or `input` is missing{SEG_02}"));
        }
        let input = document.input.as_ref()?;
        let place_of_input = place.at(&input.span());
        if document.stored.is_some() {
            self.fault(place_of_input, "seg_02", "an attribute has a `type` or an `input`, not both");
        }
        if document.served.is_none() {
            self.fault(place, "served_form", "a derived attribute needs its `served` form");
        }
        let name = input.get_ref();
        let is_derived = |table: &Table<'_, AttributeDocument>| {
            table.document.input.is_some() && table.document.name.as_ref().map(Spanned::get_ref) == Some(name)
        };
        if !declared(&self.documents.attributes).contains(name.as_str()) {
            self.fault(place_of_input, "unknown_reference", format!("there is no attribute `{name}`"));
        } else if self.documents.attributes.items.iter().any(is_derived) {
            self.fault(place_of_input, "unknown_reference", format!("`{name}` is itself derived"));
        }
        known.get(name).map(AsRef::as_ref).filter(|rule| rule.stored.is_some())
    }

    fn category(&mut self, place: Place<'_>, document: &AttributeDocument) -> Option<String> {
        let key = self.need_as(place, &document.fideslang, "fideslang", "seg_02", SEG_02)?;
        if !vocabulary::is_data_category(key.get_ref()) {
            let message = format!("fideslang has no data category `{}`", key.get_ref());
            self.fault(place.at(&key.span()), "vocabulary", message);
        }
        Some(key.get_ref().clone())
    }

    fn ccpa(&mut self, place: Place<'_>, document: &AttributeDocument) -> Option<char> {
        let letter = self.need_as(place, &document.ccpa, "ccpa", "not_06", NOT_06)?;
        let mut characters = letter.get_ref().chars();
        match (characters.next(), characters.next()) {
            (Some(category @ 'A'..='L'), None) => Some(category),
            _ => {
                let message = "a CCPA category is a letter from A to L (Cal. Civ. Code 1798.140(v)(1))";
                self.fault(place.at(&letter.span()), "not_06", message);
                None
            }
        }
    }

    fn tag(&mut self, place: Place<'_>, document: &AttributeDocument) -> Option<Option<SensitiveTag>> {
        let name = self.need_as(place, &document.tag, "tag", "seg_02", SEG_02)?;
        if name.get_ref() == "none" {
            return Some(None);
        }
        let tag: Result<_, ValueError> = SensitiveTag::deserialize(name.get_ref().as_str().into_deserializer());
        if tag.is_err() {
            let message = "a tag is none, health, ethnicity, religion, politics, union, sexuality, genetic, biometric, \
                           precise_location or financial";
            self.fault(place.at(&name.span()), "tag", message);
        }
        tag.ok().map(Some)
    }

    /// SEG-01: what is derived inherits the tag, the purposes and the retention of its input.
    fn inherit(&mut self, table: &Table<'_, AttributeDocument>, rule: &AttributeRule, input: &AttributeRule) {
        let (place, document) = (table.place, &table.document);
        if let Some(tag) = &document.tag
            && input.tag.is_some()
            && rule.tag != input.tag
        {
            let message =
                format!("`{}` has a sensitive tag, and what is derived from it has the same", input.name);
            self.fault(place.at(&tag.span()), "tag", message);
        }
        for purpose in document.purposes.iter().flatten() {
            if !input.purposes.contains(purpose.get_ref()) {
                let message = format!("`{}` may not serve `{}`", input.name, purpose.get_ref());
                self.fault(place.at(&purpose.span()), "wider_purpose", message);
            }
        }
        if let Some(retention) = &document.retention
            && rule.retention > input.retention
        {
            let message = format!("`{}` is kept for {} only", input.name, input.retention);
            self.fault(place.at(&retention.span()), "retention", message);
        }
    }

    /// What must never leave in this form.
    fn minimised(
        &mut self,
        place: Place<'_>,
        document: &AttributeDocument,
        rule: &AttributeRule,
        input: &AttributeRule,
        purposes: &BTreeMap<Purpose, Arc<PurposeRule>>,
    ) {
        let Some(served) = &rule.served else { return };
        let is_plain = *served == ServedForm::Plain;
        if is_plain && document.input.is_some() {
            self.fault(place, "plain_form", "a derived attribute is never plain");
        }
        let is_credential = [rule, input].iter().any(|rule| is_below(&rule.fideslang, "user.authorization"));
        if !is_plain && (is_credential || input.stored == Some(AttributeType::Email)) {
            let message = "an address or a credential is served plain to a sender, or not at all";
            self.fault(place, "plain_form", message);
        }
        let (measure, minimum) = match served {
            ServedForm::Band { measure, minimum, .. } => (*measure, *minimum),
            ServedForm::Score { measure, .. } => (*measure, None),
            _ => return,
        };
        if is_below(&input.fideslang, "user.demographic.date_of_birth") && measure != Measure::AgeYears {
            self.fault(place, "minor_band", "a birth date is measured in `age_years` only");
        }
        let markets = |purpose: &&Purpose| {
            purpose.as_str().contains("segmentation")
                || purposes.get(*purpose).is_some_and(|rule| rule.direct_marketing || rule.sale_or_share)
        };
        if measure == Measure::AgeYears
            && minimum.is_none_or(|minimum| minimum < 18)
            && let Some(purpose) = rule.purposes.iter().find(markets)
        {
            let message = format!("for `{purpose}` no age below 18 is served: set `minimum` to 18 or more");
            self.fault(place, "minor_band", message);
        }
    }

    /// Whether an attribute has purposes and all are declared: of any other nothing more is said.
    pub(super) fn knows_purposes_of(&self, rule: &AttributeRule) -> bool {
        let known = declared(&self.documents.purposes);
        !rule.purposes.is_empty() && rule.purposes.iter().all(|purpose| known.contains(purpose.as_str()))
    }

    /// STA-16, SEG-03: what reveals a special category has its tag.
    fn sensitive_words(&mut self, table: &Table<'_, AttributeDocument>, rule: &AttributeRule) {
        if rule.tag.is_some() {
            return;
        }
        let document = &table.document;
        let name = document.name.as_ref().map(|name| (name.get_ref().as_str(), name.span()));
        let labels = document.served.as_ref().and_then(|served| served.get_ref().labels.as_ref());
        let labels =
            labels.into_iter().flatten().map(|label: &Spanned<String>| (label.get_ref().as_str(), label.span()));
        for (text, span) in name.into_iter().chain(labels) {
            if vocabulary::sensitive_topic(text).is_some() {
                let message = format!("`{text}` reveals a special category: the attribute needs a tag");
                self.fault(table.place.at(&span), "sensitive_word", message);
            }
        }
    }
}

/// Whether a dotted key is this one or below it.
fn is_below(key: &str, ancestor: &str) -> bool {
    key.strip_prefix(ancestor).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}
