//! Served forms: each fits the type it is computed from, and nothing but labels of closed lists can come out.

use std::collections::BTreeSet;
use std::sync::Arc;

use toml::Spanned;

use super::super::document::{FormName, Place, ServedDocument};
use super::{Check, vocabulary};
use crate::attribute::{AttributeType, Measure, ServedForm};

/// The most bands, scores or labels of one served form.
const MAX_LABELS: usize = 256;
const MAX_LABEL: usize = 64;

impl Check<'_> {
    /// The served form, if it is whole and fits `stored`. `None` for `stored`: its input is unknown and the
    /// fit is not judged.
    pub(super) fn served(
        &mut self,
        place: Place<'_>,
        document: &Spanned<ServedDocument>,
        stored: Option<AttributeType>,
    ) -> Option<ServedForm> {
        let place = place.at(&document.span());
        let document = document.get_ref();
        let name = self.need_as(place, &document.form, "form", "served_form", "")?;
        let place_of_name = place.at(&name.span());
        let name = *name.get_ref();
        self.strangers(place, document, name);
        let form = match name {
            FormName::Band => self.band(place, document),
            FormName::Score => self.score(place, document),
            FormName::Prefix => self.prefix(place, document),
            FormName::OneOf => self.closed_list(place, document).map(|labels| ServedForm::OneOf { labels }),
            FormName::ManyOf => self.closed_list(place, document).map(|labels| ServedForm::ManyOf { labels }),
            FormName::Flag => Some(ServedForm::Flag),
            FormName::Lifecycle => self.lifecycle(place, document),
            FormName::Plain => Some(ServedForm::Plain),
        };
        let measure = document.measure.as_ref().map(|measure| *measure.get_ref());
        if let Some(stored) = stored
            && !fits(name, measure, stored)
        {
            let message = format!("this form cannot be computed from a value of type `{}`", type_name(stored));
            self.fault(place_of_name, "served_form", message);
        }
        form
    }

    /// Keys that another form has.
    fn strangers(&mut self, place: Place<'_>, document: &ServedDocument, name: FormName) {
        use FormName::{Band, Lifecycle, ManyOf, OneOf, Prefix, Score};
        let span = |labels: &Vec<Spanned<String>>| labels.first().map(Spanned::span).unwrap_or_default();
        let keys = [
            ("measure", document.measure.as_ref().map(Spanned::span), &[Band, Score][..]),
            ("minimum", document.minimum.as_ref().map(Spanned::span), &[Band]),
            ("edges", document.edges.as_ref().map(Spanned::span), &[Band, Score]),
            ("labels", document.labels.as_ref().map(span), &[Band, Prefix, OneOf, ManyOf]),
            ("descending", document.descending.as_ref().map(Spanned::span), &[Score]),
            ("characters", document.characters.as_ref().map(Spanned::span), &[Prefix]),
            ("new_days", document.new_days.as_ref().map(Spanned::span), &[Lifecycle]),
            ("at_risk_days", document.at_risk_days.as_ref().map(Spanned::span), &[Lifecycle]),
            ("lapsed_days", document.lapsed_days.as_ref().map(Spanned::span), &[Lifecycle]),
        ];
        for (key, span, forms) in keys {
            if let Some(span) = span
                && !forms.contains(&name)
            {
                let place = if span.is_empty() { place } else { place.at(&span) };
                self.fault(place, "served_form", format!("this form has no `{key}`"));
            }
        }
    }

    fn band(&mut self, place: Place<'_>, document: &ServedDocument) -> Option<ServedForm> {
        let measure = self.need_as(place, &document.measure, "measure", "served_form", "");
        let edges = self.edges(place, document);
        let labels = self.labels(place, document)?;
        let (measure, edges) = (*measure?.get_ref(), edges?);
        if labels.len() != edges.len() + 1 {
            let message = format!("{} edges make {} bands, not {}", edges.len(), edges.len() + 1, labels.len());
            let span = document.labels.as_ref().and_then(|labels| labels.first()).map(Spanned::span);
            self.fault(span.map_or(place, |span| place.at(&span)), "band_edges", message);
            return None;
        }
        let minimum = document.minimum.as_ref().map(|minimum| *minimum.get_ref());
        if let (Some(at), Some(first)) = (&document.minimum, edges.first())
            && at.get_ref() >= first
        {
            self.fault(place.at(&at.span()), "band_edges", "`minimum` lies below the first edge");
        }
        Some(ServedForm::Band { measure, minimum, edges, labels: labels.into() })
    }

    fn score(&mut self, place: Place<'_>, document: &ServedDocument) -> Option<ServedForm> {
        let measure = self.need_as(place, &document.measure, "measure", "served_form", "");
        let edges = self.edges(place, document)?;
        let descending = document.descending.as_ref().is_some_and(|descending| *descending.get_ref());
        Some(ServedForm::Score { measure: *measure?.get_ref(), edges, descending })
    }

    fn edges(&mut self, place: Place<'_>, document: &ServedDocument) -> Option<Arc<[i64]>> {
        let edges = self.need_as(place, &document.edges, "edges", "served_form", "")?;
        let place = place.at(&edges.span());
        let edges = edges.get_ref();
        if !(1..MAX_LABELS).contains(&edges.len()) {
            self.fault(place, "band_edges", format!("there are 1 to {} edges", MAX_LABELS - 1));
            return None;
        }
        if !edges.is_sorted_by(|a, b| a < b) {
            self.fault(place, "band_edges", "edges rise strictly");
            return None;
        }
        Some(edges.as_slice().into())
    }

    fn prefix(&mut self, place: Place<'_>, document: &ServedDocument) -> Option<ServedForm> {
        let characters = self.need_as(place, &document.characters, "characters", "served_form", "");
        let labels = self.closed_list(place, document);
        let at = characters?;
        let characters = *at.get_ref();
        if !(1..=8).contains(&characters) {
            self.fault(place.at(&at.span()), "served_form", "a prefix has 1 to 8 characters");
            return None;
        }
        for label in document.labels.iter().flatten() {
            if label.get_ref().chars().count() != characters {
                let message = format!("`{}` does not have {characters} characters", label.get_ref());
                self.fault(place.at(&label.span()), "served_form", message);
            }
        }
        Some(ServedForm::Prefix { characters, labels: labels? })
    }

    fn lifecycle(&mut self, place: Place<'_>, document: &ServedDocument) -> Option<ServedForm> {
        let new_days = self.need_as(place, &document.new_days, "new_days", "served_form", "");
        let at_risk_days = self.need_as(place, &document.at_risk_days, "at_risk_days", "served_form", "");
        let lapsed_days = self.need_as(place, &document.lapsed_days, "lapsed_days", "served_form", "");
        let (new_days, at_risk_days, lapsed) = (*new_days?.get_ref(), *at_risk_days?.get_ref(), lapsed_days?);
        let lapsed_days = *lapsed.get_ref();
        if new_days < 1 || at_risk_days < 1 || lapsed_days <= at_risk_days {
            let message = "days are positive, and a customer is at risk before lapsing";
            self.fault(place.at(&lapsed.span()), "served_form", message);
            return None;
        }
        Some(ServedForm::Lifecycle { new_days, at_risk_days, lapsed_days })
    }

    /// The labels, sorted for the search.
    fn closed_list(&mut self, place: Place<'_>, document: &ServedDocument) -> Option<Arc<[Arc<str>]>> {
        let mut labels = self.labels(place, document)?;
        labels.sort();
        Some(labels.into())
    }

    fn labels(&mut self, place: Place<'_>, document: &ServedDocument) -> Option<Vec<Arc<str>>> {
        let labels = self.need_as(place, &document.labels, "labels", "served_form", "")?;
        if labels.is_empty() || labels.len() > MAX_LABELS {
            self.fault(place, "served_form", format!("there are 1 to {MAX_LABELS} labels"));
            return None;
        }
        let mut seen = BTreeSet::new();
        for label in labels {
            let place = place.at(&label.span());
            let text = label.get_ref();
            if text.trim() != text || text.is_empty() || text.chars().count() > MAX_LABEL {
                let message = format!("a label has 1 to {MAX_LABEL} characters and no space at its ends");
                self.fault(place, "served_form", message);
            } else if text.chars().any(vocabulary::is_unprintable) {
                self.fault(place, "served_form", "a label holds a control character");
            } else if !seen.insert(text.as_str()) {
                self.fault(place, "duplicate", format!("the label `{text}` is there twice"));
            }
        }
        Some(labels.iter().map(|label| label.get_ref().as_str().into()).collect())
    }
}

