//! One row of a file, read and checked against the policy. It is stored only sealed, under its import's key.

use std::fmt;

use minicbor::{Decode, Encode};

use crate::attribute::{AttributeName, Value};
use crate::consent::{EventKind, Grant, ImportedProof};
use crate::identifier::Fingerprint;
use crate::purpose::Purpose;
use crate::regime::{Regime, RegimeSource};
use crate::source::SourceId;
use crate::subject::Birth;
use crate::time::{Months, Timestamp};

/// A row. Personal data: shown by no `Debug`.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct StagedRow {
    /// The fingerprint of the email address.
    #[n(0)]
    pub email: Option<Fingerprint>,
    /// The fingerprint of the customer number.
    #[n(1)]
    pub customer_id: Option<Fingerprint>,
    /// Further fingerprints that must not be suppressed: other spellings of the same address.
    #[n(2)]
    pub variants: Vec<Fingerprint>,
    /// When the values and statements were captured.
    #[n(3)]
    pub captured_at: Timestamp,
    /// The regime of the declared region.
    #[n(4)]
    pub regime: Option<Regime>,
    /// The birth behind the attributes.
    #[n(5)]
    pub birth: Option<Birth>,
    /// The attributes.
    #[n(6)]
    pub attributes: Vec<(AttributeName, Value)>,
    /// What the person said, as the file has it.
    #[n(7)]
    pub statements: Vec<StagedStatement>,
    /// The organisation that collected it, if it was another one.
    #[n(8)]
    pub partner: Option<SourceId>,
    /// How the regime is known.
    #[n(9)]
    pub regime_source: Option<RegimeSource>,
}

impl fmt::Debug for StagedRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StagedRow(..)")
    }
}

impl StagedRow {
    /// An empty row.
    #[must_use]
    pub const fn of(captured_at: Timestamp) -> Self {
        Self {
            email: None,
            customer_id: None,
            variants: Vec::new(),
            captured_at,
            regime: None,
            birth: None,
            attributes: Vec::new(),
            statements: Vec::new(),
            partner: None,
            regime_source: None,
        }
    }

    /// The fingerprints by which the person is found.
    pub fn fingerprints(&self) -> impl Iterator<Item = Fingerprint> {
        self.email.into_iter().chain(self.customer_id)
    }

    /// Whether it gives something, or tells something of the person: then the person has a right to know of it.
    #[must_use]
    pub fn tells(&self) -> bool {
        !self.attributes.is_empty() || self.statements.iter().any(StagedStatement::gives)
    }
}

/// One statement of a row.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct StagedStatement {
    /// What was stated.
    #[n(0)]
    pub kind: EventKind,
    /// About which purpose; `None`: as a whole.
    #[n(1)]
    pub purpose: Option<Purpose>,
    /// What a grant rests on.
    #[n(2)]
    pub grant: Option<Grant>,
    /// What proves it elsewhere.
    #[n(3)]
    pub proof: Option<ImportedProof>,
    /// Whether the purpose is direct marketing.
    #[n(4)]
    pub direct_marketing: bool,
    /// Whether the purpose is a sale or sharing.
    #[n(5)]
    pub sale_or_share: bool,
    /// How long a consent for the purpose is good.
    #[n(6)]
    pub validity: Months,
}

impl StagedStatement {
    /// Whether it would permit something, rather than forbid.
    #[must_use]
    pub const fn gives(&self) -> bool {
        matches!(self.kind, EventKind::GrantConfirmed | EventKind::SoftOptInBasis | EventKind::ImpliedBasis)
    }
}
