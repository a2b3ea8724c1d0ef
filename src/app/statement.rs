//! What a source knows of a person and no form captures: the sale behind a soft opt-in, the contact behind an
//! implied consent, a parent's authorisation, an act of the person's own, and every kind of no.
//!
//! A source may always report what forbids. What permits it may report only where the policy rests the purpose on it,
//! and never after the person said no: a basis is not swapped (GDPR Art. 6(1), EDPB 05/2020 ¶121-123).

use kernel::authz::{Authorized, IngestRecords};
use kernel::consent::{Assurance, Basis, ConsentEvent, Contact, EventKind, Grant, ParentMethod, Standing};
use kernel::id::ReceiptId;
use kernel::ledger::{AttemptRefusal, RefusedAttempt};
use kernel::notice::NoticeDigest;
use kernel::policy::{PurposeRule, ValidPolicy};
use kernel::purpose::ProductFamily;
use kernel::regime::{Regime, RegimeSource};
use kernel::source::SourceId;
use kernel::subject::SubscriberType;
use kernel::time::{Months, Timestamp};
use store::StoreError;
use store::change::{Capture, CaptureSubject, Captured, Identified};

use crate::consent::{identified, identifiers};
use crate::error::{AppError, Code, Fault};
use crate::figures::count;
use crate::gateway::Gateway;

/// What a source reports of one person. Personal data: shown by no `Debug`.
#[derive(Clone)]
pub struct StatementPost {
    /// Email address.
    pub email: Option<String>,
    /// Customer number.
    pub customer_id: Option<String>,
    /// What happened.
    pub statement: Statement,
    /// The purpose it is about, as written.
    pub purpose: Option<String>,
    /// When it happened; now, if absent.
    pub captured_at: Option<Timestamp>,
    /// The region of the person (ISO 3166).
    pub region: Option<String>,
    /// The notice that was shown: needed for what permits.
    pub notice: Option<NoticeDigest>,
}

impl std::fmt::Debug for StatementPost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StatementPost").finish_non_exhaustive()
    }
}

/// What happened, with what each kind needs besides.
#[derive(Clone)]
pub enum Statement {
    /// A sale in which the address was collected (Directive 2002/58 Art. 13(2)).
    SoftOptIn {
        /// The order.
        sale_ref: Option<String>,
        /// What was sold.
        product_family: Option<String>,
        /// Whether a free and easy way to object was offered when the address was collected.
        objection_offered: Option<bool>,
    },
    /// A purchase or an inquiry (CASL s.10(9)-(10)).
    Implied {
        /// Which.
        relationship: Option<Relationship>,
        /// The order or message.
        reference: Option<String>,
    },
    /// A legitimate interest, which is the policy's to declare and never one person's.
    LegitimateInterest,
    /// A holder of parental responsibility authorised (GDPR Art. 8).
    ParentAuthorised {
        /// How that was made sure.
        method: Option<ParentMethod>,
    },
    /// Which kind of subscriber it is.
    Subscriber {
        /// The kind.
        kind: Option<SubscriberType>,
    },
    /// What only forbids, or says that the person was there.
    Plain(PlainStatement),
}

impl std::fmt::Debug for Statement {
    /// Without the references: they may name a person elsewhere.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::SoftOptIn { .. } => "SoftOptIn(..)",
            Self::Implied { .. } => "Implied(..)",
            Self::LegitimateInterest => "LegitimateInterest",
            Self::ParentAuthorised { .. } => "ParentAuthorised(..)",
            Self::Subscriber { .. } => "Subscriber(..)",
            Self::Plain(_) => "Plain(..)",
        })
    }
}

/// An event that needs nothing besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlainStatement {
    /// Consent was taken back: of a purpose, or of all.
    Withdrawn,
    /// An objection: to a purpose, or to all direct marketing.
    Objected,
    /// Opt-out of sale and sharing.
    OptOutSaleShare,
    /// Limit the use of sensitive information.
    LimitSensitive,
    /// Opt-out of decisions by computer alone.
    OptOutAutomatedDecisions,
    /// The person logged in, ordered or wrote.
    Interacted,
}

impl PlainStatement {
    const fn kind(self) -> EventKind {
        match self {
            Self::Withdrawn => EventKind::Withdrawn,
            Self::Objected => EventKind::Objected,
            Self::OptOutSaleShare => EventKind::OptOutSaleShare,
            Self::LimitSensitive => EventKind::LimitSpi,
            Self::OptOutAutomatedDecisions => EventKind::AdmtOptOut,
            Self::Interacted => EventKind::Interacted,
        }
    }

    const fn may_name_a_purpose(self) -> bool {
        matches!(self, Self::Withdrawn | Self::Objected)
    }
}

