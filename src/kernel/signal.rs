//! The signals that browsers and consent platforms send: IAB GPP strings and TCF 2.3 TC strings.
//!
//! A gateway consumes and stores them, it never alters them: the original text is kept byte for byte beside what was
//! read from it. Reading is total (any text gives a value or a [`SignalError`] with a position, never a panic), and
//! what cannot be understood closes: an unknown, disputed or malformed section means "opted out" in its
//! [`SignalMeaning`], an invalid TC string permits nothing.

mod bits;
pub mod error;
pub mod gpp;
pub mod id_set;
mod json;
pub mod meaning;
pub mod received;
pub mod tcf;
pub mod us;
pub mod us_privacy;

#[cfg(test)]
pub(crate) mod tests;

pub use error::{SignalError, SignalFault};
pub use gpp::{Content, GppString, Opacity, Section, SectionId};
pub use id_set::{IdSet, SmallSet};
pub use meaning::SignalMeaning;
pub use received::{ReadSignal, ReceivedSignal, SignalDigest, SignalPart, SignalScope};
pub use tcf::TcString;
pub use us::{UsField, UsSection, UsValue};
pub use us_privacy::UsPrivacy;

/// The longest text that is looked at, in bytes. Strings in the field are below 8 KiB.
pub const MAX_SIGNAL_BYTES: usize = 64 * 1024;

/// A signal of either kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signal {
    /// A GPP string.
    Gpp(GppString),
    /// A TC string by itself.
    Tc {
        /// As it was sent.
        raw: String,
        /// What it says.
        tc: TcString,
    },
}

impl Signal {
    /// Reads a GPP string or a bare TC string; the first character tells them apart (GPP 1.0, "Header").
    ///
    /// A GPP string is read although one of its sections is malformed; [`Signal::check`] says whether that is so.
    ///
    /// # Errors
    /// When the text is neither, or the string as a whole is malformed.
    pub fn decode(text: &str) -> Result<Self, SignalError> {
        match text.as_bytes().first() {
            Some(b'D') => GppString::decode(text).map(Self::Gpp),
            Some(b'C') => TcString::decode(text).map(|tc| Self::Tc { raw: text.to_owned(), tc }),
            _ => Err(SignalError::new(SignalFault::Unrecognised, 0)),
        }
    }

    /// Whether every section could be read or is of a layout that this version knowingly leaves alone.
    ///
    /// # Errors
    /// The fault of the first malformed section.
    pub fn check(&self) -> Result<(), SignalError> {
        match self {
            Self::Gpp(gpp) => gpp.check(),
            Self::Tc { .. } => Ok(()),
        }
    }

    /// The text as it was sent, to be stored and forwarded.
    #[must_use]
    pub fn raw(&self) -> &str {
        match self {
            Self::Gpp(gpp) => gpp.raw(),
            Self::Tc { raw, .. } => raw,
        }
    }

    /// What each section asks for.
    #[must_use]
    pub fn meanings(&self) -> Vec<SignalMeaning> {
        match self {
            Self::Gpp(gpp) => gpp.meanings(),
            Self::Tc { tc, .. } => vec![SignalMeaning::of_tc(tc)],
        }
    }
}

/// Refuses what is too long to look at.
fn bounded(text: &str) -> Result<&str, SignalError> {
    if text.len() > MAX_SIGNAL_BYTES {
        return Err(SignalError::new(SignalFault::TooLong, MAX_SIGNAL_BYTES));
    }
    Ok(text)
}

/// The parts of a text between separators, each with the position of its first character.
fn parts(text: &str, separator: char, base: usize) -> impl Iterator<Item = (usize, &str)> {
    text.split(separator).scan(base, |next, part| {
        let at = *next;
        *next = at.saturating_add(part.len()).saturating_add(1);
        Some((at, part))
    })
}
