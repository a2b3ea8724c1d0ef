//! Cases tell a pass from a difference, and a mistake of their own from both.

#![expect(clippy::unwrap_used, reason = "tests")]

use super::super::validate::tests::shipped;
use super::*;

fn policy() -> ValidPolicy {
    ValidPolicy::from_sources(&shipped()).unwrap()
}

fn outcomes(text: &str) -> Vec<CaseOutcome> {
    let sources: PolicySources = [("cases/a.toml", text)].into_iter().collect();
    run_cases(&policy(), &sources)
}

fn only(text: &str) -> CaseOutcome {
    let mut outcomes = outcomes(text);
    assert_eq!(outcomes.len(), 1, "{outcomes:#?}");
    outcomes.remove(0)
}

const GIVEN: &str = r#"
[[case]]
name = "a consent"
regimes = ["EU_GDPR:DE"]
[[case.event]]
kind = "GRANT_CONFIRMED"
purpose = "email_marketing"
"#;

fn expecting(lines: &str) -> CaseOutcome {
    only(&format!("{GIVEN}[[case.expect]]\nrecipient = \"mailer\"\npurpose = \"email_marketing\"\n{lines}"))
}

#[test]
fn the_shipped_cases_pass() {
    let outcomes = run_cases(&policy(), &shipped());
    let failed: Vec<_> = outcomes.iter().filter(|outcome| !outcome.passed()).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    assert!(outcomes.len() > 60, "{}", outcomes.len());
}

#[test]
fn every_vector_that_a_decision_can_show_is_a_shipped_case() {
    let outcomes = run_cases(&policy(), &shipped());
    for vector in [
        "V01", "V02", "V03", "V04", "V06", "V07", "V08", "V09", "V10", "V11", "V13", "V14", "V15", "V17", "V19",
        "V20", "V21", "V22", "V24", "V25", "V27", "V29", "V32", "V34", "V36", "V37", "V40", "V41",
    ] {
        assert!(outcomes.iter().any(|outcome| outcome.name.starts_with(&format!("{vector} "))), "{vector}");
    }
}

#[test]
fn the_cases_of_the_guide_pass() {
    let guide = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/policy-cases.md");
    let guide = std::fs::read_to_string(guide).unwrap();
    let examples = guide.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let sources: PolicySources =
        examples.enumerate().map(|(at, text)| (format!("cases/{at}.toml"), text)).collect();
    let outcomes = run_cases(&policy(), &sources);
    assert!(outcomes.len() >= 5 && outcomes.iter().all(CaseOutcome::passed), "{outcomes:#?}");
}

#[test]
fn a_difference_is_explained_with_its_line() {
    let outcome = expecting("decision = \"refuse\"\nreason = \"withdrawn\"\n");
    assert_eq!((outcome.name.as_str(), outcome.line), ("a consent", 2));
    let why = outcome.verdict.unwrap_err();
    assert!(
        why.starts_with(
            "cases/a.toml:8: at 2026-01-02T09:00:00.000Z: expected refuse (withdrawn), found permit of ["
        ),
        "{why}"
    );
}

#[test]
fn a_permit_names_exactly_the_attributes() {
    assert!(expecting("decision = \"permit\"\n").passed());
    assert!(expecting("decision = \"permit\"\npermitted = [\"city\", \"email\", \"first_name\"]\n").passed());
    assert!(!expecting("decision = \"permit\"\npermitted = [\"email\"]\n").passed());
    let asked = "attributes = [\"email\", \"age_band\"]\ndecision = \"permit\"\n";
    let why = expecting(asked).verdict.unwrap_err();
    assert!(why.contains("withheld: age_band (minimisation)"), "{why}");
    assert!(expecting(&format!("{asked}permitted = [\"email\"]\n")).passed());
    assert!(expecting(&format!("{asked}withheld = {{ age_band = \"minimisation\" }}\n")).passed());
    assert!(!expecting(&format!("{asked}withheld = {{ age_band = \"sensitive\" }}\n")).passed());
}

