//! What the operator says of the identity provider.

use std::collections::BTreeMap;
use std::fmt;

use kernel::staff::{Role, StaffName};

/// The identity provider that staff sign in with, and whom of it they may be.
#[derive(Clone, Default)]
pub struct SsoSettings {
    /// The provider's name for itself: where its metadata is, and what its tokens say they are of.
    pub issuer: String,
    /// What people call it, on the button.
    pub label: String,
    /// What the provider calls this gateway.
    pub client_id: String,
    /// What this gateway proves itself with; empty: nothing (a public client, with PKCE alone).
    pub client_secret: String,
    /// What is asked for beside `openid`.
    pub scopes: Vec<String>,
    /// Hosts beside the issuer's on which its endpoints may be.
    pub hosts: Vec<String>,
    /// Whose addresses are the controller's own.
    pub email_domains: Vec<String>,
    /// Accounts with the provider that are somebody's by name, whatever their address.
    pub subjects: BTreeMap<String, StaffName>,
    /// The claim that tells what somebody is here for; empty: none does.
    pub role_claim: String,
    /// What its words mean.
    pub roles: BTreeMap<String, Role>,
    /// Classes (`acr`) that are two factors.
    pub mfa_classes: Vec<String>,
    /// Methods (`amr`) of which one is a second factor.
    pub mfa_methods: Vec<String>,
    /// How long ago somebody may have signed in with the provider, in seconds; 0: it is not asked.
    pub max_age_seconds: u32,
    /// Whether whoever the provider knows becomes staff, in the role that the claim says.
    pub provision: bool,
}

impl fmt::Debug for SsoSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SsoSettings").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

impl SsoSettings {
    /// Whether an address is in one of the controller's domains. A domain is the whole of what follows the last `@`.
    pub(super) fn is_own_address(&self, address: &str) -> bool {
        let Some((name, domain)) = address.rsplit_once('@') else { return false };
        !name.is_empty() && self.email_domains.iter().any(|own| own.eq_ignore_ascii_case(domain))
    }

    /// What the words of the role claim say that somebody may be.
    pub(super) fn roles_of(&self, words: &[&str]) -> Vec<Role> {
        words.iter().filter_map(|word| self.roles.get(*word).copied()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_is_all_that_follows_the_last_at() {
        let settings = SsoSettings { email_domains: vec!["shop.example".to_owned()], ..SsoSettings::default() };
        for own in ["anna@shop.example", "a@b@Shop.Example"] {
            assert!(settings.is_own_address(own), "{own}");
        }
        for other in [
            "anna@evil-shop.example",
            "anna@sub.shop.example",
            "anna@shop.example.evil.example",
            "anna@shop.example@evil.example",
            "shop.example",
            "@shop.example",
            "",
        ] {
            assert!(!settings.is_own_address(other), "{other}");
        }
    }
}
