//! The few connections that every capture and every look-up passes through on PostgreSQL.
//!
//! A pool hands its connections out in turn, and a server's process that has just served a table does it again for a
//! fraction of the cost of one that has not for a while. So the last ones used are kept at hand and used first. They
//! stay connections of the pool: what was left in the middle of something goes back to it and is tested there.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::pool::PoolConnection;
use sqlx::{PgPool, Postgres};

use crate::error::{StoreError, from_sqlx};

/// How long a connection is believed to live without a sign of life.
const FRESH: Duration = Duration::from_secs(10);

/// Connections at hand, the last used on top.
#[derive(Debug)]
pub(crate) struct HotConnections {
    most: usize,
    idle: Mutex<Vec<(Instant, PoolConnection<Postgres>)>>,
}

impl HotConnections {
    /// Keeps at the most a quarter of the pool's connections, and no more than four.
    pub(crate) fn of(max_connections: u32) -> Self {
        let quarter = usize::try_from(max_connections / 4).unwrap_or_default();
        Self { most: quarter.min(4), idle: Mutex::new(Vec::new()) }
    }

    /// Takes a connection. One that is dropped instead of put back returns to the pool.
    pub(crate) async fn take(&self, pool: &PgPool) -> Result<PoolConnection<Postgres>, StoreError> {
        let at_hand = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        match at_hand {
            Some((used, connection)) if used.elapsed() < FRESH => Ok(connection),
            // What rested too long returns to the pool, as does what rested below it.
            Some(_) => {
                self.clear();
                pool.acquire().await.map_err(|error| from_sqlx(&error))
            }
            None => pool.acquire().await.map_err(|error| from_sqlx(&error)),
        }
    }

    /// Puts a connection back on which everything went well.
    pub(crate) fn put_back(&self, connection: PoolConnection<Postgres>) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < self.most {
            idle.push((Instant::now(), connection));
        }
    }

    /// Returns all to the pool.
    pub(crate) fn clear(&self) {
        let idle = std::mem::take(&mut *self.idle.lock().unwrap_or_else(PoisonError::into_inner));
        drop(idle);
    }
}

impl Drop for HotConnections {
    fn drop(&mut self) {
        // Returning to a pool takes a runtime, and the last store may be dropped after it: these are closed instead.
        let idle = std::mem::take(self.idle.get_mut().unwrap_or_else(PoisonError::into_inner));
        for (_, connection) in idle {
            drop(connection.leak());
        }
    }
}
