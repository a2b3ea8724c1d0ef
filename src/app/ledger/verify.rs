//! Verifying the ledger where it lies: every entry is read and blinded again, the tree is built again, and everything
//! that is stored of it is compared, up to each signature. What does not fit is told with the entry it is about.

use kernel::authz::{Authorized, ReadLedger};
use kernel::ledger::audit::{LedgerFault, Tampering, compare};
use kernel::ledger::note::NoteVerifier;
use kernel::ledger::tile::{WIDTH, hashes_at};
use kernel::ledger::tree::{Frontier, TreeHash, root_of};
use kernel::ledger::{Checkpoint, LedgerEntry, PublishedEntry};
use store::ledger::{BatchRow, LedgerPosition, marks_of};
use store::{Store, StoreError};

use crate::error::AppError;
use crate::gateway::{Gateway, OpenGatewayError, connect};

/// What a verification found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerReport {
    /// Entries read.
    pub entries: u64,
    /// Checkpoints compared.
    pub checkpoints: u64,
    /// The size of the latest checkpoint.
    pub size: u64,
    /// The root of the tree over the entries that it covers.
    pub root: TreeHash,
    /// Entries that no checkpoint covers yet.
    pub pending: u64,
    /// What does not fit, if anything: the first thing that was found.
    pub fault: Option<LedgerFault>,
}

/// How many checkpoints are read at a time: each brings up to 8 kB of published entries.
const BATCHES: u32 = 64;
const PAGE: u32 = 1_000;

impl Gateway {
    /// Recomputes the whole ledger and compares it with everything that is stored of it, and with an `older`
    /// checkpoint that somebody kept. `progress` is told the entries read and expected.
    ///
    /// # Errors
    /// When the store does not answer. What does not fit is no error but the report's `fault`.
    pub async fn verify_ledger(
        &self,
        _by: &Authorized<ReadLedger>,
        older: Option<&Checkpoint>,
        progress: impl FnMut(u64, u64) + Send,
    ) -> Result<LedgerReport, AppError> {
        Ok(verify(&self.inner.store, &self.signers().ledger_keys, older, progress).await?)
    }
}

/// Verifies the ledger of a database without any secret: with the public keys that its checkpoints are signed with.
///
/// # Errors
/// When the database cannot be used.
pub async fn verify_database(
    url: &str,
    verifiers: &[NoteVerifier],
    older: Option<&Checkpoint>,
    progress: impl FnMut(u64, u64) + Send,
) -> Result<LedgerReport, OpenGatewayError> {
    let store = connect(url, 2).await?;
    match store.pending_migrations().await?.len() {
        0 => {}
        pending => return Err(OpenGatewayError::PendingMigrations(pending)),
    }
    let report = verify(&store, verifiers, older, progress).await?;
    store.close().await;
    Ok(report)
}

/// As [`verify`], for whoever does not wait for its progress.
pub(crate) async fn verify_store(
    store: &Store,
    verifiers: &[NoteVerifier],
    older: Option<&Checkpoint>,
) -> Result<LedgerReport, StoreError> {
    verify(store, verifiers, older, |_, _| {}).await
}

async fn verify(
    store: &Store,
    verifiers: &[NoteVerifier],
    older: Option<&Checkpoint>,
    mut progress: impl FnMut(u64, u64) + Send,
) -> Result<LedgerReport, StoreError> {
    let expected = store.latest_checkpoint().await?.map_or(0, |latest| latest.size);
    let mut walk = Walk {
        store,
        verifiers,
        older,
        frontier: Frontier::default(),
        levels: vec![Vec::new()],
        marks: Vec::new(),
        last: LedgerPosition::START,
        expected,
        read: 0,
        compared: 0,
        fault: None,
    };
    walk.compare_with_older();
    'all: loop {
        let batches = match store.ledger_batches(walk.frontier.size(), BATCHES).await {
            Err(StoreError::Tampered) => {
                let rest = walk.frontier.size()..expected;
                walk.found(LedgerFault::among(Tampering::Checkpoint, rest));
                break;
            }
            batches => batches?,
        };
        if batches.is_empty() {
            break;
        }
        for batch in &batches {
            if !walk.take(batch).await? {
                break 'all;
            }
        }
        progress(walk.frontier.size(), expected);
    }
    walk.finish(expected).await
}

struct Walk<'a> {
    store: &'a Store,
    verifiers: &'a [NoteVerifier],
    older: Option<&'a Checkpoint>,
    frontier: Frontier,
    /// The hashes of the tile that is being filled, level by level.
    levels: Vec<Vec<TreeHash>>,
    /// The entries of the tile of leaves that is being filled.
    marks: Vec<u8>,
    last: LedgerPosition,
    /// The size of the latest checkpoint.
    expected: u64,
    read: u64,
    compared: u64,
    fault: Option<LedgerFault>,
}

