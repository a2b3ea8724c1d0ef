//! Randomness as a parameter: identifiers and keys are drawn from what the caller hands in.

/// A source of bytes that nobody can predict.
pub trait Entropy: Send + Sync {
    /// Fills `bytes` whole.
    fn fill(&self, bytes: &mut [u8]);

    /// Sixteen fresh bytes.
    fn bytes_16(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        self.fill(&mut bytes);
        bytes
    }

    /// Thirty-two fresh bytes.
    fn bytes_32(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        self.fill(&mut bytes);
        bytes
    }
}
