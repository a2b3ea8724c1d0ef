//! What lets staff in, bound to whom it lets in: moved to another member or another place in the database it is worth nothing.

use aes_gcm::aead::{Aead as _, Generate as _, KeyInit as _, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use zeroize::Zeroizing;

use super::{Keyring, OpenError, SealError};
use crate::id::StaffId;

/// What is sealed of a member of staff.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StaffSecret {
    /// The secret of their authenticator.
    Authenticator,
    /// The hash of their password.
    PasswordHash,
}

impl StaffSecret {
    /// What a ciphertext is bound to. A staff id has one length, so no two contexts are one text.
    fn context(self, staff: StaffId) -> Vec<u8> {
        let kind: &[u8] = match self {
            Self::Authenticator => b"authenticator v2",
            Self::PasswordHash => b"password hash v1",
        };
        [staff.as_bytes().as_slice(), kind].concat()
    }
}

impl Keyring {
    /// Seals a secret of a member of staff, bound to them and to what it is.
    ///
    /// # Errors
    /// When the cipher fails.
    pub fn seal_staff_secret(
        &self,
        staff: StaffId,
        kind: StaffSecret,
        secret: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        let (key, _) = self.staff_keys();
        let cipher = Aes256Gcm::new((&*key).into());
        let nonce = Nonce::generate();
        let aad = kind.context(staff);
        let sealed = cipher.encrypt(&nonce, Payload { msg: secret, aad: &aad }).map_err(|_| SealError)?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    /// Opens a secret of a member of staff.
    ///
    /// # Errors
    /// When it is somebody else's or something else, was altered, or sealed under another key.
    pub fn open_staff_secret(
        &self,
        staff: StaffId,
        kind: StaffSecret,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let (_, keys) = self.staff_keys();
        keys.iter().find_map(|key| open(key, staff, kind, sealed)).ok_or(OpenError)
    }

    /// Seals a secret of a member of staff anew, under the key that seals now. `None`: it is sealed under that one already.
    ///
    /// # Errors
    /// As [`Self::open_staff_secret`].
    pub fn reseal_staff_secret(
        &self,
        staff: StaffId,
        kind: StaffSecret,
        sealed: &[u8],
    ) -> Result<Option<Vec<u8>>, OpenError> {
        let (key, _) = self.staff_keys();
        if open(&key, staff, kind, sealed).is_some() {
            return Ok(None);
        }
        let plain = self.open_staff_secret(staff, kind, sealed)?;
        self.seal_staff_secret(staff, kind, &plain).map(Some).map_err(|_| OpenError)
    }
}

fn open(key: &[u8; 32], staff: StaffId, kind: StaffSecret, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (nonce, sealed) = sealed.split_first_chunk::<12>()?;
    let aad = kind.context(staff);
    let payload = Payload { msg: sealed, aad: &aad };
    Aes256Gcm::new(key.into()).decrypt(nonce.into(), payload).map(Zeroizing::new).ok()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::entropy::Entropy;
    use crate::seal::KeySet;

    struct Counting;

    impl Entropy for Counting {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.iter_mut().zip(1..).for_each(|(byte, count)| *byte = count);
        }
    }

    #[test]
    fn a_secret_opens_for_its_member_and_in_its_place_alone() {
        let keys = Keyring::new(&KeySet::generate(&Counting)).unwrap();
        let (anna, berta) = (StaffId::from_bytes([1; 16]), StaffId::from_bytes([2; 16]));
        let sealed = keys.seal_staff_secret(anna, StaffSecret::PasswordHash, b"a hash").unwrap();
        let open = |staff, kind, sealed: &[u8]| keys.open_staff_secret(staff, kind, sealed).ok();
        assert_eq!(open(anna, StaffSecret::PasswordHash, &sealed).unwrap().as_slice(), b"a hash");
        assert!(open(berta, StaffSecret::PasswordHash, &sealed).is_none());
        assert!(open(anna, StaffSecret::Authenticator, &sealed).is_none());
        for at in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[at] ^= 1;
            assert!(open(anna, StaffSecret::PasswordHash, &altered).is_none());
        }
        assert!(open(anna, StaffSecret::PasswordHash, b"$argon2id$v=19$m=8,t=1,p=1$").is_none());
    }
}
