//! The persons that one batch touches: found by fingerprint, locked in order, folded in memory, written at once.
//!
//! PostgreSQL gets a fixed number of statements a batch, each with arrays; SQLite, which has no network to cross,
//! gets one a row.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use kernel::attribute::{AttributeName, Value};
use kernel::consent::{ConsentEvent, EventKind, Evidence, Standing};
use kernel::entropy::Entropy;
use kernel::id::{LedgerRef, ReceiptId};
use kernel::identifier::{Fingerprint, IdentifierKind, IndexPrint, SuppressionFingerprint};
use kernel::purpose::Purpose;
use kernel::regime::{Regime, RegimeSource};
use kernel::seal::{Keyring, SealedRecord, SubjectKey, WrappedKey, merge_record};
use kernel::source::SourceId;
use kernel::subject::SubjectId;
use kernel::time::Timestamp;

use super::aftermath::{Telling, insert_tellings};
use crate::Backend;
use crate::error::StoreError;
use crate::statement::{Row, sql};
use crate::unit_of_work::{AtOnce, Conn, Entries, at_once};

/// A person as a form or a source knows them.
#[derive(Debug, Clone)]
pub struct Identified {
    /// The fingerprints of the person's identifiers: at least one.
    pub fingerprints: Vec<(IdentifierKind, Fingerprint)>,
    /// The id to give, if the person is new. Drawn by the caller, so that a unit that is run again stays the same.
    pub new_subject: SubjectId,
    /// What the ledger will call the person, if new.
    pub ledger_ref: LedgerRef,
}

/// Where everything of a batch comes together.
pub(super) struct Crowd<'c> {
    keyring: &'c Keyring,
    entropy: &'c dyn Entropy,
    at: Timestamp,
    /// Whose a fingerprint is, by the store or by an earlier item of this batch.
    known: HashMap<Fingerprint, SubjectId>,
    /// Fingerprints to add. Sorted: two batches that add the same ones wait for each other in one direction only.
    links: BTreeMap<Fingerprint, (IdentifierKind, SubjectId)>,
    fresh: BTreeMap<SubjectId, LedgerRef>,
    members: BTreeMap<SubjectId, Member>,
    acts: Vec<SealedAct>,
    /// Who is to be told of what was taken back.
    pub(super) tellings: Vec<Telling>,
}

/// A person, locked and unwrapped.
struct Member {
    ledger_ref: LedgerRef,
    key: SubjectKey,
    /// The wrapped key of a person who is not stored yet.
    fresh: Option<WrappedKey>,
    standing: Standing,
    record: Vec<u8>,
    folded: bool,
    merged: bool,
}

/// The events of one post or record, as one row.
struct SealedAct {
    subject: SubjectId,
    /// The place of the first event in the history.
    first: i32,
    events: i32,
    received_at: Timestamp,
    receipt: ReceiptId,
    sealed: Vec<u8>,
}

impl<'c> Crowd<'c> {
    /// Begins a batch by looking up all of its fingerprints.
    pub(super) async fn find(
        conn: &Conn<'_>,
        (keyring, entropy): (&'c Keyring, &'c dyn Entropy),
        at: Timestamp,
        who: impl Iterator<Item = &Identified>,
    ) -> Result<Self, StoreError> {
        let fingerprints: BTreeSet<Fingerprint> =
            who.flat_map(|who| who.fingerprints.iter().map(|(_, fingerprint)| *fingerprint)).collect();
        let known = find_subjects(conn, keyring, &fingerprints).await?;
        Ok(Self { known, ..Self::of_strangers((keyring, entropy), at) })
    }

    /// Begins a batch of persons of whom nobody is known.
    pub(super) fn of_strangers((keyring, entropy): (&'c Keyring, &'c dyn Entropy), at: Timestamp) -> Self {
        Self {
            keyring,
            entropy,
            at,
            known: HashMap::new(),
            links: BTreeMap::new(),
            fresh: BTreeMap::new(),
            members: BTreeMap::new(),
            acts: Vec::new(),
            tellings: Vec::new(),
        }
    }

