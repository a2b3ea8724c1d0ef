//! A signal as it arrived: what was sent, byte for byte, and what was read from it.

use std::fmt;

use minicbor::{Decode, Encode};
use sha2::{Digest as _, Sha256};

use super::gpp::{GppString, Section, SectionId};
use super::meaning::SignalMeaning;
use super::tcf::TcString;
use super::{SignalError, SignalFault};
use crate::id::bytes_newtype;

bytes_newtype! {
    /// The digest of a received signal. It is kept sealed: whoever has a string could recognise it.
    SignalDigest, 32, ""
}

/// The most sections that `GPP_SID` may name: the specification speaks of one, rarely two.
pub const MAX_APPLICABLE: usize = 32;

/// What a signal is tied to (11 CCR §7025(c)(1)). The codes are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum SignalScope {
    /// A browser or device, of which no person is known.
    #[n(1)]
    Device,
    /// A pseudonymous profile.
    #[n(2)]
    Profile,
    /// A known person.
    #[n(3)]
    Consumer,
}

impl SignalScope {
    /// Its name in answers and copies.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::Profile => "profile",
            Self::Consumer => "consumer",
        }
    }
}

/// The strings of a signal, as they were sent. They tell of a person: shown by no `Debug`.
#[derive(Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct ReceivedSignal {
    /// The GPP string.
    #[n(0)]
    pub gpp: Option<String>,
    /// The sections that apply; empty: none does, `None`: it was not said.
    #[n(1)]
    pub gpp_sid: Option<Vec<u32>>,
    /// The TC string that came by itself.
    #[n(2)]
    pub tc: Option<String>,
}

impl fmt::Debug for ReceivedSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReceivedSignal(..)")
    }
}

impl ReceivedSignal {
    /// Whether there is no string.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.gpp.is_none() && self.tc.is_none()
    }

    /// By which it is recognised when it is sent again.
    #[must_use]
    pub fn digest(&self) -> SignalDigest {
        let mut hash = Sha256::new();
        let sid = self.gpp_sid.iter().flatten().flat_map(|id| id.to_be_bytes()).collect::<Vec<_>>();
        let sid = self.gpp_sid.as_ref().map(|_| sid);
        for part in [self.gpp.as_deref().map(str::as_bytes), sid.as_deref(), self.tc.as_deref().map(str::as_bytes)]
        {
            // What is absent differs from what is empty, and no two lists of parts coincide.
            hash.update([u8::from(part.is_some())]);
            let part = part.unwrap_or_default();
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        SignalDigest::from_bytes(hash.finalize().into())
    }
}

/// The part of a signal that a fault is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignalPart {
    /// The GPP string.
    Gpp,
    /// The list of sections that apply.
    GppSid,
    /// The TC string.
    Tc,
}

impl SignalPart {
    /// Its name in requests.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gpp => "gpp",
            Self::GppSid => "gpp_sid",
            Self::Tc => "tc",
        }
    }
}

/// A signal that was read: what was sent, and what it says. Nothing malformed becomes one.
#[derive(Clone, PartialEq, Eq)]
pub struct ReadSignal {
    received: ReceivedSignal,
    is_gpc: bool,
    meanings: Vec<SignalMeaning>,
    consents: Vec<TcString>,
}

impl fmt::Debug for ReadSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadSignal").field("gpc", &self.is_gpc).finish_non_exhaustive()
    }
}

impl ReadSignal {
    /// Reads a Global Privacy Control flag and the strings that came with it.
    ///
    /// A section whose layout is unknown or disputed is kept and closes; so does one that applies and is missing.
    /// Without a list of the sections that apply, all of them do.
    ///
    /// # Errors
    /// The part and the fault of what is malformed, in the string as a whole or in one of its sections.
    pub fn read(gpc: bool, received: ReceivedSignal) -> Result<Self, (SignalPart, SignalError)> {
        let mut read = Self { is_gpc: gpc, meanings: Vec::new(), consents: Vec::new(), received };
        let applicable = read.applicable()?;
        if let Some(text) = &read.received.gpp {
            let gpp = GppString::decode(text).and_then(|gpp| gpp.check().map(|()| gpp));
            let gpp = gpp.map_err(|error| (SignalPart::Gpp, error))?;
            let ids = applicable.unwrap_or_else(|| gpp.sections().iter().map(Section::id).collect());
            read.meanings = ids
                .iter()
                .map(|id| gpp.section(*id).map_or_else(|| SignalMeaning::closed(*id), SignalMeaning::stated_by))
                .collect();
            if ids.contains(&SectionId::TCF_EU_V2) {
                read.consents.extend(gpp.consents().cloned());
            }
        }
        if let Some(text) = &read.received.tc {
            let tc = TcString::decode(text).map_err(|error| (SignalPart::Tc, error))?;
            read.meanings.push(SignalMeaning::of_tc(&tc));
            read.consents.push(tc);
        }
        read.is_gpc |= read.meanings.iter().any(|meaning| meaning.gpc);
        Ok(read)
    }

    /// A Global Privacy Control signal and nothing else.
    #[must_use]
    pub fn gpc() -> Self {
        let received = ReceivedSignal::default();
        Self { is_gpc: true, meanings: Vec::new(), consents: Vec::new(), received }
    }

    fn applicable(&self) -> Result<Option<Vec<SectionId>>, (SignalPart, SignalError)> {
        let Some(ids) = &self.received.gpp_sid else { return Ok(None) };
        let fault = |fault, at| (SignalPart::GppSid, SignalError::new(fault, at));
        if self.received.gpp.is_none() {
            return Err(fault(SignalFault::SectionIds, 0));
        }
        if ids.len() > MAX_APPLICABLE {
            return Err(fault(SignalFault::SectionCount, MAX_APPLICABLE));
        }
        match ids.iter().position(|id| *id == 0) {
            Some(at) => Err(fault(SignalFault::SectionIds, at)),
            None => Ok(Some(ids.iter().copied().map(SectionId::new).collect())),
        }
    }

    /// What was sent.
    #[must_use]
    pub const fn received(&self) -> &ReceivedSignal {
        &self.received
    }

    /// Whether it carries the Global Privacy Control: by itself, or recorded in a section.
    #[must_use]
    pub const fn is_gpc(&self) -> bool {
        self.is_gpc
    }

    /// What the sections that apply ask for.
    pub fn meanings(&self) -> &[SignalMeaning] {
        &self.meanings
    }

    /// The TC strings that apply.
    #[must_use]
    pub fn consents(&self) -> &[TcString] {
        &self.consents
    }

    /// Whether it says nothing at all.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        !self.is_gpc && self.received.is_empty()
    }
}
