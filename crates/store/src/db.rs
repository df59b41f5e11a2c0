//! One SQL text, two databases.
//!
//! Every statement is written once, with `$1` placeholders, in the dialect that SQLite (≥ 3.35) and
//! PostgreSQL share: `RETURNING`, `ON CONFLICT DO UPDATE`, CTEs, window functions. A test finds
//! every [`sql!`](crate::sql!) in our sources and prepares it on both.

use std::path::Path;
use std::time::Duration;

use base::{Millis, Money};
use sqlx::postgres::{PgArguments, PgPool, PgPoolOptions, PgRow};
use sqlx::sqlite::{
    SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteRow, SqliteSynchronous,
};
use sqlx::{Arguments as _, Postgres, SqlStr, Sqlite, Transaction};

use crate::audit::NewEntry;
use crate::audit_guard;

pub type Result<T> = std::result::Result<T, sqlx::Error>;

/// The database, whichever it is. Cheap to clone.
#[derive(Clone, Debug)]
pub enum Db {
    Sqlite(SqliteDb),
    Postgres(PgPool),
}

/// SQLite has one writer; readers work beside it on the write-ahead log.
#[derive(Clone, Debug)]
pub struct SqliteDb {
    writer: SqlitePool,
    readers: SqlitePool,
}

/// An open transaction. Dropping it rolls back.
pub enum Tx {
    Sqlite(Open<Sqlite>),
    Postgres(Open<Postgres>),
}

/// A transaction and what is to be said of it in the audit log when it ends.
pub struct Open<D: sqlx::Database> {
    pub(crate) transaction: Transaction<'static, D>,
    /// Not in the database yet: the log's end is locked last, for as short as can be.
    entries: Vec<NewEntry>,
}

impl<D: sqlx::Database> Open<D> {
    fn new(transaction: Transaction<'static, D>) -> Open<D> {
        Open {
            transaction,
            entries: Vec::new(),
        }
    }
}

/// Where a query runs: straight on the pool or inside a transaction.
pub enum On<'a> {
    Db(&'a Db),
    Tx(&'a mut Tx),
}

impl On<'_> {
    /// Which of two texts to take, where one text cannot serve both databases.
    pub fn is_postgres(&self) -> bool {
        matches!(self, On::Db(Db::Postgres(_)) | On::Tx(Tx::Postgres(_)))
    }
}

impl On<'_> {
    /// The same place, for one more query.
    pub fn again(&mut self) -> On<'_> {
        match self {
            On::Db(db) => On::Db(db),
            On::Tx(tx) => On::Tx(tx),
        }
    }
}

impl<'a> From<&'a Db> for On<'a> {
    fn from(db: &'a Db) -> Self {
        On::Db(db)
    }
}

impl<'a> From<&'a mut Tx> for On<'a> {
    fn from(tx: &'a mut Tx) -> Self {
        On::Tx(tx)
    }
}

/// A row type readable from both databases: what [`row!`](crate::row!) defines.
pub trait Row:
    for<'r> sqlx::FromRow<'r, SqliteRow> + for<'r> sqlx::FromRow<'r, PgRow> + Send + Unpin
{
}

impl<T> Row for T where
    T: for<'r> sqlx::FromRow<'r, SqliteRow> + for<'r> sqlx::FromRow<'r, PgRow> + Send + Unpin
{
}

/// A bound value. `None` keeps its type, because PostgreSQL types its NULL parameters.
#[derive(Clone, Debug)]
pub enum Value {
    Bool(Option<bool>),
    Int(Option<i64>),
    Float(Option<f64>),
    Text(Option<String>),
    Bytes(Option<Vec<u8>>),
    /// An array in PostgreSQL (`= ANY($1)`), JSON text in SQLite
    /// (`IN (SELECT value FROM json_each($1))`).
    List(Vec<String>),
}

macro_rules! value_from {
    ($($rust:ty => $variant:ident $convert:expr),* $(,)?) => {$(
        impl From<$rust> for Value {
            fn from(value: $rust) -> Self { Value::$variant(Some($convert(value))) }
        }
        impl From<Option<$rust>> for Value {
            fn from(value: Option<$rust>) -> Self { Value::$variant(value.map($convert)) }
        }
    )*};
}

value_from! {
    bool => Bool std::convert::identity,
    i64 => Int std::convert::identity,
    f64 => Float std::convert::identity,
    String => Text std::convert::identity,
    &str => Text str::to_owned,
    &String => Text String::clone,
    Vec<u8> => Bytes std::convert::identity,
    Millis => Int |millis: Millis| millis.0,
    Money => Int |money: Money| money.0,
}

