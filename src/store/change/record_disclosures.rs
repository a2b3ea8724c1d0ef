//! Records disclosures before their bytes leave: who receives which attributes of how many, and of whom as a bitmap.

use kernel::disclosure::{DisclosureLog, DisclosureRecord, Whereabouts};
use kernel::ledger::{LedgerEntry, LedgerEvent};

use super::{Change, sealed};
use crate::Store;
use crate::error::StoreError;
use crate::statement::{join_names, signed, sql};
use crate::unit_of_work::{AtOnce, Conn, Entries, Unchanged, at_once};

/// Pages of pulls and look-ups.
#[derive(Debug)]
pub struct RecordDisclosures {
    /// What is about to be disclosed.
    pub disclosures: Vec<DisclosureRecord>,
}

impl sealed::Sealed for RecordDisclosures {}

impl Change for RecordDisclosures {
    type Output = ();
    const NAME: &'static str = "record_disclosures";

    async fn apply(&self, conn: &Conn<'_>) -> Result<(), StoreError> {
        for disclosure in &self.disclosures {
            insert(conn, disclosure).await?;
        }
        Ok(())
    }

    async fn at_once(&self, once: &AtOnce<'_>) -> Result<Option<()>, StoreError> {
        match self.disclosures.as_slice() {
            [disclosure] => self.one_at_once(once, disclosure).await?,
            _ => self.all_at_once(once).await?,
        }
        Ok(Some(()))
    }

    fn entries(&self, (): &()) -> Entries {
        let entries = self.disclosures.iter().map(|disclosure| LedgerEntry {
            at: disclosure.at,
            event: LedgerEvent::Disclosed {
                pull: disclosure.pull,
                page: disclosure.page,
                recipient: disclosure.recipient.clone(),
                purpose: disclosure.purpose.clone(),
                attributes: disclosure.attributes.clone(),
                withheld: disclosure.withheld.clone(),
                policy: disclosure.policy,
                subjects: disclosure.subjects,
                refused: disclosure.refused.iter().map(|(refusal, count)| (*refusal as u8, *count)).collect(),
                bitmap_digest: disclosure.bitmap_digest,
            },
        });
        Entries::each(entries, Unchanged::TurnedAway)
    }
}

impl RecordDisclosures {
    /// One, as almost always: a page of a pull, or look-ups of one recipient for one purpose.
    async fn one_at_once(&self, once: &AtOnce<'_>, disclosure: &DisclosureRecord) -> Result<(), StoreError> {
        let (first, last) = walked(disclosure).unzip();
        let persons: Result<Vec<_>, _> = each(disclosure).iter().copied().map(signed).collect();
        let statement = once
            .begin(
                at_once!(
                    "persons AS (INSERT INTO disclosed_person (ordinal, pull, page) \
                     SELECT unnest($14::bigint[]), $3::bytea, $4::bigint) \
                 INSERT INTO disclosure (pull, page, recipient, purpose, attributes, policy, at, first_ordinal, \
                         last_ordinal, subjects, bitmap) \
                     VALUES ($3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)"
                ),
                self.entries(&()),
            )?
            .bind(disclosure.pull.as_bytes().as_slice())
            .bind(i64::from(disclosure.page))
            .bind(disclosure.recipient.as_str())
            .bind(disclosure.purpose.as_str())
            .bind(join_names(&disclosure.attributes))
            .bind(disclosure.policy.as_bytes().as_slice())
            .bind(disclosure.at.as_millis())
            .bind(first.map(signed).transpose()?)
            .bind(last.map(signed).transpose()?)
            .bind(signed(disclosure.subjects)?)
            .bind(disclosure.bitmap.as_slice())
            .bind(persons?);
        once.finish(statement).await
    }

