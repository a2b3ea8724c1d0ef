//! Who keeps the root key, with the real binary: what does not fit is said at the start, nothing is served, and no key is
//! made over a store that is there.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use serde_json::json;
use sqlx::{Connection as _, Row as _, SqliteConnection};

use crate::harness::hsm::{Hsm, PIN};
use crate::harness::kms::{self, Kms};
use crate::harness::process::{Process, run_with, text};

type Environment = Vec<(&'static str, String)>;

/// A data folder and how its keys are kept.
struct Place {
    _folder: tempfile::TempDir,
    data: PathBuf,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        Self { _folder: folder, data }
    }

    fn path(&self) -> &str {
        self.data.to_str().unwrap()
    }

    fn serve(&self, environment: &Environment) -> Process {
        let environment: Vec<_> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        Process::serve(&self.data, &environment)
    }

    /// Runs a command about the store; its exit code and both outputs.
    fn runs(&self, arguments: &[&str], environment: &Environment) -> (i32, String) {
        let environment: Vec<_> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let output = run_with(&[arguments, &["--data", self.path()]].concat(), &environment);
        (output.status.code().unwrap(), text(&output.stdout) + &text(&output.stderr))
    }

    /// That it does not start, for this reason, and changes no key.
    fn refuses(&self, environment: &Environment, says: &[&str]) {
        let before = self.kept();
        let (code, told) = self.runs(&["serve", "--listen", "127.0.0.1:0"], environment);
        assert_eq!(code, 2, "{told}");
        for says in says {
            assert!(told.contains(says), "no `{says}` in: {told}");
        }
        assert!(!told.contains("ready") && !told.contains("panicked") && !told.contains(PIN), "{told}");
        assert_eq!(self.kept(), before, "keys were made or changed");
    }

    /// What there is of keys, in the folder and in the store.
    fn kept(&self) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
        let file = fs::read(self.data.join("keys/keyring.toml")).ok();
        (file, block(async { self.bytes("SELECT sealed FROM key_set").await }))
    }

    async fn database(&self) -> SqliteConnection {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(self.data.join("consentry.db"));
        SqliteConnection::connect_with(&options).await.unwrap()
    }

    async fn bytes(&self, query: &'static str) -> Option<Vec<u8>> {
        sqlx::query(query).fetch_optional(&mut self.database().await).await.unwrap().map(|row| row.get(0))
    }

    async fn number(&self, query: &'static str) -> i64 {
        sqlx::query(query).fetch_one(&mut self.database().await).await.unwrap().get(0)
    }
}

/// Runs something that waits for the database alone.
fn block<T: Send>(future: impl Future<Output = T> + Send) -> T {
    // On a thread of its own: a runtime may not wait inside another one.
    let wait = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future);
    std::thread::scope(|scope| scope.spawn(wait).join().unwrap())
}

fn with(environment: &Environment, name: &'static str, value: &str) -> Environment {
    let mut environment = environment.clone();
    environment.retain(|(known, _)| *known != name);
    environment.push((name, value.to_owned()));
    environment
}

