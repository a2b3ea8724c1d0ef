//! The independent recount: from what was posted alone, who must be in a pull of `profiling_segmentation`?
//!
//! Written as a reader of the law would, without the policy's code: if the gateway and this page disagree about one
//! person, the demo fails.

use std::collections::BTreeMap;

use jiff::civil::Date;

/// What was posted about each person, and acknowledged.
#[derive(Debug, Default)]
pub(super) struct Posted {
    people: BTreeMap<String, Facts>,
}

#[derive(Debug, Default)]
struct Facts {
    region: &'static str,
    birth: Option<Date>,
    last_word: Option<Word>,
    objected: bool,
    erased: bool,
}

/// The last thing a person said about being grouped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Yes,
    No,
}

impl Posted {
    /// A record of this person was stored.
    pub(super) fn record(&mut self, email: &str, region: &'static str, birth: Date) {
        let facts = self.of(email);
        facts.region = region;
        facts.birth = Some(birth);
    }

    /// This person answered a form.
    pub(super) fn choices(&mut self, email: &str, choices: &[(&'static str, bool)]) {
        if let Some((_, yes)) = choices.iter().find(|(purpose, _)| *purpose == "profiling_segmentation") {
            self.of(email).last_word = Some(if *yes { Word::Yes } else { Word::No });
        }
    }

    /// This person objected to direct marketing.
    pub(super) fn objection(&mut self, email: &str) {
        self.of(email).objected = true;
    }

    /// This person took every consent back: a no to everything.
    pub(super) fn withdrawal(&mut self, email: &str) {
        self.of(email).last_word = Some(Word::No);
    }

    /// This person was erased.
    pub(super) fn erasure(&mut self, email: &str) {
        self.of(email).erased = true;
    }

    fn of(&mut self, email: &str) -> &mut Facts {
        self.people.entry(email.to_owned()).or_default()
    }

    /// How many persons there are, the erased ones left out.
    pub(super) fn persons(&self) -> usize {
        self.people.values().filter(|facts| !facts.erased).count()
    }

    /// Those who must be in the pull on this day.
    pub(super) fn permitted(&self, today: Date) -> impl Iterator<Item = &str> {
        self.people.iter().filter(move |(_, facts)| facts.may_be_grouped(today)).map(|(email, _)| email.as_str())
    }

    /// How many of them live in each country.
    pub(super) fn countries(&self, today: Date) -> BTreeMap<&'static str, u64> {
        let mut countries = BTreeMap::new();
        for facts in self.people.values().filter(|facts| facts.may_be_grouped(today)) {
            *countries.entry(facts.region.get(..2).unwrap_or_default()).or_default() += 1;
        }
        countries
    }
}

impl Facts {
    fn may_be_grouped(&self, today: Date) -> bool {
        // Erased persons are gone, and objecting to direct marketing ends grouping for it (GDPR Art. 21(3)).
        if self.erased || self.objected {
            return false;
        }
        // Nobody here has a parent's word, so children cannot be grouped (GDPR Art. 8; elsewhere 13).
        let Some(birth) = self.birth else { return false };
        if age(birth, today) < self.age_of_consent() {
            return false;
        }
        // North America: unless they said no. Global Privacy Control is about selling and sharing; this is neither.
        // Everywhere else, unknown places included: only if they said yes, and nothing since.
        match self.region.get(..2) {
            Some("US" | "CA") => self.last_word != Some(Word::No),
            _ => self.last_word == Some(Word::Yes),
        }
    }

    fn age_of_consent(&self) -> i16 {
        match self.region {
            "DE" | "NL" | "PL" | "IE" => 16,
            "FR" => 15,
            "IT" | "ES" | "AT" => 14,
            "SE" | "BE" | "GB" => 13,
            region if region.starts_with("US-") || region.starts_with("CA-") => 13,
            _ => 16,
        }
    }
}

fn age(birth: Date, today: Date) -> i16 {
    let birthday_came = (today.month(), today.day()) >= (birth.month(), birth.day());
    today.year() - birth.year() - i16::from(!birthday_came)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    const TODAY: Date = date(2026, 11, 22);
    const GROWN: Date = date(1980, 1, 1);

    fn permitted(region: &'static str, birth: Date, tell: impl Fn(&mut Posted)) -> bool {
        let mut posted = Posted::default();
        posted.record("a@example.org", region, birth);
        tell(&mut posted);
        posted.permitted(TODAY).count() == 1
    }

    #[test]
    fn europe_needs_a_yes_and_america_heeds_a_no() {
        let yes = |posted: &mut Posted| posted.choices("a@example.org", &[("profiling_segmentation", true)]);
        let no = |posted: &mut Posted| posted.choices("a@example.org", &[("profiling_segmentation", false)]);
        for region in ["DE", "GB", "JP"] {
            assert!(permitted(region, GROWN, yes), "{region}");
            assert!(!permitted(region, GROWN, no) && !permitted(region, GROWN, |_| {}), "{region}");
        }
        for region in ["US-CA", "US-TX", "CA-ON"] {
            assert!(permitted(region, GROWN, yes) && permitted(region, GROWN, |_| {}), "{region}");
            assert!(!permitted(region, GROWN, no), "{region}");
        }
    }

    #[test]
    fn a_later_word_an_objection_an_erasure_and_a_childs_age_count() {
        let yes = |posted: &mut Posted| posted.choices("a@example.org", &[("profiling_segmentation", true)]);
        let after = |then: fn(&mut Posted, &str)| {
            permitted("DE", GROWN, move |posted| {
                yes(posted);
                then(posted, "a@example.org");
            })
        };
        assert!(!after(Posted::withdrawal) && !after(Posted::objection) && !after(Posted::erasure));
        assert!(!permitted("DE", date(2010, 11, 23), yes), "still 15");
        assert!(permitted("DE", date(2010, 11, 22), yes), "16 today");
    }
}
