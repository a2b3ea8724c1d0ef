//! `consentry keys`: making, rotating and retiring keys, while everything runs.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use app::{Gateway, KNOWN_AFTER_MS, KeyProgress, SystemClock, SystemEntropy};
use clap::{Args, Subcommand, ValueEnum};
use kernel::authz::{Actor, Authorized, ManageKeys, RunJobs};
use kernel::clock::Clock as _;
use kernel::entropy::Entropy as _;
use kernel::seal::{KeySet, KeyUse, RootProvider, RootSet};

use super::output::{Progress, note, say, thousands};
use super::{Outcome, StoreArgs};
use crate::config::{Missing, Settings};
use crate::{keys, server};

/// How often a waiting command looks.
const LOOK: Duration = Duration::from_millis(250);

/// `keys …`
#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Write a fresh root key into a file, for a store that is new
    New(NewArgs),
    /// Make the root key inside the HSM of the settings, for a store that is new
    NewHsmKey(KeptArgs),
    /// Say which keys there are, which root key seals them, and how far rotations are
    Status(KeptArgs),
    /// Replace a key by a new one, without stopping anything
    Rotate(RotateArgs),
    /// Take a key out of use that a newer one has replaced
    Retire(RetireArgs),
    /// Seal the keys of a plain key file in the store, under a root key
    Migrate(KeptArgs),
}

/// Arguments of `keys new`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  consentry keys new /etc/consentry/keys/keyring.toml    For a new PostgreSQL store; `serve --data` makes its own

Keep a copy apart from the database's backups: without the root key nobody can read the store, and with both anybody can.")]
pub(crate) struct NewArgs {
    /// The file to write; it must not exist
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Arguments of commands about the keys of a store.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  consentry keys status --data ./data
  consentry keys status --config production.toml
  consentry keys new-hsm-key --config hsm.toml    The PIN comes from keys.pkcs11.pin_file or $CONSENTRY_HSM_PIN
  consentry keys migrate --config production.toml

No key is ever printed.")]
pub(crate) struct KeptArgs {
    #[command(flatten)]
    store: StoreArgs,
}

/// Which key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Which {
    /// The root key, which seals all others
    Root,
    /// The key-encryption key, which wraps each person's data key
    #[value(alias = "kek")]
    Data,
    /// The key of the index of identifiers: every fingerprint is made anew from the one before
    Fingerprint,
    /// The key of suppressed identifiers
    Suppression,
    /// The key of pseudonyms: every recipient sees new names for everybody
    Pseudonym,
    /// The key of links in mails, of tokens, of cursors, and of what lets staff in
    Capability,
    /// The key that signs the ledger's checkpoints
    Ledger,
    /// The key that signs access tokens
    Token,
    /// The key that signs receipts
    Receipt,
}

impl Which {
    const fn key_use(self) -> Option<KeyUse> {
        Some(match self {
            Self::Root => return None,
            Self::Data => KeyUse::Data,
            Self::Fingerprint => KeyUse::Fingerprint,
            Self::Suppression => KeyUse::Suppression,
            Self::Pseudonym => KeyUse::Pseudonym,
            Self::Capability => KeyUse::Capability,
            Self::Ledger => KeyUse::Ledger,
            Self::Token => KeyUse::Token,
            Self::Receipt => KeyUse::Receipt,
        })
    }
}

/// Arguments of `keys rotate`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  consentry keys rotate data --data ./data                          Every person's data key is wrapped anew
  consentry keys rotate token --config c.toml --after-seconds 86400 Whoever caches our JWKS sees the next key for a day
  consentry keys rotate capability --data ./data                    New links and tokens are under the new key; old ones work on
  consentry keys rotate root --config c.toml                        A newer root key of the same keeper
  consentry keys rotate root --config file.toml --to hsm.toml       From a key file to an HSM

Every gateway of the store learns of the new key within a second and uses it when its time comes, ten seconds later at the
earliest. `data`, `fingerprint` and `capability` wait until everything is taken over and show how far it is; it can be interrupted at
any time, and goes on with whichever gateway runs, or with `--resume`.")]
pub(crate) struct RotateArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// Which key
    which: Which,
    /// From when on the new key is used
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(10..=7_776_000))]
    after_seconds: Option<u32>,
    /// Begin it, and let the running gateways do the work
    #[arg(long)]
    detach: bool,
    /// Begin nothing: help to finish what has begun
    #[arg(long, conflicts_with_all = ["detach", "after_seconds"])]
    resume: bool,
    /// `root`: the settings that name the new keeper
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
}

/// Arguments of `keys retire`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  consentry keys retire data 1 --data ./data       Refused while it wraps anything
  consentry keys retire ledger 1 --data ./data     It signs no more; what it signed is still checked with its public half
  consentry keys retire capability 1 --data ./data Says what would end to work, and ends nothing without --end-links
  consentry keys retire root --data ./data         Takes all root keys but the present one out of the key file