    /// Whether one of the person's fingerprints is known.
    pub(super) fn knows(&self, who: &Identified) -> bool {
        who.fingerprints.iter().any(|(_, fingerprint)| self.known.contains_key(fingerprint))
    }

    /// Which subject it is, if not two: a known one, or from now on in this batch the new one.
    pub(super) fn resolve(&mut self, who: &Identified) -> Option<SubjectId> {
        let mut subject = None;
        for (_, fingerprint) in &who.fingerprints {
            match (subject, self.known.get(fingerprint)) {
                (Some(one), Some(other)) if one != *other => return None,
                (_, Some(found)) => subject = Some(*found),
                (_, None) => {}
            }
        }
        let subject = subject.unwrap_or_else(|| {
            self.fresh.insert(who.new_subject, who.ledger_ref);
            who.new_subject
        });
        for (kind, fingerprint) in &who.fingerprints {
            if self.known.insert(*fingerprint, subject).is_none() {
                self.links.insert(*fingerprint, (*kind, subject));
            }
        }
        Some(subject)
    }

    /// Adds the new fingerprints, then locks and opens everybody the batch is about. `identified` were resolved;
    /// `named` may not exist.
    pub(super) async fn lock(
        &mut self,
        conn: &Conn<'_>,
        identified: &BTreeSet<SubjectId>,
        named: &BTreeSet<SubjectId>,
    ) -> Result<(), StoreError> {
        self.link(conn).await?;
        let stored: BTreeSet<SubjectId> =
            identified.union(named).filter(|subject| !self.fresh.contains_key(subject)).copied().collect();
        for row in lock_subjects(conn, &stored).await? {
            let id = SubjectId::from_bytes(row.bytes(0)?);
            let key = self.keyring.unwrap_key(id, &row.get::<Vec<u8>>(2)?).map_err(|_| StoreError::Tampered)?;
            let standing = key.open_standing(&row.get::<Vec<u8>>(3)?).map_err(|_| StoreError::Tampered)?;
            let member = Member {
                ledger_ref: LedgerRef::from_bytes(row.bytes(1)?),
                key,
                fresh: None,
                standing,
                record: row.get(4)?,
                folded: false,
                merged: false,
            };
            self.members.insert(id, member);
        }
        self.welcome()?;
        // Somebody was erased between being found and being locked: found anew, they are not there.
        if identified.iter().all(|id| self.members.contains_key(id)) { Ok(()) } else { Err(StoreError::Busy) }
    }

    /// Gives the new ones their keys.
    pub(super) fn welcome(&mut self) -> Result<(), StoreError> {
        for (id, ledger_ref) in std::mem::take(&mut self.fresh) {
            let (key, wrapped) = self
                .keyring
                .create_key(id, self.entropy)
                .map_err(|_| StoreError::defect("a data key could not be made"))?;
            let member = Member {
                ledger_ref,
                key,
                fresh: Some(wrapped),
                standing: Standing::of(id),
                record: Vec::new(),
                folded: false,
                merged: false,
            };
            self.members.insert(id, member);
        }
        Ok(())
    }

