//! Identifiers: one type a kind, random, never derived from what they name.

use crate::entropy::Entropy;
use crate::time::Timestamp;

/// Text that is not the hexadecimal form of an identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an identifier is written as lower-case hexadecimal digits of its full length")]
pub struct IdError;

/// Writes bytes as lower-case hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
            if let Some(digit) = DIGITS.get(usize::from(nibble)) {
                text.push(char::from(*digit));
            }
        }
    }
    text
}

/// Reads exactly `N` bytes from lower-case hexadecimal digits.
///
/// # Errors
/// When the length or a digit is wrong.
pub fn unhex<const N: usize>(text: &str) -> Result<[u8; N], IdError> {
    let digits = text.as_bytes();
    if digits.len() != N * 2 {
        return Err(IdError);
    }
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        _ => Err(IdError),
    };
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let [high, low] = pair else { return Err(IdError) };
        *byte = value(*high)? << 4 | value(*low)?;
    }
    Ok(bytes)
}

/// Declares a fixed-size byte newtype with text, serde and CBOR forms. `$prefix` is written before the digits.
macro_rules! bytes_newtype {
    ($(#[$doc:meta])* $name:ident, $len:literal, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name([u8; $len]);

        impl $name {
            /// Takes the bytes as they are.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; $len]) -> Self {
                Self(bytes)
            }

            /// Takes a slice, if it has the right length.
            #[must_use]
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(Self)
            }

            /// The bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str($prefix)?;
                f.write_str(&$crate::id::hex(&self.0))
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::id::IdError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let digits = text.strip_prefix($prefix).ok_or($crate::id::IdError)?;
                $crate::id::unhex(digits).map(Self)
            }
        }

        impl TryFrom<String> for $name {
            type Error = $crate::id::IdError;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.to_string()
            }
        }

        impl<C> minicbor::Encode<C> for $name {
            fn encode<W: minicbor::encode::Write>(
                &self,
                e: &mut minicbor::Encoder<W>,
                _: &mut C,
            ) -> Result<(), minicbor::encode::Error<W::Error>> {
                e.bytes(&self.0)?.ok()
            }
        }

        impl<'b, C> minicbor::Decode<'b, C> for $name {
            fn decode(
                d: &mut minicbor::Decoder<'b>,
                _: &mut C,
            ) -> Result<Self, minicbor::decode::Error> {
                Self::from_slice(d.bytes()?)
                    .ok_or_else(|| minicbor::decode::Error::message("wrong length"))
            }
        }
    };
}

pub(crate) use bytes_newtype;

macro_rules! random_id {
    ($(#[$doc:meta])* $name:ident) => {
        bytes_newtype! { $(#[$doc])* $name, 16, "" }

        impl $name {
            /// Draws a fresh one.
            #[must_use]
            pub fn generate(entropy: &dyn Entropy) -> Self {
                Self(entropy.bytes_16())
            }
        }
    };
}

random_id! {
    /// A data subject (GDPR Art. 4(1)): 128 random bits, never told to a recipient.
    SubjectId
}
random_id! {
    /// What the ledger calls a subject: random, kept only in the subject's row, so that erasing the row leaves the
    /// ledger's mention pointing nowhere (GDPR Art. 17).
    LedgerRef
}
random_id! {
    /// The receipt of one captured consent post.
    ReceiptId
}
random_id! {
    /// One pull or lookup: the pages of a bulk pull share it.
    PullId
}

impl PullId {
    /// Draws a fresh one that begins with the time: those of one time stand together in an index, so that recording
    /// many touches few pages. 80 bits stay random.
    #[must_use]
    pub fn at(now: Timestamp, entropy: &dyn Entropy) -> Self {
        let mut bytes = entropy.bytes_16();
        let millis = u64::try_from(now.as_millis()).unwrap_or_default().to_be_bytes();
        for (to, from) in bytes.iter_mut().zip(millis.iter().skip(2)) {
            *to = *from;
        }
        Self(bytes)
    }
}
random_id! {
    /// A data subject's request under GDPR Arts. 15 to 21.
    RightsRequestId
}
random_id! {
    /// One import of a file.
    ImportId
}
random_id! {
    /// One incident (GDPR Art. 33(5)).
    IncidentId
}
random_id! {
    /// One letter to a person, and the local part of its `Message-ID` (RFC 5322 §3.6.4).
    LetterId
}
random_id! {
    /// A member of staff, as the ledger calls them.
    StaffId
}
random_id! {
    /// A session of a member of staff, as lists call it. Its token is something else.
    SessionId
}
random_id! {
    /// The identifier of an access token (RFC 7519 `jti`).
    TokenId
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn an_identifier_survives_its_text_form() {
        let id = SubjectId::from_bytes([0xa5; 16]);
        assert_eq!(id.to_string().parse::<SubjectId>().unwrap(), id);
        for bad in ["", "a5", "A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5", "zz000000000000000000000000000000"] {
            assert!(bad.parse::<SubjectId>().is_err(), "{bad}");
        }
    }
}