impl From<&[String]> for Value {
    fn from(values: &[String]) -> Self {
        Value::List(values.to_vec())
    }
}

impl From<&Option<String>> for Value {
    fn from(value: &Option<String>) -> Self {
        Value::Text(value.clone())
    }
}

/// A statement and its values, ready to run.
pub struct Query {
    sql: SqlStr,
    values: Vec<Value>,
}

/// A statement known when compiling. `tests/statements.rs` reads the sources of this crate, finds
/// every `sql!("…")` and prepares it on both databases; `sql!(Postgres, "…")` and
/// `sql!(Sqlite, "…")` mark the few texts that only one of them understands.
#[macro_export]
macro_rules! sql {
    ($text:literal) => {
        $crate::db::query($text)
    };
    ($dialect:ident, $text:literal) => {
        $crate::db::query($text)
    };
}

/// Used by [`sql!`](crate::sql!) alone.
#[doc(hidden)]
pub fn query(sql: &'static str) -> Query {
    use sqlx::SqlSafeStr;
    Query {
        sql: sql.into_sql_str(),
        values: Vec::new(),
    }
}

/// A statement whose text is put together while running. Never made from what a user sent.
pub(crate) fn query_with_values(sql: String, values: impl Iterator<Item = Value>) -> Query {
    use sqlx::{AssertSqlSafe, SqlSafeStr};
    let query = Query {
        sql: AssertSqlSafe(sql).into_sql_str(),
        values: Vec::new(),
    };
    values.fold(query, Query::bind)
}

impl Query {
    pub fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(match value.into() {
            Value::Text(Some(text)) => Value::Text(Some(without_nul(text))),
            Value::List(texts) => Value::List(texts.into_iter().map(without_nul).collect()),
            value => value,
        });
        self
    }

    /// Runs a statement that writes; gives the number of rows it touched.
    pub async fn execute<'a>(self, on: impl Into<On<'a>>) -> Result<u64> {
        Ok(match on.into() {
            On::Db(Db::Sqlite(db)) => sqlx::query_with(self.sql, sqlite(self.values))
                .execute(&db.writer)
                .await?
                .rows_affected(),
            On::Db(Db::Postgres(pool)) => sqlx::query_with(self.sql, postgres(self.values))
                .execute(pool)
                .await?
                .rows_affected(),
            On::Tx(Tx::Sqlite(tx)) => sqlx::query_with(self.sql, sqlite(self.values))
                .execute(&mut *tx.transaction)
                .await?
                .rows_affected(),
            On::Tx(Tx::Postgres(tx)) => sqlx::query_with(self.sql, postgres(self.values))
                .execute(&mut *tx.transaction)
                .await?
                .rows_affected(),
        })
    }

    /// Reads all rows. On the pool this may read but not write; `RETURNING` needs a transaction.
    pub async fn all<'a, T: Row>(self, on: impl Into<On<'a>>) -> Result<Vec<T>> {
        match on.into() {
            On::Db(Db::Sqlite(db)) => {
                sqlx::query_as_with(self.sql, sqlite(self.values))
                    .fetch_all(&db.readers)
                    .await
            }
            On::Db(Db::Postgres(pool)) => {
                sqlx::query_as_with(self.sql, postgres(self.values))
                    .fetch_all(pool)
                    .await
            }
            On::Tx(Tx::Sqlite(tx)) => {
                sqlx::query_as_with(self.sql, sqlite(self.values))
                    .fetch_all(&mut *tx.transaction)
                    .await
            }
            On::Tx(Tx::Postgres(tx)) => {
                sqlx::query_as_with(self.sql, postgres(self.values))
                    .fetch_all(&mut *tx.transaction)
                    .await
            }
        }
    }

    pub async fn optional<'a, T: Row>(self, on: impl Into<On<'a>>) -> Result<Option<T>> {
        match on.into() {
            On::Db(Db::Sqlite(db)) => {
                sqlx::query_as_with(self.sql, sqlite(self.values))
                    .fetch_optional(&db.readers)
                    .await
            }
            On::Db(Db::Postgres(pool)) => {
                sqlx::query_as_with(self.sql, postgres(self.values))
                    .fetch_optional(pool)
                    .await
            }
            On::Tx(Tx::Sqlite(tx)) => {
                sqlx::query_as_with(self.sql, sqlite(self.values))
                    .fetch_optional(&mut *tx.transaction)
                    .await
            }
            On::Tx(Tx::Postgres(tx)) => {
                sqlx::query_as_with(self.sql, postgres(self.values))
                    .fetch_optional(&mut *tx.transaction)
                    .await
            }
        }
    }

    pub async fn one<'a, T: Row>(self, on: impl Into<On<'a>>) -> Result<T> {
        self.optional(on).await?.ok_or(sqlx::Error::RowNotFound)
    }
}

