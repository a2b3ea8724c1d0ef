//! A person takes back, objects, opts out or limits: by the link of a mail, on the preference page, through a mail
//! provider's complaint.
//!
//! What says nothing new is not written: mail programs post the same link more than once (RFC 8058), also at the same
//! time, so it is judged under the person's lock.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use kernel::attribute::AttributeName;
use kernel::consent::ConsentEvent;
use kernel::entropy::Entropy;
use kernel::id::{LedgerRef, ReceiptId};
use kernel::ledger::{LedgerEntry, LedgerEvent};
use kernel::policy::ValidPolicy;
use kernel::purpose::Purpose;
use kernel::seal::Keyring;
use kernel::time::Timestamp;

use super::aftermath::forgotten;
use super::capture_consents::CaptureSubject;
use super::crowd::Crowd;
use super::{Change, sealed};
use crate::error::StoreError;
use crate::unit_of_work::{Conn, Entries, Unchanged};

/// What a person takes back.
pub struct TakeBack {
    /// Whose; who is identified and not known is taken down, so that the no is there before the first import.
    pub who: CaptureSubject,
    /// What was stated, in order: withdrawals, objections, opt-outs and limits.
    pub statements: Vec<ConsentEvent>,
    /// The receipt it is given.
    pub receipt: ReceiptId,
    /// The policy by which attributes lose their ground and others are told of it.
    pub policy: Arc<ValidPolicy>,
    /// The keys in use.
    pub keyring: Arc<Keyring>,
    /// Where the key of a new person is drawn from.
    pub entropy: Arc<dyn Entropy>,
    /// Now.
    pub at: Timestamp,
}

impl fmt::Debug for TakeBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TakeBack").field("receipt", &self.receipt).finish_non_exhaustive()
    }
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TakenBack {
    /// It was recorded.
    Recorded {
        /// What the ledger calls the person.
        ledger_ref: LedgerRef,
        /// The codes and purposes of the events that were added.
        events: Vec<(u8, Option<Purpose>)>,
        /// The attributes that lost their ground and were forgotten.
        forgotten: Vec<AttributeName>,
    },
    /// All of it was said before.
    Unchanged,
    /// The person it named is not here.
    NoSuchSubject,
    /// Its identifiers belong to two persons.
    Ambiguous,
}

impl sealed::Sealed for TakeBack {}

impl Change for TakeBack {
    type Output = TakenBack;
    const NAME: &'static str = "take_back";

    async fn apply(&self, conn: &Conn<'_>) -> Result<Self::Output, StoreError> {
        let identified = match &self.who {
            CaptureSubject::Identified(who) => Some(who),
            CaptureSubject::Known(_) => None,
        };
        let mut crowd =
            Crowd::find(conn, (&self.keyring, &*self.entropy), self.at, identified.into_iter()).await?;
        let subject = match &self.who {
            CaptureSubject::Known(subject) => *subject,
            CaptureSubject::Identified(who) => match crowd.resolve(who) {
                Some(subject) => subject,
                None => return Ok(TakenBack::Ambiguous),
            },
        };
        let (here, nobody) = (BTreeSet::from([subject]), BTreeSet::new());
        match identified {
            Some(_) => crowd.lock(conn, &here, &nobody).await?,
            None => crowd.lock(conn, &nobody, &here).await?,
        }
        let Some(standing) = crowd.standing(subject) else { return Ok(TakenBack::NoSuchSubject) };
        let news: Vec<_> =
            self.statements.iter().filter(|statement| !standing.already_says(statement)).cloned().collect();
        if news.is_empty() {
            return Ok(TakenBack::Unchanged);
        }
        crowd.tell(subject, self.receipt, &self.policy, &news);
        let events = crowd.fold(subject, self.receipt, &news, None)?;
        let forgotten = crowd.forget(subject, &self.policy)?;
        let (ledger_ref, _) = crowd.reference(subject)?;
        crowd.write(conn).await?;
        Ok(TakenBack::Recorded { ledger_ref, events, forgotten })
    }

    fn entries(&self, output: &Self::Output) -> Entries {
        let reason = match output {
            TakenBack::Recorded { ledger_ref, events, forgotten: names } => {
                let event = LedgerEvent::ConsentCaptured {
                    subject: *ledger_ref,
                    receipt: self.receipt,
                    events: events.clone(),
                    source: None,
                    attributes: None,
                    notice: None,
                };
                let all = [event].into_iter().chain(forgotten(*ledger_ref, names));
                let entries = all.map(|event| LedgerEntry { at: self.at, event });
                return Entries::each(entries, Unchanged::AlreadyDone);
            }
            TakenBack::Unchanged => Unchanged::AlreadyDone,
            TakenBack::NoSuchSubject => Unchanged::NoSuchSubject,
            TakenBack::Ambiguous => Unchanged::TurnedAway,
        };
        Entries::unchanged(reason)
    }
}
