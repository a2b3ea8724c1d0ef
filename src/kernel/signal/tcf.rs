//! TC strings (IAB TCF 2.3): what a person consented to, for which vendors.
//!
//! Reading and judging are apart: a string that can be read but that the framework calls invalid is shown as it is,
//! says why in [`TcString::invalidities`], and permits nothing.

use std::fmt;

use thiserror::Error;

use super::bits::{BitReader, BitWriter, Padding};
use super::error::{SignalError, SignalFault};
use super::id_set::{IdSet, SmallSet};
use super::{bounded, parts};
use crate::time::Timestamp;

/// Two letters: a language (ISO 639-1) or a country (ISO 3166-1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Letters([u8; 2]);

impl Letters {
    /// From two letters, in capitals.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        match text.as_bytes() {
            [a, b] if a.is_ascii_uppercase() && b.is_ascii_uppercase() => Some(Self([*a, *b])),
            _ => None,
        }
    }

    fn read(reader: &mut BitReader) -> Result<Self, SignalError> {
        let mut letters = [0; 2];
        for letter in &mut letters {
            let number: u8 = reader.integer(6)?;
            if number >= 26 {
                return Err(reader.fault(SignalFault::Value));
            }
            *letter = b'A'.saturating_add(number);
        }
        Ok(Self(letters))
    }

    fn write(self, writer: &mut BitWriter) -> Result<(), SignalError> {
        self.0.iter().try_for_each(|letter| writer.integer(letter.saturating_sub(b'A'), 6))
    }
}

impl fmt::Display for Letters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|letter| write!(f, "{}", char::from(*letter)))
    }
}

/// What a publisher restricts a vendor to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RestrictionType {
    /// The purpose is not allowed.
    NotAllowed,
    /// The purpose needs consent.
    RequireConsent,
    /// The purpose needs a legitimate interest.
    RequireLegitimateInterest,
    /// Not defined; refuses.
    Undefined,
}

impl RestrictionType {
    const ALL: [Self; 4] =
        [Self::NotAllowed, Self::RequireConsent, Self::RequireLegitimateInterest, Self::Undefined];

    /// Its number.
    #[must_use]
    pub const fn get(self) -> u8 {
        match self {
            Self::NotAllowed => 0,
            Self::RequireConsent => 1,
            Self::RequireLegitimateInterest => 2,
            Self::Undefined => 3,
        }
    }
}

/// A restriction that the publisher set, for one purpose and some vendors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restriction {
    /// The purpose.
    pub purpose: u8,
    /// What it is restricted to.
    pub kind: RestrictionType,
    /// For which vendors.
    pub vendors: IdSet,
}

/// What the publisher may do itself (the PublisherTC segment).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PublisherTc {
    /// Purposes consented to.
    pub purposes_consent: SmallSet,
    /// Purposes whose legitimate interest was disclosed and not objected to.
    pub purposes_li: SmallSet,
    /// How many purposes of its own the publisher has (up to 63).
    pub num_custom_purposes: u8,
    /// Those consented to.
    pub custom_purposes_consent: SmallSet,
    /// Those whose legitimate interest was disclosed and not objected to.
    pub custom_purposes_li: SmallSet,
}

/// A TC string of version 2. A segment of type 2 (VendorsAllowed, obsolete) is skipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TcString {
    /// When it was made. Tenths of a second on the wire.
    pub created: Timestamp,
    /// When it was last changed; since TCF 2.2 the same.
    pub last_updated: Timestamp,
    /// The consent platform.
    pub cmp_id: u16,
    /// The consent platform's version.
    pub cmp_version: u16,
    /// The screen on which consent was given.
    pub consent_screen: u8,
    /// The language in which the person was asked.
    pub consent_language: Letters,
    /// The Global Vendor List's version.
    pub vendor_list_version: u16,
    /// The framework's policy version.
    pub tcf_policy_version: u8,
    /// Whether it was made for one service: must be so.
    pub is_service_specific: bool,
    /// Whether the platform used texts of its own.
    pub use_non_standard_texts: bool,
    /// Special features opted in to.
    pub special_feature_opt_ins: SmallSet,
    /// Purposes consented to.
    pub purposes_consent: SmallSet,
    /// Purposes whose legitimate interest was disclosed and not objected to.
    pub purposes_li_transparency: SmallSet,
    /// Whether purpose 1 was not disclosed at all.
    pub purpose_one_treatment: bool,
    /// The publisher's country.
    pub publisher_cc: Letters,
    /// Vendors consented to.
    pub vendor_consent: IdSet,
    /// Vendors whose legitimate interest was disclosed and not objected to.
    pub vendor_li: IdSet,
    /// The publisher's restrictions.
    pub publisher_restrictions: Vec<Restriction>,
    /// Vendors that were disclosed; none when the segment is missing.
    pub disclosed_vendors: Option<IdSet>,
    /// What the publisher may do itself.
    pub publisher_tc: Option<PublisherTc>,
}

