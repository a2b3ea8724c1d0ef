//! Unsubscribing by the link of a mail (RFC 8058): one act, no login, no question asked, at once.
//!
//! The link of a list withdraws the consent behind it; stopping all marketing is an objection. They are two things, and
//! the page offers both (GDPR Art. 7(3) and 21(2)).

use std::sync::Arc;

use kernel::authz::{Authorized, CaptureConsent};
use kernel::capability::Stop;
use kernel::consent::{ConsentEvent, EventKind};
use kernel::id::ReceiptId;
use kernel::source::SourceId;
use store::change::{CaptureSubject, TakeBack, TakenBack};

use crate::error::{AppError, Code};
use crate::figures::count;
use crate::gateway::Gateway;

/// What a link stops, for the page that asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsubscribeLink {
    /// What the person reads of the list; `None`: the link stops all marketing.
    pub list: Option<String>,
}

/// What a person does with an unsubscribe link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsubscribing {
    /// What the link says.
    AsTheLinkSays,
    /// All direct marketing, whatever the link says.
    FromAllMarketing,
}

impl Gateway {
    /// What an unsubscribe link stops. Nothing is looked up: the link itself says it, so a scanner that follows it
    /// learns nothing of anybody.
    ///
    /// # Errors
    /// [`AppError::NotFound`] for every token that was not made here.
    pub fn unsubscribe_link(
        &self,
        _by: &Authorized<CaptureConsent>,
        token: &str,
        locale: &str,
    ) -> Result<UnsubscribeLink, AppError> {
        let (_, stop) = self.inner.keyring.open_unsubscribe_token(token).map_err(|_| no_such_link())?;
        let list = match stop {
            Stop::List(purpose) => Some(
                self.policy()
                    .purpose(&purpose)
                    .map_or_else(|| purpose.to_string(), |rule| rule.title.in_locale(locale).to_owned()),
            ),
            Stop::Marketing => None,
        };
        Ok(UnsubscribeLink { list })
    }

    /// Unsubscribes. Doing it again, or after an erasure, changes nothing and is answered alike.
    ///
    /// # Errors
    /// [`AppError::NotFound`] for every token that was not made here; when the store does not answer.
    pub async fn unsubscribe(
        &self,
        _by: &Authorized<CaptureConsent>,
        token: &str,
        what: Unsubscribing,
    ) -> Result<(), AppError> {
        let (subject, stop) = self.inner.keyring.open_unsubscribe_token(token).map_err(|_| no_such_link())?;
        let said = match (what, stop) {
            (Unsubscribing::AsTheLinkSays, Stop::List(purpose)) => (EventKind::Withdrawn, Some(purpose)),
            (Unsubscribing::AsTheLinkSays, Stop::Marketing) | (Unsubscribing::FromAllMarketing, _) => {
                (EventKind::Objected, None)
            }
        };
        let source = "unsubscribe-link".parse().map_err(AppError::internal)?;
        self.take_back(CaptureSubject::Known(subject), &[said], &source).await.map(drop)
    }

    /// Records what a person takes back, now, unless it is so already.
    pub(crate) async fn take_back(
        &self,
        who: CaptureSubject,
        said: &[(EventKind, Option<kernel::purpose::Purpose>)],
        source: &SourceId,
    ) -> Result<TakenBack, AppError> {
        let at = self.now();
        let statements = said.iter().map(|(kind, purpose)| {
            let event = ConsentEvent::new(*kind, purpose.clone(), at, at);
            ConsentEvent { source: Some(source.clone()), ..event }
        });
        let change = TakeBack {
            who,
            statements: statements.collect(),
            receipt: ReceiptId::generate(&*self.inner.entropy),
            policy: self.policy(),
            keyring: Arc::clone(&self.inner.keyring),
            entropy: Arc::clone(&self.inner.entropy),
            at,
        };
        let (taken, _committed) = self.inner.store.perform(&change).await?;
        if matches!(taken, TakenBack::Recorded { .. }) {
            count(&self.inner.counters.taken_back);
        }
        Ok(taken)
    }
}

pub(crate) const fn no_such_link() -> AppError {
    AppError::NotFound(Code::NotFound)
}
