//! The ledger: it verifies after everything, and whatever is changed in it is found.

use serde_json::json;

use kernel::ledger::{LedgerFault, Tampering};

use crate::harness::{Backend, Line, TestGateway};

on_both!(
    it_verifies_after_everything,
    nothing_in_it_can_be_changed_by_slip,
    reg_04_an_edited_entry_is_named,
    reg_04_a_deleted_entry_is_named,
    reg_04_a_truncated_tail_is_named,
    reg_04_entries_that_changed_places_are_named,
    reg_04_an_inserted_entry_is_named,
    reg_04_a_changed_checkpoint_is_named,
    reg_04_a_missing_checkpoint_is_named,
    reg_04_what_was_published_of_an_entry_cannot_be_changed,
    every_change_has_its_entry,
);

/// A day in the life of a gateway.
async fn live(gateway: &TestGateway) {
    let (anna, berta) = (gateway.person("anna"), gateway.person("berta"));
    let (shop, segmentation, officer) =
        (gateway.shop().await, gateway.segmentation().await, gateway.officer().await);
    for person in [&anna, &berta] {
        person.gives(&["email_marketing", "profiling_segmentation"]).await;
        shop.sends(&[Line::of(person, json!({ "city": "Berlin" }))]).await;
        gateway.sequence().await;
    }
    assert_eq!(segmentation.knows().await.len(), 2);
    anna.withdraws(&["email_marketing"]).await;
    officer.copy(&anna).await;
    gateway.sequence().await;
    officer.erases(&berta).await;
    assert_eq!(segmentation.knows().await.len(), 1);
}

async fn it_verifies_after_everything(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    live(&gateway).await;
    let report = gateway.expect_sound_ledger().await;
    assert_eq!(report.size, report.entries);
    let rows = gateway.database().number("SELECT count(*) FROM ledger_entry").await;
    assert_eq!(i64::try_from(report.entries), Ok(rows));
    assert!(report.checkpoints >= 4);
    // Looking changes nothing.
    assert_eq!(gateway.expect_sound_ledger().await, report);
}

async fn nothing_in_it_can_be_changed_by_slip(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    live(&gateway).await;
    gateway.sequence().await;
    for statement in [
        "UPDATE ledger_entry SET sequence = sequence + 1",
        "DELETE FROM ledger_entry",
        "UPDATE ledger_checkpoint SET size = size + 1",
        "DELETE FROM ledger_checkpoint",
        "UPDATE consent_event SET events = 2",
    ] {
        let refused = gateway.database().try_execute(statement).await.unwrap_err();
        assert!(refused.contains("append-only"), "{statement}: {refused}");
    }
    gateway.expect_sound_ledger().await;
}

/// Somebody who owns the database takes the guard away, changes something, and puts the guard back: it is found.
async fn tamper(backend: Backend, on_sqlite: &str, on_postgres: &str) -> LedgerFault {
    let gateway = TestGateway::start(backend).await;
    live(&gateway).await;
    gateway.expect_sound_ledger().await;
    match backend {
        Backend::Sqlite => {
            let triggers = [
                "ledger_entry_refuses_update",
                "ledger_entry_refuses_delete",
                "ledger_checkpoint_refuses_update",
                "ledger_checkpoint_refuses_delete",
            ];
            for trigger in triggers {
                gateway.database().execute(&format!("DROP TRIGGER {trigger}")).await;
            }
            gateway.database().execute(on_sqlite).await;
        }
        Backend::Postgres => {
            for table in ["ledger_entry", "ledger_checkpoint"] {
                gateway.database().execute(&format!("ALTER TABLE {table} DISABLE TRIGGER ALL")).await;
            }
            gateway.database().execute(on_postgres).await;
        }
    }
    gateway.verify().await.fault.unwrap()
}

/// The size of the latest checkpoint.
const LAST_BATCH: &str = "(SELECT max(size) FROM ledger_checkpoint)";

async fn reg_04_an_edited_entry_is_named(backend: Backend) {
    // The last byte of the fifth entry.
    let fault = tamper(
        backend,
        "UPDATE ledger_entry SET entry = CAST(substr(entry, 1, length(entry) - 1) || X'07' AS BLOB) \
         WHERE id = (SELECT id FROM ledger_entry ORDER BY sequence, id LIMIT 1 OFFSET 4)",
        "UPDATE ledger_entry SET entry = set_byte(entry, length(entry) - 1, (get_byte(entry, length(entry) - 1) + 1) % 256) \
         WHERE id = (SELECT id FROM ledger_entry ORDER BY sequence, id LIMIT 1 OFFSET 4)",
    )
    .await;
    assert_eq!(fault, LedgerFault::of(Tampering::Edited, 4));
    assert_eq!(fault.to_string(), "entry 4 was edited");
}

