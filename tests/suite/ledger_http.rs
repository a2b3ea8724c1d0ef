//! The ledger as strangers read it: over HTTP, with its public key and nothing else.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::sync::{Arc, Mutex};

use app::{Witness, WitnessAnswer, Witnessed};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use ed25519_dalek::{Signer as _, SigningKey};
use kernel::authz::{Actor, Authorized, Scope};
use kernel::id::hex;
use kernel::ledger::cosign::WitnessKey;
use kernel::ledger::note::NoteVerifier;
use kernel::ledger::proof::{ConsistencyProof, InclusionProof};
use kernel::ledger::tree::{empty_root, leaf_hash, root_of};
use kernel::ledger::{Checkpoint, PublishedEntry, Tampering};
use sha2::{Digest as _, Sha256};

use crate::harness::process::{run, text};
use crate::harness::{Backend, Client, Line, Role, TestGateway};

on_both!(
    a_stranger_rebuilds_the_tree_from_its_tiles,
    full_tiles_are_immutable_and_partial_ones_are_not,
    every_entry_and_every_growth_is_proven,
    era_19_what_is_published_tells_nothing,
    a_stranger_finds_what_was_changed,
    reg_04_a_kept_checkpoint_finds_a_cut_tail_and_a_fork,
    a_witness_cosigns_and_stops_a_ledger_that_was_rolled_back,
    what_is_no_tile_is_not_there,
    an_auditor_reads_entries_that_fit_what_is_published,
    tiles_of_tiles_are_served_and_verified,
);

const ORIGIN: &str = "gateway.test/ledger";

async fn verifier(gateway: &TestGateway) -> NoteVerifier {
    let answer = gateway.get("/ledger/vkey").await.expect(200);
    assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
    NoteVerifier::from_vkey(answer.text().trim()).unwrap()
}

async fn checkpoint(gateway: &TestGateway) -> Checkpoint {
    let note = gateway.get("/ledger/checkpoint").await.expect(200).text();
    Checkpoint::open(&note, ORIGIN, &[verifier(gateway).await]).unwrap()
}

/// The bundle of entries with this number, split.
async fn entries(gateway: &TestGateway, path: &str) -> Vec<Vec<u8>> {
    let mut bundle = &*gateway.get(&format!("/ledger/tile/entries/{path}")).await.expect(200).body;
    let mut entries = Vec::new();
    while let Some((length, rest)) = bundle.split_first_chunk::<2>() {
        let (entry, rest) = rest.split_at(usize::from(u16::from_be_bytes(*length)));
        entries.push(entry.to_vec());
        bundle = rest;
    }
    entries
}

/// A little life, and a ledger of more than a tile.
async fn filled(backend: Backend) -> TestGateway {
    let gateway = TestGateway::start(backend).await;
    let anna = gateway.person("anna");
    for round in 0..130 {
        anna.gives(&["email_marketing"]).await;
        anna.withdraws(&["email_marketing"]).await;
        if round % 40 == 0 {
            gateway.sequence().await;
        }
    }
    gateway.sequence().await;
    assert!(checkpoint(&gateway).await.size() > 256);
    gateway
}

async fn a_stranger_rebuilds_the_tree_from_its_tiles(backend: Backend) {
    let gateway = filled(backend).await;
    let checkpoint = checkpoint(&gateway).await;
    let rest = checkpoint.size() - 256;
    let partial = format!("001.p/{rest}");
    let mut leaves = Vec::new();
    for path in ["000", &partial] {
        let hashes = gateway.get(&format!("/ledger/tile/0/{path}")).await.expect(200).body;
        let bundle: Vec<_> = entries(&gateway, path).await.iter().map(|entry| leaf_hash(entry)).collect();
        assert_eq!(hashes, bundle.as_flattened());
        leaves.extend(bundle);
    }
    assert_eq!((leaves.len() as u64, root_of(&leaves)), (checkpoint.size(), *checkpoint.root()));
    let above = gateway.get("/ledger/tile/1/000.p/1").await.expect(200).body;
    assert_eq!(above, root_of(&leaves[..256]));
    // Every narrower form of a tile is its beginning.
    for width in [1, 17, 255] {
        let narrow = gateway.get(&format!("/ledger/tile/0/000.p/{width}")).await.expect(200).body;
        assert_eq!(narrow, leaves[..width].as_flattened());
    }
}

