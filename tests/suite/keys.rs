//! The keys of a store: sealed under a root key, rotated while everybody works, refused when they are not the store's.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use app::{
    Gateway, GatewaySettings, KNOWN_AFTER_MS, KeyChangeError, KeyProgress, OpenGatewayError, RootKey, RootKeyError,
};
use consentry::assets::shipped_policy;
use kernel::authz::{Actor, Authorized, ManageKeys, RunJobs};
use kernel::ledger::note::NoteVerifier;
use kernel::ledger::{Checkpoint, LedgerEntry, LedgerEvent};
use kernel::receipt::ReceiptVerifier;
use kernel::seal::KeyUse;
use serde_json::json;

use crate::harness::{Backend, Line, SeededEntropy, TestGateway, TestRoot};

on_both!(
    sec_03_the_key_encryption_key_is_rotated_while_everybody_reads,
    sec_04_the_index_moves_to_a_new_key_while_persons_are_found,
    a_rotation_that_was_cut_off_is_finished_by_another_gateway,
    every_gateway_takes_a_new_signing_key_at_its_time_and_what_was_signed_holds,
    pse_04_new_pseudonyms_come_without_losing_the_old_ones,
    who_was_erased_stays_suppressed_when_the_suppression_key_changes,
    a_root_key_is_replaced_while_the_gateway_runs,
    a_store_opens_with_its_own_root_key_or_not_at_all,
    a_gateway_that_cannot_open_the_newest_keys_is_not_ready,
    two_gateways_that_begin_at_once_have_the_same_keys,
);

pub(crate) fn operator() -> Authorized<ManageKeys> {
    Authorized::prove(Actor::Operator).unwrap()
}

pub(crate) fn job() -> Authorized<RunJobs> {
    Authorized::prove(Actor::Job("suite")).unwrap()
}

pub(crate) const HOLDER: [u8; 16] = [1; 16];

/// Begins a rotation and lets its time come.
pub(crate) async fn rotate(gateway: &TestGateway, others: &[&TestGateway], key_use: KeyUse) -> u32 {
    let rotation = gateway.gateway().rotate_key(&operator(), key_use, 0).await.unwrap();
    // Everybody looks while the key is not used yet, and again when it is.
    for other in others {
        other.gateway().refresh_keys(&job()).await.unwrap();
    }
    gateway.clock().advance_ms(KNOWN_AFTER_MS);
    for one in others.iter().chain([&gateway]) {
        one.gateway().refresh_keys(&job()).await.unwrap();
    }
    rotation.id
}

pub(crate) async fn finish(gateway: &TestGateway) -> u64 {
    for _ in 0..1_000 {
        match gateway.gateway().tend_keys_once(&job(), HOLDER).await.unwrap() {
            KeyProgress::Finished(work) => return work.done,
            KeyProgress::Working(_) => {}
            other => panic!("{other:?}"),
        }
    }
    panic!("it is never finished");
}

async fn wrapped(gateway: &TestGateway) -> Vec<(u32, u64)> {
    gateway.gateway().key_overview(&operator()).await.unwrap().wrapped
}

async fn events(gateway: &TestGateway) -> Vec<LedgerEvent> {
    let entries = gateway.database().bytes("SELECT entry FROM ledger_entry").await;
    entries.iter().map(|entry| LedgerEntry::from_bytes(entry).unwrap().event).collect()
}

