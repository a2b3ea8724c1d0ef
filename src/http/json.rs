//! JSON bodies, read strictly: UTF-8, well-formed, of exactly the shape declared, within its limits, and without control
//! characters. What is wrong is told by place and code, never by repeating it.

use std::fmt::Write as _;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use app::{Code, Fault};
use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::error::Category;
use serde_path_to_error::{Path, Segment};
use validator::{Validate, ValidationErrors, ValidationErrorsKind};

use super::body;
use super::object::Object;
use super::problem::Problem;

/// The most bytes of a JSON body.
pub const MOST_BYTES: usize = 64 * 1024;

/// A JSON body of a known shape, with its bytes.
#[derive(Debug)]
pub struct Valid<T> {
    /// What it says.
    pub value: T,
    /// The bytes as they came.
    pub bytes: Bytes,
}

impl<T: DeserializeOwned + Validate + 'static> FromRequest for Valid<T> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, mut payload) = (request.clone(), payload.take());
        Box::pin(async move {
            if body::media_type(&request).as_deref() != Some("application/json") {
                return Err(Problem::of(Code::UnsupportedMediaType).saying("send `application/json`"));
            }
            let bytes = body::read(&request, &mut payload, MOST_BYTES).await?;
            Ok(Self { value: parse(&bytes).map_err(Rejection::into_problem)?, bytes })
        })
    }
}

/// Why a text is not taken.
#[derive(Debug)]
pub(super) enum Rejection {
    /// It is no JSON.
    Unreadable(Code),
    /// It is JSON of another shape.
    Invalid(Vec<Fault>),
}

impl Rejection {
    pub(super) fn into_problem(self) -> Problem {
        match self {
            Self::Unreadable(code) => Problem::of(code),
            Self::Invalid(faults) => Problem::invalid(faults),
        }
    }
}

/// Reads a value of a declared shape.
pub(super) fn parse<T: DeserializeOwned + Validate>(bytes: &[u8]) -> Result<T, Rejection> {
    let text = std::str::from_utf8(bytes).map_err(|_| Rejection::Unreadable(Code::InvalidUtf8))?;
    let value = match serde_json::from_str::<Object<T>>(text) {
        Ok(Object(value)) => value,
        Err(error) => return Err(explain::<T>(text, &error)),
    };
    let mut faults = Vec::new();
    if may_hold_control(bytes) {
        // INVARIANT: the text was read once, so it is read again.
        let whole: Value = serde_json::from_str(text).map_err(|_| Rejection::Unreadable(Code::MalformedJson))?;
        find_control(&whole, &mut String::new(), &mut faults);
    }
    check(&value, &mut faults);
    if faults.is_empty() { Ok(value) } else { Err(Rejection::Invalid(faults)) }
}

/// Takes a value that was already parsed as one of a declared shape.
pub(super) fn convert<T: DeserializeOwned + Validate>(whole: Value) -> Result<T, Vec<Fault>> {
    let mut faults = Vec::new();
    find_control(&whole, &mut String::new(), &mut faults);
    match serde_path_to_error::deserialize::<_, Object<T>>(whole) {
        Ok(Object(value)) => {
            check(&value, &mut faults);
            if faults.is_empty() { Ok(value) } else { Err(faults) }
        }
        Err(error) => {
            faults.push(misshapen(error.path(), &error.inner().to_string()));
            Err(faults)
        }
    }
}

/// Reads a second time, with an eye to the place of the fault. What is not JSON at all, or too deep, is told as that,
/// whatever shape it began with.
fn explain<T: DeserializeOwned>(text: &str, error: &serde_json::Error) -> Rejection {
    match error.classify() {
        Category::Data if serde_json::from_str::<Value>(text).is_ok() => {
            let mut reader = serde_json::Deserializer::from_str(text);
            match serde_path_to_error::deserialize::<_, Object<T>>(&mut reader) {
                Ok(_) => Rejection::Unreadable(Code::MalformedJson),
                Err(error) => Rejection::Invalid(vec![misshapen(error.path(), &error.inner().to_string())]),
            }
        }
        Category::Data | Category::Syntax | Category::Eof | Category::Io => {
            Rejection::Unreadable(Code::MalformedJson)
        }
    }
}

