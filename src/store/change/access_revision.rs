//! The count of everything that took a right away. Whoever remembers a right compares it before relying on that.

use crate::error::StoreError;
use crate::statement::sql;
use crate::unit_of_work::Conn;

/// Says that what is remembered of rights is out of date from this commit on.
pub(super) async fn advance(conn: &Conn<'_>) -> Result<(), StoreError> {
    let advanced = sql("UPDATE access_revision SET revision = revision + 1").execute(conn.raw()).await?;
    if advanced == 1 { Ok(()) } else { Err(StoreError::defect("the access revision is missing")) }
}
