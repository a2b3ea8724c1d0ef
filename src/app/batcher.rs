//! Group commit: concurrent writes are gathered and committed together, and each is answered after the commit.
//!
//! One fsync then serves many requests. There is no timer: what waits while nothing is in work is a batch at once, so
//! a lone request is not delayed; beside a batch in work another begins only when it is worth its cost.

use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use crate::error::AppError;

type Waiting<T, R> = (T, oneshot::Sender<Result<R, AppError>>);

/// How much is done together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BatchSize {
    /// How many batches are in work at once.
    pub(crate) at_once: usize,
    /// How many items make it worth to begin a batch beside one that is in work.
    pub(crate) worthwhile: usize,
    /// The most items of a batch.
    pub(crate) most: usize,
}

/// Hands items to a few writers and waits for the answer.
#[derive(Debug)]
pub(crate) struct Batcher<T, R> {
    queue: mpsc::Sender<Waiting<T, R>>,
}

impl<T: Send + 'static, R: Send + 'static> Batcher<T, R> {
    /// Starts to gather. At most `16 × most` items wait: then submitting waits, which is the back-pressure.
    pub(crate) fn start<W, F>(runtime: &Handle, size: BatchSize, write: W) -> Self
    where
        W: Fn(Vec<T>) -> F + Send + 'static,
        F: Future<Output = Vec<Result<R, AppError>>> + Send + 'static,
    {
        let (queue, waiting) = mpsc::channel(size.most.saturating_mul(16));
        runtime.spawn(gather(waiting, size, write));
        Self { queue }
    }

    /// Submits one item and waits until it is committed or refused.
    pub(crate) async fn submit(&self, item: T) -> Result<R, AppError> {
        let (caller, answer) = oneshot::channel();
        self.queue.send((item, caller)).await.map_err(|_| AppError::Unavailable)?;
        answer.await.map_err(|_| AppError::Unavailable)?
    }
}

async fn gather<T, R, W, F>(mut waiting: mpsc::Receiver<Waiting<T, R>>, size: BatchSize, write: W)
where
    T: Send + 'static,
    R: Send + 'static,
    W: Fn(Vec<T>) -> F,
    F: Future<Output = Vec<Result<R, AppError>>> + Send + 'static,
{
    let mut in_work = JoinSet::new();
    let mut batch = Vec::with_capacity(size.most);
    let mut is_open = true;
    while is_open || !batch.is_empty() || !in_work.is_empty() {
        let needed = match in_work.len() {
            0 => 1,
            _ if !is_open => 1,
            begun if begun < size.at_once => size.worthwhile.max(1),
            _ => usize::MAX,
        };
        if batch.len() >= needed {
            let (items, callers): (Vec<_>, Vec<_>) = batch.drain(..).unzip();
            let written = write(items);
            in_work.spawn(async move { answer(callers, written.await) });
            continue;
        }
        let room = size.most.saturating_sub(batch.len());
        tokio::select! {
            // A batch that panicked has let its callers go: they are told that nothing is known of their items.
            _ended = in_work.join_next(), if !in_work.is_empty() => {}
            taken = waiting.recv_many(&mut batch, room), if is_open && room > 0 => is_open = taken > 0,
        }
    }
}

fn answer<R>(callers: Vec<oneshot::Sender<Result<R, AppError>>>, results: Vec<Result<R, AppError>>) {
    for (caller, result) in callers.into_iter().zip(results) {
        // A caller that went away does not need its answer; what it asked for is done.
        let _gone = caller.send(result);
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use std::sync::{Arc, Mutex};

    use tokio::sync::Semaphore;

    use super::*;

    type Noted = Arc<Mutex<Vec<Vec<u32>>>>;

    /// A batcher of numbers whose batches are noted, and end only when they are let go.
    fn held(size: BatchSize) -> (Batcher<u32, u32>, Noted, Arc<Semaphore>) {
        let (begun, go) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Semaphore::new(0)));
        let (noted, gate) = (Arc::clone(&begun), Arc::clone(&go));
        let batcher = Batcher::start(&Handle::current(), size, move |items: Vec<u32>| {
            noted.lock().unwrap().push(items.clone());
            let gate = Arc::clone(&gate);
            async move {
                gate.acquire().await.unwrap().forget();
                items.into_iter().map(|item| Ok(item * 2)).collect()
            }
        });
        (batcher, begun, go)
    }

    async fn settle() {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_lone_item_does_not_wait_and_a_second_batch_waits_until_it_is_worth_it() {
        let size = BatchSize { at_once: 2, worthwhile: 3, most: 4 };
        let (batcher, begun, go) = held(size);
        let batcher = Arc::new(batcher);
        let submit = |item| {
            let batcher = Arc::clone(&batcher);
            tokio::spawn(async move { batcher.submit(item).await.unwrap() })
        };
        let mut answers = vec![submit(1)];
        settle().await;
        assert_eq!(*begun.lock().unwrap(), [vec![1]]);
        answers.extend([submit(2), submit(3)]);
        settle().await;
        assert_eq!(begun.lock().unwrap().len(), 1);
        answers.push(submit(4));
        settle().await;
        assert_eq!(*begun.lock().unwrap(), [vec![1], vec![2, 3, 4]]);
        // Two are in work: what comes now waits, and no more than fits is taken in one.
        answers.extend((5..=9).map(submit));
        settle().await;
        assert_eq!(begun.lock().unwrap().len(), 2);
        go.add_permits(9);
        for (at, answer) in answers.into_iter().enumerate() {
            assert_eq!(answer.await.unwrap(), 2 * (u32::try_from(at).unwrap() + 1));
        }
        assert!(begun.lock().unwrap().iter().all(|batch| batch.len() <= 4));
    }

    #[tokio::test]
    async fn what_waits_when_the_last_caller_leaves_is_done_nevertheless() {
        let (batcher, begun, go) = held(BatchSize { at_once: 1, worthwhile: 8, most: 8 });
        let batcher = Arc::new(batcher);
        let submit = |item| {
            let batcher = Arc::clone(&batcher);
            tokio::spawn(async move { batcher.submit(item).await.unwrap() })
        };
        let (first, second) = (submit(1), submit(2));
        settle().await;
        drop(batcher);
        go.add_permits(2);
        assert_eq!((first.await.unwrap(), second.await.unwrap()), (2, 4));
        assert!(!begun.lock().unwrap().is_empty());
    }
}
