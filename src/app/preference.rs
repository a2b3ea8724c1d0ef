//! The preference page: what a person with the link of a mail sees and may do.
//!
//! The link is in a mail, so others hold it too: who forwards it, and the sender who put it there. It therefore shows
//! no attribute and only takes back; a new yes needs a form, with its notice and its proof.

use kernel::authz::{Authorized, CaptureConsent, ReadPreferences};
use kernel::consent::{EventKind, Standing};
use kernel::decision::{Ask, Decision, Refusal, decide};
use kernel::policy::{Mode, PurposeRule, ValidPolicy};
use kernel::purpose::Purpose;
use kernel::subject::SubjectId;
use kernel::time::Timestamp;
use kernel::title::Title;
use store::change::CaptureSubject;

use crate::error::{AppError, Code, Fault};
use crate::gateway::Gateway;
use crate::profile::asked_attributes;
use crate::signal::opted_out_since;
use crate::unsubscribe::no_such_link;

/// How a person's choices stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preferences {
    /// The language of the notice that the person last agreed to (BCP 47).
    pub locale: Option<String>,
    /// Every purpose of the policy.
    pub purposes: Vec<Preference>,
    /// Since when the person objects to direct marketing.
    pub objected_at: Option<Timestamp>,
    /// Since when sale and sharing are opted out of.
    pub opted_out_at: Option<Timestamp>,
    /// When a Global Privacy Control signal was first processed (11 CCR §7025(c)(6)).
    pub signal_at: Option<Timestamp>,
    /// Since when the use of sensitive information is limited.
    pub limited_at: Option<Timestamp>,
}

/// One purpose, as the decision sees it now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preference {
    /// Its key.
    pub purpose: Purpose,
    /// What a person reads.
    pub title: Title,
    /// How it stands.
    pub state: PreferenceState,
    /// Since when it was given, or taken back or refused, if the person ever said so.
    pub since: Option<Timestamp>,
}

/// How a purpose stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PreferenceState {
    /// Data is used for it.
    On,
    /// Data is used for it whatever the person chooses here, for example to carry out a contract.
    Necessary,
    /// Data is not used for it, for this reason.
    Off(Refusal),
}

/// What a person may do on the page. Nothing here gives anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PreferenceAct {
    /// Take one consent back, by the name of its purpose.
    Withdraw(String),
    /// Take every consent back.
    WithdrawAll,
    /// Object to direct marketing (GDPR Art. 21(2)).
    ObjectDirectMarketing,
    /// Opt out of sale and sharing (CCPA 1798.120).
    OptOutSaleShare,
    /// Limit the use of sensitive information (CCPA 1798.121).
    LimitSensitive,
}

impl Gateway {
    /// How the choices of a link's person stand; `None` when nobody is held under it any more.
    ///
    /// # Errors
    /// [`AppError::NotFound`] for a token that was not made here or is too old; when the store does not answer.
    pub async fn preferences(
        &self,
        _by: &Authorized<ReadPreferences>,
        token: &str,
    ) -> Result<Option<Preferences>, AppError> {
        self.preferences_of(self.preference_link(token)?).await
    }

    async fn preferences_of(&self, subject: SubjectId) -> Result<Option<Preferences>, AppError> {
        let Some(row) = self.inner.store.rows_by_ids(&[subject]).await?.pop() else { return Ok(None) };
        let sealed = row.sealed();
        let key = self.inner.keyring.unwrap_key(sealed.id, sealed.wrapped_key).map_err(AppError::internal)?;
        let standing = key.open_standing(sealed.standing).map_err(AppError::internal)?;
        let (policy, now) = (self.policy(), self.now());
        let purposes = policy.purposes().map(|rule| preference(&policy, &standing, rule, now)).collect();
        Ok(Some(Preferences {
            locale: locale(&policy, &standing),
            purposes,
            objected_at: standing.objected_at(),
            opted_out_at: opted_out_since(&standing, &policy),
            signal_at: standing.gpc_at(),
            limited_at: standing.limited_at(),
        }))
    }

    /// Does what a person asks on the page; doing it again changes nothing.
    ///
    /// # Errors
    /// As [`Self::preferences`]; [`AppError::Invalid`] for a purpose that does not exist.
    pub async fn change_preferences(
        &self,
        _by: &Authorized<CaptureConsent>,
        token: &str,
        act: &PreferenceAct,
    ) -> Result<(), AppError> {
        let subject = self.preference_link(token)?;
        let said = match act {
            PreferenceAct::Withdraw(name) => {
                let known = name.parse().ok().filter(|purpose| self.policy().purpose(purpose).is_some());
                let unknown = || AppError::invalid(Fault::at("/withdraw", Code::UnknownPurpose));
                (EventKind::Withdrawn, Some(known.ok_or_else(unknown)?))
            }
            PreferenceAct::WithdrawAll => (EventKind::Withdrawn, None),
            PreferenceAct::ObjectDirectMarketing => (EventKind::Objected, None),
            PreferenceAct::OptOutSaleShare => (EventKind::OptOutSaleShare, None),
            PreferenceAct::LimitSensitive => (EventKind::LimitSpi, None),
        };
        let source = "preference-page".parse().map_err(AppError::internal)?;
        self.take_back(CaptureSubject::Known(subject), &[said], &source).await.map(drop)
    }

    fn preference_link(&self, token: &str) -> Result<SubjectId, AppError> {
        self.inner.keyring.open_preference_token(token, self.now()).map_err(|_| no_such_link())
    }
}

/// A purpose as the recipients that are bound to it find it.
fn preference(policy: &ValidPolicy, standing: &Standing, rule: &PurposeRule, now: Timestamp) -> Preference {
    let given = standing.effective(&rule.id).map(|grant| grant.captured_at);
    let is_necessary =
        !rule.direct_marketing && standing.regimes().iter().all(|regime| rule.mode(*regime) == Mode::Allowed);
    let state = match decided(policy, standing, rule, now) {
        None if is_necessary => PreferenceState::Necessary,
        None => PreferenceState::On,
        Some(refusal) => PreferenceState::Off(refusal),
    };
    let since = match state {
        PreferenceState::Off(_) => standing.denied_at(&rule.id),
        PreferenceState::On | PreferenceState::Necessary => given,
    };
    Preference { purpose: rule.id.clone(), title: rule.title.clone(), state, since }
}

/// Why nobody may use data for the purpose now; `None`: somebody may.
fn decided(policy: &ValidPolicy, standing: &Standing, rule: &PurposeRule, now: Timestamp) -> Option<Refusal> {
    let mut first = None;
    for recipient in policy.recipients().filter(|recipient| recipient.purposes.contains(&rule.id)) {
        let Ok(attributes) = asked_attributes(policy, recipient, Vec::new(), &rule.id) else { continue };
        let ask = Ask::new(policy, recipient.id.clone(), rule.id.clone(), attributes);
        match decide(policy, standing, &ask, now) {
            Decision::Permit(_) => return None,
            Decision::Refuse(refusal) => first = first.or(Some(refusal)),
        }
    }
    first.or(Some(Refusal::Recipient))
}

fn locale(policy: &ValidPolicy, standing: &Standing) -> Option<String> {
    let grants = standing.purposes().filter_map(|(_, known)| known.confirmed.as_ref());
    let latest = grants.max_by_key(|grant| grant.captured_at)?;
    policy.notice(&latest.grant.notice?).map(|notice| notice.locale.clone())
}
