//! GPP strings (IAB GPP 1.0): a header that says which sections follow, and the sections.
//!
//! The string as a whole is malformed when its header, its alphabet or the number of its sections is wrong. A section
//! that is malformed by itself does not take the others with it: it is kept with its fault, and closes.

use std::fmt;

use super::bits::{BitReader, BitWriter, Padding, sextet};
use super::error::{SignalError, SignalFault};
use super::meaning::SignalMeaning;
use super::tcf::TcString;
use super::us::UsSection;
use super::us_privacy::UsPrivacy;
use super::{bounded, parts};

/// The number of a section (GPP "Section Information").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SectionId(u32);

/// Sections with a name: all that the registry has.
const NAMES: [(u32, &str); 25] = [
    (1, "tcfeuv1"),
    (2, "tcfeuv2"),
    (5, "tcfcav1"),
    (6, "uspv1"),
    (7, "usnat"),
    (8, "usca"),
    (9, "usva"),
    (10, "usco"),
    (11, "usut"),
    (12, "usct"),
    (13, "usfl"),
    (14, "usmt"),
    (15, "usor"),
    (16, "ustx"),
    (17, "usde"),
    (18, "usia"),
    (19, "usne"),
    (20, "usnh"),
    (21, "usnj"),
    (22, "ustn"),
    (23, "usmn"),
    (24, "usmd"),
    (25, "usin"),
    (26, "usky"),
    (27, "usri"),
];

impl SectionId {
    /// EU TCF 2.
    pub const TCF_EU_V2: Self = Self(2);
    /// US Privacy.
    pub const USP_V1: Self = Self(6);

    /// By its number.
    #[must_use]
    pub const fn new(id: u32) -> Self {
        Self(id)
    }

    /// Its number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// Its name in the registry.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        NAMES.iter().find(|(id, _)| *id == self.0).map(|(_, name)| *name)
    }

    /// By its name in the registry.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        NAMES.iter().find(|(_, known)| *known == name).map(|(id, _)| Self(*id))
    }

    /// The two letters of the US state whose section this is.
    #[must_use]
    pub fn state(self) -> Option<&'static str> {
        self.name().and_then(|name| name.strip_prefix("us")).filter(|letters| letters.len() == 2)
    }

    /// Reads `GPP_SID`: the IDs of the sections that apply, parted by commas; `-1` says that none does.
    ///
    /// # Errors
    /// When the text is something else.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, SignalError> {
        if bounded(text)? == "-1" {
            return Ok(Vec::new());
        }
        parts(text, ',', 0)
            .map(|(at, id)| {
                let digits = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit());
                let id = id.parse().ok().filter(|id| digits && *id != 0);
                id.map(Self).ok_or(SignalError::new(SignalFault::SectionIds, at))
            })
            .collect()
    }
}

impl fmt::Display for SectionId {
    /// The name, or the number of a section that has none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "{}", self.0),
        }
    }
}

/// Why a section was left as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opacity {
    /// The specification and the official library lay it out differently (`usmd`, `usin`, `usky`, `usri`).
    Disputed,
    /// No layout is known.
    Unknown,
}

impl Opacity {
    /// Its name in answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Disputed => "disputed",
            Self::Unknown => "unknown",
        }
    }
}

/// What was read from a section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// The national or a state's section.
    Us(UsSection),
    /// US Privacy.
    UsPrivacy(UsPrivacy),
    /// A TC string.
    Tcf(TcString),
    /// Nothing: its layout is not known for certain.
    Opaque(Opacity),
    /// Nothing: it is not laid out as it should be.
    Malformed(SignalError),
}

/// A section of a GPP string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    id: SectionId,
    raw: String,
    content: Content,
}

impl Section {
    fn decode(id: SectionId, text: &str, base: usize) -> Self {
        let content = match id {
            SectionId::TCF_EU_V2 => TcString::decode_at(text, base).map(Content::Tcf),
            SectionId::USP_V1 => UsPrivacy::decode(text, base).map(Content::UsPrivacy),
            SectionId(24..=27) => Ok(Content::Opaque(Opacity::Disputed)),
            id if UsSection::is_known(id) => UsSection::decode(id, text, base).map(Content::Us),
            _ => Ok(Content::Opaque(Opacity::Unknown)),
        };
        Self { id, raw: text.to_owned(), content: content.unwrap_or_else(Content::Malformed) }
    }

