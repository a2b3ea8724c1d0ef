//! The links of a mail: one that unsubscribes (RFC 8058) and one that leads to the person's preferences.
//!
//! A link names its person and what it stops under encryption, so nobody but the gateway can read or make one, and
//! there is no table of them that could leak or run full. The day of issue stands before the sealed part: it picks
//! the day's key, and it is no personal datum.

use aes_gcm::aead::{Aead as _, KeyInit as _, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use super::CapabilityError;
use crate::purpose::Purpose;
use crate::seal::{Keyring, derive, keyed_digest};
use crate::subject::SubjectId;
use crate::time::Timestamp;

/// How many days a preference link is good for. CASL s.11 asks for 60 after the message, CAN-SPAM for 30; a person
/// who looks for last year's mail still gets in. The link that unsubscribes has no end at all: it only takes back.
pub const PREFERENCE_DAYS: i64 = 400;

/// What an unsubscribe link stops.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// One list: the consent to the purpose behind it is withdrawn (GDPR Art. 7(3)).
    List(Purpose),
    /// All direct marketing: an objection (GDPR Art. 21(2)).
    Marketing,
}

/// The two kinds of link.
#[derive(Clone, Copy)]
enum Kind {
    Unsubscribe,
    Preferences,
}

impl Kind {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Unsubscribe => "u1_",
            Self::Preferences => "r1_",
        }
    }

    const fn context(self) -> &'static [u8] {
        match self {
            Self::Unsubscribe => b"unsubscribe link v1",
            Self::Preferences => b"preference link v1",
        }
    }
}

impl Keyring {
    /// The token of the link with which a person unsubscribes from a mail sent now.
    ///
    /// # Errors
    /// When the clock stands outside the years 1970 to 2149.
    pub fn unsubscribe_token(
        &self,
        subject: SubjectId,
        stop: &Stop,
        at: Timestamp,
    ) -> Result<String, CapabilityError> {
        let list = match stop {
            Stop::List(purpose) => purpose.as_str(),
            Stop::Marketing => "",
        };
        self.seal_link(Kind::Unsubscribe, &[subject.as_bytes(), list.as_bytes()].concat(), at)
    }

    /// Whom an unsubscribe token concerns and what it stops, however old it is.
    ///
    /// # Errors
    /// When the token was not made by these keys.
    pub fn open_unsubscribe_token(&self, token: &str) -> Result<(SubjectId, Stop), CapabilityError> {
        let (_, plain) = self.open_link(Kind::Unsubscribe, token)?;
        let (subject, list) = plain.split_first_chunk::<16>().ok_or(CapabilityError)?;
        let stop = match std::str::from_utf8(list) {
            Ok("") => Stop::Marketing,
            Ok(purpose) => Stop::List(purpose.parse().map_err(|_| CapabilityError)?),
            Err(_) => return Err(CapabilityError),
        };
        Ok((SubjectId::from_bytes(*subject), stop))
    }

    /// The token of the link to a person's preferences in a mail sent now.
    ///
    /// # Errors
    /// When the clock stands outside the years 1970 to 2149.
    pub fn preference_token(&self, subject: SubjectId, at: Timestamp) -> Result<String, CapabilityError> {
        self.seal_link(Kind::Preferences, subject.as_bytes(), at)
    }

    /// Whose preferences a token leads to, if it was issued at most [`PREFERENCE_DAYS`] ago.
    ///
    /// # Errors
    /// When the token was not made by these keys, or is too old: the same for both.
    pub fn open_preference_token(&self, token: &str, now: Timestamp) -> Result<SubjectId, CapabilityError> {
        let (day, plain) = self.open_link(Kind::Preferences, token)?;
        let subject = SubjectId::from_slice(&plain).ok_or(CapabilityError)?;
        if now.day_number() - i64::from(day) <= PREFERENCE_DAYS { Ok(subject) } else { Err(CapabilityError) }
    }

    /// Seals a link. The nonce is a keyed digest of what is sealed, under a key of the day: the same link again is the
    /// same text, and two links never share a nonce.
    fn seal_link(&self, kind: Kind, plain: &[u8], at: Timestamp) -> Result<String, CapabilityError> {
        let day = u16::try_from(at.day_number()).map_err(|_| CapabilityError)?.to_be_bytes();
        let key = self.capability_key();
        let digest = keyed_digest(&key, &[b"link nonce v1", kind.context(), &day, plain]);
        let nonce = digest.first_chunk::<12>().ok_or(CapabilityError)?;
        let sealed = link_cipher(&key, kind, day)
            .encrypt(&Nonce::from(*nonce), Payload { msg: plain, aad: kind.context() })
            .map_err(|_| CapabilityError)?;
        Ok(format!("{}{}", kind.prefix(), URL_SAFE_NO_PAD.encode([&day[..], nonce, &sealed].concat())))
    }

