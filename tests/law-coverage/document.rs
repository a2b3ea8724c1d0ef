//! The document: one line a row, and one a conflict vector.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::catalogue::Row;
use crate::coverage::Coverage;
use crate::tests_of::Proof;

const HEAD: &str = "\
# Which rules of law are covered, and by which tests

<!-- Made by `cargo run -p consentry-law-coverage` from docs/law-rows.toml, the tests and the policy's cases. Do not edit. -->

Each row is proven by the tests beside it, or out of scope for the reason beside it. A test proves the rows that its
name begins with; a name in the table is a function that the test harness really runs. `case:` is a given/when/then
case of the policy, which `consentry policy check` and the kernel's tests run. Tests under `tests/suite/` and
`src/store/tests/` run on SQLite and on PostgreSQL. `V04` is a conflict vector of the second table: a test through
the HTTP API as well. Besides, the decision as a whole is compared with a naive reading of the law in 100,000 random
cases (`the_decision_agrees_with_a_naive_reading_of_the_law`).
";

const FAMILIES: [(&str, &str); 10] = [
    ("CAP", "Consent: what counts as one"),
    ("STA", "What events mean over time"),
    ("NOT", "Notices"),
    ("OBJ", "Objection"),
    ("EML", "Email"),
    ("ADM", "Automated decisions and profiling"),
    ("RES", "Restriction"),
    ("PSE", "Pseudonymity and minimisation"),
    ("SEG", "Segments"),
    ("SEC", "Security"),
];

/// The whole document.
pub(crate) fn render(coverage: &Coverage) -> String {
    // Writing to a string cannot fail.
    let mut text = format!("{HEAD}\n{}\n", coverage.summary());
    if !coverage.faults.is_empty() {
        text.push_str("\n**Faults**\n\n");
        for fault in &coverage.faults {
            let _ = writeln!(text, "- {fault}");
        }
    }
    let mut family = "";
    for row in &coverage.catalogue.rows {
        let of_row = row.id.get(..3).unwrap_or_default();
        if of_row != family {
            family = of_row;
            let title = FAMILIES.iter().find(|(known, _)| *known == family).map_or(family, |(_, title)| title);
            let _ = writeln!(text, "\n## {title}\n\n| Row | Source | Asks for | Proven by |\n|---|---|---|---|");
        }
        let _ = writeln!(text, "| {} | {} | {} | {} |", row.id, row.source, row.requires, of(coverage, row));
    }
    text.push_str("\n## Conflict vectors\n\n| Vector | Events and answer | Proven by |\n|---|---|---|\n");
    for vector in &coverage.catalogue.vectors {
        let mut proofs = shown(coverage.proofs(&vector.id));
        if coverage.over_http(&vector.id).next().is_none() {
            proofs.insert(0, "**not covered** through the API".to_owned());
        }
        let _ = writeln!(text, "| {} | {} | {} |", vector.id, vector.states, proofs.join("<br>"));
    }
    text
}

/// What proves a row, or why nothing does.
fn of(coverage: &Coverage, row: &Row) -> String {
    if let Some(reason) = &row.out_of_scope {
        return format!("out of scope: {reason}");
    }
    let mut cells = shown(coverage.proofs(&row.id));
    let vectors: Vec<&str> = row
        .vectors
        .iter()
        .filter(|vector| coverage.over_http(vector).next().is_some())
        .map(String::as_str)
        .collect();
    if !vectors.is_empty() {
        cells.push(vectors.join(", "));
    }
    if cells.is_empty() {
        cells.push("**not covered**".to_owned());
    }
    cells.extend(row.remark.clone());
    cells.join("<br>")
}

/// Proofs as the document names them: by file, the cases last.
fn shown<'a>(proofs: impl Iterator<Item = &'a Proof>) -> Vec<String> {
    let (cases, tests): (BTreeSet<&Proof>, BTreeSet<&Proof>) = proofs.partition(|proof| proof.is_case);
    let tests = tests.into_iter().map(|test| format!("`{}` ({})", test.name, test.file));
    tests.chain(cases.into_iter().map(|case| format!("case: {} ({})", case.name, case.file))).collect()
}

/// What one text has and the other lacks, line by line.
pub(crate) fn differences(stored: &str, made: &str) -> Vec<String> {
    if stored == made {
        return Vec::new();
    }
    let (old, new): (BTreeSet<&str>, BTreeSet<&str>) = (stored.lines().collect(), made.lines().collect());
    let gone = stored.lines().filter(|line| !new.contains(line)).map(|line| format!("- {line}"));
    let come = made.lines().filter(|line| !old.contains(line)).map(|line| format!("+ {line}"));
    let mut differences: Vec<_> = gone.chain(come).collect();
    if differences.is_empty() {
        differences.push("the order of the lines differs".to_owned());
    }
    differences
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_name_what_came_and_what_went() {
        assert_eq!(differences("a\nb\n", "a\nc\n"), ["- b", "+ c"]);
        assert_eq!(differences("a\nb\n", "b\na\n"), ["the order of the lines differs"]);
        assert!(differences("a\n", "a\n").is_empty());
    }
}
