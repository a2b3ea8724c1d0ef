//! A subject's data key and what it seals.

use aes_gcm::aead::{Aead as _, Generate as _, KeyInit as _, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use thiserror::Error;
use zeroize::Zeroizing;

use super::record::{RecordEntry, SealedAttribute};
use crate::attribute::{AttributeName, Value};
use crate::consent::{ConsentEvent, Evidence, Standing};
use crate::letter::{Letter, LetterId};
use crate::source::SourceId;
use crate::subject::SubjectId;
use crate::time::Timestamp;

/// Something could not be sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("could not be sealed")]
pub struct SealError;

/// Something sealed did not open: altered, moved, of another format, or under another key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("does not open")]
pub struct OpenError;

const NONCE: usize = 12;
/// Version of what is sealed under a subject's key; part of every associated data.
const FORMAT: u8 = 1;

/// A wrapped data key: wrapping key id (4 bytes, big-endian) ‖ nonce (12) ‖ ciphertext and tag (48).
#[derive(Clone, PartialEq, Eq)]
pub struct WrappedKey([u8; 64]);

impl std::fmt::Debug for WrappedKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WrappedKey(..)")
    }
}

impl WrappedKey {
    pub(super) fn join(id: u32, nonce: &[u8], sealed: &[u8]) -> Option<Self> {
        let bytes = [&id.to_be_bytes(), nonce, sealed].concat();
        bytes.try_into().ok().map(Self)
    }

    pub(super) fn split(bytes: &[u8]) -> Option<(u32, &[u8; NONCE], &[u8])> {
        let (id, rest) = bytes.split_first_chunk::<4>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE>()?;
        Some((u32::from_be_bytes(*id), nonce, sealed))
    }

    /// The bytes to store.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }
}

/// One subject's data key, unwrapped. Wiped when dropped.
pub struct SubjectKey {
    subject: SubjectId,
    cipher: Aes256Gcm,
}

impl std::fmt::Debug for SubjectKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SubjectKey(..)")
    }
}

/// What a ciphertext is; part of its associated data.
#[derive(Clone, Copy)]
enum Kind {
    Standing = 1,
    Event = 2,
    Attribute = 3,
    Letter = 4,
}

/// Associated data: one buffer on the stack, length-prefixed.
struct Context {
    bytes: [u8; 100],
    len: usize,
}

impl Context {
    fn new(kind: Kind, subject: SubjectId, name: &str, number: i64) -> Self {
        let mut context = Self { bytes: [0; 100], len: 0 };
        context.put(&[FORMAT, kind as u8]);
        context.put(subject.as_bytes());
        // INVARIANT: an attribute name has at most 64 bytes, so its length fits one byte and all fits the buffer.
        context.put(&[u8::try_from(name.len()).unwrap_or(u8::MAX)]);
        context.put(name.as_bytes());
        context.put(&number.to_be_bytes());
        context
    }

    fn put(&mut self, part: &[u8]) {
        for (to, from) in self.bytes.iter_mut().skip(self.len).zip(part) {
            *to = *from;
        }
        self.len += part.len();
    }

    fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&self.bytes)
    }
}

impl SubjectKey {
    pub(super) fn new(subject: SubjectId, key: &[u8; 32]) -> Self {
        Self { subject, cipher: Aes256Gcm::new(key.into()) }
    }

    /// Whose key it is.
    #[must_use]
    pub const fn subject(&self) -> SubjectId {
        self.subject
    }

