//! What may leave: rows of minimised values under pseudonyms, held by column.

use std::fmt;
use std::sync::Arc;

use crate::attribute::AttributeName;
use crate::id::PullId;
use crate::policy::PolicyVersion;
use crate::pseudonym::Pseudonym;
use crate::purpose::Purpose;

/// Permitted attributes of some persons: the only plaintext there is. Made by
/// [`Disclosure::release`](super::Disclosure::release) and its twin for several alone.
///
/// ```compile_fail
/// let batch = consentry_kernel::disclosure::PermittedBatch { columns: Vec::new() };
/// ```
pub struct PermittedBatch {
    pub(super) pull: PullId,
    pub(super) page: u32,
    pub(super) purpose: Purpose,
    pub(super) policy: PolicyVersion,
    pub(super) pseudonyms: Vec<Pseudonym>,
    pub(super) positions: Vec<u32>,
    pub(super) columns: Vec<(AttributeName, Column)>,
}

/// One attribute of all rows, in row order. `None` is a value that is absent or may not be served: the same for both.
#[derive(Clone, PartialEq, Eq)]
pub enum Column {
    /// Labels of a closed list: indexes into `labels`.
    Labels {
        /// The list.
        labels: Arc<[Arc<str>]>,
        /// One index a row.
        codes: Vec<Option<u16>>,
    },
    /// Small scores.
    Scores(Vec<Option<u8>>),
    /// Yes or no.
    Flags(Vec<Option<bool>>),
    /// Several labels of a closed list a row.
    LabelLists {
        /// The list.
        labels: Arc<[Arc<str>]>,
        /// Indexes a row.
        codes: Vec<Option<Box<[u16]>>>,
    },
    /// Plain texts: for senders only.
    Texts(Vec<Option<Box<str>>>),
}

/// One value of one row.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Cell<'a> {
    /// Absent, or not served.
    Null,
    /// A label of a closed list.
    Label(&'a str),
    /// A score.
    Score(u8),
    /// Yes or no.
    Flag(bool),
    /// Labels of a closed list.
    Labels {
        /// The list.
        labels: &'a [Arc<str>],
        /// The indexes.
        codes: &'a [u16],
    },
    /// A plain text.
    Text(&'a str),
}

/// One row.
#[derive(Clone, Copy)]
pub struct PermittedRow<'a> {
    batch: &'a PermittedBatch,
    row: usize,
}

impl PermittedBatch {
    /// The pull it belongs to.
    #[must_use]
    pub const fn pull(&self) -> PullId {
        self.pull
    }

    /// Its page within the pull.
    #[must_use]
    pub const fn page(&self) -> u32 {
        self.page
    }

    /// The purpose it was released for.
    #[must_use]
    pub const fn purpose(&self) -> &Purpose {
        &self.purpose
    }

    /// The policy it was released under.
    #[must_use]
    pub const fn policy(&self) -> PolicyVersion {
        self.policy
    }

    /// How many rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pseudonyms.len()
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pseudonyms.is_empty()
    }

    /// The pseudonyms, sorted: the order tells nothing.
    #[must_use]
    pub fn pseudonyms(&self) -> &[Pseudonym] {
        &self.pseudonyms
    }

    /// The columns, in the order asked for.
    pub fn columns(&self) -> impl Iterator<Item = (&AttributeName, &Column)> {
        self.columns.iter().map(|(name, column)| (name, column))
    }

    /// The rows, sorted by pseudonym.
    pub fn rows(&self) -> impl Iterator<Item = PermittedRow<'_>> {
        (0..self.len()).map(|row| PermittedRow { batch: self, row })
    }
}

impl fmt::Debug for PermittedBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.columns.iter().map(|(name, _)| name).collect();
        f.debug_struct("PermittedBatch").field("rows", &self.len()).field("attributes", &names).finish()
    }
}

impl fmt::Debug for PermittedRow<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PermittedRow(..)")
    }
}

impl fmt::Debug for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Column(..)")
    }
}

impl fmt::Debug for Cell<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cell(..)")
    }
}

impl<'a> PermittedRow<'a> {
    /// Its pseudonym.
    #[must_use]
    pub fn pseudonym(&self) -> Option<Pseudonym> {
        self.batch.pseudonyms.get(self.row).copied()
    }

    /// Its position in the look-up it answers.
    #[must_use]
    pub fn position(&self) -> Option<u32> {
        self.batch.positions.get(self.row).copied()
    }

    /// Its values, in the order asked for.
    pub fn cells(&self) -> impl Iterator<Item = (&'a AttributeName, Cell<'a>)> + use<'a> {
        let row = self.row;
        self.batch.columns.iter().map(move |(name, column)| (name, column.cell(row)))
    }
}

impl Column {
    /// The value of a row.
    #[must_use]
    pub fn cell(&self, row: usize) -> Cell<'_> {
        let cell = match self {
            Self::Labels { labels, codes } => codes
                .get(row)
                .copied()
                .flatten()
                .and_then(|code| labels.get(usize::from(code)))
                .map(|label| Cell::Label(label)),
            Self::Scores(scores) => scores.get(row).copied().flatten().map(Cell::Score),
            Self::Flags(flags) => flags.get(row).copied().flatten().map(Cell::Flag),
            Self::LabelLists { labels, codes } => {
                codes.get(row).and_then(Option::as_deref).map(|codes| Cell::Labels { labels, codes })
            }
            Self::Texts(texts) => texts.get(row).and_then(Option::as_deref).map(Cell::Text),
        };
        cell.unwrap_or(Cell::Null)
    }
}