    /// Adds fingerprints. When another batch added one of them first, everything is begun anew and finds its subject.
    async fn link(&self, conn: &Conn<'_>) -> Result<(), StoreError> {
        let rows = self.index_rows();
        let added = match conn.backend() {
            _ if rows.is_empty() => 0,
            Backend::Postgres => {
                let (mut fingerprints, mut kinds, mut subjects) = (Vec::new(), Vec::new(), Vec::new());
                let mut key_ids = Vec::new();
                for row in &rows {
                    fingerprints.push(row.print.as_bytes().to_vec());
                    kinds.push(row.kind.as_str().to_owned());
                    subjects.push(row.subject.as_bytes().to_vec());
                    key_ids.push(i64::from(row.key_id));
                }
                sql("INSERT INTO subject_identifier (fingerprint, kind, subject_id, added_at, key_id) \
                     SELECT fingerprint, kind, subject_id, $1::bigint, key_id \
                     FROM unnest($2::bytea[], $3::text[], $4::bytea[], $5::bigint[]) \
                         AS t (fingerprint, kind, subject_id, key_id) \
                     ON CONFLICT (fingerprint) DO NOTHING")
                .with(self.at.as_millis())
                .with(fingerprints)
                .with(kinds)
                .with(subjects)
                .with(key_ids)
                .execute(conn.raw())
                .await?
            }
            Backend::Sqlite => {
                let mut added = 0;
                for row in &rows {
                    added +=
                        sql("INSERT INTO subject_identifier (fingerprint, kind, subject_id, added_at, key_id) \
                         VALUES ($1, $2, $3, $4, $5)")
                        .with_bytes(row.print.as_bytes())
                        .with(row.kind.as_str())
                        .with_bytes(row.subject.as_bytes())
                        .with(self.at.as_millis())
                        .with(i64::from(row.key_id))
                        .execute(conn.raw())
                        .await?;
                }
                added
            }
        };
        if added == rows.len() as u64 { Ok(()) } else { Err(StoreError::Busy) }
    }

    /// What is written into the index: while a key is exchanged, in two layers.
    fn index_rows(&self) -> Vec<IndexRow> {
        let links = self.links.iter();
        let rows = links.flat_map(|(fingerprint, (kind, subject))| {
            let layers = self.keyring.index_rows(fingerprint).into_iter();
            layers.map(|(key_id, print)| IndexRow { key_id, print, kind: *kind, subject: *subject })
        });
        rows.collect()
    }

    /// What is held of somebody who is here: the standing and the packed record.
    pub(super) fn held(&self, id: SubjectId) -> Result<(&Standing, &[u8]), StoreError> {
        let member = self.members.get(&id).ok_or(StoreError::defect("a batch lost a person"))?;
        Ok((&member.standing, &member.record))
    }

    /// The fingerprints of somebody that this batch adds.
    pub(super) fn added<'a>(&'a self, who: &'a Identified) -> impl Iterator<Item = Fingerprint> + 'a {
        let added = |fingerprint: &Fingerprint| self.links.contains_key(fingerprint);
        who.fingerprints.iter().map(|(_, fingerprint)| *fingerprint).filter(added)
    }

    /// Takes fingerprints back that this batch added.
    pub(super) async fn unlink(
        &mut self,
        conn: &Conn<'_>,
        fingerprints: &BTreeSet<Fingerprint>,
    ) -> Result<(), StoreError> {
        for fingerprint in fingerprints {
            if self.links.remove(fingerprint).is_some() {
                for print in self.keyring.index_of(fingerprint) {
                    sql("DELETE FROM subject_identifier WHERE fingerprint = $1")
                        .with_bytes(print.as_bytes())
                        .execute(conn.raw())
                        .await?;
                }
            }
        }
        Ok(())
    }

    /// Whether somebody who was named is here.
    pub(super) fn has(&self, id: SubjectId) -> bool {
        self.members.contains_key(&id)
    }

    /// How somebody who is here stands, with what this batch folded so far.
    pub(super) fn standing(&self, id: SubjectId) -> Option<&Standing> {
        self.members.get(&id).map(|member| &member.standing)
    }

    /// What the ledger calls somebody who is here, and whether this batch brought them.
    pub(super) fn reference(&self, id: SubjectId) -> Result<(LedgerRef, bool), StoreError> {
        let member = self.members.get(&id).ok_or(StoreError::defect("a batch lost a person"))?;
        Ok((member.ledger_ref, member.fresh.is_some()))
    }

    /// The key of somebody who is here.
    pub(super) fn key(&self, id: SubjectId) -> Result<&SubjectKey, StoreError> {
        self.members.get(&id).map(|member| &member.key).ok_or(StoreError::defect("a batch lost a person"))
    }

