//! What browsers and consent platforms signal: read by the policy, recorded for the device, the profile and the person
//! it is tied to, and answered without telling whether any of them is known (11 CCR §7025).
//!
//! No proof of identity, no question, no account: a signal is honoured as it comes (§7025(c)(2), §7060(b)).

use std::sync::Arc;

use kernel::authz::{Authorized, CaptureConsent};
use kernel::consent::{Arrival, Standing};
use kernel::id::{ReceiptId, hex};
use kernel::identifier::{Identifier, IdentifierKind};
use kernel::policy::ValidPolicy;
use kernel::regime::Regime;
use kernel::signal::{ReadSignal, ReceivedSignal, SignalScope};
use kernel::subject::SubjectId;
use kernel::time::Timestamp;
use store::change::{CaptureSubject, RecordSignal, SignalParty, Signalled, SignalledParty};

use crate::consent::{CLOCK_SKEW_MS, Who, identified, identifiers};
use crate::error::{AppError, Code, Fault};
use crate::figures::count;
use crate::gateway::Gateway;

/// The source that events of signals are recorded under.
const SOURCE: &str = "signal";
/// To whom status tokens are made out: other sealed tokens do not open as one.
const STATUS: &str = "signal status";

/// What was sent. Personal data: shown by no `Debug`.
#[derive(Clone, Default)]
pub struct SignalPost {
    /// The person, where the site knows whom it is showing itself to.
    pub who: Option<Who>,
    /// The key that the site gave the browser or device.
    pub device: Option<String>,
    /// The key of a pseudonymous profile.
    pub profile: Option<String>,
    /// Whether a Global Privacy Control signal came, by header or from the page.
    pub gpc: bool,
    /// The strings.
    pub received: ReceivedSignal,
    /// The region, ISO 3166: by which law the signal is read. It declares nothing of the person.
    pub region: Option<String>,
    /// When it was sent.
    pub captured_at: Option<Timestamp>,
}

impl std::fmt::Debug for SignalPost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignalPost").field("gpc", &self.gpc).finish_non_exhaustive()
    }
}

/// How an opt-out stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OptOutStatus {
    /// Since when every sale and sharing is opted out of; `None`: not.
    pub since: Option<Timestamp>,
}

/// What the sender gets back. It may hold a key and a token: not shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct SignalAnswer {
    /// When it was processed.
    pub processed_at: Timestamp,
    /// Whether a Global Privacy Control signal was processed (11 CCR §7025(c)(6)).
    pub gpc_processed: bool,
    /// What it was tied to.
    pub scopes: Vec<SignalScope>,
    /// The key of a device that the gateway made because there was none: to be sent with the next signals.
    pub device: Option<String>,
    /// How the device or profile stands now.
    pub status: Option<OptOutStatus>,
    /// With which that can be asked again.
    pub status_token: Option<String>,
}

impl std::fmt::Debug for SignalAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignalAnswer").field("gpc_processed", &self.gpc_processed).finish_non_exhaustive()
    }
}

/// A post that passed.
struct Planned {
    parties: Vec<SignalParty>,
    signal: ReadSignal,
    regime: Option<Regime>,
    arrival: Arrival,
    device: Option<String>,
    /// Whether the person showed the link of a mail of theirs.
    proven: bool,
}

impl Gateway {
    /// Records a signal.
    ///
    /// # Errors
    /// [`AppError::Invalid`] with every fault of the post, [`AppError::Conflict`] when the identifiers belong to two
    /// persons. Nothing is stored then.
    pub async fn receive_signal(
        &self,
        _by: &Authorized<CaptureConsent>,
        post: SignalPost,
    ) -> Result<SignalAnswer, AppError> {
        let policy = self.policy();
        let planned = self.plan_signal(post)?;
        let (processed_at, gpc_processed) = (planned.arrival.received_at, planned.signal.is_gpc());
        let mut answer = SignalAnswer {
            processed_at,
            gpc_processed,
            scopes: planned.parties.iter().map(|party| party.scope).collect(),
            device: planned.device,
            status: None,
            status_token: None,
        };
        if planned.parties.is_empty() {
            return Ok(answer);
        }
        let change = RecordSignal {
            parties: planned.parties,
            signal: planned.signal,
            arrival: planned.arrival,
            regime: planned.regime,
            policy: Arc::clone(&policy),
            keyring: Arc::clone(&self.inner.keyring),
            entropy: Arc::clone(&self.inner.entropy),
        };
        let (signalled, _committed) = self.inner.store.perform(&change).await?;
        let Signalled::Recorded(parties) = signalled else {
            return Err(AppError::Conflict(Code::IdentifierConflict));
        };
        count(&self.inner.counters.signals);
        // Whoever holds the key of a device or profile may know how it stands, and a person who shows the link of a
        // mail of theirs. What is known of a person is told to nobody who merely names them.
        let keyed = parties.iter().find(|party| (party.scope == SignalScope::Consumer) == planned.proven);
        if let Some(SignalledParty { standing, .. }) = keyed {
            answer.status = Some(OptOutStatus { since: opted_out_since(standing, &policy) });
            answer.status_token = Some(self.status_token(standing.subject(), None)?);
        }
        Ok(answer)
    }

