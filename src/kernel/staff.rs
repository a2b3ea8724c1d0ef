//! The controller's own people: their names, roles and passwords, and how long whoever fails to sign in has to wait.

mod breached;

use std::fmt;

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use unicode_normalization::UnicodeNormalization as _;
use zeroize::Zeroizing;

use crate::slug::slug;

pub use crate::id::{SessionId, StaffId};

slug! {
    /// The name under which somebody signs in. It is in no ledger: a [`StaffId`] is.
    StaffName
}

/// What somebody is here for. Nobody is here for everything (GDPR Art. 32(4)). The codes are stored: they are never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize)]
#[cbor(index_only)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Answers data subjects and may look at their files.
    #[n(1)]
    Officer,
    /// Checks the records of what was done, without the files.
    #[n(2)]
    Auditor,
    /// Keeps it running: figures, no person.
    #[n(3)]
    Engineer,
    /// Sees figures.
    #[n(4)]
    Marketer,
    /// Decides who is staff, and sees no person.
    #[n(5)]
    Administrator,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 5] = [Self::Officer, Self::Auditor, Self::Engineer, Self::Marketer, Self::Administrator];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Officer => "officer",
            Self::Auditor => "auditor",
            Self::Engineer => "engineer",
            Self::Marketer => "marketer",
            Self::Administrator => "administrator",
        }
    }

    /// The role of a name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == name)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a password is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PasswordFault {
    /// Too short to withstand guessing.
    #[error("a password has at least 12 characters")]
    Short,
    /// Too long to be hashed.
    #[error("a password has at most 256 bytes")]
    Long,
    /// Easily guessed.
    #[error(
        "the password is easily guessed: it repeats itself, or is made of the name or of words that everybody tries"
    )]
    Guessable,
    /// On a list of passwords that were found in breaches.
    #[error("the password was found in a breach, and whoever guesses tries those first")]
    Breached,
}

/// The least characters of a password.
const LEAST_CHARACTERS: usize = 12;
/// The most bytes of a password.
const MOST_BYTES: usize = 256;
/// What passwords that everybody tries are made of. Removed from a password, enough must be left.
const TRIED: [&str; 24] = [
    "password",
    "passwort",
    "kennwort",
    "consentry",
    "consent",
    "administrator",
    "admin",
    "officer",
    "welcome",
    "willkommen",
    "qwertyuiop",
    "qwertzuiop",
    "qwerty",
    "qwertz",
    "asdfghjkl",
    "1234567890",
    "123456789",
    "12345678",
    "123456",
    "iloveyou",
    "letmein",
    "changeme",
    "abcdef",
    "sommer",
];

/// A password as it is hashed: however it was typed, in one form (NFC).
#[must_use]
pub fn password_form(typed: &str) -> Zeroizing<String> {
    // Reserved whole, so that growing leaves no copy behind.
    let mut form = Zeroizing::new(String::with_capacity(typed.len().saturating_mul(3)));
    form.extend(typed.nfc());
    form
}

/// A new password in its hashed form, if it withstands guessing. No rule asks for kinds of characters, and none asks to
/// change it from time to time.
///
/// # Errors
/// When it is too short, too long, easily guessed, or was found in a breach.
pub fn new_password(typed: &str, name: &StaffName) -> Result<Zeroizing<String>, PasswordFault> {
    if typed.len() > MOST_BYTES {
        return Err(PasswordFault::Long);
    }
    let form = password_form(typed);
    if form.chars().count() < LEAST_CHARACTERS {
        return Err(PasswordFault::Short);
    }
    let mut rest = Zeroizing::new(form.to_lowercase());
    for word in TRIED.iter().copied().chain([name.as_str()]).filter(|word| word.len() > 2) {
        rest = Zeroizing::new(rest.replace(word, ""));
    }
    let distinct: std::collections::BTreeSet<char> = form.chars().collect();
    if rest.chars().count() < LEAST_CHARACTERS / 2 || distinct.len() < 5 {
        return Err(PasswordFault::Guessable);
    }
    if breached::is_known(&form) {
        return Err(PasswordFault::Breached);
    }
    Ok(form)
}

/// How many failures are free.
const FREE_FAILURES: u32 = 5;
/// The longest wait.
const LONGEST_WAIT_MS: i64 = 900_000;

/// How long after its last failure a machine may try an account again. It never ends in a lock: an outsider can slow down
/// only whoever shares their machine's bucket.
#[must_use]
pub const fn wait_after_ms(failures: u32) -> i64 {
    if failures < FREE_FAILURES {
        return 0;
    }
    let doublings = failures - FREE_FAILURES;
    if doublings >= 10 { LONGEST_WAIT_MS } else { 1000 << doublings }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_password_withstands_guessing_and_no_kind_of_character_is_asked_for() {
        let name: StaffName = "anna-meier".parse().unwrap();
        let longest = "a few words nobody joins, ".repeat(10)[..256].to_owned();
        let sixty_four = "sixty-four characters of quite ordinary text that nobody else has";
        for good in [
            "correct horse battery",
            "aaa bbb ccc ddd eee",
            "пароль мой длинный",
            "zqvkwxjgmbtf",
            &sixty_four[..64],
            &longest,
        ] {
            assert!(new_password(good, &name).is_ok(), "{good}");
        }
        for (bad, fault) in [
            ("", PasswordFault::Short),
            ("elevenchars", PasswordFault::Short),
            ("aaaaaaaaaaaaaaaa", PasswordFault::Guessable),
            ("ababababababab", PasswordFault::Guessable),
            ("Password123456!", PasswordFault::Guessable),
            ("anna-meier2026", PasswordFault::Guessable),
            ("consentryadmin1", PasswordFault::Guessable),
            ("q1w2e3r4t5y6", PasswordFault::Breached),
            ("Q1W2e3r4t5Y6", PasswordFault::Breached),
            ("gfhjkmgfhjkm", PasswordFault::Breached),
        ] {
            assert_eq!(new_password(bad, &name).unwrap_err(), fault, "{bad}");
        }
        assert_eq!(new_password(&"xyzab".repeat(52), &name).unwrap_err(), PasswordFault::Long);
        assert_eq!(*new_password("a\u{308}bcdefg hijkl", &name).unwrap(), "äbcdefg hijkl");
    }

    #[test]
    fn waits_grow_and_end() {
        assert_eq!([0, 4, 5, 6, 7, 14].map(wait_after_ms), [0, 0, 1_000, 2_000, 4_000, 512_000]);
        assert_eq!([15, 100, u32::MAX].map(wait_after_ms), [900_000; 3]);
    }

    #[test]
    fn a_role_survives_its_name() {
        for role in Role::ALL {
            assert_eq!(Role::parse(role.as_str()), Some(role));
        }
    }
}
