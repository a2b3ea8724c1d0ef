//! Names in policies: one grammar, `[a-z][a-z0-9_-]{0,63}`, for every kind, and no way to mix the kinds.

use thiserror::Error;

/// A name that is not of the form `[a-z][a-z0-9_-]{0,63}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a name is 1 to 64 characters of a-z, 0-9, `_` and `-`, and begins with a letter")]
pub struct SlugError;

pub(crate) fn is_slug(text: &str) -> bool {
    let mut bytes = text.bytes();
    text.len() <= 64
        && bytes.next().is_some_and(|first| first.is_ascii_lowercase())
        && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-')
}

/// Declares a name newtype: one fallible constructor (`FromStr`), cheap to clone, ordered by its text.
macro_rules! slug {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(std::sync::Arc<str>);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::slug::SlugError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                if $crate::slug::is_slug(text) {
                    Ok(Self(text.into()))
                } else {
                    Err($crate::slug::SlugError)
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = $crate::slug::SlugError;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.as_ref().to_owned()
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl<C> minicbor::Encode<C> for $name {
            fn encode<W: minicbor::encode::Write>(
                &self,
                e: &mut minicbor::Encoder<W>,
                _: &mut C,
            ) -> Result<(), minicbor::encode::Error<W::Error>> {
                e.str(&self.0)?.ok()
            }
        }

        impl<'b, C> minicbor::Decode<'b, C> for $name {
            fn decode(
                d: &mut minicbor::Decoder<'b>,
                _: &mut C,
            ) -> Result<Self, minicbor::decode::Error> {
                d.str()?.parse().map_err(|_| minicbor::decode::Error::message("not a name"))
            }
        }
    };
}

pub(crate) use slug;

#[cfg(test)]
mod tests {
    use super::is_slug;

    #[test]
    fn a_name_is_short_lower_case_and_begins_with_a_letter() {
        let longest = "a".repeat(64);
        for good in ["a", "email_marketing", "x-1", longest.as_str()] {
            assert!(is_slug(good), "{good}");
        }
        let too_long = "a".repeat(65);
        for bad in ["", "1a", "_a", "Email", "a b", "a\0", "ä", too_long.as_str()] {
            assert!(!is_slug(bad), "{bad}");
        }
    }
}
