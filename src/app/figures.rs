//! Counters for operators: what the gateway did since it started. Numbers only.

use std::sync::atomic::{AtomicU64, Ordering};

use kernel::consent::{Assurance, ConsentEvent, EventKind};
use kernel::decision::Refusal;

/// A snapshot of the counters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Figures {
    /// Consent posts recorded.
    pub captures: u64,
    /// Consent posts answered from an idempotency key.
    pub captures_replayed: u64,
    /// Grants recorded, by how sure it is that the person acted.
    pub grants: Vec<(Assurance, u64)>,
    /// Grants that the law does not accept: kept as evidence for the officer, never in force (GDPR Art. 7(2), (4)).
    pub grants_void: u64,
    /// Withdrawals, objections and opt-outs by the links of mails, and complaints.
    pub taken_back: u64,
    /// Signals recorded.
    pub signals: u64,
    /// Records stored.
    pub records_stored: u64,
    /// Records rejected.
    pub records_rejected: u64,
    /// Look-ups and pages disclosed.
    pub disclosures: u64,
    /// Persons in them.
    pub persons_disclosed: u64,
    /// Persons refused, by reason.
    pub refusals: Vec<(Refusal, u64)>,
    /// Access tokens issued.
    pub tokens_issued: u64,
    /// Token requests denied.
    pub tokens_denied: u64,
    /// Attempts refused for want of a right.
    pub attempts_refused: u64,
    /// Files whose preview was made.
    pub imports_previewed: u64,
    /// Rows of imports that changed something.
    pub import_rows_applied: u64,
    /// Rows of imports that were left out when they were applied.
    pub import_rows_left_out: u64,
    /// Persons erased.
    pub erasures: u64,
    /// Entries that the latest checkpoint covers.
    pub ledger_size: u64,
    /// Checkpoints signed.
    pub checkpoints: u64,
    /// Letters that the mail server took.
    pub letters_sent: u64,
    /// Attempts to deliver a letter that are made again later.
    pub letters_deferred: u64,
    /// Letters that cannot be delivered.
    pub letters_failed: u64,
    /// Letters that were not written, because the address or the machine had caused enough.
    pub letters_held_back: u64,
    /// Confirmations taken for the first time.
    pub confirmations: u64,
    /// Persons whose unconfirmed requests were removed.
    pub unconfirmed_purged: u64,
    /// Assessments of the policy whose review is due.
    pub reviews_due: u64,
    /// Data keys that a rotation has still to wrap anew.
    pub keys_left: u64,
    /// Whether the store has newer keys that do not open here.
    pub keys_behind: bool,
}

/// A grant, as it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RecordedGrant {
    /// Given in a form that the law does not accept.
    Void,
    /// In force, with its assurance.
    InForce(Assurance),
}

impl RecordedGrant {
    /// The grants among events.
    pub(crate) fn of(events: &[ConsentEvent]) -> Vec<Self> {
        let grant = |event: &ConsentEvent| match (event.kind, &event.grant) {
            (EventKind::GrantInvalid, _) => Some(Self::Void),
            (EventKind::GrantConfirmed, Some(grant)) => Some(Self::InForce(grant.assurance)),
            _ => None,
        };
        events.iter().filter_map(grant).collect()
    }
}

#[derive(Debug)]
pub(crate) struct Counters {
    pub(crate) captures: AtomicU64,
    pub(crate) captures_replayed: AtomicU64,
    grants: [AtomicU64; Assurance::ALL.len()],
    grants_void: AtomicU64,
    pub(crate) taken_back: AtomicU64,
    pub(crate) signals: AtomicU64,
    pub(crate) records_stored: AtomicU64,
    pub(crate) records_rejected: AtomicU64,
    pub(crate) disclosures: AtomicU64,
    pub(crate) persons_disclosed: AtomicU64,
    refusals: [AtomicU64; Refusal::ALL.len()],
    pub(crate) tokens_issued: AtomicU64,
    pub(crate) tokens_denied: AtomicU64,
    pub(crate) attempts_refused: AtomicU64,
    pub(crate) imports_previewed: AtomicU64,
    pub(crate) import_rows_applied: AtomicU64,
    pub(crate) import_rows_left_out: AtomicU64,
    pub(crate) erasures: AtomicU64,
    pub(crate) ledger_size: AtomicU64,
    pub(crate) checkpoints: AtomicU64,
    pub(crate) letters_sent: AtomicU64,
    pub(crate) letters_deferred: AtomicU64,
    pub(crate) letters_failed: AtomicU64,
    pub(crate) letters_held_back: AtomicU64,
    pub(crate) confirmations: AtomicU64,
    pub(crate) unconfirmed_purged: AtomicU64,
    pub(crate) keys_left: AtomicU64,
}

