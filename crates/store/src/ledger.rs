//! The ledger: append-only, one row for each request that reached a decision.

use base::{Millis, Money};

use crate::db::{Db, On, Result};
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

/// Adds a row; gives 0 when the request is in the ledger already, so that a batch can be repeated.
pub async fn insert<'a>(on: impl Into<On<'a>>, entry: &LedgerRow) -> Result<u64> {
    sql!(
        "INSERT INTO ledger (
            request_id, kind, corrects, started_at, ended_at, first_token_at, key_id, key_hash,
            user_id, team_id, team_member_id, organization_id, end_user, endpoint, stream, source,
            requested_model, answered_model, deployment_id, provider, upstream_model, api_base,
            paid_by, credential_id, attempts, status, http_status, error_code, error_message,
            upstream_id, service_tier, usage_source, input_tokens, cache_read_tokens,
            cache_write_5m_tokens, cache_write_1h_tokens, input_audio_tokens, input_image_tokens,
            output_tokens, reasoning_tokens, output_audio_tokens, output_image_tokens, units,
            price_version, line_items, cost, provider_cost, tags, metadata, user_agent, client_address,
            session_id)
         VALUES (
            $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20,
            $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35, $36, $37, $38,
            $39, $40, $41, $42, $43, $44, $45, $46, $47, $48, $49, $50, $51, $52)
         ON CONFLICT (request_id) DO NOTHING"
    )
    .bind(&entry.request_id)
    .bind(&entry.kind)
    .bind(&entry.corrects)
    .bind(entry.started_at)
    .bind(entry.ended_at)
    .bind(entry.first_token_at)
    .bind(&entry.key_id)
    .bind(&entry.key_hash)
    .bind(&entry.user_id)
    .bind(&entry.team_id)
    .bind(&entry.team_member_id)
    .bind(&entry.organization_id)
    .bind(&entry.end_user)
    .bind(&entry.endpoint)
    .bind(entry.stream)
    .bind(&entry.source)
    .bind(&entry.requested_model)
    .bind(&entry.answered_model)
    .bind(&entry.deployment_id)
    .bind(&entry.provider)
    .bind(&entry.upstream_model)
    .bind(&entry.api_base)
    .bind(&entry.paid_by)
    .bind(&entry.credential_id)
    .bind(entry.attempts)
    .bind(&entry.status)
    .bind(entry.http_status)
    .bind(&entry.error_code)
    .bind(&entry.error_message)
    .bind(&entry.upstream_id)
    .bind(&entry.service_tier)
    .bind(&entry.usage_source)
    .bind(entry.input_tokens)
    .bind(entry.cache_read_tokens)
    .bind(entry.cache_write_5m_tokens)
    .bind(entry.cache_write_1h_tokens)
    .bind(entry.input_audio_tokens)
    .bind(entry.input_image_tokens)
    .bind(entry.output_tokens)
    .bind(entry.reasoning_tokens)
    .bind(entry.output_audio_tokens)
    .bind(entry.output_image_tokens)
    .bind(&entry.units)
    .bind(&entry.price_version)
    .bind(&entry.line_items)
    .bind(entry.cost)
    .bind(entry.provider_cost)
    .bind(&entry.tags)
    .bind(&entry.metadata)
    .bind(&entry.user_agent)
    .bind(&entry.client_address)
    .bind(&entry.session_id)
    .execute(on)
    .await
}

pub async fn find(db: &Db, request_id: &str) -> Result<Option<LedgerRow>> {
    sql!("SELECT * FROM ledger WHERE request_id = $1")
        .bind(request_id)
        .optional(db)
        .await
}