async fn sec_03_the_key_encryption_key_is_rotated_while_everybody_reads(backend: Backend) {
    const PERSONS: usize = 120;
    let one = TestGateway::start_rooted(backend).await;
    let two = one.twin().await;
    one.crowd(PERSONS, &["profiling_segmentation", "email_marketing"]).await;
    assert_eq!(wrapped(&one).await, [(1, PERSONS as u64)]);
    let (here, there) = (one.segmentation().await, two.mailer().await);
    let everybody = here.knows().await;
    assert_eq!(everybody.len(), PERSONS);

    // Before its time the new key wraps nothing, and the work does not begin.
    one.gateway().rotate_key(&operator(), KeyUse::Data, 0).await.unwrap();
    let waiting = one.gateway().tend_keys_once(&job(), HOLDER).await.unwrap();
    assert!(matches!(waiting, KeyProgress::Waiting(_)), "{waiting:?}");
    let again = one.gateway().rotate_key(&operator(), KeyUse::Data, 0).await;
    assert!(matches!(again, Err(KeyChangeError::Unfinished(2))));
    two.gateway().refresh_keys(&job()).await.unwrap();
    one.clock().advance_ms(KNOWN_AFTER_MS);
    for gateway in [&one, &two] {
        gateway.gateway().refresh_keys(&job()).await.unwrap();
    }
    // From now on new persons are under it at once, whichever gateway they came to.
    one.person("new-here").gives(&["profiling_segmentation"]).await;
    two.person("new-there").gives(&["profiling_segmentation"]).await;
    assert_eq!(wrapped(&one).await, [(1, PERSONS as u64), (2, 2)]);
    let early = one.gateway().retire_key(&operator(), KeyUse::Data, 1).await;
    assert!(matches!(early, Err(KeyChangeError::Unfinished(2))));

    // The load: two gateways read and write while the work goes on.
    let is_done = AtomicBool::new(false);
    let working = async {
        let done = finish(&one).await;
        is_done.store(true, Ordering::SeqCst);
        done
    };
    let reading = async {
        let mut reads = 0;
        while !is_done.load(Ordering::SeqCst) || reads < 3 {
            let names = here.knows().await;
            assert!(everybody.is_subset(&names), "somebody is missing");
            reads += 1;
        }
        reads
    };
    let looking_up = async {
        let mut number = 0;
        while !is_done.load(Ordering::SeqCst) || number < 20 {
            let person = two.person(&format!("person-{}", number % PERSONS));
            assert!(there.may_know(&person).await, "{number}");
            number += 1;
        }
    };
    let writing = async {
        for number in 0..20 {
            two.person(&format!("person-{}", number * 5)).gives(&["share_third_party"]).await;
            two.person(&format!("late-{number}")).gives(&["profiling_segmentation"]).await;
        }
    };
    let (done, reads, (), ()) = futures_util::join!(working, reading, looking_up, writing);
    assert_eq!((done, reads >= 3), (PERSONS as u64, true));

    // Nothing is under the old key any more, so it can go, and everybody is still there.
    assert_eq!(wrapped(&one).await, [(2, PERSONS as u64 + 22)]);
    one.gateway().retire_key(&operator(), KeyUse::Data, 1).await.unwrap();
    two.gateway().refresh_keys(&job()).await.unwrap();
    let after = two.segmentation().await.knows().await;
    assert_eq!(after.len(), PERSONS + 22);
    assert!(everybody.is_subset(&after), "pseudonyms stay when data keys are wrapped anew");
    assert_eq!(one.twin().await.segmentation().await.knows().await, after);
    let told = events(&one).await;
    for event in [
        LedgerEvent::KeyTakenOver { key_use: KeyUse::Data, id: 2, count: PERSONS as u64 },
        LedgerEvent::KeyRetired { key_use: KeyUse::Data, id: 1 },
    ] {
        assert!(told.contains(&event), "{event:?}");
    }
    assert!(
        told.iter().any(|event| matches!(event, LedgerEvent::KeyRotated { key_use: KeyUse::Data, id: 2, .. }))
    );
    one.expect_sound_ledger().await;
}

