//! `consentry client`: the programs that may call. A secret is printed once and kept as a hash; of keys only the public part
//! is ever seen.

use std::path::PathBuf;

use anyhow::{Context as _, anyhow};
use app::{AppError, Gateway, NewClient};
use clap::{Args, Subcommand};
use kernel::authn::ClientKeys;
use kernel::authz::{Actor, Authorized, ManageClients, Scope};
use kernel::client::ClientId;
use kernel::purpose::Purpose;
use kernel::recipient::RecipientId;
use kernel::source::SourceId;

use super::output::{note, say};
use super::{Outcome, StoreArgs};
use crate::config::Missing;
use crate::server;

/// `client …`
#[derive(Debug, Subcommand)]
pub(crate) enum ClientCommand {
    /// Register a client and print its secret, once; with --jwks it has keys of its own instead
    #[command(visible_alias = "create")]
    Add(AddArgs),
    /// Give a client a new secret or other keys: what was there before, and its tokens, end at once
    Renew(RenewArgs),
    /// List the clients
    List(ListArgs),
    /// Revoke a client: its tokens end too
    Revoke(RevokeArgs),
}

/// Arguments of `client add`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  consentry client add --data ./data --id shop --source shop --scope records:write
  consentry client add --data ./data --id segmentation --recipient segmentation --scope profiles:read \\
      --purpose profiling_segmentation
  consentry client add --data ./data --id officer --scope rights:write --scope rights:read --scope ledger:read
  consentry client create --data ./data --id segmentation --recipient segmentation --scope profiles:read \\
      --jwks public-keys.json --dpop

Scopes: records:write, events:write, imports:write, profiles:read, rights:write, rights:read, ledger:read, metrics:read,
tokens:introspect.
The secret is the only line on standard output, so that it can be piped into a secret store.")]
pub(crate) struct AddArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// The client's name
    #[arg(long, value_name = "ID")]
    id: ClientId,
    /// The recipient of the policy as which it reads
    #[arg(long, value_name = "RECIPIENT")]
    recipient: Option<RecipientId>,
    /// The source for which it sends records
    #[arg(long, value_name = "SOURCE", conflicts_with = "recipient")]
    source: Option<SourceId>,
    /// What it may do; give it once for each
    #[arg(long = "scope", value_name = "SCOPE", required = true, value_parser = scope)]
    scopes: Vec<Scope>,
    /// A purpose it may name; without one, all of its recipient's
    #[arg(long = "purpose", value_name = "PURPOSE")]
    purposes: Vec<Purpose>,
    /// A file with the client's public keys (a JWK set): it signs for itself (private_key_jwt) and has no secret
    #[arg(long, value_name = "FILE")]
    jwks: Option<PathBuf>,
    /// Give it only tokens that are bound to a key (DPoP)
    #[arg(long)]
    dpop: bool,
}

/// Arguments of `client renew`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  consentry client renew --data ./data --id segmentation                      Prints a new secret, once
  consentry client renew --data ./data --id segmentation --jwks public.json   Takes other public keys")]
pub(crate) struct RenewArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// The client's name
    #[arg(long, value_name = "ID")]
    id: ClientId,
    /// A file with the client's public keys (a JWK set); without it the client gets a secret
    #[arg(long, value_name = "FILE")]
    jwks: Option<PathBuf>,
}

/// The public keys of a file.
fn keys(file: Option<&PathBuf>) -> anyhow::Result<Option<ClientKeys>> {
    let Some(file) = file else { return Ok(None) };
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let keys = ClientKeys::from_json(&text).map_err(|error| {
        let wanted =
            "a JWK set of one to eight public keys (EC P-256 or P-384, Ed25519, RSA of at least 3072 bits) without private parts";
        anyhow!("{}: {error}; what is wanted is {wanted}", file.display())
    })?;
    Ok(Some(keys))
}

fn scope(name: &str) -> Result<Scope, String> {
    let known = || Scope::ALL.map(Scope::as_str).join(", ");
    Scope::parse(name).ok_or_else(|| format!("the scopes are {}", known()))
}

/// Arguments of `client list`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  consentry client list --data ./data")]
pub(crate) struct ListArgs {
    #[command(flatten)]
    store: StoreArgs,
}

/// Arguments of `client revoke`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  consentry client revoke --data ./data --id segmentation    Running gateways refuse its tokens at once")]
pub(crate) struct RevokeArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// The client's name
    #[arg(long, value_name = "ID")]
    id: ClientId,
}

