//! Double opt-in: a grant waits until the owner of the mailbox confirms it, by a mail that only the owner can read
//! (GDPR Art. 7(1), Directive 2002/58 Art. 13(1)).
//!
//! The request and the confirmation are two events with evidence of their own. Nobody learns from an answer whether an
//! address is known, written to enough, or suppressed.

mod lapse;
mod wording;

use std::net::IpAddr;

use kernel::authz::{Authorized, CaptureConsent};
use kernel::confirmation::ConfirmationToken;
use kernel::consent::{Action, ConsentEvent, EventKind, Evidence, Presentation};
use kernel::id::{LetterId, ReceiptId};
use kernel::identifier::Identifier;
use kernel::policy::{FormRule, NoticeText, ValidPolicy};
use kernel::time::Timestamp;
use store::change::{ConfirmGrants, ConfirmationRequest, Confirmed, Quota};

use crate::error::{AppError, Code};
use crate::figures::count;
use crate::gateway::Gateway;
use crate::limit::network_of;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// How confirmations are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConfirmationSettings {
    /// For how many hours a link is good.
    pub valid_hours: u32,
    /// After how many days what was never confirmed is removed; no sooner than links end.
    pub purge_days: u32,
    /// The most mails to one address in 24 hours.
    pub mails_per_address_a_day: u32,
    /// The least minutes from one mail to an address to the next.
    pub minutes_between_mails: u32,
    /// The most mails that one machine can cause in an hour; 0: unbounded.
    pub mails_per_peer_an_hour: u32,
}

impl Default for ConfirmationSettings {
    fn default() -> Self {
        Self {
            valid_hours: 7 * 24,
            purge_days: 30,
            mails_per_address_a_day: 3,
            minutes_between_mails: 5,
            mails_per_peer_an_hour: 30,
        }
    }
}

impl ConfirmationSettings {
    fn end(&self, from: Timestamp) -> Timestamp {
        from.plus_ms(i64::from(self.valid_hours) * HOUR_MS)
    }

    /// The newest request that is purged at `now`: none whose link is still good.
    fn lapsed_at(&self, now: Timestamp) -> Timestamp {
        let kept = (i64::from(self.purge_days) * DAY_MS).max(i64::from(self.valid_hours) * HOUR_MS);
        now.plus_ms(-kept)
    }
}

/// What a form asked a person to confirm.
pub(crate) struct ToConfirm<'a> {
    pub(crate) form: &'a FormRule,
    pub(crate) notice: &'a NoticeText,
    pub(crate) address: Identifier,
    pub(crate) events: &'a [ConsentEvent],
    pub(crate) peer: Option<IpAddr>,
}

/// That a confirmation was taken: the same whether it was the first, a repetition, or came after a no.
#[derive(Clone, PartialEq, Eq)]
pub struct Confirmation {
    /// With which the person takes consent back, without a login.
    pub withdrawal_token: String,
}

impl std::fmt::Debug for Confirmation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Confirmation(..)")
    }
}

impl Gateway {
    /// What is asked of the owner of a mailbox: a fresh token, and the letter that carries it.
    pub(crate) fn confirmation_request(
        &self,
        policy: &ValidPolicy,
        asked: &ToConfirm<'_>,
        now: Timestamp,
    ) -> ConfirmationRequest {
        let inner = &self.inner;
        let settings = &inner.settings.confirmation;
        let token = ConfirmationToken::generate(&*inner.entropy);
        let link = format!("{}/confirm/{}", inner.settings.issuer, token.expose());
        let locale = wording::locale_of(&asked.notice.locale);
        let purposes = asked
            .events
            .iter()
            .filter(|event| event.kind == EventKind::GrantRequested)
            .filter_map(|event| event.purpose.as_ref());
        let titles: Vec<_> = purposes
            .map(|id| {
                policy.purpose(id).map_or_else(|| id.to_string(), |rule| rule.title.in_locale(locale).to_owned())
            })
            .collect();
        let controllers: Vec<_> = policy
            .controllers()
            .filter(|(id, _)| asked.notice.controllers.contains(id))
            .map(|(_, rule)| rule)
            .collect();
        let asks = wording::Asks {
            form: asked.form.title.in_locale(locale),
            purposes: &titles,
            controllers: &controllers,
        };
        let (letter, wording) = wording::write(locale, &asks, settings, asked.address.expose(), &link);
        ConfirmationRequest {
            token: inner.keyring.confirmation_digest(&token),
            expires_at: settings.end(now),
            id: LetterId::generate(&*inner.entropy),
            letter,
            wording,
            quotas: self.mail_quotas(&asked.address, asked.peer),
        }
    }

