//! The ledger: append-only, one row for each request that reached a decision.

use std::fmt::Write as _;

use base::{Millis, Money};

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
        pub line_items: Json<serde_json::Value>,
        pub cost: Option<Money>,
        pub provider_cost: Option<Money>,
        pub tags: Json<Vec<String>>,
        pub metadata: Json<Object>,
        pub user_agent: Option<String>,
        pub client_address: Option<String>,
        pub session_id: Option<String>,
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

/// The columns of `ledger`, in the order of [`values`].
const COLUMNS: &str = "
    request_id, kind, corrects, started_at, ended_at, first_token_at, key_id, key_hash,
    user_id, team_id, team_member_id, organization_id, end_user, endpoint, stream,
    source, requested_model, answered_model, deployment_id, model_group, provider,
    upstream_model, api_base, paid_by, credential_id, attempts, status, http_status,
    error_code, error_message, upstream_id, service_tier, usage_source, input_tokens,
    cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, input_audio_tokens,
    input_image_tokens, output_tokens, reasoning_tokens, output_audio_tokens,
    output_image_tokens, units, price_version, line_items, cost, provider_cost, tags,
    metadata, user_agent, client_address, session_id";

/// How many columns a row has.
const WIDTH: usize = 53;

/// Rows in one statement. Few sizes, so that each statement is prepared once and then kept.
const SIZES: [usize; 3] = [100, 10, 1];

/// Adds rows, as many in one statement as the databases' limits on parameters allow. A request that
/// is in the ledger already is left as it is, so that a batch can be repeated.
pub async fn insert_all(tx: &mut Tx, rows: &[LedgerRow]) -> Result<()> {
    let mut rest = rows;
    for size in SIZES {
        while rest.len() >= size {
            let (now, later) = rest.split_at(size);
            let values = now.iter().flat_map(values);
            query_with_values(insert_statement(size, tx.dialect()), values)
                .execute(&mut *tx)
                .await?;
            rest = later;
        }
    }
    Ok(())
}

/// `INSERT` for so many rows. SQLite finds a numbered parameter by searching all of them, which for
/// thousands takes a millisecond a row; its parameters are therefore anonymous here.
pub fn insert_statement(rows: usize, dialect: Dialect) -> String {
    let mut text = format!("INSERT INTO ledger ({COLUMNS})\nVALUES ");
    for row in 0..rows {
        text.push_str(if row == 0 { "(" } else { ", (" });
        for column in 1..=WIDTH {
            text.push_str(if column == 1 { "" } else { ", " });
            match dialect {
                Dialect::Sqlite => text.push('?'),
                // writing to a string cannot fail
                Dialect::Postgres => drop(write!(text, "${}", row * WIDTH + column)),
            }
        }
        text.push(')');
    }
    text.push_str("\nON CONFLICT (request_id) DO NOTHING");
    text
}

/// A row's values, in the order of [`COLUMNS`].
fn values(row: &LedgerRow) -> [Value; WIDTH] {
    [
        (&row.request_id).into(),
        (&row.kind).into(),
        (&row.corrects).into(),
        row.started_at.into(),
        row.ended_at.into(),
        row.first_token_at.into(),
        (&row.key_id).into(),
        (&row.key_hash).into(),
        (&row.user_id).into(),
        (&row.team_id).into(),
        (&row.team_member_id).into(),
        (&row.organization_id).into(),
        (&row.end_user).into(),
        (&row.endpoint).into(),
        row.stream.into(),
        (&row.source).into(),
        (&row.requested_model).into(),
        (&row.answered_model).into(),
        (&row.deployment_id).into(),
        (&row.model_group).into(),
        (&row.provider).into(),
        (&row.upstream_model).into(),
        (&row.api_base).into(),
        (&row.paid_by).into(),
        (&row.credential_id).into(),
        row.attempts.into(),
        (&row.status).into(),
        row.http_status.into(),
        (&row.error_code).into(),
        (&row.error_message).into(),
        (&row.upstream_id).into(),
        (&row.service_tier).into(),
        (&row.usage_source).into(),
        row.input_tokens.into(),
        row.cache_read_tokens.into(),
        row.cache_write_5m_tokens.into(),
        row.cache_write_1h_tokens.into(),
        row.input_audio_tokens.into(),
        row.input_image_tokens.into(),
        row.output_tokens.into(),
        row.reasoning_tokens.into(),
        row.output_audio_tokens.into(),
        row.output_image_tokens.into(),
        (&row.units).into(),
        (&row.price_version).into(),
        (&row.line_items).into(),
        row.cost.into(),
        row.provider_cost.into(),
        (&row.tags).into(),
        (&row.metadata).into(),
        (&row.user_agent).into(),
        (&row.client_address).into(),
        (&row.session_id).into(),
    ]
}

pub async fn find(db: &Db, request_id: &str) -> Result<Option<LedgerRow>> {
    sql!("SELECT * FROM ledger WHERE request_id = $1")
        .bind(request_id)
        .optional(db)
        .await
}
