//! The command line, as an operator meets it: the real binary in a folder of its own.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::harness::MARK;
use crate::harness::process::{Process, run, text};

/// Runs the binary; its exit code, output and errors.
fn consentry(arguments: &[&str]) -> (i32, String, String) {
    let output = run(arguments);
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

fn root(path: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path).to_str().unwrap().to_owned()
}

#[test]
fn every_command_explains_itself() {
    let (code, help, _) = consentry(&["--help"]);
    assert_eq!(code, 0);
    for command in ["serve", "migrate", "policy", "ledger", "client", "keys", "demo", "openapi"] {
        assert!(help.contains(command), "{command} is not in the help");
    }
    assert!(help.contains("Examples:") && help.contains("Exit codes:"));
    for command in [
        &["serve"][..],
        &["migrate"],
        &["policy", "check"],
        &["ledger", "verify"],
        &["client", "add"],
        &["client", "list"],
        &["client", "revoke"],
        &["keys", "new"],
        &["demo"],
    ] {
        let (code, help, _) = consentry(&[command, &["--help"]].concat());
        assert!(code == 0 && help.contains("Usage:") && help.contains("Examples:"), "{command:?}: {help}");
    }
    let (code, version, _) = consentry(&["--version"]);
    assert_eq!((code, version.trim()), (0, concat!("consentry ", env!("CARGO_PKG_VERSION"))));
    let (code, _, error) = consentry(&["frobnicate"]);
    assert!(code == 2 && error.contains("frobnicate"), "{error}");
}

#[test]
fn the_api_document_is_printed() {
    let (code, printed, _) = consentry(&["openapi"]);
    assert_eq!(code, 0);
    assert_eq!(serde_json::from_str::<Value>(&printed).unwrap(), consentry::http::openapi::document());
}

#[test]
fn the_shipped_policy_is_sound() {
    for arguments in [&["policy", "check"][..], &["policy", "check", &root("policies")]] {
        let (code, output, _) = consentry(arguments);
        assert_eq!(code, 0, "{output}");
        let cases = output.lines().last().unwrap();
        let (passed, all) = cases.split_once(" of ").unwrap();
        assert!(passed.parse::<u32>().unwrap() > 30 && all.starts_with(passed), "{cases}");
    }
}

fn shipped(path: &str) -> String {
    let sources = consentry::assets::shipped_policy();
    let source = sources.iter().find(|source| source.path() == path).unwrap();
    source.text().to_owned()
}

/// A copy of the shipped policy with a passage of a document replaced.
fn policy_with(folder: &Path, path: &str, passage: &str, replacement: &str) -> String {
    let policy = folder.join("policy");
    let _fresh = fs::remove_dir_all(&policy);
    for source in consentry::assets::shipped_policy().iter() {
        let file = policy.join(source.path());
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        let text = if source.path() == path {
            assert!(source.text().contains(passage), "{path} has no `{passage}`");
            source.text().replacen(passage, replacement, 1)
        } else {
            source.text().to_owned()
        };
        fs::write(file, text).unwrap();
    }
    policy.to_str().unwrap().to_owned()
}

#[test]
fn seg_02_a_definition_that_lacks_something_is_named_by_file_and_line() {
    let folder = tempfile::tempdir().unwrap();
    for (path, passage, replacement, line, says) in [
        ("attributes.toml", "retention = \"P36M\"\n", "", 9, "retention"),
        ("attributes.toml", "tag = \"none\"\n", "", 9, "tag"),
        ("attributes.toml", "k = 1\n", "", 9, "`k`"),
        ("attributes.toml", "ccpa = \"A\"\n", "", 9, "ccpa"),
        ("attributes.toml", "fideslang = \"user.contact.email\"\n", "", 9, "fideslang"),
        ("attributes.toml", "type = \"email\"\n", "", 9, "type"),
        ("attributes.toml", "type = \"email\"", "type = \"emial\"", 12, "emial"),
        (
            "attributes.toml",
            "purposes = [\"email_marketing\"",
            "purposes = [\"email_markting\"",
            18,
            "email_markting",
        ),
        ("purposes.toml", "validity = \"P24M\"\n", "", 3, "validity"),
        ("purposes.toml", "title = { en = \"Offers", "titel = { en = \"Offers", 5, "titel"),
        ("forms.toml", "notice = \"newsletter\"", "notice = \"newsleter\"", 8, "newsleter"),
        ("recipients.toml", "controller = \"example_shop\"", "controller = \"nobody\"", 11, "nobody"),
    ] {
        let policy = policy_with(folder.path(), path, passage, replacement);
        let (code, output, _) = consentry(&["policy", "check", &policy]);
        assert_eq!(code, 1, "{says}: {output}");
        let place = Path::new(&policy).join(path).display().to_string();
        let mut faults = output.lines().filter_map(|fault| {
            let (line, rest) = fault.strip_prefix(&format!("{place}:"))?.split_once(':')?;
            Some((line.parse::<u32>().unwrap(), rest))
        });
        let found = faults.any(|(at, reason)| (line == 0 || at.abs_diff(line) <= 2) && reason.contains(says));
        assert!(found, "no fault of {path} near line {line} that says {says}: {output}");
    }
}

