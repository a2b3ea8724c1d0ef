//! One question, seen regime by regime: minors, sensitive data, the purpose's mode, and decisions by computer alone.

use super::{Plan, Refusal};
use crate::consent::{Basis, GrantStanding, Standing};
use crate::policy::{Mode, PurposeRule, RecipientRule};
use crate::regime::{Regime, RegimeFamily};
use crate::time::Timestamp;

/// The purpose, the recipient and the person of a question.
pub(super) struct Case<'a> {
    pub(super) standing: &'a Standing,
    pub(super) purpose: &'a PurposeRule,
    pub(super) recipient: &'a RecipientRule,
    pub(super) plan: &'a Plan,
    pub(super) now: Timestamp,
}

impl<'a> Case<'a> {
    /// What makes the purpose lawful for this person under a regime.
    fn mode(&self, regime: Regime) -> Mode {
        if self.standing.is_legal_person() {
            self.purpose.mode_for_legal_persons(regime)
        } else {
            self.purpose.mode(regime)
        }
    }

    /// The age, where it is known.
    fn age(&self) -> Option<i16> {
        self.standing.birth().map(|birth| birth.age_at(self.now))
    }

    /// The purpose's own least age, then what each regime asks for.
    pub(super) fn protect_minors(&self) -> Result<(), Refusal> {
        let Some(age) = self.age() else { return Ok(()) };
        if self.purpose.least_age().is_some_and(|least| age < least) {
            return Err(Refusal::Minor);
        }
        self.standing.regimes().iter().try_for_each(|regime| self.protect_minor(*regime, age))
    }

    /// GDPR Art. 8, CCPA 1798.120(c): children and the sale or sharing of minors' data.
    fn protect_minor(&self, regime: Regime, age: i16) -> Result<(), Refusal> {
        if matches!(self.mode(regime), Mode::Allowed) && !self.purpose.sale_or_share {
            return Ok(());
        }
        let by_parent = self.standing.opted_in_to(&self.purpose.id, true);
        let sale_permitted = match (regime.family(), age) {
            (RegimeFamily::UsCa | RegimeFamily::UsOther, ..13) => by_parent,
            (RegimeFamily::UsCa | RegimeFamily::UsOther, 13..16) => {
                self.standing.opted_in_to(&self.purpose.id, false)
            }
            _ => true,
        };
        if self.purpose.sale_or_share && !sale_permitted {
            return Err(Refusal::Minor);
        }
        // An opt-in two-step by or for a Californian minor is that regime's consent; elsewhere the parent's word is.
        let settled =
            self.purpose.sale_or_share && matches!(regime.family(), RegimeFamily::UsCa | RegimeFamily::UsOther);
        if age >= regime.age_of_digital_consent() || settled {
            return Ok(());
        }
        let by_parent_alone = self.standing.effective(&self.purpose.id).is_some_and(|grant| grant.by_parent);
        let is_half = regime.asks_for_joint_consent() && by_parent_alone;
        if is_half || !self.standing.parent_authorised(&self.purpose.id) {
            return Err(Refusal::Minor);
        }
        Ok(())
    }

    /// GDPR Art. 9, CCPA 1798.121: withholds the tagged attributes, and everything where the purpose itself is
    /// sensitive, unless the consent was explicit or use need not be limited. A decision with significant effects is
    /// not made on half of its inputs (GDPR Art. 22(4)).
    pub(super) fn without_sensitive(&self, allowed: u64, tagged: u64) -> Result<u64, Refusal> {
        let mut kept = allowed;
        let mut why = Refusal::Sensitive;
        for regime in self.standing.regimes() {
            let sensitive = if self.is_all_sensitive(*regime) { allowed } else { allowed & tagged };
            if sensitive == 0 {
                continue;
            }
            if let Err(refusal) = self.sensitive_use(*regime) {
                kept &= !sensitive;
                if refusal == Refusal::Expired {
                    why = refusal;
                }
            }
        }
        // Regulation 2024/900 Art. 18(1)(c): not even with consent.
        if self.purpose.political {
            kept &= !tagged;
        }
        let is_refused = kept == 0 || self.purpose.significant_effect && kept != allowed;
        if is_refused { Err(why) } else { Ok(kept) }
    }

    /// Whether everything is sensitive: by the purpose, or because Californian law counts what is known of those
    /// under 16 as such (11 CCR §7001).
    fn is_all_sensitive(&self, regime: Regime) -> bool {
        self.purpose.sensitive || regime == Regime::UsCa && self.age().is_some_and(|age| age < 16)
    }