async fn sec_04_the_index_moves_to_a_new_key_while_persons_are_found(backend: Backend) {
    const PERSONS: usize = 60;
    let one = TestGateway::start_rooted(backend).await;
    let two = one.twin().await;
    let (officer, shop) = (one.officer().await, one.shop().await);
    one.crowd(PERSONS, &["email_marketing"]).await;
    officer.erases(&one.person("person-0")).await;
    let index = async || -> BTreeSet<Vec<u8>> {
        one.database().bytes("SELECT fingerprint FROM subject_identifier").await.into_iter().collect()
    };
    let persons = async || one.database().number("SELECT count(*) FROM subject").await;
    let before = index().await;
    assert_eq!(rotate(&one, &[&two], KeyUse::Fingerprint).await, 2);
    // Whoever comes while gateways may still differ is found under both keys.
    one.person("early").gives(&["email_marketing"]).await;
    assert_eq!(index().await.len(), before.len() + 2);
    two.person("early").gives(&["share_third_party"]).await;
    let waiting = one.gateway().tend_keys_once(&job(), HOLDER).await.unwrap();
    assert!(matches!(waiting, KeyProgress::Waiting(_)), "{waiting:?}");
    one.clock().advance_ms(KNOWN_AFTER_MS);
    for gateway in [&one, &two] {
        gateway.gateway().refresh_keys(&job()).await.unwrap();
    }
    one.person("later").gives(&["email_marketing"]).await;
    assert_eq!(index().await.len(), before.len() + 3);
    let mailer = two.mailer().await;
    let is_done = AtomicBool::new(false);
    let working = async {
        let done = finish(&one).await;
        is_done.store(true, Ordering::SeqCst);
        done
    };
    let finding = async {
        let mut number = 1;
        while !is_done.load(Ordering::SeqCst) || number < 30 {
            let person = two.person(&format!("person-{}", 1 + number % (PERSONS - 1)));
            assert!(mailer.may_know(&person).await, "{number}");
            person.gives(&["share_third_party"]).await;
            number += 1;
        }
    };
    let (done, ()) = futures_util::join!(working, finding);
    assert_eq!(done, PERSONS as u64, "everybody but the two whom the new key had");
    assert_eq!(persons().await, PERSONS as i64 + 1, "somebody became two");
    let after = index().await;
    assert!(after.is_disjoint(&before) && after.len() == PERSONS + 1);
    one.gateway().retire_key(&operator(), KeyUse::Fingerprint, 1).await.unwrap();
    two.gateway().refresh_keys(&job()).await.unwrap();
    for name in ["person-1", "early", "later"] {
        assert!(mailer.may_know(&two.person(name)).await, "{name}");
        two.person(name).gives(&["share_third_party"]).await;
    }
    assert_eq!(persons().await, PERSONS as i64 + 1);
    // Who was erased before or after stays out.
    officer.erases(&one.person("person-1")).await;
    let gone = ["person-0", "person-1"].map(|name| one.person(name));
    let lines: Vec<_> = gone.iter().map(|person| Line::of(person, json!({ "city": "q7canary-city" }))).collect();
    let answer = shop.tries(&lines).await.text().to_owned();
    assert_eq!(answer.matches("\"problem\":{\"code\":\"suppressed\"").count(), 2, "{answer}");
    assert_eq!(persons().await, PERSONS as i64);
}

async fn a_rotation_that_was_cut_off_is_finished_by_another_gateway(backend: Backend) {
    let one = TestGateway::start_rooted(backend).await;
    let two = one.twin().await;
    let shop = one.shop().await;
    let people: Vec<_> = (0..1_200).map(|number| one.person(&format!("person-{number}"))).collect();
    for people in people.chunks(400) {
        let lines: Vec<_> =
            people.iter().map(|person| Line::of(person, json!({ "city": "q7canary-city" }))).collect();
        shop.sends(&lines).await;
    }
    rotate(&one, &[&two], KeyUse::Data).await;
    let first = one.gateway().tend_keys_once(&job(), HOLDER).await.unwrap();
    let KeyProgress::Working(first) = first else { panic!("{first:?}") };
    assert_eq!((first.done, first.total), (1_000, 1_200));
    // The first gateway dies; until its lease has run out nobody else begins.
    drop(one);
    let elsewhere = two.gateway().tend_keys_once(&job(), [2; 16]).await.unwrap();
    assert!(matches!(elsewhere, KeyProgress::Elsewhere(work) if work.done == 1_000), "{elsewhere:?}");
    assert_eq!(two.metric("consentry_keys_left").await, 200);
    two.clock().advance_ms(6_000);
    let second = two.gateway().tend_keys_once(&job(), [2; 16]).await.unwrap();
    assert!(matches!(second, KeyProgress::Working(work) if work.done == 1_200), "{second:?}");
    let last = two.gateway().tend_keys_once(&job(), [2; 16]).await.unwrap();
    assert!(matches!(last, KeyProgress::Finished(_)), "{last:?}");
    assert_eq!(wrapped(&two).await, [(2, 1_200)]);
    assert_eq!(two.metric("consentry_keys_left").await, 0);
    assert_eq!(two.gateway().tend_keys_once(&job(), [2; 16]).await.unwrap(), KeyProgress::Idle);
}

