//! Why a signal could not be read or written: one of a closed list of reasons, and where.

use thiserror::Error;

/// What is wrong with a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SignalFault {
    /// Longer than [`super::MAX_SIGNAL_BYTES`].
    TooLong,
    /// Neither a GPP string nor a TC string.
    Unrecognised,
    /// A character outside the base64url alphabet, padding included.
    Alphabet,
    /// The bits end before the fields do.
    Truncated,
    /// Bits are set after the last field.
    Trailing,
    /// The header is not of type 3.
    HeaderType,
    /// The header is not of version 1.
    HeaderVersion,
    /// A section ID of the header is beyond what can be counted.
    SectionIds,
    /// The header announces another number of sections than there are.
    SectionCount,
    /// A section is empty.
    EmptySection,
    /// A version of a section that is not known.
    Version,
    /// A field has a value that its specification does not define.
    Value,
    /// A subsection or segment that is unknown, repeated or not allowed here.
    Subsection,
    /// A vendor ID is zero, above the announced maximum, in a reversed range, or there are too many.
    VendorIds,
    /// A value that cannot be written in its field.
    OutOfRange,
}

impl SignalFault {
    /// The reason's stable name, for logs and answers.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::TooLong => "too_long",
            Self::Unrecognised => "unrecognised",
            Self::Alphabet => "alphabet",
            Self::Truncated => "truncated",
            Self::Trailing => "trailing_bits",
            Self::HeaderType => "header_type",
            Self::HeaderVersion => "header_version",
            Self::SectionIds => "section_ids",
            Self::SectionCount => "section_count",
            Self::EmptySection => "empty_section",
            Self::Version => "section_version",
            Self::Value => "value",
            Self::Subsection => "subsection",
            Self::VendorIds => "vendor_ids",
            Self::OutOfRange => "out_of_range",
        }
    }

    const fn explanation(self) -> &'static str {
        match self {
            Self::TooLong => "the string is longer than 65536 characters",
            Self::Unrecognised => "the string is neither a GPP string (`D…`) nor a TC string (`C…`)",
            Self::Alphabet => "a character is not of the base64url alphabet",
            Self::Truncated => "the string ends before its last field",
            Self::Trailing => "bits are set after the last field",
            Self::HeaderType => "the GPP header's type is not 3",
            Self::HeaderVersion => "the GPP header's version is not 1",
            Self::SectionIds => "a section ID of the GPP header is too large",
            Self::SectionCount => "the number of sections is not that of the GPP header",
            Self::EmptySection => "a section is empty",
            Self::Version => "the section's version is not known",
            Self::Value => "a field has a value that is not defined",
            Self::Subsection => "a subsection is unknown, repeated or not allowed in this section",
            Self::VendorIds => "vendor IDs are zero, above their maximum, reversed or too many",
            Self::OutOfRange => "a value does not fit its field",
        }
    }
}

/// A signal that could not be read or written. It never quotes the signal, which tells of a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
#[error("{} [{}, at character {position}]", fault.explanation(), fault.code())]
pub struct SignalError {
    fault: SignalFault,
    position: usize,
}

impl SignalError {
    pub(super) const fn new(fault: SignalFault, position: usize) -> Self {
        Self { fault, position }
    }

    /// What is wrong.
    #[must_use]
    pub const fn fault(self) -> SignalFault {
        self.fault
    }

    /// Where it was noticed: characters from the start of the string, or of the value that was to be written.
    #[must_use]
    pub const fn position(self) -> usize {
        self.position
    }
}
