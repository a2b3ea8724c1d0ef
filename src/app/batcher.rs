//! Group commit: concurrent writes are gathered and committed together, and each is answered after the commit.
//!
//! One fsync then serves many requests. There is no timer: what waits while nothing is in work is a batch at once, so
//! a lone request is not delayed; beside a batch in work another begins only when it is worth its cost.
//!
//! Waking another thread costs more than reading a row. So where many writers may be at work, every runtime gathers for
//! itself: the server's workers have one each, of one thread, which then reads the request, does the batch and answers.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use tokio::runtime::{self, Handle};
use tokio::sync::{Semaphore, oneshot};

use crate::error::AppError;

type Answer<R> = oneshot::Sender<Result<R, AppError>>;
type Results<R> = Pin<Box<dyn Future<Output = Vec<Result<R, AppError>>> + Send>>;
/// A lane, and the runtime whose it is; no name: everybody's.
type NamedLane<T, R> = (Option<runtime::Id>, Arc<Lane<T, R>>);
type Work<T, R> = dyn Fn(Vec<T>) -> Results<R> + Send + Sync;

/// How much is done together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BatchSize {
    /// How many batches are in work at once, where they are gathered.
    pub(crate) at_once: usize,
    /// How many items make it worth to begin a batch beside one that is in work.
    pub(crate) worthwhile: usize,
    /// The most items of a batch.
    pub(crate) most: usize,
}

/// Where items are gathered.
#[derive(Debug, Clone)]
pub(crate) enum Gathered {
    /// All together, on this runtime: for what can be written one after the other only.
    Together(Handle),
    /// On each runtime those that were submitted there.
    Apart,
}

/// The most runtimes that gather for themselves; the rest share.
const MOST_LANES: usize = 64;

/// Hands items over in batches and waits for the answer.
pub(crate) struct Batcher<T, R> {
    gathered: Gathered,
    size: BatchSize,
    work: Arc<Work<T, R>>,
    lanes: RwLock<Vec<NamedLane<T, R>>>,
}

impl<T, R> std::fmt::Debug for Batcher<T, R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batcher").field("size", &self.size).finish_non_exhaustive()
    }
}

impl<T: Send + 'static, R: Send + 'static> Batcher<T, R> {
    /// Starts to gather. At most `16 × most` items wait in one place: then submitting waits, which is the
    /// back-pressure.
    pub(crate) fn new<W, F>(gathered: Gathered, size: BatchSize, work: W) -> Self
    where
        W: Fn(Vec<T>) -> F + Send + Sync + 'static,
        F: Future<Output = Vec<Result<R, AppError>>> + Send + 'static,
    {
        let work = Arc::new(move |items| Box::pin(work(items)) as Results<R>);
        Self { gathered, size, work, lanes: RwLock::default() }
    }

    /// Submits one item and waits until it is committed or refused. What was submitted is done, even if nobody waits
    /// for it any more.
    pub(crate) async fn submit(&self, item: T) -> Result<R, AppError> {
        let (handle, lane) = self.place()?;
        lane.room.acquire().await.map_err(|_| AppError::Unavailable)?.forget();
        let (caller, answer) = oneshot::channel();
        if lane.put((item, caller), self.size) {
            handle.spawn(work_off(Turn { lane, is_over: false }, self.size, Arc::clone(&self.work)));
        }
        answer.await.map_err(|_| AppError::Unavailable)?
    }

    /// Where this caller's items are gathered, and what runs the batches.
    fn place(&self) -> Result<(Handle, Arc<Lane<T, R>>), AppError> {
        let (handle, name) = match &self.gathered {
            Gathered::Together(handle) => (handle.clone(), None),
            Gathered::Apart => {
                let handle = Handle::try_current().map_err(AppError::internal)?;
                let id = handle.id();
                (handle, Some(id))
            }
        };
        let known = {
            let lanes = self.lanes.read().unwrap_or_else(PoisonError::into_inner);
            lanes.iter().find(|(other, _)| *other == name).map(|(_, lane)| Arc::clone(lane))
        };
        Ok((handle, known.unwrap_or_else(|| self.open_lane(name))))
    }

