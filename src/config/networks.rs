//! Networks in CIDR notation: a list in a file, and in the environment a text with commas.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// A list of networks; a single address is one too.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Networks(Vec<IpNet>);

impl Networks {
    /// Whether an address is in one of them.
    #[must_use]
    pub fn contain(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// These and others.
    #[must_use]
    pub fn with(&self, others: &Self) -> Self {
        Self(self.0.iter().chain(&others.0).copied().collect())
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Texts: a list in a file, and in the environment one text with commas.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Texts(Vec<String>);

impl Texts {
    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl FromIterator<String> for Texts {
    fn from_iter<T: IntoIterator<Item = String>>(texts: T) -> Self {
        Self(texts.into_iter().collect())
    }
}

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Texts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of texts, or one with commas")
            }

            fn visit_str<E>(self, text: &str) -> Result<Texts, E> {
                Ok(text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Texts, A::Error> {
                let mut texts = Vec::new();
                while let Some(text) = parts.next_element::<String>()? {
                    texts.push(text);
                }
                Ok(Texts(texts))
            }
        }

        deserializer.deserialize_any(Reader)
    }
}

impl<'de> Deserialize<'de> for Networks {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let network = |text: &str| {
            let one = text.parse::<IpAddr>().map(|address| IpNet::from(address.to_canonical()));
            one.or_else(|_| text.parse()).map_err(|_| D::Error::custom(format!("`{text}` is no network")))
        };
        Texts::deserialize(deserializer)?.iter().map(network).collect::<Result<_, _>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[derive(Deserialize)]
    struct Holder {
        at: Networks,
    }

    #[test]
    fn a_network_is_an_address_or_a_range_of_them() {
        for text in ["at = [\"10.0.0.0/8\", \"::1\"]", "at = \" 10.0.0.0/8 , ::1\""] {
            let networks = toml::from_str::<Holder>(text).unwrap().at;
            for inside in ["10.255.0.1", "::1", "::ffff:10.1.1.1"] {
                assert!(networks.contain(inside.parse().unwrap()), "{inside}");
            }
            for outside in ["11.0.0.1", "::2", "::ffff:11.1.1.1"] {
                assert!(!networks.contain(outside.parse().unwrap()), "{outside}");
            }
        }
        assert!(toml::from_str::<Holder>("at = []").unwrap().at.is_empty());
        assert!(toml::from_str::<Holder>("at = \"ten\"").is_err());
        assert!(toml::from_str::<Holder>("at = [\"10.0.0.0/33\"]").is_err());
    }
}
