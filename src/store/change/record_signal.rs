//! Records what a browser or consent platform signals, for the device, the profile and the person it is tied to, and
//! carries what one of them denies over to the others, all in one unit (11 CCR §7025(c)(1)).
//!
//! What a device denies reaches the profile and the person seen with it; what a person denies reaches the profile, which
//! is theirs, but not the device, which others use too.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use kernel::consent::{Arrival, ConsentEvent, Standing};
use kernel::entropy::Entropy;
use kernel::id::{LedgerRef, ReceiptId};
use kernel::ledger::{LedgerEntry, LedgerEvent};
use kernel::policy::ValidPolicy;
use kernel::purpose::Purpose;
use kernel::regime::Regime;
use kernel::seal::Keyring;
use kernel::signal::{ReadSignal, SignalScope};
use kernel::subject::SubjectId;

use super::crowd::Crowd;
use super::{CaptureSubject, Change, sealed};
use crate::error::StoreError;
use crate::unit_of_work::{Conn, Entries, Unchanged};

/// A signal and those it is tied to.
pub struct RecordSignal {
    /// The device, the profile and the person, in this order, as far as they are known: each once.
    pub parties: Vec<SignalParty>,
    /// The signal. An empty one only says who belongs together.
    pub signal: ReadSignal,
    /// When and through what it came.
    pub arrival: Arrival,
    /// The regime by which it is read; those of each party where none was declared. It declares nothing.
    pub regime: Option<Regime>,
    /// The policy that says what it means.
    pub policy: Arc<ValidPolicy>,
    /// The keys in use.
    pub keyring: Arc<Keyring>,
    /// Where the keys of new ones are drawn from.
    pub entropy: Arc<dyn Entropy>,
}

impl fmt::Debug for RecordSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordSignal").field("parties", &self.parties.len()).finish_non_exhaustive()
    }
}

/// One that a signal is tied to.
#[derive(Debug, Clone)]
pub struct SignalParty {
    /// As what.
    pub scope: SignalScope,
    /// Who.
    pub who: CaptureSubject,
    /// The receipt of its events. Each party has its own, so that the ledger does not tell who belongs together.
    pub receipt: ReceiptId,
}

/// What became of a signal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signalled {
    /// It was recorded for these, as far as it said anything new.
    Recorded(Vec<SignalledParty>),
    /// The person's identifiers belong to two persons. Nothing was stored.
    Ambiguous,
}

/// One for whom a signal was recorded, and how they stand now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignalledParty {
    /// As what.
    pub scope: SignalScope,
    /// What the ledger calls them.
    pub ledger_ref: LedgerRef,
    /// The receipt of the events.
    pub receipt: ReceiptId,
    /// The codes and purposes of the events that were added.
    pub events: Vec<(u8, Option<Purpose>)>,
    /// How they stand now.
    pub standing: Standing,
}

impl sealed::Sealed for RecordSignal {}

impl Change for RecordSignal {
    type Output = Signalled;
    const NAME: &'static str = "record_signal";