async fn reg_04_a_deleted_entry_is_named(backend: Backend) {
    let remove =
        "DELETE FROM ledger_entry WHERE id = (SELECT id FROM ledger_entry ORDER BY sequence, id LIMIT 1 OFFSET 4)";
    let fault = tamper(backend, remove, remove).await;
    assert_eq!(fault, LedgerFault::of(Tampering::Deleted, 4));
}

async fn reg_04_a_truncated_tail_is_named(backend: Backend) {
    let truncate = "DELETE FROM ledger_entry WHERE sequence > (SELECT min(last_sequence) FROM ledger_checkpoint)";
    let fault = tamper(backend, truncate, truncate).await;
    assert_eq!(fault.how, Tampering::Truncated);
    assert!(fault.entries.start > 0 && fault.entries.end > fault.entries.start + 4, "{fault}");
}

async fn reg_04_entries_that_changed_places_are_named(backend: Backend) {
    // The two last captures change places.
    let exchange = "UPDATE ledger_entry SET sequence = \
         (SELECT max(sequence) + min(sequence) FROM (SELECT sequence FROM ledger_entry ORDER BY sequence DESC, id DESC LIMIT 3) last) \
         - sequence WHERE sequence >= (SELECT min(sequence) FROM \
         (SELECT sequence FROM ledger_entry ORDER BY sequence DESC, id DESC LIMIT 3) last)";
    let fault = tamper(backend, exchange, exchange).await;
    assert!(matches!(fault.how, Tampering::Reordered | Tampering::Inserted | Tampering::Deleted), "{fault}");
}

async fn reg_04_an_inserted_entry_is_named(backend: Backend) {
    let insert = "INSERT INTO ledger_entry (sequence, entry) SELECT sequence, entry FROM ledger_entry \
                  ORDER BY sequence, id LIMIT 1";
    let fault = tamper(backend, insert, insert).await;
    assert_eq!(fault, LedgerFault::of(Tampering::Inserted, 1));
}

async fn reg_04_a_changed_checkpoint_is_named(backend: Backend) {
    // The root is changed together with the tree's edge; the signature is not, for that takes the key.
    let fault = tamper(
        backend,
        "UPDATE ledger_checkpoint SET note = replace(note, substr(note, -6, 2), 'zz') \
         WHERE size = (SELECT max(size) FROM ledger_checkpoint)",
        "UPDATE ledger_checkpoint SET note = replace(note, left(right(note, 6), 2), 'zz') \
         WHERE size = (SELECT max(size) FROM ledger_checkpoint)",
    )
    .await;
    assert_eq!(fault.how, Tampering::Checkpoint);
}

async fn reg_04_a_missing_checkpoint_is_named(backend: Backend) {
    let first = "DELETE FROM ledger_checkpoint WHERE first_entry = 0";
    let fault = tamper(backend, first, first).await;
    assert_eq!((fault.how, fault.entries.start), (Tampering::CheckpointMissing, 0));
}

async fn reg_04_what_was_published_of_an_entry_cannot_be_changed(backend: Backend) {
    // Some byte of the last published commitment of the latest checkpoint.
    let fault = tamper(
        backend,
        &format!(
            "UPDATE ledger_checkpoint SET published = CAST(substr(published, 1, length(published) - 1) \
             || CASE substr(published, -1) WHEN X'07' THEN X'08' ELSE X'07' END AS BLOB) WHERE size = {LAST_BATCH}"
        ),
        &format!(
            "UPDATE ledger_checkpoint SET published = \
             set_byte(published, length(published) - 1, (get_byte(published, length(published) - 1) + 1) % 256) \
             WHERE size = {LAST_BATCH}"
        ),
    )
    .await;
    assert_eq!(fault.how, Tampering::Republished);
    assert_eq!(fault.entries.end - fault.entries.start, 1);
}

