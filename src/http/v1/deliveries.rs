//! What senders need at send time.

pub mod resolve;
