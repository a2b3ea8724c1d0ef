//! Asking for a confirmation (double opt-in): the token's digest, the letter that carries the token, and the bounds on
//! how often somebody is written to. All of it is part of the unit that records the request: there is no request
//! without its letter, and no letter without its request.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use kernel::id::ReceiptId;
use kernel::letter::{Letter, LetterId, Wording};
use kernel::subject::SubjectId;
use kernel::time::Timestamp;

use crate::Backend;
use crate::error::StoreError;
use crate::statement::{Row, sql};
use crate::unit_of_work::Conn;

/// What a confirmation needs.
#[derive(Clone)]
pub struct ConfirmationRequest {
    /// The keyed digest of the token. The token itself is in the letter alone.
    pub token: [u8; 32],
    /// Until when the token is good.
    pub expires_at: Timestamp,
    /// The letter's id.
    pub id: LetterId,
    /// The letter.
    pub letter: Letter,
    /// What the letter says, without what is the person's own.
    pub wording: Wording,
    /// Each must have room for one more letter, or none is written. The answer to the post does not tell.
    pub quotas: Vec<Quota>,
}

impl fmt::Debug for ConfirmationRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfirmationRequest").field("id", &self.id).finish_non_exhaustive()
    }
}

/// How many letters may be caused under a key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// A keyed digest of what is counted: an address, a machine.
    pub key: [u8; 32],
    /// The most in any window.
    pub most: u32,
    /// The length of the window, in milliseconds.
    pub window_ms: i64,
    /// The least time from one to the next, in milliseconds.
    pub gap_ms: i64,
}

impl fmt::Debug for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Quota").field("most", &self.most).finish_non_exhaustive()
    }
}

impl Quota {
    fn admits(&self, used: &Used, now: Timestamp) -> bool {
        let since = |at: i64| now.since_ms(Timestamp::from_millis(at));
        let counted = used.times.iter().filter(|at| since(**at) < self.window_ms).count();
        let is_apart = used.times.iter().all(|at| since(*at) >= self.gap_ms);
        counted < usize::try_from(self.most).unwrap_or(usize::MAX) && is_apart
    }
}

/// What was used of a quota.
#[derive(Default)]
struct Used {
    /// When, in milliseconds; as it is stored and as it will be.
    stored: Vec<u8>,
    times: Vec<i64>,
    until: i64,
    is_new: bool,
}

/// A request whose letter is sealed.
pub(super) struct Sealed<'a> {
    pub(super) request: &'a ConfirmationRequest,
    pub(super) subject: SubjectId,
    pub(super) receipt: ReceiptId,
    pub(super) sealed: Vec<u8>,
}

/// Writes requests for confirmation. Tells for which no letter was written, because somebody was written to enough.
pub(super) async fn write(
    conn: &Conn<'_>,
    at: Timestamp,
    requests: Vec<Sealed<'_>>,
) -> Result<BTreeSet<ReceiptId>, StoreError> {
    let mut held_back = BTreeSet::new();
    if requests.is_empty() {
        return Ok(held_back);
    }
    let keys: BTreeSet<_> =
        requests.iter().flat_map(|sealed| sealed.request.quotas.iter().map(|quota| quota.key)).collect();
    let mut used = find_used(conn, &keys).await?;
    for sealed in &requests {
        let request = sealed.request;
        let admitted =
            request.quotas.iter().all(|quota| used.get(&quota.key).is_none_or(|used| quota.admits(used, at)));
        if admitted {
            for quota in &request.quotas {
                use_up(used.entry(quota.key).or_default(), quota, at);
            }
            insert_letter(conn, sealed, at).await?;
        } else {
            held_back.insert(sealed.receipt);
        }
        insert_confirmation(conn, sealed, at, admitted).await?;
    }
    for (key, used) in used.iter().filter(|(_, used)| used.is_new) {
        put_used(conn, key, used).await?;
    }
    Ok(held_back)
}

fn use_up(used: &mut Used, quota: &Quota, at: Timestamp) {
    let longest = quota.window_ms.max(quota.gap_ms);
    used.times.retain(|time| at.since_ms(Timestamp::from_millis(*time)) < longest);
    used.times.push(at.as_millis());
    used.until = used.until.max(at.plus_ms(longest).as_millis());
    used.is_new = true;
}

