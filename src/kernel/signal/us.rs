//! The US sections of GPP: the national one and those of the states, as tables.
//!
//! All of them have one shape: a version, notices and opt-outs of two bits each, a list of sensitive data categories,
//! what is known of children, consent to further processing, and three fields of the MSPA.

use super::bits::{BitReader, BitWriter, Padding};
use super::error::{SignalError, SignalFault};
use super::gpp::SectionId;
use super::parts;

/// A field of a US section.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UsField {
    /// Whether notice of processing was given.
    ProcessingNotice,
    /// Whether notice of sharing with third parties was given.
    SharingNotice,
    /// Whether notice of the right to opt out of sale was given.
    SaleOptOutNotice,
    /// Whether notice of the right to opt out of sharing was given.
    SharingOptOutNotice,
    /// Whether notice of the right to opt out of targeted advertising was given.
    TargetedAdvertisingOptOutNotice,
    /// Whether notice of the right to opt out of processing of sensitive data was given.
    SensitiveDataProcessingOptOutNotice,
    /// The same under Iowa's name.
    SensitiveDataOptOutNotice,
    /// Whether notice of the right to limit the use of sensitive data was given.
    SensitiveDataLimitUseNotice,
    /// The opt-out of sale.
    SaleOptOut,
    /// The opt-out of sharing.
    SharingOptOut,
    /// The opt-out of targeted advertising.
    TargetedAdvertisingOptOut,
    /// Per category of sensitive data, consent or opt-out.
    SensitiveDataProcessing,
    /// Consent for a known child.
    KnownChildSensitiveDataConsents,
    /// Consent to processing beyond what was disclosed.
    PersonalDataConsents,
    /// The same in the younger states' sections.
    AdditionalDataProcessingConsent,
    /// Whether the transaction is covered by the Multi-State Privacy Agreement.
    MspaCoveredTransaction,
    /// The agreement's opt-out option mode.
    MspaOptOutOptionMode,
    /// The agreement's service provider mode.
    MspaServiceProviderMode,
}

use UsField::{
    AdditionalDataProcessingConsent, KnownChildSensitiveDataConsents, MspaCoveredTransaction,
    MspaOptOutOptionMode, MspaServiceProviderMode, PersonalDataConsents, ProcessingNotice, SaleOptOut,
    SaleOptOutNotice, SensitiveDataLimitUseNotice, SensitiveDataOptOutNotice, SensitiveDataProcessing,
    SensitiveDataProcessingOptOutNotice, SharingNotice, SharingOptOut, SharingOptOutNotice,
    TargetedAdvertisingOptOut, TargetedAdvertisingOptOutNotice,
};

impl UsField {
    /// Its name in the specification.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            ProcessingNotice => "ProcessingNotice",
            SharingNotice => "SharingNotice",
            SaleOptOutNotice => "SaleOptOutNotice",
            SharingOptOutNotice => "SharingOptOutNotice",
            TargetedAdvertisingOptOutNotice => "TargetedAdvertisingOptOutNotice",
            SensitiveDataProcessingOptOutNotice => "SensitiveDataProcessingOptOutNotice",
            SensitiveDataOptOutNotice => "SensitiveDataOptOutNotice",
            SensitiveDataLimitUseNotice => "SensitiveDataLimitUseNotice",
            SaleOptOut => "SaleOptOut",
            SharingOptOut => "SharingOptOut",
            TargetedAdvertisingOptOut => "TargetedAdvertisingOptOut",
            SensitiveDataProcessing => "SensitiveDataProcessing",
            KnownChildSensitiveDataConsents => "KnownChildSensitiveDataConsents",
            PersonalDataConsents => "PersonalDataConsents",
            AdditionalDataProcessingConsent => "AdditionalDataProcessingConsent",
            MspaCoveredTransaction => "MspaCoveredTransaction",
            MspaOptOutOptionMode => "MspaOptOutOptionMode",
            MspaServiceProviderMode => "MspaServiceProviderMode",
        }
    }

    /// Whether it says that a notice was given (1) or not (2).
    #[must_use]
    pub const fn is_notice(self) -> bool {
        match self {
            ProcessingNotice
            | SharingNotice
            | SaleOptOutNotice
            | SharingOptOutNotice
            | TargetedAdvertisingOptOutNotice
            | SensitiveDataProcessingOptOutNotice
            | SensitiveDataOptOutNotice
            | SensitiveDataLimitUseNotice => true,
            SaleOptOut
            | SharingOptOut
            | TargetedAdvertisingOptOut
            | SensitiveDataProcessing
            | KnownChildSensitiveDataConsents
            | PersonalDataConsents
            | AdditionalDataProcessingConsent
            | MspaCoveredTransaction
            | MspaOptOutOptionMode
            | MspaServiceProviderMode => false,
        }
    }

    /// Value 3 is defined nowhere, and whether the MSPA covers a transaction cannot be inapplicable.
    const fn allows(self, value: u8) -> bool {
        match self {
            MspaCoveredTransaction => value == 1 || value == 2,
            _ => value <= 2,
        }
    }

    const fn least(self) -> u8 {
        match self {
            MspaCoveredTransaction => 1,
            _ => 0,
        }
    }
}

