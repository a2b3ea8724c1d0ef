//! Many persons at once, with attributes of every kind.

use futures_util::StreamExt as _;
use serde_json::{Value, json};

use super::{Line, TestGateway};

impl TestGateway {
    /// Persons with every attribute that the shop can send, who gave their consent for some purposes.
    pub(crate) async fn crowd(&self, persons: usize, purposes: &[&str]) {
        let shop = self.shop().await;
        let people: Vec<_> = (0..persons).map(|number| self.person(&format!("person-{number}"))).collect();
        futures_util::stream::iter(&people)
            .for_each_concurrent(8, async |person| drop(person.gives(purposes).await))
            .await;
        for (chunk, people) in people.chunks(200).enumerate() {
            let lines: Vec<_> = people
                .iter()
                .enumerate()
                .map(|(at, person)| Line::of(person, attributes(chunk * 200 + at)).of_region("DE-BY"))
                .collect();
            shop.sends(&lines).await;
        }
    }
}

/// Raw values, none of which may ever leave as it is. Some are missing for some persons.
pub(crate) fn attributes(number: usize) -> Value {
    const TOPICS: [&str; 4] = ["books", "garden", "music", "travel"];
    let mut attributes = json!({
        "first_name": format!("q7canary-{number}"),
        "city": "q7canary-city",
        "region": "DE-BY",
        "birth_date": format!("19{:02}-03-17", 40 + number % 60),
        "household_size": 1 + number % 7,
        "interest_topic": TOPICS[number % 4],
        "visits_30d": 7_000_001 + number,
        "last_visit_on": "2026-10-13",
        "cart_abandoned": number.is_multiple_of(2),
        "signup_date": "2019-04-23",
        "purchases": [{ "on": "2026-02-11", "amount": "8317.23" }, { "on": "2026-08-19", "amount": "9241.77" }],
        "last_engaged_on": "2026-09-29",
        "last_open_on": "2026-09-28",
        "last_click_on": "2026-09-27",
        "interests": ["music", "q7canary-hobby", TOPICS[number % 4]],
        "social_connected": number.is_multiple_of(3),
        "advocacy_score": 41,
        "propensity_score": 93,
        "propensity_model": "propensity-2",
    });
    if number % 5 == 4 {
        let attributes = attributes.as_object_mut().unwrap();
        for missing in ["interest_topic", "cart_abandoned", "purchases", "interests", "household_size"] {
            attributes.remove(missing);
        }
    }
    attributes
}

/// Pieces of those values that would betray that one of them left raw.
pub(crate) const RAW: &[&str] = &[
    "q7canary",
    "@example.org",
    "03-17",
    "DE-BY",
    "70000",
    "2026-10-13",
    "10-13",
    "2019",
    "8317",
    "9241",
    "17559",
    "2026-02-11",
    "2026-08-19",
    "2026-09",
    "propensity_score",
    "\"41\"",
    ":41",
    ":93",
];
