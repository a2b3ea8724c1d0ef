//! A real PostgreSQL for tests: a fresh database a call, on a server that does not outlive the tests.
//!
//! When `CONSENTRY_TEST_POSTGRES` holds the address of a server and a superuser, databases are made there. Otherwise
//! the first call starts a cluster of its own from the installed binaries. Where there are none the test fails and says
//! what to install: a test that is skipped proves nothing.

#![expect(clippy::panic, reason = "a test without its database fails at once and says why")]

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

const VARIABLE: &str = "CONSENTRY_TEST_POSTGRES";
const MISSING: &str = "PostgreSQL is not installed: install it (Debian: `apt install postgresql`), so that `initdb`, \
                       `postgres` and `psql` are in PATH or in /usr/lib/postgresql/*/bin, or set CONSENTRY_TEST_POSTGRES \
                       to the address of a server and its superuser";

/// Keeps the server: it ends when the pipe to `_watchdog` closes, which the end of this process does, however it comes.
struct Server {
    /// Address without the database's name.
    address: String,
    /// What follows the name.
    query: String,
    psql: PathBuf,
    made: Mutex<u32>,
    _watchdog: Option<Child>,
}

/// The address of a fresh, empty database.
///
/// # Panics
/// When there is no PostgreSQL, or it does not start.
#[must_use]
pub fn database() -> String {
    static SERVER: OnceLock<Server> = OnceLock::new();
    let server = SERVER.get_or_init(|| match std::env::var(VARIABLE) {
        Ok(address) => given(&address),
        Err(_) => start().unwrap_or_else(|error| panic!("{error}")),
    });
    server.create()
}

impl Server {
    fn create(&self) -> String {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        *made += 1;
        let moment = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_micros());
        let name = format!("test_{}_{moment}_{made}", std::process::id());
        let create = Command::new(&self.psql)
            .args(["--no-psqlrc", "--quiet", "--dbname"])
            .arg(format!("{}/postgres{}", self.address, self.query))
            .arg("--command")
            .arg(format!("CREATE DATABASE {name} TEMPLATE template0"))
            .stdin(Stdio::null())
            .output();
        match create {
            Ok(output) if output.status.success() => format!("{}/{name}{}", self.address, self.query),
            Ok(output) => panic!("no test database: {}", String::from_utf8_lossy(&output.stderr)),
            Err(error) => panic!("`{}` did not run: {error}", self.psql.display()),
        }
    }
}

/// A server that somebody else runs.
fn given(address: &str) -> Server {
    let (base, query) = match address.split_once('?') {
        Some((base, query)) => (base, format!("?{query}")),
        None => (address, String::new()),
    };
    let scheme_ends = base.find("://").map_or(0, |at| at + 3);
    let server_ends =
        base.get(scheme_ends..).and_then(|rest| rest.find('/')).map_or(base.len(), |at| scheme_ends + at);
    Server {
        address: base.get(..server_ends).unwrap_or(base).to_owned(),
        query,
        psql: find("psql").unwrap_or_else(|| panic!("{MISSING}")),
        made: Mutex::new(0),
        _watchdog: None,
    }
}

/// A server of our own, in a directory of its own.
fn start() -> Result<Server, String> {
    let tool = |name| find(name).ok_or_else(|| MISSING.to_owned());
    let (initdb, postgres, psql) = (tool("initdb")?, tool("postgres")?, tool("psql")?);
    // A port that was free a moment ago may be taken by now.
    let mut failures = String::new();
    for _ in 0..3 {
        match start_once(&initdb, &postgres, &psql) {
            Ok(server) => return Ok(server),
            Err(failure) => {
                let _ = writeln!(failures, "{failure}");
            }
        }
    }
    Err(format!("PostgreSQL does not start: {failures}"))
}

