//! `application/x-www-form-urlencoded` names and values, in queries and bodies, read strictly: bad escapes and broken
//! UTF-8 are errors, not replacement characters.

use app::Code;

use super::problem::Problem;

/// The most names one form or query may have.
const MOST_PAIRS: usize = 200;

/// Reads the pairs in order.
///
/// # Errors
/// 400 for a broken escape or UTF-8, 422 for too many pairs.
pub fn pairs(text: &[u8]) -> Result<Vec<(String, String)>, Problem> {
    let mut pairs = Vec::new();
    for pair in text.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
        if pairs.len() == MOST_PAIRS {
            return Err(Problem::fault("", Code::TooMany));
        }
        let mut halves = pair.splitn(2, |byte| *byte == b'=');
        let name = decode(halves.next().unwrap_or_default(), true)?;
        pairs.push((name, decode(halves.next().unwrap_or_default(), true)?));
    }
    Ok(pairs)
}

/// Undoes the escapes of one name or value.
///
/// # Errors
/// 400 for a broken escape or UTF-8.
pub fn decode(text: &[u8], plus_is_space: bool) -> Result<String, Problem> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'+' if plus_is_space => bytes.push(b' '),
            b'%' => {
                let escape = rest.split_first_chunk::<2>();
                let value = escape.and_then(|([high, low], _)| Some(digit(*high)? << 4 | digit(*low)?));
                let (Some((_, after)), Some(value)) = (escape, value) else { return Err(broken()) };
                bytes.push(value);
                rest = after;
            }
            other => bytes.push(*other),
        }
    }
    String::from_utf8(bytes).map_err(|_| broken())
}

fn broken() -> Problem {
    Problem::of(Code::InvalidUtf8).saying("a name or value is not UTF-8, or not escaped as it must be")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn pairs_are_read_in_order() {
        let read = pairs(b"a=1&b=x+y%40z&&c&a=%C3%A4=").unwrap();
        let expected = [("a", "1"), ("b", "x y@z"), ("c", ""), ("a", "ä=")];
        assert_eq!(read, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn a_broken_escape_is_an_error() {
        for bad in [&b"a=%"[..], b"a=%4", b"a=%zz", b"a=%ff", b"a=\xff"] {
            assert_eq!(pairs(bad).unwrap_err().status(), 400);
        }
        assert_eq!(pairs(&b"a&".repeat(201)).unwrap_err().status(), 422);
    }
}
