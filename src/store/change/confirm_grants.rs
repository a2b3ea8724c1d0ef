//! Confirms what a person was asked to confirm (double opt-in): the grants of one earlier post come into force, with
//! evidence of their own (GDPR Art. 7(1)).
//!
//! Whatever the person said to the contrary since the request wins: a refusal, a withdrawal, an objection. Confirming
//! again changes nothing.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use kernel::consent::{Assurance, ConsentEvent, EventKind, Evidence, MailboxProof};
use kernel::entropy::Entropy;
use kernel::id::{LedgerRef, ReceiptId};
use kernel::ledger::{LedgerEntry, LedgerEvent};
use kernel::letter::WordingDigest;
use kernel::purpose::Purpose;
use kernel::seal::Keyring;
use kernel::subject::SubjectId;
use kernel::time::Timestamp;

use super::crowd::Crowd;
use super::{Change, sealed};
use crate::Backend;
use crate::error::StoreError;
use crate::statement::{Row, sql};
use crate::unit_of_work::{Conn, Entries, Unchanged};

/// A confirmation.
pub struct ConfirmGrants {
    /// The keyed digest of the token.
    pub token: [u8; 32],
    /// The receipt it is given.
    pub receipt: ReceiptId,
    /// How it was stated; what shows that the mailbox is the person's is added here.
    pub evidence: Evidence,
    /// The keys in use.
    pub keyring: Arc<Keyring>,
    /// Where keys of new persons would be drawn from: none is.
    pub entropy: Arc<dyn Entropy>,
    /// Now.
    pub at: Timestamp,
}

impl fmt::Debug for ConfirmGrants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfirmGrants").field("receipt", &self.receipt).finish_non_exhaustive()
    }
}

/// What became of a confirmation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Confirmed {
    /// There is no such request, or its person is gone.
    Unknown,
    /// Its time is over.
    Expired,
    /// It was confirmed before: nothing was added.
    Before(SubjectId),
    /// It is confirmed now.
    Now {
        /// Whose it was.
        subject: SubjectId,
        /// What the ledger calls the person.
        ledger_ref: LedgerRef,
        /// The codes and purposes of the events that were added; none where the person had said no meanwhile.
        events: Vec<(u8, Option<Purpose>)>,
    },
}

/// What waits under a token.
struct Waiting {
    subject: SubjectId,
    receipt: ReceiptId,
    requested_at: Timestamp,
    expires_at: Timestamp,
    sent_at: Option<Timestamp>,
    confirmed_at: Option<Timestamp>,
    wording: WordingDigest,
}

impl sealed::Sealed for ConfirmGrants {}

impl Change for ConfirmGrants {
    type Output = Confirmed;
    const NAME: &'static str = "confirm_grants";

    async fn apply(&self, conn: &Conn<'_>) -> Result<Confirmed, StoreError> {
        // The person before the token, as everywhere: so it is looked at once before, and again under the locks.
        let Some(seen) = self.find(conn, false).await? else { return Ok(Confirmed::Unknown) };
        let mut crowd = Crowd::of_strangers((&self.keyring, &*self.entropy), self.at);
        crowd.lock(conn, &BTreeSet::new(), &BTreeSet::from([seen.subject])).await?;
        let Some(waiting) = self.find(conn, true).await? else { return Ok(Confirmed::Unknown) };
        let subject = waiting.subject;
        if !crowd.has(subject) {
            return Ok(Confirmed::Unknown);
        }
        if waiting.confirmed_at.is_some() {
            return Ok(Confirmed::Before(subject));
        }
        if self.at >= waiting.expires_at {
            return Ok(Confirmed::Expired);
        }
        let grants = self.grants(conn, &crowd, &waiting).await?;
        let evidence = Evidence { mailbox: Some(waiting.proof()), ..self.evidence.clone() };
        let events = crowd.fold(subject, self.receipt, &grants, Some(&evidence))?;
        let (ledger_ref, _) = crowd.reference(subject)?;
        crowd.write(conn).await?;
        sql("UPDATE confirmation SET confirmed_at = $1 WHERE token = $2")
            .with(self.at.as_millis())
            .with_bytes(&self.token)
            .execute(conn.raw())
            .await?;
        Ok(Confirmed::Now { subject, ledger_ref, events })
    }

