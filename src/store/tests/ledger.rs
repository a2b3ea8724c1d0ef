//! The ledger: every entry once, in one order, under one tree, however many write and extend it.

use std::collections::BTreeSet;

use kernel::ledger::note::NoteSigner;
use kernel::ledger::tree::{consistency_proof, leaf_hash, root_of, verify_consistency};
use kernel::ledger::{AttemptRefusal, BatchSecret, Checkpoint, RefusedAttempt};
use store::change::RecordRefusedAttempt;

use crate::harness::{NOW, TestStore, eventually, grant, on_both};

const ORIGIN: &str = "consent.example/ledger";

fn signer() -> NoteSigner {
    NoteSigner::new(ORIGIN, [7; 32]).unwrap()
}

fn secret() -> BatchSecret {
    BatchSecret::from_bytes([5; 32])
}

async fn attempt(db: &TestStore, number: i64) {
    let attempt = RecordRefusedAttempt {
        staff: None,
        client: None,
        action: RefusedAttempt::ReadLedger,
        reason: AttemptRefusal::NoCredentials,
        at: NOW.plus_ms(number),
    };
    db.store.perform(&attempt).await.unwrap();
}

on_both! {
    async fn under_concurrent_writers_every_entry_is_sequenced_once(db) {
        let gateways = [db.clone(), db.another().await];
        let writers = (0..6_i64).map(|task| {
            let gateway = gateways[usize::try_from(task).unwrap() % 2].clone();
            tokio::spawn(async move {
                for round in 0..20 {
                    if round % 5 == 0 {
                        let posts = (0..3).map(|who| {
                            let email = format!("p{task}x{round}x{who}@example.org");
                            gateway.post(&email, vec![grant(task * 1000 + round)])
                        });
                        gateway.try_capture(posts.collect()).await.unwrap();
                    } else {
                        attempt(&gateway, task * 1000 + round).await;
                    }
                }
            })
        });
        let writers: Vec<_> = writers.collect();
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let extenders: Vec<_> = gateways
            .clone()
            .into_iter()
            .map(|gateway| {
                let stopped = stopped.clone();
                tokio::spawn(async move {
                    while !*stopped.borrow() {
                        gateway.store.extend_ledger(ORIGIN, &signer(), secret(), NOW, 7).await.unwrap();
                        tokio::task::yield_now().await;
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.await.unwrap();
        }
        stop.send(true).unwrap();
        for extender in extenders {
            extender.await.unwrap();
        }

        // 16 of 20 rounds write one entry; 4 write one for each of three persons.
        let total = 6 * (16 + 4 * 3);
        eventually(async || {
            db.store.extend_ledger(ORIGIN, &signer(), secret(), NOW, 7).await.unwrap();
            let latest = db.store.latest_checkpoint().await.unwrap();
            latest.filter(|latest| latest.size == total as u64)
        })
        .await;
        let stored = db.entries().await;
        let entries = db.store.ledger_entries(0, 10_000).await.unwrap();
        assert_eq!((entries.len(), stored.len()), (total, total));
        assert!(stored.iter().map(|row| &row.entry).eq(&entries));
        assert_eq!(entries.iter().collect::<BTreeSet<_>>().len(), total);
        let blinded = (0..).zip(&entries).map(|(index, entry)| secret().key(index).publish(entry));
        let leaves: Vec<_> = blinded.map(|entry| leaf_hash(entry.as_bytes())).collect();
        let checkpoints = db.store.checkpoints(0, 10_000).await.unwrap();
        let mut before = None;
        for checkpoint in &checkpoints {
            let size = usize::try_from(checkpoint.size).unwrap();
            assert_eq!(checkpoint.root, root_of(&leaves[..size]));
            assert_eq!(checkpoint.last, stored[size - 1].position);
            let note = Checkpoint::open(&checkpoint.note, ORIGIN, &[signer().verifier().clone()]).unwrap();
            assert_eq!((note.size(), note.root()), (checkpoint.size, &checkpoint.root));
            if let Some((old_size, old_root)) = before {
                let proof = consistency_proof(&leaves[..size], old_size).unwrap();
                assert!(verify_consistency(old_size, &old_root, checkpoint.size, &checkpoint.root, &proof));
            }
            before = Some((checkpoint.size, checkpoint.root));
        }
        assert_eq!(before.unwrap().0, total as u64);
        assert_eq!(db.store.latest_checkpoint().await.unwrap().as_ref(), checkpoints.last());
    }

    async fn entries_are_read_by_index_where_a_checkpoint_covers_them(db) {
        assert!(db.store.extend_ledger(ORIGIN, &signer(), secret(), NOW, 10).await.unwrap().is_none());
        assert!(db.store.latest_checkpoint().await.unwrap().is_none());
        for number in 0..10 {
            attempt(&db, number).await;
        }
        db.entries().await;
        for size in [4, 8] {
            let extend = async || db.store.extend_ledger(ORIGIN, &signer(), secret(), NOW, 4).await.unwrap();
            let checkpoint = eventually(extend).await;
            assert_eq!(checkpoint.size, size);
            assert_eq!(db.store.checkpoint_at(size).await.unwrap(), Some(checkpoint));
        }
        let all = db.entries().await;
        assert_eq!(all.len(), 10);
        for start in 0..10_u64 {
            for count in 0..10_u32 {
                let read = db.store.ledger_entries(start, count).await.unwrap();
                let skip = usize::try_from(start).unwrap();
                let expected: Vec<_> =
                    all[..8].iter().skip(skip).take(count as usize).map(|row| row.entry.clone()).collect();
                assert_eq!(read, expected, "{start}+{count}");
            }
        }
        let rest = db.store.entries_after(Some(all[6].position), 2).await.unwrap();
        assert_eq!(rest, all[7..9]);
        assert_eq!(db.store.checkpoints(4, 10).await.unwrap().len(), 1);
        assert!(db.store.checkpoint_at(5).await.unwrap().is_none());
    }

    async fn a_lease_is_one_holders_until_it_ends(db) {
        let (one, two) = ([1; 16], [2; 16]);
        assert!(db.store.try_acquire("sequence", one, NOW, 1000).await.unwrap());
        assert!(!db.store.try_acquire("sequence", two, NOW, 1000).await.unwrap());
        assert!(db.store.try_acquire("other", two, NOW, 1000).await.unwrap());
        assert!(db.store.try_acquire("sequence", one, NOW.plus_ms(999), 1000).await.unwrap());
        assert!(!db.store.try_acquire("sequence", two, NOW.plus_ms(1000), 1000).await.unwrap());
        assert!(db.store.try_acquire("sequence", two, NOW.plus_ms(1999), 1000).await.unwrap());
        db.store.release("sequence", one).await.unwrap();
        assert!(!db.store.try_acquire("sequence", one, NOW.plus_ms(1999), 1000).await.unwrap());
        db.store.release("sequence", two).await.unwrap();
        assert!(db.store.try_acquire("sequence", one, NOW.plus_ms(1999), 1000).await.unwrap());
    }
}