/// A query whose conditions depend on what was asked, so that the planner sees only those that
/// apply. Its text is put together from literals alone; values are bound. Tests run every condition
/// on both databases.
pub struct Select {
    text: String,
    values: Vec<Value>,
}

impl Select {
    /// Starts with a text that ends in a condition.
    pub fn new(text: &'static str) -> Select {
        Select {
            text: text.to_owned(),
            values: Vec::new(),
        }
    }

    /// Adds a condition if there is a value for it. Each `?` in it stands for that value.
    pub fn when(self, condition: &'static str, value: Option<impl Into<Value>>) -> Select {
        match value {
            Some(value) => self.push(" AND ", None).push(condition, Some(value.into())),
            None => self,
        }
    }

    /// Adds what comes after the conditions.
    pub fn then(self, text: &'static str) -> Select {
        self.push(text, None)
    }

    /// Adds what comes after the conditions and takes a value.
    pub fn then_with(self, text: &'static str, value: impl Into<Value>) -> Select {
        self.push(text, Some(value.into()))
    }

    fn push(mut self, text: &'static str, value: Option<Value>) -> Select {
        let Some(value) = value else {
            self.text.push_str(text);
            return self;
        };
        self.values.push(value);
        let place = format!("${}", self.values.len());
        self.text.push_str(&text.replace('?', &place));
        self
    }

    pub fn query(self) -> Query {
        query_with_values(self.text, self.values.into_iter())
    }
}

/// PostgreSQL refuses U+0000 in text and SQLite would keep it: both get U+FFFD.
pub(crate) fn without_nul(text: String) -> String {
    match text.contains('\0') {
        true => text.replace('\0', "\u{FFFD}"),
        false => text,
    }
}

fn sqlite(values: Vec<Value>) -> SqliteArguments {
    let mut arguments = SqliteArguments::default();
    for value in values {
        match value {
            Value::Bool(v) => arguments.add(v),
            Value::Int(v) => arguments.add(v),
            Value::Float(v) => arguments.add(v),
            Value::Text(v) => arguments.add(v),
            Value::Bytes(v) => arguments.add(v),
            Value::List(v) => {
                arguments.add(serde_json::to_string(&v).expect("a list of texts is always JSON"))
            }
        }
        .expect("plain values always encode");
    }
    arguments
}

fn postgres(values: Vec<Value>) -> PgArguments {
    let mut arguments = PgArguments::default();
    for value in values {
        match value {
            Value::Bool(v) => arguments.add(v),
            Value::Int(v) => arguments.add(v),
            Value::Float(v) => arguments.add(v),
            Value::Text(v) => arguments.add(v),
            Value::Bytes(v) => arguments.add(v),
            Value::List(v) => arguments.add(v),
        }
        .expect("plain values always encode");
    }
    arguments
}

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("./migrations");

/// How many connections a pool opens at the most.
const POOL_SIZE: u32 = 10;

impl Db {
    /// Opens PostgreSQL (`postgres://…`).
    pub async fn postgres(url: &str) -> Result<Db> {
        let pool = PgPoolOptions::new()
            .max_connections(POOL_SIZE)
            .acquire_timeout(Duration::from_secs(10))
            .connect(url)
            .await?;
        Ok(Db::Postgres(pool))
    }

    /// Opens the SQLite file, creating it when it is not there.
    pub async fn sqlite(path: &Path) -> Result<Db> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .foreign_keys(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .busy_timeout(Duration::from_secs(10));
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .connect_with(options.clone())
            .await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(4)
            .min_connections(0)
            .connect_lazy_with(options.read_only(true));
        Ok(Db::Sqlite(SqliteDb { writer, readers }))
    }

    /// Applies the migrations that are not yet applied.
    pub async fn migrate(&self) -> std::result::Result<(), sqlx::migrate::MigrateError> {
        match self {
            Db::Sqlite(db) => MIGRATIONS.run(&db.writer).await?,
            Db::Postgres(pool) => MIGRATIONS.run(pool).await?,
        }
        Ok(audit_guard::stand(self).await?)
    }

