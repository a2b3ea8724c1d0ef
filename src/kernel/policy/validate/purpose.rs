//! Purposes: a mode for every regime, an end for every consent, and a record of every change.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::civil::Date;
use toml::Spanned;
use toml::value::Datetime;

use super::super::document::{ChangeDocument, ChangeKind, Place, Placed, PurposeDocument, Table};
use super::super::{Assessment, Mode, PartialBreak, PurposeRule};
use super::{Check, declared, vocabulary};
use crate::consent::{Assurance, Basis};
use crate::purpose::Purpose;
use crate::regime::{Regime, RegimeFamily};
use crate::time::Months;

/// The modes by name, from the most lenient to the strictest.
const MODES: [(&str, Mode); 8] = [
    ("allowed", Mode::Allowed),
    ("legitimate_interest", Mode::LegitimateInterest),
    ("opt_out", Mode::OptOut),
    ("opt_in_or_soft", Mode::OptInOrSoft),
    ("opt_in_or_implied", Mode::OptInOrImplied),
    ("opt_in", Mode::OptIn),
    ("explicit_opt_in", Mode::ExplicitOptIn),
    ("forbidden", Mode::Forbidden),
];

/// ICO, direct marketing guidance: rely on no consent that somebody else obtained more than six months ago.
const THIRD_PARTY_VALIDITY: Months = Months(6);
/// How long a form waits after a question that was not answered, where the policy does not say.
const PROMPT_GAP: Months = Months(1);

/// The current version, the last one that broke with everything, and those that broke with a part.
type Versions = (u16, u16, Vec<PartialBreak>);
type Modes = (BTreeMap<RegimeFamily, Mode>, BTreeMap<Regime, Mode>);

