//! A hardware security module of software (SoftHSM2) with a token of its own.

use std::path::PathBuf;
use std::process::Command;

pub(crate) const PIN: &str = "q7-pin-4711";
const MODULES: [&str; 4] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
];

pub(crate) struct Hsm {
    folder: tempfile::TempDir,
    module: &'static str,
}

impl Hsm {
    /// One with a token `consentry-test` and nothing in it.
    pub(crate) fn start() -> Self {
        let module = MODULES.into_iter().find(|module| std::path::Path::new(module).exists());
        let Some(module) = module else {
            panic!("SoftHSM2 is missing: apt-get install softhsm2, or run scripts/test")
        };
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("tokens")).unwrap();
        let text =
            format!("directories.tokendir = {}\nlog.level = ERROR\n", folder.path().join("tokens").display());
        std::fs::write(folder.path().join("softhsm2.conf"), text).unwrap();
        let hsm = Self { folder, module };
        hsm.make_token("consentry-test");
        hsm
    }

    pub(crate) fn make_token(&self, label: &str) {
        let arguments = [
            "--init-token",
            "--free",
            "--label",
            label,
            "--pin",
            PIN,
            "--so-pin",
            "q7-so-pin",
            "--module",
            self.module,
        ];
        let made =
            Command::new("softhsm2-util").args(arguments).env("SOFTHSM2_CONF", self.configuration()).output();
        let made =
            made.unwrap_or_else(|error| panic!("softhsm2-util is missing ({error}): apt-get install softhsm2"));
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }

    fn configuration(&self) -> PathBuf {
        self.folder.path().join("softhsm2.conf")
    }

    /// What a gateway needs in its environment to use it.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("SOFTHSM2_CONF", self.configuration().display().to_string()),
            ("CONSENTRY__KEYS__PROVIDER", "pkcs11".to_owned()),
            ("CONSENTRY__KEYS__PKCS11__MODULE", self.module.to_owned()),
            ("CONSENTRY__KEYS__PKCS11__TOKEN", "consentry-test".to_owned()),
            ("CONSENTRY_HSM_PIN", PIN.to_owned()),
        ]
    }
}
