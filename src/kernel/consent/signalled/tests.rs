//! Signals only take away, once, and follow whom they concern.
#![expect(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;

use super::*;
use crate::consent::{Assurance, Grant};
use crate::decision::{Ask, Decision, decide};
use crate::policy::validate::tests::valid;
use crate::signal::tests::{any_section, any_tc};
use crate::signal::{GppString, ReceivedSignal};
use crate::subject::SubjectId;

const SUBJECT: SubjectId = SubjectId::from_bytes([1; 16]);
const DAY: i64 = 86_400_000;

fn at(day: i64) -> Timestamp {
    Timestamp::from_millis(20_000 * DAY + day * DAY)
}

fn arrival(day: i64) -> Arrival {
    Arrival { captured_at: at(day), received_at: at(day), source: "signal".parse().unwrap() }
}

fn sharing() -> Purpose {
    "sharing".parse().unwrap()
}

fn gpc() -> ReadSignal {
    ReadSignal::read(true, ReceivedSignal::default()).unwrap()
}

fn gpp(text: &str) -> ReadSignal {
    ReadSignal::read(false, ReceivedSignal { gpp: Some(text.to_owned()), ..ReceivedSignal::default() }).unwrap()
}

fn kinds(events: &[ConsentEvent]) -> Vec<EventKind> {
    events.iter().map(|event| event.kind).collect()
}

/// Signals to a standing, and tells what was added.
fn signal(standing: &mut Standing, what: &ReadSignal, day: i64) -> Vec<EventKind> {
    let events = standing.signalled(&valid(), what, (SignalScope::Consumer, &[]), &arrival(day));
    events.iter().for_each(|event| standing.apply(event));
    kinds(&events)
}

fn opt_in(standing: &mut Standing, day: i64, conflict_notice: bool) {
    for kind in [EventKind::OptInStep1, EventKind::OptInStep2] {
        let mut event = ConsentEvent::new(kind, Some(sharing()), at(day), at(day));
        event.conflict_notice = conflict_notice;
        standing.apply(&event);
    }
}

const OUT: &str = "DBABBg~BVWSSSVY";

#[test]
fn sta_29_a_signal_that_is_sent_again_adds_nothing() {
    let mut standing = Standing::of(SUBJECT);
    assert_eq!(signal(&mut standing, &gpc(), 1), [EventKind::SignalGpc]);
    assert!(signal(&mut standing, &gpc(), 2).is_empty());
    let first = signal(&mut standing, &gpp(OUT), 3);
    assert_eq!(first, [EventKind::SignalReceived, EventKind::OptOutSaleShare, EventKind::LimitSpi]);
    assert!(signal(&mut standing, &gpp(OUT), 4).is_empty());
    // Another string is kept; what it denies is denied already.
    assert_eq!(signal(&mut standing, &gpp("DBABTA~1YYN"), 5), [EventKind::SignalReceived]);
    // A later one that denies nothing gives nothing back.
    assert_eq!(signal(&mut standing, &gpp("DBABTA~1YNN"), 6), [EventKind::SignalReceived]);
    assert!(standing.opted_out_of(&sharing()).is_some());
}

#[test]
fn sta_27_an_opt_in_that_was_told_of_the_conflict_outlives_the_signal_but_not_a_new_opt_out() {
    let mut standing = Standing::of(SUBJECT);
    signal(&mut standing, &gpc(), 1);
    opt_in(&mut standing, 2, false);
    assert!(standing.opted_out_of(&sharing()).is_some());
    opt_in(&mut standing, 3, true);
    assert!(standing.opted_out_of(&sharing()).is_none());
    assert!(signal(&mut standing, &gpc(), 4).is_empty());
    assert!(standing.opted_out_of(&sharing()).is_none());
    // The string of a platform that the person used again says no.
    signal(&mut standing, &gpp(OUT), 5);
    assert!(standing.opted_out_of(&sharing()).is_some());
    // And then, too, the opt-in must be told of the conflict again.
    opt_in(&mut standing, 6, false);
    assert!(standing.opted_out_of(&sharing()).is_some());
    opt_in(&mut standing, 7, true);
    assert!(standing.opted_out_of(&sharing()).is_none());
}

#[test]
fn sta_30_what_a_device_denies_follows_whoever_is_seen_with_it() {
    let mut device = Standing::of(SUBJECT);
    for what in [gpc(), gpp(OUT)] {
        let events = device.signalled(&valid(), &what, (SignalScope::Device, &[]), &arrival(1));
        events.iter().for_each(|event| device.apply(event));
    }
    assert!(device.is_of_device());
    let carry = |person: &Standing, day| person.carried_from(&device, SignalScope::Consumer, &arrival(day));
    let mut person = Standing::of(SUBJECT);
    let carried = carry(&person, 5);
    assert_eq!(kinds(&carried), [EventKind::SignalGpc, EventKind::LimitSpi, EventKind::OptOutSaleShare]);
    assert!(carried.iter().all(|event| (event.captured_at, event.received_at) == (at(1), at(5))));
    carried.iter().for_each(|event| person.apply(event));
    assert!(!person.is_of_device() && person.opted_out_of(&sharing()).is_some());
    assert!(carry(&person, 6).is_empty());
    // Who opted in after the device's signals keeps that on the next visit.
    opt_in(&mut person, 7, true);
    assert!(carry(&person, 8).is_empty() && person.opted_out_of(&sharing()).is_none());
}