    /// Whether an attribute of somebody is stored. What does not read counts as stored: it is not written over.
    pub(super) fn holds(&self, id: SubjectId, name: &AttributeName) -> bool {
        let record = self.members.get(&id).map_or(&[][..], |member| &member.record);
        SealedRecord::new(record).entries().any(|entry| entry.map_or(true, |entry| entry.name() == name.as_str()))
    }

    /// Adds events to a person's history and folds them, in order. Tells what was added: a fact that the standing
    /// already has is not.
    pub(super) fn fold(
        &mut self,
        id: SubjectId,
        receipt: ReceiptId,
        events: &[ConsentEvent],
        evidence: Option<&Evidence>,
    ) -> Result<Vec<(u8, Option<Purpose>)>, StoreError> {
        let member = self.members.get_mut(&id).ok_or(StoreError::defect("a batch lost a person"))?;
        let mut act = Vec::with_capacity(events.len());
        for event in events {
            if has_fact(&member.standing, event) {
                continue;
            }
            let mut event = event.clone();
            event.sequence = member.standing.next_sequence();
            member.standing.apply(&event);
            act.push(event);
        }
        let Some(first) = act.first() else { return Ok(Vec::new()) };
        let number = |number| i32::try_from(number).map_err(|_| StoreError::defect("a history is too long"));
        let states = act.iter().any(|event| !event.kind.is_fact());
        let sealed = member
            .key
            .seal_act(&act, evidence.filter(|_| states))
            .map_err(|_| StoreError::defect("an act could not be sealed"))?;
        self.acts.push(SealedAct {
            subject: id,
            first: number(u64::from(first.sequence))?,
            events: number(act.len() as u64)?,
            received_at: first.received_at,
            receipt,
            sealed,
        });
        member.folded = true;
        Ok(act.into_iter().map(|event| (event.kind.code(), event.purpose)).collect())
    }

    /// Seals attributes into a person's record.
    pub(super) fn merge(
        &mut self,
        id: SubjectId,
        attributes: &[(AttributeName, Value)],
        observed_at: Timestamp,
        source: &SourceId,
    ) -> Result<(), StoreError> {
        if attributes.is_empty() {
            return Ok(());
        }
        let member = self.members.get_mut(&id).ok_or(StoreError::defect("a batch lost a person"))?;
        let sealed: Vec<_> = attributes
            .iter()
            .map(|(name, value)| member.key.seal_attribute(name, value, observed_at, source))
            .collect::<Result<_, _>>()
            .map_err(|_| StoreError::defect("an attribute could not be sealed"))?;
        // Only a stored record that does not read makes this fail.
        member.record = merge_record(&member.record, &sealed).map_err(|_| StoreError::Tampered)?;
        member.merged = true;
        Ok(())
    }

    /// When the batch happens.
    pub(super) const fn now(&self) -> Timestamp {
        self.at
    }

    /// The standing and the record of somebody who is here.
    pub(super) fn file_of(&self, id: SubjectId) -> Option<(&Standing, &[u8])> {
        self.members.get(&id).map(|member| (&member.standing, member.record.as_slice()))
    }

    /// Puts another record in the place of somebody's.
    pub(super) fn replace_record(&mut self, id: SubjectId, record: Vec<u8>) {
        if let Some(member) = self.members.get_mut(&id) {
            member.record = record;
            member.merged = true;
        }
    }

    /// Writes everybody and everything.
    pub(super) async fn write(self, conn: &Conn<'_>) -> Result<(), StoreError> {
        let mut fresh = Vec::new();
        let mut merged = Vec::new();
        let mut folded = Vec::new();
        for (id, member) in self.members {
            let standing = if member.fresh.is_some() || member.folded || member.merged {
                member.key.seal_standing(&member.standing)
            } else {
                continue;
            };
            let standing = standing.map_err(|_| StoreError::defect("a standing could not be sealed"))?;
            match member.fresh {
                Some(wrapped) => fresh.push(FreshRow {
                    id,
                    ledger_ref: member.ledger_ref,
                    wrapped,
                    standing,
                    record: member.record,
                }),
                None if member.merged => merged.push((id, standing, member.record)),
                None => folded.push((id, standing)),
            }
        }
        insert_subjects(conn, self.at, fresh).await?;
        update_records(conn, merged).await?;
        update_standings(conn, folded).await?;
        insert_acts(conn, self.acts).await?;
        insert_tellings(conn, self.at, self.tellings).await
    }

