//! The tour: real purchase histories under invented names, through the gateway's own HTTP API, checked as it goes.
//!
//! Nothing is taken on trust. Every count that is printed is compared with an independent recount of what was posted,
//! and the first difference ends the demo with its reason and exit code 1.

mod dataset;
mod people;
mod recount;
mod report;
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context as _;
use app::{Figures, Gateway, NewClient, SystemEntropy};
use clap::Args;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::ToSpan as _;
use jiff::civil::Date;
use kernel::authz::{Actor, Authorized, ManageClients, Scope};
use kernel::id::hex;
use kernel::seal::RootProvider;
use serde_json::{Value, json};
use thiserror::Error;

use self::dataset::DataSet;
use self::people::Person;
use self::recount::Posted;
use self::wire::{CONNECTIONS, Profile, Receipt, Wire};
use crate::cli::Outcome;
use crate::cli::output::{Progress, say, thousands};
use crate::config::{DataDir, LogLevel, Missing, Settings};
use crate::server::Running;
use crate::{server, telemetry};

const PURPOSE: &str = "profiling_segmentation";
/// How many records one request carries.
const RECORDS: usize = 250;

/// Arguments of `demo`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  consentry demo                                 The tour in a temporary folder; then it keeps serving
  consentry demo --once                          End after the tour; exit code 0 if every check passed
  consentry demo --data /tmp/demo --once         Keep the store; then `consentry ledger verify --data /tmp/demo`
  consentry demo --limit 500 --listen 127.0.0.1:8080")]
pub struct DemoArgs {
    /// End after the tour
    #[arg(long)]
    once: bool,
    /// Keep the store in this folder, which must not hold one yet; without it, in a temporary one
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The address to listen on; a free port on 127.0.0.1 by default
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Take only the first N customers, at least 20
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(20..))]
    limit: Option<u32>,
}

/// Something is not as it must be.
#[derive(Debug, Error)]
#[error("{0}")]
struct CheckFailed(String);

/// Runs the demo.
///
/// # Errors
/// When the gateway cannot be started or does not answer. A check that fails is no error but an [`Outcome`].
pub async fn run(args: &DemoArgs) -> anyhow::Result<Outcome> {
    let began = Instant::now();
    let temporary;
    let folder = match &args.data {
        Some(folder) => folder.as_path(),
        None => {
            temporary = tempfile::Builder::new().prefix("consentry-demo-").tempdir()?;
            temporary.path()
        }
    };
    let settings = settings(folder, args.listen)?;
    telemetry::start(&settings.log);
    let signal = tokio::spawn(server::stop_signal());
    let running = server::start(&settings).await?;
    let toured = tokio::select! {
        toured = tour(&running, args, folder) => toured,
        _ = server::stop_signal() => Err(anyhow::anyhow!("interrupted")),
    };
    let clients = match toured {
        Ok(clients) => clients,
        Err(error) => {
            running.stop().await?;
            return match error.downcast::<CheckFailed>() {
                Ok(failed) => {
                    say(format_args!("\nCHECK FAILED: {failed}"));
                    Ok(Outcome::Failed)
                }
                Err(error) => Err(error),
            };
        }
    };
    say(format_args!("\nEvery check passed; the tour took {:.1} s.", began.elapsed().as_secs_f64()));
    if args.once {
        running.stop().await?;
        return Ok(Outcome::Done);
    }
    invite(&running, &clients);
    let wait = async {
        let _asked = signal.await;
    };
    running.until(wait).await?;
    Ok(Outcome::Done)
}

fn settings(folder: &Path, listen: SocketAddr) -> anyhow::Result<Settings> {
    let mut settings = Settings::load(None)?;
    settings.server.listen = listen;
    settings.log.level = LogLevel::Warn;
    settings.check_address()?;
    let dir = DataDir::open(folder, Missing::Make, RootProvider::File, &SystemEntropy)?;
    if dir.database().exists() {
        anyhow::bail!("{} holds a store already; the demo fills an empty one", folder.display());
    }
    dir.apply(&mut settings);
    settings.check()?;
    Ok(settings)
}