    /// How the opt-out stands that a status token is about.
    ///
    /// # Errors
    /// When the token was not made here, or what it is about was erased.
    pub async fn opt_out_status(
        &self,
        _by: &Authorized<CaptureConsent>,
        token: &str,
    ) -> Result<OptOutStatus, AppError> {
        let invalid = || AppError::invalid(Fault::at("/status_token", Code::InvalidToken));
        let state = self.inner.keyring.open_cursor(STATUS, token).map_err(|_| invalid())?;
        let (subject, asked_at) = state.split_first_chunk::<16>().ok_or_else(invalid)?;
        let subject = SubjectId::from_bytes(*subject);
        let asked_at = asked_at.first_chunk::<8>().map(|bytes| Timestamp::from_millis(i64::from_be_bytes(*bytes)));
        let row = self.inner.store.rows_by_ids(&[subject]).await?.pop().ok_or_else(invalid)?;
        let sealed = row.sealed();
        let key = self.inner.keyring.unwrap_key(sealed.id, sealed.wrapped_key).map_err(AppError::internal)?;
        let standing = key.open_standing(sealed.standing).map_err(AppError::internal)?;
        let since = opted_out_since(&standing, &self.policy());
        // The token of a request tells of that request: nothing of what the person said before it.
        Ok(OptOutStatus { since: since.map(|since| asked_at.map_or(since, |asked| asked.max(since))) })
    }

    /// The token that tells how the opt-out of a subject stands: since always, or since it was asked for.
    pub(crate) fn status_token(
        &self,
        subject: SubjectId,
        asked_at: Option<Timestamp>,
    ) -> Result<String, AppError> {
        let mut state = subject.as_bytes().to_vec();
        state.extend(asked_at.iter().flat_map(|at| at.as_millis().to_be_bytes()));
        self.inner.keyring.seal_cursor(STATUS, &state).map_err(AppError::internal)
    }

    fn plan_signal(&self, mut post: SignalPost) -> Result<Planned, AppError> {
        let now = self.now();
        let mut faults = Vec::new();
        let signal = ReadSignal::read(post.gpc, std::mem::take(&mut post.received))
            .map_err(|(part, error)| {
                let pointer = format!("/{}", part.as_str());
                faults.push(Fault::saying(pointer, Code::SignalMalformed, error.to_string()));
            })
            .ok();
        let captured_at = post.captured_at.unwrap_or(now);
        if captured_at > now.plus_ms(CLOCK_SKEW_MS) {
            faults.push(Fault::at("/captured_at", Code::CapturedInFuture));
        }
        let regime = post.region.as_deref().and_then(|region| {
            Regime::of_region(region).map_err(|_| faults.push(Fault::at("/region", Code::InvalidRegion))).ok()
        });
        let made = self.device_to_make(&post, signal.as_ref());
        let keys = [
            (SignalScope::Device, IdentifierKind::Device, post.device.as_ref().or(made.as_ref())),
            (SignalScope::Profile, IdentifierKind::Profile, post.profile.as_ref()),
        ];
        let (mut parties, mut proven) = (Vec::new(), false);
        for (scope, kind, key) in keys {
            let Some(key) = key else { continue };
            match Identifier::parse(kind, key) {
                Ok(key) => {
                    parties.push(self.party(scope, CaptureSubject::Identified(identified(self, &[key]))));
                }
                Err(error) => {
                    let pointer = format!("/{}", kind.as_str());
                    faults.push(Fault::saying(pointer, Code::InvalidIdentifier, error.to_string()));
                }
            }
        }
        match post.who {
            Some(Who::Identified { email, customer_id }) => {
                let named = identifiers(email.as_deref(), customer_id.as_deref(), "/subject", &mut faults);
                parties.extend(named.map(|named| {
                    self.party(SignalScope::Consumer, CaptureSubject::Identified(identified(self, &named)))
                }));
            }
            Some(Who::Token(token)) => match self.bearer(&token) {
                Some((subject, is_theirs)) => {
                    proven = is_theirs;
                    parties.push(self.party(SignalScope::Consumer, CaptureSubject::Known(subject)));
                }
                None => faults.push(Fault::at("/token", Code::InvalidToken)),
            },
            None => {}
        }
        let (Some(signal), true) = (signal, faults.is_empty()) else { return Err(AppError::Invalid(faults)) };
        let source = SOURCE.parse().map_err(AppError::internal)?;
        let arrival = Arrival { captured_at: captured_at.min(now), received_at: now, source };
        Ok(Planned { parties, signal, regime, arrival, device: made, proven })
    }

    /// Whom a token names, and whether it was mailed to them: that of a receipt is given to whoever posted.
    fn bearer(&self, token: &str) -> Option<(SubjectId, bool)> {
        let keyring = &self.inner.keyring;
        let mailed = keyring.open_preference_token(token, self.now()).map(|subject| (subject, true));
        mailed.or_else(|_| keyring.open_withdrawal_token(token).map(|subject| (subject, false))).ok()
    }

    /// The key of a new device, where a signal came that is tied to nothing yet (11 CCR §7025(c)(2)).
    fn device_to_make(&self, post: &SignalPost, signal: Option<&ReadSignal>) -> Option<String> {
        let is_tied = post.device.is_some() || post.profile.is_some() || post.who.is_some();
        (!is_tied && signal.is_some_and(|signal| !signal.is_empty())).then(|| hex(&self.inner.entropy.bytes_16()))
    }

    fn party(&self, scope: SignalScope, who: CaptureSubject) -> SignalParty {
        SignalParty { scope, who, receipt: ReceiptId::generate(&*self.inner.entropy) }
    }
}

/// Since when every sale and sharing is opted out of.
pub(crate) fn opted_out_since(standing: &Standing, policy: &ValidPolicy) -> Option<Timestamp> {
    let sold = policy.purposes().filter(|rule| rule.sale_or_share);
    let each: Option<Vec<Timestamp>> = sold.map(|rule| standing.opted_out_of(&rule.id)).collect();
    match each?.into_iter().max() {
        Some(since) => Some(since),
        // Where nothing is sold, the opt-out of it holds all the same.
        None => standing.opted_out_of_sale(),
    }
}