    /// Writes a batch of new persons, their acts and the batch's ledger entries as one statement. Fails as a whole
    /// when one of them turns out to be known, or one of the `marks` to be suppressed.
    pub(super) async fn write_at_once(
        self,
        once: &AtOnce<'_>,
        marks: &[SuppressionFingerprint],
        entries: Entries,
    ) -> Result<(), StoreError> {
        let mut standings = Vec::with_capacity(self.members.len());
        let (mut ids, mut refs) = (Vec::new(), Vec::new());
        let (mut keys, mut records) = (Vec::<&[u8]>::new(), Vec::new());
        for (id, member) in &self.members {
            let wrapped = member.fresh.as_ref().ok_or(StoreError::defect("somebody known is among strangers"))?;
            let standing = member.key.seal_standing(&member.standing);
            standings.push(standing.map_err(|_| StoreError::defect("a standing could not be sealed"))?);
            ids.push(id.as_bytes().as_slice());
            refs.push(member.ledger_ref.as_bytes().as_slice());
            keys.push(wrapped.as_bytes());
            records.push(member.record.as_slice());
        }
        let rows = self.index_rows();
        let links = || rows.iter();
        let searched: Vec<_> = self.links.keys().flat_map(|print| self.keyring.index_of(print)).collect();
        // Who is known is a conflict, and ends the statement. Who was known when it began is looked for, too: an
        // insertion waits for an erasure that is in work and then succeeds, while the erasure's mark came after that.
        let acts = || self.acts.iter();
        let statement = once
            .begin(
                at_once!(
                    "links AS (INSERT INTO subject_identifier (fingerprint, kind, subject_id, added_at, key_id) \
                     SELECT unnest($4::bytea[]), unnest($5::text[]), unnest($6::bytea[]), $3, \
                         unnest($19::bigint[])), \
                 subjects AS (INSERT INTO subject (id, ordinal, change_sequence, version, created_at, ledger_ref, \
                         wrapped_key, standing, record) \
                     SELECT id, nextval('subject_ordinal'), $1 + pg_current_xact_id()::text::bigint, 1, $3, \
                         ledger_ref, wrapped_key, standing, record \
                     FROM (SELECT unnest($7::bytea[]) AS id, unnest($8::bytea[]) AS ledger_ref, \
                             unnest($9::bytea[]) AS wrapped_key, unnest($10::bytea[]) AS standing, \
                             unnest($11::bytea[]) AS record) AS t), \
                 acts AS (INSERT INTO consent_event (subject_id, sequence, events, received_at, receipt, sealed) \
                     SELECT unnest($12::bytea[]), unnest($13::int[]), unnest($14::int[]), unnest($15::bigint[]), \
                         unnest($16::bytea[]), unnest($17::bytea[])) \
                 SELECT 1 / (NOT EXISTS (SELECT FROM subject_identifier WHERE fingerprint = ANY($20::bytea[])) \
                     AND NOT EXISTS (SELECT FROM suppression WHERE fingerprint = ANY($18::bytea[])))::int"
                ),
                entries,
            )?
            .bind(self.at.as_millis())
            .bind(links().map(|row| row.print.as_bytes().as_slice()).collect::<Vec<_>>())
            .bind(links().map(|row| row.kind.as_str()).collect::<Vec<_>>())
            .bind(links().map(|row| row.subject.as_bytes().as_slice()).collect::<Vec<_>>())
            .bind(ids)
            .bind(refs)
            .bind(keys)
            .bind(&standings)
            .bind(records)
            .bind(acts().map(|act| act.subject.as_bytes().as_slice()).collect::<Vec<_>>())
            .bind(acts().map(|act| act.first).collect::<Vec<_>>())
            .bind(acts().map(|act| act.events).collect::<Vec<_>>())
            .bind(acts().map(|act| act.received_at.as_millis()).collect::<Vec<_>>())
            .bind(acts().map(|act| act.receipt.as_bytes().as_slice()).collect::<Vec<_>>())
            .bind(acts().map(|act| act.sealed.as_slice()).collect::<Vec<_>>())
            .bind(marks.iter().map(|mark| mark.as_bytes().as_slice()).collect::<Vec<_>>())
            .bind(links().map(|row| i64::from(row.key_id)).collect::<Vec<_>>())
            .bind(searched.iter().map(|print| print.as_bytes().as_slice()).collect::<Vec<_>>());
        once.finish(statement).await
    }
}

