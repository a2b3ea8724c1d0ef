//! Killing the process at any moment loses no acknowledged consent and leaves no half of one (SEC-07).

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;

use futures_util::future::join_all;
use kernel::entropy::Entropy as _;
use kernel::policy::ValidPolicy;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::harness::SeededEntropy;
use crate::harness::process::{Process, run, text};

const LIVES: usize = 7;
const CONNECTIONS: usize = 6;

/// What was acknowledged of one person: the receipts, in order.
type Acknowledged = Mutex<BTreeMap<String, Vec<String>>>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_07_killing_the_process_loses_no_acknowledged_consent() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let secret = register_officer(&data);
    let policy = ValidPolicy::from_sources(&consentry::assets::shipped_policy()).unwrap();
    let notice = policy.current_notice(&"checkout".parse().unwrap(), "en").unwrap().digest.to_string();
    let (acknowledged, entropy) = (Acknowledged::default(), SeededEntropy::new(2_718));
    for life in 0..LIVES {
        let process = Process::serve(&data, &[]);
        expect_everything_acknowledged(&process.url, &secret, &acknowledged).await;
        let (tell, mut told) = mpsc::unbounded_channel();
        let url = process.url.clone();
        let posting = (0..CONNECTIONS).map(|connection| {
            post_until_it_dies(&url, &notice, format!("{life}-{connection}"), &acknowledged, tell.clone())
        });
        // Killed after some acknowledgements, while other posts are on their way.
        let most = usize::from(entropy.bytes_16()[0] % 60) + 5;
        let killing = async {
            for _ in 0..most {
                told.recv().await.unwrap();
            }
            // What was published a moment before the end is part of whatever comes after it.
            let published = http().get(format!("{}/ledger/checkpoint", process.url)).send().await.unwrap();
            std::fs::write(folder.path().join("kept"), published.text().await.unwrap()).unwrap();
            process.kill();
        };
        futures_util::join!(join_all(posting), killing);
        verify(&data, &folder.path().join("kept"));
    }
    let process = Process::serve(&data, &[]);
    expect_everything_acknowledged(&process.url, &secret, &acknowledged).await;
    process.stop();
    verify(&data, &folder.path().join("kept"));
    assert!(acknowledged.lock().unwrap().len() >= LIVES);
}

fn register_officer(data: &Path) -> String {
    let data = data.to_str().unwrap();
    let scopes = ["--scope", "rights:write", "--scope", "rights:read"];
    let output = run(&[&["client", "add", "--data", data, "--id", "officer"][..], &scopes].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout).trim().to_owned()
}

fn verify(data: &Path, kept: &Path) {
    let (data, kept) = (data.to_str().unwrap(), kept.to_str().unwrap());
    let output = run(&["ledger", "verify", "--data", data, "--checkpoint", kept]);
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    assert!(text(&output.stdout).contains("the ledger verifies"));
}

fn http() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// Gives consent for one new address after the other, and takes every second one back, until nobody answers.
async fn post_until_it_dies(
    url: &str,
    notice: &str,
    name: String,
    acknowledged: &Acknowledged,
    tell: mpsc::UnboundedSender<()>,
) {
    let http = http();
    for number in 0.. {
        let email = format!("q7canary-{name}-{number}@example.org");
        let give = json!({
            "form": "checkout", "subject": { "email": email }, "notice": notice, "locale": "en", "region": "DE",
            "captured_at": "2024-03-01T00:00:00Z",
            "evidence": { "action": "button", "default_state": "unchecked", "presentation": "separate" },
            "choices": [{ "purpose": "email_marketing", "choice": "give" }],
        });
        let withdraw = json!({
            "subject": { "email": email }, "choices": [{ "purpose": "email_marketing", "choice": "withdraw" }],
        });
        for post in [&give, &withdraw].into_iter().take(1 + number % 2) {
            let Ok(answer) = http.post(format!("{url}/v1/consents")).json(post).send().await else { return };
            let status = answer.status();
            let Ok(receipt) = answer.json::<Value>().await else { return };
            assert_eq!(status, 201, "{receipt}");
            let receipt = receipt["receipt"].as_str().unwrap().to_owned();
            acknowledged.lock().unwrap().entry(email.clone()).or_default().push(receipt);
            // Nobody counts any more when it was killed meanwhile.
            let _over = tell.send(());
        }
    }
}

/// Every receipt is in its person's history, and no history has half of a post.
async fn expect_everything_acknowledged(url: &str, secret: &str, acknowledged: &Acknowledged) {
    let http = http();
    let form = [("grant_type", "client_credentials"), ("client_id", "officer"), ("client_secret", secret)];
    let token: Value =
        http.post(format!("{url}/oauth/token")).form(&form).send().await.unwrap().json().await.unwrap();
    let token = token["access_token"].as_str().unwrap();
    let people = acknowledged.lock().unwrap().clone();
    for (email, receipts) in people {
        let body = json!({ "type": "access", "subject": { "email": email } });
        let request = http.post(format!("{url}/v1/rights-requests")).bearer_auth(token).json(&body);
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        let events =
            answer["document"]["events"].as_array().unwrap_or_else(|| panic!("{email} is lost: {answer}"));
        let kinds: Vec<_> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
        assert!(kinds.starts_with(&["REGIME_DECLARED", "GRANT_CONFIRMED"]), "{kinds:?}");
        for receipt in &receipts {
            assert!(
                events.iter().any(|event| event["receipt"] == receipt.as_str()),
                "{receipt} of {email} is lost"
            );
        }
        // What was written and not acknowledged may be there, too: but whole.
        assert!(kinds[2..].iter().all(|kind| ["WITHDRAWN", "EXPIRED"].contains(kind)), "{kinds:?}");
    }
}