async fn full_tiles_are_immutable_and_partial_ones_are_not(backend: Backend) {
    let gateway = filled(backend).await;
    let cache = async |path: &str| {
        let answer = gateway.get(path).await.expect(200);
        (answer.content_type().to_owned(), answer.header("cache-control").unwrap().to_owned())
    };
    let bytes = "application/octet-stream".to_owned();
    let for_ever = "public, max-age=31536000, immutable".to_owned();
    for path in ["/ledger/tile/0/000", "/ledger/tile/entries/000"] {
        assert_eq!(cache(path).await, (bytes.clone(), for_ever.clone()));
    }
    for path in ["/ledger/tile/0/001.p/1", "/ledger/tile/entries/001.p/1", "/ledger/tile/1/000.p/1"] {
        let (kind, cache) = cache(path).await;
        assert!(kind == bytes && !cache.contains("immutable") && cache.contains("public"), "{path}: {cache}");
    }
    assert_eq!(cache("/ledger/checkpoint").await, ("text/plain".to_owned(), "public, max-age=5".to_owned()));
}

async fn every_entry_and_every_growth_is_proven(backend: Backend) {
    let gateway = filled(backend).await;
    let (known, latest) = ([verifier(&gateway).await], checkpoint(&gateway).await);
    let rest = format!("001.p/{}", latest.size() - 256);
    let mut all = entries(&gateway, "000").await;
    all.extend(entries(&gateway, &rest).await);
    for (index, entry) in all.iter().enumerate().filter(|(index, _)| index % 23 == 0 || *index > 255) {
        let proof = gateway.get(&format!("/ledger/inclusion?index={index}")).await.expect(200);
        assert_eq!(proof.header("content-type"), Some("text/plain; charset=utf-8"));
        let proof = InclusionProof::parse(&proof.text()).unwrap();
        let entry = PublishedEntry::from_slice(entry).unwrap();
        assert_eq!(proof.verify(&entry, ORIGIN, &known), Ok(latest.clone()), "{index}");
    }
    let mut old = Checkpoint::new(ORIGIN, 0, empty_root()).unwrap();
    let mut steps = 0;
    while old.size() < latest.size() {
        let next = format!("SELECT min(size) FROM ledger_checkpoint WHERE size > {}", old.size());
        let size = gateway.database().number(&next).await;
        let path = format!("/ledger/consistency?old={}&size={size}", old.size());
        let proof = ConsistencyProof::parse(&gateway.get(&path).await.expect(200).text()).unwrap();
        let new = proof.verify(&old, &known).unwrap();
        let to_latest = gateway.get(&format!("/ledger/consistency?old={size}")).await.expect(200).text();
        assert_eq!(ConsistencyProof::parse(&to_latest).unwrap().verify(&new, &known), Ok(latest.clone()));
        old = new;
        steps += 1;
    }
    assert!(old == latest && steps > 3);
    for (path, status) in [
        (format!("/ledger/inclusion?index={}", latest.size()), 404),
        (format!("/ledger/inclusion?index=0&size={}", latest.size() + 1), 404),
        (format!("/ledger/consistency?old={}", latest.size() + 1), 404),
        ("/ledger/inclusion".to_owned(), 422),
        ("/ledger/consistency?old=-1".to_owned(), 422),
    ] {
        gateway.get(&path).await.expect(status);
    }
}