/// What an implied consent rests on, and how long it lasts (CASL s.10(10)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relationship {
    /// A purchase or a contract: 24 months.
    Purchase,
    /// An inquiry: 6 months.
    Inquiry,
}

impl Relationship {
    /// The end of the implied consent: the last day rounds down, and counts whole.
    fn ends(self, from: Timestamp) -> Timestamp {
        const DAY_MS: i64 = 86_400_000;
        let months = match self {
            Self::Purchase => Months(24),
            Self::Inquiry => Months(6),
        };
        Timestamp::from_millis(months.after(from).day_number().saturating_add(1).saturating_mul(DAY_MS))
    }
}

/// What a source gets back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatementReceipt {
    /// The receipt.
    pub receipt: ReceiptId,
    /// When it was recorded.
    pub recorded_at: Timestamp,
    /// What was recorded.
    pub event: EventKind,
}

impl Gateway {
    /// Records what a source reports of a person.
    ///
    /// # Errors
    /// [`AppError::Invalid`] with every fault of the post, [`AppError::NotFound`] for the withdrawal of an unknown
    /// purpose, [`AppError::Conflict`] where a basis cannot be had or the person is suppressed,
    /// [`AppError::Forbidden`] for a parent whose child came of age. Nothing is stored then; a refused attempt is noted.
    pub async fn record_statement(
        &self,
        by: &Authorized<IngestRecords>,
        source: &SourceId,
        post: StatementPost,
    ) -> Result<StatementReceipt, AppError> {
        let policy = self.policy();
        let now = self.now();
        let result = match self.read_statement(&policy, &post, now) {
            Ok((who, events)) => self.judge_statement(&who, &post, &events, now).await.map(|()| (who, events)),
            Err(error) => Err(error),
        };
        let (who, mut events) = match result {
            Ok(read) => read,
            Err(error) => {
                let reason = match &error {
                    AppError::Conflict(Code::LegalBasisFixed) => Some(AttemptRefusal::BasisFixed),
                    AppError::Forbidden(_) => Some(AttemptRefusal::ParentalAuthorityEnded),
                    AppError::NotFound(Code::UnknownPurpose) => Some(AttemptRefusal::TamperedParameter),
                    _ => None,
                };
                if let Some(reason) = reason {
                    let client = by.actor().client().map(|client| client.client.clone());
                    self.note_refusal(client, RefusedAttempt::CaptureConsent, reason).await?;
                }
                return Err(error);
            }
        };
        for event in &mut events {
            event.source = Some(source.clone());
        }
        let Some(kind) = events.last().map(|event| event.kind) else {
            return Err(AppError::internal("an event without a fault"));
        };
        let receipt = ReceiptId::generate(&*self.inner.entropy);
        let capture = Capture {
            who: CaptureSubject::Identified(who),
            receipt,
            events,
            evidence: None,
            attributes: Vec::new(),
            source: source.clone(),
            observed_at: now,
            idempotency: None,
            confirmation: None,
            policy,
        };
        match self.inner.captures.submit(capture).await? {
            Captured::Ambiguous => Err(AppError::Conflict(Code::IdentifierConflict)),
            // Erased meanwhile, or before this happened: there is nobody left whom it concerns.
            Captured::NoSuchSubject | Captured::Outdated => Err(AppError::Conflict(Code::Suppressed)),
            _ => {
                count(&self.inner.counters.captures);
                Ok(StatementReceipt { receipt, recorded_at: now, event: kind })
            }
        }
    }

    /// What the post says by itself.
    fn read_statement(
        &self,
        policy: &ValidPolicy,
        post: &StatementPost,
        now: Timestamp,
    ) -> Result<(Identified, Vec<ConsentEvent>), AppError> {
        let mut faults = Vec::new();
        let who = identifiers(post.email.as_deref(), post.customer_id.as_deref(), "/subject", &mut faults);
        let regime = post.region.as_deref().and_then(|region| {
            Regime::of_region(region).map_err(|_| faults.push(Fault::at("/region", Code::InvalidRegion))).ok()
        });
        let captured_at = post.captured_at.unwrap_or(now);
        if captured_at > now {
            faults.push(Fault::at("/captured_at", Code::CapturedInFuture));
        }
        let mut reading = StatementReading { policy, post, captured_at, now, faults };
        let event = reading.event();
        if !reading.faults.is_empty() {
            return Err(AppError::Invalid(reading.faults));
        }
        let (Some(who), Some(event)) = (who, event?) else {
            return Err(AppError::internal("an event without a fault"));
        };
        let declared = regime.map(|regime| ConsentEvent {
            regime: Some(regime),
            regime_source: Some(RegimeSource::Declared),
            ..ConsentEvent::new(EventKind::RegimeDeclared, None, now, now)
        });
        Ok((identified(self, &who), declared.into_iter().chain([event]).collect()))
    }

