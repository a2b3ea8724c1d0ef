#![expect(clippy::unwrap_used, reason = "tests")]
use super::*;
use crate::consent::Grant;
use crate::seal::merge_record;
use crate::seal::tests::keyring;
use crate::subject::SubjectId;
use crate::time::Months;

const DAY: i64 = 86_400_000;
const WHO: SubjectId = SubjectId::from_bytes([1; 16]);

fn at(day: i64) -> Timestamp {
    Timestamp::from_millis(day * DAY)
}

fn mail() -> Purpose {
    "mail".parse().unwrap()
}

fn grant(assurance: Assurance, third_party: bool) -> Grant {
    Grant {
        notice: None,
        purpose_version: 1,
        assurance,
        explicit: false,
        controllers: Vec::new(),
        valid_until: None,
        third_party,
        product_family: None,
    }
}

fn statement(kind: EventKind) -> StagedStatement {
    let gives = matches!(kind, EventKind::GrantConfirmed | EventKind::SoftOptInBasis | EventKind::ImpliedBasis);
    let whole = matches!(kind, EventKind::Objected | EventKind::OptOutSaleShare);
    StagedStatement {
        kind,
        purpose: (!whole).then(mail),
        grant: gives.then(|| grant(Assurance::Imported, false)),
        proof: None,
        direct_marketing: true,
        sale_or_share: false,
        validity: Months(24),
    }
}

fn row(day: i64, kinds: &[EventKind]) -> StagedRow {
    StagedRow { statements: kinds.iter().map(|kind| statement(*kind)).collect(), ..StagedRow::of(at(day)) }
}

fn event(kind: EventKind, day: i64, assurance: Assurance) -> ConsentEvent {
    let whole = matches!(kind, EventKind::Objected | EventKind::OptOutSaleShare | EventKind::Restricted);
    let mut event = ConsentEvent::new(kind, (!whole).then(mail), at(day), at(day));
    event.grant = (kind == EventKind::GrantConfirmed).then(|| grant(assurance, false));
    event
}

fn verdict(row: &StagedRow, history: &[ConsentEvent]) -> Verdict {
    let standing = Standing::fold(WHO, history);
    let held = Held { standing: &standing, record: &[] };
    judge(row, Some(held), None, &"shop".parse().unwrap(), at(400)).unwrap()
}