async fn era_19_what_is_published_tells_nothing(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, berta) = (gateway.person("anna"), gateway.person("berta"));
    let (shop, segmentation) = (gateway.shop().await, gateway.segmentation().await);
    for person in [&anna, &berta, &anna] {
        person.gives(&["profiling_segmentation"]).await;
        shop.sends(&[Line::of(person, serde_json::json!({ "city": "Berlin" }))]).await;
    }
    segmentation.knows().await;
    gateway.officer().await.erases(&anna).await;
    gateway.expect_sound_ledger().await;
    let size = checkpoint(&gateway).await.size();
    let published = entries(&gateway, &format!("000.p/{size}")).await;
    // Every entry looks like every other one: a version, and 32 bytes that are never the same.
    assert!(published.iter().all(|entry| entry.len() == 33 && entry[0] == 1));
    assert_eq!(published.iter().collect::<BTreeSet<_>>().len() as u64, size);
    // Nothing of what lies in the database is in them, nor any hash of it that could be guessed again.
    let public: Vec<u8> = published.concat();
    let holds = |needle: &[u8]| public.windows(needle.len()).any(|window| window == needle);
    for column in ["SELECT ledger_ref FROM subject", "SELECT receipt FROM consent_event", "SELECT id FROM subject"]
    {
        for value in gateway.database().bytes(column).await {
            assert!(!holds(&value[..8]), "{column} is published");
        }
    }
    for entry in gateway.database().bytes("SELECT entry FROM ledger_entry").await {
        assert!(!holds(&entry) && !holds(&Sha256::digest(&entry)[..8]), "an entry is published");
    }
    for name in ["profiling_segmentation", "segmentation", "city", "officer"] {
        assert!(!holds(name.as_bytes()), "{name} is published");
    }
    // No unkeyed hash of the address, by MD5, SHA-1 or SHA-256, is in the ledger, in what is published, or in the log.
    assert_eq!(anna.email, "anna.q7canary@example.org");
    let sha256 = hex(&Sha256::digest(&anna.email));
    let entries = gateway.database().bytes("SELECT entry FROM ledger_entry").await.concat();
    let log = crate::harness::log::kept();
    for digest in ["f1fac4c33053fc9fbf586e8af69bbd99", "71e746bfc479c5c26a5462d3c2f4e6a8efe7446e", &sha256] {
        let raw: Vec<u8> =
            (0..digest.len() / 2).map(|at| u8::from_str_radix(&digest[2 * at..2 * at + 2], 16).unwrap()).collect();
        for haystack in [&public, &entries, &log.clone().into_bytes()] {
            for needle in [&raw, digest.as_bytes()] {
                assert!(!haystack.windows(needle.len()).any(|window| window == needle), "{digest}");
            }
        }
    }
}

/// `consentry ledger verify --url`, its exit code and what it says.
async fn verify_as_stranger(gateway: &TestGateway, more: &[&str]) -> (Option<i32>, String) {
    let (url, vkey) = (gateway.url(""), verifier(gateway).await.vkey());
    let arguments: Vec<String> = ["ledger", "verify", "--url", &url, "--vkey", &vkey]
        .iter()
        .chain(more)
        .map(|argument| (*argument).to_owned())
        .collect();
    let output =
        tokio::task::spawn_blocking(move || run(&arguments.iter().map(String::as_str).collect::<Vec<_>>()))
            .await
            .unwrap();
    (output.status.code(), text(&output.stdout) + &text(&output.stderr))
}

/// Takes the guards of the ledger away, as whoever owns the database can.
async fn unguard(backend: Backend, gateway: &TestGateway) {
    for table in ["ledger_entry", "ledger_checkpoint", "ledger_node", "ledger_cosignature"] {
        match backend {
            Backend::Sqlite => {
                for event in ["update", "delete"] {
                    gateway.database().execute(&format!("DROP TRIGGER {table}_refuses_{event}")).await;
                }
            }
            Backend::Postgres => {
                gateway.database().execute(&format!("ALTER TABLE {table} DISABLE TRIGGER ALL")).await;
            }
        }
    }
}