fn has_fact(standing: &Standing, event: &ConsentEvent) -> bool {
    match (event.kind, event.regime) {
        // Not knowing adds nothing to knowing.
        (EventKind::RegimeDeclared, Some(Regime::Unknown)) => {
            standing.has_regime(Regime::Unknown) || standing.regimes() != [Regime::Unknown]
        }
        (EventKind::RegimeDeclared, Some(regime)) => {
            let is_assumed = event.regime_source.is_some_and(RegimeSource::is_assumed);
            standing.has_regime(regime) && (is_assumed || !standing.assumes(regime))
        }
        (EventKind::BirthDeclared, _) => event.birth.is_some() && standing.birth() == event.birth,
        _ => false,
    }
}

/// A fingerprint in the index.
struct IndexRow {
    key_id: u32,
    print: IndexPrint,
    kind: IdentifierKind,
    subject: SubjectId,
}

async fn find_subjects(
    conn: &Conn<'_>,
    keyring: &Keyring,
    fingerprints: &BTreeSet<Fingerprint>,
) -> Result<HashMap<Fingerprint, SubjectId>, StoreError> {
    let mut known = HashMap::new();
    let mut searched = Vec::with_capacity(fingerprints.len());
    for fingerprint in fingerprints {
        for print in keyring.index_of(fingerprint) {
            known.insert(print, *fingerprint);
            searched.push(print.as_bytes().to_vec());
        }
    }
    let rows = rows_by_keys(
        conn,
        "SELECT fingerprint, subject_id FROM subject_identifier WHERE fingerprint = ANY($1::bytea[])",
        "SELECT fingerprint, subject_id FROM subject_identifier WHERE fingerprint = $1",
        searched,
    )
    .await?;
    rows.iter()
        .map(|row| {
            let fingerprint = known.get(&IndexPrint::from_bytes(row.bytes(0)?)).ok_or(StoreError::Tampered)?;
            Ok((*fingerprint, SubjectId::from_bytes(row.bytes(1)?)))
        })
        .collect()
}

/// Which of these are suppressed in any scope, and since when.
pub(super) async fn find_suppressed(
    conn: &Conn<'_>,
    fingerprints: &BTreeSet<SuppressionFingerprint>,
) -> Result<HashMap<SuppressionFingerprint, Timestamp>, StoreError> {
    let rows = rows_by_keys(
        conn,
        "SELECT fingerprint, since FROM suppression WHERE fingerprint = ANY($1::bytea[]) ORDER BY since",
        "SELECT fingerprint, since FROM suppression WHERE fingerprint = $1 ORDER BY since",
        fingerprints.iter().map(|fingerprint| fingerprint.as_bytes().to_vec()).collect(),
    )
    .await?;
    // Of several scopes the latest counts: the rows come in that order.
    rows.iter()
        .map(|row| Ok((SuppressionFingerprint::from_bytes(row.bytes(0)?), Timestamp::from_millis(row.get(1)?))))
        .collect()
}

