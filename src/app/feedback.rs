//! Feedback: what mail providers and people answer to a mail, told by a program: a spam complaint, a written "stop".
//!
//! A complaint is an objection to direct marketing (GDPR Art. 21(5)). So is a reply of which nobody can say what it means:
//! of two readings the one that stops more holds.

use kernel::authz::{Authorized, ReportFeedback};
use kernel::capability::Stop;
use kernel::consent::EventKind;
use kernel::identifier::Identifier;
use kernel::ledger::{AttemptRefusal, RefusedAttempt};
use kernel::purpose::Purpose;
use kernel::source::SourceId;
use store::change::{CaptureSubject, TakenBack};

use crate::consent::identified;
use crate::error::{AppError, Code, Fault};
use crate::gateway::Gateway;

/// One answer to a mail. Personal data: shown by no `Debug`.
#[derive(Clone)]
pub struct Feedback {
    /// Whose.
    pub who: FeedbackSubject,
    /// What it says.
    pub says: FeedbackKind,
}

impl std::fmt::Debug for Feedback {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Feedback").field("says", &self.says).finish_non_exhaustive()
    }
}

/// Whose feedback it is. Personal data: shown by no `Debug`.
#[derive(Clone)]
pub enum FeedbackSubject {
    /// By the token of the mail's unsubscribe link, which also names the list.
    Token(String),
    /// By an identifier.
    Identifier(Identifier),
}

impl std::fmt::Debug for FeedbackSubject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FeedbackSubject(..)")
    }
}

/// What feedback says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeedbackKind {
    /// It was reported as spam.
    Complaint,
    /// A reply asks to leave this list.
    UnsubscribeList,
    /// A reply asks to stop all of it.
    StopAll,
    /// A reply asks for something like it.
    Unclear,
}

impl Gateway {
    /// Takes one answer to a mail. Whether the person is known makes no difference to the outcome.
    ///
    /// # Errors
    /// [`AppError::Invalid`] for a token that is none; when the client speaks for nobody, or the store does not answer.
    pub async fn report_feedback(
        &self,
        by: &Authorized<ReportFeedback>,
        feedback: &Feedback,
    ) -> Result<(), AppError> {
        let source = self.feedback_source(by).await?;
        let (who, list) = self.feedback_subject(&feedback.who)?;
        let said = match (feedback.says, list) {
            (FeedbackKind::UnsubscribeList, Some(list)) => (EventKind::Withdrawn, Some(list)),
            // Without a list nobody knows which one is meant: then all.
            (FeedbackKind::UnsubscribeList, None)
            | (FeedbackKind::Complaint | FeedbackKind::StopAll | FeedbackKind::Unclear, _) => {
                (EventKind::Objected, None)
            }
        };
        match self.take_back(who, &[said], &source).await? {
            TakenBack::Ambiguous => Err(AppError::invalid(Fault::at("/subject", Code::IdentifierConflict))),
            TakenBack::Recorded { .. } | TakenBack::Unchanged | TakenBack::NoSuchSubject => Ok(()),
        }
    }

    /// In whose name the client reports: its source's, or its recipient's.
    async fn feedback_source(&self, by: &Authorized<ReportFeedback>) -> Result<SourceId, AppError> {
        let client = by.actor().client();
        let name = client.and_then(|client| {
            let recipient = client.recipient.as_ref().map(ToString::to_string);
            client.source.as_ref().map(ToString::to_string).or(recipient)
        });
        match name {
            Some(name) => name.parse().map_err(AppError::internal),
            None => {
                let client = client.map(|client| client.client.clone());
                let (attempt, reason) = (RefusedAttempt::CaptureConsent, AttemptRefusal::ForeignSource);
                self.note_refusal(client, attempt, reason).await?;
                Err(AppError::Forbidden(Fault::at("", Code::SourceMismatch)))
            }
        }
    }

    fn feedback_subject(&self, who: &FeedbackSubject) -> Result<(CaptureSubject, Option<Purpose>), AppError> {
        match who {
            FeedbackSubject::Token(token) => {
                let opened = self.inner.keyring.open_unsubscribe_token(token);
                let (subject, stop) =
                    opened.map_err(|_| AppError::invalid(Fault::at("/token", Code::InvalidToken)))?;
                let list = match stop {
                    Stop::List(purpose) => Some(purpose),
                    Stop::Marketing => None,
                };
                Ok((CaptureSubject::Known(subject), list))
            }
            FeedbackSubject::Identifier(identifier) => {
                let who = identified(self, std::slice::from_ref(identifier));
                Ok((CaptureSubject::Identified(who), None))
            }
        }
    }
}