A backup of the database from before needs the keys of its time: keep the root key that it was sealed under.")]
pub(crate) struct RetireArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// Which key
    which: Which,
    /// Its number; not for `root`
    id: Option<u32>,
    /// `capability`: yes, every link and token that was made under it ends to work
    #[arg(long)]
    end_links: bool,
}

pub(super) async fn run(command: KeysCommand) -> anyhow::Result<Outcome> {
    let by = Authorized::<ManageKeys>::prove(Actor::Operator)?;
    match command {
        KeysCommand::New(args) => {
            keys::make(&args.file, &SystemEntropy)?;
            say(format_args!("wrote {}, readable by its owner alone", args.file.display()));
        }
        KeysCommand::NewHsmKey(args) => {
            let settings = args.store.layers()?;
            anyhow::ensure!(settings.keys.provider == RootProvider::Pkcs11, "keys.provider is not `pkcs11`");
            keys::root_of(&settings.keys)?.renew().await?;
            say("the HSM has made a root key; it never leaves it");
        }
        KeysCommand::Status(args) => {
            let settings = args.store.settings(Missing::Refuse, None)?;
            let gateway = server::open_as_it_is(&settings).await?;
            status(&gateway, &by).await?;
        }
        KeysCommand::Rotate(args) => return rotate(&args, &by).await,
        KeysCommand::Retire(args) => {
            let settings = args.store.settings(Missing::Refuse, None)?;
            let gateway = server::open_as_it_is(&settings).await?;
            match (args.which.key_use(), args.id) {
                _ if args.end_links && args.which != Which::Capability => {
                    anyhow::bail!("--end-links is for `capability` alone")
                }
                (None, None) => retire_root(&settings, &gateway, &by).await?,
                (Some(KeyUse::Capability), Some(id)) => {
                    if !retire_capability(&gateway, &by, id, args.end_links).await? {
                        return Ok(Outcome::Failed);
                    }
                }
                (Some(key_use), Some(id)) => {
                    gateway.retire_key(&by, key_use, id).await?;
                    say(format_args!("key {id} for `{}` is out of use", key_use.as_str()));
                }
                (None, Some(_)) => anyhow::bail!("a root key has no number: `consentry keys retire root`"),
                (Some(_), None) => anyhow::bail!("which one? `consentry keys status` shows their numbers"),
            }
        }
        KeysCommand::Migrate(args) => {
            let settings = args.store.settings(Missing::Refuse, None)?;
            migrate(&settings, &by).await?;
        }
    }
    Ok(Outcome::Done)
}

/// Each step leaves something that works: the file with both, the store that no longer needs the file's old keys, and
/// the file without them.
async fn migrate(settings: &Settings, by: &Authorized<ManageKeys>) -> anyhow::Result<()> {
    anyhow::ensure!(settings.keys.provider == RootProvider::File, "only a key file holds plain keys");
    let file = &settings.keys.file;
    let add_root = |roots: &mut RootSet, plain: &mut Option<KeySet>| {
        if plain.is_some() && roots.is_empty() {
            roots.renew(&SystemEntropy);
        }
        Ok(())
    };
    keys::change(file, add_root)?;
    let gateway = server::open_as_it_is(settings).await?;
    let (_, root) = gateway.migrate_keys(by).await?;
    keys::change(file, |_, plain| {
        *plain = None;
        Ok(())
    })?;
    say(format_args!("the keys are sealed in the store, under root key {root} of {}", file.display()));
    say("give this file to every gateway of the store; backups from before need the old one");
    Ok(())
}

async fn retire_root(settings: &Settings, gateway: &Gateway, by: &Authorized<ManageKeys>) -> anyhow::Result<()> {
    anyhow::ensure!(settings.keys.provider == RootProvider::File, "only a key file's root keys are retired here");
    let (_, root) = gateway.key_overview(by).await?.root.ok_or(app::KeyChangeError::Plain)?;
    let file = &settings.keys.file;
    let mut known = false;
    keys::change(file, |roots, _| {
        known = roots.keep_only(&root);
        Ok(())
    })?;
    anyhow::ensure!(known, "{} does not hold the root key {root}", file.display());
    say(format_args!("{} holds root key {root} alone", file.display()));
    Ok(())
}

/// Links in mails are good for years, and nobody keeps a list of them: whoever ends them says that they mean it.
async fn retire_capability(
    gateway: &Gateway,
    by: &Authorized<ManageKeys>,
    id: u32,
    is_meant: bool,
) -> anyhow::Result<bool> {
    let ending = gateway.ending_capabilities(by, id).await?;
    let made = match ending.from {
        Some(from) => format!("made from {from} to {}", ending.until),
        None => format!("made before {}", ending.until),
    };
    say(format_args!("without key {id} for `capability` these work no more, all of them {made}:"));
    say("  links in mails: to unsubscribe, to the preferences, to confirm");
    say("  tokens that forms, receipts and signals gave: to withdraw, to read a receipt, to ask for a status");
    say("  cursors of lists and of bulk pulls, and what machines of staff are known by");
    say(format_args!(
        "waiting here: {} requests to confirm, {} sessions of staff, {} one-time links for staff",
        thousands(ending.confirmations),
        thousands(ending.sessions),
        thousands(ending.links)
    ));
    if !is_meant {
        say(
            "nothing was ended. A person whose link has ended cannot withdraw by it: keep the key as long as mails are",
        );
        say("read, years, unless somebody else has it. If you mean it: the same command with --end-links");
        return Ok(false);
    }
    gateway.retire_key(by, KeyUse::Capability, id).await?;
    say(format_args!("key {id} for `capability` is out of use"));
    Ok(true)
}