impl Counters {
    pub(crate) fn new() -> Self {
        Self {
            captures: AtomicU64::default(),
            captures_replayed: AtomicU64::default(),
            grants: std::array::from_fn(|_| AtomicU64::default()),
            grants_void: AtomicU64::default(),
            taken_back: AtomicU64::default(),
            signals: AtomicU64::default(),
            records_stored: AtomicU64::default(),
            records_rejected: AtomicU64::default(),
            disclosures: AtomicU64::default(),
            persons_disclosed: AtomicU64::default(),
            refusals: std::array::from_fn(|_| AtomicU64::default()),
            tokens_issued: AtomicU64::default(),
            tokens_denied: AtomicU64::default(),
            attempts_refused: AtomicU64::default(),
            imports_previewed: AtomicU64::default(),
            import_rows_applied: AtomicU64::default(),
            import_rows_left_out: AtomicU64::default(),
            erasures: AtomicU64::default(),
            ledger_size: AtomicU64::default(),
            checkpoints: AtomicU64::default(),
            letters_sent: AtomicU64::default(),
            letters_deferred: AtomicU64::default(),
            letters_failed: AtomicU64::default(),
            letters_held_back: AtomicU64::default(),
            confirmations: AtomicU64::default(),
            unconfirmed_purged: AtomicU64::default(),
            keys_left: AtomicU64::default(),
        }
    }

    /// Counts grants that were recorded.
    pub(crate) fn granted(&self, grants: &[RecordedGrant]) {
        for grant in grants {
            let counter = match grant {
                RecordedGrant::Void => Some(&self.grants_void),
                RecordedGrant::InForce(assurance) => {
                    let level = Assurance::ALL.iter().position(|known| known == assurance);
                    level.and_then(|level| self.grants.get(level))
                }
            };
            if let Some(counter) = counter {
                count(counter);
            }
        }
    }

    pub(crate) fn disclosed(&self, persons: u64, refused: &[(Refusal, u64)]) {
        count(&self.disclosures);
        self.persons_disclosed.fetch_add(persons, Ordering::Relaxed);
        for (refusal, many) in refused {
            let counter =
                Refusal::ALL.iter().position(|known| known == refusal).and_then(|at| self.refusals.get(at));
            if let Some(counter) = counter {
                counter.fetch_add(*many, Ordering::Relaxed);
            }
        }
    }

    pub(crate) fn snapshot(&self) -> Figures {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Figures {
            captures: read(&self.captures),
            captures_replayed: read(&self.captures_replayed),
            grants: Assurance::ALL.into_iter().zip(self.grants.iter().map(read)).collect(),
            grants_void: read(&self.grants_void),
            taken_back: read(&self.taken_back),
            signals: read(&self.signals),
            records_stored: read(&self.records_stored),
            records_rejected: read(&self.records_rejected),
            disclosures: read(&self.disclosures),
            persons_disclosed: read(&self.persons_disclosed),
            refusals: Refusal::ALL.into_iter().zip(self.refusals.iter().map(read)).collect(),
            tokens_issued: read(&self.tokens_issued),
            tokens_denied: read(&self.tokens_denied),
            attempts_refused: read(&self.attempts_refused),
            imports_previewed: read(&self.imports_previewed),
            import_rows_applied: read(&self.import_rows_applied),
            import_rows_left_out: read(&self.import_rows_left_out),
            erasures: read(&self.erasures),
            ledger_size: read(&self.ledger_size),
            checkpoints: read(&self.checkpoints),
            letters_sent: read(&self.letters_sent),
            letters_deferred: read(&self.letters_deferred),
            letters_failed: read(&self.letters_failed),
            letters_held_back: read(&self.letters_held_back),
            confirmations: read(&self.confirmations),
            unconfirmed_purged: read(&self.unconfirmed_purged),
            reviews_due: 0,
            keys_left: read(&self.keys_left),
            keys_behind: false,
        }
    }
}

pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