async fn a_stranger_finds_what_was_changed(backend: Backend) {
    let gateway = filled(backend).await;
    let (code, said) = verify_as_stranger(&gateway, &[]).await;
    assert!(code == Some(0) && said.contains("the ledger verifies"), "{said}");
    unguard(backend, &gateway).await;
    let flip = match backend {
        Backend::Sqlite => "UPDATE ledger_node SET hash = CAST(X'07' || substr(hash, 2) AS BLOB)",
        Backend::Postgres => "UPDATE ledger_node SET hash = set_byte(hash, 0, (get_byte(hash, 0) + 1) % 256)",
    };
    gateway.database().execute(flip).await;
    let (code, said) = verify_as_stranger(&gateway, &[]).await;
    assert!(code == Some(1) && said.contains("a stored hash over entries 0 to 255 was changed"), "{said}");
    assert_eq!(gateway.verify().await.fault.map(|fault| fault.how), Some(Tampering::Tile));
    // What is published of one entry is changed, consistently in both kinds of tiles. How many entries a checkpoint covers
    // hangs on who else works: this is the third of the first that covers three.
    let covers_three = "SELECT min(first_entry) FROM ledger_checkpoint WHERE length(published) >= 33 * 3";
    let first = gateway.database().number(covers_three).await;
    let flip = match backend {
        Backend::Sqlite => {
            "UPDATE ledger_checkpoint SET published = \
             CAST(substr(published, 1, 33 * 2 + 5) || X'07' || substr(published, 33 * 2 + 7) AS BLOB)"
        }
        Backend::Postgres => {
            "UPDATE ledger_checkpoint SET published = \
             set_byte(published, 33 * 2 + 5, (get_byte(published, 33 * 2 + 5) + 1) % 256)"
        }
    };
    gateway.database().execute(&format!("{flip} WHERE first_entry = {first}")).await;
    let (code, said) = verify_as_stranger(&gateway, &[]).await;
    assert!(code == Some(1) && said.contains("THE LEDGER DOES NOT VERIFY"), "{said}");
    let fault = gateway.verify().await.fault.unwrap();
    assert_eq!(fault.to_string(), format!("what was published of entry {} was changed", first + 2));
}

async fn reg_04_a_kept_checkpoint_finds_a_cut_tail_and_a_fork(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let anna = gateway.person("anna");
    anna.gives(&["email_marketing"]).await;
    gateway.sequence().await;
    anna.withdraws(&["email_marketing"]).await;
    gateway.sequence().await;
    let kept = gateway.get("/ledger/checkpoint").await.expect(200).text();
    let size = checkpoint(&gateway).await.size();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(kept.as_bytes()).unwrap();
    let older = ["--checkpoint", file.path().to_str().unwrap()];
    assert_eq!(verify_as_stranger(&gateway, &older).await.0, Some(0));
    // The tail goes with everything that covers it: by itself the rest is a sound ledger.
    unguard(backend, &gateway).await;
    let first = format!("SELECT first_entry FROM ledger_checkpoint WHERE size = {size}");
    let first = gateway.database().number(&first).await;
    for cut in [
        format!(
            "DELETE FROM ledger_entry WHERE sequence > (SELECT last_sequence FROM ledger_checkpoint WHERE size = {first})"
        ),
        format!("DELETE FROM ledger_checkpoint WHERE size = {size}"),
    ] {
        gateway.database().execute(&cut).await;
    }
    assert_eq!(gateway.verify().await.fault, None);
    let (code, said) = verify_as_stranger(&gateway, &older).await;
    assert!(
        code == Some(1) && said.contains("the tail was cut off") && said.contains(&first.to_string()),
        "{said}"
    );
    // This process remembers what it signed and goes no further; another one that does not know signs a fork.
    anna.gives(&["email_marketing"]).await;
    let job = Authorized::prove(Actor::Job("suite")).unwrap();
    assert!(gateway.gateway().sequence_ledger_once(&job).await.is_err());
    let unknowing = gateway.twin().await;
    unknowing.sequence().await;
    assert!(checkpoint(&unknowing).await.size() >= size);
    assert_eq!(unknowing.verify().await.fault, None);
    let (code, said) = verify_as_stranger(&unknowing, &older).await;
    assert!(code == Some(1) && said.contains("the ledger was forked"), "{said}");
    let older = Checkpoint::open(&kept, ORIGIN, &[verifier(&gateway).await]).unwrap();
    let operator = Authorized::prove(Actor::Operator).unwrap();
    let report = unknowing.gateway().verify_ledger(&operator, Some(&older), |_, _| {}).await.unwrap();
    assert_eq!(report.fault.map(|fault| fault.how), Some(Tampering::Forked));
}

