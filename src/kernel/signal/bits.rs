//! Bits in base64url characters, six in each, most significant first; and Fibonacci-coded integers.

use super::error::{SignalError, SignalFault};

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const CHARACTER_BITS: usize = 6;

/// The value of a character. The GPP specification's table shows `+` and `/`; every implementation is URL-safe.
pub(super) const fn sextet(character: u8) -> Option<u8> {
    match character {
        b'A'..=b'Z' => Some(character - b'A'),
        b'a'..=b'z' => Some(character - b'a' + 26),
        b'0'..=b'9' => Some(character - b'0' + 52),
        b'-' => Some(62),
        b'_' => Some(63),
        _ => None,
    }
}

/// Reads fields from the characters of one subsection.
pub(super) struct BitReader {
    sextets: Vec<u8>,
    base: usize,
    at: usize,
}

impl BitReader {
    /// Over `text`, which begins at character `base` of the whole string.
    pub(super) fn new(text: &str, base: usize) -> Result<Self, SignalError> {
        let wrong = |at| SignalError::new(SignalFault::Alphabet, base.saturating_add(at));
        let read = |(at, character)| sextet(character).ok_or_else(|| wrong(at));
        let sextets = text.bytes().enumerate().map(read).collect::<Result<_, _>>()?;
        Ok(Self { sextets, base, at: 0 })
    }

    /// A fault at the character that holds the last bit that was read.
    pub(super) fn fault(&self, fault: SignalFault) -> SignalError {
        SignalError::new(fault, self.base.saturating_add(self.at.saturating_sub(1) / CHARACTER_BITS))
    }

    /// The next bit.
    pub(super) fn flag(&mut self) -> Result<bool, SignalError> {
        let Some(sextet) = self.sextets.get(self.at / CHARACTER_BITS) else {
            return Err(SignalError::new(SignalFault::Truncated, self.base.saturating_add(self.sextets.len())));
        };
        let shift = CHARACTER_BITS - 1 - self.at % CHARACTER_BITS;
        self.at += 1;
        Ok(sextet >> shift & 1 == 1)
    }

    /// The next `width` bits as an integer.
    pub(super) fn integer<T: TryFrom<u64>>(&mut self, width: u32) -> Result<T, SignalError> {
        let mut value = 0_u64;
        for _ in 0..width {
            value = value << 1 | u64::from(self.flag()?);
        }
        T::try_from(value).map_err(|_| self.fault(SignalFault::Value))
    }

    /// A Fibonacci-coded integer (GPP 1.0, "Fibonacci Encoding"): weights 1, 2, 3, 5, 8 …, closed by a second 1.
    pub(super) fn fibonacci(&mut self) -> Result<u32, SignalError> {
        let (mut weight, mut next) = (1_u64, 2_u64);
        let (mut value, mut last) = (0_u64, false);
        loop {
            let bit = self.flag()?;
            if bit && last {
                return u32::try_from(value).map_err(|_| self.fault(SignalFault::SectionIds));
            }
            if bit {
                // Saturating: what is beyond 64 bits is beyond 32 too.
                value = value.saturating_add(weight);
            }
            last = bit;
            (weight, next) = (next, weight.saturating_add(next));
        }
    }

    /// That nothing but zero bits is left: padding of whatever length is allowed, further content is not.
    pub(super) fn finish(mut self) -> Result<(), SignalError> {
        while self.at / CHARACTER_BITS < self.sextets.len() {
            if self.flag()? {
                return Err(self.fault(SignalFault::Trailing));
            }
        }
        Ok(())
    }
}

/// How far the official library fills the last characters.
#[derive(Debug, Clone, Copy)]
pub(super) enum Padding {
    /// To whole bytes, then to whole characters: GPP headers and US sections.
    Compressed,
    /// To whole groups of three bytes: TC strings.
    Traditional,
}

/// Writes fields as characters.
#[derive(Default)]
pub(super) struct BitWriter {
    sextets: Vec<u8>,
    bits: usize,
}

impl BitWriter {
    /// Writes a bit.
    pub(super) fn flag(&mut self, bit: bool) {
        let place = self.bits % CHARACTER_BITS;
        if place == 0 {
            self.sextets.push(0);
        }
        if let Some(last) = self.sextets.last_mut() {
            *last |= u8::from(bit) << (CHARACTER_BITS - 1 - place);
        }
        self.bits += 1;
    }

    /// Writes an integer into `width` bits.
    pub(super) fn integer(&mut self, value: impl Into<u64>, width: u32) -> Result<(), SignalError> {
        let value = value.into();
        if value.checked_shr(width).is_some_and(|rest| rest != 0) {
            return Err(self.fault());
        }
        for shift in (0..width).rev() {
            self.flag(value.checked_shr(shift).unwrap_or(0) & 1 == 1);
        }
        Ok(())
    }

