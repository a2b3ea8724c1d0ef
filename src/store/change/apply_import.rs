//! Applies the next rows of an import, with the import's own progress in the same unit: whatever ends it between two
//! of these, it goes on where it stopped, and no row is applied twice.
//!
//! Every row is judged again under its person's lock. What the person did since the preview wins.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use kernel::attribute::AttributeName;
use kernel::entropy::Entropy;
use kernel::id::{ImportId, LedgerRef, ReceiptId};
use kernel::identifier::{IdentifierKind, SuppressionFingerprint};
use kernel::import::{Held, ImportStatus, LeftOut, StagedRow, Suppression, Taken, Tally, Verdict, judge};
use kernel::ledger::{LedgerEntry, LedgerEvent};
use kernel::policy::ValidPolicy;
use kernel::seal::{ImportKey, Keyring};
use kernel::source::SourceId;
use kernel::subject::SubjectId;
use kernel::time::{Months, Timestamp};

use super::aftermath::forgotten;
use super::crowd::{Crowd, rows_by_keys};
use super::erase_subject::REASON as ERASURE;
use super::{Change, Identified, sealed};
use crate::Backend;
use crate::error::StoreError;
use crate::query::import::{ImportRow, columns, read};
use crate::statement::{signed, sql};
use crate::unit_of_work::{Conn, Entries, Unchanged};

/// The next rows of an import.
pub struct ApplyImport {
    /// Which import.
    pub import: ImportId,
    /// The policy in force: an import is begun only under the one that its rows were checked against, and by it attributes
    /// lose their ground and others are told of it.
    pub policy: Arc<ValidPolicy>,
    /// How many rows at the most.
    pub most: u32,
    /// The keys in use.
    pub keyring: Arc<Keyring>,
    /// Where the keys and ids of new persons are drawn from.
    pub entropy: Arc<dyn Entropy>,
    /// Now.
    pub at: Timestamp,
}

impl fmt::Debug for ApplyImport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApplyImport").field("import", &self.import).finish_non_exhaustive()
    }
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImportStep {
    /// Rows were applied.
    Applied(AppliedImport),
    /// All of them were applied before.
    Done,
    /// There is no such import.
    NotFound,
    /// It is not, or not any more, one that can be applied.
    Not(ImportStatus),
    /// The policy changed since the preview.
    PolicyChanged,
}

/// Rows that were applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppliedImport {
    /// The last line that is dealt with now.
    pub line: u64,
    /// What these rows did.
    pub tally: Tally,
    /// Whether they were the last ones.
    pub is_last: bool,
    digest: [u8; 32],
    forgotten: Vec<(LedgerRef, Vec<AttributeName>)>,
}

impl sealed::Sealed for ApplyImport {}

impl Change for ApplyImport {
    type Output = ImportStep;
    const NAME: &'static str = "apply_import";

    async fn apply(&self, conn: &Conn<'_>) -> Result<ImportStep, StoreError> {
        let Some((import, wrapped)) = self.lock(conn).await? else { return Ok(ImportStep::NotFound) };
        match import.status {
            ImportStatus::Applied => return Ok(ImportStep::Done),
            ImportStatus::Previewed if import.expires_at <= self.at => {
                return Ok(ImportStep::Not(ImportStatus::Expired));
            }
            // Once begun it is finished: what it gives carries the version of the purpose that was asked for.
            ImportStatus::Previewed if import.policy != self.policy.version() => {
                return Ok(ImportStep::PolicyChanged);
            }
            ImportStatus::Previewed | ImportStatus::Applying => {}
            other => return Ok(ImportStep::Not(other)),
        }
        let wrapped = wrapped.ok_or(StoreError::Tampered)?;
        let key = self.keyring.unwrap_import_key(self.import, &wrapped).map_err(|_| StoreError::Tampered)?;
        let rows = self.next_rows(conn, &key, import.last_line).await?;
        let is_last = rows.len() < usize::try_from(self.most).unwrap_or(usize::MAX);
        let line = rows.last().map_or(import.last_line, |(line, _)| *line);
        let done = self.take(conn, &import, rows.into_iter().map(|(_, row)| row).collect()).await?;
        self.remember(conn, &import, (line, is_last), &done.tally).await?;
        self.inform(conn, &import, &done.told).await?;
        let digest = self.keyring.import_digest(self.import, &done.effects);
        Ok(ImportStep::Applied(AppliedImport {
            line,
            tally: done.tally,
            is_last,
            digest,
            forgotten: done.forgotten,
        }))
    }