/// The fault behind a message of serde. The message may hold values: only its kind and the names we know are taken.
fn misshapen(path: &Path, message: &str) -> Fault {
    let mut pointer = pointer_of(path);
    let name = |prefix: &str| {
        let rest = message.strip_prefix(prefix)?;
        rest.strip_prefix('`')?.split_once('`').map(|(name, _)| name)
    };
    if let Some(field) = name("unknown field ") {
        // The path already ends in the field's name, if that may be shown.
        if is_name(field) && !pointer.ends_with(&format!("/{field}")) {
            let _ = write!(pointer, "/{field}");
        }
        Fault::at(pointer, Code::UnknownField)
    } else if let Some(field) = name("missing field ") {
        Fault::at(format!("{pointer}/{field}"), Code::MissingField)
    } else if name("duplicate field ").is_some() {
        Fault::at(pointer, Code::Duplicate)
    } else if message.starts_with("invalid length 0,") {
        Fault::at(pointer, Code::Empty)
    } else if message.starts_with("invalid length ") {
        Fault::at(pointer, Code::TooMany)
    } else {
        Fault::saying(pointer, Code::InvalidField, "the value has a wrong type or form")
    }
}

/// A path as a JSON pointer. It ends where a name is not one of ours in looks: what a caller made up is not repeated.
fn pointer_of(path: &Path) -> String {
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => {
                let _ = write!(pointer, "/{index}");
            }
            Segment::Map { key } if is_name(key) => {
                let _ = write!(pointer, "/{key}");
            }
            Segment::Map { .. } | Segment::Unknown => break,
            Segment::Enum { .. } => {}
        }
    }
    pointer
}

/// Whether a name is short and slug-like, so that it may be repeated in an answer.
pub(super) fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
}

fn check<T: Validate>(value: &T, faults: &mut Vec<Fault>) {
    if let Err(errors) = value.validate() {
        let begin = faults.len();
        flatten(&errors, "", faults);
        if let Some(added) = faults.get_mut(begin..) {
            added.sort_by(|a, b| a.pointer.cmp(&b.pointer));
        }
    }
}

fn flatten(errors: &ValidationErrors, at: &str, faults: &mut Vec<Fault>) {
    for (field, kind) in errors.errors() {
        let pointer = format!("{at}/{field}");
        match kind {
            ValidationErrorsKind::Struct(inner) => flatten(inner, &pointer, faults),
            ValidationErrorsKind::List(items) => {
                for (index, inner) in items {
                    flatten(inner, &format!("{pointer}/{index}"), faults);
                }
            }
            ValidationErrorsKind::Field(errors) => {
                let code = |error: &validator::ValidationError| {
                    Code::ALL.iter().copied().find(|code| code.as_str() == error.code)
                };
                faults.extend(
                    errors.iter().map(|error| Fault::at(&pointer, code(error).unwrap_or(Code::InvalidField))),
                );
            }
        }
    }
}

/// Whether any string may hold a control character: raw ones below space are not well-formed, so only an escape, DEL or
/// the two bytes of a C1 character can bring one.
fn may_hold_control(bytes: &[u8]) -> bool {
    let mut before = 0;
    bytes.iter().any(|byte| {
        let is_c1 = before == 0xc2 && (0x80..=0x9f).contains(byte);
        before = *byte;
        is_c1 || matches!(byte, b'\\' | 0x7f)
    })
}

