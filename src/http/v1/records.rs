//! What sources know of persons.

pub mod ingest;
