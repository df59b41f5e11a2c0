//! The ledger: append-only, one row for each request that reached a decision.

use std::borrow::Cow;
use std::fmt::Write as _;

use base::money::Femto;
use base::{Millis, Money, Price};
use serde::{Deserialize, Serialize};

use crate::db::{Db, Dialect, Result, Tx, Value, query_with_values};
use crate::json::{Json, Object};
use crate::{row, sql};

row! {
    /// One row of `ledger`.
    #[derive(Clone, Debug)]
    pub struct LedgerRow {
        pub request_id: String,
        pub kind: String,
        pub corrects: Option<String>,
        pub started_at: Millis,
        pub ended_at: Millis,
        pub first_token_at: Option<Millis>,
        pub key_id: Option<String>,
        pub key_hash: Option<String>,
        pub user_id: Option<String>,
        pub team_id: Option<String>,
        pub team_member_id: Option<String>,
        pub organization_id: Option<String>,
        pub end_user: Option<String>,
        pub endpoint: String,
        pub stream: bool,
        pub source: String,
        pub requested_model: String,
        pub answered_model: Option<String>,
        pub deployment_id: Option<String>,
        pub model_group: Option<String>,
        pub provider: Option<String>,
        pub upstream_model: Option<String>,
        pub api_base: Option<String>,
        pub paid_by: String,
        pub credential_id: Option<String>,
        pub attempts: i64,
        pub status: String,
        pub http_status: i64,
        pub error_code: Option<String>,
        pub error_message: Option<String>,
        pub upstream_id: Option<String>,
        pub service_tier: Option<String>,
        pub usage_source: String,
        pub input_tokens: i64,
        pub cache_read_tokens: i64,
        pub cache_write_5m_tokens: i64,
        pub cache_write_1h_tokens: i64,
        pub input_audio_tokens: i64,
        pub input_image_tokens: i64,
        pub output_tokens: i64,
        pub reasoning_tokens: i64,
        pub output_audio_tokens: i64,
        pub output_image_tokens: i64,
        pub units: Json<Object>,
        pub price_version: Option<String>,
        pub line_items: Json<Vec<Line>>,
        pub cost: Option<Money>,
        pub provider_cost: Option<Money>,
        pub tags: Json<Vec<String>>,
        pub metadata: Json<Object>,
        pub user_agent: Option<String>,
        pub client_address: Option<String>,
        pub session_id: Option<String>,
    }
}

/// A line of a receipt: so many of a bucket at a price. The amount is their product, exactly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    #[serde(rename = "b")]
    pub bucket: Cow<'static, str>,
    /// The bucket whose price was applied, where that is another.
    #[serde(rename = "as", default, skip_serializing_if = "Option::is_none")]
    pub priced_as: Option<Cow<'static, str>>,
    #[serde(rename = "q")]
    pub quantity: u64,
    /// Nano-dollars per million of the quantity.
    #[serde(rename = "p")]
    pub price: i64,
}

impl Line {
    /// What the line costs, in femto-dollars.
    pub fn amount(&self) -> Femto {
        Price(self.price).times(self.quantity)
    }
}

