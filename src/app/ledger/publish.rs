//! What everybody may read of the ledger: its checkpoint, its tiles, and proofs. Entries are blinded, so none of it
//! needs secrecy; it is computed from what is stored, and stored before it is told.

use std::collections::BTreeMap;
use std::ops::Range;

use kernel::ledger::Checkpoint;
use kernel::ledger::note::{NoteVerifier, OpenedNote};
use kernel::ledger::proof::{ConsistencyProof, InclusionProof};
use kernel::ledger::tile::{TileKind, TilePath, WIDTH, join, slices_of, width_at};
use kernel::ledger::tree::{TreeHash, consistency_ranges, empty_root, inclusion_ranges, root_of};

use crate::error::AppError;
use crate::gateway::Gateway;

/// How far, in milliseconds, a cosigned checkpoint may lag behind the latest one and still be the one that is told.
const COSIGNED_LAG_MS: i64 = 60_000;

impl Gateway {
    /// The key that checks the checkpoints that are signed now, as `name+id+key`.
    #[must_use]
    pub fn ledger_vkey(&self) -> String {
        self.signers().ledger.verifier().vkey()
    }

    /// Every key that checks a checkpoint, of now, of before and of soon: the one that signs now first.
    #[must_use]
    pub fn ledger_vkeys(&self) -> Vec<String> {
        self.signers().ledger_keys.iter().map(NoteVerifier::vkey).collect()
    }

    /// The key that checks one checkpoint: the newest of those that signed it.
    pub(crate) fn vkey_of(&self, note: &str) -> String {
        let signers = self.signers();
        let opened = OpenedNote::open(note, &signers.ledger_keys);
        let newest = opened.ok().and_then(|opened| opened.signed_by().first().map(|key| key.vkey()));
        newest.unwrap_or_else(|| signers.ledger.verifier().vkey())
    }

    /// The latest checkpoint as a signed note; where witnesses cosign, the latest that one did, if it is fresh.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn ledger_checkpoint(&self) -> Result<String, AppError> {
        let store = &self.inner.store;
        let Some(latest) = store.latest_checkpoint().await? else { return self.empty_checkpoint() };
        let told = match store.largest_cosigned().await? {
            Some(size) => store
                .checkpoint_at(size)
                .await?
                .filter(|cosigned| latest.created_at.since_ms(cosigned.created_at) <= COSIGNED_LAG_MS),
            None => None,
        };
        let told = told.unwrap_or(latest);
        let lines = store.cosignatures(told.size).await?;
        Ok(told.note + &lines.concat())
    }

    /// The bytes of a tile, if a checkpoint covers all of it.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn ledger_tile(&self, path: &TilePath) -> Result<Option<Vec<u8>>, AppError> {
        let store = &self.inner.store;
        let Some(latest) = store.latest_checkpoint().await? else { return Ok(None) };
        if width_at(path.level(), path.number, latest.size) < path.width {
            return Ok(None);
        }
        let width = u64::from(path.width);
        Ok(Some(match path.kind {
            TileKind::Hashes(level) => self.tile_hashes(level, path.number, width).await?.into_flattened(),
            TileKind::Entries => {
                let entries = store.published_entries(path.number.saturating_mul(WIDTH), width).await?;
                let mut bytes = Vec::with_capacity(entries.len() * 35);
                for entry in entries {
                    let entry = entry.as_bytes();
                    bytes.extend_from_slice(&u16::try_from(entry.len()).unwrap_or(u16::MAX).to_be_bytes());
                    bytes.extend_from_slice(entry);
                }
                bytes
            }
        }))
    }

    /// The proof that the entry with this index is in the ledger of a size, or of the latest. `None`: there is no such
    /// entry, or no checkpoint of that size.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn ledger_inclusion(
        &self,
        index: u64,
        size: Option<u64>,
    ) -> Result<Option<InclusionProof>, AppError> {
        let Some((size, checkpoint)) = self.checkpoint_of(size).await? else { return Ok(None) };
        let Some(ranges) = inclusion_ranges(index, size) else { return Ok(None) };
        let hashes = self.roots_of(ranges).await?;
        Ok(Some(InclusionProof { index, hashes, checkpoint }))
    }

    /// The proof that the ledger of a size, or the latest, begins with that of `old_size` entries.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn ledger_consistency(
        &self,
        old_size: u64,
        size: Option<u64>,
    ) -> Result<Option<ConsistencyProof>, AppError> {
        let Some((size, checkpoint)) = self.checkpoint_of(size).await? else { return Ok(None) };
        let Some(ranges) = consistency_ranges(old_size, size) else { return Ok(None) };
        let hashes = self.roots_of(ranges).await?;
        Ok(Some(ConsistencyProof { old_size, hashes, checkpoint }))
    }

    /// The note of a size, or the latest; `None`: no checkpoint of that size was made.
    async fn checkpoint_of(&self, size: Option<u64>) -> Result<Option<(u64, String)>, AppError> {
        let row = match size {
            Some(size) => self.inner.store.checkpoint_at(size).await?,
            None => self.inner.store.latest_checkpoint().await?,
        };
        match row {
            Some(row) => Ok(Some((row.size, row.note))),
            None if size.unwrap_or(0) == 0 => Ok(Some((0, self.empty_checkpoint()?))),
            None => Ok(None),
        }
    }

    /// The checkpoint of a ledger that nothing is in yet: everything is consistent with it.
    fn empty_checkpoint(&self) -> Result<String, AppError> {
        Checkpoint::new(&self.settings().ledger_origin, 0, empty_root())
            .and_then(|checkpoint| checkpoint.sign(&self.signers().ledger))
            .map_err(|_| AppError::internal("the empty checkpoint could not be signed"))
    }

    /// The first `width` hashes of a tile.
    async fn tile_hashes(&self, level: u8, number: u64, width: u64) -> Result<Vec<TreeHash>, AppError> {
        let store = &self.inner.store;
        let first = number.saturating_mul(WIDTH);
        let hashes: Vec<TreeHash> = if level == 0 {
            store.published_entries(first, width).await?.iter().map(|entry| entry.leaf()).collect()
        } else {
            store.ledger_nodes(level, first, width).await?.into_iter().map(|node| node.hash).collect()
        };
        if hashes.len() as u64 == width {
            Ok(hashes)
        } else {
            Err(AppError::internal("a tile of the ledger is short"))
        }
    }

    /// The roots over ranges of leaves, from tiles that each are read once.
    async fn roots_of(&self, ranges: Vec<Range<u64>>) -> Result<Vec<TreeHash>, AppError> {
        let broken = || AppError::internal("a tile of the ledger does not read");
        let mut tiles: BTreeMap<(u8, u64), Vec<TreeHash>> = BTreeMap::new();
        let mut roots = Vec::with_capacity(ranges.len());
        for range in ranges {
            let mut parts = Vec::new();
            for slice in slices_of(range) {
                let (end, place) = (slice.start + slice.count, (slice.level, slice.number));
                if tiles.get(&place).is_none_or(|tile| tile.len() < end) {
                    let tile = self.tile_hashes(slice.level, slice.number, end as u64).await?;
                    tiles.insert(place, tile);
                }
                let hashes = tiles.get(&place).and_then(|tile| tile.get(slice.start..end));
                parts.push(root_of(hashes.ok_or_else(broken)?));
            }
            roots.push(join(&parts).ok_or_else(broken)?);
        }
        Ok(roots)
    }
}
