//! Every SQL statement of the crate is prepared on SQLite and on PostgreSQL: a typo, a missing column
//! or a slip into one dialect fails here, by name, before anything runs it.

use std::path::{Path, PathBuf};

use store::Db;

/// A statement as it stands in the sources.
struct Statement {
    place: String,
    /// The one database that understands it; `None`: both.
    only: Option<String>,
    text: String,
}

fn statements() -> Vec<Statement> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files: Vec<PathBuf> = std::fs::read_dir(sources)
        .expect("the crate has sources")
        .map(|entry| entry.expect("a readable folder").path())
        .collect();
    files.sort();
    let read = |file| std::fs::read_to_string(file).expect("a readable source");
    files
        .iter()
        .flat_map(|file| statements_of(file, &read(file)))
        .collect()
}

fn statements_of(file: &Path, source: &str) -> Vec<Statement> {
    let mut found = Vec::new();
    for (at, _) in source.match_indices("sql!(") {
        let line_start = source[..at].rfind('\n').map_or(0, |newline| newline + 1);
        if source[line_start..at].trim_start().starts_with("//")
            || source[..at].ends_with("crate::")
        {
            continue;
        }
        let rest = &source[at + "sql!(".len()..];
        let open = rest.find('"').expect("a statement is a string literal");
        let only = rest[..open].trim().trim_end_matches(',');
        let (text, _) = rest[open + 1..].split_once('"').expect("a closed literal");
        let line = source[..at].lines().count();
        found.push(Statement {
            place: format!("{}:{line}", file.display()),
            only: (!only.is_empty()).then(|| only.to_owned()),
            text: text.to_owned(),
        });
    }
    found
}

async fn refused(db: &Db, dialect: &str) -> Vec<String> {
    let mut refused = Vec::new();
    for statement in statements() {
        if statement
            .only
            .as_deref()
            .is_some_and(|only| only != dialect)
        {
            continue;
        }
        if let Err(error) = db.check(statement.text.leak()).await {
            refused.push(format!("{} on {dialect}: {error}", statement.place));
        }
    }
    refused
}

#[test]
fn the_sources_hold_statements() {
    assert!(statements().len() > 20, "found only {}", statements().len());
}

#[tokio::test]
async fn ledger_rows_can_be_inserted_in_batches_of_any_size() {
    for database in testkit::databases().await {
        for rows in store::ledger_calls::SIZES {
            let dialect = database.db.dialect();
            let statement = store::ledger_calls::insert_statement(
                &store::ledger_calls::column_names(),
                rows,
                dialect,
            );
            let prepared = database.db.check(statement.leak()).await;
            assert!(
                prepared.is_ok(),
                "{rows} rows on {}: {prepared:?}",
                database.dialect
            );
        }
    }
}

#[tokio::test]
async fn counters_can_be_added_to_in_batches_of_any_size() {
    for database in testkit::databases().await {
        for counters in store::counters::SIZES {
            let statement = store::counters::add_statement(counters, database.db.dialect());
            let prepared = database.db.check(statement.leak()).await;
            assert!(
                prepared.is_ok(),
                "{counters} counters on {}: {prepared:?}",
                database.dialect
            );
        }
    }
}

#[tokio::test]
async fn every_statement_prepares_on_both_databases() {
    for database in testkit::databases().await {
        assert_eq!(refused(&database.db, database.dialect).await, [""; 0]);
    }
}
