//! Receipts: what one call used, what each part of it cost, and who paid. A receipt says nothing that
//! its row of the ledger does not say.

use axum::extract::State;
use base::Money;
use domain::{Domain, requests, spend};
use serde::Serialize;
use serde_json::{Value, json};
use store::ledger::LedgerRow;
use store::requests::RequestRow;
use utoipa::ToSchema;

use crate::callers::Anyone;
use crate::error::Result;
use crate::extract::{Json, Path};

/// A call, priced line by line.
#[derive(Debug, Serialize, ToSchema)]
pub struct Receipt {
    #[schema(value_type = String)]
    object: &'static str,
    request_id: String,
    /// The id in the answer that the client got.
    upstream_id: Option<String>,
    /// `call`, or `correction` of the call that `corrects` names.
    kind: String,
    corrects: Option<String>,
    started_at: String,
    ended_at: String,
    first_token_at: Option<String>,
    endpoint: String,
    stream: bool,
    /// `completed`, `cancelled_by_client`, `upstream_error`, `gateway_error`, `refused` or `unknown`.
    status: String,
    http_status: i64,
    attempts: i64,
    key: KeyOnReceipt,
    user_id: Option<String>,
    team_id: Option<String>,
    organization_id: Option<String>,
    end_user: Option<String>,
    tags: Vec<String>,
    model: ModelOnReceipt,
    paid_by: Payer,
    usage: UsageOnReceipt,
    /// Which version of which price was applied. Null: the model had no price.
    price_version: Option<String>,
    service_tier: Option<String>,
    line_items: Vec<Line>,
    /// Null: the model had no price, which is not the same as free.
    total: Option<Amount>,
    /// What the provider itself said the call cost.
    provider_cost: Option<Amount>,
    /// What was granted for a time and in force when the call began: without it the call may not have been
    /// let through.
    grants: Vec<GrantOnReceipt>,
}

