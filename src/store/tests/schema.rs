//! The schema: brought up once however many start, never touched when it is newer, and the file is its owner's alone.

use store::{StoreError, StoreSettings};

use crate::harness::{NOW, TestStore, connect, grant, on_both};

on_both! {
    async fn a_newer_schema_is_not_touched(db) {
        assert!(db.store.pending_migrations().await.unwrap().is_empty());
        assert!(db.store.migrate().await.unwrap().is_empty());
        db.raw("INSERT INTO seaql_migrations (version, applied_at) VALUES ('m29991231_000001_later', 0)").await.unwrap();
        assert!(matches!(connect(&db.url).await, Err(StoreError::UnknownSchema)));
        assert!(matches!(db.store.migrate().await, Err(StoreError::UnknownSchema)));
    }
}

async fn gateways_that_start_at_once_migrate_once(url: String) {
    let starts = (0..4).map(|_| {
        let url = url.clone();
        tokio::spawn(async move {
            let store = connect(&url).await.unwrap();
            store.migrate().await.unwrap().len()
        })
    });
    let mut applied = Vec::new();
    for start in starts.collect::<Vec<_>>() {
        applied.push(start.await.unwrap());
    }
    applied.sort_unstable();
    assert_eq!(applied[..3], [0, 0, 0]);
    let store = connect(&url).await.unwrap();
    assert!(applied[3] > 0 && store.pending_migrations().await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn gateways_that_start_at_once_migrate_once_on_sqlite() {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", directory.path().join("store.db").display());
    gateways_that_start_at_once_migrate_once(url).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn gateways_that_start_at_once_migrate_once_on_postgres() {
    gateways_that_start_at_once_migrate_once(tokio::task::spawn_blocking(test_postgres::database).await.unwrap())
        .await;
}

#[tokio::test]
async fn a_new_store_is_pending_until_it_is_migrated() {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", directory.path().join("store.db").display());
    let store = connect(&url).await.unwrap();
    let pending = store.pending_migrations().await.unwrap();
    assert!(pending.len() >= 5 && pending.is_sorted());
    assert_eq!(store.migrate().await.unwrap(), pending);
    store.close().await;
}

#[cfg(unix)]
#[tokio::test]
async fn the_files_of_a_store_are_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;

    let db = TestStore::sqlite().await;
    db.capture(db.post("anna@example.org", vec![grant(0)])).await;
    let files: Vec<_> =
        std::fs::read_dir(db.directory.as_ref().unwrap().path()).unwrap().map(Result::unwrap).collect();
    assert!(files.len() >= 2, "{files:?}");
    for file in files {
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", file.path());
    }
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_new_start() {
    let db = TestStore::sqlite().await;
    let subject = db.capture(db.post("anna@example.org", vec![grant(0)])).await.subject;
    db.store.clone().close().await;
    let again = TestStore { store: connect(&db.url).await.unwrap(), ..db };
    again.check_fold(subject).await;
    assert_eq!(again.standing(subject).await.next_sequence(), 1);
    let _ = NOW;
}

#[tokio::test]
async fn an_address_that_cannot_be_a_store_is_refused_without_repeating_it() {
    for url in
        ["mysql://user:secret@host/db", "sqlite::memory:", "secret", "postgres://user:secret@127.0.0.1:1/db"]
    {
        let settings = StoreSettings { url: url.to_owned(), max_connections: 1 };
        let error = store::Store::connect(&settings).await.unwrap_err();
        assert!(!format!("{error} {error:?} {settings:?}").contains("secret"), "{url}");
    }
}
