//! What an import counts: no value, no identifier, only numbers, codes, column names of a closed set and line numbers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::judge::LeftOut;

/// Counts of one import's rows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Rows of persons who were not held.
    pub created: u64,
    /// Rows that change something of persons who are held.
    pub changed: u64,
    /// Rows that say nothing new.
    pub unchanged: u64,
    /// Rows that are left out because of what the person said or had done here.
    pub left_out: BTreeMap<LeftOut, u64>,
    /// Rows that lack what would make them lawful, by reason.
    #[serde(default)]
    pub quarantined: BTreeMap<String, u64>,
    /// The first quarantined lines.
    #[serde(default)]
    pub quarantined_lines: Vec<BadLine>,
    /// Rows that cannot be read.
    #[serde(default)]
    pub invalid: u64,
    /// The first invalid lines.
    #[serde(default)]
    pub invalid_lines: Vec<BadLine>,
}

/// A line that is not taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BadLine {
    /// Its number, counted from 1 with the header.
    pub line: u64,
    /// What is wrong.
    pub errors: Vec<BadCell>,
}

/// What is wrong with a cell, or with the line as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BadCell {
    /// The column, if it is one cell.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub column: Option<String>,
    /// The stable code of the fault.
    pub code: String,
}

impl Tally {
    /// How many lines are listed at the most; all are counted.
    pub const MOST_LINES: usize = 1_000;

    /// Counts a row that is left out.
    pub fn leave_out(&mut self, reason: LeftOut) {
        let count = self.left_out.entry(reason).or_default();
        *count = count.saturating_add(1);
    }

    /// Counts a row that is quarantined.
    pub fn quarantine(&mut self, line: u64, reason: &str) {
        let count = self.quarantined.entry(reason.to_owned()).or_default();
        *count = count.saturating_add(1);
        if self.quarantined_lines.len() < Self::MOST_LINES {
            let errors = vec![BadCell { column: None, code: reason.to_owned() }];
            self.quarantined_lines.push(BadLine { line, errors });
        }
    }

    /// Counts a row that cannot be read.
    pub fn reject(&mut self, line: u64, errors: Vec<BadCell>) {
        self.invalid = self.invalid.saturating_add(1);
        if self.invalid_lines.len() < Self::MOST_LINES {
            self.invalid_lines.push(BadLine { line, errors });
        }
    }

    /// Rows that change something.
    #[must_use]
    pub const fn ready(&self) -> u64 {
        self.created.saturating_add(self.changed)
    }

    /// Rows that are left out, for any reason.
    #[must_use]
    pub fn left_out_in_all(&self) -> u64 {
        self.left_out.values().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// The form in which it is stored.
    #[must_use]
    pub fn to_text(&self) -> String {
        // INVARIANT: maps with text keys and numbers always write; an empty text would read as an error.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads the stored form.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// Adds the counts of another part of the same import.
    pub fn add(&mut self, other: &Self) {
        self.created = self.created.saturating_add(other.created);
        self.changed = self.changed.saturating_add(other.changed);
        self.unchanged = self.unchanged.saturating_add(other.unchanged);
        for (reason, count) in &other.left_out {
            let sum = self.left_out.entry(*reason).or_default();
            *sum = sum.saturating_add(*count);
        }
    }
}