async fn rotate(args: &RotateArgs, by: &Authorized<ManageKeys>) -> anyhow::Result<Outcome> {
    let settings = args.store.settings(Missing::Refuse, None)?;
    let to = match (&args.to, args.which) {
        // The environment names the present keeper: it has no say about the next one.
        (Some(file), Which::Root) => {
            Some(keys::root_of(&Settings::from_layers(Some(file), HashMap::new())?.keys)?)
        }
        (Some(_), _) => anyhow::bail!("--to is for the root key alone"),
        (None, _) => None,
    };
    let gateway = server::open_as_it_is(&settings).await?;
    let Some(key_use) = args.which.key_use() else {
        let (provider, root) = gateway.rotate_root(by, to).await?;
        say(format_args!("the keys are sealed under root key {root} of `{}`", provider.as_str()));
        return Ok(Outcome::Done);
    };
    if !args.resume {
        let after_ms = args.after_seconds.map_or(KNOWN_AFTER_MS, |seconds| i64::from(seconds) * 1000);
        let rotation = gateway.rotate_key(by, key_use, after_ms).await?;
        say(format_args!("key {} for `{}` is used from {} on", rotation.id, key_use.as_str(), rotation.from));
    }
    if matches!(key_use, KeyUse::Data | KeyUse::Fingerprint | KeyUse::Capability) && !args.detach {
        finish(&gateway).await?;
    }
    Ok(Outcome::Done)
}

/// Does the work, or watches who does.
async fn finish(gateway: &Gateway) -> anyhow::Result<()> {
    let job = Authorized::<RunJobs>::prove(Actor::Job("keys"))?;
    let holder = SystemEntropy.bytes_16();
    let progress = Progress::new("taken over by the new key", 0);
    let mut work = None;
    loop {
        match gateway.tend_keys_once(&job, holder).await? {
            KeyProgress::Idle | KeyProgress::Finished(_) => break,
            KeyProgress::Working(step) => {
                progress.set(step.done, step.total);
                work = Some(step);
            }
            KeyProgress::Waiting(step) | KeyProgress::Elsewhere(step) => {
                progress.set(step.done, step.total);
                work = Some(step);
                tokio::time::sleep(LOOK).await;
            }
        }
    }
    progress.clear();
    gateway.stop_tending_keys(holder).await?;
    match work {
        Some(work) => {
            let seconds = SystemClock.now().since_ms(work.started_at) as f64 / 1000.0;
            say(format_args!("everything is under key {} now, after {seconds:.1} s", work.key_id));
            note("the older key can go: `consentry keys status`, then `consentry keys retire`");
        }
        None => say("there is nothing to take over"),
    }
    Ok(())
}

async fn status(gateway: &Gateway, by: &Authorized<ManageKeys>) -> anyhow::Result<()> {
    let overview = gateway.key_overview(by).await?;
    match (&overview.root, overview.version) {
        (Some((provider, root)), Some(version)) => {
            say(format_args!("root key    {} {root}", provider.as_str()));
            say(format_args!("key set     version {version}"));
        }
        _ => say("the keys lie plain in the key file: `consentry keys migrate` seals them in the store"),
    }
    let now = SystemClock.now();
    for key in &overview.keys {
        let state = match (key.from.filter(|from| *from > now), key.until) {
            (Some(from), _) => format!("from {from} on"),
            (None, Some(until)) if until <= now => format!("ended {until}"),
            (None, Some(until)) => format!("counts until {until}"),
            (None, None) => "in use".to_owned(),
        };
        let wraps = overview.wrapped.iter().find(|(id, _)| key.key_use == KeyUse::Data && *id == key.id);
        let wraps = match (key.key_use, wraps) {
            (KeyUse::Data, wraps) => {
                format!(", wraps {} data keys", thousands(wraps.map_or(0, |(_, count)| *count)))
            }
            _ => String::new(),
        };
        say(format_args!("{:<11} {:>3}  {state}{wraps}", key.key_use.as_str(), key.id));
    }
    for work in &overview.works {
        let state = match work.finished_at {
            Some(at) => format!("finished {at}"),
            None => format!("{} of {} done", thousands(work.done), thousands(work.total)),
        };
        say(format_args!("rotation    {} to key {}: {state}", work.key_use.as_str(), work.key_id));
    }
    Ok(())
}
