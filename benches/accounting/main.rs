//! How many bytes a disclosed row costs, and how fast one person's disclosures are found among millions. It fills an
//! empty database through the same change that the gateway records with, prints figures and asserts nothing;
//! `scripts/bench-accounting` runs it on both databases.
//!
//! ```text
//! consentry-accounting-bench --url sqlite:bench.db --persons 1000000 --pulls 10 --lookups 50000
//! ```

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Parser;
use kernel::decision::Refusal;
use kernel::disclosure::{DisclosureRecord, Whereabouts};
use kernel::id::PullId;
use kernel::policy::PolicyVersion;
use kernel::time::Timestamp;
use roaring::RoaringTreemap;
use sqlx::{Connection as _, Row as _};
use store::change::RecordDisclosures;
use store::{Store, StoreSettings};

/// Persons that one page of a pull visits, as in the gateway.
const RANGE: u64 = 8_192;
/// How many are asked for.
const ASKED: u64 = 300;

#[derive(Debug, Parser)]
struct Arguments {
    /// An empty database
    #[arg(long)]
    url: String,
    /// Persons
    #[arg(long, default_value_t = 1_000_000)]
    persons: u64,
    /// Bulk pulls over all of them
    #[arg(long, default_value_t = 10)]
    pulls: u64,
    /// Of a hundred persons, how many each pull discloses
    #[arg(long, default_value_t = 100)]
    percent: u64,
    /// Look-ups of single persons
    #[arg(long, default_value_t = 50_000)]
    lookups: u64,
    /// How many of them are answered together, as they are where they come at once
    #[arg(long, default_value_t = 1)]
    together: u64,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let store = Store::connect(&StoreSettings { url: arguments.url.clone(), max_connections: 4 }).await?;
    store.migrate().await?;
    let (mut disclosed, begin) = (0, Instant::now());
    let (mut stored, mut as_runs) = (0, 0);
    let before = size(&arguments.url).await?;
    for pull in 0..arguments.pulls {
        let mut pages = Vec::new();
        for (page, first) in (0..).zip((0..arguments.persons).step_by(usize::try_from(RANGE)?)) {
            let persons = (first..(first + RANGE).min(arguments.persons))
                .filter(|ordinal| mix(*ordinal ^ (pull << 40)) % 100 < arguments.percent);
            let persons: RoaringTreemap = persons.collect();
            let (first, last) = (persons.min().unwrap_or_default(), persons.max().unwrap_or_default());
            let record = record(pull, page, persons, Whereabouts::Between(first, last))?;
            disclosed += record.subjects;
            stored += record.bitmap.len();
            let mut runs = RoaringTreemap::deserialize_from(record.bitmap.as_slice())?;
            runs.optimize();
            as_runs += runs.serialized_size();
            pages.push(record);
        }
        for disclosures in pages.chunks(16) {
            store.perform(&RecordDisclosures { disclosures: disclosures.to_vec() }).await?;
        }
    }
    settle(&arguments.url).await?;
    let bulk = size(&arguments.url).await?;
    let bulk_disclosed = disclosed;
    println!("disclosed_in_pulls {bulk_disclosed}");
    println!("bytes_a_row_in_pulls {:.3}", bulk.saturating_sub(before) as f64 / bulk_disclosed.max(1) as f64);
    let of_row = |bytes: usize| bytes as f64 / bulk_disclosed.max(1) as f64;
    println!("bitmap_bytes_a_row {:.3} (as runs where shorter: {:.3})", of_row(stored), of_row(as_runs));
    let lookups: Vec<u64> = (0..arguments.lookups).collect();
    for chunk in lookups.chunks(64) {
        let records: Result<Vec<_>, _> = chunk
            .chunks(usize::try_from(arguments.together.max(1))?)
            .map(|numbers| {
                let persons: RoaringTreemap =
                    numbers.iter().map(|number| mix(*number) % arguments.persons).collect();
                let each = Whereabouts::Each(persons.iter().collect());
                record(1 << 32 | numbers.first().copied().unwrap_or_default(), 0, persons, each)
            })
            .collect();
        store.perform(&RecordDisclosures { disclosures: records? }).await?;
    }
    disclosed += arguments.lookups;
    settle(&arguments.url).await?;
    let all = size(&arguments.url).await?;
    println!("disclosed_in_all {disclosed} in {:.1} s", begin.elapsed().as_secs_f64());
    println!("bytes_a_look_up {:.1}", all.saturating_sub(bulk) as f64 / arguments.lookups.max(1) as f64);
    ask(&store, &arguments).await
}

