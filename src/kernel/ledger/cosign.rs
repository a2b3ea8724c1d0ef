//! Cosignatures (c2sp.org/tlog-cosignature): a witness vouches that it saw a checkpoint and none that contradicts it.

use std::fmt;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use ed25519_dalek::{Signature, VerifyingKey};
use sha2::{Digest as _, Sha256};

use crate::id::{hex, unhex};
use crate::ledger::note::{NoteError, is_key_name};

/// The signature type of an Ed25519 cosignature.
const COSIGNATURE: u8 = 4;

/// The public key of a witness.
#[derive(Clone, PartialEq, Eq)]
pub struct WitnessKey {
    name: String,
    id: [u8; 4],
    key: VerifyingKey,
}

/// A cosignature of one checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cosignature {
    /// The signature line, with its line feed, as it is appended to the note.
    pub line: String,
    /// When the witness made it, in seconds since 1970.
    pub time: u64,
}

impl WitnessKey {
    /// Reads the published form, `name+id+key`.
    ///
    /// # Errors
    /// When it is none, or not of an Ed25519 cosignature.
    pub fn from_vkey(vkey: &str) -> Result<Self, NoteError> {
        let mut parts = vkey.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(NoteError::VerifierKey);
        };
        let id: [u8; 4] = unhex(id).map_err(|_| NoteError::VerifierKey)?;
        let bytes = BASE64_STANDARD.decode(key).map_err(|_| NoteError::VerifierKey)?;
        let Some((&COSIGNATURE, key)) = bytes.split_first() else { return Err(NoteError::VerifierKey) };
        let key = VerifyingKey::try_from(key).map_err(|_| NoteError::VerifierKey)?;
        let digest = Sha256::new()
            .chain_update(name)
            .chain_update([b'\n', COSIGNATURE])
            .chain_update(key.as_bytes())
            .finalize();
        if !is_key_name(name) || key.is_weak() || !digest.starts_with(&id) {
            return Err(NoteError::VerifierKey);
        }
        Ok(Self { name: name.to_owned(), id, key })
    }

    /// The published form.
    #[must_use]
    pub fn vkey(&self) -> String {
        let key = BASE64_STANDARD.encode([&[COSIGNATURE][..], self.key.as_bytes()].concat());
        format!("{}+{}+{key}", self.name, hex(&self.id))
    }

    /// The witness's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// This witness's cosignature of the text of a checkpoint, among lines that it may be in.
    ///
    /// # Errors
    /// [`NoteError::Unsigned`] when none is by this key, [`NoteError::WrongSignature`] when one is and is wrong.
    pub fn find(&self, body: &str, lines: &str) -> Result<Cosignature, NoteError> {
        for line in lines.split_inclusive('\n') {
            let parts =
                line.strip_prefix("\u{2014} ").and_then(|rest| rest.trim_end_matches('\n').split_once(' '));
            let Some((name, bytes)) = parts else { continue };
            let Ok(bytes) = BASE64_STANDARD.decode(bytes) else { continue };
            let Some((id, signed)) = bytes.split_first_chunk::<4>() else { continue };
            if name != self.name || *id != self.id {
                continue;
            }
            let (time, signature) = signed.split_first_chunk::<8>().ok_or(NoteError::WrongSignature)?;
            let time = u64::from_be_bytes(*time);
            let message = format!("cosignature/v1\ntime {time}\n{body}");
            let holds = Signature::from_slice(signature)
                .is_ok_and(|signature| self.key.verify_strict(message.as_bytes(), &signature).is_ok());
            if !holds {
                return Err(NoteError::WrongSignature);
            }
            return Ok(Cosignature { line: format!("{}\n", line.trim_end_matches('\n')), time });
        }
        Err(NoteError::Unsigned)
    }
}

impl fmt::Debug for WitnessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WitnessKey").field(&self.vkey()).finish()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use ed25519_dalek::{Signer as _, SigningKey};

    use super::*;

    const BODY: &str = "consent.example/ledger\n7\nq6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s=\n";

    /// A witness, as the specification describes it.
    fn witness(seed: u8) -> (SigningKey, String, [u8; 4]) {
        let key = SigningKey::from_bytes(&[seed; 32]);
        let public = key.verifying_key();
        let digest = Sha256::digest([&b"witness.example/w1\n\x04"[..], public.as_bytes()].concat());
        let id = *digest.first_chunk::<4>().unwrap();
        let vkey = BASE64_STANDARD.encode([&[4][..], public.as_bytes()].concat());
        (key, format!("witness.example/w1+{}+{vkey}", hex(&id)), id)
    }

    fn line(seed: u8, time: u64, body: &str) -> String {
        let (key, _, id) = witness(seed);
        let signature = key.sign(format!("cosignature/v1\ntime {time}\n{body}").as_bytes()).to_bytes();
        let bytes = [&id[..], &time.to_be_bytes(), &signature].concat();
        format!("\u{2014} witness.example/w1 {}\n", BASE64_STANDARD.encode(bytes))
    }

    #[test]
    fn a_cosignature_is_of_one_witness_one_checkpoint_and_one_time() {
        let key = WitnessKey::from_vkey(&witness(3).1).unwrap();
        assert_eq!(WitnessKey::from_vkey(&key.vkey()), Ok(key.clone()));
        let good = line(3, 1_700_000_000, BODY);
        let found = key.find(BODY, &format!("{}{good}", line(4, 1, BODY))).unwrap();
        assert_eq!(found, Cosignature { line: good.clone(), time: 1_700_000_000 });
        assert_eq!(key.find(&BODY.replace('7', "8"), &good), Err(NoteError::WrongSignature));
        for none in ["", "\n", &line(4, 1, BODY), "\u{2014} x y\n"] {
            assert_eq!(key.find(BODY, none), Err(NoteError::Unsigned));
        }
        let plain = crate::ledger::note::NoteSigner::new("witness.example/w1", [3; 32]).unwrap();
        assert_eq!(WitnessKey::from_vkey(&plain.verifier().vkey()), Err(NoteError::VerifierKey));
        assert_eq!(WitnessKey::from_vkey(&witness(3).1.replace("w1+", "w2+")), Err(NoteError::VerifierKey));
    }
}
