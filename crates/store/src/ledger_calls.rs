//! What is a call's own in the ledger. Written in batches: a call is a few numbers and two ids, so
//! that recording it costs little beside making it.

use base::{Millis, Money};

use crate::db::{Dialect, Result, Tx};
use crate::filled::Filled;

/// One row of `ledger_calls`.
#[derive(Clone, Debug, Default)]
pub struct CallRow {
    pub request_id: String,
    pub started_at: Millis,
    pub ended_at: Millis,
    pub first_token_at: Option<Millis>,
    /// The id in `ledger_contexts`.
    pub context_id: i64,
    pub upstream_id: Option<String>,
    pub input_tokens: i64,
    pub output_tokens: i64,
    pub cache_read_tokens: i64,
    pub cache_write_5m_tokens: i64,
    pub cache_write_1h_tokens: i64,
    pub input_audio_tokens: i64,
    pub input_image_tokens: i64,
    pub reasoning_tokens: i64,
    pub output_audio_tokens: i64,
    pub output_image_tokens: i64,
    pub cost: Option<Money>,
    pub provider_cost: Option<Money>,
    /// A JSON object; `None`: an empty one.
    pub units: Option<String>,
    pub corrects: Option<String>,
    pub error_message: Option<String>,
    /// A JSON object; `None`: an empty one.
    pub metadata: Option<String>,
    pub session_id: Option<String>,
}

impl CallRow {
    /// All tokens that went in, cached ones too.
    pub fn prompt_tokens(&self) -> i64 {
        [
            self.cache_read_tokens,
            self.cache_write_5m_tokens,
            self.cache_write_1h_tokens,
            self.input_audio_tokens,
            self.input_image_tokens,
        ]
        .into_iter()
        .fold(self.input_tokens, i64::saturating_add)
    }

    /// All tokens that came out, reasoning too.
    pub fn completion_tokens(&self) -> i64 {
        [
            self.reasoning_tokens,
            self.output_audio_tokens,
            self.output_image_tokens,
        ]
        .into_iter()
        .fold(self.output_tokens, i64::saturating_add)
    }
}

/// A column and how a row gives its value.
#[derive(Clone, Copy)]
struct Column {
    name: &'static str,
    value: Value,
}

#[derive(Clone, Copy)]
enum Value {
    /// Must be given.
    Text(fn(&CallRow) -> &str),
    Int(fn(&CallRow) -> i64),
    /// Zero where it is left out.
    Count(fn(&CallRow) -> i64),
    /// NULL where they are left out.
    MaybeInt(fn(&CallRow) -> Option<i64>),
    MaybeText(fn(&CallRow) -> Option<&str>),
}

impl Value {
    /// Whether leaving the column out would write the same.
    fn is_left_to_table(self, row: &CallRow) -> bool {
        match self {
            Value::Text(_) | Value::Int(_) => false,
            Value::Count(value) => value(row) == 0,
            Value::MaybeInt(value) => value(row).is_none(),
            Value::MaybeText(value) => value(row).is_none(),
        }
    }

    fn fill(self, row: &CallRow, filled: &mut Filled) {
        match self {
            Value::Text(value) => filled.text(Some(value(row))),
            Value::Int(value) | Value::Count(value) => filled.int(Some(value(row))),
            Value::MaybeInt(value) => filled.int(value(row)),
            Value::MaybeText(value) => filled.text(value(row)),
        }
    }
}

const fn column(name: &'static str, value: Value) -> Column {
    Column { name, value }
}

static COLUMNS: [Column; 23] = [
    column("request_id", Value::Text(|row| &row.request_id)),
    column("started_at", Value::Int(|row| row.started_at.0)),
    column("ended_at", Value::Int(|row| row.ended_at.0)),
    column(
        "first_token_at",
        Value::MaybeInt(|row| row.first_token_at.map(|at| at.0)),
    ),
    column("context_id", Value::Int(|row| row.context_id)),
    column(
        "upstream_id",
        Value::MaybeText(|row| row.upstream_id.as_deref()),
    ),
    column("input_tokens", Value::Count(|row| row.input_tokens)),
    column("output_tokens", Value::Count(|row| row.output_tokens)),
    column(
        "cache_read_tokens",
        Value::Count(|row| row.cache_read_tokens),
    ),
    column(
        "cache_write_5m_tokens",
        Value::Count(|row| row.cache_write_5m_tokens),
    ),
    column(
        "cache_write_1h_tokens",
        Value::Count(|row| row.cache_write_1h_tokens),
    ),
    column(
        "input_audio_tokens",
        Value::Count(|row| row.input_audio_tokens),
    ),
    column(
        "input_image_tokens",
        Value::Count(|row| row.input_image_tokens),
    ),
    column("reasoning_tokens", Value::Count(|row| row.reasoning_tokens)),
    column(
        "output_audio_tokens",
        Value::Count(|row| row.output_audio_tokens),
    ),
    column(
        "output_image_tokens",
        Value::Count(|row| row.output_image_tokens),
    ),
    column("cost", Value::MaybeInt(|row| row.cost.map(|cost| cost.0))),
    column(
        "provider_cost",
        Value::MaybeInt(|row| row.provider_cost.map(|cost| cost.0)),
    ),
    column("units", Value::MaybeText(|row| row.units.as_deref())),
    column("corrects", Value::MaybeText(|row| row.corrects.as_deref())),
    column(
        "error_message",
        Value::MaybeText(|row| row.error_message.as_deref()),
    ),
    column("metadata", Value::MaybeText(|row| row.metadata.as_deref())),
    column(
        "session_id",
        Value::MaybeText(|row| row.session_id.as_deref()),
    ),
];

/// Rows in one statement: many, as each statement wakes the database's thread and is waited for; few
/// sizes, so that each statement is prepared once and then kept.
pub const SIZES: [usize; 4] = [500, 50, 5, 1];

/// Adds rows, many in one statement. A request that is in the ledger already is left as it is, so that
/// a batch can be repeated.
///
/// Columns that no row of a statement fills are left to the table.
pub async fn insert_all<'a>(
    tx: &mut Tx,
    rows: impl ExactSizeIterator<Item = &'a CallRow>,
) -> Result<()> {
    let mut rows = rows;
    for size in SIZES {
        while rows.len() >= size {
            let now: Vec<&CallRow> = rows.by_ref().take(size).collect();
            insert(tx, &now).await?;
        }
    }
    Ok(())
}

async fn insert(tx: &mut Tx, rows: &[&CallRow]) -> Result<()> {
    let is_left = |column: &&Column| rows.iter().all(|row| column.value.is_left_to_table(row));
    let columns: Vec<&Column> = COLUMNS.iter().filter(|column| !is_left(column)).collect();
    let names: Vec<&str> = columns.iter().map(|column| column.name).collect();
    let mut filled = Filled::new(tx.dialect(), rows.len() * columns.len());
    for row in rows {
        for column in &columns {
            column.value.fill(row, &mut filled);
        }
    }
    let text = insert_statement(&names, rows.len(), tx.dialect());
    filled.execute(text, tx).await
}

/// The names of all columns, for a test of the statement.
pub fn column_names() -> Vec<&'static str> {
    COLUMNS.iter().map(|column| column.name).collect()
}

/// `INSERT` for so many rows.
pub fn insert_statement(columns: &[&str], rows: usize, dialect: Dialect) -> String {
    format!(
        "INSERT INTO ledger_calls ({})\nVALUES {}\nON CONFLICT (request_id) DO NOTHING",
        columns.join(", "),
        Filled::places(dialect, rows, columns.len())
    )
}
