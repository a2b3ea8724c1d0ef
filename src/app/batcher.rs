//! Group commit: concurrent writes are gathered and committed together, and each is answered after the commit.
//!
//! One fsync then serves many requests. There is no timer: whatever waits when a writer becomes free is its batch, so
//! a lone request is not delayed.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::{Mutex, mpsc, oneshot};

use crate::error::AppError;

type Waiting<T, R> = (T, oneshot::Sender<Result<R, AppError>>);

/// Hands items to a few writers and waits for the answer.
#[derive(Debug)]
pub(crate) struct Batcher<T, R> {
    queue: mpsc::Sender<Waiting<T, R>>,
}

impl<T: Send + 'static, R: Send + 'static> Batcher<T, R> {
    /// Starts `writers` tasks that take up to `most` items at a time. At most `16 × most` items wait: then submitting
    /// waits, which is the back-pressure.
    pub(crate) fn start<W, F>(runtime: &Handle, writers: usize, most: usize, write: W) -> Self
    where
        W: Fn(Vec<T>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Vec<Result<R, AppError>>> + Send,
    {
        let (queue, waiting) = mpsc::channel::<Waiting<T, R>>(most.saturating_mul(16));
        let waiting = Arc::new(Mutex::new(waiting));
        for _ in 0..writers {
            let (waiting, write) = (Arc::clone(&waiting), write.clone());
            runtime.spawn(async move {
                let mut batch = Vec::with_capacity(most);
                loop {
                    let taken = waiting.lock().await.recv_many(&mut batch, most).await;
                    if taken == 0 {
                        return;
                    }
                    let (items, callers): (Vec<_>, Vec<_>) = batch.drain(..).unzip();
                    for (caller, result) in callers.into_iter().zip(write(items).await) {
                        // A caller that went away does not need its answer; what it asked for is done.
                        let _gone = caller.send(result);
                    }
                }
            });
        }
        Self { queue }
    }

    /// Submits one item and waits until it is committed or refused.
    pub(crate) async fn submit(&self, item: T) -> Result<R, AppError> {
        let (caller, answer) = oneshot::channel();
        self.queue.send((item, caller)).await.map_err(|_| AppError::Unavailable)?;
        answer.await.map_err(|_| AppError::Unavailable)?
    }
}
