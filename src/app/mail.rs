//! Mail to persons: letters that a use case wrote into the outbox, delivered by whatever [`Post`] the edge brought.

mod courier;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use kernel::letter::{Letter, LetterId};
use kernel::time::Timestamp;

use crate::error::AppError;
use crate::gateway::Gateway;

/// A letter on its way out. Handed over again after a failure it is the same to the byte, under the same id.
pub struct Outgoing {
    /// Its id: the local part of its `Message-ID`.
    pub id: LetterId,
    /// When it was written.
    pub at: Timestamp,
    /// What it says, and to whom.
    pub letter: Letter,
}

impl std::fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outgoing").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Why a letter was not taken. No word of the other side is kept: it may quote the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PostError {
    /// The reply code, if there was a reply (RFC 5321 §4.2).
    pub code: Option<u16>,
    /// Whether trying again cannot help.
    pub is_permanent: bool,
    /// What went wrong, in fixed words.
    pub reason: &'static str,
}

/// The answer of a [`Post`], when it comes.
pub type Posted<'a> = Pin<Box<dyn Future<Output = Result<(), PostError>> + Send + 'a>>;

/// Hands letters to a mail server.
pub trait Post: Send + Sync {
    /// Hands one over. `Ok` means that the server took it.
    fn deliver<'a>(&'a self, outgoing: &'a Outgoing) -> Posted<'a>;
}

/// The state of the queue of mail.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MailState {
    /// Whether there is a mail server to hand letters to.
    pub is_configured: bool,
    /// Letters that wait.
    pub queued: u64,
    /// How long the oldest of them has waited, in milliseconds.
    pub oldest_ms: i64,
    /// Letters that were refused for good.
    pub failed: u64,
}

impl Gateway {
    /// Says who delivers the letters. Only the first one counts.
    pub fn deliver_by(&self, post: Arc<dyn Post>) {
        if self.inner.post.set(post).is_err() {
            tracing::warn!("there is somebody who delivers letters already");
        }
    }

    /// Whether there is somebody who delivers letters. Without, they wait.
    #[must_use]
    pub fn delivers_mail(&self) -> bool {
        self.inner.post.get().is_some()
    }

    /// The state of the queue of mail.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn mail_state(&self) -> Result<MailState, AppError> {
        let queue = self.inner.store.mail_queue().await?;
        let now = self.now();
        Ok(MailState {
            is_configured: self.delivers_mail(),
            queued: queue.queued,
            oldest_ms: queue.oldest.map_or(0, |oldest| now.since_ms(oldest).max(0)),
            failed: queue.failed,
        })
    }
}
