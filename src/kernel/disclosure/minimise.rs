//! From a stored value to its served form: bands, scores and closed lists in place of dates, amounts and free text.

use std::sync::Arc;

use crate::attribute::{LIFECYCLE_STAGES, Measure, Purchase, ServedForm, Value};
use crate::subject::Birth;
use crate::time::Timestamp;

/// A served value before it is put into its column.
#[derive(Clone)]
pub(super) enum Served {
    Null,
    Code(u16),
    Score(u8),
    Flag(bool),
    Codes(Box<[u16]>),
    Text(Box<str>),
}

/// Minimises one value. What does not fit the form is not served.
pub(super) fn minimise(form: &ServedForm, value: &Value, now: Timestamp) -> Served {
    serve(form, value, now).unwrap_or(Served::Null)
}

fn serve(form: &ServedForm, value: &Value, now: Timestamp) -> Option<Served> {
    match form {
        ServedForm::Band { measure, minimum, edges, .. } => {
            let number = measured(*measure, value, now)?;
            if minimum.is_some_and(|minimum| number < minimum) {
                return None;
            }
            u16::try_from(edges.partition_point(|edge| *edge <= number)).ok().map(Served::Code)
        }
        ServedForm::Score { measure, edges, descending } => {
            let number = measured(*measure, value, now)?;
            let below = edges.partition_point(|edge| *edge <= number);
            let rank = if *descending { edges.len() - below } else { below };
            u8::try_from(rank + 1).ok().map(Served::Score)
        }
        ServedForm::Prefix { characters, labels } => {
            let Value::Text(text) = value else { return None };
            let end = text.char_indices().nth(*characters).map_or(text.len(), |(at, _)| at);
            label(labels, text.get(..end)?).map(Served::Code)
        }
        ServedForm::OneOf { labels } => {
            let Value::Text(text) = value else { return None };
            label(labels, text).map(Served::Code)
        }
        ServedForm::ManyOf { labels } => {
            let Value::TextList(texts) = value else { return None };
            let mut codes: Vec<u16> = texts.iter().filter_map(|text| label(labels, text)).collect();
            codes.sort_unstable();
            codes.dedup();
            Some(Served::Codes(codes.into()))
        }
        ServedForm::Flag => match value {
            Value::Boolean(flag) => Some(Served::Flag(*flag)),
            _ => None,
        },
        ServedForm::Lifecycle { new_days, at_risk_days, lapsed_days } => {
            let Value::Purchases(orders) = value else { return None };
            let stage = stage(orders, now.day_number(), (*new_days, *at_risk_days, *lapsed_days))?;
            let code = LIFECYCLE_STAGES.iter().position(|known| *known == stage)?;
            u16::try_from(code).ok().map(Served::Code)
        }
        ServedForm::Plain => match value {
            Value::Text(text) => Some(Served::Text(text.as_str().into())),
            _ => None,
        },
    }
}

fn label(labels: &[Arc<str>], text: &str) -> Option<u16> {
    labels.binary_search_by(|label| (**label).cmp(text)).ok().and_then(|at| u16::try_from(at).ok())
}

fn measured(measure: Measure, value: &Value, now: Timestamp) -> Option<i64> {
    let today = now.day_number();
    match (measure, value) {
        (Measure::Number, Value::Integer(number)) => Some(*number),
        (Measure::AgeYears, Value::Date(day)) => {
            let date = Timestamp::from_millis(i64::from(*day) * 86_400_000).date();
            Some(i64::from(Birth::from_date(date).age_at(now)))
        }
        (Measure::AgeYears, Value::Integer(year)) => {
            i16::try_from(*year).ok().map(|year| i64::from(Birth::Year(year).age_at(now)))
        }
        (Measure::DaysSince, Value::Date(day)) => Some((today - i64::from(*day)).max(0)),
        (Measure::MonthsSince, Value::Date(day)) => Some((today - i64::from(*day)).max(0) / 30),
        (Measure::PurchaseRecencyDays, Value::Purchases(orders)) => {
            orders.iter().map(|order| order.day).max().map(|last| (today - i64::from(last)).max(0))
        }
        (Measure::PurchaseCount, Value::Purchases(orders)) => i64::try_from(orders.len()).ok(),
        (Measure::PurchaseTotal, Value::Purchases(orders)) => {
            Some(orders.iter().fold(0_i64, |sum, order| sum.saturating_add(order.hundredths)).div_euclid(100))
        }
        _ => None,
    }
}

