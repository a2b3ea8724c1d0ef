//! Invented persons for real histories: who they are, where they live and what they say is drawn from the customer's
//! number, so every run tells the same story. Their addresses lie in domains that belong to nobody (RFC 2606).

use jiff::ToSpan as _;
use jiff::civil::Date;

use super::dataset::{History, Order};

/// One invented person with a real purchase history.
pub(super) struct Person<'a> {
    pub(super) customer_id: String,
    pub(super) email: String,
    pub(super) first_name: &'static str,
    /// ISO 3166.
    pub(super) region: &'static str,
    pub(super) birth: Date,
    pub(super) household: u8,
    pub(super) visits: u8,
    pub(super) topic: &'static str,
    pub(super) orders: &'a [Order],
    /// What they answer on the newsletter form; empty: they never saw it.
    pub(super) choices: Vec<(&'static str, bool)>,
    /// Whether their browser sends the Global Privacy Control signal.
    pub(super) signals: bool,
    /// Whether they object to direct marketing.
    pub(super) objects: bool,
    /// Whether they take their consents back a little later.
    pub(super) takes_back: bool,
}

/// Where people live, in parts of a hundred: 55 in the EU, 10 in the UK, 15 in California, 10 in other US states, 5 in
/// Canada, 5 where the gateway knows no law.
const REGIONS: &[(&str, u64)] = &[
    ("DE", 16),
    ("FR", 9),
    ("IT", 7),
    ("ES", 6),
    ("NL", 5),
    ("PL", 4),
    ("AT", 3),
    ("SE", 2),
    ("IE", 2),
    ("BE", 1),
    ("GB", 10),
    ("US-CA", 15),
    ("US-NY", 4),
    ("US-TX", 3),
    ("US-WA", 2),
    ("US-MD", 1),
    ("CA-ON", 3),
    ("CA-QC", 2),
    ("JP", 3),
    ("BR", 2),
];

const GIVEN: &[&str] = &[
    "Ada", "Alex", "Anna", "Ben", "Carla", "Chris", "Clara", "Dana", "David", "Elena", "Emil", "Emma", "Eva",
    "Felix", "Finn", "Greta", "Hana", "Ida", "Ivan", "Jan", "Jonas", "Julia", "Kim", "Lara", "Leo", "Lina",
    "Luca", "Maria", "Max", "Mila", "Mira", "Nina", "Noah", "Nora", "Olga", "Oscar", "Paul", "Robin", "Sam",
    "Sara", "Sofia", "Tara", "Theo", "Tom", "Vera", "Victor", "Yuki", "Zoe",
];

const FAMILY: &[&str] = &[
    "Adler", "Baker", "Berg", "Blanc", "Brook", "Costa", "Dean", "Dias", "Egger", "Fischer", "Ford", "Garcia",
    "Grant", "Green", "Haas", "Hill", "Ito", "Jansen", "Keller", "King", "Klein", "Kowal", "Lake", "Lang", "Lind",
    "Lopez", "Marsh", "Martin", "Meyer", "Moreau", "Moss", "Novak", "Olsen", "Page", "Park", "Peters", "Rossi",
    "Roth", "Santos", "Silva", "Stone", "Sato", "Vogel", "Wagner", "Weber", "West", "Wood", "Young",
];

const DOMAINS: &[&str] = &["example.org", "example.com", "example.net"];

const TOPICS: &[&str] =
    &["art", "books", "crafts", "film", "food", "games", "garden", "music", "outdoors", "travel"];

impl<'a> Person<'a> {
    /// The person behind a history.
    pub(super) fn behind(history: &'a History, today: Date) -> Self {
        let mut lot = Lot::of(history.customer);
        let first_name = lot.one_of(GIVEN);
        let family = lot.one_of(FAMILY);
        let region = lot.weighted(REGIONS);
        let age = if lot.percent(3) { 10 + lot.below(8) } else { 18 + lot.below(65) };
        let days = i64::try_from(age * 365 + age / 4 + lot.below(365)).unwrap_or(0);
        let signals = lot.percent(if region.starts_with("US") { 20 } else { 3 });
        let choices = if lot.percent(85) { answers(&mut lot) } else { Vec::new() };
        let agreed = choices.iter().any(|(_, yes)| *yes);
        Self {
            customer_id: format!("cdnow-{:05}", history.customer),
            // The number makes it unique.
            email: format!(
                "{}.{}.{}@{}",
                first_name.to_lowercase(),
                family.to_lowercase(),
                history.customer,
                lot.one_of(DOMAINS)
            ),
            first_name,
            region,
            birth: today.saturating_sub(days.days()),
            household: 1 + u8::try_from(lot.below(5)).unwrap_or(0),
            visits: u8::try_from(lot.below(15)).unwrap_or(0),
            topic: lot.one_of(TOPICS),
            orders: &history.orders,
            choices,
            signals,
            objects: lot.percent(2),
            takes_back: agreed && lot.percent(4),
        }
    }
}

