//! A row of the ledger as `/spend/logs` shows it (contract §18).

use base::{Millis, Money};
use domain::spend::Call;
use serde::Serialize;
use serde_json::{Map, Value, json};
use store::ledger::LedgerRow;
use utoipa::ToSchema;

/// One call. Ids that a call does not have are empty, not null.
#[derive(Debug, Serialize, ToSchema)]
pub struct SpendLog {
    /// The gateway's own id of the call; the id in the answer is `metadata.upstream_id`.
    pub request_id: String,
    pub call_type: String,
    /// The hash, at the time of the call, of its key.
    pub api_key: String,
    /// Dollars paid by the gateway's or the team's credentials. Null: the model had no price.
    #[schema(value_type = Option<f64>)]
    pub spend: Option<Money>,
    pub total_tokens: i64,
    pub prompt_tokens: i64,
    pub completion_tokens: i64,
    #[serde(rename = "startTime")]
    pub start_time: String,
    #[serde(rename = "endTime")]
    pub end_time: String,
    pub request_duration_ms: i64,
    /// When the first byte of the answer came.
    #[serde(rename = "completionStartTime")]
    pub completion_start_time: String,
    /// Provider and upstream model.
    pub model: String,
    /// The deployment.
    pub model_id: String,
    /// The public name.
    pub model_group: String,
    pub custom_llm_provider: String,
    pub api_base: String,
    pub user: String,
    #[schema(value_type = Object)]
    pub metadata: Value,
    /// Always `False`: answers are not cached.
    #[schema(value_type = String)]
    pub cache_hit: &'static str,
    #[schema(value_type = String)]
    pub cache_key: &'static str,
    pub request_tags: Vec<String>,
    pub team_id: String,
    pub organization_id: String,
    pub end_user: String,
    pub requester_ip_address: String,
    /// Prompts are not kept: always empty.
    #[schema(value_type = Object)]
    pub messages: Map<String, Value>,
    /// Answers are not kept: always empty.
    #[schema(value_type = Object)]
    pub response: Map<String, Value>,
    #[schema(value_type = Object)]
    pub proxy_server_request: Map<String, Value>,
    pub session_id: String,
    /// `success` or `failure`.
    #[schema(value_type = String)]
    pub status: &'static str,
    pub mcp_namespaced_tool_name: Option<String>,
    pub agent_id: Option<String>,
    pub billing_agent_id: Option<String>,
    pub litellm_call_id: String,
    pub created_at: String,
    pub updated_at: String,
}

impl From<Call> for SpendLog {
    fn from(call: Call) -> SpendLog {
        let metadata = metadata(&call);
        let row = call.row;
        let first_byte = row.first_token_at.unwrap_or(row.ended_at);
        SpendLog {
            call_type: row.endpoint.clone(),
            spend: spend(&row),
            total_tokens: row.prompt_tokens().saturating_add(row.completion_tokens()),
            prompt_tokens: row.prompt_tokens(),
            completion_tokens: row.completion_tokens(),
            start_time: row.started_at.to_rfc3339(),
            end_time: row.ended_at.to_rfc3339(),
            request_duration_ms: duration(row.started_at, row.ended_at),
            completion_start_time: first_byte.to_rfc3339(),
            model: model(&row),
            status: status(&row),
            metadata,
            api_key: row.key_hash.unwrap_or_default(),
            model_id: row.deployment_id.unwrap_or_default(),
            model_group: row.model_group.unwrap_or(row.requested_model),
            custom_llm_provider: row.provider.unwrap_or_default(),
            api_base: row.api_base.unwrap_or_default(),
            user: row.user_id.unwrap_or_default(),
            cache_hit: "False",
            cache_key: "Cache OFF",
            request_tags: row.tags.0,
            team_id: row.team_id.unwrap_or_default(),
            organization_id: row.organization_id.unwrap_or_default(),
            end_user: row.end_user.unwrap_or_default(),
            requester_ip_address: row.client_address.unwrap_or_default(),
            messages: Map::new(),
            response: Map::new(),
            proxy_server_request: Map::new(),
            session_id: row.session_id.unwrap_or_else(|| row.request_id.clone()),
            mcp_namespaced_tool_name: None,
            agent_id: None,
            billing_agent_id: None,
            litellm_call_id: row.request_id.clone(),
            created_at: row.ended_at.to_rfc3339(),
            updated_at: row.ended_at.to_rfc3339(),
            request_id: row.request_id,
        }
    }
}

/// What a call adds to the spend of its scopes: nothing where the user's own provider key paid.
fn spend(row: &LedgerRow) -> Option<Money> {
    match row.paid_by.as_str() {
        "personal" | "header" => row.cost.map(|_| Money::ZERO),
        _ => row.cost,
    }
}

/// The model as reports name it: `openai/gpt-4o`.
pub fn model_name(
    provider: Option<&str>,
    upstream_model: Option<&str>,
    requested_model: &str,
) -> String {
    match (provider, upstream_model) {
        (Some(provider), Some(model)) => format!("{provider}/{model}"),
        (None, Some(model)) => model.to_owned(),
        _ => requested_model.to_owned(),
    }
}

fn model(row: &LedgerRow) -> String {
    let provider = row.provider.as_deref();
    model_name(
        provider,
        row.upstream_model.as_deref(),
        &row.requested_model,
    )
}

fn status(row: &LedgerRow) -> &'static str {
    match row.status.as_str() {
        "completed" => "success",
        _ => "failure",
    }
}

fn duration(from: Millis, until: Millis) -> i64 {
    i64::try_from(until.since(from).as_millis()).unwrap_or(i64::MAX)
}

/// What else is known: under the reference's names what it has too, then what only we know.
fn metadata(call: &Call) -> Value {
    let row = &call.row;
    let error = (row.status != "completed").then(|| {
        json!({
            "error_code": row.http_status.to_string(),
            "error_class": row.error_code,
            "error_message": row.error_message,
            "llm_provider": row.provider,
            "traceback": "",
        })
    });
    json!({
        "status": status(row),
        "user_agent": row.user_agent,
        "user_api_key": row.key_hash,
        "user_api_key_alias": call.key_alias,
        "user_api_key_user_id": row.user_id,
        "user_api_key_team_id": row.team_id,
        "user_api_key_team_alias": call.team_alias,
        "user_api_key_org_id": row.organization_id,
        "requester_ip_address": row.client_address,
        "spend_logs_metadata": (!row.metadata.is_empty()).then_some(&row.metadata),
        "usage_object": {
            "prompt_tokens": row.prompt_tokens(),
            "completion_tokens": row.completion_tokens(),
            "total_tokens": row.prompt_tokens().saturating_add(row.completion_tokens()),
            "prompt_tokens_details": {
                "cached_tokens": row.cache_read_tokens,
                "audio_tokens": row.input_audio_tokens,
            },
            "completion_tokens_details": {
                "reasoning_tokens": row.reasoning_tokens,
                "audio_tokens": row.output_audio_tokens,
            },
        },
        "cost_breakdown": row.cost.map(|cost| json!({
            "total_cost": cost,
            "service_tier": row.service_tier,
        })),
        "error_information": error,
        "applied_guardrails": [],
        "attempted_retries": row.attempts.saturating_sub(1).max(0),
        "attempted_fallbacks": 0,
        "litellm_call_id": row.request_id,
        "original_model_group": row.requested_model,
        "answered_model": row.answered_model,
        "upstream_id": row.upstream_id,
        "stream": row.stream,
        "terminal_state": row.status,
        "usage_source": row.usage_source,
        "paid_by": row.paid_by,
        "list_price": row.cost,
        "price_version": row.price_version,
    })
}