    fn entries(&self, output: &ImportStep) -> Entries {
        let ImportStep::Applied(applied) = output else { return Entries::unchanged(Unchanged::AlreadyDone) };
        let event = LedgerEvent::ImportApplied {
            import: self.import,
            line: applied.line,
            created: applied.tally.created,
            changed: applied.tally.changed,
            left_out: applied.tally.left_out.iter().map(|(reason, count)| (reason.code(), *count)).collect(),
            digest: applied.digest,
        };
        let lost = applied.forgotten.iter().filter_map(|(subject, names)| forgotten(*subject, names));
        let all = [event].into_iter().chain(lost);
        Entries::each(all.map(|event| LedgerEntry { at: self.at, event }), Unchanged::AlreadyDone)
    }
}

/// What the rows of one unit did.
#[derive(Default)]
struct Done {
    tally: Tally,
    /// Who has to be told of it, and of whose data.
    told: BTreeSet<(SubjectId, SourceId)>,
    /// Whose and what, in the words of the ledger.
    effects: Vec<u8>,
    /// The attributes that lost their ground.
    forgotten: Vec<(LedgerRef, Vec<AttributeName>)>,
}

impl ApplyImport {
    async fn lock(&self, conn: &Conn<'_>) -> Result<Option<(ImportRow, Option<Vec<u8>>)>, StoreError> {
        let locked = match conn.backend() {
            Backend::Postgres => sql("SELECT wrapped_key FROM import WHERE id = $1 FOR UPDATE"),
            Backend::Sqlite => sql("SELECT wrapped_key FROM import WHERE id = $1"),
        };
        let Some(locked) = locked.with_bytes(self.import.as_bytes()).row(conn.raw()).await? else {
            return Ok(None);
        };
        // Read when it is locked: somebody else may just have applied some of it.
        let row = sql(columns!("WHERE id = $1")).with_bytes(self.import.as_bytes()).only_row(conn.raw()).await?;
        Ok(Some((read(&row)?, locked.get(0)?)))
    }

    async fn next_rows(
        &self,
        conn: &Conn<'_>,
        key: &ImportKey,
        after: u64,
    ) -> Result<Vec<(u64, StagedRow)>, StoreError> {
        let rows =
            sql("SELECT line, sealed FROM import_row WHERE import_id = $1 AND line > $2 ORDER BY line LIMIT $3")
                .with_bytes(self.import.as_bytes())
                .with(signed(after)?)
                .with(i64::from(self.most))
                .rows(conn.raw())
                .await?;
        rows.iter()
            .map(|row| {
                let line = row.unsigned(0)?;
                let opened = key.open_row(line, &row.get::<Vec<u8>>(1)?).map_err(|_| StoreError::Tampered)?;
                Ok((line, opened))
            })
            .collect()
    }