async fn lock_subjects(conn: &Conn<'_>, ids: &BTreeSet<SubjectId>) -> Result<Vec<Row>, StoreError> {
    rows_by_keys(
        conn,
        // Sorted: two batches with the same persons wait for each other in one direction only.
        "SELECT id, ledger_ref, wrapped_key, standing, record FROM subject \
         WHERE id = ANY($1::bytea[]) ORDER BY id FOR UPDATE",
        "SELECT id, ledger_ref, wrapped_key, standing, record FROM subject WHERE id = $1",
        ids.iter().map(|id| id.as_bytes().to_vec()).collect(),
    )
    .await
}

pub(super) async fn rows_by_keys(
    conn: &Conn<'_>,
    postgres: &'static str,
    sqlite: &'static str,
    keys: Vec<Vec<u8>>,
) -> Result<Vec<Row>, StoreError> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    match conn.backend() {
        Backend::Postgres => sql(postgres).with(keys).rows(conn.raw()).await,
        Backend::Sqlite => {
            let mut rows = Vec::with_capacity(keys.len());
            for key in keys {
                rows.extend(sql(sqlite).with(key).rows(conn.raw()).await?);
            }
            Ok(rows)
        }
    }
}

struct FreshRow {
    id: SubjectId,
    ledger_ref: LedgerRef,
    wrapped: WrappedKey,
    standing: Vec<u8>,
    record: Vec<u8>,
}

async fn insert_subjects(conn: &Conn<'_>, at: Timestamp, rows: Vec<FreshRow>) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    let sequence = conn.sequence().await?;
    match conn.backend() {
        Backend::Postgres => {
            let (mut ids, mut refs, mut keys) = (Vec::new(), Vec::new(), Vec::new());
            let (mut standings, mut records) = (Vec::new(), Vec::new());
            for row in rows {
                ids.push(row.id.as_bytes().to_vec());
                refs.push(row.ledger_ref.as_bytes().to_vec());
                keys.push(row.wrapped.as_bytes().to_vec());
                standings.push(row.standing);
                records.push(row.record);
            }
            sql(
                "INSERT INTO subject (id, ordinal, change_sequence, version, created_at, ledger_ref, wrapped_key, \
                     standing, record) \
                 SELECT id, nextval('subject_ordinal'), $1::bigint + pg_current_xact_id()::text::bigint, 1, \
                     $2::bigint, ledger_ref, wrapped_key, standing, record \
                 FROM unnest($3::bytea[], $4::bytea[], $5::bytea[], $6::bytea[], $7::bytea[]) \
                     AS t (id, ledger_ref, wrapped_key, standing, record)",
            )
            .with(sequence)
            .with(at.as_millis())
            .with(ids)
            .with(refs)
            .with(keys)
            .with(standings)
            .with(records)
            .execute(conn.raw())
            .await?;
        }
        Backend::Sqlite => {
            let count = i64::try_from(rows.len()).map_err(|_| StoreError::defect("a batch is too large"))?;
            let last: i64 = sql("UPDATE counter SET value = value + $1 WHERE name = 'ordinal' RETURNING value")
                .with(count)
                .only_row(conn.raw())
                .await?
                .get(0)?;
            for (row, ordinal) in rows.into_iter().zip(last.saturating_sub(count).saturating_add(1)..) {
                sql("INSERT INTO subject (id, ordinal, change_sequence, version, created_at, ledger_ref, \
                         wrapped_key, standing, record) \
                     VALUES ($1, $2, $3, 1, $4, $5, $6, $7, $8)")
                .with_bytes(row.id.as_bytes())
                .with(ordinal)
                .with(sequence)
                .with(at.as_millis())
                .with_bytes(row.ledger_ref.as_bytes())
                .with_bytes(row.wrapped.as_bytes())
                .with(row.standing)
                .with(row.record)
                .execute(conn.raw())
                .await?;
            }
        }
    }
    Ok(())
}

