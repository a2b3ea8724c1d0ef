//! Units of work: all or nothing, with their ledger entries.

use kernel::authz::Scope;
use kernel::ledger::{AttemptRefusal, RefusedAttempt};
use store::StoreError;
use store::change::{RecordRefusedAttempt, RegisterClient, RevokeClient};
use store::query::ClientCredentials;

use crate::harness::{NOW, eventually, grant, on_both};

fn client(name: &str) -> RegisterClient {
    RegisterClient {
        client: name.parse().unwrap(),
        credentials: ClientCredentials::Secret("$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaA".to_owned()),
        bound_tokens: false,
        recipient: Some("segmentation".parse().unwrap()),
        source: None,
        scopes: vec![Scope::ProfilesRead, Scope::LedgerRead],
        purposes: vec!["marketing".parse().unwrap()],
        at: NOW,
    }
}

fn attempt() -> RecordRefusedAttempt {
    RecordRefusedAttempt {
        client: None,
        staff: None,
        action: RefusedAttempt::ReadLedger,
        reason: AttemptRefusal::NoCredentials,
        at: NOW,
    }
}

on_both! {
    async fn every_change_has_its_entry_and_a_failed_one_has_none(db) {
        db.store.perform(&client("crm")).await.unwrap();
        assert_eq!(db.ledger_len().await, 1);
        assert!(matches!(db.store.perform(&client("crm")).await, Err(StoreError::Conflict)));
        assert_eq!(db.ledger_len().await, 1);
        let stored = db.store.client(&"crm".parse().unwrap()).await.unwrap().unwrap();
        assert_eq!(stored.scopes, client("crm").scopes);
        assert_eq!(stored.recipient, client("crm").recipient);
        assert_eq!(stored.purposes, client("crm").purposes);
        assert_eq!((stored.created_at, stored.revoked_at), (NOW, None));
        let revoke = RevokeClient { client: "crm".parse().unwrap(), at: NOW.plus_ms(1) };
        assert!(db.store.perform(&revoke).await.unwrap().0);
        assert!(!db.store.perform(&revoke).await.unwrap().0);
        assert_eq!(db.ledger_len().await, 2);
        assert_eq!(db.store.clients().await.unwrap()[0].revoked_at, Some(NOW.plus_ms(1)));
        db.store.perform(&attempt()).await.unwrap();
        assert_eq!(db.ledger_len().await, 3);
    }

    async fn a_unit_that_is_dropped_is_undone(db) {
        let mut unit = db.store.begin().await.unwrap();
        unit.perform(&client("crm")).await.unwrap();
        drop(unit);
        assert!(db.store.clients().await.unwrap().is_empty());
        assert_eq!(db.ledger_len().await, 0);
        let mut unit = db.store.begin().await.unwrap();
        unit.perform(&client("crm")).await.unwrap();
        unit.perform(&attempt()).await.unwrap();
        unit.commit().await.unwrap();
        assert_eq!((db.store.clients().await.unwrap().len(), db.ledger_len().await), (1, 2));
    }

    async fn a_unit_in_which_a_change_failed_does_not_commit(db) {
        db.store.perform(&client("crm")).await.unwrap();
        let mut unit = db.store.begin().await.unwrap();
        unit.perform(&client("shop")).await.unwrap();
        assert!(unit.perform(&client("crm")).await.is_err());
        assert!(unit.commit().await.is_err());
        assert_eq!((db.store.clients().await.unwrap().len(), db.ledger_len().await), (1, 1));
    }

    async fn of_two_changes_in_one_unit_both_are_done_or_none(db) {
        let revoke = RevokeClient { client: "crm".parse().unwrap(), at: NOW };
        let ((), revoked) = db.store.perform(&(client("crm"), revoke)).await.unwrap().0;
        assert!(revoked);
        assert_eq!(db.ledger_len().await, 2);
        assert!(db.store.perform(&(client("shop"), client("crm"))).await.is_err());
        assert_eq!((db.store.clients().await.unwrap().len(), db.ledger_len().await), (1, 2));
    }

    async fn a_batch_that_fails_leaves_nothing_of_any_post(db) {
        let anna = db.capture(db.post("anna@example.org", vec![grant(0)])).await.subject;
        let entries = db.ledger_len().await;
        let zeros = if db.is_postgres() { r"'\x00'" } else { "x'00'" };
        db.raw(&format!("UPDATE subject SET standing = {zeros}")).await.unwrap();
        let posts = vec![db.post("ben@example.org", vec![grant(0)]), db.post("anna@example.org", vec![grant(0)])];
        assert!(matches!(db.try_capture(posts).await, Err(StoreError::Tampered)));
        assert_eq!(db.store.find_by_fingerprint(&db.keyring, &db.fingerprint("ben@example.org")).await.unwrap(), None);
        assert_eq!((db.ledger_len().await, db.store.consent_acts(anna).await.unwrap().len()), (entries, 1));
    }

    async fn what_the_ledger_and_the_history_say_cannot_be_changed(db) {
        db.capture(db.post("anna@example.org", vec![grant(0)])).await;
        let signer = kernel::ledger::note::NoteSigner::new("consent.example/ledger", [7; 32]).unwrap();
        eventually(async || db.store.extend_ledger("consent.example/ledger", &signer, kernel::ledger::BatchSecret::from_bytes([5; 32]), NOW, 10).await.unwrap()).await;
        for statement in [
            "UPDATE ledger_entry SET sequence = 0",
            "DELETE FROM ledger_entry",
            "UPDATE ledger_checkpoint SET note = ''",
            "DELETE FROM ledger_checkpoint",
            "UPDATE consent_event SET events = 4",
        ] {
            let error = db.raw(statement).await.unwrap_err();
            assert!(error.to_string().contains("append-only"), "{statement}: {error}");
        }
        if db.is_postgres() {
            for table in ["ledger_entry", "ledger_checkpoint", "consent_event"] {
                assert!(db.raw(&format!("TRUNCATE {table}")).await.is_err());
            }
        }
    }

    async fn errors_show_no_value(db) {
        db.store.perform(&client("a-telling-name")).await.unwrap();
        let error = db.store.perform(&client("a-telling-name")).await.unwrap_err();
        assert!(!format!("{error} {error:?}").contains("telling"));
    }
}
