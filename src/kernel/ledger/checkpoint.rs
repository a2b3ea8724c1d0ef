//! Checkpoints (c2sp.org/tlog-checkpoint): the signed statement of how large a log is and what its root is.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use thiserror::Error;

use crate::ledger::note::{NoteError, NoteSigner, NoteVerifier, OpenedNote, is_key_name};
use crate::ledger::tree::TreeHash;

/// A log at one size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    origin: String,
    size: u64,
    root: TreeHash,
}

/// Why a text is no checkpoint, or a note not one of this log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CheckpointError {
    /// The origin is not a schemeless address without spaces and `+`.
    #[error("an origin is not empty and has no white space, `+` or control characters")]
    Origin,
    /// Not the lines of a checkpoint.
    #[error("not a checkpoint")]
    Malformed,
    /// A checkpoint of another log.
    #[error("a checkpoint of another log")]
    OtherLog,
    /// The note does not open.
    #[error(transparent)]
    Note(#[from] NoteError),
}

impl Checkpoint {
    /// The log `origin` at `size` leaves with this `root`.
    ///
    /// # Errors
    /// When the origin cannot stand in a checkpoint.
    pub fn new(origin: &str, size: u64, root: TreeHash) -> Result<Self, CheckpointError> {
        if !is_key_name(origin) {
            return Err(CheckpointError::Origin);
        }
        Ok(Self { origin: origin.to_owned(), size, root })
    }

    /// Which log.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// How many leaves.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The root over them.
    #[must_use]
    pub const fn root(&self) -> &TreeHash {
        &self.root
    }

    /// The text that is signed.
    #[must_use]
    pub fn body(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, BASE64_STANDARD.encode(self.root))
    }

    /// Reads the text of a checkpoint. Extension lines are passed over.
    ///
    /// # Errors
    /// When a line is missing, empty or not in its one form.
    pub fn parse(body: &str) -> Result<Self, CheckpointError> {
        let lines = body.strip_suffix('\n').ok_or(CheckpointError::Malformed)?;
        let mut lines = lines.split('\n');
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
            return Err(CheckpointError::Malformed);
        };
        if lines.any(str::is_empty) {
            return Err(CheckpointError::Malformed);
        }
        let root = BASE64_STANDARD.decode(root).ok().and_then(|root| root.try_into().ok());
        let (Ok(number), Some(root)) = (size.parse::<u64>(), root) else {
            return Err(CheckpointError::Malformed);
        };
        // Digits without sign or leading zeros: the number has one form.
        if number.to_string() != size {
            return Err(CheckpointError::Malformed);
        }
        Self::new(origin, number, root)
    }

    /// The checkpoint as a signed note, ready to be stored and then published.
    ///
    /// # Errors
    /// Never for an origin that [`Self::new`] accepted.
    pub fn sign(&self, signer: &NoteSigner) -> Result<String, CheckpointError> {
        Ok(signer.sign(&self.body())?)
    }

    /// The checkpoint of the log `origin` in a note that one of the `known` keys signed.
    ///
    /// # Errors
    /// When the note does not open, is no checkpoint, or is of another log.
    pub fn open(note: &str, origin: &str, known: &[NoteVerifier]) -> Result<Self, CheckpointError> {
        let checkpoint = Self::parse(OpenedNote::open(note, known)?.text())?;
        if checkpoint.origin == origin { Ok(checkpoint) } else { Err(CheckpointError::OtherLog) }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use proptest::prelude::*;

    use super::*;

    const ORIGIN: &str = "consent.example/ledger";

    fn checkpoint() -> Checkpoint {
        Checkpoint::new(ORIGIN, 700, [0xab; 32]).unwrap()
    }

    #[test]
    fn a_checkpoint_is_three_lines() {
        let body = "consent.example/ledger\n700\nq6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s=\n";
        assert_eq!(checkpoint().body(), body);
        assert_eq!(Checkpoint::parse(body), Ok(checkpoint()));
        assert_eq!(Checkpoint::parse(&format!("{body}an extension\n")), Ok(checkpoint()));
    }

    #[test]
    fn a_checkpoint_has_one_form() {
        let body = checkpoint().body();
        for bad in [
            "",
            "a\n1\n",
            body.trim_end(),
            &format!("{body}\n"),
            &body.replace("700", "0700"),
            &body.replace("700", "+700"),
            &body.replace("700", "-1"),
            &body.replace("700", "18446744073709551616"),
            &body.replace('=', ""),
            &body.replace("q6s=", "q6t="),
            &body.replace("q6ur", ""),
        ] {
            assert_eq!(Checkpoint::parse(bad), Err(CheckpointError::Malformed), "{bad:?}");
        }
        assert_eq!(Checkpoint::parse(&body.replace('/', " ")), Err(CheckpointError::Origin));
    }

    #[test]
    fn only_a_checkpoint_of_this_log_by_a_known_key_opens() {
        let signer = NoteSigner::new(ORIGIN, [7; 32]).unwrap();
        let known = [signer.verifier().clone()];
        let note = checkpoint().sign(&signer).unwrap();
        assert_eq!(Checkpoint::open(&note, ORIGIN, &known), Ok(checkpoint()));
        let other = Checkpoint::open(&note, "other.example/ledger", &known);
        assert_eq!(other, Err(CheckpointError::OtherLog));
        let grown = Checkpoint::open(&note.replace("700", "701"), ORIGIN, &known);
        assert_eq!(grown, Err(CheckpointError::Note(NoteError::WrongSignature)));
        let stranger = Checkpoint::open(&note, ORIGIN, &[]);
        assert_eq!(stranger, Err(CheckpointError::Note(NoteError::Unsigned)));
    }

    proptest! {
        #[test]
        fn a_checkpoint_survives_its_text(size: u64, root: [u8; 32]) {
            let checkpoint = Checkpoint::new(ORIGIN, size, root).unwrap();
            prop_assert_eq!(Checkpoint::parse(&checkpoint.body()), Ok(checkpoint));
        }
    }
}
