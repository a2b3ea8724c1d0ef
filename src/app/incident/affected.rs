//! Whom an incident at a recipient concerns: exactly those whose data it received in some time, and which data (GDPR
//! Art. 34(1)).

use kernel::attribute::ServedForm;
use kernel::authz::{Authorized, InspectSubjects};
use kernel::recipient::RecipientId;
use kernel::time::Timestamp;
use serde_json::{Value as Json, json};
use store::change::RecordAudit;

use crate::denied::Author;
use crate::error::{AppError, Code, Fault};
use crate::gateway::Gateway;

/// Which data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AffectedAsk {
    /// Who received them.
    pub recipient: RecipientId,
    /// From when on.
    pub from: Timestamp,
    /// Before when.
    pub until: Timestamp,
}

/// Whom it concerns, a page.
#[derive(Debug, Clone, PartialEq)]
pub struct Affected {
    /// The page, as one JSON document.
    pub document: Json,
    /// Where the list goes on, if it does.
    pub next: Option<u64>,
}

impl Gateway {
    /// Those whose data a recipient received from an instant on and before another, in a fixed order, after a place in it.
    ///
    /// # Errors
    /// When the recipient is unknown or the time is none.
    pub async fn affected(
        &self,
        by: &Authorized<InspectSubjects>,
        ask: &AffectedAsk,
        after: Option<u64>,
        limit: u32,
    ) -> Result<Affected, AppError> {
        let policy = self.policy();
        let rule = policy
            .recipient(&ask.recipient)
            .ok_or_else(|| AppError::invalid(Fault::at("/recipient", Code::UnknownRecipient)))?;
        if ask.until <= ask.from {
            return Err(AppError::invalid(Fault::at("/until", Code::InvalidField)));
        }
        let received = self.inner.store.received(&ask.recipient, (ask.from, ask.until)).await?;
        let mut ordinals: Vec<u64> = received
            .everybody
            .iter()
            .filter(|ordinal| after.is_none_or(|after| *ordinal > after))
            .take(usize::try_from(limit).unwrap_or(usize::MAX).saturating_add(1))
            .collect();
        let is_last = ordinals.len() <= usize::try_from(limit).unwrap_or(usize::MAX);
        ordinals.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        let found = self.inner.store.subjects_at(&ordinals).await?;
        let subjects: Vec<_> = found
            .iter()
            .map(|(ordinal, id)| {
                let names: Vec<_> = received
                    .by_attribute
                    .iter()
                    .filter(|(_, who)| who.contains(*ordinal))
                    .map(|(name, _)| name)
                    .collect();
                json!({ "id": id, "attributes": names })
            })
            .collect();
        let Author { client, staff } = Author::of(by.actor());
        let recipient = ask.recipient.clone();
        let record = RecordAudit { recipient, subjects: found.len() as u64, client, staff, at: self.now() };
        self.inner.store.perform(&record).await?;
        let in_clear = |name: &kernel::attribute::AttributeName| {
            policy.attribute(name).is_some_and(|rule| matches!(rule.served, Some(ServedForm::Plain)))
        };
        let document = json!({
            "recipient": ask.recipient,
            "name": rule.name,
            "from": ask.from,
            "until": ask.until,
            "disclosures": received.disclosures,
            "persons": received.everybody.len(),
            // Erased persons are a bit that names nobody: they can be counted and not be told.
            "erased_on_this_page": ordinals.len().saturating_sub(found.len()),
            // What lies in the gateway's own store is encrypted; what a recipient got, it can read.
            "encrypted": false,
            "pseudonymous": !received.by_attribute.keys().any(in_clear),
            "attributes": received.by_attribute.iter().map(|(name, who)| (name.to_string(), who.len().into()))
                .collect::<serde_json::Map<String, Json>>(),
            "subjects": subjects,
        });
        Ok(Affected { document, next: ordinals.last().copied().filter(|_| !is_last) })
    }
}
