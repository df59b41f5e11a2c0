//! What keeps the audit log append-only in the database itself: triggers that refuse to change or delete
//! its entries. The databases spell triggers differently, so they are no migration; they stand after it.

use crate::db::{Db, Result};
use crate::sql;

/// Puts the triggers up where they are not.
pub async fn stand(db: &Db) -> Result<()> {
    match db {
        Db::Sqlite(_) => sqlite(db).await,
        Db::Postgres(_) => postgres(db).await,
    }
}

async fn sqlite(db: &Db) -> Result<()> {
    let all = [
        sql!(
            Sqlite,
            "CREATE TRIGGER IF NOT EXISTS audit_no_update BEFORE UPDATE ON audit
             BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END"
        ),
        sql!(
            Sqlite,
            "CREATE TRIGGER IF NOT EXISTS audit_no_delete BEFORE DELETE ON audit
             BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END"
        ),
        sql!(
            Sqlite,
            "CREATE TRIGGER IF NOT EXISTS audit_subjects_no_update BEFORE UPDATE ON audit_subjects
             BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END"
        ),
        sql!(
            Sqlite,
            "CREATE TRIGGER IF NOT EXISTS audit_subjects_no_delete BEFORE DELETE ON audit_subjects
             BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END"
        ),
    ];
    for statement in all {
        statement.execute(db).await?;
    }
    Ok(())
}

async fn postgres(db: &Db) -> Result<()> {
    crate::row! {
        pub struct Standing { pub count: i64 }
    }
    let standing = sql!(
        Postgres,
        "SELECT COUNT(*) AS count FROM pg_trigger
         WHERE tgname IN ('audit_append_only', 'audit_no_truncate', 'audit_subjects_append_only',
            'audit_subjects_no_truncate')
            AND tgrelid IN ('audit'::regclass, 'audit_subjects'::regclass)"
    );
    let standing: Standing = standing.one(db).await?;
    if standing.count == 4 {
        return Ok(());
    }
    let mut tx = db.begin().await?;
    // two replicas may start at once
    sql!(Postgres, "SELECT pg_advisory_xact_lock(4000000004)")
        .execute(&mut tx)
        .await?;
    let all = [
        sql!(
            Postgres,
            "CREATE OR REPLACE FUNCTION refuse_change_of_audit() RETURNS trigger LANGUAGE plpgsql AS
             'BEGIN RAISE EXCEPTION ''the audit log is append-only''; END'"
        ),
        sql!(
            Postgres,
            "CREATE OR REPLACE TRIGGER audit_append_only BEFORE UPDATE OR DELETE ON audit
             FOR EACH ROW EXECUTE FUNCTION refuse_change_of_audit()"
        ),
        sql!(
            Postgres,
            "CREATE OR REPLACE TRIGGER audit_no_truncate BEFORE TRUNCATE ON audit
             FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_audit()"
        ),
        sql!(
            Postgres,
            "CREATE OR REPLACE TRIGGER audit_subjects_append_only BEFORE UPDATE OR DELETE
             ON audit_subjects FOR EACH ROW EXECUTE FUNCTION refuse_change_of_audit()"
        ),
        sql!(
            Postgres,
            "CREATE OR REPLACE TRIGGER audit_subjects_no_truncate BEFORE TRUNCATE
             ON audit_subjects FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_audit()"
        ),
    ];
    for statement in all {
        statement.execute(&mut tx).await?;
    }
    tx.commit().await
}