/// Posts a consent to a running gateway: it reads and writes.
async fn works(process: &Process, name: &str) {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let form = http.get(format!("{}/forms/newsletter", process.url)).send().await.unwrap().text().await.unwrap();
    let notice = form.split("name=\"notice\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let email = format!("{name}.q7canary@example.org");
    let inputs = [("notice", &*notice), ("locale", "en"), ("email", &email)];
    let answer = http.post(format!("{}/forms/newsletter", process.url)).form(&inputs).send().await.unwrap();
    assert_eq!(answer.status(), 201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_file_is_the_default_and_a_lost_or_wrong_one_is_refused() {
    let place = Place::new();
    let process = place.serve(&Vec::new());
    works(&process, "anna").await;
    // No dump of a process that holds keys, and nobody reads its memory.
    let limits = fs::read_to_string(format!("/proc/{}/limits", process.id())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"]);
    process.stop();
    let file = place.data.join("keys/keyring.toml");
    let kept = fs::read_to_string(&file).unwrap();
    assert!(kept.contains("[[root]]") && !kept.contains("[[key]]"), "only the root key is in the file");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

    fs::rename(&file, place.data.join("keys/elsewhere")).unwrap();
    place.refuses(&Vec::new(), &["keys are missing", "No new keys are made"]);
    let other = Place::new();
    other.serve(&Vec::new()).stop();
    fs::copy(other.data.join("keys/keyring.toml"), &file).unwrap();
    place.refuses(&Vec::new(), &["is not the root key of this store", "Put the right one back"]);
    fs::write(&file, "nonsense").unwrap();
    place.refuses(&Vec::new(), &["keyring.toml is not usable"]);
    fs::write(&file, &kept).unwrap();
    let sealed = place.bytes("SELECT sealed FROM key_set").await;
    let process = place.serve(&Vec::new());
    works(&process, "ben").await;
    process.stop();
    assert_eq!(place.bytes("SELECT sealed FROM key_set").await, sealed);
    // By other settings it is somebody else's.
    let environment = vec![
        ("CONSENTRY__KEYS__PROVIDER", "env".to_owned()),
        ("CONSENTRY_ROOT_KEY", "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=".to_owned()),
    ];
    place.refuses(&environment, &["provider `file`", "keys.provider is `env`"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_root_key_from_the_environment_is_replaced_by_a_newer_one_beside_it() {
    const FIRST: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
    const SECOND: &str = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";
    let place = Place::new();
    let of = |keys: &str| {
        vec![("CONSENTRY__KEYS__PROVIDER", "env".to_owned()), ("CONSENTRY_ROOT_KEY", keys.to_owned())]
    };
    let process = place.serve(&of(FIRST));
    works(&process, "anna").await;
    assert!(!process.stop().contains(FIRST));
    assert!(!place.data.join("keys/keyring.toml").exists());
    place.refuses(&of(SECOND), &["CONSENTRY_ROOT_KEY", "is not the root key of this store"]);
    place.refuses(&of("short"), &["does not hold 32 bytes in base64"]);
    place.refuses(
        &vec![("CONSENTRY__KEYS__PROVIDER", "env".to_owned())],
        &["CONSENTRY_ROOT_KEY holds no root key"],
    );
    let (code, told) = place.runs(&["keys", "rotate", "root"], &of(&format!("{SECOND},{FIRST}")));
    assert_eq!(code, 0, "{told}");
    place.refuses(&of(FIRST), &["is not the root key of this store"]);
    let process = place.serve(&of(SECOND));
    works(&process, "ben").await;
    process.stop();
    let (code, told) = place.runs(&["keys", "status"], &of(SECOND));
    assert!(code == 0 && told.contains("root key    env") && told.contains("key set     version 2"), "{told}");
    assert!(!told.contains(&SECOND[..10]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_root_key_in_an_hsm_never_leaves_it() {
    let hsm = Hsm::start();
    let place = Place::new();
    let environment = hsm.environment();
    // A token without the key: said, and nothing begun.
    let (code, told) = place.runs(&["serve", "--listen", "127.0.0.1:0"], &environment);
    assert!(code == 2 && told.contains("has no AES key `consentry`") && told.contains("new-hsm-key"), "{told}");
    assert!(place.bytes("SELECT sealed FROM key_set").await.is_none());
    let (code, told) = place.runs(&["keys", "new-hsm-key"], &environment);
    assert_eq!(code, 0, "{told}");
    let process = place.serve(&environment);
    works(&process, "anna").await;
    // While it runs another key of the HSM takes the first one's place.
    let (code, told) = place.runs(&["keys", "rotate", "root"], &environment);
    assert!(code == 0 && told.contains("consentry-test/consentry#00000002 of `pkcs11`"), "{told}");
    works(&process, "ben").await;
    let log = process.stop();
    assert!(!log.contains(PIN), "the log holds the PIN");
    assert!(!place.data.join("keys/keyring.toml").exists());
    let process = place.serve(&environment);
    works(&process, "carl").await;
    process.stop();

    place.refuses(&with(&environment, "CONSENTRY_HSM_PIN", "q7-wrong"), &["refuses the PIN", "tried once"]);
    let without: Environment =
        environment.iter().filter(|(name, _)| *name != "CONSENTRY_HSM_PIN").cloned().collect();
    place.refuses(&without, &["there is no PIN for the HSM"]);
    hsm.make_token("another");
    place.refuses(&with(&environment, "CONSENTRY__KEYS__PKCS11__TOKEN", "another"), &["has no AES key"]);
    place.refuses(&with(&environment, "CONSENTRY__KEYS__PKCS11__TOKEN", "absent"), &["has no token `absent`"]);
    place.refuses(&with(&environment, "CONSENTRY__KEYS__PKCS11__KEY", "absent"), &["has no AES key"]);
    place.refuses(
        &with(&environment, "CONSENTRY__KEYS__PKCS11__MODULE", "/nowhere/libhsm.so"),
        &["module /nowhere/libhsm.so cannot be loaded"],
    );
    // The PIN from a file, and from there to a key file and back out of the HSM's reach.
    let pin = place.data.join("pin");
    fs::write(&pin, format!("{PIN}\n")).unwrap();
    let mut by_file = without;
    by_file.push(("CONSENTRY__KEYS__PKCS11__PIN_FILE", pin.display().to_string()));
    let process = place.serve(&by_file);
    works(&process, "dora").await;
    process.stop();
    let file = place.data.join("new-root.toml");
    let made = run_with(&["keys", "new", file.to_str().unwrap()], &[]);
    assert!(made.status.success());
    let to = place.data.join("to.toml");
    fs::write(&to, format!("[keys]\nprovider = \"file\"\nfile = \"{}\"\n", file.display())).unwrap();
    // The environment is above the file in the settings: what it says of keys must not count for the new keeper.
    let (code, told) = place.runs(&["keys", "rotate", "root", "--to", to.to_str().unwrap()], &by_file);
    assert_eq!(code, 0, "{told}");
    fs::create_dir_all(place.data.join("keys")).unwrap();
    fs::copy(&file, place.data.join("keys/keyring.toml")).unwrap();
    let process = place.serve(&Vec::new());
    works(&process, "emil").await;
    process.stop();
    place.refuses(&environment, &["provider `file`"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_root_key_with_aws_kms_opens_the_store_and_a_refusal_does_not() {
    let kms = Kms::start();
    let key = kms.makes_key().await;
    let place = Place::new();
    let environment = kms.environment(&key);
    let process = place.serve(&environment);
    works(&process, "anna").await;
    let log = process.stop();
    assert!(!log.contains("q7-secret"));
    assert!(!place.data.join("keys/keyring.toml").exists());
    let process = place.serve(&environment);
    works(&process, "ben").await;
    process.stop();

    // Another key of the same account seals it anew; the first one may go then.
    let next = kms.makes_key().await;
    let (code, told) = place.runs(&["keys", "rotate", "root"], &kms.environment(&next));
    assert!(code == 0 && told.contains(&next) && told.contains("`aws-kms`"), "{told}");
    kms.asks("DisableKey", &json!({ "KeyId": key })).await;
    let process = place.serve(&kms.environment(&next));
    works(&process, "carl").await;
    process.stop();

    for code in ["AccessDeniedException", "UnrecognizedClientException", "ExpiredTokenException"] {
        let denied = kms::environment(&kms::refuses_with(code), &next);
        place.refuses(&denied, &["does not let us use the key", code, "kms:Decrypt"]);
    }
    let disabled = kms::environment(&kms::refuses_with("DisabledException"), &next);
    place.refuses(&disabled, &["is disabled, or waits to be deleted"]);
    let wrong = kms::environment(&kms::refuses_with("IncorrectKeyException"), &next);
    place.refuses(&wrong, &["were not sealed by the AWS KMS key"]);
    // Nobody listens there: a port that was free a moment ago.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let unreachable = kms::environment(&format!("http://{nobody}"), &next);
    place.refuses(&unreachable, &["does not answer"]);
    drop(kms);
    let gone = Place::new();
    let (code, told) = gone.runs(&["serve", "--listen", "127.0.0.1:0"], &unreachable);
    assert!(code == 2 && told.contains("does not answer"), "{told}");
    assert!(gone.bytes("SELECT sealed FROM key_set").await.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plain_key_file_goes_on_and_is_migrated_with_a_command() {
    let place = Place::new();
    // As a store was before there were root keys: all keys in the file, none in the database.
    let plain = kernel::seal::KeySet::generate(&crate::harness::SeededEntropy::new(3));
    let file = place.data.join("keys/keyring.toml");
    fs::create_dir_all(place.data.join("keys")).unwrap();
    fs::write(&file, plain.to_toml().as_str()).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let process = place.serve(&Vec::new());
    works(&process, "anna").await;
    process.stop();
    assert_eq!(place.number("SELECT count(*) FROM key_set").await, 0);
    let (code, told) = place.runs(&["keys", "rotate", "data"], &Vec::new());
    assert!(code == 2 && told.contains("keys migrate"), "{told}");
    let (code, told) = place.runs(&["keys", "status"], &Vec::new());
    assert!(code == 0 && told.contains("lie plain"), "{told}");

    // A running gateway goes on; the file loses its working keys.
    let process = place.serve(&Vec::new());
    let (code, told) = place.runs(&["keys", "migrate"], &Vec::new());
    assert!(code == 0 && told.contains("sealed in the store"), "{told}");
    works(&process, "ben").await;
    process.stop();
    let kept = fs::read_to_string(&file).unwrap();
    assert!(kept.contains("[[root]]") && !kept.contains("[[key]]"), "the working keys are still in the file");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let process = place.serve(&Vec::new());
    works(&process, "carl").await;
    process.stop();
    assert_eq!(place.number("SELECT count(*) FROM subject").await, 3);
    let (code, told) = place.runs(&["keys", "migrate"], &Vec::new());
    assert!(code == 2 && told.contains("nothing to migrate"), "{told}");
    let (code, told) = place.runs(&["ledger", "verify"], &Vec::new());
    assert!(code == 0, "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_03_a_rotation_goes_on_after_the_process_was_killed() {
    const PERSONS: usize = 12_000;
    let place = Place::new();
    let scopes = ["--id", "shop", "--source", "shop", "--scope", "records:write"];
    let (code, secret) = place.runs(&[&["client", "add"][..], &scopes].concat(), &Vec::new());
    assert_eq!(code, 0, "{secret}");
    let secret = secret.lines().find(|line| line.starts_with("cs_")).unwrap().trim().to_owned();
    let process = place.serve(&Vec::new());
    ingest(&process.url, &secret, PERSONS).await;
    let (code, told) = place.runs(&["keys", "rotate", "data", "--detach"], &Vec::new());
    assert_eq!(code, 0, "{told}");
    // Killed after the first batch and before the last.
    let done = "SELECT done FROM key_work";
    while place.number(done).await == 0 {
        tokio::task::yield_now().await;
    }
    process.kill();
    let reached = place.number(done).await;
    assert!(reached > 0 && usize::try_from(reached).unwrap() < PERSONS, "{reached}");
    let mixed = "SELECT count(DISTINCT substr(wrapped_key, 1, 4)) FROM subject";
    assert_eq!(place.number(mixed).await, 2);
    let (code, told) = place.runs(&["keys", "retire", "data", "1"], &Vec::new());
    assert!(code == 2 && told.contains("not finished"), "{told}");
    // Whoever comes next goes on where it ended.
    let (code, told) = place.runs(&["keys", "rotate", "data", "--resume"], &Vec::new());
    assert!(code == 0 && told.contains("everything is under key 2"), "{told}");
    assert_eq!((place.number(done).await, place.number(mixed).await), (PERSONS as i64, 1));
    let (code, told) = place.runs(&["keys", "retire", "data", "1"], &Vec::new());
    assert_eq!(code, 0, "{told}");
    let process = place.serve(&Vec::new());
    ingest(&process.url, &secret, 300).await;
    process.stop();
    assert_eq!(place.number("SELECT count(*) FROM subject").await, PERSONS as i64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_hangs_on_the_capability_key_goes_on_moving_after_the_process_was_killed() {
    const CODES: i64 = 30_000;
    let place = Place::new();
    let process = place.serve(&Vec::new());
    works(&process, "anna").await;
    // Recovery codes of many: what a digest is of need not be known to move it.
    let many = "WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < 30000) \
         INSERT INTO staff_recovery_code (staff_id, code_hash, key_id) SELECT zeroblob(16), randomblob(32), 1 FROM number";
    sqlx::query(many).execute(&mut place.database().await).await.unwrap();
    let (code, told) = place.runs(&["keys", "rotate", "capability", "--detach"], &Vec::new());
    assert_eq!(code, 0, "{told}");
    let done = "SELECT done FROM key_work";
    while place.number(done).await == 0 {
        tokio::task::yield_now().await;
    }
    process.kill();
    let reached = place.number(done).await;
    let moved = "SELECT count(*) FROM staff_recovery_code WHERE key_id = 2";
    assert!(reached > 0 && reached < CODES, "{reached}");
    assert_eq!(place.number(moved).await, reached, "a batch and how far it came are one");
    let (code, told) = place.runs(&["keys", "retire", "capability", "1", "--end-links"], &Vec::new());
    assert!(code == 2 && told.contains("not finished"), "{told}");
    let (code, told) = place.runs(&["keys", "rotate", "capability", "--resume"], &Vec::new());
    assert!(code == 0 && told.contains("everything is under key 2"), "{told}");
    assert_eq!((place.number(done).await, place.number(moved).await), (CODES, CODES));
    // Whoever does not say that they mean it is told what would end, and nothing does.
    let before = place.bytes("SELECT sealed FROM key_set").await;
    let (code, told) = place.runs(&["keys", "retire", "capability", "1"], &Vec::new());
    assert!(code == 1 && told.contains("links in mails") && told.contains("--end-links"), "{told}");
    assert_eq!(place.bytes("SELECT sealed FROM key_set").await, before);
    let (code, told) = place.runs(&["keys", "retire", "data", "1", "--end-links"], &Vec::new());
    assert!(code == 2 && told.contains("for `capability` alone"), "{told}");
    // Gateways' clocks may differ by some seconds: until then it is not yet.
    let retired = loop {
        let (code, told) = place.runs(&["keys", "retire", "capability", "1", "--end-links"], &Vec::new());
        if code == 0 {
            break told;
        }
        assert!(told.contains("may still need the key"), "{told}");
    };
    assert!(retired.contains("key 1 for `capability` is out of use"), "{retired}");
    let (code, told) = place.runs(&["keys", "status"], &Vec::new());
    assert!(code == 0 && told.contains("capability    1  ended"), "{told}");
    let process = place.serve(&Vec::new());
    works(&process, "ben").await;
    process.stop();
}

/// Sends records of the same persons in the same order.
async fn ingest(url: &str, secret: &str, persons: usize) {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let form = [("grant_type", "client_credentials")];
    let issued = http.post(format!("{url}/oauth/token")).basic_auth("shop", Some(secret)).form(&form).send().await;
    let issued: serde_json::Value = serde_json::from_str(&issued.unwrap().text().await.unwrap()).unwrap();
    let token = issued["access_token"].as_str().unwrap();
    for chunk in (0..persons).collect::<Vec<_>>().chunks(500) {
        let lines: Vec<_> = chunk
            .iter()
            .map(|number| json!({ "subject": { "email": format!("p{number}.q7canary@example.org") }, "attributes": { "city": "q7canary-city" } }))
            .collect();
        let answer = http.post(format!("{url}/v1/records")).bearer_auth(token).json(&lines).send().await.unwrap();
        let told: serde_json::Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        assert_eq!(told["stored"], chunk.len(), "{told}");
    }
}