    /// A US section, written.
    ///
    /// # Errors
    /// When a value cannot be written.
    pub fn of_us(section: UsSection) -> Result<Self, SignalError> {
        Ok(Self { id: section.id(), raw: section.encode()?, content: Content::Us(section) })
    }

    /// A US Privacy section, written.
    #[must_use]
    pub fn of_us_privacy(section: UsPrivacy) -> Self {
        Self { id: SectionId::USP_V1, raw: section.encode(), content: Content::UsPrivacy(section) }
    }

    /// A TCF section, written.
    ///
    /// # Errors
    /// When a value cannot be written.
    pub fn of_tc(tc: TcString) -> Result<Self, SignalError> {
        Ok(Self { id: SectionId::TCF_EU_V2, raw: tc.encode()?, content: Content::Tcf(tc) })
    }

    /// Which section it is.
    #[must_use]
    pub const fn id(&self) -> SectionId {
        self.id
    }

    /// Its text as it was sent.
    #[must_use]
    pub fn raw(&self) -> &str {
        &self.raw
    }

    /// What was read from it.
    #[must_use]
    pub const fn content(&self) -> &Content {
        &self.content
    }

    /// Its text as the official library writes it; as it was sent where it could not be read.
    ///
    /// # Errors
    /// When a value cannot be written.
    pub fn encode(&self) -> Result<String, SignalError> {
        match &self.content {
            Content::Us(section) => section.encode(),
            Content::UsPrivacy(section) => Ok(section.encode()),
            Content::Tcf(tc) => tc.encode(),
            Content::Opaque(_) | Content::Malformed(_) => Ok(self.raw.clone()),
        }
    }
}

/// A GPP string: its text and its sections, by ascending ID.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GppString {
    raw: String,
    sections: Vec<Section>,
}

const TYPE: u8 = 3;
const VERSION: u8 = 1;
const HEADER_BITS: u32 = 6;
const COUNT_BITS: u32 = 12;

impl GppString {
    /// Reads a GPP string.
    ///
    /// # Errors
    /// When the header, the alphabet or the number of sections is wrong. A section with a fault of its own is kept as
    /// [`Content::Malformed`].
    pub fn decode(text: &str) -> Result<Self, SignalError> {
        // Before all else, so that even sections that are not read hold nothing but these characters.
        let foreign = |byte: u8| sextet(byte).is_none() && byte != b'.' && byte != b'~';
        if let Some(at) = bounded(text)?.bytes().position(foreign) {
            return Err(SignalError::new(SignalFault::Alphabet, at));
        }
        let mut texts = parts(text, '~', 0);
        let (_, header) = texts.next().unwrap_or((0, ""));
        let texts: Vec<(usize, &str)> = texts.collect();
        let ids = read_header(header, texts.len())?;
        if let Some((at, _)) = texts.get(ids.len()) {
            return Err(SignalError::new(SignalFault::SectionCount, *at));
        }
        if let Some((at, _)) = texts.iter().find(|(_, text)| text.is_empty()) {
            return Err(SignalError::new(SignalFault::EmptySection, *at));
        }
        let sections = ids.into_iter().zip(texts).map(|(id, (at, text))| Section::decode(id, text, at)).collect();
        Ok(Self { raw: text.to_owned(), sections })
    }

    /// The string that holds these sections, in the order of their IDs, as the official library writes it.
    ///
    /// # Errors
    /// When two have the same ID, or a value cannot be written.
    pub fn of_sections(mut sections: Vec<Section>) -> Result<Self, SignalError> {
        sections.sort_by_key(Section::id);
        if sections.windows(2).any(|pair| matches!(pair, [a, b] if a.id == b.id)) {
            return Err(SignalError::new(SignalFault::SectionIds, 0));
        }
        let mut gpp = Self { raw: String::new(), sections };
        gpp.raw = gpp.encode()?;
        Ok(gpp)
    }

    /// The text as it was sent: what is stored and forwarded.
    #[must_use]
    pub fn raw(&self) -> &str {
        &self.raw
    }