/// What a field holds: each value 0 (not applicable), 1 or 2. For opt-outs and consents 1 is the "no".
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UsValue {
    /// One value.
    One(u8),
    /// One value for each category.
    List(Vec<u8>),
}

impl UsValue {
    /// The values; a single one as a list of one.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        match self {
            Self::One(value) => std::slice::from_ref(value),
            Self::List(values) => values,
        }
    }

    /// Whether one of the values is `value`.
    #[must_use]
    pub fn has(&self, value: u8) -> bool {
        self.as_slice().contains(&value)
    }
}

/// How a field is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    One,
    List(u8),
}

/// One row of the table of sections.
#[derive(Debug, PartialEq, Eq)]
struct Layout {
    id: u32,
    version: u8,
    /// What precedes the sensitive data.
    head: &'static [UsField],
    sensitive: u8,
    child: Shape,
    consent: Option<UsField>,
    has_gpc: bool,
}

impl Layout {
    const fn new(id: u32, head: &'static [UsField], sensitive: u8, child: Shape) -> Self {
        Self { id, version: 1, head, sensitive, child, consent: None, has_gpc: true }
    }

    const fn version(mut self, version: u8) -> Self {
        self.version = version;
        self
    }

    const fn consent(mut self, consent: UsField) -> Self {
        self.consent = Some(consent);
        self
    }

    const fn without_gpc(mut self) -> Self {
        self.has_gpc = false;
        self
    }

    /// The fields after the version, in order.
    fn fields(&self) -> impl Iterator<Item = (UsField, Shape)> + use<> {
        let middle = [
            (SensitiveDataProcessing, Shape::List(self.sensitive)),
            (KnownChildSensitiveDataConsents, self.child),
        ];
        let tail = [MspaCoveredTransaction, MspaOptOutOptionMode, MspaServiceProviderMode];
        let one = |field| (field, Shape::One);
        self.head.iter().copied().map(one).chain(middle).chain(self.consent.into_iter().chain(tail).map(one))
    }

    fn find(id: SectionId, version: u8) -> Option<&'static Self> {
        LAYOUTS.iter().find(|layout| layout.id == id.get() && layout.version == version)
    }
}

const NATIONAL: &[UsField] = &[
    SharingNotice,
    SaleOptOutNotice,
    SharingOptOutNotice,
    TargetedAdvertisingOptOutNotice,
    SensitiveDataProcessingOptOutNotice,
    SensitiveDataLimitUseNotice,
    SaleOptOut,
    SharingOptOut,
    TargetedAdvertisingOptOut,
];
const CALIFORNIA: &[UsField] =
    &[SaleOptOutNotice, SharingOptOutNotice, SensitiveDataLimitUseNotice, SaleOptOut, SharingOptOut];
const SHARING: &[UsField] =
    &[SharingNotice, SaleOptOutNotice, TargetedAdvertisingOptOutNotice, SaleOptOut, TargetedAdvertisingOptOut];
const PROCESSING: &[UsField] =
    &[ProcessingNotice, SaleOptOutNotice, TargetedAdvertisingOptOutNotice, SaleOptOut, TargetedAdvertisingOptOut];
const UTAH: &[UsField] = &[
    SharingNotice,
    SaleOptOutNotice,
    TargetedAdvertisingOptOutNotice,
    SensitiveDataProcessingOptOutNotice,
    SaleOptOut,
    TargetedAdvertisingOptOut,
];
const IOWA: &[UsField] = &[
    ProcessingNotice,
    SaleOptOutNotice,
    TargetedAdvertisingOptOutNotice,
    SensitiveDataOptOutNotice,
    SaleOptOut,
    TargetedAdvertisingOptOut,
];

