//! What a no leaves to be done in the same unit: attributes without a ground are forgotten, and whoever relied on the
//! consent, or collected it, or bought in the meantime, is put down to be told.

use kernel::attribute::AttributeName;
use kernel::consent::{ConsentEvent, EventKind};
use kernel::decision::{Concerned, concerned, unfounded};
use kernel::id::{LedgerRef, ReceiptId};
use kernel::ledger::LedgerEvent;
use kernel::policy::ValidPolicy;
use kernel::purpose::Purpose;
use kernel::recipient::RecipientId;
use kernel::seal::{SealedRecord, thin_record};
use kernel::subject::SubjectId;
use kernel::time::Timestamp;

use super::crowd::Crowd;
use crate::error::StoreError;
use crate::query::disclosure::disclosed_since;
use crate::statement::sql;
use crate::unit_of_work::Conn;

/// Somebody to be told.
pub(super) struct Telling {
    subject: SubjectId,
    receipt: ReceiptId,
    purpose: Purpose,
    concerned: Concerned,
}

impl Crowd<'_> {
    /// Puts down whom the events concern, before they are folded.
    pub(super) fn tell(
        &mut self,
        id: SubjectId,
        receipt: ReceiptId,
        policy: &ValidPolicy,
        events: &[ConsentEvent],
    ) {
        let Some(standing) = self.standing(id) else { return };
        let told: Vec<_> = events
            .iter()
            .flat_map(|event| concerned(policy, standing, event))
            .map(|(purpose, concerned)| Telling { subject: id, receipt, purpose, concerned })
            .collect();
        self.tellings.extend(told);
    }

    /// Puts down recipients of a person's data, for each purpose (GDPR Art. 19).
    pub(super) fn tell_recipients(&mut self, id: SubjectId, receipt: ReceiptId, told: &[(Purpose, RecipientId)]) {
        self.tellings.extend(told.iter().map(|(purpose, recipient)| Telling {
            subject: id,
            receipt,
            purpose: purpose.clone(),
            concerned: Concerned::Recipient(recipient.clone()),
        }));
    }

    /// Puts down the third parties that got a person's data after an opt-out was made and before it arrived here
    /// (11 CCR §7026(f)(3)). An opt-out that is made here leaves no time in between.
    pub(super) async fn tell_buyers(
        &mut self,
        conn: &Conn<'_>,
        (id, receipt): (SubjectId, ReceiptId),
        buyers: impl FnOnce() -> Vec<(Purpose, RecipientId)>,
        events: &[ConsentEvent],
    ) -> Result<(), StoreError> {
        let out = |event: &&ConsentEvent| matches!(event.kind, EventKind::OptOutSaleShare | EventKind::SignalGpc);
        let since = events.iter().filter(out).map(|event| event.captured_at).min();
        let Some(since) = since.filter(|since| *since < self.now()) else { return Ok(()) };
        let disclosed = disclosed_since(conn.raw(), id, since).await?;
        let told: Vec<_> = buyers().into_iter().filter(|buyer| disclosed.contains(buyer)).collect();
        self.tell_recipients(id, receipt, &told);
        Ok(())
    }

    /// Forgets what nothing permits to keep, after the events were folded and the attributes merged.
    pub(super) fn forget(
        &mut self,
        id: SubjectId,
        policy: &ValidPolicy,
    ) -> Result<Vec<AttributeName>, StoreError> {
        let Some((standing, record)) = self.file_of(id) else { return Ok(Vec::new()) };
        if !standing.took_anything_back() {
            return Ok(Vec::new());
        }
        let names: Vec<_> = SealedRecord::new(record)
            .entries()
            .map(|entry| entry.map(|entry| entry.name().to_owned()))
            .collect::<Result<_, _>>()
            .map_err(|_| StoreError::Tampered)?;
        let forgotten = unfounded(policy, standing, names.iter().map(String::as_str), self.now());
        if !forgotten.is_empty() {
            let record = thin_record(record, |name, _| !forgotten.iter().any(|lost| lost.as_str() == name))
                .map_err(|_| StoreError::Tampered)?;
            self.replace_record(id, record);
        }
        Ok(forgotten)
    }
}

/// What the ledger says of attributes that were forgotten, if any were.
pub(super) fn forgotten(subject: LedgerRef, attributes: &[AttributeName]) -> Option<LedgerEvent> {
    let attributes = attributes.to_vec();
    (!attributes.is_empty()).then_some(LedgerEvent::AttributesForgotten { subject, attributes })
}

/// Writes down who is to be told.
pub(super) async fn insert_tellings(
    conn: &Conn<'_>,
    at: Timestamp,
    tellings: Vec<Telling>,
) -> Result<(), StoreError> {
    for telling in tellings {
        let (party, name) = match &telling.concerned {
            Concerned::Recipient(recipient) => ("recipient", recipient.as_str()),
            Concerned::Source(source) => ("source", source.as_str()),
        };
        sql("INSERT INTO recipient_notice (subject_id, receipt, purpose, party, name, created_at) \
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING")
        .with_bytes(telling.subject.as_bytes())
        .with_bytes(telling.receipt.as_bytes())
        .with(telling.purpose.as_str())
        .with(party)
        .with(name)
        .with(at.as_millis())
        .execute(conn.raw())
        .await?;
    }
    Ok(())
}
