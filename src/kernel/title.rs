//! What a person reads as the name of something: one text for everybody, or one for each language (GDPR Art. 12(1)).

use std::collections::BTreeMap;
use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A name to be read, in one language or in several. Never empty once a policy holds it.
#[derive(Clone, PartialEq, Eq)]
pub struct Title(Texts);

#[derive(Clone, PartialEq, Eq)]
enum Texts {
    One(String),
    ByLocale(BTreeMap<String, String>),
}

impl Title {
    /// One text for every language.
    #[must_use]
    pub fn of(text: impl Into<String>) -> Self {
        Self(Texts::One(text.into()))
    }

    /// The text in a language (BCP 47): exactly that one, else its primary language, else English, else the first.
    #[must_use]
    pub fn in_locale(&self, locale: &str) -> &str {
        let texts = match &self.0 {
            Texts::One(text) => return text,
            Texts::ByLocale(texts) => texts,
        };
        let primary = locale.split('-').next().unwrap_or_default();
        [locale, primary, "en"]
            .into_iter()
            .find_map(|known| texts.get(known))
            .or_else(|| texts.values().next())
            .map_or("", String::as_str)
    }

    /// The text for those whose language is not known: English, or the only one there is.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.in_locale("en")
    }

    /// Whether it can be read in a language: in exactly that one or its primary one. One text for all counts as such.
    #[must_use]
    pub fn speaks(&self, locale: &str) -> bool {
        let primary = locale.split('-').next().unwrap_or_default();
        match &self.0 {
            Texts::One(_) => true,
            Texts::ByLocale(texts) => texts.contains_key(locale) || texts.contains_key(primary),
        }
    }

    /// Every text with its locale; `None` for one that is for all.
    #[must_use]
    pub fn texts(&self) -> Vec<(Option<&str>, &str)> {
        match &self.0 {
            Texts::One(text) => vec![(None, text)],
            Texts::ByLocale(texts) => {
                texts.iter().map(|(locale, text)| (Some(locale.as_str()), text.as_str())).collect()
            }
        }
    }
}

impl fmt::Display for Title {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Title {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Title({})", self.as_str())
    }
}

impl Serialize for Title {
    /// As the text for those whose language is not known.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Title {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TitleVisitor)
    }
}

struct TitleVisitor;

impl<'de> Visitor<'de> for TitleVisitor {
    type Value = Title;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, or a table of texts by locale such as { en = \"…\", de = \"…\" }")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Title, E> {
        Ok(Title::of(text))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Title, A::Error> {
        BTreeMap::deserialize(MapAccessDeserializer::new(map)).map(|texts| Title(Texts::ByLocale(texts)))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[derive(Deserialize)]
    struct Titled {
        title: Title,
    }

    fn title(text: &str) -> Title {
        toml::from_str::<Titled>(text).unwrap().title
    }

    #[test]
    fn a_title_is_one_text_or_one_for_each_language() {
        let one = title("title = \"News\"");
        assert_eq!((one.in_locale("de"), one.as_str(), one.speaks("fr")), ("News", "News", true));
        let many = title("title = { en = \"News\", de = \"Neues\", de-AT = \"Neuigkeiten\" }");
        for (locale, text) in [("de", "Neues"), ("de-CH", "Neues"), ("de-AT", "Neuigkeiten"), ("fr", "News")] {
            assert_eq!(many.in_locale(locale), text, "{locale}");
        }
        assert!(many.speaks("de-CH") && !many.speaks("fr"));
        assert_eq!(many.to_string(), "News");
        assert_eq!(title("title = { de = \"Neues\" }").as_str(), "Neues");
    }
}
