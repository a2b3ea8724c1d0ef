//! A ledger over HTTP, verified by somebody who has nothing but its address and its public key. The address is the
//! operator's own word and may lie in a private network; what is there is trusted with nothing else: https unless it is this
//! machine, no redirect, answers of bounded size and time.

use anyhow::{Context as _, bail, ensure};
use app::LedgerReport;
use kernel::ledger::Checkpoint;
use kernel::ledger::audit::{LedgerFault, Tampering};
use kernel::ledger::note::NoteVerifier;
use kernel::ledger::tile::{TileKind, TilePath, WIDTH, width_at};
use kernel::ledger::tree::{Frontier, TreeHash, leaf_hash, root_of};

use crate::outgoing::{Outgoing, Reply, Target};

/// More bytes than the largest bundle of entries has.
const MOST: usize = 257 * 65_537;

/// How often it waits for one answer.
const MOST_WAITS: usize = 10;
/// The longest that it waits at once, in seconds.
const LONGEST_WAIT: u64 = 60;

/// How long an answer asks to wait.
fn wait(reply: &Reply) -> Option<std::time::Duration> {
    let seconds = reply.retry_after.filter(|_| reply.status == 429)?;
    Some(std::time::Duration::from_secs(seconds.clamp(1, LONGEST_WAIT)))
}

pub(super) struct Log {
    target: Target,
    base: String,
}

impl Log {
    pub(super) fn at(url: &str) -> anyhow::Result<Self> {
        let base = url.trim_end_matches('/').trim_end_matches("/ledger").to_owned();
        let target = Outgoing::typed(&base).context("--url is called by https://, or http:// on this machine")?;
        Ok(Self { target, base })
    }

    /// The keys that the ledger names itself, one a line: the one that signs now first.
    pub(super) async fn vkeys(&self) -> anyhow::Result<Vec<NoteVerifier>> {
        let text = self.text("vkey").await?;
        let keys: Result<Vec<_>, _> = text.lines().map(|line| NoteVerifier::from_vkey(line.trim())).collect();
        let keys = keys.context("the ledger's verifier key is none")?;
        ensure!(!keys.is_empty(), "the ledger names no verifier key");
        Ok(keys)
    }

    /// Reads everything and compares it.
    pub(super) async fn verify(
        &self,
        verifiers: &[NoteVerifier],
        older: Option<&Checkpoint>,
        tell: impl Fn(u64, u64),
    ) -> anyhow::Result<LedgerReport> {
        let note = self.text("checkpoint").await?;
        let checkpoint = Checkpoint::open(&note, verifiers.first().map_or("", NoteVerifier::name), verifiers);
        let Ok(checkpoint) = checkpoint else {
            let unsigned = LedgerFault::among(Tampering::Checkpoint, 0..0);
            return Ok(report(&Frontier::default(), Some(unsigned)));
        };
        let mut walk =
            Walk { older, frontier: Frontier::default(), level_one: Vec::new(), suspect: None, fault: None };
        walk.compare_with_older();
        let size = checkpoint.size();
        for number in 0..TilePath::count(0, size) {
            let width = width_at(0, number, size);
            let entries = self.tile(TilePath { kind: TileKind::Entries, number, width }).await?;
            let hashes = self.tile(TilePath { kind: TileKind::Hashes(0), number, width }).await?;
            let first = number * WIDTH;
            let (Some(entries), Some(hashes)) = (entries, hashes) else {
                walk.found(LedgerFault::among(Tampering::Truncated, first..size));
                break;
            };
            walk.take(first, usize::from(width), &entries, &hashes);
            tell(walk.frontier.size(), size);
        }
        self.compare_above(&mut walk, size).await?;
        if walk.frontier.size() == size && walk.frontier.root() != *checkpoint.root() {
            let fault = walk.suspect.take();
            walk.found(fault.unwrap_or(LedgerFault::among(Tampering::Checkpoint, 0..size)));
        }
        if let Some(older) = older.filter(|older| older.size() > size) {
            walk.found(LedgerFault::among(Tampering::Truncated, size..older.size()));
        }
        Ok(report(&walk.frontier, walk.fault))
    }

