//! Rows as plain structs that read from both databases.
//!
//! [`row!`](crate::row!) writes the two `FromRow` implementations; [`Column`] says how a Rust type
//! stands in the database, so that money, times and JSON are typed the moment they are read.

use base::{Millis, Money};
use sqlx::{Decode, Postgres, Sqlite, Type};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A Rust type and the plain SQL type that it is kept in.
pub trait Column: Sized {
    type Stored: for<'r> Decode<'r, Sqlite>
        + Type<Sqlite>
        + for<'r> Decode<'r, Postgres>
        + Type<Postgres>;

    fn from_stored(stored: Self::Stored) -> Result<Self, Failure>;
}

macro_rules! stored_as_is {
    ($($rust:ty),*) => {$(
        impl Column for $rust {
            type Stored = $rust;
            fn from_stored(stored: $rust) -> Result<Self, Failure> { Ok(stored) }
        }
    )*};
}
stored_as_is!(bool, i64, f64, String, Vec<u8>);

impl Column for Millis {
    type Stored = i64;
    fn from_stored(stored: i64) -> Result<Self, Failure> {
        Ok(Millis(stored))
    }
}

impl Column for Money {
    type Stored = i64;
    fn from_stored(stored: i64) -> Result<Self, Failure> {
        Ok(Money(stored))
    }
}

impl<T: Column> Column for Option<T> {
    type Stored = Option<T::Stored>;
    fn from_stored(stored: Self::Stored) -> Result<Self, Failure> {
        stored.map(T::from_stored).transpose()
    }
}

/// Defines a row struct whose fields are columns of the same name.
#[macro_export]
macro_rules! row {
    (
        $(#[$meta:meta])*
        pub struct $name:ident { $( $(#[$field_meta:meta])* pub $field:ident : $type:ty ),* $(,)? }
    ) => {
        $(#[$meta])*
        pub struct $name { $( $(#[$field_meta])* pub $field: $type ),* }

        $crate::row!(@read $name, sqlx::sqlite::SqliteRow, $($field: $type),*);
        $crate::row!(@read $name, sqlx::postgres::PgRow, $($field: $type),*);
    };
    (@read $name:ident, $row:ty, $($field:ident : $type:ty),*) => {
        impl<'r> sqlx::FromRow<'r, $row> for $name {
            fn from_row(row: &'r $row) -> std::result::Result<Self, sqlx::Error> {
                use sqlx::Row as _;
                Ok($name { $(
                    $field: {
                        let stored = row.try_get(stringify!($field))?;
                        <$type as $crate::row::Column>::from_stored(stored).map_err(|source| {
                            sqlx::Error::ColumnDecode { index: stringify!($field).to_owned(), source }
                        })?
                    },
                )* })
            }
        }
    };
}
