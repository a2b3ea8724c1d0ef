//! The rows of the tables that are written rarely, as sea-orm entities. The busy ones are spoken to in `change`
//! and `query` directly, where measurement showed that it pays.

pub(crate) mod client;
pub(crate) mod disclosure;
pub(crate) mod ledger_checkpoint;
pub(crate) mod notice;
pub(crate) mod policy_current;
pub(crate) mod policy_version;
pub(crate) mod rights_event;
pub(crate) mod rights_request;
pub(crate) mod suppression;
