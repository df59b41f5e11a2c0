//! The audit log: who changed what, and from where; append-only, and a chain.
//!
//! Entries are noted in the transaction that makes the change ([`Tx::note`]) and written at its end,
//! when the log's end is locked: nothing else is locked after it but the sequence of changes, so that
//! transactions cannot wait for each other in a circle.

use base::Millis;

use crate::db::{Counted, Db, On, Result, Select, Tx, containing};
use crate::{row, sql};

/// An entry that has no place in the chain yet. `before` and `after` are JSON without secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewEntry {
    pub id: String,
    pub at: Millis,
    pub how: String,
    pub actor_user_id: Option<String>,
    pub actor_key_id: Option<String>,
    pub session_id: Option<String>,
    pub changed_by: Option<String>,
    pub client_address: Option<String>,
    pub user_agent: Option<String>,
    pub action: String,
    pub object_kind: String,
    pub object_id: String,
    pub outcome: String,
    pub reason: Option<String>,
    pub before: Option<String>,
    pub after: Option<String>,
    /// Whom it concerns, as kind and id: each once, in order.
    pub subjects: Vec<(String, String)>,
}

row! {
    /// One row of `audit`.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct AuditRow {
        pub sequence: i64,
        pub id: String,
        pub at: Millis,
        pub how: String,
        pub actor_user_id: Option<String>,
        pub actor_key_id: Option<String>,
        pub session_id: Option<String>,
        pub changed_by: Option<String>,
        pub client_address: Option<String>,
        pub user_agent: Option<String>,
        pub action: String,
        pub object_kind: String,
        pub object_id: String,
        pub outcome: String,
        pub reason: Option<String>,
        pub before: Option<String>,
        pub after: Option<String>,
        pub hash: String,
        pub seal: String,
    }
}

row! {
    /// One row of `audit_subjects`.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct SubjectRow {
        pub sequence: i64,
        pub kind: String,
        pub id: String,
    }
}

row! {
    /// The end of the log: the last entry's number and hash.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct HeadRow {
        pub sequence: i64,
        pub hash: String,
    }
}

/// Reads the end of the log and keeps it from moving until the transaction ends.
pub async fn lock_head(tx: &mut Tx) -> Result<HeadRow> {
    sql!("UPDATE audit_head SET name = name WHERE name = 'audit' RETURNING sequence, hash")
        .one(tx)
        .await
}

/// The end of the log.
pub async fn head<'a>(on: impl Into<On<'a>>) -> Result<HeadRow> {
    sql!("SELECT sequence, hash FROM audit_head WHERE name = 'audit'")
        .one(on)
        .await
}

/// Moves the end of the log, which the transaction has locked.
pub async fn move_head(tx: &mut Tx, sequence: i64, hash: &str) -> Result<()> {
    sql!("UPDATE audit_head SET sequence = $1, hash = $2 WHERE name = 'audit'")
        .bind(sequence)
        .bind(hash)
        .execute(tx)
        .await
        .map(drop)
}

/// Adds an entry at its place in the chain.
pub async fn append(
    tx: &mut Tx,
    entry: &NewEntry,
    sequence: i64,
    hash: &str,
    seal: &str,
) -> Result<()> {
    sql!(
        "INSERT INTO audit (
            sequence, id, at, how, actor_user_id, actor_key_id, session_id, changed_by,
            client_address, user_agent, action, object_kind, object_id, outcome, reason, before,
            after, hash, seal)
         VALUES (
            $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)"
    )
    .bind(sequence)
    .bind(&entry.id)
    .bind(entry.at)
    .bind(&entry.how)
    .bind(&entry.actor_user_id)
    .bind(&entry.actor_key_id)
    .bind(&entry.session_id)
    .bind(&entry.changed_by)
    .bind(&entry.client_address)
    .bind(&entry.user_agent)
    .bind(&entry.action)
    .bind(&entry.object_kind)
    .bind(&entry.object_id)
    .bind(&entry.outcome)
    .bind(&entry.reason)
    .bind(&entry.before)
    .bind(&entry.after)
    .bind(hash)
    .bind(seal)
    .execute(&mut *tx)
    .await?;
    for (kind, id) in &entry.subjects {
        sql!("INSERT INTO audit_subjects (sequence, kind, id) VALUES ($1, $2, $3)")
            .bind(sequence)
            .bind(kind)
            .bind(id)
            .execute(&mut *tx)
            .await?;
    }
    Ok(())
}

/// The entries about objects of one kind, oldest first, at most a thousand.
pub async fn list<'a>(on: impl Into<On<'a>>, object_kind: &str) -> Result<Vec<AuditRow>> {
    sql!("SELECT * FROM audit WHERE object_kind = $1 ORDER BY sequence LIMIT 1000")
        .bind(object_kind)
        .all(on)
        .await
}