impl Walk<'_> {
    fn found(&mut self, fault: LedgerFault) {
        // The first fault names the place; what follows from it says nothing more.
        self.fault.get_or_insert(fault);
    }

    /// Compares one batch. `false`: it does not follow on the one before, so nothing behind it can be compared.
    async fn take(&mut self, batch: &BatchRow) -> Result<bool, StoreError> {
        let (start, size) = (self.frontier.size(), batch.checkpoint.size);
        if batch.checkpoint.first != start || start.saturating_add(batch.published.len() as u64) != size {
            let how = match batch.checkpoint.first > start {
                true => LedgerFault::among(Tampering::CheckpointMissing, start..batch.checkpoint.first),
                false => LedgerFault::among(Tampering::Checkpoint, start..size),
            };
            self.found(how);
            return Ok(false);
        }
        let most = u32::try_from(batch.published.len()).unwrap_or(0).saturating_add(PAGE);
        let rows = self.store.entries_between(self.last, batch.checkpoint.last, most).await?;
        self.read = self.read.saturating_add(rows.len() as u64);
        let is_cut = rows.len() < batch.published.len()
            && self.store.entries_between(batch.checkpoint.last, LedgerPosition::END, 1).await?.is_empty();
        let entries: Vec<Vec<u8>> = rows.into_iter().map(|row| row.entry).collect();
        let before = self.frontier.clone();
        let fault = compare(start, &batch.secret, &batch.published, &entries);
        self.push(&batch.published, &entries).await?;
        let signed = Checkpoint::open(
            &batch.checkpoint.note,
            self.verifiers.first().map_or("", NoteVerifier::name),
            self.verifiers,
        );
        let signed = signed.ok().filter(|signed| signed.size() == size);
        let root = self.frontier.root();
        let is_signed = signed.as_ref().is_some_and(|signed| *signed.root() == root);
        if let Some(fault) = fault {
            let recomputed = recompute(before, batch, &entries);
            let is_published_elsewhere =
                !is_signed && signed.as_ref().is_some_and(|signed| Some(*signed.root()) == recomputed);
            let first = fault.entries.start;
            self.found(match fault.how {
                Tampering::Edited if is_published_elsewhere => {
                    LedgerFault { how: Tampering::Republished, ..fault }
                }
                Tampering::Deleted if is_cut && first == start.saturating_add(entries.len() as u64) => {
                    LedgerFault::among(Tampering::Truncated, first..self.expected)
                }
                _ => fault,
            });
        }
        if !is_signed || batch.checkpoint.root != root || batch.frontier != self.frontier.to_bytes() {
            self.found(LedgerFault::among(Tampering::Checkpoint, start..size));
        }
        for (index, entry) in (start..).zip(&entries) {
            if LedgerEntry::from_bytes(entry).is_err() {
                self.found(LedgerFault::of(Tampering::Malformed, index));
            }
        }
        self.last = batch.checkpoint.last;
        self.compared += 1;
        Ok(true)
    }

    /// Adds leaves, and compares what is stored above those tiles that are full now.
    async fn push(&mut self, published: &[PublishedEntry], entries: &[Vec<u8>]) -> Result<(), StoreError> {
        self.marks.extend(marks_of(entries.iter().map(Vec::as_slice)));
        for entry in published {
            self.frontier.push(entry.leaf());
            if let Some(leaves) = self.levels.first_mut() {
                leaves.push(entry.leaf());
            }
            self.compare_with_older();
        }
        let mut below = 0;
        while let Some(full) = self.levels.get_mut(below).filter(|level| level.len() as u64 == WIDTH) {
            let root = root_of(&std::mem::take(full));
            let marks = if below == 0 { std::mem::take(&mut self.marks) } else { Vec::new() };
            let level = u8::try_from(below).unwrap_or(u8::MAX).saturating_add(1);
            let number = hashes_at(level, self.frontier.size()).saturating_sub(1);
            let stored = self.store.ledger_nodes(level, number, 1).await?.pop();
            if !stored.is_some_and(|stored| stored.hash == root && stored.marks == marks) {
                let width = WIDTH.saturating_pow(u32::from(level));
                let first = number.saturating_mul(width);
                self.found(LedgerFault::among(Tampering::Tile, first..first.saturating_add(width)));
            }
            below += 1;
            match self.levels.get_mut(below) {
                Some(level) => level.push(root),
                None => self.levels.push(vec![root]),
            }
        }
        Ok(())
    }

    fn compare_with_older(&mut self) {
        if let Some(older) = self.older.filter(|older| older.size() == self.frontier.size())
            && *older.root() != self.frontier.root()
        {
            self.found(LedgerFault::among(Tampering::Forked, 0..older.size()));
        }
    }

    async fn finish(mut self, expected: u64) -> Result<LedgerReport, StoreError> {
        let size = self.frontier.size();
        let covered = self.older.map_or(expected, |older| older.size().max(expected));
        if size < covered {
            self.found(LedgerFault::among(Tampering::Truncated, size..covered));
        }
        let nodes: u64 = (1..=7).map(|level| hashes_at(level, size)).sum();
        let stored = self.store.count_ledger_nodes().await?;
        // A ledger that grows while it is read has more of them by now.
        let grew = self.store.latest_checkpoint().await?.is_some_and(|latest| latest.size != size);
        if stored != nodes && !grew {
            self.found(LedgerFault::among(Tampering::Tile, 0..size));
        }
        let mut pending = 0_u64;
        let mut position = self.last;
        loop {
            let rows = self.store.entries_after(Some(position), PAGE).await?;
            let Some(last) = rows.last() else { break };
            position = last.position;
            for row in &rows {
                if LedgerEntry::from_bytes(&row.entry).is_err() {
                    self.found(LedgerFault::of(Tampering::Malformed, size.saturating_add(pending)));
                }
                pending += 1;
            }
        }
        Ok(LedgerReport {
            entries: self.read.saturating_add(pending),
            checkpoints: self.compared,
            size,
            root: self.frontier.root(),
            pending,
            fault: self.fault,
        })
    }
}

/// The root that the batch would have if what was published of it were what its entries give.
fn recompute(mut frontier: Frontier, batch: &BatchRow, entries: &[Vec<u8>]) -> Option<TreeHash> {
    if entries.len() != batch.published.len() {
        return None;
    }
    for entry in entries {
        let published = batch.secret.key(frontier.size()).publish(entry);
        frontier.push(published.leaf());
    }
    Some(frontier.root())
}
