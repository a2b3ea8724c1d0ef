//! Signed notes (c2sp.org/signed-note): text that carries its Ed25519 signatures.
//!
//! A note opens only if at least one known key signed it and no known key's signature is wrong.

use std::fmt;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::id::{hex, unhex};

/// The signature type of plain Ed25519.
const ED25519: u8 = 1;

/// More signatures than this are refused unread: each costs its reader a verification.
const MAX_SIGNATURES: usize = 16;

/// Why a key is none, a text cannot be signed, or a note does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NoteError {
    /// A key name is empty or holds white space, `+` or control characters.
    #[error("a key name is not empty and has no white space, `+` or control characters")]
    KeyName,
    /// Not a verifier key for Ed25519, or its parts disagree.
    #[error("not an Ed25519 verifier key of the form `name+id+key`")]
    VerifierKey,
    /// The text is not lines without control characters.
    #[error("the text of a note is lines without control characters")]
    Text,
    /// Not a text, a blank line and signature lines.
    #[error("not a signed note")]
    Malformed,
    /// More than 16 signatures.
    #[error("a note carries at most {MAX_SIGNATURES} signatures")]
    TooManySignatures,
    /// A known key did not make the signature that names it.
    #[error("a signature by a known key is wrong")]
    WrongSignature,
    /// None of the signatures is by a known key.
    #[error("no known key signed this note")]
    Unsigned,
}

/// Signs notes under a name.
pub struct NoteSigner {
    key: SigningKey,
    verifier: NoteVerifier,
    /// Who signs beside it: whoever knows the key before this one goes on without noticing.
    beside: Vec<NoteSigner>,
}

impl NoteSigner {
    /// A signer from its name and Ed25519 seed.
    ///
    /// # Errors
    /// When the name is not a key name.
    pub fn new(name: &str, seed: [u8; 32]) -> Result<Self, NoteError> {
        let key = SigningKey::from_bytes(&Zeroizing::new(seed));
        let verifier = NoteVerifier::new(name, key.verifying_key())?;
        Ok(Self { key, verifier, beside: Vec::new() })
    }

    /// Lets other keys sign the same notes, too: up to 15.
    #[must_use]
    pub fn beside(mut self, others: Vec<Self>) -> Self {
        self.beside = others;
        self.beside.truncate(MAX_SIGNATURES - 1);
        self
    }

    /// What checks this signer's notes.
    #[must_use]
    pub const fn verifier(&self) -> &NoteVerifier {
        &self.verifier
    }

    /// The note: `text`, a blank line and our signature line.
    ///
    /// # Errors
    /// When the text is empty, does not end its last line, or holds control characters.
    pub fn sign(&self, text: &str) -> Result<String, NoteError> {
        if !text.ends_with('\n') || has_control_characters(text) {
            return Err(NoteError::Text);
        }
        let lines: String = std::iter::once(self).chain(&self.beside).map(|signer| signer.line(text)).collect();
        Ok(format!("{text}\n{lines}"))
    }

    fn line(&self, text: &str) -> String {
        let signature = self.key.sign(text.as_bytes()).to_bytes();
        let signature = BASE64_STANDARD.encode([&self.verifier.id[..], &signature].concat());
        format!("\u{2014} {} {signature}\n", self.verifier.name)
    }
}

impl fmt::Debug for NoteSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NoteSigner").field("verifier", &self.verifier).finish_non_exhaustive()
    }
}

/// A named public key whose signatures count.
#[derive(Clone, PartialEq, Eq)]
pub struct NoteVerifier {
    name: String,
    id: [u8; 4],
    key: VerifyingKey,
}

impl NoteVerifier {
    fn new(name: &str, key: VerifyingKey) -> Result<Self, NoteError> {
        if !is_key_name(name) {
            return Err(NoteError::KeyName);
        }
        // A key of small order has signatures that fit any text.
        if key.is_weak() {
            return Err(NoteError::VerifierKey);
        }
        let digest = Sha256::new()
            .chain_update(name)
            .chain_update([b'\n', ED25519])
            .chain_update(key.as_bytes())
            .finalize();
        let mut id = [0; 4];
        id.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        Ok(Self { name: name.to_owned(), id, key })
    }

    /// From a name and the bytes of a public key.
    ///
    /// # Errors
    /// When the name is not a key name, or the bytes are no key.
    pub fn from_public(name: &str, public: &[u8; 32]) -> Result<Self, NoteError> {
        Self::new(name, VerifyingKey::from_bytes(public).map_err(|_| NoteError::VerifierKey)?)
    }

