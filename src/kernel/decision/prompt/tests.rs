//! When a form may ask again, row by row.
#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::policy::validate::tests::shipped;
use crate::subject::Birth;

const SUBJECT: SubjectId = SubjectId::from_bytes([5; 16]);
const MAIL: &str = "email_marketing";
const SHARE: &str = "share_third_party";
const HEALTH: &str = "sensitive_segmentation";

fn at(text: &str) -> Timestamp {
    let text = if text.len() == 10 { format!("{text}T12:00:00Z") } else { text.to_owned() };
    text.parse().unwrap()
}

/// A history in a few words.
struct Told(Vec<ConsentEvent>);

impl Told {
    fn under(regimes: &[&str]) -> Self {
        let declared = regimes.iter().map(|regime| ConsentEvent {
            regime: Some(regime.parse().unwrap()),
            ..ConsentEvent::new(EventKind::RegimeDeclared, None, at("2020-01-01"), at("2020-01-01"))
        });
        Self(declared.collect())
    }

    fn born(mut self, year: i16, month: u8, day: u8) -> Self {
        let birth = Some(Birth::Date(year, month, day));
        let event = ConsentEvent::new(EventKind::BirthDeclared, None, at("2020-01-01"), at("2020-01-01"));
        self.0.push(ConsentEvent { birth, ..event });
        self
    }

    fn says(mut self, kind: EventKind, purpose: Option<&str>, on: &str) -> Self {
        let grant = (kind == EventKind::GrantConfirmed).then(|| Grant {
            notice: None,
            purpose_version: if purpose == Some(SHARE) { 2 } else { 1 },
            assurance: Assurance::Authenticated,
            explicit: true,
            controllers: vec!["example_shop".parse().unwrap(), "example_ads".parse().unwrap()],
            valid_until: None,
            third_party: false,
            product_family: None,
        });
        let purpose = purpose.map(|purpose| purpose.parse().unwrap());
        self.0.push(ConsentEvent { grant, ..ConsentEvent::new(kind, purpose, at(on), at(on)) });
        self
    }

    fn ask(&self, purpose: &str, on: &str) -> PromptAnswer {
        self.asked(purpose, on, None, false)
    }

    fn asked(
        &self,
        purpose: &str,
        on: &str,
        prompts: Option<Prompts>,
        transaction_requires: bool,
    ) -> PromptAnswer {
        let policy = ValidPolicy::from_sources(&shipped()).unwrap();
        let purpose = policy.purpose(&purpose.parse().unwrap()).unwrap();
        let mut events = self.0.clone();
        let shown = policy.current_notice(&"checkout".parse().unwrap(), "en").unwrap();
        for (sequence, event) in events.iter_mut().enumerate() {
            event.sequence = u32::try_from(sequence).unwrap();
            if let Some(grant) = &mut event.grant {
                grant.notice = Some(shown.digest);
            }
        }
        may_prompt(&PromptQuestion {
            policy: &policy,
            purpose,
            subject: SUBJECT,
            events: &events,
            prompts,
            transaction_requires,
            now: at(on),
        })
    }
}

#[track_caller]
fn expect(answer: PromptAnswer, may_prompt: bool, reason: PromptReason) {
    assert_eq!((answer.may_prompt, answer.reason), (may_prompt, reason), "{answer:?}");
}

#[test]
fn somebody_of_whom_nothing_is_known_may_be_asked() {
    expect(Told(Vec::new()).ask(MAIL, "2026-11-22"), true, PromptReason::NotAskedYet);
}

#[test]
fn sta_09_a_refusal_is_respected_for_six_months() {
    let refused = Told::under(&["EU_GDPR:DE"]).says(EventKind::Refused, Some(MAIL), "2026-08-31");
    for (on, may, reason) in [
        ("2026-08-31", false, PromptReason::Waiting),
        // +5 months, and the last day of the sixth: the wait rounds up.
        ("2027-01-31", false, PromptReason::Waiting),
        ("2027-02-28", false, PromptReason::Waiting),
        ("2027-03-01", true, PromptReason::WaitOver),
        // +7 months.
        ("2027-03-31", true, PromptReason::WaitOver),
    ] {
        expect(refused.ask(MAIL, on), may, reason);
    }
    assert_eq!(refused.ask(MAIL, "2026-12-01").not_before, Some(at("2027-03-01")));
    // Another purpose was not refused.
    expect(refused.ask("profiling_segmentation", "2026-09-01"), true, PromptReason::NotAskedYet);
}

