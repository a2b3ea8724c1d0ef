//! What is written about an incident is sealed, bound to the incident: facts of a breach name persons soon enough. The key
//! is one that rotating the keys of data leaves as it is, like that of staff's secrets.

use aes_gcm::aead::{Aead as _, Generate as _, KeyInit as _, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use zeroize::Zeroizing;

use super::Keyring;
use super::key::{OpenError, SealError};
use crate::id::IncidentId;

impl Keyring {
    /// Seals what is written about an incident.
    ///
    /// # Errors
    /// When the cipher fails.
    pub fn seal_incident(&self, incident: IncidentId, plain: &[u8]) -> Result<Vec<u8>, SealError> {
        let nonce = Nonce::generate();
        let payload = Payload { msg: plain, aad: incident.as_bytes() };
        let sealed = self.of_incidents().encrypt(&nonce, payload).map_err(|_| SealError)?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    /// Opens it.
    ///
    /// # Errors
    /// When it is of another incident, was altered, or sealed under another key.
    pub fn open_incident(&self, incident: IncidentId, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let (nonce, sealed) = sealed.split_first_chunk::<12>().ok_or(OpenError)?;
        let payload = Payload { msg: sealed, aad: incident.as_bytes() };
        self.of_incidents().decrypt(nonce.into(), payload).map(Zeroizing::new).map_err(|_| OpenError)
    }

    fn of_incidents(&self) -> Aes256Gcm {
        let key = Zeroizing::new(self.request_fingerprint(&[b"key of incidents v1"]));
        let key: &[u8; 32] = &key;
        Aes256Gcm::new(key.into())
    }
}
