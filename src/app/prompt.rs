//! Whether a form may ask a person again, and how often it did.
//!
//! The answer must tell nobody whether an address is known or what its owner chose. So without a login it is given only
//! to the bearer of a receipt, and only from what was posted under that receipt: whoever made that post knows it
//! already. Only the link of a mail proves the mailbox, and opens all. A program of a source may name a person, as it may when it sends records; it learns whether and from when
//! on it may ask, and never why.

use kernel::authz::{AskPrompts, Authorized, LookUpPrompts};
use kernel::consent::ConsentEvent;
use kernel::decision::prompt::{PromptAnswer, PromptQuestion, Prompts, answered_at, may_prompt};
use kernel::id::{ReceiptId, SubjectId};
use kernel::policy::{PurposeRule, ValidPolicy};
use kernel::purpose::Purpose;
use kernel::time::Timestamp;
use serde_json::{Value as Json, json};
use store::change::RecordPrompts;
use store::query::PromptRow;

use crate::error::{AppError, Code, Fault};
use crate::gateway::Gateway;
use crate::rights::RightsSubject;

/// What a form wants to ask for.
#[derive(Debug, Clone)]
pub struct PromptAsk {
    /// The purposes.
    pub purposes: Vec<String>,
    /// Whether the person began a transaction that cannot be completed without them (11 CCR §7028(b)).
    pub transaction_requires: bool,
    /// Whether the form will ask now for those that it may: then it is counted.
    pub prompting: bool,
}

/// The answer for one purpose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromptView {
    /// The purpose.
    pub purpose: Purpose,
    /// Whether the form may ask.
    pub may_prompt: bool,
    /// From when on it may, where a wait runs.
    pub not_before: Option<Timestamp>,
}

impl Gateway {
    /// Whether a form may ask the bearer of a receipt, judged by what was posted under that receipt alone; or the bearer of a
    /// mail's preference link, judged by everything.
    ///
    /// # Errors
    /// When a purpose is unknown or the token is not one of ours.
    pub async fn ask_prompts(
        &self,
        _by: &Authorized<AskPrompts>,
        token: &str,
        ask: &PromptAsk,
    ) -> Result<Vec<PromptView>, AppError> {
        let keyring = &self.inner.keyring;
        let (subject, receipt) = match keyring.open_receipt_token(token) {
            Ok((subject, receipt, _)) => (subject, Some(receipt)),
            // Whoever has the link of a mail has the mailbox, and sees every choice behind that link anyway.
            Err(_) => match keyring.open_preference_token(token, self.now()) {
                Ok(subject) => (subject, None),
                Err(_) => return Err(AppError::invalid(Fault::at("/token", Code::InvalidToken))),
            },
        };
        self.answer_prompts(subject, receipt, ask).await
    }

    /// Whether a form may ask a person whom a source names.
    ///
    /// # Errors
    /// When a purpose is unknown or the person is not named rightly.
    pub async fn look_up_prompts(
        &self,
        _by: &Authorized<LookUpPrompts>,
        email: Option<String>,
        customer_id: Option<String>,
        ask: &PromptAsk,
    ) -> Result<Vec<PromptView>, AppError> {
        let found = self.find(RightsSubject::Identified { email, customer_id }).await?;
        // Somebody unknown is asked as anybody is.
        let subject = found.unwrap_or(SubjectId::from_bytes([0; 16]));
        self.answer_prompts(subject, None, ask).await
    }

    async fn answer_prompts(
        &self,
        subject: SubjectId,
        receipt: Option<ReceiptId>,
        ask: &PromptAsk,
    ) -> Result<Vec<PromptView>, AppError> {
        let policy = self.policy();
        let rules = rules(&policy, &ask.purposes)?;
        let now = self.now();
        let history = self.history(subject).await?;
        let events = match (history, receipt) {
            (Some(history), Some(receipt)) => history.under(receipt).events(),
            (Some(history), None) => history.events(),
            (None, _) => Vec::new(),
        };
        let prompts = self.inner.store.prompts_of(subject).await?;
        let mut views = Vec::new();
        let mut shown = Vec::new();
        for rule in rules {
            let asked = prompts.iter().filter(|row| receipt.is_none() || row.receipt == receipt);
            let question = PromptQuestion {
                policy: &policy,
                purpose: rule,
                subject,
                events: &events,
                prompts: together(asked, &rule.id),
                transaction_requires: ask.transaction_requires,
                now,
            };
            let answer = may_prompt(&question);
            if answer.may_prompt && ask.prompting {
                shown.push((rule.id.clone(), answered_at(&events, rule)));
            }
            views.push(PromptView {
                purpose: rule.id.clone(),
                may_prompt: answer.may_prompt,
                not_before: answer.not_before,
            });
        }
        if !shown.is_empty() {
            let record = RecordPrompts { subject, receipt, purposes: shown, at: now };
            self.inner.store.perform(&record).await?;
        }
        Ok(views)
    }

    /// Whether a form may ask a person, with the reason: for officers.
    pub(crate) async fn prompt_answer(
        &self,
        policy: &ValidPolicy,
        rule: &PurposeRule,
        subject: SubjectId,
        events: &[ConsentEvent],
        transaction_requires: bool,
        now: Timestamp,
    ) -> Result<PromptAnswer, AppError> {
        let prompts = self.inner.store.prompts_of(subject).await?;
        let prompts = together(prompts.iter(), &rule.id);
        Ok(may_prompt(&PromptQuestion {
            policy,
            purpose: rule,
            subject,
            events,
            prompts,
            transaction_requires,
            now,
        }))
    }

    /// The questions that forms put to a person, as a file shows them.
    pub(crate) async fn shown_prompts(&self, subject: SubjectId) -> Result<Json, store::StoreError> {
        let prompts = self.inner.store.prompts_of(subject).await?;
        Ok(prompts
            .iter()
            .map(|row| {
                json!({ "purpose": row.purpose, "receipt": row.receipt, "count": row.count, "last_at": row.last_at })
            })
            .collect())
    }
}

/// The questions for one purpose, whoever put them.
fn together<'a>(rows: impl Iterator<Item = &'a PromptRow>, purpose: &Purpose) -> Option<Prompts> {
    rows.filter(|row| row.purpose == *purpose)
        .map(|row| Prompts { count: row.count, last_at: row.last_at })
        .reduce(|a, b| Prompts { count: a.count.saturating_add(b.count), last_at: a.last_at.max(b.last_at) })
}

fn rules<'a>(policy: &'a ValidPolicy, purposes: &[String]) -> Result<Vec<&'a PurposeRule>, AppError> {
    let mut faults = Vec::new();
    let mut rules: Vec<&PurposeRule> = Vec::new();
    for (at, name) in purposes.iter().enumerate() {
        let pointer = format!("/purposes/{at}");
        match name.parse().ok().and_then(|id| policy.purpose(&id)) {
            None => faults.push(Fault::at(pointer, Code::UnknownPurpose)),
            Some(rule) if rules.iter().any(|known| known.id == rule.id) => {
                faults.push(Fault::at(pointer, Code::Duplicate));
            }
            Some(rule) => rules.push(rule),
        }
    }
    if faults.is_empty() { Ok(rules) } else { Err(AppError::Invalid(faults)) }
}
