//! A store of its own for each test, on both databases, and the people in it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use kernel::attribute::{AttributeName, Value};
use kernel::consent::{Assurance, ConsentEvent, EventKind, Grant, Standing};
use kernel::entropy::Entropy;
use kernel::id::{LedgerRef, ReceiptId, SubjectId};
use kernel::identifier::{Fingerprint, Identifier};
use kernel::notice::NoticeDigest;
use kernel::policy::ValidPolicy;
use kernel::policy::document::PolicySources;
use kernel::seal::{KeySet, Keyring, SubjectKey};
use kernel::time::Timestamp;
use sqlx::Connection as _;
use store::change::{Capture, CaptureConsents, CaptureSubject, Captured, Identified, Recorded};
use store::ledger::LedgerRow;
use store::query::SubjectRow;
use store::{Backend, Store, StoreError, StoreSettings};

/// Writes each test twice: once for each database.
macro_rules! on_both {
    ($($(#[$doc:meta])* async fn $name:ident($db:ident) $body:block)+) => {$(
        $(#[$doc])*
        async fn $name($db: $crate::harness::TestStore) $body

        mod $name {
            #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn sqlite() {
                super::$name($crate::harness::TestStore::sqlite().await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn postgres() {
                super::$name($crate::harness::TestStore::postgres().await).await;
            }
        }
    )+};
}
pub(crate) use on_both;

pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_795_000_000_000);

/// Bytes that never repeat within a process, which is all that tests need.
pub(crate) struct Counting(AtomicU64);

impl Entropy for Counting {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let number = self.0.fetch_add(1, Ordering::Relaxed);
            let mixed = (number ^ 0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            chunk.copy_from_slice(&mixed.to_le_bytes()[..chunk.len()]);
        }
    }
}

#[derive(Clone)]
pub(crate) struct TestStore {
    pub(crate) store: Store,
    pub(crate) url: String,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) directory: Option<Arc<tempfile::TempDir>>,
}

impl TestStore {
    pub(crate) async fn sqlite() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", directory.path().join("store.db").display());
        Self::at(url, Some(Arc::new(directory))).await
    }

    pub(crate) async fn postgres() -> Self {
        let url = tokio::task::spawn_blocking(test_postgres::database).await.unwrap();
        Self::at(url, None).await
    }

    async fn at(url: String, directory: Option<Arc<tempfile::TempDir>>) -> Self {
        static SEED: AtomicU64 = AtomicU64::new(1);
        let entropy = Arc::new(Counting(AtomicU64::new(SEED.fetch_add(1 << 40, Ordering::Relaxed))));
        let keyring = Arc::new(Keyring::new(&KeySet::generate(&*entropy)).unwrap());
        let store = connect(&url).await.unwrap();
        store.migrate().await.unwrap();
        Self { store, url, keyring, entropy, directory }
    }

    pub(crate) fn is_postgres(&self) -> bool {
        self.store.backend() == Backend::Postgres
    }

    /// Another gateway on the same database.
    pub(crate) async fn another(&self) -> Self {
        Self { store: connect(&self.url).await.unwrap(), ..self.clone() }
    }

    /// Runs SQL behind the store's back.
    pub(crate) async fn raw(&self, statement: &str) -> Result<u64, sqlx::Error> {
        let statement = sqlx::raw_sql(sqlx::AssertSqlSafe(statement.to_owned()));
        if self.is_postgres() {
            let mut connection = sqlx::PgConnection::connect(&self.url).await?;
            Ok(statement.execute(&mut connection).await?.rows_affected())
        } else {
            let mut connection = sqlx::SqliteConnection::connect(&self.url).await?;
            Ok(statement.execute(&mut connection).await?.rows_affected())
        }
    }

    /// The one number that a query answers.
    pub(crate) async fn number(&self, query: &str) -> i64 {
        let query = sqlx::AssertSqlSafe(query.to_owned());
        if self.is_postgres() {
            let mut connection = sqlx::PgConnection::connect(&self.url).await.unwrap();
            sqlx::query_scalar(query).fetch_one(&mut connection).await.unwrap()
        } else {
            let mut connection = sqlx::SqliteConnection::connect(&self.url).await.unwrap();
            sqlx::query_scalar(query).fetch_one(&mut connection).await.unwrap()
        }
    }

    pub(crate) fn fingerprint(&self, email: &str) -> Fingerprint {
        self.keyring.fingerprint(&Identifier::email(email).unwrap())
    }

    /// A person as a form knows them: by addresses.
    pub(crate) fn person(&self, emails: &[&str]) -> Identified {
        let identifiers = emails.iter().map(|email| Identifier::email(email).unwrap());
        Identified {
            fingerprints: identifiers
                .map(|identifier| (identifier.kind(), self.keyring.fingerprint(&identifier)))
                .collect(),
            new_subject: SubjectId::generate(&*self.entropy),
            ledger_ref: LedgerRef::generate(&*self.entropy),
        }
    }

    pub(crate) fn post(&self, email: &str, events: Vec<ConsentEvent>) -> Capture {
        Capture {
            who: CaptureSubject::Identified(self.person(&[email])),
            receipt: ReceiptId::generate(&*self.entropy),
            events,
            evidence: None,
            attributes: vec![(attribute("email"), Value::Text(email.to_owned()))],
            source: "newsletter".parse().unwrap(),
            observed_at: NOW,
            idempotency: None,
            confirmation: None,
            policy: policy(),
        }
    }

    pub(crate) fn batch(&self, captures: Vec<Capture>) -> CaptureConsents {
        CaptureConsents { captures, keyring: self.keyring.clone(), entropy: self.entropy.clone(), at: NOW }
    }

    pub(crate) async fn try_capture(&self, captures: Vec<Capture>) -> Result<Vec<Captured>, StoreError> {
        Ok(self.store.perform(&self.batch(captures)).await?.0)
    }

    /// Captures one post that is recorded.
    pub(crate) async fn capture(&self, capture: Capture) -> Recorded {
        recorded(&self.try_capture(vec![capture]).await.unwrap().remove(0))
    }

    pub(crate) async fn row(&self, id: SubjectId) -> SubjectRow {
        self.store.rows_by_ids(&[id]).await.unwrap().remove(0)
    }

    pub(crate) async fn key(&self, id: SubjectId) -> SubjectKey {
        self.keyring.unwrap_key(id, &self.row(id).await.wrapped_key).unwrap()
    }

    pub(crate) async fn standing(&self, id: SubjectId) -> Standing {
        let row = self.row(id).await;
        self.keyring.unwrap_key(id, &row.wrapped_key).unwrap().open_standing(&row.standing).unwrap()
    }

    /// The stored history, opened.
    pub(crate) async fn history(&self, id: SubjectId) -> Vec<ConsentEvent> {
        let key = self.key(id).await;
        let mut events = Vec::new();
        for act in self.store.consent_acts(id).await.unwrap() {
            let opened = key.open_act(act.first, &act.sealed).unwrap().0;
            assert_eq!(u32::try_from(opened.len()).unwrap(), act.events);
            events.extend(opened);
        }
        events
    }

    /// Checks that the stored standing is the fold of the stored history, and that the history has no gap.
    pub(crate) async fn check_fold(&self, id: SubjectId) {
        let events = self.history(id).await;
        let sequences: Vec<_> = events.iter().map(|event| event.sequence).collect();
        assert_eq!(sequences, (0..u32::try_from(events.len()).unwrap()).collect::<Vec<_>>());
        assert_eq!(self.standing(id).await, Standing::fold(id, &events));
    }

    /// All entries. The horizon of PostgreSQL is the cluster's, so other tests hold it back for a moment.
    pub(crate) async fn entries(&self) -> Vec<LedgerRow> {
        let written = self.store.counts().await.unwrap().ledger_entries;
        eventually(async || {
            let entries = self.store.entries_after(None, 1_000_000).await.unwrap();
            (entries.len() as u64 >= written).then_some(entries)
        })
        .await
    }

    /// How many entries were written, on either side of the horizon.
    pub(crate) async fn ledger_len(&self) -> u64 {
        self.store.counts().await.unwrap().ledger_entries
    }
}