    /// What it is worth in the light of what is known of the person.
    async fn judge_statement(
        &self,
        who: &Identified,
        post: &StatementPost,
        events: &[ConsentEvent],
        now: Timestamp,
    ) -> Result<(), AppError> {
        let prints: Vec<_> = who.fingerprints.iter().map(|(_, print)| *print).collect();
        let mut found = None;
        for print in &prints {
            if let Some(subject) = self.inner.store.find_by_fingerprint(&self.inner.keyring, print).await? {
                found = Some(subject);
            }
        }
        let Some(subject) = found else {
            let marks: Vec<_> =
                prints.iter().flat_map(|print| self.inner.keyring.suppressions_of(print)).collect();
            // Whoever was erased comes back by an own act, not by a source's report.
            let suppressed = !self.inner.store.suppressions(&marks).await?.is_empty();
            return if suppressed { Err(AppError::Conflict(Code::Suppressed)) } else { Ok(()) };
        };
        let Some(row) = self.inner.store.rows_by_ids(&[subject]).await?.pop() else { return Ok(()) };
        let sealed = row.sealed();
        let key =
            self.inner.keyring.unwrap_key(sealed.id, sealed.wrapped_key).map_err(|_| StoreError::Tampered)?;
        let standing = key.open_standing(sealed.standing).map_err(|_| StoreError::Tampered)?;
        let said_no = events.iter().filter(|event| is_basis(event.kind)).any(|event| {
            event.purpose.as_ref().is_some_and(|purpose| {
                standing.denied_at(purpose).is_some() || standing.objected_to(purpose, true).is_some()
            })
        });
        if said_no {
            return Err(AppError::Conflict(Code::LegalBasisFixed));
        }
        if matches!(post.statement, Statement::ParentAuthorised { .. }) && is_of_age(&standing, now) {
            let detail = "the child reached the age at which it decides by itself";
            return Err(AppError::Forbidden(Fault::saying("/statement", Code::ParentalAuthorityEnded, detail)));
        }
        Ok(())
    }
}

const fn is_basis(kind: EventKind) -> bool {
    matches!(kind, EventKind::SoftOptInBasis | EventKind::ImpliedBasis)
}

/// Whether the person decides alone now.
fn is_of_age(standing: &Standing, now: Timestamp) -> bool {
    standing.comes_of_age().is_some_and(|day| day <= now)
}

/// Reads one post and collects what is wrong with it.
struct StatementReading<'a> {
    policy: &'a ValidPolicy,
    post: &'a StatementPost,
    captured_at: Timestamp,
    now: Timestamp,
    faults: Vec<Fault>,
}

impl<'a> StatementReading<'a> {
    fn event(&mut self) -> Result<Option<ConsentEvent>, AppError> {
        match self.post.statement.clone() {
            Statement::LegitimateInterest => match self.purpose() {
                Some(_) => Err(AppError::Conflict(Code::LegalBasisFixed)),
                None => Ok(None),
            },
            Statement::SoftOptIn { sale_ref, product_family, objection_offered } => {
                let reference = self.text(sale_ref, "/sale_ref");
                let family = product_family.and_then(|family| self.family(&family));
                if family.is_none() {
                    self.missing("/product_family");
                }
                match objection_offered {
                    Some(true) => {}
                    Some(false) => {
                        let detail = "without a way to object at collection there is no soft opt-in";
                        let at = "/objection_offered_at_collection";
                        self.faults.push(Fault::saying(at, Code::InvalidField, detail));
                    }
                    None => self.missing("/objection_offered_at_collection"),
                }
                let Some(rule) = self.purpose() else { return Ok(None) };
                let grant = self.grant(rule).map(|grant| Grant { product_family: family, ..grant });
                let contact = reference.map(|reference| Contact { reference, objection_offered: true });
                self.basis((EventKind::SoftOptInBasis, Basis::SoftOptIn), rule, grant, contact)
            }
            Statement::Implied { relationship, reference } => {
                let reference = self.text(reference, "/reference");
                let end = relationship.map(|relationship| relationship.ends(self.captured_at));
                if end.is_none() {
                    self.missing("/relationship");
                }
                let Some(rule) = self.purpose() else { return Ok(None) };
                let grant = self.grant(rule).map(|grant| Grant { valid_until: end, ..grant });
                let contact = reference.map(|reference| Contact { reference, objection_offered: false });
                self.basis((EventKind::ImpliedBasis, Basis::Implied), rule, grant, contact)
            }
            Statement::ParentAuthorised { method } => {
                if method.is_none() {
                    self.missing("/method");
                }
                let purpose = match &self.post.purpose {
                    Some(_) => self.purpose().map(|rule| rule.id.clone()),
                    None => None,
                };
                let event = ConsentEvent::new(EventKind::ParentAuthorised, purpose, self.captured_at, self.now);
                Ok(Some(ConsentEvent { by_parent: true, parent_method: method, ..event }))
            }
            Statement::Subscriber { kind } => {
                if kind.is_none() {
                    self.missing("/subscriber_type");
                }
                self.no_purpose();
                let event = ConsentEvent::new(EventKind::SubscriberDeclared, None, self.captured_at, self.now);
                Ok(Some(ConsentEvent { subscriber: kind, ..event }))
            }
            Statement::Plain(plain) => self.plain(plain),
        }
    }

