//! `[outgoing]`: whom the gateway itself may call.

use serde::Deserialize;

use super::Texts;

/// `[outgoing]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutgoingSettings {
    /// Hosts that may be called besides those that the configuration itself names.
    pub allowed_hosts: Texts,
    /// Hosts whose name may lead into a private network or to this machine.
    pub allow_private: Texts,
    /// How long an answer may take, in seconds.
    pub timeout_seconds: u64,
}