fn any_signal() -> impl Strategy<Value = ReadSignal> {
    let gpp = prop::collection::vec(any_section(), 0..4)
        .prop_map(|sections| GppString::of_sections(sections).ok().map(|gpp| gpp.raw().to_owned()));
    let tc = prop::option::of(any_tc().prop_map(|tc| tc.encode().unwrap()));
    let sid = prop::option::of(prop::collection::vec(1_u32..30, 0..3));
    (any::<bool>(), gpp, sid, tc).prop_map(|(gpc, gpp, gpp_sid, tc)| {
        let gpp_sid = gpp_sid.filter(|_| gpp.is_some());
        ReadSignal::read(gpc, ReceivedSignal { gpp, gpp_sid, tc }).unwrap()
    })
}

/// What happens to a person: a grant, an opt-in in two steps, a no, an opt-out.
fn history() -> impl Strategy<Value = (Standing, Vec<u8>)> {
    let regime = prop::sample::select(vec!["EU_GDPR:DE", "UK_GDPR", "US_CA", "US_OTHER:CO", "CA_CASL", "UNKNOWN"]);
    (prop::collection::vec(0_u8..6, 0..8), regime).prop_map(|(acts, regime)| {
        let mut standing = Standing::of(SUBJECT);
        let mut declared = ConsentEvent::new(EventKind::RegimeDeclared, None, at(0), at(0));
        declared.regime = Some(regime.parse().unwrap());
        standing.apply(&declared);
        for (day, act) in (1..).zip(&acts) {
            let purpose: Purpose = if act % 2 == 0 { "offers".parse().unwrap() } else { sharing() };
            match act {
                0 | 1 => {
                    let mut grant = ConsentEvent::new(EventKind::GrantConfirmed, Some(purpose), at(day), at(day));
                    let notice = valid().notices().next().map(|notice| notice.digest);
                    grant.grant = Some(Grant {
                        notice,
                        purpose_version: 1,
                        assurance: Assurance::Authenticated,
                        explicit: true,
                        controllers: vec!["shop".parse().unwrap()],
                        valid_until: None,
                        third_party: false,
                        product_family: None,
                    });
                    standing.apply(&grant);
                }
                2 => opt_in(&mut standing, day, false),
                3 => opt_in(&mut standing, day, true),
                4 => standing.apply(&ConsentEvent::new(EventKind::Withdrawn, Some(purpose), at(day), at(day))),
                _ => standing.apply(&ConsentEvent::new(EventKind::OptOutSaleShare, None, at(day), at(day))),
            }
        }
        (standing, acts)
    })
}

/// Who may have what, of everything that the policy's recipients could ask for.
fn permitted(standing: &Standing, day: i64) -> Vec<String> {
    let policy = valid();
    let mut permitted = Vec::new();
    for recipient in policy.recipients() {
        for purpose in policy.purposes() {
            let attributes = policy.attributes().map(|attribute| attribute.name.clone()).collect();
            let ask = Ask::new(&policy, recipient.id.clone(), purpose.id.clone(), attributes);
            if let Decision::Permit(permit) = decide(&policy, standing, &ask, at(day)) {
                let to = |name: &_| format!("{name} to {} for {}", recipient.id, purpose.id);
                permitted.extend(permit.attributes().map(to));
            }
        }
    }
    permitted
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_signal_ever_raises_a_permission(
        (standing, _) in history(), signals in prop::collection::vec(any_signal(), 1..4), other in any_signal(),
    ) {
        let before = permitted(&standing, 50);
        let mut after = standing.clone();
        let mut device = Standing::of(SUBJECT);
        for (day, what) in (20..).zip(&signals) {
            signal(&mut after, what, day);
            let events = device.signalled(&valid(), &other, (SignalScope::Device, &[]), &arrival(day));
            events.iter().for_each(|event| device.apply(event));
            prop_assert!(permitted(&device, 50).is_empty());
            let carried = after.carried_from(&device, SignalScope::Consumer, &arrival(day));
            carried.iter().for_each(|event| after.apply(event));
            prop_assert!(permitted(&after, 50).iter().all(|one| before.contains(one)));
        }
        if signals.iter().any(ReadSignal::is_gpc) && standing.gpc_at().is_none() {
            prop_assert!(permitted(&after, 50).iter().all(|one| !one.ends_with("for sharing")));
        }
    }

    #[test]
    fn a_signal_that_was_received_reads_the_same_from_its_sealed_form(what in any_signal()) {
        let events = Standing::of(SUBJECT).signalled(&valid(), &what, (SignalScope::Profile, &[]), &arrival(1));
        for event in events {
            let bytes = minicbor::to_vec(&event).unwrap();
            prop_assert_eq!(minicbor::decode::<ConsentEvent>(&bytes).unwrap(), event);
        }
    }
}
