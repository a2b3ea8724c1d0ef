//! The root key with AWS Key Management Service: it encrypts the key of the key set, bound to a context, and decrypts it
//! again. The root key never leaves the service, and every use is in its log.
//!
//! Credentials come as AWS programs take them: the environment, a web identity, the container, the machine.

use std::collections::HashMap;
use std::time::Duration;

use app::{RootKey, RootKeyError, Rooted, Wrapped};
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};
use aws_sdk_kms::Client;
use aws_sdk_kms::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kms::primitives::Blob;
use kernel::seal::RootProvider;
use tokio::sync::OnceCell;
use zeroize::Zeroizing;

use crate::config::AwsKmsSettings;

/// How long one attempt and all of them may take.
const ATTEMPT: Duration = Duration::from_secs(5);
const ALL_ATTEMPTS: Duration = Duration::from_secs(15);

pub(super) struct AwsKmsRoot {
    settings: AwsKmsSettings,
    client: OnceCell<Client>,
}

impl AwsKmsRoot {
    pub(super) fn of(settings: &AwsKmsSettings) -> Self {
        Self { settings: settings.clone(), client: OnceCell::new() }
    }

    async fn client(&self) -> &Client {
        self.client
            .get_or_init(|| async {
                let timeouts = TimeoutConfig::builder()
                    .connect_timeout(ATTEMPT)
                    .operation_attempt_timeout(ATTEMPT)
                    .operation_timeout(ALL_ATTEMPTS)
                    .build();
                let mut loader = aws_config::defaults(BehaviorVersion::latest()).timeout_config(timeouts);
                if !self.settings.region.is_empty() {
                    loader = loader.region(Region::new(self.settings.region.clone()));
                }
                if !self.settings.endpoint_url.is_empty() {
                    loader = loader.endpoint_url(&self.settings.endpoint_url);
                }
                Client::new(&loader.load().await)
            })
            .await
    }

    fn context() -> HashMap<String, String> {
        HashMap::from([("consentry".to_owned(), "key set v1".to_owned())])
    }

    fn failed<E: ProvideErrorMetadata>(&self, error: &SdkError<E>) -> RootKeyError {
        let key = &self.settings.key_id;
        let code = match error {
            SdkError::ServiceError(service) => service.err().code().unwrap_or_default(),
            SdkError::ConstructionFailure(_) => {
                return RootKeyError::Denied(
                    "AWS KMS cannot be asked: there are no usable credentials, or no region (keys.aws_kms.region)"
                        .to_owned(),
                );
            }
            _ => "",
        };
        match code {
            "" => RootKeyError::Unreachable(match self.settings.endpoint_url.as_str() {
                "" => "AWS KMS does not answer, or there are no credentials for it".to_owned(),
                url => format!("AWS KMS at {url} does not answer, or there are no credentials for it"),
            }),
            "NotFoundException" => {
                RootKeyError::Missing(format!("AWS KMS has no key {key} (keys.aws_kms.key_id)"))
            }
            "InvalidCiphertextException" | "IncorrectKeyException" => RootKeyError::Wrong(format!(
                "the keys of this store were not sealed by the AWS KMS key {key}: set keys.aws_kms.key_id to the right one"
            )),
            "DisabledException" | "KMSInvalidStateException" | "KeyUnavailableException" => RootKeyError::Denied(
                format!("the AWS KMS key {key} is disabled, or waits to be deleted ({code}): enable it again"),
            ),
            "InternalFailure" | "KMSInternalException" | "DependencyTimeoutException" | "ThrottlingException" => {
                RootKeyError::Unreachable(format!("AWS KMS could not answer ({code})"))
            }
            code => RootKeyError::Denied(format!(
                "AWS KMS does not let us use the key {key} ({code}): it needs kms:Encrypt and kms:Decrypt"
            )),
        }
    }

    async fn seal(&self, key: &[u8; 32]) -> Result<Wrapped, RootKeyError> {
        let asked = self.client().await.encrypt().key_id(&self.settings.key_id).plaintext(Blob::new(key.to_vec()));
        let sealed = asked.set_encryption_context(Some(Self::context())).send().await;
        let sealed = sealed.map_err(|error| self.failed(&error))?;
        let bytes = sealed.ciphertext_blob().map(|blob| blob.as_ref().to_vec());
        let root = sealed.key_id().map(str::to_owned);
        let (Some(root), Some(bytes)) = (root, bytes) else {
            return Err(RootKeyError::Unusable("AWS KMS answered without a ciphertext".to_owned()));
        };
        Ok(Wrapped { root, bytes })
    }

    async fn open(&self, wrapped: &Wrapped) -> Result<Zeroizing<[u8; 32]>, RootKeyError> {
        let asked = self.client().await.decrypt().key_id(&wrapped.root);
        let asked = asked.ciphertext_blob(Blob::new(wrapped.bytes.clone()));
        let opened = asked.set_encryption_context(Some(Self::context())).send().await;
        let opened = opened.map_err(|error| self.failed(&error))?;
        let plain = opened.plaintext.map(|blob| Zeroizing::new(blob.into_inner()));
        plain.and_then(|plain| plain.as_slice().try_into().map(Zeroizing::new).ok()).ok_or_else(|| {
            RootKeyError::Wrong(format!("what the AWS KMS key {} opened is no key", self.settings.key_id))
        })
    }
}

impl RootKey for AwsKmsRoot {
    fn provider(&self) -> RootProvider {
        RootProvider::AwsKms
    }

    fn wrap<'a>(&'a self, key: &'a [u8; 32]) -> Rooted<'a, Wrapped> {
        Box::pin(self.seal(key))
    }

    fn unwrap<'a>(&'a self, wrapped: &'a Wrapped) -> Rooted<'a, Zeroizing<[u8; 32]>> {
        Box::pin(self.open(wrapped))
    }

    fn renew(&self) -> Rooted<'_, ()> {
        // The service rotates what is inside its key; another key is one of the settings.
        Box::pin(async { Ok(()) })
    }
}