    /// The sections, by ascending ID.
    #[must_use]
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// A section by its ID.
    #[must_use]
    pub fn section(&self, id: SectionId) -> Option<&Section> {
        self.sections.iter().find(|section| section.id == id)
    }

    /// Whether no section is malformed.
    ///
    /// # Errors
    /// The fault of the first one that is.
    pub fn check(&self) -> Result<(), SignalError> {
        let fault = |section: &Section| match section.content {
            Content::Malformed(error) => Some(error),
            _ => None,
        };
        self.sections.iter().find_map(fault).map_or(Ok(()), Err)
    }

    /// The text as the official library writes it. It differs from [`GppString::raw`] where another platform padded or
    /// ordered otherwise.
    ///
    /// # Errors
    /// When a value cannot be written.
    pub fn encode(&self) -> Result<String, SignalError> {
        let ids: Vec<u32> = self.sections.iter().map(|section| section.id.0).collect();
        let mut text = write_header(&ids)?;
        for section in &self.sections {
            text.push('~');
            text.push_str(&section.encode()?);
        }
        Ok(text)
    }

    /// What each section asks for.
    #[must_use]
    pub fn meanings(&self) -> Vec<SignalMeaning> {
        self.sections.iter().map(SignalMeaning::of_section).collect()
    }

    /// The TC strings among its sections.
    pub fn consents(&self) -> impl Iterator<Item = &TcString> {
        self.sections.iter().filter_map(|section| match section.content() {
            Content::Tcf(tc) => Some(tc),
            Content::Us(_) | Content::UsPrivacy(_) | Content::Opaque(_) | Content::Malformed(_) => None,
        })
    }

    /// What the sections that apply ask for; one that applies and is not there closes.
    #[must_use]
    pub fn meanings_of(&self, applicable: &[SectionId]) -> Vec<SignalMeaning> {
        let meaning = |id: &SectionId| {
            self.section(*id).map_or_else(|| SignalMeaning::closed(*id), SignalMeaning::of_section)
        };
        applicable.iter().map(meaning).collect()
    }
}

/// Reads the section IDs, of which there may be `most`.
fn read_header(text: &str, most: usize) -> Result<Vec<SectionId>, SignalError> {
    let mut reader = BitReader::new(text, 0)?;
    if reader.integer::<u8>(HEADER_BITS)? != TYPE {
        return Err(reader.fault(SignalFault::HeaderType));
    }
    if reader.integer::<u8>(HEADER_BITS)? != VERSION {
        return Err(reader.fault(SignalFault::HeaderVersion));
    }
    let count: u16 = reader.integer(COUNT_BITS)?;
    let mut ids = Vec::new();
    let mut last = 0_u32;
    for _ in 0..count {
        let is_group = reader.flag()?;
        let mut step = |reader: &mut BitReader| {
            // Every item counts from the last ID seen, a single one too: offsets are added, never assigned.
            last = last.checked_add(reader.fibonacci()?).ok_or_else(|| reader.fault(SignalFault::SectionIds))?;
            Ok(last)
        };
        let first = step(&mut reader)?;
        let end = if is_group { step(&mut reader)? } else { first };
        for id in first..=end {
            // A group of five bytes may announce four thousand million sections.
            if ids.len() >= most {
                return Err(reader.fault(SignalFault::SectionCount));
            }
            ids.push(SectionId(id));
        }
    }
    reader.finish()?;
    Ok(ids)
}

pub(super) fn write_header(ids: &[u32]) -> Result<String, SignalError> {
    let mut writer = BitWriter::default();
    writer.integer(TYPE, HEADER_BITS)?;
    writer.integer(VERSION, HEADER_BITS)?;
    let groups: Vec<&[u32]> = ids.chunk_by(|a, b| a.checked_add(1) == Some(*b)).collect();
    writer.integer(u64::try_from(groups.len()).map_err(|_| writer.fault())?, COUNT_BITS)?;
    let mut seen = 0_u32;
    for (first, last) in groups.into_iter().filter_map(|group| group.first().zip(group.last())) {
        writer.flag(first != last);
        writer.fibonacci(first.saturating_sub(seen))?;
        if first != last {
            writer.fibonacci(last.saturating_sub(*first))?;
        }
        seen = *last;
    }
    Ok(writer.finish(Padding::Compressed))
}
