//! The few connections that every capture and every look-up passes through on PostgreSQL.
//!
//! A pool hands its connections out in turn, and a server's process that has just served a table does it again for a
//! fraction of the cost of one that has not for a while. So the last ones used are kept at hand and used first. They
//! are kept for the runtime on which they were opened: an answer that arrives there wakes the thread that waits for it
//! and no other. Where all of them are taken, the pool lends one.

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sqlx::pool::PoolConnection;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, PgConnection, PgPool, Postgres};
use tokio::runtime::{self, Handle};

use crate::error::{StoreError, from_sqlx};

/// How long a connection is believed to live without a sign of life.
const FRESH: Duration = Duration::from_secs(10);
/// How long a connection rests before another runtime may have its place.
const RESTED: Duration = Duration::from_secs(1);
/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(10);
/// The most connections at hand.
const MOST: u32 = 8;

/// How many of the connections that may be held are kept at hand: a quarter, and at the most eight.
pub(crate) const fn share_of(max_connections: u32) -> u32 {
    let quarter = max_connections / 4;
    if quarter < MOST { quarter } else { MOST }
}

/// Connections at hand, the last used on top.
#[derive(Debug)]
pub(crate) struct HotConnections {
    options: Option<PgConnectOptions>,
    most: usize,
    open: Arc<AtomicUsize>,
    idle: Mutex<Vec<Idle>>,
}

#[derive(Debug)]
struct Idle {
    home: runtime::Id,
    used: Instant,
    connection: Own,
}

/// A connection of our own, with its place among them.
#[derive(Debug)]
pub(crate) struct Own {
    connection: PgConnection,
    place: Place,
}

/// One of the places for connections at hand, from before it is opened until it is dropped.
#[derive(Debug)]
struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection to use once. One that is dropped instead of put back is closed, or returns to the pool, which tests it.
#[derive(Debug)]
pub(crate) enum HotConnection {
    /// Kept at hand, for the runtime it names.
    Own(runtime::Id, Own),
    /// Lent by the pool.
    Lent(PoolConnection<Postgres>),
}

impl Deref for HotConnection {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        match self {
            Self::Own(_, own) => &own.connection,
            Self::Lent(lent) => lent,
        }
    }
}

impl DerefMut for HotConnection {
    fn deref_mut(&mut self) -> &mut PgConnection {
        match self {
            Self::Own(_, own) => &mut own.connection,
            Self::Lent(lent) => lent,
        }
    }
}

impl HotConnections {
    /// Keeps at the most so many, opened with these options.
    pub(crate) fn new(options: Option<PgConnectOptions>, most: u32) -> Self {
        let most = usize::try_from(most).unwrap_or_default();
        Self { options, most, open: Arc::new(AtomicUsize::new(0)), idle: Mutex::new(Vec::new()) }
    }

    /// Takes a connection.
    pub(crate) async fn take(&self, pool: &PgPool) -> Result<HotConnection, StoreError> {
        let here = Handle::try_current().map_err(|_| StoreError::Unavailable)?.id();
        if let Some(own) = self.at_hand(here) {
            return Ok(HotConnection::Own(here, own));
        }
        match (&self.options, self.place()) {
            (Some(options), Some(place)) => {
                let connecting = tokio::time::timeout(CONNECT, PgConnection::connect_with(options)).await;
                match connecting.map_err(|_| StoreError::Unavailable)? {
                    Ok(connection) => Ok(HotConnection::Own(here, Own { connection, place })),
                    Err(error) => Err(from_sqlx(&error)),
                }
            }
            _ => pool.acquire().await.map(HotConnection::Lent).map_err(|error| from_sqlx(&error)),
        }
    }

    /// The last used connection of a runtime. What rested too long is closed.
    fn at_hand(&self, here: runtime::Id) -> Option<Own> {
        let mut idle = self.idle();
        idle.retain(|one| one.used.elapsed() < FRESH);
        let at = idle.iter().rposition(|one| one.home == here)?;
        Some(idle.remove(at).connection)
    }

    /// A place for one more, if need be that of one which another runtime has not used for a while.
    fn place(&self) -> Option<Place> {
        let taken = self.open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |open| {
            if open < self.most { Some(open + 1) } else { None }
        });
        if taken.is_ok() {
            return Some(Place(Arc::clone(&self.open)));
        }
        let mut idle = self.idle();
        let at = idle.iter().position(|one| one.used.elapsed() >= RESTED)?;
        Some(idle.remove(at).connection.place)
    }

    /// Puts a connection back on which everything went well.
    pub(crate) fn put_back(&self, connection: HotConnection) {
        if let HotConnection::Own(home, connection) = connection {
            self.idle().push(Idle { home, used: Instant::now(), connection });
        }
    }

    /// Closes all that rest.
    pub(crate) fn clear(&self) {
        let idle = std::mem::take(&mut *self.idle());
        drop(idle);
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