#[test]
fn cap_06_and_not_01_a_notice_that_leaves_something_out_is_no_notice() {
    let folder = tempfile::tempdir().unwrap();
    for slot in [
        "controller",
        "purposes",
        "data_types",
        "legal_basis",
        "recipients",
        "transfers",
        "retention",
        "rights",
        "withdrawal_info",
        "complaint",
        "statutory_duty",
        "automated_decisions",
    ] {
        let text = shipped("notices/newsletter-1.toml");
        // The slot's text, from its name to where the next slot begins.
        let english = text.find("locale = \"en\"").unwrap();
        let begin = text[english..].find(&format!("\n{slot} = ")).unwrap() + english + 1;
        let value = begin + slot.len() + 3;
        let end = if text[value..].starts_with("\"\"\"") {
            text[value + 3..].find("\"\"\"").unwrap() + value + 6
        } else {
            text[value..].find('\n').unwrap() + value
        };
        for blank in [String::new(), format!("{slot} = \"  \"")] {
            let policy = policy_with(folder.path(), "notices/newsletter-1.toml", &text[begin..end], &blank);
            let (code, output, _) = consentry(&["policy", "check", &policy]);
            assert!(
                code == 1 && output.contains("notices/newsletter-1.toml:") && output.contains(slot),
                "{slot}: {output}"
            );
        }
    }
}

#[test]
fn a_case_that_fails_is_named_by_file_and_line() {
    let folder = tempfile::tempdir().unwrap();
    let policy = policy_with(
        folder.path(),
        "cases/consent.toml",
        "decision = \"refuse\"\nreason = \"no_consent\"",
        "decision = \"permit\"",
    );
    let (code, output, _) = consentry(&["policy", "check", &policy]);
    assert_eq!(code, 1, "{output}");
    assert!(output.contains("cases/consent.toml:") && output.contains("V01"), "{output}");
}

#[test]
fn a_policy_that_is_not_toml_is_named_by_file_and_line() {
    let folder = tempfile::tempdir().unwrap();
    let policy = policy_with(folder.path(), "purposes.toml", "validity = \"P24M\"", "validity = \"P24M");
    let (code, output, error) = consentry(&["policy", "check", &policy]);
    assert!(code == 1 && output.contains("purposes.toml:6:"), "{code} {output}{error}");
    let (code, output, error) = consentry(&["policy", "check", folder.path().join("nowhere").to_str().unwrap()]);
    assert!(code == 2 && output.is_empty() && error.contains("nowhere"), "{code} {output}{error}");
}

