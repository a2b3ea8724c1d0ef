//! The fold: its order does not matter, and a denial cannot be undone by what was captured before it.
#![expect(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;

use super::*;
use crate::id::ReceiptId;
use crate::regime::RegimeSource;
use crate::subject::SubjectId;
use crate::time::Timestamp;

const SUBJECT: SubjectId = SubjectId::from_bytes([1; 16]);

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn grant() -> Grant {
    Grant {
        notice: None,
        purpose_version: 1,
        assurance: Assurance::Form,
        explicit: false,
        controllers: vec!["shop".parse().unwrap()],
        valid_until: None,
        third_party: false,
        product_family: None,
    }
}

fn event(kind: EventKind, captured: i64, received: i64) -> ConsentEvent {
    let mut event = ConsentEvent::new(kind, Some("mail".parse().unwrap()), at(captured), at(received));
    if kind == EventKind::GrantConfirmed {
        event.grant = Some(grant());
    }
    event
}

fn kind() -> impl Strategy<Value = EventKind> {
    prop_oneof![
        Just(EventKind::GrantConfirmed),
        Just(EventKind::GrantRequested),
        Just(EventKind::GrantInvalid),
        Just(EventKind::Refused),
        Just(EventKind::Withdrawn),
        Just(EventKind::Objected),
        Just(EventKind::OptOutSaleShare),
        Just(EventKind::SignalGpc),
        Just(EventKind::LimitSpi),
        Just(EventKind::Restricted),
        Just(EventKind::RestrictionLifted),
    ]
}

fn history() -> impl Strategy<Value = Vec<ConsentEvent>> {
    prop::collection::vec((kind(), 0_i64..20, 0_i64..5), 0..12).prop_map(|drawn| {
        drawn
            .into_iter()
            .enumerate()
            .map(|(sequence, (kind, received, late))| ConsentEvent {
                sequence: u32::try_from(sequence).unwrap(),
                ..event(kind, received - late, received)
            })
            .collect()
    })
}

fn is_effective(standing: &Standing) -> bool {
    standing.effective(&"mail".parse().unwrap()).is_some()
}

proptest! {
    #[test]
    fn the_order_of_arrival_does_not_matter(events in history(), seed: u64) {
        let mut shuffled = events.clone();
        let mut state = seed;
        for at in (1..shuffled.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            shuffled.swap(at, usize::try_from(state >> 33).unwrap() % (at + 1));
        }
        let (a, b) = (Standing::fold(SUBJECT, &events), Standing::fold(SUBJECT, &shuffled));
        prop_assert_eq!(is_effective(&a), is_effective(&b));
        prop_assert_eq!(a.restricted_at(), b.restricted_at());
        prop_assert_eq!(a.opted_out_of_sale(), b.opted_out_of_sale());
        let mail = "mail".parse().unwrap();
        prop_assert_eq!(a.opted_out_of(&mail), b.opted_out_of(&mail));
        prop_assert_eq!(a.objected_to(&mail, true), b.objected_to(&mail, true));
        prop_assert_eq!(a.denied_at(&"mail".parse().unwrap()), b.denied_at(&"mail".parse().unwrap()));
    }

    #[test]
    fn cap_19_after_a_withdrawal_only_a_later_capture_gives_again(events in history(), replay in 0_i64..=30) {
        let mut events = events;
        events.push(event(EventKind::Withdrawn, 30, 30));
        events.push(event(EventKind::GrantConfirmed, replay, 40));
        prop_assert!(!is_effective(&Standing::fold(SUBJECT, &events)));
        events.push(event(EventKind::GrantConfirmed, 31, 41));
        prop_assert!(is_effective(&Standing::fold(SUBJECT, &events)));
    }

    #[test]
    fn a_standing_survives_its_sealed_form(events in history()) {
        let standing = Standing::fold(SUBJECT, &events);
        prop_assert_eq!(Standing::from_bytes(SUBJECT, &standing.to_bytes()), Some(standing));
    }

    #[test]
    fn damaged_bytes_are_no_standing_and_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _unread = Standing::from_bytes(SUBJECT, &bytes);
    }
}

