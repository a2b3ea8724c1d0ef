//! Proofs as text: c2sp.org/tlog-proof for "this entry is in the ledger", and the body of c2sp.org/tlog-witness for
//! "the ledger only grew". Each ends with the checkpoint that it leads to, so it can be checked by itself.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use thiserror::Error;

use crate::ledger::blind::PublishedEntry;
use crate::ledger::checkpoint::{Checkpoint, CheckpointError};
use crate::ledger::note::NoteVerifier;
use crate::ledger::tree::{TreeHash, verify_consistency, verify_inclusion};

const HEADER: &str = "c2sp.org/tlog-proof@v1";
/// A tree of 2^63 leaves has paths of 63 hashes.
const MAX_HASHES: usize = 64;

/// Why a text proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ProofError {
    /// Not a proof.
    #[error("not a proof")]
    Malformed,
    /// The checkpoint does not open.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The hashes do not lead from the entry to the checkpoint.
    #[error("the proof does not lead to the checkpoint")]
    Wrong,
}

/// That an entry is in the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InclusionProof {
    /// The entry's index.
    pub index: u64,
    /// The hashes beside the path, the leaf's neighbour first.
    pub hashes: Vec<TreeHash>,
    /// The signed checkpoint.
    pub checkpoint: String,
}

/// That a larger ledger begins with a smaller one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsistencyProof {
    /// The size of the smaller one.
    pub old_size: u64,
    /// The hashes of RFC 6962 §2.1.2.
    pub hashes: Vec<TreeHash>,
    /// The signed checkpoint of the larger one.
    pub checkpoint: String,
}

impl InclusionProof {
    /// The proof as text (c2sp.org/tlog-proof).
    #[must_use]
    pub fn to_text(&self) -> String {
        format!("{HEADER}\nindex {}\n{}\n{}", self.index, lines(&self.hashes), self.checkpoint)
    }

    /// Reads the text.
    ///
    /// # Errors
    /// When it is no proof.
    pub fn parse(text: &str) -> Result<Self, ProofError> {
        let (head, checkpoint) = text.split_once("\n\n").ok_or(ProofError::Malformed)?;
        let mut head = head.split('\n').peekable();
        if head.next() != Some(HEADER) {
            return Err(ProofError::Malformed);
        }
        // Extra data belong to the application, and ours has none.
        head.next_if(|line| line.starts_with("extra "));
        let index = head.next().and_then(|line| number(line.strip_prefix("index ")?));
        Ok(Self {
            index: index.ok_or(ProofError::Malformed)?,
            hashes: hashes(head)?,
            checkpoint: checkpoint.to_owned(),
        })
    }

    /// The checkpoint, if it is of the log `origin`, signed by a known key, and the entry is in it at this place.
    ///
    /// # Errors
    /// When it is not.
    pub fn verify(
        &self,
        entry: &PublishedEntry,
        origin: &str,
        known: &[NoteVerifier],
    ) -> Result<Checkpoint, ProofError> {
        let checkpoint = Checkpoint::open(&self.checkpoint, origin, known)?;
        let holds =
            verify_inclusion(&entry.leaf(), self.index, checkpoint.size(), &self.hashes, checkpoint.root());
        if holds { Ok(checkpoint) } else { Err(ProofError::Wrong) }
    }
}

impl ConsistencyProof {
    /// The proof as a witness takes it (c2sp.org/tlog-witness).
    #[must_use]
    pub fn to_text(&self) -> String {
        format!("old {}\n{}\n{}", self.old_size, lines(&self.hashes), self.checkpoint)
    }

    /// Reads the text.
    ///
    /// # Errors
    /// When it is no proof.
    pub fn parse(text: &str) -> Result<Self, ProofError> {
        let (head, checkpoint) = text.split_once("\n\n").ok_or(ProofError::Malformed)?;
        let mut head = head.split('\n');
        let old_size = head.next().and_then(|line| number(line.strip_prefix("old ")?));
        let old_size = old_size.ok_or(ProofError::Malformed)?;
        Ok(Self { old_size, hashes: hashes(head)?, checkpoint: checkpoint.to_owned() })
    }

    /// The larger checkpoint, if it is of the log of the older one, signed by a known key, and begins with it.
    ///
    /// # Errors
    /// When it is not.
    pub fn verify(&self, old: &Checkpoint, known: &[NoteVerifier]) -> Result<Checkpoint, ProofError> {
        let checkpoint = Checkpoint::open(&self.checkpoint, old.origin(), known)?;
        let holds = self.old_size == old.size()
            && verify_consistency(old.size(), old.root(), checkpoint.size(), checkpoint.root(), &self.hashes);
        if holds { Ok(checkpoint) } else { Err(ProofError::Wrong) }
    }
}

