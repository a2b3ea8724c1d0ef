//! Version 1 of the API, by noun; one operation a file.

pub mod consents;
pub mod deliveries;
pub mod events;
pub mod evidence;
pub mod imports;
pub mod incidents;
pub mod ledger;
pub mod notices;
pub mod profiles;
pub mod prompts;
pub mod receipts;
pub mod recipient_notices;
pub mod records;
pub mod rights_requests;
pub mod segments;
pub mod signals;
pub mod statements;
pub mod subject;
pub mod subjects;
