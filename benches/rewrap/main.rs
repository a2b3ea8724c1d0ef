//! How fast a new key-encryption key takes over the data keys of many persons, through the gateway's own rotation, and how
//! that compares to an UPDATE of the same rows by the database alone. It fills an empty database with persons whose keys
//! are wrapped and whose records are as long as those of the demo, prints figures and asserts nothing but that nobody was
//! left out; `scripts/bench-rewrap` runs it on both databases.
//!
//! ```text
//! consentry-rewrap-bench --url sqlite:bench.db --persons 1000000
//! ```

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context as _, bail, ensure};
use app::{
    Gateway, GatewaySettings, KNOWN_AFTER_MS, KeyProgress, RootKey, RootKeyError, Rooted, SystemEntropy, Wrapped,
};
use clap::Parser;
use kernel::authz::{Actor, Authorized};
use kernel::clock::FixedClock;
use kernel::entropy::Entropy as _;
use kernel::id::SubjectId;
use kernel::seal::{KeySet, KeyUse, Keyring, RootProvider, RootSet, SealedKeySet};
use kernel::time::Timestamp;
use sqlx::{Connection as _, Row as _};
use zeroize::Zeroizing;

/// The bytes of a sealed standing and of a record of eight attributes.
const STANDING: usize = 120;
const RECORD: usize = 640;
const CHUNK: u64 = 2_000;

#[derive(Debug, Parser)]
struct Arguments {
    /// An empty database
    #[arg(long)]
    url: String,
    /// Persons
    #[arg(long, default_value_t = 1_000_000)]
    persons: u64,
}

/// A root key in memory.
struct Root(Mutex<RootSet>);

impl Root {
    fn set(&self) -> std::sync::MutexGuard<'_, RootSet> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RootKey for Root {
    fn provider(&self) -> RootProvider {
        RootProvider::File
    }

    fn wrap<'a>(&'a self, key: &'a [u8; 32]) -> Rooted<'a, Wrapped> {
        Box::pin(async move {
            let wrapped = self.set().wrap(key).map_err(|error| RootKeyError::Unusable(error.to_string()));
            wrapped.map(|(root, bytes)| Wrapped { root, bytes })
        })
    }

    fn unwrap<'a>(&'a self, wrapped: &'a Wrapped) -> Rooted<'a, Zeroizing<[u8; 32]>> {
        Box::pin(async move {
            let key = self.set().unwrap(&wrapped.root, &wrapped.bytes);
            key.map_err(|error| RootKeyError::Wrong(error.to_string()))
        })
    }

    fn renew(&self) -> Rooted<'_, ()> {
        Box::pin(async { Ok(()) })
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let (url, persons) = (arguments.url.as_str(), arguments.persons);
    let clock = Arc::new(FixedClock::at(Timestamp::from_millis(1_795_000_000_000)));
    let settings = GatewaySettings { database_url: url.to_owned(), ..GatewaySettings::default() };
    let root: Arc<dyn RootKey> = Arc::new(Root(Mutex::new(RootSet::generate(&SystemEntropy))));
    let policy = consentry::assets::shipped_policy();
    let gateway =
        Gateway::open(settings, Arc::clone(&root), policy, clock.clone(), Arc::new(SystemEntropy)).await?;

    fill(url, &*root, persons).await?;
    settle(url).await?;
    let begin = Instant::now();
    execute(url, "UPDATE subject SET wrapped_key = substr(wrapped_key, 1, 64)").await?;
    let plain = begin.elapsed().as_secs_f64();
    settle(url).await?;

    let operator = Authorized::prove(Actor::Operator)?;
    let job = Authorized::prove(Actor::Job("bench"))?;
    gateway.rotate_key(&operator, KeyUse::Data, 0).await?;
    clock.advance_ms(KNOWN_AFTER_MS);
    let begin = Instant::now();
    let done = loop {
        match gateway.tend_keys_once(&job, [1; 16]).await? {
            KeyProgress::Working(_) => {}
            KeyProgress::Finished(work) => break work.done,
            other => bail!("the work stands still: {other:?}"),
        }
    };
    let rewrap = begin.elapsed().as_secs_f64();
    ensure!(done == persons, "{done} of {persons} were taken over");
    let rate = |seconds: f64| persons as f64 / seconds;
    println!("persons {persons}");
    println!("plain_update_seconds {plain:.2} ({:.0} rows/s)", rate(plain));
    println!("rewrap_seconds {rewrap:.2} ({:.0} persons/s)", rate(rewrap));
    println!("rewrap_to_plain_update {:.3}", rate(rewrap) / rate(plain));
    Ok(())
}