pub(crate) async fn connect(url: &str) -> Result<Store, StoreError> {
    Store::connect(&StoreSettings { url: url.to_owned(), max_connections: 20 }).await
}

/// What a question answers when its time has come.
pub(crate) async fn eventually<T>(question: impl AsyncFn() -> Option<T>) -> T {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(30) {
        if let Some(answer) = question().await {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it did not come true within half a minute")
}

/// A policy of nothing: no attribute loses its ground by it, and nobody is told.
pub(crate) fn policy() -> Arc<ValidPolicy> {
    policy_that_says("")
}

/// One of nothing, too, under a version of its own.
pub(crate) fn another_policy() -> Arc<ValidPolicy> {
    policy_that_says("# another one")
}

fn policy_that_says(text: &str) -> Arc<ValidPolicy> {
    let documents = ["controllers.toml", "purposes.toml", "attributes.toml", "recipients.toml", "forms.toml"];
    let sources: PolicySources = documents.into_iter().map(|path| (path, text)).collect();
    Arc::new(ValidPolicy::from_sources(&sources).unwrap())
}

pub(crate) fn recorded(outcome: &Captured) -> Recorded {
    match outcome {
        Captured::Recorded(recorded) => recorded.clone(),
        other => panic!("{other:?}"),
    }
}

pub(crate) fn attribute(name: &str) -> AttributeName {
    name.parse().unwrap()
}

/// An event for `marketing`, some milliseconds after [`NOW`].
pub(crate) fn event(kind: EventKind, millis: i64) -> ConsentEvent {
    let at = NOW.plus_ms(millis);
    ConsentEvent::new(kind, Some("marketing".parse().unwrap()), at, at)
}

pub(crate) fn grant(millis: i64) -> ConsentEvent {
    let mut event = event(EventKind::GrantConfirmed, millis);
    event.grant = Some(Grant {
        notice: Some(NoticeDigest::of("en", "We mail you offers.")),
        purpose_version: 1,
        assurance: Assurance::Form,
        explicit: false,
        controllers: vec!["shop".parse().unwrap()],
        valid_until: None,
        third_party: false,
        product_family: None,
    });
    event
}