    /// Reads the published form, `name+id+key`.
    ///
    /// # Errors
    /// When it is not one, is of another algorithm, or the id is not that of the name and key.
    pub fn from_vkey(vkey: &str) -> Result<Self, NoteError> {
        let mut parts = vkey.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(NoteError::VerifierKey);
        };
        let id: [u8; 4] = unhex(id).map_err(|_| NoteError::VerifierKey)?;
        let key = BASE64_STANDARD.decode(key).map_err(|_| NoteError::VerifierKey)?;
        let Some((&ED25519, key)) = key.split_first() else { return Err(NoteError::VerifierKey) };
        let key = VerifyingKey::try_from(key).map_err(|_| NoteError::VerifierKey)?;
        let verifier = Self::new(name, key)?;
        if verifier.id == id { Ok(verifier) } else { Err(NoteError::VerifierKey) }
    }

    /// The published form, `name+id+key`.
    #[must_use]
    pub fn vkey(&self) -> String {
        let key = BASE64_STANDARD.encode([&[ED25519][..], self.key.as_bytes()].concat());
        format!("{}+{}+{key}", self.name, hex(&self.id))
    }

    /// The key's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key's id, which signature lines carry.
    #[must_use]
    pub const fn key_id(&self) -> [u8; 4] {
        self.id
    }

    fn verifies(&self, text: &str, signature: &[u8]) -> bool {
        // Strict: one text and key have signatures that all verifiers agree on.
        Signature::from_slice(signature)
            .is_ok_and(|signature| self.key.verify_strict(text.as_bytes(), &signature).is_ok())
    }
}

impl fmt::Debug for NoteVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("NoteVerifier").field(&self.vkey()).finish()
    }
}

/// A note that known keys signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenedNote<'a> {
    text: &'a str,
    signed_by: Vec<&'a NoteVerifier>,
}

impl<'a> OpenedNote<'a> {
    /// Opens a note: at least one key of `known` signed it, and none that signed it did so wrongly. Signatures by
    /// other keys are ignored.
    ///
    /// # Errors
    /// When it is not a note, or not one that the known keys vouch for.
    pub fn open(note: &'a str, known: &'a [NoteVerifier]) -> Result<Self, NoteError> {
        if has_control_characters(note) {
            return Err(NoteError::Text);
        }
        let (body, signatures) = note.rsplit_once("\n\n").ok_or(NoteError::Malformed)?;
        // The text ends with the first of the two line feeds.
        let text = note.get(..=body.len()).ok_or(NoteError::Malformed)?;
        let lines = signatures.strip_suffix('\n').ok_or(NoteError::Malformed)?;
        if lines.split('\n').count() > MAX_SIGNATURES {
            return Err(NoteError::TooManySignatures);
        }
        let mut signed_by: Vec<&NoteVerifier> = Vec::new();
        for line in lines.split('\n') {
            let (name, id, signature) = parse_signature(line)?;
            let mut named = known.iter().filter(|key| key.name == name && key.id == id).peekable();
            if named.peek().is_none() {
                continue;
            }
            let signer = named.find(|key| key.verifies(text, &signature));
            let signer = signer.ok_or(NoteError::WrongSignature)?;
            if !signed_by.contains(&signer) {
                signed_by.push(signer);
            }
        }
        if signed_by.is_empty() { Err(NoteError::Unsigned) } else { Ok(Self { text, signed_by }) }
    }

    /// What was signed.
    #[must_use]
    pub const fn text(&self) -> &'a str {
        self.text
    }

    /// The known keys that signed it, each once.
    #[must_use]
    pub fn signed_by(&self) -> &[&'a NoteVerifier] {
        &self.signed_by
    }
}

/// Whether `text` can name a key (and so begin a checkpoint).
pub(crate) fn is_key_name(text: &str) -> bool {
    let forbidden = |c: char| c.is_whitespace() || c.is_control() || c == '+';
    !text.is_empty() && !text.contains(forbidden)
}

fn has_control_characters(text: &str) -> bool {
    text.bytes().any(|byte| byte.is_ascii_control() && byte != b'\n')
}