/// The programs that the demo registers, with their secrets.
struct Clients {
    shop: String,
    segmentation: String,
    mailer: String,
    officer: String,
    /// The address of a person in the store, to look up and to ask for.
    example: String,
    /// The digest of the notice that the newsletter form shows.
    notice: String,
}

async fn tour(running: &Running, args: &DemoArgs, folder: &Path) -> anyhow::Result<Clients> {
    let gateway = running.gateway();
    let today = gateway.now().date();
    let limit = args.limit.map_or(usize::MAX, |limit| limit as usize);
    let set = DataSet::ending_on(today.checked_sub(1.day())?, limit)?;
    let people: Vec<Person<'_>> = set.histories.iter().map(|history| Person::behind(history, today)).collect();
    introduce(running, &set, folder);

    let mut clients = register(gateway).await?;
    let wire = Wire::to(&format!("http://{}", running.address()))?;
    let mut posted = Posted::default();

    say("\n1  The shop sends its records; people answer the newsletter form");
    let shop = wire.token("shop", &clients.shop).await?;
    send_records(&wire, &shop, &people, &mut posted).await?;
    let receipts = send_consents(&wire, gateway, &people, &mut posted).await?;
    take_back(&wire, &people, &receipts, &mut posted).await?;

    say(format_args!("\n2  The segmentation service pulls everybody it may have for `{PURPOSE}`"));
    let segmentation = wire.token("segmentation", &clients.segmentation).await?;
    let puller = Puller { wire: &wire, gateway, token: &segmentation, today };
    let first = puller.pull(&posted).await?;
    puller.show(&first, &posted)?;

    say("\n3  Recency and frequency scores of the permitted: persons, and their mean monetary score (1 to 5)");
    report::rfm(&first.profiles);
    say("   The scores were computed inside the gateway; no date and no amount left it.");

    say("\n4  One person takes consent back with the token of their receipt: no login, no reason");
    let (person, receipt) = find(&people, &receipts, &posted, today, |_| true)?;
    wire.withdraw(&receipt.withdrawal_token).await?;
    posted.withdrawal(&person.email);
    let second = puller.pull(&posted).await?;
    gone("withdrawal", &first, &second)?;

    say("\n5  The officer answers an access request, then an erasure request");
    let officer = wire.token("officer", &clients.officer).await?;
    let (person, _) = find(&people, &receipts, &posted, today, |_| true)?;
    rights(&puller, &officer, person, &mut posted, &second).await?;
    let (example, _) = find(&people, &receipts, &posted, today, wants_mail)?;
    clients.example.clone_from(&example.email);

    say("\n6  The ledger");
    verify(gateway).await?;
    Ok(clients)
}

fn introduce(running: &Running, set: &DataSet, folder: &Path) {
    say("Consentry demo: real purchase histories under invented names");
    say(format_args!(
        "  data set   CDNOW (Fader & Hardie): {} customers, {} purchases, {} to {}",
        thousands(set.histories.len() as u64),
        thousands(set.orders() as u64),
        set.first,
        set.last,
    ));
    say(format_args!(
        "             every date is moved on by {} days, so that the newest purchase was yesterday",
        thousands(u64::from(set.moved_days.unsigned_abs()))
    ));
    say("             names, addresses, birth dates, regions and choices are invented, the same in every run");
    say(format_args!("  gateway    {} on SQLite in {}", running.public_url(), folder.display()));
}

