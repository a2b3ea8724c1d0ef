//! The self-test (GDPR Art. 32(1)(d)): whether the measures still work, tried rather than believed. The ledger verifies, the
//! keys open every person, a copy can be restored, and a person who is written is nowhere in clear and leaves nothing.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use kernel::attribute::AttributeType;
use kernel::authz::{Action, Actor, Authorized, HandleRights, IngestRecords, SelfTest};
use kernel::id::hex;
use kernel::ledger::Checkpoint;
use kernel::ledger::note::NoteVerifier;
use serde_json::json;
use store::{Backend, Store};

use crate::error::AppError;
use crate::gateway::{Gateway, connect};
use crate::ledger::verify_store;
use crate::record::{LineOutcome, RecordLine};
use crate::rights::{RightsAsk, RightsSubject};

/// What is in the address and in a text of the person who is written: in no other value, and never in clear anywhere.
pub const CANARY: &str = "consentry-self-test-canary";
/// How many persons are read at a time.
const RANGE: u64 = 4_096;

/// A measure that is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// The whole ledger is recomputed.
    Ledger,
    /// Every person's key, standing and record is opened or verified to be whole.
    Keys,
    /// A copy is made, opened and verified; or a restored one is.
    Restore,
    /// A person is written, looked for in clear in all of the database, and erased.
    Canary,
}

impl Measure {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ledger => "ledger",
            Self::Keys => "keys",
            Self::Restore => "restore",
            Self::Canary => "canary",
        }
    }
}

/// What came of trying a measure. Fixed words, names of places and numbers: never a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tried {
    /// It works.
    Sound(String),
    /// It could not be tried here, for this reason.
    NotTried(String),
    /// It does not work.
    Broken(String),
}

/// What a self-test found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelfTestReport {
    /// Each measure with what came of it.
    pub measures: Vec<(Measure, Tried)>,
}

impl SelfTestReport {
    /// Whether nothing is broken.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.measures.iter().all(|(_, tried)| !matches!(tried, Tried::Broken(_)))
    }

    /// What came of a measure.
    #[must_use]
    pub fn of(&self, measure: Measure) -> Option<&Tried> {
        self.measures.iter().find(|(known, _)| *known == measure).map(|(_, tried)| tried)
    }
}

impl Gateway {
    /// Tries every measure. `restored`: a database that was restored from a backup, to be verified in place of a copy that is
    /// made now.
    pub async fn self_test(&self, by: &Authorized<SelfTest>, restored: Option<&str>) -> SelfTestReport {
        let mut measures = Vec::new();
        for measure in [Measure::Ledger, Measure::Keys, Measure::Restore, Measure::Canary] {
            let tried = match measure {
                Measure::Ledger => self.try_ledger().await,
                Measure::Keys => self.try_keys(&self.inner.store).await,
                Measure::Restore => self.try_restore(restored).await,
                Measure::Canary => self.try_canary(by).await,
            };
            // What could not be tried because something failed is broken: nobody knows that it works.
            let tried = tried.unwrap_or_else(|error| Tried::Broken(format!("it could not be tried: {error}")));
            measures.push((measure, tried));
        }
        SelfTestReport { measures }
    }

    async fn try_ledger(&self) -> Result<Tried, AppError> {
        let report = verify_store(&self.inner.store, &self.signers().ledger_keys, None).await?;
        Ok(match report.fault {
            None => {
                Tried::Sound(format!("{} entries verify under {} checkpoints", report.entries, report.checkpoints))
            }
            Some(fault) => Tried::Broken(fault.to_string()),
        })
    }

    /// Opens everybody's key and standing, and every value of their record: a damaged one is found before it is asked for.
    async fn try_keys(&self, store: &Store) -> Result<Tried, AppError> {
        let end = store.max_ordinal().await?.map_or(0, |last| last.saturating_add(1));
        let (mut persons, mut values, mut unreadable) = (0_u64, 0_u64, 0_u64);
        for range in 0..end.div_ceil(RANGE) {
            let page = store.scan_range(range * RANGE, (range + 1) * RANGE).await?;
            let gateway = self.clone();
            let counted = tokio::task::spawn_blocking(move || {
                let (mut persons, mut values, mut unreadable) = (0_u64, 0_u64, 0_u64);
                for row in page.rows() {
                    let row = row?;
                    persons += 1;
                    let opened = gateway.inner.keyring.unwrap_key(row.id, row.wrapped_key).and_then(|key| {
                        key.open_standing(row.standing)?;
                        key.check_record(row.record)
                    });
                    match opened {
                        Ok(count) => values += count,
                        Err(_) => unreadable += 1,
                    }
                }
                Ok::<_, AppError>((persons, values, unreadable))
            });
            let found = counted.await.map_err(AppError::internal)??;
            (persons, values, unreadable) = (persons + found.0, values + found.1, unreadable + found.2);
        }
        Ok(if unreadable == 0 {
            Tried::Sound(format!("{persons} persons and {values} values open"))
        } else {
            Tried::Broken(format!("{unreadable} of {persons} persons do not open: other keys, or damaged rows"))
        })
    }

    async fn try_restore(&self, restored: Option<&str>) -> Result<Tried, AppError> {
        let store = &self.inner.store;
        if let Some(url) = restored {
            return self.verify_copy(url).await;
        }
        if store.backend() == Backend::Postgres {
            let why = "PostgreSQL is backed up by its own tools: restore a backup and name it with --restored";
            return Ok(Tried::NotTried(why.to_owned()));
        }
        let folder = tempfile::tempdir().map_err(|error| AppError::internal(error.kind()))?;
        let file = folder.path().join("restored.db");
        store.copy_to(&file).await?;
        self.verify_copy(&format!("sqlite:{}", file.display())).await
    }

