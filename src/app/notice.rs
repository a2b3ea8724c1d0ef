//! What a recipient is told of persons whom it knows by name: that one was erased, or that a permission changed. It fetches
//! them, and each waits until it is acknowledged (GDPR Arts. 17(2), 19; C-129/21).

use std::collections::BTreeSet;

use kernel::authz::{Authorized, ReadProfiles};
use kernel::id::{LetterId, SubjectId, hex};
use kernel::ledger::{AttemptRefusal, RefusedAttempt};
use kernel::policy::RecipientRule;
use kernel::pseudonym::Pseudonym;
use kernel::purpose::Purpose;
use kernel::recipient::RecipientId;
use kernel::time::Timestamp;
use store::StoreError;
use store::change::{DeliverNotices, Farewell, Notice};
use store::query::WaitingNotice;

use crate::error::{AppError, Code, Fault};
use crate::gateway::Gateway;

/// The most notices of one answer, and of one acknowledgement.
pub const MOST_NOTICES: usize = 500;
/// How many notices that wait are looked through for the acknowledged ones.
const MOST_WAITING: u32 = 10_000;

/// What a recipient is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoticeKind {
    /// The person was erased: everything that is held under these names must go.
    Erased,
    /// The person's permission for the purpose changed: whoever is not found under these names now must not be used any
    /// more.
    Changed,
}

impl NoticeKind {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Erased => "erased",
            Self::Changed => "changed",
        }
    }
}

/// One notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoticeToRecipient {
    /// Its name: 32 hexadecimal digits.
    pub id: String,
    /// What it says.
    pub kind: NoticeKind,
    /// For which purpose.
    pub purpose: Purpose,
    /// The recipient's names for the person.
    pub pseudonyms: Vec<Pseudonym>,
    /// Since when it waits.
    pub since: Timestamp,
}

impl Gateway {
    /// The notices that wait for the caller's recipient, for the purposes of its token. Each comes again until it is
    /// acknowledged.
    ///
    /// # Errors
    /// [`Code::UnknownRecipient`] for a client that is no recipient's.
    pub async fn recipient_notices(
        &self,
        by: &Authorized<ReadProfiles>,
        limit: usize,
    ) -> Result<Vec<NoticeToRecipient>, AppError> {
        let recipient = self.recipient_of_caller(by).await?;
        let waiting = self.waiting(by, &recipient, MOST_WAITING).await?;
        let told: Vec<_> = waiting.into_iter().take(limit.clamp(1, MOST_NOTICES)).collect();
        if !told.is_empty() {
            let notices = told.iter().map(|(key, _)| key.clone()).collect();
            let deliver = DeliverNotices { recipient, notices, acknowledged: false, at: self.now() };
            self.inner.store.perform(&deliver).await?;
        }
        Ok(told.into_iter().map(|(_, notice)| notice).collect())
    }

    /// Takes an acknowledgement and tells how many notices it was of. What is unknown, or acknowledged before, is passed
    /// over.
    ///
    /// # Errors
    /// [`Code::UnknownRecipient`] for a client that is no recipient's; [`Code::TooMany`] for too many.
    pub async fn acknowledge_notices(
        &self,
        by: &Authorized<ReadProfiles>,
        ids: &BTreeSet<String>,
    ) -> Result<u64, AppError> {
        let recipient = self.recipient_of_caller(by).await?;
        let waiting = self.waiting(by, &recipient, MOST_WAITING).await?;
        let notices: Vec<_> =
            waiting.into_iter().filter(|(_, notice)| ids.contains(&notice.id)).map(|(key, _)| key).collect();
        if notices.is_empty() {
            return Ok(0);
        }
        let deliver = DeliverNotices { recipient, notices, acknowledged: true, at: self.now() };
        let (count, _) = self.inner.store.perform(&deliver).await?;
        Ok(count)
    }

    async fn recipient_of_caller(&self, by: &Authorized<ReadProfiles>) -> Result<RecipientId, AppError> {
        let client = by.actor().client().ok_or(AppError::NotFound(Code::UnknownRecipient))?;
        let known = client.recipient.clone().filter(|recipient| self.policy().recipient(recipient).is_some());
        let Some(recipient) = known else {
            let (attempt, reason) = (RefusedAttempt::ReadChanges, AttemptRefusal::ForeignRecipient);
            self.note_refusal(Some(client.client.clone()), attempt, reason).await?;
            return Err(AppError::Forbidden(Fault::at("", Code::UnknownRecipient)));
        };
        Ok(recipient)
    }

