//! Leases: of several processes, one runs a job. A lease runs out by itself, so a process that died holds nothing.

use kernel::time::Timestamp;

use crate::Store;
use crate::error::StoreError;
use crate::statement::sql;

impl Store {
    /// Takes the lease of a job for some time, or prolongs one's own. `false`: another process has it.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn try_acquire(
        &self,
        job: &str,
        holder: [u8; 16],
        now: Timestamp,
        for_ms: i64,
    ) -> Result<bool, StoreError> {
        let taken = sql("INSERT INTO lease AS l (job, holder, until) VALUES ($1, $2, $3) \
             ON CONFLICT (job) DO UPDATE SET holder = excluded.holder, until = excluded.until \
             WHERE l.holder = excluded.holder OR l.until <= $4")
        .with(job)
        .with_bytes(&holder)
        .with(now.plus_ms(for_ms).as_millis())
        .with(now.as_millis())
        .execute(self.db())
        .await?;
        Ok(taken > 0)
    }

    /// Gives one's own lease back, so that nobody has to wait for its end.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn release(&self, job: &str, holder: [u8; 16]) -> Result<(), StoreError> {
        sql("DELETE FROM lease WHERE job = $1 AND holder = $2")
            .with(job)
            .with_bytes(&holder)
            .execute(self.db())
            .await?;
        Ok(())
    }
}