fn start_once(initdb: &Path, postgres: &Path, psql: &Path) -> Result<Server, String> {
    let fail = |what: &str, error: io::Error| format!("{what}: {error}");
    let port = TcpListener::bind(("127.0.0.1", 0))
        .and_then(|listener| listener.local_addr())
        .map_err(|error| fail("no free port", error))?
        .port();
    let directory = std::env::temp_dir().join(format!("consentry-postgres-{}-{port}", std::process::id()));
    fs::create_dir(&directory).map_err(|error| fail("no directory", error))?;
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o700))
        .map_err(|error| fail("no directory", error))?;
    let script = directory.join("run");
    fs::write(&script, run_script(&directory, port, initdb, postgres))
        .map_err(|error| fail("no script", error))?;

    let mut command = command_as_nobody_special(&directory, &script)?;
    let mut watchdog = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| fail("the server's shell", error))?;

    let address = format!("postgres://postgres@127.0.0.1:{port}");
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(60) {
        let ended = watchdog.try_wait().is_ok_and(|status| status.is_some());
        let asked = Command::new(psql)
            .args(["--no-psqlrc", "--quiet", "--command", "SELECT 1", "--dbname"])
            .arg(format!("{address}/postgres"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if asked.is_ok_and(|status| status.success()) {
            let made = Mutex::new(0);
            return Ok(Server {
                address,
                query: String::new(),
                psql: psql.to_owned(),
                made,
                _watchdog: Some(watchdog),
            });
        }
        if ended {
            break;
        }
        #[expect(clippy::disallowed_methods, reason = "a server that starts tells nobody when it is ready")]
        thread::sleep(Duration::from_millis(50));
    }
    let log = fs::read_to_string(directory.join("log")).unwrap_or_default();
    // Closing the pipe ends the shell, which ends the server and removes the directory.
    drop(watchdog.stdin.take());
    let _ = watchdog.wait();
    let _ = fs::remove_dir_all(&directory);
    Err(log)
}

/// The shell waits for its input to end, which is when the tests end, and takes the server down with it.
fn run_script(directory: &Path, port: u16, initdb: &Path, postgres: &Path) -> String {
    let (directory, initdb, postgres) = (directory.display(), initdb.display(), postgres.display());
    format!(
        "trap '' INT TERM HUP\n\
         cd '{directory}' || exit 1\n\
         '{initdb}' --pgdata=data --username=postgres --auth=trust --encoding=UTF8 --locale=C --no-sync >log 2>&1 || exit 1\n\
         '{postgres}' -D data -p {port} -k '{directory}' -h 127.0.0.1 \
             -c fsync=off -c full_page_writes=off -c max_connections=200 -c shared_buffers=64MB \
             -c log_min_messages=warning >>log 2>&1 &\n\
         server=$!\n\
         cat >/dev/null\n\
         kill -QUIT $server\n\
         wait $server\n\
         cd / && rm -rf '{directory}'\n"
    )
}

/// PostgreSQL refuses to run as root: then it runs as `postgres`.
fn command_as_nobody_special(directory: &Path, script: &Path) -> Result<Command, String> {
    let is_root = fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
    if !is_root {
        let mut command = Command::new("sh");
        command.arg(script);
        return Ok(command);
    }
    let number = |flag: &str| {
        let output = Command::new("id").args([flag, "postgres"]).output().ok()?;
        String::from_utf8(output.stdout).ok()?.trim().parse::<u32>().ok()
    };
    let (Some(user), Some(group)) = (number("-u"), number("-g")) else {
        return Err(
            "these tests run as root, and PostgreSQL needs a user `postgres` then, which is missing".to_owned()
        );
    };
    for path in [directory, script] {
        chown(path, Some(user), Some(group)).map_err(|error| format!("no directory: {error}"))?;
    }
    let mut command = match find("runuser") {
        Some(runuser) => {
            let mut command = Command::new(runuser);
            command.args(["-u", "postgres", "--", "sh"]);
            command
        }
        None => {
            let mut command = Command::new("su");
            command.args(["-s", "/bin/sh", "postgres", "--"]);
            command
        }
    };
    command.arg(script);
    Ok(command)
}

/// A program in PATH, or among the versions of PostgreSQL that Debian keeps outside of it, the newest first.
fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut versions: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    versions.sort_by_key(|path| {
        let version = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse::<u32>().ok());
        std::cmp::Reverse(version)
    });
    let versions = versions.into_iter().map(|path| path.join("bin"));
    let places = versions.chain(std::env::split_paths(&path)).chain(["/usr/sbin".into(), "/sbin".into()]);
    places.map(|place| place.join(name)).find(|program| program.is_file())
}