async fn every_change_has_its_entry(backend: Backend) {
    let gateway = TestGateway::start(backend).await;
    let (anna, shop, officer) = (gateway.person("anna"), gateway.shop().await, gateway.officer().await);
    let segmentation = gateway.segmentation().await;
    for client in [&shop.client, &officer.client, &segmentation.client] {
        client.token().await;
    }
    let entries = async || gateway.expect_sound_ledger().await.entries;
    let mut known = entries().await;
    let mut grows = async |what: &str, by: std::ops::RangeInclusive<u64>| {
        let now = entries().await;
        assert!(by.contains(&(now - known)), "{what} wrote {} entries", now - known);
        known = now;
    };
    anna.gives(&["profiling_segmentation"]).await;
    grows("a consent", 1..=4).await;
    shop.sends(&[Line::of(&anna, json!({ "city": "Berlin" }))]).await;
    grows("a record", 1..=2).await;
    let name = segmentation.knows().await.into_iter().next().unwrap();
    grows("a pull", 1..=2).await;
    segmentation.looks_up_names(&[&name]).await.profiles();
    grows("a look-up", 1..=1).await;
    // A look-up that finds nobody is a disclosure of that.
    segmentation.looks_up_names(&["p1-00112233445566778899aabbccddeeff"]).await.profiles();
    grows("a look-up of nobody", 1..=1).await;
    anna.withdraws(&["profiling_segmentation"]).await;
    grows("a withdrawal", 1..=1).await;
    officer.copy(&anna).await;
    grows("an access request", 1..=3).await;
    officer.erases(&anna).await;
    grows("an erasure", 1..=3).await;
    shop.tries(&[Line::of(&anna, json!({ "city": "Berlin" }))]).await.expect(200);
    grows("a suppressed record", 0..=1).await;
    officer
        .client
        .get("/v1/profiles?purpose=profiling_segmentation")
        .await
        .expect_problem(403, "insufficient_scope");
    grows("a refused attempt", 0..=1).await;
    gateway.get("/health/ready").await.expect(200);
    grows("looking", 0..=0).await;
}

/// Whoever has the file can change any byte of it. (PostgreSQL's rows hold the same bytes.)
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reg_04_any_byte_that_is_flipped_is_found_and_the_entry_is_named() {
    let gateway = TestGateway::start(Backend::Sqlite).await;
    live(&gateway).await;
    gateway.expect_sound_ledger().await;
    for table in ["ledger_entry", "ledger_checkpoint"] {
        gateway.database().execute(&format!("DROP TRIGGER {table}_refuses_update")).await;
    }
    let entries = gateway.database().bytes("SELECT entry FROM ledger_entry ORDER BY sequence, id").await;
    let rows = |column: &str| format!("SELECT CAST({column} AS BLOB) FROM ledger_checkpoint ORDER BY size");
    let mut flips = 0;
    for (index, entry) in (0_u64..).zip(&entries) {
        let at = format!(
            "ledger_entry SET entry = $ WHERE id = (SELECT id FROM ledger_entry ORDER BY sequence, id LIMIT 1 OFFSET {index})"
        );
        for byte in (0..entry.len()).skip(usize::try_from(index).unwrap() % 5).step_by(5) {
            let mut changed = entry.clone();
            changed[byte] ^= 1;
            // `client-3` becomes `client-2`: that is a copy of another entry, and found as one.
            if entries.contains(&changed) {
                continue;
            }
            let fault = flip(&gateway, &at, entry, byte).await;
            assert_eq!(fault, LedgerFault::of(Tampering::Edited, index), "byte {byte}");
            flips += 1;
        }
    }
    for column in ["published", "secret", "root", "frontier", "note"] {
        for (place, value) in gateway.database().bytes(&rows(column)).await.iter().enumerate() {
            let kind = if column == "note" { "CAST($ AS text)" } else { "$" };
            let at = format!(
                "ledger_checkpoint SET {column} = {kind} WHERE size = \
                 (SELECT size FROM ledger_checkpoint ORDER BY size LIMIT 1 OFFSET {place})"
            );
            for byte in (0..value.len()).skip(place % 7).step_by(7) {
                let fault = flip(&gateway, &at, value, byte).await;
                // What was published is 33 bytes an entry, and each names its own.
                if let (0, "published") = (place, column) {
                    let expected = LedgerFault::of(Tampering::Republished, byte as u64 / 33);
                    assert!(fault == expected || fault.how == Tampering::Locked, "byte {byte}: {fault}");
                }
                flips += 1;
            }
        }
    }
    assert!(flips > 300, "{flips}");
    gateway.expect_sound_ledger().await;
}

/// Changes one byte, verifies, and puts it back. `at`: the update, with `$` for the value.
async fn flip(gateway: &TestGateway, at: &str, value: &[u8], byte: usize) -> LedgerFault {
    let write = async |value: &[u8]| {
        let literal = format!("X'{}'", kernel::id::hex(value));
        gateway.database().execute(&format!("UPDATE {}", at.replace('$', &literal))).await;
    };
    let mut changed = value.to_vec();
    changed[byte] ^= 1;
    write(&changed).await;
    let found = gateway.verify().await.fault;
    write(value).await;
    found.unwrap_or_else(|| panic!("byte {byte} of {at} was flipped and not found"))
}