/// Why the framework calls a string invalid although it can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TcInvalidity {
    /// Global scope ended with TCF 2.0.
    #[error("IsServiceSpecific is not set")]
    NotServiceSpecific,
    /// Strings of older policies are invalid since 2023-09-30.
    #[error("TcfPolicyVersion is below 4")]
    PolicyVersion,
    /// Purpose 1 never rests on a legitimate interest.
    #[error("PurposesLITransparency has purpose 1")]
    StorageByInterest,
    /// Purposes 3 to 6 rest on consent alone since TCF 2.2.
    #[error("PurposesLITransparency has a purpose from 3 to 6")]
    ProfilingByInterest,
}

/// Why a vendor may not pursue a purpose on consent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TcRefusal {
    /// The string is invalid.
    #[error("the TC string is invalid")]
    Invalid,
    /// The vendor was not disclosed to the person.
    #[error("the vendor was not disclosed")]
    NotDisclosed,
    /// The person did not consent to the purpose.
    #[error("no consent to the purpose")]
    PurposeWithoutConsent,
    /// The person did not consent to the vendor.
    #[error("no consent to the vendor")]
    VendorWithoutConsent,
    /// The publisher does not let the vendor pursue the purpose on consent.
    #[error("the publisher restricts the vendor")]
    Restricted,
}

const VERSION: u8 = 2;
const LEAST_POLICY_VERSION: u8 = 4;
const PURPOSES: u8 = 24;
const SPECIAL_FEATURES: u8 = 12;
/// Sixteen times what eleven purposes of all vendors of today's list come to; more would only make answers large.
const MAX_RESTRICTED: usize = 1 << 18;

const DISCLOSED_VENDORS: u8 = 1;
const VENDORS_ALLOWED: u8 = 2;
const PUBLISHER_TC: u8 = 3;

impl TcString {
    /// Reads a TC string.
    ///
    /// # Errors
    /// When it cannot be read. A string that is invalid by the framework's rules is read.
    pub fn decode(text: &str) -> Result<Self, SignalError> {
        Self::decode_at(bounded(text)?, 0)
    }

    /// Reads a TC string that begins at character `base` of a GPP string.
    pub(super) fn decode_at(text: &str, base: usize) -> Result<Self, SignalError> {
        let mut segments = parts(text, '.', base);
        let (_, core) = segments.next().unwrap_or((base, ""));
        let mut tc = Self::read_core(BitReader::new(core, base)?)?;
        let mut skipped = false;
        for (at, segment) in segments {
            let mut reader = BitReader::new(segment, at)?;
            let kind: u8 = reader.integer(3)?;
            // TCF 2.3: the segments after the core come in any order, each once.
            match kind {
                DISCLOSED_VENDORS if tc.disclosed_vendors.is_none() => {
                    tc.disclosed_vendors = Some(IdSet::read(&mut reader)?);
                    reader.finish()?;
                }
                PUBLISHER_TC if tc.publisher_tc.is_none() => {
                    tc.publisher_tc = Some(PublisherTc::read(&mut reader)?);
                    reader.finish()?;
                }
                VENDORS_ALLOWED if !skipped => skipped = true,
                _ => return Err(reader.fault(SignalFault::Subsection)),
            }
        }
        Ok(tc)
    }