/// A witness as c2sp.org/tlog-witness describes it.
struct FakeWitness {
    key: SigningKey,
    id: [u8; 4],
    log: NoteVerifier,
    seen: Mutex<Checkpoint>,
}

impl FakeWitness {
    const NAME: &str = "witness.test/w";

    fn new(log: NoteVerifier) -> Self {
        let key = SigningKey::from_bytes(&[3; 32]);
        let parts = [Self::NAME.as_bytes(), b"\n\x04", key.verifying_key().as_bytes()].concat();
        let id = *Sha256::digest(parts).first_chunk::<4>().unwrap();
        let seen = Mutex::new(Checkpoint::new(ORIGIN, 0, empty_root()).unwrap());
        Self { key, id, log, seen }
    }

    fn vkey(&self) -> WitnessKey {
        let key = BASE64_STANDARD.encode([&[4][..], self.key.verifying_key().as_bytes()].concat());
        WitnessKey::from_vkey(&format!("{}+{}+{key}", Self::NAME, hex(&self.id))).unwrap()
    }

    fn answer(&self, body: &str) -> WitnessAnswer {
        let proof = ConsistencyProof::parse(body).unwrap();
        let mut seen = self.seen.lock().unwrap();
        if proof.old_size != seen.size() {
            return WitnessAnswer::Knows(seen.size());
        }
        let Ok(checkpoint) = proof.verify(&seen, std::slice::from_ref(&self.log)) else {
            return WitnessAnswer::Contradicts;
        };
        let message = format!("cosignature/v1\ntime 1700000000\n{}", checkpoint.body());
        let signature = self.key.sign(message.as_bytes()).to_bytes();
        let bytes = [&self.id[..], &1_700_000_000_u64.to_be_bytes(), &signature].concat();
        *seen = checkpoint;
        WitnessAnswer::Cosigned(format!("\u{2014} {} {}\n", Self::NAME, BASE64_STANDARD.encode(bytes)))
    }
}

impl Witness for FakeWitness {
    fn add_checkpoint(&self, body: String) -> Witnessed<'_> {
        let answer = self.answer(&body);
        Box::pin(async move { answer })
    }
}