fn lines(hashes: &[TreeHash]) -> String {
    hashes.iter().map(|hash| BASE64_STANDARD.encode(hash) + "\n").collect()
}

fn number(text: &str) -> Option<u64> {
    // A number has one form.
    text.parse::<u64>().ok().filter(|number| number.to_string() == text)
}

fn hashes<'a>(lines: impl Iterator<Item = &'a str>) -> Result<Vec<TreeHash>, ProofError> {
    let hash = |line: &str| BASE64_STANDARD.decode(line).ok()?.try_into().ok();
    let hashes: Option<Vec<_>> = lines.map(hash).take(MAX_HASHES + 1).collect();
    hashes.filter(|hashes| hashes.len() <= MAX_HASHES).ok_or(ProofError::Malformed)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::ledger::blind::BatchSecret;
    use crate::ledger::note::NoteSigner;
    use crate::ledger::tree::{consistency_proof, inclusion_proof, root_of};

    const ORIGIN: &str = "consent.example/ledger";

    fn entries() -> Vec<PublishedEntry> {
        let secret = BatchSecret::from_bytes([1; 32]);
        (0..11).map(|index| secret.key(index).publish(b"an entry")).collect()
    }

    fn checkpoint(size: usize) -> (Checkpoint, String, NoteSigner, Vec<TreeHash>) {
        let signer = NoteSigner::new(ORIGIN, [7; 32]).unwrap();
        let leaves: Vec<_> = entries()[..size].iter().map(PublishedEntry::leaf).collect();
        let checkpoint = Checkpoint::new(ORIGIN, size as u64, root_of(&leaves)).unwrap();
        let note = checkpoint.sign(&signer).unwrap();
        (checkpoint, note, signer, leaves)
    }

    #[test]
    fn a_proof_survives_its_text_and_holds_for_its_entry_alone() {
        let (expected, note, signer, leaves) = checkpoint(11);
        let known = [signer.verifier().clone()];
        let proof = InclusionProof { index: 6, hashes: inclusion_proof(&leaves, 6).unwrap(), checkpoint: note };
        let text = proof.to_text();
        assert!(text.starts_with("c2sp.org/tlog-proof@v1\nindex 6\n"));
        assert_eq!(InclusionProof::parse(&text), Ok(proof.clone()));
        assert_eq!(InclusionProof::parse(&text.replacen("index", "extra AAAA\nindex", 1)), Ok(proof.clone()));
        let entries = entries();
        assert_eq!(proof.verify(&entries[6], ORIGIN, &known), Ok(expected));
        assert_eq!(proof.verify(&entries[7], ORIGIN, &known), Err(ProofError::Wrong));
        let elsewhere = InclusionProof { index: 7, ..proof.clone() };
        assert_eq!(elsewhere.verify(&entries[6], ORIGIN, &known), Err(ProofError::Wrong));
        assert!(matches!(proof.verify(&entries[6], "other/log", &known), Err(ProofError::Checkpoint(_))));
        for bad in ["", "index 6\n\n", &text.replace("index 6", "index 06"), &text.replace("@v1", "@v2")] {
            assert_eq!(InclusionProof::parse(bad), Err(ProofError::Malformed), "{bad}");
        }
        // An altered byte is never the same proof, whatever it still is.
        for at in 0..text.len() {
            let mut altered = text.clone().into_bytes();
            altered[at] ^= 1;
            let Ok(altered) = String::from_utf8(altered) else { continue };
            if let Ok(altered) = InclusionProof::parse(&altered) {
                assert!(altered.verify(&entries[6], ORIGIN, &known).is_err(), "{at}");
            }
        }
    }

    #[test]
    fn consistency_is_shown_to_a_witness_in_its_words() {
        let ((old, ..), (new, note, signer, leaves)) = (checkpoint(5), checkpoint(11));
        let known = [signer.verifier().clone()];
        let proof =
            ConsistencyProof { old_size: 5, hashes: consistency_proof(&leaves, 5).unwrap(), checkpoint: note };
        assert_eq!(ConsistencyProof::parse(&proof.to_text()), Ok(proof.clone()));
        assert_eq!(proof.verify(&old, &known), Ok(new.clone()));
        let fork = Checkpoint::new(ORIGIN, 5, [9; 32]).unwrap();
        assert_eq!(proof.verify(&fork, &known), Err(ProofError::Wrong));
        // Without anything to prove there are no hashes.
        let same = ConsistencyProof { old_size: 11, hashes: Vec::new(), checkpoint: proof.checkpoint };
        assert_eq!(ConsistencyProof::parse(&same.to_text()), Ok(same.clone()));
        assert_eq!(same.verify(&new, &known), Ok(new));
    }
}
