//! Receiving a file: chunk by chunk it is read, compared with what is held, and stored sealed. Memory does not grow with
//! the file, but for one number a person that tells whether the file names somebody twice.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use kernel::authz::{Authorized, ImportRecords};
use kernel::id::ImportId;
use kernel::identifier::{Fingerprint, SuppressionFingerprint};
use kernel::import::{Held, LeftOut, StagedRow, Suppression, Tally, Verdict, judge};
use kernel::policy::ValidPolicy;
use kernel::seal::ImportKey;
use kernel::source::SourceId;
use kernel::subject::SubjectId;
use store::StoreError;
use store::change::{ClaimIdempotencyKey, FinishPreview, IdempotencyClaim, OpenImport, SealedRow, StageRows};
use store::query::SubjectRow;

use super::columns::Columns;
use super::row::{MOST_REFERENCE, ReadRow, RowReader, bad_line, plain_text};
use super::{ImportParameters, ImportView, WAITS_MS};
use crate::consent::{IDEMPOTENCY_MS, Idempotency};
use crate::error::{AppError, Code, Fault};
use crate::figures::count;
use crate::gateway::Gateway;

/// The reason of a suppression that an erasure left.
const ERASURE: &str = "erasure";

/// One line of a file.
#[derive(Clone)]
pub struct ImportLine {
    /// Its number, counted from 1 with the header.
    pub number: u64,
    /// Its cells, or why it has none.
    pub cells: Result<Vec<String>, Code>,
}

impl std::fmt::Debug for ImportLine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ImportLine").field("number", &self.number).finish_non_exhaustive()
    }
}

/// A file on its way in. Without [`Importing::finish`] nothing will ever come of it.
pub struct Importing {
    gateway: Gateway,
    import: ImportId,
    key: ImportKey,
    source: SourceId,
    policy: Arc<ValidPolicy>,
    columns: Columns,
    parameters: ImportParameters,
    /// Eight bytes of the fingerprint of everybody whom the file named so far.
    named: HashSet<u64>,
    rows: u64,
    tally: Tally,
}

impl std::fmt::Debug for Importing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Importing").field("import", &self.import).finish_non_exhaustive()
    }
}

impl Gateway {
    /// Begins to receive a file whose header is this.
    ///
    /// # Errors
    /// [`AppError::Invalid`] with every fault of the parameters and the header: then nothing was begun.
    pub async fn begin_import(
        &self,
        by: &Authorized<ImportRecords>,
        source: &SourceId,
        parameters: ImportParameters,
        header: &[String],
    ) -> Result<Importing, AppError> {
        let (policy, now) = (self.policy(), self.now());
        if parameters.captured_at.is_some_and(|at| at > now) {
            return Err(AppError::invalid(Fault::at("/captured_at", Code::CapturedInFuture)));
        }
        if let Some(evidence) = &parameters.evidence {
            let fault = |code| AppError::invalid(Fault::at("/evidence", code));
            plain_text(evidence).map_err(fault)?;
            if evidence.len() > MOST_REFERENCE {
                return Err(fault(Code::TooLong));
            }
        }
        let columns = Columns::read(&policy, &parameters, header).map_err(AppError::Invalid)?;
        let import = ImportId::generate(&*self.inner.entropy);
        let (key, wrapped_key) =
            self.inner.keyring.create_import_key(import, &*self.inner.entropy).map_err(AppError::internal)?;
        let open = OpenImport {
            import,
            source: source.clone(),
            client: by.actor().client().map(|client| client.client.clone()),
            policy: policy.version(),
            informed: parameters.informed,
            wrapped_key,
            expires_at: now.plus_ms(WAITS_MS),
            at: now,
        };
        self.inner.store.perform(&open).await?;
        Ok(Importing {
            gateway: self.clone(),
            import,
            key,
            source: source.clone(),
            policy,
            columns,
            parameters,
            named: HashSet::new(),
            rows: 0,
            tally: Tally::default(),
        })
    }
}

