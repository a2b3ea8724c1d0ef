//! Ingest: attributes of persons from a source, each line by itself, sealed per attribute.

use kernel::attribute::{AttributeName, Value};
use kernel::authz::{Authorized, IngestRecords};
use kernel::id::ReceiptId;
use kernel::identifier::{Identifier, IdentifierKind};
use kernel::ledger::{AttemptRefusal, RefusedAttempt};
use kernel::policy::ValidPolicy;
use kernel::regime::Regime;
use kernel::source::SourceId;
use kernel::subject::Birth;
use kernel::time::Timestamp;
use serde_json::{Map, Value as Json};
use store::StoreError;
use store::change::{Ingest, Ingested};

use crate::consent::{escape, identified, identifiers};
use crate::error::{AppError, Code, Fault};
use crate::gateway::Gateway;
use crate::plain;

/// What a source says of one person. Personal data: shown by no `Debug`.
#[derive(Clone, Default)]
pub struct RecordLine {
    /// Email address.
    pub email: Option<String>,
    /// Customer number.
    pub customer_id: Option<String>,
    /// The key of a pseudonymous profile, in place of identifiers.
    pub profile: Option<String>,
    /// The person's region, ISO 3166.
    pub region: Option<String>,
    /// When the source observed the values; now, if it does not say.
    pub observed_at: Option<Timestamp>,
    /// The values, by attribute.
    pub attributes: Map<String, Json>,
}

impl std::fmt::Debug for RecordLine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RecordLine(..)")
    }
}

/// What became of one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LineOutcome {
    /// It is stored.
    Stored {
        /// Whether the person was new.
        created: bool,
    },
    /// It is not, for these reasons; the other lines are not affected.
    Rejected(Vec<Fault>),
}

/// The most attributes of one line.
const MAX_ATTRIBUTES: usize = 64;
/// How many persons one commit takes.
const BATCH: usize = 100;

impl Gateway {
    /// Stores what a source says of persons, line by line. The outcome has the order of the lines.
    ///
    /// # Errors
    /// When the client does not speak for the source, or the store does not answer.
    pub async fn ingest(
        &self,
        by: &Authorized<IngestRecords>,
        source: &SourceId,
        lines: Vec<RecordLine>,
    ) -> Result<Vec<LineOutcome>, AppError> {
        if let Some(client) = by.actor().client()
            && client.source.as_ref() != Some(source)
        {
            let (action, reason) = (RefusedAttempt::IngestRecords, AttemptRefusal::ForeignSource);
            self.note_refusal(Some(client.client.clone()), action, reason).await?;
            return Err(AppError::Forbidden(Fault::at("", Code::SourceMismatch)));
        }
        let policy = self.policy();
        let mut outcomes: Vec<Option<LineOutcome>> = Vec::with_capacity(lines.len());
        let mut good = Vec::new();
        for (at, line) in lines.iter().enumerate() {
            match self.plan_record(&policy, source, line) {
                Ok(ingest) => {
                    good.push((at, ingest));
                    outcomes.push(None);
                }
                Err(faults) => outcomes.push(Some(LineOutcome::Rejected(faults))),
            }
        }
        for chunk in good.chunks(BATCH) {
            for ((at, _), outcome) in chunk.iter().zip(self.write_records(chunk).await?) {
                if let Some(slot) = outcomes.get_mut(*at) {
                    *slot = Some(outcome);
                }
            }
        }
        let outcomes: Vec<_> = outcomes.into_iter().flatten().collect();
        for outcome in &outcomes {
            let counters = &self.inner.counters;
            crate::figures::count(match outcome {
                LineOutcome::Stored { .. } => &counters.records_stored,
                LineOutcome::Rejected(_) => &counters.records_rejected,
            });
        }
        Ok(outcomes)
    }

    async fn write_records(&self, chunk: &[(usize, Ingest)]) -> Result<Vec<LineOutcome>, AppError> {
        let records: Vec<_> = chunk.iter().map(|(_, ingest)| ingest.clone()).collect();
        match self.perform_ingest(records).await {
            Ok(ingested) => Ok(ingested.iter().map(line_outcome).collect()),
            Err(error) if error.is_transient() || chunk.len() == 1 => Err(error.into()),
            // Something in one of them: each by itself, so that the others are not lost.
            Err(_) => {
                let mut outcomes = Vec::with_capacity(chunk.len());
                for (_, ingest) in chunk {
                    let ingested = self.perform_ingest(vec![ingest.clone()]).await?;
                    outcomes.extend(ingested.iter().map(line_outcome));
                }
                Ok(outcomes)
            }
        }
    }

