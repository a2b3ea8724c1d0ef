//! Decoded signals as JSON, with the section and field names of the specifications, in their order.

use serde::ser::{Serialize, SerializeMap as _, Serializer};

use super::gpp::{Content, GppString, Section, SectionId};
use super::id_set::{IdSet, SmallSet};
use super::tcf::{PublisherTc, Restriction, TcString};
use super::us::{UsSection, UsValue};
use super::us_privacy::{Answer, UsPrivacy};
use super::{Signal, SignalError};

impl Serialize for Signal {
    /// The sections by name; a bare TC string as the section that it would be.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Gpp(gpp) => gpp.serialize(serializer),
            Self::Tc { tc, .. } => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry(&SectionId::TCF_EU_V2.to_string(), tc)?;
                map.end()
            }
        }
    }
}

impl Serialize for GppString {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.sections().iter().map(|section| (section.id().to_string(), section)))
    }
}

impl Serialize for Section {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let unread = |serializer: S, status: &str, reason: Option<&SignalError>| {
            let mut map = serializer.serialize_map(None)?;
            map.serialize_entry("Raw", self.raw())?;
            map.serialize_entry("Status", status)?;
            if let Some(reason) = reason {
                map.serialize_entry("Reason", reason.fault().code())?;
            }
            map.end()
        };
        match self.content() {
            Content::Us(us) => us.serialize(serializer),
            Content::UsPrivacy(us_privacy) => us_privacy.serialize(serializer),
            Content::Tcf(tc) => tc.serialize(serializer),
            Content::Opaque(why) => unread(serializer, why.as_str(), None),
            Content::Malformed(error) => unread(serializer, "malformed", Some(error)),
        }
    }
}

impl Serialize for UsSection {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("Version", &self.version())?;
        for (field, value) in self.fields() {
            map.serialize_entry(field.as_str(), value)?;
        }
        if let Some(gpc) = self.gpc() {
            map.serialize_entry("Gpc", &gpc)?;
        }
        map.end()
    }
}

impl Serialize for UsValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::One(value) => value.serialize(serializer),
            Self::List(values) => values.serialize(serializer),
        }
    }
}

impl Serialize for UsPrivacy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("Version", &Self::VERSION)?;
        map.serialize_entry("Notice", &self.notice)?;
        map.serialize_entry("OptOutSale", &self.opt_out_sale)?;
        map.serialize_entry("LspaCovered", &self.lspa_covered)?;
        map.end()
    }
}

impl Serialize for Answer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_char(self.as_char())
    }
}

impl Serialize for TcString {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("Version", &2)?;
        map.serialize_entry("Created", &self.created)?;
        map.serialize_entry("LastUpdated", &self.last_updated)?;
        map.serialize_entry("CmpId", &self.cmp_id)?;
        map.serialize_entry("CmpVersion", &self.cmp_version)?;
        map.serialize_entry("ConsentScreen", &self.consent_screen)?;
        map.serialize_entry("ConsentLanguage", &self.consent_language.to_string())?;
        map.serialize_entry("VendorListVersion", &self.vendor_list_version)?;
        map.serialize_entry("TcfPolicyVersion", &self.tcf_policy_version)?;
        map.serialize_entry("IsServiceSpecific", &self.is_service_specific)?;
        map.serialize_entry("UseNonStandardTexts", &self.use_non_standard_texts)?;
        map.serialize_entry("SpecialFeatureOptIns", &self.special_feature_opt_ins)?;
        map.serialize_entry("PurposesConsent", &self.purposes_consent)?;
        map.serialize_entry("PurposesLITransparency", &self.purposes_li_transparency)?;
        map.serialize_entry("PurposeOneTreatment", &self.purpose_one_treatment)?;
        map.serialize_entry("PublisherCC", &self.publisher_cc.to_string())?;
        map.serialize_entry("VendorConsent", &self.vendor_consent)?;
        map.serialize_entry("VendorLI", &self.vendor_li)?;
        map.serialize_entry("PublisherRestrictions", &self.publisher_restrictions)?;
        if let Some(vendors) = &self.disclosed_vendors {
            map.serialize_entry("DisclosedVendors", vendors)?;
        }
        if let Some(publisher) = &self.publisher_tc {
            map.serialize_entry("PublisherTC", publisher)?;
        }
        map.end()
    }
}

impl Serialize for PublisherTc {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("PubPurposesConsent", &self.purposes_consent)?;
        map.serialize_entry("PubPurposesLITransparency", &self.purposes_li)?;
        map.serialize_entry("NumCustomPurposes", &self.num_custom_purposes)?;
        map.serialize_entry("CustomPurposesConsent", &self.custom_purposes_consent)?;
        map.serialize_entry("CustomPurposesLI", &self.custom_purposes_li)?;
        map.end()
    }
}

impl Serialize for Restriction {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("PurposeId", &self.purpose)?;
        map.serialize_entry("RestrictionType", &self.kind.get())?;
        map.serialize_entry("VendorIds", &self.vendors)?;
        map.end()
    }
}

impl Serialize for IdSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl Serialize for SmallSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}