/// Which type a form is computed from. No form but `plain` is computed from an address.
fn fits(form: FormName, measure: Option<Measure>, stored: AttributeType) -> bool {
    let measured = || match measure {
        // A missing measure is its own fault.
        None => true,
        Some(Measure::Number) => stored == AttributeType::Integer,
        Some(Measure::AgeYears | Measure::DaysSince | Measure::MonthsSince) => stored == AttributeType::Date,
        Some(Measure::PurchaseRecencyDays | Measure::PurchaseCount | Measure::PurchaseTotal) => {
            stored == AttributeType::Purchases
        }
    };
    match form {
        FormName::Band | FormName::Score => measured(),
        FormName::Prefix | FormName::OneOf => stored == AttributeType::Text,
        FormName::ManyOf => stored == AttributeType::TextList,
        FormName::Flag => stored == AttributeType::Boolean,
        FormName::Lifecycle => stored == AttributeType::Purchases,
        // Orders leave only as bands, scores and stages: never amounts and dates.
        FormName::Plain => stored != AttributeType::Purchases,
    }
}

const fn type_name(stored: AttributeType) -> &'static str {
    match stored {
        AttributeType::Text => "text",
        AttributeType::Email => "email",
        AttributeType::Date => "date",
        AttributeType::Integer => "integer",
        AttributeType::Boolean => "boolean",
        AttributeType::TextList => "text_list",
        AttributeType::Purchases => "purchases",
    }
}