    async fn perform_ingest(&self, records: Vec<Ingest>) -> Result<Vec<Ingested>, StoreError> {
        let change = store::change::IngestRecords {
            records,
            keyring: std::sync::Arc::clone(&self.inner.keyring),
            entropy: std::sync::Arc::clone(&self.inner.entropy),
            at: self.now(),
        };
        Ok(self.inner.store.perform(&change).await?.0)
    }

    fn plan_record(
        &self,
        policy: &ValidPolicy,
        source: &SourceId,
        line: &RecordLine,
    ) -> Result<Ingest, Vec<Fault>> {
        let now = self.now();
        let mut faults = Vec::new();
        let (email, customer_id) = (line.email.as_deref(), line.customer_id.as_deref());
        let identifiers = match &line.profile {
            None => identifiers(email, customer_id, "/subject", &mut faults),
            Some(key) => profile(key, email.is_some() || customer_id.is_some(), &mut faults),
        };
        let regime = line.region.as_deref().and_then(|region| {
            Regime::of_region(region).map_err(|_| faults.push(Fault::at("/region", Code::InvalidRegion))).ok()
        });
        let observed_at = line.observed_at.unwrap_or(now);
        if observed_at > now {
            faults.push(Fault::saying("/observed_at", Code::InvalidField, "lies in the future"));
        }
        if line.attributes.is_empty() {
            faults.push(Fault::at("/attributes", Code::Empty));
        }
        if line.attributes.len() > MAX_ATTRIBUTES {
            faults.push(Fault::at("/attributes", Code::TooMany));
        }
        let mut attributes = Vec::with_capacity(line.attributes.len());
        for (name, json) in line.attributes.iter().take(MAX_ATTRIBUTES) {
            match read_attribute(policy, name, json) {
                Ok(attribute) => attributes.push(attribute),
                Err(fault) => faults.push(fault),
            }
        }
        let (Some(identifiers), true) = (identifiers, faults.is_empty()) else { return Err(faults) };
        Ok(Ingest {
            who: identified(self, &identifiers),
            receipt: ReceiptId::generate(&*self.inner.entropy),
            birth: birth_of(&attributes),
            policy: self.policy(),
            attributes,
            source: source.clone(),
            observed_at,
            regime,
        })
    }
}

/// The one identifier of a pseudonymous profile: named beside a person's it would be pseudonymous no more.
fn profile(key: &str, is_named: bool, faults: &mut Vec<Fault>) -> Option<Vec<Identifier>> {
    if is_named {
        let detail = "a profile is named by itself; `POST /v1/signals` says whose it is";
        faults.push(Fault::saying("/subject/profile", Code::InvalidField, detail));
        return None;
    }
    let key = Identifier::parse(IdentifierKind::Profile, key);
    key.map_err(|error| {
        faults.push(Fault::saying("/subject/profile", Code::InvalidIdentifier, error.to_string()));
    })
    .ok()
    .map(|key| vec![key])
}

fn read_attribute(policy: &ValidPolicy, name: &str, json: &Json) -> Result<(AttributeName, Value), Fault> {
    let pointer = format!("/attributes/{}", escape(name));
    let rule = name.parse().ok().and_then(|name| policy.attribute(&name));
    let Some((rule, kind)) = rule.and_then(|rule| rule.stored.map(|kind| (rule, kind))) else {
        return Err(Fault::at(pointer, Code::UnknownAttribute));
    };
    Ok((rule.name.clone(), plain::value(kind, json, &pointer)?))
}

/// The birth fact behind a stored `birth_date` or `birth_year`: minors are protected whoever tells their age.
pub(crate) fn birth_of(attributes: &[(AttributeName, Value)]) -> Option<Birth> {
    attributes.iter().find_map(|(name, value)| match (name.as_str(), value) {
        ("birth_date", Value::Date(day)) => {
            Some(Birth::from_date(Timestamp::from_millis(i64::from(*day) * 86_400_000).date()))
        }
        ("birth_year", Value::Integer(year)) => i16::try_from(*year).ok().map(Birth::Year),
        _ => None,
    })
}

fn line_outcome(ingested: &Ingested) -> LineOutcome {
    match ingested {
        Ingested::Recorded { created, .. } => LineOutcome::Stored { created: *created },
        Ingested::Suppressed => LineOutcome::Rejected(vec![Fault::at("/subject", Code::Suppressed)]),
        Ingested::Ambiguous => LineOutcome::Rejected(vec![Fault::at("/subject", Code::IdentifierConflict)]),
    }
}
