//! What is written about an incident is sealed under the newest wrapping key, bound to the incident: facts of a breach
//! name persons soon enough.

use aes_gcm::Nonce;
use aes_gcm::aead::{Aead as _, Generate as _, Payload};
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
        let (id, cipher) = self.wrapping.first().ok_or(SealError)?;
        let nonce = Nonce::generate();
        let payload = Payload { msg: plain, aad: &context(incident, *id) };
        let sealed = cipher.encrypt(&nonce, payload).map_err(|_| SealError)?;
        Ok([&id.to_be_bytes()[..], nonce.as_slice(), &sealed].concat())
    }

    /// Opens it.
    ///
    /// # Errors
    /// When it is of another incident, was altered, or its key is not in this ring.
    pub fn open_incident(&self, incident: IncidentId, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let (id, sealed) = sealed.split_first_chunk::<4>().ok_or(OpenError)?;
        let (nonce, sealed) = sealed.split_first_chunk::<12>().ok_or(OpenError)?;
        let id = u32::from_be_bytes(*id);
        let (_, cipher) = self.wrapping.iter().find(|(known, _)| *known == id).ok_or(OpenError)?;
        let payload = Payload { msg: sealed, aad: &context(incident, id) };
        cipher.decrypt(nonce.into(), payload).map(Zeroizing::new).map_err(|_| OpenError)
    }
}

fn context(incident: IncidentId, key: u32) -> Vec<u8> {
    [b"consentry incident v1".as_slice(), incident.as_bytes(), &key.to_be_bytes()].concat()
}
