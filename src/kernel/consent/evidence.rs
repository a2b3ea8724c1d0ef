//! How a consent was given: the facts that prove it (GDPR Art. 7(1)), and the ones that void it.

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::id::ReceiptId;
use crate::letter::WordingDigest;
use crate::time::Timestamp;

/// What the person did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[cbor(index_only)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Ticked an empty box.
    #[n(0)]
    CheckboxTicked,
    /// Pressed a button that says what it does.
    #[n(1)]
    Button,
    /// Signed.
    #[n(2)]
    Signed,
    /// Said so on a record.
    #[n(3)]
    OralRecorded,
    /// Closed the prompt. Not consent (11 CCR §7004(a)(4)).
    #[n(4)]
    CloseBanner,
    /// Hovered. Not consent (Cal. Civ. Code 1798.140(h)).
    #[n(5)]
    Hover,
    /// Scrolled. Not consent.
    #[n(6)]
    Scroll,
    /// Muted or paused. Not consent.
    #[n(7)]
    Mute,
    /// Went on browsing. Not consent.
    #[n(8)]
    ContinueBrowsing,
    /// Accepted general terms. Not consent.
    #[n(9)]
    AcceptTerms,
    /// Left the page. Not consent (11 CCR §7004(a)(4)).
    #[n(10)]
    NavigateAway,
}

impl Action {
    /// Whether the law takes it for a clear affirmative act (GDPR Art. 4(11)).
    #[must_use]
    pub const fn is_affirmative(self) -> bool {
        matches!(self, Self::CheckboxTicked | Self::Button | Self::Signed | Self::OralRecorded)
    }
}

/// Whether the question stood by itself (GDPR Art. 7(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[cbor(index_only)]
#[serde(rename_all = "snake_case")]
pub enum Presentation {
    /// Distinguishable from other matters.
    #[n(0)]
    Separate,
    /// Hidden in terms: not binding.
    #[n(1)]
    BundledWithTerms,
}

/// The evidence of one post. Sealed at rest with the event.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct Evidence {
    /// What the person did.
    #[n(0)]
    pub action: Action,
    /// Whether the choice was set before the person acted.
    #[n(1)]
    pub preselected: bool,
    /// Whether the question stood by itself.
    #[n(2)]
    pub presentation: Presentation,
    /// Whether a service was made to depend on it (GDPR Art. 7(4)).
    #[n(3)]
    pub conditional_on_service: bool,
    /// The labels of the options offered; empty where the form declares them.
    #[n(4)]
    pub options: Vec<String>,
    /// Steps to accept.
    #[n(5)]
    pub steps_accept: Option<u8>,
    /// Steps to decline.
    #[n(6)]
    pub steps_decline: Option<u8>,
    /// The express statement of an explicit consent.
    #[n(7)]
    pub statement: Option<String>,
    /// The language shown, BCP 47.
    #[n(8)]
    pub locale: String,
    /// The page, without query and fragment.
    #[n(9)]
    pub page: Option<String>,
    /// What shows that the owner of the mailbox acted, of a confirmation.
    #[n(10)]
    pub mailbox: Option<MailboxProof>,
}

/// What a confirmation rests on: the mail that only the owner of the mailbox could read.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct MailboxProof {
    /// The receipt of the request that is confirmed, whose evidence stands by itself.
    #[n(0)]
    pub request: ReceiptId,
    /// When the request was received.
    #[n(1)]
    pub requested_at: Timestamp,
    /// When the mail was handed to the mail server; `None`: not noted before the confirmation came.
    #[n(2)]
    pub sent_at: Option<Timestamp>,
    /// What the mail said.
    #[n(3)]
    pub wording: WordingDigest,
}

impl std::fmt::Debug for Evidence {
    /// Without the free texts: labels, statement and page.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Evidence")
            .field("action", &self.action)
            .field("preselected", &self.preselected)
            .field("presentation", &self.presentation)
            .field("conditional_on_service", &self.conditional_on_service)
            .finish_non_exhaustive()
    }
}

/// Why a post is no consent at all and is turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EvidenceFault {
    /// The choice was made for the person (Planet49, C-673/17).
    Preselected,
    /// The act was not affirmative.
    NotAffirmative,
    /// There was no plain way to decline.
    NoDeclineOption,
    /// Declining took more steps than accepting.
    Asymmetric,
}

