//! Records disclosures before their bytes leave: who receives which attributes of how many, and of whom as a bitmap.

use kernel::disclosure::{DisclosureLog, DisclosureRecord};
use kernel::ledger::{LedgerEntry, LedgerEvent};

use super::{Change, sealed};
use crate::error::StoreError;
use crate::statement::{Statement, join_names, signed, sql};
use crate::unit_of_work::{AtOnce, Conn, Entries, Unchanged, at_once};
use crate::{Backend, Store};

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
        match conn.backend() {
            Backend::Postgres => {
                let statement =
                    sql("INSERT INTO disclosure (pull, page, recipient, purpose, attributes, policy, at, \
                         first_ordinal, last_ordinal, subjects, bitmap) \
                     SELECT pull, page, recipient, purpose, attributes, policy, at, \
                         CASE WHEN first_ordinal <= last_ordinal THEN first_ordinal END, \
                         CASE WHEN first_ordinal <= last_ordinal THEN last_ordinal END, subjects, bitmap \
                     FROM unnest($1::bytea[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::bytea[], \
                             $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bytea[]) \
                         AS t (pull, page, recipient, purpose, attributes, policy, at, first_ordinal, \
                               last_ordinal, subjects, bitmap)");
                self.bind(statement)?.execute(conn.raw()).await?;
                Ok(())
            }
            Backend::Sqlite => {
                for disclosure in &self.disclosures {
                    insert(conn, disclosure).await?;
                }
                Ok(())
            }
        }
    }

    async fn at_once(&self, once: &AtOnce<'_>) -> Result<Option<()>, StoreError> {
        let pages = || self.disclosures.iter();
        // Arrays travel without nulls: no ordinals are an empty range until they arrive.
        let range = |page: &DisclosureRecord| page.ordinals.unwrap_or((1, 0));
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
                               last_ordinal, subjects, bitmap)) \
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
            .bind(pages().map(|page| page.bitmap.as_slice()).collect::<Vec<_>>());
        once.finish(statement).await?;
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
    /// Adds the disclosures as the next eleven arguments, a column each.
    fn bind(&self, statement: Statement) -> Result<Statement, StoreError> {
        let (mut pulls, mut pages, mut recipients, mut purposes) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (mut attributes, mut policies, mut times) = (Vec::new(), Vec::new(), Vec::new());
        let (mut firsts, mut lasts, mut subjects, mut bitmaps) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for disclosure in &self.disclosures {
            // Arrays travel without nulls: no ordinals are an empty range until they arrive.
            let (first, last) = disclosure.ordinals.unwrap_or((1, 0));
            pulls.push(disclosure.pull.as_bytes().to_vec());
            pages.push(i64::from(disclosure.page));
            recipients.push(disclosure.recipient.as_str().to_owned());
            purposes.push(disclosure.purpose.as_str().to_owned());
            attributes.push(join_names(&disclosure.attributes));
            policies.push(disclosure.policy.as_bytes().to_vec());
            times.push(disclosure.at.as_millis());
            firsts.push(signed(first)?);
            lasts.push(signed(last)?);
            subjects.push(signed(disclosure.subjects)?);
            bitmaps.push(disclosure.bitmap.clone());
        }
        Ok(statement
            .with(pulls)
            .with(pages)
            .with(recipients)
            .with(purposes)
            .with(attributes)
            .with(policies)
            .with(times)
            .with(firsts)
            .with(lasts)
            .with(subjects)
            .with(bitmaps))
    }
}

async fn insert(conn: &Conn<'_>, disclosure: &DisclosureRecord) -> Result<(), StoreError> {
    let ordinals = match disclosure.ordinals {
        Some((first, last)) => Some((signed(first)?, signed(last)?)),
        None => None,
    };
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
    .with(ordinals.map(|(first, _)| first))
    .with(ordinals.map(|(_, last)| last))
    .with(signed(disclosure.subjects)?)
    .with_bytes(&disclosure.bitmap)
    .execute(conn.raw())
    .await?;
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
