//! Running it: health, figures, jobs and start-up.

use app::{Gateway, GatewaySettings, OpenGatewayError};
use consentry::assets::shipped_policy;
use kernel::clock::FixedClock;
use kernel::seal::{KeySet, Keyring};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

use crate::harness::{Backend, START, SeededEntropy, TestGateway};

on_both!(
    it_is_ready_while_its_database_answers,
    figures_count_what_happened,
    the_job_sequences_the_ledger_and_lets_another_go_on,
    keys_of_another_store_are_refused,
    a_gateway_with_a_broken_policy_does_not_start,
);

async fn it_is_ready_while_its_database_answers(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let live = gateway.get("/health/live").await.expect(200);
    assert_eq!((live.json()["status"].as_str(), live.header("cache-control")), (Some("live"), Some("no-store")));
    assert_eq!(gateway.get("/health/ready").await.expect(200).json()["status"], "ready");
}

async fn figures_count_what_happened(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, berta, segmentation) =
        (gateway.person("anna"), gateway.person("berta"), gateway.segmentation().await);
    anna.gives(&["profiling_segmentation"]).await;
    berta.refuses(&["profiling_segmentation"]).await;
    segmentation.knows().await;
    let answer = gateway.get("/metrics").await.expect(200);
    assert_eq!(answer.content_type(), "application/openmetrics-text");
    let text = answer.text();
    for line in [
        "consentry_captures_total 2",
        "consentry_disclosures_total 1",
        "consentry_persons_disclosed_total 1",
        "consentry_refusals_total{reason=\"refused\"} 1",
        "consentry_tokens_issued_total 1",
        "consentry_http_requests_total{method=\"POST\",route=\"/v1/consents\",status=\"201\"} 2",
    ] {
        assert!(text.lines().any(|known| known == line), "{line} in {text}");
    }
    assert!(text.ends_with("# EOF\n"));
}

async fn the_job_sequences_the_ledger_and_lets_another_go_on(backend: Backend) {
    let one = TestGateway::start(backend).await;
    let two = one.twin().await;
    for (round, gateway) in [&one, &two, &one].into_iter().enumerate() {
        gateway.person(&format!("anna-{round}")).gives(&["email_marketing"]).await;
        let stop = CancellationToken::new();
        let (jobs, until) = (gateway.gateway().clone(), stop.clone());
        let running = tokio::spawn(async move { jobs.run_jobs(until).await });
        // It is done when everything is covered; nothing else sequences here.
        for attempt in 0.. {
            let entries = one.database().number("SELECT count(*) FROM ledger_entry").await;
            let covered = one.database().number("SELECT coalesce(max(size), 0) FROM ledger_checkpoint").await;
            if covered >= entries {
                break;
            }
            assert!(attempt < 20_000, "the job does not sequence");
        }
        stop.cancel();
        running.await.unwrap();
    }
    let report = one.verify().await;
    assert_eq!((report.fault, report.pending), (None, 0));
}

async fn open_again(
    gateway: &TestGateway,
    keys: &str,
    policy: kernel::policy::document::PolicySources,
) -> Result<Gateway, OpenGatewayError> {
    let settings = GatewaySettings { database_url: gateway.database().url(), ..GatewaySettings::default() };
    let keyring = Keyring::new(&KeySet::from_toml(keys).unwrap()).unwrap();
    let clock = Arc::new(FixedClock::at(START.parse().unwrap()));
    Gateway::open(settings, keyring, policy, clock, Arc::new(SeededEntropy::new(1))).await
}

async fn keys_of_another_store_are_refused(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    gateway.person("anna").gives(&["email_marketing"]).await;
    let others = KeySet::generate(&SeededEntropy::new(99)).to_toml().as_str().to_owned();
    let refused = open_again(&gateway, &others, shipped_policy()).await;
    assert!(matches!(refused, Err(OpenGatewayError::WrongKeys)));
    assert!(open_again(&gateway, gateway.keys(), shipped_policy()).await.is_ok());
}

async fn a_gateway_with_a_broken_policy_does_not_start(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let mut broken = shipped_policy();
    broken.push("purposes.toml", "[[purpose]]\nid = \"x\"\n");
    assert!(matches!(open_again(&gateway, gateway.keys(), broken).await, Err(OpenGatewayError::Policy(_))));
    // The one that runs is not disturbed.
    gateway.get("/health/ready").await.expect(200);
}
