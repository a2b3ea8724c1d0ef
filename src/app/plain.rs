//! From what a source wrote to a typed value: one reading for forms and records, strict and bounded.

use kernel::attribute::{AttributeType, Purchase, Value};
use kernel::identifier::Identifier;
use kernel::subject::Birth;
use kernel::time::Timestamp;
use serde_json::Value as Json;

use crate::error::{Code, Fault};

/// The longest text of an attribute, in bytes.
const MAX_TEXT: usize = 256;
/// The most texts of a list.
const MAX_LIST: usize = 32;
/// The most orders of a history.
const MAX_PURCHASES: usize = 2_000;

/// Reads a JSON value as a value of a type.
pub(crate) fn value(kind: AttributeType, json: &Json, pointer: &str) -> Result<Value, Fault> {
    let wrong = |what: &str| Fault::saying(pointer, Code::InvalidField, format!("expected {what}"));
    match (kind, json) {
        (AttributeType::Text, Json::String(text)) => Ok(Value::Text(bounded(text, pointer)?.to_owned())),
        (AttributeType::Text, _) => Err(wrong("a text")),
        (AttributeType::Email, Json::String(text)) => {
            let email = Identifier::email(text).map_err(|_| Fault::at(pointer, Code::InvalidIdentifier))?;
            Ok(Value::Text(email.expose().to_owned()))
        }
        (AttributeType::Email, _) => Err(wrong("an email address")),
        (AttributeType::Date, Json::String(text)) => {
            day(text).map(Value::Date).ok_or_else(|| wrong("a date, `YYYY-MM-DD`"))
        }
        (AttributeType::Date, _) => Err(wrong("a date, `YYYY-MM-DD`")),
        (AttributeType::Integer, Json::Number(number)) => {
            number.as_i64().map(Value::Integer).ok_or_else(|| wrong("a whole number"))
        }
        (AttributeType::Integer, _) => Err(wrong("a whole number")),
        (AttributeType::Boolean, Json::Bool(flag)) => Ok(Value::Boolean(*flag)),
        (AttributeType::Boolean, _) => Err(wrong("true or false")),
        (AttributeType::TextList, Json::Array(items)) => text_list(items, pointer),
        (AttributeType::TextList, _) => Err(wrong("a list of texts")),
        (AttributeType::Purchases, Json::Array(items)) => purchases(items, pointer),
        (AttributeType::Purchases, _) => Err(wrong("a list of orders")),
    }
}

/// Reads the text of a form's field as a value of a type.
pub(crate) fn field(kind: AttributeType, text: &str, pointer: &str) -> Result<Value, Fault> {
    let json = match kind {
        AttributeType::Integer => text.parse::<i64>().map_or(Json::Null, Json::from),
        AttributeType::Boolean => match text {
            "true" | "on" | "yes" => Json::Bool(true),
            "false" | "off" | "no" => Json::Bool(false),
            _ => Json::Null,
        },
        AttributeType::TextList => text.split(',').map(|part| Json::from(part.trim())).collect(),
        AttributeType::Text | AttributeType::Email | AttributeType::Date | AttributeType::Purchases => {
            Json::from(text)
        }
    };
    value(kind, &json, pointer)
}

/// Refuses a text that is too long or holds a control character.
pub(crate) fn bounded<'a>(text: &'a str, pointer: &str) -> Result<&'a str, Fault> {
    if text.chars().any(char::is_control) {
        Err(Fault::at(pointer, Code::ControlCharacter))
    } else if text.len() > MAX_TEXT {
        Err(Fault::at(pointer, Code::TooLong))
    } else {
        Ok(text)
    }
}

/// Reads a birth date or a birth year, neither in the future nor before 1900.
pub(crate) fn birth(text: &str, now: Timestamp, pointer: &str) -> Result<Birth, Fault> {
    let wrong =
        || Fault::saying(pointer, Code::InvalidField, "expected a year or a date, `YYYY-MM-DD`, in the past");
    let this_year = now.date().year();
    if text.len() == 4 {
        let year: i16 = text.parse().map_err(|_| wrong())?;
        return if (1900..=this_year).contains(&year) { Ok(Birth::Year(year)) } else { Err(wrong()) };
    }
    let days = day(text).ok_or_else(wrong)?;
    let date = Timestamp::from_millis(i64::from(days) * DAY_MS).date();
    if date.year() >= 1900 && i64::from(days) <= now.day_number() {
        Ok(Birth::from_date(date))
    } else {
        Err(wrong())
    }
}

const DAY_MS: i64 = 86_400_000;

/// Days since 1970-01-01 of a date `YYYY-MM-DD`.
fn day(text: &str) -> Option<i32> {
    if text.len() != 10 || !text.is_ascii() {
        return None;
    }
    let midnight: Timestamp = format!("{text}T00:00:00Z").parse().ok()?;
    i32::try_from(midnight.day_number()).ok()
}