    fn read_core(mut reader: BitReader) -> Result<Self, SignalError> {
        if reader.integer::<u8>(6)? != VERSION {
            return Err(reader.fault(SignalFault::Version));
        }
        let tc = Self {
            created: read_time(&mut reader)?,
            last_updated: read_time(&mut reader)?,
            cmp_id: reader.integer(12)?,
            cmp_version: reader.integer(12)?,
            consent_screen: reader.integer(6)?,
            consent_language: Letters::read(&mut reader)?,
            vendor_list_version: reader.integer(12)?,
            tcf_policy_version: reader.integer(6)?,
            is_service_specific: reader.flag()?,
            use_non_standard_texts: reader.flag()?,
            special_feature_opt_ins: SmallSet::read(&mut reader, SPECIAL_FEATURES)?,
            purposes_consent: SmallSet::read(&mut reader, PURPOSES)?,
            purposes_li_transparency: SmallSet::read(&mut reader, PURPOSES)?,
            purpose_one_treatment: reader.flag()?,
            publisher_cc: Letters::read(&mut reader)?,
            vendor_consent: IdSet::read(&mut reader)?,
            vendor_li: IdSet::read(&mut reader)?,
            publisher_restrictions: read_restrictions(&mut reader)?,
            disclosed_vendors: None,
            publisher_tc: None,
        };
        reader.finish()?;
        Ok(tc)
    }

    /// The text as the official library writes it: core, disclosed vendors, publisher TC.
    ///
    /// # Errors
    /// When a value does not fit its field.
    pub fn encode(&self) -> Result<String, SignalError> {
        let mut segments = vec![self.write_core()?];
        if let Some(vendors) = &self.disclosed_vendors {
            let mut writer = BitWriter::default();
            writer.integer(DISCLOSED_VENDORS, 3)?;
            vendors.write(&mut writer)?;
            segments.push(writer);
        }
        if let Some(publisher) = self.publisher_tc {
            let mut writer = BitWriter::default();
            writer.integer(PUBLISHER_TC, 3)?;
            publisher.write(&mut writer)?;
            segments.push(writer);
        }
        let texts: Vec<_> = segments.into_iter().map(|writer| writer.finish(Padding::Traditional)).collect();
        Ok(texts.join("."))
    }

    fn write_core(&self) -> Result<BitWriter, SignalError> {
        let mut writer = BitWriter::default();
        writer.integer(VERSION, 6)?;
        write_time(&mut writer, self.created)?;
        write_time(&mut writer, self.last_updated)?;
        writer.integer(self.cmp_id, 12)?;
        writer.integer(self.cmp_version, 12)?;
        writer.integer(self.consent_screen, 6)?;
        self.consent_language.write(&mut writer)?;
        writer.integer(self.vendor_list_version, 12)?;
        writer.integer(self.tcf_policy_version, 6)?;
        writer.flag(self.is_service_specific);
        writer.flag(self.use_non_standard_texts);
        self.special_feature_opt_ins.write(&mut writer, SPECIAL_FEATURES)?;
        self.purposes_consent.write(&mut writer, PURPOSES)?;
        self.purposes_li_transparency.write(&mut writer, PURPOSES)?;
        writer.flag(self.purpose_one_treatment);
        self.publisher_cc.write(&mut writer)?;
        self.vendor_consent.write(&mut writer)?;
        self.vendor_li.write(&mut writer)?;
        let count = u64::try_from(self.publisher_restrictions.len()).map_err(|_| writer.fault())?;
        writer.integer(count, 12)?;
        for restriction in &self.publisher_restrictions {
            writer.integer(restriction.purpose, 6)?;
            writer.integer(restriction.kind.get(), 2)?;
            restriction.vendors.write_ranges(&mut writer)?;
        }
        Ok(writer)
    }

    /// Why the framework calls this string invalid; empty when it does not.
    #[must_use]
    pub fn invalidities(&self) -> Vec<TcInvalidity> {
        let interest = self.purposes_li_transparency;
        [
            (!self.is_service_specific, TcInvalidity::NotServiceSpecific),
            (self.tcf_policy_version < LEAST_POLICY_VERSION, TcInvalidity::PolicyVersion),
            (interest.contains(1), TcInvalidity::StorageByInterest),
            ((3..=6).any(|purpose| interest.contains(purpose)), TcInvalidity::ProfilingByInterest),
        ]
        .into_iter()
        .filter_map(|(holds, invalidity)| holds.then_some(invalidity))
        .collect()
    }

