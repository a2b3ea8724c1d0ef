//! Disclosure: a recipient asks, every person is decided at the read, and only what was recorded is handed over.

mod crowd;
mod lookup;
mod pull;
mod segment;

pub(crate) use crowd::Counts;
pub(crate) use lookup::{Answer, Lookup, look_up};
pub use lookup::{LookupKeys, MAX_LOOKUP};
pub use pull::{Pull, PulledPage};
pub use segment::{MOST_GROUPED, Segment};

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use kernel::attribute::{AttributeName, ServedForm};
use kernel::authz::{Authorized, ClientActor, ReadProfiles};
use kernel::decision::{Ask, MAX_ASKED};
use kernel::disclosure::{DisclosureJournal, DisclosureRecord};
use kernel::ledger::{AttemptRefusal, RefusedAttempt};
use kernel::policy::{Epochs, PolicyVersion, RecipientRule};
use kernel::purpose::Purpose;
use kernel::recipient::{RecipientId, RecipientRole};
use store::change::RecordDisclosures;
use store::{Store, StoreError};

use crate::consent::escape;
use crate::error::{AppError, Code, Fault};
use crate::gateway::Gateway;

/// What a recipient asks for.
#[derive(Debug, Clone)]
pub struct ProfileAsk {
    /// What for.
    pub purpose: Purpose,
    /// Which attributes; empty: all of the contract that the purpose allows.
    pub attributes: Vec<AttributeName>,
}

/// An ask that the recipient's contract and token cover.
#[derive(Debug, Clone)]
pub struct ReadyAsk {
    ask: Ask,
    role: RecipientRole,
    epochs: Epochs,
    /// What is counted before it is answered.
    to_count: Option<crowd::ToCount>,
    columns: Arc<[ColumnSpec]>,
}

/// A column of the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnSpec {
    /// The attribute.
    pub name: AttributeName,
    /// What its values are.
    pub kind: ColumnKind,
}

/// What the values of a column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnKind {
    /// A label of a closed list.
    Label,
    /// A small score.
    Score,
    /// Yes or no.
    Flag,
    /// Several labels of a closed list.
    LabelList,
    /// A plain text, for senders.
    Text,
}

/// What an ask that may be answered depends on, beside the caller's token.
#[derive(PartialEq, Eq, Hash)]
struct AskKey {
    policy: PolicyVersion,
    recipient: RecipientId,
    purpose: Purpose,
    attributes: Vec<AttributeName>,
}

/// The most asks that are remembered.
const MOST_ASKS: usize = 256;

/// Asks that were resolved lately: a recipient asks the same again and again, and the answer is the policy's alone.
#[derive(Default)]
pub(crate) struct ReadyAsks(Mutex<HashMap<AskKey, ReadyAsk>>);

impl ReadyAsks {
    fn get(&self, key: &AskKey) -> Option<ReadyAsk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    fn remember(&self, key: AskKey, ready: &ReadyAsk) {
        let mut asks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if asks.len() >= MOST_ASKS {
            asks.clear();
        }
        asks.insert(key, ready.clone());
    }
}

impl ReadyAsk {
    /// The columns of the answer, in order.
    #[must_use]
    pub fn columns(&self) -> &[ColumnSpec] {
        &self.columns
    }

    /// What it is for.
    #[must_use]
    pub fn purpose(&self) -> &Purpose {
        self.ask.purpose()
    }

    /// Who receives.
    #[must_use]
    pub fn recipient(&self) -> &RecipientId {
        self.ask.recipient()
    }

    /// The role of who receives.
    pub(crate) const fn role(&self) -> RecipientRole {
        self.role
    }

    /// The resolved ask.
    pub(crate) const fn inner(&self) -> &Ask {
        &self.ask
    }

    /// The policy that decides.
    #[must_use]
    pub fn policy_version(&self) -> PolicyVersion {
        self.ask.policy_version()
    }
}

const fn kind_of(form: &ServedForm) -> ColumnKind {
    match form {
        ServedForm::Band { .. }
        | ServedForm::Prefix { .. }
        | ServedForm::OneOf { .. }
        | ServedForm::Lifecycle { .. } => ColumnKind::Label,
        ServedForm::Score { .. } => ColumnKind::Score,
        ServedForm::Flag => ColumnKind::Flag,
        ServedForm::ManyOf { .. } => ColumnKind::LabelList,
        ServedForm::Plain => ColumnKind::Text,
    }
}

impl Gateway {
    /// Checks an ask against the recipient's contract and the token's purposes. What is outside is refused aloud and
    /// recorded, as the given attempt, for it is a fault of the program that asks; what the policy withholds for the
    /// purpose is left out.
    ///
    /// # Errors
    /// [`AppError::Forbidden`] outside token or contract, [`AppError::Invalid`] for unknown names.
    pub async fn ask(
        &self,
        by: &Authorized<ReadProfiles>,
        ask: ProfileAsk,
        attempt: RefusedAttempt,
    ) -> Result<ReadyAsk, AppError> {
        let client = by.actor().client().ok_or(AppError::NotFound(Code::UnknownRecipient))?;
        match self.resolve_ask(client, ask) {
            Ok(ready) => Ok(ready),
            Err((reason, error)) => {
                self.note_refusal(Some(client.client.clone()), attempt, reason).await?;
                Err(error)
            }
        }
    }

