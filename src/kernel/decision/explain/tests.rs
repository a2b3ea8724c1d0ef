//! What is explained is what was decided.
#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::decision::tests::{ATTRIBUTES, PURPOSES, RECIPIENTS, Random, at, history, name, policy};

const DAY: i64 = 86_400_000;
const CASES: u64 = 20_000;

/// A random policy, history, question and time within the history.
fn each_case(mut check: impl FnMut(&Question<'_>, &Standing)) {
    for seed in 0..CASES {
        let mut random = Random(seed);
        let policy = policy(&mut random);
        let events = history(&mut random);
        let attributes = ATTRIBUTES.iter().map(|id| name(id)).collect();
        let ask = Ask::new(&policy, name(random.pick(&RECIPIENTS)), name(random.pick(&PURPOSES)), attributes);
        let day = 995 + i64::try_from(random.below(300)).unwrap();
        let question = Question {
            policy: &policy,
            subject: SubjectId::from_bytes([7; 16]),
            events: &events,
            ask: &ask,
            at: at(day * DAY),
        };
        let until: Vec<_> = events.iter().filter(|event| event.received_at <= question.at).cloned().collect();
        check(&question, &Standing::fold(question.subject, &until));
    }
}

fn decided(question: &Question<'_>, standing: &Standing) -> Result<Vec<AttributeName>, Refusal> {
    match decide(question.policy, standing, question.ask, question.at) {
        Decision::Permit(permit) => Ok(permit.attributes().cloned().collect()),
        Decision::Refuse(refusal) => Err(refusal),
    }
}

#[test]
fn the_explained_result_is_the_decision_over_the_events_up_to_then() {
    let (mut permitted, mut refused) = (0, 0);
    each_case(|question, standing| {
        let explained = explain(question);
        let result = explained.refusal.map_or_else(|| Ok(explained.permitted.clone()), Err);
        assert_eq!(result, decided(question, standing));
        if result.is_ok() { permitted += 1 } else { refused += 1 }
    });
    assert!(permitted > 1_000 && refused > 1_000, "{permitted} {refused}");
}

#[test]
fn what_came_later_has_no_influence() {
    each_case(|question, _| {
        let until: Vec<_> =
            question.events.iter().filter(|event| event.received_at <= question.at).cloned().collect();
        assert_eq!(explain(question), explain(&Question { events: &until, ..*question }));
    });
}

#[test]
fn it_is_permitted_when_and_only_when_every_regime_permits() {
    each_case(|question, _| {
        let explained = explain(question);
        let all = explained.regimes.iter().all(|finding| finding.refusal.is_none());
        assert_eq!(explained.refusal.is_none(), all, "{explained:?}");
    });
}

#[test]
fn every_way_to_another_result_leads_there() {
    each_case(|question, standing| {
        let until: Vec<_> =
            question.events.iter().filter(|event| event.received_at <= question.at).cloned().collect();
        let question = &Question { events: &until, ..*question };
        let explained = explain(question);
        let later = question.next_instant();
        for way in &explained.changes {
            let mut changed = standing.clone();
            for event in way.iter().flat_map(|step| step.events(question, later)) {
                changed.apply(&event);
            }
            let after = decided(&Question { at: later, ..*question }, &changed);
            assert_ne!(after.is_ok(), explained.refusal.is_none(), "{way:?}");
        }
        if let Some(time) = explained.changes_at {
            let before = decided(&Question { at: time.plus_ms(-1), ..*question }, standing);
            let after = decided(&Question { at: time, ..*question }, standing);
            assert_eq!(before.is_ok(), explained.refusal.is_none());
            assert_ne!(after.is_ok(), before.is_ok());
        }
    });
}

#[test]
fn the_event_behind_a_result_is_one_that_was_known() {
    each_case(|question, _| {
        let explained = explain(question);
        let findings = explained.regimes.iter().map(|finding| finding.event);
        for sequence in findings.chain([explained.event]).flatten() {
            let event = question.events.iter().find(|event| event.sequence == sequence).unwrap();
            assert!(event.received_at <= question.at);
            assert!(event.purpose.as_ref().is_none_or(|purpose| purpose == question.ask.purpose()));
        }
        let needs_event = matches!(
            explained.refusal,
            Some(
                Refusal::Restricted | Refusal::Objected | Refusal::Withdrawn | Refusal::Expired | Refusal::Pending
            )
        );
        assert!(!needs_event || explained.event.is_some(), "{explained:?}");
    });
}

#[test]
fn a_consent_that_ran_out_is_in_the_history_once() {
    each_case(|question, standing| {
        let ended =
            crate::decision::expiry::expiries(question.policy, question.subject, question.events, question.at);
        assert!(ended.is_sorted_by_key(|event| event.received_at));
        for event in &ended {
            let grant = question.events.iter().find(|grant| grant.sequence == event.sequence).unwrap();
            assert_eq!((event.kind, &event.purpose), (EventKind::Expired, &grant.purpose));
            assert!(event.received_at <= question.at);
            let same =
                |other: &&ConsentEvent| (other.sequence, &other.purpose) == (event.sequence, &event.purpose);
            assert_eq!(ended.iter().filter(same).count(), 1);
        }
        // Whenever the decision finds the consent itself run out, the history says when.
        if let Some(grant) = standing.effective(question.ask.purpose()) {
            let rule = question.rule().unwrap();
            let end = end_of(grant, rule);
            if end <= question.at && end > grant.received_at {
                assert!(ended.iter().any(|event| event.sequence == grant.sequence && event.received_at == end));
            }
        }
    });
}
