//! The key of one import: it seals the rows of a file that was read and not applied yet, and is destroyed with them.

use aes_gcm::aead::{Aead as _, Generate as _, KeyInit as _, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use zeroize::Zeroizing;

use super::Keyring;
use super::key::{OpenError, SealError, WrappedKey};
use crate::entropy::Entropy;
use crate::id::ImportId;
use crate::import::StagedRow;

/// One import's data key, unwrapped. Wiped when dropped.
pub struct ImportKey {
    import: ImportId,
    cipher: Aes256Gcm,
}

impl std::fmt::Debug for ImportKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ImportKey(..)")
    }
}

impl ImportKey {
    fn new(import: ImportId, key: &[u8; 32]) -> Self {
        Self { import, cipher: Aes256Gcm::new(key.into()) }
    }

    /// Bound to the import and the line: a row that is moved does not open.
    fn context(&self, line: u64) -> [u8; 43] {
        let mut context = [0; 43];
        let parts: [&[u8]; 3] = [b"consentry row of v1", self.import.as_bytes(), &line.to_be_bytes()];
        for (to, from) in context.iter_mut().zip(parts.into_iter().flatten()) {
            *to = *from;
        }
        context
    }

    /// Seals a row.
    ///
    /// # Errors
    /// When the cipher fails.
    pub fn seal_row(&self, line: u64, row: &StagedRow) -> Result<Vec<u8>, SealError> {
        let plain = minicbor::to_vec(row).map(Zeroizing::new).map_err(|_| SealError)?;
        let nonce = Nonce::generate();
        let payload = Payload { msg: &plain, aad: &self.context(line) };
        let sealed = self.cipher.encrypt(&nonce, payload).map_err(|_| SealError)?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    /// Opens the row of a line.
    ///
    /// # Errors
    /// When it does not verify at this line of this import.
    pub fn open_row(&self, line: u64, sealed: &[u8]) -> Result<StagedRow, OpenError> {
        let (nonce, sealed) = sealed.split_first_chunk::<12>().ok_or(OpenError)?;
        let payload = Payload { msg: sealed, aad: &self.context(line) };
        let plain = self.cipher.decrypt(nonce.into(), payload).map(Zeroizing::new).map_err(|_| OpenError)?;
        minicbor::decode(&plain).map_err(|_| OpenError)
    }
}

impl Keyring {
    /// Draws a key for a new import and wraps it.
    ///
    /// # Errors
    /// When the cipher fails.
    pub fn create_import_key(
        &self,
        import: ImportId,
        entropy: &dyn Entropy,
    ) -> Result<(ImportKey, WrappedKey), SealError> {
        let data_key = Zeroizing::new(entropy.bytes_32());
        let wrapped = self.ring.load().wrap(|id| wrap_context(import, id), &data_key)?;
        Ok((ImportKey::new(import, &data_key), wrapped))
    }

    /// Unwraps an import's key.
    ///
    /// # Errors
    /// When it is of another import, was altered, or its wrapping key is not in this ring.
    pub fn unwrap_import_key(&self, import: ImportId, wrapped: &[u8]) -> Result<ImportKey, OpenError> {
        let key = self.ring.load().unwrap(|id| wrap_context(import, id), wrapped)?;
        Ok(ImportKey::new(import, &key))
    }

    /// Wraps an import's key anew, with the key that wraps now. `None`: it is wrapped with that key already.
    ///
    /// # Errors
    /// When it does not unwrap.
    pub fn rewrap_import_key(&self, import: ImportId, wrapped: &[u8]) -> Result<Option<WrappedKey>, OpenError> {
        self.ring.load().rewrap(|id| wrap_context(import, id), wrapped)
    }

    /// A keyed digest of a file or of what an import did, for the ledger.
    #[must_use]
    pub fn import_digest(&self, import: ImportId, bytes: &[u8]) -> [u8; 32] {
        self.request_fingerprint(&[b"import v1", import.as_bytes(), bytes])
    }
}

fn wrap_context(import: ImportId, key_id: u32) -> Vec<u8> {
    [&b"consentry import key"[..], import.as_bytes(), &key_id.to_be_bytes()].concat()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::seal::tests::keyring;
    use crate::time::Timestamp;

    struct Fixed(u8);

    impl Entropy for Fixed {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(self.0);
        }
    }

    #[test]
    fn a_row_opens_at_its_line_of_its_import_and_nowhere_else() {
        let (ring, id) = (keyring(1), ImportId::from_bytes([4; 16]));
        let (key, wrapped) = ring.create_import_key(id, &Fixed(9)).unwrap();
        let row = StagedRow::of(Timestamp::from_millis(7));
        let sealed = key.seal_row(3, &row).unwrap();
        let again = ring.unwrap_import_key(id, wrapped.as_bytes()).unwrap();
        assert_eq!(again.open_row(3, &sealed).unwrap(), row);
        assert!(again.open_row(4, &sealed).is_err());
        let mut altered = sealed.clone();
        *altered.last_mut().unwrap() ^= 1;
        assert!(again.open_row(3, &altered).is_err());
        assert!(ring.unwrap_import_key(ImportId::from_bytes([5; 16]), wrapped.as_bytes()).is_err());
        assert!(keyring(2).unwrap_import_key(id, wrapped.as_bytes()).is_err());
    }
}
