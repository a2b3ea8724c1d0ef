//! The US Privacy string (`uspv1`), deprecated and still sent: four characters in the clear.

use super::error::{SignalError, SignalFault};

/// Yes, no, or not applicable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// `Y`
    Yes,
    /// `N`
    No,
    /// `-`
    NotApplicable,
}

impl Answer {
    /// Every answer.
    pub const ALL: [Self; 3] = [Self::Yes, Self::No, Self::NotApplicable];

    /// Its character.
    #[must_use]
    pub const fn as_char(self) -> char {
        match self {
            Self::Yes => 'Y',
            Self::No => 'N',
            Self::NotApplicable => '-',
        }
    }
}

/// A US Privacy string of version 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsPrivacy {
    /// Whether notice of the right to opt out was given.
    pub notice: Answer,
    /// Whether the person opted out of sale.
    pub opt_out_sale: Answer,
    /// Whether the Limited Service Provider Agreement covers the transaction.
    pub lspa_covered: Answer,
}

impl UsPrivacy {
    /// The version that is read and written.
    pub const VERSION: u8 = 1;

    /// Reads the text, which begins at character `base` of the whole string.
    pub(super) fn decode(text: &str, base: usize) -> Result<Self, SignalError> {
        let fault = |fault, at: usize| SignalError::new(fault, base.saturating_add(at));
        let mut characters = text.chars().enumerate();
        match characters.next() {
            Some((_, '1')) => {}
            _ => return Err(fault(SignalFault::Version, 0)),
        }
        let mut answer = || match characters.next() {
            Some((at, character)) => {
                let known = Answer::ALL.into_iter().find(|answer| answer.as_char() == character);
                known.ok_or(fault(SignalFault::Value, at))
            }
            None => Err(fault(SignalFault::Truncated, text.len())),
        };
        let read = Self { notice: answer()?, opt_out_sale: answer()?, lspa_covered: answer()? };
        match characters.next() {
            Some((at, _)) => Err(fault(SignalFault::Trailing, at)),
            None => Ok(read),
        }
    }

    pub(super) fn encode(self) -> String {
        ['1', self.notice.as_char(), self.opt_out_sale.as_char(), self.lspa_covered.as_char()].iter().collect()
    }
}
