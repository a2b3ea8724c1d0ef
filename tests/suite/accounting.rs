//! Accounting for disclosures: who received what of a person, when, for what, under which consent and policy.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::{Backend, Officer, Person, TestGateway, policy_with};

on_both!(
    reg_08_a_bulk_pull_of_three_is_on_record_for_each_of_the_three,
    acc_13_the_access_log_tells_when_and_why_and_who_received_but_no_member_of_staff,
    each_disclosure_is_told_under_the_consent_and_the_policy_of_its_time,
    a_read_that_rests_on_no_consent_says_so,
    look_ups_at_once_are_recorded_together_and_answered_each_with_its_own,
);

const PROFILING: &str = "profiling_segmentation";

async fn account(officer: &Officer<'_>, person: &Person<'_>) -> Vec<Value> {
    let file = officer.file(person, "disclosures").await.expect(200).json();
    file["disclosures"].as_array().unwrap().clone()
}

async fn reg_08_a_bulk_pull_of_three_is_on_record_for_each_of_the_three(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (officer, segmentation) = (gateway.officer().await, gateway.segmentation().await);
    let three = ["anna", "berta", "carla"].map(|name| gateway.person(name));
    let dora = gateway.person("dora");
    let mut receipts = Vec::new();
    for person in &three {
        receipts.push(person.gives(&[PROFILING]).await["receipt"].clone());
    }
    dora.refuses(&[PROFILING]).await;
    let at = gateway.later();
    let names = segmentation.knows().await;
    assert_eq!(names.len(), 3);
    for (person, receipt) in three.iter().zip(&receipts) {
        let told = account(&officer, person).await;
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(
            (&told[0]["recipient"], &told[0]["name"], &told[0]["purpose"], &told[0]["at"]),
            (
                &json!("segmentation"),
                &json!("Example Shop GmbH, customer segmentation"),
                &json!(PROFILING),
                &json!(at.to_string())
            )
        );
        assert!(!told[0]["attributes"].as_array().unwrap().is_empty());
        // The pseudonym that the recipient knows this person by, and the consent that it rested on.
        assert!(names.iter().any(|name| told[0]["pseudonym"] == name.as_str()), "{told:?}");
        assert_eq!(told[0]["consent"]["receipt"], *receipt);
    }
    // Who was not in it is not told that anything left.
    assert_eq!(account(&officer, &dora).await, Vec::<Value>::new());
    // And one person alone.
    gateway.later();
    segmentation.looks_up_names(&[names.iter().next().unwrap()]).await.profiles();
    let mut counts = Vec::new();
    for person in &three {
        counts.push(account(&officer, person).await.len());
    }
    counts.sort_unstable();
    assert_eq!(counts, [1, 1, 2]);
}

async fn acc_13_the_access_log_tells_when_and_why_and_who_received_but_no_member_of_staff(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, officer, segmentation) =
        (gateway.person("anna"), gateway.officer().await, gateway.segmentation().await);
    anna.gives(&[PROFILING]).await;
    assert_eq!(segmentation.knows().await.len(), 1);
    // Somebody looks, too: that is in the ledger, and nobody's name is in the export.
    account(&officer, &anna).await;
    let export = officer.file(&anna, "disclosures").await.expect(200).text();
    for known in ["\"at\"", PROFILING, "Example Shop GmbH"] {
        assert!(export.contains(known), "{known}: {export}");
    }
    for client in [&officer.client.id, &segmentation.client.id] {
        let quoted = format!("\"{client}\"");
        let is_recipient = quoted == "\"segmentation\"";
        assert!(is_recipient || !export.contains(&quoted), "{export}");
    }
    let members: Vec<_> = account(&officer, &anna).await[0].as_object().unwrap().keys().cloned().collect();
    assert!(
        members.iter().all(|member| !["client", "staff", "by", "actor"].contains(&member.as_str())),
        "{members:?}"
    );
}