    /// What waits for a recipient, the oldest first, each with its key in the store.
    async fn waiting(
        &self,
        by: &Authorized<ReadProfiles>,
        recipient: &RecipientId,
        limit: u32,
    ) -> Result<Vec<(Notice, NoticeToRecipient)>, AppError> {
        let policy = self.policy();
        let bound = by.actor().client().map(|client| client.purposes.clone()).unwrap_or_default();
        let Some(rule) = policy.recipient(recipient) else { return Ok(Vec::new()) };
        let mut told: Vec<_> = self
            .inner
            .store
            .waiting_notices(recipient, limit)
            .await?
            .into_iter()
            .map(|waiting| self.told(rule, waiting))
            .filter(|(_, notice)| bound.contains(&notice.purpose))
            .collect();
        told.sort_by_key(|(_, notice)| notice.since);
        Ok(told)
    }

    fn told(&self, rule: &RecipientRule, waiting: WaitingNotice) -> (Notice, NoticeToRecipient) {
        match waiting {
            WaitingNotice::Farewell { id, purpose, names, created_at } => {
                let (id_text, kind) = (id.to_string(), NoticeKind::Erased);
                let notice =
                    NoticeToRecipient { id: id_text, kind, purpose, pseudonyms: names, since: created_at };
                (Notice::Farewell(id), notice)
            }
            WaitingNotice::Changed { subject, receipt, purpose, created_at } => {
                // The receipt is the person's own: what the recipient names the notice by tells nothing of it.
                let parts = [
                    b"notice v1".as_slice(),
                    subject.as_bytes(),
                    receipt.as_bytes(),
                    rule.id.as_str().as_bytes(),
                    purpose.as_str().as_bytes(),
                ];
                // As it was when the notice came to be: a recipient acknowledges by the name that it was told.
                let digest = self.inner.keyring.request_fingerprint_at(&parts, created_at);
                let id = hex(digest.first_chunk::<16>().unwrap_or(&[0; 16]));
                let at = [created_at, self.now()];
                let pseudonyms = self.names_of(rule, &purpose, subject, at);
                let key = Notice::Changed(subject, receipt, purpose.clone());
                (key, NoticeToRecipient { id, kind: NoticeKind::Changed, purpose, pseudonyms, since: created_at })
            }
        }
    }

    /// The names by which a recipient knew a person at some times, the latest first.
    fn names_of(
        &self,
        rule: &RecipientRule,
        purpose: &Purpose,
        subject: SubjectId,
        at: impl IntoIterator<Item = Timestamp>,
    ) -> Vec<Pseudonym> {
        let epochs: BTreeSet<u16> = at.into_iter().map(|at| rule.epochs.at(at)).collect();
        // Under each key that is kept: it may have been exchanged since.
        let names = |epoch| self.inner.keyring.pseudonymisers(&rule.id, purpose, epoch);
        epochs.into_iter().rev().flat_map(names).map(|names| names.of(subject)).collect()
    }

    /// What recipients are told when a person is erased: everybody who received something, by the names that they got.
    pub(crate) async fn farewells(&self, subject: SubjectId) -> Result<Vec<Farewell>, StoreError> {
        let Some(row) = self.inner.store.rows_by_ids(&[subject]).await?.pop() else { return Ok(Vec::new()) };
        let policy = self.policy();
        let disclosures = self.disclosures_of(row.ordinal).await?;
        let told: BTreeSet<_> = disclosures.iter().map(|row| (&row.recipient, &row.purpose)).collect();
        let farewell = |(recipient, purpose): (&RecipientId, &Purpose)| {
            // A recipient that the policy does not know any more has nobody to fetch it.
            let rule = policy.recipient(recipient)?;
            let of = |row: &&store::query::DisclosureRow| row.recipient == *recipient && row.purpose == *purpose;
            let at = disclosures.iter().filter(of).map(|row| row.at);
            Some(Farewell {
                id: LetterId::generate(&*self.inner.entropy),
                recipient: recipient.clone(),
                purpose: purpose.clone(),
                names: self.names_of(rule, purpose, subject, at),
            })
        };
        Ok(told.into_iter().filter_map(farewell).collect())
    }
}