    async fn take(&self, conn: &Conn<'_>, import: &ImportRow, rows: Vec<StagedRow>) -> Result<Done, StoreError> {
        let mut done = Done::default();
        let who: Vec<Identified> = rows.iter().map(|row| self.identified(row)).collect();
        let mut crowd = Crowd::find(conn, (&self.keyring, &*self.entropy), self.at, who.iter()).await?;
        let suppressed = self.suppressed(conn, &crowd, &rows, &who).await?;
        let mut resolved = Vec::with_capacity(rows.len());
        for (row, who) in rows.iter().zip(&who) {
            let suppression = if crowd.knows(who) { None } else { self.suppression(row, &suppressed) };
            resolved.push(match suppression {
                Some(Suppression::Erasure) => Err(LeftOut::Erased),
                Some(Suppression::Other) => Err(LeftOut::Suppressed),
                None => crowd.resolve(who).ok_or(LeftOut::IdentifierConflict),
            });
        }
        let subjects: BTreeSet<SubjectId> = resolved.iter().filter_map(|one| one.as_ref().ok()).copied().collect();
        crowd.lock(conn, &subjects, &BTreeSet::new()).await?;

        let mut unlink = BTreeSet::new();
        for ((row, who), resolved) in rows.iter().zip(&who).zip(resolved) {
            let subject = match resolved {
                Ok(subject) => subject,
                Err(reason) => {
                    done.tally.leave_out(reason);
                    continue;
                }
            };
            let (standing, record) = crowd.held(subject)?;
            let held = Held { standing, record };
            let verdict =
                judge(row, Some(held), None, &import.source, self.at).map_err(|_| StoreError::Tampered)?;
            let is_linked = crowd.added(who).next().is_some();
            let taken = match verdict {
                Verdict::Take(taken) => taken,
                // Nothing new but another identifier of the same person.
                Verdict::Unchanged if is_linked => Taken::default(),
                Verdict::Unchanged => {
                    done.tally.unchanged = done.tally.unchanged.saturating_add(1);
                    continue;
                }
                Verdict::LeaveOut(reason) => {
                    unlink.extend(crowd.added(who));
                    done.tally.leave_out(reason);
                    continue;
                }
            };
            let receipt = ReceiptId::generate(&*self.entropy);
            self.enter(&mut crowd, import, (subject, receipt, row), &taken, &mut done)?;
            crowd.tell_buyers(conn, (subject, receipt), || self.policy.buyers(), &taken.events).await?;
        }
        crowd.unlink(conn, &unlink).await?;
        crowd.write(conn).await?;
        Ok(done)
    }

    /// Enters what is taken of a row.
    fn enter(
        &self,
        crowd: &mut Crowd<'_>,
        import: &ImportRow,
        (subject, receipt, row): (SubjectId, ReceiptId, &StagedRow),
        taken: &Taken,
        done: &mut Done,
    ) -> Result<(), StoreError> {
        let source = row.partner.as_ref().unwrap_or(&import.source);
        crowd.tell(subject, receipt, &self.policy, &taken.events);
        let events = crowd.fold(subject, receipt, &taken.events, None)?;
        crowd.merge(subject, &taken.attributes, row.captured_at, source)?;
        let lost = crowd.forget(subject, &self.policy)?;
        let (ledger_ref, is_new) = crowd.reference(subject)?;
        if !lost.is_empty() {
            done.forgotten.push((ledger_ref, lost));
        }
        let count = if is_new { &mut done.tally.created } else { &mut done.tally.changed };
        *count = count.saturating_add(1);
        if taken.tells && !import.informed {
            done.told.insert((subject, source.clone()));
        }
        let names: Vec<_> = taken.attributes.iter().map(|(name, _)| name).collect();
        let effect: (LedgerRef, ReceiptId, _, _) = (ledger_ref, receipt, events, names);
        let written = minicbor::encode(&effect, &mut done.effects);
        written.map_err(|_| StoreError::defect("the effects of an import could not be written"))
    }

    fn identified(&self, row: &StagedRow) -> Identified {
        let email = row.email.map(|print| (IdentifierKind::Email, print));
        let customer = row.customer_id.map(|print| (IdentifierKind::CustomerId, print));
        Identified {
            fingerprints: email.into_iter().chain(customer).collect(),
            new_subject: SubjectId::generate(&*self.entropy),
            ledger_ref: LedgerRef::generate(&*self.entropy),
        }
    }

    fn marks<'a>(&'a self, row: &'a StagedRow) -> impl Iterator<Item = SuppressionFingerprint> + 'a {
        let prints = row.fingerprints().chain(row.variants.iter().copied());
        prints.flat_map(|print| self.keyring.suppressions_of(&print))
    }

