//! Statements of many rows, whose text is put together for their number.

use std::fmt::Write as _;

use sqlx::postgres::PgArguments;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments as _, AssertSqlSafe};

use crate::db::{Dialect, Result, Tx, without_nul};

/// The values of a statement of many rows, put at once where the driver wants them.
pub enum Filled {
    Sqlite(SqliteArguments),
    Postgres(PgArguments),
}

impl Filled {
    pub fn new(dialect: Dialect, values: usize) -> Filled {
        match dialect {
            Dialect::Sqlite => {
                let mut arguments = SqliteArguments::default();
                arguments.reserve(values, 0);
                Filled::Sqlite(arguments)
            }
            Dialect::Postgres => {
                let mut arguments = PgArguments::default();
                arguments.reserve(values, values * 12);
                Filled::Postgres(arguments)
            }
        }
    }

    pub fn int(&mut self, value: Option<i64>) {
        match self {
            Filled::Sqlite(arguments) => arguments.add(value),
            Filled::Postgres(arguments) => arguments.add(value),
        }
        .expect("plain values always encode");
    }

    pub fn text(&mut self, value: Option<&str>) {
        let safe = value
            .filter(|text| text.contains('\0'))
            .map(|text| without_nul(text.to_owned()));
        let value = safe.as_deref().or(value);
        match self {
            Filled::Sqlite(arguments) => arguments.add(value),
            Filled::Postgres(arguments) => arguments.add(value),
        }
        .expect("plain values always encode");
    }

    /// The places of so many rows of values: `(?, ?), (?, ?)`. SQLite finds a numbered parameter by
    /// searching all of them, which for thousands takes a millisecond a row; its own are anonymous.
    pub fn places(dialect: Dialect, rows: usize, columns: usize) -> String {
        let mut text = String::with_capacity(rows * (columns * 6 + 4));
        for row in 0..rows {
            text.push_str(if row == 0 { "(" } else { ", (" });
            for column in 0..columns {
                text.push_str(if column == 0 { "" } else { ", " });
                match dialect {
                    Dialect::Sqlite => text.push('?'),
                    // writing to a string cannot fail
                    Dialect::Postgres => drop(write!(text, "${}", row * columns + column + 1)),
                }
            }
            text.push(')');
        }
        text
    }

    /// Runs a statement whose text is put together while running. Never made from what a user sent.
    pub async fn execute(self, text: String, tx: &mut Tx) -> Result<()> {
        match (self, tx) {
            (Filled::Sqlite(arguments), Tx::Sqlite(tx)) => {
                let query = sqlx::query_with(AssertSqlSafe(text), arguments);
                query.execute(&mut *tx.transaction).await.map(drop)
            }
            (Filled::Postgres(arguments), Tx::Postgres(tx)) => {
                let query = sqlx::query_with(AssertSqlSafe(text), arguments);
                query.execute(&mut *tx.transaction).await.map(drop)
            }
            _ => Err(sqlx::Error::Protocol(
                "values were filled for another database".to_owned(),
            )),
        }
    }
}