/// A request that was approved.
#[derive(Debug, Serialize, ToSchema)]
pub struct GrantOnReceipt {
    /// Of the request that it was granted for (`GET /requests/{request_id}`).
    request_id: String,
    /// `budget`, `model`, `key` or `seat`.
    kind: String,
    amount: Option<Amount>,
    until: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct KeyOnReceipt {
    /// The key's hash at the time of the call.
    hash: Option<String>,
    alias: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct ModelOnReceipt {
    requested: String,
    answered: Option<String>,
    /// The public name that the deployment answers to.
    group: Option<String>,
    deployment_id: Option<String>,
    provider: Option<String>,
    upstream: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Payer {
    /// `personal`, `team`, `organization`, `system`, `environment`, `header` (a key that came with the call),
    /// or `none`.
    kind: String,
    /// The provider key that paid.
    credential_id: Option<String>,
}

/// What was used, in buckets that do not overlap.
#[derive(Debug, Serialize, ToSchema)]
pub struct UsageOnReceipt {
    /// `provider`, `estimated` or `none`.
    source: String,
    /// Tokens by bucket, those that are not zero.
    #[schema(value_type = Object)]
    tokens: Value,
    /// Counted units other than tokens.
    #[schema(value_type = Object)]
    units: Value,
}

/// So many of a bucket at a price.
#[derive(Debug, Serialize, ToSchema)]
pub struct Line {
    bucket: String,
    /// The bucket whose price was applied.
    priced_as: String,
    quantity: u64,
    price_nano_dollars_per_million: i64,
    /// Exact; the total is their sum, rounded once.
    amount_femto_dollars: String,
}

/// An amount of money, as a number to read and as an integer to count with.
#[derive(Debug, Serialize, ToSchema)]
pub struct Amount {
    #[schema(value_type = f64)]
    dollars: Money,
    nano_dollars: i64,
}

impl From<Money> for Amount {
    fn from(amount: Money) -> Amount {
        Amount {
            dollars: amount,
            nano_dollars: amount.0,
        }
    }
}

/// Explains the cost of one call.
///
/// Administrators get every receipt; others those of their own calls and of teams they administer.
/// The id is that of `x-litellm-call-id`, or the id in the answer.
#[utoipa::path(get, path = "/v1/receipts/{request_id}", operation_id = "v1_receipts_request_id", tag = "spend",
    params(("request_id" = String, Path)), responses((status = 200, body = Receipt)))]
pub async fn receipt(
    State(domain): State<Domain>,
    actor: Anyone,
    Path(request_id): Path<String>,
) -> Result<Json<Receipt>> {
    let call = spend::call(&domain, &actor, &request_id).await?;
    let grants = requests::grants_of(&domain, &call.row).await?;
    let mut receipt = of(call);
    receipt.grants = grants.into_iter().map(GrantOnReceipt::from).collect();
    Ok(Json(receipt))
}

impl From<RequestRow> for GrantOnReceipt {
    fn from(granted: RequestRow) -> GrantOnReceipt {
        GrantOnReceipt {
            request_id: granted.id,
            kind: granted.kind,
            amount: granted.granted_amount.map(Amount::from),
            until: granted.granted_until.map(base::Millis::to_rfc3339),
        }
    }
}

fn of(call: spend::Call) -> Receipt {
    let row = call.row;
    Receipt {
        object: "receipt",
        grants: Vec::new(),
        usage: UsageOnReceipt {
            source: row.usage_source.clone(),
            tokens: tokens(&row),
            units: Value::Object(row.units.0.clone()),
        },
        line_items: lines(&row.line_items()),
        started_at: row.started_at.to_rfc3339(),
        ended_at: row.ended_at.to_rfc3339(),
        first_token_at: row.first_token_at.map(base::Millis::to_rfc3339),
        key: KeyOnReceipt {
            hash: row.key_hash,
            alias: call.key_alias,
        },
        model: ModelOnReceipt {
            requested: row.requested_model,
            answered: row.answered_model,
            group: row.model_group,
            deployment_id: row.deployment_id,
            provider: row.provider,
            upstream: row.upstream_model,
        },
        paid_by: Payer {
            kind: row.paid_by,
            credential_id: row.credential_id,
        },
        request_id: row.request_id,
        upstream_id: row.upstream_id,
        kind: row.kind,
        corrects: row.corrects,
        endpoint: row.endpoint,
        stream: row.stream,
        status: row.status,
        http_status: row.http_status,
        attempts: row.attempts,
        user_id: row.user_id,
        team_id: row.team_id,
        organization_id: row.organization_id,
        end_user: row.end_user,
        tags: row.tags.0,
        price_version: row.price_version,
        service_tier: row.service_tier,
        total: row.cost.map(Amount::from),
        provider_cost: row.provider_cost.map(Amount::from),
    }
}

fn tokens(row: &LedgerRow) -> Value {
    let buckets = [
        ("input", row.input_tokens),
        ("cache_read", row.cache_read_tokens),
        ("cache_write_5m", row.cache_write_5m_tokens),
        ("cache_write_1h", row.cache_write_1h_tokens),
        ("input_audio", row.input_audio_tokens),
        ("input_image", row.input_image_tokens),
        ("output", row.output_tokens),
        ("reasoning", row.reasoning_tokens),
        ("output_audio", row.output_audio_tokens),
        ("output_image", row.output_image_tokens),
    ];
    let used = buckets.into_iter().filter(|(_, tokens)| *tokens > 0);
    used.map(|(name, tokens)| (name.to_owned(), json!(tokens)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn lines(kept: &[store::ledger::Line]) -> Vec<Line> {
    let line = |line: &store::ledger::Line| Line {
        bucket: line.price.bucket.to_string(),
        priced_as: line.price.priced_as().to_owned(),
        quantity: line.quantity,
        price_nano_dollars_per_million: line.price.price,
        amount_femto_dollars: line.amount().0.to_string(),
    };
    kept.iter().map(line).collect()
}
