//! The bearer of a receipt: whoever made a post may read what that post said, and nothing else of the person.
//!
//! A post proves no identity: anybody can type an address. So its bearer is shown the post's own events and no others,
//! and no two receipts of one person look alike. The regime that the post came under is in the token: whether the history
//! has it of this post depends on whether the person was known.

use subtle::ConstantTimeEq as _;

use super::CapabilityError;
use crate::id::ReceiptId;
use crate::pseudonym::Pseudonymiser;
use crate::regime::Regime;
use crate::seal::{Keyring, derive, keyed_digest};
use crate::subject::SubjectId;
use crate::time::Timestamp;

const RECEIPT: &str = "q1_";
const MASK: &[u8] = b"receipt mask v1";

impl Keyring {
    /// The token with which the maker of a post reads its receipt again.
    #[must_use]
    pub fn receipt_token(&self, subject: SubjectId, receipt: ReceiptId, regime: Option<Regime>) -> String {
        let key = self.capability_key();
        let hidden = receipt_mask(&key, MASK, receipt).of(subject);
        let regime = regime.map(|regime| regime.to_string()).unwrap_or_default();
        let mac = receipt_mac(&key, hidden.as_bytes(), receipt, &regime);
        let hex = crate::id::hex;
        let (hidden, receipt) = (hex(hidden.as_bytes()), hex(receipt.as_bytes()));
        format!("{RECEIPT}{hidden}{receipt}{}{}", hex(&mac), hex(regime.as_bytes()))
    }

    /// The person, the receipt and the regime of a token.
    ///
    /// # Errors
    /// When the token was not made by these keys.
    pub fn open_receipt_token(
        &self,
        token: &str,
    ) -> Result<(SubjectId, ReceiptId, Option<Regime>), CapabilityError> {
        let body = token.strip_prefix(RECEIPT).filter(|body| body.is_ascii()).ok_or(CapabilityError)?;
        let (hidden, rest) = body.split_at_checked(32).ok_or(CapabilityError)?;
        let (receipt, rest) = rest.split_at_checked(32).ok_or(CapabilityError)?;
        let (mac, regime) = rest.split_at_checked(32).ok_or(CapabilityError)?;
        let regime = text(regime).ok_or(CapabilityError)?;
        let receipt: ReceiptId = receipt.parse().map_err(|_| CapabilityError)?;
        let masked: crate::pseudonym::Pseudonym = format!("p1-{hidden}").parse().map_err(|_| CapabilityError)?;
        let presented: [u8; 16] = crate::id::unhex(mac).map_err(|_| CapabilityError)?;
        let opened = self.capability_keys().iter().find_map(|key| {
            let genuine = bool::from(receipt_mac(key, masked.as_bytes(), receipt, &regime).ct_eq(&presented));
            receipt_mask(key, MASK, receipt).resolve(masked).filter(|_| genuine)
        });
        Ok((opened.ok_or(CapabilityError)?, receipt, regime.parse().ok()))
    }

    /// What a receipt calls its person: another name in every receipt, and the same one for ever, because it hangs on the
    /// version of the key that was in force when the post was received.
    #[must_use]
    pub fn receipt_pseudonym(&self, subject: SubjectId, receipt: ReceiptId, received_at: Timestamp) -> [u8; 16] {
        let key = self.capability_key_at(received_at);
        *receipt_mask(&key, b"receipt pseudonym v1", receipt).of(subject).as_bytes()
    }
}

fn receipt_mask(key: &[u8; 32], label: &[u8], receipt: ReceiptId) -> Pseudonymiser {
    Pseudonymiser::with_key(1, &derive(key, &[label, receipt.as_bytes()]))
}

fn receipt_mac(key: &[u8; 32], hidden: &[u8], receipt: ReceiptId, regime: &str) -> [u8; 16] {
    let parts: [&[u8]; 4] = [b"receipt v1", hidden, receipt.as_bytes(), regime.as_bytes()];
    let mac = keyed_digest(key, &parts);
    let mut short = [0; 16];
    for (byte, full) in short.iter_mut().zip(mac) {
        *byte = full;
    }
    short
}

/// Reads a short text from its hexadecimal digits.
fn text(digits: &str) -> Option<String> {
    if digits.len() > 64 {
        return None;
    }
    let bytes = digits.as_bytes().chunks(2).map(|pair| {
        let pair = std::str::from_utf8(pair).ok()?;
        crate::id::unhex::<1>(pair).ok().map(|[byte]| byte)
    });
    String::from_utf8(bytes.collect::<Option<_>>()?).ok()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::seal::tests::keyring;

    #[test]
    fn a_receipt_token_opens_its_receipt_and_no_other() {
        let keys = keyring(1);
        let (subject, receipt) = (SubjectId::from_bytes([9; 16]), ReceiptId::from_bytes([3; 16]));
        let regime = "EU_GDPR:DE".parse().ok();
        let token = keys.receipt_token(subject, receipt, regime);
        assert_eq!(keys.open_receipt_token(&token).unwrap(), (subject, receipt, regime));
        let plain = keys.receipt_token(subject, receipt, None);
        assert_eq!(keys.open_receipt_token(&plain).unwrap(), (subject, receipt, None));
        assert_eq!(keyring(2).open_receipt_token(&token), Err(CapabilityError));
        for at in 0..token.len() {
            let mut forged = token.clone().into_bytes();
            forged[at] ^= 1;
            if let Ok(forged) = String::from_utf8(forged) {
                assert_eq!(keys.open_receipt_token(&forged), Err(CapabilityError), "{at}");
            }
        }
        for bad in ["", "q1_", "q1_zz", "q1_ü", &keys.withdrawal_token(subject)] {
            assert_eq!(keys.open_receipt_token(bad), Err(CapabilityError));
        }
    }

    #[test]
    fn two_receipts_of_one_person_have_nothing_in_common() {
        let keys = keyring(1);
        let subject = SubjectId::from_bytes([9; 16]);
        let receipts = [ReceiptId::from_bytes([3; 16]), ReceiptId::from_bytes([4; 16])];
        let [a, b] = receipts.map(|receipt| keys.receipt_token(subject, receipt, None));
        assert_ne!(a.get(..35), b.get(..35));
        let [a, b] = receipts.map(|receipt| keys.receipt_pseudonym(subject, receipt, Timestamp::from_millis(0)));
        assert!(a != b && a != *subject.as_bytes());
    }
}