async fn every_gateway_takes_a_new_signing_key_at_its_time_and_what_was_signed_holds(backend: Backend) {
    let one = TestGateway::start_rooted(backend).await;
    let two = one.twin().await;
    let vkeys = async |at: &TestGateway| {
        let text = at.get("/ledger/vkey").await.expect(200).text().to_owned();
        text.lines().map(|line| NoteVerifier::from_vkey(line).unwrap()).collect::<Vec<_>>()
    };
    let checkpoint = async |at: &TestGateway| at.get("/ledger/checkpoint").await.expect(200).text().to_owned();
    let receipt = async |at: &TestGateway, name: &str| {
        let given = at.person(name).gives(&["email_marketing"]).await;
        let token = given["receipt_token"].as_str().unwrap().to_owned();
        at.post("/v1/receipts?format=jws", &json!({ "token": token })).await.expect(200).text().to_owned()
    };
    let jwks = async |at: &TestGateway| at.get("/.well-known/jwks.json").await.expect(200).json();
    let officer = one.officer().await.client;
    let token = officer.token().await;
    let old_receipt = receipt(&one, "anna").await;
    one.sequence().await;
    let (old, old_key) = (checkpoint(&one).await, vkeys(&one).await);
    assert_eq!(old_key.len(), 1);
    let old_kids = jwks(&one).await["keys"].as_array().unwrap().len();

    for key_use in [KeyUse::Ledger, KeyUse::Receipt, KeyUse::Token] {
        assert_eq!(rotate(&one, &[&two], key_use).await, 2);
    }
    // What was signed before still holds, at both.
    for gateway in [&one, &two] {
        let request = gateway.request("GET", "/v1/rights-requests").bearer_auth(&token);
        gateway.send(request).await.expect(200);
        assert_eq!(vkeys(gateway).await.len(), 2);
        assert_eq!(jwks(gateway).await["keys"].as_array().unwrap().len(), old_kids + 2);
        let known = ReceiptVerifier::from_jwks(&jwks(gateway).await).unwrap();
        known.verify(old_receipt.trim()).unwrap();
    }
    // The new key signs, and the old one beside it: whoever knows only that goes on.
    let new_receipt = receipt(&two, "ben").await;
    ReceiptVerifier::from_jwks(&jwks(&one).await).unwrap().verify(new_receipt.trim()).unwrap();
    assert_ne!(kid(&old_receipt), kid(&new_receipt));
    let fresh = one.officer().await.client.token().await;
    assert_ne!(kid(&token), kid(&fresh));
    two.sequence().await;
    let (new, keys) = (checkpoint(&two).await, vkeys(&two).await);
    assert_eq!(keys[1], old_key[0]);
    for known in [&keys[..1], &keys[1..], &keys[..]] {
        Checkpoint::open(&new, "gateway.test/ledger", known).unwrap();
    }
    assert!(Checkpoint::open(&old, "gateway.test/ledger", &keys[..1]).is_err());
    one.expect_sound_ledger().await;
    // Retired, it signs no more, and what it signed is still checked.
    one.gateway().retire_key(&operator(), KeyUse::Ledger, 1).await.unwrap();
    two.gateway().refresh_keys(&job()).await.unwrap();
    two.person("carl").gives(&["email_marketing"]).await;
    two.sequence().await;
    let last = checkpoint(&two).await;
    Checkpoint::open(&last, "gateway.test/ledger", &keys[..1]).unwrap();
    assert!(Checkpoint::open(&last, "gateway.test/ledger", &keys[1..]).is_err());
    two.expect_sound_ledger().await;
    one.gateway().retire_key(&operator(), KeyUse::Receipt, 1).await.unwrap();
    two.gateway().refresh_keys(&job()).await.unwrap();
    // Also for a gateway that starts now, and has the public halves alone.
    for gateway in [&two, &one.twin().await] {
        assert_eq!(vkeys(gateway).await, keys);
        let known = ReceiptVerifier::from_jwks(&jwks(gateway).await).unwrap();
        known.verify(old_receipt.trim()).unwrap();
        assert_eq!(kid(&receipt(gateway, "dora").await), kid(&new_receipt));
        gateway.expect_sound_ledger().await;
    }
    let newest = one.gateway().retire_key(&operator(), KeyUse::Ledger, 2).await;
    assert!(matches!(newest, Err(KeyChangeError::Key(_))));
}

