//! Uses up what may be used once: proofs of possession and client assertions. Many at a time, in one unit.

use std::collections::BTreeSet;

use kernel::time::Timestamp;

use super::{Change, sealed};
use crate::Backend;
use crate::error::StoreError;
use crate::statement::sql;
use crate::unit_of_work::{Conn, Entries, Unchanged};

/// Something that may be used once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OnceClaim {
    /// A keyed digest of it.
    pub digest: [u8; 32],
    /// Until when it has to be remembered: afterwards it is refused for its age.
    pub expires_at: Timestamp,
}

/// What is used now.
#[derive(Debug, Clone)]
pub struct ClaimOnce {
    /// Each of it.
    pub claims: Vec<OnceClaim>,
}

impl sealed::Sealed for ClaimOnce {}

impl Change for ClaimOnce {
    /// Whether each is used for the first time. Of two alike in one unit only the first is.
    type Output = Vec<bool>;
    const NAME: &'static str = "claim_once";

    async fn apply(&self, conn: &Conn<'_>) -> Result<Vec<bool>, StoreError> {
        // In one order everywhere, so that two units with the same ones do not wait for each other.
        let mut sorted: Vec<&OnceClaim> = self.claims.iter().collect();
        sorted.sort_unstable_by_key(|claim| claim.digest);
        let mut fresh: BTreeSet<[u8; 32]> = BTreeSet::new();
        match conn.backend() {
            Backend::Postgres => {
                let digests: Vec<Vec<u8>> = sorted.iter().map(|claim| claim.digest.to_vec()).collect();
                let ends: Vec<i64> = sorted.iter().map(|claim| claim.expires_at.as_millis()).collect();
                let rows = sql("INSERT INTO used_once (digest, expires_at) \
                     SELECT digest, expires_at FROM unnest($1::bytea[], $2::bigint[]) AS t (digest, expires_at) \
                     ON CONFLICT (digest) DO NOTHING RETURNING digest")
                .with(digests)
                .with(ends)
                .rows(conn.raw())
                .await?;
                for row in &rows {
                    fresh.insert(row.bytes(0)?);
                }
            }
            Backend::Sqlite => {
                for claim in sorted {
                    let inserted =
                        sql("INSERT INTO used_once (digest, expires_at) VALUES ($1, $2) ON CONFLICT DO NOTHING")
                            .with_bytes(&claim.digest)
                            .with(claim.expires_at.as_millis())
                            .execute(conn.raw())
                            .await?;
                    if inserted == 1 {
                        fresh.insert(claim.digest);
                    }
                }
            }
        }
        Ok(self.claims.iter().map(|claim| fresh.remove(&claim.digest)).collect())
    }

    fn entries(&self, _: &Vec<bool>) -> Entries {
        Entries::unchanged(Unchanged::Prepared)
    }
}