/// Asks for the disclosures of persons all over the crowd.
async fn ask(store: &Store, arguments: &Arguments) -> anyhow::Result<()> {
    let (mut took, mut found) = (Vec::new(), 0);
    for number in 0..ASKED {
        let ordinal = mix(number ^ 0xabcd) % arguments.persons;
        let begin = Instant::now();
        let page = store.disclosures_of(ordinal, None, 50).await?;
        took.push(begin.elapsed());
        found += page.rows.len();
    }
    took.sort_unstable();
    let at = |part: usize| took.get(took.len() * part / 100).copied().unwrap_or_default();
    let ms = |took: Duration| took.as_secs_f64() * 1000.0;
    println!("asked {ASKED} persons, {:.1} disclosures each", found as f64 / ASKED as f64);
    println!("ms_median {:.2} ms_95 {:.2} ms_worst {:.2}", ms(at(50)), ms(at(95)), ms(at(99)));
    Ok(())
}

fn record(
    pull: u64,
    page: u32,
    persons: RoaringTreemap,
    whereabouts: Whereabouts,
) -> anyhow::Result<DisclosureRecord> {
    let mut id = [7; 16];
    id.iter_mut()
        .zip(mix(pull).to_be_bytes().into_iter().chain(pull.to_be_bytes()))
        .for_each(|(to, from)| *to = from);
    let mut bitmap = Vec::new();
    persons.serialize_into(&mut bitmap).context("the bitmap has no bytes")?;
    let names = |text: &str| text.split(' ').map(str::parse).collect::<Result<Vec<_>, _>>();
    Ok(DisclosureRecord {
        pull: PullId::from_bytes(id),
        page,
        recipient: "segmentation".parse()?,
        purpose: "profiling_segmentation".parse()?,
        attributes: names("city order_count spend_band interest_topic age_band region tenure loyalty_tier")?,
        withheld: Vec::new(),
        policy: PolicyVersion::from_bytes([9; 32]),
        at: Timestamp::from_millis(1_700_000_000_000 + i64::try_from(pull % 1_000_000)? * 1_000),
        subjects: persons.len(),
        refused: vec![(Refusal::NotFound, 0)],
        whereabouts,
        bitmap,
        bitmap_digest: [0; 32],
    })
}

/// Spreads numbers (splitmix64).
const fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// What the table of disclosures and its indices take.
async fn size(url: &str) -> anyhow::Result<u64> {
    let bytes: i64 = if url.starts_with("sqlite") {
        // The whole file would count the ledger, too: the pages of the table and of its indices are summed.
        let mut connection = sqlx::SqliteConnection::connect(url).await?;
        let query = "SELECT coalesce(sum(length(pull) + length(recipient) + length(purpose) + length(attributes) + length(policy) \
                     + length(bitmap) + 8 * 5), 0) + 3 * 40 * count(*) \
                     + (SELECT coalesce(sum(length(pull) + 8 * 3), 0) FROM disclosed_person) FROM disclosure";
        sqlx::query(query).fetch_one(&mut connection).await?.try_get(0)?
    } else {
        let mut connection = sqlx::PgConnection::connect(url).await?;
        let query = "SELECT pg_total_relation_size('disclosure') + pg_total_relation_size('disclosed_person')";
        sqlx::query(query).fetch_one(&mut connection).await?.try_get(0)?
    };
    Ok(bytes.try_into()?)
}

async fn settle(url: &str) -> anyhow::Result<()> {
    if !url.starts_with("sqlite") {
        let mut connection = sqlx::PgConnection::connect(url).await?;
        sqlx::query("VACUUM ANALYZE disclosure").execute(&mut connection).await?;
        sqlx::query("VACUUM ANALYZE disclosed_person").execute(&mut connection).await?;
    }
    Ok(())
}
