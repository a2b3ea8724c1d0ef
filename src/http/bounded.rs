//! Lists with a bound that holds while they are read: a longer one is refused before it is held.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, SeqAccess, Visitor};
use validator::{Validate, ValidationErrors};

/// At least `MIN` and at most `MAX` values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bounded<T, const MIN: usize, const MAX: usize>(Vec<T>);

impl<T, const MIN: usize, const MAX: usize> Bounded<T, MIN, MAX> {
    /// The values.
    #[must_use]
    pub fn as_slice(&self) -> &[T] {
        &self.0
    }
}

impl<T, const MAX: usize> Default for Bounded<T, 0, MAX> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T, const MIN: usize, const MAX: usize> IntoIterator for Bounded<T, MIN, MAX> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<T: Validate, const MIN: usize, const MAX: usize> Validate for Bounded<T, MIN, MAX> {
    fn validate(&self) -> Result<(), ValidationErrors> {
        self.0.validate()
    }
}

impl<'de, T: Deserialize<'de>, const MIN: usize, const MAX: usize> Deserialize<'de> for Bounded<T, MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Reader::<T, MIN, MAX>(std::marker::PhantomData)).map(Self)
    }
}

struct Reader<T, const MIN: usize, const MAX: usize>(std::marker::PhantomData<fn() -> T>);

impl<'de, T: Deserialize<'de>, const MIN: usize, const MAX: usize> Visitor<'de> for Reader<T, MIN, MAX> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{MIN} to {MAX} values")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Vec<T>, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = elements.next_element()? {
            if values.len() == MAX {
                return Err(A::Error::invalid_length(MAX.saturating_add(1), &self));
            }
            values.push(value);
        }
        if values.len() < MIN { Err(A::Error::invalid_length(values.len(), &self)) } else { Ok(values) }
    }
}
