//! `[staff.oidc]`: the identity provider that staff sign in with.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use app::SsoSettings;
use kernel::staff::{Role, StaffName};
use serde::Deserialize;

use super::ConfigError;

/// `[staff]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StaffSettings {
    /// The identity provider.
    pub oidc: OidcSettings,
}

/// `[staff.oidc]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OidcSettings {
    /// The provider's name for itself; empty: none.
    pub issuer: String,
    /// What people call it.
    pub label: String,
    /// What the provider calls this gateway.
    pub client_id: String,
    /// What this gateway proves itself with.
    pub client_secret: OidcSecret,
    /// A file with it, in its place.
    pub client_secret_file: PathBuf,
    /// What is asked for beside `openid`.
    pub scopes: Vec<String>,
    /// Hosts beside the issuer's on which its endpoints may be.
    pub hosts: Vec<String>,
    /// Whose addresses are the controller's own.
    pub email_domains: Vec<String>,
    /// Accounts with the provider that are somebody's by name.
    pub subjects: BTreeMap<String, StaffName>,
    /// The claim that tells what somebody is here for.
    pub role_claim: String,
    /// What its words mean.
    pub roles: BTreeMap<String, Role>,
    /// Classes that are two factors.
    pub mfa_acr: Vec<String>,
    /// Methods of which one is a second factor.
    pub mfa_amr: Vec<String>,
    /// How long ago somebody may have signed in with the provider.
    pub max_age_seconds: u32,
    /// Whether whoever the provider knows becomes staff.
    pub provision: bool,
}

/// A secret. Shown by no `Debug`.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct OidcSecret(String);

impl fmt::Debug for OidcSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl OidcSettings {
    /// The settings of the provider; `None`: there is none.
    ///
    /// # Errors
    /// When something is missing, or would let in whom nobody named.
    pub fn read(&self) -> Result<Option<SsoSettings>, ConfigError> {
        let fault = |key, reason: &str| Err(ConfigError::Value { key, reason: reason.to_owned() });
        if self.issuer.is_empty() {
            return Ok(None);
        }
        let is_local = ["http://127.0.0.1:", "http://[::1]:", "http://localhost:"];
        if !self.issuer.starts_with("https://") && !is_local.iter().any(|at| self.issuer.starts_with(at)) {
            return fault("staff.oidc.issuer", "a provider has an https:// address, or is on this machine");
        }
        if url::Url::parse(&self.issuer).map_or(true, |url| url.query().is_some() || url.fragment().is_some()) {
            return fault("staff.oidc.issuer", "is an address without query and fragment");
        }
        if self.client_id.is_empty() {
            return fault("staff.oidc.client_id", "what the provider calls this gateway is missing");
        }
        if self.email_domains.is_empty() && self.subjects.is_empty() {
            return fault(
                "staff.oidc.email_domains",
                "name the domains of your staff, or their accounts in subjects",
            );
        }
        if self.email_domains.iter().any(|domain| domain.is_empty() || domain.contains(['@', '*'])) {
            return fault("staff.oidc.email_domains", "a domain is written whole, for example shop.example");
        }
        if self.hosts.iter().any(|host| host.is_empty() || host.contains(['/', ':', '*', '@'])) {
            return fault("staff.oidc.hosts", "a host is written whole, for example keys.example");
        }
        if self.role_claim.is_empty() != self.roles.is_empty() {
            return fault("staff.oidc.roles", "a claim that tells roles, and what its words mean, go together");
        }
        if self.provision && self.role_claim.is_empty() {
            return fault(
                "staff.oidc.provision",
                "who becomes staff by signing in needs a role: set role_claim and roles",
            );
        }
        let client_secret = match (self.client_secret.0.as_str(), self.client_secret_file.as_os_str().is_empty()) {
            (secret, true) => secret.to_owned(),
            ("", false) => read_private(&self.client_secret_file)
                .map_err(|reason| ConfigError::Value { key: "staff.oidc.client_secret_file", reason })?
                .trim()
                .to_owned(),
            (_, false) => {
                return fault("staff.oidc.client_secret", "the secret is said here or in a file, not both");
            }
        };
        Ok(Some(SsoSettings {
            issuer: self.issuer.clone(),
            label: self.label.clone(),
            client_id: self.client_id.clone(),
            client_secret,
            scopes: self.scopes.clone(),
            hosts: self.hosts.clone(),
            email_domains: self.email_domains.clone(),
            subjects: self.subjects.clone(),
            role_claim: self.role_claim.clone(),
            roles: self.roles.clone(),
            mfa_classes: self.mfa_acr.clone(),
            mfa_methods: self.mfa_amr.clone(),
            max_age_seconds: self.max_age_seconds,
            provision: self.provision,
        }))
    }
}

