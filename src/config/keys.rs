//! `[keys]`: who keeps the root key. None of these settings is a secret.

use std::path::PathBuf;

use kernel::seal::RootProvider;
use serde::{Deserialize, Deserializer};

use super::ConfigError;

/// `[keys]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeySettings {
    /// Who keeps the root key.
    #[serde(deserialize_with = "provider")]
    pub provider: RootProvider,
    /// `file`: the key file; empty: none set.
    pub file: PathBuf,
    /// `env`: the environment variable with the root key.
    pub variable: String,
    /// `pkcs11`: the hardware security module.
    pub pkcs11: Pkcs11Settings,
    /// `aws-kms`: the key of the service.
    pub aws_kms: AwsKmsSettings,
}

/// `[keys.pkcs11]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pkcs11Settings {
    /// The library of the module.
    pub module: PathBuf,
    /// The label of the token.
    pub token: String,
    /// The label of the AES key in it.
    pub key: String,
    /// A file with the user's PIN; empty: the environment has it.
    pub pin_file: PathBuf,
    /// The environment variable with the user's PIN.
    pub pin_variable: String,
}

/// `[keys.aws_kms]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AwsKmsSettings {
    /// The key: its id, ARN or alias.
    pub key_id: String,
    /// The region; empty: as AWS programs find it.
    pub region: String,
    /// Another address of the service; empty: that of the region.
    pub endpoint_url: String,
}

impl KeySettings {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let fault = |key, reason: &str| Err(ConfigError::Value { key, reason: reason.to_owned() });
        match self.provider {
            RootProvider::File if self.file.as_os_str().is_empty() => {
                fault("keys.file", "no key file is set; `consentry keys new FILE` makes one")
            }
            RootProvider::Env if self.variable.is_empty() => {
                fault("keys.variable", "names the environment variable with the root key")
            }
            RootProvider::Pkcs11 if self.pkcs11.module.as_os_str().is_empty() => fault(
                "keys.pkcs11.module",
                "is the library of the HSM, for example /usr/lib/softhsm/libsofthsm2.so",
            ),
            RootProvider::Pkcs11 if self.pkcs11.token.is_empty() => {
                fault("keys.pkcs11.token", "is the label of the HSM's token")
            }
            RootProvider::Pkcs11 if self.pkcs11.key.is_empty() => {
                fault("keys.pkcs11.key", "is the label of the AES key in the token")
            }
            RootProvider::AwsKms if self.aws_kms.key_id.is_empty() => {
                fault("keys.aws_kms.key_id", "is the id, ARN or alias of the key")
            }
            RootProvider::File | RootProvider::Env | RootProvider::Pkcs11 | RootProvider::AwsKms => Ok(()),
        }
    }
}

fn provider<'de, D: Deserializer<'de>>(deserializer: D) -> Result<RootProvider, D::Error> {
    let text = String::deserialize(deserializer)?;
    let unknown = || serde::de::Error::custom("keys.provider is `file`, `env`, `pkcs11` or `aws-kms`");
    text.parse().map_err(|_| unknown())
}