    /// Which of the strangers' identifiers are suppressed, and whether by an erasure.
    async fn suppressed(
        &self,
        conn: &Conn<'_>,
        crowd: &Crowd<'_>,
        rows: &[StagedRow],
        who: &[Identified],
    ) -> Result<HashMap<SuppressionFingerprint, Suppression>, StoreError> {
        let strangers = rows.iter().zip(who).filter(|(_, who)| !crowd.knows(who));
        let marks: BTreeSet<_> = strangers.flat_map(|(row, _)| self.marks(row)).collect();
        let found = rows_by_keys(
            conn,
            "SELECT fingerprint, reason FROM suppression WHERE fingerprint = ANY($1::bytea[])",
            "SELECT fingerprint, reason FROM suppression WHERE fingerprint = $1",
            marks.iter().map(|mark| mark.as_bytes().to_vec()).collect(),
        )
        .await?;
        let mut suppressed = HashMap::new();
        for row in &found {
            let mark = SuppressionFingerprint::from_bytes(row.bytes(0)?);
            let erased = row.get::<String>(1)? == ERASURE;
            let reason = if erased { Suppression::Erasure } else { Suppression::Other };
            suppressed
                .entry(mark)
                .and_modify(|known: &mut Suppression| *known = reason.min(*known))
                .or_insert(reason);
        }
        Ok(suppressed)
    }

    fn suppression(
        &self,
        row: &StagedRow,
        suppressed: &HashMap<SuppressionFingerprint, Suppression>,
    ) -> Option<Suppression> {
        if suppressed.is_empty() {
            return None;
        }
        self.marks(row).filter_map(|mark| suppressed.get(&mark).copied()).min()
    }

    /// Writes down how far the import is; at the end its key goes.
    async fn remember(
        &self,
        conn: &Conn<'_>,
        import: &ImportRow,
        (line, is_last): (u64, bool),
        tally: &Tally,
    ) -> Result<(), StoreError> {
        let mut applied = import.applied.clone();
        applied.add(tally);
        let status = if is_last { ImportStatus::Applied } else { ImportStatus::Applying };
        sql("UPDATE import SET status = $2, last_line = $3, applied = $4, touched_at = $5, \
                 wrapped_key = CASE WHEN $6 = 1 THEN NULL ELSE wrapped_key END, \
                 ended_at = CASE WHEN $6 = 1 THEN $5 ELSE ended_at END WHERE id = $1")
        .with_bytes(self.import.as_bytes())
        .with(status.as_str())
        .with(signed(line)?)
        .with(applied.to_text())
        .with(self.at.as_millis())
        .with(i16::from(is_last))
        .execute(conn.raw())
        .await?;
        sql("DELETE FROM import_row WHERE import_id = $1 AND line <= $2")
            .with_bytes(self.import.as_bytes())
            .with(signed(line)?)
            .execute(conn.raw())
            .await?;
        Ok(())
    }

    /// Notes by when these persons have to be told where their data came from. Of a source that a person was to be
    /// told of before, the earlier time stays.
    async fn inform(
        &self,
        conn: &Conn<'_>,
        import: &ImportRow,
        told: &BTreeSet<(SubjectId, SourceId)>,
    ) -> Result<(), StoreError> {
        // GDPR Art. 14(3)(a): one month from obtaining the data, and that was when the file came. A day that the next
        // month does not have becomes its last day, and no weekend moves it.
        let due = Months(1).after(import.created_at);
        let mut by_source: BTreeMap<&SourceId, Vec<Vec<u8>>> = BTreeMap::new();
        for (subject, source) in told {
            by_source.entry(source).or_default().push(subject.as_bytes().to_vec());
        }
        for (source, subjects) in by_source {
            match conn.backend() {
                Backend::Postgres => {
                    sql("INSERT INTO import_subject (subject_id, source, import_id, received_at, due_at) \
                         SELECT subject_id, $1, $2, $3::bigint, $4::bigint FROM unnest($5::bytea[]) AS t (subject_id) \
                         ON CONFLICT (subject_id, source) DO NOTHING")
                    .with(source.as_str())
                    .with_bytes(self.import.as_bytes())
                    .with(import.created_at.as_millis())
                    .with(due.as_millis())
                    .with(subjects)
                    .execute(conn.raw())
                    .await?;
                }
                Backend::Sqlite => {
                    for subject in subjects {
                        sql("INSERT INTO import_subject (subject_id, source, import_id, received_at, due_at) \
                             VALUES ($5, $1, $2, $3, $4) ON CONFLICT (subject_id, source) DO NOTHING")
                        .with(source.as_str())
                        .with_bytes(self.import.as_bytes())
                        .with(import.created_at.as_millis())
                        .with(due.as_millis())
                        .with(subject)
                        .execute(conn.raw())
                        .await?;
                    }
                }
            }
        }
        Ok(())
    }
}