async fn a_witness_cosigns_and_stops_a_ledger_that_was_rolled_back(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, job) = (gateway.person("anna"), Authorized::prove(Actor::Job("suite")).unwrap());
    let witness = Arc::new(FakeWitness::new(verifier(&gateway).await));
    gateway.gateway().witnessed_by(witness.clone(), witness.vkey());
    // Until the witness has said what it knows, nothing is signed.
    anna.gives(&["email_marketing"]).await;
    assert!(!gateway.gateway().sequence_ledger_once(&job).await.unwrap());
    assert_eq!(checkpoint(&gateway).await.size(), 0);
    assert!(gateway.gateway().witness_ledger_once(&job).await.unwrap());
    let mut before = 0;
    for _ in 0..3 {
        anna.gives(&["email_marketing"]).await;
        gateway.sequence().await;
        assert!(gateway.gateway().witness_ledger_once(&job).await.unwrap());
        let note = gateway.get("/ledger/checkpoint").await.expect(200).text();
        assert!(note.contains("\n\u{2014} witness.test/w "), "{note}");
        let cosigned = Checkpoint::open(&note, ORIGIN, &[verifier(&gateway).await]).unwrap();
        assert!(witness.vkey().find(&cosigned.body(), &note).is_ok() && cosigned.size() > before);
        before = cosigned.size();
    }
    // A gateway that starts afresh does not know what the witness knows, and is told.
    let twin = gateway.twin().await;
    twin.gateway().witnessed_by(witness.clone(), witness.vkey());
    assert!(twin.gateway().witness_ledger_once(&job).await.unwrap());
    anna.withdraws(&["email_marketing"]).await;
    twin.sequence().await;
    assert!(twin.gateway().witness_ledger_once(&job).await.unwrap());
    // The database of yesterday comes back: nothing more is signed.
    unguard(backend, &gateway).await;
    let latest = checkpoint(&gateway).await.size();
    for table in ["ledger_checkpoint", "ledger_cosignature"] {
        gateway.database().execute(&format!("DELETE FROM {table} WHERE size = {latest}")).await;
    }
    let restored = gateway.twin().await;
    restored.gateway().witnessed_by(witness.clone(), witness.vkey());
    assert!(restored.gateway().witness_ledger_once(&job).await.is_err());
    assert!(restored.gateway().sequence_ledger_once(&job).await.is_err());
}

async fn what_is_no_tile_is_not_there(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    // A ledger that nothing was sequenced of is empty, and says so under its signature.
    assert_eq!(checkpoint(&gateway).await, Checkpoint::new(ORIGIN, 0, empty_root()).unwrap());
    gateway.get("/ledger/tile/0/000.p/1").await.expect(404);
    gateway.sequence().await;
    let size = checkpoint(&gateway).await.size();
    gateway.get(&format!("/ledger/tile/0/000.p/{size}")).await.expect(200);
    for path in [
        "0/001",
        "0/000.p/0",
        "1/000.p/1",
        "8/000",
        "entries",
        "entries/000",
        "0/0",
        "0/x000/000",
        "0/000.p/256",
        "-1/000",
        "0/..%2f000",
        "%00",
        "0/000%00",
        "data/000",
        "",
    ] {
        gateway.get(&format!("/ledger/tile/{path}")).await.expect(404);
    }
    let beyond = format!("/ledger/tile/0/000.p/{}", size + 1);
    gateway.get(&beyond).await.expect(404);
    gateway.get("/ledger/checkpoint?x=1").await.expect(422);
}