impl Check<'_> {
    pub(super) fn purposes(&mut self) -> BTreeMap<Purpose, Arc<PurposeRule>> {
        let documents = self.documents;
        let mut rules = BTreeMap::new();
        for table in &documents.purposes.items {
            let id = self.need(table.place, &table.document.id, "id");
            let id = self.new_key(table.place, id, &rules);
            if let Some(rule) = self.purpose(table)
                && let Some(id) = id
            {
                rules.insert(id, Arc::new(rule));
            }
        }
        rules
    }

    fn purpose(&mut self, table: &Table<'_, PurposeDocument>) -> Option<PurposeRule> {
        let (place, document) = (table.place, &table.document);
        let title = self.title(place, &document.title);
        let versions = self.versions(table);
        let modes = self.modes(table);
        let validity = self.need_as(
            place,
            &document.validity,
            "validity",
            "validity",
            ": a consent needs an end (EDPB 05/2020 ¶111)",
        );
        let validity = self.months(place, validity, "validity");
        let third_party = self.months(place, document.third_party_validity.as_ref(), "third_party_validity");
        let reask = self.need_as(
            place,
            &document.reask_after,
            "reask_after",
            "reask_after",
            ": a refusal needs a time of peace (EDPB 03/2022)",
        );
        let reask_after = self.months(place, reask, "reask_after");
        let prompt_gap = match &document.prompt_gap {
            Some(gap) => self.months(place, Some(gap), "prompt_gap"),
            None => Some(PROMPT_GAP),
        };
        let fideslang = self.line(place, &document.fideslang, "fideslang");
        if let (Some(key), Some(at)) = (&fideslang, &document.fideslang)
            && !vocabulary::is_data_use(key)
        {
            self.fault(place.at(&at.span()), "vocabulary", format!("fideslang has no data use `{key}`"));
        }
        let dpv = self.line(place, &document.dpv, "dpv");
        if let (Some(term), Some(at)) = (&dpv, &document.dpv)
            && !term.bytes().all(|byte| byte.is_ascii_alphanumeric())
        {
            self.fault(place.at(&at.span()), "vocabulary", "a DPV purpose is one word such as `DirectMarketing`");
        }
        self.bases(table);
        let (assurance, assurance_exceptions) = self.assurances(table);
        let legal_person_modes = self.legal_persons(table);
        let (risk_assessment, dpia) = self.assessments(table);
        self.significance(table);
        let (version, last_breaking_version, partial_breaks) = versions?;
        let (modes, mode_exceptions) = modes?;
        Some(PurposeRule {
            id: document.id.as_ref()?.get_ref().clone(),
            title: title?,
            version,
            last_breaking_version,
            modes,
            mode_exceptions,
            validity: validity?,
            third_party_validity: third_party.unwrap_or(THIRD_PARTY_VALIDITY),
            reask_after: reask_after?,
            prompt_gap: prompt_gap?,
            direct_marketing: document.direct_marketing,
            sale_or_share: document.sale_or_share,
            sensitive: document.sensitive,
            spi_necessary: document.spi_necessary,
            assurance,
            assurance_exceptions,
            fideslang: fideslang?,
            dpv: dpv?,
            bases: document.bases.iter().map(|basis| *basis.get_ref()).collect(),
            legal_person_modes,
            partial_breaks,
            product_families: document.product_families.iter().map(|family| family.get_ref().clone()).collect(),
            significant_effect: document.significant_effect,
            human_review: document.human_review.as_ref().map(|text| text.get_ref().clone()),
            political: document.political,
            minimum_age: document.minimum_age.as_ref().map(|age| *age.get_ref()),
            risk_assessment,
            dpia,
        })
    }

    /// The current version and the last breaking one; every version after the first needs its record
    /// (NOT-10).
    fn versions(&mut self, table: &Table<'_, PurposeDocument>) -> Option<Versions> {
        let (place, document) = (table.place, &table.document);
        let version = document.version.as_ref().map_or(1, |version| *version.get_ref());
        let place_of_version = document.version.as_ref().map_or(place, |version| place.at(&version.span()));
        if version == 0 {
            self.fault(place_of_version, "value", "versions are counted from 1");
            return None;
        }
        let mut recorded = BTreeMap::new();
        for change in &document.change {
            let place = place.at(&change.span());
            let change = change.get_ref();
            self.line(place, &change.summary, "summary");
            let number = self.need(place, &change.version, "version");
            let kind = self.need_as(place, &change.kind, "kind", "not_10", " (`compatible` or `breaking`)");
            let Some(number) = number else { continue };
            let place_of_number = place.at(&number.span());
            let number = *number.get_ref();
            if !(2..=version).contains(&number) {
                self.fault(place_of_number, "not_10", format!("the purpose has no change to version {number}"));
            } else if recorded.insert(number, kind.copied()).is_some() {
                self.fault(place_of_number, "duplicate", format!("the change to version {number} is there twice"));
            }
            if kind == Some(&ChangeKind::Compatible) {
                let why = ": a compatible change needs its test on record (GDPR Art. 6(4))";
                self.need_as(place, &change.compatibility_record, "compatibility_record", "not_10", why);
                if change.compatibility_record.is_some() {
                    self.line(place, &change.compatibility_record, "compatibility_record");
                }
            }
        }
        for number in (2..=version).filter(|number| !recorded.contains_key(number)).take(8) {
            let message =
                format!("version {number} needs a `[[purpose.change]]` that is `compatible` or `breaking`");
            self.fault(place_of_version, "not_10", message);
        }
        let partial: Vec<_> =
            document.change.iter().filter_map(|change| self.partial_break(table, change)).collect();
        let is_partial = |number: &u16| partial.iter().any(|part| part.version == *number);
        let breaking = |kind: &Option<ChangeKind>| *kind == Some(ChangeKind::Breaking);
        let last = recorded
            .iter()
            .filter(|(number, kind)| breaking(kind) && !is_partial(number))
            .map(|(number, _)| *number)
            .max();
        Some((version, last.unwrap_or(1), partial))
    }

    /// A breaking change that names what is new breaks with that only (STA-06).
    fn partial_break(
        &mut self,
        table: &Table<'_, PurposeDocument>,
        change: &Spanned<ChangeDocument>,
    ) -> Option<PartialBreak> {
        let documents = self.documents;
        let place = table.place.at(&change.span());
        let change = change.get_ref();
        if change.attributes.is_none() && change.recipients.is_none() {
            return None;
        }
        if change.kind != Some(ChangeKind::Breaking) {
            self.fault(place, "not_10", "`attributes` and `recipients` belong to a breaking change");
            return None;
        }
        let attributes = change.attributes.as_deref().unwrap_or_default();
        let recipients = change.recipients.as_deref().unwrap_or_default();
        if attributes.is_empty() && recipients.is_empty() {
            self.fault(
                place,
                "not_10",
                "a part that breaks has `attributes` or `recipients`: leave both out for all",
            );
            return None;
        }
        Some(PartialBreak {
            version: *change.version.as_ref()?.get_ref(),
            attributes: self.known(place, attributes, "attribute", declared(&documents.attributes)),
            recipients: self.known(place, recipients, "recipient", declared(&documents.recipients)),
        })
    }

    /// STA-11: modes for legal persons, where a regime asks for less.
    fn legal_persons(&mut self, table: &Table<'_, PurposeDocument>) -> BTreeMap<Regime, Mode> {
        let mut modes = BTreeMap::new();
        for (regime, mode) in table.document.legal_persons.iter().flat_map(|listed| listed.get_ref()) {
            let place = table.place.at(&regime.span());
            let mode = self.mode(table.place, mode);
            match regime.get_ref().parse::<Regime>() {
                Ok(Regime::Unknown) | Err(_) => {
                    let message = format!("`{}` is no known regime, such as `EU_GDPR:FR`", regime.get_ref());
                    self.fault(place, "mode", message);
                }
                Ok(exact) => modes.extend(mode.map(|mode| (exact, mode))),
            }
        }
        modes
    }

    /// ADM-07 and ADM-08: what is assessed before it begins, with the day on which it is looked at again.
    fn assessments(&mut self, table: &Table<'_, PurposeDocument>) -> (Option<Assessment>, Option<Assessment>) {
        let document = &table.document;
        // 11 CCR §7150(b): selling, sharing, sensitive information, significant decisions.
        let risky = document.sale_or_share || document.sensitive || document.significant_effect;
        let risk = self.assessment(
            table.place,
            ("risk_assessment", &document.risk_assessment_ref, &document.risk_assessment_review),
            risky.then_some(("adm_07", "a sale, sharing, sensitive data or a significant decision needs its risk assessment (11 CCR §7150)")),
        );
        let large = document.needs_dpia || document.significant_effect;
        let dpia = self.assessment(
            table.place,
            ("dpia", &document.dpia_ref, &document.dpia_review),
            large.then_some(("adm_08", "it needs its data protection impact assessment (GDPR Art. 35)")),
        );
        (risk, dpia)
    }

    fn assessment(
        &mut self,
        place: Place<'_>,
        (kind, reference, review): (&str, &Placed<String>, &Placed<Datetime>),
        needed: Option<(&'static str, &str)>,
    ) -> Option<Assessment> {
        let (code, why) = needed.unwrap_or(("assessment", "the two go together"));
        match (reference, review) {
            (None, None) if needed.is_none() => return None,
            (Some(_), Some(_)) => {}
            (reference, _) => {
                let missing = if reference.is_none() { "ref" } else { "review" };
                self.fault(place, code, format!("`{kind}_{missing}` is missing: {why}"));
                return None;
            }
        }
        let reference = self.line(place, reference, &format!("{kind}_ref"))?;
        let review = review.as_ref()?;
        // A date and nothing else.
        let day = review.get_ref().to_string().parse::<Date>().ok().filter(|_| review.get_ref().time.is_none());
        if day.is_none() {
            let message = format!("`{kind}_review` is a date such as 2027-06-30");
            self.fault(place.at(&review.span()), "value", message);
        }
        Some(Assessment { reference, review_on: day? })
    }

    /// ADM-01, ADM-09, ADM-10: what a significant decision and political advertising may rest on.
    fn significance(&mut self, table: &Table<'_, PurposeDocument>) {
        let (place, document) = (table.place, &table.document);
        if document.significant_effect {
            let why = ": a person must be able to have a human being decide (GDPR Art. 22(3))";
            self.need_as(place, &document.human_review, "human_review", "adm_01", why);
        }
        if document.human_review.is_some() {
            self.line(place, &document.human_review, "human_review");
        }
        if let Some(age) = &document.minimum_age
            && !(1..=120).contains(age.get_ref())
        {
            self.fault(place.at(&age.span()), "value", "an age is 1 to 120 years");
        }
        if document.political {
            if document.sensitive {
                self.fault(
                    place,
                    "adm_10",
                    "political advertising uses no special categories (Regulation 2024/900)",
                );
            }
            let lenient = document
                .mode
                .iter()
                .flat_map(|modes| modes.get_ref())
                .find(|(_, mode)| !matches!(mode.get_ref().as_str(), "explicit_opt_in" | "forbidden"));
            if let Some((regime, _)) = lenient {
                let message = "political advertising needs its own explicit consent (Regulation 2024/900 Art. 18)";
                self.fault(place.at(&regime.span()), "adm_10", message);
            }
        }
    }

    /// The least assurance everywhere, and the regimes that ask for another.
    fn assurances(&mut self, table: &Table<'_, PurposeDocument>) -> (Assurance, BTreeMap<Regime, Assurance>) {
        let Some(written) = &table.document.assurance else { return (Assurance::Form, BTreeMap::new()) };
        let place = table.place.at(&written.span());
        let mut exceptions = BTreeMap::new();
        for (regime, assurance) in &written.get_ref().exceptions {
            match regime.parse() {
                // Who is under an unknown regime is owed the strictest: there is nothing to declare.
                Ok(Regime::Unknown) => {
                    let message = "`UNKNOWN` always needs the most that is listed: leave it out";
                    self.fault(place, "assurance", message);
                }
                Ok(regime) => {
                    exceptions.insert(regime, *assurance);
                }
                Err(_) => {
                    let message = format!("`{regime}` is no regime, such as `EU_GDPR` or `EU_GDPR:DE`");
                    self.fault(place, "assurance", message);
                }
            }
        }
        (written.get_ref().default.unwrap_or(Assurance::Form), exceptions)
    }

    fn modes(&mut self, table: &Table<'_, PurposeDocument>) -> Option<Modes> {
        let (place, document) = (table.place, &table.document);
        let listed = self.need_as(place, &document.mode, "mode", "mode", ": every regime needs one")?;
        let place_of_table = place.at(&listed.span());
        let (mut families, mut exceptions) = (BTreeMap::new(), BTreeMap::new());
        for (regime, mode) in listed.get_ref() {
            let mode = self.mode(place, mode);
            let Ok(exact) = regime.get_ref().parse::<Regime>() else {
                let message = format!("`{}` is no regime, such as `EU_GDPR` or `US_OTHER:MD`", regime.get_ref());
                self.fault(place.at(&regime.span()), "mode", message);
                continue;
            };
            let Some(mode) = mode else { continue };
            if regime.get_ref().contains(':') {
                exceptions.insert(exact, mode);
            } else {
                families.insert(exact.family(), mode);
            }
        }
        for family in RegimeFamily::ALL {
            let named = |regime: &Spanned<String>| regime.get_ref() == family.as_str();
            if !listed.get_ref().keys().any(named) {
                self.fault(place_of_table, "mode", format!("the purpose has no mode for `{}`", family.as_str()));
            }
        }
        self.judge_modes(place_of_table, document, &families, &exceptions);
        (families.len() == RegimeFamily::ALL.len()).then_some((families, exceptions))
    }

    fn mode(&mut self, place: Place<'_>, name: &Spanned<String>) -> Option<Mode> {
        let found = MODES.iter().find(|(known, _)| known == name.get_ref());
        if found.is_none() {
            let names = MODES.map(|(known, _)| known).join(", ");
            self.fault(place.at(&name.span()), "mode", format!("`{}` is no mode: {names}", name.get_ref()));
        }
        found.map(|(_, mode)| *mode)
    }

    fn judge_modes(
        &mut self,
        place: Place<'_>,
        document: &PurposeDocument,
        families: &BTreeMap<RegimeFamily, Mode>,
        exceptions: &BTreeMap<Regime, Mode>,
    ) {
        if let Some(unknown) = families.get(&RegimeFamily::Unknown)
            && families.values().any(|mode| strictness(*mode) > strictness(*unknown))
        {
            self.fault(place, "mode", "`UNKNOWN` must be as strict as the strictest regime");
        }
        let all = || families.values().chain(exceptions.values());
        if all().any(|used| *used == Mode::OptInOrSoft) && document.product_families.is_empty() {
            let message =
                "a soft opt-in needs the `product_families` for which it is good (Directive 2002/58 Art. 13(2))";
            self.fault(place, "sta_10", message);
        }
        for (mode, basis, name) in [
            (Mode::LegitimateInterest, Basis::LegitimateInterest, "legitimate_interest"),
            (Mode::OptInOrSoft, Basis::SoftOptIn, "soft_opt_in"),
            (Mode::OptInOrImplied, Basis::Implied, "implied"),
        ] {
            if all().any(|used| *used == mode) && !document.bases.iter().any(|listed| *listed.get_ref() == basis) {
                self.fault(place, "mode", format!("a mode rests on `{name}`, which `bases` does not list"));
            }
        }
        let protected = [RegimeFamily::EuGdpr, RegimeFamily::UkGdpr, RegimeFamily::Unknown];
        let explicit = |mode: Mode| matches!(mode, Mode::ExplicitOptIn | Mode::Forbidden);
        if document.sensitive
            && !document.spi_necessary
            && families.iter().any(|(family, mode)| protected.contains(family) && !explicit(*mode))
        {
            let message = "a sensitive purpose is `explicit_opt_in` or `forbidden` under `EU_GDPR`, `UK_GDPR` and \
                           `UNKNOWN` (GDPR Art. 9)";
            self.fault(place, "cap_08", message);
        }
    }

    fn bases(&mut self, table: &Table<'_, PurposeDocument>) {
        let (place, document) = (table.place, &table.document);
        let interest = document.bases.iter().find(|basis| *basis.get_ref() == Basis::LegitimateInterest);
        if let Some(basis) = interest {
            let why = ": a legitimate interest needs its balancing test on record (GDPR Art. 6(1)(f))";
            let place = place.at(&basis.span());
            self.need_as(place, &document.balancing_test, "balancing_test", "balancing_test", why);
        }
        if document.balancing_test.is_some() {
            self.line(place, &document.balancing_test, "balancing_test");
        }
    }
}

/// How strict a mode is; the two weaker bases are equal.
fn strictness(mode: Mode) -> u8 {
    match mode {
        Mode::Allowed => 0,
        Mode::LegitimateInterest | Mode::OptOut => 1,
        Mode::OptInOrSoft | Mode::OptInOrImplied => 2,
        Mode::OptIn => 3,
        Mode::ExplicitOptIn => 4,
        Mode::Forbidden => 5,
    }
}