async fn register(gateway: &Gateway) -> anyhow::Result<Clients> {
    let by = Authorized::<ManageClients>::prove(Actor::Operator)?;
    let new =
        |id: &str, recipient: Option<&str>, source: Option<&str>, scopes: &[Scope]| -> anyhow::Result<NewClient> {
            Ok(NewClient {
                id: id.parse()?,
                recipient: recipient.map(str::parse).transpose()?,
                source: source.map(str::parse).transpose()?,
                scopes: scopes.to_vec(),
                purposes: Vec::new(),
                keys: None,
                bound_tokens: false,
            })
        };
    let shop = new("shop", None, Some("shop"), &[Scope::RecordsWrite])?;
    let segmentation = new("segmentation", Some("segmentation"), None, &[Scope::ProfilesRead])?;
    let mailer = new("mailer", Some("mailer"), None, &[Scope::ProfilesRead])?;
    let officer_scopes = [Scope::RightsWrite, Scope::RightsRead, Scope::LedgerRead, Scope::MetricsRead];
    let officer = new("officer", None, None, &officer_scopes)?;
    Ok(Clients {
        shop: gateway.register_client(&by, shop).await?.unwrap_or_default(),
        segmentation: gateway.register_client(&by, segmentation).await?.unwrap_or_default(),
        mailer: gateway.register_client(&by, mailer).await?.unwrap_or_default(),
        officer: gateway.register_client(&by, officer).await?.unwrap_or_default(),
        example: String::new(),
        notice: newsletter_notice(gateway)?,
    })
}