    async fn apply(&self, conn: &Conn<'_>) -> Result<Self::Output, StoreError> {
        let identified = self.parties.iter().filter_map(|party| match &party.who {
            CaptureSubject::Identified(who) => Some(who),
            CaptureSubject::Known(_) => None,
        });
        let at = self.arrival.received_at;
        let mut crowd = Crowd::find(conn, (&self.keyring, &*self.entropy), at, identified).await?;
        let Some(parties) = self.resolve(&mut crowd) else { return Ok(Signalled::Ambiguous) };
        let (mut identified, mut named) = (BTreeSet::new(), BTreeSet::new());
        for (party, subject) in &parties {
            match party.who {
                CaptureSubject::Identified(_) => identified.insert(*subject),
                CaptureSubject::Known(_) => named.insert(*subject),
            };
        }
        crowd.lock(conn, &identified, &named).await?;
        let mut recorded = Vec::with_capacity(parties.len());
        for (party, subject) in &parties {
            let Some(standing) = crowd.standing(*subject) else { continue };
            let mut after = standing.clone();
            let mut events = Vec::new();
            let mut add = |after: &mut Standing, more: Vec<ConsentEvent>| {
                more.iter().for_each(|event| after.apply(event));
                events.extend(more);
            };
            let own = self.means(&after, &self.signal, party.scope);
            add(&mut after, own);
            let knew_gpc = after.gpc_at().is_some();
            // What the signal itself says is not carried besides.
            for (other, from) in &parties {
                if let Some(from) = crowd.standing(*from).filter(|_| passes(other.scope, party.scope)) {
                    let carried = after.carried_from(from, party.scope, &self.arrival);
                    add(&mut after, carried);
                }
            }
            if after.gpc_at().is_some() && !knew_gpc {
                let meant = self.means(&after, &ReadSignal::gpc(), party.scope);
                add(&mut after, meant);
            }
            let events = crowd.fold(*subject, party.receipt, &events, None)?;
            let (ledger_ref, _) = crowd.reference(*subject)?;
            recorded.push((party, *subject, ledger_ref, events));
        }
        let recorded = recorded
            .into_iter()
            .filter_map(|(party, subject, ledger_ref, events)| {
                let standing = crowd.standing(subject)?.clone();
                Some(SignalledParty { scope: party.scope, ledger_ref, receipt: party.receipt, events, standing })
            })
            .collect();
        crowd.write(conn).await?;
        Ok(Signalled::Recorded(recorded))
    }

    fn entries(&self, output: &Self::Output) -> Entries {
        let Signalled::Recorded(parties) = output else { return Entries::unchanged(Unchanged::TurnedAway) };
        let events = parties.iter().filter(|party| !party.events.is_empty()).map(|party| {
            let event = LedgerEvent::ConsentCaptured {
                subject: party.ledger_ref,
                receipt: party.receipt,
                events: party.events.clone(),
                source: None,
                attributes: None,
                notice: None,
            };
            LedgerEntry { at: self.arrival.received_at, event }
        });
        Entries::each(events, Unchanged::AlreadyDone)
    }
}

/// Whether what one denies reaches the other.
const fn passes(from: SignalScope, to: SignalScope) -> bool {
    matches!(
        (from, to),
        (SignalScope::Device, SignalScope::Profile | SignalScope::Consumer)
            | (SignalScope::Profile, SignalScope::Consumer)
            | (SignalScope::Consumer, SignalScope::Profile)
    )
}

impl RecordSignal {
    /// Which subjects the parties are; `None`: one of them is two. Of nobody who is unknown anything is made where
    /// there is nothing to record of them.
    fn resolve(&self, crowd: &mut Crowd<'_>) -> Option<Vec<(&SignalParty, SubjectId)>> {
        let known = |crowd: &Crowd<'_>, party: &SignalParty| match &party.who {
            CaptureSubject::Known(_) => true,
            CaptureSubject::Identified(who) => crowd.knows(who),
        };
        let somebody_passes_on =
            |crowd: &Crowd<'_>, to| self.parties.iter().any(|from| passes(from.scope, to) && known(crowd, from));
        let wanted: Vec<&SignalParty> = self
            .parties
            .iter()
            .filter(|party| {
                !self.signal.is_empty() || known(crowd, party) || somebody_passes_on(crowd, party.scope)
            })
            .collect();
        wanted
            .into_iter()
            .map(|party| match &party.who {
                CaptureSubject::Known(subject) => Some((party, *subject)),
                CaptureSubject::Identified(who) => crowd.resolve(who).map(|subject| (party, subject)),
            })
            .collect()
    }

    fn means(&self, standing: &Standing, signal: &ReadSignal, scope: SignalScope) -> Vec<ConsentEvent> {
        standing.signalled(&self.policy, signal, (scope, self.regime.as_slice()), &self.arrival)
    }
}