    fn open_lane(&self, name: Option<runtime::Id>) -> Arc<Lane<T, R>> {
        let mut lanes = self.lanes.write().unwrap_or_else(PoisonError::into_inner);
        let name = if lanes.len() < MOST_LANES { name } else { None };
        match lanes.iter().find(|(other, _)| *other == name) {
            Some((_, lane)) => Arc::clone(lane),
            None => {
                let lane = Arc::new(Lane::new(self.size));
                lanes.push((name, Arc::clone(&lane)));
                lane
            }
        }
    }
}

/// What waits in one place.
struct Lane<T, R> {
    queue: Mutex<Queue<T, R>>,
    room: Semaphore,
}

struct Queue<T, R> {
    waiting: Vec<(T, Answer<R>)>,
    in_work: usize,
    /// Whether a batch was begun that has not taken its items yet: whoever comes now is of it.
    is_beginning: bool,
}

impl<T, R> Lane<T, R> {
    fn new(size: BatchSize) -> Self {
        let queue = Queue { waiting: Vec::with_capacity(size.most), in_work: 0, is_beginning: false };
        Self { queue: Mutex::new(queue), room: Semaphore::new(size.most.saturating_mul(16)) }
    }

    fn queue(&self) -> MutexGuard<'_, Queue<T, R>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets an item wait, and says whether a batch is to be begun.
    fn put(&self, item: (T, Answer<R>), size: BatchSize) -> bool {
        let mut queue = self.queue();
        queue.waiting.push(item);
        let begins = !queue.is_beginning && queue.in_work < size.at_once && queue.is_worth_it(queue.in_work, size);
        if begins {
            queue.is_beginning = true;
            queue.in_work += 1;
        }
        begins
    }

    /// The items of the next batch. Where there are none that are worth one, the turn is over.
    fn take(&self, turn: &mut bool, size: BatchSize) -> Option<Vec<(T, Answer<R>)>> {
        let mut queue = self.queue();
        queue.is_beginning = false;
        if !queue.is_worth_it(queue.in_work.saturating_sub(1), size) {
            queue.in_work = queue.in_work.saturating_sub(1);
            *turn = true;
            return None;
        }
        let many = queue.waiting.len().min(size.most);
        let items: Vec<_> = queue.waiting.drain(..many).collect();
        drop(queue);
        self.room.add_permits(many);
        Some(items)
    }
}

impl<T, R> Queue<T, R> {
    /// Whether what waits is worth a batch beside so many others.
    fn is_worth_it(&self, others: usize, size: BatchSize) -> bool {
        let needed = if others == 0 { 1 } else { size.worthwhile.max(1) };
        self.waiting.len() >= needed
    }
}

/// A task that does batches, one after the other, while there are any.
struct Turn<T, R> {
    lane: Arc<Lane<T, R>>,
    is_over: bool,
}

impl<T, R> Drop for Turn<T, R> {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        // A batch that panicked, or whose runtime ends, has let its callers go: they are told that nothing is known of
        // their items. If nobody else is at work, nobody would ever take those who wait.
        let mut queue = self.lane.queue();
        queue.is_beginning = false;
        queue.in_work = queue.in_work.saturating_sub(1);
        if queue.in_work == 0 {
            let many = queue.waiting.len();
            queue.waiting.clear();
            self.lane.room.add_permits(many);
        }
    }
}

async fn work_off<T, R>(mut turn: Turn<T, R>, size: BatchSize, work: Arc<Work<T, R>>) {
    let lane = Arc::clone(&turn.lane);
    while let Some(batch) = lane.take(&mut turn.is_over, size) {
        let (items, callers): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
        for (caller, result) in callers.into_iter().zip(work(items).await) {
            // A caller that went away does not need its answer; what it asked for is done.
            let _gone = caller.send(result);
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use std::sync::{Arc, Mutex};

    use tokio::sync::Semaphore;

    use super::*;

    /// The batches that were begun, in order.
    type Begun = Arc<Mutex<Vec<Vec<u32>>>>;

    /// A batcher of numbers whose batches are noted, and end only when they are let go.
    fn held(size: BatchSize) -> (Batcher<u32, u32>, Begun, Arc<Semaphore>) {
        let (begun, go) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Semaphore::new(0)));
        let (noted, gate) = (Arc::clone(&begun), Arc::clone(&go));
        let batcher = Batcher::new(Gathered::Together(Handle::current()), size, move |items: Vec<u32>| {
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