async fn update_records(conn: &Conn<'_>, rows: Vec<(SubjectId, Vec<u8>, Vec<u8>)>) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    let sequence = conn.sequence().await?;
    match conn.backend() {
        Backend::Postgres => {
            let (mut ids, mut standings, mut records) = (Vec::new(), Vec::new(), Vec::new());
            for (id, standing, record) in rows {
                ids.push(id.as_bytes().to_vec());
                standings.push(standing);
                records.push(record);
            }
            sql("UPDATE subject SET standing = t.standing, record = t.record, version = version + 1, \
                     change_sequence = $1::bigint + pg_current_xact_id()::text::bigint \
                 FROM unnest($2::bytea[], $3::bytea[], $4::bytea[]) AS t (id, standing, record) \
                 WHERE subject.id = t.id")
            .with(sequence)
            .with(ids)
            .with(standings)
            .with(records)
            .execute(conn.raw())
            .await?;
        }
        Backend::Sqlite => {
            for (id, standing, record) in rows {
                sql("UPDATE subject SET standing = $1, record = $2, version = version + 1, change_sequence = $3 \
                     WHERE id = $4")
                .with(standing)
                .with(record)
                .with(sequence)
                .with_bytes(id.as_bytes())
                .execute(conn.raw())
                .await?;
            }
        }
    }
    Ok(())
}

/// As [`update_records`], without carrying records over that did not change.
async fn update_standings(conn: &Conn<'_>, rows: Vec<(SubjectId, Vec<u8>)>) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    let sequence = conn.sequence().await?;
    match conn.backend() {
        Backend::Postgres => {
            let (ids, standings): (Vec<_>, Vec<_>) =
                rows.into_iter().map(|(id, standing)| (id.as_bytes().to_vec(), standing)).unzip();
            sql("UPDATE subject SET standing = t.standing, version = version + 1, \
                     change_sequence = $1::bigint + pg_current_xact_id()::text::bigint \
                 FROM unnest($2::bytea[], $3::bytea[]) AS t (id, standing) \
                 WHERE subject.id = t.id")
            .with(sequence)
            .with(ids)
            .with(standings)
            .execute(conn.raw())
            .await?;
        }
        Backend::Sqlite => {
            for (id, standing) in rows {
                sql("UPDATE subject SET standing = $1, version = version + 1, change_sequence = $2 WHERE id = $3")
                    .with(standing)
                    .with(sequence)
                    .with_bytes(id.as_bytes())
                    .execute(conn.raw())
                    .await?;
            }
        }
    }
    Ok(())
}

async fn insert_acts(conn: &Conn<'_>, acts: Vec<SealedAct>) -> Result<(), StoreError> {
    if acts.is_empty() {
        return Ok(());
    }
    match conn.backend() {
        Backend::Postgres => {
            let (mut subjects, mut sequences, mut events) = (Vec::new(), Vec::new(), Vec::new());
            let (mut received, mut receipts, mut sealed) = (Vec::new(), Vec::new(), Vec::new());
            for act in acts {
                subjects.push(act.subject.as_bytes().to_vec());
                sequences.push(act.first);
                events.push(act.events);
                received.push(act.received_at.as_millis());
                receipts.push(act.receipt.as_bytes().to_vec());
                sealed.push(act.sealed);
            }
            sql("INSERT INTO consent_event (subject_id, sequence, events, received_at, receipt, sealed) \
                 SELECT subject_id, sequence, events, received_at, receipt, sealed \
                 FROM unnest($1::bytea[], $2::int[], $3::int[], $4::bigint[], $5::bytea[], $6::bytea[]) \
                     AS t (subject_id, sequence, events, received_at, receipt, sealed)")
            .with(subjects)
            .with(sequences)
            .with(events)
            .with(received)
            .with(receipts)
            .with(sealed)
            .execute(conn.raw())
            .await?;
        }
        Backend::Sqlite => {
            for act in acts {
                sql("INSERT INTO consent_event (subject_id, sequence, events, received_at, receipt, sealed) \
                     VALUES ($1, $2, $3, $4, $5, $6)")
                .with_bytes(act.subject.as_bytes())
                .with(act.first)
                .with(act.events)
                .with(act.received_at.as_millis())
                .with_bytes(act.receipt.as_bytes())
                .with(act.sealed)
                .execute(conn.raw())
                .await?;
            }
        }
    }
    Ok(())
}
