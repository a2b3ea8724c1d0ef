//! What a section asks for, in words that a policy can map to purposes.
//!
//! A signal only ever takes away: nothing here grants anything. What is not understood takes away everything.

use super::gpp::{Content, Section, SectionId};
use super::tcf::TcString;
use super::us::{UsField, UsSection, UsValue};
use super::us_privacy::{Answer, UsPrivacy};
use crate::regime::Regime;

/// What one section asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct SignalMeaning {
    /// The section it was read from.
    pub section: SectionId,
    /// The law whose rights the section exercises, as far as this product models it.
    pub regime: Option<Regime>,
    /// No sale.
    pub sale_opted_out: bool,
    /// No sharing for cross-context advertising. Where a section knows only targeted advertising, as that.
    pub sharing_opted_out: bool,
    /// No targeted advertising. Where a section knows only sharing, as that; in a TC string, where profiles for
    /// advertising (purpose 3) or their use (purpose 4) have no consent.
    pub targeted_ads_opted_out: bool,
    /// No consent to, or an opt-out of, at least one category of sensitive data.
    pub sensitive_limited: bool,
    /// The section speaks of a known child.
    pub known_child: bool,
    /// Consent for a known child is refused.
    pub child_consent_refused: bool,
    /// Consent to processing beyond what was disclosed is refused.
    pub additional_processing_refused: bool,
    /// A notice that applies was not given.
    pub notice_missing: bool,
    /// The section recorded a Global Privacy Control signal.
    pub gpc: bool,
    /// The section could not be relied on, so that everything counts as opted out.
    pub fail_closed: bool,
}

impl SignalMeaning {
    /// What a section asks for.
    pub fn of_section(section: &Section) -> Self {
        match section.content() {
            Content::Us(us) => Self::of_us(us),
            Content::UsPrivacy(us_privacy) => Self::of_us_privacy(*us_privacy),
            Content::Tcf(tc) => Self::of_tc(tc),
            Content::Opaque(_) | Content::Malformed(_) => Self::closed(section.id()),
        }
    }

    /// What a section asks for that applies and cannot be relied on: everything, except that it calls nobody a child.
    pub fn closed(section: SectionId) -> Self {
        Self {
            sale_opted_out: true,
            sharing_opted_out: true,
            targeted_ads_opted_out: true,
            sensitive_limited: true,
            child_consent_refused: true,
            additional_processing_refused: true,
            fail_closed: true,
            ..Self::open(section)
        }
    }

    fn open(section: SectionId) -> Self {
        Self {
            section,
            regime: regime_of(section),
            sale_opted_out: false,
            sharing_opted_out: false,
            targeted_ads_opted_out: false,
            sensitive_limited: false,
            known_child: false,
            child_consent_refused: false,
            additional_processing_refused: false,
            notice_missing: false,
            gpc: false,
            fail_closed: false,
        }
    }

    /// What a section states by its fields. That it recorded a Global Privacy Control signal is told by
    /// [`SignalMeaning::gpc`] alone: the person may have chosen otherwise for this business (11 CCR §7025(c)(3)).
    pub fn stated_by(section: &Section) -> Self {
        match section.content() {
            Content::Us(us) => Self::of_us_fields(us),
            Content::UsPrivacy(_) | Content::Tcf(_) | Content::Opaque(_) | Content::Malformed(_) => {
                Self::of_section(section)
            }
        }
    }

    /// What a US section asks for. A signal that it recorded opts out.
    pub fn of_us(us: &UsSection) -> Self {
        let fields = Self::of_us_fields(us);
        Self {
            // W3C GPC: a request not to sell, not to share and not to advertise across contexts.
            sale_opted_out: fields.gpc || fields.sale_opted_out,
            sharing_opted_out: fields.gpc || fields.sharing_opted_out,
            targeted_ads_opted_out: fields.gpc || fields.targeted_ads_opted_out,
            ..fields
        }
    }

    fn of_us_fields(us: &UsSection) -> Self {
        // A field that the section lacks says nothing; the other name of the same thing speaks for it.
        let either = |field, other| us.is_one(if us.value(field).is_some() { field } else { other });
        let children = us.value(UsField::KnownChildSensitiveDataConsents);
        Self {
            sale_opted_out: us.is_one(UsField::SaleOptOut),
            sharing_opted_out: either(UsField::SharingOptOut, UsField::TargetedAdvertisingOptOut),
            targeted_ads_opted_out: either(UsField::TargetedAdvertisingOptOut, UsField::SharingOptOut),
            sensitive_limited: us.is_one(UsField::SensitiveDataProcessing),
            known_child: children.is_some_and(|values| values.has(1) || values.has(2)),
            child_consent_refused: children.is_some_and(|values| values.has(1)),
            additional_processing_refused: us.is_one(UsField::PersonalDataConsents)
                || us.is_one(UsField::AdditionalDataProcessingConsent),
            notice_missing: us.fields().any(|(field, value)| field.is_notice() && *value == UsValue::One(2)),
            gpc: us.gpc() == Some(true),
            ..Self::open(us.id())
        }
    }

    /// What a US Privacy string asks for. It knows one opt-out, of sale in the wide sense of the first CCPA.
    pub fn of_us_privacy(us_privacy: UsPrivacy) -> Self {
        let out = us_privacy.opt_out_sale == Answer::Yes;
        Self {
            sale_opted_out: out,
            sharing_opted_out: out,
            targeted_ads_opted_out: out,
            notice_missing: us_privacy.notice == Answer::No,
            ..Self::open(SectionId::USP_V1)
        }
    }

    /// What a TC string asks for as a whole. For one vendor and purpose ask [`TcString::decide`].
    pub fn of_tc(tc: &TcString) -> Self {
        if !tc.is_valid() {
            return Self::closed(SectionId::TCF_EU_V2);
        }
        let profiled_ads = tc.purposes_consent.contains(3) && tc.purposes_consent.contains(4);
        Self { targeted_ads_opted_out: !profiled_ads, ..Self::open(SectionId::TCF_EU_V2) }
    }
}

fn regime_of(section: SectionId) -> Option<Regime> {
    match (section.name(), section.state()) {
        (_, Some(state)) => Regime::of_region(&format!("US-{state}", state = state.to_ascii_uppercase())).ok(),
        // US Privacy was made for the CCPA.
        (Some("uspv1"), _) => Some(Regime::UsCa),
        (Some("usnat"), _) => Some(Regime::UsOther(None)),
        (Some("tcfeuv1" | "tcfeuv2"), _) => Some(Regime::EuGdpr(None)),
        _ => None,
    }
}
