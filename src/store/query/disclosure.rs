//! Who received a person's data, what, for what and when (GDPR Art. 15(1)(c)).

use std::collections::BTreeSet;

use kernel::attribute::AttributeName;
use kernel::id::{PullId, SubjectId};
use kernel::policy::PolicyVersion;
use kernel::purpose::Purpose;
use kernel::recipient::RecipientId;
use kernel::time::Timestamp;
use roaring::RoaringTreemap;
use sea_orm::ConnectionTrait;

use crate::Store;
use crate::entity::disclosure::{Entity, Model};
use crate::error::StoreError;
use crate::statement::{exactly, name, names, signed, sql, unsigned};

/// How many pages are looked through at a time.
const BATCH: u64 = 256;

/// A recorded disclosure that a person is part of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DisclosureRow {
    /// The pull, or the look-ups that were answered together.
    pub pull: PullId,
    /// Its page.
    pub page: u32,
    /// Who received.
    pub recipient: RecipientId,
    /// What for.
    pub purpose: Purpose,
    /// The attributes that left, for anybody on the page.
    pub attributes: Vec<AttributeName>,
    /// The policy that decided.
    pub policy: PolicyVersion,
    /// When.
    pub at: Timestamp,
    /// How many persons were on the page.
    pub subjects: u64,
}

/// Where to go on reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DisclosurePosition {
    /// The time of the last one read.
    pub at: Timestamp,
    /// Its pull.
    pub pull: PullId,
    /// Its page.
    pub page: u32,
}

impl DisclosureRow {
    /// Its place in the list.
    const fn position(&self) -> DisclosurePosition {
        DisclosurePosition { at: self.at, pull: self.pull, page: self.page }
    }
}

/// Some disclosures, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DisclosurePage {
    /// The disclosures.
    pub rows: Vec<DisclosureRow>,
    /// Where to go on, if there may be more.
    pub next: Option<DisclosurePosition>,
}

impl Store {
    /// The disclosures that the person with this ordinal is part of, newest first, at most `limit`.
    ///
    /// # Errors
    /// Those of the database; [`StoreError::Tampered`] when a bitmap does not read.
    pub async fn disclosures_of(
        &self,
        ordinal: u64,
        after: Option<DisclosurePosition>,
        limit: u32,
    ) -> Result<DisclosurePage, StoreError> {
        let mut rows = Vec::new();
        let mut position = after;
        loop {
            let batch = disclosures_over(self.db(), ordinal, position).await?;
            let is_last = (batch.len() as u64) < BATCH;
            for model in batch {
                if rows.len() as u64 == u64::from(limit) {
                    return Ok(DisclosurePage { rows, next: position });
                }
                let (row, holds) = read_for(ordinal, model)?;
                position = Some(row.position());
                if holds {
                    rows.push(row);
                }
            }
            if is_last {
                return Ok(DisclosurePage { rows, next: None });
            }
        }
    }
}

/// What of a person's data went to whom for what since a moment, read inside the unit that must know.
pub(crate) async fn disclosed_since<C: ConnectionTrait>(
    connection: &C,
    subject: SubjectId,
    since: Timestamp,
) -> Result<BTreeSet<(Purpose, RecipientId)>, StoreError> {
    let found = sql("SELECT ordinal FROM subject WHERE id = $1").with_bytes(subject.as_bytes());
    let Some(row) = found.row(connection).await? else { return Ok(BTreeSet::new()) };
    let ordinal = unsigned(row.get(0)?)?;
    let (mut disclosed, mut position) = (BTreeSet::new(), None);
    loop {
        let batch = disclosures_over(connection, ordinal, position).await?;
        let mut is_last = (batch.len() as u64) < BATCH;
        for model in batch {
            let (row, holds) = read_for(ordinal, model)?;
            position = Some(row.position());
            is_last |= row.at < since;
            if holds && row.at >= since {
                disclosed.insert((row.purpose, row.recipient));
            }
        }
        if is_last {
            return Ok(disclosed);
        }
    }
}

/// The next disclosures that name an ordinal or whose range covers it: look-ups are found by person, pages of pulls by
/// what they begin with, and the few wide ones by their own index.
async fn disclosures_over<C: ConnectionTrait>(
    connection: &C,
    ordinal: u64,
    after: Option<DisclosurePosition>,
) -> Result<Vec<Model>, StoreError> {
    // Before everything there is, where nothing was read yet.
    let start =
        DisclosurePosition { at: Timestamp::from_millis(i64::MAX), pull: PullId::from_bytes([0; 16]), page: 0 };
    let after = after.unwrap_or(start);
    let statement =
        sql("SELECT d.* FROM disclosed_person p JOIN disclosure d ON d.pull = p.pull AND d.page = p.page \
             WHERE p.ordinal = $1 AND (d.at, d.pull, d.page) < ($2, $3, $4) \
         UNION ALL \
         SELECT d.* FROM disclosure d WHERE d.first_ordinal = $1 AND (d.at, d.pull, d.page) < ($2, $3, $4) \
         UNION ALL \
         SELECT d.* FROM disclosure d WHERE d.last_ordinal > d.first_ordinal \
             AND d.first_ordinal < $1 AND d.last_ordinal >= $1 AND (d.at, d.pull, d.page) < ($2, $3, $4) \
         ORDER BY at DESC, pull DESC, page DESC LIMIT $5")
        .with(signed(ordinal)?)
        .with(after.at.as_millis())
        .with_bytes(after.pull.as_bytes())
        .with(i64::from(after.page))
        .with(signed(BATCH)?);
    statement.models::<Entity, _>(connection).await
}

/// A disclosure, and whether the person with an ordinal is really part of it: a range covers others as well.
fn read_for(ordinal: u64, model: Model) -> Result<(DisclosureRow, bool), StoreError> {
    let bitmap = RoaringTreemap::deserialize_from(model.bitmap.as_slice());
    let holds = bitmap.map_err(|_| StoreError::Tampered)?.contains(ordinal);
    Ok((read(model)?, holds))
}

fn read(model: Model) -> Result<DisclosureRow, StoreError> {
    Ok(DisclosureRow {
        pull: PullId::from_bytes(exactly(model.pull)?),
        page: model.page.try_into().map_err(|_| StoreError::Tampered)?,
        recipient: name(&model.recipient)?,
        purpose: name(&model.purpose)?,
        attributes: names(&model.attributes)?,
        policy: PolicyVersion::from_bytes(exactly(model.policy)?),
        at: Timestamp::from_millis(model.at),
        subjects: unsigned(model.subjects)?,
    })
}