fn kinds(verdict: &Verdict) -> Vec<EventKind> {
    match verdict {
        Verdict::Take(taken) => taken.events.iter().map(|event| event.kind).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn a_consent_never_overrides_what_the_person_said_here() {
    let given = row(300, &[EventKind::GrantConfirmed]);
    for (kind, reason) in [
        (EventKind::Withdrawn, LeftOut::Withdrawn),
        (EventKind::Refused, LeftOut::Refused),
        (EventKind::Objected, LeftOut::Objected),
        (EventKind::Restricted, LeftOut::Restricted),
    ] {
        for day in [1, 350] {
            let verdict = verdict(&given, &[event(kind, day, Assurance::Form)]);
            assert_eq!(verdict, Verdict::LeaveOut(reason), "{kind:?} on day {day}");
        }
    }
    let mut sale = given.clone();
    sale.statements[0].sale_or_share = true;
    let out = [event(EventKind::OptOutSaleShare, 1, Assurance::Form)];
    assert_eq!(verdict(&sale, &out), Verdict::LeaveOut(LeftOut::OptedOut));
    assert_eq!(kinds(&verdict(&given, &out)), [EventKind::GrantConfirmed]);
}

#[test]
fn an_own_consent_is_not_replaced_while_it_lasts() {
    let given = row(300, &[EventKind::GrantConfirmed]);
    let own = |day| [event(EventKind::GrantConfirmed, day, Assurance::Form)];
    assert_eq!(verdict(&given, &own(200)), Verdict::Unchanged);
    assert_eq!(verdict(&given, &own(350)), Verdict::Unchanged);
    // 24 months before day 400: it ran out.
    assert_eq!(kinds(&verdict(&given, &own(-400))), [EventKind::GrantConfirmed]);
    let imported = |day| [event(EventKind::GrantConfirmed, day, Assurance::Imported)];
    assert_eq!(kinds(&verdict(&given, &imported(200))), [EventKind::GrantConfirmed]);
    assert_eq!(verdict(&given, &imported(300)), Verdict::Unchanged);
    let mut partners = given;
    partners.statements[0].grant = Some(grant(Assurance::Imported, true));
    assert_eq!(verdict(&partners, &imported(200)), Verdict::Unchanged);
}

#[test]
fn a_no_is_taken_unless_the_person_said_yes_since() {
    let no = row(300, &[EventKind::Withdrawn]);
    let own = |day| [event(EventKind::GrantConfirmed, day, Assurance::Form)];
    assert_eq!(kinds(&verdict(&no, &own(299))), [EventKind::Withdrawn]);
    assert_eq!(kinds(&verdict(&no, &own(300))), [EventKind::Withdrawn]);
    assert_eq!(verdict(&no, &own(301)), Verdict::Unchanged);
    assert_eq!(verdict(&no, &[event(EventKind::Refused, 5, Assurance::Form)]), Verdict::Unchanged);
    assert_eq!(kinds(&verdict(&no, &[])), [EventKind::Withdrawn]);
    // Even where the rest of the row is left out.
    let both = row(300, &[EventKind::GrantConfirmed, EventKind::Objected]);
    let restricted = [event(EventKind::Restricted, 1, Assurance::Form)];
    assert_eq!(kinds(&verdict(&both, &restricted)), [EventKind::Objected]);
}

#[test]
fn eml_09_a_suppressed_stranger_is_left_out_and_a_known_person_is_judged() {
    let given = row(300, &[EventKind::GrantConfirmed]);
    let source = "shop".parse().unwrap();
    for (suppression, reason) in
        [(Suppression::Erasure, LeftOut::Erased), (Suppression::Other, LeftOut::Suppressed)]
    {
        let verdict = judge(&given, None, Some(suppression), &source, at(400)).unwrap();
        assert_eq!(verdict, Verdict::LeaveOut(reason));
    }
    assert!(matches!(judge(&given, None, None, &source, at(400)).unwrap(), Verdict::Take(_)));
    let standing = Standing::of(WHO);
    let held = Held { standing: &standing, record: &[] };
    let known = judge(&given, Some(held), Some(Suppression::Erasure), &source, at(400)).unwrap();
    assert!(matches!(known, Verdict::Take(_)));
}

#[test]
fn a_value_is_taken_only_if_it_is_newer_than_the_one_held() {
    let ring = keyring(1);
    struct Fixed;
    impl crate::entropy::Entropy for Fixed {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(3);
        }
    }
    let (key, _) = ring.create_key(WHO, &Fixed).unwrap();
    let source = "shop".parse().unwrap();
    let city: AttributeName = "city".parse().unwrap();
    let value = Value::Text("Graz".to_owned());
    let sealed = key.seal_attribute(&city, &value, at(300), &source).unwrap();
    let record = merge_record(&[], &[sealed]).unwrap();
    let standing = Standing::of(WHO);
    let held = Held { standing: &standing, record: &record };
    let ask = |day, names: &[&str]| {
        let attributes = names.iter().map(|name| (name.parse().unwrap(), value.clone())).collect();
        let row = StagedRow { attributes, ..StagedRow::of(at(day)) };
        judge(&row, Some(held), None, &source, at(400)).unwrap()
    };
    assert_eq!(ask(299, &["city"]), Verdict::LeaveOut(LeftOut::Corrected));
    assert_eq!(ask(300, &["city"]), Verdict::Unchanged);
    assert!(matches!(ask(301, &["city"]), Verdict::Take(taken) if taken.attributes.len() == 1 && taken.tells));
    // What is not held is taken beside a value that is not.
    let mixed = ask(299, &["city", "first_name"]);
    assert!(matches!(mixed, Verdict::Take(taken) if taken.attributes == [("first_name".parse().unwrap(), value)]));
}

#[test]
fn no_file_turns_a_child_into_an_adult() {
    let mut row = StagedRow::of(at(300));
    row.attributes = vec![("birth_date".parse().unwrap(), Value::Date(0))];
    let mut known = ConsentEvent::new(EventKind::BirthDeclared, None, at(1), at(1));
    known.birth = Some(Birth::Year(1960));
    row.birth = Some(Birth::Year(1950));
    assert!(kinds(&verdict(&row, std::slice::from_ref(&known))).is_empty());
    row.birth = Some(Birth::Year(1965));
    assert_eq!(kinds(&verdict(&row, &[known])), [EventKind::BirthDeclared]);
}
