//! What may come of a row beside what is held: the one place where an import meets a person's own word.
//!
//! A row that contradicts what the person said here is out of date for that person, and is left out whole. What it
//! says *against* processing is taken all the same: a no is never lost.

use serde::{Deserialize, Serialize};

use super::row::{StagedRow, StagedStatement};
use crate::attribute::{AttributeName, Value};
use crate::consent::{Assurance, ConsentEvent, EventKind, GrantStanding, Standing};
use crate::purpose::Purpose;
use crate::regime::{Regime, RegimeSource};
use crate::seal::{OpenError, SealedRecord};
use crate::source::SourceId;
use crate::subject::Birth;
use crate::time::Timestamp;

/// Why a row is left out. The codes stand in the ledger: they are never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum LeftOut {
    /// The person was erased and did not come back by an own act (GDPR Art. 17; 11 CCR §7022).
    Erased = 1,
    /// The address is suppressed for another reason (GDPR Art. 21(3)).
    Suppressed = 2,
    /// Processing is restricted (GDPR Art. 18).
    Restricted = 3,
    /// The person objected to direct marketing (GDPR Art. 21(3)).
    Objected = 4,
    /// A consent that the row gives was taken back here.
    Withdrawn = 5,
    /// A consent that the row gives was refused here.
    Refused = 6,
    /// The person opted out of the sale or sharing that the row gives.
    OptedOut = 7,
    /// Everything in the row is older than what is held.
    Corrected = 8,
    /// The identifiers belong to two persons.
    IdentifierConflict = 9,
}

impl LeftOut {
    /// Every reason, in code order.
    pub const ALL: [Self; 9] = [
        Self::Erased,
        Self::Suppressed,
        Self::Restricted,
        Self::Objected,
        Self::Withdrawn,
        Self::Refused,
        Self::OptedOut,
        Self::Corrected,
        Self::IdentifierConflict,
    ];

    /// Its stable code in the ledger.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// Its stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Erased => "erased",
            Self::Suppressed => "suppressed",
            Self::Restricted => "restricted",
            Self::Objected => "objected",
            Self::Withdrawn => "withdrawn",
            Self::Refused => "refused",
            Self::OptedOut => "opted_out",
            Self::Corrected => "corrected",
            Self::IdentifierConflict => "identifier_conflict",
        }
    }
}

/// What is held of the person of a row.
#[derive(Debug, Clone, Copy)]
pub struct Held<'a> {
    /// The standing.
    pub standing: &'a Standing,
    /// The packed record.
    pub record: &'a [u8],
}

/// That an identifier of a row is suppressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Suppression {
    /// Because the person was erased.
    Erasure,
    /// For another reason.
    Other,
}

/// What may come of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// This much of it is taken.
    Take(Taken),
    /// All of it is known.
    Unchanged,
    /// Nothing of it is taken.
    LeaveOut(LeftOut),
}

/// What is taken of a row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Taken {
    /// Facts and statements, to be folded in order.
    pub events: Vec<ConsentEvent>,
    /// Attributes, to be sealed.
    pub attributes: Vec<(AttributeName, Value)>,
    /// Whether something permits or tells, rather than only forbids.
    pub tells: bool,
}

/// Judges a row. `held` is `None` for a stranger, `suppression` counts for strangers alone: whoever is here came by an
/// own act or was never erased.
///
/// # Errors
/// When the stored record does not read.
pub fn judge(
    row: &StagedRow,
    held: Option<Held<'_>>,
    suppression: Option<Suppression>,
    source: &SourceId,
    now: Timestamp,
) -> Result<Verdict, OpenError> {
    let Some(held) = held else {
        return Ok(match suppression {
            Some(Suppression::Erasure) => Verdict::LeaveOut(LeftOut::Erased),
            Some(Suppression::Other) => Verdict::LeaveOut(LeftOut::Suppressed),
            None => Verdict::Take(Case { row, standing: None, source, now }.all()),
        });
    };
    let case = Case { row, standing: Some(held.standing), source, now };
    if let Some(reason) = case.obstacle(held.standing) {
        // A no is taken even where the rest is not.
        let events = case.denials();
        let denied = Taken { events, ..Taken::default() };
        return Ok(if denied.events.is_empty() { Verdict::LeaveOut(reason) } else { Verdict::Take(denied) });
    }
    let (attributes, newer_held) = fresh(row, held.record)?;
    let taken = case.taken(attributes);
    Ok(if !taken.events.is_empty() || !taken.attributes.is_empty() {
        Verdict::Take(taken)
    } else if newer_held {
        Verdict::LeaveOut(LeftOut::Corrected)
    } else {
        Verdict::Unchanged
    })
}