/// GPP Sections/US-*, with the official library where it and a table differ (`ustn` has MspaCoveredTransaction).
static LAYOUTS: [Layout; 18] = [
    // usnat grew in version 2: its version decides the layout, not its length.
    Layout::new(7, NATIONAL, 12, Shape::List(2)).consent(PersonalDataConsents),
    Layout::new(7, NATIONAL, 16, Shape::List(3)).consent(PersonalDataConsents).version(2),
    Layout::new(8, CALIFORNIA, 9, Shape::List(2)).consent(PersonalDataConsents),
    Layout::new(9, SHARING, 8, Shape::One).without_gpc(),
    Layout::new(10, SHARING, 7, Shape::One),
    Layout::new(11, UTAH, 8, Shape::One).without_gpc(),
    Layout::new(12, SHARING, 8, Shape::List(3)),
    Layout::new(13, PROCESSING, 8, Shape::List(3)).consent(AdditionalDataProcessingConsent).without_gpc(),
    Layout::new(14, SHARING, 8, Shape::List(3)).consent(AdditionalDataProcessingConsent),
    Layout::new(15, PROCESSING, 11, Shape::List(3)).consent(AdditionalDataProcessingConsent),
    Layout::new(16, PROCESSING, 8, Shape::One).consent(AdditionalDataProcessingConsent),
    Layout::new(17, PROCESSING, 9, Shape::List(5)).consent(AdditionalDataProcessingConsent),
    Layout::new(18, IOWA, 8, Shape::One),
    Layout::new(19, PROCESSING, 8, Shape::One).consent(AdditionalDataProcessingConsent),
    Layout::new(20, PROCESSING, 8, Shape::List(3)).consent(AdditionalDataProcessingConsent),
    Layout::new(21, PROCESSING, 10, Shape::List(5)).consent(AdditionalDataProcessingConsent),
    Layout::new(22, PROCESSING, 8, Shape::One).consent(AdditionalDataProcessingConsent),
    Layout::new(23, PROCESSING, 8, Shape::One).consent(AdditionalDataProcessingConsent),
];

const VERSION_BITS: u32 = 6;
const VALUE_BITS: u32 = 2;
/// The type of the only subsection there is beside the core (GPP Sections/US-National, "GPC Sub-section").
const GPC_TYPE: u8 = 1;

/// A US section: its fields in order, and the Global Privacy Control it recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsSection {
    layout: &'static Layout,
    // INVARIANT: one for each field of the layout, in its shape, with values that the field allows.
    values: Vec<UsValue>,
    gpc: Option<bool>,
}

impl UsSection {
    /// Every section and version that can be read.
    pub fn known() -> impl Iterator<Item = (SectionId, u8)> {
        LAYOUTS.iter().map(|layout| (SectionId::new(layout.id), layout.version))
    }

    /// Whether this is the ID of a US section that can be read in some version.
    pub(super) fn is_known(id: SectionId) -> bool {
        LAYOUTS.iter().any(|layout| layout.id == id.get())
    }

    /// A section in which nothing applies and the MSPA covers the transaction, if it is a known one.
    #[must_use]
    pub fn new(id: SectionId, version: u8) -> Option<Self> {
        let layout = Layout::find(id, version)?;
        let value = |(field, shape): (UsField, Shape)| match shape {
            Shape::One => UsValue::One(field.least()),
            Shape::List(length) => UsValue::List(vec![field.least(); usize::from(length)]),
        };
        Some(Self { layout, values: layout.fields().map(value).collect(), gpc: None })
    }

    /// Which section it is.
    #[must_use]
    pub const fn id(&self) -> SectionId {
        SectionId::new(self.layout.id)
    }

    /// Its version.
    #[must_use]
    pub const fn version(&self) -> u8 {
        self.layout.version
    }

    /// The Global Privacy Control, where the section carries its subsection.
    #[must_use]
    pub const fn gpc(&self) -> Option<bool> {
        self.gpc
    }

    /// The fields after the version, in the order of the specification.
    pub fn fields(&self) -> impl Iterator<Item = (UsField, &UsValue)> {
        self.layout.fields().map(|(field, _)| field).zip(&self.values)
    }