async fn send_records(wire: &Wire, token: &str, people: &[Person<'_>], posted: &mut Posted) -> anyhow::Result<()> {
    let progress = Progress::new("records", people.len() as u64);
    stream::iter(people.chunks(RECORDS))
        .map(|chunk| {
            let progress = &progress;
            async move {
                let lines: String = chunk.iter().map(|person| format!("{}\n", record(person))).collect();
                wire.records(token, lines, chunk.len()).await?;
                progress.advance(chunk.len() as u64);
                anyhow::Ok(())
            }
        })
        .buffer_unordered(4)
        .try_collect::<()>()
        .await?;
    progress.done();
    for person in people {
        posted.record(&person.email, person.region, person.birth);
    }
    Ok(())
}

/// The line that the shop sends of a customer.
fn record(person: &Person<'_>) -> Value {
    let purchases: Vec<_> =
        person.orders.iter().map(|order| json!({ "on": order.on, "amount": order.amount })).collect();
    json!({
        "subject": { "email": person.email, "customer_id": person.customer_id },
        "region": person.region,
        "attributes": {
            "email": person.email,
            "first_name": person.first_name,
            "region": person.region,
            "birth_date": person.birth,
            "household_size": person.household,
            "visits_30d": person.visits,
            "interest_topic": person.topic,
            "signup_date": person.orders.first().map(|order| order.on),
            "last_engaged_on": person.orders.last().map(|order| order.on),
            "purchases": purchases,
        },
    })
}

/// Everybody who answers or objects posts once; the receipts come back in the order of the people.
async fn send_consents(
    wire: &Wire,
    gateway: &Gateway,
    people: &[Person<'_>],
    posted: &mut Posted,
) -> anyhow::Result<Vec<(usize, Receipt)>> {
    let digest = newsletter_notice(gateway)?;
    let speaking: Vec<_> =
        people.iter().enumerate().filter(|(_, person)| !person.choices.is_empty() || person.objects).collect();
    let progress = Progress::new("consent posts", speaking.len() as u64);
    let mut receipts: Vec<(usize, Receipt)> = stream::iter(&speaking)
        .map(|(at, person)| {
            let (digest, progress) = (&digest, &progress);
            async move {
                let post = consent(person, digest, &gateway.now().to_string());
                let receipt = wire.consent(&post, person.signals).await?;
                progress.advance(1);
                anyhow::Ok((*at, receipt))
            }
        })
        .buffer_unordered(CONNECTIONS)
        .try_collect()
        .await?;
    progress.done();
    receipts.sort_by_key(|(at, _)| *at);
    for (_, person) in speaking {
        posted.choices(&person.email, &person.choices);
        if person.objects {
            posted.objection(&person.email);
        }
    }
    Ok(receipts)
}

/// The digest of the notice that the newsletter form shows in English.
fn newsletter_notice(gateway: &Gateway) -> anyhow::Result<String> {
    let policy = gateway.policy();
    let form = policy.form(&"newsletter".parse()?).context("the policy has no form `newsletter`")?;
    let notice = policy.current_notice(&form.notice, "en").context("the form has no English notice")?;
    Ok(notice.digest.to_string())
}

/// What the newsletter form sends of a person.
fn consent(person: &Person<'_>, notice: &str, now: &str) -> Value {
    let choices: Vec<_> = person
        .choices
        .iter()
        .map(|(purpose, yes)| json!({ "purpose": purpose, "choice": if *yes { "give" } else { "refuse" } }))
        .collect();
    let requests: &[&str] = if person.objects { &["object_direct_marketing"] } else { &[] };
    json!({
        "form": "newsletter",
        "subject": { "email": person.email },
        "notice": notice,
        "locale": "en",
        "region": person.region,
        "captured_at": now,
        "evidence": {
            "action": "checkbox_ticked",
            "default_state": "unchecked",
            "presentation": "separate",
            "page": "https://www.example.com/newsletter",
        },
        "choices": choices,
        "requests": requests,
    })
}

/// Some people change their mind.
async fn take_back(
    wire: &Wire,
    people: &[Person<'_>],
    receipts: &[(usize, Receipt)],
    posted: &mut Posted,
) -> anyhow::Result<()> {
    let leaving: Vec<_> = receipts
        .iter()
        .filter_map(|(at, receipt)| {
            people.get(*at).filter(|person| person.takes_back).map(|person| (person, receipt))
        })
        .collect();
    let progress = Progress::new("withdrawals", leaving.len() as u64);
    stream::iter(&leaving)
        .map(|(_, receipt)| {
            let progress = &progress;
            async move {
                wire.withdraw(&receipt.withdrawal_token).await?;
                progress.advance(1);
                anyhow::Ok(())
            }
        })
        .buffer_unordered(CONNECTIONS)
        .try_collect::<()>()
        .await?;
    progress.done();
    for (person, _) in leaving {
        posted.withdrawal(&person.email);
    }
    Ok(())
}

/// A pull and what the gateway counted meanwhile.
struct Pulled {
    profiles: Vec<Profile>,
    names: BTreeSet<String>,
    before: Figures,
    after: Figures,
}

struct Puller<'a> {
    wire: &'a Wire,
    gateway: &'a Gateway,
    token: &'a str,
    today: Date,
}

impl Puller<'_> {
    /// Pulls, and checks that it got exactly as many persons as the recount says.
    async fn pull(&self, posted: &Posted) -> anyhow::Result<Pulled> {
        let expected = posted.permitted(self.today).count();
        let before = self.gateway.figures();
        let progress = Progress::new("profiles", expected as u64);
        let profiles = self.wire.pull(self.token, PURPOSE, |rows| progress.advance(rows)).await?;
        progress.done();
        let after = self.gateway.figures();
        let names: BTreeSet<String> = profiles.iter().map(|profile| profile.pseudonym.clone()).collect();
        if names.len() != profiles.len() {
            return Err(CheckFailed("a pseudonym came twice in one pull".to_owned()).into());
        }
        if profiles.len() != expected {
            let (pulled, expected) = (thousands(profiles.len() as u64), thousands(expected as u64));
            let reason = format!("the pull has {pulled} persons, and the recount of what was posted {expected}");
            return Err(CheckFailed(reason).into());
        }
        same_countries(&profiles, posted.countries(self.today))?;
        Ok(Pulled { profiles, names, before, after })
    }

    fn show(&self, pulled: &Pulled, posted: &Posted) -> anyhow::Result<()> {
        let refused = report::refused(&pulled.before.refusals, &pulled.after.refusals);
        let all: u64 = refused.iter().map(|(_, many)| many).sum();
        let permitted = pulled.profiles.len() as u64;
        let expected = posted.permitted(self.today).count() as u64;
        let stored = posted.persons() as u64;
        say(format_args!("  stored     {:>8}", thousands(stored)));
        say(format_args!(
            "  permitted  {:>8}   recount of what was posted: {}, the same, and in no country more",
            thousands(permitted),
            thousands(expected)
        ));
        say(format_args!("  refused    {:>8}", thousands(all)));
        for (refusal, many) in &refused {
            say(format_args!("  {:>19}   {:<12} {}", thousands(*many), refusal.code(), report::because(*refusal)));
        }
        if permitted + all != stored {
            let reason = format!("{permitted} permitted and {all} refused do not make {stored} stored");
            return Err(CheckFailed(reason).into());
        }
        if let Some(row) = pulled.profiles.first() {
            say(format_args!(
                "  one row    {}  age_band {}  region {}",
                row.pseudonym,
                row.age_band.as_deref().unwrap_or("-"),
                row.region.as_deref().unwrap_or("-")
            ));
        }
        Ok(())
    }
}

/// Checks that it is the right persons and not only as many: country by country, where the policy serves it. Where a
/// country would single persons out it is left out, so that there may be fewer of it and never more.
fn same_countries(profiles: &[Profile], mut expected: BTreeMap<&'static str, u64>) -> anyhow::Result<()> {
    let mut pulled: BTreeMap<&str, u64> = BTreeMap::new();
    for country in profiles.iter().filter_map(|profile| profile.region.as_deref()) {
        *pulled.entry(country).or_default() += 1;
    }
    // The list of served countries ends where the gateway knows no law.
    expected.retain(|country, _| !matches!(*country, "JP" | "BR"));
    for country in expected.keys().chain(pulled.keys()) {
        let (served, counted) = (pulled.get(country), expected.get(country));
        if served.copied().unwrap_or_default() > counted.copied().unwrap_or_default() {
            let [served, counted] = [served, counted].map(|count| count.copied().unwrap_or_default());
            let reason = format!("the pull has {served} persons in {country}, and the recount {counted}");
            return Err(CheckFailed(reason).into());
        }
    }
    Ok(())
}

/// Checks that exactly one pseudonym left between two pulls.
fn gone(what: &str, before: &Pulled, after: &Pulled) -> anyhow::Result<()> {
    let left: Vec<_> = before.names.difference(&after.names).collect();
    let came = after.names.difference(&before.names).count();
    match left.as_slice() {
        [name] if came == 0 => {
            say(format_args!("  the next pull lacks exactly one pseudonym, {name}"));
            Ok(())
        }
        _ => {
            let reason = format!("after the {what} {} pseudonyms left and {came} came", left.len());
            Err(CheckFailed(reason).into())
        }
    }
}

fn wants_mail(person: &Person<'_>) -> bool {
    person.choices.contains(&("email_marketing", true))
}

/// A person who is in the pull now and has a receipt.
fn find<'a, 'p>(
    people: &'a [Person<'p>],
    receipts: &'a [(usize, Receipt)],
    posted: &Posted,
    today: Date,
    fits: impl Fn(&Person<'_>) -> bool,
) -> anyhow::Result<(&'a Person<'p>, &'a Receipt)> {
    let permitted: BTreeSet<&str> = posted.permitted(today).collect();
    receipts
        .iter()
        .filter_map(|(at, receipt)| people.get(*at).map(|person| (person, receipt)))
        .find(|(person, _)| permitted.contains(person.email.as_str()) && fits(person))
        .context("nobody is left to show it with: take more customers")
}

async fn rights(
    puller: &Puller<'_>,
    officer: &str,
    person: &Person<'_>,
    posted: &mut Posted,
    before: &Pulled,
) -> anyhow::Result<()> {
    let wire = puller.wire;
    let copy = wire.rights_request(officer, "access", &person.email).await?;
    let document = copy.get("document").cloned().unwrap_or_default();
    let text = document.to_string();
    if !text.contains(&person.email) || !text.contains(PURPOSE) {
        return Err(CheckFailed("the copy lacks the person's address or choices".to_owned()).into());
    }
    let sections: Vec<_> =
        document.as_object().map(|parts| parts.keys().map(String::as_str).collect()).unwrap_or_default();
    say(format_args!("  access     {} bytes of JSON: {}", thousands(text.len() as u64), sections.join(", ")));
    let erased = wire.rights_request(officer, "erasure", &person.email).await?;
    let outcome = erased.get("outcome").and_then(Value::as_str).unwrap_or("unknown");
    if outcome != "erased" {
        return Err(CheckFailed(format!("the erasure ended `{outcome}`")).into());
    }
    posted.erasure(&person.email);
    say("  erasure    done: the key is destroyed, the rows are gone");
    let after = puller.pull(posted).await?;
    gone("erasure", before, &after)?;
    let again = wire.rights_request(officer, "access", &person.email).await?;
    match again.get("outcome").and_then(Value::as_str) {
        Some("not_held") => {
            say("  asked again, the gateway holds nothing of this person");
            Ok(())
        }
        other => {
            let reason = format!("after the erasure an access request ended `{}`", other.unwrap_or("unknown"));
            Err(CheckFailed(reason).into())
        }
    }
}

async fn verify(gateway: &Gateway) -> anyhow::Result<()> {
    let by = Authorized::prove(Actor::Operator)?;
    // The job that numbers the entries runs a moment behind.
    let mut waited = 0_u32;
    let report = loop {
        let progress = Progress::new("ledger entries", 0);
        let report = gateway.verify_ledger(&by, None, |done, all| progress.set(done, all)).await;
        progress.clear();
        let report = report?;
        if report.pending == 0 || report.fault.is_some() || waited >= 150 {
            break report;
        }
        waited += 1;
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    };
    if let Some(fault) = report.fault {
        return Err(CheckFailed(format!("the ledger does not verify: {fault}")).into());
    }
    if report.pending > 0 {
        return Err(CheckFailed(format!("{} ledger entries have no checkpoint", report.pending)).into());
    }
    say(format_args!(
        "  verifies: {} entries under {} signed checkpoints",
        thousands(report.entries),
        thousands(report.checkpoints)
    ));
    say(format_args!("  root {}", hex(&report.root)));
    Ok(())
}

/// What to open and try.
fn invite(running: &Running, clients: &Clients) {
    let url = running.public_url();
    let Clients { shop, segmentation, mailer, officer, example, notice } = clients;
    say(format_args!(
        "
The gateway keeps serving. Open {url}/forms/newsletter for a form that works without JavaScript,
{url}/openapi.json for the API, and try:

  # A token for the segmentation service, and what it may have
  TOKEN=$(curl -s -u segmentation:{segmentation} -d grant_type=client_credentials {url}/oauth/token | sed 's/.*\"access_token\":\"\\([^\"]*\\)\".*/\\1/')
  curl -s -H \"Authorization: Bearer $TOKEN\" -H 'Accept: application/x-ndjson' '{url}/v1/profiles?purpose={PURPOSE}' | head -3

  # The mailer looks one address up before it writes
  MAILER=$(curl -s -u mailer:{mailer} -d grant_type=client_credentials {url}/oauth/token | sed 's/.*\"access_token\":\"\\([^\"]*\\)\".*/\\1/')
  curl -s -H \"Authorization: Bearer $MAILER\" -H 'Content-Type: application/json' {url}/v1/profiles/lookup \\
    -d '{{\"purpose\":\"email_marketing\",\"identifiers\":[{{\"email\":\"{example}\"}}]}}'

  # The officer answers an access request
  OFFICER=$(curl -s -u officer:{officer} -d grant_type=client_credentials {url}/oauth/token | sed 's/.*\"access_token\":\"\\([^\"]*\\)\".*/\\1/')
  curl -s -H \"Authorization: Bearer $OFFICER\" -H 'Content-Type: application/json' {url}/v1/rights-requests \\
    -d '{{\"type\":\"access\",\"subject\":{{\"email\":\"{example}\"}}}}'

  # A person posts the plain form
  curl -s {url}/forms/newsletter -d email=you@example.org -d purpose.email_marketing=give -d locale=en \\
    -d notice={notice}

  The shop's client is `shop` with the secret {shop}

Ctrl-C ends it."
    ));
}