/// The attributes of a row that were captured after those held, and whether any held one is newer. What is held is
/// compared by its time alone: nothing is opened, so no preview tells a source whether it guessed a value.
fn fresh(row: &StagedRow, record: &[u8]) -> Result<(Vec<(AttributeName, Value)>, bool), OpenError> {
    let mut times = Vec::new();
    for entry in SealedRecord::new(record).entries() {
        let entry = entry?;
        times.push((entry.name(), entry.observed_at()));
    }
    let mut newer_held = false;
    let mut attributes = Vec::new();
    for (name, value) in &row.attributes {
        let known = times.iter().find(|(known, _)| *known == name.as_str()).map(|(_, at)| *at);
        if known.is_none_or(|known| known < row.captured_at) {
            attributes.push((name.clone(), value.clone()));
        } else if known.is_some_and(|known| known > row.captured_at) {
            newer_held = true;
        }
    }
    Ok((attributes, newer_held))
}

struct Case<'a> {
    row: &'a StagedRow,
    standing: Option<&'a Standing>,
    source: &'a SourceId,
    now: Timestamp,
}

impl Case<'_> {
    /// Why nothing of the row may be taken, if it contradicts the person.
    fn obstacle(&self, standing: &Standing) -> Option<LeftOut> {
        if standing.is_erased() {
            return Some(LeftOut::Erased);
        }
        if standing.restricted_at().is_some() {
            return Some(LeftOut::Restricted);
        }
        let mut given = self.row.statements.iter().filter(|statement| statement.gives());
        let markets = self.row.partner.is_some() || given.clone().any(|statement| statement.direct_marketing);
        if standing.objected_at().is_some() && markets {
            return Some(LeftOut::Objected);
        }
        given.find_map(|statement| {
            let purpose = statement.purpose.as_ref()?;
            let out = statement.sale_or_share && standing.opted_out_of_sale().is_some();
            denial(standing, purpose).or(out.then_some(LeftOut::OptedOut))
        })
    }

    fn all(&self) -> Taken {
        self.taken(self.row.attributes.clone())
    }

    fn taken(&self, attributes: Vec<(AttributeName, Value)>) -> Taken {
        let mut events: Vec<_> = self.regime().into_iter().chain(self.birth(&attributes)).collect();
        events.extend(self.denials());
        let given: Vec<_> =
            self.row.statements.iter().filter(|statement| statement.gives() && self.is_news(statement)).collect();
        events.extend(given.iter().map(|statement| self.event(statement)));
        let tells = !attributes.is_empty() || !given.is_empty();
        Taken { events, attributes, tells }
    }

    fn fact(&self, kind: EventKind) -> ConsentEvent {
        let mut event = ConsentEvent::new(kind, None, self.row.captured_at, self.now);
        event.source = Some(self.source.clone());
        event
    }

    /// A regime that is not known yet, or was only assumed so far.
    fn regime(&self) -> Option<ConsentEvent> {
        let (regime, regime_source) = (self.row.regime?, self.row.regime_source);
        let is_assumed = regime_source.is_some_and(RegimeSource::is_assumed);
        let is_known = self.standing.is_some_and(|standing| {
            let adds_nothing = regime == Regime::Unknown && standing.regimes() != [Regime::Unknown];
            // What is assumed of a stranger says nothing of somebody whose law is known.
            let is_settled = is_assumed && standing.regimes() != [Regime::Unknown];
            adds_nothing
                || is_settled
                || (standing.has_regime(regime) && (is_assumed || !standing.assumes(regime)))
        });
        let event = ConsentEvent { regime: Some(regime), regime_source, ..self.fact(EventKind::RegimeDeclared) };
        (!is_known).then_some(event)
    }

    /// A birth that nobody knew, or that makes the person younger: no file turns a child into an adult.
    fn birth(&self, attributes: &[(AttributeName, Value)]) -> Option<ConsentEvent> {
        let named = |name: &AttributeName| matches!(name.as_str(), "birth_date" | "birth_year");
        let birth: Birth = self.row.birth.filter(|_| attributes.iter().any(|(name, _)| named(name)))?;
        let known = self.standing.and_then(Standing::birth);
        let younger = known.is_none_or(|known| birth.age_at(self.now) < known.age_at(self.now));
        younger.then(|| ConsentEvent { birth: Some(birth), ..self.fact(EventKind::BirthDeclared) })
    }

    fn denials(&self) -> Vec<ConsentEvent> {
        let denials = self.row.statements.iter().filter(|statement| !statement.gives());
        denials.filter(|statement| self.is_news(statement)).map(|statement| self.event(statement)).collect()
    }

    fn event(&self, statement: &StagedStatement) -> ConsentEvent {
        ConsentEvent {
            grant: statement.grant.clone(),
            imported: statement.proof.clone(),
            purpose: statement.purpose.clone(),
            ..self.fact(statement.kind)
        }
    }

    /// Whether a statement adds something to the standing.
    fn is_news(&self, statement: &StagedStatement) -> bool {
        let Some(standing) = self.standing else { return true };
        let Some(purpose) = &statement.purpose else {
            return match statement.kind {
                EventKind::Objected => standing.objected_at().is_none(),
                EventKind::OptOutSaleShare => standing.opted_out_of_sale().is_none(),
                _ => true,
            };
        };
        let known = standing.purpose(purpose);
        let newer = |held: Option<&GrantStanding>| held.is_none_or(|held| held.captured_at < self.row.captured_at);
        match statement.kind {
            EventKind::GrantConfirmed => {
                standing.denied_at(purpose).is_none() && self.improves(standing.effective(purpose), statement)
            }
            EventKind::SoftOptInBasis => newer(known.and_then(|known| known.soft.as_ref())),
            EventKind::ImpliedBasis => newer(known.and_then(|known| known.implied.as_ref())),
            // A consent that the person gave after this no was said elsewhere stands.
            _ => match standing.effective(purpose) {
                Some(grant) => grant.captured_at <= self.row.captured_at,
                None => standing.denied_at(purpose).is_none(),
            },
        }
    }

    /// Whether an imported consent is worth more than the one held: an own act is never replaced while it lasts, and
    /// what was collected here not by what others collected.
    fn improves(&self, held: Option<&GrantStanding>, statement: &StagedStatement) -> bool {
        let Some(held) = held else { return true };
        if held.captured_at >= self.row.captured_at {
            return false;
        }
        let ended = held.grant.valid_until.is_some_and(|end| self.now >= end)
            || statement.validity.are_over(held.captured_at, self.now);
        let from_others = statement.grant.as_ref().is_some_and(|grant| grant.third_party);
        ended || (held.assurance() == Assurance::Imported && (held.grant.third_party || !from_others))
    }
}

/// The no that stands against a purpose, whenever it was said.
fn denial(standing: &Standing, purpose: &Purpose) -> Option<LeftOut> {
    // The person's own later consent lifted it.
    if standing.denied_at(purpose).is_none() || standing.effective(purpose).is_some() {
        return None;
    }
    let known = standing.purpose(purpose);
    let refused = known.and_then(|known| known.refused_at);
    let withdrawn = known.and_then(|known| known.withdrawn_at).max(standing.withdrawn_all_at());
    Some(if withdrawn >= refused { LeftOut::Withdrawn } else { LeftOut::Refused })
}

#[cfg(test)]
mod tests;