    fn sensitive_use(&self, regime: Regime) -> Result<(), Refusal> {
        let necessary = self.purpose.spi_necessary;
        if regime == Regime::UsCa {
            let is_open = necessary || self.standing.limited_for(&self.purpose.id).is_none();
            return if is_open { Ok(()) } else { Err(Refusal::Sensitive) };
        }
        if necessary && self.mode(regime) == Mode::Allowed {
            return Ok(());
        }
        if regime.asks_for_strict_necessity() {
            return Err(Refusal::Sensitive);
        }
        match self.grant_in_force(regime) {
            Ok(grant) if grant.grant.explicit => self.was_in_contact(regime, grant),
            _ => Err(Refusal::Sensitive),
        }
    }

    /// 4 CCR 904-3, Rule 7.08: who was not heard of for long is asked again.
    fn was_in_contact(&self, regime: Regime, grant: &GrantStanding) -> Result<(), Refusal> {
        let Some(months) = regime.refreshes_sensitive_after() else { return Ok(()) };
        let last = self.standing.interacted_at().map_or(grant.captured_at, |at| at.max(grant.captured_at));
        if months.are_over(last, self.now) { Err(Refusal::Expired) } else { Ok(()) }
    }

    /// Whether the mode permits, and the consent or weaker basis that it relies on, if it needs one.
    pub(super) fn mode_permits(&self, regime: Regime) -> Result<Option<&'a GrantStanding>, Refusal> {
        match self.mode(regime) {
            Mode::Forbidden => Err(Refusal::Forbidden),
            // No consent is needed, but whoever unsubscribes from marketing is heard (GDPR Art. 21(3)).
            Mode::Allowed if self.purpose.direct_marketing => self.not_opted_out().map(|()| None),
            Mode::Allowed => self.basis_is_not_swapped().map(|()| None),
            Mode::OptOut | Mode::LegitimateInterest => self.not_opted_out().map(|()| None),
            Mode::OptIn => self.opted_in(regime, None).map(Some),
            Mode::ExplicitOptIn => match self.opted_in(regime, None)? {
                grant if grant.grant.explicit => Ok(Some(grant)),
                _ => Err(Refusal::Sensitive),
            },
            mode @ (Mode::OptInOrSoft | Mode::OptInOrImplied) => self.opted_in(regime, Some(mode)).map(Some),
        }
    }

    /// GDPR Art. 22, C-634/21: a decision by computer alone with a significant effect needs a contract or an explicit
    /// consent; the United Kingdom and the American states ask for safeguards and a way out, which the policy must
    /// have and which is heard everywhere.
    pub(super) fn automated_decision_permitted(&self, regime: Regime) -> Result<(), Refusal> {
        if !self.purpose.significant_effect {
            return Ok(());
        }
        if self.standing.opted_out_of_automation().is_some() {
            return Err(Refusal::OptedOut);
        }
        let by_contract = self.mode(regime) == Mode::Allowed && self.purpose.bases.contains(&Basis::Contract);
        let is_barred = matches!(regime.family(), RegimeFamily::EuGdpr | RegimeFamily::Unknown);
        let is_explicit = || self.grant_in_force(regime).is_ok_and(|grant| grant.grant.explicit);
        if is_barred && !by_contract && !is_explicit() { Err(Refusal::AutomatedDecision) } else { Ok(()) }
    }

    /// A valid grant, or the weaker basis that the mode accepts in its place; and no opt-out of sale besides.
    fn opted_in(&self, regime: Regime, weaker: Option<Mode>) -> Result<&'a GrantStanding, Refusal> {
        if self.purpose.sale_or_share && self.standing.opted_out_of(&self.purpose.id).is_some() {
            return Err(Refusal::OptedOut);
        }
        let refusal = match self.grant_in_force(regime) {
            Ok(grant) => return Ok(grant),
            Err(refusal) => refusal,
        };
        let known = self.standing.purpose(&self.purpose.id);
        let fallback = match weaker {
            Some(Mode::OptInOrSoft) => {
                known.and_then(|known| known.soft.as_ref()).filter(|soft| self.is_own_sale(soft))
            }
            Some(Mode::OptInOrImplied) => known.and_then(|known| known.implied.as_ref()),
            _ => None,
        };
        let denied = self.standing.denied_at(&self.purpose.id);
        match fallback {
            // A weaker basis never survives a no, whenever it was said (GDPR Art. 21(3), CAP-22).
            Some(basis) if denied.is_none() => self.holds_without_consent(basis).map(|()| basis),
            _ => Err(refusal),
        }
    }

    /// Directive 2002/58 Art. 13(2): similar products of one's own, never a partner's.
    fn is_own_sale(&self, soft: &GrantStanding) -> bool {
        soft.grant.product_family.as_ref().is_some_and(|sold| self.purpose.product_families.contains(sold))
    }

    fn not_opted_out(&self) -> Result<(), Refusal> {
        let (standing, purpose) = (self.standing, &self.purpose.id);
        let out_of_sale = self.purpose.sale_or_share && standing.opted_out_of(purpose).is_some();
        let limited =
            self.purpose.sensitive && !self.purpose.spi_necessary && standing.limited_for(purpose).is_some();
        let denied = standing.denied_at(purpose).is_some_and(|denied| {
            if self.purpose.sale_or_share {
                // A no to a sale is an opt-out: only the two steps lift it (11 CCR §7028(a)).
                standing.opted_in_at(purpose).is_none_or(|step| step <= denied)
            } else {
                standing.effective(purpose).is_none()
            }
        });
        if out_of_sale || limited || denied { Err(Refusal::OptedOut) } else { Ok(()) }
    }

    /// CAP-22 (EDPB 05/2020 ¶121-123): what once rested on a consent that was refused or taken back is not carried on
    /// under a basis that needs none.
    fn basis_is_not_swapped(&self) -> Result<(), Refusal> {
        let Some(known) = self.standing.purpose(&self.purpose.id) else { return Ok(()) };
        let was_asked = known.confirmed.is_some() || known.requested_at.is_some();
        let said_no = known.refused_at.is_some() || known.withdrawn_at.is_some() && was_asked;
        if said_no && self.standing.effective(&self.purpose.id).is_none() {
            return Err(self.why_not_given());
        }
        Ok(())
    }

    /// The confirmed grant that is good now for this controller, recipient, version and assurance.
    fn grant_in_force(&self, regime: Regime) -> Result<&'a GrantStanding, Refusal> {
        let Some(grant) = self.standing.effective(&self.purpose.id) else { return Err(self.why_not_given()) };
        self.holds(regime, grant)?;
        Ok(grant)
    }

    fn holds(&self, regime: Regime, grant: &GrantStanding) -> Result<(), Refusal> {
        if !grant.names(&self.recipient.controller) {
            return Err(Refusal::Controller);
        }
        if !self.was_told_of_the_recipient(grant) {
            return Err(Refusal::RecipientNotDisclosed);
        }
        self.covers_now(grant)?;
        if self.purpose.validity.are_over(grant.captured_at, self.now) {
            return Err(Refusal::Expired);
        }
        let from_others = grant.grant.third_party;
        if from_others && self.purpose.third_party_validity.are_over(grant.captured_at, self.now) {
            return Err(Refusal::StaleThirdParty);
        }
        if grant.assurance() < self.purpose.assurance_needed(regime) {
            return Err(Refusal::Assurance);
        }
        Ok(())
    }

    /// Whether the basis that a sale or an inquiry left behind is good now. It may have been collected under no
    /// notice of ours, and says nothing of how surely a person consented: nobody did. Where the law fixed its end,
    /// that end and no other counts (CASL s.10(10)).
    fn holds_without_consent(&self, basis: &GrantStanding) -> Result<(), Refusal> {
        if !basis.names(&self.recipient.controller) {
            return Err(Refusal::Controller);
        }
        if basis.grant.notice.is_some() && !self.was_told_of_the_recipient(basis) {
            return Err(Refusal::RecipientNotDisclosed);
        }
        self.covers_now(basis)?;
        if basis.grant.valid_until.is_none() && self.purpose.validity.are_over(basis.captured_at, self.now) {
            return Err(Refusal::Expired);
        }
        Ok(())
    }

    /// Whether this version of the purpose, and this recipient in it, were there to be agreed to; and whether the end
    /// that was fixed at capture has not come.
    fn covers_now(&self, grant: &GrantStanding) -> Result<(), Refusal> {
        let version = grant.grant.purpose_version;
        let oldest = self.purpose.last_breaking_version.max(self.plan.recipient_since);
        if version < oldest || version > self.purpose.version {
            return Err(Refusal::Reconsent);
        }
        if grant.grant.valid_until.is_some_and(|end| self.now >= end) {
            return Err(Refusal::Expired);
        }
        Ok(())
    }

    /// NOT-05 (C-413/23 P): judged at collection, by the notice that was shown then.
    fn was_told_of_the_recipient(&self, grant: &GrantStanding) -> bool {
        grant.grant.notice.is_some_and(|shown| self.plan.told_by.binary_search(&shown).is_ok())
    }

    fn why_not_given(&self) -> Refusal {
        let denied = self.standing.denied_at(&self.purpose.id);
        let Some(known) = self.standing.purpose(&self.purpose.id) else {
            return if denied.is_some() { Refusal::Withdrawn } else { Refusal::NoConsent };
        };
        let after_denial = |at: Timestamp| denied.is_none_or(|denied| at > denied);
        let withdrawn = known.withdrawn_at.max(self.standing.withdrawn_all_at());
        if known.requested_at.is_some_and(after_denial) {
            Refusal::Pending
        } else if withdrawn.is_some() && withdrawn >= known.refused_at {
            Refusal::Withdrawn
        } else if known.refused_at.is_some() {
            Refusal::Refused
        } else if known.invalid_at.is_some() {
            Refusal::Invalid
        } else {
            Refusal::NoConsent
        }
    }
}