#[test]
fn sta_09_a_withdrawal_is_a_no_and_a_later_yes_ends_the_wait() {
    let withdrawn = Told::under(&["EU_GDPR:DE"]).says(EventKind::GrantConfirmed, Some(MAIL), "2024-01-01").says(
        EventKind::Withdrawn,
        None,
        "2024-02-01",
    );
    expect(withdrawn.ask(MAIL, "2024-03-01"), false, PromptReason::Waiting);
    let again = withdrawn.says(EventKind::GrantConfirmed, Some(MAIL), "2024-03-02");
    expect(again.ask(MAIL, "2024-03-03"), false, PromptReason::AlreadyGiven);
    // It ran out: that is no refusal.
    expect(again.ask(MAIL, "2026-03-03"), true, PromptReason::WaitOver);
}

#[test]
fn sta_31_m01_california_waits_twelve_months_and_rounds_up() {
    for (out, blocked, allowed) in [
        // M01.
        ("2026-11-22", "2027-11-21", "2027-11-23"),
        // M02: there is no 29 February in the next year.
        ("2024-02-29", "2025-02-28", "2025-03-02"),
    ] {
        for kind in [EventKind::OptOutSaleShare, EventKind::SignalGpc] {
            let told = Told::under(&["US_CA"]).says(kind, None, out);
            expect(told.ask(SHARE, blocked), false, PromptReason::Waiting);
            expect(told.ask(SHARE, allowed), true, PromptReason::WaitOver);
            // The opt-out is not one of emails.
            expect(told.ask(MAIL, blocked), false, PromptReason::NotNeeded);
        }
    }
    let m02 = Told::under(&["US_CA"]).says(EventKind::OptOutSaleShare, None, "2024-02-29");
    assert_eq!(m02.ask(SHARE, "2024-06-01").not_before, Some(at("2025-03-01")));
}

#[test]
fn sta_31_the_wait_counts_from_the_last_opt_out_and_covers_the_limit() {
    let twice = Told::under(&["US_CA"]).says(EventKind::OptOutSaleShare, None, "2026-01-10").says(
        EventKind::SignalGpc,
        None,
        "2026-06-10",
    );
    expect(twice.ask(SHARE, "2027-02-01"), false, PromptReason::Waiting);
    expect(twice.ask(SHARE, "2027-06-11"), true, PromptReason::WaitOver);
    let limited = Told::under(&["US_CA"]).says(EventKind::LimitSpi, None, "2026-01-10");
    expect(limited.ask(HEALTH, "2027-01-09"), false, PromptReason::Waiting);
    expect(limited.ask(HEALTH, "2027-01-11"), true, PromptReason::WaitOver);
    // A limit of sensitive use is no opt-out of sale.
    expect(limited.ask(SHARE, "2026-02-01"), false, PromptReason::NotNeeded);
}

#[test]
fn sta_33_a_transaction_of_the_persons_own_may_ask_within_the_wait() {
    let out = Told::under(&["US_CA"]).says(EventKind::OptOutSaleShare, None, "2026-11-22");
    expect(out.ask(SHARE, "2026-12-22"), false, PromptReason::Waiting);
    expect(out.asked(SHARE, "2026-12-22", None, true), true, PromptReason::TransactionRequires);
    // Europe knows no such exception: every regime must allow it.
    let both = Told::under(&["US_CA", "EU_GDPR:DE"]).says(EventKind::Refused, Some(SHARE), "2026-11-22");
    expect(both.asked(SHARE, "2026-12-22", None, true), false, PromptReason::Waiting);
    // Nor does an email.
    let mail = Told::under(&["EU_GDPR:DE"]).says(EventKind::Refused, Some(MAIL), "2026-11-22");
    expect(mail.asked(MAIL, "2026-12-22", None, true), false, PromptReason::Waiting);
}