#[test]
fn sta_12_at_the_same_instant_the_denial_wins() {
    let both = [event(EventKind::GrantConfirmed, 5, 5), event(EventKind::Withdrawn, 5, 5)];
    assert!(!is_effective(&Standing::fold(SUBJECT, &both)));
    assert!(!is_effective(&Standing::fold(SUBJECT, both.iter().rev())));
}

#[test]
fn sta_13_the_withdrawal_of_one_purpose_leaves_the_others() {
    let mut profiling = event(EventKind::Withdrawn, 9, 9);
    profiling.purpose = Some("profiling".parse().unwrap());
    assert!(is_effective(&Standing::fold(SUBJECT, &[event(EventKind::GrantConfirmed, 5, 5), profiling])));
}

#[test]
fn sta_14_a_withdrawal_of_everything_reaches_every_purpose() {
    let mut all = event(EventKind::Withdrawn, 9, 9);
    all.purpose = None;
    assert!(!is_effective(&Standing::fold(SUBJECT, &[event(EventKind::GrantConfirmed, 5, 5), all])));
}

#[test]
fn a_second_step_without_its_first_does_nothing() {
    let step = |kind, time| ConsentEvent::new(kind, None, at(time), at(time));
    let out = step(EventKind::OptOutSaleShare, 1);
    let alone = [out.clone(), step(EventKind::OptInStep2, 3)];
    assert!(Standing::fold(SUBJECT, &alone).opted_out_of_sale().is_some());
    let both = [out, step(EventKind::OptInStep1, 2), step(EventKind::OptInStep2, 3)];
    assert!(Standing::fold(SUBJECT, &both).opted_out_of_sale().is_none());
}

#[test]
fn sta_24_a_signal_holds_until_a_two_step_opt_in_that_told_of_the_conflict() {
    let step = |kind, time| ConsentEvent::new(kind, None, at(time), at(time));
    let gpc = step(EventKind::SignalGpc, 5);
    let earlier = [step(EventKind::OptInStep1, 1), step(EventKind::OptInStep2, 2), gpc.clone()];
    assert!(Standing::fold(SUBJECT, &earlier).opted_out_of_sale().is_some());
    let silent = [gpc.clone(), step(EventKind::OptInStep1, 6), step(EventKind::OptInStep2, 7)];
    assert!(Standing::fold(SUBJECT, &silent).opted_out_of_sale().is_some());
    let mut told = step(EventKind::OptInStep2, 7);
    told.conflict_notice = true;
    let again = step(EventKind::SignalGpc, 9);
    let mut told = vec![gpc, step(EventKind::OptInStep1, 6), told, again];
    assert!(Standing::fold(SUBJECT, &told).opted_out_of_sale().is_none());
    // Who opts out again needs the notice of the conflict again.
    told.extend([
        step(EventKind::OptOutSaleShare, 10),
        step(EventKind::OptInStep1, 11),
        step(EventKind::OptInStep2, 12),
    ]);
    assert!(Standing::fold(SUBJECT, &told).opted_out_of_sale().is_some());
}