async fn tiles_of_tiles_are_served_and_verified(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    gateway.sequence().await;
    // Two full levels take 65,536 entries: the same one again and again, which nobody can tell from outside.
    let request = kernel::id::RightsRequestId::from_bytes([7; 16]);
    let event = kernel::ledger::LedgerEvent::RightsRequestOpened { request, kind: 1, staff: None };
    let entry = kernel::ledger::LedgerEntry { at: gateway.later(), event }.to_bytes().unwrap();
    let literal = match backend {
        Backend::Sqlite => format!("X'{}'", hex(&entry)),
        Backend::Postgres => format!("'\\x{}'::bytea", hex(&entry)),
    };
    let fill = format!(
        "WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < 65700) \
         INSERT INTO ledger_entry (sequence, entry) \
         SELECT (SELECT max(sequence) FROM ledger_entry), {literal} FROM number"
    );
    gateway.database().execute(&fill).await;
    let report = gateway.expect_sound_ledger().await;
    assert!(report.size > 65_700);
    let whole = gateway.get("/ledger/tile/1/000").await.expect(200).body;
    let above = gateway.get("/ledger/tile/2/000.p/1").await.expect(200).body;
    assert_eq!(above, root_of(whole.as_chunks::<32>().0));
    assert_eq!(entries(&gateway, "255").await.iter().collect::<BTreeSet<_>>().len(), 256);
    let (known, latest) = ([verifier(&gateway).await], checkpoint(&gateway).await);
    for index in [0, 255, 256, 40_000, 65_535, 65_536, latest.size() - 1] {
        let proof = gateway.get(&format!("/ledger/inclusion?index={index}")).await.expect(200).text();
        let bundle = entries(&gateway, &bundle_of(index, latest.size())).await;
        let entry = &bundle[usize::try_from(index % 256).unwrap()];
        let entry = PublishedEntry::from_slice(entry).unwrap();
        let proof = InclusionProof::parse(&proof).unwrap();
        assert_eq!(proof.verify(&entry, ORIGIN, &known), Ok(latest.clone()), "{index}");
    }
    let (code, said) = verify_as_stranger(&gateway, &[]).await;
    assert!(code == Some(0) && said.contains("the ledger verifies"), "{said}");
    // A hash far up is as little to be changed as one at the bottom.
    unguard(backend, &gateway).await;
    let flip = match backend {
        Backend::Sqlite => {
            "UPDATE ledger_node SET hash = CAST(substr(hash, 1, 31) || X'07' AS BLOB) WHERE level = 2"
        }
        Backend::Postgres => {
            "UPDATE ledger_node SET hash = set_byte(hash, 31, (get_byte(hash, 31) + 1) % 256) WHERE level = 2"
        }
    };
    gateway.database().execute(flip).await;
    let (code, said) = verify_as_stranger(&gateway, &[]).await;
    assert!(code == Some(1) && said.contains("a stored hash over entries 0 to 65535"), "{said}");
    assert_eq!(gateway.verify().await.fault.map(|fault| fault.how), Some(Tampering::Tile));
}

/// The address of the bundle that an entry is in.
fn bundle_of(index: u64, size: u64) -> String {
    let number = index / 256;
    let width = (size - number * 256).min(256);
    let path = kernel::ledger::tile::TilePath {
        kind: kernel::ledger::tile::TileKind::Entries,
        number,
        width: u16::try_from(width).unwrap(),
    };
    path.to_string().trim_start_matches("entries/").to_owned()
}

async fn an_auditor_reads_entries_that_fit_what_is_published(backend: Backend) {
    let gateway = filled(backend).await;
    let role = Role { scopes: vec![Scope::LedgerRead], ..Role::default() };
    let auditor = Client::registered(&gateway, role).await;
    let size = checkpoint(&gateway).await.size();
    let mut published = entries(&gateway, "000").await;
    published.extend(entries(&gateway, &format!("001.p/{}", size - 256)).await);
    let (mut read, mut path) = (0_usize, Some("/v1/ledger/entries?limit=100".to_owned()));
    while let Some(next) = path.take() {
        let answer = auditor.get(&next).await.expect(200);
        path = answer.header("link").map(|link| link.split_once('>').unwrap().0[1..].to_owned());
        for entry in answer.json()["entries"].as_array().unwrap() {
            let bytes = |member: &str| BASE64_STANDARD.decode(entry[member].as_str().unwrap()).unwrap();
            let key = kernel::ledger::EntryKey::from_bytes(bytes("key").try_into().unwrap());
            assert_eq!(entry["index"], read);
            assert_eq!(key.publish(&bytes("entry")).as_bytes(), &*published[read]);
            assert_eq!(bytes("published"), published[read]);
            assert!(entry["reads"]["event"].is_string());
            read += 1;
        }
    }
    assert_eq!(read as u64, size);
    // Who looked is on record, and officers may not.
    let looked: i64 =
        gateway.database().number("SELECT count(*) FROM ledger_entry").await - i64::try_from(size).unwrap();
    assert!(looked >= 3, "{looked}");
    let officer = gateway.officer().await.client;
    officer.get("/v1/ledger/entries").await.expect_problem(403, "insufficient_scope");
    auditor.get("/v1/ledger/entries?limit=1001").await.expect_problem(422, "invalid_field");
    let beyond = auditor.get("/v1/ledger/entries?start=1000000").await.expect(200).json();
    assert_eq!(beyond["entries"], serde_json::json!([]));
}
