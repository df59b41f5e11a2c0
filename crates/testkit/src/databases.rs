//! Fresh databases for tests: SQLite always, PostgreSQL where the environment names a server.

use store::Db;

/// A migrated, empty database. What it keeps on disk goes when it is dropped.
pub struct Database {
    pub db: Db,
    /// `"Sqlite"` or `"Postgres"`, for messages.
    pub dialect: &'static str,
    /// What a gateway is told to reach it: `DATABASE_URL` for PostgreSQL, nothing for SQLite.
    pub url: Option<String>,
    /// The folder that holds the SQLite file, or is empty.
    pub folder: Folder,
}

impl Database {
    /// The same database for another gateway beside the first; `None` for SQLite, which has one user.
    pub async fn again(&self) -> Option<Database> {
        let url = self.url.clone()?;
        Some(Database {
            db: Db::postgres(&url).await.expect("the database opens again"),
            dialect: self.dialect,
            url: Some(url),
            folder: Folder::new(),
        })
    }
}

/// A temporary folder of one test.
pub struct Folder(std::path::PathBuf);

impl Folder {
    pub fn new() -> Folder {
        let path = std::env::temp_dir().join(format!("tollgate-test-{}", unique()));
        std::fs::create_dir_all(&path).expect("the temporary folder can be written");
        Folder(path)
    }

    pub fn path(&self) -> &std::path::Path {
        &self.0
    }
}

impl Default for Folder {
    fn default() -> Folder {
        Folder::new()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A name that no other test has, whatever was left on the server before.
pub fn unique() -> String {
    base::ids::new_id(base::Clock::system().now()).replace('-', "")
}

/// Every kind of database that this run can reach. `cargo ci` starts a PostgreSQL server and names
/// it in `TOLLGATE_TEST_POSTGRES`; without it PostgreSQL is left out, and the output says so.
pub async fn databases() -> Vec<Database> {
    let mut databases = vec![sqlite().await];
    match postgres().await {
        Some(postgres) => databases.push(postgres),
        None => eprintln!("PostgreSQL is not tested: TOLLGATE_TEST_POSTGRES is not set"),
    }
    databases
}

pub async fn sqlite() -> Database {
    let folder = Folder::new();
    let db = Db::sqlite(&folder.path().join("tollgate.db"))
        .await
        .expect("an SQLite file can be made");
    db.migrate().await.expect("the migrations apply");
    Database {
        db,
        dialect: "Sqlite",
        url: None,
        folder,
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "tests learn of their servers from the environment"
)]
async fn postgres() -> Option<Database> {
    let server = std::env::var("TOLLGATE_TEST_POSTGRES").ok()?;
    let url = store::db::create_database(&server, &format!("tollgate_test_{}", unique()))
        .await
        .expect("the PostgreSQL server takes another database");
    let db = Db::postgres(&url).await.expect("the new database opens");
    db.migrate().await.expect("the migrations apply");
    Some(Database {
        db,
        dialect: "Postgres",
        url: Some(url),
        folder: Folder::new(),
    })
}
