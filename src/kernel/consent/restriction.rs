//! Why a person's processing is restricted: one of the four cases of GDPR Art. 18(1), and no other.

/// The ground of a restriction. The names are stored: they are never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RestrictionGround {
    /// (a) The person contests the accuracy of the data.
    AccuracyContested,
    /// (b) The processing is unlawful and the person does not want the data erased.
    Unlawful,
    /// (c) The person needs the data for legal claims.
    LegalClaims,
    /// (d) The person objected, and the grounds are being weighed.
    ObjectionPending,
}

impl RestrictionGround {
    /// Every ground, in the order of the law.
    pub const ALL: [Self; 4] =
        [Self::AccuracyContested, Self::Unlawful, Self::LegalClaims, Self::ObjectionPending];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AccuracyContested => "accuracy_contested",
            Self::Unlawful => "unlawful",
            Self::LegalClaims => "legal_claims",
            Self::ObjectionPending => "objection_pending",
        }
    }

    /// The ground of a name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|ground| ground.as_str() == name)
    }
}