#[test]
fn sta_32_a_second_step_counts_only_for_the_first_one_whose_receipt_it_names() {
    let step = |kind, time, receipt: u8| ConsentEvent {
        step: Some(ReceiptId::from_bytes([receipt; 16])),
        ..ConsentEvent::new(kind, Some("mail".parse().unwrap()), at(time), at(time))
    };
    let mail = "mail".parse().unwrap();
    let opted_in = |second: &ConsentEvent| {
        let first = step(EventKind::OptInStep1, 2, 7);
        let events = [event(EventKind::OptOutSaleShare, 1, 1), first];
        assert!(Standing::fold(SUBJECT, &events).opted_out_of(&mail).is_some());
        let waits = Standing::fold(SUBJECT, &events).awaits(second);
        let standing = Standing::fold(SUBJECT, events.iter().chain([second]));
        assert_eq!(waits, standing.opted_in_to(&mail, false));
        // The step is about one purpose: another one that was opted out of as a whole stays so.
        assert!(!standing.opted_in_to(&"other".parse().unwrap(), false));
        waits
    };
    assert!(opted_in(&step(EventKind::OptInStep2, 3, 7)));
    assert!(!opted_in(&step(EventKind::OptInStep2, 3, 8)));
    assert!(!opted_in(&step(EventKind::OptInStep2, 1, 7)));
    assert!(!opted_in(&ConsentEvent { step: None, ..step(EventKind::OptInStep2, 3, 7) }));
    assert!(!opted_in(&ConsentEvent { purpose: None, ..step(EventKind::OptInStep2, 3, 7) }));
}

#[test]
fn sta_36_a_limit_is_lifted_for_the_purpose_that_was_opted_in_to() {
    let step = |kind, time| event(kind, time, time);
    let mut limit = step(EventKind::LimitSpi, 1);
    limit.purpose = None;
    let events = [limit, step(EventKind::OptInStep1, 2), step(EventKind::OptInStep2, 3)];
    let standing = Standing::fold(SUBJECT, &events);
    assert!(standing.limited_for(&"mail".parse().unwrap()).is_none());
    assert!(standing.limited_for(&"other".parse().unwrap()).is_some() && standing.limited_at().is_some());
}

#[test]
fn a_stored_grant_from_before_partners_still_reads() {
    let now = grant();
    let mut bytes = minicbor::to_vec(&now).unwrap();
    // Seven members, the last one `false`: an older writer wrote six.
    assert_eq!((bytes.first(), bytes.last()), (Some(&0x87), Some(&0xf4)));
    bytes.pop();
    bytes.insert(0, 0x86);
    bytes.remove(1);
    assert_eq!(minicbor::decode::<Grant>(&bytes).unwrap(), now);
}

#[test]
fn cap_18_what_another_system_says_never_undoes_a_denial() {
    let mut imported = event(EventKind::GrantConfirmed, 9, 9);
    imported.grant.as_mut().unwrap().assurance = Assurance::Imported;
    let purpose = "mail".parse().unwrap();
    assert!(Standing::fold(SUBJECT, [&imported]).effective(&purpose).is_some());
    for denial in [EventKind::Withdrawn, EventKind::Refused] {
        let standing = Standing::fold(SUBJECT, [&event(denial, 1, 1), &imported]);
        assert!(standing.effective(&purpose).is_none());
        let own = event(EventKind::GrantConfirmed, 10, 10);
        assert!(Standing::fold(SUBJECT, [&event(denial, 1, 1), &imported, &own]).effective(&purpose).is_some());
    }
}

#[test]
fn a_declared_regime_outweighs_an_assumed_one_whichever_came_first() {
    let declared = |regime: &str, source| ConsentEvent {
        regime: Some(regime.parse().unwrap()),
        regime_source: source,
        ..event(EventKind::RegimeDeclared, 1, 1)
    };
    let german: crate::regime::Regime = "EU_GDPR:DE".parse().unwrap();
    let assumed = declared("EU_GDPR:DE", Some(RegimeSource::Default));
    let said = declared("EU_GDPR:DE", Some(RegimeSource::Declared));
    let of_old = declared("EU_GDPR:DE", None);
    assert!(Standing::fold(SUBJECT, [&assumed]).assumes(german));
    for known in [[&assumed, &said], [&said, &assumed], [&of_old, &assumed], [&assumed, &of_old]] {
        let standing = Standing::fold(SUBJECT, known);
        assert!(standing.has_regime(german) && !standing.assumes(german));
    }
    let unknown = declared("UNKNOWN", Some(RegimeSource::Default));
    let standing = Standing::fold(SUBJECT, [&unknown, &said]);
    assert_eq!(standing.regimes(), [german]);
    assert!(!standing.assumes(crate::regime::Regime::Unknown));
}