impl Importing {
    /// How many columns the header has.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.columns.0.len()
    }

    /// Takes the next lines.
    ///
    /// # Errors
    /// When the store does not answer, or the import was given up meanwhile.
    pub async fn take(&mut self, lines: Vec<ImportLine>) -> Result<(), AppError> {
        let mut rows = Vec::with_capacity(lines.len());
        {
            let reader = RowReader {
                policy: &self.policy,
                keyring: &self.gateway.inner.keyring,
                columns: &self.columns,
                parameters: &self.parameters,
                import: self.import,
                default_regime: self.gateway.settings().default_regime,
                now: self.gateway.now(),
            };
            for line in lines {
                self.rows = self.rows.saturating_add(1);
                let read = match line.cells {
                    Ok(cells) => reader.read(&cells),
                    Err(code) => ReadRow::Invalid(bad_line(code)),
                };
                match read {
                    ReadRow::Invalid(faults) => self.tally.reject(line.number, faults),
                    ReadRow::Quarantined(reason) => self.tally.quarantine(line.number, reason),
                    // Which of two lines would hold? Neither is guessed: the first one stands, the other is told.
                    ReadRow::Row(row) if !is_first(&mut self.named, &row) => {
                        self.tally.reject(line.number, bad_line(Code::Duplicate));
                    }
                    ReadRow::Row(row) => rows.push((line.number, row)),
                }
            }
        }
        let staged = self.compare(rows).await?;
        let keyring = Arc::clone(&self.gateway.inner.keyring);
        let stage = StageRows { keyring, import: self.import, rows: staged, at: self.gateway.now() };
        match self.gateway.inner.store.perform(&stage).await {
            Ok(_) => Ok(()),
            Err(StoreError::Conflict) => Err(AppError::Conflict(Code::ImportGone)),
            Err(error) => Err(error.into()),
        }
    }

    /// Compares rows with what is held, counts them, and seals those that would change something.
    async fn compare(&mut self, rows: Vec<(u64, StagedRow)>) -> Result<Vec<SealedRow>, AppError> {
        let known = Known::of(&self.gateway, &rows).await?;
        let now = self.gateway.now();
        let mut staged = Vec::with_capacity(rows.len());
        for (line, row) in rows {
            let held = match known.subject(&row) {
                Err(()) => {
                    self.tally.leave_out(LeftOut::IdentifierConflict);
                    continue;
                }
                Ok(held) => held,
            };
            let links = row.fingerprints().any(|print| !known.owners.contains_key(&print));
            let verdict = known.judge(&self.gateway, &row, held, &self.source, now)?;
            match (verdict, held) {
                (Verdict::LeaveOut(reason), _) => {
                    self.tally.leave_out(reason);
                    continue;
                }
                (Verdict::Unchanged, _) if !links => {
                    self.tally.unchanged = self.tally.unchanged.saturating_add(1);
                    continue;
                }
                (_, Some(_)) => self.tally.changed = self.tally.changed.saturating_add(1),
                (_, None) => self.tally.created = self.tally.created.saturating_add(1),
            }
            let sealed = self.key.seal_row(line, &row).map_err(AppError::internal)?;
            staged.push(SealedRow { line, email: row.email, customer_id: row.customer_id, sealed });
        }
        Ok(staged)
    }

    /// Finishes the preview. `digest` is of the file's bytes; with an idempotency key, the same file again is answered
    /// with the import that it was the first time, and the flag says so.
    ///
    /// # Errors
    /// [`AppError::Invalid`] when the file has no rows, [`AppError::Conflict`] for a reused idempotency key; the
    /// import is given up then.
    pub async fn finish(
        self,
        by: &Authorized<ImportRecords>,
        digest: &[u8; 32],
        idempotency: Option<&Idempotency>,
    ) -> Result<(ImportView, bool), AppError> {
        let done = self.try_finish(by, digest, idempotency).await;
        if !matches!(done, Ok((_, false))) {
            self.give_up().await;
        }
        done
    }

    async fn try_finish(
        &self,
        by: &Authorized<ImportRecords>,
        digest: &[u8; 32],
        idempotency: Option<&Idempotency>,
    ) -> Result<(ImportView, bool), AppError> {
        if self.rows == 0 {
            let detail = "the file has a header and no rows";
            return Err(AppError::invalid(Fault::saying("", Code::Empty, detail)));
        }
        let (gateway, store) = (&self.gateway, &self.gateway.inner.store);
        let at = gateway.now();
        let finish = FinishPreview {
            import: self.import,
            source: self.source.clone(),
            rows: self.rows,
            preview: self.tally.clone(),
            digest: gateway.inner.keyring.import_digest(self.import, digest),
            at,
        };
        let finished = match idempotency {
            None => store.perform(&finish).await.map(drop),
            Some(idempotency) => {
                if let Some(before) = gateway.repeated_import(idempotency).await? {
                    return Ok((gateway.import(by, before).await?, true));
                }
                let (key, request) = gateway.claim_of(idempotency).await?;
                let claim = IdempotencyClaim {
                    scope: idempotency.scope.clone(),
                    key,
                    request,
                    outcome: self.import.as_bytes().to_vec(),
                    expires_at: at.plus_ms(IDEMPOTENCY_MS),
                };
                store.perform(&(ClaimIdempotencyKey { claim, at }, finish)).await.map(drop)
            }
        };
        match finished {
            Ok(()) => {}
            // Somebody was faster with the same key, or the import was given up while it was received.
            Err(StoreError::Conflict) => {
                let before = match idempotency {
                    Some(idempotency) => gateway.repeated_import(idempotency).await?,
                    None => None,
                };
                let before = before.ok_or(AppError::Conflict(Code::ImportGone))?;
                return Ok((gateway.import(by, before).await?, true));
            }
            Err(error) => return Err(error.into()),
        }
        count(&gateway.inner.counters.imports_previewed);
        Ok((gateway.import(by, self.import).await?, false))
    }

    /// Gives the import up: what was stored of it goes. If that fails now, a job does it later.
    pub async fn give_up(self) {
        if let Err(error) = self.gateway.end_import(self.import, false).await {
            tracing::warn!(error = ?error, "an import that was given up is removed later");
        }
    }
}

