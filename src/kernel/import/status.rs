//! Where an import stands.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Where an import stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImportStatus {
    /// Its file is being read.
    Receiving,
    /// It was read and waits to be applied or discarded.
    Previewed,
    /// It is being applied.
    Applying,
    /// It was applied.
    Applied,
    /// It was given up.
    Discarded,
    /// Its time was over before it was applied.
    Expired,
}

/// Text that names no status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("no status of an import")]
pub struct ImportStatusError;

impl ImportStatus {
    /// Every status, in the order of a life.
    pub const ALL: [Self; 6] =
        [Self::Receiving, Self::Previewed, Self::Applying, Self::Applied, Self::Discarded, Self::Expired];

    /// Its stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Receiving => "receiving",
            Self::Previewed => "previewed",
            Self::Applying => "applying",
            Self::Applied => "applied",
            Self::Discarded => "discarded",
            Self::Expired => "expired",
        }
    }

    /// Whether nothing more will come of it.
    #[must_use]
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Applied | Self::Discarded | Self::Expired)
    }
}

impl FromStr for ImportStatus {
    type Err = ImportStatusError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|status| status.as_str() == text).ok_or(ImportStatusError)
    }
}

impl fmt::Display for ImportStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
