//! The gateway under test.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use app::{Gateway, GatewaySettings, KeySource, LedgerReport, Quota, RootKey};
use consentry::assets::shipped_policy;
use consentry::config::{QuotaSettings, Settings};
use kernel::authn::HashCost;
use kernel::authz::{Actor, Authorized};
use kernel::clock::{Clock as _, FixedClock};
use kernel::policy::document::PolicySources;
use kernel::seal::{KeySet, Keyring};
use kernel::time::Timestamp;

use super::server::Server;
use super::{Answer, Backend, Database, MARK, SeededEntropy, TestRoot, log};

/// When every test begins.
pub(crate) const START: &str = "2026-11-22T12:00:00Z";

/// What the gateways of one store have in common.
struct Store {
    database: Arc<Database>,
    keys: String,
    /// Who keeps the root key; nobody: the keys are given.
    root: Option<Arc<TestRoot>>,
    clock: Arc<FixedClock>,
}

impl Store {
    fn keyring(&self) -> Keyring {
        Keyring::new(&KeySet::from_toml(&self.keys).unwrap()).unwrap()
    }
}

pub(crate) struct TestGateway {
    store: Arc<Store>,
    gateway: Gateway,
    server: Server,
    http: reqwest::Client,
}

impl TestGateway {
    /// A gateway with the shipped policy on a fresh database.
    pub(crate) async fn start(backend: Backend) -> Self {
        Self::start_under(backend, shipped_policy()).await
    }

    /// A gateway whose keys are sealed in its fresh database, under a root key.
    pub(crate) async fn start_rooted(backend: Backend) -> Self {
        Self::start_rooted_with(backend, |_| {}).await
    }

    /// The same with settings of its own.
    pub(crate) async fn start_rooted_with(backend: Backend, change: impl FnOnce(&mut GatewaySettings)) -> Self {
        let Some(mut store) = Arc::into_inner(Self::fresh(backend)) else { panic!("nobody else has it") };
        store.root = Some(Arc::new(TestRoot::new(5)));
        Self::open_with(Arc::new(store), shipped_policy(), change).await
    }

    /// A gateway with settings of its own on a fresh database.
    pub(crate) async fn start_with(backend: Backend, change: impl FnOnce(&mut GatewaySettings)) -> Self {
        Self::open_with(Self::fresh(backend), shipped_policy(), change).await
    }

    /// A gateway with a configuration of its own on a fresh database: what the shipped one says, changed.
    pub(crate) async fn start_configured(backend: Backend, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = shipped_settings();
        change(&mut settings);
        Self::open_configured(Self::fresh(backend), shipped_policy(), |_| {}, &settings).await
    }

    /// A gateway with another policy on a fresh database.
    pub(crate) async fn start_under(backend: Backend, policy: PolicySources) -> Self {
        Self::open(Self::fresh(backend), policy).await
    }

    fn fresh(backend: Backend) -> Arc<Store> {
        log::keep();
        let clock = FixedClock::at(START.parse().unwrap());
        let keys = KeySet::generate(&SeededEntropy::new(7)).to_toml().as_str().to_owned();
        Arc::new(Store { database: Arc::new(Database::fresh(backend)), keys, root: None, clock: Arc::new(clock) })
    }

    /// Another gateway on the same database with settings of its own.
    pub(crate) async fn twin_with(&self, change: impl FnOnce(&mut GatewaySettings)) -> Self {
        Self::open_with(Arc::clone(&self.store), shipped_policy(), change).await
    }

    /// Another gateway on the same database with other keys.
    pub(crate) async fn twin_with_keys(&self, keys: &str) -> Self {
        let Store { database, clock, .. } = &*self.store;
        let (database, clock) = (Arc::clone(database), Arc::clone(clock));
        let store = Store { database, keys: keys.to_owned(), root: None, clock };
        Self::open(Arc::new(store), shipped_policy()).await
    }

    /// Another gateway on the same database, as behind a load balancer.
    pub(crate) async fn twin(&self) -> Self {
        Self::open(Arc::clone(&self.store), shipped_policy()).await
    }

    /// Another gateway on the same database with a policy of its own.
    pub(crate) async fn twin_under(&self, policy: PolicySources) -> Self {
        Self::open(Arc::clone(&self.store), policy).await
    }

    /// Stops this gateway and opens its database again under another policy.
    pub(crate) async fn under(self, policy: PolicySources) -> Self {
        let store = Arc::clone(&self.store);
        drop(self);
        Self::open(store, policy).await
    }

    async fn open(store: Arc<Store>, policy: PolicySources) -> Self {
        Self::open_with(store, policy, |_| {}).await
    }

    async fn open_with(
        store: Arc<Store>,
        policy: PolicySources,
        change: impl FnOnce(&mut GatewaySettings),
    ) -> Self {
        // In a test one person posts more often than anybody does in an hour. Those of the limits are configured.
        let unbounded = |settings: &mut GatewaySettings| {
            settings.address_quota = Quota::UNBOUNDED;
            change(settings);
        };
        Self::open_configured(store, policy, unbounded, &shipped_settings()).await
    }