fn parse_signature(line: &str) -> Result<(&str, [u8; 4], Vec<u8>), NoteError> {
    let parts = line.strip_prefix("\u{2014} ").and_then(|rest| rest.split_once(' '));
    let (name, bytes) = parts.ok_or(NoteError::Malformed)?;
    let mut bytes = BASE64_STANDARD.decode(bytes).map_err(|_| NoteError::Malformed)?;
    let id = bytes.first_chunk().copied().ok_or(NoteError::Malformed)?;
    let signature = bytes.split_off(4);
    if signature.is_empty() || !is_key_name(name) {
        return Err(NoteError::Malformed);
    }
    Ok((name, id, signature))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use proptest::prelude::*;

    use super::*;

    const VKEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
    const LINE: &str = "\u{2014} example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";
    const TEXT: &str = "This is an example message.\n";

    fn known() -> [NoteVerifier; 1] {
        [NoteVerifier::from_vkey(VKEY).unwrap()]
    }

    fn refusal(note: &str) -> NoteError {
        OpenedNote::open(note, &known()).unwrap_err()
    }

    #[test]
    fn the_example_of_the_standard_opens() {
        let known = known();
        assert_eq!(known[0].vkey(), VKEY);
        let note = format!("{TEXT}\n{LINE}");
        let opened = OpenedNote::open(&note, &known).unwrap();
        assert_eq!((opened.text(), opened.signed_by()), (TEXT, &[&known[0]][..]));
    }

    #[test]
    fn unknown_keys_are_ignored_and_not_enough() {
        let stranger = NoteSigner::new("witness.example", [1; 32]).unwrap();
        let theirs = stranger.sign(TEXT).unwrap();
        assert_eq!(refusal(&theirs), NoteError::Unsigned);
        // The same name with another key is another key.
        let namesake = NoteSigner::new("example.com/foo", [1; 32]).unwrap().sign(TEXT).unwrap();
        assert_eq!(refusal(&namesake), NoteError::Unsigned);
        assert!(OpenedNote::open(&format!("{theirs}{LINE}"), &known()).is_ok());
        // A signature of a kind that we do not know has another length.
        let unknown = "\u{2014} other.example AAAAAAA=\n";
        assert!(OpenedNote::open(&format!("{TEXT}\n{unknown}{LINE}"), &known()).is_ok());
    }

    #[test]
    fn a_wrong_signature_by_a_known_key_spoils_the_note() {
        assert_eq!(refusal(&format!("Another text.\n\n{LINE}")), NoteError::WrongSignature);
        let short = "\u{2014} example.com/foo Uw2QOkn8\n";
        assert_eq!(refusal(&format!("{TEXT}\n{LINE}{short}")), NoteError::WrongSignature);
    }

    #[test]
    fn up_to_sixteen_signatures_are_read() {
        let sixteen = format!("{TEXT}\n{}", LINE.repeat(16));
        assert_eq!(OpenedNote::open(&sixteen, &known()).unwrap().signed_by().len(), 1);
        assert_eq!(refusal(&format!("{sixteen}{LINE}")), NoteError::TooManySignatures);
    }

    #[test]
    fn only_lines_without_control_characters_are_signed_or_read() {
        let signer = NoteSigner::new("a", [1; 32]).unwrap();
        for text in ["", "no end", "tab\t\n", "carriage return\r\n", "nul\0\n", "delete\u{7f}\n"] {
            assert_eq!(signer.sign(text), Err(NoteError::Text), "{text:?}");
        }
        assert_eq!(refusal(&format!("{TEXT}\r\n{LINE}")), NoteError::Text);
        for note in [
            "".to_owned(),
            TEXT.to_owned(),
            format!("{TEXT}{LINE}"),
            format!("{TEXT}\n"),
            format!("{TEXT}\n\n"),
            format!("{TEXT}\n{}", LINE.trim_end()),
            format!("{TEXT}\n{LINE}\n"),
            format!("{TEXT}\n{}", LINE.replace('\u{2014}', "-")),
            format!("{TEXT}\n{}", LINE.replace("/foo", "/f+o")),
            format!("{TEXT}\n{}", LINE.replace('=', "")),
            format!("{TEXT}\n\u{2014} example.com/foo Uw2QOg==\n"),
        ] {
            assert_eq!(refusal(&note), NoteError::Malformed, "{note:?}");
        }
    }

    #[test]
    fn a_verifier_key_agrees_with_itself() {
        let weak = NoteVerifier::new("a", VerifyingKey::from_bytes(&[0; 32]).unwrap());
        assert_eq!(weak, Err(NoteError::VerifierKey));
        for bad in [
            "",
            "example.com/foo",
            &VKEY.replace("530d903a", "530d903b"),
            &VKEY.replace("530d903a", "530D903A"),
            &VKEY.replace("example", "exampel"),
            &VKEY.replace("+Ae", "+Be"),
            &VKEY[..VKEY.len() - 4],
        ] {
            assert_eq!(NoteVerifier::from_vkey(bad), Err(NoteError::VerifierKey), "{bad}");
        }
        for name in ["", "a b", "a+b", "a\nb", "a\u{a0}b"] {
            assert_eq!(NoteSigner::new(name, [1; 32]).unwrap_err(), NoteError::KeyName);
        }
    }

    #[test]
    fn a_signer_does_not_show_its_key() {
        let signer = NoteSigner::new("a", [0x5a; 32]).unwrap();
        assert_eq!(format!("{signer:?}"), format!("NoteSigner {{ verifier: {:?}, .. }}", signer.verifier()));
    }

    proptest! {
        #[test]
        fn what_is_signed_opens_and_no_other_text_does(
            seed: [u8; 32], text in "([ -~äß]{0,20}\n){1,4}", other in "([ -~]{0,20}\n){1,4}"
        ) {
            let signer = NoteSigner::new("log.example/1", seed).unwrap();
            let known = [NoteVerifier::from_vkey(&signer.verifier().vkey()).unwrap()];
            let note = signer.sign(&text).unwrap();
            prop_assert_eq!(OpenedNote::open(&note, &known).unwrap().text(), &text);
            prop_assume!(text != other);
            let forged = note.replacen(&text, &other, 1);
            prop_assert!(OpenedNote::open(&forged, &known).is_err());
        }
    }
}
