//! Restricts the processing of a person, or lifts the restriction (GDPR Art. 18): an event beside the consents, which
//! stay as they are.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use kernel::consent::{ConsentEvent, EventKind};
use kernel::entropy::Entropy;
use kernel::id::{LedgerRef, ReceiptId};
use kernel::ledger::{LedgerEntry, LedgerEvent};
use kernel::purpose::Purpose;
use kernel::recipient::RecipientId;
use kernel::seal::Keyring;
use kernel::subject::SubjectId;
use kernel::time::Timestamp;

use super::crowd::Crowd;
use super::{Change, sealed};
use crate::error::StoreError;
use crate::unit_of_work::{Conn, Entries};

/// A restriction, or its end.
pub struct RestrictSubject {
    /// Whose.
    pub subject: SubjectId,
    /// Whether it is the end.
    pub lifted: bool,
    /// Who received what of the person for which purpose, and is to be told (GDPR Art. 19).
    pub told: Vec<(Purpose, RecipientId)>,
    /// The receipt of the event.
    pub receipt: ReceiptId,
    /// The keys in use.
    pub keyring: Arc<Keyring>,
    /// Never drawn from: nobody is new here.
    pub entropy: Arc<dyn Entropy>,
    /// Now.
    pub at: Timestamp,
}

impl fmt::Debug for RestrictSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RestrictSubject").field("receipt", &self.receipt).finish_non_exhaustive()
    }
}

/// What a restriction did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restriction {
    /// What the ledger calls the person.
    pub ledger_ref: LedgerRef,
    events: Vec<(u8, Option<Purpose>)>,
}

impl sealed::Sealed for RestrictSubject {}

impl Change for RestrictSubject {
    type Output = Restriction;
    const NAME: &'static str = "restrict_subject";

    async fn apply(&self, conn: &Conn<'_>) -> Result<Restriction, StoreError> {
        let mut crowd = Crowd::of_strangers((&self.keyring, &*self.entropy), self.at);
        crowd.lock(conn, &BTreeSet::new(), &BTreeSet::from([self.subject])).await?;
        if !crowd.has(self.subject) {
            // Erased between being found and being locked: the request must not say that somebody was restricted.
            return Err(StoreError::Busy);
        }
        let kind = if self.lifted { EventKind::RestrictionLifted } else { EventKind::Restricted };
        let event = ConsentEvent::new(kind, None, self.at, self.at);
        let events = crowd.fold(self.subject, self.receipt, &[event], None)?;
        crowd.tell_recipients(self.subject, self.receipt, &self.told);
        let (ledger_ref, _) = crowd.reference(self.subject)?;
        crowd.write(conn).await?;
        Ok(Restriction { ledger_ref, events })
    }

    fn entries(&self, output: &Restriction) -> Entries {
        let event = LedgerEvent::ConsentCaptured {
            subject: output.ledger_ref,
            receipt: self.receipt,
            events: output.events.clone(),
            source: None,
            attributes: None,
            notice: None,
        };
        Entries::one(LedgerEntry { at: self.at, event })
    }
}