#[test]
fn sta_35_a_minor_who_declined_is_asked_at_the_sooner_of_twelve_months_and_sixteen() {
    // Declined at 15 years and 3 months: 16 comes first.
    let older = Told::under(&["US_CA"]).born(2011, 2, 10).says(EventKind::Refused, Some(SHARE), "2026-05-10");
    expect(older.ask(SHARE, "2027-02-09"), false, PromptReason::Waiting);
    expect(older.ask(SHARE, "2027-02-10"), true, PromptReason::WaitOver);
    assert_eq!(older.ask(SHARE, "2026-06-01").not_before, Some(at("2027-02-10T00:00:00Z")));
    // Declined at 14 years and 3 months: the twelve months come first.
    let younger = Told::under(&["US_CA"]).born(2012, 2, 10).says(EventKind::Refused, Some(SHARE), "2026-05-10");
    expect(younger.ask(SHARE, "2027-05-10T11:59:59Z"), false, PromptReason::Waiting);
    expect(younger.ask(SHARE, "2027-05-10"), true, PromptReason::WaitOver);
    // An adult waits the twelve months.
    let adult = Told::under(&["US_CA"]).born(1990, 2, 10).says(EventKind::Refused, Some(SHARE), "2026-05-10");
    expect(adult.ask(SHARE, "2027-05-09"), false, PromptReason::Waiting);
}

#[test]
fn cap_13_a_question_without_an_answer_is_not_put_again_inside_the_gap() {
    let told = Told::under(&["EU_GDPR:DE"]);
    let prompted = |count, last: &str| Some(Prompts { count, last_at: at(last) });
    let ask = |on, prompts| told.asked(MAIL, on, prompts, false);
    expect(ask("2026-11-22", None), true, PromptReason::NotAskedYet);
    expect(ask("2026-11-22", prompted(1, "2026-11-22")), false, PromptReason::AskedRecently);
    expect(ask("2026-12-21", prompted(1, "2026-11-22")), false, PromptReason::AskedRecently);
    expect(ask("2026-12-22", prompted(1, "2026-11-22")), true, PromptReason::WaitOver);
    // Three questions without an answer are an answer.
    expect(ask("2027-01-22", prompted(3, "2026-11-22")), false, PromptReason::AskedRecently);
    expect(ask("2027-05-22", prompted(3, "2026-11-22")), true, PromptReason::WaitOver);
    // An answer ends the gap, and begins its own wait.
    let refused = told.says(EventKind::Refused, Some(MAIL), "2026-11-23");
    expect(refused.asked(MAIL, "2026-12-22", prompted(1, "2026-11-22"), false), false, PromptReason::Waiting);
}

#[test]
fn there_is_nothing_to_ask_where_a_yes_changes_nothing() {
    let given = Told::under(&["EU_GDPR:DE"]).says(EventKind::GrantConfirmed, Some(MAIL), "2026-11-22");
    expect(given.ask(MAIL, "2026-11-23"), false, PromptReason::AlreadyGiven);
    expect(Told::under(&["US_CA"]).ask(SHARE, "2026-11-23"), false, PromptReason::NotNeeded);
    expect(
        Told::under(&["EU_GDPR:DE"]).ask("service_transactional", "2026-11-23"),
        false,
        PromptReason::NotNeeded,
    );
    expect(Told::under(&["US_OTHER:MD"]).ask(HEALTH, "2026-11-23"), false, PromptReason::Forbidden);
    let child = Told::under(&["EU_GDPR:DE"]).born(2013, 1, 1);
    expect(child.ask(MAIL, "2026-11-23"), false, PromptReason::Minor);
    expect(child.ask(MAIL, "2029-01-01"), true, PromptReason::NotAskedYet);
    let restricted = Told::under(&["EU_GDPR:DE"]).says(EventKind::Restricted, None, "2026-11-22");
    expect(restricted.ask(MAIL, "2026-11-23"), false, PromptReason::Restricted);
}

#[test]
fn an_objection_is_never_asked_away() {
    let objected = Told::under(&["EU_GDPR:DE"]).says(EventKind::Objected, None, "2020-11-22");
    expect(objected.ask(MAIL, "2026-11-23"), false, PromptReason::Objected);
    expect(objected.ask("service_transactional", "2026-11-23"), false, PromptReason::NotNeeded);
}
