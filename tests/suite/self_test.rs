//! The self-test: it finds what is broken (row SEC-08 of the law).

use app::{CANARY, Measure, SelfTestReport, Tried};
use kernel::authz::{Actor, Authorized};
use serde_json::json;

use crate::harness::process::{Process, run, text};
use crate::harness::{Backend, Line, TestGateway};

on_both!(
    sec_08_a_sound_gateway_passes_and_leaves_nobody,
    sec_08_a_ledger_that_was_changed_is_found,
    sec_08_a_person_whom_the_keys_do_not_open_is_found,
    sec_08_a_canary_in_clear_is_found,
    sec_08_a_restored_database_is_verified_and_a_foreign_one_is_found,
);

async fn tests(gateway: &TestGateway, restored: Option<&str>) -> SelfTestReport {
    gateway.sequence().await;
    let by = Authorized::prove(Actor::Operator).unwrap();
    gateway.gateway().self_test(&by, restored).await
}

fn is_broken(report: &SelfTestReport, measure: Measure) -> bool {
    matches!(report.of(measure), Some(Tried::Broken(_)))
}

/// A gateway in which something was done.
async fn lived(backend: Backend) -> TestGateway {
    let gateway = TestGateway::start(backend).await;
    for name in ["anna", "berta"] {
        let person = gateway.person(name);
        person.gives(&["profiling_segmentation"]).await;
        gateway.shop().await.sends(&[Line::of(&person, json!({ "city": "Berlin" }))]).await;
    }
    gateway.segmentation().await.knows().await;
    gateway
}

async fn sec_08_a_sound_gateway_passes_and_leaves_nobody(backend: Backend) {
    let gateway = lived(backend).await;
    let persons = gateway.database().number("SELECT count(*) FROM subject").await;
    let report = tests(&gateway, None).await;
    assert!(report.is_sound(), "{report:?}");
    for measure in [Measure::Ledger, Measure::Keys, Measure::Canary] {
        assert!(matches!(report.of(measure), Some(Tried::Sound(_))), "{report:?}");
    }
    // PostgreSQL has its own tools for copies, and the report says so rather than that it was tried.
    let restored = report.of(Measure::Restore);
    match backend {
        Backend::Sqlite => assert!(matches!(restored, Some(Tried::Sound(_))), "{report:?}"),
        Backend::Postgres => assert!(matches!(restored, Some(Tried::NotTried(_))), "{report:?}"),
    }
    assert_eq!(gateway.database().number("SELECT count(*) FROM subject").await, persons);
    gateway.expect_sound_ledger().await;
    assert!(tests(&gateway, None).await.is_sound(), "and again");
}

async fn sec_08_a_ledger_that_was_changed_is_found(backend: Backend) {
    let gateway = lived(backend).await;
    gateway.sequence().await;
    let drop = match backend {
        Backend::Sqlite => "DROP TRIGGER ledger_entry_refuses_update",
        Backend::Postgres => "DROP TRIGGER ledger_entry_append_only ON ledger_entry",
    };
    gateway.database().execute(drop).await;
    gateway
        .database()
        .execute(
            "UPDATE ledger_entry SET entry = (SELECT entry FROM ledger_entry ORDER BY id DESC LIMIT 1) \
                  WHERE id = (SELECT min(id) FROM ledger_entry)",
        )
        .await;
    let report = tests(&gateway, None).await;
    assert!(!report.is_sound() && is_broken(&report, Measure::Ledger), "{report:?}");
    assert!(!is_broken(&report, Measure::Keys) && !is_broken(&report, Measure::Canary), "{report:?}");
}

async fn sec_08_a_person_whom_the_keys_do_not_open_is_found(backend: Backend) {
    let gateway = lived(backend).await;
    // The first person, not the newest, whom every start looks at.
    gateway
        .database()
        .execute(
            "UPDATE subject SET record = (SELECT record FROM subject ORDER BY ordinal DESC LIMIT 1) \
                  WHERE ordinal = (SELECT min(ordinal) FROM subject)",
        )
        .await;
    let report = tests(&gateway, None).await;
    assert!(!report.is_sound() && is_broken(&report, Measure::Keys), "{report:?}");
    assert!(!is_broken(&report, Measure::Ledger), "{report:?}");
    // A copy of what is broken is broken.
    assert_eq!(is_broken(&report, Measure::Restore), backend == Backend::Sqlite);
}

async fn sec_08_a_canary_in_clear_is_found(backend: Backend) {
    let gateway = lived(backend).await;
    gateway.database().execute("CREATE TABLE left_over (something text)").await;
    gateway.database().execute(&format!("INSERT INTO left_over VALUES ('before {CANARY} after')")).await;
    let report = tests(&gateway, None).await;
    let Some(Tried::Broken(how)) = report.of(Measure::Canary) else { panic!("{report:?}") };
    assert!(how.contains("left_over.something"), "{how}");
    assert!(!is_broken(&report, Measure::Ledger) && !is_broken(&report, Measure::Keys), "{report:?}");
    // What is broken keeps nobody from being erased.
    assert_eq!(gateway.database().number("SELECT count(*) FROM subject").await, 2);
    gateway.database().execute("DROP TABLE left_over").await;
}

async fn sec_08_a_restored_database_is_verified_and_a_foreign_one_is_found(backend: Backend) {
    let gateway = lived(backend).await;
    gateway.sequence().await;
    // The same database in the place of a restored one; and one that is another gateway's, with the same keys.
    let own = gateway.database().url();
    let report = tests(&gateway, Some(&own)).await;
    assert!(matches!(report.of(Measure::Restore), Some(Tried::Sound(_))), "{report:?}");
    let other = lived(backend).await;
    other.sequence().await;
    let report = tests(&gateway, Some(&other.database().url())).await;
    assert!(!report.is_sound() && is_broken(&report, Measure::Restore), "{report:?}");
    let empty = TestGateway::start(backend).await;
    let report = tests(&gateway, Some(&empty.database().url())).await;
    assert!(is_broken(&report, Measure::Restore), "{report:?}");
    let report = tests(&gateway, Some("nothing:here")).await;
    assert!(is_broken(&report, Measure::Restore), "{report:?}");
}

#[test]
fn sec_08_the_command_exits_with_1_when_something_is_broken() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    Process::serve(&data, &[]).stop();
    let test = || {
        let output = run(&["self-test", "--data", data.to_str().unwrap()]);
        (output.status.code().unwrap(), text(&output.stdout))
    };
    let (code, output) = test();
    assert_eq!(code, 0, "{output}");
    for measure in ["ledger", "keys", "restore", "canary"] {
        assert!(output.lines().any(|line| line.starts_with(measure) && line.contains("ok")), "{output}");
    }
    // Something that was left beside the tables is in the file.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        use sqlx::{Connection as _, Executor as _};
        let url = format!("sqlite:{}", data.join("consentry.db").display());
        let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
        connection.execute("CREATE TABLE left_over (something text)").await.unwrap();
        let planted = format!("INSERT INTO left_over VALUES ('{CANARY}')");
        connection.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(planted))).await.unwrap();
        connection.close().await.unwrap();
    });
    let (code, output) = test();
    assert!(code == 1 && output.contains("left_over.something") && output.contains("BROKEN"), "{code}: {output}");
    assert!(!output.contains(CANARY), "{output}");
}