/// An answer for each box of the form: yes, no, or left alone.
fn answers(lot: &mut Lot) -> Vec<(&'static str, bool)> {
    const BOXES: &[(&str, u64, u64)] = &[
        ("email_marketing", 65, 25),
        ("email_open_tracking", 35, 45),
        ("link_tracking", 35, 45),
        ("profiling_segmentation", 60, 25),
    ];
    let mut choices = Vec::new();
    for (purpose, yes, no) in BOXES {
        match lot.below(100) {
            part if part < *yes => choices.push((*purpose, true)),
            part if part < yes + no => choices.push((*purpose, false)),
            _ => {}
        }
    }
    choices
}

/// Draws that depend on the customer's number alone (SplitMix64).
struct Lot(u64);

impl Lot {
    const fn of(customer: u32) -> Self {
        Self(0x5EED_C0DE ^ ((customer as u64) << 20))
    }

    const fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    const fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.draw() % bound }
    }

    const fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    fn one_of(&mut self, words: &[&'static str]) -> &'static str {
        let at = usize::try_from(self.below(words.len() as u64)).unwrap_or(0);
        words.get(at).copied().unwrap_or_default()
    }

    fn weighted(&mut self, words: &[(&'static str, u64)]) -> &'static str {
        let mut left = self.below(words.iter().map(|(_, weight)| weight).sum());
        for (word, weight) in words {
            if left < *weight {
                return word;
            }
            left -= weight;
        }
        ""
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::demo::dataset::DataSet;
    use jiff::civil::date;
    use std::collections::{BTreeMap, BTreeSet};

    const TODAY: Date = date(2026, 11, 22);

    #[test]
    fn every_run_invents_the_same_persons() {
        let set = DataSet::ending_on(TODAY, 50).unwrap();
        for history in &set.histories {
            let (one, other) = (Person::behind(history, TODAY), Person::behind(history, TODAY));
            assert_eq!((one.email, one.birth, one.choices), (other.email, other.birth, other.choices));
        }
    }

    #[test]
    fn addresses_are_unique_and_belong_to_nobody() {
        let set = DataSet::ending_on(TODAY, usize::MAX).unwrap();
        let emails: BTreeSet<_> =
            set.histories.iter().map(|history| Person::behind(history, TODAY).email).collect();
        assert_eq!(emails.len(), set.histories.len());
        assert!(emails.iter().all(|email| DOMAINS.iter().any(|domain| email.ends_with(&format!("@{domain}")))));
    }

    #[test]
    fn people_live_everywhere_and_say_everything() {
        let set = DataSet::ending_on(TODAY, usize::MAX).unwrap();
        let people: Vec<_> = set.histories.iter().map(|history| Person::behind(history, TODAY)).collect();
        let mut regions: BTreeMap<&str, usize> = BTreeMap::new();
        for person in &people {
            *regions.entry(person.region).or_default() += 1;
        }
        for (region, percent) in REGIONS {
            let share = regions[region] as f64 * 100.0 / people.len() as f64;
            assert!((share - *percent as f64).abs() < 1.0, "{region}: {share}");
        }
        let minors = people.iter().filter(|person| person.birth > date(2008, 11, 22)).count();
        for count in [
            minors,
            people.iter().filter(|person| person.choices.is_empty()).count(),
            people.iter().filter(|person| person.objects).count(),
            people.iter().filter(|person| person.takes_back).count(),
            people.iter().filter(|person| person.signals).count(),
        ] {
            assert!((100..10_000).contains(&count), "{count}");
        }
    }
}
