//! Named values that the gateway keeps for itself.

use base::Millis;

use crate::db::{On, Result};
use crate::{row, sql};

row! {
    /// One row of `settings`.
    pub struct SettingRow {
        pub name: String,
        pub value: String,
        pub updated_at: Millis,
    }
}

pub async fn find<'a>(on: impl Into<On<'a>>, name: &str) -> Result<Option<SettingRow>> {
    sql!("SELECT * FROM settings WHERE name = $1")
        .bind(name)
        .optional(on)
        .await
}

pub async fn put<'a>(on: impl Into<On<'a>>, name: &str, value: &str, now: Millis) -> Result<()> {
    sql!(
        "INSERT INTO settings (name, value, updated_at) VALUES ($1, $2, $3)
         ON CONFLICT (name) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at"
    )
    .bind(name)
    .bind(value)
    .bind(now)
    .execute(on)
    .await
    .map(drop)
}