    /// Opens a copy as a gateway would: its schema, its ledger, that its ledger and this one are one, and its persons.
    async fn verify_copy(&self, url: &str) -> Result<Tried, AppError> {
        let unusable = |error: &dyn std::fmt::Display| Tried::Broken(format!("the copy cannot be used: {error}"));
        let copy = match connect(url, 2).await {
            Ok(copy) => copy,
            Err(error) => return Ok(unusable(&error)),
        };
        let tried = self.verify_copied(&copy).await;
        copy.close().await;
        tried
    }

    async fn verify_copied(&self, copy: &Store) -> Result<Tried, AppError> {
        let signers = self.signers();
        let verifiers = signers.ledger_keys.as_slice();
        let pending = copy.pending_migrations().await?;
        if !pending.is_empty() {
            return Ok(Tried::Broken(format!("the copy lacks {} migrations", pending.len())));
        }
        let (of_copy, of_this) = (latest(copy, verifiers).await?, latest(&self.inner.store, verifiers).await?);
        let report = verify_store(copy, verifiers, None).await?;
        if let Some(fault) = report.fault {
            return Ok(Tried::Broken(format!("the ledger of the copy does not verify: {fault}")));
        }
        // The younger of the two begins with the older one, or one of them is not of this gateway.
        let younger_is_copy = of_copy.as_ref().map_or(0, |checkpoint| checkpoint.size())
            > of_this.as_ref().map_or(0, |checkpoint| checkpoint.size());
        let (older, younger) = if younger_is_copy { (of_this, copy) } else { (of_copy, &self.inner.store) };
        match &older {
            None if self.inner.store.latest_checkpoint().await?.is_some() => {
                return Ok(Tried::Broken("the copy has no ledger".to_owned()));
            }
            None => {}
            Some(older) => {
                if let Some(fault) = verify_store(younger, verifiers, Some(older)).await?.fault {
                    return Ok(Tried::Broken(format!("the copy is of another ledger: {fault}")));
                }
            }
        }
        Ok(match self.try_keys(copy).await? {
            Tried::Sound(persons) => {
                Tried::Sound(format!("in the copy {} entries verify and {persons}", report.entries))
            }
            other => other,
        })
    }

    async fn try_canary(&self, _by: &Authorized<SelfTest>) -> Result<Tried, AppError> {
        let address = format!("{CANARY}.{}@self-test.invalid", hex(&self.inner.entropy.bytes_16()));
        self.write_canary(&address).await?;
        let subject = || RightsSubject::Identified { email: Some(address.clone()), customer_id: None };
        let known = self.find(subject()).await?;
        let needles = needles(&address);
        let while_here = self.inner.store.holding(&self.settings().database_url, &needles).await?;
        // Whatever was found, the person goes.
        let by = operator::<HandleRights>()?;
        self.open_rights_request(&by, RightsAsk::Erasure, subject(), None).await?;
        let Some(known) = known else {
            return Ok(Tried::Broken("the person who was written was not found".to_owned()));
        };
        if !self.inner.store.rows_by_ids(&[known]).await?.is_empty() {
            return Ok(Tried::Broken("the person who was written is not erased".to_owned()));
        }
        let afterwards = self.inner.store.holding(&self.settings().database_url, &needles).await?;
        Ok(match (while_here.as_slice(), afterwards.as_slice()) {
            ([], []) => Tried::Sound("a person was written, is nowhere in clear, and is erased".to_owned()),
            ([], left) => Tried::Broken(format!("after its erasure a canary is in {}", left.join(", "))),
            (found, _) => Tried::Broken(format!("a canary is in clear in {}", found.join(", "))),
        })
    }

    async fn write_canary(&self, address: &str) -> Result<(), AppError> {
        let policy = self.policy();
        let mut attributes = serde_json::Map::new();
        for rule in policy.attributes() {
            match rule.stored {
                Some(AttributeType::Email) => drop(attributes.insert(rule.name.to_string(), json!(address))),
                Some(AttributeType::Text) => drop(attributes.insert(rule.name.to_string(), json!(CANARY))),
                _ => {}
            }
        }
        let line = RecordLine { email: Some(address.to_owned()), attributes, ..RecordLine::default() };
        let source = "self_test".parse().map_err(AppError::internal)?;
        let stored = self.ingest(&operator::<IngestRecords>()?, &source, vec![line]).await?;
        match stored.as_slice() {
            [LineOutcome::Stored { created: true }] => Ok(()),
            _ => Err(AppError::internal("the policy does not let a canary be written")),
        }
    }
}

/// Whoever may test the gateway may do what the test takes.
fn operator<A: Action>() -> Result<Authorized<A>, AppError> {
    Ok(Authorized::prove(Actor::Operator)?)
}

/// What is looked for: the marker, the whole address, and the spellings that would still tell it.
fn needles(address: &str) -> Vec<Vec<u8>> {
    vec![
        CANARY.as_bytes().to_vec(),
        CANARY.to_uppercase().into_bytes(),
        BASE64_STANDARD.encode(CANARY).trim_end_matches('=').as_bytes().to_vec(),
        hex(CANARY.as_bytes()).into_bytes(),
        address.as_bytes().to_vec(),
    ]
}

async fn latest(store: &Store, verifiers: &[NoteVerifier]) -> Result<Option<Checkpoint>, AppError> {
    let Some(row) = store.latest_checkpoint().await? else { return Ok(None) };
    let name = verifiers.first().map_or("", NoteVerifier::name);
    let checkpoint = Checkpoint::open(&row.note, name, verifiers);
    checkpoint.map(Some).map_err(AppError::internal)
}
