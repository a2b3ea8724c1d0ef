//! Query parameters: each named at most once, and none that the path does not know.

use actix_web::HttpRequest;
use app::{Code, Fault};

use super::json::is_name;
use super::problem::Problem;
use super::urlencoded;

/// The largest number of entries that may be asked for: 2^53 - 1, which every reader of JSON holds exactly (RFC 8259 §6).
pub const MOST_COUNT: u64 = 9_007_199_254_740_991;

/// The parameters of a request.
#[derive(Debug)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Reads the parameters, of which only `known` ones are allowed.
    ///
    /// # Errors
    /// 422 for an unknown, repeated or empty parameter or a control character, 400 for a broken escape.
    pub fn of(request: &HttpRequest, known: &[&str]) -> Result<Self, Problem> {
        let pairs = urlencoded::pairs(request.query_string().as_bytes())?;
        let mut faults = Vec::new();
        for (at, (name, value)) in pairs.iter().enumerate() {
            let pointer = if is_name(name) { format!("/{name}") } else { String::new() };
            if !known.contains(&name.as_str()) {
                faults.push(Fault::at(pointer, Code::UnknownField));
            } else if pairs.iter().take(at).any(|(before, _)| before == name) {
                faults.push(Fault::at(pointer, Code::Duplicate));
            } else if value.is_empty() {
                faults.push(Fault::at(pointer, Code::Empty));
            } else if value.chars().any(char::is_control) {
                faults.push(Fault::at(pointer, Code::ControlCharacter));
            }
        }
        if faults.is_empty() { Ok(Self(pairs)) } else { Err(Problem::invalid(faults)) }
    }

    /// A parameter, if it is there.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A parameter of a type, if it is there.
    ///
    /// # Errors
    /// 422 when it does not read as one.
    pub fn parse<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, Problem> {
        let invalid = || Problem::fault(format!("/{name}"), Code::InvalidField);
        self.get(name).map(|value| value.parse().map_err(|_| invalid())).transpose()
    }

    /// A number of entries, or the place of one, if it is there.
    ///
    /// # Errors
    /// 422 when it is no such number.
    pub fn count(&self, name: &str) -> Result<Option<u64>, Problem> {
        match self.parse::<u64>(name)? {
            Some(count) if count > MOST_COUNT => Err(Problem::fault(format!("/{name}"), Code::InvalidField)),
            count => Ok(count),
        }
    }

    /// Where the page before ended, if this is not the first.
    ///
    /// # Errors
    /// 422 when `read` makes no place of it.
    pub fn after<T>(&self, read: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>, Problem> {
        let invalid = || Problem::fault("/after", Code::CursorInvalid);
        self.get("after").map(|after| read(after).ok_or_else(invalid)).transpose()
    }

    /// How many to answer with at the most, from 1 to `most`.
    ///
    /// # Errors
    /// 422 when it is no such number.
    pub fn limit(&self, most: u32) -> Result<Option<u32>, Problem> {
        let limit = self.parse::<u32>("limit")?;
        match limit {
            Some(limit) if !(1..=most).contains(&limit) => Err(Problem::fault("/limit", Code::InvalidField)),
            limit => Ok(limit),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn only_known_parameters_count_and_each_once() {
        let read = |uri: &str| Query::of(&TestRequest::with_uri(uri).to_http_request(), &["limit", "purpose"]);
        let query = read("/?limit=10&purpose=email").unwrap();
        assert_eq!((query.get("purpose"), query.limit(100).unwrap()), (Some("email"), Some(10)));
        for bad in ["/?more=1", "/?limit=1&limit=1", "/?purpose=%00", "/?limit="] {
            assert_eq!(read(bad).unwrap_err().status(), 422, "{bad}");
        }
        assert_eq!(read("/?limit=9007199254740991").unwrap().count("limit").unwrap(), Some(MOST_COUNT));
        for bad in [
            "/?limit=9007199254740992",
            "/?limit=9223372036854775808",
            "/?limit=18446744073709551616",
            "/?limit=-1",
        ] {
            assert_eq!(read(bad).unwrap().count("limit").unwrap_err().status(), 422, "{bad}");
        }
        for bad in ["/?limit=0", "/?limit=101", "/?limit=x", "/?limit=-1"] {
            assert!(read(bad).unwrap().limit(100).is_err(), "{bad}");
        }
    }
}