fn kid(token: &str) -> String {
    jsonwebtoken::decode_header(token.trim()).unwrap().kid.unwrap()
}

async fn pse_04_new_pseudonyms_come_without_losing_the_old_ones(backend: Backend) {
    let one = TestGateway::start_rooted(backend).await;
    one.crowd(5, &["profiling_segmentation"]).await;
    let segmentation = one.segmentation().await;
    let old: Vec<String> = segmentation.knows().await.into_iter().collect();
    rotate(&one, &[], KeyUse::Pseudonym).await;
    let new = segmentation.knows().await;
    assert!(new.len() == 5 && old.iter().all(|name| !new.contains(name)));
    // Until the old key is retired its names are still understood.
    let asked: Vec<&str> = old.iter().map(String::as_str).collect();
    let found = segmentation.looks_up_names(&asked).await.profiles();
    let answered: BTreeSet<_> = found.iter().map(|row| row["pseudonym"].as_str().unwrap().to_owned()).collect();
    assert_eq!(answered, new);
    one.gateway().retire_key(&operator(), KeyUse::Pseudonym, 1).await.unwrap();
    assert!(segmentation.looks_up_names(&asked).await.profiles().is_empty());
    assert_eq!(segmentation.knows().await, new);
}

async fn who_was_erased_stays_suppressed_when_the_suppression_key_changes(backend: Backend) {
    let one = TestGateway::start_rooted(backend).await;
    let (shop, officer) = (one.shop().await, one.officer().await);
    let (anna, ben) = (one.person("anna"), one.person("ben"));
    for person in [&anna, &ben] {
        person.gives(&["profiling_segmentation"]).await;
    }
    officer.erases(&anna).await;
    rotate(&one, &[], KeyUse::Suppression).await;
    officer.erases(&ben).await;
    let lines: Vec<_> =
        [&anna, &ben].map(|person| Line::of(person, json!({ "city": "q7canary-city" }))).into_iter().collect();
    let answer = shop.tries(&lines).await.text().to_owned();
    assert_eq!(
        answer.matches("\"problem\":{\"code\":\"suppressed\"").count(),
        2,
        "a source brings somebody back: {answer}"
    );
    assert_eq!(one.database().number("SELECT count(*) FROM subject").await, 0);
}

