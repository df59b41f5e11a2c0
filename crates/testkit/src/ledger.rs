//! Ledger rows that no call has made, written as the gateway writes its own.

use store::ledger::LedgerRow;
use store::ledger_calls::CallRow;
use store::ledger_contexts::{self, Context};
use store::{Db, Result};

/// Adds rows to the ledger in one transaction.
///
/// # Errors
/// As the database has them.
pub async fn record(db: &Db, rows: &[LedgerRow]) -> Result<()> {
    let mut tx = db.begin().await?;
    let mut calls = Vec::with_capacity(rows.len());
    for row in rows {
        let context_id = ledger_contexts::put(&mut tx, &context(row).to_row()).await?;
        calls.push(call(row, context_id));
    }
    store::ledger_calls::insert_all(&mut tx, calls.iter()).await?;
    tx.commit().await
}

fn context(row: &LedgerRow) -> Context<'_> {
    Context {
        kind: &row.kind,
        key_id: row.key_id.as_deref(),
        key_hash: row.key_hash.as_deref(),
        user_id: row.user_id.as_deref(),
        team_id: row.team_id.as_deref(),
        team_member_id: row.team_member_id.as_deref(),
        organization_id: row.organization_id.as_deref(),
        end_user: row.end_user.as_deref(),
        endpoint: &row.endpoint,
        stream: row.stream,
        source: &row.source,
        requested_model: &row.requested_model,
        answered_model: row.answered_model.as_deref(),
        deployment_id: row.deployment_id.as_deref(),
        model_group: row.model_group.as_deref(),
        provider: row.provider.as_deref(),
        upstream_model: row.upstream_model.as_deref(),
        api_base: row.api_base.as_deref(),
        paid_by: &row.paid_by,
        credential_id: row.credential_id.as_deref(),
        attempts: row.attempts,
        status: &row.status,
        http_status: row.http_status,
        error_code: row.error_code.as_deref(),
        service_tier: row.service_tier.as_deref(),
        usage_source: &row.usage_source,
        price_version: row.price_version.as_deref(),
        line_prices: &row.line_prices,
        tags: &row.tags,
        user_agent: row.user_agent.as_deref(),
        client_address: row.client_address.as_deref(),
    }
}

fn call(row: &LedgerRow, context_id: i64) -> CallRow {
    let object = |object: &store::json::Object| {
        (!object.is_empty()).then(|| serde_json::Value::Object(object.clone()).to_string())
    };
    CallRow {
        request_id: row.request_id.clone(),
        started_at: row.started_at,
        ended_at: row.ended_at,
        first_token_at: row.first_token_at,
        context_id,
        upstream_id: row.upstream_id.clone(),
        input_tokens: row.input_tokens,
        output_tokens: row.output_tokens,
        cache_read_tokens: row.cache_read_tokens,
        cache_write_5m_tokens: row.cache_write_5m_tokens,
        cache_write_1h_tokens: row.cache_write_1h_tokens,
        input_audio_tokens: row.input_audio_tokens,
        input_image_tokens: row.input_image_tokens,
        reasoning_tokens: row.reasoning_tokens,
        output_audio_tokens: row.output_audio_tokens,
        output_image_tokens: row.output_image_tokens,
        cost: row.cost,
        provider_cost: row.provider_cost,
        units: object(&row.units),
        corrects: row.corrects.clone(),
        error_message: row.error_message.clone(),
        metadata: object(&row.metadata),
        session_id: row.session_id.clone(),
    }
}