/// Entries of the chain after a number, oldest first.
pub async fn list_after<'a>(
    on: impl Into<On<'a>>,
    sequence: i64,
    limit: i64,
) -> Result<Vec<AuditRow>> {
    sql!("SELECT * FROM audit WHERE sequence > $1 ORDER BY sequence LIMIT $2")
        .bind(sequence)
        .bind(limit)
        .all(on)
        .await
}

/// Whom entries concern, by the numbers from the first to the last.
pub async fn subjects_between<'a>(
    on: impl Into<On<'a>>,
    first: i64,
    last: i64,
) -> Result<Vec<SubjectRow>> {
    sql!(
        "SELECT * FROM audit_subjects WHERE sequence >= $1 AND sequence <= $2
         ORDER BY sequence, kind, id"
    )
    .bind(first)
    .bind(last)
    .all(on)
    .await
}

/// How many entries are older than the chain.
pub async fn count_before_chain<'a>(on: impl Into<On<'a>>) -> Result<i64> {
    let counted: Counted = sql!("SELECT COUNT(*) AS count FROM audit WHERE sequence <= 0")
        .one(on)
        .await?;
    Ok(counted.count)
}

/// Which entries to read; `None` leaves a condition out.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// The first moment that counts.
    pub from: Option<Millis>,
    /// The first moment that counts no more.
    pub until: Option<Millis>,
    /// Only entries before this one, in a list that begins with the newest.
    pub before: Option<i64>,
    pub id: Option<String>,
    pub actor_user_id: Option<String>,
    pub actor_key_id: Option<String>,
    pub changed_by: Option<String>,
    pub how: Option<String>,
    pub action: Option<String>,
    pub object_kind: Option<String>,
    pub object_id: Option<String>,
    pub outcome: Option<String>,
    /// Somewhere in the entry.
    pub text: Option<String>,
    /// Only what this user may read: their own entries, and those that concern a team or an
    /// organization they administer.
    pub reader: Option<String>,
}

impl Filter {
    fn narrow(&self, select: Select) -> Select {
        let pattern = self.text.as_deref().map(containing);
        select
            .when("at >= ?", self.from)
            .when("at < ?", self.until)
            .when("sequence < ?", self.before)
            .when("id = ?", self.id.as_ref())
            .when("actor_user_id = ?", self.actor_user_id.as_ref())
            .when("actor_key_id = ?", self.actor_key_id.as_ref())
            .when(
                "COALESCE(changed_by, actor_user_id) = ?",
                self.changed_by.as_ref(),
            )
            .when("how = ?", self.how.as_ref())
            .when("action = ?", self.action.as_ref())
            .when("object_kind = ?", self.object_kind.as_ref())
            .when("object_id = ?", self.object_id.as_ref())
            .when("outcome = ?", self.outcome.as_ref())
            .when(
                "(LOWER(object_id) LIKE ? ESCAPE '!'
                    OR LOWER(COALESCE(actor_user_id, '')) LIKE ? ESCAPE '!'
                    OR LOWER(COALESCE(changed_by, '')) LIKE ? ESCAPE '!'
                    OR LOWER(COALESCE(client_address, '')) LIKE ? ESCAPE '!'
                    OR LOWER(COALESCE(reason, '')) LIKE ? ESCAPE '!'
                    OR LOWER(COALESCE(before, '')) LIKE ? ESCAPE '!'
                    OR LOWER(COALESCE(after, '')) LIKE ? ESCAPE '!')",
                pattern,
            )
            .when(
                "(actor_user_id = ? OR sequence IN (
                    SELECT sequence FROM audit_subjects WHERE kind = 'team' AND id IN (
                        SELECT team_id FROM team_members WHERE user_id = ? AND role = 'admin'
                        UNION SELECT teams.id FROM teams
                            JOIN organization_members AS place
                            ON place.organization_id = teams.organization_id
                            WHERE place.user_id = ? AND place.role = 'org_admin')
                    UNION SELECT sequence FROM audit_subjects
                        WHERE kind = 'organization' AND id IN (
                            SELECT organization_id FROM organization_members
                            WHERE user_id = ? AND role = 'org_admin')))",
                self.reader.as_ref(),
            )
    }
}

/// One page of entries, the newest first.
pub async fn page(
    db: &Db,
    filter: &Filter,
    ascending: bool,
    limit: i64,
    offset: i64,
) -> Result<Vec<AuditRow>> {
    let order = match ascending {
        true => " ORDER BY sequence",
        false => " ORDER BY sequence DESC",
    };
    filter
        .narrow(Select::new("SELECT * FROM audit WHERE 1 = 1"))
        .then(order)
        .then_with(" LIMIT ?", limit)
        .then_with(" OFFSET ?", offset)
        .query()
        .all(db)
        .await
}

/// How many entries there are.
pub async fn count(db: &Db, filter: &Filter) -> Result<i64> {
    let counted: Counted = filter
        .narrow(Select::new(
            "SELECT COUNT(*) AS count FROM audit WHERE 1 = 1",
        ))
        .query()
        .one(db)
        .await?;
    Ok(counted.count)
}
