//! Files of a source: preview, look, apply, discard.

pub mod apply;
mod cells;
pub mod discard;
pub mod show;
pub mod upload;
pub mod view;