    fn seal(&self, context: &Context, plain: &[u8]) -> Result<Vec<u8>, SealError> {
        let nonce = Nonce::generate();
        let payload = Payload { msg: plain, aad: context.as_slice() };
        let sealed = self.cipher.encrypt(&nonce, payload).map_err(|_| SealError)?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    fn open(&self, context: &Context, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE>().ok_or(OpenError)?;
        let payload = Payload { msg: sealed, aad: context.as_slice() };
        self.cipher.decrypt(nonce.into(), payload).map(Zeroizing::new).map_err(|_| OpenError)
    }

    /// Seals a standing.
    ///
    /// # Errors
    /// When it is another subject's, or the cipher fails.
    pub fn seal_standing(&self, standing: &Standing) -> Result<Vec<u8>, SealError> {
        if standing.subject() != self.subject {
            return Err(SealError);
        }
        self.seal(&Context::new(Kind::Standing, self.subject, "", 0), &standing.to_bytes())
    }

    /// Opens a standing: one that was edited or moved does not open.
    ///
    /// # Errors
    /// When it does not verify.
    pub fn open_standing(&self, sealed: &[u8]) -> Result<Standing, OpenError> {
        let plain = self.open(&Context::new(Kind::Standing, self.subject, "", 0), sealed)?;
        Standing::from_bytes(self.subject, &plain).ok_or(OpenError)
    }

    /// Seals the events of one act, which follow each other in the history, with the evidence of the act.
    ///
    /// # Errors
    /// When there is none, or the cipher fails.
    pub fn seal_act(&self, events: &[ConsentEvent], evidence: Option<&Evidence>) -> Result<Vec<u8>, SealError> {
        let first = events.first().ok_or(SealError)?.sequence;
        let plain = minicbor::to_vec((events, evidence)).map(Zeroizing::new).map_err(|_| SealError)?;
        self.seal(&Context::new(Kind::Event, self.subject, "", i64::from(first)), &plain)
    }

    /// Opens the act whose first event has this sequence number.
    ///
    /// # Errors
    /// When it does not verify at this place of this subject's history.
    pub fn open_act(&self, first: u32, sealed: &[u8]) -> Result<(Vec<ConsentEvent>, Option<Evidence>), OpenError> {
        let plain = self.open(&Context::new(Kind::Event, self.subject, "", i64::from(first)), sealed)?;
        let (events, evidence) = read_act(&plain)?;
        let in_order = (first..).zip(&events).all(|(sequence, event)| event.sequence == sequence);
        if in_order && !events.is_empty() { Ok((events, evidence)) } else { Err(OpenError) }
    }

    /// Seals a letter until it is delivered.
    ///
    /// # Errors
    /// When the cipher fails.
    pub fn seal_letter(&self, id: LetterId, letter: &Letter) -> Result<Vec<u8>, SealError> {
        let plain = minicbor::to_vec(letter).map(Zeroizing::new).map_err(|_| SealError)?;
        self.seal(&Context::new(Kind::Letter, self.subject, &id.to_string(), 0), &plain)
    }

    /// Opens a letter, to deliver it to its person.
    ///
    /// # Errors
    /// When it does not verify as this letter of this subject.
    pub fn open_letter(&self, id: LetterId, sealed: &[u8]) -> Result<Letter, OpenError> {
        let plain = self.open(&Context::new(Kind::Letter, self.subject, &id.to_string(), 0), sealed)?;
        minicbor::decode(&plain).map_err(|_| OpenError)
    }

    /// Seals one attribute.
    ///
    /// # Errors
    /// When the cipher fails.
    pub fn seal_attribute(
        &self,
        name: &AttributeName,
        value: &Value,
        observed_at: Timestamp,
        source: &SourceId,
    ) -> Result<SealedAttribute, SealError> {
        let plain = minicbor::to_vec((value, source)).map(Zeroizing::new).map_err(|_| SealError)?;
        let context = Context::new(Kind::Attribute, self.subject, name.as_str(), observed_at.as_millis());
        let sealed = self.seal(&context, &plain)?;
        Ok(SealedAttribute::new(name.clone(), observed_at, sealed))
    }

    /// Opens one attribute. Only the doors of this crate call it, each with a permit in hand.
    pub(crate) fn open_attribute(&self, entry: &RecordEntry<'_>) -> Result<(Value, SourceId), OpenError> {
        let context = Context::new(Kind::Attribute, self.subject, entry.name(), entry.observed_at().as_millis());
        let plain = self.open(&context, entry.sealed())?;
        minicbor::decode(&plain).map_err(|_| OpenError)
    }

    /// Opens one attribute's value alone: what a disclosure needs of it.
    pub(crate) fn open_value(&self, entry: &RecordEntry<'_>) -> Result<Value, OpenError> {
        let context = Context::new(Kind::Attribute, self.subject, entry.name(), entry.observed_at().as_millis());
        let plain = self.open(&context, entry.sealed())?;
        let mut decoder = minicbor::Decoder::new(&plain);
        match decoder.array() {
            Ok(Some(2)) => decoder.decode().map_err(|_| OpenError),
            _ => Err(OpenError),
        }
    }
}

/// Reads the plain form of an act. Histories that began with an earlier version hold events one by one: an event
/// begins with its number, a list of events with another array.
fn read_act(plain: &[u8]) -> Result<(Vec<ConsentEvent>, Option<Evidence>), OpenError> {
    let mut decoder = minicbor::Decoder::new(plain);
    let mut read = || -> Result<_, minicbor::decode::Error> {
        decoder.array()?;
        let mut ahead = decoder.probe();
        ahead.array()?;
        let events = if ahead.datatype()? == minicbor::data::Type::Array {
            decoder.decode()?
        } else {
            vec![decoder.decode()?]
        };
        Ok((events, decoder.decode()?))
    };
    read().map_err(|_| OpenError)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::consent::EventKind;

    fn event(sequence: u32, kind: EventKind) -> ConsentEvent {
        let at = Timestamp::from_millis(1_000);
        let mut event = ConsentEvent::new(kind, Some("marketing".parse().unwrap()), at, at);
        event.sequence = sequence;
        event
    }

    #[test]
    fn an_act_opens_at_its_place_alone_and_whole() {
        let key = SubjectKey::new(SubjectId::from_bytes([1; 16]), &[2; 32]);
        let events = [event(4, EventKind::GrantConfirmed), event(5, EventKind::Refused)];
        let sealed = key.seal_act(&events, None).unwrap();
        assert_eq!(key.open_act(4, &sealed).unwrap(), (events.to_vec(), None));
        assert_eq!(key.open_act(5, &sealed), Err(OpenError));
        let gap =
            key.seal_act(&[event(4, EventKind::GrantConfirmed), event(6, EventKind::Refused)], None).unwrap();
        assert_eq!(key.open_act(4, &gap), Err(OpenError));
        assert!(key.seal_act(&[], None).is_err());
        assert_eq!(SubjectKey::new(SubjectId::from_bytes([3; 16]), &[2; 32]).open_act(4, &sealed), Err(OpenError));
    }

    #[test]
    fn an_event_that_was_sealed_by_itself_opens_as_an_act() {
        let key = SubjectKey::new(SubjectId::from_bytes([1; 16]), &[2; 32]);
        let event = event(7, EventKind::Withdrawn);
        let plain = minicbor::to_vec((&event, None::<&Evidence>)).unwrap();
        let sealed = key.seal(&Context::new(Kind::Event, key.subject, "", 7), &plain).unwrap();
        assert_eq!(key.open_act(7, &sealed).unwrap(), (vec![event], None));
    }
}