#[test]
fn what_is_received_later_has_not_happened_yet() {
    let before = "at = 2025-12-31T00:00:00Z\ndecision = \"refuse\"\nreason = \"no_consent\"\n";
    assert!(expecting(before).passed());
}

#[test]
fn a_mistake_in_a_case_has_its_line() {
    for (text, line, word) in [
        ("[[case]]\nname = \"a\"\ncolour = 1\n", 3, "colour"),
        ("[[case]]\nname = \"a\"\n", 1, "expect"),
        ("[[case]]\nname = \"a\"\n[[case.event]]\nkind = \"DANCED\"\n", 4, "DANCED"),
    ] {
        let outcome = only(text);
        let why = outcome.verdict.unwrap_err();
        assert!(why.contains(&format!("cases/a.toml:{line}:")) && why.contains(word), "{why}");
    }
    for (event, word) in [
        ("kind = \"REFUSED\"", "purpose"),
        ("kind = \"WITHDRAWN\"\nassurance = \"form\"", "assurance"),
        ("kind = \"WITHDRAWN\"\nregime = \"US_CA\"", "regime"),
        ("kind = \"BIRTH_DECLARED\"", "birth"),
        ("kind = \"BIRTH_DECLARED\"\nbirth = \"May\"", "birth"),
        ("kind = \"SIGNAL_GPC\"\nconflict_notice = true", "conflict_notice"),
        ("kind = \"RESTRICTED\"\nat = 2026-01-01", "time"),
        ("kind = \"RESTRICTED\"\ncaptured_at = 2026-01-01T00:00:00Z", "received_at"),
        ("kind = \"RESTRICTED\"\ncaptured_at = 2026-01-02T00:00:00Z\nreceived_at = 2026-01-01T00:00:00Z", "after"),
        ("kind = \"GRANT_CONFIRMED\"\npurpose = \"dancing\"", "dancing"),
        ("kind = \"GRANT_CONFIRMED\"\npurpose = \"email_marketing\"\nnotice = \"poster\"", "poster"),
    ] {
        let text = format!(
            "[[case]]\nname = \"a\"\n[[case.event]]\n{event}\n[[case.expect]]\nrecipient = \"mailer\"\n\
             purpose = \"email_marketing\"\ndecision = \"refuse\"\nreason = \"no_consent\"\n"
        );
        let why = only(&text).verdict.unwrap_err();
        assert!(why.contains(word) && !why.contains("expected"), "{event}: {why}");
    }
    for lines in [
        "",
        "decision = \"refuse\"\n",
        "decision = \"permit\"\nreason = \"minor\"\n",
        "decision = \"refuse\"\nreason = \"bored\"\n",
    ] {
        assert!(expecting(lines).verdict.is_err(), "{lines}");
    }
}

#[test]
fn a_mistake_in_a_case_is_a_fault_of_the_policy() {
    let mut sources = shipped();
    sources.push("cases/zz.toml", "[[case]]\nname = \"a\"\n");
    let faults = ValidPolicy::from_sources(&sources).unwrap_err();
    assert_eq!(
        faults.iter().map(|f| (f.file.as_str(), f.line, f.code)).collect::<Vec<_>>(),
        [("cases/zz.toml", 1, "case")]
    );
}

#[test]
fn facts_may_come_as_events() {
    let text = r#"
[[case]]
name = "moves to California"
[[case.event]]
kind = "BIRTH_DECLARED"
birth = "1990-02-28"
[[case.event]]
kind = "REGIME_DECLARED"
regime = "US_CA"
[[case.expect]]
at = "2026-01-01T10:00:00Z"
recipient = "adnetwork"
purpose = "share_third_party"
decision = "refuse"
reason = "no_consent"
[[case.expect]]
recipient = "adnetwork"
purpose = "share_third_party"
decision = "permit"
"#;
    assert_eq!(only(text).verdict, Ok(()));
}