    /// Compares the hashes above the leaves, level by level.
    async fn compare_above(&self, walk: &mut Walk<'_>, size: u64) -> anyhow::Result<()> {
        let mut computed = std::mem::take(&mut walk.level_one);
        for level in 1..=7_u8 {
            let mut above = Vec::new();
            for number in 0..TilePath::count(level, size) {
                let width = width_at(level, number, size);
                let tile = self.tile(TilePath { kind: TileKind::Hashes(level), number, width }).await?;
                let span = WIDTH.saturating_pow(u32::from(level));
                let first = number * WIDTH;
                let stored = tile.unwrap_or_default();
                let mine = computed.get(usize::try_from(first)?..).unwrap_or_default();
                let mine = mine.get(..usize::from(width).min(mine.len())).unwrap_or_default();
                if stored != mine.as_flattened() {
                    let unlike =
                        mine.iter().zip(stored.as_chunks::<32>().0).position(|(mine, theirs)| mine != theirs);
                    let place = (first + unlike.unwrap_or(0) as u64) * span;
                    walk.found(LedgerFault::among(Tampering::Tile, place..(place + span).min(size)));
                }
                if mine.len() as u64 == WIDTH {
                    above.push(root_of(mine));
                }
            }
            computed = above;
        }
        Ok(())
    }

    async fn text(&self, path: &str) -> anyhow::Result<String> {
        let bytes = self.bytes(path).await?.with_context(|| format!("there is no /ledger/{path}"))?;
        String::from_utf8(bytes).with_context(|| format!("/ledger/{path} is not text"))
    }

    /// The bytes of a tile: as it is, or as the beginning of the full one, which may have replaced it.
    async fn tile(&self, path: TilePath) -> anyhow::Result<Option<Vec<u8>>> {
        self.bytes(&format!("tile/{path}")).await
    }

    async fn ask(&self, url: &str) -> anyhow::Result<Reply> {
        let target = self.target.on_same_origin(url).with_context(|| format!("cannot ask for {url}"))?;
        target.get_any(MOST).await.with_context(|| format!("cannot read {url}"))
    }

    async fn bytes(&self, path: &str) -> anyhow::Result<Option<Vec<u8>>> {
        let url = format!("{}/ledger/{path}", self.base);
        let mut reply = self.ask(&url).await?;
        // A gateway that is asked too often says when to go on.
        for _ in 0..MOST_WAITS {
            let Some(wait) = wait(&reply) else { break };
            tokio::time::sleep(wait).await;
            reply = self.ask(&url).await?;
        }
        match reply.status {
            200 => Ok(Some(reply.bytes)),
            404 => Ok(None),
            status => bail!("{url} answers {status}"),
        }
    }
}

struct Walk<'a> {
    older: Option<&'a Checkpoint>,
    frontier: Frontier,
    level_one: Vec<TreeHash>,
    /// The first entry that differs from its stored hash: it was edited, or the hash was.
    suspect: Option<LedgerFault>,
    fault: Option<LedgerFault>,
}

impl Walk<'_> {
    fn found(&mut self, fault: LedgerFault) {
        self.fault.get_or_insert(fault);
    }

    fn take(&mut self, first: u64, width: usize, entries: &[u8], hashes: &[u8]) {
        let Some(entries) = split(entries).filter(|entries| entries.len() == width) else {
            let end = first + width as u64;
            return self.found(LedgerFault::among(Tampering::Malformed, first..end));
        };
        let leaves: Vec<_> = entries.iter().map(|entry| leaf_hash(entry)).collect();
        let (stored, rest) = hashes.as_chunks::<32>();
        let unlike = leaves.iter().zip(stored).position(|(leaf, stored)| leaf != stored);
        if let Some(place) = unlike.or((stored.len() != width || !rest.is_empty()).then_some(0)) {
            let fault = LedgerFault::of(Tampering::Edited, first + place as u64);
            self.suspect.get_or_insert(fault.clone());
            self.found(fault);
        }
        for leaf in &leaves {
            self.frontier.push(*leaf);
            self.compare_with_older();
        }
        if leaves.len() as u64 == WIDTH {
            self.level_one.push(root_of(&leaves));
        }
    }

    fn compare_with_older(&mut self) {
        if let Some(older) = self.older.filter(|older| older.size() == self.frontier.size())
            && *older.root() != self.frontier.root()
        {
            self.found(LedgerFault::among(Tampering::Forked, 0..older.size()));
        }
    }
}

/// The entries of a bundle: each behind its length in two bytes.
fn split(mut bundle: &[u8]) -> Option<Vec<&[u8]>> {
    let mut entries = Vec::new();
    while !bundle.is_empty() {
        let (length, rest) = bundle.split_first_chunk::<2>()?;
        let (entry, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        entries.push(entry);
        bundle = rest;
    }
    Some(entries)
}

fn report(frontier: &Frontier, fault: Option<LedgerFault>) -> LedgerReport {
    LedgerReport {
        entries: frontier.size(),
        checkpoints: 0,
        size: frontier.size(),
        root: frontier.root(),
        pending: 0,
        fault,
    }
}