impl LedgerRow {
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

/// A column of `ledger`, how a row gives its value, and what the table puts there by itself.
struct Column {
    name: &'static str,
    rest: Rest,
    value: fn(&LedgerRow) -> Value,
}

/// The value of a column that an `INSERT` leaves out, as the migration states it.
enum Rest {
    /// It must be given.
    Always,
    Null,
    Zero,
    False,
    Text(&'static str),
}

impl Column {
    /// Whether leaving the column out would write the same.
    fn is_left_to_table(&self, value: &Value) -> bool {
        match (&self.rest, value) {
            (Rest::Null, Value::Text(None) | Value::Int(None)) => true,
            (Rest::Zero, Value::Int(Some(0))) | (Rest::False, Value::Bool(Some(false))) => true,
            (Rest::Text(default), Value::Text(Some(text))) => default == text,
            _ => false,
        }
    }
}

static COLUMNS: [Column; 53] = [
    Column {
        name: "request_id",
        rest: Rest::Always,
        value: |row| (&row.request_id).into(),
    },
    Column {
        name: "kind",
        rest: Rest::Text("call"),
        value: |row| (&row.kind).into(),
    },
    Column {
        name: "corrects",
        rest: Rest::Null,
        value: |row| (&row.corrects).into(),
    },
    Column {
        name: "started_at",
        rest: Rest::Always,
        value: |row| row.started_at.into(),
    },
    Column {
        name: "ended_at",
        rest: Rest::Always,
        value: |row| row.ended_at.into(),
    },
    Column {
        name: "first_token_at",
        rest: Rest::Null,
        value: |row| row.first_token_at.into(),
    },
    Column {
        name: "key_id",
        rest: Rest::Null,
        value: |row| (&row.key_id).into(),
    },
    Column {
        name: "key_hash",
        rest: Rest::Null,
        value: |row| (&row.key_hash).into(),
    },
    Column {
        name: "user_id",
        rest: Rest::Null,
        value: |row| (&row.user_id).into(),
    },
    Column {
        name: "team_id",
        rest: Rest::Null,
        value: |row| (&row.team_id).into(),
    },
    Column {
        name: "team_member_id",
        rest: Rest::Null,
        value: |row| (&row.team_member_id).into(),
    },
    Column {
        name: "organization_id",
        rest: Rest::Null,
        value: |row| (&row.organization_id).into(),
    },
    Column {
        name: "end_user",
        rest: Rest::Null,
        value: |row| (&row.end_user).into(),
    },
    Column {
        name: "endpoint",
        rest: Rest::Always,
        value: |row| (&row.endpoint).into(),
    },
    Column {
        name: "stream",
        rest: Rest::False,
        value: |row| row.stream.into(),
    },
    Column {
        name: "source",
        rest: Rest::Text("api"),
        value: |row| (&row.source).into(),
    },
    Column {
        name: "requested_model",
        rest: Rest::Always,
        value: |row| (&row.requested_model).into(),
    },
    Column {
        name: "answered_model",
        rest: Rest::Null,
        value: |row| (&row.answered_model).into(),
    },
    Column {
        name: "deployment_id",
        rest: Rest::Null,
        value: |row| (&row.deployment_id).into(),
    },
    Column {
        name: "model_group",
        rest: Rest::Null,
        value: |row| (&row.model_group).into(),
    },
    Column {
        name: "provider",
        rest: Rest::Null,
        value: |row| (&row.provider).into(),
    },
    Column {
        name: "upstream_model",
        rest: Rest::Null,
        value: |row| (&row.upstream_model).into(),
    },
    Column {
        name: "api_base",
        rest: Rest::Null,
        value: |row| (&row.api_base).into(),
    },
    Column {
        name: "paid_by",
        rest: Rest::Always,
        value: |row| (&row.paid_by).into(),
    },
    Column {
        name: "credential_id",
        rest: Rest::Null,
        value: |row| (&row.credential_id).into(),
    },
    Column {
        name: "attempts",
        rest: Rest::Zero,
        value: |row| row.attempts.into(),
    },
    Column {
        name: "status",
        rest: Rest::Always,
        value: |row| (&row.status).into(),
    },
    Column {
        name: "http_status",
        rest: Rest::Always,
        value: |row| row.http_status.into(),
    },
    Column {
        name: "error_code",
        rest: Rest::Null,
        value: |row| (&row.error_code).into(),
    },
    Column {
        name: "error_message",
        rest: Rest::Null,
        value: |row| (&row.error_message).into(),
    },
    Column {
        name: "upstream_id",
        rest: Rest::Null,
        value: |row| (&row.upstream_id).into(),
    },
    Column {
        name: "service_tier",
        rest: Rest::Null,
        value: |row| (&row.service_tier).into(),
    },
    Column {
        name: "usage_source",
        rest: Rest::Always,
        value: |row| (&row.usage_source).into(),
    },
    Column {
        name: "input_tokens",
        rest: Rest::Zero,
        value: |row| row.input_tokens.into(),
    },
    Column {
        name: "cache_read_tokens",
        rest: Rest::Zero,
        value: |row| row.cache_read_tokens.into(),
    },
    Column {
        name: "cache_write_5m_tokens",
        rest: Rest::Zero,
        value: |row| row.cache_write_5m_tokens.into(),
    },
    Column {
        name: "cache_write_1h_tokens",
        rest: Rest::Zero,
        value: |row| row.cache_write_1h_tokens.into(),
    },
    Column {
        name: "input_audio_tokens",
        rest: Rest::Zero,
        value: |row| row.input_audio_tokens.into(),
    },
    Column {
        name: "input_image_tokens",
        rest: Rest::Zero,
        value: |row| row.input_image_tokens.into(),
    },
    Column {
        name: "output_tokens",
        rest: Rest::Zero,
        value: |row| row.output_tokens.into(),
    },
    Column {
        name: "reasoning_tokens",
        rest: Rest::Zero,
        value: |row| row.reasoning_tokens.into(),
    },
    Column {
        name: "output_audio_tokens",
        rest: Rest::Zero,
        value: |row| row.output_audio_tokens.into(),
    },
    Column {
        name: "output_image_tokens",
        rest: Rest::Zero,
        value: |row| row.output_image_tokens.into(),
    },
    Column {
        name: "units",
        rest: Rest::Text("{}"),
        value: |row| (&row.units).into(),
    },
    Column {
        name: "price_version",
        rest: Rest::Null,
        value: |row| (&row.price_version).into(),
    },
    Column {
        name: "line_items",
        rest: Rest::Text("[]"),
        value: |row| (&row.line_items).into(),
    },
    Column {
        name: "cost",
        rest: Rest::Null,
        value: |row| row.cost.into(),
    },
    Column {
        name: "provider_cost",
        rest: Rest::Null,
        value: |row| row.provider_cost.into(),
    },
    Column {
        name: "tags",
        rest: Rest::Text("[]"),
        value: |row| (&row.tags).into(),
    },
    Column {
        name: "metadata",
        rest: Rest::Text("{}"),
        value: |row| (&row.metadata).into(),
    },
    Column {
        name: "user_agent",
        rest: Rest::Null,
        value: |row| (&row.user_agent).into(),
    },
    Column {
        name: "client_address",
        rest: Rest::Null,
        value: |row| (&row.client_address).into(),
    },
    Column {
        name: "session_id",
        rest: Rest::Null,
        value: |row| (&row.session_id).into(),
    },
];

/// Rows in one statement. Few sizes, so that each statement is prepared once and then kept.
const SIZES: [usize; 3] = [100, 10, 1];

/// Adds rows, as many in one statement as the databases' limits on parameters allow. A request that
/// is in the ledger already is left as it is, so that a batch can be repeated.
///
/// Most columns of most rows are empty: those that no row of a statement fills are left to the table,
/// which halves what writing a row costs.
pub async fn insert_all(tx: &mut Tx, rows: &[LedgerRow]) -> Result<()> {
    let mut rest = rows;
    for size in SIZES {
        while rest.len() >= size {
            let (now, later) = rest.split_at(size);
            insert(tx, now).await?;
            rest = later;
        }
    }
    Ok(())
}

async fn insert(tx: &mut Tx, rows: &[LedgerRow]) -> Result<()> {
    let mut columns: Vec<(&Column, Vec<Value>)> = Vec::with_capacity(COLUMNS.len());
    for column in &COLUMNS {
        let values: Vec<Value> = rows.iter().map(column.value).collect();
        if !values.iter().all(|value| column.is_left_to_table(value)) {
            columns.push((column, values));
        }
    }
    let names: Vec<&str> = columns.iter().map(|(column, _)| column.name).collect();
    let text = insert_statement(&names, rows.len(), tx.dialect());
    let width = columns.len();
    let mut values = columns
        .into_iter()
        .map(|(_, values)| values.into_iter())
        .collect::<Vec<_>>();
    let by_row = (0..rows.len() * width).filter_map(|at| values[at % width].next());
    query_with_values(text, by_row).execute(tx).await.map(drop)
}

/// The names of all columns, for a test of the statement.
pub fn column_names() -> Vec<&'static str> {
    COLUMNS.iter().map(|column| column.name).collect()
}

/// `INSERT` for so many rows. SQLite finds a numbered parameter by searching all of them, which for
/// thousands takes a millisecond a row; its parameters are therefore anonymous here.
pub fn insert_statement(columns: &[&str], rows: usize, dialect: Dialect) -> String {
    let mut text = format!("INSERT INTO ledger ({})\nVALUES ", columns.join(", "));
    for row in 0..rows {
        text.push_str(if row == 0 { "(" } else { ", (" });
        for column in 0..columns.len() {
            text.push_str(if column == 0 { "" } else { ", " });
            match dialect {
                Dialect::Sqlite => text.push('?'),
                // writing to a string cannot fail
                Dialect::Postgres => drop(write!(text, "${}", row * columns.len() + column + 1)),
            }
        }
        text.push(')');
    }
    text.push_str("\nON CONFLICT (request_id) DO NOTHING");
    text
}

/// The last call whose answer had this id at the provider.
pub async fn find_by_upstream(db: &Db, upstream_id: &str) -> Result<Option<LedgerRow>> {
    sql!("SELECT * FROM ledger WHERE upstream_id = $1 ORDER BY started_at DESC LIMIT 1")
        .bind(upstream_id)
        .optional(db)
        .await
}

pub async fn find(db: &Db, request_id: &str) -> Result<Option<LedgerRow>> {
    sql!("SELECT * FROM ledger WHERE request_id = $1")
        .bind(request_id)
        .optional(db)
        .await
}
