//! Version 1 of the API, by noun; one operation a file.

pub mod consents;
pub mod imports;
pub mod notices;
pub mod profiles;
pub mod records;
pub mod rights_requests;
pub mod subject;