async fn each_disclosure_is_told_under_the_consent_and_the_policy_of_its_time(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let first = gateway.person("anna").gives(&[PROFILING]).await;
    gateway.later();
    assert_eq!(gateway.segmentation().await.knows().await.len(), 1);
    gateway.person("anna").withdraws(&[PROFILING]).await;
    let before = gateway.gateway().policy().version();
    // The recipient is called otherwise from now on.
    let name = "Example Shop GmbH, customer segmentation";
    let renamed = policy_with(&[("recipients.toml", name, "Example Shop GmbH, audiences")]);
    let gateway = gateway.under(renamed).await;
    let (anna, officer) = (gateway.person("anna"), gateway.officer().await);
    let second = anna.gives(&[PROFILING]).await;
    gateway.later();
    assert_eq!(gateway.segmentation().await.knows().await.len(), 1);
    gateway.later();
    anna.withdraws(&[PROFILING]).await;
    let told = account(&officer, &anna).await;
    assert_eq!(told.len(), 2);
    let after = gateway.gateway().policy().version();
    assert_ne!(before, after);
    assert_eq!((&told[0]["policy"], &told[1]["policy"]), (&json!(after), &json!(before)));
    assert_eq!((&told[0]["name"], &told[1]["name"]), (&json!("Example Shop GmbH, audiences"), &json!(name)));
    assert_eq!(
        (&told[0]["consent"]["receipt"], &told[1]["consent"]["receipt"]),
        (&second["receipt"], &first["receipt"])
    );
    assert_eq!(told[1]["consent"]["notice"], gateway.notice("checkout", "en"));
}

async fn a_read_that_rests_on_no_consent_says_so(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    // In California mailing is allowed until somebody opts out.
    let carla = gateway.person("carla").of_region(Some("US-CA"));
    carla.refuses(&["link_tracking"]).await;
    let (officer, mailer) = (gateway.officer().await, gateway.mailer().await);
    assert!(mailer.may_know(&carla).await);
    let told = account(&officer, &carla).await;
    assert_eq!((told.len(), &told[0]["consent"]), (1, &Value::Null));
}

/// Twenty-four look-ups at once, each of one person, a third of whom withdrew: however they are put together, each
/// answer holds its own person or nobody, and each person's account names the disclosure that the answer named.
async fn look_ups_at_once_are_recorded_together_and_answered_each_with_its_own(backend: Backend) {
    const PERSONS: usize = 24;
    let gateway = TestGateway::start(backend).await;
    gateway.crowd(PERSONS, &[PROFILING]).await;
    let (officer, segmentation) = (gateway.officer().await, gateway.segmentation().await);
    let names: Vec<String> = segmentation.knows().await.into_iter().collect();
    for person in (0..PERSONS).step_by(3) {
        gateway.person(&format!("person-{person}")).withdraws(&[PROFILING]).await;
    }
    let permitted = PERSONS - PERSONS.div_ceil(3);
    let mut were_together = false;
    for _ in 0..20 {
        let at = gateway.later().to_string();
        let answers = join_all(names.iter().map(async |name| segmentation.looks_up_names(&[name]).await)).await;
        let (mut answered, mut pulls) = (0, BTreeMap::new());
        for (name, answer) in names.iter().zip(answers) {
            let pull = answer.0.json()["pull"].as_str().unwrap().to_owned();
            let profiles = answer.profiles();
            assert!(profiles.len() <= 1, "{profiles:?}");
            for profile in &profiles {
                assert_eq!((&profile["index"], &profile["pseudonym"]), (&json!(0), &json!(name)));
                answered += 1;
                *pulls.entry(pull.clone()).or_insert(0) += 1;
            }
        }
        assert_eq!(answered, permitted);
        were_together |= pulls.values().any(|persons| *persons > 1);
        // Who was named in an answer has it in the account, once, under the name that the recipient used; who was not, not.
        for person in 0..PERSONS {
            let account = account(&officer, &gateway.person(&format!("person-{person}"))).await;
            let now: Vec<_> = account.iter().filter(|one| one["at"] == at.as_str()).collect();
            assert_eq!(now.len(), usize::from(person % 3 != 0), "{person}: {account:?}");
            assert!(now.iter().all(|one| names.iter().any(|name| one["pseudonym"] == name.as_str())));
        }
        if were_together {
            break;
        }
    }
    assert!(were_together, "no two of them were answered together");
    gateway.expect_sound_ledger().await;
}
