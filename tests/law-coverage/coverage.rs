//! Rows and tests brought together by name: `cap_16_…` proves CAP-16, `cap_10_and_12_…` proves two rows, `v04_…` proves
//! the conflict vector V04, and so does a policy case whose name begins with the id.

use std::collections::{BTreeMap, BTreeSet};

use crate::catalogue::Catalogue;
use crate::tests_of::Proof;

/// Where the tests are that speak to the gateway as its callers do.
const OVER_HTTP: &str = "tests/suite/";

/// What proves what.
#[derive(Debug)]
pub(crate) struct Coverage {
    /// The rows and vectors.
    pub(crate) catalogue: Catalogue,
    /// The proofs of each row and vector, by id.
    proofs: BTreeMap<String, BTreeSet<Proof>>,
    /// What contradicts itself.
    pub(crate) faults: Vec<String>,
}

impl Coverage {
    /// Brings rows and proofs together.
    pub(crate) fn of(catalogue: Catalogue, all: &BTreeSet<Proof>) -> Self {
        let mut coverage = Self { catalogue, proofs: BTreeMap::new(), faults: Vec::new() };
        coverage.check_ids();
        let families = coverage.families();
        for proof in all {
            for id in ids(proof, &families) {
                coverage.proofs.entry(id).or_default().insert(proof.clone());
            }
        }
        let known: BTreeSet<String> = coverage.ids().map(str::to_owned).collect();
        for (id, proofs) in &coverage.proofs {
            if let (false, Some(proof)) = (known.contains(id), proofs.first()) {
                let name = &proof.name;
                coverage.faults.push(format!("{}: `{name}` claims to prove {id}, which is no row", proof.file));
            }
        }
        coverage.take_also(all);
        for row in &coverage.catalogue.rows {
            let proven = coverage.proofs.get(&row.id).is_some_and(|proofs| !proofs.is_empty());
            if row.out_of_scope.is_some() && proven {
                coverage.faults.push(format!("{} is proven and given up as out of scope", row.id));
            }
        }
        coverage
    }

    fn ids(&self) -> impl Iterator<Item = &str> {
        let vectors = self.catalogue.vectors.iter().map(|vector| vector.id.as_str());
        self.catalogue.rows.iter().map(|row| row.id.as_str()).chain(vectors)
    }

    fn check_ids(&mut self) {
        let mut seen = BTreeSet::new();
        let twice: Vec<_> =
            self.ids().filter(|id| !seen.insert(*id)).map(|id| format!("{id} is there twice")).collect();
        let strange: Vec<_> =
            self.ids().filter(|id| split(id).is_none()).map(|id| format!("{id} is no id of a row")).collect();
        let vectors: BTreeSet<_> = self.catalogue.vectors.iter().map(|vector| vector.id.as_str()).collect();
        let unknown: Vec<_> = self
            .catalogue
            .rows
            .iter()
            .flat_map(|row| row.vectors.iter().map(|vector| (&row.id, vector)))
            .filter(|(_, vector)| !vectors.contains(vector.as_str()))
            .map(|(row, vector)| format!("{row} names the vector {vector}, which is not there"))
            .collect();
        self.faults.extend(twice.into_iter().chain(strange).chain(unknown));
    }

    fn families(&self) -> BTreeSet<String> {
        self.ids().filter_map(split).map(|(family, _)| family.to_lowercase()).collect()
    }

    /// The tests that a row names because their own names do not say it.
    fn take_also(&mut self, all: &BTreeSet<Proof>) {
        for row in &self.catalogue.rows {
            for name in &row.also {
                let found: Vec<_> = all.iter().filter(|proof| proof.name == *name).collect();
                if found.is_empty() {
                    self.faults.push(format!("{} names the test `{name}`, which is not there", row.id));
                }
                self.proofs.entry(row.id.clone()).or_default().extend(found.into_iter().cloned());
            }
        }
    }

    /// What proves a row or vector.
    pub(crate) fn proofs(&self, id: &str) -> impl Iterator<Item = &Proof> {
        self.proofs.get(id).into_iter().flatten()
    }

