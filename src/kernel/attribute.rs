//! What is known of a person: one attribute, its type, its value, and the only form in which it may leave.

use std::fmt;
use std::sync::Arc;

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::slug::slug;

pub use crate::slug::SlugError;

slug! {
    /// The name of an attribute, a key of the policy's closed registry.
    AttributeName
}

/// The type of a stored attribute: what a source may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttributeType {
    /// Text of at most 256 characters.
    Text,
    /// An email address.
    Email,
    /// A civil date, `YYYY-MM-DD`.
    Date,
    /// A whole number.
    Integer,
    /// Yes or no.
    Boolean,
    /// At most 32 short texts.
    TextList,
    /// Orders: at most 2,000 of a date and an amount in hundredths of the shop's currency.
    Purchases,
}

/// One order of a purchase history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Purchase {
    /// Days since 1970-01-01.
    #[n(0)]
    pub day: i32,
    /// The amount in hundredths of the shop's currency.
    #[n(1)]
    pub hundredths: i64,
}

/// The value of a stored attribute. Personal data: shown by no `Debug`.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub enum Value {
    /// Text, an email address or a single word of a closed list.
    #[n(0)]
    Text(#[n(0)] String),
    /// A whole number.
    #[n(1)]
    Integer(#[n(0)] i64),
    /// Days since 1970-01-01.
    #[n(2)]
    Date(#[n(0)] i32),
    /// Yes or no.
    #[n(3)]
    Boolean(#[n(0)] bool),
    /// Several texts.
    #[n(4)]
    TextList(#[n(0)] Vec<String>),
    /// A purchase history.
    #[n(5)]
    Purchases(#[n(0)] Vec<Purchase>),
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Value(..)")
    }
}

/// A tag of data whose use the law restricts (GDPR Art. 9, Cal. Civ. Code 1798.140(ae)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SensitiveTag {
    /// Health, pregnancy included.
    Health,
    /// Racial or ethnic origin.
    Ethnicity,
    /// Religion or belief.
    Religion,
    /// Political opinion.
    Politics,
    /// Trade union membership.
    Union,
    /// Sex life or sexual orientation.
    Sexuality,
    /// Genetic data.
    Genetic,
    /// Biometric data.
    Biometric,
    /// Precise location.
    PreciseLocation,
    /// Account credentials and financial account numbers.
    Financial,
}

/// The only form in which an attribute leaves the gateway: the minimised one (GDPR Arts. 5(1)(c), 25(2)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServedForm {
    /// The label of the band that a measure falls into.
    Band {
        /// What is measured.
        measure: Measure,
        /// Nothing is served below this.
        minimum: Option<i64>,
        /// Ascending lower edges of the second and later bands; one fewer than `labels`.
        edges: Arc<[i64]>,
        /// One label a band.
        labels: Arc<[Arc<str>]>,
    },
    /// A score from 1 (lowest) to `edges.len() + 1`; `descending` gives the highest score to the lowest measure.
    Score {
        /// What is measured.
        measure: Measure,
        /// Ascending lower edges of the second and later scores.
        edges: Arc<[i64]>,
        /// Whether a small measure scores high, as recency does.
        descending: bool,
    },
    /// The first characters of a text, if they stand in the closed list.
    Prefix {
        /// How many characters.
        characters: usize,
        /// What may be served, sorted.
        labels: Arc<[Arc<str>]>,
    },
    /// A text of a closed list; anything else is withheld.
    OneOf {
        /// What may be served, sorted.
        labels: Arc<[Arc<str>]>,
    },
    /// Those texts of a list that stand in the closed list.
    ManyOf {
        /// What may be served, sorted.
        labels: Arc<[Arc<str>]>,
    },
    /// Yes or no.
    Flag,
    /// The lifecycle stage of a purchase history: `new`, `active`, `at_risk`, `lapsed` or `won_back`.
    Lifecycle {
        /// Days since the first order while a customer is new.
        new_days: i64,
        /// Days since the last order from which a customer is at risk.
        at_risk_days: i64,
        /// Days since the last order from which a customer has lapsed; also the gap that makes a return a win-back.
        lapsed_days: i64,
    },
    /// The value itself. Only for a recipient whose role is sender, at send time.
    Plain,
}

/// A number taken from an attribute's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// The number itself.
    Number,
    /// Whole years from a birth date until now, the birthday counted on 1 March for 29 February.
    AgeYears,
    /// Whole days from a date until now.
    DaysSince,
    /// Whole 30-day months from a date until now.
    MonthsSince,
    /// Days since the last order.
    PurchaseRecencyDays,
    /// The number of orders.
    PurchaseCount,
    /// The sum of all orders, in whole units of the shop's currency.
    PurchaseTotal,
}

/// The labels of [`ServedForm::Lifecycle`].
pub const LIFECYCLE_STAGES: [&str; 5] = ["active", "at_risk", "lapsed", "new", "won_back"];