impl Evidence {
    /// Checks that a grant under this evidence is a clear, free act.
    ///
    /// # Errors
    /// The first fault found: such a post is refused whole and nothing is stored.
    pub fn check(&self) -> Result<(), EvidenceFault> {
        if self.preselected {
            return Err(EvidenceFault::Preselected);
        }
        if !self.action.is_affirmative() {
            return Err(EvidenceFault::NotAffirmative);
        }
        if !self.options.is_empty() && !self.options.iter().any(|label| declines(label)) {
            return Err(EvidenceFault::NoDeclineOption);
        }
        match (self.steps_accept, self.steps_decline) {
            (Some(accept), Some(decline)) if decline > accept => Err(EvidenceFault::Asymmetric),
            (Some(_), None) => Err(EvidenceFault::Asymmetric),
            _ => Ok(()),
        }
    }

    /// Whether the consent, though given, does not bind: it is kept as evidence and never in force.
    #[must_use]
    pub const fn voids_grant(&self) -> bool {
        matches!(self.presentation, Presentation::BundledWithTerms) || self.conditional_on_service
    }
}

/// Whether a label says no plainly. "Ask me later" and "More information" do not (11 CCR §7004(a)).
fn declines(label: &str) -> bool {
    const PLAIN: &[&str] = &[
        "no",
        "no thanks",
        "no, thanks",
        "no thank you",
        "decline",
        "decline all",
        "reject",
        "reject all",
        "refuse",
        "deny",
        "do not allow",
        "don't allow",
        "disagree",
        "nein",
        "nein danke",
        "ablehnen",
        "alle ablehnen",
        "non",
        "refuser",
        "tout refuser",
        "rechazar",
        "rifiuta",
    ];
    let label = label.trim().to_lowercase();
    PLAIN.contains(&label.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticked() -> Evidence {
        Evidence {
            action: Action::CheckboxTicked,
            preselected: false,
            presentation: Presentation::Separate,
            conditional_on_service: false,
            options: Vec::new(),
            steps_accept: None,
            steps_decline: None,
            statement: None,
            locale: "en".to_owned(),
            page: None,
            mailbox: None,
        }
    }

    #[test]
    fn cap_01_a_box_ticked_beforehand_is_no_consent() {
        let evidence = Evidence { preselected: true, ..ticked() };
        assert_eq!(evidence.check(), Err(EvidenceFault::Preselected));
        assert_eq!(ticked().check(), Ok(()));
    }

    #[test]
    fn cap_10_and_12_closing_or_leaving_is_no_consent() {
        for action in [Action::CloseBanner, Action::Hover, Action::Mute, Action::NavigateAway, Action::AcceptTerms]
        {
            assert_eq!(Evidence { action, ..ticked() }.check(), Err(EvidenceFault::NotAffirmative));
        }
    }

    #[test]
    fn cap_11_declining_is_as_plain_and_as_short_as_accepting() {
        let options = |labels: &[&str]| labels.iter().map(|l| (*l).to_owned()).collect::<Vec<_>>();
        for labels in [["Yes", "Ask me later"], ["Accept all", "More information"]] {
            let evidence = Evidence { options: options(&labels), ..ticked() };
            assert_eq!(evidence.check(), Err(EvidenceFault::NoDeclineOption));
        }
        let steps = Evidence { steps_accept: Some(1), steps_decline: Some(2), ..ticked() };
        assert_eq!(steps.check(), Err(EvidenceFault::Asymmetric));
        let fair = Evidence {
            options: options(&["Accept", "Decline"]),
            steps_accept: Some(1),
            steps_decline: Some(1),
            ..ticked()
        };
        assert_eq!(fair.check(), Ok(()));
    }

    #[test]
    fn cap_04_and_05_a_bundled_or_conditional_grant_is_void() {
        assert!(Evidence { presentation: Presentation::BundledWithTerms, ..ticked() }.voids_grant());
        assert!(Evidence { conditional_on_service: true, ..ticked() }.voids_grant());
        assert!(!ticked().voids_grant());
    }
}