    fn plain(&mut self, plain: PlainStatement) -> Result<Option<ConsentEvent>, AppError> {
        let purpose = match (&self.post.purpose, plain.may_name_a_purpose()) {
            (None, _) => None,
            (Some(_), false) => {
                self.no_purpose();
                None
            }
            (Some(name), true) => {
                let known = name.parse().ok().and_then(|id| self.policy.purpose(&id));
                Some(known.ok_or(AppError::NotFound(Code::UnknownPurpose))?.id.clone())
            }
        };
        Ok(Some(ConsentEvent::new(plain.kind(), purpose, self.captured_at, self.now)))
    }

    /// An event that permits: only where the policy rests the purpose on that basis.
    fn basis(
        &mut self,
        (kind, basis): (EventKind, Basis),
        rule: &PurposeRule,
        grant: Option<Grant>,
        contact: Option<Contact>,
    ) -> Result<Option<ConsentEvent>, AppError> {
        if !rule.bases.contains(&basis) {
            return Err(AppError::Conflict(Code::LegalBasisFixed));
        }
        let event = ConsentEvent::new(kind, Some(rule.id.clone()), self.captured_at, self.now);
        Ok(Some(ConsentEvent { grant, contact, ..event }))
    }

    fn missing(&mut self, pointer: &str) {
        self.faults.push(Fault::at(pointer, Code::MissingField));
    }

    fn no_purpose(&mut self) {
        if self.post.purpose.is_some() {
            self.faults.push(Fault::saying(
                "/purpose",
                Code::InvalidField,
                "this event is about the person as a whole",
            ));
        }
    }

    fn text(&mut self, text: Option<String>, pointer: &str) -> Option<String> {
        let text = text.filter(|text| !text.trim().is_empty());
        if text.is_none() {
            self.missing(pointer);
        }
        text
    }

    fn family(&mut self, family: &str) -> Option<ProductFamily> {
        family.parse().map_err(|_| self.faults.push(Fault::at("/product_family", Code::InvalidField))).ok()
    }

    fn purpose(&mut self) -> Option<&'a PurposeRule> {
        let Some(name) = &self.post.purpose else {
            self.missing("/purpose");
            return None;
        };
        let rule = name.parse().ok().and_then(|id| self.policy.purpose(&id));
        if rule.is_none() {
            self.faults.push(Fault::at("/purpose", Code::UnknownPurpose));
        }
        rule.map(AsRef::as_ref)
    }

    fn grant(&mut self, rule: &PurposeRule) -> Option<Grant> {
        let Some(digest) = self.post.notice else {
            self.missing("/notice");
            return None;
        };
        let Some(notice) = self.policy.notice(&digest).filter(|notice| notice.purposes.contains(&rule.id)) else {
            self.faults.push(Fault::at("/notice", Code::NoticeUnknown));
            return None;
        };
        Some(Grant {
            notice: Some(digest),
            purpose_version: rule.version,
            assurance: Assurance::Form,
            explicit: false,
            controllers: notice.controllers.clone(),
            valid_until: None,
            third_party: false,
            product_family: None,
        })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn m05_and_m06_an_implied_consent_lasts_through_its_last_day_which_rounds_down() {
        for (relationship, from, last, over) in [
            (Relationship::Purchase, "2024-02-29T00:00:00Z", "2026-02-28T23:59:59Z", "2026-03-01T00:00:00Z"),
            (Relationship::Purchase, "2024-02-29T18:30:00Z", "2026-02-28T23:59:59Z", "2026-03-01T00:00:00Z"),
            (Relationship::Inquiry, "2025-08-31T12:00:00Z", "2026-02-28T23:59:59Z", "2026-03-01T00:00:00Z"),
            (Relationship::Inquiry, "2026-05-22T12:00:00Z", "2026-11-22T23:59:59Z", "2026-11-23T00:00:00Z"),
        ] {
            let end = relationship.ends(from.parse().unwrap());
            let at = |text: &str| text.parse::<Timestamp>().unwrap();
            assert!(at(last) < end && at(over) >= end, "{from}: {end}");
        }
    }
}