#[test]
fn a_data_folder_needs_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let path = data.to_str().unwrap();
    let (code, secret, error) = consentry(&[
        "client",
        "add",
        "--data",
        path,
        "--id",
        "shop",
        "--source",
        "shop",
        "--scope",
        "records:write",
    ]);
    assert_eq!(code, 0, "{error}");
    assert!(
        secret.trim().starts_with("cs_") && secret.lines().count() == 1 && !error.contains(secret.trim()),
        "{secret}"
    );
    let (code, _, error) = consentry(&[
        "client",
        "add",
        "--data",
        path,
        "--id",
        "shop",
        "--source",
        "shop",
        "--scope",
        "records:write",
    ]);
    assert!(code == 2 && error.contains("shop") && error.contains("taken"), "{error}");
    let (code, list, _) = consentry(&["client", "list", "--data", path]);
    assert!(code == 0 && list.contains("shop") && list.contains("active") && !list.contains("cs_"), "{list}");
    let (code, report, _) = consentry(&["ledger", "verify", "--data", path]);
    assert!(code == 0 && report.contains("the ledger verifies"), "{report}");
    let (code, _, _) = consentry(&["client", "revoke", "--data", path, "--id", "shop"]);
    assert_eq!(code, 0);
    let (code, _, _) = consentry(&["client", "revoke", "--data", path, "--id", "nobody"]);
    assert_eq!(code, 1);
    let (code, dry, _) = consentry(&["migrate", "--data", path, "--dry-run"]);
    assert!(code == 0 && dry.contains("up to date"), "{dry}");
    assert!(data.join("consentry.db").is_file() && data.join("policies/purposes.toml").is_file());
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &fs::metadata(data.join("keys/keyring.toml")).unwrap().permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn what_does_not_fit_is_said_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let path = data.to_str().unwrap();
    let fails = |arguments: &[&str], says: &str| {
        let (code, _, error) = consentry(arguments);
        assert!(code == 2 && error.to_lowercase().contains(says), "{arguments:?}: {code} {error}");
        assert!(!error.contains("panicked"), "{error}");
    };
    fails(&["ledger", "verify", "--data", path], "no store");
    fails(&["ledger", "verify"], "--data");
    fails(&["serve", "--data", path, "--listen", "0.0.0.0:0"], "behind_tls_proxy");
    let process = Process::serve(&data, &[]);
    let address = process.url.trim_start_matches("http://").to_owned();
    fails(&["serve", "--data", path, "--listen", &address], "in use");
    process.stop();
    let settings = folder.path().join("settings.toml");
    fs::write(&settings, "[server]\nworkres = 4\n").unwrap();
    fails(&["serve", "--data", path, "--config", settings.to_str().unwrap()], "workres");
    fails(&["serve", "--config", &root("config/production.example.toml")], "database.url");
    let keys = data.join("keys/keyring.toml");
    fs::set_permissions(&keys, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    fails(&["serve", "--data", path], "chmod 600");
    fs::rename(&keys, folder.path().join("kept")).unwrap();
    fails(&["serve", "--data", path], "keys are missing");
    fs::rename(folder.path().join("kept"), &keys).unwrap();
    fs::set_permissions(&keys, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    fs::write(data.join("policies/purposes.toml"), "[[purpose]]\nid = 7\n").unwrap();
    fails(&["serve", "--data", path], "purposes.toml:2:");
}

#[test]
fn keys_are_made_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keyring.toml");
    let path = file.to_str().unwrap();
    assert_eq!(consentry(&["keys", "new", path]).0, 0);
    let made = fs::read(&file).unwrap();
    let (code, _, error) = consentry(&["keys", "new", path]);
    assert!(code == 2 && error.contains("never overwritten"), "{error}");
    assert_eq!(fs::read(&file).unwrap(), made);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_serves_logs_json_without_personal_data_and_stops_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let process = Process::serve(&data, &[("CONSENTRY__LOG__LEVEL", "trace")]);
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = |path: &str| format!("{}{path}", process.url);
    assert_eq!(http.get(url("/health/ready")).send().await.unwrap().status(), 200);
    let form = http.get(url("/forms/newsletter")).send().await.unwrap().text().await.unwrap();
    let notice = form.split("name=\"notice\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    let inputs =
        [("notice", notice), ("locale", "en"), ("email", "q7canary@example.org"), ("first_name", "q7canary")];
    assert_eq!(http.post(url("/forms/newsletter?q7canary")).form(&inputs).send().await.unwrap().status(), 201);
    let bad =
        json!({ "subject": { "email": "q7canary" }, "choices": [{ "purpose": "q7canary", "choice": "give" }] });
    assert_eq!(http.post(url("/v1/consents")).json(&bad).send().await.unwrap().status(), 422);
    let log = process.stop();
    let mut lines = 0;
    for line in log.lines() {
        let event: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(event["timestamp"].is_string() && event["level"].is_string(), "{line}");
        lines += 1;
    }
    assert!(lines >= 4 && log.contains("\"stopped\""), "{log}");
    assert!(!log.contains(MARK), "{log}");
    let (code, report, _) = consentry(&["ledger", "verify", "--data", data.to_str().unwrap()]);
    assert_eq!(code, 0, "{report}");
    let mut stored = Vec::new();
    for entry in fs::read_dir(&data).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            stored.extend(fs::read(path).unwrap());
        }
    }
    crate::erasure::expect_no_trace(&stored, "q7canary@example.org");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tampered_ledger_fails_the_check() {
    use sqlx::{Connection as _, Executor as _};
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let path = data.to_str().unwrap();
    for id in ["one", "two", "three"] {
        assert_eq!(
            consentry(&["client", "add", "--data", path, "--id", id, "--source", id, "--scope", "records:write"])
                .0,
            0
        );
    }
    Process::serve(&data, &[]).stop();
    assert_eq!(consentry(&["ledger", "verify", "--data", path]).0, 0);
    let url = format!("sqlite:{}", data.join("consentry.db").display());
    let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
    connection.execute("DROP TRIGGER ledger_entry_refuses_update").await.unwrap();
    let swap = "UPDATE ledger_entry SET entry = (SELECT entry FROM ledger_entry ORDER BY id DESC LIMIT 1) \
                WHERE id = (SELECT min(id) FROM ledger_entry)";
    connection.execute(swap).await.unwrap();
    connection.close().await.unwrap();
    let (code, report, _) = consentry(&["ledger", "verify", "--data", path]);
    assert!(code == 1 && report.contains("DOES NOT VERIFY"), "{code} {report}");
}