    /// Several, in as many rows of one statement.
    async fn all_at_once(&self, once: &AtOnce<'_>) -> Result<(), StoreError> {
        let pages = || self.disclosures.iter();
        // Arrays travel without nulls: no range is an empty one until it arrives.
        let range = |page: &DisclosureRecord| walked(page).unwrap_or((1, 0));
        let named = || pages().flat_map(|page| each(page).iter().map(move |ordinal| (*ordinal, page)));
        let numbers = |numbers: Vec<u64>| numbers.into_iter().map(signed).collect::<Result<Vec<_>, _>>();
        let statement = once
            .begin(at_once!(
                "disclosures AS (INSERT INTO disclosure (pull, page, recipient, purpose, attributes, policy, at, \
                         first_ordinal, last_ordinal, subjects, bitmap) \
                     SELECT pull, page, recipient, purpose, attributes, policy, at, \
                         CASE WHEN first_ordinal <= last_ordinal THEN first_ordinal END, \
                         CASE WHEN first_ordinal <= last_ordinal THEN last_ordinal END, subjects, bitmap \
                     FROM unnest($3::bytea[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::bytea[], \
                             $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bytea[]) \
                         AS t (pull, page, recipient, purpose, attributes, policy, at, first_ordinal, \
                               last_ordinal, subjects, bitmap)), \
                 persons AS (INSERT INTO disclosed_person (ordinal, pull, page) \
                     SELECT * FROM unnest($14::bigint[], $15::bytea[], $16::bigint[])) \
                 SELECT 1"
            ), self.entries(&()))?
            .bind(pages().map(|page| page.pull.as_bytes().as_slice()).collect::<Vec<_>>())
            .bind(pages().map(|page| i64::from(page.page)).collect::<Vec<_>>())
            .bind(pages().map(|page| page.recipient.as_str()).collect::<Vec<_>>())
            .bind(pages().map(|page| page.purpose.as_str()).collect::<Vec<_>>())
            .bind(pages().map(|page| join_names(&page.attributes)).collect::<Vec<_>>())
            .bind(pages().map(|page| page.policy.as_bytes().as_slice()).collect::<Vec<_>>())
            .bind(pages().map(|page| page.at.as_millis()).collect::<Vec<_>>())
            .bind(numbers(pages().map(|page| range(page).0).collect())?)
            .bind(numbers(pages().map(|page| range(page).1).collect())?)
            .bind(numbers(pages().map(|page| page.subjects).collect())?)
            .bind(pages().map(|page| page.bitmap.as_slice()).collect::<Vec<_>>())
            .bind(numbers(named().map(|(ordinal, _)| ordinal).collect())?)
            .bind(named().map(|(_, page)| page.pull.as_bytes().as_slice()).collect::<Vec<_>>())
            .bind(named().map(|(_, page)| i64::from(page.page)).collect::<Vec<_>>());
        once.finish(statement).await
    }
}

/// The range in which the persons of a page are found, if it is found by one.
const fn walked(disclosure: &DisclosureRecord) -> Option<(u64, u64)> {
    match &disclosure.whereabouts {
        Whereabouts::Between(first, last) => Some((*first, *last)),
        Whereabouts::Each(_) => None,
    }
}

/// The persons that are found one by one.
fn each(disclosure: &DisclosureRecord) -> &[u64] {
    match &disclosure.whereabouts {
        Whereabouts::Between(..) => &[],
        Whereabouts::Each(ordinals) => ordinals,
    }
}

async fn insert(conn: &Conn<'_>, disclosure: &DisclosureRecord) -> Result<(), StoreError> {
    let (first, last) = walked(disclosure).unzip();
    sql("INSERT INTO disclosure (pull, page, recipient, purpose, attributes, policy, at, first_ordinal, \
             last_ordinal, subjects, bitmap) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)")
    .with_bytes(disclosure.pull.as_bytes())
    .with(i64::from(disclosure.page))
    .with(disclosure.recipient.as_str())
    .with(disclosure.purpose.as_str())
    .with(join_names(&disclosure.attributes))
    .with_bytes(disclosure.policy.as_bytes())
    .with(disclosure.at.as_millis())
    .with(first.map(signed).transpose()?)
    .with(last.map(signed).transpose()?)
    .with(signed(disclosure.subjects)?)
    .with_bytes(&disclosure.bitmap)
    .execute(conn.raw())
    .await?;
    for ordinal in each(disclosure) {
        sql("INSERT INTO disclosed_person (ordinal, pull, page) VALUES ($1, $2, $3)")
            .with(signed(*ordinal)?)
            .with_bytes(disclosure.pull.as_bytes())
            .with(i64::from(disclosure.page))
            .execute(conn.raw())
            .await?;
    }
    Ok(())
}

/// The production log of disclosures: durable when it returns.
impl DisclosureLog for Store {
    type Error = StoreError;

    async fn record(&self, record: DisclosureRecord) -> Result<(), StoreError> {
        self.perform(&RecordDisclosures { disclosures: vec![record] }).await?;
        Ok(())
    }
}
