//! `[limits]`: how often, how many at once.

use std::collections::HashMap;

use app::Quota;
use kernel::client::ClientId;
use serde::Deserialize;

use super::{ConfigError, Networks};

/// `[limits]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitSettings {
    /// Machines that are not counted one by one.
    pub exempt: Networks,
    /// Pages and documents that anybody fetches.
    pub pages: QuotaSettings,
    /// The published ledger.
    pub ledger: QuotaSettings,
    /// What anybody posts.
    pub posts: QuotaSettings,
    /// Unsubscribing and the preference page.
    pub withdrawals: QuotaSettings,
    /// The OAuth endpoints, and credentials that are not good.
    pub tokens: QuotaSettings,
    /// The forms of the console.
    pub sign_in: QuotaSettings,
    /// Grants for one address.
    pub address: QuotaSettings,
    /// Reads of one client.
    pub lookups: QuotaSettings,
    /// Bulk pulls of one client.
    pub pulls: QuotaSettings,
    /// Writes of one client.
    pub writes: QuotaSettings,
    /// The most requests of one client at once; 0: unbounded.
    pub client_at_once: u32,
    /// The most bulk pulls of one client at once; 0: unbounded.
    pub client_pulls_at_once: u32,
    /// The most bulk pulls at once; 0: unbounded.
    pub pulls_at_once: u32,
    /// What is different for single clients.
    #[serde(default)]
    pub clients: HashMap<String, ClientLimits>,
}

/// A quota of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuotaSettings {
    /// How many a minute in the long run; 0: unbounded.
    pub per_minute: u32,
    /// How many at once.
    pub burst: u32,
}

impl From<QuotaSettings> for Quota {
    fn from(settings: QuotaSettings) -> Self {
        Self { per_minute: settings.per_minute, burst: settings.burst }
    }
}

/// `[limits.clients.NAME]`: what is not said is as for every client.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClientLimits {
    /// Reads.
    pub lookups: Option<QuotaSettings>,
    /// Bulk pulls.
    pub pulls: Option<QuotaSettings>,
    /// Writes.
    pub writes: Option<QuotaSettings>,
    /// Requests at once.
    pub at_once: Option<u32>,
    /// Bulk pulls at once.
    pub pulls_at_once: Option<u32>,
}

impl LimitSettings {
    /// Whether the quotas can be kept.
    ///
    /// # Errors
    /// When a rate has no burst, so that nothing would ever be let through, or a client cannot have that name.
    pub fn check(&self) -> Result<(), ConfigError> {
        let fault = |key| Err(ConfigError::Value { key, reason: "a rate needs a burst of at least 1".to_owned() });
        let quotas = [
            ("limits.pages", self.pages),
            ("limits.ledger", self.ledger),
            ("limits.posts", self.posts),
            ("limits.withdrawals", self.withdrawals),
            ("limits.tokens", self.tokens),
            ("limits.sign_in", self.sign_in),
            ("limits.address", self.address),
            ("limits.lookups", self.lookups),
            ("limits.pulls", self.pulls),
            ("limits.writes", self.writes),
        ];
        let is_empty = |quota: &QuotaSettings| quota.per_minute > 0 && quota.burst == 0;
        if let Some((key, _)) = quotas.iter().find(|(_, quota)| is_empty(quota)) {
            return fault(key);
        }
        if let Some(name) = self.clients.keys().find(|name| name.parse::<ClientId>().is_err()) {
            let reason = format!("`{name}` is no client's name");
            return Err(ConfigError::Value { key: "limits.clients", reason });
        }
        let own = self.clients.values().flat_map(|client| [client.lookups, client.pulls, client.writes]);
        if own.flatten().any(|quota| is_empty(&quota)) { fault("limits.clients") } else { Ok(()) }
    }
}
