//! A load generator for a running gateway: a few kept-alive connections, one request at a time each. It prints figures
//! and asserts nothing; `scripts/bench` runs it beside `pgbench` and prints the ratios.
//!
//! ```text
//! consentry-load capture --url http://127.0.0.1:8080 --notice sha256:… --connections 32 --seconds 15
//! ```

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use bytes::BytesMut;
use clap::{Args, Parser, Subcommand};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

#[derive(Debug, Parser)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, Args)]
struct Target {
    /// The gateway, `http://HOST:PORT`
    #[arg(long)]
    url: String,
    #[arg(long, default_value_t = 32)]
    connections: u64,
    #[arg(long, default_value_t = 15)]
    seconds: u64,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Posts consents of ever new persons
    Capture {
        #[command(flatten)]
        target: Target,
        /// The digest of the newsletter's notice
        #[arg(long)]
        notice: String,
        /// Distinguishes the persons of this run
        #[arg(long, default_value = "load")]
        run: String,
    },
    /// Stores persons with eight attributes and their consent
    Seed {
        #[command(flatten)]
        target: Target,
        #[arg(long)]
        notice: String,
        /// The token of the source `shop`
        #[arg(long)]
        token: String,
        #[arg(long)]
        persons: u64,
    },
    /// Looks single persons up by pseudonym, eight attributes each
    Lookup {
        #[command(flatten)]
        target: Target,
        /// The token of the recipient
        #[arg(long)]
        token: String,
        /// A file with one pseudonym a line
        #[arg(long)]
        pseudonyms: std::path::PathBuf,
    },
}

/// The attributes of a look-up, each from an input of its own.
const ATTRIBUTES: &str = "[\"age_band\",\"region\",\"household_band\",\"interest_topic\",\"visits_30d_band\",\
                          \"cart_abandoned\",\"tenure_band\",\"rfm_recency\"]";

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(run(CommandLine::parse().command))
}

async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Capture { target, notice, run } => {
            let host = target.host()?;
            let body = move |person| capture_body(&format!("{run}-{person}@example.org"), &notice);
            drive(&target, 201, move |person| request(&host, "/v1/consents", None, &body(person))).await
        }
        Command::Seed { target, notice, token, persons } => seed(&target, &notice, &token, persons).await,
        Command::Lookup { target, token, pseudonyms } => {
            let host = target.host()?;
            let text = std::fs::read_to_string(pseudonyms)?;
            let known: Vec<String> = text.lines().map(str::to_owned).collect();
            ensure!(!known.is_empty(), "no pseudonyms");
            drive(&target, 200, move |turn| {
                // A stride that visits the list all over.
                let at = usize::try_from(turn.wrapping_mul(7919)).unwrap_or(0) % known.len();
                let pseudonym = known.get(at).map_or("", String::as_str);
                let body = format!(
                    "{{\"purpose\":\"profiling_segmentation\",\"attributes\":{ATTRIBUTES},\
                     \"pseudonyms\":[\"{pseudonym}\"]}}"
                );
                request(&host, "/v1/profiles/lookup", Some(&token), &body)
            })
            .await
        }
    }
}

impl Target {
    fn host(&self) -> anyhow::Result<String> {
        Ok(self
            .url
            .strip_prefix("http://")
            .context("the url begins with http://")?
            .trim_end_matches('/')
            .to_owned())
    }
}

fn capture_body(email: &str, notice: &str) -> String {
    format!(
        "{{\"form\":\"newsletter\",\"subject\":{{\"email\":\"{email}\"}},\"notice\":\"{notice}\",\"locale\":\"en\",\
         \"region\":\"DE\",\"captured_at\":\"2026-01-01T00:00:00Z\",\"evidence\":{{\"action\":\"checkbox_ticked\",\
         \"default_state\":\"unchecked\",\"presentation\":\"separate\"}},\"choices\":[{{\"purpose\":\
         \"email_marketing\",\"choice\":\"give\"}},{{\"purpose\":\"profiling_segmentation\",\"choice\":\"give\"}}]}}"
    )
}

