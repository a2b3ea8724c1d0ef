//! The person's own copy (GDPR Art. 15(3)): everything stored, opened for an [`AccessPermit`] and nobody else.

use crate::attribute::Value;
use crate::decision::AccessPermit;
use crate::seal::{OpenError, SealedRecord, SealedSubject, SubjectKey};
use crate::source::SourceId;
use crate::time::Timestamp;

/// One attribute of the copy. Personal data: shown by no `Debug`.
#[derive(Clone)]
pub struct CopiedAttribute {
    /// Its name.
    pub name: String,
    /// The stored value.
    pub value: Value,
    /// When it was observed.
    pub observed_at: Timestamp,
    /// Where it came from (GDPR Art. 15(1)(g)).
    pub source: SourceId,
}

impl std::fmt::Debug for CopiedAttribute {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CopiedAttribute({})", self.name)
    }
}

/// Everything stored of one person.
#[derive(Debug)]
pub struct PersonalCopy {
    attributes: Vec<CopiedAttribute>,
    at: Timestamp,
}

impl PersonalCopy {
    /// Uses up the permit: opens every attribute of the person it names.
    ///
    /// # Errors
    /// When the row is another person's, or an attribute does not open.
    pub fn open(permit: AccessPermit, key: &SubjectKey, sealed: &SealedSubject<'_>) -> Result<Self, OpenError> {
        if permit.subject != sealed.id || key.subject() != sealed.id {
            return Err(OpenError);
        }
        let attributes = SealedRecord::new(sealed.record)
            .entries()
            .map(|entry| {
                let entry = entry?;
                let (value, source) = key.open_attribute(&entry)?;
                let (name, observed_at) = (entry.name().to_owned(), entry.observed_at());
                Ok(CopiedAttribute { name, value, observed_at, source })
            })
            .collect::<Result<_, OpenError>>()?;
        Ok(Self { attributes, at: permit.now })
    }

    /// The attributes, sorted by name.
    #[must_use]
    pub fn attributes(&self) -> &[CopiedAttribute] {
        &self.attributes
    }

    /// When the right was exercised.
    #[must_use]
    pub const fn at(&self) -> Timestamp {
        self.at
    }
}