impl Gateway {
    /// The import that an idempotency key stands for.
    async fn repeated_import(&self, idempotency: &Idempotency) -> Result<Option<ImportId>, AppError> {
        let (key, request) = self.claim_of(idempotency).await?;
        let Some(stored) = self.inner.store.idempotency(&idempotency.scope, &key, self.now()).await? else {
            return Ok(None);
        };
        if stored.request != request {
            return Err(AppError::Conflict(Code::IdempotencyKeyReused));
        }
        let id = ImportId::from_slice(&stored.outcome).ok_or_else(|| AppError::internal("stored outcome"))?;
        Ok(Some(id))
    }
}

/// Whether the file names this person for the first time.
fn is_first(named: &mut HashSet<u64>, row: &StagedRow) -> bool {
    // Eight bytes of a keyed fingerprint: among a million persons two are alike once in thirty million files.
    let short = |print: Fingerprint| print.as_bytes().first_chunk().map_or(0, |head| u64::from_be_bytes(*head));
    let prints: Vec<_> = row.fingerprints().map(short).collect();
    if prints.iter().any(|print| named.contains(print)) {
        return false;
    }
    named.extend(prints);
    true
}

/// What is held of the persons of some rows.
struct Known {
    owners: HashMap<Fingerprint, SubjectId>,
    persons: BTreeMap<SubjectId, SubjectRow>,
    suppressed: HashMap<SuppressionFingerprint, Suppression>,
}

impl Known {
    async fn of(gateway: &Gateway, rows: &[(u64, StagedRow)]) -> Result<Self, AppError> {
        let (store, keyring) = (&gateway.inner.store, &gateway.inner.keyring);
        let prints: Vec<_> = rows.iter().flat_map(|(_, row)| row.fingerprints()).collect();
        let found = store.rows_by_fingerprints(keyring, &prints).await?;
        let owners: HashMap<_, _> = found.iter().map(|(print, row)| (*print, row.id)).collect();
        let persons = found.into_iter().map(|(_, row)| (row.id, row)).collect();
        let stranger = |row: &&StagedRow| !row.fingerprints().any(|print| owners.contains_key(&print));
        let strangers = rows.iter().map(|(_, row)| row).filter(stranger);
        let marks: Vec<_> = strangers.flat_map(|row| marks(keyring, row)).collect();
        let mut suppressed = HashMap::new();
        for row in store.suppressions(&marks).await? {
            let reason = if row.reason == ERASURE { Suppression::Erasure } else { Suppression::Other };
            let known = suppressed.entry(row.fingerprint).or_insert(reason);
            *known = reason.min(*known);
        }
        Ok(Self { owners, persons, suppressed })
    }

    /// Whom a row is about; an error when it names two.
    fn subject(&self, row: &StagedRow) -> Result<Option<SubjectId>, ()> {
        let mut found = row.fingerprints().filter_map(|print| self.owners.get(&print).copied());
        let first = found.next();
        if found.any(|other| Some(other) != first) { Err(()) } else { Ok(first) }
    }

    fn judge(
        &self,
        gateway: &Gateway,
        row: &StagedRow,
        subject: Option<SubjectId>,
        source: &SourceId,
        now: kernel::time::Timestamp,
    ) -> Result<Verdict, AppError> {
        let keyring = &gateway.inner.keyring;
        let tampered = |_| AppError::from(StoreError::Tampered);
        let Some(held) = subject.and_then(|subject| self.persons.get(&subject)) else {
            let suppression = marks(keyring, row).filter_map(|mark| self.suppressed.get(&mark).copied()).min();
            return judge(row, None, suppression, source, now).map_err(tampered);
        };
        let key = keyring.unwrap_key(held.id, &held.wrapped_key).map_err(tampered)?;
        let standing = key.open_standing(&held.standing).map_err(tampered)?;
        let held = Held { standing: &standing, record: &held.record };
        judge(row, Some(held), None, source, now).map_err(tampered)
    }
}

fn marks<'a>(
    keyring: &'a kernel::seal::Keyring,
    row: &'a StagedRow,
) -> impl Iterator<Item = SuppressionFingerprint> + 'a {
    row.fingerprints().chain(row.variants.iter().copied()).flat_map(|print| keyring.suppressions_of(&print))
}