    /// What proves a vector through the HTTP API.
    pub(crate) fn over_http(&self, vector: &str) -> impl Iterator<Item = &Proof> {
        self.proofs(vector).filter(|proof| proof.file.starts_with(OVER_HTTP))
    }

    /// Whether a row is proven, by itself or by a vector.
    pub(crate) fn is_proven(&self, id: &str) -> bool {
        let row = self.catalogue.rows.iter().find(|row| row.id == id);
        let by_vector =
            row.is_some_and(|row| row.vectors.iter().any(|vector| self.over_http(vector).next().is_some()));
        by_vector || self.proofs(id).next().is_some()
    }

    /// What is neither proven nor given up with a reason.
    pub(crate) fn missing(&self) -> Vec<String> {
        let rows = self.catalogue.rows.iter();
        let rows = rows.filter(|row| row.out_of_scope.is_none() && !self.is_proven(&row.id));
        let vectors = self.catalogue.vectors.iter().filter(|vector| self.over_http(&vector.id).next().is_none());
        rows.map(|row| format!("{} is not covered: {}", row.id, row.requires))
            .chain(vectors.map(|vector| format!("{} has no test through the API: {}", vector.id, vector.states)))
            .collect()
    }

    /// The counts, in one line.
    pub(crate) fn summary(&self) -> String {
        let rows = &self.catalogue.rows;
        let proven = rows.iter().filter(|row| self.is_proven(&row.id)).count();
        let given_up = rows.iter().filter(|row| row.out_of_scope.is_some()).count();
        let vectors = self.catalogue.vectors.len();
        let run =
            self.catalogue.vectors.iter().filter(|vector| self.over_http(&vector.id).next().is_some()).count();
        format!(
            "{} rows: {proven} proven, {given_up} out of scope, {} not covered. {run} of {vectors} conflict vectors run \
             through the HTTP API.",
            rows.len(),
            rows.len().saturating_sub(proven + given_up)
        )
    }
}

/// The family and the number of an id: `CAP-01`, `V40`.
fn split(id: &str) -> Option<(&str, &str)> {
    let at = id.find(|character: char| character.is_ascii_digit())?;
    let (family, number) = id.split_at(at);
    let named = match family.strip_suffix('-') {
        Some(letters) => letters.len() == 3 && letters.bytes().all(|byte| byte.is_ascii_uppercase()),
        None => family == "V",
    };
    let family = family.trim_end_matches('-');
    (named && number.len() == 2 && number.bytes().all(|byte| byte.is_ascii_digit())).then_some((family, number))
}

fn id(family: &str, number: &str) -> String {
    let family = family.to_uppercase();
    if family == "V" { format!("V{number}") } else { format!("{family}-{number}") }
}