    /// Keyed digests and short windows: neither an address nor a machine can be read from what is kept.
    fn mail_quotas(&self, address: &Identifier, peer: Option<IpAddr>) -> Vec<Quota> {
        let settings = &self.inner.settings.confirmation;
        let print = self.inner.keyring.fingerprint(address);
        let mut quotas = vec![Quota {
            key: self.request_fingerprint(&[b"mail to address v1", print.as_bytes()]),
            most: settings.mails_per_address_a_day,
            window_ms: DAY_MS,
            gap_ms: i64::from(settings.minutes_between_mails) * 60_000,
        }];
        let peer = peer.filter(|_| settings.mails_per_peer_an_hour > 0);
        quotas.extend(peer.map(|peer| Quota {
            key: self.request_fingerprint(&[b"mail by peer v1", &network_of(peer).to_be_bytes()]),
            most: settings.mails_per_peer_an_hour,
            window_ms: HOUR_MS,
            gap_ms: 0,
        }));
        quotas
    }

    /// Whether a token can be confirmed. It changes nothing: mail scanners follow every link (CAP-16).
    ///
    /// # Errors
    /// [`AppError::NotFound`] for whatever is not a token that waits, [`AppError::Gone`] when its time is over.
    pub async fn confirmation(&self, token: &str) -> Result<(), AppError> {
        let not_found = || AppError::NotFound(Code::NotFound);
        let token: ConfirmationToken = token.parse().map_err(|_| not_found())?;
        let mut found = None;
        for digest in self.inner.keyring.confirmation_digests(&token) {
            found = found.or(self.inner.store.confirmation(&digest).await?);
        }
        let found = found.ok_or_else(not_found)?;
        if found.confirmed_at.is_none() && self.now() >= found.expires_at {
            return Err(AppError::Gone(Code::ConfirmationExpired));
        }
        Ok(())
    }

    /// Confirms what was asked for under a token. Again, or after a no, it changes nothing and answers the same.
    ///
    /// # Errors
    /// As [`Self::confirmation`].
    pub async fn confirm(
        &self,
        _by: &Authorized<CaptureConsent>,
        token: &str,
        locale: &str,
    ) -> Result<Confirmation, AppError> {
        let token: ConfirmationToken = token.parse().map_err(|_| AppError::NotFound(Code::NotFound))?;
        let inner = &self.inner;
        let (receipt, at) = (ReceiptId::generate(&*inner.entropy), self.now());
        let mut confirmed = Confirmed::Unknown;
        // It lies under the version of the key of its time.
        for token in inner.keyring.confirmation_digests(&token) {
            let change = ConfirmGrants {
                token,
                receipt,
                evidence: evidence(locale),
                keyring: std::sync::Arc::clone(&inner.keyring),
                entropy: std::sync::Arc::clone(&inner.entropy),
                at,
            };
            confirmed = inner.store.perform(&change).await?.0;
            if confirmed != Confirmed::Unknown {
                break;
            }
        }
        let subject = match confirmed {
            Confirmed::Unknown => return Err(AppError::NotFound(Code::NotFound)),
            Confirmed::Expired => return Err(AppError::Gone(Code::ConfirmationExpired)),
            Confirmed::Before(subject) => subject,
            Confirmed::Now { subject, .. } => {
                count(&inner.counters.confirmations);
                subject
            }
        };
        Ok(Confirmation { withdrawal_token: inner.keyring.withdrawal_token(subject) })
    }

    /// The forms whose grants wait for a confirmation that nobody will be asked for, because nobody delivers letters.
    #[must_use]
    pub fn forms_without_mail(&self) -> Vec<String> {
        if self.delivers_mail() {
            return Vec::new();
        }
        self.policy().forms().filter(|form| form.double_opt_in).map(|form| form.id.to_string()).collect()
    }
}

/// How a confirmation is given: by pressing the button of a page that shows nothing else.
fn evidence(locale: &str) -> Evidence {
    Evidence {
        action: Action::Button,
        preselected: false,
        presentation: Presentation::Separate,
        conditional_on_service: false,
        options: Vec::new(),
        steps_accept: None,
        steps_decline: None,
        statement: None,
        locale: locale.to_owned(),
        page: Some("/confirm".to_owned()),
        mailbox: None,
    }
}