    /// Whether all migrations are applied. Changes nothing.
    pub async fn is_migrated(&self) -> Result<bool> {
        crate::row! {
            pub struct Applied { pub version: i64 }
        }
        let expected = MIGRATIONS.iter().map(|migration| migration.version).max();
        let applied: Result<Vec<Applied>> =
            sql!("SELECT version FROM _sqlx_migrations ORDER BY version DESC LIMIT 1")
                .all(self)
                .await;
        match applied {
            Ok(applied) => Ok(applied.first().map(|row| row.version) >= expected),
            // the table is not there before the first migration
            Err(sqlx::Error::Database(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Opens a transaction. On SQLite it takes the write lock at once, so it never fails midway.
    pub async fn begin(&self) -> Result<Tx> {
        Ok(match self {
            Db::Sqlite(db) => Tx::Sqlite(Open::new(db.writer.begin_with("BEGIN IMMEDIATE").await?)),
            Db::Postgres(pool) => Tx::Postgres(Open::new(pool.begin().await?)),
        })
    }

    pub fn dialect(&self) -> Dialect {
        match self {
            Db::Sqlite(_) => Dialect::Sqlite,
            Db::Postgres(_) => Dialect::Postgres,
        }
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<()> {
        crate::row! {
            pub struct One { pub one: i64 }
        }
        let row: One = sql!("SELECT CAST(1 AS BIGINT) AS one").one(self).await?;
        debug_assert_eq!(row.one, 1);
        Ok(())
    }

    /// Prepares a statement without running it.
    pub async fn check(&self, sql: &'static str) -> Result<()> {
        use sqlx::{Executor, SqlSafeStr};
        match self {
            Db::Sqlite(db) => db.writer.prepare(sql.into_sql_str()).await.map(drop),
            Db::Postgres(pool) => pool.prepare(sql.into_sql_str()).await.map(drop),
        }
    }

    /// Waits for open connections to be returned, then closes them.
    pub async fn close(&self) {
        match self {
            Db::Sqlite(db) => {
                db.readers.close().await;
                db.writer.close().await;
            }
            Db::Postgres(pool) => pool.close().await,
        }
    }
}

/// Which of the two databases, for the few texts that they spell differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    Sqlite,
    Postgres,
}

impl Tx {
    pub fn dialect(&self) -> Dialect {
        match self {
            Tx::Sqlite(_) => Dialect::Sqlite,
            Tx::Postgres(_) => Dialect::Postgres,
        }
    }

    /// Adds an entry of the audit log, which has to be written before the commit.
    pub fn note(&mut self, entry: NewEntry) {
        self.entries().push(entry);
    }

    /// Hands out the entries that are to be written, once.
    pub fn take_entries(&mut self) -> Vec<NewEntry> {
        std::mem::take(self.entries())
    }

    fn entries(&mut self) -> &mut Vec<NewEntry> {
        match self {
            Tx::Sqlite(tx) => &mut tx.entries,
            Tx::Postgres(tx) => &mut tx.entries,
        }
    }

    /// # Errors
    /// Also when entries of the audit log were noted and not written: what is done is in the log, or it
    /// is not done.
    pub async fn commit(mut self) -> Result<()> {
        if !self.entries().is_empty() {
            let message = "a change has entries for the audit log that were not written";
            return Err(sqlx::Error::Protocol(message.to_owned()));
        }
        match self {
            Tx::Sqlite(tx) => tx.transaction.commit().await,
            Tx::Postgres(tx) => tx.transaction.commit().await,
        }
    }
}

crate::row! {
    /// The answer to a `COUNT(*) AS count`.
    pub struct Counted {
        pub count: i64,
    }
}

/// The pattern of `LIKE … ESCAPE '!'` for lower-case texts that contain this one.
pub fn containing(text: &str) -> String {
    let mut pattern = String::from("%");
    for letter in text.to_lowercase().chars() {
        if matches!(letter, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(letter);
    }
    pattern.push('%');
    pattern
}

/// Whether an error says that a unique index already has the value.
pub fn is_unique_violation(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .is_some_and(sqlx::error::DatabaseError::is_unique_violation)
}

/// Makes a database (or leaves one of that name as it is) on the server of `url`; gives its URL.
pub async fn create_database(url: &str, name: &str) -> Result<String> {
    use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
    let options: sqlx::postgres::PgConnectOptions = url.parse()?;
    let mut connection = options.connect().await?;
    let statement = format!("CREATE DATABASE \"{}\"", name.replace('"', ""));
    let made = sqlx::query(AssertSqlSafe(statement))
        .execute(&mut connection)
        .await;
    connection.close().await?;
    match made {
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("42P04") => {}
        made => {
            made?;
        }
    }
    Ok(options.database(name).to_url_lossy().to_string())
}
