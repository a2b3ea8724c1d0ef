//! Reading persons: every way to a row gives the same row, and a row that was tampered with does not open.

use kernel::seal::SealedSubject;
use store::StoreError;
use store::query::SubjectRow;

use crate::harness::{eventually, grant, on_both};

fn same(row: &SubjectRow, sealed: &SealedSubject<'_>) -> bool {
    (row.id, row.ordinal) == (sealed.id, sealed.ordinal)
        && (&row.wrapped_key[..], &row.standing[..], &row.record[..])
            == (sealed.wrapped_key, sealed.standing, sealed.record)
}

on_both! {
    async fn a_scan_of_a_range_gives_the_same_rows_as_their_ids(db) {
        assert_eq!(db.store.max_ordinal().await.unwrap(), None);
        assert_eq!(db.store.scan_range(0, 100).await.unwrap().rows().count(), 0);
        let posts = (0..50).map(|who| {
            let mut post = db.post(&format!("p{who}@example.org"), vec![grant(0)]);
            if who % 7 == 0 {
                post.attributes.clear();
            }
            post
        });
        db.try_capture(posts.collect()).await.unwrap();
        assert_eq!(db.store.max_ordinal().await.unwrap(), Some(50));

        let page = db.store.scan_range(0, 1000).await.unwrap();
        let scanned: Vec<_> = page.rows().collect::<Result<_, StoreError>>().unwrap();
        assert_eq!(scanned.len(), 50);
        assert!(scanned.iter().map(|row| row.ordinal).eq(1..=50));
        let ids: Vec<_> = scanned.iter().map(|row| row.id).collect();
        let rows = db.store.rows_by_ids(&ids).await.unwrap();
        assert_eq!(rows.len(), 50);
        for row in &rows {
            let sealed = scanned.iter().find(|sealed| sealed.id == row.id).unwrap();
            assert!(same(row, sealed) && same(row, &row.sealed()));
        }
        let fingerprints: Vec<_> = (0..50).map(|who| db.fingerprint(&format!("p{who}@example.org"))).collect();
        let found = db.store.rows_by_fingerprints(&db.keyring, &fingerprints).await.unwrap();
        assert_eq!(found.len(), 50);
        assert!(found.iter().all(|(_, row)| rows.contains(row)));
        let changed = eventually(async || {
            let changed = db.store.changed_subjects(None, 1000).await.unwrap();
            (changed.len() == 50).then_some(changed)
        })
        .await;
        assert!(changed.iter().map(|(_, row)| row.ordinal).eq(1..=50));

        let part = db.store.scan_range(10, 20).await.unwrap();
        assert!(part.rows().map(|row| row.unwrap().ordinal).eq(10..20));
        assert!(part.byte_len() > 0);
        assert!(db.store.rows_by_ids(&[]).await.unwrap().is_empty());
    }

    async fn a_row_that_was_swapped_does_not_open(db) {
        let anna = db.capture(db.post("anna@example.org", vec![grant(0)])).await.subject;
        let ben = db.capture(db.post("ben@example.org", vec![])).await.subject;
        let (anna_row, ben_row) = (db.row(anna).await, db.row(ben).await);
        // Whoever can write to the database gives Ben Anna's consent, and then Anna's key too.
        db.raw(
            "UPDATE subject SET standing = (SELECT other.standing FROM subject other WHERE other.ordinal = 1) \
             WHERE ordinal = 2",
        )
        .await
        .unwrap();
        let row = db.row(ben).await;
        assert_eq!(row.standing, anna_row.standing);
        assert_eq!(row.wrapped_key, ben_row.wrapped_key);
        assert!(db.keyring.unwrap_key(ben, &row.wrapped_key).unwrap().open_standing(&row.standing).is_err());
        db.raw(
            "UPDATE subject SET wrapped_key = (SELECT other.wrapped_key FROM subject other WHERE other.ordinal = 1) \
             WHERE ordinal = 2",
        )
        .await
        .unwrap();
        assert!(db.keyring.unwrap_key(ben, &db.row(ben).await.wrapped_key).is_err());
        // A write refuses too, rather than folding into what it cannot read.
        let post = db.post("ben@example.org", vec![grant(1)]);
        assert!(matches!(db.try_capture(vec![post]).await, Err(StoreError::Tampered)));
    }
}