/// Inserts persons whose keys are wrapped under the store's own key.
async fn fill(url: &str, root: &dyn RootKey, persons: u64) -> anyhow::Result<()> {
    let keyring = keyring(url, root).await?;
    let entropy = SystemEntropy;
    for first in (0..persons).step_by(usize::try_from(CHUNK)?) {
        let mut rows = Vec::new();
        for ordinal in first..(first + CHUNK).min(persons) {
            let subject = SubjectId::generate(&entropy);
            let (_, wrapped) = keyring.create_key(subject, &entropy).context("no key")?;
            rows.push((subject, i64::try_from(ordinal + 1)?, wrapped.as_bytes().to_vec(), entropy.bytes_16()));
        }
        if url.starts_with("postgres") {
            let mut connection = sqlx::PgConnection::connect(url).await?;
            let ids: Vec<_> = rows.iter().map(|row| row.0.as_bytes().to_vec()).collect();
            let ordinals: Vec<_> = rows.iter().map(|row| row.1).collect();
            let keys: Vec<_> = rows.iter().map(|row| row.2.clone()).collect();
            let refs: Vec<_> = rows.iter().map(|row| row.3.to_vec()).collect();
            sqlx::query(
                "INSERT INTO subject (id, ordinal, change_sequence, version, created_at, ledger_ref, wrapped_key, standing, record) \
                 SELECT id, ordinal, 1, 1, 0, ref, key, decode(repeat('a5', $5), 'hex'), decode(repeat('5a', $6), 'hex') \
                 FROM unnest($1::bytea[], $2::bigint[], $3::bytea[], $4::bytea[]) AS t (id, ordinal, key, ref)",
            )
            .bind(ids)
            .bind(ordinals)
            .bind(keys)
            .bind(refs)
            .bind(i32::try_from(STANDING)?)
            .bind(i32::try_from(RECORD)?)
            .execute(&mut connection)
            .await?;
        } else {
            let mut connection = sqlite(url).await?;
            let mut transaction = connection.begin().await?;
            for (id, ordinal, key, reference) in rows {
                sqlx::query(
                    "INSERT INTO subject (id, ordinal, change_sequence, version, created_at, ledger_ref, wrapped_key, standing, record) \
                     VALUES ($1, $2, 1, 1, 0, $3, $4, zeroblob($5), zeroblob($6))",
                )
                .bind(id.as_bytes().to_vec())
                .bind(ordinal)
                .bind(reference.to_vec())
                .bind(key)
                .bind(i64::try_from(STANDING)?)
                .bind(i64::try_from(RECORD)?)
                .execute(&mut *transaction)
                .await?;
            }
            transaction.commit().await?;
        }
    }
    Ok(())
}

/// The store's keys, as a gateway opens them.
async fn keyring(url: &str, root: &dyn RootKey) -> anyhow::Result<Keyring> {
    const QUERY: &str = "SELECT root, wrapped_key, sealed FROM key_set";
    let (root_name, bytes, sealed): (String, Vec<u8>, Vec<u8>) = if url.starts_with("postgres") {
        let row = sqlx::query(QUERY).fetch_one(&mut sqlx::PgConnection::connect(url).await?).await?;
        (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?)
    } else {
        let row = sqlx::query(QUERY).fetch_one(&mut sqlite(url).await?).await?;
        (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?)
    };
    let key = root.unwrap(&Wrapped { root: root_name, bytes }).await?;
    let keys = KeySet::open(&SealedKeySet::from_bytes(sealed), &key, 1)?;
    Ok(Keyring::new(&keys)?)
}

async fn sqlite(url: &str) -> anyhow::Result<sqlx::SqliteConnection> {
    Ok(sqlx::SqliteConnection::connect(url).await?)
}

async fn execute(url: &str, statement: &'static str) -> anyhow::Result<()> {
    if url.starts_with("postgres") {
        sqlx::query(statement).execute(&mut sqlx::PgConnection::connect(url).await?).await?;
    } else {
        sqlx::query(statement).execute(&mut sqlite(url).await?).await?;
    }
    Ok(())
}

/// Both begin with the same table: no dead rows, statistics up to date.
async fn settle(url: &str) -> anyhow::Result<()> {
    if url.starts_with("postgres") {
        execute(url, "VACUUM (FULL, ANALYZE) subject").await?;
        execute(url, "CHECKPOINT").await
    } else {
        execute(url, "PRAGMA wal_checkpoint(TRUNCATE)").await
    }
}
