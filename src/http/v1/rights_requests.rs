//! What persons ask of the controller.

pub mod list;
pub mod open;
pub mod show;
pub mod view;
