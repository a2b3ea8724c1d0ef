//! Pseudonyms as text, written straight into a buffer: in a bulk pull they are half of all bytes.

use kernel::pseudonym::Pseudonym;

/// Bytes that a written pseudonym takes at the most: `p65535-` and 32 digits.
pub(super) const MAX_BYTES: usize = 39;

/// Writes pseudonyms. The part before the digits is the same for all of an epoch and is made once.
pub(super) struct PseudonymWriter {
    epoch: Option<u16>,
    text: Vec<u8>,
}

impl PseudonymWriter {
    pub(super) fn new() -> Self {
        Self { epoch: None, text: Vec::with_capacity(MAX_BYTES) }
    }

    /// The pseudonym as text, until the next one.
    pub(super) fn write(&mut self, pseudonym: Pseudonym) -> &[u8] {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        const WIDTH: usize = 32;
        if self.epoch != Some(pseudonym.epoch()) {
            self.epoch = Some(pseudonym.epoch());
            self.text = format!("p{}-", pseudonym.epoch()).into_bytes();
            self.text.resize(self.text.len() + WIDTH, b'0');
        }
        let begin = self.text.len().saturating_sub(WIDTH);
        let digits = self.text.get_mut(begin..).unwrap_or_default();
        let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0');
        for (pair, byte) in digits.chunks_exact_mut(2).zip(pseudonym.as_bytes()) {
            if let [high, low] = pair {
                (*high, *low) = (digit(byte >> 4), digit(byte & 15));
            }
        }
        &self.text
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_pseudonym_is_written_as_it_displays() {
        let mut writer = PseudonymWriter::new();
        for text in [
            "p1-00112233445566778899aabbccddeeff",
            "p65535-ffffffffffffffffffffffffffffffff",
            "p2-0123456789abcdef0123456789abcdef",
        ] {
            let pseudonym: Pseudonym = text.parse().unwrap();
            assert_eq!(writer.write(pseudonym), text.as_bytes());
            assert_eq!(pseudonym.to_string(), text);
        }
    }
}