/// The rows and vectors that a name claims to prove.
fn ids(proof: &Proof, families: &BTreeSet<String>) -> Vec<String> {
    if proof.is_case {
        let first = proof.name.split(' ').next().unwrap_or_default();
        return split(first).map(|(family, number)| id(family, number)).into_iter().collect();
    }
    let mut ids = Vec::new();
    let mut family: Option<String> = None;
    let mut words = proof.name.split('_').peekable();
    loop {
        let Some(word) = words.next() else { return ids };
        let is_number = |word: &str| word.len() == 2 && word.bytes().all(|byte| byte.is_ascii_digit());
        if is_number(word) && family.is_some() {
            ids.extend(family.as_deref().map(|family| id(family, word)));
        } else if let Some(number) = word.strip_prefix('v').filter(|number| is_number(number)) {
            family = Some("v".to_owned());
            ids.push(id("v", number));
        } else if families.contains(word) && words.peek().is_some_and(|next| is_number(next)) {
            family = Some(word.to_owned());
            continue;
        } else {
            return ids;
        }
        // After a number only `and` goes on.
        if words.next() != Some("and") {
            return ids;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claimed(name: &str) -> Vec<String> {
        let families = ["cap", "sta", "not", "v"].map(str::to_owned).into();
        ids(&Proof { file: String::new(), name: name.to_owned(), is_case: false }, &families)
    }

    #[test]
    fn a_name_begins_with_what_it_proves() {
        assert_eq!(claimed("cap_16_get_of_the_link_confirms_nothing"), ["CAP-16"]);
        assert_eq!(claimed("cap_10_and_12_closing_or_leaving"), ["CAP-10", "CAP-12"]);
        assert_eq!(claimed("cap_06_and_not_01_a_notice"), ["CAP-06", "NOT-01"]);
        assert_eq!(claimed("cap_14_and_15_and_16_x"), ["CAP-14", "CAP-15", "CAP-16"]);
        assert_eq!(claimed("v40_withdrawing"), ["V40"]);
        assert_eq!(claimed("v02_and_03_x"), ["V02", "V03"]);
        for other in ["a_notice", "not_a_row", "cap_1_x", "cap_and_16", "value_01", "v4_x", "and_cap_16", ""] {
            assert_eq!(claimed(other), [""; 0], "{other}");
        }
    }

    #[test]
    fn a_case_begins_with_what_it_proves() {
        let case = |name: &str| {
            ids(&Proof { file: String::new(), name: name.to_owned(), is_case: true }, &BTreeSet::new())
        };
        assert_eq!(case("CAP-19 a late post"), ["CAP-19"]);
        assert_eq!(case("V04 a withdrawal"), ["V04"]);
        assert_eq!(case("an erased person is not found"), [""; 0]);
    }

    fn catalogue(rows: &str) -> Catalogue {
        toml::from_str(rows).unwrap_or(Catalogue { rows: Vec::new(), vectors: Vec::new() })
    }

    fn test(file: &str, name: &str) -> Proof {
        Proof { file: file.to_owned(), name: name.to_owned(), is_case: false }
    }

    #[test]
    fn a_row_is_proven_or_given_up_or_missing() {
        let rows = "row = [
            { id = 'CAP-01', source = 's', requires = 'one' },
            { id = 'CAP-02', source = 's', requires = 'two', out_of_scope = 'why' },
            { id = 'CAP-03', source = 's', requires = 'three', vectors = ['V01'] },
            { id = 'CAP-04', source = 's', requires = 'four', also = ['named_otherwise'] },
            { id = 'CAP-05', source = 's', requires = 'five' },
        ]
        vector = [{ id = 'V01', states = 'first' }, { id = 'V02', states = 'second' }]";
        let proofs = [
            test("tests/suite/a.rs", "cap_01_x"),
            test("tests/suite/a.rs", "v01_x"),
            test("src/a.rs", "v02_x"),
            test("src/a.rs", "named_otherwise"),
        ];
        let coverage = Coverage::of(catalogue(rows), &proofs.into());
        assert_eq!(coverage.faults, [""; 0]);
        assert_eq!(coverage.missing(), ["CAP-05 is not covered: five", "V02 has no test through the API: second"]);
        assert!(coverage.summary().starts_with("5 rows: 3 proven, 1 out of scope, 1 not covered. 1 of 2"));
    }

    #[test]
    fn what_contradicts_itself_is_a_fault() {
        let rows = "row = [
            { id = 'CAP-01', source = 's', requires = 'one', out_of_scope = 'why' },
            { id = 'CAP-01', source = 's', requires = 'one', vectors = ['V09'] },
            { id = 'CAP-1', source = 's', requires = 'one', also = ['not_there'] },
        ]";
        let proofs = [test("a.rs", "cap_01_x"), test("a.rs", "cap_77_x")];
        let faults = Coverage::of(catalogue(rows), &proofs.into()).faults;
        for fault in [
            "CAP-01 is there twice",
            "CAP-1 is no id of a row",
            "CAP-01 names the vector V09, which is not there",
            "a.rs: `cap_77_x` claims to prove CAP-77, which is no row",
            "CAP-1 names the test `not_there`, which is not there",
            "CAP-01 is proven and given up as out of scope",
        ] {
            assert!(faults.iter().any(|found| found == fault), "{fault}: {faults:?}");
        }
    }
}
