//! Records disclosures before their bytes leave: who receives which attributes of how many, and of whom as a bitmap.

use kernel::disclosure::{DisclosureLog, DisclosureRecord};
use kernel::ledger::{LedgerEntry, LedgerEvent};

use super::{Change, sealed};
use crate::error::StoreError;
use crate::statement::{join_names, signed, sql};
use crate::unit_of_work::{Conn, Entries, Unchanged};
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
            Backend::Postgres => self.insert_at_once(conn).await,
            Backend::Sqlite => {
                for disclosure in &self.disclosures {
                    insert(conn, disclosure).await?;
                }
                Ok(())
            }
        }
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
    async fn insert_at_once(&self, conn: &Conn<'_>) -> Result<(), StoreError> {
        let (mut pulls, mut pages, mut recipients, mut purposes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
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
        sql("INSERT INTO disclosure (pull, page, recipient, purpose, attributes, policy, at, first_ordinal, \
                 last_ordinal, subjects, bitmap) \
             SELECT pull, page, recipient, purpose, attributes, policy, at, \
                 CASE WHEN first_ordinal <= last_ordinal THEN first_ordinal END, \
                 CASE WHEN first_ordinal <= last_ordinal THEN last_ordinal END, subjects, bitmap \
             FROM unnest($1::bytea[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::bytea[], $7::bigint[], \
                 $8::bigint[], $9::bigint[], $10::bigint[], $11::bytea[]) \
                 AS t (pull, page, recipient, purpose, attributes, policy, at, first_ordinal, last_ordinal, \
                       subjects, bitmap)")
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
        .with(bitmaps)
        .execute(conn.raw())
        .await?;
        Ok(())
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
