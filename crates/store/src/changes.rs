//! What changed, in order of commit, so that every process can refresh what it keeps in memory.

use base::Millis;

use crate::db::{Db, On, Result, Tx};
use crate::{row, sql};

row! {
    /// One row of `changes`.
    #[derive(Clone, Debug)]
    pub struct ChangeRow {
        pub sequence: i64,
        pub kind: String,
        pub id: String,
        pub at: Millis,
    }
}

row! {
    /// The number of the last change.
    pub struct SequenceRow {
        pub value: i64,
    }
}

/// Notes a change in the transaction that makes it. Locks the sequence until the commit, so that
/// sequences appear in order.
pub async fn record(tx: &mut Tx, kind: &str, id: &str, now: Millis) -> Result<i64> {
    let next: SequenceRow =
        sql!("UPDATE change_sequence SET value = value + 1 WHERE name = 'changes' RETURNING value")
            .one(&mut *tx)
            .await?;
    sql!("INSERT INTO changes (sequence, kind, id, at) VALUES ($1, $2, $3, $4)")
        .bind(next.value)
        .bind(kind)
        .bind(id)
        .bind(now)
        .execute(tx)
        .await?;
    Ok(next.value)
}

/// The number of the last change.
pub async fn last(db: &Db) -> Result<i64> {
    let row: SequenceRow = sql!("SELECT value FROM change_sequence WHERE name = 'changes'")
        .one(db)
        .await?;
    Ok(row.value)
}

/// The changes after `sequence`, oldest first, at most a thousand.
pub async fn list_after(db: &Db, sequence: i64) -> Result<Vec<ChangeRow>> {
    sql!("SELECT * FROM changes WHERE sequence > $1 ORDER BY sequence LIMIT 1000")
        .bind(sequence)
        .all(db)
        .await
}

/// Forgets changes that every process has seen long ago.
pub async fn forget_before<'a>(on: impl Into<On<'a>>, before: Millis) -> Result<u64> {
    sql!("DELETE FROM changes WHERE at < $1")
        .bind(before)
        .execute(on)
        .await
}