fn request(host: &str, path: &str, token: Option<&str>, body: &str) -> Vec<u8> {
    let authorization = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n{authorization}\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Keeps every connection busy for the time and prints how many requests a second were answered as expected.
async fn drive(
    target: &Target,
    expected: u16,
    make: impl Fn(u64) -> Vec<u8> + Send + Sync + 'static,
) -> anyhow::Result<()> {
    let (host, make) = (target.host()?, Arc::new(make));
    let (next, done) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let begin = Instant::now();
    let end = begin + Duration::from_secs(target.seconds);
    let mut tasks = Vec::new();
    for _ in 0..target.connections {
        let (host, make, next, done) = (host.clone(), Arc::clone(&make), Arc::clone(&next), Arc::clone(&done));
        tasks.push(tokio::spawn(async move {
            let mut connection = Connection::open(&host).await?;
            let mut slowest = Duration::ZERO;
            while Instant::now() < end {
                let sent = Instant::now();
                let status = connection.exchange(&make(next.fetch_add(1, Ordering::Relaxed))).await?;
                ensure!(status == expected, "status {status}, expected {expected}");
                slowest = slowest.max(sent.elapsed());
                done.fetch_add(1, Ordering::Relaxed);
            }
            Ok(slowest)
        }));
    }
    let mut slowest = Duration::ZERO;
    for task in tasks {
        slowest = slowest.max(task.await??);
    }
    let count = done.load(Ordering::Relaxed);
    let rate = f64::from(u32::try_from(count)?) / begin.elapsed().as_secs_f64();
    println!("requests {count}");
    println!("per_second {rate:.0}");
    println!("slowest_ms {}", slowest.as_millis());
    Ok(())
}

/// One kept-alive connection.
struct Connection {
    stream: TcpStream,
    buffer: BytesMut,
}

impl Connection {
    async fn open(host: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(host).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: BytesMut::with_capacity(16 * 1024) })
    }

    /// Sends a request and reads its answer to the end; answers the status.
    async fn exchange(&mut self, request: &[u8]) -> anyhow::Result<u16> {
        self.stream.write_all(request).await?;
        let head = loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                break at + 4;
            }
            self.fill().await?;
        };
        let text = std::str::from_utf8(self.buffer.get(..head).unwrap_or_default())?.to_ascii_lowercase();
        let status = text.get(9..12).context("a status line")?.parse()?;
        let length: usize = text
            .lines()
            .find_map(|line| line.strip_prefix("content-length:"))
            .context("an answer with a length")?
            .trim()
            .parse()?;
        while self.buffer.len() < head + length {
            self.fill().await?;
        }
        let _answer = self.buffer.split_to(head + length);
        Ok(status)
    }

    async fn fill(&mut self) -> anyhow::Result<()> {
        if self.stream.read_buf(&mut self.buffer).await? == 0 {
            bail!("the connection was closed");
        }
        Ok(())
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

/// Stores persons in pieces of 5,000 records, then posts one consent for each.
async fn seed(target: &Target, notice: &str, token: &str, persons: u64) -> anyhow::Result<()> {
    let host = target.host()?;
    let begin = Instant::now();
    let mut connection = Connection::open(&host).await?;
    for first in (0..persons).step_by(5_000) {
        let lines: Vec<String> = (first..persons.min(first + 5_000)).map(record).collect();
        let request = request(&host, "/v1/records", Some(token), &format!("[{}]", lines.join(",")));
        let status = connection.exchange(&request).await?;
        ensure!(status == 200, "records: status {status}");
    }
    println!("records_seconds {:.1}", begin.elapsed().as_secs_f64());
    let begin = Instant::now();
    let next = Arc::new(AtomicU64::new(0));
    let mut tasks = Vec::new();
    for _ in 0..target.connections {
        let (host, notice, next) = (host.clone(), notice.to_owned(), Arc::clone(&next));
        tasks.push(tokio::spawn(async move {
            let mut connection = Connection::open(&host).await?;
            loop {
                let person = next.fetch_add(1, Ordering::Relaxed);
                if person >= persons {
                    return anyhow::Ok(());
                }
                let body = capture_body(&format!("seed-{person}@example.org"), &notice);
                let status = connection.exchange(&request(&host, "/v1/consents", None, &body)).await?;
                ensure!(status == 201, "consents: status {status}");
            }
        }));
    }
    for task in tasks {
        task.await??;
    }
    println!("consents_seconds {:.1}", begin.elapsed().as_secs_f64());
    Ok(())
}

fn record(person: u64) -> String {
    let (year, month, day) = (1940 + person % 60, 1 + person % 12, 1 + person % 28);
    format!(
        "{{\"subject\":{{\"email\":\"seed-{person}@example.org\"}},\"region\":\"DE\",\"attributes\":{{\
         \"birth_date\":\"{year}-{month:02}-{day:02}\",\"region\":\"DE-BY\",\"household_size\":{},\
         \"interest_topic\":\"books\",\"visits_30d\":{},\"cart_abandoned\":{},\
         \"signup_date\":\"2020-{month:02}-{day:02}\",\
         \"purchases\":[{{\"on\":\"2026-{month:02}-{day:02}\",\"amount\":\"{}.50\"}}]}}}}",
        1 + person % 6,
        person % 40,
        person.is_multiple_of(2),
        person % 200,
    )
}