async fn a_root_key_is_replaced_while_the_gateway_runs(backend: Backend) {
    let one = TestGateway::start_rooted(backend).await;
    let two = one.twin().await;
    one.person("anna").gives(&["profiling_segmentation"]).await;
    let before = one.gateway().key_overview(&operator()).await.unwrap();
    let (_, named) = one.gateway().rotate_root(&operator(), None).await.unwrap();
    let after = one.gateway().key_overview(&operator()).await.unwrap();
    assert_ne!(before.root.unwrap().1, named);
    assert_eq!((after.root.unwrap().1, after.version), (named, Some(2)));
    assert_eq!(before.keys, after.keys);
    two.gateway().refresh_keys(&job()).await.unwrap();
    two.get("/health/ready").await.expect(200);
    assert_eq!(two.segmentation().await.knows().await.len(), 1);
    // To another keeper.
    let other: Arc<dyn RootKey> = Arc::new(TestRoot::new(6));
    one.gateway().rotate_root(&operator(), Some(Arc::clone(&other))).await.unwrap();
    assert!(matches!(
        open(&one, Arc::clone(one.root()) as _).await,
        Err(OpenGatewayError::Keys(RootKeyError::Wrong(_)))
    ));
    open(&one, other).await.unwrap();
    one.person("ben").gives(&["profiling_segmentation"]).await;
}

async fn open(gateway: &TestGateway, root: Arc<dyn RootKey>) -> Result<Gateway, OpenGatewayError> {
    let settings = GatewaySettings { database_url: gateway.database().url(), ..GatewaySettings::default() };
    let clock = Arc::new(kernel::clock::FixedClock::at(kernel::clock::Clock::now(gateway.clock())));
    Gateway::open(settings, root, shipped_policy(), clock, Arc::new(SeededEntropy::new(1))).await
}

async fn a_store_opens_with_its_own_root_key_or_not_at_all(backend: Backend) {
    let one = TestGateway::start_rooted(backend).await;
    one.person("anna").gives(&["email_marketing"]).await;
    let sealed = one.database().bytes("SELECT sealed FROM key_set").await;
    let stranger = open(&one, Arc::new(TestRoot::new(99))).await;
    assert!(matches!(stranger, Err(OpenGatewayError::Keys(RootKeyError::Wrong(_)))), "{stranger:?}");
    one.root().goes_out(true);
    let out = open(&one, Arc::clone(one.root()) as _).await;
    assert!(matches!(out, Err(OpenGatewayError::Keys(RootKeyError::Unreachable(_)))), "{out:?}");
    one.root().goes_out(false);
    open(&one, Arc::clone(one.root()) as _).await.unwrap();
    assert_eq!(one.database().bytes("SELECT sealed FROM key_set").await, sealed, "keys were made anew");
    // Without its key set a store is not begun anew.
    one.database().execute("DELETE FROM key_set").await;
    let lost = open(&one, Arc::clone(one.root()) as _).await;
    assert!(matches!(lost, Err(OpenGatewayError::NoKeySet)), "{lost:?}");
    assert_eq!(one.database().number("SELECT count(*) FROM key_set").await, 0);
}

async fn a_gateway_that_cannot_open_the_newest_keys_is_not_ready(backend: Backend) {
    let one = TestGateway::start_rooted(backend).await;
    let two = one.twin().await;
    one.gateway().rotate_key(&operator(), KeyUse::Data, 0).await.unwrap();
    two.root().goes_out(true);
    two.gateway().refresh_keys(&job()).await.unwrap_err();
    assert_eq!(two.request("GET", "/health/ready").send().await.unwrap().status(), 503);
    assert_eq!(two.metric("consentry_keys_behind").await, 1);
    two.root().goes_out(false);
    two.gateway().refresh_keys(&job()).await.unwrap();
    two.get("/health/ready").await.expect(200);
    assert_eq!(two.metric("consentry_keys_behind").await, 0);
}

async fn two_gateways_that_begin_at_once_have_the_same_keys(backend: Backend) {
    let plain = TestGateway::start_rooted(backend).await;
    let others = futures_util::future::join_all((0..3).map(|_| plain.twin())).await;
    plain.person("anna").gives(&["profiling_segmentation"]).await;
    for other in &others {
        assert_eq!(other.segmentation().await.knows().await.len(), 1);
    }
    assert_eq!(plain.gateway().key_overview(&operator()).await.unwrap().version, Some(1));
}
