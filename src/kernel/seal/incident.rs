//! What is written about an incident is sealed, bound to the incident: facts of a breach name persons soon enough. The key
//! is one that rotating the keys of data leaves as it is, like that of staff's secrets: it is the capability key's.

use aes_gcm::aead::{Aead as _, Generate as _, KeyInit as _, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use zeroize::Zeroizing;

use super::Keyring;
use super::key::{OpenError, SealError};
use crate::id::IncidentId;

/// What the key of incidents is derived of.
const KEY: &[&[u8]] = &[b"key of incidents v1"];

impl Keyring {
    /// Seals what is written about an incident.
    ///
    /// # Errors
    /// When the cipher fails.
    pub fn seal_incident(&self, incident: IncidentId, plain: &[u8]) -> Result<Vec<u8>, SealError> {
        let nonce = Nonce::generate();
        let payload = Payload { msg: plain, aad: incident.as_bytes() };
        let key = Zeroizing::new(self.request_fingerprint(KEY));
        let sealed = cipher(&key).encrypt(&nonce, payload).map_err(|_| SealError)?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    /// Opens it.
    ///
    /// # Errors
    /// When it is of another incident, was altered, or sealed under another key.
    pub fn open_incident(&self, incident: IncidentId, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let keys = Zeroizing::new(self.request_fingerprints(KEY));
        keys.iter().find_map(|key| open(key, incident, sealed)).ok_or(OpenError)
    }

    /// Seals it anew, under the key that seals now. `None`: it is sealed under that one already.
    ///
    /// # Errors
    /// As [`Self::open_incident`].
    pub fn reseal_incident(&self, incident: IncidentId, sealed: &[u8]) -> Result<Option<Vec<u8>>, OpenError> {
        let key = Zeroizing::new(self.request_fingerprint(KEY));
        if open(&key, incident, sealed).is_some() {
            return Ok(None);
        }
        let plain = self.open_incident(incident, sealed)?;
        self.seal_incident(incident, &plain).map(Some).map_err(|_| OpenError)
    }
}

fn cipher(key: &[u8; 32]) -> Aes256Gcm {
    Aes256Gcm::new(key.into())
}

fn open(key: &[u8; 32], incident: IncidentId, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (nonce, sealed) = sealed.split_first_chunk::<12>()?;
    let payload = Payload { msg: sealed, aad: incident.as_bytes() };
    cipher(key).decrypt(nonce.into(), payload).map(Zeroizing::new).ok()
}