/// Where a customer stands today. Orders need not be sorted.
fn stage(orders: &[Purchase], today: i64, days: (i64, i64, i64)) -> Option<&'static str> {
    let (new_days, at_risk_days, lapsed_days) = days;
    let mut dates: Vec<i64> = orders.iter().map(|order| i64::from(order.day)).collect();
    dates.sort_unstable();
    dates.dedup();
    let (first, last) = (*dates.first()?, *dates.last()?);
    let quiet = today - last;
    let returned = dates.iter().rev().nth(1).is_some_and(|before| last - before >= lapsed_days);
    Some(if quiet >= lapsed_days {
        "lapsed"
    } else if quiet >= at_risk_days {
        "at_risk"
    } else if returned {
        "won_back"
    } else if today - first < new_days {
        "new"
    } else {
        "active"
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn purchases(days: &[i32]) -> Value {
        Value::Purchases(days.iter().map(|day| Purchase { day: *day, hundredths: 2_000 }).collect())
    }

    const fn day(number: i64) -> Timestamp {
        Timestamp::from_millis(number * 86_400_000)
    }

    fn code(form: &ServedForm, value: &Value, now: Timestamp) -> Option<u16> {
        match minimise(form, value, now) {
            Served::Code(code) => Some(code),
            _ => None,
        }
    }

    fn ages() -> ServedForm {
        ServedForm::Band {
            measure: Measure::AgeYears,
            minimum: Some(18),
            edges: [25, 35].into(),
            labels: ["18-24".into(), "25-34".into(), "35+".into()].into(),
        }
    }

    #[test]
    fn seg_05_there_is_no_age_band_below_18() {
        // Born 2008-11-23 (day 14206); today is 2026-11-22 (day 20779), tomorrow the birthday.
        let born = Value::Date(14_206);
        assert_eq!(code(&ages(), &born, day(20_779)), None);
        assert_eq!(code(&ages(), &born, day(20_780)), Some(0));
    }

    #[test]
    fn a_band_begins_at_its_edge() {
        assert_eq!(code(&ages(), &Value::Integer(2001), day(20_779)), Some(0));
        assert_eq!(code(&ages(), &Value::Integer(2000), day(20_779)), Some(1));
    }

    #[test]
    fn recency_scores_high_when_it_is_short() {
        let form = |descending| ServedForm::Score {
            measure: Measure::PurchaseRecencyDays,
            edges: [30, 90, 180, 365].into(),
            descending,
        };
        for (quiet, expected) in [(0, 5), (29, 5), (30, 4), (365, 1), (4000, 1)] {
            let Served::Score(score) = minimise(&form(true), &purchases(&[10_000]), day(10_000 + quiet)) else {
                unreachable!("a purchase history has a recency")
            };
            assert_eq!(score, expected, "{quiet}");
        }
    }

    #[test]
    fn pse_11_free_text_is_never_served() {
        let form = ServedForm::OneOf { labels: ["books".into(), "music".into()].into() };
        assert_eq!(code(&form, &Value::Text("music".into()), day(0)), Some(1));
        assert_eq!(code(&form, &Value::Text("my neighbour's diary".into()), day(0)), None);
        let region = ServedForm::Prefix { characters: 2, labels: ["AT".into(), "DE".into()].into() };
        assert_eq!(code(&region, &Value::Text("DE-BY".into()), day(0)), Some(1));
        assert_eq!(code(&region, &Value::Text("ÄÖ-1".into()), day(0)), None);
    }

    #[test]
    fn a_customer_passes_through_the_stages() {
        let form = ServedForm::Lifecycle { new_days: 60, at_risk_days: 90, lapsed_days: 365 };
        let stage = |days: &[i32], today| {
            code(&form, &purchases(days), day(today))
                .and_then(|code| LIFECYCLE_STAGES.get(usize::from(code)).copied())
        };
        assert_eq!(stage(&[], 100), None);
        assert_eq!(stage(&[100], 120), Some("new"));
        assert_eq!(stage(&[100, 200], 210), Some("active"));
        assert_eq!(stage(&[100], 200), Some("at_risk"));
        assert_eq!(stage(&[100], 500), Some("lapsed"));
        assert_eq!(stage(&[100, 500], 510), Some("won_back"));
    }
}
