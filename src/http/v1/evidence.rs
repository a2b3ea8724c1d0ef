//! Evidence that outlives the person it is about.

pub mod show;