    /// What a field holds, if the section has it.
    #[must_use]
    pub fn value(&self, field: UsField) -> Option<&UsValue> {
        self.fields().find(|(known, _)| *known == field).map(|(_, value)| value)
    }

    /// Whether the section has this field and one of its values is 1: opted out, no consent, or notice given.
    #[must_use]
    pub fn is_one(&self, field: UsField) -> bool {
        self.value(field).is_some_and(|value| value.has(1))
    }

    /// The section with another value of a field.
    ///
    /// # Errors
    /// When it has no such field, or the field no such value.
    pub fn with(mut self, field: UsField, value: UsValue) -> Result<Self, SignalError> {
        let refused = SignalError::new(SignalFault::OutOfRange, 0);
        let place = self.layout.fields().position(|(known, _)| known == field).ok_or(refused)?;
        let slot = self.values.get_mut(place).ok_or(refused)?;
        let same_shape = match (&value, &*slot) {
            (UsValue::One(_), UsValue::One(_)) => true,
            (UsValue::List(new), UsValue::List(old)) => new.len() == old.len(),
            _ => false,
        };
        if !same_shape || !value.as_slice().iter().all(|value| field.allows(*value)) {
            return Err(refused);
        }
        *slot = value;
        Ok(self)
    }

    /// The section with or without a Global Privacy Control subsection.
    ///
    /// # Errors
    /// When the section cannot carry one.
    pub fn with_gpc(mut self, gpc: Option<bool>) -> Result<Self, SignalError> {
        if gpc.is_some() && !self.layout.has_gpc {
            return Err(SignalError::new(SignalFault::OutOfRange, 0));
        }
        self.gpc = gpc;
        Ok(self)
    }

    /// Reads the section `id` from its text, which begins at character `base` of the whole string.
    pub(super) fn decode(id: SectionId, text: &str, base: usize) -> Result<Self, SignalError> {
        let mut subsections = parts(text, '.', base);
        let (base, core) = subsections.next().unwrap_or((base, ""));
        let mut reader = BitReader::new(core, base)?;
        let version = reader.integer(VERSION_BITS)?;
        let layout = Layout::find(id, version).ok_or_else(|| reader.fault(SignalFault::Version))?;
        let mut values = Vec::new();
        for (field, shape) in layout.fields() {
            values.push(match shape {
                Shape::One => UsValue::One(read_value(&mut reader, field)?),
                Shape::List(length) => {
                    UsValue::List((0..length).map(|_| read_value(&mut reader, field)).collect::<Result<_, _>>()?)
                }
            });
        }
        reader.finish()?;
        let mut gpc = None;
        for (at, subsection) in subsections {
            // A second one, or one where the specification has none, contradicts: it must not be guessed at.
            if gpc.is_some() || !layout.has_gpc {
                return Err(SignalError::new(SignalFault::Subsection, at));
            }
            gpc = Some(read_gpc(subsection, at)?);
        }
        Ok(Self { layout, values, gpc })
    }

    /// The section's text as the official library writes it.
    pub(super) fn encode(&self) -> Result<String, SignalError> {
        let mut writer = BitWriter::default();
        writer.integer(self.layout.version, VERSION_BITS)?;
        for value in self.values.iter().flat_map(UsValue::as_slice) {
            writer.integer(*value, VALUE_BITS)?;
        }
        let mut text = writer.finish(Padding::Compressed);
        if let Some(gpc) = self.gpc {
            let mut writer = BitWriter::default();
            writer.integer(GPC_TYPE, 2)?;
            writer.flag(gpc);
            text.push('.');
            text.push_str(&writer.finish(Padding::Compressed));
        }
        Ok(text)
    }
}

fn read_value(reader: &mut BitReader, field: UsField) -> Result<u8, SignalError> {
    let value = reader.integer(VALUE_BITS)?;
    if field.allows(value) { Ok(value) } else { Err(reader.fault(SignalFault::Value)) }
}

fn read_gpc(text: &str, base: usize) -> Result<bool, SignalError> {
    let mut reader = BitReader::new(text, base)?;
    if reader.integer::<u8>(2)? != GPC_TYPE {
        return Err(reader.fault(SignalFault::Subsection));
    }
    let gpc = reader.flag()?;
    reader.finish()?;
    Ok(gpc)
}
