//! The second factor: codes of an authenticator app (RFC 6238), each good once, and recovery codes for when it is lost.

use std::fmt;

use totp_rs::{Builder, Secret, Totp};
use zeroize::Zeroizing;

use crate::entropy::Entropy;
use crate::time::Timestamp;

/// Digits of a code.
const DIGITS: usize = 6;
/// How many recovery codes somebody gets.
pub const RECOVERY_CODES: usize = 10;

/// The secret that an authenticator app shares with the gateway: 160 bits, SHA-1, six digits, 30 seconds, which is what
/// every app can.
pub struct Authenticator(Zeroizing<[u8; 20]>);

impl Authenticator {
    /// A fresh one.
    #[must_use]
    pub fn generate(entropy: &dyn Entropy) -> Self {
        let mut secret = Zeroizing::new([0; 20]);
        entropy.fill(secret.as_mut_slice());
        Self(secret)
    }

    /// The one of these bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(Self(Zeroizing::new(bytes.try_into().ok()?)))
    }

    /// The bytes, to be sealed.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }

    fn totp(&self, account: &str, issuer: &str) -> Option<Totp> {
        // The library would take a colon for a separator.
        let issuer = issuer.replace(':', " ");
        Builder::new()
            .with_secret(Secret::new_stack(*self.0))
            .with_skew(1)
            .with_account_name(account)
            .with_issuer(Some(issuer))
            .build()
            .ok()
    }

    /// The secret as it is typed into an app.
    #[must_use]
    pub fn text(&self) -> Zeroizing<String> {
        Zeroizing::new(Secret::new_stack(*self.0).to_base32())
    }

    /// The secret as an address that an app opens.
    #[must_use]
    pub fn url(&self, account: &str, issuer: &str) -> Option<Zeroizing<String>> {
        self.totp(account, issuer)?.to_url().ok().map(Zeroizing::new)
    }

    /// The step of a code that is right now, or was right a step ago or will be in one, and is later than `after`: whoever
    /// takes it remembers it, and no code counts twice (RFC 6238 §5.2).
    #[must_use]
    pub fn check(&self, code: &str, now: Timestamp, after: u64) -> Option<u64> {
        let digits: String = code.chars().filter(|c| !c.is_whitespace()).collect();
        if digits.len() != DIGITS || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let seconds = u64::try_from(now.as_seconds()).ok()?;
        self.totp("", "")?.check(&digits, seconds).filter(|step| *step > after)
    }

    /// The code of an instant: what an app shows.
    #[must_use]
    pub fn code(&self, now: Timestamp) -> Option<String> {
        let seconds = u64::try_from(now.as_seconds()).ok()?;
        Some(self.totp("", "")?.generate(seconds).to_string())
    }
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authenticator(..)")
    }
}

/// A recovery code: 120 random bits, shown once, good once.
pub struct RecoveryCode(Zeroizing<[u8; 15]>);

impl RecoveryCode {
    /// A fresh one.
    #[must_use]
    pub fn generate(entropy: &dyn Entropy) -> Self {
        let mut bytes = Zeroizing::new([0; 15]);
        entropy.fill(bytes.as_mut_slice());
        Self(bytes)
    }

    /// The code as it was typed, if it is one in form.
    #[must_use]
    pub fn parse(typed: &str) -> Option<Self> {
        let plain = typed.chars().filter(|c| !c.is_whitespace() && *c != '-');
        let plain: Zeroizing<String> = Zeroizing::new(plain.map(|c| c.to_ascii_uppercase()).collect());
        // The decoder would let the rest of a longer text go.
        if plain.len() != 24 {
            return None;
        }
        let secret = Secret::try_from_base32(plain.as_str()).ok()?;
        Some(Self(Zeroizing::new(secret.as_bytes().try_into().ok()?)))
    }

    /// The bytes, to be digested.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 15] {
        &self.0
    }

    /// The code as it is shown: six groups of four (RFC 4648 base 32).
    #[must_use]
    pub fn text(&self) -> Zeroizing<String> {
        let plain = Zeroizing::new(Secret::new(self.0.as_slice().into()).to_base32());
        let mut text = Zeroizing::new(String::with_capacity(32));
        for (at, c) in plain.chars().enumerate() {
            if at > 0 && at % 4 == 0 {
                text.push('-');
            }
            text.push(c);
        }
        text
    }
}

impl fmt::Debug for RecoveryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryCode(..)")
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    fn of_the_rfc() -> Authenticator {
        Authenticator::from_bytes(b"12345678901234567890").unwrap()
    }

    #[test]
    fn codes_are_those_of_rfc_6238() {
        // Appendix B, SHA-1, the last six of its eight digits.
        for (seconds, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(of_the_rfc().code(at(seconds)).unwrap(), code);
            assert_eq!(of_the_rfc().check(code, at(seconds), 0), Some(u64::try_from(seconds).unwrap() / 30));
        }
    }

    #[test]
    fn a_code_counts_once_and_for_a_step_to_either_side() {
        let step = 1_111_111_109 / 30;
        let check = |seconds, after| of_the_rfc().check("081804", at(seconds), after);
        assert_eq!(check(1_111_111_109, step - 1), Some(step));
        assert_eq!(check(1_111_111_109, step), None);
        assert_eq!(check(1_111_111_109 + 30, 0), Some(step));
        assert_eq!(check(1_111_111_109 + 60, 0), None);
        assert_eq!(check(1_111_111_109 - 60, 0), None);
        assert_eq!(of_the_rfc().check("081 804", at(1_111_111_109), 0), Some(step));
        for bad in ["", "81804", "0818040", "08180a", "+81804"] {
            assert_eq!(of_the_rfc().check(bad, at(1_111_111_109), 0), None, "{bad}");
        }
    }

    #[test]
    fn an_app_is_told_all_it_needs() {
        let url = of_the_rfc().url("anna", "https://consent.example").unwrap();
        assert!(
            url.starts_with("otpauth://totp/") && url.contains("secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"),
            "{}",
            *url
        );
        assert_eq!(*of_the_rfc().text(), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        assert!(!format!("{:?}", of_the_rfc()).contains('1'));
    }

    #[test]
    fn a_recovery_code_survives_its_text() {
        struct Counting;
        impl Entropy for Counting {
            fn fill(&self, bytes: &mut [u8]) {
                bytes.iter_mut().zip(240..).for_each(|(byte, count)| *byte = count);
            }
        }
        let code = RecoveryCode::generate(&Counting);
        assert_eq!(code.text().len(), 29);
        assert!(RecoveryCode::parse(&code.text().to_lowercase()).is_some());
        assert_eq!(RecoveryCode::parse(&format!(" {} ", *code.text())).unwrap().as_bytes(), code.as_bytes());
        for bad in ["", "a", &code.text()[1..], &format!("{}A", *code.text())] {
            assert!(RecoveryCode::parse(bad).is_none(), "{bad}");
        }
    }
}