/// Locked in the order of their keys, so that two batches wait for each other in one direction only.
async fn find_used(conn: &Conn<'_>, keys: &BTreeSet<[u8; 32]>) -> Result<BTreeMap<[u8; 32], Used>, StoreError> {
    let mut rows: Vec<Row> = Vec::new();
    match conn.backend() {
        Backend::Postgres => {
            let keys: Vec<_> = keys.iter().map(|key| key.to_vec()).collect();
            rows = sql(
                "SELECT key, times, until FROM mail_quota WHERE key = ANY($1::bytea[]) ORDER BY key FOR UPDATE",
            )
            .with(keys)
            .rows(conn.raw())
            .await?;
        }
        Backend::Sqlite => {
            for key in keys {
                let found = sql("SELECT key, times, until FROM mail_quota WHERE key = $1").with_bytes(key);
                rows.extend(found.row(conn.raw()).await?);
            }
        }
    }
    rows.iter()
        .map(|row| {
            let stored: Vec<u8> = row.get(1)?;
            let (times, rest) = stored.as_chunks::<8>();
            if !rest.is_empty() {
                return Err(StoreError::Tampered);
            }
            let times = times.iter().map(|time| i64::from_be_bytes(*time)).collect();
            Ok((row.bytes(0)?, Used { times, stored, until: row.get(2)?, is_new: false }))
        })
        .collect()
}

/// When another unit used the same quota for the first time meanwhile, everything is begun anew and finds it.
async fn put_used(conn: &Conn<'_>, key: &[u8; 32], used: &Used) -> Result<(), StoreError> {
    let times: Vec<u8> = used.times.iter().flat_map(|time| time.to_be_bytes()).collect();
    let put = sql("INSERT INTO mail_quota AS q (key, times, until) VALUES ($1, $2, $3) \
         ON CONFLICT (key) DO UPDATE SET times = excluded.times, until = excluded.until WHERE q.times = $4")
    .with_bytes(key)
    .with(times)
    .with(used.until)
    .with_bytes(&used.stored)
    .execute(conn.raw())
    .await?;
    if put == 1 { Ok(()) } else { Err(StoreError::Busy) }
}

async fn insert_letter(conn: &Conn<'_>, sealed: &Sealed<'_>, at: Timestamp) -> Result<(), StoreError> {
    let request = sealed.request;
    sql("INSERT INTO outbox (subject_id, id, sealed, created_at, expires_at, next_attempt_at, attempts) \
         VALUES ($1, $2, $3, $4, $5, $4, 0)")
    .with_bytes(sealed.subject.as_bytes())
    .with_bytes(request.id.as_bytes())
    .with_bytes(&sealed.sealed)
    .with(at.as_millis())
    .with(request.expires_at.as_millis())
    .execute(conn.raw())
    .await?;
    sql("INSERT INTO wording (digest, locale, text, first_used_at) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (digest) DO NOTHING")
    .with_bytes(request.wording.digest().as_bytes())
    .with(request.wording.locale.as_str())
    .with(request.wording.text.as_str())
    .with(at.as_millis())
    .execute(conn.raw())
    .await?;
    Ok(())
}

/// Also where no letter goes out: the request waits like any other, and is purged like any other.
async fn insert_confirmation(
    conn: &Conn<'_>,
    sealed: &Sealed<'_>,
    at: Timestamp,
    has_letter: bool,
) -> Result<(), StoreError> {
    let request = sealed.request;
    sql(
        "INSERT INTO confirmation (token, subject_id, receipt, locale, requested_at, expires_at, letter, wording) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .with_bytes(&request.token)
    .with_bytes(sealed.subject.as_bytes())
    .with_bytes(sealed.receipt.as_bytes())
    .with(request.letter.locale.as_str())
    .with(at.as_millis())
    .with(request.expires_at.as_millis())
    .with(has_letter.then(|| request.id.as_bytes().to_vec()))
    .with_bytes(request.wording.digest().as_bytes())
    .execute(conn.raw())
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_counts_within_its_window_and_keeps_its_gap() {
        let quota = Quota { key: [7; 32], most: 2, window_ms: 1_000, gap_ms: 100 };
        let at = Timestamp::from_millis;
        let mut used = Used::default();
        assert!(quota.admits(&used, at(0)));
        use_up(&mut used, &quota, at(0));
        assert!(!quota.admits(&used, at(99)) && quota.admits(&used, at(100)));
        use_up(&mut used, &quota, at(100));
        assert!(!quota.admits(&used, at(999)));
        assert!(quota.admits(&used, at(1_000)));
        use_up(&mut used, &quota, at(1_000));
        assert_eq!((used.times.as_slice(), used.until), (&[100, 1_000][..], 2_000));
    }
}