    async fn open_configured(
        store: Arc<Store>,
        policy: PolicySources,
        change: impl FnOnce(&mut GatewaySettings),
        configured: &Settings,
    ) -> Self {
        static SEED: AtomicU64 = AtomicU64::new(100);
        let mut settings = GatewaySettings {
            issuer: "http://gateway.test".to_owned(),
            audience: "http://gateway.test".to_owned(),
            ledger_origin: "gateway.test/ledger".to_owned(),
            database_url: store.database.url(),
            max_connections: 6,
            most_import_rows: 2_000,
            hash_cost: HashCost::new(8, 1, 1).unwrap(),
            address_quota: configured.limits.address.into(),
            ..GatewaySettings::default()
        };
        change(&mut settings);
        let keys: KeySource = match &store.root {
            Some(root) => (Arc::clone(root) as Arc<dyn RootKey>).into(),
            None => store.keyring().into(),
        };
        let entropy = Arc::new(SeededEntropy::new(SEED.fetch_add(1, Ordering::Relaxed)));
        let clock = Arc::clone(&store.clock);
        let gateway = Gateway::open(settings, keys, policy, clock, entropy).await.unwrap();
        let server = Server::start(gateway.clone(), configured);
        let http =
            reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { store, gateway, server, http }
    }

    /// The facade, for what an operator does and HTTP does not offer.
    pub(crate) fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    pub(crate) fn database(&self) -> &Database {
        &self.store.database
    }

    /// Who keeps the root key.
    pub(crate) fn root(&self) -> &Arc<TestRoot> {
        self.store.root.as_ref().unwrap()
    }

    /// The keys, to tell what is true of what nobody else can know.
    pub(crate) fn keyring(&self) -> Keyring {
        self.store.keyring()
    }

    /// The key file.
    pub(crate) fn keys(&self) -> &str {
        &self.store.keys
    }

    pub(crate) fn clock(&self) -> &FixedClock {
        &self.store.clock
    }

    /// Moves the clock on a little, so that what happens next happens later, and tells the time.
    pub(crate) fn later(&self) -> Timestamp {
        self.clock().advance_ms(1);
        self.clock().now()
    }

    /// The present time in whole seconds.
    pub(crate) fn seconds(&self) -> i64 {
        self.clock().now().as_seconds()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.server.address)
    }

    pub(crate) fn address(&self) -> std::net::SocketAddr {
        self.server.address
    }

    /// A request without credentials.
    pub(crate) fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method.parse().unwrap(), self.url(path))
    }

    pub(crate) async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        Answer::read(request.send().await.unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(self.request("GET", path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &serde_json::Value) -> Answer {
        self.send(self.request("POST", path).json(body)).await
    }

    /// The digest of the notice that a form shows now.
    pub(crate) fn notice(&self, form: &str, locale: &str) -> String {
        let policy = self.gateway.policy();
        let notice = &policy.form(&form.parse().unwrap()).unwrap().notice;
        policy.current_notice(notice, locale).unwrap().digest.to_string()
    }

    /// Takes everything that was committed into the ledger's tree, as the background job does.
    ///
    /// PostgreSQL's commit horizon is the whole server's: while another test's transaction runs, entries wait.
    pub(crate) async fn sequence(&self) {
        let job = Authorized::prove(Actor::Job("suite")).unwrap();
        for _ in 0..20_000 {
            self.gateway.sequence_ledger_once(&job).await.unwrap();
            let entries = self.database().number("SELECT count(*) FROM ledger_entry").await;
            let covered = self.database().number("SELECT coalesce(max(size), 0) FROM ledger_checkpoint").await;
            if covered >= entries {
                return;
            }
        }
        panic!("some entries are never sequenced");
    }

    pub(crate) async fn verify(&self) -> LedgerReport {
        let operator = Authorized::prove(Actor::Operator).unwrap();
        self.gateway.verify_ledger(&operator, None, |_, _| {}).await.unwrap()
    }

    /// That the ledger verifies and nothing waits to be covered.
    pub(crate) async fn expect_sound_ledger(&self) -> LedgerReport {
        self.sequence().await;
        let report = self.verify().await;
        assert_eq!((report.fault.clone(), report.pending), (None, 0));
        assert!(report.entries > 0 && report.checkpoints > 0);
        report
    }
}

impl Drop for TestGateway {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let log = log::kept();
            let line = log.lines().find(|line| line.to_lowercase().contains(MARK));
            assert!(line.is_none(), "the log holds a personal value: {line:?}");
        }
    }
}

/// The configuration that the program has when nobody says anything, with two threads that answer and addresses that are
/// not counted.
fn shipped_settings() -> Settings {
    let mut settings = Settings::from_layers(None, HashMap::new()).unwrap();
    settings.server.workers = 2;
    // The clock stands: one person acts hundreds of times in one instant.
    settings.limits.address = QuotaSettings { per_minute: 0, burst: 0 };
    settings
}

/// The shipped policy with passages of its documents replaced: document, passage, replacement.
pub(crate) fn policy_with(edits: &[(&str, &str, &str)]) -> PolicySources {
    let mut documents: Vec<_> = shipped_policy()
        .iter()
        // The cases are about the policy as it is shipped.
        .filter(|source| !source.path().starts_with("cases/"))
        .map(|source| (source.path().to_owned(), source.text().to_owned()))
        .collect();
    for (path, passage, replacement) in edits {
        let (_, text) = documents.iter_mut().find(|(known, _)| known == path).unwrap();
        assert!(text.contains(passage), "{path} has no `{passage}`");
        *text = text.replace(passage, replacement);
    }
    documents.into_iter().collect()
}