    fn open_link(&self, kind: Kind, token: &str) -> Result<(u16, Vec<u8>), CapabilityError> {
        let body = token.strip_prefix(kind.prefix()).filter(|body| body.len() <= 256).ok_or(CapabilityError)?;
        let bytes = URL_SAFE_NO_PAD.decode(body).map_err(|_| CapabilityError)?;
        let (day, rest) = bytes.split_first_chunk::<2>().ok_or(CapabilityError)?;
        let (nonce, sealed) = rest.split_first_chunk::<12>().ok_or(CapabilityError)?;
        let open = |key: &Zeroizing<[u8; 32]>| {
            let payload = Payload { msg: sealed, aad: kind.context() };
            link_cipher(key, kind, *day).decrypt(&Nonce::from(*nonce), payload).ok()
        };
        let plain = self.capability_keys().iter().find_map(open).ok_or(CapabilityError)?;
        Ok((u16::from_be_bytes(*day), plain))
    }
}

fn link_cipher(key: &[u8; 32], kind: Kind, day: [u8; 2]) -> Aes256Gcm {
    let key = derive(key, &[kind.context(), &day]);
    let key: &[u8; 32] = &key;
    Aes256Gcm::new(key.into())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::seal::tests::keyring;

    const SUBJECT: SubjectId = SubjectId::from_bytes([9; 16]);

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn list() -> Stop {
        Stop::List("email_marketing".parse().unwrap())
    }

    #[test]
    fn eml_04_a_link_names_its_person_and_list_to_nobody_else() {
        let keys = keyring(1);
        let sent = at("2026-11-22T12:00:00Z");
        for stop in [list(), Stop::Marketing] {
            let token = keys.unsubscribe_token(SUBJECT, &stop, sent).unwrap();
            assert_eq!(keys.open_unsubscribe_token(&token).unwrap(), (SUBJECT, stop.clone()));
            assert_eq!(keyring(2).open_unsubscribe_token(&token), Err(CapabilityError));
            let raw = URL_SAFE_NO_PAD.decode(token.strip_prefix("u1_").unwrap()).unwrap();
            assert!(!raw.windows(4).any(|window| window == [9; 4] || window == b"mark"));
            assert!(token.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'));
        }
    }

    #[test]
    fn eml_04_an_altered_link_is_nobodys() {
        let keys = keyring(1);
        let sent = at("2026-11-22T12:00:00Z");
        let token = keys.unsubscribe_token(SUBJECT, &list(), sent).unwrap();
        for at in 0..token.len() {
            for bit in [1, 2, 4] {
                let mut forged = token.clone().into_bytes();
                forged[at] ^= bit;
                if let Ok(forged) = String::from_utf8(forged) {
                    assert_eq!(keys.open_unsubscribe_token(&forged), Err(CapabilityError), "{at}");
                }
            }
        }
        // One kind of link is not the other.
        let preferences = keys.preference_token(SUBJECT, sent).unwrap();
        let swapped = preferences.replace("r1_", "u1_");
        assert_eq!(keys.open_unsubscribe_token(&swapped), Err(CapabilityError));
        assert_eq!(keys.open_preference_token(&token.replace("u1_", "r1_"), sent), Err(CapabilityError));
        for bad in ["", "u1_", "u1_AAAA", "u1_ü", &format!("u1_{}", "A".repeat(10_000))] {
            assert_eq!(keys.open_unsubscribe_token(bad), Err(CapabilityError));
        }
    }

    #[test]
    fn sta_43_the_links_outlive_sixty_days() {
        let keys = keyring(1);
        let sent = at("2026-01-01T23:59:59Z");
        let token = keys.preference_token(SUBJECT, sent).unwrap();
        assert_eq!(keys.open_preference_token(&token, at("2026-03-02T00:00:00Z")).unwrap(), SUBJECT);
        assert_eq!(keys.open_preference_token(&token, at("2027-02-05T00:00:00Z")).unwrap(), SUBJECT);
        assert_eq!(keys.open_preference_token(&token, at("2027-02-06T00:00:00Z")), Err(CapabilityError));
        // The same link for the mails of one day, another one the next.
        let again = keys.preference_token(SUBJECT, at("2026-01-01T00:00:00Z")).unwrap();
        assert_eq!(again, token);
        assert_ne!(keys.preference_token(SUBJECT, at("2026-01-02T00:00:00Z")).unwrap(), token);
    }
}