/// Reads a file that nobody but its owner can read.
fn read_private(path: &Path) -> Result<String, String> {
    let unusable = |error: std::io::Error| format!("cannot read {}: {error}", path.display());
    #[cfg(unix)]
    {
        let metadata = std::fs::metadata(path).map_err(unusable)?;
        if std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o077 != 0 {
            return Err(format!("{} is open to other users: run `chmod 600` on it", path.display()));
        }
    }
    std::fs::read_to_string(path).map_err(unusable)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::config::Settings;

    fn settings(text: &str) -> Result<Option<SsoSettings>, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let settings = Settings::from_layers(Some(file.path()), std::collections::HashMap::new());
        settings.and_then(|settings| settings.staff.oidc.read()).map_err(|error| error.to_string())
    }

    const GOOD: &str = "[staff.oidc]\nissuer = \"https://id.example\"\nclient_id = \"consentry\"\n\
        email_domains = [\"shop.example\"]\nclient_secret = \"hunter2\"\nrole_claim = \"groups\"\n\
        [staff.oidc.roles]\nofficers = \"officer\"\n[staff.oidc.subjects]\n\"248\" = \"anna\"\n";

    #[test]
    fn a_provider_is_set_whole() {
        assert!(settings("").unwrap().is_none());
        let good = settings(GOOD).unwrap().unwrap();
        assert_eq!((good.client_secret.as_str(), good.roles["officers"]), ("hunter2", Role::Officer));
        assert!(!format!("{good:?}").contains("hunter2") && !good.provision && good.max_age_seconds > 0);
        for (from, to, key) in [
            ("https://id.example", "http://id.example", "staff.oidc.issuer"),
            ("https://id.example", "https://id.example?x=y", "staff.oidc.issuer"),
            ("\"consentry\"", "\"\"", "staff.oidc.client_id"),
            ("[\"shop.example\"]", "[\"*.example\"]", "staff.oidc.email_domains"),
            ("\"groups\"", "\"\"", "staff.oidc.roles"),
            ("\"hunter2\"", "\"hunter2\"\nclient_secret_file = \"/nowhere\"", "staff.oidc.client_secret"),
            ("\"hunter2\"", "\"\"\nclient_secret_file = \"/nowhere\"", "staff.oidc.client_secret_file"),
            ("\"hunter2\"", "\"\"\nhosts = [\"https://x\"]", "staff.oidc.hosts"),
            ("\"officer\"", "\"emperor\"", "staff.oidc.roles"),
            ("\"anna\"", "\"No!\"", "staff.oidc.subjects"),
        ] {
            let message = settings(&GOOD.replace(from, to)).unwrap_err();
            assert!(message.contains(key), "{message}");
            assert!(!message.contains("hunter2"), "{message}");
        }
        let nobody = "[staff.oidc]\nissuer = \"https://id.example\"\nclient_id = \"c\"\n";
        assert!(settings(nobody).unwrap_err().contains("email_domains"));
        let anybody = format!("{nobody}email_domains = [\"shop.example\"]\nprovision = true\n");
        assert!(settings(&anybody).unwrap_err().contains("staff.oidc.provision"));
    }

    #[test]
    fn a_secret_may_be_in_a_file_of_its_own() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "hunter2\n").unwrap();
        let text = GOOD.replace("client_secret = \"hunter2\"", &format!("client_secret_file = {:?}", file.path()));
        assert_eq!(settings(&text).unwrap().unwrap().client_secret, "hunter2");
    }
}