    fn entries(&self, output: &Confirmed) -> Entries {
        match output {
            Confirmed::Now { ledger_ref, events, .. } if !events.is_empty() => {
                let event = LedgerEvent::ConsentCaptured {
                    subject: *ledger_ref,
                    receipt: self.receipt,
                    events: events.clone(),
                    source: None,
                    attributes: None,
                    notice: None,
                };
                Entries::one(LedgerEntry { at: self.at, event })
            }
            Confirmed::Before(_) => Entries::unchanged(Unchanged::AlreadyDone),
            Confirmed::Unknown => Entries::unchanged(Unchanged::NoSuchSubject),
            Confirmed::Expired | Confirmed::Now { .. } => Entries::unchanged(Unchanged::TurnedAway),
        }
    }
}

impl Waiting {
    fn read(row: &Row) -> Result<Self, StoreError> {
        let time = |at: usize| Ok::<_, StoreError>(row.get::<Option<i64>>(at)?.map(Timestamp::from_millis));
        Ok(Self {
            subject: SubjectId::from_bytes(row.bytes(0)?),
            receipt: ReceiptId::from_bytes(row.bytes(1)?),
            requested_at: Timestamp::from_millis(row.get(2)?),
            expires_at: Timestamp::from_millis(row.get(3)?),
            sent_at: time(4)?,
            confirmed_at: time(5)?,
            wording: WordingDigest::from_bytes(row.bytes(6)?),
        })
    }

    const fn proof(&self) -> MailboxProof {
        MailboxProof {
            request: self.receipt,
            requested_at: self.requested_at,
            sent_at: self.sent_at,
            wording: self.wording,
        }
    }
}

impl ConfirmGrants {
    async fn find(&self, conn: &Conn<'_>, lock: bool) -> Result<Option<Waiting>, StoreError> {
        let statement = match conn.backend() {
            Backend::Postgres if lock => {
                sql("SELECT subject_id, receipt, requested_at, expires_at, sent_at, confirmed_at, wording \
                     FROM confirmation WHERE token = $1 AND letter IS NOT NULL FOR UPDATE")
            }
            Backend::Postgres | Backend::Sqlite => {
                sql("SELECT subject_id, receipt, requested_at, expires_at, sent_at, confirmed_at, wording \
                     FROM confirmation WHERE token = $1 AND letter IS NOT NULL")
            }
        };
        let row = statement.with_bytes(&self.token).row(conn.raw()).await?;
        row.as_ref().map(Waiting::read).transpose()
    }

    /// The grants that were requested and that nothing was said against since.
    async fn grants(
        &self,
        conn: &Conn<'_>,
        crowd: &Crowd<'_>,
        waiting: &Waiting,
    ) -> Result<Vec<ConsentEvent>, StoreError> {
        let rows = sql("SELECT sequence, sealed FROM consent_event \
             WHERE subject_id = $1 AND receipt = $2 ORDER BY sequence")
        .with_bytes(waiting.subject.as_bytes())
        .with_bytes(waiting.receipt.as_bytes())
        .rows(conn.raw())
        .await?;
        let gone = StoreError::defect("a batch lost a person");
        let (key, standing) = (crowd.key(waiting.subject)?, crowd.standing(waiting.subject).ok_or(gone)?);
        let mut requests = Vec::new();
        for row in &rows {
            let first = row.get::<i32>(0)?.try_into().map_err(|_| StoreError::Tampered)?;
            let (events, _) = key.open_act(first, &row.get::<Vec<u8>>(1)?).map_err(|_| StoreError::Tampered)?;
            requests.extend(events.into_iter().filter(|event| event.kind == EventKind::GrantRequested));
        }
        let mut grants = Vec::with_capacity(requests.len());
        for request in requests {
            let Some(purpose) = request.purpose else { continue };
            // At equal times the protective side wins (STA-12).
            let denied = standing.denied_at(&purpose).max(standing.objected_at());
            if denied.is_some_and(|denied| denied >= request.received_at) {
                continue;
            }
            let mut grant = ConsentEvent::new(EventKind::GrantConfirmed, Some(purpose), self.at, self.at);
            grant.grant = request.grant.map(|mut grant| {
                grant.assurance = grant.assurance.max(Assurance::ConfirmedMailbox);
                grant
            });
            grant.source = request.source;
            grants.push(grant);
        }
        Ok(grants)
    }
}