    /// Whether the framework lets this string be relied on.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.invalidities().is_empty()
    }

    /// Whether a vendor may pursue a purpose on the person's consent, and if not, why.
    ///
    /// # Errors
    /// The first reason against it.
    pub fn decide(&self, vendor: u16, purpose: u8) -> Result<(), TcRefusal> {
        if !self.is_valid() {
            return Err(TcRefusal::Invalid);
        }
        // TCF 2.3: without its segment no vendor counts as disclosed, whatever the bits say.
        if !self.disclosed_vendors.as_ref().is_some_and(|disclosed| disclosed.contains(vendor)) {
            return Err(TcRefusal::NotDisclosed);
        }
        if !self.purposes_consent.contains(purpose) {
            return Err(TcRefusal::PurposeWithoutConsent);
        }
        if !self.vendor_consent.contains(vendor) {
            return Err(TcRefusal::VendorWithoutConsent);
        }
        let refuses = |restriction: &Restriction| {
            restriction.purpose == purpose
                && restriction.kind != RestrictionType::RequireConsent
                && restriction.vendors.contains(vendor)
        };
        if self.publisher_restrictions.iter().any(refuses) { Err(TcRefusal::Restricted) } else { Ok(()) }
    }

    /// Whether a vendor may pursue a purpose on the person's consent.
    #[must_use]
    pub fn permits(&self, vendor: u16, purpose: u8) -> bool {
        self.decide(vendor, purpose).is_ok()
    }

    /// Whether the publisher itself may pursue a purpose on the person's consent.
    #[must_use]
    pub fn permits_publisher(&self, purpose: u8) -> bool {
        self.is_valid() && self.publisher_tc.is_some_and(|publisher| publisher.purposes_consent.contains(purpose))
    }
}

impl PublisherTc {
    fn read(reader: &mut BitReader) -> Result<Self, SignalError> {
        let (purposes_consent, purposes_li) =
            (SmallSet::read(reader, PURPOSES)?, SmallSet::read(reader, PURPOSES)?);
        let num_custom_purposes = reader.integer(6)?;
        Ok(Self {
            purposes_consent,
            purposes_li,
            num_custom_purposes,
            custom_purposes_consent: SmallSet::read(reader, num_custom_purposes)?,
            custom_purposes_li: SmallSet::read(reader, num_custom_purposes)?,
        })
    }

    fn write(self, writer: &mut BitWriter) -> Result<(), SignalError> {
        self.purposes_consent.write(writer, PURPOSES)?;
        self.purposes_li.write(writer, PURPOSES)?;
        writer.integer(self.num_custom_purposes, 6)?;
        self.custom_purposes_consent.write(writer, self.num_custom_purposes)?;
        self.custom_purposes_li.write(writer, self.num_custom_purposes)
    }
}

fn read_time(reader: &mut BitReader) -> Result<Timestamp, SignalError> {
    let tenths: i64 = reader.integer(36)?;
    Ok(Timestamp::from_millis(tenths.saturating_mul(100)))
}

fn write_time(writer: &mut BitWriter, time: Timestamp) -> Result<(), SignalError> {
    let tenths = u64::try_from(time.as_millis().div_euclid(100)).map_err(|_| writer.fault())?;
    writer.integer(tenths, 36)
}

fn read_restrictions(reader: &mut BitReader) -> Result<Vec<Restriction>, SignalError> {
    let count: u16 = reader.integer(12)?;
    let mut restrictions = Vec::new();
    let mut restricted = 0_usize;
    for _ in 0..count {
        let purpose = reader.integer(6)?;
        let number: usize = reader.integer(2)?;
        let kind = RestrictionType::ALL.get(number).copied().ok_or_else(|| reader.fault(SignalFault::Value))?;
        let vendors = IdSet::read_ranges(reader, u16::MAX)?;
        restricted = restricted.saturating_add(vendors.len());
        if restricted > MAX_RESTRICTED {
            return Err(reader.fault(SignalFault::VendorIds));
        }
        restrictions.push(Restriction { purpose, kind, vendors });
    }
    Ok(restrictions)
}