    fn resolve_ask(&self, client: &ClientActor, ask: ProfileAsk) -> Result<ReadyAsk, (AttemptRefusal, AppError)> {
        let policy = self.policy();
        let forbidden = |reason, fault| (reason, AppError::Forbidden(fault));
        let unknown = |fault| (AttemptRefusal::TamperedParameter, AppError::invalid(fault));
        let recipient =
            client.recipient.as_ref().and_then(|id| policy.recipient(id)).ok_or_else(|| {
                forbidden(AttemptRefusal::ForeignRecipient, Fault::at("", Code::UnknownRecipient))
            })?;
        if policy.purpose(&ask.purpose).is_none() {
            return Err(unknown(Fault::at("/purpose", Code::UnknownPurpose)));
        }
        if !client.purposes.contains(&ask.purpose) || !recipient.purposes.contains(&ask.purpose) {
            return Err(forbidden(
                AttemptRefusal::ForeignPurpose,
                Fault::at("/purpose", Code::PurposeOutsideToken),
            ));
        }
        let known = AskKey {
            policy: policy.version(),
            recipient: recipient.id.clone(),
            purpose: ask.purpose.clone(),
            attributes: ask.attributes.clone(),
        };
        if let Some(ready) = self.inner.asks.get(&known) {
            return Ok(ready);
        }
        let attributes = asked_attributes(&policy, recipient, ask.attributes, &ask.purpose).map_err(|fault| {
            match fault.code {
                Code::AttributeOutsideContract => forbidden(AttemptRefusal::TamperedParameter, fault),
                _ => unknown(fault),
            }
        })?;
        let resolved = Ask::new(&policy, recipient.id.clone(), ask.purpose, attributes);
        let minimised: Vec<_> = resolved.minimised().collect();
        let columns = resolved
            .attributes()
            .filter(|name| !minimised.contains(name))
            .filter_map(|name| {
                let form = policy.attribute(name)?.served.as_ref()?;
                Some(ColumnSpec { name: name.clone(), kind: kind_of(form) })
            })
            .collect();
        let to_count = self.inner.counts.needed(&policy, &resolved);
        let epochs = recipient.epochs.clone();
        let ready = ReadyAsk { ask: resolved, role: recipient.role, epochs, to_count, columns };
        self.inner.asks.remember(known, &ready);
        Ok(ready)
    }
}

pub(crate) fn asked_attributes(
    policy: &kernel::policy::ValidPolicy,
    recipient: &RecipientRule,
    asked: Vec<AttributeName>,
    purpose: &Purpose,
) -> Result<Vec<AttributeName>, Fault> {
    if asked.is_empty() {
        let allowed = |name: &&AttributeName| {
            policy.attribute(name).is_some_and(|rule| rule.served.is_some() && rule.purposes.contains(purpose))
        };
        return Ok(recipient.attributes.iter().filter(allowed).take(MAX_ASKED).cloned().collect());
    }
    if asked.len() > MAX_ASKED {
        return Err(Fault::at("/attributes", Code::TooMany));
    }
    for (at, name) in asked.iter().enumerate() {
        let pointer = || format!("/attributes/{at}");
        if asked.iter().take(at).any(|before| before == name) {
            return Err(Fault::at(pointer(), Code::Duplicate));
        }
        if policy.attribute(name).is_none() {
            let detail = format!("the policy has no attribute `{}`", escape(name.as_str()));
            return Err(Fault::saying(pointer(), Code::UnknownAttribute, detail));
        }
        if !recipient.attributes.contains(name) {
            let detail = format!("`{}` is not in the contract of `{}`", escape(name.as_str()), recipient.id);
            return Err(Fault::saying(pointer(), Code::AttributeOutsideContract, detail));
        }
    }
    Ok(asked)
}

/// The journal of look-ups: many share a commit. A fault in one must not cost the others: then each is tried by itself.
struct SharedJournal<'a>(&'a Store);

impl DisclosureJournal for SharedJournal<'_> {
    type Error = AppError;

    async fn record_each(&self, records: Vec<DisclosureRecord>) -> Vec<Result<(), AppError>> {
        if records.is_empty() {
            return Vec::new();
        }
        let change = RecordDisclosures { disclosures: records };
        let count = change.disclosures.len();
        let error = match self.0.perform(&change).await {
            Ok(_) => return (0..count).map(|_| Ok(())).collect(),
            Err(error) => error,
        };
        if count <= 1 || error.is_transient() {
            tracing::warn!(error = %error, disclosures = count, "disclosures were not recorded");
            return (0..count).map(|_| Err(failed(&error))).collect();
        }
        let mut results = Vec::with_capacity(count);
        for disclosure in change.disclosures {
            let recorded = self.0.perform(&RecordDisclosures { disclosures: vec![disclosure] }).await;
            results.push(recorded.map(drop).map_err(AppError::from));
        }
        results
    }
}

/// What each of those is told whom one fault of the store concerns.
fn failed(error: &StoreError) -> AppError {
    if error.is_transient() { AppError::Unavailable } else { AppError::internal(error) }
}
