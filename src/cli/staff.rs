//! `consentry staff`: who of the controller's own people may sign in. What somebody needs to begin is a one-time link.

use app::Gateway;
use clap::{Args, Subcommand};
use kernel::authz::{Actor, Authorized, ManageStaff};
use kernel::staff::{Role, StaffId};

use super::output::{note, say};
use super::{Outcome, StoreArgs};
use crate::config::Missing;
use crate::server;

/// `staff …`
#[derive(Debug, Subcommand)]
pub(crate) enum StaffCommand {
    /// Invite somebody and print a one-time link
    Invite(InviteArgs),
    /// List who is, was or is to be staff
    List(ListArgs),
    /// Give somebody another role: their sessions end at once
    Role(RoleArgs),
    /// Take somebody's password, authenticator and sessions away, and print a link to begin anew
    Reset(MemberArgs),
    /// End somebody's membership at once
    End(MemberArgs),
}

/// Arguments of `staff invite`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  consentry staff invite --data ./data --name anna --role officer

Roles: officer (answers data subjects), auditor (sees what was done), engineer and marketer (see figures), administrator
(decides who is staff, sees no person). The link is the only line on standard output: good once, for a day.")]
pub(crate) struct InviteArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// The name to sign in with
    #[arg(long, value_name = "NAME")]
    name: String,
    /// What they will be here for
    #[arg(long, value_name = "ROLE", value_parser = role)]
    role: Role,
}

/// Arguments of `staff list`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  consentry staff list --data ./data")]
pub(crate) struct ListArgs {
    #[command(flatten)]
    store: StoreArgs,
}

/// Arguments of `staff role`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  consentry staff role --data ./data --name anna --role auditor")]
pub(crate) struct RoleArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// The name they sign in with
    #[arg(long, value_name = "NAME")]
    name: String,
    /// What they are here for from now on
    #[arg(long, value_name = "ROLE", value_parser = role)]
    role: Role,
}

/// Arguments of `staff reset` and `staff end`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  consentry staff reset --data ./data --name anna    For somebody who lost authenticator and recovery codes
  consentry staff end --data ./data --name anna")]
pub(crate) struct MemberArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// The name they sign in with
    #[arg(long, value_name = "NAME")]
    name: String,
}

fn role(name: &str) -> Result<Role, String> {
    Role::parse(name).ok_or_else(|| format!("the roles are {}", Role::ALL.map(Role::as_str).join(", ")))
}

pub(super) async fn run(command: StaffCommand) -> anyhow::Result<Outcome> {
    let by = Authorized::<ManageStaff>::prove(Actor::Operator)?;
    let store = match &command {
        StaffCommand::Invite(args) => &args.store,
        StaffCommand::List(args) => &args.store,
        StaffCommand::Role(args) => &args.store,
        StaffCommand::Reset(args) | StaffCommand::End(args) => &args.store,
    };
    let gateway = server::open_as_it_is(&store.settings(Missing::Refuse, None)?).await?;
    match &command {
        StaffCommand::Invite(args) => {
            let link = gateway.invite_staff(&by, &args.name, args.role).await;
            let link = link.map_err(|error| anyhow::anyhow!("cannot invite: {}", error.code().title()))?;
            note("give this address to whom it is for; it is good once, for a day:");
            say(link.expose());
            Ok(Outcome::Done)
        }
        StaffCommand::List(_) => list(&gateway, &by).await,
        StaffCommand::Role(args) => {
            let Some(id) = find(&gateway, &by, &args.name).await? else { return Ok(Outcome::Failed) };
            match gateway.change_role(&by, id, args.role).await {
                Ok(()) => Ok(done(format_args!("`{}` is {} now", args.name, args.role))),
                Err(error) => Ok(failed(format_args!("not done: {}", error.code().title()))),
            }
        }
        StaffCommand::Reset(args) => {
            let Some(id) = find(&gateway, &by, &args.name).await? else { return Ok(Outcome::Failed) };
            let link = gateway.reset_staff(&by, id).await?;
            note("their access ended; give this address to them; it is good once, for a day:");
            say(link.expose());
            Ok(Outcome::Done)
        }
        StaffCommand::End(args) => {
            let Some(id) = find(&gateway, &by, &args.name).await? else { return Ok(Outcome::Failed) };
            match gateway.end_staff(&by, id).await {
                Ok(()) => Ok(done(format_args!("`{}` is staff no more", args.name))),
                Err(error) => Ok(failed(format_args!("not done: {}", error.code().title()))),
            }
        }
    }
}

fn done(line: std::fmt::Arguments<'_>) -> Outcome {
    say(line);
    Outcome::Done
}

fn failed(line: std::fmt::Arguments<'_>) -> Outcome {
    say(line);
    Outcome::Failed
}

async fn find(gateway: &Gateway, by: &Authorized<ManageStaff>, name: &str) -> anyhow::Result<Option<StaffId>> {
    let members = gateway.staff_members(by).await?;
    let found = members.iter().find(|member| member.name.as_str() == name && member.ended_at.is_none());
    if found.is_none() {
        say(format_args!("there is no `{name}`"));
    }
    Ok(found.map(|member| member.id))
}

async fn list(gateway: &Gateway, by: &Authorized<ManageStaff>) -> anyhow::Result<Outcome> {
    let members = gateway.staff_members(by).await?;
    for member in &members {
        let state = match (member.ended_at, member.joined_at) {
            (Some(at), _) => format!("ended {at}"),
            (None, Some(at)) => format!("since {at}"),
            (None, None) => "invited".to_owned(),
        };
        say(format_args!("{}\t{}\t{state}\t{}", member.name, member.role, member.id));
    }
    if members.is_empty() {
        note("there are no staff; a running gateway prints a link for the first administrator when it starts");
    }
    Ok(Outcome::Done)
}