fn text_list(items: &[Json], pointer: &str) -> Result<Value, Fault> {
    if items.len() > MAX_LIST {
        return Err(Fault::at(pointer, Code::TooMany));
    }
    let texts = items.iter().enumerate().map(|(at, item)| {
        let pointer = format!("{pointer}/{at}");
        let text = item.as_str().ok_or_else(|| Fault::saying(&*pointer, Code::InvalidField, "expected a text"))?;
        bounded(text, &pointer).map(str::to_owned)
    });
    texts.collect::<Result<_, _>>().map(Value::TextList)
}

fn purchases(items: &[Json], pointer: &str) -> Result<Value, Fault> {
    if items.len() > MAX_PURCHASES {
        return Err(Fault::at(pointer, Code::TooMany));
    }
    let orders = items.iter().enumerate().map(|(at, item)| {
        purchase(item).ok_or_else(|| {
            let what = "expected {\"on\": \"YYYY-MM-DD\", \"amount\": \"12.34\"}";
            Fault::saying(format!("{pointer}/{at}"), Code::InvalidField, what)
        })
    });
    orders.collect::<Result<_, _>>().map(Value::Purchases)
}

fn purchase(item: &Json) -> Option<Purchase> {
    let order = item.as_object().filter(|order| order.len() == 2)?;
    let on = day(order.get("on")?.as_str()?)?;
    let hundredths = hundredths(order.get("amount")?.as_str()?)?;
    Some(Purchase { day: on, hundredths })
}

/// Reads a decimal amount with at most two places, without going through floating point.
fn hundredths(text: &str) -> Option<i64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str, most: usize| text.len() <= most && text.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !digits(whole, 12) || !digits(part, 2) {
        return None;
    }
    format!("{whole}{part:0<2}").parse().ok()
}

/// The stored value as the person's own copy shows it (GDPR Art. 15(3)).
pub(crate) fn shown(value: &Value) -> Json {
    let date = |day: i32| Timestamp::from_millis(i64::from(day) * DAY_MS).date().to_string();
    match value {
        Value::Text(text) => Json::from(text.as_str()),
        Value::Integer(number) => Json::from(*number),
        Value::Date(day) => Json::from(date(*day)),
        Value::Boolean(flag) => Json::from(*flag),
        Value::TextList(texts) => texts.iter().map(|text| Json::from(text.as_str())).collect(),
        Value::Purchases(orders) => orders
            .iter()
            .map(|order| {
                let amount = format!("{}.{:02}", order.hundredths / 100, order.hundredths.rem_euclid(100));
                serde_json::json!({ "on": date(order.day), "amount": amount })
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use serde_json::json;

    #[test]
    fn an_amount_is_read_exactly() {
        for (text, expected) in
            [("11.77", 1177), ("12", 1200), ("0.5", 50), ("0", 0), ("999999999999.99", 99_999_999_999_999)]
        {
            assert_eq!(hundredths(text), Some(expected), "{text}");
        }
        for bad in ["", ".5", "1.234", "-1", "1e3", "1 ", "9999999999999"] {
            assert_eq!(hundredths(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_copy_shows_what_was_sent() {
        let sent = json!([{"on": "1997-01-12", "amount": "77.00"}]);
        let stored = value(AttributeType::Purchases, &sent, "").unwrap();
        assert_eq!(shown(&stored), sent);
    }

    #[test]
    fn what_does_not_fit_its_type_is_turned_away_at_its_place() {
        let fault = |kind, json: Json| value(kind, &json, "/x").unwrap_err();
        assert_eq!(fault(AttributeType::Text, json!("a\0b")).code, Code::ControlCharacter);
        assert_eq!(fault(AttributeType::Text, json!("a".repeat(257))).code, Code::TooLong);
        assert_eq!(fault(AttributeType::Date, json!("2026-02-30")).code, Code::InvalidField);
        assert_eq!(fault(AttributeType::Integer, json!(1.5)).code, Code::InvalidField);
        assert_eq!(fault(AttributeType::TextList, json!(["a", 1])).pointer, "/x/1");
        assert_eq!(fault(AttributeType::Purchases, json!([{"on": "1997-01-12"}])).pointer, "/x/0");
    }

    #[test]
    fn a_birth_lies_in_the_past() {
        let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        assert_eq!(birth("1980", now, "").unwrap(), Birth::Year(1980));
        assert_eq!(birth("2026-11-22", now, "").unwrap(), Birth::Date(2026, 11, 22));
        for bad in ["2026-11-23", "2027", "1899", "80", "1980-13-01", "abcd"] {
            assert!(birth(bad, now, "").is_err(), "{bad}");
        }
    }
}
