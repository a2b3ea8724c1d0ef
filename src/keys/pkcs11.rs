//! The root key in a hardware security module (PKCS#11): an AES key that never leaves it. It seals the key of the key set
//! with AES-GCM inside the module; we see neither the key nor what it could open without us.
//!
//! A module is spoken to on a thread that may wait, in a session of its own each time: that is at the start and when keys
//! change, never for a request.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};

use app::{RootKey, RootKeyError, Rooted, Wrapped};
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use kernel::id::hex;
use kernel::seal::RootProvider;
use zeroize::{Zeroize as _, Zeroizing};

use crate::config::Pkcs11Settings;

const CONTEXT: &[u8] = b"consentry root key v1";
const NONCE: usize = 12;
const TAG_BITS: u64 = 128;

/// A module is initialised once a process.
static MODULES: LazyLock<Mutex<HashMap<PathBuf, Pkcs11>>> = LazyLock::new(|| Mutex::new(HashMap::new()));

#[derive(Clone)]
pub(super) struct Pkcs11Root {
    module: PathBuf,
    token: String,
    label: String,
    pin: AuthPin,
}

impl Pkcs11Root {
    pub(super) fn of(settings: &Pkcs11Settings) -> Result<Self, RootKeyError> {
        let pin = match settings.pin_file.as_os_str().is_empty() {
            false => {
                let text = std::fs::read_to_string(&settings.pin_file).map_err(|error| {
                    let file = settings.pin_file.display();
                    RootKeyError::Missing(format!("cannot read the PIN of the HSM from {file}: {error}"))
                })?;
                Zeroizing::new(text)
            }
            true => std::env::var(&settings.pin_variable).map(Zeroizing::new).map_err(|_| {
                RootKeyError::Missing(format!(
                    "there is no PIN for the HSM: set keys.pkcs11.pin_file, or the environment variable {}",
                    settings.pin_variable
                ))
            })?,
        };
        let mut owned = pin.trim().to_owned();
        let shared = AuthPin::from(owned.as_str());
        owned.zeroize();
        Ok(Self {
            module: settings.module.clone(),
            token: settings.token.clone(),
            label: settings.key.clone(),
            pin: shared,
        })
    }