fn find_control(value: &Value, at: &mut String, faults: &mut Vec<Fault>) {
    let holds = |text: &str| text.chars().any(char::is_control);
    match value {
        Value::String(text) if holds(text) => faults.push(Fault::at(at.as_str(), Code::ControlCharacter)),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                descend(at, &index.to_string(), |at| find_control(item, at, faults));
            }
        }
        Value::Object(members) => {
            for (name, member) in members {
                if holds(name) {
                    faults.push(Fault::at(at.as_str(), Code::ControlCharacter));
                }
                let shown = if is_name(name) { name } else { "" };
                descend(at, shown, |at| find_control(member, at, faults));
            }
        }
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn descend(at: &mut String, name: &str, visit: impl FnOnce(&mut String)) {
    let length = at.len();
    if !name.is_empty() {
        let _ = write!(at, "/{name}");
    }
    visit(at);
    at.truncate(length);
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;
    use crate::http::bounded::Bounded;

    #[derive(Debug, Deserialize, Validate)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        #[validate(nested)]
        inner: Option<Object<Inner>>,
        #[serde(default)]
        #[validate(nested)]
        list: Bounded<Object<Inner>, 0, 2>,
        #[serde(default)]
        #[expect(dead_code, reason = "only its shape matters")]
        map: BTreeMap<String, u8>,
    }

    #[derive(Debug, Deserialize, Validate)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        #[validate(length(max = 5, code = "too_long"))]
        text: String,
    }

    fn faults(text: &str) -> Vec<(String, &'static str)> {
        match parse::<Outer>(text.as_bytes()) {
            Ok(_) => Vec::new(),
            Err(Rejection::Unreadable(code)) => vec![("unreadable".to_owned(), code.as_str())],
            Err(Rejection::Invalid(faults)) => {
                faults.into_iter().map(|fault| (fault.pointer, fault.code.as_str())).collect()
            }
        }
    }

    #[test]
    fn every_fault_has_its_place_and_code() {
        for (text, pointer, code) in [
            (r#"{"inner":{"text":5}}"#, "/inner/text", "invalid_field"),
            (r#"{"inner":{}}"#, "/inner/text", "missing_field"),
            (r#"{"inner":{"text":"a","more":1}}"#, "/inner/more", "unknown_field"),
            (r#"{"inner":{"text":"a","anna@example.org":1}}"#, "/inner", "unknown_field"),
            (r#"{"list":[{"text":"a"},{"text":"abcdef"}]}"#, "/list/1/text", "too_long"),
            (r#"{"list":[{"text":"a"},{"text":"a"},{"text":"a"}]}"#, "/list", "too_many"),
            (r#"{"map":{"known":"x"}}"#, "/map/known", "invalid_field"),
            (r#"{"map":{"anna@example.org":"x"}}"#, "/map", "invalid_field"),
            (r#"{"inner":{"text":"a\u0000"}}"#, "/inner/text", "control_character"),
            (r#"{"inner":{"text":"a\n"}}"#, "/inner/text", "control_character"),
            ("{\"inner\":{\"text\":\"a\u{7f}\"}}", "/inner/text", "control_character"),
            ("{\"inner\":{\"text\":\"a\u{85}\"}}", "/inner/text", "control_character"),
            (r#"{"inner":{"text":"a"},"inner":null}"#, "", "duplicate"),
            ("[]", "", "invalid_field"),
            (r#"{"inner":["a"]}"#, "/inner", "invalid_field"),
            (r#"{"list":[["a"]]}"#, "/list/0", "invalid_field"),
            ("{", "unreadable", "malformed_json"),
            ("{} x", "unreadable", "malformed_json"),
            ("", "unreadable", "malformed_json"),
        ] {
            let found = faults(text);
            assert!(found.contains(&(pointer.to_owned(), code)), "{text}: {found:?}");
        }
        assert!(faults(r#"{"inner":{"text":"ä\"\\"}}"#).is_empty());
    }

    #[test]
    fn what_is_no_text_or_too_deep_is_unreadable() {
        assert!(matches!(parse::<Outer>(b"\xff{}"), Err(Rejection::Unreadable(Code::InvalidUtf8))));
        let deep = format!("{{\"inner\":{}", "[".repeat(10_000));
        for deep in [deep, "[".repeat(10_000), format!("{}{}", "[".repeat(10_000), "]".repeat(10_000))] {
            assert!(matches!(parse::<Outer>(deep.as_bytes()), Err(Rejection::Unreadable(Code::MalformedJson))));
        }
    }

    #[test]
    fn no_fault_repeats_a_value() {
        for text in [r#"{"inner":"secret"}"#, r#"{"secret value":1}"#, r#"{"map":{"secret one":"secret two"}}"#] {
            let Err(Rejection::Invalid(faults)) = parse::<Outer>(text.as_bytes()) else { panic!("{text}") };
            assert!(!format!("{faults:?}").contains("secret"), "{text}: {faults:?}");
        }
    }

    #[test]
    fn a_converted_value_is_checked_alike() {
        let found = convert::<Inner>(serde_json::json!({"text": "a\u{0}"})).unwrap_err();
        assert_eq!(found.first().unwrap().code, Code::ControlCharacter);
        assert_eq!(convert::<Inner>(serde_json::json!({"text": "a"})).unwrap().text, "a");
    }
}