pub(super) async fn run(command: ClientCommand) -> anyhow::Result<Outcome> {
    let by = Authorized::<ManageClients>::prove(Actor::Operator)?;
    match command {
        ClientCommand::Add(args) => add(&by, args).await,
        ClientCommand::Renew(args) => renew(&by, &args).await,
        ClientCommand::List(args) => list(&by, &args).await,
        ClientCommand::Revoke(args) => revoke(&by, &args).await,
    }
}

async fn add(by: &Authorized<ManageClients>, args: AddArgs) -> anyhow::Result<Outcome> {
    let keys = keys(args.jwks.as_ref())?;
    let gateway = open(&args.store, Missing::Make).await?;
    let AddArgs { id, recipient, source, scopes, purposes, dpop, .. } = args;
    let name = id.clone();
    let client = NewClient { id, recipient, source, scopes, purposes, keys, bound_tokens: dpop };
    let secret = gateway
        .register_client(by, client)
        .await
        .map_err(|error| anyhow!("cannot register the client `{name}`: {}", explain(&error)))?;
    match secret {
        Some(secret) => {
            note(format_args!("client `{name}` is registered; this is its secret, shown once:"));
            say(secret);
        }
        None => note(format_args!("client `{name}` is registered and proves itself with its keys")),
    }
    Ok(Outcome::Done)
}

async fn renew(by: &Authorized<ManageClients>, args: &RenewArgs) -> anyhow::Result<Outcome> {
    let keys = keys(args.jwks.as_ref())?;
    let gateway = open(&args.store, Missing::Refuse).await?;
    match gateway.replace_client_credentials(by, &args.id, keys).await? {
        Some(Some(secret)) => {
            note(format_args!(
                "client `{}` has a new secret, shown once; its old one and its tokens ended:",
                args.id
            ));
            say(secret);
            Ok(Outcome::Done)
        }
        Some(None) => {
            note(format_args!("client `{}` has other keys; its old ones and its tokens ended", args.id));
            Ok(Outcome::Done)
        }
        None => {
            say(format_args!("there is no active client `{}`", args.id));
            Ok(Outcome::Failed)
        }
    }
}

async fn list(by: &Authorized<ManageClients>, args: &ListArgs) -> anyhow::Result<Outcome> {
    let gateway = open(&args.store, Missing::Refuse).await?;
    let clients = gateway.clients(by).await?;
    for client in &clients {
        let as_whom = match (&client.recipient, &client.source) {
            (Some(recipient), _) => format!("recipient {recipient}"),
            (None, Some(source)) => format!("source {source}"),
            (None, None) => "neither recipient nor source".to_owned(),
        };
        let scopes: Vec<_> = client.scopes.iter().map(|scope| scope.as_str()).collect();
        let purposes: Vec<_> = client.purposes.iter().map(ToString::to_string).collect();
        let state = client.revoked_at.map_or_else(|| "active".to_owned(), |at| format!("revoked {at}"));
        say(format_args!(
            "{}\t{state}\t{as_whom}\t{}\t{}\t{}{}\tsince {}",
            client.id,
            scopes.join(","),
            if purposes.is_empty() { "-".to_owned() } else { purposes.join(",") },
            if client.has_keys { "keys" } else { "secret" },
            if client.bound_tokens { ", dpop" } else { "" },
            client.created_at,
        ));
    }
    if clients.is_empty() {
        note("there are no clients; `consentry client add` registers one");
    }
    Ok(Outcome::Done)
}

async fn revoke(by: &Authorized<ManageClients>, args: &RevokeArgs) -> anyhow::Result<Outcome> {
    let gateway = open(&args.store, Missing::Refuse).await?;
    if gateway.revoke_client(by, &args.id).await? {
        say(format_args!("client `{}` is revoked", args.id));
        Ok(Outcome::Done)
    } else {
        say(format_args!("there is no active client `{}`", args.id));
        Ok(Outcome::Failed)
    }
}

/// The reason, in words: what is wrong and where.
fn explain(error: &AppError) -> String {
    match error {
        AppError::Invalid(faults) => {
            let told = faults.iter().map(|fault| format!("{} ({})", fault.code.title(), fault.pointer));
            told.collect::<Vec<_>>().join("; ")
        }
        AppError::NotFound(code) | AppError::Gone(code) | AppError::Conflict(code) => code.title().to_owned(),
        other => other.to_string(),
    }
}

/// Opens the store of these arguments: as it is, unless it may have to be made.
async fn open(store: &StoreArgs, missing: Missing) -> anyhow::Result<Gateway> {
    let settings = store.settings(missing, None)?;
    Ok(match missing {
        Missing::Make => server::open(&settings, &settings.server.public_url).await?,
        Missing::Refuse => server::open_as_it_is(&settings).await?,
    })
}