    /// Does something in a session of its own, on a thread that may wait.
    async fn within<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Self, &Session) -> Result<T, RootKeyError> + Send + 'static,
    ) -> Result<T, RootKeyError> {
        let root = self.clone();
        let done = tokio::task::spawn_blocking(move || act(&root, &root.session()?)).await;
        done.map_err(|_| RootKeyError::Unusable("speaking to the HSM failed".to_owned()))?
    }

    fn session(&self) -> Result<Session, RootKeyError> {
        let module = module(&self.module)?;
        let slots = module.get_slots_with_token().map_err(|error| self.failed("lists no slots", &error))?;
        let slot = slots.into_iter().find(|slot| {
            module.get_token_info(*slot).is_ok_and(|info| info.label() == self.token && info.token_initialized())
        });
        let slot = slot.ok_or_else(|| {
            RootKeyError::Missing(format!(
                "the HSM behind {} has no token `{}` (keys.pkcs11.token)",
                self.module.display(),
                self.token
            ))
        })?;
        let session = module.open_rw_session(slot).map_err(|error| self.failed("opens no session", &error))?;
        match session.login(UserType::User, Some(&self.pin)) {
            // Another session of ours is logged in: the token counts them as one.
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(session),
            Err(Error::Pkcs11(
                RvError::PinIncorrect | RvError::PinLenRange | RvError::PinInvalid | RvError::PinExpired,
                _,
            )) => Err(RootKeyError::Denied(format!(
                "the HSM token `{}` refuses the PIN. It was tried once: a token locks itself after a few wrong ones",
                self.token
            ))),
            Err(Error::Pkcs11(RvError::PinLocked, _)) => Err(RootKeyError::Denied(format!(
                "the HSM token `{}` has locked the PIN: its security officer must set a new one",
                self.token
            ))),
            Err(error) => Err(self.failed("does not log us in", &error)),
        }
    }

    /// Our keys in the token with their ids, the newest first.
    fn keys(&self, session: &Session) -> Result<Vec<(Vec<u8>, ObjectHandle)>, RootKeyError> {
        let template = [
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(KeyType::AES),
            Attribute::Label(self.label.clone().into_bytes()),
        ];
        let found = session.find_objects(&template).map_err(|error| self.failed("finds no objects", &error))?;
        let mut keys = Vec::with_capacity(found.len());
        for handle in found {
            let attributes = session
                .get_attributes(handle, &[AttributeType::Id])
                .map_err(|error| self.failed("does not show its key", &error))?;
            let id = attributes.into_iter().find_map(|attribute| match attribute {
                Attribute::Id(id) => Some(id),
                _ => None,
            });
            keys.push((id.unwrap_or_default(), handle));
        }
        keys.sort_by(|(a, _), (b, _)| (b.len(), b).cmp(&(a.len(), a)));
        Ok(keys)
    }

    fn name(&self, id: &[u8]) -> String {
        let id: String = id.iter().map(|byte| hex(&[*byte])).collect();
        format!("{}/{}#{id}", self.token, self.label)
    }

    fn missing(&self, name: &str) -> RootKeyError {
        RootKeyError::Missing(format!(
            "the HSM token `{}` has no AES key {name}: for a new store `consentry keys new-hsm-key` makes it; for one that \
             exists restore the token, because nothing else opens the keys",
            self.token
        ))
    }

    fn failed(&self, what: &str, error: &Error) -> RootKeyError {
        // Only the code: messages of modules are long, and some quote what they were given.
        let code = match error {
            Error::Pkcs11(code, function) => format!("{code:?} in {function:?}"),
            _ => "in the module".to_owned(),
        };
        RootKeyError::Unusable(format!("the HSM token `{}` {what}: {code}", self.token))
    }

    fn seal(&self, session: &Session, key: &[u8; 32]) -> Result<Wrapped, RootKeyError> {
        let keys = self.keys(session)?;
        let (id, handle) = keys.first().ok_or_else(|| self.missing(&format!("`{}`", self.label)))?;
        let mut nonce = session
            .generate_random_vec(NONCE as u32)
            .map_err(|error| self.failed("gives no random bytes", &error))?;
        let before = nonce.clone();
        let params = GcmParams::new(&mut nonce, CONTEXT, TAG_BITS.into());
        let params = params.map_err(|error| self.failed("takes no parameters", &error))?;
        let sealed = session.encrypt(&Mechanism::AesGcm(params), *handle, key);
        let sealed = sealed.map_err(|error| self.failed("does not seal", &error))?;
        Ok(Wrapped { root: self.name(id), bytes: [before, sealed].concat() })
    }

    fn open(&self, session: &Session, wrapped: &Wrapped) -> Result<Zeroizing<[u8; 32]>, RootKeyError> {
        let keys = self.keys(session)?;
        let named = keys.iter().find(|(id, _)| self.name(id) == wrapped.root);
        let (_, handle) = named.ok_or_else(|| self.missing(&wrapped.root))?;
        let wrong = || {
            let root = &wrapped.root;
            RootKeyError::Wrong(format!(
                "the AES key {root} of the HSM is not the root key of this store, only called like it"
            ))
        };
        let (nonce, sealed) = wrapped.bytes.split_at_checked(NONCE).ok_or_else(wrong)?;
        let mut nonce = nonce.to_vec();
        let params = GcmParams::new(&mut nonce, CONTEXT, TAG_BITS.into());
        let params = params.map_err(|error| self.failed("takes no parameters", &error))?;
        match session.decrypt(&Mechanism::AesGcm(params), *handle, sealed) {
            Ok(plain) => {
                let plain = Zeroizing::new(plain);
                plain.as_slice().try_into().map(Zeroizing::new).map_err(|_| wrong())
            }
            Err(Error::Pkcs11(
                RvError::EncryptedDataInvalid | RvError::EncryptedDataLenRange | RvError::GeneralError,
                _,
            )) => Err(wrong()),
            Err(error) => Err(self.failed("does not open", &error)),
        }
    }

    fn make(&self, session: &Session) -> Result<(), RootKeyError> {
        let newest = self.keys(session)?.first().map_or(0, |(id, _)| {
            id.iter().rev().take(4).rev().fold(0_u32, |number, byte| number << 8 | u32::from(*byte))
        });
        let template = [
            Attribute::Label(self.label.clone().into_bytes()),
            Attribute::Id(newest.saturating_add(1).to_be_bytes().to_vec()),
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Encrypt(true),
            Attribute::Decrypt(true),
            Attribute::ValueLen(32.into()),
        ];
        let made = session.generate_key(&Mechanism::AesKeyGen, &template);
        made.map(|_| ()).map_err(|error| self.failed("makes no key", &error))
    }
}

impl RootKey for Pkcs11Root {
    fn provider(&self) -> RootProvider {
        RootProvider::Pkcs11
    }

    fn wrap<'a>(&'a self, key: &'a [u8; 32]) -> Rooted<'a, Wrapped> {
        let key = Zeroizing::new(*key);
        Box::pin(self.within(move |root, session| root.seal(session, &key)))
    }

    fn unwrap<'a>(&'a self, wrapped: &'a Wrapped) -> Rooted<'a, Zeroizing<[u8; 32]>> {
        let wrapped = wrapped.clone();
        Box::pin(self.within(move |root, session| root.open(session, &wrapped)))
    }

    fn renew(&self) -> Rooted<'_, ()> {
        Box::pin(self.within(|root, session| root.make(session)))
    }
}

fn module(path: &Path) -> Result<Pkcs11, RootKeyError> {
    let mut modules = MODULES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = modules.get(path) {
        return Ok(known.clone());
    }
    let place = path.display();
    let module = Pkcs11::new(path).map_err(|_| {
        RootKeyError::Missing(format!("the PKCS#11 module {place} cannot be loaded (keys.pkcs11.module)"))
    })?;
    match module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
        Err(Error::Pkcs11(code, _)) => {
            return Err(RootKeyError::Unusable(format!("the PKCS#11 module {place} does not start: {code:?}")));
        }
        Err(_) => return Err(RootKeyError::Unusable(format!("the PKCS#11 module {place} does not start"))),
    }
    modules.insert(path.to_owned(), module.clone());
    Ok(module)
}
