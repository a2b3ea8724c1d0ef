//! Verifying the ledger: every entry is read again, the tree is built again, every checkpoint is compared.

use kernel::authz::{Authorized, ReadLedger};
use kernel::ledger::tree::{Frontier, TreeHash, leaf_hash};
use kernel::ledger::{Checkpoint, LedgerEntry};
use store::ledger::CheckpointRow;

use crate::error::AppError;
use crate::gateway::Gateway;

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
    /// What does not fit, if anything.
    pub fault: Option<String>,
}

const PAGE: u32 = 1_000;

impl Gateway {
    /// Recomputes the whole ledger and compares it with every checkpoint. `progress` is told the entries read and
    /// expected.
    ///
    /// # Errors
    /// When the store does not answer. What does not fit is no error but the report's `fault`.
    pub async fn verify_ledger(
        &self,
        _by: &Authorized<ReadLedger>,
        mut progress: impl FnMut(u64, u64) + Send,
    ) -> Result<LedgerReport, AppError> {
        let expected = self.inner.store.latest_checkpoint().await?.map_or(0, |latest| latest.size);
        let mut walk = Walk::new(self);
        let mut position = None;
        loop {
            let rows = self.inner.store.entries_after(position, PAGE).await?;
            let Some(last) = rows.last() else { break };
            position = Some(last.position);
            for row in &rows {
                walk.compare_reached().await?;
                walk.push(&row.entry);
            }
            progress(walk.frontier.size(), expected);
        }
        walk.compare_reached().await?;
        Ok(walk.report())
    }
}

struct Walk<'a> {
    gateway: &'a Gateway,
    frontier: Frontier,
    /// Checkpoints not yet reached, ascending.
    waiting: std::collections::VecDeque<CheckpointRow>,
    compared: u64,
    covered: (u64, TreeHash),
    drained: bool,
    fault: Option<String>,
}

impl<'a> Walk<'a> {
    fn new(gateway: &'a Gateway) -> Self {
        Self {
            gateway,
            frontier: Frontier::default(),
            waiting: std::collections::VecDeque::new(),
            compared: 0,
            covered: (0, kernel::ledger::tree::empty_root()),
            drained: false,
            fault: None,
        }
    }

    fn found(&mut self, fault: impl FnOnce() -> String) {
        // The first fault names the place; what follows from it says nothing more.
        self.fault.get_or_insert_with(fault);
    }

    fn push(&mut self, bytes: &[u8]) {
        let index = self.frontier.size();
        if LedgerEntry::from_bytes(bytes).is_err() {
            self.found(|| format!("entry {index} is not a canonical entry"));
        }
        self.frontier.push(leaf_hash(bytes));
    }

    /// Compares the checkpoints whose size the tree has reached.
    async fn compare_reached(&mut self) -> Result<(), AppError> {
        loop {
            if self.waiting.is_empty() && !self.drained {
                let after = self.covered.0;
                self.waiting = self.gateway.inner.store.checkpoints(after, PAGE).await?.into();
                self.drained = self.waiting.is_empty();
            }
            let size = self.frontier.size();
            let Some(checkpoint) = self.waiting.pop_front_if(|next| next.size <= size) else { return Ok(()) };
            self.compare(&checkpoint);
        }
    }

    fn compare(&mut self, row: &CheckpointRow) {
        let (size, root) = (self.frontier.size(), self.frontier.root());
        let origin = &self.gateway.settings().ledger_origin;
        let known = [self.gateway.inner.ledger_signer.verifier().clone()];
        let signed = Checkpoint::open(&row.note, origin, &known);
        if row.size != size || row.root != root {
            self.found(|| {
                format!("the entries up to {} do not give the root of the checkpoint of that size", row.size)
            });
        } else if !signed.is_ok_and(|signed| signed.size() == size && *signed.root() == root) {
            self.found(|| format!("the signature of the checkpoint of size {size} does not verify"));
        }
        self.compared += 1;
        self.covered = (row.size, root);
    }

    fn report(mut self) -> LedgerReport {
        if let Some(beyond) = self.waiting.pop_front() {
            let entries = self.frontier.size();
            self.found(|| format!("a checkpoint covers {} entries, but only {entries} are there", beyond.size));
        }
        LedgerReport {
            entries: self.frontier.size(),
            checkpoints: self.compared,
            size: self.covered.0,
            root: self.covered.1,
            pending: self.frontier.size().saturating_sub(self.covered.0),
            fault: self.fault,
        }
    }
}