    /// Writes a Fibonacci-coded integer.
    pub(super) fn fibonacci(&mut self, value: u32) -> Result<(), SignalError> {
        if value == 0 {
            return Err(self.fault());
        }
        let mut weights = vec![1_u64];
        let mut next = 2_u64;
        while next <= u64::from(value) {
            let last = weights.last().copied().unwrap_or(1);
            weights.push(next);
            next = next.saturating_add(last);
        }
        let mut rest = u64::from(value);
        let mut bits = vec![false; weights.len()];
        for (bit, weight) in bits.iter_mut().zip(&weights).rev() {
            if let Some(less) = rest.checked_sub(*weight) {
                (*bit, rest) = (true, less);
            }
        }
        bits.into_iter().chain([true]).for_each(|bit| self.flag(bit));
        Ok(())
    }

    /// That a value does not fit at the place reached.
    pub(super) fn fault(&self) -> SignalError {
        SignalError::new(SignalFault::OutOfRange, self.bits / CHARACTER_BITS)
    }

    /// The characters, filled as the official library fills them.
    pub(super) fn finish(self, padding: Padding) -> String {
        let bits = match padding {
            Padding::Compressed => self.bits.next_multiple_of(8),
            Padding::Traditional => self.bits.next_multiple_of(24),
        };
        let mut sextets = self.sextets;
        sextets.resize(bits.div_ceil(CHARACTER_BITS), 0);
        sextets.iter().filter_map(|sextet| ALPHABET.get(usize::from(*sextet))).map(|c| char::from(*c)).collect()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use proptest::prelude::*;

    use super::*;

    fn fibonacci_bits(value: u32) -> String {
        let mut writer = BitWriter::default();
        writer.fibonacci(value).unwrap();
        let bits = writer.bits;
        let mut reader = BitReader::new(&writer.finish(Padding::Compressed), 0).unwrap();
        (0..bits).map(|_| if reader.flag().unwrap() { '1' } else { '0' }).collect()
    }

    #[test]
    fn fibonacci_codes_are_those_of_the_specification() {
        for (value, code) in
            [(1, "11"), (2, "011"), (3, "0011"), (4, "1011"), (5, "00011"), (6, "10011"), (7, "01011")]
        {
            assert_eq!(fibonacci_bits(value), code);
        }
        assert!(BitWriter::default().fibonacci(0).is_err());
    }

    #[test]
    fn a_fibonacci_code_beyond_32_bits_is_refused() {
        let mut writer = BitWriter::default();
        (0..200).for_each(|_| writer.flag(false));
        (0..2).for_each(|_| writer.flag(true));
        let error = BitReader::new(&writer.finish(Padding::Compressed), 0).unwrap().fibonacci().unwrap_err();
        assert_eq!(error.fault(), SignalFault::SectionIds);
    }

    #[test]
    fn only_the_url_safe_alphabet_is_read() {
        let position = |text| BitReader::new(text, 10).err().map(SignalError::position);
        assert_eq!(position("AZaz09-_"), None);
        for bad in ["AA+", "AA/", "AA=", "AA ", "AA.", "AA\u{e9}", "AA\0"] {
            assert_eq!(position(bad), Some(12), "{bad:?}");
        }
    }

    #[test]
    fn only_zero_bits_may_be_left() {
        let mut reader = BitReader::new("CAAAA", 0).unwrap();
        assert_eq!(reader.integer::<u8>(6).unwrap(), 2);
        assert!(reader.finish().is_ok());
        let mut reader = BitReader::new("CAABA", 7).unwrap();
        assert_eq!(reader.integer::<u8>(6).unwrap(), 2);
        assert_eq!(reader.finish(), Err(SignalError::new(SignalFault::Trailing, 10)));
    }

    proptest! {
        #[test]
        fn integers_survive(values in prop::collection::vec((0_u64..1 << 36, 0_u32..28), 0..40)) {
            let mut writer = BitWriter::default();
            for (value, spare) in &values {
                writer.integer(*value >> spare, 36 - spare).unwrap();
            }
            let text = writer.finish(Padding::Traditional);
            prop_assert_eq!(text.len() % 4, 0);
            let mut reader = BitReader::new(&text, 0).unwrap();
            for (value, spare) in &values {
                prop_assert_eq!(reader.integer::<u64>(36 - spare).unwrap(), *value >> spare);
            }
            prop_assert!(reader.finish().is_ok());
        }

        #[test]
        fn fibonacci_integers_survive(values in prop::collection::vec(1_u32.., 0..20)) {
            let mut writer = BitWriter::default();
            for value in &values {
                writer.fibonacci(*value).unwrap();
            }
            let mut reader = BitReader::new(&writer.finish(Padding::Compressed), 0).unwrap();
            for value in &values {
                prop_assert_eq!(reader.fibonacci().unwrap(), *value);
            }
        }
    }
}
